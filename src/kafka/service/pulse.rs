//! The heartbeat of an instance, and what time it is where nothing arrives.
//!
//! Knows the status topic and the ends of partitions. Must not know what is judged.
//!
//! A heartbeat gets its time from the broker. A partition that had no record left once that time was known has been
//! silent until then.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use serde::Serialize;

use super::overload::Load;
use super::read::Watermarks;
use super::sight::Lateness;
use super::writer::now_ms;
use super::{PartitionStatus, Shared};
use crate::kafka::client::{self, Isolation, Severity, With};
use crate::kafka::failure::Failure;
use crate::kafka::settings::{RecordTime, Topic};
use crate::risk::Blindness;

/// Between two heartbeats.
const BEAT: Duration = Duration::from_secs(30);
/// Between two looks where partitions end, and how long one may take: a stop must not wait for it.
const LOOK_AT_ENDS: Duration = Duration::from_secs(5);
const LOOK_WITHIN: Duration = Duration::from_secs(1);
/// The first one comes early, so that it is soon known that we are there.
const FIRST: Duration = Duration::from_secs(2);
/// Between two looks whether the service ends.
const LOOK: Duration = Duration::from_millis(50);
/// A heartbeat that was not acknowledged within this is given up.
const ACKNOWLEDGED: Duration = Duration::from_secs(10);
/// A partition that has stood before an open transaction for so many heartbeats is told of.
const STALLED_BEATS: u32 = 1;

/// Name and version of the schema of a heartbeat.
const SCHEMA: &str = "tiltmeter.heartbeat.v1";

/// Name and version of the schema of an operator alert.
const ALARM_SCHEMA: &str = "tiltmeter.operator-alert.v1";
/// Alarms that wait to be sent, at most; what is beyond is in the log alone.
const MOST_ALARMS: usize = 1024;
/// Of the records between two heartbeats, at most this share may be dead letters, if there were at least so many.
const DEAD_SHARE: (f64, u64) = (0.2, 100);
/// It is told of events in the wrong place this often.
const MISPLACED_EVERY: Duration = Duration::from_secs(3600);
/// After so many heartbeats in a row agents cannot be seen.
const BAD_BEATS: u32 = 2;

/// Where partitions ended, and when that was; and what the operator has to be told.
#[derive(Default)]
pub(super) struct Pulse {
    ends: Mutex<BTreeMap<i32, End>>,
    alarms: Mutex<Vec<Alarm>>,
    seen: Mutex<BTreeMap<i32, Seen>>,
}

/// What an operator is told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AlarmKind {
    /// Something was not seen, or is known less well than it was.
    CoverageGap,
    /// A partition stands before an open transaction.
    Stalled,
    /// Too many records could not be used.
    DeadLetters,
    /// Judging a record ended in a panic.
    Panic,
    /// What agents of a partition do cannot be seen.
    Blind,
    /// Agents may lie on two partitions.
    Misplaced,
    /// This instance does not judge by its own file.
    Settings,
}

impl AlarmKind {
    /// The name used in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::CoverageGap => "coverage_gap",
            Self::Stalled => "stalled",
            Self::DeadLetters => "dead_letters",
            Self::Panic => "panic",
            Self::Blind => "blind",
            Self::Misplaced => "misplaced",
            Self::Settings => "settings",
        }
    }
}

/// What was last seen of a partition from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// One after its last record, those of open transactions included.
    pub end: i64,
    /// Whether it stands before an open transaction.
    pub stalled: bool,
    /// Whether it is behind.
    pub lateness: Lateness,
    /// Whether too many of its records could not be used for two heartbeats.
    pub dead_letters: bool,
    /// Whether there is too much.
    pub load: Load,
}

impl Seen {
    /// What has to be believed of a partition at which nobody has looked yet: it is as blind as it was.
    fn as_of(blindness: Option<Blindness>, sheds: bool) -> Self {
        Self {
            load: Load::as_of(sheds, blindness == Some(Blindness::Skipped)),
            lateness: Lateness::as_of(blindness == Some(Blindness::Behind)),
            dead_letters: blindness == Some(Blindness::DeadLetters),
            ..Self::default()
        }
    }
}

/// A record for the operator.
#[derive(Serialize)]
struct Alarm {
    schema: &'static str,
    kind: AlarmKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    instance: String,
    sentence: String,
}

/// Where a partition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// One after its last record, those of open transactions included.
    pub offset: i64,
    /// The broker's time before that was asked. Milliseconds since 1970.
    pub time_ms: i64,
}

