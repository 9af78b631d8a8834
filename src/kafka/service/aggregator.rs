//! What all partitions have learned becomes versions: one of the instances merges it.
//!
//! Knows parts and the order in which they are merged. Must not know what is learned.
//!
//! Parts wait until every partition has handed over until the same instant; then all of them, in the order of (instant,
//! partition), become one version, which is written in one transaction with how far the parts were read. Of a partition
//! that hands nothing over for an hour the others do not wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::Shared;
use super::assignment::{Decided, Membership};
use super::read::read_all;
use super::versions::{self, Manifest, VersionStore};
use super::writer::{Together, Writer};
use crate::engine::member::Part;
use crate::engine::{Output, Settings, Version};
use crate::kafka::client::{self, Begin, Hears, Severity};
use crate::kafka::failure::{Failure, Next};
use crate::kafka::settings::Topic;
use crate::partition::{Common, Outgoing};
use crate::time::{EventTime, HOUR_MS};

/// How long a poll waits.
const POLL: Duration = Duration::from_millis(100);
/// Before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// Pins reach back as far as what is judged again when a partition is put back; that takes its time.
const REPLAYS: u32 = 3;
/// How long the others wait for a partition. Milliseconds of the clock.
const LATEST_MS: i64 = HOUR_MS;

/// A part that waits.
struct Waiting {
    part: Part,
    /// Offset of its first piece.
    offset: i64,
}

/// A part that is not whole yet.
struct Pieces {
    /// Offset of its first piece.
    offset: i64,
    by_number: BTreeMap<i64, Vec<u8>>,
}

/// What the aggregator knows.
struct State {
    version: Version,
    /// What there is to say of types, to be written with the version.
    told: Vec<Outgoing>,
    /// Parts by instant and partition.
    waiting: BTreeMap<(i64, i32), Waiting>,
    /// Pieces of parts that are not whole yet.
    /// By boundary, partition and number of pieces: what is handed over again may be cut otherwise.
    pieces: BTreeMap<(i64, i32, i64), Pieces>,
    /// Until when what each partition handed over is in the version. Instants of a partition only grow: what is not later
    /// was handed over twice, because it was not known to have been written, or is read again.
    merged: BTreeMap<i32, i64>,
    /// The offset before which everything is in the version.
    next: i64,
    /// One after the last record that was read.
    read: i64,
}

