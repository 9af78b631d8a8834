//! What is normal for the agents of a type, as people read it: `GET /v1/agent-types/{type}/baseline`.
//!
//! Knows figures and what they are called. Must not know how they were learned.
//!
//! A baseline holds names as hashes only. So names are looked up in it: those that are asked for, those that this instance saw
//! in events of the type since it began, and those in the last alerts of the type.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::access::{Asker, Role};
use super::problem::{Problem, shown};
use super::query::Parameters;
use super::{Behind, Serving, json, now_ms};
use crate::alert::Alert;
use crate::baseline::agent::KeySpace;
use crate::baseline::pool::{Baselines, TypeBaseline};
use crate::baseline::rate::Scale;
use crate::engine::Version;
use crate::identity::Identity;
use crate::time::EventTime;

/// Alerts in which names are looked for, and names that are told without having been asked for.
const ALERTS: usize = 1000;
const NAMES: usize = 50;

/// A baseline.
#[derive(Serialize)]
struct Told {
    agent_type: String,
    version: u64,
    /// When it was written, by the broker's clock; none for what is shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<EventTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_secs: Option<i64>,
    /// Agents seen of the type.
    agents: f64,
    /// Sessions and hours learned, faded.
    sessions: f64,
    hours: f64,
    rates: Vec<Rate>,
    /// Share of attempts that are refused, in [0, 1].
    refused_share: f64,
    /// Whether calls usually say where their arguments came from.
    carries_provenance: bool,
    /// Cells of what is kept of the type.
    size: Size,
    names: Vec<Name>,
}

/// How often an agent of the type acts.
#[derive(Serialize)]
struct Rate {
    window_minutes: u32,
    /// Mean number of events in a window.
    events: f64,
}

#[derive(Serialize)]
struct Size {
    keys: usize,
    transitions: usize,
    origins: usize,
    values: usize,
}

/// How usual a name is.
#[derive(Serialize)]
struct Name {
    kind: &'static str,
    name: String,
    /// Agents of the type that used it, faded.
    agents: f64,
    /// Share of the agents of the type that use it, and of the fleet's, in (0, 1).
    share: f64,
    share_of_fleet: f64,
}

/// `GET /v1/agent-types/{type}/baseline`
pub(super) async fn of_type(
    State(serving): State<Arc<Serving>>,
    name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    asker: Asker,
) -> Result<Response, Problem> {
    serving.access.check(&asker, Role::Viewer)?;
    let Path(name) = name.map_err(|_| {
        let detail = "the type is no UTF-8; write other bytes of it as %XX, `/` as %2F";
        Problem::bad("invalid-type", detail)
    })?;
    let parameters = Parameters::read(query.as_deref(), &["action", "resource"])?;
    let behind = serving.behind().ok_or_else(|| {
        let detail = "the baselines are being read from Kafka; try again in a moment";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-read-yet", detail)
    })?;
    let (version, written) = behind.newest();
    let identity = &version.settings.identity;
    let Some(own) = version.baselines.types.get(&identity.of(&name)) else {
        let detail = format!(
            "nothing was learned of the type {} yet, as of version {}; look whether it is as in its events",
            shown(&name),
            version.number()
        );
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown-type", detail));
    };
    let mut asked: BTreeSet<(&'static str, String)> = BTreeSet::new();
    // Destinations are hashed by whoever writes events: their names are not known here.
    for space in [KeySpace::Action, KeySpace::Resource] {
        asked.extend(parameters.text(space.name()).map(|text| (space.name(), text.to_owned())));
    }
    let usual = |(kind, name)| usual(&version.baselines, own, identity, kind, name);
    let mut names: Vec<Name> = known(&serving, &*behind, &name)
        .into_iter()
        .filter(|known| !asked.contains(known))
        .map(usual)
        .filter(|name| name.agents > 0.0)
        .collect();
    names.sort_by(|a, b| b.share.total_cmp(&a.share));
    names.truncate(NAMES);
    names.extend(asked.iter().cloned().map(usual));
    names.sort_by(|a, b| b.share.total_cmp(&a.share));
    Ok(json(StatusCode::OK, &told(&version, own, written, names)))
}

/// Names that the type may use: from what this instance saw, and from the last alerts of the type.
fn known(serving: &Serving, behind: &dyn Behind, agent_type: &str) -> BTreeSet<(&'static str, String)> {
    let seen = behind.names(agent_type).into_iter().map(|(space, name)| (space.name(), name));
    let latest = serving.lookup.alerts().latest(ALERTS);
    let alerts = latest.iter().filter_map(|json| serde_json::from_str::<Alert>(json).ok());
    let alerts = alerts.filter(|alert| alert.agent_type == agent_type);
    let told = alerts.flat_map(|alert| alert.evidence).map(|seen| (KeySpace::Action.name(), seen.action));
    seen.chain(told).collect()
}

fn told(version: &Version, own: &TypeBaseline, written: Option<i64>, names: Vec<Name>) -> Told {
    let [sessions, hours] = own.units();
    let rate = |scale: Scale| Rate {
        window_minutes: scale.minutes(),
        events: own.habits.rate_priors.of(scale).mean(),
    };
    Told {
        agent_type: own.name.clone(),
        version: version.number(),
        written: written.map(EventTime),
        age_secs: written.map(|written| (now_ms() - written).max(0) / 1000),
        agents: own.agent_count,
        sessions,
        hours,
        rates: Scale::ALL.map(rate).into(),
        refused_share: own.habits.failure_prior.denied.mean,
        carries_provenance: own.carries_provenance(),
        size: Size {
            keys: own.access.len(),
            transitions: own.sequence.len(),
            origins: own.origins.len(),
            values: own.values.len(),
        },
        names,
    }
}

fn usual(
    baselines: &Baselines,
    own: &TypeBaseline,
    identity: &Identity,
    kind: &'static str,
    name: String,
) -> Name {
    let space = KeySpace::ALL.into_iter().find(|space| space.name() == kind).unwrap_or(KeySpace::Action);
    let key = identity.of(&name);
    let (agents, _) = baselines.key_agents(Some(own), space, key);
    let (share, share_of_fleet) = baselines.key_share(Some(own), space, key);
    Name { kind, name, agents, share, share_of_fleet }
}
