//! One consumer of the group: takes records, has them judged, and writes what follows.
//!
//! Knows partitions from being assigned until being revoked. Must not judge.

mod committing;
mod membership;
mod shedding;
mod taking;
mod tally;
mod unreadable;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};

use self::taking::{Suspect, incoming, pin, take};
use self::tally::Tally;
use super::assignment::Membership;
use super::writer::Writer;
use super::{PartitionStatus, Shared};
use crate::kafka::client::{self, Begin, Hears, Severity};
use crate::kafka::failure::{Failure, Next};
use crate::kafka::settings::Topic;
use crate::kafka::unreadable::is_unreadable;
use crate::partition::{Incoming, Pace, Partition, Restored};

/// How long a poll waits for the first record.
const POLL: Duration = Duration::from_millis(50);
/// Records that are taken at once, and their bytes.
const BATCH: usize = 4096;
const BATCH_BYTES: usize = 8 << 20;
/// A slice is saved after so many events of a partition; or so that all of them are within the longest replay.
const SLICE_AFTER: u64 = 1 << 14;
const SLICES: i64 = crate::engine::SLICES as i64;
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
    /// Where the consumer stood when it last had nothing more to hand over: behind what is no record, too.
    stood: BTreeMap<i32, i64>,
    /// Whether the consumer has met what cannot be read, and may have gone anywhere since.
    met_unreadable: bool,
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
        stood: BTreeMap::new(),
        met_unreadable: false,
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
        if count == 0 && trouble.is_none() {
            self.look_where_it_stands();
        }
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
        if let Some(error) = trouble {
            self.tell(&error)?;
        }
        if self.met_unreadable {
            self.pass_over_unreadable();
        }
        Ok(())
    }

    /// New versions, control records and the time on idle partitions.
    fn pin_what_is_new(&mut self) {
        let newest = self.shared.versions.newest().number();
        let (mut broken, mut moved) = (Vec::new(), Vec::new());
        for (number, slot) in &mut self.slots {
            let Slot::Running(partition) = slot else { continue };
            if partition.is_muted() || partition.has_waiting_pins() {
                continue;
            }
            let stood = partition.next_offset();
            let read_to = self.stood.get(number).copied().unwrap_or_default();
            if let Err(error) = pin(partition, newest, read_to, self.shared) {
                broken.push((*number, error));
            } else if partition.next_offset() > stood {
                moved.push((*number, partition.next_offset()));
            }
        }
        for (number, next) in moved {
            if let Err(failure) = self.read_from(number, next) {
                self.say_sometimes(Severity::Warning, &failure.to_string());
                self.restore_anew(number);
            }
        }
        for (number, error) in broken {
            self.mend(number, error);
        }
    }

    /// Trouble of the consumer: passing, or for good.
    fn tell(&mut self, error: &KafkaError) -> Result<(), Failure> {
        self.met_unreadable |= is_unreadable(error);
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

    fn look_where_it_stands(&mut self) {
        let Ok(positions) = self.consumer.position() else { return };
        let known = positions.elements().into_iter();
        self.stood = known.filter_map(|place| Some((place.partition(), place.offset().to_raw()?))).collect();
    }

    /// Everything before it has been read.
    fn read_to(&self, partition: &Partition) -> i64 {
        let stood = self.stood.get(&partition.number()).copied().unwrap_or_default();
        stood.max(partition.next_offset())
    }

    fn note(&self) {
        for (number, slot) in &self.slots {
            let status = match slot {
                Slot::Restoring(_) => PartitionStatus { restoring: true, ..PartitionStatus::default() },
                Slot::Running(partition) => PartitionStatus {
                    restoring: partition.is_muted(),
                    offset: partition.next_offset(),
                    read_to: self.read_to(partition),
                    latest_record: partition.latest_record(),
                    agents: partition.agents(),
                    version: partition.version(),
                    blindness: partition.blindness(),
                    sheds: partition.shedding().is_some(),
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
