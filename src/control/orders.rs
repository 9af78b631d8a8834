//! What people announce, allow for a while, and do not want to be told.
//!
//! Knows the shape of the records. Must not know what they change.

use serde::{Deserialize, Serialize};

use super::{Scope, Subject};
use crate::finding::{Family, RiskEventType};
use crate::network::Network;
use crate::time::EventTime;

/// Agents get another version: what they are used to counts for less, and what is new about them is no news.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeclaredChange {
    /// The agents.
    #[serde(flatten)]
    pub subject: Subject,
    /// The version that they leave; left out: whichever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_version: Option<String>,
    /// The version that they get, as their events will name it.
    pub to_version: String,
    /// The change begins.
    pub from: EventTime,
    /// By then all of them have changed, and do what they will do: the first instant after the window.
    pub until: EventTime,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

impl DeclaredChange {
    /// Whether an instant lies in its window.
    pub fn is_on(&self, at: EventTime) -> bool {
        (self.from..self.until).contains(&at)
    }
}

/// Agents may do more than they are registered for, until then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// The agents.
    #[serde(flatten)]
    pub subject: Subject,
    /// What they may do besides; a list that is left out allows nothing more.
    #[serde(default, skip_serializing_if = "Scope::is_unlimited")]
    pub scope: Scope,
    /// Networks that they may come from besides; left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<Network>>,
    /// From when on; left out: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<EventTime>,
    /// The first instant at which they may not any more.
    pub until: EventTime,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

impl Grant {
    /// Whether it holds at an instant.
    pub fn is_on(&self, at: EventTime) -> bool {
        self.from.is_none_or(|from| from <= at) && at < self.until
    }
}

/// Agents are worked on: what is unusual then is not told and raises no level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Maintenance {
    /// The agents.
    #[serde(flatten)]
    pub subject: Subject,
    /// It begins.
    pub from: EventTime,
    /// It is over: the first instant after it.
    pub until: EventTime,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

impl Maintenance {
    /// Whether an instant lies in it.
    pub fn is_on(&self, at: EventTime) -> bool {
        (self.from..self.until).contains(&at)
    }
}

/// Findings of a kind about some agents are not told and raise no level, until then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suppression {
    /// The agents.
    #[serde(flatten)]
    pub subject: Subject,
    /// What is not told.
    #[serde(flatten)]
    pub muted: Muted,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// It is told again from then on.
    pub until: EventTime,
}

/// What a suppression keeps quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Muted {
    /// What a family says most about.
    Family(Family),
    /// One kind of risk.
    RiskEventType(RiskEventType),
}

impl Muted {
    /// Whether a finding is meant.
    pub fn means(self, family: Family, kind: RiskEventType) -> bool {
        match self {
            Self::Family(muted) => muted == family,
            Self::RiskEventType(muted) => muted == kind,
        }
    }
}

/// Settings of the service, as a file of configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineSettings {
    /// SHA-256 of the text; 64 hexadecimal digits.
    pub sha256: String,
    /// The file, TOML.
    pub text: String,
}