impl Pulse {
    /// Takes out what is known of a partition since it was asked last.
    pub fn take(&self, partition: i32) -> Option<End> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition)
    }

    /// Leaves something for the operator, to be sent soon.
    pub fn alarm(&self, kind: AlarmKind, partition: Option<i32>, sentence: &str) {
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        if alarms.len() < MOST_ALARMS {
            let (instance, sentence) = (String::new(), sentence.to_owned());
            alarms.push(Alarm { schema: ALARM_SCHEMA, kind, partition, instance, sentence });
        }
    }

    /// What was last seen of each partition from outside.
    pub fn seen(&self) -> BTreeMap<i32, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was last seen of a partition from outside; none where nobody has looked since it was put back.
    pub fn seen_of(&self, partition: i32) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&partition).copied()
    }

    /// Notes what is seen of a partition at work.
    ///
    /// * `status`: what it does; it begins as blind as it was saved.
    fn see(&self, partition: i32, status: &PartitionStatus, change: impl FnOnce(&mut Seen)) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        change(seen.entry(partition).or_insert_with(|| Seen::as_of(status.blindness, status.sheds)));
    }

    fn put(&self, partition: i32, end: End) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, end);
    }
}

#[derive(Serialize)]
struct Heartbeat<'h> {
    schema: &'static str,
    instance: &'h str,
    version: &'static str,
    delivery: &'static str,
    record_time: &'static str,
    partitions: Vec<Beat>,
}

#[derive(Serialize)]
struct Beat {
    partition: i32,
    restoring: bool,
    offset: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<i64>,
    latest_record_ms: Option<i64>,
    agents: usize,
    baseline: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    blind: Option<Blindness>,
    events: u64,
    dead_letters: u64,
}

/// The context of a producer that notes when the broker says a record was written.
type Acknowledged = With<Written>;

#[derive(Default)]
struct Written {
    time_ms: Mutex<Option<i64>>,
}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Ok(record) = result {
            *self.time_ms.lock().unwrap_or_else(PoisonError::into_inner) = record.timestamp().to_millis();
        }
    }
}

/// Beats until the service ends. Trouble is told, and tried again at the next beat.
pub(super) fn run(shared: &Shared) -> Result<(), Failure> {
    let mut config = shared.clients.producer(u32::MAX)?;
    config.remove("transactional.id");
    config.remove("transaction.timeout.ms");
    let context = Acknowledged::new(shared.clients.context());
    let producer: BaseProducer<Acknowledged> = client::producer(&config, context)
        .map_err(|error| Failure::new("make the producer of heartbeats", &error, None))?;
    let seen = Watermarks::new(&shared.clients, Isolation::Uncommitted)?;
    let committed = Watermarks::new(&shared.clients, Isolation::Committed)?;
    let mut stalled: BTreeMap<i32, (i64, u32)> = BTreeMap::new();
    let mut counted: BTreeMap<i32, Counted> = BTreeMap::new();
    let mut next = Instant::now() + FIRST;
    let mut next_look = next;
    while !shared.stops() {
        send_alarms(shared, &producer);
        if Instant::now() < next {
            if Instant::now() >= next_look {
                next_look = Instant::now() + LOOK_AT_ENDS;
                look_at_ends(shared, &seen);
            }
            thread::sleep(LOOK);
            continue;
        }
        next = Instant::now() + BEAT;
        look_at_dead_letters(shared, &mut counted);
        if let Err(failure) = beat(shared, &producer, &seen, &committed, &mut stalled) {
            shared.say(Severity::Warning, &failure.to_string());
        }
    }
    Ok(())
}

