//! The control topic as its chain shows it: what people decided, in order, and where it was tampered with.
//!
//! Knows the topic and the chain. Must not know what a record does, nor how it is shown.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde::Serialize;

use super::chain::{ChainKey, HEADER, Link, Step, Walk};
use super::client::{self, Clients, Context, Isolation};
use super::failure::Failure;
use super::settings::Topic;
use super::unreadable::{is_unreadable, next_readable};
use crate::control::Control;
use crate::time::EventTime;
use crate::wire::control;

/// A broker that is there answers within this.
const ANSWER: Duration = Duration::from_secs(30);
/// Records from the end in which a link is looked for first.
const NEAR: i64 = 256;

/// A control record in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Where it stands.
    pub offset: i64,
    /// When it was written, as Kafka has it.
    pub written: EventTime,
    /// Its kind; `unreadable` where it is no control record, `lost` for records
    /// that nobody can read.
    pub kind: String,
    /// Who said so, as the record has it.
    pub by: String,
    /// Whom it is about, and of a verdict what was decided.
    pub about: String,
    /// Its link, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Where the chain breaks at it: the link that would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Whether it was written before there was a chain.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub before: bool,
}

/// The chain of a control topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Name of the topic.
    pub topic: String,
    /// Every record, in order.
    pub entries: Vec<Entry>,
    /// The link of the last record: written down elsewhere, it shows later that nothing was cut off behind it.
    pub head: String,
}

impl Audit {
    /// The first record at which the chain breaks.
    pub fn first_break(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.expected.is_some())
    }
}

/// Reads the control topic from its first record to where it ends now.
///
/// # Errors
///
/// When the topic cannot be read, or the key of the chain.
pub fn audit(clients: &Clients) -> Result<Audit, Failure> {
    let topic = clients.settings().topics.of(Topic::Control).to_owned();
    let mut walk = Walk::new(key(clients)?);
    let mut entries = Vec::new();
    let reader = Reader::new(clients, &topic)?;
    let mut told = 0;
    let lost = reader.read(reader.begin, |message, lost| {
        entries.extend(lost.iter().skip(told).map(missing));
        told = lost.len();
        let (key, value) = (message.key().unwrap_or_default(), message.payload());
        let header = header(message);
        let step = walk.step(key, value, header);
        let (kind, by, about) = said(value);
        entries.push(Entry {
            offset: message.offset(),
            written: EventTime(message.timestamp().to_millis().unwrap_or_default()),
            kind,
            by,
            about,
            link: header.and_then(Link::read).map(|link| link.to_string()),
            expected: match step {
                Step::Broken { expected, .. } => Some(expected.to_string()),
                Step::Before | Step::Right => None,
            },
            before: step == Step::Before,
        });
    })?;
    entries.extend(lost.iter().skip(told).map(missing));
    Ok(Audit { topic, entries, head: walk.last().to_string() })
}

/// Where the next record of the chain is written.
pub(super) struct Head {
    /// The key of the chain.
    pub chain: ChainKey,
    /// The link behind which it stands.
    pub last: Link,
    /// The record that was looked for, if it is there: its offset and value.
    pub found: Option<(i64, Vec<u8>)>,
    /// The end of the topic. Offset.
    pub end: i64,
}

/// Reads the last records only, where there is a link among them.
///
/// * `since`: where the topic ended before; what was written since is read in any case.
/// * `sought`: tells by its key a record that is looked for; of several the first is told.
pub(super) fn head(
    clients: &Clients,
    topic: &str,
    since: Option<i64>,
    sought: impl Fn(&[u8]) -> bool,
) -> Result<Head, Failure> {
    let key = key(clients)?;
    let reader = Reader::new(clients, topic)?;
    let mut near = NEAR.max(since.map_or(0, |since| reader.end.saturating_sub(since)));
    loop {
        let from = reader.begin.max(reader.end.saturating_sub(near));
        let mut last = (from == reader.begin).then_some(Link::START);
        let mut found = None;
        reader.read(from, |message, _| {
            let own = message.key().unwrap_or_default();
            if found.is_none() && sought(own) {
                found = message.payload().map(|value| (message.offset(), value.to_vec()));
            }
            let linked = |before| key.link(before, own, message.payload());
            last = header(message).and_then(Link::read).or_else(|| last.map(linked));
        })?;
        match last {
            Some(last) => return Ok(Head { chain: key, last, found, end: reader.end }),
            None => near = near.saturating_mul(8),
        }
    }
}

/// What nobody can read, in its place: the chain does not lead through it.
fn missing((from, until): &(i64, i64)) -> Entry {
    Entry {
        offset: *from,
        written: EventTime(0),
        kind: "lost".to_owned(),
        by: String::new(),
        about: format!("records to offset {until} (excluded), which cannot be read"),
        link: None,
        expected: Some("records that can be read".to_owned()),
        before: false,
    }
}

