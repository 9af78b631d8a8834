//! Translates sources: records of their topics in, audit events out, in one transaction with the offsets.
//!
//! Knows consumers, transactions and how far each source has come. Must not know what a record means, and keeps nothing
//! that could not be read again.
//!
//! Whatever fails, producer and consumer are made anew: the new producer settles what was open, the new consumer begins
//! where the group stands. So there is nothing to put back.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::STOP_WITHIN;
use super::assignment::{Decided, Membership};
use super::writer::{Together, Writer, now_ms};
use crate::kafka::client::{Begin, Clients, Context, Isolation, Severity};
use crate::kafka::failure::{Failure, Next};
use crate::kafka::settings::{RecordTime, SourceTopic, Topic};
use crate::metrics::Metrics;
use crate::partition::Outgoing;
use crate::time::EventTime;
use crate::wire::dead_letter::{DeadLetter, Reason, Refusal};
use crate::wire::input::Line;
use crate::wire::progress::{PROGRESS_SCHEMA, Progress};
use crate::wire::sources::normaliser::{Normal, Normaliser, NormaliserError, RecordPlace, Unusable};

/// How long a poll waits for the first record.
const POLL: Duration = Duration::from_millis(50);
/// After the first record, others are waited for so long: a transaction for each would be slow.
const GATHER: Duration = Duration::from_millis(20);
/// Records that are taken at once, their bytes, and events that may follow from them before others are taken.
const BATCH: usize = 4096;
const BATCH_BYTES: usize = 8 << 20;
const BATCH_EVENTS: usize = 20_000;
/// Between two progress records of a partition.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// The first ones come early, so that it is soon known that somebody translates.
const PROGRESS_FIRST: Duration = Duration::from_secs(2);
/// Between two tries, at first and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// A broker that is there answers within this.
const ANSWER: Duration = Duration::from_secs(30);
/// Between two looks whether it ends.
const LOOK: Duration = Duration::from_millis(20);

/// Why translating could not begin.
#[derive(Debug, thiserror::Error)]
pub enum NormaliseError {
    /// There is nothing to translate.
    #[error(
        "there are no sources: add [[sources]] with a topic and its format to the configuration (docs/sources.md)"
    )]
    NoSources,
    /// A mapping cannot be used.
    #[error(transparent)]
    Normaliser(#[from] NormaliserError),
    /// A topic of a source is not there, or the broker cannot be asked.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl NormaliseError {
    /// Exit status of a command that ends with it, as [`Failure::exit_code`].
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoSources | Self::Normaliser(_) => 64,
            Self::Failed(failure) => failure.exit_code(),
        }
    }
}

/// What all threads share.
struct Shared {
    clients: Clients,
    metrics: Arc<Metrics>,
    partitions: i32,
    stop: AtomicBool,
}

/// Translating, at work.
pub struct Normalising {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Normalising {
    /// Starts the threads of all sources.
    ///
    /// * `partitions`: of the topic of audit events.
    /// * `key`: of the hashes in events.
    /// * `metrics`: where it counts what it does.
    ///
    /// # Errors
    ///
    /// When there are no sources, a mapping cannot be used, or a topic is not there.
    pub fn start(
        clients: &Clients,
        sources: &[SourceTopic],
        partitions: u32,
        key: &[u8],
        metrics: &Arc<Metrics>,
    ) -> Result<Self, NormaliseError> {
        if sources.is_empty() {
            return Err(NormaliseError::NoSources);
        }
        let normalisers = sources.iter().map(|source| Ok((source, Normaliser::new(&source.format, key)?)));
        let normalisers = normalisers.collect::<Result<Vec<_>, NormaliserError>>()?;
        sources.iter().try_for_each(|source| is_there(clients, &source.topic))?;
        let shared = Arc::new(Shared {
            clients: clients.for_sources(),
            metrics: Arc::clone(metrics),
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            stop: AtomicBool::new(false),
        });
        let mut threads = Vec::new();
        for (source, normaliser) in normalisers {
            for _ in 0..source.threads {
                let number = u32::try_from(threads.len()).unwrap_or(u32::MAX);
                let (shared, normaliser) = (Arc::clone(&shared), normaliser.clone());
                let topic = source.topic.clone();
                let run = move || run(&shared, number, &topic, &normaliser);
                threads.extend(thread::Builder::new().name("normalise".to_owned()).spawn(run));
            }
        }
        Ok(Self { shared, threads })
    }

