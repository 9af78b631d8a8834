//! What the table `[kafka]` of the configuration says, checked.
//!
//! Knows names and ranges. Must not know how a client is made of them, and touches neither network nor secrets.

use std::path::PathBuf;

use super::secret::SecretPlace;
use crate::wire::outputs as output;
use crate::wire::sources::format::Format;

/// How a broker is reached, and how we behave there. `config::Config::kafka` makes it; [`Default`] is an empty table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KafkaSettings {
    /// Brokers to ask first: `host:port`, with commas between; not empty.
    pub brokers: String,
    /// Consumer group, and the beginning of every transactional id; not empty.
    pub group: String,
    /// Name of this instance among those of its group. None: the name of the host. Two instances with one name would
    /// fence each other.
    pub instance: Option<String>,
    /// Name for static membership; none: the group forgets an instance as soon as it leaves.
    pub group_instance_id: Option<String>,
    /// What a crash may do.
    pub delivery: Delivery,
    /// Whose time a record bears.
    pub record_time: RecordTime,
    /// Consumers in this process, each with partitions of its own; 1 to 64.
    pub threads: u32,
    /// An instance that was silent for so long has lost its partitions. Milliseconds.
    pub session_timeout_ms: u32,
    /// Time between two signs of life. Milliseconds; at most a third of the session.
    pub heartbeat_interval_ms: u32,
    /// A transaction that is older is aborted by the broker. Milliseconds; shorter than the session, so that whoever
    /// takes over partitions never waits for the transaction of the one before.
    pub transaction_timeout_ms: u32,
    /// Longest stretch of events that a restart judges again. Seconds of event time.
    pub max_replay_secs: u32,
    /// What is left out where there is too much.
    pub overload: Overload,
    /// Whether a made-up event is written to every partition once an hour, to see its alert come back.
    pub canary: bool,
    /// Names of topics.
    pub topics: TopicNames,
    /// Encryption and identity.
    pub security: Security,
    /// Key of the chain of control records; none: anybody who may write the topic can go on with it.
    pub control_key: Option<SecretPlace>,
    /// Topics of further formats: what `[[sinks]]` asks for.
    pub sinks: Vec<SinkTopic>,
    /// Addresses that are told: what `[[webhooks]]` asks for.
    pub webhooks: Vec<Webhook>,
    /// Further properties for librdkafka, none of which says what a field above says.
    pub librdkafka: Vec<(String, String)>,
}

impl KafkaSettings {
    /// Files that are read when a client is made, and not again. The token is not among them: it is asked for again.
    pub fn files(&self) -> Vec<PathBuf> {
        let Security { ca_file, certificate_file, key_file, key_password, password, .. } = &self.security;
        let secrets = [key_password, password].into_iter().flatten().filter_map(|place| match place {
            SecretPlace::File(file) => Some(file),
            SecretPlace::Environment(_) => None,
        });
        [ca_file, certificate_file, key_file].into_iter().flatten().chain(secrets).cloned().collect()
    }

    /// Files that say whom webhooks trust; they are read once, too.
    pub fn trusted_files(&self) -> Vec<PathBuf> {
        self.webhooks.iter().filter_map(|webhook| webhook.ca_file.clone()).collect()
    }
}

/// What a crash may do to outputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// Nothing: outputs, state and offsets are one transaction.
    ExactlyOnce,
    /// Repeat alerts, under their ids; for brokers that allow no transactions.
    AtLeastOnce,
}

impl Delivery {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExactlyOnce => "exactly_once",
            Self::AtLeastOnce => "at_least_once",
        }
    }
}

/// When there is too much for a partition, and what is done then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overload {
    /// What may be left out.
    pub shed: Shed,
    /// It is too much where more records than this wait on one partition and do not become fewer.
    pub above_records: u32,
    /// It is over where at most so many wait; less than `above_records`.
    pub below_records: u32,
    /// For so long. Seconds.
    pub for_secs: u32,
}

impl Default for Overload {
    fn default() -> Self {
        // Some fifteen seconds of work of one core; with a minute's patience nobody meets it who is only busy.
        Self { shed: Shed::None, above_records: 1_000_000, below_records: 100_000, for_secs: 60 }
    }
}

