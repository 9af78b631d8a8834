//! One consumer of the group: takes records, has them judged, and writes what follows.
//!
//! Knows partitions from being assigned until being revoked. Must not judge.

mod taking;
mod tally;
mod unreadable;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use self::taking::{Suspect, incoming, pin, take};
use self::tally::Tally;
use self::unreadable::is_unreadable;
use super::assignment::{Decided, Membership};
use super::pulse::AlarmKind;
use super::restoring::{self, committed_of};
use super::writer::{Together, Writer, now_ms};
use super::{PartitionStatus, Shared};
use crate::kafka::client::{self, Begin, Hears, Severity};
use crate::kafka::failure::{Failure, Next};
use crate::kafka::settings::Topic;
use crate::partition::{Commit, Incoming, JudgingError, Pace, Partition, Position, Restored};

/// How long a poll waits for the first record.
const POLL: Duration = Duration::from_millis(50);
/// Records that are taken at once, and their bytes.
const BATCH: usize = 4096;
const BATCH_BYTES: usize = 8 << 20;
/// Without outputs, offsets are committed this often, and after so many records.
const COMMIT_EVERY: Duration = Duration::from_millis(250);
const COMMIT_AFTER: usize = 20_000;
/// A slice is saved after so many events of a partition; or so that all of them are within the longest replay.
const SLICE_AFTER: u64 = 1 << 14;
const SLICES: i64 = crate::engine::SLICES as i64;
/// A client is asked to seek until it can, for at most this long.
const SEEK_WITHIN: Duration = Duration::from_secs(10);
/// Between two tries to write, at first and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A sentence about what does not work is said this often.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// A partition that is ours.
enum Slot {
    /// It is being put back.
    Restoring(Receiver<Result<Restored, Failure>>),
    /// It is at work.
    Running(Box<Partition>),
}

struct Worker<'s> {
    shared: &'s Arc<Shared>,
    thread: u32,
    consumer: BaseConsumer<Membership>,
    writer: Writer,
    slots: BTreeMap<i32, Slot>,
    /// Records whose judging ended in a panic.
    suspects: BTreeMap<i32, Suspect>,
    since_commit: usize,
    last_commit: Instant,
    said: Option<Instant>,
    pace: Pace,
    joined: bool,
    tally: Tally,
}

/// Works until the service ends.
///
/// # Errors
///
/// When this instance was fenced by another of its name, or a person must mend something.
pub(super) fn run(shared: &Arc<Shared>, thread: u32) -> Result<(), Failure> {
    let writer = match settled(shared, thread) {
        Err(_) if shared.stops() => return Ok(()),
        settled => settled?,
    };
    let config = shared.clients.consumer(thread, Begin::Earliest)?;
    let consumer = client::consumer(&config, Membership::new(shared.clients.context()))
        .map_err(|error| Failure::new("make a consumer", &error, None))?;
    let settings = shared.clients.settings();
    let topic = settings.topics.of(Topic::Audit);
    consumer
        .subscribe(&[topic])
        .map_err(|error| Failure::new(&format!("subscribe to {topic}"), &error, None))?;
    let every_ms = i64::from(settings.max_replay_secs) * 1000 / SLICES;
    let mut worker = Worker {
        shared,
        thread,
        consumer,
        writer,
        slots: BTreeMap::new(),
        suspects: BTreeMap::new(),
        since_commit: 0,
        last_commit: Instant::now(),
        said: None,
        pace: Pace { events: SLICE_AFTER, every_ms },
        joined: false,
        tally: Tally::new(&shared.metrics, &shared.names),
    };
    while !shared.stops() {
        worker.turn()?;
    }
    worker.give_up(None)
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        // However it ends: a consumer that is dropped waits until everything is given up.
        self.consumer.context().close();
    }
}

/// A writer whose transactions are settled; trouble is waited for.
fn settled(shared: &Shared, thread: u32) -> Result<Writer, Failure> {
    let mut wait = BACK_OFF.0;
    loop {
        match shared
            .clients
            .producer(thread)
            .and_then(|config| Writer::new(&shared.clients, &config, || shared.stops()))
        {
            Ok(writer) => return Ok(writer),
            Err(failure) if failure.next == Next::Mend || shared.stops() => return Err(failure),
            Err(failure) => shared.say(Severity::Warning, &failure.to_string()),
        }
        std::thread::sleep(wait);
        wait = (wait * 2).min(BACK_OFF.1);
    }
}

