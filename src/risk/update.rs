//! The risk update: what an access policy reads of an agent.
//!
//! Knows the shape of the message. Must not know how a level is reached.

use serde::{Deserialize, Serialize};

use super::{Level, Proposal};
use crate::finding::{Detector, RiskEventType};
use crate::time::EventTime;

/// Name and version of the schema of a risk update, in each of them.
pub const RISK_SCHEMA: &str = "tiltmeter.agent-risk.v1";

/// How well an agent is seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Monitoring {
    /// Everything it does is judged against what is known of it.
    #[default]
    Ok,
    /// Part of what was known of it was forgotten, or its clock cannot be believed.
    Degraded,
    /// What it does cannot be seen at present; its level does not decay.
    Blind,
}

/// Why a risk update is told now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A finding raised the level.
    Finding,
    /// A user rule matched.
    Rule,
    /// The agent is not what the registry says, or does what it was not granted.
    Registry,
    /// Nothing happened for long enough, so that the level stepped down.
    Decay,
    /// A person gave a verdict.
    Verdict,
    /// The agent cannot be seen any more, or can be again; its level is what it was.
    Monitoring,
    /// It made room for other agents: what was held against it is forgotten.
    Eviction,
    /// Another level may be published than before, of what it is: the first days are over, or the configuration changed.
    Settings,
}

/// The level of one agent changed. One record an agent is enough: the latest says everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RiskUpdate {
    /// [`RISK_SCHEMA`].
    pub schema: String,
    /// The agent.
    pub agent_id: String,
    /// Its tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Its type.
    pub agent_type: String,
    /// Counts the agent's updates, from 1; never falls.
    pub seq: u64,
    /// The level to act on.
    pub level: Level,
    /// The level before.
    pub previous_level: Level,
    /// The true level, where `level` is capped by `observe_only` or `never_block`; otherwise the same.
    pub level_uncapped: Level,
    /// Risk score, 0–100.
    pub score: f64,
    /// What the score is made of; the points sum to it.
    pub reasons: Vec<Reason>,
    /// Why it is told.
    pub cause: Cause,
    /// Event time at which the level changed.
    pub as_of: EventTime,
    /// When this level falls by itself if nothing more happens; none for `none`, and where it does not fall by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<EventTime>,
    /// Alerts ever opened about it.
    pub alert_count: u64,
    /// Alerts that are open.
    pub open_alerts: Vec<String>,
    /// A verdict on it that waits for a second person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<Proposal>,
    /// How well it is seen.
    pub monitoring: Monitoring,
    /// `new` (fewer than 50 events), `young` (fewer than 1,000) or `mature`.
    pub maturity: String,
    /// Version of the baseline.
    pub baseline: u64,
    /// Hash of the configuration.
    pub config: String,
}

/// One detector's part of a score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The detector.
    pub detector: Detector,
    /// The kind of risk of its strongest finding; none where it only added to those of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_event_type: Option<RiskEventType>,
    /// Its points.
    pub points: f64,
}
