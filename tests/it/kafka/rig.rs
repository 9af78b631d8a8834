//! A real Apache Kafka for tests: clusters of one or three brokers that can be killed, stopped and started again.
//!
//! Knows processes, ports and folders. Must not know topics of the product. Needs Java and what `scripts/kafka/fetch`
//! copied; `TILTMETER_TEST_KAFKA=HOST:PORT` names a broker to use in place of the shared one.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

/// The only user whom the listener with passwords lets in, and the password.
pub const USER: &str = "tiltmeter";
/// See [`USER`].
pub const PASSWORD: &str = "correct-horse";
/// A broker that has not answered for so long will not.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// One try to hear from a broker.
const TRY: Duration = Duration::from_millis(500);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// Somebody else may take a port between its choice and its use; so often we choose again.
const STARTS: u32 = 3;

/// Starts `"$@"`, says its process id, and ends it with SIGKILL when a line or the end of input arrives. The end of
/// input comes when the tests end, whatever ends them; then the folder `$FOLDER` goes as well. The shell has not waited
/// for its child by then, so that the process id cannot have become that of another.
const KEEPER: &str = r#"
"$@" >>"$LOG" 2>&1 </dev/null &
child=$!
echo "$child"
if read -r _; then kill -9 "$child"; else kill -9 "$child"; gone=1; fi
wait "$child" 2>/dev/null
if [ -n "$gone" ]; then rm -rf "$FOLDER"; fi
"#;

/// Says what is left out because there is no Kafka; a failure where the build server runs.
pub fn left_out(what: &str) {
    let why = "no Kafka at hand; run scripts/kafka/fetch, or set TILTMETER_TEST_KAFKA=HOST:PORT";
    assert!(std::env::var_os("TILTMETER_CI").is_none(), "{what}: {why}");
    println!("left out: {what}: {why}");
}

/// Where to find a broker.
#[derive(Clone, Debug)]
pub struct Brokers {
    /// `host:port`, with commas between.
    pub brokers: String,
    /// The same with user and password (SASL PLAIN, no encryption); none for a broker that is not ours.
    pub with_password: Option<String>,
}

/// The broker that all tests of this process share; none where there is none. It ends with the process.
pub fn shared() -> Option<&'static Brokers> {
    static SHARED: OnceLock<Option<Brokers>> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            if let Ok(brokers) = std::env::var("TILTMETER_TEST_KAFKA") {
                return Some(Brokers { brokers, with_password: None });
            }
            let cluster = Cluster::start(1)?;
            let found = cluster.addresses();
            // Its keeper outlives it until the process ends.
            std::mem::forget(cluster);
            Some(found)
        })
        .as_ref()
}

/// A prefix for names of topics and groups that no other test has, in this run or another.
pub fn prefix(test: &str) -> String {
    static TESTS: AtomicU32 = AtomicU32::new(0);
    format!("{test}-{}-{}-", std::process::id(), TESTS.fetch_add(1, Ordering::Relaxed))
}

/// What a cluster has beyond what all have.
#[derive(Clone, Debug, Default)]
pub struct Beyond {
    /// Further listeners: name in capitals, protocol, and settings of their own, one a line.
    pub listeners: Vec<(&'static str, &'static str, String)>,
    /// Further settings, one a line; what is set twice is what it is set to last.
    pub settings: String,
    /// Further arguments for the tool that formats storage.
    pub format: Vec<String>,
    /// Further arguments of Java.
    pub java: Vec<String>,
    /// Whether a proxy stands before it.
    pub is_fronted: bool,
}

/// A cluster in KRaft mode; each broker is a controller too. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    brokers: Vec<Broker>,
    id: String,
    beyond: Beyond,
    // Dropped after the brokers.
    _folder: tempfile::TempDir,
}

#[derive(Debug)]
struct Broker {
    folder: PathBuf,
    port: u16,
    password_port: u16,
    /// Where it listens behind a proxy, and the port of the proxy, at which nobody listens yet; none without one.
    fronted: Option<(u16, TcpListener)>,
    /// Of further listeners.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only encryption has listeners of its own"))]
    more_ports: Vec<u16>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    keeper: Child,
    broker: u32,
}

impl Cluster {
    /// Starts `size` brokers (1 or 3) and waits until each answers. None where there is no Kafka to start.
    pub fn start(size: usize) -> Option<Self> {
        Self::start_with(size, &Beyond::default())
    }

    /// One broker behind a proxy, which has to be started on what [`Cluster::front`] gives: whoever comes by it, and the
    /// broker itself where it marks the ends of transactions, is told no other address.
    pub fn start_behind_a_proxy() -> Option<Self> {
        Self::start_with(1, &Beyond { is_fronted: true, ..Beyond::default() })
    }

