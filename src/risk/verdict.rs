//! The verdict of a person on an agent.
//!
//! Knows the shape of the message. Must not know what a verdict does.

use serde::{Deserialize, Serialize};

use crate::time::EventTime;

/// What a person decided about an agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It is compromised: high until another verdict.
    ConfirmCompromised,
    /// It is not: none, and similar activity is not flagged for 30 days.
    ConfirmSafe,
    /// It does not matter: none, similar activity is flagged again.
    Dismiss,
    /// As confirm safe, and what it did is learned as normal.
    Accept,
}

impl Decision {
    /// Every decision, in order.
    pub const ALL: [Self; 4] = [Self::ConfirmCompromised, Self::ConfirmSafe, Self::Dismiss, Self::Accept];

    /// The name used in input, output and documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfirmCompromised => "confirm_compromised",
            Self::ConfirmSafe => "confirm_safe",
            Self::Dismiss => "dismiss",
            Self::Accept => "accept",
        }
    }
}

/// A verdict of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// It takes effect before the first event at or after this.
    pub time: EventTime,
    /// The agent.
    pub agent_id: String,
    /// Its tenant, where there are tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The decision.
    pub verdict: Decision,
    /// Who decided.
    #[serde(default)]
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}