/// Merges as long as the group lets it. Trouble is told, and it begins anew.
pub(super) fn run(shared: &Arc<Shared>) -> Result<(), Failure> {
    while !shared.stops() {
        match aggregate(shared) {
            Err(_) if shared.stops() => return Ok(()),
            Err(failure) if failure.next == Next::Mend => return Err(failure),
            Err(failure) => {
                shared.say(Severity::Warning, &failure.to_string());
                std::thread::sleep(PAUSE);
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

fn aggregate(shared: &Arc<Shared>) -> Result<(), Failure> {
    let settings = shared.clients.settings();
    let topic = settings.topics.of(Topic::BaselineParts);
    let mut config = shared.clients.consumer(u32::MAX, Begin::Earliest)?;
    config.set("group.id", format!("{}-aggregator", settings.group)).set("statistics.interval.ms", "0");
    config.remove("group.instance.id");
    let consumer = client::consumer(&config, Membership::new(shared.clients.context()))
        .map_err(|error| Failure::new("make a consumer", &error, None))?;
    consumer
        .subscribe(&[topic])
        .map_err(|error| Failure::new(&format!("subscribe to {topic}"), &error, None))?;
    let merged = merge(shared, &consumer, topic);
    // However it ends: a consumer that is dropped waits until everything is given up.
    consumer.context().close();
    merged
}

/// Merges while the partition is ours.
fn merge(shared: &Arc<Shared>, consumer: &BaseConsumer<Membership>, topic: &str) -> Result<(), Failure> {
    let mut active: Option<(State, Writer)> = None;
    while !shared.stops() {
        let mut pieces = Vec::new();
        if let Some(message) = consumer.poll(POLL) {
            let message = message.map_err(|error| {
                Failure::new(
                    &format!("read {topic}"),
                    &error,
                    consumer.context().context().trouble().as_ref(),
                )
            })?;
            let key = message.key().map(<[u8]>::to_vec).unwrap_or_default();
            pieces.push((message.offset(), key, message.payload().map(<[u8]>::to_vec).unwrap_or_default()));
        }
        for decided in consumer.context().take() {
            active = None;
            match decided {
                Decided::Assigned(partitions) if partitions.count() > 0 => {
                    // First the one before us is settled, then it is read what it wrote.
                    let writer = settled(shared)?;
                    let state = begin(shared)?;
                    let mut place = TopicPartitionList::new();
                    let failed = |error| Failure::new(&format!("read {topic}"), &error, None);
                    place.add_partition_offset(topic, 0, Offset::Offset(state.next)).map_err(failed)?;
                    consumer.incremental_assign(&place).map_err(failed)?;
                    active = Some((state, writer));
                }
                Decided::Assigned(partitions) => drop(consumer.incremental_assign(&partitions)),
                Decided::Revoked(partitions) => drop(consumer.incremental_unassign(&partitions)),
                Decided::Failed(why) => {
                    shared.say(Severity::Warning, &format!("the aggregator could not join: {why}"));
                    let _ = consumer.unassign();
                }
            }
        }
        let Some((state, writer)) = &mut active else { continue };
        for (offset, key, value) in pieces {
            if let Err(why) = state.add(offset, &key, value) {
                shared.say(
                    Severity::Warning,
                    &format!("what was learned at offset {offset} of {topic} is lost: {why}"),
                );
            }
        }
        while let Some(boundary) = state.ready(shared.verified.partitions as usize) {
            state.heed(&shared.versions.newest().settings);
            state.merge(boundary);
            state.tell(boundary);
            state.write(shared, writer, consumer)?;
            if writer.is_doubtful() {
                *writer = settled(shared)?;
            }
        }
    }
    Ok(())
}

/// A writer that has fenced whoever merged before.
fn settled(shared: &Shared) -> Result<Writer, Failure> {
    let mut producer = shared.clients.producer(u32::MAX)?;
    if producer.get("transactional.id").is_some() {
        producer.set("transactional.id", format!("{}-aggregator", shared.clients.settings().group));
    }
    Writer::new(&shared.clients, &producer, || shared.stops())
}

/// The newest version there is, and how far parts are in it.
fn begin(shared: &Shared) -> Result<State, Failure> {
    // Read anew: the tail of this instance may be behind the one before us.
    let settings = shared.versions.newest().settings.clone();
    let store = VersionStore::read(&shared.clients, settings.clone(), false)?;
    let Manifest { next, merged, number, .. } = store.manifest();
    let newest = store.version(number, 0).unwrap_or_else(|| store.newest());
    let copied = newest.save().ok().and_then(|bytes| Version::restore(settings.clone(), &bytes).ok());
    let version = copied.unwrap_or_else(|| Version::new(settings));
    Ok(State {
        version,
        told: Vec::new(),
        waiting: BTreeMap::new(),
        pieces: BTreeMap::new(),
        merged,
        next,
        read: next,
    })
}

/// The version that follows from everything that was handed over, without waiting for anybody.
pub(super) fn latest(shared: &Shared) -> Result<Version, Failure> {
    let topic = shared.clients.settings().topics.of(Topic::BaselineParts);
    let mut state = begin(shared)?;
    let next = state.next;
    let mut lost = None;
    read_all(
        &shared.clients,
        topic,
        0,
        || false,
        |record| {
            if record.offset >= next
                && let Err(why) =
                    state.add(record.offset, record.key, record.value.unwrap_or_default().to_vec())
            {
                lost =
                    Some(format!("what was learned at offset {} of {topic} is lost: {why}", record.offset));
            }
        },
    )?;
    if let Some(lost) = lost {
        shared.say(Severity::Warning, &lost);
    }
    while let Some(boundary) = state.waiting.keys().next().map(|(boundary, _)| *boundary) {
        state.merge(boundary);
    }
    Ok(state.version)
}

impl State {
    /// Takes in a piece of a part; its key is `PARTITION|BOUNDARY|PIECE|PIECES`.
    fn add(&mut self, offset: i64, key: &[u8], value: Vec<u8>) -> Result<(), String> {
        let key = String::from_utf8_lossy(key).into_owned();
        let mut numbers = key.split('|').map(str::parse::<i64>);
        let mut number =
            || numbers.next().and_then(Result::ok).ok_or_else(|| format!("key {key:?} of no kind"));
        let (partition, boundary, piece, of) = (number()?, number()?, number()?, number()?);
        let id = (boundary, i32::try_from(partition).map_err(|error| error.to_string())?);
        self.read = self.read.max(offset + 1);
        if self.merged.get(&id.1).is_some_and(|until| boundary <= *until) || self.waiting.contains_key(&id) {
            return Ok(());
        }
        let pieces = self
            .pieces
            .entry((id.0, id.1, of))
            .or_insert_with(|| Pieces { offset, by_number: BTreeMap::new() });
        pieces.by_number.insert(piece, value);
        if (pieces.by_number.len() as i64) < of {
            return Ok(());
        }
        let Some(Pieces { offset, by_number }) = self.pieces.remove(&(id.0, id.1, of)) else { return Ok(()) };
        let packed: Vec<u8> = by_number.into_values().flatten().collect();
        let bytes = zstd::decode_all(packed.as_slice()).map_err(|error| error.to_string())?;
        let part = Part::restore(&bytes).map_err(|error| error.to_string())?;
        // What else was begun of it is not awaited.
        self.pieces.retain(|(boundary, partition, _), _| (*boundary, *partition) != id);
        self.waiting.insert(id, Waiting { part, offset });
        Ok(())
    }

    /// Until when parts can be merged: every partition has handed over until then, or the others have waited for long enough.
    fn ready(&self, partitions: usize) -> Option<i64> {
        let ((first, _), _) = self.waiting.first_key_value()?;
        let ((last, _), _) = self.waiting.last_key_value()?;
        let handed: std::collections::BTreeSet<i32> =
            self.waiting.keys().map(|(_, partition)| *partition).collect();
        let waited = last - first > LATEST_MS;
        (handed.len() >= partitions || waited).then_some(*first)
    }

    /// Merges under these settings from now on.
    fn heed(&mut self, settings: &Settings) {
        if self.version.settings.config == settings.config {
            return;
        }
        if let Ok(version) = self.version.save().and_then(|bytes| Version::restore(settings.clone(), &bytes))
        {
            self.version = version;
        }
    }

    /// Merges all parts until an instant.
    fn merge(&mut self, boundary: i64) {
        let later = self.waiting.split_off(&(boundary, i32::MAX));
        let now = std::mem::replace(&mut self.waiting, later);
        self.merged.extend(now.keys().map(|(until, partition)| (*partition, *until)));
        self.pieces.retain(|(until, partition, _), _| {
            self.merged.get(partition).is_none_or(|merged| until > merged)
        });
        let mut parts: Vec<Part> = now.into_values().map(|waiting| waiting.part).collect();
        self.version.merge(EventTime(boundary), &mut parts);
    }

    /// What there is to say of types until an instant.
    fn tell(&mut self, boundary: i64) {
        let mut said = Vec::new();
        self.version.tell_fleet_shifts(EventTime(boundary), &mut said);
        self.told.extend(said.iter().filter_map(Output::alert).filter_map(|alert| {
            let value = serde_json::to_vec(alert).ok()?;
            Some(Outgoing::new(Topic::Alerts, alert.subject.id.as_str(), value))
        }));
    }

    /// Writes the version, and how far parts are in it.
    fn write(
        &mut self,
        shared: &Shared,
        writer: &Writer,
        consumer: &BaseConsumer<Membership>,
    ) -> Result<(), Failure> {
        // What waits is read again by whoever comes after us.
        let waiting = self.waiting.values().map(|waiting| waiting.offset);
        let waits = waiting.chain(self.pieces.values().map(|pieces| pieces.offset)).min();
        self.next = waits.unwrap_or(self.read).max(self.next);
        let mut records = versions::records(&self.version, self.next, self.merged.clone())?;
        let rest = Duration::from_secs(u64::from(shared.clients.settings().max_replay_secs)) * REPLAYS;
        for outlived in versions::outlived(&shared.versions, rest) {
            records.extend(versions::deletion(&shared.versions, outlived));
        }
        let topic = shared.clients.settings().topics.of(Topic::BaselineParts);
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset(topic, 0, Offset::Offset(self.next))
            .map_err(|error| Failure::new("note an offset", &error, None))?;
        let told = std::mem::take(&mut self.told);
        let together = Together { outputs: told.iter().collect(), state: records.iter().collect(), offsets };
        // Where it fails all is merged anew from what was written before, and said again.
        writer.write(&together, consumer)
    }
}
