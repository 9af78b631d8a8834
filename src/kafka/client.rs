//! Makes clients of librdkafka from the settings: consumers, producers, readers without a group.
//!
//! Knows the properties that our promises rest on. Must not know what is sent. Secrets are read each time a
//! configuration is made, so that a new client has the new password.

mod connect;
mod repetitions;
mod with;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rdkafka::ClientConfig;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

pub use self::connect::{Hears, consumer, hear, hear_why, producer};
use self::repetitions::Repetitions;
pub use self::with::With;
use super::failure::{Failure, Trouble};
use super::secret::SecretPlace;
use super::settings::{Delivery, KafkaSettings, Mechanism, Security};
use super::token::oauth_token;

/// Longest time between two polls; whoever is slower has lost its partitions. Milliseconds.
const MAX_POLL_INTERVAL_MS: &str = "120000";
/// What one consumer fetches ahead. KiB; the bound of its memory.
const FETCHED_AHEAD_KIB: &str = "32768";
/// How long a producer waits for more records before it sends. Milliseconds; a small part of the 100 that an alert may take.
const LINGER_MS: &str = "5";
/// Largest record that we write. Bytes; what a broker takes by default.
const LARGEST_RECORD_BYTES: &str = "1048576";

/// Receives lines of librdkafka: whether a person should look, and the line.
pub type Log = Arc<dyn Fn(Severity, &str) + Send + Sync>;

/// How much a line matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// For whoever looks for something.
    Debug,
    /// Good to know.
    Info,
    /// Not as it should be; nothing is lost.
    Warning,
    /// A person must act.
    Error,
}

/// Where a consumer begins on a partition for which its group has no offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// At the first record: the group is new.
    Earliest,
    /// Nowhere, with an error: the group is not new, and its offset was lost.
    Error,
}

/// Which records a reader without a group sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    /// Those of committed transactions, up to the first one that is open.
    Committed,
    /// All; its end of a partition is the high watermark.
    Uncommitted,
}

/// Makes the clients of one instance.
#[derive(Clone)]
pub struct Clients {
    settings: KafkaSettings,
    instance: String,
    log: Log,
    /// Of all clients together: they say the same at the same time.
    repetitions: Arc<Mutex<Repetitions>>,
}

impl Clients {
    /// Settings that this build and this host can serve.
    ///
    /// # Errors
    ///
    /// When the settings want encryption and this build has none; when no instance is named and the host has no name.
    pub fn new(settings: &KafkaSettings, log: Log) -> Result<Self, Failure> {
        if let Some(wanted) = beyond_this_build(&settings.security) {
            return Err(Failure::set_up(format!(
                "[kafka.security] {wanted} needs encryption, which this build leaves out: build with \
                 `cargo build --release --features tls-vendored`, or with `--features tls` where libssl-dev is installed"
            )));
        }
        let host = || hostname::get().ok()?.into_string().ok().filter(|name| !name.is_empty());
        let instance = settings.instance.clone().or_else(host).ok_or_else(|| {
            Failure::set_up("this host has no name: set [kafka] instance to a name of its own".to_owned())
        })?;
        Ok(Self { settings: settings.clone(), instance, log, repetitions: Arc::default() })
    }

    /// The settings.
    pub fn settings(&self) -> &KafkaSettings {
        &self.settings
    }

    /// The same instance in the group of those who tell in another format: `GROUP-sink-TOPIC`.
    pub fn for_sink(&self, topic: &str) -> Self {
        let group = format!("{}-sink-{topic}", self.settings.group);
        Self { settings: KafkaSettings { group, ..self.settings.clone() }, ..self.clone() }
    }

    /// The same instance in the group of those who send the messages of a topic to a webhook: `GROUP-webhook-NAME-TOPIC`.
    pub fn for_webhook(&self, name: &str, topic: &str) -> Self {
        let group = format!("{}-webhook-{name}-{topic}", self.settings.group);
        Self { settings: KafkaSettings { group, ..self.settings.clone() }, ..self.clone() }
    }

    /// The same instance in the group of those who translate sources: `GROUP-normalise`.
    pub fn for_sources(&self) -> Self {
        let group = format!("{}-normalise", self.settings.group);
        Self { settings: KafkaSettings { group, ..self.settings.clone() }, ..self.clone() }
    }

    /// Name of this instance.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Passes a line on to where those of librdkafka go.
    pub fn say(&self, severity: Severity, line: &str) {
        (self.log)(severity, line);
    }

