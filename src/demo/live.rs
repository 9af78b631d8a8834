//! A simulated fleet whose events go through Kafka: a broker made of memory, and the service as it runs anywhere else.
//!
//! Knows the broker's limits and what is produced when. Must not judge: what is shown is read from the topics of alerts
//! and risk, as anybody may read them.
//!
//! The broker is librdkafka's mock cluster. It speaks the protocol and keeps 5 MiB of a partition; it has no
//! administration, no compaction, forgets everything at the end, and passes on records of transactions that were aborted.
//! So the service delivers at least once here, and believes the producer's time, which is that of the simulation.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::{Figures, Progress, Watched};
use crate::alert::Alert;
use crate::config::Config;
use crate::engine::Output;
use crate::kafka::client::{Clients, Log};
use crate::kafka::failure::Failure;
use crate::kafka::service::{OwnSettings, Service};
use crate::kafka::settings::{Delivery, KafkaSettings, RecordTime, Security, Topic};
use crate::kafka::verify::Verified;
use crate::simulate::{Scenario, ScenarioError, SimulatedEvent, Simulation};
use crate::time::{EventTime, HOUR_MS};

/// Partitions of the topic of audit events.
pub const PARTITIONS: i32 = 3;
/// Events a second that the broker is given at most.
pub const EVENTS_PER_SECOND: u32 = 2_000;
/// Events handed over in one go at most.
const BATCH: u32 = 200;
/// An empty fetch takes this long at this broker, which answers late and not when something comes. Milliseconds.
const FETCH_WAIT_MS: &str = "20";
/// Everything happens in one process: a member that is gone is known to be gone.
const SESSION_MS: u32 = 10_000;
const HEARTBEAT_MS: u32 = 1_000;
/// Nothing is ever put back here, and event time runs thousands of times as fast: few slices are saved.
const MAX_REPLAY_SECS: u32 = 86_400;
/// Sessions are remembered for so long after they were produced: an alert may still be on its way.
const ON_ITS_WAY_MS: i64 = 12 * HOUR_MS;
/// How long the end waits for what is still to be judged.
const JUDGED_WITHIN: Duration = Duration::from_secs(10);
/// How long the end waits for a last alert, after everything was judged.
const TOLD_WITHIN: Duration = Duration::from_millis(500);
/// A broker in this process answers within this.
const ANSWER: Duration = Duration::from_secs(10);

/// Why the demonstration cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A setting of the fleet.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The broker or the service.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// An event that cannot be written.
    #[error("an event cannot be written: {0}; please report it with the options of the demonstration")]
    Event(#[from] serde_json::Error),
    /// The service has ended by itself.
    #[error("the service has ended by itself; try again, with --direct to leave the broker out")]
    Ended,
}

/// A demonstration that is running over a broker.
///
/// Memory: that of the simulation, of three engines, and at most 5 MiB for each partition of a topic.
pub struct Live {
    simulation: Simulation,
    /// The event after the last one that was produced.
    next: Option<SimulatedEvent>,
    produced: u64,
    /// Events that may be produced now, and since when that is so.
    allowance: (u32, Instant),
    topic: String,
    watched: Watched,
    // Dropped in this order: whoever speaks to the broker before the broker.
    service: Option<Service>,
    producer: BaseProducer,
    reader: BaseConsumer,
    broker: MockCluster<'static, DefaultProducerContext>,
}

impl Live {
    /// Starts the broker and the service.
    ///
    /// * `log`: receives what goes wrong.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range, or no broker can be started on this host.
    pub fn new(scenario: &Scenario, config: &Config, log: Log) -> Result<Self, LiveError> {
        let mut simulation = Simulation::new(scenario)?;
        let next = simulation.next();
        let broker = MockCluster::new(1).map_err(failed("start a broker in this process"))?;
        let settings = settings(config.kafka(), broker.bootstrap_servers());
        for topic in Topic::ALL {
            let partitions = match topic {
                Topic::Audit | Topic::Journal | Topic::Checkpoints => PARTITIONS,
                _ => 1,
            };
            let name = settings.topics.of(topic);
            broker.create_topic(name, partitions, 1).map_err(failed(&format!("make the topic {name}")))?;
        }
        let topic = settings.topics.of(Topic::Audit).to_owned();
        let mut producer = plain(&settings.brokers);
        let producer = producer.set("partitioner", "murmur2_random").set("linger.ms", "5");
        let producer = producer.create().map_err(failed("make a producer"))?;
        let mut reader = plain(&settings.brokers);
        let reader = reader.set("group.id", "tiltmeter-demo-board").set("enable.auto.commit", "false");
        let reader = reader.set("fetch.wait.max.ms", FETCH_WAIT_MS).set("auto.offset.reset", "earliest");
        let reader: BaseConsumer = reader.create().map_err(failed("make a reader"))?;
        let mut told = TopicPartitionList::new();
        for topic in [Topic::Alerts, Topic::Risk] {
            told.add_partition_offset(settings.topics.of(topic), 0, Offset::Beginning)
                .map_err(failed("read what is told"))?;
        }
        reader.assign(&told).map_err(failed("read what is told"))?;
        // Not asked for: this broker has no administration, and the topics were made just now.
        let verified = Verified {
            partitions: PARTITIONS.unsigned_abs(),
            cluster_id: "demo".to_owned(),
            settings_seen: false,
        };
        let engine = config.settings().map_err(|error| Failure::set_up(error.to_string()))?;
        let service = Service::start(
            Clients::new(&settings, log)?,
            engine.clone(),
            (OwnSettings::alone(engine), false),
            verified,
            std::sync::Arc::default(),
        )?;
        Ok(Self {
            simulation,
            next,
            produced: 0,
            allowance: (BATCH, Instant::now()),
            topic,
            watched: Watched::new(scenario),
            service: Some(service),
            producer,
            reader,
            broker,
        })
    }

