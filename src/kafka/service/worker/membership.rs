//! Partitions come and go: what the group decided is done, and what comes is put back.
//!
//! Knows who has which partition, and from where it is read. Must not know what is written.

use std::collections::BTreeMap;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::taking::Suspect;
use super::{Slot, Worker};
use crate::kafka::client::Severity;
use crate::kafka::failure::{Failure, Next};
use crate::kafka::service::assignment::Decided;
use crate::kafka::service::pulse::AlarmKind;
use crate::kafka::service::restoring;
use crate::kafka::settings::Topic;
use crate::partition::{JudgingError, Restored};

/// A client is asked to seek until it can, for at most this long.
const SEEK_WITHIN: Duration = Duration::from_secs(10);

impl Worker<'_> {
    /// What the group decided is done.
    pub(super) fn decide(&mut self, decided: Decided) -> Result<(), Failure> {
        match decided {
            Decided::Assigned(partitions) => {
                if !std::mem::replace(&mut self.joined, true) {
                    self.shared.join();
                }
                let mut paused = TopicPartitionList::new();
                for place in partitions.elements() {
                    // A number, although it is read from elsewhere: the end would be asked for, and an answer that comes after
                    // the seek moves the reader there all the same, past records that nobody has judged.
                    let _ = paused.add_partition_offset(place.topic(), place.partition(), Offset::Offset(0));
                }
                let failed = |error: KafkaError| Failure::new("take the partitions assigned", &error, None);
                self.consumer.incremental_assign(&paused).map_err(failed)?;
                self.consumer.pause(&paused).map_err(failed)?;
                for place in partitions.elements() {
                    let number = place.partition();
                    self.slots.insert(number, Slot::Restoring(restoring::begin(self.shared, number)));
                }
            }
            Decided::Revoked(partitions) => {
                if !self.consumer.assignment_lost() {
                    let numbers: Vec<i32> =
                        partitions.elements().iter().map(|place| place.partition()).collect();
                    self.give_up(Some(&numbers))?;
                }
                for place in partitions.elements() {
                    self.slots.remove(&place.partition());
                    self.suspects.remove(&place.partition());
                    self.shared.note(place.partition(), None);
                }
                let failed = |error: KafkaError| Failure::new("give up the partitions revoked", &error, None);
                self.consumer.incremental_unassign(&partitions).map_err(failed)?;
            }
            Decided::Failed(why) => {
                self.shared.say(
                    Severity::Warning,
                    &format!("the group could not be joined: {why}; it is tried again"),
                );
                self.slots.keys().for_each(|number| self.shared.note(*number, None));
                self.slots.clear();
                let _ = self.consumer.unassign();
            }
        }
        Ok(())
    }

    /// Partitions that were put back begin to work.
    pub(super) fn finish_restoring(&mut self) -> Result<(), Failure> {
        let mut arrived = Vec::new();
        for (number, slot) in &self.slots {
            if let Slot::Restoring(waits) = slot {
                match waits.try_recv() {
                    Ok(restored) => arrived.push((*number, restored)),
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Disconnected) => arrived.push((
                        *number,
                        Err(Failure::set_up(
                            "putting a partition back ended in a panic; please report what was printed"
                                .to_owned(),
                        )),
                    )),
                }
            }
        }
        for (number, restored) in arrived {
            match restored {
                Ok(Restored { partition, missing }) => {
                    for sentence in missing {
                        self.shared.alarm(AlarmKind::CoverageGap, Some(number), &sentence);
                    }
                    if let Err(failure) = self.read_from(number, partition.next_offset()) {
                        self.say_sometimes(Severity::Warning, &failure.to_string());
                        self.restore_anew(number);
                        continue;
                    }
                    self.tally.begin(&partition);
                    self.slots.insert(number, Slot::Running(Box::new(partition)));
                }
                Err(failure) if failure.next == Next::Mend => return Err(failure),
                Err(failure) => {
                    self.say_sometimes(Severity::Warning, &failure.to_string());
                    self.slots.insert(number, Slot::Restoring(restoring::begin(self.shared, number)));
                }
            }
        }
        Ok(())
    }

    /// Reads a partition from an offset on.
    pub(super) fn read_from(&mut self, number: i32, offset: i64) -> Result<(), Failure> {
        self.stood.remove(&number);
        let topic = self.shared.clients.settings().topics.of(Topic::Audit);
        let doing = format!("read {topic} [{number}] from {offset} on");
        let mut place = TopicPartitionList::new();
        let failed = |error: KafkaError| Failure::new(&doing, &error, None);
        place.add_partition_offset(topic, number, Offset::Offset(offset)).map_err(failed)?;
        // What is fetched for the first time cannot be moved yet.
        let until = Instant::now() + SEEK_WITHIN;
        while let Err(error) = self.consumer.seek(topic, number, Offset::Offset(offset), SEEK_WITHIN) {
            if Instant::now() > until {
                return Err(failed(error));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.consumer.resume(&place).map_err(failed)
    }

    /// A partition that cannot go on is put back.
    pub(super) fn mend(&mut self, number: i32, error: JudgingError) {
        let sentence = format!("partition {number}: {error}");
        match error {
            JudgingError::Panic { .. } => self.shared.alarm(AlarmKind::Panic, Some(number), &sentence),
            JudgingError::NoVersion(_) => self.shared.say(Severity::Warning, &sentence),
        }
        match error {
            JudgingError::Panic { suspect: Some(offset), .. } => {
                self.suspects.insert(number, Suspect::Record(offset));
            }
            JudgingError::Panic { from, .. } => {
                self.suspects.insert(number, Suspect::From(from));
            }
            JudgingError::NoVersion(_) => {}
        }
        self.restore_anew(number);
    }

    pub(super) fn restore_anew(&mut self, number: i32) {
        self.tally.forget(number);
        let topic = self.shared.clients.settings().topics.of(Topic::Audit);
        let mut place = TopicPartitionList::new();
        place.add_partition(topic, number);
        let _ = self.consumer.pause(&place);
        self.slots.insert(number, Slot::Restoring(restoring::begin(self.shared, number)));
    }

    /// Polls without taking records, so that the group knows of us; returns which partitions are still ours.
    ///
    /// One that was given up and came back is not among them: it is being put back from what was written so far, and what
    /// was not written is judged again.
    pub(super) fn keep_membership(&mut self) -> Result<Vec<i32>, Failure> {
        let topic = self.shared.clients.settings().topics.of(Topic::Audit).to_owned();
        if let Ok(assigned) = self.consumer.assignment() {
            let _ = self.consumer.pause(&assigned);
        }
        let mut passed: BTreeMap<i32, i64> = BTreeMap::new();
        while let Some(polled) = self.consumer.poll(Duration::from_millis(10)) {
            match polled {
                Ok(message) => {
                    passed.entry(message.partition()).or_insert(message.offset());
                }
                // For good: without a seat in the group there is nothing to keep.
                Err(error) => self.tell(&error)?,
            }
        }
        for decided in self.consumer.context().take() {
            match decided {
                // Nothing can be written for them now: what was not is judged again by whoever has them next.
                Decided::Revoked(partitions) => {
                    for place in partitions.elements() {
                        self.slots.remove(&place.partition());
                        self.shared.note(place.partition(), None);
                    }
                    let _ = self.consumer.incremental_unassign(&partitions);
                }
                other => self.decide(other)?,
            }
        }
        let mut running = TopicPartitionList::new();
        let mut ours = Vec::new();
        for (number, slot) in &self.slots {
            if let Slot::Running(partition) = slot {
                running.add_partition(&topic, *number);
                ours.push(*number);
                if passed.contains_key(number) {
                    self.stood.remove(number);
                    let next = Offset::Offset(partition.next_offset());
                    let _ = self.consumer.seek(&topic, *number, next, SEEK_WITHIN);
                }
            }
        }
        let _ = self.consumer.resume(&running);
        Ok(ours)
    }
}