    /// Whether a thread has ended by itself: then this must be ended, and says why.
    pub fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends: what was taken is written, partitions are given up. Within ten seconds.
    ///
    /// # Errors
    ///
    /// When a thread ended in a panic.
    pub fn stop(self) -> Result<(), Failure> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + STOP_WITHIN;
        let mut ended = Ok(());
        for thread in self.threads {
            while !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5));
            }
            if !thread.is_finished() {
                let line =
                    "a source did not end in time; what was not written is translated at the next start";
                self.shared.clients.say(Severity::Warning, line);
                continue;
            }
            if thread.join().is_err() {
                let text = "translating ended in a panic; please report what was printed";
                ended = Err(Failure::set_up(text.to_owned()));
            }
        }
        ended
    }
}

impl Shared {
    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Whether a source has a topic.
fn is_there(clients: &Clients, topic: &str) -> Result<(), Failure> {
    let consumer: BaseConsumer<Context> = clients
        .reader(Isolation::Committed)?
        .create_with_context(clients.context())
        .map_err(|error| Failure::new("make a reader", &error, None))?;
    let found = consumer.fetch_metadata(Some(topic), ANSWER).map_err(|error| {
        Failure::new(&format!("ask for {topic}"), &error, consumer.context().trouble().as_ref())
    })?;
    if found.topics().iter().any(|found| found.name() == topic && !found.partitions().is_empty()) {
        return Ok(());
    }
    Err(Failure::set_up(format!(
        "{topic}, which [[sources]] names, is not there: make it, or mend the name; it needs Read and Describe"
    )))
}

/// Translates one source until it ends; trouble is told, and it begins anew.
fn run(shared: &Shared, thread: u32, topic: &str, normaliser: &Normaliser) {
    let mut wait = BACK_OFF.0;
    loop {
        let began = Instant::now();
        let ended = session(shared, thread, topic, normaliser);
        let Err(failure) = ended else { return };
        if shared.stops() {
            return;
        }
        // Detection goes on meanwhile: it must not end because a source is gone.
        let severity = if failure.next == Next::Mend { Severity::Error } else { Severity::Warning };
        shared.clients.say(severity, &format!("{topic}: {failure}; it is tried again"));
        if began.elapsed() > BACK_OFF.1 {
            wait = BACK_OFF.0;
        }
        let until = Instant::now() + wait;
        while Instant::now() < until && !shared.stops() {
            thread::sleep(LOOK);
        }
        wait = (wait * 2).min(BACK_OFF.1);
    }
}

fn session(shared: &Shared, thread: u32, topic: &str, normaliser: &Normaliser) -> Result<(), Failure> {
    let config = shared.clients.producer(thread)?;
    let writer = Writer::new(&shared.clients, &config, || shared.stops())?;
    let mut config = shared.clients.consumer(thread, Begin::Earliest)?;
    // How far a source has come shows where nothing is left of it.
    config.set("enable.partition.eof", "true").set("statistics.interval.ms", "0");
    let consumer: BaseConsumer<Membership> = config
        .create_with_context(Membership::new(shared.clients.context()))
        .map_err(|error| Failure::new("make a consumer", &error, None))?;
    let subscribed = consumer
        .subscribe(&[topic])
        .map_err(|error| Failure::new(&format!("subscribe to {topic}"), &error, None));
    let mut session = Session {
        shared,
        topic,
        normaliser,
        consumer,
        writer,
        places: BTreeMap::new(),
        next_progress: Instant::now() + PROGRESS_FIRST,
    };
    let ended = subscribed.and_then(|()| {
        while !shared.stops() {
            session.turn()?;
        }
        Ok(())
    });
    // Dropping it waits until everything is given up.
    session.consumer.context().close();
    ended
}

/// How far a partition of the source has been translated.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// The next record, once one was read.
    next: Option<i64>,
    /// The latest event.
    latest: Option<EventTime>,
    /// Whether nothing was left to be read.
    at_end: bool,
}

/// A consumer and a producer, as long as nothing fails.
struct Session<'s> {
    shared: &'s Shared,
    topic: &'s str,
    normaliser: &'s Normaliser,
    consumer: BaseConsumer<Membership>,
    writer: Writer,
    places: BTreeMap<i32, Place>,
    next_progress: Instant,
}

