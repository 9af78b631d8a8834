//! Findings that nobody is told of, because a person said so.
//!
//! Knows one finding and the record that keeps it quiet. Must not judge.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::explain::Moment;
use super::output::{HELD_BACK_SCHEMA, HeldBack, Output};
use super::registry::KnownAgents;
use super::watched::Watched;
use crate::control::DeclaredChange;
use crate::detect::registry::records::{Dated, Excuse, Records};
use crate::finding::{Family, RiskEventType};
use crate::identity::{Identity, Key};
use crate::stats::key::mix;
use crate::time::EventTime;

/// Held-back findings of one agent that are remembered, so that each is recorded once.
const REMEMBERED: usize = 8;

/// What was held back of an agent lately: keys, the latest last.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Held(SmallVec<[Key; 1]>);

impl Held {
    /// Notes something; false when it is known.
    fn note(&mut self, key: Key) -> bool {
        if self.0.contains(&key) {
            return false;
        }
        if self.0.len() >= REMEMBERED {
            self.0.remove(0);
        }
        self.0.push(key);
        true
    }
}

/// A finding that was held back. What is to be said of it, where it would have been an alert.
#[derive(Debug)]
pub(super) struct HeldFinding {
    said: Option<(Key, Box<HeldBack>)>,
}

/// Whom it is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whom<'w> {
    pub agent_id: &'w str,
    pub tenant: Option<&'w str>,
    pub agent_type: &'w str,
}

impl<'w> Whom<'w> {
    /// An agent that is watched.
    pub fn of(watched: &'w Watched) -> Self {
        Self {
            agent_id: &watched.id,
            tenant: watched.kin.tenant.as_deref(),
            agent_type: &watched.kin.type_name,
        }
    }

    /// Why a finding about it is not told.
    pub fn excuse<'r>(
        &self,
        records: [Option<&'r Records>; 2],
        family: Family,
        kind: RiskEventType,
        at: EventTime,
    ) -> Option<Excuse<'r>> {
        let agent = (self.agent_id, self.agent_type, self.tenant);
        records.into_iter().flatten().find_map(|records| records.excuse(agent, family, kind, at))
    }

    /// A finding about it that would have been an alert.
    ///
    /// * `about`: what is recorded only once.
    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    pub fn held(
        &self,
        identity: &Identity,
        about: Key,
        time: EventTime,
        family: Family,
        risk_event_type: RiskEventType,
        p: f64,
        excuse: &Excuse<'_>,
    ) -> HeldFinding {
        let held = HeldBack {
            schema: HELD_BACK_SCHEMA.to_owned(),
            agent_id: self.agent_id.to_owned(),
            tenant: self.tenant.map(str::to_owned),
            agent_type: self.agent_type.to_owned(),
            time,
            family,
            risk_event_type,
            p,
            because_of: excuse.what.to_owned(),
            control_id: excuse.id.to_owned(),
            by: excuse.by.to_owned(),
            reason: excuse.reason.to_owned(),
        };
        HeldFinding { said: Some((mix(about, identity.of(excuse.id)), Box::new(held))) }
    }
}

impl HeldFinding {
    /// One that would not have been an alert: it is only counted.
    pub fn quiet() -> Self {
        Self { said: None }
    }
}

impl Moment<'_, '_> {
    fn whom(&self) -> Whom<'_> {
        let event = self.call.event;
        Whom { agent_id: &event.agent_id, tenant: event.tenant.as_deref(), agent_type: event.agent_type() }
    }

    /// Why a finding about the agent of this call is not told, if anybody said that it should not be.
    pub fn excuse(&self, family: Family, kind: RiskEventType, at: EventTime) -> Option<Excuse<'_>> {
        let groups = &self.registry.records;
        let records = self.standing.as_ref().map_or([None, Some(groups)], |standing| standing.records);
        let change = || self.change.filter(|_| is_excused_by_change(family)).map(of_change);
        self.whom().excuse(records, family, kind, at).or_else(change)
    }

    /// A unit that would have been told.
    pub fn held_unit(
        &self,
        family: Family,
        kind: RiskEventType,
        unit: Key,
        p: f64,
        excuse: &Excuse<'_>,
    ) -> HeldFinding {
        let identity = self.vocabulary.identity();
        self.whom().held(identity, unit, self.call.event.time, family, kind, p, excuse)
    }

    /// Something certain that would have been told: recorded once an hour.
    pub fn held_fact(
        &self,
        family: Family,
        kind: RiskEventType,
        about: &str,
        excuse: &Excuse<'_>,
    ) -> HeldFinding {
        let (identity, time) = (self.vocabulary.identity(), self.call.event.time);
        let about = mix(identity.of(about), time.hour() as u64);
        self.whom().held(identity, about, time, family, kind, 1.0, excuse)
    }
}

/// Whether a new version explains what a family finds. It does other things, in another order and at another pace; who
/// names the values of its calls is the same as before, and a release is no reason to look away from that.
fn is_excused_by_change(family: Family) -> bool {
    match family {
        Family::BareContent
        | Family::Order
        | Family::Loops
        | Family::Novelty
        | Family::Bursts
        | Family::Failure => true,
        Family::CallContent
        | Family::ToolValues
        | Family::Rules
        | Family::Verdict
        | Family::Registry
        | Family::Fleet => false,
    }
}

fn of_change(change: &Dated<DeclaredChange>) -> Excuse<'_> {
    Excuse { what: "declared_change", id: &change.id, by: &change.by, reason: &change.reason }
}

/// Records what was held back of an agent, each finding once; returns how many there were.
pub(super) fn record(
    known: &mut KnownAgents,
    agent: Key,
    found: impl IntoIterator<Item = HeldFinding>,
    out: &mut Vec<Output>,
) -> u64 {
    let mut count = 0;
    for finding in found {
        count += 1;
        if let Some((key, held)) = finding.said
            && known.entry(agent).or_default().held.note(key)
        {
            out.push(Output::HeldBack(held));
        }
    }
    count
}
