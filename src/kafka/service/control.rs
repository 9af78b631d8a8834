//! What people decide: the control topic, in its order.
//!
//! Knows the records since this instance began. Must not know what they do.
//!
//! A verdict counts from no later than when its record was written. One that names a time to come would hold an agent at its
//! level, or keep it safe, for as long as that is ahead: whoever gives it then gets what a verdict of that moment does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::pulse::AlarmKind;
use super::read::{Read, Reader, read_all};
use super::{Shared, pinned};
use crate::control::Control;
use crate::kafka::client::Severity;
use crate::kafka::failure::Failure;
use crate::kafka::settings::Topic;
use crate::time::EventTime;
use crate::wire::control;

/// Between two looks whether the service ends.
const WAIT: Duration = Duration::from_millis(200);

/// A verdict may be so far ahead of when its record was written: clocks differ. Milliseconds; as over HTTP.
const AHEAD_MS: i64 = 5 * 60_000;
/// The longest control record that is looked at. Bytes.
const LARGEST_BYTES: usize = 256 << 10;

/// All control records, by their offset.
#[derive(Default)]
pub(super) struct ControlTail {
    records: Mutex<BTreeMap<i64, Arc<str>>>,
}

impl ControlTail {
    /// The first record at or after an offset, with its own offset.
    pub fn from(&self, offset: i64) -> Option<(i64, Arc<str>)> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.range(offset..).next().map(|(offset, json)| (*offset, Arc::clone(json)))
    }

    /// All records before an offset, in their order.
    pub fn until(&self, offset: i64) -> Vec<Arc<str>> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.range(..offset).map(|(_, json)| Arc::clone(json)).collect()
    }

    /// The latest record that has a text in it.
    pub fn find(&self, text: &str) -> Option<(i64, Arc<str>)> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let found = records.iter().rev().find(|(_, json)| json.contains(text));
        found.map(|(offset, json)| (*offset, Arc::clone(json)))
    }

    /// Adds a record; says what of it is not taken as it stands.
    fn add(&self, record: &Read<'_>) -> Option<String> {
        let json = std::str::from_utf8(record.value?).ok()?;
        // It is written down again wherever it is pinned, and has to fit there; nothing of use is so long.
        let json = if json.len() > LARGEST_BYTES { "" } else { json };
        let unread = control::decode(json.as_bytes()).err();
        let dated = dated(json, EventTime(record.timestamp_ms));
        let kept: Arc<str> = dated.as_deref().unwrap_or(json).into();
        self.records.lock().unwrap_or_else(PoisonError::into_inner).insert(record.offset, kept);
        if let Some(refusal) = unread {
            return Some(format!(
                "the control record at offset {} of the control topic has no effect: {refusal}",
                record.offset
            ));
        }
        dated.map(|_| {
            format!(
                "the verdict at offset {} of the control topic names a time to come: it counts from when it was written, {}",
                record.offset,
                EventTime(record.timestamp_ms),
            )
        })
    }
}

/// A verdict of a time to come as one of when it was written; none for everything else.
fn dated(json: &str, written: EventTime) -> Option<String> {
    let mut record = control::decode(json.as_bytes()).ok()?;
    let Control::Verdict(verdict) = &mut record.kind else { return None };
    // A topic from before records had times says none.
    if written.0 <= 0 || record.time <= written.plus_ms(AHEAD_MS) {
        return None;
    }
    (record.time, verdict.time) = (written, written);
    control::encode(&record).ok()
}

fn add(shared: &Shared, record: &Read<'_>) {
    pinned::heed(shared, record.offset, record.value.unwrap_or_default());
    if let Some(line) = shared.control.add(record) {
        shared.say(Severity::Warning, &line);
    }
}

/// Reads the control topic on.
pub(super) struct Tail(Reader);

/// Reads the control topic to its end.
pub(super) fn tail(shared: &Shared) -> Result<Tail, Failure> {
    let topic = shared.clients.settings().topics.of(Topic::Control);
    let reader = read_all(&shared.clients, topic, 0, || shared.stops(), |record| add(shared, &record))?;
    tell_lost(shared, &reader);
    Ok(Tail(reader))
}

/// Says what nobody can read. Judging goes on by what is left: it is worse to see nothing at all than to have forgotten a
/// registration, a suppression or a grant, which a person can give again.
fn tell_lost(shared: &Shared, reader: &Reader) {
    for lost in reader.lost() {
        shared.lose();
        let sentence = format!(
            "{lost}; what people decided there is forgotten but where partitions have taken it: look at `tiltmeter status \
             --audit` and decide it again"
        );
        shared.alarm(AlarmKind::CoverageGap, None, &sentence);
    }
}

impl Tail {
    pub fn run(&self, shared: &Shared) -> Result<(), Failure> {
        while !shared.stops() {
            let before = shared.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.read(shared)?;
            pinned::came(shared, &before)?;
        }
        Ok(())
    }

    /// Reads on for a moment.
    pub fn read(&self, shared: &Shared) -> Result<(), Failure> {
        let read = self.0.read(WAIT, |record| add(shared, &record)).map(drop);
        tell_lost(shared, &self.0);
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERDICT: &str = r#"{"time":"2099-01-01T00:00:00Z","id":"x","by":"ann","kind":"verdict","agent_id":"a","verdict":"confirm_safe"}"#;

    /// How a record that was written at a time is taken, and what is said.
    fn taken(json: &str, written: &str) -> (String, Option<String>) {
        let tail = ControlTail::default();
        let timestamp_ms = EventTime::parse(written).unwrap().0;
        let said = tail.add(&Read { offset: 7, timestamp_ms, key: b"k", value: Some(json.as_bytes()) });
        assert!(tail.find("\"id\":\"x\"").is_some(), "it is found by its id");
        (tail.from(7).unwrap().1.to_string(), said)
    }

    #[test]
    fn a_record_that_has_no_effect_is_said() {
        let (_, said) = taken(&VERDICT.replace("\"agent_id\"", "\"agentid\""), "2026-01-05T09:00:00Z");
        let said = said.unwrap();
        assert!(said.contains("offset 7") && said.contains("did you mean `agent_id`?"), "{said}");
    }

    #[test]
    fn a_verdict_of_a_time_to_come_counts_from_when_it_was_written() {
        let (json, said) = taken(VERDICT, "2026-01-05T09:00:00Z");
        let record = control::decode(json.as_bytes()).unwrap();
        let Control::Verdict(verdict) = &record.kind else { panic!("{json}") };
        let written: EventTime = EventTime::parse("2026-01-05T09:00:00Z").unwrap();
        assert_eq!((record.time, verdict.time, record.by.as_str()), (written, written, "ann"));
        assert!(said.unwrap().contains("offset 7"));
    }

    #[test]
    fn a_verdict_of_now_or_of_the_past_and_everything_that_may_be_planned_stay_as_they_are() {
        for written in ["2098-12-31T23:56:00Z", "2099-01-01T00:00:00Z", "2099-06-01T00:00:00Z"] {
            assert_eq!(taken(VERDICT, written), (VERDICT.to_owned(), None), "{written}");
        }
        let planned = r#"{"time":"2099-01-01T00:00:00Z","id":"x","by":"ann","kind":"declared_change","agent_id":"a","to_version":"2","from":"2099-01-01T00:00:00Z","until":"2099-01-02T00:00:00Z"}"#;
        control::decode(planned.as_bytes()).unwrap();
        assert_eq!(taken(planned, "2026-01-05T09:00:00Z"), (planned.to_owned(), None));
    }
}