impl Session<'_> {
    /// Takes what there is, translates it, writes it.
    fn turn(&mut self) -> Result<(), Failure> {
        let mut outputs = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        let mut trouble = None;
        let mut until = Instant::now() + POLL;
        while count < BATCH && bytes < BATCH_BYTES && outputs.len() < BATCH_EVENTS {
            match self.consumer.poll(until.saturating_duration_since(Instant::now())) {
                None => break,
                Some(Ok(message)) => {
                    if count == 0 {
                        until = Instant::now() + GATHER;
                    }
                    count += 1;
                    bytes += message.payload_len();
                    let latest = translate(self.normaliser, self.shared, &message, &mut outputs);
                    let place = self.places.entry(message.partition()).or_default();
                    *place = Place {
                        next: Some(message.offset() + 1),
                        latest: place.latest.max(latest),
                        at_end: false,
                    };
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.places.entry(partition).or_default().at_end = true;
                }
                Some(Err(error)) => {
                    trouble = Some(error);
                    break;
                }
            }
        }
        let decided = self.consumer.context().take();
        if self.consumer.assignment_lost() {
            // Others translate it by now; what was taken here is dropped.
            return Err(
                self.failure(&KafkaError::Global(rdkafka::error::RDKafkaErrorCode::RebalanceInProgress))
            );
        }
        if decided.is_empty() && Instant::now() >= self.next_progress {
            self.next_progress = Instant::now() + PROGRESS_EVERY;
            outputs.extend(self.progress());
        }
        if count > 0 || !outputs.is_empty() {
            self.write(&outputs)?;
            self.count(count, &outputs);
        }
        // Only now: what was taken of a partition that is given up has been written by then.
        for decided in decided {
            self.decide(decided)?;
        }
        trouble.map_or(Ok(()), |error| self.tell(&error))
    }

    /// Counts what was written.
    fn count(&self, records: usize, outputs: &[Outgoing]) {
        let figures = &self.shared.metrics.figures;
        figures.source_records.with_label_values(&[self.topic]).inc_by(records as u64);
        let events = |record: &&Outgoing| record.topic == Topic::Audit && record.headers.is_empty();
        let events = outputs.iter().filter(events).count();
        figures.source_events.with_label_values(&[self.topic]).inc_by(events as u64);
        for letter in outputs.iter().filter(|record| record.topic == Topic::DeadLetters) {
            let reason = letter.headers.iter().find(|(name, _)| *name == "reason");
            let reason = reason.map_or("", |(_, reason)| reason.as_str());
            figures.source_refusals.with_label_values(&[self.topic, reason]).inc();
        }
    }

    fn write(&self, outputs: &[Outgoing]) -> Result<(), Failure> {
        let mut offsets = TopicPartitionList::new();
        for (partition, place) in &self.places {
            if let Some(next) = place.next {
                offsets
                    .add_partition_offset(self.topic, *partition, Offset::Offset(next))
                    .map_err(|error| Failure::new("note an offset", &error, None))?;
            }
        }
        let together = Together { outputs: outputs.iter().collect(), state: Vec::new(), offsets };
        self.writer.write(&together, &self.consumer)
    }

    fn decide(&mut self, decided: Decided) -> Result<(), Failure> {
        let topic = self.topic;
        let failed = |doing: &'static str| {
            move |error: KafkaError| Failure::new(&format!("{doing} of {topic}"), &error, None)
        };
        match decided {
            Decided::Assigned(partitions) => {
                let take = failed("take the partitions assigned");
                self.consumer.incremental_assign(&partitions).map_err(take)
            }
            Decided::Revoked(partitions) => {
                for place in partitions.elements() {
                    self.places.remove(&place.partition());
                }
                let give = failed("give up the partitions revoked");
                self.consumer.incremental_unassign(&partitions).map_err(give)
            }
            Decided::Failed(why) => {
                let line = format!("{topic}: the group could not be joined: {why}; it is tried again");
                self.shared.clients.say(Severity::Warning, &line);
                self.places.clear();
                let _ = self.consumer.unassign();
                Ok(())
            }
        }
    }

    /// How far each partition of the source has come, for every partition of the audit topic.
    fn progress(&self) -> Vec<Outgoing> {
        let settings = self.shared.clients.settings();
        let believed = settings.record_time == RecordTime::Producer;
        let mut records = Vec::new();
        for (partition, place) in &self.places {
            let now = (place.at_end && !believed).then(|| EventTime(now_ms()));
            let Some(watermark) = now.or(place.latest) else { continue };
            let progress = Progress {
                schema: PROGRESS_SCHEMA.to_owned(),
                normaliser: format!("{}/{}", settings.group, self.shared.clients.instance()),
                topic: self.topic.to_owned(),
                partition: *partition,
                offset: place.next,
                watermark,
            };
            let Ok(value) = serde_json::to_vec(&progress) else { continue };
            let key = format!("~progress|{}|{partition}", self.topic);
            records.extend((0..self.shared.partitions).map(|to| Outgoing {
                partition: Some(to),
                // A producer that is believed must not say that it is later than its events do.
                timestamp_ms: believed.then_some(watermark.0),
                headers: vec![("tiltmeter", "progress".to_owned())],
                ..Outgoing::new(Topic::Audit, key.as_str(), value.clone())
            }));
        }
        records
    }

    /// Trouble of the consumer: passing, or for good.
    fn tell(&self, error: &KafkaError) -> Result<(), Failure> {
        let failure = self.failure(error);
        if failure.next != Next::Retry {
            return Err(failure);
        }
        self.shared.clients.say(Severity::Warning, &failure.to_string());
        Ok(())
    }

    fn failure(&self, error: &KafkaError) -> Failure {
        let trouble = self.consumer.context().context().trouble();
        Failure::new(&format!("read {}", self.topic), error, trouble.as_ref())
    }
}

