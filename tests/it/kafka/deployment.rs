//! A deployment of the service for tests: topics of its own, instances as processes, and what it must tell.
//!
//! Knows the service as its users do, and the oracle: one partition after the other, judged in one go with the pins that the
//! service decided on. Must not know how a broker is started.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tiltmeter::config::Config;
use tiltmeter::control::Control;
use tiltmeter::engine::Settings;
use tiltmeter::kafka::client::{Clients, Isolation};
use tiltmeter::kafka::service::VersionStore;
use tiltmeter::kafka::settings::{Delivery, Topic};
use tiltmeter::kafka::verify::create;
use tiltmeter::partition::{Common as _, Copies, Incoming, Outgoing, Pace, PartitionSettings, restore};
use tiltmeter::simulate::{Scenario, Simulation};
use tiltmeter::time::EventTime;

use super::instance::Instance;
use super::rig::prefix;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Holds often, whatever day it is: what opens, is updated and closes must not depend on what is improbable today.
const RULE: &str =
    "[[rules]]\nname = \"many calls\"\nlevel = \"medium\"\ncount = { at_least = 6, within = \"15m\" }\n";

/// Topics of its own, and what is written to them.
pub struct Deployment {
    pub brokers: String,
    pub partitions: i32,
    prefix: String,
    folder: tempfile::TempDir,
    more: String,
    seats: bool,
    rule: &'static str,
    /// What stands in its place in the file of one instance.
    other_rules: BTreeMap<String, &'static str>,
    sources: Vec<(String, String)>,
    /// What stands at the end of the configuration.
    tables: String,
    /// Where instances find the brokers, where that is not where the test does, and `[kafka.security]`.
    entry: Option<(String, String)>,
}

/// A record, as it was read: partition, offset, timestamp, key, value.
pub type Record = (i32, i64, i64, Vec<u8>, Option<Vec<u8>>);

/// A record to be written: partition, key, value; without a value it deletes.
pub type Keyed = (i32, Vec<u8>, Option<Vec<u8>>);

impl Deployment {
    /// Makes the topics. `more` is added to `[kafka]`.
    pub fn new(name: &str, brokers: &str, partitions: i32, more: &str) -> Self {
        Self::replicated(name, brokers, partitions, 1, more)
    }

    /// The same with so many copies of each topic.
    pub fn replicated(name: &str, brokers: &str, partitions: i32, copies: u32, more: &str) -> Self {
        let deployment = Self {
            brokers: brokers.to_owned(),
            partitions,
            prefix: prefix(name),
            folder: tempfile::tempdir().unwrap(),
            more: more.to_owned(),
            seats: false,
            rule: RULE,
            other_rules: BTreeMap::new(),
            sources: Vec::new(),
            tables: String::new(),
            entry: None,
        };
        let clients = deployment.clients("maker");
        let (_, verified) = create(&clients, partitions as u32, Some(copies)).unwrap();
        verified.unwrap();
        deployment
    }

    /// From now on an instance that comes back within its session takes its seat in the group again.
    pub fn with_seats(mut self) -> Self {
        self.seats = true;
        self
    }

    /// An instance whose file has another rule.
    pub fn with_other_rule(mut self, instance: &str, rule: &'static str) -> Self {
        self.other_rules.insert(instance.to_owned(), rule);
        self
    }

    /// Without the rule that holds often.
    pub fn without_rule(mut self) -> Self {
        self.rule = "";
        self
    }

    /// Adds partitions to the topics that have as many as the input has.
    pub fn enlarge(&mut self, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let topics = [Topic::Audit, Topic::Journal, Topic::Checkpoints].map(|topic| self.topic(topic));
        let wanted: Vec<_> =
            topics.iter().map(|topic| NewPartitions::new(topic, partitions as usize)).collect();
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        for made in futures_executor::block_on(admin.create_partitions(&wanted, &options)).unwrap() {
            made.unwrap();
        }
        self.partitions = partitions;
    }

