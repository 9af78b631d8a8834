//! Writes what a person decided to the control topic.
//!
//! Knows the topic, its key and its chain. Must not know what a record does.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::chain::HEADER;
use super::client::{self, Clients, Hears, With};
use super::failure::{Cause, Failure, Next};
use super::settings::{Delivery, Topic};

/// A record that was not acknowledged within this is not known to be written.
const ACKNOWLEDGED: Duration = Duration::from_secs(30);
/// The first pause after another wrote at the same time; each is twice the one before, for a while.
const BACK_OFF: Duration = Duration::from_millis(20);
/// How long the producer is polled at once.
const POLL: Duration = Duration::from_millis(10);

/// Where a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// The context of a producer that notes where a record was written, or why it was not.
type Acknowledged = With<Answer>;

#[derive(Default)]
struct Answer {
    result: Mutex<Option<Result<Written, KafkaError>>>,
}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let result = match result {
            Ok(record) => Ok(Written { partition: record.partition(), offset: record.offset() }),
            Err((error, _)) => Err(error.clone()),
        };
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }
}

/// What became of a record that is to be written once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Once {
    /// It was written now.
    Now(Written),
    /// One with its id was there before, with this value.
    Before(Written, Vec<u8>),
}

/// Writes one control record; returns once all replicas have it.
///
/// With transactions it is a link of the chain ([`super::chain`]): whoever writes has the one transactional id of those who
/// do, so that of two at once one is fenced, and begins anew behind the other. Where the answer to a commit was lost, the
/// record is looked for before it is written again.
///
/// * `key`: its own, so that it is kept when the topic is compacted (`wire::control::topic_key`).
/// * `json`: the record, as `wire::control::encode` makes it.
///
/// # Errors
///
/// When it is not known to have been written. Written twice it is still one decision.
pub fn write(clients: &Clients, key: &str, json: &str) -> Result<Written, Failure> {
    match written(clients, key, json, key)? {
        Once::Now(written) | Once::Before(written, _) => Ok(written),
    }
}

/// The same, unless a record of its kind with its id is among the last of the topic, whoever wrote it: then that one is told.
/// Without transactions (`at_least_once`) none is looked for.
///
/// # Errors
///
/// When it is not known to have been written.
pub fn write_once(clients: &Clients, key: &str, json: &str) -> Result<Once, Failure> {
    // What follows the last stroke is new each time.
    let start = key.rfind('|').and_then(|stroke| key.get(..=stroke)).unwrap_or(key);
    written(clients, key, json, start)
}

/// * `sought`: how the key of a record begins that makes this one needless.
fn written(clients: &Clients, key: &str, json: &str, sought: &str) -> Result<Once, Failure> {
    if clients.settings().delivery == Delivery::AtLeastOnce {
        return alone(clients, Topic::Control, key, json).map(Once::Now);
    }
    let until = Instant::now() + ACKNOWLEDGED;
    let mut wait = BACK_OFF;
    let mut since = None;
    loop {
        let failure = match chained(clients, key, json, sought, &mut since) {
            Ok(written) => return Ok(written),
            Err(failure) => failure,
        };
        if failure.next == Next::Mend || failure.cause == Cause::Unreachable || Instant::now() + wait > until
        {
            return Err(failure);
        }
        // Another wrote meanwhile. Not all come back at once.
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        thread::sleep(wait.mul_f64(0.5 + f64::from(clock.subsec_micros() % 1000) / 1000.0));
        wait = (wait * 2).min(BACK_OFF * 32);
    }
}

/// Writes it behind the last link, if nobody else has written since it was read, and if what is sought is not there.
///
/// * `since`: where the topic ended at the first try.
fn chained(
    clients: &Clients,
    key: &str,
    json: &str,
    sought: &str,
    since: &mut Option<i64>,
) -> Result<Once, Failure> {
    let topic = clients.settings().topics.of(Topic::Control);
    let mut config = clients.producer(u32::MAX)?;
    config.set("transactional.id", clients.control_id());
    let producer = producer(clients, &config)?;
    let failed = |doing: &str| {
        let doing = format!("{doing} {topic}");
        let producer = &producer;
        move |error: KafkaError| Failure::new(&doing, &error, producer.context().context().trouble().as_ref())
    };
    // First whoever writes is fenced, then the end is read: what is there then stays the end until we commit.
    producer.init_transactions(ACKNOWLEDGED).map_err(failed("begin to write to"))?;
    let head = super::audit::head(clients, topic, *since, |key| key.starts_with(sought.as_bytes()))?;
    if let Some((offset, value)) = head.found {
        return Ok(Once::Before(Written { partition: 0, offset }, value));
    }
    since.get_or_insert(head.end);
    let link = head.chain.link(head.last, key.as_bytes(), Some(json.as_bytes())).to_string();
    producer.begin_transaction().map_err(failed("begin to write to"))?;
    let headers = OwnedHeaders::new_with_capacity(1).insert(Header { key: HEADER, value: Some(&link) });
    let record = BaseRecord::to(topic).partition(0).key(key).payload(json).headers(headers);
    producer.send(record).map_err(|(error, _)| failed("write to")(error))?;
    let written = acknowledged(&producer, topic)?;
    producer.commit_transaction(ACKNOWLEDGED).map_err(failed("write to"))?;
    Ok(Once::Now(written))
}

/// Writes one record to a topic, without a transaction and without a chain; returns once all replicas have it.
///
/// # Errors
///
/// When it is not known to have been written.
pub(super) fn alone(clients: &Clients, topic: Topic, key: &str, json: &str) -> Result<Written, Failure> {
    let topic = clients.settings().topics.of(topic);
    let mut config = clients.producer(u32::MAX)?;
    config.remove("transactional.id");
    config.remove("transaction.timeout.ms");
    config.set("delivery.timeout.ms", ACKNOWLEDGED.as_millis().to_string());
    let producer = producer(clients, &config)?;
    producer
        .send(BaseRecord::to(topic).key(key).payload(json))
        .map_err(|(error, _)| Failure::new(&format!("write to {topic}"), &error, None))?;
    acknowledged(&producer, topic)
}

fn producer(clients: &Clients, config: &ClientConfig) -> Result<BaseProducer<Acknowledged>, Failure> {
    let context = Acknowledged::new(clients.context());
    client::producer(config, context).map_err(|error| Failure::new("make a producer", &error, None))
}

/// Waits until the broker says where the record is.
fn acknowledged(producer: &BaseProducer<Acknowledged>, topic: &str) -> Result<Written, Failure> {
    let failed = |error: &KafkaError| {
        Failure::new(&format!("write to {topic}"), error, producer.context().context().trouble().as_ref())
    };
    let until = Instant::now() + ACKNOWLEDGED + POLL * 100;
    while Instant::now() < until {
        producer.poll(POLL);
        if let Some(result) = producer.context().result.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            return result.map_err(|error| failed(&error));
        }
    }
    Err(failed(&KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)))
}
