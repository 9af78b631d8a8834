//! Tests of client configurations: what our promises rest on, secrets, and what this build cannot do.

use super::*;
use crate::kafka::settings::Protocol;

fn quiet() -> Log {
    Arc::new(|_, _| ())
}

fn clients(change: impl FnOnce(&mut KafkaSettings)) -> Clients {
    let mut settings = KafkaSettings { instance: Some("seat".to_owned()), ..KafkaSettings::default() };
    change(&mut settings);
    Clients::new(&settings, quiet()).unwrap()
}

fn check(config: &ClientConfig, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(config.get(name), Some(*value), "{name}");
    }
    config.create_native_config().unwrap();
}

#[test]
fn clients_have_the_properties_that_our_promises_rest_on() {
    let clients = clients(|_| ());
    check(
        &clients.consumer(1, Begin::Error).unwrap(),
        &[
            ("group.protocol", "classic"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", "45000"),
            ("max.poll.interval.ms", "120000"),
            ("isolation.level", "read_committed"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("check.crcs", "true"),
            ("queued.max.messages.kbytes", "32768"),
            ("statistics.interval.ms", "5000"),
        ],
    );
    check(
        &clients.producer(1).unwrap(),
        &[
            ("transactional.id", "tiltmeter-seat-1"),
            ("transaction.timeout.ms", "15000"),
            ("acks", "all"),
            ("partitioner", "murmur2_random"),
            ("compression.type", "lz4"),
            ("message.max.bytes", "1048576"),
        ],
    );
    check(&clients.reader(Isolation::Uncommitted).unwrap(), &[("isolation.level", "read_uncommitted")]);
    check(&clients.admin().unwrap(), &[("bootstrap.servers", "localhost:9092")]);
}

#[test]
fn at_least_once_needs_no_transactions_and_static_members_differ_by_thread() {
    let clients = clients(|settings| {
        settings.delivery = Delivery::AtLeastOnce;
        settings.group_instance_id = Some("chair".to_owned());
    });
    let producer = clients.producer(0).unwrap();
    assert_eq!((producer.get("transactional.id"), producer.get("enable.idempotence")), (None, Some("true")));
    assert_eq!(clients.consumer(2, Begin::Earliest).unwrap().get("group.instance.id"), Some("chair-2"));
}

#[test]
fn further_properties_tune_and_replace_nothing_that_was_promised() {
    let clients = clients(|settings| {
        let further = [("queued.max.messages.kbytes", "1024"), ("linger.ms", "1"), ("acks", "1")];
        settings.librdkafka = further.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    });
    check(&clients.consumer(0, Begin::Error).unwrap(), &[("queued.max.messages.kbytes", "1024")]);
    check(&clients.producer(0).unwrap(), &[("linger.ms", "1"), ("acks", "all")]);
}

#[test]
fn a_new_client_has_the_new_password_and_no_one_shows_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let clients = clients(|settings| {
        settings.security.protocol = Protocol::SaslPlaintext;
        settings.security.mechanism = Some(Mechanism::Plain);
        settings.security.username = Some("tilt".to_owned());
        settings.security.password = Some(SecretPlace::File(file.path().to_owned()));
    });
    for password in ["old-horse", "new-horse"] {
        std::fs::write(file.path(), password).unwrap();
        let config = clients.admin().unwrap();
        assert_eq!(config.get("sasl.password"), Some(password));
        assert!(!format!("{config:?}").contains("horse"));
    }
    std::fs::write(file.path(), "").unwrap();
    let told = clients.admin().unwrap_err();
    assert!(told.exit_code() == 64 && told.to_string().contains("[kafka.security] the file"), "{told}");
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_build_without_encryption_says_which_one_has_it() {
    let told = |protocol, mechanism| {
        let security = Security { protocol, mechanism, ..Security::default() };
        Clients::new(&KafkaSettings { security, ..KafkaSettings::default() }, quiet()).err()
    };
    for (protocol, mechanism) in
        [(Protocol::Ssl, None), (Protocol::SaslPlaintext, Some(Mechanism::ScramSha256))]
    {
        let failure = told(protocol, mechanism).unwrap();
        assert_eq!(failure.exit_code(), 64);
        assert!(failure.to_string().contains("--features tls-vendored"), "{failure}");
    }
    assert!(told(Protocol::SaslPlaintext, Some(Mechanism::Plain)).is_none());
}

#[test]
fn the_reason_for_a_lost_connection_outlives_the_news_that_all_are_lost() {
    let context = clients(|_| ()).context();
    assert_eq!(context.trouble(), None);
    context.error(KafkaError::Global(RDKafkaErrorCode::Authentication), "wrong password");
    context.error(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
    assert_eq!(context.trouble().unwrap().reason, "wrong password");
}