fn beat(
    shared: &Shared,
    producer: &BaseProducer<Acknowledged>,
    seen: &Watermarks,
    committed: &Watermarks,
    stalled: &mut BTreeMap<i32, (i64, u32)>,
) -> Result<(), Failure> {
    let settings = shared.clients.settings();
    let audit = settings.topics.of(Topic::Audit);
    let partitions = shared.partitions();
    let time_ms = send(shared, producer, &partitions)?;
    if let Some(time_ms) = time_ms {
        shared.metrics.figures.heartbeat.with_label_values::<&str>(&[]).set(time_ms as f64 / 1000.0);
    }
    for (partition, status) in partitions.iter().filter(|(_, status)| !status.restoring) {
        let (_, end) = seen.of(audit, *partition)?;
        if let (RecordTime::Broker, Some(time_ms)) = (settings.record_time, time_ms) {
            shared.pulse.put(*partition, End { offset: end, time_ms });
        }
        // Nothing is skipped: an open transaction is waited for, but a person should know.
        let (_, stable) = committed.of(audit, *partition)?;
        let stands = status.offset >= stable && stable < end;
        let since = stalled.entry(*partition).or_default();
        *since = if stands && since.0 == stable { (stable, since.1 + 1) } else { (stable, 0) };
        let stalled = stands && since.1 >= STALLED_BEATS;
        shared.pulse.see(*partition, status, |seen| (seen.end, seen.stalled) = (end, stalled));
        if stands && since.1 == STALLED_BEATS {
            shared.alarm(
                AlarmKind::Stalled,
                Some(*partition),
                &format!(
                    "{audit} [{partition}] stands at {stable} before a transaction that is open, {} records before its end: \
                     nothing behind it is judged until its producer ends it or the broker gives it up",
                    end - stable
                ),
            );
        }
    }
    Ok(())
}

/// Looks where partitions end, for those who want to know how far behind we are. Trouble is told by the next heartbeat.
fn look_at_ends(shared: &Shared, seen: &Watermarks) {
    let settings = shared.clients.settings();
    let audit = settings.topics.of(Topic::Audit);
    let ours = shared.partitions();
    // What was seen of a partition before it was put back says nothing of now.
    let is_at_work = |partition: &i32| ours.get(partition).is_some_and(|status| !status.restoring);
    shared
        .pulse
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .retain(|partition, _| is_at_work(partition));
    for (partition, status) in ours.iter().filter(|(_, status)| !status.restoring) {
        let partition = *partition;
        if shared.stops() {
            return;
        }
        let Ok((_, end)) = seen.once(audit, partition, LOOK_WITHIN) else { continue };
        let waiting = end.saturating_sub(status.read_to);
        let late =
            status.latest_record.filter(|_| waiting > 0).map_or(0, |latest| now_ms().saturating_sub(latest));
        shared.pulse.see(partition, status, |seen| {
            seen.end = end;
            seen.lateness.look(late);
            seen.load.look(waiting, status.offset, LOOK_AT_ENDS, &settings.overload);
        });
    }
}

/// Sends what the operator has to be told; what cannot be sent is in the log.
fn send_alarms(shared: &Shared, producer: &BaseProducer<Acknowledged>) {
    let alarms = std::mem::take(&mut *shared.pulse.alarms.lock().unwrap_or_else(PoisonError::into_inner));
    let topic = shared.clients.settings().topics.of(Topic::Status);
    for mut alarm in alarms {
        shared.clients.instance().clone_into(&mut alarm.instance);
        let key = alarm.partition.map_or_else(String::new, |partition| partition.to_string());
        if let Ok(value) = serde_json::to_vec(&alarm) {
            let _ = producer.send(BaseRecord::to(topic).key(&key).payload(&value));
        }
    }
    producer.poll(Duration::ZERO);
}

/// Records of a partition that were counted at a heartbeat.
#[derive(Clone, Copy, Default)]
struct Counted {
    events: u64,
    dead_letters: u64,
    /// Heartbeats in a row until now with too many dead letters.
    bad: u32,
    misplaced: u64,
    /// When it was told of such events last.
    told: Option<Instant>,
}

/// Tells of a partition of whose records too many could not be used since the last heartbeat.
fn look_at_dead_letters(shared: &Shared, counted: &mut BTreeMap<i32, Counted>) {
    let (share, least) = DEAD_SHARE;
    // What one that is being put back repeats has been counted before.
    let at_work: BTreeMap<_, _> =
        shared.partitions().into_iter().filter(|(_, status)| !status.restoring).collect();
    counted.retain(|partition, _| at_work.contains_key(partition));
    for (partition, status) in at_work {
        let (events, dead_letters) = (status.counts.events, status.counts.dead_letters);
        let known = counted.get(&partition).copied();
        let before = known.unwrap_or(Counted {
            events,
            dead_letters,
            misplaced: status.counts.misplaced,
            ..Counted::default()
        });
        let dead = dead_letters.saturating_sub(before.dead_letters);
        let events_since = events.saturating_sub(before.events);
        let too_many = dead >= least && dead as f64 > share * (events_since + dead) as f64;
        let bad = if too_many { before.bad + 1 } else { 0 };
        let misplaced = status.counts.misplaced;
        let told = look_at_places(shared, partition, misplaced.saturating_sub(before.misplaced), before.told);
        counted.insert(partition, Counted { events, dead_letters, bad, misplaced, told });
        // One heartbeat alone says nothing, neither that it begins nor that it is over.
        if known.is_some() {
            shared.pulse.see(partition, &status, |seen| {
                seen.dead_letters = bad >= BAD_BEATS || (seen.dead_letters && too_many);
            });
        }
        if too_many {
            shared.alarm(
                AlarmKind::DeadLetters,
                Some(partition),
                &format!(
                    "{dead} of {} records of partition {partition} could not be used since the last heartbeat: look into {}",
                    events_since + dead,
                    shared.clients.settings().topics.of(Topic::DeadLetters)
                ),
            );
        }
    }
}

