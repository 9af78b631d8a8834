//! Writes what belongs together: in one transaction, or in an order in which nothing is lost.
//!
//! Knows producers. Must not know what the records mean.

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::util::Timeout;
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::kafka::client::{self, Clients, Hears, With};
use crate::kafka::failure::{Failure, Next};
use crate::kafka::settings::{Delivery, Topic};
use crate::partition::Outgoing;

/// A producer that cannot be settled within this is given up, for now.
const SETTLED: Duration = Duration::from_secs(30);
/// One try.
const SETTLING: Duration = Duration::from_secs(2);
/// A broker that is there takes offsets within this.
const ANSWER: Duration = Duration::from_secs(30);
/// The end of a transaction that took so long may have been sent twice: librdkafka gives up on an answer no sooner.
const SENT_AGAIN: Duration = Duration::from_millis(800);
/// How long the producer is polled at once: what was acknowledged meanwhile is seen only then.
const POLL: Duration = Duration::from_millis(1);
/// The same while nothing is acknowledged for long, and which part of what was waited already it may add: whoever waits for a
/// topic that is gone leaves the processor to those who judge.
const LONGEST_POLL: Duration = Duration::from_millis(50);
const POLL_SHARE: u32 = 20;
/// Without transactions, records that were not acknowledged within this count as not written.
const ACKNOWLEDGED: Duration = Duration::from_secs(60);

/// The context of a producer that notes what could not be delivered.
pub(super) type Deliveries = With<Undelivered>;

/// What could not be delivered.
#[derive(Default)]
pub(super) struct Undelivered {
    /// The last, and the topic it was for.
    failed: Mutex<Option<(KafkaError, String)>>,
}

impl Undelivered {
    /// The last record that could not be delivered, as the error and its topic; after that none.
    pub fn failed(&self) -> Option<(KafkaError, String)> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, record)) = result {
            let failed = (error.clone(), record.topic().to_owned());
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
        }
    }
}

/// A producer that writes what belongs together.
pub(super) struct Writer {
    producer: BaseProducer<Deliveries>,
    clients: Clients,
    /// Whether an end of a transaction may still be under way.
    doubtful: Cell<bool>,
}

/// What is written together.
pub(super) struct Together<'w> {
    /// First what is told, then what is saved: in this order.
    pub outputs: Vec<&'w Outgoing>,
    pub state: Vec<&'w Outgoing>,
    /// Where the group stands then.
    pub offsets: TopicPartitionList,
}

impl Writer {
    /// A new producer. With a transactional id, whoever had it before is fenced, and what it had open is settled.
    ///
    /// # Errors
    ///
    /// When the broker cannot be reached, or does not let us.
    pub fn new(clients: &Clients, config: &ClientConfig, stops: impl Fn() -> bool) -> Result<Self, Failure> {
        let context = Deliveries::new(clients.context());
        let producer: BaseProducer<Deliveries> = client::producer(config, context)
            .map_err(|error| Failure::new("make a producer", &error, None))?;
        if config.get("transactional.id").is_some() {
            let until = Instant::now() + SETTLED;
            while let Err(error) = producer.init_transactions(SETTLING) {
                producer.poll(POLL);
                let trouble = producer.context().context().trouble();
                let failure =
                    Failure::new("settle the transactions of the producer", &error, trouble.as_ref());
                if failure.next != Next::Retry || stops() || Instant::now() > until {
                    return Err(failure);
                }
            }
        }
        Ok(Self { producer, clients: clients.clone(), doubtful: Cell::new(false) })
    }

