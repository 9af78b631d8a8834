//! The registration of an agent: its birth certificate.
//!
//! Knows the shape of the record. Must not know what becomes of an agent that does something else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Subject;
use crate::network::Network;
use crate::pattern::Patterns;
use crate::risk::Criticality;
use crate::time::EventTime;

/// Agents that exist, whose they are, what they are for and what they may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// The agents.
    #[serde(flatten)]
    pub subject: Subject,
    /// What they are for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// With what they were made: model, prompt version, tool manifest, whatever is worth keeping.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub creation: BTreeMap<String, String>,
    /// Where it is said what they were trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_data: Option<String>,
    /// The person who watches over them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overseer: Option<String>,
    /// Whose they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The version that they run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How much harm they could do; the higher of this and of what the configuration says of their type holds.
    #[serde(default)]
    pub criticality: Criticality,
    /// What they may do.
    #[serde(default, skip_serializing_if = "Scope::is_unlimited")]
    pub scope: Scope,
    /// Networks that they may come from; left out: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<Network>>,
    /// Whether they are to be there at all.
    #[serde(default)]
    pub state: Lifecycle,
    /// They are registered from then on; left out: from ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<EventTime>,
    /// From then on they are deprovisioned; left out: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<EventTime>,
}

impl Registration {
    /// A registration of which nothing but the agents is known.
    pub fn of(subject: Subject) -> Self {
        Self {
            subject,
            purpose: None,
            creation: BTreeMap::new(),
            training_data: None,
            overseer: None,
            owner: None,
            version: None,
            criticality: Criticality::default(),
            scope: Scope::default(),
            networks: None,
            state: Lifecycle::default(),
            valid_from: None,
            valid_until: None,
        }
    }

    /// Whether it has begun at an instant.
    pub fn has_begun(&self, at: EventTime) -> bool {
        self.valid_from.is_none_or(|from| from <= at)
    }

    /// Whether the agents are not to be there any more at an instant.
    pub fn has_ended(&self, at: EventTime) -> bool {
        self.state == Lifecycle::Deprovisioned || self.valid_until.is_some_and(|until| until <= at)
    }
}

/// Whether agents are to be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    /// They are.
    #[default]
    Active,
    /// They are not any more: whatever still acts in their name should not.
    Deprovisioned,
}

/// What agents may do. A list that is left out limits nothing; an empty one allows nothing.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Scope {
    /// Patterns of actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Patterns>,
    /// Patterns of resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Patterns>,
    /// Patterns of what calls that send or pay may go to, besides the `resources` that are listed. Left out: as `resources`
    /// say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destinations: Option<Patterns>,
}

impl Scope {
    /// Whether everything is allowed.
    pub fn is_unlimited(&self) -> bool {
        self.actions.is_none() && self.resources.is_none() && self.destinations.is_none()
    }
}