    /// Where the proxy, if there is to be one, has to take connections, and the port of the broker to which it has to pass them on.
    pub fn front(&self) -> Option<(TcpListener, u16)> {
        let (behind, front) = self.brokers[0].fronted.as_ref()?;
        Some((front.try_clone().unwrap(), *behind))
    }

    /// The same with something of its own.
    pub fn start_with(size: usize, beyond: &Beyond) -> Option<Self> {
        jars()?;
        (0..STARTS)
            .find_map(|_| Self::try_start(size, beyond))
            .or_else(|| panic!("no cluster in {STARTS} starts"))
    }

    fn try_start(size: usize, beyond: &Beyond) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("tiltmeter-kafka-").tempdir().unwrap();
        let each = 3 + beyond.listeners.len();
        let ports = free_ports(each * size);
        let id = format!("{:0>22}", prefix("t").replace('-', "_"));
        let voters: Vec<String> = ports
            .chunks(each)
            .zip(1..)
            .map(|(ports, node)| format!("{node}@127.0.0.1:{}", ports[2]))
            .collect();
        let brokers = ports.chunks(each).zip(1..).map(|(ports, node)| {
            let own = folder.path().join(format!("broker-{node}"));
            std::fs::create_dir(&own).unwrap();
            let fronted =
                beyond.is_fronted.then(|| (free_ports(1)[0], TcpListener::bind("127.0.0.1:0").unwrap()));
            let mut text = settings(node, ports, &voters.join(","), &own, beyond);
            if let Some((behind, front)) = &fronted {
                text += &fronting(ports, *behind, front.local_addr().unwrap().port());
            }
            std::fs::write(own.join("settings"), text).unwrap();
            let mut format = java(&own, "128m", &beyond.java, "kafka.tools.StorageTool");
            format.args(["format", "-t", &id, "-c"]).arg(own.join("settings")).args(&beyond.format);
            let formatted = format.output().unwrap();
            assert!(formatted.status.success(), "{formatted:?}");
            let more_ports = ports[3..].to_vec();
            Broker {
                folder: own,
                port: ports[0],
                password_port: ports[1],
                fronted,
                more_ports,
                running: None,
            }
        });
        let mut cluster = Self { brokers: brokers.collect(), id, beyond: beyond.clone(), _folder: folder };
        cluster.brokers.iter_mut().for_each(|broker| broker.start(&beyond.java));
        (0..size).all(|broker| cluster.is_ready(broker)).then_some(cluster)
    }

    /// The address of the first broker's listener of this name, one of those that were asked for.
    #[cfg(feature = "tls")]
    pub fn listener(&self, name: &str) -> String {
        let place = self.beyond.listeners.iter().position(|(of, ..)| *of == name).unwrap();
        format!("127.0.0.1:{}", self.brokers[0].more_ports[place])
    }

    /// How to reach it.
    pub fn addresses(&self) -> Brokers {
        let list = |port: fn(&Broker) -> u16| {
            let all: Vec<String> = self.brokers.iter().map(|b| format!("127.0.0.1:{}", port(b))).collect();
            all.join(",")
        };
        Brokers { brokers: list(|b| b.port), with_password: Some(list(|b| b.password_port)) }
    }

    /// Ends a broker (0, 1, 2) with SIGKILL and waits until it is gone.
    pub fn kill(&mut self, broker: usize) {
        self.brokers[broker].kill();
    }

    /// Starts a broker that was killed and waits until it answers.
    pub fn restart(&mut self, broker: usize) {
        self.brokers[broker].kill();
        self.brokers[broker].start(&self.beyond.java);
        assert!(self.is_ready(broker), "broker {broker} lost its port");
    }

    /// Stops a broker (SIGSTOP): its connections stay, it says nothing.
    pub fn pause(&self, broker: usize) {
        self.brokers[broker].signal("STOP");
    }

    /// Lets a broker that was stopped go on.
    pub fn resume(&self, broker: usize) {
        self.brokers[broker].signal("CONT");
    }

    /// Damages a partition on the disk of the first broker, at a place where `text` stands behind the record at an offset; a
    /// byte that a checksum covers. The partition must lie in one segment and must not be packed.
    pub fn damage(&self, topic: &str, partition: i32, text: &[u8], offset: i64) {
        use std::os::unix::fs::FileExt as _;
        let log = self.brokers[0].folder.join(format!("data/{topic}-{partition}/{:020}.log", 0));
        let bytes = std::fs::read(&log).unwrap();
        // Batches one after the other: the offset of the first record, then the length of what follows.
        let mut at = 0;
        while i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) < offset {
            at += 12 + u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        }
        let place = bytes[at..].windows(text.len()).position(|window| window == text).unwrap() + at;
        let file = std::fs::File::options().write(true).open(&log).unwrap();
        file.write_all_at(&[bytes[place] ^ 1], place as u64).unwrap();
    }

    /// The batches of a partition on the disk of the first broker: offset of the first record, and whether it only marks the
    /// end of a transaction. The partition must lie in one segment.
    pub fn batches(&self, topic: &str, partition: i32) -> Vec<(i64, bool)> {
        let bytes = std::fs::read(self.segment(topic, partition)).unwrap();
        batches_in(&bytes).map(|(at, _)| (first_offset(&bytes[at..]), bytes[at + 22] & 0x20 != 0)).collect()
    }

    /// Damages the batch of a partition that begins at an offset: its records are nonsense. The partition must lie in one
    /// segment.
    ///
    /// * `mend`: with a checksum that fits all the same.
    pub fn spoil(&self, topic: &str, partition: i32, offset: i64, mend: bool) {
        use std::os::unix::fs::FileExt as _;
        let segment = self.segment(topic, partition);
        let bytes = std::fs::read(&segment).unwrap();
        let (at, length) = batches_in(&bytes).find(|(at, _)| first_offset(&bytes[*at..]) == offset).unwrap();
        let mut batch = bytes[at..at + length].to_vec();
        // What stands before it is the head of the batch.
        batch[61..].iter_mut().for_each(|byte| *byte = !*byte);
        if mend {
            let sum = crc32c::crc32c(&batch[21..]);
            batch[17..21].copy_from_slice(&sum.to_be_bytes());
        }
        std::fs::File::options().write(true).open(&segment).unwrap().write_all_at(&batch, at as u64).unwrap();
    }

    fn segment(&self, topic: &str, partition: i32) -> PathBuf {
        self.brokers[0].folder.join(format!("data/{topic}-{partition}/{:020}.log", 0))
    }

    /// Waits until the broker answers, in a cluster that is ours and sees all of its running brokers. False if it never
    /// will, because a port was taken.
    fn is_ready(&self, broker: usize) -> bool {
        let one = &self.brokers[broker];
        let running = self.brokers.iter().filter(|broker| broker.running.is_some()).count();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", format!("127.0.0.1:{}", one.port)).set("log_level", "0");
        let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet).unwrap();
        let until = Instant::now() + READY_WITHIN;
        while Instant::now() < until {
            // Not all tries take their time: some brokers answer before they know the others.
            std::thread::sleep(PAUSE);
            if let Ok(seen) = consumer.fetch_metadata(None, TRY) {
                let id = consumer.client().fetch_cluster_id(TRY);
                assert!(id.is_none_or(|id| id == self.id), "port {} is another cluster's", one.port);
                if seen.brokers().len() >= running {
                    return true;
                }
            }
            if one.log().contains("BindException") {
                return false;
            }
        }
        panic!("no answer from broker {broker}; its log:\n{}", one.log());
    }
}