    /// Where any Kafka client reaches the broker: `host:port`.
    pub fn brokers(&self) -> String {
        self.broker.bootstrap_servers()
    }

    /// Whether the service has its partitions: before that, events would only wait.
    pub fn is_ready(&self) -> bool {
        let partitions = self.service.as_ref().map(Service::partitions).unwrap_or_default();
        partitions.len() == PARTITIONS.unsigned_abs() as usize
            && partitions.values().all(|status| !status.restoring)
    }

    /// Produces events before `until`, as many as the broker may be given by now, and takes in what was told meanwhile;
    /// alerts are pushed to `out`. Never waits.
    ///
    /// # Errors
    ///
    /// When the service has ended, or an event cannot be produced.
    pub fn advance(&mut self, until: EventTime, out: &mut Vec<Alert>) -> Result<Progress, LiveError> {
        if self.service.as_ref().is_none_or(Service::has_failed) {
            self.stop()?;
            return Err(LiveError::Ended);
        }
        self.earn();
        while self.allowance.0 > 0
            && let Some(simulated) = self.next.take_if(|next| next.event.time < until)
        {
            if !self.produce(&simulated)? {
                self.next = Some(simulated);
                break;
            }
            self.allowance.0 -= 1;
            self.next = self.simulation.next();
        }
        // The ledger reads the truth from the events.
        self.simulation.take_attacks();
        self.producer.poll(Duration::ZERO);
        self.take_in(Duration::ZERO, out);
        self.watched.forget(self.watched.time().plus_ms(-ON_ITS_WAY_MS));
        Ok(if self.next.is_none() { Progress::Over } else { Progress::Waiting })
    }

    /// The end: what was produced is judged and told, then the service ends. Waits for at most twenty seconds.
    ///
    /// # Errors
    ///
    /// What went wrong in the service.
    pub fn finish(&mut self, out: &mut Vec<Alert>) -> Result<(), LiveError> {
        self.producer.flush(ANSWER).map_err(failed(&format!("write to {}", self.topic)))?;
        let until = Instant::now() + JUDGED_WITHIN;
        while self.watched.figures().lag != Some(0) && Instant::now() < until {
            self.take_in(Duration::from_millis(20), out);
        }
        // The sessions of the end stay open, as they do in a stream that goes on.
        let until = Instant::now() + TOLD_WITHIN;
        while Instant::now() < until {
            self.take_in(Duration::from_millis(20), out);
        }
        self.stop()
    }

    fn stop(&mut self) -> Result<(), LiveError> {
        Ok(self.service.take().map_or(Ok(()), Service::stop)?)
    }

    /// What may be produced since it was asked last.
    fn earn(&mut self) {
        let (left, since) = self.allowance;
        let earned = since.elapsed().as_secs_f64() * f64::from(EVENTS_PER_SECOND);
        if earned >= 1.0 {
            self.allowance = ((left + earned as u32).min(BATCH), Instant::now());
        }
    }

    /// Produces an event under its agent and its time; false where the producer's queue is full.
    fn produce(&mut self, simulated: &SimulatedEvent) -> Result<bool, LiveError> {
        let value = serde_json::to_vec(&simulated.event)?;
        let record = BaseRecord::to(&self.topic).key(&*simulated.event.agent_id).payload(&value);
        match self.producer.send(record.timestamp(simulated.event.time.0)) {
            Ok(()) => {
                self.watched.note(simulated);
                self.produced += 1;
                Ok(true)
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((error, _)) => Err(failed(&format!("write to {}", self.topic))(error).into()),
        }
    }

    /// Reads what was told, and asks the service how far it is.
    fn take_in(&mut self, wait: Duration, out: &mut Vec<Alert>) {
        let mut wait = wait;
        while let Some(polled) = self.reader.poll(wait) {
            wait = Duration::ZERO;
            // Passing trouble passes; what is not ours to read (a digest) is not shown.
            let Ok(record) = polled else { continue };
            let output = record.payload().and_then(|value| serde_json::from_slice::<Output>(value).ok());
            if let Some(output) = output {
                self.watched.told(output, out);
            }
        }
        let Some(service) = &self.service else { return };
        let partitions = service.partitions();
        let events = partitions.values().map(|status| status.counts.events).sum();
        let reached: i64 = partitions.values().map(|status| status.offset).sum();
        self.watched.set_figures(Figures {
            events,
            agents: partitions.values().map(|status| status.agents).sum(),
            types: service.types(),
            version: service.newest_version(),
            lag: Some(self.produced.saturating_sub(u64::try_from(reached).unwrap_or_default())),
            judging: None,
        });
    }

    /// What a person who watches is shown.
    pub fn watched(&self) -> &Watched {
        &self.watched
    }
}

/// The settings of a person as far as they make sense here.
fn settings(from: &KafkaSettings, brokers: String) -> KafkaSettings {
    KafkaSettings {
        brokers,
        instance: Some("demo".to_owned()),
        group_instance_id: None,
        delivery: Delivery::AtLeastOnce,
        record_time: RecordTime::Producer,
        threads: 1,
        session_timeout_ms: SESSION_MS,
        heartbeat_interval_ms: HEARTBEAT_MS,
        max_replay_secs: MAX_REPLAY_SECS,
        canary: false,
        security: Security::default(),
        librdkafka: vec![("fetch.wait.max.ms".to_owned(), FETCH_WAIT_MS.to_owned())],
        ..from.clone()
    }
}

fn plain(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("log_level", "0");
    config
}

fn failed(doing: &str) -> impl Fn(KafkaError) -> Failure {
    let doing = doing.to_owned();
    move |error| Failure::new(&doing, &error, None)
}