/// The key of the chain as it is now.
fn key(clients: &Clients) -> Result<ChainKey, Failure> {
    let Some(place) = &clients.settings().control_key else { return Ok(ChainKey::default()) };
    let secret = place.read().map_err(|error| Failure::set_up(format!("[kafka] control_key: {error}")))?;
    Ok(ChainKey::new(secret.reveal()))
}

fn header<'m>(message: &'m BorrowedMessage<'_>) -> Option<&'m [u8]> {
    let headers = message.headers()?;
    headers.iter().find(|header| header.key == HEADER)?.value
}

/// Kind, person and subject of a record.
fn said(value: Option<&[u8]>) -> (String, String, String) {
    let Some(value) = value else { return ("deleted".to_owned(), String::new(), String::new()) };
    let Ok(record) = control::decode(value) else {
        return ("unreadable".to_owned(), String::new(), String::new());
    };
    let about = match (&record.kind, record.subject()) {
        (Control::Verdict(verdict), _) => {
            let tenant = verdict.tenant.as_ref().map_or(String::new(), |tenant| format!("{tenant}/"));
            format!("{tenant}{} {}", verdict.agent_id, verdict.verdict.name())
        }
        (_, Some(subject)) => subject.to_string(),
        (_, None) => String::new(),
    };
    (record.kind.name().to_owned(), record.by, about)
}

/// Reads what is committed of the one partition of a topic, up to where it ended when this was made.
struct Reader<'t> {
    clients: &'t Clients,
    topic: &'t str,
    begin: i64,
    end: i64,
}

impl<'t> Reader<'t> {
    fn new(clients: &'t Clients, topic: &'t str) -> Result<Self, Failure> {
        let consumer = consumer(clients)?;
        // Behind an open transaction nothing may be read: whoever holds it is not through yet.
        let (begin, end) = consumer.fetch_watermarks(topic, 0, ANSWER).map_err(|error| {
            let doing = format!("ask where {topic} ends");
            Failure::new(&doing, &error, consumer.context().trouble().as_ref())
        })?;
        Ok(Self { clients, topic, begin, end })
    }

    /// Hands on every record from an offset on; returns what nobody can read, as first offsets and those behind the last.
    fn read(
        &self,
        from: i64,
        mut each: impl FnMut(&BorrowedMessage<'_>, &[(i64, i64)]),
    ) -> Result<Vec<(i64, i64)>, Failure> {
        let (mut next, mut lost) = (from, Vec::new());
        let mut consumer = self.standing(next)?;
        let mut until = Instant::now() + ANSWER;
        while next < self.end {
            match consumer.poll(Duration::from_millis(100)) {
                None if Instant::now() < until => {}
                None => {
                    let why = format!("{} cannot be read to its end within {ANSWER:?}", self.topic);
                    return Err(Failure::passing(why));
                }
                Some(Ok(message)) if message.offset() >= self.end => break,
                Some(Ok(message)) => {
                    next = message.offset() + 1;
                    each(&message, &lost);
                    until = Instant::now() + ANSWER;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                // librdkafka looks for the coordinator of a group that nothing is asked of: who decides need not have a right to it.
                Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::GroupAuthorizationFailed))) => {}
                Some(Err(error)) if is_unreadable(&error) => {
                    // Where it is now is not known.
                    if let Some(readable) = next_readable(self.clients, self.topic, 0, next)? {
                        lost.push((next, readable));
                        next = readable;
                    }
                    consumer = self.standing(next)?;
                    until = Instant::now() + ANSWER;
                }
                Some(Err(error)) => return Err(self.failed(&consumer, &error)),
            }
        }
        Ok(lost)
    }

    /// A consumer that stands at an offset.
    fn standing(&self, from: i64) -> Result<BaseConsumer<Context>, Failure> {
        let consumer = consumer(self.clients)?;
        let mut place = TopicPartitionList::new();
        let assigned = place
            .add_partition_offset(self.topic, 0, Offset::Offset(from))
            .and_then(|()| consumer.assign(&place));
        assigned.map_err(|error| self.failed(&consumer, &error))?;
        Ok(consumer)
    }

    fn failed(&self, consumer: &BaseConsumer<Context>, error: &KafkaError) -> Failure {
        let doing = format!("read {}", self.topic);
        Failure::new(&doing, error, consumer.context().trouble().as_ref())
    }
}

fn consumer(clients: &Clients) -> Result<BaseConsumer<Context>, Failure> {
    let mut config = clients.reader(Isolation::Committed)?;
    // Where nothing is left is seen by an answer without records: a broker keeps that back for so long.
    config.set("fetch.wait.max.ms", "10");
    client::consumer(&config, clients.context()).map_err(|error| Failure::new("make a reader", &error, None))
}
