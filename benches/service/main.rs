//! `cargo bench --bench service`: the service on a real Kafka, from a record that can be read to its alert that can be read.
//!
//! Knows load and clocks. Needs Java and `scripts/kafka/fetch`. Options after `--`: `latency`, `throughput`, `receivers`,
//! `restore`, `answers`; all of them without.

// Nobody is served by it: what is not as expected ends it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod answers;
mod receivers;
mod restoring;
#[path = "../../tests/it/kafka/rig.rs"]
#[allow(dead_code)]
mod rig;

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tiltmeter::config::Config;
use tiltmeter::kafka::client::{Clients, Isolation};
use tiltmeter::kafka::settings::Topic;
use tiltmeter::kafka::verify::create;
use tiltmeter::simulate::{Scenario, Simulation};
use tiltmeter::time::EventTime;

/// Partitions of the input.
const PARTITIONS: i32 = 4;
/// One event in so many must be told, by a rule.
const PLANTED: usize = 200;
/// How long load lasts, and how much of its beginning does not count.
const LASTS: Duration = Duration::from_secs(40);
const WARM_UP: Duration = Duration::from_secs(10);
/// Events of a run on throughput, and how often it is run.
const EVENTS: usize = 400_000;
const RUNS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(180);

struct Place {
    prefix: String,
    brokers: String,
    folder: tempfile::TempDir,
    delivery: &'static str,
    /// What stands at the end of the configuration.
    tables: String,
}

impl Place {
    fn new(brokers: &str, name: &str, delivery: &'static str, record_time: &str) -> Self {
        Self::with_tables(brokers, name, delivery, record_time, String::new())
    }

    fn with_tables(
        brokers: &str,
        name: &str,
        delivery: &'static str,
        record_time: &str,
        tables: String,
    ) -> Self {
        let place = Self {
            prefix: rig::prefix(name),
            brokers: brokers.to_owned(),
            folder: tempfile::tempdir().unwrap(),
            delivery,
            tables,
        };
        std::fs::write(place.file(), place.text(record_time)).unwrap();
        create(&place.clients(), PARTITIONS as u32, Some(1)).unwrap().1.unwrap();
        place
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("tiltmeter.toml")
    }

    fn text(&self, record_time: &str) -> String {
        let Self { prefix, brokers, delivery, tables, .. } = self;
        let mut text = format!(
            "[levels]\nobserve_first_days = 0\n[[rules]]\nname = \"planted\"\nlevel = \"high\"\nwhen.action = \"planted\"\n[kafka]\n\
             brokers = \"{brokers}\"\ngroup = \"{prefix}group\"\ninstance = \"bench\"\ndelivery = \"{delivery}\"\n\
             record_time = \"{record_time}\"\n[kafka.topics]\n"
        );
        for topic in Topic::ALL {
            let setting = topic.setting().trim_start_matches("kafka.topics.");
            text += &format!("{setting} = \"{prefix}{}\"\n", topic.default_name());
        }
        text + tables
    }

    fn clients(&self) -> Clients {
        Clients::new(Config::load(Some(&self.file())).unwrap().kafka(), Arc::new(|_, _| ())).unwrap()
    }

    fn topic(&self, topic: Topic) -> String {
        format!("{}{}", self.prefix, topic.default_name())
    }

    fn start(&self) -> Instance {
        self.start_with(&[])
    }

    fn start_with(&self, arguments: &[&str]) -> Instance {
        let child = Command::new(env!("CARGO_BIN_EXE_tiltmeter"))
            .args(["run", "-c"])
            .arg(self.file())
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Instance(child)
    }

    fn reader(&self, topic: Topic, partitions: i32) -> BaseConsumer {
        let reader: BaseConsumer = self.clients().reader(Isolation::Committed).unwrap().create().unwrap();
        let mut from = TopicPartitionList::new();
        for partition in 0..partitions {
            from.add_partition_offset(&self.topic(topic), partition, Offset::Beginning).unwrap();
        }
        reader.assign(&from).unwrap();
        reader
    }

    /// Who asks where the group stands.
    fn asker(&self) -> BaseConsumer {
        self.clients().reader(Isolation::Committed).unwrap().create().unwrap()
    }

    /// What was measured must have been judged, not refused.
    fn assert_nothing_was_refused(&self) {
        let topic = self.topic(Topic::DeadLetters);
        let asker = self.asker();
        for partition in asker.fetch_metadata(Some(&topic), PATIENCE).unwrap().topics()[0].partitions() {
            let (_, end) = asker.fetch_watermarks(&topic, partition.id(), PATIENCE).unwrap();
            assert_eq!(end, 0, "there are dead letters in {topic}");
        }
    }

    fn committed(&self, asker: &BaseConsumer) -> i64 {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(&self.topic(Topic::Audit), 0, PARTITIONS - 1);
        let found = asker.committed_offsets(asked, PATIENCE).unwrap();
        found.elements().iter().map(|place| place.offset().to_raw().unwrap_or(0).max(0)).sum()
    }
}

