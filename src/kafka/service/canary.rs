//! Made-up events, one an hour on each of our partitions, and when their alerts could be read.
//!
//! Knows the audit topic as its producers do, and the topic of status as whoever reads alerts. Must not know how one is
//! judged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::Shared;
use super::writer::{Deliveries, now_ms};
use crate::kafka::client::{self, Context, Isolation, Severity};
use crate::kafka::failure::Failure;
use crate::kafka::settings::Topic;
use crate::partition::{CANARY, canary, canary_key};
use crate::time::EventTime;

/// Between two made-up events of a partition.
const EVERY: Duration = Duration::from_secs(3600);
/// The first one waits until partitions have been put back.
const FIRST: Duration = Duration::from_secs(30);
/// Between two looks whether the service ends.
const LOOK: Duration = Duration::from_millis(200);
/// A broker that is there answers within this.
const ANSWER: Duration = Duration::from_secs(10);
/// Before what did not work is tried again.
const PAUSE: Duration = Duration::from_secs(30);

/// Writes and listens until the service ends. Trouble is told, and tried again.
pub(super) fn run(shared: &Shared) -> Result<(), Failure> {
    while !shared.stops() {
        if let Err(failure) = sing_and_listen(shared) {
            shared.say(Severity::Warning, &format!("made-up events: {failure}"));
            let until = Instant::now() + PAUSE;
            while Instant::now() < until && !shared.stops() {
                std::thread::sleep(LOOK);
            }
        }
    }
    Ok(())
}

fn sing_and_listen(shared: &Shared) -> Result<(), Failure> {
    let mut config = shared.clients.producer(u32::MAX)?;
    config.remove("transactional.id");
    config.remove("transaction.timeout.ms");
    let context = Deliveries::new(shared.clients.context());
    let producer = client::producer(&config, context)
        .map_err(|error| Failure::new("make the producer of made-up events", &error, None))?;
    let listener = listener(shared)?;
    let figure = &shared.metrics.figures.canary;
    // When each partition of ours is due.
    let mut due: BTreeMap<i32, Instant> = BTreeMap::new();
    while !shared.stops() {
        if let Some(Ok(heard)) = listener.poll(LOOK)
            && let Some(partition) = heard.key().and_then(partition_of)
            && let Some(time_ms) = heard.timestamp().to_millis()
        {
            figure.with_label_values(&[&partition.to_string()]).set(time_ms as f64 / 1000.0);
        }
        let ours = shared.partitions().into_iter().filter(|(_, status)| !status.restoring);
        let ours: BTreeSet<i32> = ours.map(|(partition, _)| partition).collect();
        for partition in &ours {
            // It is there before the first alert, so that one that never comes is missed.
            figure.with_label_values(&[&partition.to_string()]);
        }
        for partition in due_now(&mut due, &ours, Instant::now()) {
            if let Err(failure) = sing(shared, &producer, partition) {
                shared.say(Severity::Warning, &format!("made-up events: {failure}; it is tried again"));
                due.insert(partition, Instant::now() + PAUSE);
            }
        }
        producer.poll(Duration::ZERO);
    }
    Ok(())
}

/// Partitions whose turn it is; it comes again after an hour.
///
/// * `due`: when each is due; those that are not ours any more are forgotten.
fn due_now(due: &mut BTreeMap<i32, Instant>, ours: &BTreeSet<i32>, now: Instant) -> Vec<i32> {
    due.retain(|partition, _| ours.contains(partition));
    let is_due = |partition: &i32| *due.entry(*partition).or_insert(now + FIRST) <= now;
    let these: Vec<i32> = ours.iter().copied().filter(is_due).collect();
    due.extend(these.iter().map(|partition| (*partition, now + EVERY)));
    these
}

fn sing(shared: &Shared, producer: &BaseProducer<Deliveries>, partition: i32) -> Result<(), Failure> {
    let topic = shared.clients.settings().topics.of(Topic::Audit);
    let value = canary(EventTime(now_ms()));
    let failed = |error| Failure::new(&format!("write to {topic} [{partition}]"), &error, None);
    producer
        .send(BaseRecord::to(topic).partition(partition).key(CANARY).payload(&value))
        .map_err(|(error, _)| failed(error))?;
    producer.flush(ANSWER).map_err(failed)?;
    // A flush is content with records that could not be delivered.
    producer.context().failed().map_or(Ok(()), |(error, _)| Err(failed(error)))
}

/// Reads the topic of status from now on, as far as it is committed.
fn listener(shared: &Shared) -> Result<BaseConsumer<Context>, Failure> {
    let topic = shared.clients.settings().topics.of(Topic::Status);
    let failed = |error| Failure::new(&format!("read {topic}"), &error, None);
    let listener = client::consumer(&shared.clients.reader(Isolation::Committed)?, shared.clients.context())
        .map_err(failed)?;
    let described = listener.fetch_metadata(Some(topic), ANSWER).map_err(failed)?;
    let mut places = TopicPartitionList::new();
    for partition in described.topics().iter().flat_map(|topic| topic.partitions()) {
        places.add_partition_offset(topic, partition.id(), Offset::End).map_err(failed)?;
    }
    listener.assign(&places).map_err(failed)?;
    Ok(listener)
}

/// The partition whose made-up event an alert is about; none where it is about something else.
fn partition_of(key: &[u8]) -> Option<i32> {
    let partition = std::str::from_utf8(key).ok()?.strip_prefix(CANARY)?.strip_prefix('|')?.parse().ok()?;
    (canary_key(partition).as_bytes() == key).then_some(partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_could_not_be_written_to_is_due_again_soon_and_the_others_when_they_were() {
        let (mut due, ours) = (BTreeMap::new(), BTreeSet::from([0, 1, 2]));
        let began = Instant::now();
        let at = |after: Duration, due: &mut BTreeMap<i32, Instant>| due_now(due, &ours, began + after);
        assert!(at(Duration::ZERO, &mut due).is_empty());
        assert_eq!(at(FIRST, &mut due), [0, 1, 2]);
        due.insert(1, began + FIRST + PAUSE);
        assert!(at(FIRST + PAUSE / 2, &mut due).is_empty());
        assert_eq!(at(FIRST + PAUSE, &mut due), [1]);
        assert_eq!(at(FIRST + EVERY, &mut due), [0, 2]);
        assert_eq!(at(FIRST + PAUSE + EVERY, &mut due), [1]);
        assert!(due_now(&mut due, &BTreeSet::from([7]), began + EVERY).is_empty());
        assert_eq!(due.keys().collect::<Vec<_>>(), [&7], "what is not ours is forgotten");
    }
}
