//! Reads the table `[kafka]`, and tells what does not go together in it.
//!
//! Knows how each setting is written, and its range. Must not know how a broker is reached. `docs/kafka.md` is the
//! manual.

use std::path::Path;

use super::reader::Reader;
use crate::kafka::properties::fault;
use crate::kafka::settings::{
    Delivery, KafkaSettings, Mechanism, Overload, Protocol, RecordTime, Security, Shed, Topic, TopicNames,
};

/// Longest name of a topic, by the broker's rule. Bytes.
const LONGEST_TOPIC_NAME: usize = 249;

/// Everything in `[kafka]`; what is wrong goes to the reader. Paths that are not absolute begin in `folder`.
pub(super) fn read(from: &mut Reader<'_>, folder: &Path) -> KafkaSettings {
    let default = KafkaSettings::default();
    let settings = KafkaSettings {
        brokers: from.text("kafka.brokers", "brokers to ask first, host:port, with commas between", &default.brokers),
        group: from.text(
            "kafka.group",
            "consumer group; also the beginning of transactional ids",
            &default.group,
        ),
        instance: from.optional_text(
            "kafka.instance",
            "name of this instance, its own in the group and the same after every restart; none: the host name",
        ),
        group_instance_id: from.optional_text(
            "kafka.group_instance_id",
            "name for static membership: a restart within the session moves no partitions",
        ),
        delivery: from
            .one_of(
                "kafka.delivery",
                "what a crash may do: nothing, or repeat alerts under their ids",
                &["exactly_once", "at_least_once"],
                "exactly_once",
                |name| match name {
                    "exactly_once" => Some(Delivery::ExactlyOnce),
                    "at_least_once" => Some(Delivery::AtLeastOnce),
                    _ => None,
                },
            )
            .unwrap_or(default.delivery),
        record_time: from
            .one_of(
                "kafka.record_time",
                "whose time a record bears: the broker's, or that of producers, who are believed",
                &["broker", "producer"],
                "broker",
                |name| match name {
                    "broker" => Some(RecordTime::Broker),
                    "producer" => Some(RecordTime::Producer),
                    _ => None,
                },
            )
            .unwrap_or(default.record_time),
        threads: from.whole("kafka.threads", "consumers in this process", 1..=64, default.threads),
        session_timeout_ms: from.whole(
            "kafka.session_timeout_ms",
            "an instance that is silent for so long loses its partitions; milliseconds",
            1_000..=1_800_000,
            default.session_timeout_ms,
        ),
        heartbeat_interval_ms: from.whole(
            "kafka.heartbeat_interval_ms",
            "time between two signs of life; milliseconds, at most a third of the session",
            100..=600_000,
            default.heartbeat_interval_ms,
        ),
        transaction_timeout_ms: from.whole(
            "kafka.transaction_timeout_ms",
            "the broker aborts a transaction that is older; milliseconds, less than the session",
            1_000..=900_000,
            default.transaction_timeout_ms,
        ),
        max_replay_secs: from.whole(
            "kafka.max_replay_secs",
            "longest stretch of events that a restart judges again; seconds",
            10..=86_400,
            default.max_replay_secs,
        ),
        overload: overload(from),
        canary: from.flag(
            "kafka.canary",
            "a made-up event an hour on every partition, whose alert must come back; needs the right to write the topic \
             of audit events",
            default.canary,
        ),
        topics: TopicNames::each(|topic| from.text(topic.setting(), about(topic), topic.default_name())),
        control_key: from.secret_place(
            "kafka.control_key",
            "key of the chain of control records, the same for all who write them",
            folder,
        ),
        security: security(from, folder),
        // They are read once their topics have names.
        sinks: Vec::new(),
        webhooks: Vec::new(),
        librdkafka: from.properties(
            "kafka.librdkafka",
            "further properties for librdkafka; those that would break what we promise are refused",
            fault,
        ),
    };
    times(from, &settings);
    limits(from, &settings.overload);
    names(from, &settings);
    together(from, &settings.security);
    settings
}

fn overload(from: &mut Reader<'_>) -> Overload {
    let default = Overload::default();
    Overload {
        shed: from
            .one_of(
                "kafka.overload.shed",
                "what may be left out of a partition where there is too much: nothing, calls that repeat others in \
                 everything that could be judged, or after that everything but the newest records",
                Shed::NAMES,
                default.shed.name(),
                Shed::of_name,
            )
            .unwrap_or(default.shed),
        above_records: from.whole(
            "kafka.overload.above_records",
            "it is too much where more records wait on a partition and do not become fewer",
            10..=1_000_000_000,
            default.above_records,
        ),
        below_records: from.whole(
            "kafka.overload.below_records",
            "it is over where at most so many wait; also what is left where everything but the newest is left out",
            0..=999_999_999,
            default.below_records,
        ),
        for_secs: from.whole(
            "kafka.overload.for_secs",
            "for so long they must not have become fewer before something is left out; seconds",
            5..=86_400,
            default.for_secs,
        ),
    }
}

fn about(topic: Topic) -> &'static str {
    match topic {
        Topic::Audit => "topic of audit events, in",
        Topic::Alerts => "topic of alerts, out",
        Topic::Risk => "topic of the risk of every agent, out",
        Topic::DeadLetters => "topic of input that could not be used, out",
        Topic::Control => "topic of what people decide, in and out",
        Topic::Status => "topic of heartbeats and coverage gaps, out",
        Topic::Journal => "topic of findings and logged inputs, own",
        Topic::Checkpoints => "topic of the state of partitions, own",
        Topic::BaselineParts => "topic of what partitions add to baselines, own",
        Topic::Baselines => "topic of baselines in force, own",
    }
}

