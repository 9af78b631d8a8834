//! Records and pins happen, in their order.
//!
//! Knows the order. Must not know what is saved.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::canary::is_canary;
use super::keys::risk_key;
use super::outgoing::{Outgoing, Topic};
use super::pin::Pin;
use super::position::Position;
use super::restore::counted;
use super::told::Told;
use super::{Common, Partition, partition_of};
use crate::alert::AlertState;
use crate::control::{Control, ControlRecord};
use crate::engine::member::Part;
use crate::engine::unit::Position as Place;
use crate::engine::{Output, SLICES};
use crate::event::AuditEvent;
use crate::time::EventTime;
use crate::wire::audit_event;
use crate::wire::control;
use crate::wire::dead_letter::{DeadLetter, Reason, Refusal};
use crate::wire::input::Line;
use crate::wire::progress;

/// An event may be this far ahead of the time at which it was recorded; beyond it, it is taken as of that time.
/// Milliseconds.
const AHEAD_MS: i64 = 5 * 60_000;
/// Parts are cut in pieces of at most so many bytes, so that a record stays below 1 MiB.
const PART_BYTES: usize = 900_000;
/// Fast, and half the size.
const ZSTD_LEVEL: i32 = 1;

/// A record of the audit topic.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'r> {
    /// Its offset.
    pub offset: i64,
    /// When it was written, by the broker's clock (or the producer's, if that is believed). Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<&'r [u8]>,
    /// Its value.
    pub value: Option<&'r [u8]>,
}

/// A partition cannot go on from where it stands.
#[derive(Debug, thiserror::Error)]
pub enum JudgingError {
    /// A pin names a version that is not there.
    #[error("version {0} of what is normal is not there yet")]
    NoVersion(u64),
    /// Judging ended in a panic. What the partition holds may be wrong: it has to be put back, and the record at
    /// `suspect` passed over if it is known.
    #[error("judging the records from offset {from} on ended in a panic; they are looked at one by one")]
    Panic {
        /// The first of the records that were judged.
        from: i64,
        /// The record, if it was judged alone.
        suspect: Option<i64>,
    },
}

