//! A hand-written stream of audit events: sessions, and the calls in them.
//!
//! Knows the fields that the scenarios use. Must not know what is unusual about them: nothing here is random,
//! every choice is the scenario's own.

use serde_json::{Map, Value, json};
use tiltmeter::event::AuditEvent;
use tiltmeter::time::{DAY_MS, EventTime};

/// The first midnight of every scenario: 2026-01-05, a Monday.
const MONDAY_MS: i64 = 1_767_571_200_000;
/// The day of the case, after three days of ordinary work: Thursday.
pub const CASE_DAY: usize = 3;
/// Between two calls of a session.
const BETWEEN_CALLS_MS: i64 = 20_000;

/// Events in the making.
#[derive(Debug, Default)]
pub struct Stream {
    events: Vec<AuditEvent<'static>>,
    sessions: usize,
}

/// One session of one agent in the making.
#[derive(Debug)]
pub struct Session<'s> {
    stream: &'s mut Stream,
    agent: String,
    agent_type: &'static str,
    id: String,
    now: EventTime,
}

impl Stream {
    /// Begins a session of an agent on a day (0 = Monday) at a minute of it.
    pub fn session(
        &mut self,
        agent_type: &'static str,
        agent: usize,
        day: usize,
        minute: usize,
    ) -> Session<'_> {
        self.sessions += 1;
        let now = EventTime(MONDAY_MS + day as i64 * DAY_MS + minute as i64 * 60_000);
        let id = format!("s{}", self.sessions);
        Session { stream: self, agent: format!("{agent_type}-{agent}"), agent_type, id, now }
    }

    /// The events as a sensor would have sent them: in the order in which they happened, one a line.
    pub fn lines(&self) -> String {
        let mut events: Vec<_> = self.events.iter().collect();
        events.sort_by_key(|event| event.time);
        events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
    }
}

impl Session<'_> {
    /// An event id that no other call has; for calls whose results are spoken of later.
    pub fn fresh_id(&self) -> String {
        format!("e{}", self.stream.events.len() + 1)
    }

    /// One call, with the fields given beside those that every call has.
    pub fn call(&mut self, action: &str, fields: Value) {
        let mut event = json!({
            "time": self.now, "agent_id": self.agent, "agent_type": self.agent_type, "session_id": self.id,
            "action": action,
        });
        let Value::Object(given) = fields else { panic!("fields of {action} are no object") };
        event.as_object_mut().unwrap().extend::<Map<_, _>>(given);
        let line = serde_json::to_string(&event).unwrap();
        // Read back as everyone else will read it, so that a misspelt field cannot go unnoticed.
        let event: AuditEvent<'_> = serde_json::from_str(Box::leak(line.into_boxed_str())).unwrap();
        self.stream.events.push(event);
        self.now = self.now.plus_ms(BETWEEN_CALLS_MS);
    }
}

/// A stand-in for the keyed hash of a value: 12 hexadecimal digits.
pub fn hash(value: usize) -> String {
    // Spread over all 48 bits, as a real hash is: an odd factor loses nothing.
    format!("{:012x}", (value as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16)
}
