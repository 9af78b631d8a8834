//! A labelled synthetic fleet of AI agents: what they do, when, with values from where, and who is attacked.
//!
//! Knows the audit event and event time, nothing else of this crate: a simulator that shared its model
//! with the detectors would prove nothing. Agents differ, work in bursts and sessions, drift, are born and
//! get new releases; no distribution here was chosen to suit a detector.
//!
//! ```
//! use tiltmeter::simulate::{Scenario, Simulation};
//!
//! let scenario = Scenario { agents: 5, days: 1.0, ..Scenario::default() };
//! let first = Simulation::new(&scenario)?.next().map(|simulated| simulated.event.time);
//! assert!(first >= Some(scenario.start));
//! # Ok::<(), tiltmeter::simulate::ScenarioError>(())
//! ```

mod agent;
mod arrivals;
mod attack;
mod fleet;
mod grammar;
mod kind;
mod memory;
mod plan;
mod presets;
mod scenario;
mod session;
mod stream;

use serde::{Serialize, Serializer};

pub use fleet::Simulation;
pub use scenario::{
    Attack, Fault, MAX_AGENTS, MAX_DAYS, MAX_PACE_SPREAD, MAX_SESSIONS_PER_DAY, Preset, RateLaw, Scenario,
    ScenarioError, UnknownName,
};

use crate::event::AuditEvent;
use crate::time::EventTime;

/// An audit event together with what only the simulation knows.
///
/// Serialises as one flat object: the event's fields, then `label`, `exposed`, `task`, `injection`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimulatedEvent {
    /// The event, as a sensor would report it.
    #[serde(flatten)]
    pub event: AuditEvent<'static>,
    /// The truth about it.
    #[serde(flatten)]
    pub truth: Truth,
}

/// The truth about an event; for evaluation alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// Whether the event's *session* is attacked.
    pub label: Label,
    /// Whether the attack had begun (the injection had been read) before this call. Never on normal sessions.
    pub exposed: bool,
    /// What the user had asked for; `look-alike/…` for legitimate sessions that look like trouble.
    pub task: &'static str,
    /// The attack, for attacked sessions.
    pub injection: Option<Attack>,
}

/// Whether a session is attacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Legitimate work.
    Normal,
    /// Attacked.
    Attack,
}

/// The truth about one attack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttackSpan {
    /// The attacked agent.
    pub agent_id: String,
    /// The attacked session; `None` where the agent's events carry no session ids.
    pub session_id: Option<String>,
    /// What was done.
    pub scenario: Attack,
    /// Time of the session's first call.
    pub started: EventTime,
    /// Time of the session's last call.
    pub ended: EventTime,
    /// Calls of the session, those before the exposure included.
    pub calls: u64,
    /// Number, from 0, of the first call after the exposure; `None` when the session ended before one.
    pub first_exposed_call: Option<u64>,
    /// Time of that call.
    pub exposed_at: Option<EventTime>,
}

impl Serialize for Attack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