struct Instance(Child);

impl Instance {
    /// User and system time so far. Seconds.
    fn cpu(&self) -> f64 {
        cpu(&format!("/proc/{}/stat", self.0.id()))
    }

    /// Tells it to end, and waits until it has.
    fn stop(&mut self) {
        Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(self.0.wait().unwrap().success(), "it did not end in peace");
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn cpu(stat: &str) -> f64 {
    let text = std::fs::read_to_string(stat).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // Fields 14 and 15 of proc(5), counted from the third; ticks of a hundredth of a second.
    let ticks =
        |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Events of a fleet, each as agent and line with a gap where its time belongs; every 200th is planted.
fn fleet(count: usize) -> Vec<(String, String)> {
    // As many days as it takes: their times are replaced by the time at which they are sent.
    let scenario = Scenario { agents: 1000, days: 60.0, attack_share: 0.0, ..Scenario::default() };
    let no_time = EventTime(0).to_string();
    let events: Vec<_> = Simulation::new(&scenario)
        .unwrap()
        .take(count)
        .zip(0usize..)
        .map(|(simulated, place)| {
            if place % PLANTED == PLANTED - 1 {
                let agent = format!("planted-{place}");
                let kind = place / PLANTED % 400;
                let line = format!(
                    "{{\"time\":\"@\",\"agent_id\":\"{agent}\",\"agent_type\":\"planted-{kind}\",\"action\":\"planted\",\"event_id\":\"p{place}\"}}"
                );
                return (agent, line);
            }
            let mut event = simulated.event;
            event.time = EventTime(0);
            let line = serde_json::to_string(&event).unwrap();
            let (before, after) = line.split_once(&no_time).expect("an event has its time");
            let line = format!("{before}@{after}");
            (event.agent_id.to_string(), line)
        })
        .collect();
    assert_eq!(events.len(), count, "the fleet fell silent: give it more days");
    events
}

fn producer(brokers: &str) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "1")
        // As Java's producers do: the broker takes one request of a connection at a time, so that thousands of tiny ones
        // would wait in front of it.
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .unwrap()
}

fn send(producer: &BaseProducer, topic: &str, agent: &str, line: &str) {
    let line = line.replacen('@', &EventTime(now_ms()).to_string(), 1);
    while producer.send(BaseRecord::to(topic).key(agent).payload(&line)).is_err() {
        producer.poll(Duration::from_millis(1));
    }
}

/// How long planted events took until their alerts could be read.
struct Latency {
    /// Milliseconds, ascending.
    took: Vec<f64>,
    /// Events that were planted.
    due: usize,
    /// Share of a core that the instance used.
    cpu: f64,
}

impl Latency {
    /// Milliseconds.
    fn quantile(&self, share: f64) -> f64 {
        let place = ((self.took.len() as f64 * share) as usize).min(self.took.len().saturating_sub(1));
        self.took.get(place).copied().unwrap_or(f64::NAN)
    }
}

impl std::fmt::Display for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p90, p99, largest] = [0.5, 0.9, 0.99, 1.0].map(|share| self.quantile(share));
        write!(
            f,
            "{} of {} planted events told; p50 {p50:.0} ms, p90 {p90:.0} ms, p99 {p99:.0} ms, largest {largest:.0} ms; {:.0} % of a core",
            self.took.len(),
            self.due,
            100.0 * self.cpu
        )
    }
}

/// Open loop: each event is sent when it is due, whatever became of those before it. Latency counts from when the planted
/// event was due.
///
/// * `joined`: done once the service judges, before what counts is sent.
fn latency(place: &Place, rate: usize, joined: impl FnOnce()) -> Latency {
    let brokers = &place.brokers;
    let mut instance = place.start();
    let events = fleet(rate * LASTS.as_secs() as usize);
    let topic = place.topic(Topic::Audit);
    let ends = Arc::new(AtomicBool::new(false));
    let reader = place.reader(Topic::Alerts, PARTITIONS);
    let seen = {
        let ends = Arc::clone(&ends);
        std::thread::spawn(move || {
            let mut seen = HashMap::new();
            while !ends.load(Ordering::Relaxed) {
                if let Some(Ok(alert)) = reader.poll(Duration::from_millis(20)) {
                    let key = String::from_utf8_lossy(alert.key().unwrap_or_default()).into_owned();
                    seen.entry(key).or_insert_with(Instant::now);
                }
            }
            seen
        })
    };
    // The service joins first.
    let (asker, first) = (place.asker(), producer(brokers));
    while place.committed(&asker) == 0 {
        assert!(
            instance.0.try_wait().unwrap().is_none(),
            "the instance ended: look what {:?} lacks",
            place.file()
        );
        send(&first, &topic, "first", &events[0].1);
        first.flush(PATIENCE).unwrap();
        std::thread::sleep(Duration::from_millis(500));
    }
    joined();
    let producer = producer(brokers);
    let began = Instant::now();
    let (cpu_before, mut due) = (instance.cpu(), HashMap::new());
    for ((agent, line), number) in events.iter().zip(0u32..) {
        let at = began + Duration::from_secs_f64(f64::from(number) / rate as f64);
        // Who only waits leaves the processor to the service.
        producer.poll(Duration::ZERO);
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        if agent.starts_with("planted") && at > began + WARM_UP {
            due.insert(agent.clone(), at);
        }
        send(&producer, &topic, agent, line);
    }
    producer.flush(PATIENCE).unwrap();
    let cpu = (instance.cpu() - cpu_before) / began.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(3));
    ends.store(true, Ordering::Relaxed);
    let seen = seen.join().unwrap();
    place.assert_nothing_was_refused();
    let mut took: Vec<f64> = due
        .iter()
        .filter_map(|(agent, due)| Some(seen.get(agent)?.duration_since(*due).as_secs_f64() * 1e3))
        .collect();
    took.sort_by(f64::total_cmp);
    Latency { took, due: due.len(), cpu }
}