/// What follows from one record; returns the latest time of its events.
fn translate(
    normaliser: &Normaliser,
    shared: &Shared,
    message: &BorrowedMessage<'_>,
    outputs: &mut Vec<Outgoing>,
) -> Option<EventTime> {
    let begin = outputs.len();
    let recorded = message.timestamp().to_millis();
    let place =
        RecordPlace { topic: message.topic(), partition: message.partition(), offset: message.offset() };
    let value = message.payload().unwrap_or_default();
    let whole =
        Line { bytes: value, source: 0, number: 1, offset: 0, length: value.len() as u64, sha256: None };
    let mut latest = None;
    let mut each = |outputs: &mut Vec<Outgoing>, one: Result<Normal, Unusable<'_>>| match one {
        Ok(normal) => {
            latest = latest.max(Some(normal.time));
            let believed = shared.clients.settings().record_time == RecordTime::Producer;
            outputs.push(Outgoing {
                timestamp_ms: recorded.filter(|_| believed),
                ..Outgoing::new(Topic::Audit, normal.agent_id, normal.json)
            });
        }
        Err(unusable) => outputs.extend(dead_letter(message, &unusable)),
    };
    if message.payload().is_none() {
        let refusal =
            Refusal::new(Reason::NotJson, "the record has no value; write one record of the source in each");
        each(outputs, Err(Unusable { refusal, line: whole }));
        return latest;
    }
    let read = catch_unwind(AssertUnwindSafe(|| normaliser.read(value, place, |one| each(outputs, one))));
    if read.is_err() {
        outputs.truncate(begin);
        let refusal = Refusal::new(
            Reason::Panic,
            "translating it ended in a panic; please report it with the record, without what is confidential",
        );
        // It may hold anything, also what must not be kept.
        outputs.extend(dead_letter(message, &Unusable { refusal, line: whole.without_content() }));
    }
    latest
}

fn dead_letter(message: &BorrowedMessage<'_>, unusable: &Unusable<'_>) -> Option<Outgoing> {
    let letter = DeadLetter::new(&unusable.refusal, message.topic(), &unusable.line);
    let value = serde_json::to_vec(&letter).ok()?;
    Some(Outgoing {
        headers: vec![
            ("topic", message.topic().to_owned()),
            ("partition", message.partition().to_string()),
            ("offset", message.offset().to_string()),
            ("timestamp", message.timestamp().to_millis().unwrap_or_default().to_string()),
            ("reason", unusable.refusal.reason.label().to_owned()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ],
        ..Outgoing::new(Topic::DeadLetters, message.key().unwrap_or_default(), value)
    })
}