fn security(from: &mut Reader<'_>, folder: &Path) -> Security {
    Security {
        protocol: from
            .one_of(
                "kafka.security.protocol",
                "encrypted or not, with a login or not",
                Protocol::NAMES,
                Protocol::default().name(),
                Protocol::of_name,
            )
            .unwrap_or_default(),
        ca_file: from.path(
            "kafka.security.ca_file",
            "certificates that are trusted (PEM); none: those of the operating system",
            folder,
        ),
        certificate_file: from.path(
            "kafka.security.certificate_file",
            "certificate of this client (PEM), where the broker asks for one",
            folder,
        ),
        key_file: from.path("kafka.security.key_file", "key of that certificate (PEM)", folder),
        key_password: from.secret_place("kafka.security.key_password", "password of that key", folder),
        mechanism: from.one_of(
            "kafka.security.mechanism",
            "how to log in",
            Mechanism::NAMES,
            "",
            Mechanism::of_name,
        ),
        username: from.optional_text("kafka.security.username", "user"),
        password: from.secret_place("kafka.security.password", "password of the user", folder),
        oauth_token: from.secret_place(
            "kafka.security.oauth_token",
            "JSON Web Token for OAUTHBEARER, read anew before it runs out",
            folder,
        ),
    }
}

fn times(from: &mut Reader<'_>, settings: &KafkaSettings) {
    let (session, heartbeat) = (settings.session_timeout_ms, settings.heartbeat_interval_ms);
    if heartbeat > session / 3 {
        from.fault_at(
            "kafka.heartbeat_interval_ms",
            format!(
                "[kafka] heartbeat_interval_ms = {heartbeat} is not allowed: give at most {}, a third of \
                 session_timeout_ms = {session}",
                session / 3
            ),
        );
    }
    let transaction = settings.transaction_timeout_ms;
    if transaction >= session {
        from.fault_at(
            "kafka.transaction_timeout_ms",
            format!(
                "[kafka] transaction_timeout_ms = {transaction} is not allowed: give less than \
                 session_timeout_ms = {session}, so that a transaction left behind is settled before its \
                 partitions move"
            ),
        );
    }
}

fn limits(from: &mut Reader<'_>, overload: &Overload) {
    let (above, below) = (overload.above_records, overload.below_records);
    if below >= above {
        from.fault_at(
            "kafka.overload.below_records",
            format!(
                "[kafka.overload] below_records = {below} is not allowed: give less than above_records = {above}, so that it \
                 does not begin and end at once"
            ),
        );
    }
}

fn names(from: &mut Reader<'_>, settings: &KafkaSettings) {
    let mut seen: Vec<&str> = Vec::new();
    for topic in Topic::ALL {
        let name = settings.topics.of(topic);
        let shown = super::spelling::cut(name);
        let is_legal = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let remedy = if !is_legal || name.len() > LONGEST_TOPIC_NAME || [".", ".."].contains(&name) {
            Some("a topic has up to 249 letters a-z, digits, `.`, `_` and `-`")
        } else if seen.contains(&name) {
            Some("another topic has this name: give every one its own")
        } else {
            None
        };
        if let Some(remedy) = remedy {
            let setting = super::spelling::shown_name(topic.setting());
            from.fault_at(topic.setting(), format!("{setting} = \"{shown}\" is not allowed: {remedy}"));
        }
        seen.push(name);
    }
}

/// What of `[kafka.security]` wants something else that is missing, or has no use.
fn together(from: &mut Reader<'_>, security: &Security) {
    let Security { protocol, mechanism, .. } = security;
    let by_token = *mechanism == Some(Mechanism::OauthBearer);
    let by_password = mechanism.is_some() && !by_token;
    let is_encrypted = security.ca_file.is_some() || security.certificate_file.is_some();
    let name = protocol.name();
    for (is_wrong, setting, why) in [
        (
            protocol.logs_in() && mechanism.is_none(),
            "mechanism",
            format!("is missing: protocol = \"{name}\" logs in; give one of {:?}", Mechanism::NAMES),
        ),
        (
            !protocol.logs_in() && mechanism.is_some(),
            "mechanism",
            format!("has no use: protocol = \"{name}\" does not log in; say \"sasl_ssl\" or remove it"),
        ),
        (
            by_password && (security.username.is_none() || security.password.is_none()),
            "password",
            "or username is missing: the mechanism wants both".to_owned(),
        ),
        (
            by_token && security.oauth_token.is_none(),
            "oauth_token",
            "is missing: OAUTHBEARER logs in with it".to_owned(),
        ),
        (
            security.certificate_file.is_some() != security.key_file.is_some(),
            "certificate_file",
            "and key_file belong together: name both or neither".to_owned(),
        ),
        (
            !protocol.encrypts() && is_encrypted,
            "protocol",
            format!(
                "= \"{name}\" does not encrypt, and files for encryption are named: say \"ssl\" or \"sasl_ssl\""
            ),
        ),
    ] {
        if is_wrong {
            from.fault_at(&format!("kafka.security.{setting}"), format!("[kafka.security] {setting} {why}"));
        }
    }
}

#[cfg(test)]
mod tests;
