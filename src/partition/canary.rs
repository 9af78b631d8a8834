//! A made-up event whose alert must come back: it shows that what is written is read, decoded, judged and told.
//!
//! Knows what the event looks like and how it is judged: by an engine of its own, which knows one rule that always holds and
//! forgets everything at once. Must not touch what is known of real agents: neither baselines nor budgets nor risks learn of
//! it, and its alert goes to the topic of status.

use super::Partition;
use super::outgoing::{Outgoing, Topic};
use crate::detect::rules::{Rule, RuleKind, Rules};
use crate::engine::unit::Position as Place;
use crate::engine::{Engine, Output, Settings};
use crate::event::AuditEvent;
use crate::risk::Level;
use crate::time::EventTime;

/// Id and type of the agent that does not exist.
pub const CANARY: &str = "~canary";
/// What it does.
const ACTION: &str = "sing";
/// Whoever writes more of them is told of one in so long. Milliseconds.
const AT_MOST_EVERY_MS: i64 = 60_000;

/// The event, as a record of the audit topic.
pub fn canary(now: EventTime) -> String {
    format!(r#"{{"time":"{now}","agent_id":"{CANARY}","agent_type":"{CANARY}","action":"{ACTION}"}}"#)
}

/// The key of its alert in the topic of status.
pub fn canary_key(partition: i32) -> String {
    format!("{CANARY}|{partition}")
}

/// Whether an event is made up: only the very one that [`canary`] makes, so that nobody escapes by calling himself so.
pub(super) fn is_canary(event: &AuditEvent<'_>) -> bool {
    let is_ours = &*event.agent_id == CANARY && event.agent_type() == CANARY && &*event.action == ACTION;
    is_ours
        && event.tenant.is_none()
        && event.resource.is_none()
        && event.session_id.is_none()
        && event.arguments.is_empty()
        && event.count.is_none()
}

impl Partition {
    /// Judges a made-up event and tells of it, unless that was done a moment ago.
    pub(super) fn sing(&mut self, event: &AuditEvent<'_>, place: Place, recorded: EventTime) {
        if self.sang.is_some_and(|sang| (recorded.0 - sang.0).abs() < AT_MOST_EVERY_MS) {
            return;
        }
        self.sang = Some(recorded);
        let rule = Rule {
            name: CANARY.into(),
            level: Level::High,
            kind: RuleKind::When,
            conditions: Vec::new(),
            threshold: None,
        };
        let settings = &self.settings.engine;
        let rules = Rules::compile(vec![rule], settings.identity.clone());
        let mut engine = Engine::new(Settings { rules, max_agents: 1, ..settings.clone() });
        let mut said = Vec::new();
        engine.judge(event, place, &mut said);
        let alert = said.into_iter().find(|output| matches!(output, Output::Alert(_)));
        let Some(value) = alert.and_then(|alert| serde_json::to_vec(&alert).ok()) else { return };
        self.outgoing.push(Outgoing::new(Topic::Status, canary_key(self.settings.number), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_one(text: &str) -> bool {
        is_canary(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn nobody_escapes_by_calling_himself_a_canary() {
        let ours = canary(EventTime(1_000_000_000_000));
        assert!(is_one(&ours));
        let more = [
            r#""resource":"secrets/1""#,
            r#""tenant":"t""#,
            r#""session_id":"s""#,
            r#""arguments":[{"name":"to","class":"email"}]"#,
        ];
        for field in more {
            assert!(!is_one(&ours.replace('}', &format!(",{field}}}"))), "{field}");
        }
        assert!(!is_one(&ours.replace("sing", "delete_all")));
    }
}
