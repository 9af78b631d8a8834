//! Batches that nobody can read are passed over; whoever can write one would stop detection for ever otherwise.
//!
//! Knows how to find the next record that can be read. Must not know why one cannot: damaged on a disk, or made so.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::{Slot, Worker};
use crate::kafka::client::{Context, Isolation, Severity};
use crate::kafka::failure::Failure;
use crate::kafka::service::pulse::AlarmKind;
use crate::kafka::settings::Topic;

/// What cannot be read so often is passed over: the network may have damaged it.
const TRIES: u32 = 5;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// One try.
const ANSWER: Duration = Duration::from_secs(10);

/// Whether an error of a consumer says that a batch cannot be read.
pub(super) fn is_unreadable(error: &KafkaError) -> bool {
    let codes = [RDKafkaErrorCode::BadMessage, RDKafkaErrorCode::BadCompression];
    error.rdkafka_error_code().is_some_and(|code| codes.contains(&code))
}

/// What is found at an offset.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A record there or behind it, or the end of the partition.
    Readable,
    Unreadable,
}

impl Worker<'_> {
    /// Looks which partitions stand before what cannot be read, and passes over that. Partitions go on reading from where
    /// they stand: the consumer does not say which one it could not read, and may be behind it already.
    pub(super) fn pass_over_unreadable(&mut self) -> Result<(), Failure> {
        let at_work: Vec<(i32, i64)> = self
            .slots
            .iter()
            .filter_map(|(number, slot)| match slot {
                Slot::Running(partition) => Some((*number, partition.next_offset())),
                Slot::Restoring(_) => None,
            })
            .collect();
        for (number, from) in at_work {
            let until = match self.next_readable(number, from) {
                Ok(until) => until,
                Err(failure) => {
                    self.say_sometimes(Severity::Warning, &failure.to_string());
                    None
                }
            };
            if let Some(until) = until {
                self.pass_over(number, from, until);
            }
            let next = match self.slots.get(&number) {
                Some(Slot::Running(partition)) => until.unwrap_or(from).max(partition.next_offset()),
                Some(Slot::Restoring(_)) | None => continue,
            };
            if let Err(failure) = self.read_from(number, next) {
                self.say_sometimes(Severity::Warning, &failure.to_string());
                self.restore_anew(number);
            }
        }
        Ok(())
    }

    fn pass_over(&mut self, number: i32, from: i64, until: i64) {
        let Some(Slot::Running(partition)) = self.slots.get_mut(&number) else { return };
        // What is repeated was passed over before, and is again when the record behind it comes.
        if partition.is_muted() || partition.has_waiting_pins() {
            return;
        }
        let passed = partition.pass_over_unreadable(until, &**self.shared);
        let topic = self.shared.clients.settings().topics.of(Topic::Audit);
        let sentence = format!(
            "{topic} [{number}]: the records from offset {from} to {until} (excluded) cannot be read and are passed over; \
             find out who wrote them"
        );
        self.shared.alarm(AlarmKind::CoverageGap, Some(number), &sentence);
        if let Err(error) = passed {
            self.mend(number, error);
        }
    }

    /// The first offset behind `from` from which a partition can be read; none where it can be read from there.
    fn next_readable(&self, number: i32, from: i64) -> Result<Option<i64>, Failure> {
        let clients = &self.shared.clients;
        let topic = clients.settings().topics.of(Topic::Audit);
        let reader: BaseConsumer<Context> = clients
            .reader(Isolation::Committed)?
            .create_with_context(clients.context())
            .map_err(|error| Failure::new("make a reader", &error, None))?;
        let look = |offset| look(&reader, topic, number, offset);
        for _ in 0..TRIES {
            if look(from)? == Found::Readable {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
        let (_, end) = reader
            .fetch_watermarks(topic, number, ANSWER)
            .map_err(|error| Failure::new(&format!("ask where {topic} [{number}] ends"), &error, None))?;
        // Any offset of a batch stands for all of it.
        let (mut bad, mut step) = (from, 1);
        let mut good = loop {
            let next = bad.saturating_add(step).min(end);
            if next >= end || look(next)? == Found::Readable {
                break next;
            }
            (bad, step) = (next, step.saturating_mul(2));
        };
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            match look(middle)? {
                Found::Readable => good = middle,
                Found::Unreadable => bad = middle,
            }
        }
        Ok(Some(good))
    }
}

/// What a reader finds at an offset first.
fn look(reader: &BaseConsumer<Context>, topic: &str, partition: i32, offset: i64) -> Result<Found, Failure> {
    let doing = || format!("read {topic} [{partition}] from {offset} on");
    let mut place = TopicPartitionList::new();
    place
        .add_partition_offset(topic, partition, Offset::Offset(offset))
        .and_then(|()| reader.assign(&place))
        .map_err(|error| Failure::new(&doing(), &error, None))?;
    let until = Instant::now() + ANSWER;
    while Instant::now() < until {
        match reader.poll(until.saturating_duration_since(Instant::now())) {
            Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => return Ok(Found::Readable),
            Some(Err(error)) if is_unreadable(&error) => return Ok(Found::Unreadable),
            // Faults that pass by themselves are waited for.
            Some(Err(_)) | None => {}
        }
    }
    Err(Failure::passing(format!("cannot {}: nothing comes; it is tried again", doing())))
}
