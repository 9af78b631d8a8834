//! Writes what a person decided to the control topic.
//!
//! Knows the topic and its key. Must not know what a record does.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::client::{self, Clients, Context, Hears};
use super::failure::Failure;
use super::settings::Topic;

/// A record that was not acknowledged within this is not known to be written.
const ACKNOWLEDGED: Duration = Duration::from_secs(30);
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

/// Notes where a record was written, or why it was not.
struct Acknowledged {
    context: Context,
    result: Mutex<Option<Result<Written, KafkaError>>>,
}

impl ClientContext for Acknowledged {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.context.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.context.generate_oauth_token(config)
    }
}

impl Hears for Acknowledged {
    fn context(&self) -> &Context {
        &self.context
    }
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

/// Writes one control record; returns once all replicas have it.
///
/// * `key`: its own, so that it is kept when the topic is compacted (`wire::control::key`).
/// * `json`: the record, as `wire::control::encode` makes it.
///
/// # Errors
///
/// When it is not known to have been written. Written twice it is still one decision.
pub fn write(clients: &Clients, key: &str, json: &str) -> Result<Written, Failure> {
    let topic = clients.settings().topics.of(Topic::Control);
    let mut config = clients.producer(u32::MAX)?;
    config.remove("transactional.id");
    config.remove("transaction.timeout.ms");
    config.set("delivery.timeout.ms", ACKNOWLEDGED.as_millis().to_string());
    let context = Acknowledged { context: clients.context(), result: Mutex::default() };
    let producer: BaseProducer<Acknowledged> =
        client::producer(&config, context).map_err(|error| Failure::new("make a producer", &error, None))?;
    let doing = format!("write to {topic}");
    let failed =
        |error: &KafkaError| Failure::new(&doing, error, producer.context().context.trouble().as_ref());
    producer.send(BaseRecord::to(topic).key(key).payload(json)).map_err(|(error, _)| failed(&error))?;
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