    /// The transactional id of a thread: the same after every restart, so that the restarted settles what it left open.
    pub fn transactional_id(&self, thread: u32) -> String {
        format!("{}-{}-{thread}", self.settings.group, self.instance)
    }

    /// The one transactional id of all who write control records, so that they take turns.
    pub fn control_id(&self) -> String {
        format!("{}-control", self.settings.group)
    }

    /// What every client needs for its events: where lines go, what went wrong, tokens.
    pub fn context(&self) -> Context {
        Context {
            log: self.log.clone(),
            repetitions: Arc::clone(&self.repetitions),
            token: self.settings.security.oauth_token.clone(),
            was_asked: AtomicBool::new(false),
            trouble: Mutex::new(None),
        }
    }

    /// A consumer of the group.
    ///
    /// # Errors
    ///
    /// When a secret cannot be read.
    pub fn consumer(&self, thread: u32, begin: Begin) -> Result<ClientConfig, Failure> {
        let settings = &self.settings;
        let mut config = self.any(&format!("{}-{thread}", self.instance))?;
        reading(&mut config, Isolation::Committed);
        config
            .set("group.id", &settings.group)
            // In librdkafka 2.12 the newer group protocol fails for good when a poll comes late.
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", settings.session_timeout_ms.to_string())
            .set("heartbeat.interval.ms", settings.heartbeat_interval_ms.to_string())
            .set("auto.offset.reset", if begin == Begin::Earliest { "earliest" } else { "error" })
            .set("statistics.interval.ms", "5000");
        if config.get("max.poll.interval.ms").is_none() {
            // librdkafka wants it no shorter than the session.
            let session = settings.session_timeout_ms.to_string();
            let longest = if settings.session_timeout_ms > 120_000 { &session } else { MAX_POLL_INTERVAL_MS };
            config.set("max.poll.interval.ms", longest);
        }
        if let Some(seat) = &settings.group_instance_id {
            config.set("group.instance.id", format!("{seat}-{thread}"));
        }
        Ok(config)
    }

    /// A consumer outside the group, for restoring and tailing: it commits nothing and takes part in no rebalance. The
    /// group is named so that committed offsets can be asked for.
    ///
    /// # Errors
    ///
    /// When a secret cannot be read.
    pub fn reader(&self, isolation: Isolation) -> Result<ClientConfig, Failure> {
        let mut config = self.any(&format!("{}-reader", self.instance))?;
        reading(&mut config, isolation);
        config
            .set("group.id", &self.settings.group)
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true");
        Ok(config)
    }