/// What may be left out where there is too much; each includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shed {
    /// Nothing: what waits, waits.
    None,
    /// Calls that repeat others in everything that could be judged.
    Repeats,
    /// Everything but the newest records.
    Skip,
}

impl Shed {
    /// Names of all.
    pub const NAMES: &'static [&'static str] = &["none", "repeats", "skip"];

    /// The one with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::None, Self::Repeats, Self::Skip].into_iter().find(|shed| shed.name() == name)
    }

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Repeats => "repeats",
            Self::Skip => "skip",
        }
    }
}

/// Whose time a record of the input bears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordTime {
    /// The broker's (`message.timestamp.type=LogAppendTime`), which no producer can forge.
    Broker,
    /// The producer's, believed: for demonstrations, tests and back-fill by producers of your own.
    Producer,
}

impl RecordTime {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Producer => "producer",
        }
    }
}

/// A topic by what it is for. The order is that of `schemas/topics.yaml`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Audit events, in.
    Audit,
    /// Alerts, out.
    Alerts,
    /// The risk of every agent now, out.
    Risk,
    /// Input that could not be used.
    DeadLetters,
    /// What people decide: verdicts, declared changes, settings.
    Control,
    /// Heartbeats and coverage gaps.
    Status,
    /// Findings and logged inputs.
    Journal,
    /// State of partitions.
    Checkpoints,
    /// What each partition adds to the baselines of types.
    BaselineParts,
    /// Baselines that are in force.
    Baselines,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Audit,
        Self::Alerts,
        Self::Risk,
        Self::DeadLetters,
        Self::Control,
        Self::Status,
        Self::Journal,
        Self::Checkpoints,
        Self::BaselineParts,
        Self::Baselines,
    ];

    /// Its setting.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Audit => "kafka.topics.audit",
            Self::Alerts => "kafka.topics.alerts",
            Self::Risk => "kafka.topics.risk",
            Self::DeadLetters => "kafka.topics.dead_letters",
            Self::Control => "kafka.topics.control",
            Self::Status => "kafka.topics.status",
            Self::Journal => "kafka.topics.journal",
            Self::Checkpoints => "kafka.topics.checkpoints",
            Self::BaselineParts => "kafka.topics.baseline_parts",
            Self::Baselines => "kafka.topics.baselines",
        }
    }

    /// Its name where nothing else is said.
    pub fn default_name(self) -> &'static str {
        match self {
            Self::Audit => "agent-audit",
            Self::Alerts => "agent-alerts",
            Self::Risk => "agent-risk",
            Self::DeadLetters => "agent-audit-dlq",
            Self::Control => "agent-control",
            Self::Status => "tiltmeter-status",
            Self::Journal => "tiltmeter-journal",
            Self::Checkpoints => "tiltmeter-checkpoints",
            Self::BaselineParts => "tiltmeter-baseline-parts",
            Self::Baselines => "tiltmeter-baselines",
        }
    }
}

/// The name of each topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicNames([String; Topic::ALL.len()]);

impl TopicNames {
    /// Names as `name` gives them, asked in the order of [`Topic::ALL`].
    pub fn each(name: impl FnMut(Topic) -> String) -> Self {
        Self(Topic::ALL.map(name))
    }

    /// The name of a topic.
    pub fn of(&self, topic: Topic) -> &str {
        self.0.get(topic as usize).map_or("", String::as_str)
    }
}

/// A topic whose records are translated to audit events: an element of `[[sources]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceTopic {
    /// Its name; none of [`TopicNames`].
    pub topic: String,
    /// What its records are.
    pub format: Format,
    /// Consumers of it in this process; 1 to 64.
    pub threads: u32,
}

/// A topic in which alerts or risk updates are told in another format: one for each topic of an element of `[[sinks]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SinkTopic {
    /// Its name: that of the topic whose messages it tells, a dot, and the name of the format or of the sink.
    pub name: String,
    /// Whose messages: [`Topic::Alerts`] or [`Topic::Risk`].
    pub topic: Topic,
    /// In which format.
    pub format: output::Format,
}

