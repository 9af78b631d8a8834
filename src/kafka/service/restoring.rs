//! Reads what was saved of a partition, while the consumer goes on polling.
//!
//! Knows what has to be read in which order. Must not know how it is put together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::Shared;
use super::read::{Reader, Watermarks, read_all};
use crate::kafka::client::{self, Clients, Isolation};
use crate::kafka::failure::Failure;
use crate::kafka::settings::{Delivery, Topic};
use crate::partition::{Copies, Log, PartitionSettings, Position, Restored, last_judged, restore};

/// A broker that is there answers within this.
const ANSWER: Duration = Duration::from_secs(30);

/// One look at a record.
const LOOK: Duration = Duration::from_millis(200);
/// Before what did not work is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// Begins to put a partition back; what arrives is the partition, or why it cannot be.
pub(super) fn begin(shared: &Arc<Shared>, partition: i32) -> Receiver<Result<Restored, Failure>> {
    let (done, waits) = mpsc::channel();
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let restored = read(&shared, partition).map(|(restored, _)| restored);
        if restored.is_err() {
            // Whoever waits begins anew at once.
            thread::sleep(PAUSE);
        }
        // Whoever waited may have given up.
        let _ = done.send(restored);
    });
    waits
}

/// Puts a partition back; with it come the keys of all that is saved of it.
pub(super) fn read(shared: &Shared, partition: i32) -> Result<(Restored, BTreeSet<Vec<u8>>), Failure> {
    let clients = &shared.clients;
    let topics = &clients.settings().topics;
    // In this order: what was committed up to there is in the state by then.
    let committed = committed(shared, partition)?;
    let mut records: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let reader = read_all(
        clients,
        topics.of(Topic::Checkpoints),
        partition,
        || shared.stops(),
        |record| {
            match record.value {
                Some(value) => records.insert(record.key.to_vec(), value.to_vec()),
                None => records.remove(record.key),
            };
        },
    )?;
    let audit = topics.of(Topic::Audit);
    let (start, end) = Watermarks::new(clients, Isolation::Uncommitted)?.of(audit, partition)?;
    // The broker forgets where a group stood when a topic is deleted; what was saved remembers it.
    let unsure =
        last_judged(&records).filter(|(offset, _)| committed.is_none() && (start..end).contains(offset));
    let is_another = match unsure {
        Some((offset, time_ms)) => time_of(clients, audit, partition, offset)? != Some(time_ms),
        None => false,
    };
    let log = Log { start, end, is_another };
    let keys = records.keys().cloned().collect();
    let settings = settings(shared, partition);
    let mut restored = restore(settings, &records, committed, log, shared, shared.versions.newest());
    // Older copies stand in the place of what was there; what is not known by them is judged again or counted further on.
    restored.missing.extend(reader.lost());
    Ok((restored, keys))
}

/// When the record at an offset was written, in milliseconds since 1970; none where there is none.
///
/// # Errors
///
/// When nothing comes: that another record stands there would be a guess, and where the partition stood would be forgotten.
fn time_of(clients: &Clients, topic: &str, partition: i32, offset: i64) -> Result<Option<i64>, Failure> {
    let reader = Reader::new(clients, topic, partition, Offset::Offset(offset))?;
    let first = first_of(|| {
        let mut first = None;
        let at_end = reader.read(LOOK, |record| {
            first.get_or_insert((record.offset, record.timestamp_ms));
        })?;
        Ok((first, at_end))
    })?;
    let first = first.ok_or_else(|| {
        Failure::passing(format!(
            "cannot read the record at offset {offset} of {topic} [{partition}], by which the topic is known again: nothing \
             comes; it is tried again"
        ))
    })?;
    Ok(first.filter(|(at, _)| *at == offset).map(|(_, time_ms)| time_ms))
}

/// The first record that comes, or none where the partition ends before one; nothing where neither comes in time.
fn first_of<R>(
    mut look: impl FnMut() -> Result<(Option<R>, bool), Failure>,
) -> Result<Option<Option<R>>, Failure> {
    for _ in 0..ANSWER.as_millis() / LOOK.as_millis() {
        let (first, at_end) = look()?;
        if first.is_some() || at_end {
            return Ok(Some(first));
        }
    }
    Ok(None)
}

/// What a partition is told.
pub(super) fn settings(shared: &Shared, partition: i32) -> PartitionSettings {
    let clients = &shared.clients;
    PartitionSettings {
        engine: shared.versions.newest().settings.clone(),
        number: partition,
        partitions: i32::try_from(shared.verified.partitions).unwrap_or(i32::MAX),
        topic: clients.settings().topics.of(Topic::Audit).to_owned(),
        copies: match clients.settings().delivery {
            Delivery::ExactlyOnce => Copies::One,
            Delivery::AtLeastOnce => Copies::Two,
        },
    }
}

/// Where the group stands on a partition, once no transaction is open on it.
fn committed(shared: &Shared, partition: i32) -> Result<Option<Position>, Failure> {
    let config = shared.clients.reader(Isolation::Committed)?;
    let consumer = client::consumer(&config, shared.clients.context())
        .map_err(|error| Failure::new("make a reader", &error, None))?;
    committed_of(&consumer, shared, &[partition]).map(|positions| positions.get(&partition).copied())
}

/// Where the group stands on some partitions; those for which nothing was committed are left out.
pub(super) fn committed_of<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    shared: &Shared,
    partitions: &[i32],
) -> Result<BTreeMap<i32, Position>, Failure> {
    let topic = shared.clients.settings().topics.of(Topic::Audit);
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition(topic, *partition);
    }
    let doing = format!("ask where group {} stands", shared.clients.settings().group);
    let found =
        consumer.committed_offsets(asked, ANSWER).map_err(|error| Failure::new(&doing, &error, None))?;
    let mut positions = BTreeMap::new();
    for place in found.elements() {
        place.error().map_err(|error| Failure::new(&doing, &error, None))?;
        if let Some(offset) = place.offset().to_raw().filter(|offset| *offset >= 0) {
            let position = Position::committed(offset, place.metadata())
                .map_err(|error| Failure::set_up(error.to_string()))?;
            positions.insert(place.partition(), position);
        }
    }
    Ok(positions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_come_in_time_is_not_taken_for_another_record() {
        assert_eq!(first_of::<i64>(|| Ok((None, false))).unwrap(), None, "nothing is known");
        assert_eq!(first_of::<i64>(|| Ok((None, true))).unwrap(), Some(None), "the partition ends");
        let mut looks = 0;
        let late = first_of(|| {
            looks += 1;
            Ok((Some(7).filter(|_| looks > 100), false))
        });
        assert_eq!(late.unwrap(), Some(Some(7)));
        assert!(first_of::<i64>(|| Err(Failure::passing("gone".to_owned()))).is_err());
    }
}
