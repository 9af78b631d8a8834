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
    /// As confirm safe, and what it did in units that are still open is learned as normal.
    Accept,
}

impl Decision {
    /// Every decision, in order.
    pub const ALL: [Self; 4] = [Self::ConfirmCompromised, Self::ConfirmSafe, Self::Dismiss, Self::Accept];

    /// Whether it takes the agent's level away.
    pub fn releases(self) -> bool {
        self != Self::ConfirmCompromised
    }

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

/// A verdict that waits for a second person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The decision.
    pub verdict: Decision,
    /// Who proposed it; not empty.
    pub by: String,
    /// A different person may complete it before this.
    pub until: EventTime,
}

impl Proposal {
    /// Whether a name is that of who proposed it. Names that differ only in spaces around them or in case are one person's.
    pub fn is_by(&self, name: &str) -> bool {
        self.by.trim().to_lowercase() == name.trim().to_lowercase()
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