    /// Whether an end of a transaction that has ended may still be under way to the broker, because it was sent again. It
    /// would end the next one half way, and what stands in that would be told twice. A new producer is safe from it: the
    /// broker refuses what comes from the one before.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful.get()
    }

    /// Writes records and offsets together. Exactly once: all or nothing. At least once: outputs, then state, then offsets,
    /// each once the one before is safe.
    ///
    /// # Errors
    ///
    /// When it is not known to have been written: make a new writer, and ask where the group stands.
    pub fn write<C: ConsumerContext>(
        &self,
        together: &Together<'_>,
        consumer: &BaseConsumer<C>,
    ) -> Result<(), Failure> {
        let group = &self.clients.settings().group;
        match self.clients.settings().delivery {
            Delivery::ExactlyOnce => {
                let failed = |doing: &str| {
                    let doing = doing.to_owned();
                    move |error: KafkaError| {
                        Failure::new(&doing, &error, self.producer.context().context().trouble().as_ref())
                    }
                };
                self.producer.begin_transaction().map_err(failed("begin a transaction"))?;
                for record in together.outputs.iter().chain(&together.state) {
                    self.send(record)?;
                }
                let member = consumer.group_metadata().ok_or_else(|| {
                    Failure::new(
                        &format!("write as a member of group {group}"),
                        &KafkaError::Global(RDKafkaErrorCode::UnknownMemberId),
                        None,
                    )
                })?;
                self.drain(ACKNOWLEDGED)?;
                self.producer
                    .send_offsets_to_transaction(&together.offsets, &member, ANSWER)
                    .map_err(failed(&format!("hand the offsets of group {group} to the transaction")))?;
                let began = Instant::now();
                // Bounded by the time-out of the transaction.
                let committed = self.producer.commit_transaction(Timeout::Never);
                self.doubtful.set(began.elapsed() >= SENT_AGAIN);
                committed.map_err(failed("commit the transaction"))
            }
            Delivery::AtLeastOnce => {
                for records in [&together.outputs, &together.state] {
                    records.iter().try_for_each(|record| self.send(record))?;
                    self.drain(ACKNOWLEDGED)?;
                }
                if together.offsets.count() == 0 {
                    return Ok(());
                }
                let doing = format!("commit the offsets of group {group}");
                consumer
                    .commit(&together.offsets, CommitMode::Sync)
                    .map_err(|error| Failure::new(&doing, &error, None))
            }
        }
    }

    /// Hears what librdkafka has to say: it may ask for a new token while nothing is written.
    pub fn hear(&self) {
        self.producer.poll(Duration::ZERO);
    }

    fn send(&self, record: &Outgoing) -> Result<(), Failure> {
        let of_settings = self.clients.settings().topics.of(record.topic);
        let topic = record.name.as_deref().unwrap_or(of_settings);
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len() + 1);
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: Some(value.as_str()) });
        }
        if record.name.is_none() && matches!(record.topic, Topic::Alerts | Topic::Risk | Topic::DeadLetters) {
            // In a header, so that keys and values follow from the input alone.
            headers = headers.insert(Header { key: "decided", value: Some(&now_ms().to_string()) });
        }
        loop {
            let mut to = BaseRecord::to(topic).key(record.key.as_slice()).headers(headers.clone());
            if let Some(value) = &record.value {
                to = to.payload(value.as_slice());
            }
            if let Some(partition) = record.partition {
                to = to.partition(partition);
            }
            if let Some(time_ms) = record.timestamp_ms {
                to = to.timestamp(time_ms);
            }
            match self.producer.send(to) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.producer.poll(POLL);
                }
                Err((error, _)) => return Err(Failure::new(&format!("write to {topic}"), &error, None)),
            }
        }
    }

    /// Waits until every record was acknowledged. Not `flush`, which looks only every tenth of a second.
    fn drain(&self, within: Duration) -> Result<(), Failure> {
        let began = Instant::now();
        while self.producer.in_flight_count() > 0 {
            let waited = began.elapsed();
            if waited > within {
                let error = KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut);
                let trouble = self.producer.context().context().trouble();
                return Err(Failure::new("write records", &error, trouble.as_ref()));
            }
            self.producer.poll((waited / POLL_SHARE).clamp(POLL, LONGEST_POLL));
        }
        let failed = self.producer.context().failed();
        failed.map_or(Ok(()), |(error, topic)| {
            let trouble = self.producer.context().context().trouble();
            Err(Failure::new(&format!("write to {topic}"), &error, trouble.as_ref()))
        })
    }
}

/// The host's clock. Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
