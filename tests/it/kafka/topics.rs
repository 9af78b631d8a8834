//! `tiltmeter topics` against a real broker: what is missing, what is wrong, who is not let in.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tiltmeter::kafka::settings::Topic;

use super::rig::{PASSWORD, USER, left_out, prefix, shared};

/// A folder with a configuration of its own names.
struct Installation {
    folder: tempfile::TempDir,
    brokers: String,
    prefix: String,
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Installation {
    fn new(test: &str, brokers: &str, more: &str) -> Self {
        let prefix = prefix(test);
        let names: String = Topic::ALL
            .iter()
            .map(|topic| format!("{} = \"{prefix}{}\"\n", topic.setting(), topic.default_name()))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{names}kafka.brokers = \"{brokers}\"\n{more}");
        std::fs::write(folder.path().join("tiltmeter.toml"), text).unwrap();
        Self { folder, brokers: brokers.to_owned(), prefix }
    }

    fn topics(&self, more: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_tiltmeter"))
            .current_dir(self.folder.path())
            .args(["topics", "--config", "tiltmeter.toml"])
            .args(more)
            .output()
            .unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn name(&self, topic: Topic) -> String {
        format!("{}{}", self.prefix, topic.default_name())
    }

    /// Makes one topic as somebody else would.
    fn make(&self, topic: Topic, partitions: i32, settings: &[(&str, &str)]) {
        let name = self.name(topic);
        let new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let made = futures_executor::block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
        assert_eq!(made, [Ok(name.clone())]);
    }
}

#[test]
fn topics_that_are_missing_are_named_made_and_then_right() {
    let Some(brokers) = shared() else { return left_out("topics that are missing") };
    let own = Installation::new("missing", &brokers.brokers, "");
    let missing = own.topics(&[]);
    assert_eq!(missing.code, 64);
    assert!(
        missing.out.contains("kafka-acls "),
        "whoever may not see them learns what to grant: {}",
        missing.out
    );
    for topic in Topic::ALL {
        let sentence = format!("topic {} ({}) is missing", own.name(topic), topic.setting());
        assert!(missing.err.contains(&sentence), "{}", missing.err);
    }
    let made = own.topics(&["--create", "--partitions", "3", "--replication", "1"]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert_eq!(made.out.lines().filter(|line| line.starts_with("made ")).count(), 10, "{}", made.out);
    assert!(made.out.contains("as they have to be; 3 partitions, cluster "), "{}", made.out);
    assert!(made.out.contains("kafka-acls --bootstrap-server "), "{}", made.out);
    let again = own.topics(&["--create", "--partitions", "5"]);
    assert_eq!((again.code, again.err.as_str()), (0, ""));
    assert!(!again.out.contains("made ") && again.out.contains("; 3 partitions"), "{}", again.out);
    assert_eq!(own.topics(&[]).code, 0);
}

#[test]
fn topics_that_are_wrong_are_told_at_once_and_left_as_they_are() {
    let Some(brokers) = shared() else { return left_out("topics that are wrong") };
    let own = Installation::new("wrong", &brokers.brokers, "");
    own.make(Topic::Audit, 3, &[]);
    own.make(Topic::Journal, 2, &[]);
    own.make(Topic::Control, 2, &[("cleanup.policy", "compact")]);
    own.make(Topic::Checkpoints, 3, &[]);
    for arguments in [&["--create"][..], &[]] {
        let told = own.topics(arguments);
        assert_eq!(told.code, 64, "{}", told.out);
        for (topic, sentence) in [
            (Topic::Audit, "has message.timestamp.type = CreateTime and must have LogAppendTime"),
            (Topic::Journal, "has 2 partitions and must have 3"),
            (Topic::Control, "has 2 partitions and must have 1"),
            (Topic::Checkpoints, "has cleanup.policy = delete and must have compact"),
        ] {
            let sentence = format!("topic {} ({}) {sentence}", own.name(topic), topic.setting());
            assert!(told.err.contains(&sentence), "{sentence}\n{}", told.err);
        }
        assert_eq!(told.err.lines().count(), 5, "four sentences and a heading:\n{}", told.err);
    }
}

#[test]
fn the_time_of_producers_has_to_be_asked_for() {
    let Some(brokers) = shared() else { return left_out("the time of producers") };
    let own = Installation::new("producers", &brokers.brokers, "kafka.record_time = \"producer\"\n");
    own.make(Topic::Audit, 2, &[]);
    let made = own.topics(&["--create"]);
    assert!(made.code == 0 && made.out.contains("; 2 partitions"), "{}{}", made.out, made.err);
}

#[test]
fn a_broker_that_is_not_there_ends_with_69() {
    // Bound and never listened at by Kafka: freed just before, so that nobody answers.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let own = Installation::new("away", &format!("127.0.0.1:{port}"), "");
    let told = own.topics(&[]);
    assert_eq!((told.code, told.out.as_str()), (69, ""), "{}", told.err);
    assert!(
        told.err.contains("Connection refused") && told.err.contains("check [kafka] brokers"),
        "{}",
        told.err
    );
    assert_eq!(told.err.lines().count(), 1, "nothing of librdkafka's own: {}", told.err);
}

#[test]
fn a_wrong_password_ends_with_77_and_a_right_one_is_let_in() {
    let Some(brokers) = shared().and_then(|brokers| brokers.with_password.as_deref()) else {
        return left_out("passwords");
    };
    let login = format!(
        "[kafka.security]\nprotocol = \"sasl_plaintext\"\nmechanism = \"PLAIN\"\nusername = \"{USER}\"\n\
         password = {{ file = \"password\" }}\n"
    );
    let own = Installation::new("password", brokers, &login);
    let write = |password: &str| std::fs::write(own.folder.path().join("password"), password).unwrap();
    write("swordfish");
    let refused = own.topics(&[]);
    assert_eq!(refused.code, 77, "{}", refused.err);
    assert!(refused.err.contains("check [kafka.security] username, password"), "{}", refused.err);
    assert!(!refused.err.contains("swordfish") && refused.err.lines().count() == 1, "{}", refused.err);
    write(PASSWORD);
    assert_eq!(own.topics(&["--create"]).code, 0);
    std::fs::remove_file(own.folder.path().join("password")).unwrap();
    let none = own.topics(&[]);
    assert!(none.code == 64 && none.err.contains("cannot read the secret in the file"), "{}", none.err);
}

#[test]
fn settings_that_cannot_be_end_with_64_before_anybody_is_asked() {
    let own = Installation::new("settings", "127.0.0.1:1", "[kafka.librdkafka]\nacks = 0\n");
    let told = own.topics(&[]);
    assert!(told.code == 64 && told.err.contains("[kafka.librdkafka] acks is not allowed"), "{}", told.err);
    let unknown = Command::new(env!("CARGO_BIN_EXE_tiltmeter"))
        .current_dir(Path::new("."))
        .args(["topics", "--partitions", "3"])
        .output()
        .unwrap();
    assert!(!unknown.status.success(), "--partitions without --create would do nothing");
}
