//! Tests of `[kafka]`: defaults, what reaches the settings, faults.

use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};

use crate::config::Config;
use crate::kafka::secret::SecretPlace;
use crate::kafka::settings::{
    Delivery, KafkaSettings, Mechanism, Overload, Protocol, RecordTime, Security, Shed, TopicNames,
};

fn parse(text: &str) -> Config {
    Config::parse(text, Path::new("/etc/tiltmeter")).unwrap()
}

fn check_faults(text: &str, expected: Expect) {
    let faults = Config::parse(text, Path::new("")).unwrap_err();
    expected.assert_eq(&faults.iter().map(|fault| format!("{fault}\n")).collect::<String>());
}

const EVERYTHING: &str = r#"
[kafka]
brokers = "a:1,b:2"
group = "watch"
instance = "watch-0"
group_instance_id = "seat-0"
canary = true
delivery = "at_least_once"
record_time = "producer"
threads = 2
session_timeout_ms = 6000
heartbeat_interval_ms = 1500
transaction_timeout_ms = 4000
max_replay_secs = 60
control_key = { env = "CONTROL_KEY" }
[kafka.overload]
shed = "skip"
above_records = 5000
below_records = 500
for_secs = 30
[kafka.topics]
audit = "t0"
alerts = "t1"
risk = "t2"
dead_letters = "t3"
control = "t4"
status = "t5"
journal = "t6"
checkpoints = "t7"
baseline_parts = "t8"
baselines = "t9"
[kafka.security]
protocol = "sasl_ssl"
ca_file = "ca.pem"
certificate_file = "own.pem"
key_file = "/own.key"
key_password = { file = "key.password" }
mechanism = "SCRAM-SHA-512"
username = "tilt"
password = { env = "KAFKA_PASSWORD" }
oauth_token = { file = "token" }
[kafka.librdkafka]
queued.max.messages.kbytes = 65536
"client.rack" = "a"
socket = { keepalive = { enable = true } }
"#;

#[test]
fn an_empty_table_is_the_default() {
    assert_eq!(*parse("").kafka(), KafkaSettings::default());
}

