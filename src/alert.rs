//! The alert: a message for a person, with everything needed to understand it.
//!
//! Knows the shape of the message. Must not know how anything in it is computed.

use serde::{Deserialize, Serialize};

use crate::finding::{Detector, Family, RiskEventType};
use crate::risk::Level;
use crate::time::EventTime;

/// Unit of an observation whose figures are those of its whole call, in which several things may be odd.
pub const WHOLE_CALL_BITS: &str = "bits of surprise of the whole call, weighted";

/// Name and version of the schema, in every alert.
pub const SCHEMA: &str = "tiltmeter.agent-alert.v1";

/// One unit of one agent's behaviour that is too improbable to be normal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// [`SCHEMA`].
    pub schema: String,
    /// SHA-256 of tenant, subject, family and the subject's own alert counter; 32 hexadecimal digits.
    pub alert_id: String,
    /// Opened, updated (it became at least ten times less probable, or moved to another session) or closed.
    pub state: AlertState,
    /// Event time of the call that decided it; of the closing for a closed alert.
    pub time: EventTime,
    /// When the alert was opened.
    pub opened: EventTime,
    /// Who it is about.
    pub subject: Subject,
    /// Tenant of the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Type of the agent.
    pub agent_type: String,
    /// Session in which it happened; none for behaviour of an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The level at which it holds the agent, before any cap; none for an alert about a type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// What kind of risk it is.
    pub risk_event_type: RiskEventType,
    /// Ids in the OWASP Top 10 for Agentic Applications 2026.
    pub owasp: Vec<String>,
    /// Technique ids in MITRE ATLAS 5.6.0.
    pub atlas: Vec<String>,
    /// The family that says most.
    pub family: Family,
    /// Share of normal units of this type that look at least as unusual. In (0, 1].
    pub p: f64,
    /// The alert opened because p fell to or below this.
    pub threshold: f64,
    /// Combined evidence of the unit. Bits.
    pub bits: f64,
    /// One sentence for a person.
    pub summary: String,
    /// Each detector's part in the combined evidence; they sum to one.
    pub shares: Vec<Share>,
    /// What was seen and what is usual, strongest first.
    pub findings: Vec<Observation>,
    /// What the alert would be worth with that replaced which changes most; judged, not estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterfactual: Option<Counterfactual>,
    /// How much is known about the agent and its type.
    pub maturity: Maturity,
    /// Under what it was judged.
    pub judged_under: JudgedUnder,
    /// The audit events that it rests on.
    pub evidence: Vec<Evidence>,
}

impl Alert {
    /// An alert of a family that says nothing yet.
    pub fn empty(family: Family) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            alert_id: String::new(),
            state: AlertState::Opened,
            time: EventTime::default(),
            opened: EventTime::default(),
            subject: Subject { kind: "agent".to_owned(), id: String::new() },
            tenant: None,
            agent_type: String::new(),
            session_id: None,
            level: None,
            risk_event_type: RiskEventType::RuleMatched,
            owasp: Vec::new(),
            atlas: Vec::new(),
            family,
            p: 1.0,
            threshold: 0.0,
            bits: 0.0,
            summary: String::new(),
            shares: Vec::new(),
            findings: Vec::new(),
            counterfactual: None,
            maturity: Maturity::default(),
            judged_under: JudgedUnder { baseline: 0, clock: EventTime::default(), config: String::new() },
            evidence: Vec::new(),
        }
    }
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// New.
    Opened,
    /// Worse than before.
    Updated,
    /// Quiet since.
    Closed,
}

/// Who an alert is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// `agent`, or `agent_type` where many agents of a type move together.
    pub kind: String,
    /// The agent's id, or the type.
    pub id: String,
}

/// One detector's part in the combined evidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The family in which it was counted.
    pub family: Family,
    /// The detector.
    pub detector: Detector,
    /// Its part, in [0, 1].
    pub share: f64,
}

/// What a detector saw, and what is usual.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The family.
    pub family: Family,
    /// The detector.
    pub detector: Detector,
    /// The kind of risk this alone would be.
    pub risk_event_type: RiskEventType,
    /// p of the family, in (0, 1].
    pub p: f64,
    /// What was seen, in `unit`.
    pub observed: f64,
    /// What is usual for the agent itself, in `unit`; none where it is measured by its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_agent: Option<f64>,
    /// What is usual for agents of this type, in `unit`; none while too few of them were counted.
    pub expected_type: Option<f64>,
    /// What is usual in the fleet, in `unit`; none where the fleet has no such figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_fleet: Option<f64>,
    /// Unit of the three figures.
    pub unit: String,
    /// The finding in words.
    pub sentence: String,
}

/// The same unit, judged again with one thing about it replaced: the one that changes most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counterfactual {
    /// What, and by what it was replaced.
    pub replaced: String,
    /// p with the replacement, in (0, 1].
    pub p: f64,
    /// Whether the unit would still have raised the alert.
    pub still_alerts: bool,
}

/// How much is known about the agent and its type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Maturity {
    /// `new` (fewer than 50 events), `young` (fewer than 1,000) or `mature`.
    pub agent: String,
    /// Events of the agent so far.
    pub agent_events: u64,
    /// Units (sessions and hours) learned of the type, faded.
    pub type_units: f64,
    /// Agents of the type.
    pub type_agents: f64,
    /// `shipped` (fewer than 200 units learned of the type) or `own`.
    pub calibration: String,
}

/// Under what an alert was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedUnder {
    /// Version of the baseline.
    pub baseline: u64,
    /// Clock of the stream when it was decided.
    pub clock: EventTime,
    /// Hash of the configuration.
    pub config: String,
}

/// One audit event that an alert rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Its id, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// Its time.
    pub time: EventTime,
    /// Its action.
    pub action: String,
    /// Its resource, where it has one; behind it, where many were new within the hour, some of those before it. Names that the
    /// agent chose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Its place from 1: within the hour for novelty, bursts and failure, and where there is no session; otherwise within
    /// the session.
    pub call: u32,
    /// Which input it came from, in the order named on the command line, from 0.
    pub source: u32,
    /// Its line there, from 1.
    pub line: u64,
    /// The family it is evidence of.
    pub family: Family,
}
