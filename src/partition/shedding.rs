//! Judging less where there is too much: which calls repeat others, and what is told of those that are not judged.
//!
//! Knows calls that differ in nothing that could be judged. Must not know when there is too much: that is decided outside,
//! and pinned.
//!
//! While it holds, of calls of one agent that differ in nothing but their time, their id and their place in the session,
//! the first is judged and then every [`ONE_IN`]th, which stands for those before it (`count`): rates, rules that count and
//! refusals see all of them. An agent that floods its partition with one call hides nothing else by that.
//!
//! What was seen of the calls belongs to the slices of their agents and is saved with them: whoever judges again leaves out
//! the same.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::Partition;
use super::outgoing::{Outgoing, Topic};
use crate::event::{Argument, AuditEvent};
use crate::identity::{Identity, Key};

/// Of calls that repeat each other, one in so many is judged while there is too much.
pub const ONE_IN: u32 = 10;
/// Different calls that a slice keeps in mind, at 16 bytes each; beyond, it begins anew. All slices of a partition together
/// at most 1 MiB, and what is saved of one fits into a record beside a piece of the slice.
const MOST: usize = 1024;
/// Name and version of the schema of what is told.
const GAP_SCHEMA: &str = "tiltmeter.coverage-gap.v1";

/// Since when less is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shedding {
    /// Of calls that repeat each other, one in so many is judged; at least 2.
    pub one_in: u32,
    /// The first record for which that holds.
    pub from: i64,
}

/// What the agents of one slice repeated since less is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Repeats {
    calls: BTreeMap<Key, Run>,
    /// Calls that were not judged.
    left_out: u64,
}

/// Calls that repeat each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    /// Calls since the one that was judged last.
    calls: u32,
    /// Events for which they stand.
    count: u64,
}

impl Repeats {
    /// Whether a call is judged; then it stands for those before it that were not.
    fn admit(&mut self, call: Key, event: &mut AuditEvent<'_>, one_in: u32) -> bool {
        let times = event.count.unwrap_or(1).max(1);
        if self.calls.len() >= MOST && !self.calls.contains_key(&call) {
            self.calls.clear();
        }
        let Some(run) = self.calls.get_mut(&call) else {
            self.calls.insert(call, Run::default());
            return true;
        };
        if run.calls + 1 < one_in {
            run.calls += 1;
            run.count = run.count.saturating_add(times);
            self.left_out += 1;
            return false;
        }
        event.count = Some(times.saturating_add(run.count));
        *run = Run::default();
        true
    }
}

/// The key of all that could be judged of a call.
fn key_of(event: &AuditEvent<'_>, identity: &Identity) -> Key {
    let AuditEvent {
        tenant,
        agent_id,
        agent_type,
        agent_version,
        instance_id,
        session_id,
        action,
        resource,
        outcome,
        bytes,
        source_ip,
        location,
        user_agent,
        credential_id,
        credential_type,
        credential_issued_at,
        on_behalf_of,
        delegated_by,
        decision,
        decision_key,
        attestation,
        arguments,
        // Which of them it was.
        time: _,
        event_id: _,
        seq: _,
        count: _,
    } = event;
    let mut hasher = identity.hasher();
    (tenant, agent_id, agent_type, agent_version, instance_id, session_id).hash(&mut hasher);
    (action, resource, outcome, bytes, source_ip, location, user_agent).hash(&mut hasher);
    (credential_id, credential_type, credential_issued_at.map(|time| time.0)).hash(&mut hasher);
    (on_behalf_of, delegated_by, decision, decision_key, attestation).hash(&mut hasher);
    for argument in arguments {
        // The event that a value came from serves explanations alone.
        let Argument { name, class, hash, length, origin, origin_form, anchored, origin_event: _ } = argument;
        (name, class, hash, length, origin, origin_form, anchored).hash(&mut hasher);
    }
    hasher.finish()
}

impl Partition {
    /// Since when less is judged; none where everything is.
    pub fn shedding(&self) -> Option<Shedding> {
        self.shedding
    }

    /// Calls that were not judged since less is judged.
    pub fn left_out(&self) -> u64 {
        self.repeats.iter().map(|repeats| repeats.left_out).sum()
    }

    /// Whether an event is judged now.
    pub(super) fn admits(&mut self, event: &mut AuditEvent<'_>) -> bool {
        let Some(Shedding { one_in, .. }) = self.shedding else { return true };
        let slice = self.engine.slice_of(event);
        if self.is_asleep(slice) {
            // It has happened to the slice already.
            return false;
        }
        let call = key_of(event, &self.settings.engine.identity);
        let admitted = self.repeats.get_mut(slice).is_none_or(|repeats| repeats.admit(call, event, one_in));
        if !admitted && !self.is_muted() {
            self.counts.left_out += 1;
        }
        admitted
    }