/// An address of HTTP that alerts or risk updates are sent to: an element of `[[webhooks]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    /// Its own name among webhooks; part of the name of its consumer groups.
    pub name: String,
    /// Where to send: `http://…` or `https://…`.
    pub url: String,
    /// [`Topic::Alerts`], [`Topic::Risk`] or both.
    pub topics: Vec<Topic>,
    /// In which format.
    pub format: output::Format,
    /// What signs; without it nothing is signed.
    pub secret: Option<SecretPlace>,
    /// Certificates that are trusted behind `https://` (PEM); none: those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// Value of the header `authorization`, such as `Bearer …`; none: there is no such header.
    pub authorization: Option<SecretPlace>,
}

/// Encryption, and who we are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Security {
    /// Encrypted or not, with a login or not.
    pub protocol: Protocol,
    /// Certificates that are trusted (PEM); none: those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// Certificate of this client (PEM), where the broker asks for one.
    pub certificate_file: Option<PathBuf>,
    /// Its key (PEM).
    pub key_file: Option<PathBuf>,
    /// Password of the key.
    pub key_password: Option<SecretPlace>,
    /// How to log in; there is one exactly where the protocol logs in.
    pub mechanism: Option<Mechanism>,
    /// User, for all mechanisms but OAUTHBEARER.
    pub username: Option<String>,
    /// Password, for all mechanisms but OAUTHBEARER.
    pub password: Option<SecretPlace>,
    /// Token (JSON Web Token) for OAUTHBEARER, read anew when it runs out; whoever writes the file renews it.
    pub oauth_token: Option<SecretPlace>,
}

/// The value of `security.protocol`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// Neither encrypted nor logged in.
    #[default]
    Plaintext,
    /// Encrypted.
    Ssl,
    /// Logged in; password and events can be read on the way.
    SaslPlaintext,
    /// Encrypted and logged in.
    SaslSsl,
}

impl Protocol {
    /// Names of all, as the configuration and librdkafka call them.
    pub const NAMES: &'static [&'static str] = &["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];

    /// The one with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl]
            .into_iter()
            .find(|p| p.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    /// Whether it encrypts.
    pub fn encrypts(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether it logs in.
    pub fn logs_in(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// The value of `sasl.mechanism`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    /// User and password, told to the broker as they are.
    Plain,
    /// User and password, proved with SHA-256.
    ScramSha256,
    /// User and password, proved with SHA-512.
    ScramSha512,
    /// A token.
    OauthBearer,
}

impl Mechanism {
    /// Names of all, as the configuration and librdkafka call them.
    pub const NAMES: &'static [&'static str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];

    /// The one with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        let all = [Self::Plain, Self::ScramSha256, Self::ScramSha512, Self::OauthBearer];
        all.into_iter().find(|mechanism| mechanism.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".to_owned(),
            group: "tiltmeter".to_owned(),
            instance: None,
            group_instance_id: None,
            delivery: Delivery::ExactlyOnce,
            record_time: RecordTime::Broker,
            threads: 1,
            // What Kafka's own clients wait (KIP-735).
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 3_000,
            transaction_timeout_ms: 15_000,
            max_replay_secs: 600,
            overload: Overload::default(),
            canary: false,
            topics: TopicNames::each(|topic| topic.default_name().to_owned()),
            security: Security::default(),
            control_key: None,
            sinks: Vec::new(),
            webhooks: Vec::new(),
            librdkafka: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_place_a_setting_and_a_name_of_its_own() {
        let names = KafkaSettings::default().topics;
        for topic in Topic::ALL {
            assert_eq!(names.of(topic), topic.default_name());
        }
        let settings: std::collections::BTreeSet<_> =
            Topic::ALL.iter().map(|topic| topic.setting()).collect();
        let distinct: std::collections::BTreeSet<_> =
            Topic::ALL.iter().map(|topic| names.of(*topic)).collect();
        assert_eq!((settings.len(), distinct.len()), (10, 10));
    }

    #[test]
    fn names_lead_back_to_what_they_name() {
        for name in Protocol::NAMES {
            assert_eq!(Protocol::of_name(name).unwrap().name(), *name);
        }
        for name in Mechanism::NAMES {
            assert_eq!(Mechanism::of_name(name).unwrap().name(), *name);
        }
    }
}