/// Where each batch of a segment begins, and its length.
fn batches_in(bytes: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let length = bytes.get(at + 8..at + 12)?;
        let length = 12 + u32::from_be_bytes(length.try_into().unwrap()) as usize;
        at += length;
        (length > 61).then_some((at - length, length))
    })
}

fn first_offset(batch: &[u8]) -> i64 {
    i64::from_be_bytes(batch[..8].try_into().unwrap())
}

struct Quiet;

impl rdkafka::ClientContext for Quiet {
    fn error(&self, _: rdkafka::error::KafkaError, _: &str) {}
}

impl rdkafka::consumer::ConsumerContext for Quiet {}

impl Broker {
    fn start(&mut self, more: &[String]) {
        let mut keeper = java(&self.folder, "512m", more, "kafka.Kafka");
        keeper.arg(self.folder.join("settings"));
        let mut kept = Command::new("sh");
        kept.args(["-c", KEEPER, "keeper"])
            .arg(keeper.get_program())
            .args(keeper.get_args())
            .env("FOLDER", self.folder.parent().unwrap())
            .env("LOG", self.folder.join("log"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut keeper = kept.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.running = Some(Running { keeper, broker: line.trim().parse().unwrap() });
    }

    fn kill(&mut self) {
        use std::io::Write as _;
        if let Some(Running { mut keeper, .. }) = self.running.take() {
            // A keeper that is gone has killed already.
            let _ = keeper.stdin.take().unwrap().write_all(b"kill\n");
            keeper.wait().unwrap();
        }
    }

    fn signal(&self, signal: &str) {
        let process = self.running.as_ref().unwrap().broker;
        let sent = Command::new("kill").args([format!("-{signal}"), process.to_string()]).status().unwrap();
        assert!(sent.success(), "cannot send {signal} to {process}");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The class path of Kafka; none where Java or Kafka is missing.
fn jars() -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = std::fs::read_to_string(root.join("scripts/kafka/pom.xml")).unwrap();
    let version = model.split("<kafka.version>").nth(1)?.split('<').next()?;
    let folder = root.join("target/kafka").join(version);
    let java = Command::new("java").arg("-version").stderr(Stdio::null()).status();
    (folder.is_dir() && java.is_ok_and(|java| java.success())).then(|| format!("{}/*", folder.display()))
}

fn java(folder: &Path, heap: &str, more: &[String], class: &str) -> Command {
    let mut java = Command::new("java");
    // The fast compiler and the collector of one thread: brokers start sooner and leave the cores to the tests.
    java.args([&format!("-Xmx{heap}"), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
        .arg(format!("-Djava.io.tmpdir={}", folder.display()))
        .args(more)
        .args(["-cp", &jars().unwrap(), class]);
    java
}

/// Ports that nobody listens at, all different.
fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// Further settings of a broker behind a proxy; of two lines for one setting the later counts.
fn fronting(ports: &[u16], behind: u16, front: u16) -> String {
    let [plain, password, controller] =
        [ports[0], ports[1], ports[2]].map(|port| format!("127.0.0.1:{port}"));
    format!(
        "listeners=PLAINTEXT://{plain},PASSWORD://{password},CONTROLLER://{controller},FRONTED://127.0.0.1:{behind}\n\
         advertised.listeners=PLAINTEXT://{plain},PASSWORD://{password},FRONTED://127.0.0.1:{front}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PASSWORD:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT,FRONTED:PLAINTEXT\n\
         inter.broker.listener.name=FRONTED\n"
    )
}

/// Settings of one broker: as in production, but small, quick to rebalance, and quick to give up on who is gone.
fn settings(node: usize, ports: &[u16], voters: &str, folder: &Path, beyond: &Beyond) -> String {
    let size = voters.split(',').count();
    let copies = size.min(3);
    let in_sync = copies.min(2);
    let [plain, password, controller] =
        [ports[0], ports[1], ports[2]].map(|port| format!("127.0.0.1:{port}"));
    let (mut at, mut protocols) = (String::new(), String::new());
    for ((name, protocol, _), port) in beyond.listeners.iter().zip(&ports[3..]) {
        write!(at, ",{name}://127.0.0.1:{port}").unwrap();
        write!(protocols, ",{name}:{protocol}").unwrap();
    }
    let mut text = format!(
        "process.roles=broker,controller\nnode.id={node}\ncontroller.quorum.voters={voters}\n\
         listeners=PLAINTEXT://{plain},PASSWORD://{password},CONTROLLER://{controller}{at}\n\
         advertised.listeners=PLAINTEXT://{plain},PASSWORD://{password}{at}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PASSWORD:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}\n\
         controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n\
         sasl.enabled.mechanisms=PLAIN\n\
         listener.name.password.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
         required user_{USER}=\"{PASSWORD}\";\n\
         log.dirs={}\ndefault.replication.factor={copies}\nmin.insync.replicas={in_sync}\n\
         offsets.topic.replication.factor={copies}\ntransaction.state.log.replication.factor={copies}\n\
         transaction.state.log.min.isr={in_sync}\n",
        folder.join("data").display()
    );
    for (name, value) in [
        ("auto.create.topics.enable", "false"),
        ("offsets.topic.num.partitions", "4"),
        ("transaction.state.log.num.partitions", "4"),
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "1000"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("group.min.session.timeout.ms", "1000"),
        ("broker.session.timeout.ms", "6000"),
        ("replica.lag.time.max.ms", "6000"),
        // The default, 128 MiB, is a quarter of the heap.
        ("log.cleaner.dedupe.buffer.size", "16777216"),
        ("log.cleaner.backoff.ms", "1000"),
        ("num.network.threads", "2"),
        ("num.io.threads", "4"),
    ] {
        writeln!(text, "{name}={value}").unwrap();
    }
    for (name, _, own) in &beyond.listeners {
        for line in own.lines() {
            writeln!(text, "listener.name.{}.{line}", name.to_lowercase()).unwrap();
        }
    }
    text + &beyond.settings
}