    /// From here on one in so many is judged, or all again; what was not is told.
    pub(super) fn shed(&mut self, one_in: u32) {
        let from = self.position.offset;
        if let Some(shedding) = self.shedding.take() {
            self.tell_gap("repeats", shedding.from, from, self.left_out());
        }
        self.shedding = (one_in > 1).then_some(Shedding { one_in, from });
        let next = self.position;
        let awake = self.repeats.iter_mut().zip(&self.saved).filter(|(_, saved)| saved.as_of <= next);
        awake.for_each(|(repeats, _)| *repeats = Repeats::default());
    }

    /// Everything up to an offset (excluded) is left out, and told of.
    pub(super) fn overtake(&mut self, until: i64) {
        let from = self.position.offset;
        let records = u64::try_from(until.saturating_sub(from)).unwrap_or_default();
        if records == 0 {
            return;
        }
        self.tell_gap("skip", from, until, records);
        if !self.is_muted() {
            self.counts.overtaken += records;
        }
        self.position.offset = until;
    }

    /// Whether what happens next has happened to a slice already.
    fn is_asleep(&self, slice: usize) -> bool {
        self.saved.get(slice).is_some_and(|saved| saved.as_of > self.position)
    }

    /// Tells of records that were not judged; key: `~gap|PARTITION`.
    fn tell_gap(&mut self, how: &'static str, from: i64, until: i64, records: u64) {
        #[derive(Serialize)]
        struct Gap {
            schema: &'static str,
            partition: i32,
            how: &'static str,
            from: i64,
            until: i64,
            records: u64,
        }
        if self.is_muted() {
            return;
        }
        let partition = self.settings.number;
        let gap = Gap { schema: GAP_SCHEMA, partition, how, from, until, records };
        let Ok(value) = serde_json::to_vec(&gap) else { return };
        self.outgoing.push(Outgoing {
            partition: Some(partition),
            ..Outgoing::new(Topic::Journal, format!("~gap|{partition}"), value)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> AuditEvent<'_> {
        serde_json::from_str(text).unwrap()
    }

    const CALL: &str = r#"{"time":"2026-01-22T12:00:00Z","event_id":"1","seq":3,"tenant":"t","agent_id":"a","agent_type":"k","session_id":"s","action":"send","resource":"mail","outcome":"ok","bytes":7,"source_ip":"10.0.0.1","on_behalf_of":"ann","arguments":[{"name":"to","class":"email","hash":"0123456789ab","length":9,"origin":"user","origin_event":"0"}]}"#;

    #[test]
    fn a_call_is_a_repeat_only_if_nothing_differs_that_could_be_judged() {
        let identity = Identity::new([7; 16]);
        let key = |text: &str| key_of(&event(text), &identity);
        let same = [
            ("12:00:00Z", "12:00:01Z"),
            (r#""event_id":"1""#, r#""event_id":"2""#),
            (r#""seq":3"#, r#""seq":4"#),
            (r#""seq":3"#, r#""seq":3,"count":5"#),
            (r#""origin_event":"0""#, r#""origin_event":"1""#),
        ];
        for (from, to) in same {
            assert_eq!(key(CALL), key(&CALL.replace(from, to)), "{to}");
        }
        let other = [
            (r#""tenant":"t""#, r#""tenant":"u""#),
            (r#""agent_id":"a""#, r#""agent_id":"b""#),
            (r#""session_id":"s""#, r#""session_id":"r""#),
            (r#""action":"send""#, r#""action":"read""#),
            (r#""resource":"mail","#, ""),
            (r#""outcome":"ok""#, r#""outcome":"denied""#),
            (r#""bytes":7"#, r#""bytes":700000"#),
            ("0123456789ab", "0123456789ac"),
            (r#""origin":"user""#, r#""origin":"tool""#),
            (r#""on_behalf_of":"ann""#, r#""on_behalf_of":"bob""#),
        ];
        for (from, to) in other {
            assert!(CALL.contains(from), "{from}");
            assert_ne!(key(CALL), key(&CALL.replace(from, to)), "{to}");
        }
    }

    #[test]
    fn what_is_judged_stands_for_what_is_not() {
        let mut repeats = Repeats::default();
        let mut judged = Vec::new();
        for number in 0..35u64 {
            let mut event = event(CALL);
            event.count = (number == 4).then_some(100);
            if repeats.admit(1, &mut event, 10) {
                judged.push((number, event.count.unwrap_or(1)));
            }
        }
        assert_eq!(judged, [(0, 1), (10, 10 + 99), (20, 10), (30, 10)]);
        assert_eq!(repeats.left_out, 31);
        assert!(repeats.admit(2, &mut event(CALL), 10), "another call is judged at once");
    }

    #[test]
    fn what_is_kept_in_mind_is_bounded() {
        let mut repeats = Repeats::default();
        for call in 0..10 * MOST as u64 {
            repeats.admit(call, &mut event(CALL), 10);
        }
        assert!(repeats.calls.len() <= MOST);
        assert!(postcard::to_allocvec(&repeats).unwrap().len() < 40_000);
    }
}