/// Events a second until everything is committed, and events a second of CPU; in turns with a consumer that only reads.
fn throughput(brokers: &str) {
    let events = fleet(EVENTS);
    let mut figures: HashMap<&str, Vec<(f64, f64)>> = HashMap::new();
    for _ in 0..RUNS {
        for delivery in ["exactly_once", "at_least_once"] {
            let place = Place::new(brokers, "throughput", delivery, "broker");
            let producer = producer(brokers);
            for (agent, line) in &events {
                send(&producer, &place.topic(Topic::Audit), agent, line);
            }
            producer.flush(PATIENCE).unwrap();
            if delivery == "exactly_once" {
                let (before, began) = (cpu("/proc/self/stat"), Instant::now());
                let (reader, mut read, mut bytes) = (place.reader(Topic::Audit, PARTITIONS), 0, 0);
                while read < EVENTS {
                    if let Some(Ok(record)) = reader.poll(PATIENCE) {
                        read += 1;
                        bytes += record.payload_len();
                    }
                }
                std::hint::black_box(bytes);
                let (took, used) = (began.elapsed().as_secs_f64(), cpu("/proc/self/stat") - before);
                figures.entry("raw consume").or_default().push((EVENTS as f64 / took, EVENTS as f64 / used));
            }
            let instance = place.start();
            let (asker, until) = (place.asker(), Instant::now() + PATIENCE);
            let stands = |at_least: i64| {
                loop {
                    let committed = place.committed(&asker);
                    if committed >= at_least {
                        return committed;
                    }
                    assert!(Instant::now() < until, "{committed} events of {EVENTS} in {PATIENCE:?}");
                    std::thread::sleep(Duration::from_millis(10));
                }
            };
            let from = stands(1);
            let (began, before) = (Instant::now(), instance.cpu());
            let judged = (stands(EVENTS as i64) - from) as f64;
            let (took, used) = (began.elapsed().as_secs_f64(), (instance.cpu() - before).max(0.01));
            place.assert_nothing_was_refused();
            println!("{delivery}: {:.0} events/s, {:.0} events a CPU second", judged / took, judged / used);
            figures.entry(delivery).or_default().push((judged / took, judged / used));
        }
    }
    let median = |name: &str, of: fn(&(f64, f64)) -> f64| {
        let mut all: Vec<f64> = figures[name].iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    for name in ["raw consume", "at_least_once", "exactly_once"] {
        println!(
            "{name}: {:.0} events/s, {:.0} events a CPU second (medians of {RUNS})",
            median(name, |f| f.0),
            median(name, |f| f.1)
        );
    }
    println!(
        "exactly once / at least once, events/s: {:.2}",
        median("exactly_once", |f| f.0) / median("at_least_once", |f| f.0)
    );
    println!(
        "exactly once / raw consume, events a CPU second: {:.2}",
        median("exactly_once", |f| f.1) / median("raw consume", |f| f.1)
    );
}

fn main() {
    let Some(brokers) = rig::shared() else { return rig::left_out("the benchmark of the service") };
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    if wants("latency") {
        for rate in [1000, 5000, 10_000] {
            let place = Place::new(&brokers.brokers, "latency", "exactly_once", "broker");
            println!("latency at {rate} events/s, exactly once: {}", latency(&place, rate, || ()));
        }
    }
    if wants("receivers") {
        receivers::compare(&brokers.brokers);
    }
    if wants("answers") {
        answers::answer(&brokers.brokers);
    }
    if wants("restore") {
        restoring::restore(&brokers.brokers);
    }
    if wants("throughput") {
        throughput(&brokers.brokers);
    }
}