impl Worker<'_> {
    /// Takes what there is, has it judged, writes what follows.
    fn turn(&mut self) -> Result<(), Failure> {
        // The consumer is borrowed by its messages, the partitions are changed.
        let mut taken: BTreeMap<i32, Vec<BorrowedMessage<'_>>> = BTreeMap::new();
        let (mut count, mut bytes) = (0, 0);
        let mut trouble = None;
        let mut wait = if self.slots.values().any(Slot::is_restoring) { POLL / 5 } else { POLL };
        while count < BATCH && bytes < BATCH_BYTES {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    count += 1;
                    bytes += message.payload_len();
                    taken.entry(message.partition()).or_default().push(message);
                }
                Some(Err(error)) => {
                    trouble = Some(error);
                    break;
                }
            }
            wait = Duration::ZERO;
        }
        let mut broken = Vec::new();
        for (number, messages) in &taken {
            let Some(Slot::Running(partition)) = self.slots.get_mut(number) else { continue };
            let records: Vec<Incoming<'_>> = messages.iter().map(incoming).collect();
            let suspect = self.suspects.get(number).copied();
            let repeats = partition.is_muted();
            match take(partition, &records, suspect, self.shared) {
                Ok(done) => {
                    if repeats {
                        self.tally.repeated(partition);
                    } else {
                        self.tally.judged(*number, &records);
                    }
                    if done {
                        self.suspects.remove(number);
                    }
                }
                Err(error) => broken.push((*number, error)),
            }
        }
        drop(taken);
        for (number, error) in broken {
            self.mend(number, error);
        }
        self.since_commit += count;
        self.writer.hear();
        for decided in self.consumer.context().take() {
            self.decide(decided)?;
        }
        self.finish_restoring()?;
        self.pin_what_is_new();
        self.commit_if_due()?;
        self.note();
        let Some(error) = trouble else { return Ok(()) };
        if is_unreadable(&error) {
            self.pass_over_unreadable()?;
        }
        self.tell(&error)
    }

    /// What the group decided is done.
    fn decide(&mut self, decided: Decided) -> Result<(), Failure> {
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
    fn finish_restoring(&mut self) -> Result<(), Failure> {
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
    fn read_from(&self, number: i32, offset: i64) -> Result<(), Failure> {
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
    fn mend(&mut self, number: i32, error: JudgingError) {
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

    fn restore_anew(&mut self, number: i32) {
        self.tally.forget(number);
        let topic = self.shared.clients.settings().topics.of(Topic::Audit);
        let mut place = TopicPartitionList::new();
        place.add_partition(topic, number);
        let _ = self.consumer.pause(&place);
        self.slots.insert(number, Slot::Restoring(restoring::begin(self.shared, number)));
    }

    /// New versions, control records and the time on idle partitions.
    fn pin_what_is_new(&mut self) {
        let newest = self.shared.versions.newest().number();
        let mut broken = Vec::new();
        for (number, slot) in &mut self.slots {
            let Slot::Running(partition) = slot else { continue };
            if partition.is_muted() || partition.has_waiting_pins() {
                continue;
            }
            if let Err(error) = pin(partition, newest, self.shared) {
                broken.push((*number, error));
            }
        }
        for (number, error) in broken {
            self.mend(number, error);
        }
    }

    fn commit_if_due(&mut self) -> Result<(), Failure> {
        let waits = self.slots.values().any(|slot| match slot {
            Slot::Running(partition) => partition.has_outputs() && !partition.is_muted(),
            Slot::Restoring(_) => false,
        });
        if waits || self.since_commit >= COMMIT_AFTER || self.last_commit.elapsed() >= COMMIT_EVERY {
            self.commit(None, false)?;
        }
        Ok(())
    }

    /// Writes everything that some partitions (or all) have to write.
    fn commit(&mut self, only: Option<&[i32]>, all: bool) -> Result<(), Failure> {
        self.since_commit = 0;
        self.last_commit = Instant::now();
        let mut commits = Vec::new();
        for (number, slot) in &mut self.slots {
            let Slot::Running(partition) = slot else { continue };
            if only.is_some_and(|only| !only.contains(number)) {
                continue;
            }
            let before = partition.committed();
            match partition.commit(self.pace, now_ms(), all) {
                Ok(Some(commit)) => commits.push((before, commit)),
                Ok(None) => {}
                Err(error) => return Err(Failure::set_up(format!("the state cannot be saved: {error}"))),
            }
        }
        if commits.is_empty() {
            return Ok(());
        }
        match self.write(&commits) {
            Ok(()) => Ok(()),
            Err(failure) => self.recover(commits, failure),
        }
    }

    fn write(&mut self, commits: &[(Option<Position>, Commit)]) -> Result<(), Failure> {
        if self.writer.is_doubtful() {
            self.writer = settled(self.shared, self.thread)?;
        }
        let began = Instant::now();
        let written = self.write_together(commits);
        self.tally.wrote(began.elapsed(), written.is_ok());
        if written.is_ok() {
            self.count(commits.iter().map(|(_, commit)| commit));
        }
        written
    }

    /// Counts what was written.
    fn count<'c>(&mut self, commits: impl Iterator<Item = &'c Commit>) {
        for commit in commits {
            let partition = match self.slots.get(&commit.partition) {
                Some(Slot::Running(partition)) => Some(&**partition),
                Some(Slot::Restoring(_)) | None => None,
            };
            self.tally.committed(commit, partition);
        }
    }

    fn write_together(&self, commits: &[(Option<Position>, Commit)]) -> Result<(), Failure> {
        let topic = self.shared.clients.settings().topics.of(Topic::Audit);
        let mut offsets = TopicPartitionList::new();
        for (_, commit) in commits {
            let mut place = offsets.add_partition(topic, commit.partition);
            place.set_metadata(commit.position.metadata());
            place
                .set_offset(Offset::Offset(commit.position.offset))
                .map_err(|error| Failure::new("note an offset", &error, None))?;
        }
        let together = Together {
            outputs: commits.iter().flat_map(|(_, commit)| &commit.outputs).collect(),
            state: commits.iter().flat_map(|(_, commit)| &commit.state).collect(),
            offsets,
        };
        self.writer.write(&together, &self.consumer)
    }

    /// The one way back: a new producer settles what was open, then the group says where it stands. What was written is
    /// done, what was not is written again; a partition that stands elsewhere is put back.
    fn recover(
        &mut self,
        mut commits: Vec<(Option<Position>, Commit)>,
        mut failure: Failure,
    ) -> Result<(), Failure> {
        let mut wait = BACK_OFF.0;
        loop {
            self.say_sometimes(Severity::Warning, &failure.to_string());
            if failure.next == Next::Mend {
                return Err(failure);
            }
            self.writer = settled(self.shared, self.thread)?;
            // The group may have decided otherwise meanwhile. No records are taken.
            let ours: Vec<i32> = self.keep_membership()?;
            commits.retain(|(_, commit)| ours.contains(&commit.partition));
            let numbers: Vec<i32> = commits.iter().map(|(_, commit)| commit.partition).collect();
            let stands = match committed_of(&self.consumer, self.shared, &numbers) {
                Ok(stands) => stands,
                Err(next) => {
                    failure = next;
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(BACK_OFF.1);
                    continue;
                }
            };
            let is_written = |commit: &Commit| stands.get(&commit.partition) == Some(&commit.position);
            self.count(commits.iter().map(|(_, commit)| commit).filter(|commit| is_written(commit)));
            let mut elsewhere = Vec::new();
            commits.retain(|(before, commit)| {
                let stands = stands.get(&commit.partition).copied();
                let written = stands == Some(commit.position);
                if !written && stands != *before {
                    elsewhere.push(commit.partition);
                }
                !written && stands == *before
            });
            for number in elsewhere {
                self.restore_anew(number);
            }
            if commits.is_empty() {
                return Ok(());
            }
            match self.write(&commits) {
                Ok(()) => return Ok(()),
                Err(next) => failure = next,
            }
            if self.shared.stops() {
                return Err(failure);
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(BACK_OFF.1);
        }
    }

    /// Polls without taking records, so that the group knows of us; returns which partitions are still ours.
    ///
    /// One that was given up and came back is not among them: it is being put back from what was written so far, and what
    /// was not written is judged again.
    fn keep_membership(&mut self) -> Result<Vec<i32>, Failure> {
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
                    let next = Offset::Offset(partition.next_offset());
                    let _ = self.consumer.seek(&topic, *number, next, SEEK_WITHIN);
                }
            }
        }
        let _ = self.consumer.resume(&running);
        Ok(ours)
    }

    /// Writes and saves everything of some partitions (or all), because they are given up.
    fn give_up(&mut self, only: Option<&[i32]>) -> Result<(), Failure> {
        let written = self.commit(only, true);
        if let Err(failure) = &written {
            self.shared.say(Severity::Warning, &format!("{failure}; what was not written is judged again"));
        }
        if only.is_none() {
            self.slots.keys().for_each(|number| self.shared.note(*number, None));
            self.slots.clear();
        }
        match written {
            Err(failure) if failure.next == Next::Mend => Err(failure),
            _ => Ok(()),
        }
    }

    /// Trouble of the consumer: passing, or for good.
    fn tell(&mut self, error: &KafkaError) -> Result<(), Failure> {
        let topic = self.shared.clients.settings().topics.of(Topic::Audit);
        let trouble = self.consumer.context().context().trouble();
        let failure = Failure::new(&format!("read {topic}"), error, trouble.as_ref());
        if failure.next == Next::Renew {
            return Err(failure);
        }
        self.say_sometimes(Severity::Warning, &failure.to_string());
        Ok(())
    }

    fn say_sometimes(&mut self, severity: Severity, line: &str) {
        if self.said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            self.said = Some(Instant::now());
            self.shared.say(severity, line);
        }
    }

    fn note(&self) {
        for (number, slot) in &self.slots {
            let status = match slot {
                Slot::Restoring(_) => PartitionStatus { restoring: true, ..PartitionStatus::default() },
                Slot::Running(partition) => PartitionStatus {
                    restoring: partition.is_muted(),
                    offset: partition.next_offset(),
                    latest_record: partition.latest_record(),
                    agents: partition.agents(),
                    version: partition.version(),
                    blindness: partition.blindness(),
                    counts: *partition.counts(),
                    state_bytes: partition.saved_bytes(),
                },
            };
            self.shared.note(*number, Some(status));
        }
    }
}

impl Slot {
    fn is_restoring(&self) -> bool {
        matches!(self, Self::Restoring(_))
    }
}