    /// From now on instances find the brokers there, with these settings in `[kafka.security]`; the test itself as before.
    pub fn entered_at(&mut self, brokers: &str, security: &str) {
        self.entry = Some((brokers.to_owned(), format!("[kafka.security]\n{security}\n")));
    }

    /// The folder of configurations, where paths in them begin.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Adds a sink, and makes its topics.
    pub fn with_sink(self, format: &str) -> Self {
        self.with_table(&format!("[[sinks]]\nformat = \"{format}\""))
    }

    /// Adds a table to the configuration, and makes the topics that it asks for.
    pub fn with_table(mut self, table: &str) -> Self {
        self.tables += &format!("\n{table}\n");
        create(&self.clients("maker"), self.partitions as u32, Some(1)).unwrap().1.unwrap();
        self
    }

    /// Adds a source with a topic of its own. Formats are those of `[[sources]]`.
    pub fn with_source(mut self, name: &str, format: &str, partitions: i32) -> Self {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let name = format!("{}{name}", self.prefix);
        let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let made = futures_executor::block_on(admin.create_topics([&topic], &options)).unwrap();
        assert_eq!(made, [Ok(name.clone())]);
        self.sources.push((name, format.to_owned()));
        self
    }

    /// Writes records to a partition of a source.
    pub fn produce_to(&self, source: &str, partition: i32, values: &[Vec<u8>]) {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let topic = format!("{}{source}", self.prefix);
        for value in values {
            while producer.send(BaseRecord::<(), _>::to(&topic).partition(partition).payload(value)).is_err()
            {
                producer.poll(Duration::from_millis(10));
            }
        }
        producer.flush(PATIENCE).unwrap();
    }

    fn configuration(&self, instance: &str, entry: Option<&(String, String)>) -> String {
        let Self { prefix, more, tables, .. } = self;
        let rule = self.other_rules.get(instance).unwrap_or(&self.rule);
        let (brokers, security) = entry.map_or((&*self.brokers, ""), |(brokers, table)| (brokers, table));
        let seat = if self.seats { format!("group_instance_id = \"{instance}\"\n") } else { String::new() };
        let topics: String = Topic::ALL
            .iter()
            .map(|topic| {
                let setting = topic.setting().trim_start_matches("kafka.topics.");
                format!("{setting} = \"{prefix}{}\"\n", topic.default_name())
            })
            .collect();
        let sources: String = self
            .sources
            .iter()
            .map(|(topic, format)| format!("\n[[sources]]\ntopic = \"{topic}\"\nsource = \"{format}\"\n"))
            .collect();
        format!(
            "[alerts]\nper_day = 500\n[levels]\nobserve_first_days = 0\n[kafka]\nbrokers = \"{brokers}\"\ngroup = \"{prefix}group\"\n\
             instance = \"{instance}\"\nrecord_time = \"producer\"\nsession_timeout_ms = 6000\n\
             heartbeat_interval_ms = 1500\ntransaction_timeout_ms = 4000\n{seat}{more}\n[kafka.topics]\n{topics}{security}{sources}{tables}\n{rule}"
        )
    }

    fn config(&self, instance: &str) -> Config {
        Config::parse(&self.configuration(instance, None), self.folder.path()).unwrap()
    }

    pub fn clients(&self, instance: &str) -> Clients {
        Clients::new(self.config(instance).kafka(), Arc::new(|_, _| ())).unwrap()
    }

    pub fn topic(&self, topic: Topic) -> String {
        format!("{}{}", self.prefix, topic.default_name())
    }

    /// Starts an instance.
    pub fn start(&self, instance: &str) -> Instance {
        self.start_with(instance, &["run"])
    }

    /// Runs a command to its end, with the configuration of an instance.
    pub fn command(&self, instance: &str, arguments: &[&str]) -> std::process::Output {
        let config = self.config_file(instance);
        Command::new(env!("CARGO_BIN_EXE_tiltmeter")).args(arguments).arg("-c").arg(config).output().unwrap()
    }

    /// The configuration file of an instance.
    pub fn config_file(&self, instance: &str) -> PathBuf {
        let config = self.folder.path().join(format!("{instance}.toml"));
        std::fs::write(&config, self.configuration(instance, self.entry.as_ref())).unwrap();
        config
    }