impl Partition {
    /// Records happen, in their order; those that have happened already are passed over.
    ///
    /// # Errors
    ///
    /// When a pin cannot happen, or judging panics. What came before has happened.
    pub fn take(&mut self, records: &[Incoming<'_>], versions: &impl Common) -> Result<(), JudgingError> {
        let mut rest = records;
        while let Some(first) = rest.iter().position(|record| record.offset >= self.position.offset) {
            rest = rest.get(first..).unwrap_or_default();
            let Some(next) = rest.first().map(|record| record.offset) else { break };
            self.happen_until(next, versions)?;
            if self.position.offset > next {
                continue;
            }
            self.wake(next);
            let end = self.next_boundary(next);
            let run = rest.partition_point(|record| record.offset < end);
            let (now, later) = rest.split_at(run.max(1));
            self.judge(now)?;
            rest = later;
        }
        self.happen_until(self.position.offset, versions)
    }

    /// Something else happens now.
    ///
    /// # Errors
    ///
    /// When it cannot happen. Then nothing has.
    pub fn pin(&mut self, pin: Pin, versions: &impl Common) -> Result<(), JudgingError> {
        // Slices that were saved as of this very place sleep until something happens behind it: this does.
        self.wake(self.position.offset);
        // Where it stood before: records that a pin passes over must not be judged when it is repeated.
        let at = self.position;
        self.happen(&pin, versions)?;
        self.pins.push_back((at, pin));
        self.position.pins += 1;
        Ok(())
    }

    /// Tells of some agents that they cannot be seen any more, or can be again, where that is still to be told: of those of
    /// one slice after the other, until it was told of so many. Once that was written, others follow.
    ///
    /// # Errors
    ///
    /// When it cannot happen.
    pub fn tell_sight(&mut self, at_most: usize, versions: &impl Common) -> Result<(), JudgingError> {
        let mut slices = 0;
        let mut agents = 0;
        for slice in (0..SLICES).filter(|slice| self.untold >> slice & 1 == 1) {
            if agents > 0 && agents + self.engine.agents_in(slice) > at_most {
                break;
            }
            agents += self.engine.agents_in(slice);
            slices |= 1 << slice;
        }
        if slices == 0 { Ok(()) } else { self.pin(Pin::TellSight(slices), versions) }
    }

    /// Whether pins that were decided before wait to happen: no others may be decided until then.
    pub fn has_waiting_pins(&self) -> bool {
        self.pins.back().is_some_and(|(position, _)| position.pins >= self.position.pins)
    }

    /// The pins happen that stand where it stands, and where they lead.
    fn happen_here(&mut self, versions: &impl Common) -> Result<(), JudgingError> {
        let mut before = None;
        while before != Some(self.position) {
            before = Some(self.position);
            self.happen_until(self.position.offset, versions)?;
        }
        Ok(())
    }

    /// The pins happen that stand before the record at `offset`.
    pub(super) fn happen_until(&mut self, offset: i64, versions: &impl Common) -> Result<(), JudgingError> {
        loop {
            let first = self.pins.front().map_or(self.position.pins, |(position, _)| position.pins);
            let place = self.position.pins.saturating_sub(first) as usize;
            let Some((position, pin)) = self.pins.get(place).filter(|(at, _)| at.offset <= offset) else {
                return Ok(());
            };
            let (at, pin) = (position.offset, pin.clone());
            self.position.offset = self.position.offset.max(at);
            self.wake(at);
            self.happen(&pin, versions)?;
            self.position.pins += 1;
        }
    }

    fn happen(&mut self, pin: &Pin, versions: &impl Common) -> Result<(), JudgingError> {
        self.speak();
        let mut said = std::mem::take(&mut self.said);
        match pin {
            Pin::Version(number) => {
                let version =
                    versions.version(*number, self.next_control).ok_or(JudgingError::NoVersion(*number))?;
                self.engine.adopt(version);
            }
            Pin::Control { at, json } => {
                let next = self.next_control.max(at + 1);
                // Whoever read it from its topic has said so if it is of no use.
                if let Ok(record) = control::decode(json.as_bytes()) {
                    if matches!(record.kind, Control::Settings(_)) {
                        let number = self.version();
                        let version =
                            versions.version(number, next).ok_or(JudgingError::NoVersion(number))?;
                        self.engine.adopt(version);
                    }
                    match self.is_others(&record) {
                        true => self.engine.control_of_groups(&record),
                        false => self.engine.control(&record, &mut said),
                    }
                }
                self.next_control = next;
            }
            Pin::Clock(recorded) => self.engine.pass(*recorded, &mut said),
            Pin::Sight(blindness) => {
                let changes = self.engine.blindness().is_some() != blindness.is_some();
                self.engine.set_blindness(*blindness);
                if changes {
                    self.untold = u64::MAX;
                }
            }
            Pin::TellSight(slices) => {
                self.engine.tell_sight(*slices, &mut said);
                self.untold &= !slices;
            }
            Pin::Repeats(one_in) => self.shed(*one_in),
            Pin::Overtake(until) => self.overtake(*until),
            Pin::Skip(until) => self.position.offset = self.position.offset.max(*until),
        }
        self.tell(&mut said);
        self.said = said;
        Ok(())
    }

    /// Where something else than a record happens next: a pin, the end of what was told, a slice that wakes.
    fn next_boundary(&self, from: i64) -> i64 {
        let pins = self.pins.iter().filter(|(position, _)| position.pins >= self.position.pins);
        let slices = self.saved.iter().map(|saved| saved.as_of.offset);
        let others = slices.chain([self.muted_until.offset]).chain(pins.map(|(position, _)| position.offset));
        others.filter(|offset| *offset > from).min().unwrap_or(i64::MAX)
    }

    /// Wakes the slices that were saved no later than what happens next.
    fn wake(&mut self, offset: i64) {
        let next = Position { offset, pins: self.position.pins };
        for slice in 0..SLICES {
            let later = self.saved.get(slice).is_some_and(|saved| saved.as_of > next);
            self.engine.sleep(slice, later);
        }
    }

    fn judge(&mut self, records: &[Incoming<'_>]) -> Result<(), JudgingError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        self.position.offset = first.offset;
        self.speak();
        let muted = self.is_muted();
        // Events, and the time of the progress record behind them.
        let mut stretches: Vec<(Vec<_>, EventTime)> = Vec::new();
        let mut events = Vec::with_capacity(records.len());
        for record in records {
            match self.decode(record) {
                Ok((event, place, recorded)) if is_canary(&event) => {
                    if !muted {
                        self.sing(&event, place, recorded);
                    }
                }
                Ok((mut event, place, recorded)) => {
                    if !muted && self.is_misplaced(record) {
                        self.counts.misplaced += 1;
                    }
                    if self.admits(&mut event) {
                        events.push((event, place, recorded));
                    }
                }
                Err(refusal) => match record.value.and_then(progress::decode) {
                    Some(progress) => {
                        self.sources.hear(&progress, EventTime(record.timestamp_ms));
                        stretches.push((std::mem::take(&mut events), EventTime(record.timestamp_ms)));
                    }
                    None if !muted => self.refuse(record, &refusal),
                    None => {}
                },
            }
        }
        let mut said = std::mem::take(&mut self.said);
        let engine = AssertUnwindSafe((&mut self.engine, &mut said));
        let judged = catch_unwind(move || {
            // Moved as a whole: it is a part of it that may be left half done.
            let AssertUnwindSafe((engine, said)) = { engine };
            for (events, passed) in &stretches {
                engine.judge_records(events, said);
                engine.pass(*passed, said);
            }
            engine.judge_records(&events, said);
            stretches.iter().map(|(events, _)| events.len()).sum::<usize>() + events.len()
        });
        let Ok(judged) = judged else {
            let suspect = (records.len() == 1).then_some(first.offset);
            return Err(JudgingError::Panic { from: first.offset, suspect });
        };
        self.latest_record = Some(last.timestamp_ms).max(self.latest_record);
        self.last = Some((last.offset, last.timestamp_ms));
        self.position.offset = last.offset + 1;
        self.pace.events += judged as u64;
        if muted {
            said.clear();
            self.engine.take_parts();
        } else {
            self.counts.events += judged as u64;
            self.tell(&mut said);
        }
        self.said = said;
        Ok(())
    }

    fn decode<'r>(&self, record: &Incoming<'r>) -> Result<(AuditEvent<'r>, Place, EventTime), Refusal> {
        let value = record.value.ok_or_else(|| {
            Refusal::new(Reason::NotJson, "the record has no value; write one audit event in each record")
        })?;
        let mut event = audit_event::decode(value)?;
        let recorded = EventTime(record.timestamp_ms);
        if event.time > recorded.plus_ms(AHEAD_MS) {
            event.time = recorded;
        }
        let place = Place {
            source: u32::try_from(self.settings.number).unwrap_or_default(),
            line: u64::try_from(record.offset).unwrap_or_default(),
        };
        Ok((event, place, recorded))
    }

    /// Whether the key of a record leads to another partition.
    fn is_misplaced(&self, record: &Incoming<'_>) -> bool {
        let home = |key| i64::from(partition_of(key, self.settings.partitions as u32));
        self.settings.partitions > 1
            && record.key.is_none_or(|key| home(key) != i64::from(self.settings.number))
    }

    /// A record that cannot be used.
    fn refuse(&mut self, record: &Incoming<'_>, refusal: &Refusal) {
        self.counts.dead_letters += 1;
        if let Some(count) = self.counts.reasons.get_mut(refusal.reason as usize) {
            *count += 1;
        }
        let bytes = record.value.unwrap_or_default();
        let line = Line { bytes, source: 0, number: 1, offset: 0, length: bytes.len() as u64, sha256: None };
        let letter = DeadLetter::new(refusal, &self.settings.topic, &line);
        let Ok(value) = serde_json::to_vec(&letter) else { return };
        self.outgoing.push(Outgoing {
            headers: vec![
                ("topic", self.settings.topic.clone()),
                ("partition", self.settings.number.to_string()),
                ("offset", record.offset.to_string()),
                ("timestamp", record.timestamp_ms.to_string()),
                ("reason", refusal.reason.label().to_owned()),
                ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ],
            ..Outgoing::new(Topic::DeadLetters, record.key.unwrap_or_default(), value)
        });
    }

    /// Puts what was said and handed over among what is to be written; nothing of it while muted.
    fn tell(&mut self, said: &mut Vec<Output>) {
        let parts = self.engine.take_parts();
        if self.is_muted() {
            said.clear();
            return;
        }
        for output in said.drain(..) {
            if self.is_others_to_tell(&output) {
                continue;
            }
            self.heard.extend(Told::of(&output));
            let Ok(value) = serde_json::to_vec(&output) else { continue };
            let (topic, key) = match &output {
                Output::Alert(alert) => {
                    self.counts.opened += u64::from(alert.state == AlertState::Opened);
                    (Topic::Alerts, alert.subject.id.clone())
                }
                Output::Risk(risk) => {
                    self.counts.risk_updates += 1;
                    (Topic::Risk, risk_key(risk.tenant.as_deref(), &risk.agent_id))
                }
                Output::Digest(digest) => (Topic::Alerts, digest.agent_type.clone()),
                Output::Verdict(record) => (Topic::Journal, record.verdict.agent_id.clone()),
                Output::Eviction(eviction) => (Topic::Journal, eviction.agent_id.clone()),
                Output::HeldBack(held) => (Topic::Journal, held.agent_id.clone()),
                Output::Rebaselined(told) => (Topic::Journal, told.agent_id.clone()),
            };
            let partition = (topic == Topic::Journal).then_some(self.settings.number);
            self.outgoing.push(Outgoing { partition, ..Outgoing::new(topic, key, value) });
        }
        for part in parts {
            self.hand_over(&part);
        }
    }

    /// Whether a record is about one agent that is not watched here and whose key leads to another partition: kept here too,
    /// it would wait for ever, and take the room of others.
    fn is_others(&self, record: &ControlRecord) -> bool {
        let Some((agent_id, tenant)) = record.one_agent() else { return false };
        let home = partition_of(agent_id.as_bytes(), self.settings.partitions as u32);
        i64::from(home) != i64::from(self.settings.number)
            && !self.engine.watches(tenant.as_deref(), &agent_id)
    }

    /// A verdict reaches every partition: where no partition knows the agent, the one that its key leads to tells of it.
    fn is_others_to_tell(&self, output: &Output) -> bool {
        let Output::Verdict(record) = output else { return false };
        let home = || partition_of(record.verdict.agent_id.as_bytes(), self.settings.partitions as u32);
        !record.known && i64::from(home()) != i64::from(self.settings.number)
    }

    /// What was learned goes to whoever makes versions. Key: `PARTITION|BOUNDARY|PIECE|PIECES`.
    fn hand_over(&mut self, part: &Part) {
        let packed = part.save().ok().and_then(|bytes| zstd::encode_all(bytes.as_slice(), ZSTD_LEVEL).ok());
        let Some(packed) = packed else { return };
        let pieces = packed.chunks(PART_BYTES);
        let of = pieces.len();
        for (piece, number) in pieces.zip(0..) {
            let key = format!("{}|{}|{number}|{of}", self.settings.number, part.boundary.0);
            self.outgoing.push(Outgoing {
                partition: Some(0),
                ..Outgoing::new(Topic::BaselineParts, key, piece.to_vec())
            });
        }
    }

    /// Passes over a record that cannot be judged, for ever: it is a dead letter.
    ///
    /// # Errors
    ///
    /// When pins that stand before it cannot happen.
    pub fn pass_over(&mut self, record: &Incoming<'_>, versions: &impl Common) -> Result<(), JudgingError> {
        let refusal = Refusal::new(
            Reason::Panic,
            "judging it ended in a panic; please report it with the event, without what is confidential",
        );
        self.refuse(record, &refusal);
        self.pin(Pin::Skip(record.offset + 1), versions)
    }

    /// Passes over the records from where it stands up to an offset (excluded), which nobody can read: they are one dead
    /// letter. Returns what was passed over for the first time, as the first offset and the one behind the last.
    ///
    /// What is repeated was passed over before, and that was told; or it was judged, and cannot be judged again: then what
    /// is known of agents may differ from what was told, and they count on from beyond that.
    ///
    /// # Errors
    ///
    /// When pins that stand before them cannot happen.
    pub fn pass_over_unreadable(
        &mut self,
        until: i64,
        versions: &impl Common,
    ) -> Result<Vec<(i64, i64)>, JudgingError> {
        let mut passed = Vec::new();
        self.happen_here(versions)?;
        while self.is_muted() && self.position.offset < until {
            let from = self.position.offset;
            let next = self.next_boundary(from).min(until);
            passed.push((from, next));
            let beyond = counted(self.muted_until);
            (0..SLICES).for_each(|slice| self.engine.count_further(slice, beyond));
            self.position.offset = next;
            self.happen_here(versions)?;
        }
        let from = self.position.offset;
        if from >= until {
            return Ok(passed);
        }
        let record = Incoming {
            offset: from,
            timestamp_ms: self.latest_record.unwrap_or_default(),
            key: None,
            value: None,
        };
        let detail = format!(
            "the records from offset {from} to {until} (excluded) cannot be read: their batch is damaged, or cannot be unpacked; \
             find out who wrote it"
        );
        self.refuse(&record, &Refusal::new(Reason::Unreadable, detail));
        self.pin(Pin::Skip(until), versions)?;
        passed.push((from, until));
        Ok(passed)
    }

    /// From now on it is told what happens: the caps on storms are those of what was told.
    fn speak(&mut self) {
        if let Some(storm) = self.told.take_if(|_| self.position >= self.muted_until) {
            self.engine.set_storm(storm);
        }
    }
}

/// No version but the first: where versions are frozen.
impl Common for Arc<crate::engine::Version> {
    fn version(&self, number: u64, _: i64) -> Option<Arc<crate::engine::Version>> {
        (number == self.number()).then(|| Arc::clone(self))
    }

    fn control(&self, _: i64) -> Vec<Arc<str>> {
        Vec::new()
    }
}
