//! What the engine says.
//!
//! Knows the messages. Must not know who reads them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::verdicts::VerdictRecord;
use crate::alert::Alert;
use crate::finding::{Family, RiskEventType};
use crate::risk::RiskUpdate;
use crate::time::EventTime;

/// One message. Each says its schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Output {
    /// An alert opened, got worse or closed.
    Alert(Box<Alert>),
    /// The level of an agent changed.
    Risk(Box<RiskUpdate>),
    /// A verdict took effect.
    Verdict(Box<VerdictRecord>),
    /// More alerts of one type came in a minute than anyone reads.
    Digest(Box<Digest>),
    /// An agent made room for others.
    Eviction(Box<Eviction>),
    /// A finding was not told because a person said that such findings should not be.
    HeldBack(Box<HeldBack>),
    /// An agent went through a declared change.
    Rebaselined(Box<Rebaselined>),
}

/// Name and version of the schema of a finding that was held back.
pub const HELD_BACK_SCHEMA: &str = "tiltmeter.held-back.v1";

/// A finding that would have been an alert, but for maintenance, a suppression or a declared change. It raises no level.
/// Told once a unit; of what is certain once an hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldBack {
    /// [`HELD_BACK_SCHEMA`].
    pub schema: String,
    /// The agent.
    pub agent_id: String,
    /// Its tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Its type.
    pub agent_type: String,
    /// Event time of the call that decided it.
    pub time: EventTime,
    /// The family that says most.
    pub family: Family,
    /// What kind of risk it is.
    pub risk_event_type: RiskEventType,
    /// p of the unit, in (0, 1]; 1 where no p speaks.
    pub p: f64,
    /// `maintenance`, `suppression` or `declared_change`.
    pub because_of: String,
    /// Id of that control record.
    pub control_id: String,
    /// Who answers for it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Name and version of the schema of a baseline begun anew.
pub const REBASELINED_SCHEMA: &str = "tiltmeter.rebaselined.v1";

/// An agent acts for the first time under a declared change: what it was used to counts for less from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebaselined {
    /// [`REBASELINED_SCHEMA`].
    pub schema: String,
    /// The agent.
    pub agent_id: String,
    /// Its tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Its type.
    pub agent_type: String,
    /// Event time of that call.
    pub time: EventTime,
    /// The version before, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_version: Option<String>,
    /// The version now.
    pub to_version: String,
    /// Until when what is new about it is not told.
    pub until: EventTime,
    /// Id of the control record that declared it.
    pub control_id: String,
    /// Who declared it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Name and version of the schema of a digest.
pub const DIGEST_SCHEMA: &str = "tiltmeter.alert-digest.v1";

/// New alerts of one type and minute beyond the cap: told together. Each becomes an alert of its own as soon as there
/// is more to tell of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// [`DIGEST_SCHEMA`].
    pub schema: String,
    /// Type of the agents.
    pub agent_type: String,
    /// The minute of the stream's clock.
    pub minute: EventTime,
    /// Alerts that were held back, up to now.
    pub held_back: u64,
    /// The agent of the last one.
    pub last_agent: String,
    /// The id of the last one.
    pub last_alert_id: String,
}

/// Name and version of the schema of an eviction.
pub const EVICTION_SCHEMA: &str = "tiltmeter.eviction.v1";

/// An agent's own baseline was forgotten to make room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eviction {
    /// [`EVICTION_SCHEMA`].
    pub schema: String,
    /// The agent.
    pub agent_id: String,
    /// Its tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Its latest event.
    pub last_seen: EventTime,
    /// Its events so far.
    pub events: u64,
}

/// A unit that has closed, for those who want to know how p is distributed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClosedUnit {
    /// Its agent.
    pub agent_id: String,
    /// The agent's type.
    pub agent_type: String,
    /// `session` or `hour`.
    pub kind: &'static str,
    /// Its first event.
    pub started: EventTime,
    /// Its last event.
    pub ended: EventTime,
    /// Its events.
    pub events: u32,
    /// Its calibrated p, in (0, 1].
    pub p: f64,
    /// p of a session and its hour together, in (0, 1]: what alerts are decided by.
    pub alarm_p: f64,
    /// p of those of its families that say anything, in (0, 1).
    pub families: BTreeMap<&'static str, f64>,
}

/// Units that have closed, by the families that said anything in them: where a family is calibrated, one unit in a hundred
/// has p at or below .01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClosedCounts {
    /// Units of each family.
    pub closed: [u64; Family::COUNT],
    /// Those of them in which the family's p was at or below [`UNUSUAL_P`].
    pub unusual: [u64; Family::COUNT],
}

/// p of a unit that is called unusual.
pub const UNUSUAL_P: f64 = 0.01;

impl ClosedCounts {
    /// Another unit of a family.
    pub(super) fn add(&mut self, family: Family, p: f64) {
        let place = family as usize;
        if let (Some(closed), Some(unusual)) = (self.closed.get_mut(place), self.unusual.get_mut(place)) {
            *closed += 1;
            *unusual += u64::from(p <= UNUSUAL_P);
        }
    }

    /// Both together.
    pub(super) fn plus(mut self, other: &Self) -> Self {
        self.closed.iter_mut().zip(other.closed).for_each(|(sum, more)| *sum += more);
        self.unusual.iter_mut().zip(other.unusual).for_each(|(sum, more)| *sum += more);
        self
    }
}

impl Output {
    /// The alert, if it is one.
    pub fn alert(&self) -> Option<&Alert> {
        match self {
            Self::Alert(alert) => Some(alert),
            _ => None,
        }
    }

    /// The alert, if it is one.
    pub fn into_alert(self) -> Option<Alert> {
        match self {
            Self::Alert(alert) => Some(*alert),
            _ => None,
        }
    }
}