#[test]
fn every_setting_of_kafka_arrives() {
    let config = parse(EVERYTHING);
    let expected = KafkaSettings {
        brokers: "a:1,b:2".to_owned(),
        group: "watch".to_owned(),
        instance: Some("watch-0".to_owned()),
        group_instance_id: Some("seat-0".to_owned()),
        delivery: Delivery::AtLeastOnce,
        record_time: RecordTime::Producer,
        threads: 2,
        session_timeout_ms: 6_000,
        heartbeat_interval_ms: 1_500,
        transaction_timeout_ms: 4_000,
        max_replay_secs: 60,
        overload: Overload { shed: Shed::Skip, above_records: 5000, below_records: 500, for_secs: 30 },
        canary: true,
        topics: TopicNames::each(|topic| format!("t{}", topic as usize)),
        control_key: Some(SecretPlace::Environment("CONTROL_KEY".to_owned())),
        security: Security {
            protocol: Protocol::SaslSsl,
            ca_file: Some(PathBuf::from("/etc/tiltmeter/ca.pem")),
            certificate_file: Some(PathBuf::from("/etc/tiltmeter/own.pem")),
            key_file: Some(PathBuf::from("/own.key")),
            key_password: Some(SecretPlace::File(PathBuf::from("/etc/tiltmeter/key.password"))),
            mechanism: Some(Mechanism::ScramSha512),
            username: Some("tilt".to_owned()),
            password: Some(SecretPlace::Environment("KAFKA_PASSWORD".to_owned())),
            oauth_token: Some(SecretPlace::File(PathBuf::from("/etc/tiltmeter/token"))),
        },
        sinks: Vec::new(),
        webhooks: Vec::new(),
        librdkafka: [
            ("client.rack", "a"),
            ("queued.max.messages.kbytes", "65536"),
            ("socket.keepalive.enable", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
    };
    assert_eq!(*config.kafka(), expected);
    let kafka = |setting: &&crate::config::Setting| setting.name.starts_with("kafka.");
    assert_eq!(config.changed().filter(kafka).count(), config.all().iter().filter(kafka).count());
}

#[test]
fn where_events_come_from_changes_neither_the_hash_nor_shows_a_secret() {
    let config = parse(EVERYTHING);
    assert_eq!(config.hash(), Config::default().hash());
    let shown = format!("{config:?}");
    assert!(!shown.contains("KAFKA_PASSWORD") && !shown.contains("key.password"), "{shown}");
}

#[test]
fn an_overload_must_not_begin_and_end_at_once() {
    check_faults(
        "[kafka.overload]\nabove_records = 100\nbelow_records = 100\nshed = \"all\"\n",
        expect![[r#"
            line 3: [kafka.overload] below_records = 100 is not allowed: give less than above_records = 100, so that it does not begin and end at once
            line 4: [kafka.overload] shed = "all" is not allowed: give one of ["none", "repeats", "skip"] (what may be left out of a partition where there is too much: nothing, calls that repeat others in everything that could be judged, or after that everything but the newest records), or leave it out for "none"
        "#]],
    );
}

#[test]
fn every_topic_is_named_once_and_legally() {
    check_faults(
        "[kafka.topics]\naudit = \"agents audit\"\nrisk = \"agent-alerts\"\nstatus = \"..\"\n",
        expect![[r#"
            line 2: [kafka.topics] audit = "agents audit" is not allowed: a topic has up to 249 letters a-z, digits, `.`, `_` and `-`
            line 3: [kafka.topics] risk = "agent-alerts" is not allowed: another topic has this name: give every one its own
            line 4: [kafka.topics] status = ".." is not allowed: a topic has up to 249 letters a-z, digits, `.`, `_` and `-`
        "#]],
    );
}

#[test]
fn faults_of_kafka_are_told_at_once_and_show_no_secret() {
    let told = Config::parse(
        r#"
[kafka]
delivery = "exactly-once"
heartbeat_interval_ms = 20000
transaction_timeout_ms = 60000
brokers = ""
[kafka.security]
password = "swordfish"
pasword = "swordfish"
key_password = { file = "a", env = "swordfish" }
mechanism = "PLAIN"
ca_file = "ca.pem"
key_file = "own.key"
[kafka.librdkafka]
isolation.level = "read_uncommitted"
sasl.password = "swordfish"
"#,
        Path::new(""),
    )
    .unwrap_err();
    let told: String = told.iter().map(|fault| format!("{fault}\n")).collect();
    assert!(!told.contains("swordfish"), "{told}");
    expect![[r#"
        line 3: [kafka] delivery = "exactly-once" is not allowed: give one of ["exactly_once", "at_least_once"] (what a crash may do: nothing, or repeat alerts under their ids), or leave it out for "exactly_once"
        line 4: [kafka] heartbeat_interval_ms = 20000 is not allowed: give at most 15000, a third of session_timeout_ms = 45000
        line 5: [kafka] transaction_timeout_ms = 60000 is not allowed: give less than session_timeout_ms = 45000, so that a transaction left behind is settled before its partitions move
        line 6: [kafka] brokers = "" is not allowed: give text in quotes (brokers to ask first, host:port, with commas between), or leave it out for "localhost:9092"
        line 7: [kafka.security] certificate_file and key_file belong together: name both or neither
        line 7: [kafka.security] protocol = "plaintext" does not encrypt, and files for encryption are named: say "ssl" or "sasl_ssl"
        line 8: [kafka.security] password = … is not allowed: give `{ file = "PATH" }` or `{ env = "VARIABLE" }`, never the secret itself (password of the user), or leave it out for nothing
        line 8: [kafka.security] password or username is missing: the mechanism wants both
        line 9: [kafka.security] pasword is unknown: did you mean [kafka.security] password?
        line 10: [kafka.security] key_password = … is not allowed: give `{ file = "PATH" }` or `{ env = "VARIABLE" }`, never the secret itself (password of that key), or leave it out for nothing
        line 11: [kafka.security] mechanism has no use: protocol = "plaintext" does not log in; say "sasl_ssl" or remove it
        line 14: [kafka.librdkafka] isolation.level is not allowed: what was never committed must not be judged; remove it
        line 14: [kafka.librdkafka] sasl.password is not allowed: secrets do not stand in this file; name their place in [kafka.security]
    "#]]
    .assert_eq(&told);
}

#[test]
fn security_says_what_is_missing() {
    for (text, wanted) in [
        ("protocol = \"sasl_plaintext\"", "[kafka.security] mechanism is missing"),
        ("protocol = \"sasl_plaintext\"\nmechanism = \"PLAIN\"", "wants both"),
        ("protocol = \"sasl_plaintext\"\nmechanism = \"OAUTHBEARER\"", "oauth_token is missing"),
        ("protocol = \"ssl\"\ncertificate_file = \"a\"", "belong together"),
    ] {
        let faults = Config::parse(&format!("[kafka.security]\n{text}\n"), Path::new("")).unwrap_err();
        assert!(faults.len() == 1 && faults[0].what.contains(wanted), "{text}: {faults:?}");
    }
}