/// Tells of events that lie where they do not belong, once in a while; returns when that was.
fn look_at_places(shared: &Shared, partition: i32, events: u64, told: Option<Instant>) -> Option<Instant> {
    if events == 0 || told.is_some_and(|told| told.elapsed() < MISPLACED_EVERY) {
        return told;
    }
    shared.alarm(
        AlarmKind::Misplaced,
        Some(partition),
        &format!(
            "{events} events of partition {partition} since the last heartbeat lie there although their key leads elsewhere, or \
             have no key: one agent may be known as two; producers must write with key = agent id and Kafka's own partitioner \
             (librdkafka: partitioner=murmur2_random)"
        ),
    );
    Some(Instant::now())
}

/// Sends a heartbeat; returns when the broker says it was written.
fn send(
    shared: &Shared,
    producer: &BaseProducer<Acknowledged>,
    partitions: &BTreeMap<i32, PartitionStatus>,
) -> Result<Option<i64>, Failure> {
    let settings = shared.clients.settings();
    let topic = settings.topics.of(Topic::Status);
    let beats = partitions.iter().map(|(partition, status)| Beat {
        partition: *partition,
        restoring: status.restoring,
        offset: status.offset,
        lag: None,
        latest_record_ms: status.latest_record,
        agents: status.agents,
        baseline: status.version,
        blind: status.blindness,
        events: status.counts.events,
        dead_letters: status.counts.dead_letters,
    });
    let heartbeat = Heartbeat {
        schema: SCHEMA,
        instance: shared.clients.instance(),
        version: env!("CARGO_PKG_VERSION"),
        delivery: settings.delivery.name(),
        record_time: settings.record_time.name(),
        partitions: beats.collect(),
    };
    let value = serde_json::to_vec(&heartbeat)
        .map_err(|error| Failure::set_up(format!("a heartbeat cannot be written: {error}")))?;
    *producer.context().time_ms.lock().unwrap_or_else(PoisonError::into_inner) = None;
    producer
        .send(BaseRecord::to(topic).key(shared.clients.instance()).payload(&value))
        .map_err(|(error, _)| Failure::new(&format!("write to {topic}"), &error, None))?;
    let until = Instant::now() + ACKNOWLEDGED;
    while Instant::now() < until && !shared.stops() {
        producer.poll(LOOK);
        if let Some(time) = *producer.context().time_ms.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Some(time));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_at_which_nobody_has_looked_yet_is_as_blind_as_it_was() {
        let pulse = Pulse::default();
        let status = |blindness| PartitionStatus { blindness, ..PartitionStatus::default() };
        pulse.see(0, &status(Some(Blindness::Behind)), |seen| seen.lateness.look(60_000));
        assert!(pulse.seen_of(0).unwrap().lateness.is_behind, "it has not caught up");
        pulse.see(0, &status(Some(Blindness::Behind)), |seen| seen.lateness.look(0));
        assert!(!pulse.seen_of(0).unwrap().lateness.is_behind);
        pulse.see(1, &status(Some(Blindness::DeadLetters)), |seen| seen.end = 7);
        assert!(pulse.seen_of(1).unwrap().dead_letters);
        pulse.see(2, &status(None), |seen| seen.end = 7);
        assert_eq!(pulse.seen_of(2), Some(Seen { end: 7, ..Seen::default() }));
        let sheds = PartitionStatus { sheds: true, ..status(Some(Blindness::Skipped)) };
        pulse.see(3, &sheds, |seen| seen.end = 7);
        assert_eq!(pulse.seen_of(3).unwrap().load, Load::as_of(true, true));
    }
}
