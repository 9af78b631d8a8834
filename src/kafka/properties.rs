//! Properties of librdkafka that a person may set, and those that would break what we promise.
//!
//! Knows names and reasons. Must not know values that we choose ourselves: that is the client's.

/// Properties that are refused, and why. A name that ends with a dot stands for all that begin so.
const REFUSED: &[(&str, &str)] = &[
    ("bootstrap.servers", SET_ELSEWHERE),
    ("metadata.broker.list", SET_ELSEWHERE),
    ("group.id", SET_ELSEWHERE),
    ("group.instance.id", SET_ELSEWHERE),
    ("client.id", SET_ELSEWHERE),
    ("session.timeout.ms", SET_ELSEWHERE),
    ("heartbeat.interval.ms", SET_ELSEWHERE),
    ("transaction.timeout.ms", SET_ELSEWHERE),
    ("security.protocol", SET_ELSEWHERE),
    ("sasl.mechanism", SET_ELSEWHERE),
    ("sasl.mechanisms", SET_ELSEWHERE),
    ("sasl.username", SET_ELSEWHERE),
    ("ssl.ca.location", SET_ELSEWHERE),
    ("ssl.certificate.location", SET_ELSEWHERE),
    ("ssl.key.location", SET_ELSEWHERE),
    ("sasl.password", SECRET),
    ("sasl.oauthbearer.", SECRET),
    ("ssl.key.password", SECRET),
    ("ssl.key.pem", SECRET),
    ("ssl.keystore.password", SECRET),
    ("enable.auto.commit", OFFSETS),
    ("enable.auto.offset.store", OFFSETS),
    ("auto.commit.", OFFSETS),
    ("auto.offset.reset", "after the first start, a lost offset has to be told and not skipped; remove it"),
    ("isolation.level", "what was never committed must not be judged; remove it"),
    ("check.crcs", "records damaged on the way must not be judged; remove it"),
    ("group.protocol", ASSIGNMENT),
    ("group.remote.assignor", ASSIGNMENT),
    ("partition.assignment.strategy", ASSIGNMENT),
    ("transactional.id", TRANSACTION),
    ("enable.idempotence", TRANSACTION),
    ("acks", TRANSACTION),
    ("request.required.acks", TRANSACTION),
    ("partitioner", "an agent's records have to stay on its partition; remove it"),
    (
        "allow.auto.create.topics",
        "a topic that creates itself has the wrong settings; use `tiltmeter topics --create`",
    ),
    ("plugin.library.paths", "we load no foreign code; remove it"),
    ("test.", "a broker made of memory forgets everything; remove it"),
];

const SET_ELSEWHERE: &str = "it follows from [kafka] and [kafka.security]; set it there";
const SECRET: &str = "secrets do not stand in this file; name their place in [kafka.security]";
const OFFSETS: &str = "offsets move when the outputs are written and not before; remove it";
const ASSIGNMENT: &str = "state moves with its partition only under cooperative-sticky; remove it";
const TRANSACTION: &str = "it follows from [kafka] delivery; set that";

/// What is wrong with a property, if anything is. In a build with Kafka, librdkafka itself is asked whether it knows the
/// property and takes the value.
pub fn fault(name: &str, value: &str) -> Option<String> {
    let is_refused = |(refused, _): &&(&str, &str)| {
        name == *refused || (refused.ends_with('.') && name.starts_with(refused))
    };
    match REFUSED.iter().find(is_refused) {
        Some((_, why)) => Some((*why).to_owned()),
        None => unknown(name, value),
    }
}

#[cfg(feature = "kafka")]
fn unknown(name: &str, value: &str) -> Option<String> {
    let mut config = rdkafka::ClientConfig::new();
    match config.set(name, value).create_native_config() {
        Err(rdkafka::error::KafkaError::ClientConfig(_, why, _, _)) => {
            Some(format!("librdkafka says: {why}"))
        }
        Ok(_) | Err(_) => None,
    }
}

#[cfg(not(feature = "kafka"))]
fn unknown(_: &str, _: &str) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_promise_is_refused_and_what_only_tunes_is_not() {
        for name in ["isolation.level", "sasl.oauthbearer.client.secret", "test.mock.num.brokers", "acks"] {
            assert!(fault(name, "1").is_some(), "{name}");
        }
        for (name, value) in
            [("queued.max.messages.kbytes", "65536"), ("client.rack", "a"), ("linger.ms", "2")]
        {
            assert_eq!(fault(name, value), None);
        }
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn what_librdkafka_does_not_know_is_told() {
        assert!(fault("queued.max.mesages", "1").unwrap().contains("No such configuration property"));
        assert!(fault("linger.ms", "soon").unwrap().contains("librdkafka says"));
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn every_refused_property_exists() {
        for (name, _) in REFUSED.iter().filter(|(name, _)| !name.ends_with('.')) {
            let unknown = unknown(name, "").unwrap_or_default();
            assert!(!unknown.contains("No such"), "{name}: {unknown}");
        }
    }
}