    /// The producer of a thread: transactional, or idempotent where delivery is `at_least_once`.
    ///
    /// # Errors
    ///
    /// When a secret cannot be read.
    pub fn producer(&self, thread: u32) -> Result<ClientConfig, Failure> {
        let mut config = self.any(&format!("{}-{thread}", self.instance))?;
        for (name, value) in [
            ("linger.ms", LINGER_MS),
            ("compression.type", "lz4"),
            ("message.max.bytes", LARGEST_RECORD_BYTES),
        ] {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            // librdkafka's own choice is not Java's: an agent would lie on two partitions.
            .set("partitioner", "murmur2_random");
        if self.settings.delivery == Delivery::ExactlyOnce {
            config
                .set("transactional.id", self.transactional_id(thread))
                .set("transaction.timeout.ms", self.settings.transaction_timeout_ms.to_string());
        }
        Ok(config)
    }

    /// A client that asks about topics and makes them.
    ///
    /// # Errors
    ///
    /// When a secret cannot be read.
    pub fn admin(&self) -> Result<ClientConfig, Failure> {
        self.any(&format!("{}-admin", self.instance))
    }

    /// What all clients have in common. Further properties come first, so that none replaces one of ours.
    fn any(&self, client: &str) -> Result<ClientConfig, Failure> {
        let KafkaSettings { brokers, security, librdkafka, .. } = &self.settings;
        let mut config = ClientConfig::new();
        for (name, value) in librdkafka {
            config.set(name, value);
        }
        config
            .set("bootstrap.servers", brokers)
            .set("client.id", client)
            .set("security.protocol", security.protocol.name())
            .set("allow.auto.create.topics", "false")
            .set_log_level(RDKafkaLogLevel::Info);
        let files = [
            ("ssl.ca.location", &security.ca_file),
            ("ssl.certificate.location", &security.certificate_file),
            ("ssl.key.location", &security.key_file),
        ];
        for (name, file) in files {
            if let Some(file) = file {
                let path = file.to_str().ok_or_else(|| {
                    Failure::set_up(format!(
                        "[kafka.security] names the file {file:?}: rename it, librdkafka reads UTF-8"
                    ))
                })?;
                config.set(name, path);
            }
        }
        if let Some(mechanism) = security.mechanism {
            config.set("sasl.mechanism", mechanism.name());
        }
        if let Some(user) = &security.username {
            config.set("sasl.username", user);
        }
        for (name, place) in
            [("sasl.password", &security.password), ("ssl.key.password", &security.key_password)]
        {
            if let Some(place) = place {
                let secret =
                    place.read().map_err(|error| Failure::set_up(format!("[kafka.security] {error}")))?;
                config.set(name, secret.reveal());
            }
        }
        Ok(config)
    }
}

fn reading(config: &mut ClientConfig, isolation: Isolation) {
    for (name, value) in [("queued.max.messages.kbytes", FETCHED_AHEAD_KIB), ("fetch.queue.backoff.ms", "20")]
    {
        if config.get(name).is_none() {
            config.set(name, value);
        }
    }
    let isolation = match isolation {
        Isolation::Committed => "read_committed",
        Isolation::Uncommitted => "read_uncommitted",
    };
    config
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("check.crcs", "true");
}

/// What the settings want that librdkafka was built without.
fn beyond_this_build(security: &Security) -> Option<String> {
    if cfg!(feature = "tls") {
        None
    } else if security.protocol.encrypts() {
        Some(format!("protocol = \"{}\"", security.protocol.name()))
    } else {
        let mechanism = security.mechanism.filter(|mechanism| *mechanism != Mechanism::Plain)?;
        Some(format!("mechanism = \"{}\"", mechanism.name()))
    }
}

/// What one client says of itself, kept and passed on; nothing is printed. Contexts of one's own hand
/// these three to it.
pub struct Context {
    log: Log,
    repetitions: Arc<Mutex<Repetitions>>,
    token: Option<SecretPlace>,
    /// Whether librdkafka has asked for a token.
    was_asked: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
}

impl Context {
    /// Whether a token was promised and not asked for yet.
    fn waits_for_token(&self) -> bool {
        self.token.is_some() && !self.was_asked.load(Ordering::Acquire)
    }

    /// What librdkafka last said about its connections. Needs somebody who polls the client.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Passes a line on; what should worry somebody and is said again and again, once a minute.
    fn pass(&self, severity: Severity, line: &str) {
        if severity < Severity::Warning {
            (self.log)(severity, line);
            return;
        }
        let passed =
            self.repetitions.lock().unwrap_or_else(PoisonError::into_inner).pass(line, Instant::now());
        if let Some(line) = passed {
            (self.log)(severity, &line);
        }
    }

    fn note(&self, code: RDKafkaErrorCode, reason: &str) {
        let trouble = Trouble { code, reason: reason.to_owned() };
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        // That a producer has no use for what a person set for consumers is no news.
        if facility == "CONFWARN" {
            return;
        }
        // Its errors only say that a transaction failed; the topic that we may not write to stands here alone.
        if facility == "ADDPARTS" && line.contains("authorization failed") {
            self.note(RDKafkaErrorCode::TopicAuthorizationFailed, line);
        }
        let severity = match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => Severity::Error,
            RDKafkaLogLevel::Warning => Severity::Warning,
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => Severity::Info,
            RDKafkaLogLevel::Debug => Severity::Debug,
        };
        self.pass(severity, &format!("librdkafka: {facility}: {line}"));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        // The end of a partition is no trouble; whoever asked for it is told otherwise.
        if code == RDKafkaErrorCode::PartitionEOF {
            return;
        }
        self.pass(Severity::Warning, &format!("librdkafka: {error}: {reason}"));
        // "All brokers are down" hides why they are.
        if code != RDKafkaErrorCode::AllBrokersDown || self.trouble().is_none() {
            self.note(code, reason);
        }
    }

    // Whoever wants them asks for them.
    fn stats_raw(&self, _: &[u8]) {}

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.was_asked.store(true, Ordering::Release);
        let place = self.token.as_ref().ok_or("[kafka.security] oauth_token is missing")?;
        let token = place.read().map_err(|error| format!("[kafka.security] oauth_token: {error}"))?;
        let token = oauth_token(&token);
        Ok(token.ok_or("[kafka.security] oauth_token is no JSON Web Token with `sub` and `exp`")?)
    }
}

impl ConsumerContext for Context {}

#[cfg(test)]
mod tests;
