//! Translates sources: records of their topics in, audit events out.
//!
//! Knows how far each source has come. Must not know what a record means, and keeps nothing that could not be read again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::message::{BorrowedMessage, Message};

use super::relay::{Relay, Work, is_there};
use super::writer::now_ms;
use crate::kafka::client::Clients;
use crate::kafka::failure::Failure;
use crate::kafka::settings::{RecordTime, SourceTopic, Topic};
use crate::metrics::Metrics;
use crate::partition::Outgoing;
use crate::time::EventTime;
use crate::wire::dead_letter::{DeadLetter, Reason, Refusal};
use crate::wire::input::Line;
use crate::wire::progress::{PROGRESS_SCHEMA, Progress};
use crate::wire::sources::normaliser::{Normal, Normaliser, NormaliserError, RecordPlace, Unusable};

/// Between two progress records of a partition.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

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
}

/// Translating, at work.
pub struct Normalising(Relay);

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
        for SourceTopic { topic, .. } in sources {
            if !is_there(clients, topic)? {
                let text = format!(
                    "{topic}, which [[sources]] names, is not there: make it, or mend the name; it needs Read and Describe"
                );
                return Err(Failure::set_up(text).into());
            }
        }
        let shared = Arc::new(Shared {
            clients: clients.for_sources(),
            metrics: Arc::clone(metrics),
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
        });
        let mut relay = Relay::new(clients, "a source");
        let threads = normalisers.into_iter().flat_map(|(source, normaliser)| {
            (0..source.threads).map(move |_| (source.topic.clone(), normaliser.clone()))
        });
        for ((topic, normaliser), number) in threads.zip(0..) {
            let (shared, of) = (Arc::clone(&shared), topic.clone());
            let work = move || Translating {
                shared: Arc::clone(&shared),
                topic: of.clone(),
                normaliser: normaliser.clone(),
                places: BTreeMap::new(),
                next_progress: Instant::now() + PROGRESS_EVERY,
            };
            relay.spawn(clients.for_sources(), number, topic, work);
        }
        Ok(Self(relay))
    }

    /// Whether a thread has ended by itself: then this must be ended, and says why.
    pub fn has_failed(&self) -> bool {
        self.0.has_failed()
    }

    /// Ends: what was taken is written, partitions are given up. Within ten seconds.
    ///
    /// # Errors
    ///
    /// When a thread ended in a panic.
    pub fn stop(self) -> Result<(), Failure> {
        self.0.stop()
    }
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
    /// Whether it was told how far it has come.
    told: bool,
}

/// One thread of a source.
struct Translating {
    shared: Arc<Shared>,
    topic: String,
    normaliser: Normaliser,
    places: BTreeMap<i32, Place>,
    next_progress: Instant,
}

impl Work for Translating {
    fn take(&mut self, message: &BorrowedMessage<'_>, outputs: &mut Vec<Outgoing>) -> Result<(), Failure> {
        let latest = translate(&self.normaliser, &self.shared, message, outputs);
        let place = self.places.entry(message.partition()).or_default();
        place.next = Some(message.offset() + 1);
        place.latest = place.latest.max(latest);
        place.at_end = false;
        Ok(())
    }

    fn reached_end(&mut self, partition: i32) {
        self.places.entry(partition).or_default().at_end = true;
    }

    fn give_up(&mut self, partition: i32) {
        self.places.remove(&partition);
    }

    fn written(&mut self, records: usize, outputs: &[Outgoing]) {
        let figures = &self.shared.metrics.figures;
        let topic = self.topic.as_str();
        figures.source_records.with_label_values(&[topic]).inc_by(records as u64);
        let events = |record: &&Outgoing| record.topic == Topic::Audit && record.headers.is_empty();
        let events = outputs.iter().filter(events).count();
        figures.source_events.with_label_values(&[topic]).inc_by(events as u64);
        for letter in outputs.iter().filter(|record| record.topic == Topic::DeadLetters) {
            let reason = letter.headers.iter().find(|(name, _)| *name == "reason");
            let reason = reason.map_or("", |(_, reason)| reason.as_str());
            figures.source_refusals.with_label_values(&[topic, reason]).inc();
        }
    }

    fn more(&mut self) -> Vec<Outgoing> {
        // Of a new partition it is told with its first events: whoever waits for them knows at once that somebody translates.
        let all = Instant::now() >= self.next_progress;
        if all {
            self.next_progress = Instant::now() + PROGRESS_EVERY;
        }
        self.progress(all)
    }
}

impl Translating {
    /// How far each partition of the source has come, for every partition of the audit topic.
    ///
    /// * `all`: not only of those of which nothing was told.
    fn progress(&mut self, all: bool) -> Vec<Outgoing> {
        let settings = self.shared.clients.settings();
        let believed = settings.record_time == RecordTime::Producer;
        let mut records = Vec::new();
        for (partition, place) in self.places.iter_mut().filter(|(_, place)| all || !place.told) {
            let now = (place.at_end && !believed).then(|| EventTime(now_ms()));
            let Some(watermark) = now.or(place.latest) else { continue };
            place.told = true;
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
