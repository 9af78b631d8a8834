//! Makes clients that can be asked at once, and hears what librdkafka has to say between two questions.
//!
//! Knows that librdkafka speaks only to whoever polls: it asks for a token there, and says there why nobody can be reached.
//! Must not know what is asked.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

use super::Context;

/// The first token is asked for within this, from when a client is made.
const ASKED_WITHIN: Duration = Duration::from_secs(2);
/// One poll meanwhile.
const POLL: Duration = Duration::from_millis(5);
/// Events that are heard at once; more are heard the next time.
const AT_ONCE: u32 = 32;

/// A context that hands what it hears to the one that all clients have.
pub trait Hears {
    /// That one.
    fn context(&self) -> &Context;
}

impl Hears for Context {
    fn context(&self) -> &Context {
        self
    }
}

/// A consumer that has its token, where it logs in with one: its first question could not be asked without.
///
/// # Errors
///
/// When librdkafka cannot use the configuration, or a file that it names.
pub fn consumer<C: ConsumerContext + Hears>(
    config: &ClientConfig,
    context: C,
) -> KafkaResult<BaseConsumer<C>> {
    let consumer: BaseConsumer<C> = config.create_with_context(context)?;
    let made = Instant::now();
    while Hears::context(consumer.context().as_ref()).waits_for_token() && made.elapsed() < ASKED_WITHIN {
        // Nothing is assigned yet: no record can be lost here.
        let _ = consumer.poll(POLL);
    }
    Ok(consumer)
}

/// The same for a producer.
///
/// # Errors
///
/// When librdkafka cannot use the configuration, or a file that it names.
pub fn producer<C>(config: &ClientConfig, context: C) -> KafkaResult<BaseProducer<C>>
where
    C: ProducerContext + Hears + 'static,
{
    let producer: BaseProducer<C> = config.create_with_context(context)?;
    let made = Instant::now();
    while Hears::context(producer.context().as_ref()).waits_for_token() && made.elapsed() < ASKED_WITHIN {
        producer.poll(POLL);
    }
    Ok(producer)
}

/// Hears what waits, and hands out a new token if one is asked for. For consumers that are asked and read nothing.
pub fn hear<C: ConsumerContext>(consumer: &BaseConsumer<C>) {
    for _ in 0..AT_ONCE {
        let _ = consumer.poll(Duration::ZERO);
    }
}

/// Hears until it is told why nobody can be reached, but no longer than that.
pub fn hear_why(consumer: &BaseConsumer<Context>, within: Duration) {
    let until = Instant::now() + within;
    while consumer.context().trouble().is_none() && Instant::now() < until {
        let _ = consumer.poll(POLL);
    }
    hear(consumer);
}
