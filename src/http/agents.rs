//! What is known of agents: the level of one, a list of many, the alerts of one.
//!
//! Knows parameters and the form of answers. Must not know how a level is reached.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::Serialize;
use serde_json::value::RawValue;

use super::access::{Asker, Role};
use super::problem::{Problem, shown};
use super::query::Parameters;
use super::{Serving, json, now_ms};
use crate::kafka::service::lookup::{Found, Start, Wanted};
use crate::risk::{Level, RiskUpdate};
use crate::time::EventTime;

/// An answer may be believed for so long after it was last certain that nothing is missing. Milliseconds.
const FRESH_MS: i64 = 10_000;
/// Agents of a page, at most and where nothing is said.
const MOST_AGENTS: usize = 1000;
const AGENTS: usize = 100;
/// Agents that are looked at for a page: a type that few have must not keep others waiting.
const LOOK_AT: usize = 50_000;
/// Alerts that are told, at most and where nothing is said.
const MOST_ALERTS: usize = 1000;
const ALERTS: usize = 100;

/// An agent, as it is told.
#[derive(Serialize)]
pub(super) struct Told {
    #[serde(flatten)]
    risk: RiskUpdate,
    /// Until when it may be believed.
    fresh_until: EventTime,
}

#[derive(Serialize)]
struct Agents {
    agents: Vec<RiskUpdate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    fresh_until: EventTime,
}

#[derive(Serialize)]
struct Alerts {
    alerts: Vec<Box<RawValue>>,
}

/// `GET /v1/agents/{id}/risk`
pub(super) async fn risk(
    State(serving): State<Arc<Serving>>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    asker: Asker,
) -> Result<Response, Problem> {
    serving.access.check(&asker, Role::Viewer)?;
    let id = named(id)?;
    let parameters = Parameters::read(query.as_deref(), &["tenant"])?;
    serving.is_read()?;
    let fresh_until = serving.fresh_until();
    let Some(Found { risk, place: (partition, offset) }) =
        serving.lookup.agents().of(parameters.text("tenant"), &id)
    else {
        let detail = format!(
            "the agent {} has never had a risk level; look whether id and tenant are as in its events",
            shown(&id)
        );
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown-agent", detail)
            .with("agent_id", id)
            .with("level", "unknown")
            .with("fresh_until", fresh_until.to_string()));
    };
    // Weak: `fresh_until` moves on while the rest stays.
    let tag = format!("W/\"{partition}-{offset}-{}\"", risk.seq);
    let left_secs = (fresh_until.0 - now_ms()).max(0) / 1000;
    let fresh = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, format!("private, max-age={left_secs}")),
        (HeaderName::from_static("fresh-until"), fresh_until.to_string()),
    ];
    let mut response = if is_known(&asker.headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        json(StatusCode::OK, &Told { risk, fresh_until })
    };
    for (name, value) in fresh {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// `GET /v1/agents`
pub(super) async fn list(
    State(serving): State<Arc<Serving>>,
    RawQuery(query): RawQuery,
    asker: Asker,
) -> Result<Response, Problem> {
    serving.access.check(&asker, Role::Viewer)?;
    let parameters = Parameters::read(query.as_deref(), &["level", "type", "cursor", "limit"])?;
    let level = match parameters.text("level") {
        None => None,
        Some(name) => Some(Level::of_name(name).ok_or_else(|| {
            let names = Level::ALL.map(Level::name).join(", ");
            Problem::bad(
                "invalid-parameter",
                format!("level = {} is no level; give one of {names}", shown(name)),
            )
        })?),
    };
    let wanted = Wanted {
        level,
        agent_type: parameters.text("type").map(str::to_owned),
        after: parameters.text("cursor").map(cursor).transpose()?,
        limit: parameters.number("limit", MOST_AGENTS, AGENTS)?,
        look_at: LOOK_AT,
    };
    serving.is_read()?;
    let page = serving.lookup.agents().page(&wanted);
    let agents = Agents {
        agents: page.agents.into_iter().map(|found| found.risk).collect(),
        next_cursor: page.next.map(|next| BASE64.encode(format!("{}/{}", next.level.name(), next.key))),
        fresh_until: serving.fresh_until(),
    };
    Ok(json(StatusCode::OK, &agents))
}

/// `GET /v1/agents/{id}/alerts`
pub(super) async fn alerts(
    State(serving): State<Arc<Serving>>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    asker: Asker,
) -> Result<Response, Problem> {
    serving.access.check(&asker, Role::Viewer)?;
    let id = named(id)?;
    let parameters = Parameters::read(query.as_deref(), &["tenant", "limit"])?;
    let limit = parameters.number("limit", MOST_ALERTS, ALERTS)?;
    serving.is_read()?;
    let found = serving.lookup.alerts().of(parameters.text("tenant"), &id, limit);
    let alerts = found.into_iter().filter_map(|json| RawValue::from_string(json).ok()).collect();
    Ok(json(StatusCode::OK, &Alerts { alerts }))
}

impl Told {
    /// An agent that was found.
    pub fn new(found: Found, fresh_until: EventTime) -> Self {
        Self { risk: found.risk, fresh_until }
    }
}

impl Serving {
    /// Until when what was read may be believed.
    pub(super) fn fresh_until(&self) -> EventTime {
        EventTime(self.lookup.current_ms() + FRESH_MS)
    }

    pub(super) fn is_read(&self) -> Result<(), Problem> {
        if self.lookup.is_read() {
            return Ok(());
        }
        let detail = "the risk levels are being read from Kafka; try again in a moment";
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-read-yet", detail).with("level", "unknown"))
    }
}

pub(super) fn named(id: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let unusable = |_| {
        Problem::bad(
            "invalid-agent",
            "the id of the agent is no UTF-8; write other bytes of it as %XX, `/` as %2F",
        )
    };
    id.map(|Path(id)| id).map_err(unusable)
}

/// Whether the caller has what the tag stands for.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|value| value.split(',')).any(|known| known.trim() == "*" || opaque(known) == opaque(tag))
}

fn cursor(text: &str) -> Result<Start, Problem> {
    let read = || {
        let bytes = BASE64.decode(text).ok()?;
        let (level, key) = std::str::from_utf8(&bytes).ok()?.split_once('/')?;
        Some(Start { level: Level::of_name(level)?, key: key.to_owned() })
    };
    read().ok_or_else(|| {
        let detail =
            format!("cursor = {} is none of ours; give `next_cursor` of the page before", shown(text));
        Problem::bad("invalid-parameter", detail)
    })
}
