//! What the engine says.
//!
//! Knows the messages. Must not know who reads them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::verdicts::VerdictRecord;
use crate::alert::Alert;
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
    /// The minute of event time.
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
    /// p of those of its families that say anything, in (0, 1).
    pub families: BTreeMap<&'static str, f64>,
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