    /// Starts a command that goes on until it is told to end.
    pub fn start_with(&self, instance: &str, arguments: &[&str]) -> Instance {
        let config = self.config_file(instance);
        let log = self.folder.path().join(format!("{instance}.log"));
        let file = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tiltmeter"))
            .args(arguments)
            .args(["--log", "json", "-c"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Instance { child, log }
    }

    /// Writes events of a fleet that ends now, keyed by agent; each with its own time.
    pub fn produce(&self, values: &[(String, EventTime, Vec<u8>)]) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "20")
            .create()
            .unwrap();
        let topic = self.topic(Topic::Audit);
        for (agent, time, value) in values {
            while producer.send(BaseRecord::to(&topic).key(agent).payload(value).timestamp(time.0)).is_err() {
                producer.poll(Duration::from_millis(10));
            }
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Writes one record with a key; none deletes.
    pub fn write(&self, topic: Topic, partition: i32, key: &[u8], value: Option<&[u8]>) {
        self.write_all(topic, &[(partition, key.to_vec(), value.map(<[u8]>::to_vec))]);
    }

    /// Writes records with partition, key and value, in their order.
    pub fn write_all(&self, topic: Topic, records: &[Keyed]) {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let topic = self.topic(topic);
        for (partition, key, value) in records {
            let record = BaseRecord::to(&topic).partition(*partition).key(key);
            producer
                .send(value.iter().fold(record, BaseRecord::payload))
                .map_err(|(error, _)| error)
                .unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Where the input ends.
    pub fn ends(&self) -> Vec<i64> {
        let consumer: BaseConsumer =
            self.clients("ends").reader(Isolation::Uncommitted).unwrap().create().unwrap();
        let topic = self.topic(Topic::Audit);
        let end = |partition| consumer.fetch_watermarks(&topic, partition, PATIENCE).unwrap().1;
        (0..self.partitions).map(end).collect()
    }

    /// Where the group stands.
    pub fn committed(&self) -> Vec<i64> {
        let consumer: BaseConsumer =
            self.clients("ends").reader(Isolation::Committed).unwrap().create().unwrap();
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(&self.topic(Topic::Audit), 0, self.partitions - 1);
        let found = consumer.committed_offsets(asked, PATIENCE).unwrap();
        found.elements().iter().map(|place| place.offset().to_raw().unwrap_or(-1)).collect()
    }

    /// Waits until everything that was produced is judged. Panics with the logs if that never happens.
    pub fn wait(&self, instances: &mut [&mut Instance]) {
        let ends = self.ends();
        let until = Instant::now() + PATIENCE;
        while self.committed().iter().zip(&ends).any(|(stands, end)| stands < end) {
            for instance in &mut *instances {
                assert!(instance.is_running(), "an instance has ended:\n{}", instance.log());
            }
            let logs = || instances.iter().map(|instance| instance.log()).collect::<Vec<_>>().join("\n---\n");
            assert!(Instant::now() < until, "{:?} of {ends:?}; logs:\n{}", self.committed(), logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether what is written belongs together in transactions.
    pub fn is_exactly_once(&self) -> bool {
        self.config("reader").kafka().delivery == Delivery::ExactlyOnce
    }

    /// Waits until the group stands further on than now, or all is judged; whether that happens in time.
    pub fn is_told_more(&self, within: Duration, mut meanwhile: impl FnMut()) -> bool {
        let (before, until) = (self.committed(), Instant::now() + within);
        while Instant::now() < until {
            meanwhile();
            let stands = self.committed();
            if stands != before || stands == self.ends() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    /// All records of a topic, in the order of their offsets.
    pub fn read(&self, topic: Topic) -> Vec<Record> {
        self.read_named(&self.topic(topic))
    }

    /// Partition and offset of each record with a key, of transactions that were aborted too.
    fn written(&self, topic: Topic, key: &[u8]) -> Vec<(i32, i64)> {
        let all: BaseConsumer =
            self.clients("reader").reader(Isolation::Uncommitted).unwrap().create().unwrap();
        let (name, with_key) = (self.topic(topic), |record: &Record| record.3 == key);
        let partitions = all.fetch_metadata(Some(&name), PATIENCE).unwrap().topics()[0].partitions().len();
        let found = read_to_its_end(&all, &name, partitions).into_iter().filter(with_key);
        found.map(|record| (record.0, record.1)).collect()
    }

    /// All records of a topic by its name, in the order of their offsets.
    pub fn read_named(&self, name: &str) -> Vec<Record> {
        let reader = |isolation| -> BaseConsumer {
            self.clients("reader").reader(isolation).unwrap().create().unwrap()
        };
        let (reader, every) = (reader(Isolation::Committed), reader(Isolation::Uncommitted));
        let until = Instant::now() + PATIENCE;
        let partitions = loop {
            let about = reader.fetch_metadata(Some(name), PATIENCE).unwrap();
            let partitions = about.topics()[0].partitions();
            // A leader that was elected a moment ago shows less than there is until its followers have asked it; those that are
            // gone are waited for, too.
            if partitions.iter().all(|of| of.leader() >= 0 && of.isr().len() == of.replicas().len()) {
                if partitions.iter().any(|of| of.replicas().len() > 1) {
                    // Longer than a follower waits between two questions.
                    std::thread::sleep(Duration::from_millis(800));
                }
                break partitions.len();
            }
            assert!(Instant::now() < until, "{name} does not get all its copies back");
            std::thread::sleep(Duration::from_millis(200));
        };
        // A transaction has been decided before all its partitions show it: what is decided is waited for.
        let end = |of: &BaseConsumer, partition| of.fetch_watermarks(name, partition, PATIENCE).unwrap().1;
        for partition in 0..partitions as i32 {
            let all = end(&every, partition);
            while end(&reader, partition) < all {
                assert!(Instant::now() < until, "a transaction on {name} does not end");
            }
        }
        read_to_its_end(&reader, name, partitions)
    }

    /// What one run without failures tells, given the pins that the service decided on: records by topic and key.
    pub fn expected(&self) -> BTreeMap<(Topic, Vec<u8>), Vec<Vec<u8>>> {
        let engine = self.config("oracle").settings().unwrap();
        let share = engine.max_agents.div_ceil(self.partitions as usize);
        let engine = Settings { max_agents: share, ..engine };
        let versions = VersionStore::read(&self.clients("oracle"), engine.clone(), true).unwrap();
        let read = self.config("oracle").own_settings().read;
        for (_, at, _, _, value) in self.read(Topic::Control) {
            let record = value.and_then(|value| tiltmeter::wire::control::decode(&value).ok());
            if let Some(Control::Settings(settings)) = record.map(|record| record.kind) {
                let settings = read(&settings.text).ok();
                let max_agents = |engine: Settings| engine.max_agents.div_ceil(self.partitions as usize);
                versions
                    .heed(at, settings.map(|all| Settings { max_agents: max_agents(all.clone()), ..all }));
            }
        }
        let (events, saved) = (self.read(Topic::Audit), self.read(Topic::Checkpoints));
        let ends = self.committed();
        let mut told = BTreeMap::new();
        for number in 0..self.partitions {
            // Deleted or not: what was decided was decided.
            let pins: BTreeMap<Vec<u8>, Vec<u8>> = saved
                .iter()
                .filter(|(partition, _, _, key, _)| *partition == number && key.starts_with(b"pin|"))
                .filter_map(|(_, _, _, key, value)| Some((key.clone(), value.clone()?)))
                .collect();
            let settings = PartitionSettings {
                engine: engine.clone(),
                number,
                partitions: self.partitions,
                topic: self.topic(Topic::Audit),
                copies: Copies::One,
            };
            let first = versions.version(0, 0).unwrap();
            let mut partition = restore(settings, &pins, None, (0, i64::MAX), &versions, first).partition;
            let records: Vec<Incoming<'_>> = events
                .iter()
                .filter(|(of, offset, ..)| *of == number && *offset < ends[number as usize])
                .map(|(_, offset, timestamp_ms, key, value)| Incoming {
                    offset: *offset,
                    timestamp_ms: *timestamp_ms,
                    key: Some(key),
                    value: value.as_deref(),
                })
                .collect();
            partition.take(&records, &versions).unwrap();
            let pace = Pace { events: u64::MAX, every_ms: i64::MAX };
            let outputs = partition.commit(pace, 0, false).unwrap().map(|commit| commit.outputs);
            for Outgoing { topic, key, value, .. } in outputs.into_iter().flatten() {
                told.entry((topic, key)).or_insert_with(Vec::new).push(value.unwrap());
            }
        }
        told
    }

    /// Nothing is lost, nothing is told twice, nothing else is told, and what is told of one agent is in order.
    pub fn check(&self) -> usize {
        self.check_told(false)
    }

    /// The same, but a record may be told again as it was.
    pub fn check_at_least_once(&self) -> usize {
        self.check_told(true)
    }

    fn check_told(&self, repeats: bool) -> usize {
        let mut expected = self.expected();
        let mut told: BTreeMap<(Topic, Vec<u8>), Vec<Vec<u8>>> = BTreeMap::new();
        let mut of_types = Vec::new();
        for topic in [Topic::Alerts, Topic::Risk, Topic::DeadLetters, Topic::Journal, Topic::BaselineParts] {
            for (_, _, _, key, value) in self.read(topic) {
                if topic == Topic::Alerts && is_about_a_type(value.as_deref()) {
                    // No partition tells it, but whoever merges what they have counted; when, depends on their parts.
                    of_types.push(value);
                    continue;
                }
                told.entry((topic, key)).or_default().push(value.unwrap());
            }
        }
        expected.retain(|(topic, _), _| ![Topic::Checkpoints, Topic::Status].contains(topic));
        if repeats {
            for values in told.values_mut().chain(expected.values_mut()) {
                let mut seen = BTreeSet::new();
                values.retain(|value| seen.insert(value.clone()));
            }
        }
        let different: BTreeSet<_> = of_types.iter().collect();
        assert!(repeats || different.len() == of_types.len(), "an alert about a type was told twice");
        let count = |all: &BTreeMap<_, Vec<Vec<u8>>>| all.values().map(Vec::len).sum::<usize>();
        let (wanted, got) = (count(&expected), count(&told));
        let missing: Vec<_> = expected
            .keys()
            .filter(|key| !told.contains_key(*key))
            .map(|(topic, key)| {
                let there = self.written(*topic, key);
                format!(
                    "{topic:?} {} (written, committed or not, at {there:?})",
                    String::from_utf8_lossy(key)
                )
            })
            .collect();
        assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), expected.len());
        for (key, expected) in &expected {
            let got = told.get(key).map_or(&[][..], Vec::as_slice);
            assert!(
                got == expected.as_slice(),
                "{:?} {}: {} records instead of {} (all: {got_all} instead of {wanted}), {}",
                key.0,
                String::from_utf8_lossy(&key.1),
                got.len(),
                expected.len(),
                difference(got, expected),
                got_all = got_all(&told),
            );
        }
        assert_eq!(got, wanted, "something else was told");
        told.iter().filter(|((topic, _), _)| *topic == Topic::Alerts).map(|(_, values)| values.len()).sum()
    }
}

impl Deployment {
    /// What holds even where state was lost: no alert is opened under an id that was used, and the number of an agent's
    /// risk updates only grows. Returns the alerts opened.
    pub fn check_identities(&self) -> usize {
        let mut opened = BTreeSet::new();
        for (_, _, _, _, value) in self.read(Topic::Alerts) {
            let alert: serde_json::Value = serde_json::from_slice(&value.unwrap()).unwrap();
            if alert["state"] == "opened" {
                let id = alert["alert_id"].as_str().unwrap().to_owned();
                assert!(opened.insert(id), "the id of this alert was used before: {alert}");
            }
        }
        let mut last: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for (_, _, _, key, value) in self.read(Topic::Risk) {
            let risk: serde_json::Value = serde_json::from_slice(&value.unwrap()).unwrap();
            let seq = risk["seq"].as_u64().unwrap();
            let before = last.insert(key, seq);
            assert!(before.is_none_or(|before| before < seq), "{before:?} before {risk}");
        }
        opened.len()
    }
}

fn is_about_a_type(alert: Option<&[u8]>) -> bool {
    let alert: serde_json::Value = serde_json::from_slice(alert.unwrap_or_default()).unwrap();
    alert["subject"]["kind"] == "agent_type"
}

fn got_all(told: &BTreeMap<(Topic, Vec<u8>), Vec<Vec<u8>>>) -> usize {
    told.values().map(Vec::len).sum()
}

/// Where two lists begin to differ.
fn difference(got: &[Vec<u8>], expected: &[Vec<u8>]) -> String {
    let pairs = got.iter().zip(expected).zip(0..);
    let differs = pairs.clone().find(|((got, expected), _)| got != expected);
    let Some(((got, expected), place)) = differs else { return "one is longer".to_owned() };
    let from = got.iter().zip(expected).position(|(a, b)| a != b).unwrap_or_default().saturating_sub(60);
    if let (Ok(got), Ok(expected)) = (zstd::decode_all(got.as_slice()), zstd::decode_all(expected.as_slice()))
    {
        let read = |bytes: &[u8]| format!("{:?}", tiltmeter::engine::member::Part::restore(bytes).unwrap());
        let (got, expected) = (read(&got), read(&expected));
        let from = got.bytes().zip(expected.bytes()).position(|(a, b)| a != b).unwrap_or_default();
        let cut = |text: &str| text.chars().skip(from.saturating_sub(400)).take(800).collect::<String>();
        return format!("part:\n{}\n----\n{}", cut(&got), cut(&expected));
    }
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    format!(
        "record {place}:\ngot: {}\n...{}\nexpected ...{}",
        text(got),
        text(&got[from..]),
        text(&expected[from..])
    )
}

/// Events of a fleet under attack whose last day is yesterday, with every hundredth line broken. They are those from a Thursday
/// to a Saturday whatever day it is: on other days the fleet does more or less.
pub fn events(count: usize, agents: u32) -> Vec<(String, EventTime, Vec<u8>)> {
    let days = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64 / 86_400;
    let start = EventTime::parse("2026-11-19T00:00:00Z").unwrap();
    let later = (days - 3) * 86_400_000 - start.0;
    let scenario = Scenario { agents, days: 3.0, attack_share: 0.2, start, ..Scenario::default() };
    let simulation = Simulation::new(&scenario).unwrap().take(count);
    simulation
        .zip(0..)
        .map(|(mut simulated, place)| {
            simulated.event.time.0 += later;
            let mut value = serde_json::to_vec(&simulated.event).unwrap();
            if place % 100 == 57 {
                value.truncate(value.len() / 2);
            }
            (simulated.event.agent_id.to_string(), simulated.event.time, value)
        })
        .collect()
}

/// All records of a topic that a reader is shown, in the order of their offsets.
fn read_to_its_end(reader: &BaseConsumer, name: &str, partitions: usize) -> Vec<Record> {
    let mut from = TopicPartitionList::new();
    for partition in 0..partitions as i32 {
        from.add_partition_offset(name, partition, Offset::Beginning).unwrap();
    }
    reader.assign(&from).unwrap();
    let (mut records, mut ended) = (Vec::new(), BTreeSet::new());
    while ended.len() < partitions {
        match reader.poll(PATIENCE).unwrap() {
            Ok(record) => records.push((
                record.partition(),
                record.offset(),
                record.timestamp().to_millis().unwrap_or_default(),
                record.key().unwrap_or_default().to_vec(),
                record.payload().map(<[u8]>::to_vec),
            )),
            Err(rdkafka::error::KafkaError::PartitionEOF(partition)) => {
                ended.insert(partition);
            }
            Err(error) => panic!("{error}"),
        }
    }
    records.sort_by_key(|(partition, offset, ..)| (*partition, *offset));
    records
}
