//! The topics there have to be, as `schemas/topics.yaml` lists them, and who needs which access to them.
//!
//! Knows the list. Must not know a broker.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::settings::{KafkaSettings, RecordTime, SinkTopic, Topic};

/// The list, compiled in.
const LIST: &str = include_str!("../../schemas/topics.yaml");
/// The property of a topic that says whose time its records bear.
pub const TIMESTAMP_TYPE: &str = "message.timestamp.type";

/// How many partitions a topic has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Partitions {
    /// As many as whoever makes it says; at least one.
    Chosen,
    /// As many as the topic of audit events.
    Input,
    /// One.
    One,
    /// Any number.
    Free,
}

/// What one topic has to be.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What it is for.
    pub topic: Topic,
    /// Its name where nothing else is said.
    pub name: String,
    /// Whether it is the topic of a sink, which tells what stands in `topic`.
    #[serde(skip)]
    pub is_sink: bool,
    /// What its records are keyed by, in words.
    pub key: String,
    /// What stands in it, in words.
    pub about: String,
    /// How many partitions.
    pub partitions: Partitions,
    /// Properties that it must have.
    pub require: BTreeMap<String, String>,
    /// Further properties that it is made with.
    #[serde(deserialize_with = "values")]
    pub config: BTreeMap<String, String>,
}

impl Plan {
    /// The setting that its name comes from.
    pub fn setting(&self) -> &'static str {
        if self.is_sink { "[[sinks]]" } else { self.topic.setting() }
    }
}

/// The list cannot be read: a fault of the build, which a test finds.
#[derive(Debug, thiserror::Error)]
#[error("schemas/topics.yaml, compiled in, cannot be read: {0}; build again from an unchanged release")]
pub struct ListError(#[from] serde_norway::Error);

/// Numbers and texts, as a broker takes them: as text.
fn values<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Whole(u64),
        Number(f64),
        Text(String),
    }
    let read = BTreeMap::<String, Scalar>::deserialize(from)?;
    let text = |value| match value {
        Scalar::Whole(number) => number.to_string(),
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => text,
    };
    Ok(read.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// Every topic under these settings, named as they say and in the order of the list; after them those of sinks.
///
/// # Errors
///
/// When the list that was compiled in is broken.
pub fn plans(settings: &KafkaSettings) -> Result<Vec<Plan>, ListError> {
    let mut plans: Vec<Plan> = serde_norway::from_str(LIST)?;
    for plan in &mut plans {
        settings.topics.of(plan.topic).clone_into(&mut plan.name);
        if plan.topic == Topic::Audit && settings.record_time == RecordTime::Producer {
            plan.require.remove(TIMESTAMP_TYPE);
        }
    }
    let of = |sink: &SinkTopic| {
        let base = plans.iter().find(|plan| plan.topic == sink.topic)?.clone();
        let about = format!("{}, as {}", base.about, sink.format.name());
        Some(Plan { name: sink.name.clone(), is_sink: true, about, ..base })
    };
    let sinks: Vec<Plan> = settings.sinks.iter().filter_map(of).collect();
    plans.extend(sinks);
    Ok(plans)
}

/// Who does what with topics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Engine,
    Producer,
    Reader,
    Analyst,
}

impl Role {
    const ALL: [Self; 4] = [Self::Engine, Self::Producer, Self::Reader, Self::Analyst];

    /// What whoever has it does, and the principal that the commands name.
    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Engine => ("tiltmeter itself", "tiltmeter"),
            Self::Producer => ("whoever writes audit events", "AGENT_GATEWAY"),
            Self::Reader => ("whoever reads alerts and levels", "ALERT_READER"),
            Self::Analyst => ("whoever decides: verdicts, declared changes", "ANALYST"),
        }
    }

    /// Operations on a topic. Nobody but tiltmeter may write its state, and nobody who is watched its control topic:
    /// either could blind it.
    fn operations(self, topic: Topic) -> &'static [&'static str] {
        use Topic::{Alerts, Audit, Control, DeadLetters, Risk, Status};
        match (self, topic) {
            (Self::Engine, Audit) => &["Read", "Describe", "DescribeConfigs"],
            (Self::Engine, _) => &["Read", "Write", "Describe", "DescribeConfigs"],
            (Self::Producer, Audit) => &["Write", "Describe"],
            (Self::Reader, Alerts | Risk | DeadLetters | Status) => &["Read", "Describe"],
            (Self::Analyst, Control) => &["Read", "Write", "Describe"],
            (Self::Producer | Self::Reader | Self::Analyst, _) => &[],
        }
    }
}

/// The access that each role needs, as `kafka-acls` command lines with a comment above those of each role. Names in
/// capitals are to be replaced.
pub fn access(settings: &KafkaSettings, transactional_prefix: &str) -> String {
    let mut text = String::new();
    for role in Role::ALL {
        let (about, principal) = role.told();
        text += &format!("# {about}\n");
        let mut grant = |operations: &[&str], resource: &str| {
            let operations: String =
                operations.iter().map(|operation| format!(" --operation {operation}")).collect();
            text += &format!(
                "kafka-acls --bootstrap-server {} --add --allow-principal User:{principal}{operations} {resource}\n",
                quoted(&settings.brokers)
            );
        };
        let own = Topic::ALL.map(|topic| (topic, settings.topics.of(topic)));
        let sinks = settings.sinks.iter().map(|sink| (sink.topic, sink.name.as_str()));
        for (topic, name) in own.into_iter().chain(sinks) {
            let operations = role.operations(topic);
            if !operations.is_empty() {
                grant(operations, &format!("--topic {}", quoted(name)));
            }
        }
        if role == Role::Engine {
            let group = quoted(&settings.group);
            grant(&["Read", "Describe"], &format!("--group {group} --resource-pattern-type prefixed"));
            let id = quoted(transactional_prefix);
            grant(
                &["Write", "Describe"],
                &format!("--transactional-id {id} --resource-pattern-type prefixed"),
            );
        }
        if role == Role::Analyst {
            // Whoever writes control records takes turns with the others.
            let id = quoted(&format!("{transactional_prefix}control"));
            grant(&["Write", "Describe"], &format!("--transactional-id {id}"));
        }
    }
    text
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-:,@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::settings::TopicNames;

    #[test]
    fn the_list_has_every_topic_once_under_the_name_that_the_settings_default_to() {
        let list: Vec<Plan> = serde_norway::from_str(LIST).unwrap();
        let listed: Vec<(Topic, &str)> = list.iter().map(|plan| (plan.topic, plan.name.as_str())).collect();
        assert_eq!(listed, Topic::ALL.map(|topic| (topic, topic.default_name())));
        assert!(list.iter().all(|plan| plan.require.contains_key("cleanup.policy")));
        assert_eq!(list[2].config["min.cleanable.dirty.ratio"], "0.1");
    }

    #[test]
    fn names_and_times_follow_the_settings() {
        let topics = TopicNames::each(|topic| format!("x-{}", topic.default_name()));
        let settings =
            KafkaSettings { topics, record_time: RecordTime::Producer, ..KafkaSettings::default() };
        let plans = plans(&settings).unwrap();
        assert_eq!(plans[0].name, "x-agent-audit");
        assert!(!plans[0].require.contains_key(TIMESTAMP_TYPE));
        assert!(plans[5].require.contains_key(TIMESTAMP_TYPE), "heartbeats are always timed by the broker");
    }

    #[test]
    fn nobody_but_the_engine_may_write_what_could_blind_it() {
        let settings = KafkaSettings { group: "watch's".to_owned(), ..KafkaSettings::default() };
        let text = access(&settings, "watch's-");
        for topic in ["checkpoints", "journal", "baseline-parts", "baselines"] {
            let lines = text.lines().filter(|line| line.ends_with(&format!("tiltmeter-{topic}")));
            assert!(
                lines.clone().count() == 1 && lines.clone().all(|line| line.contains("User:tiltmeter ")),
                "{text}"
            );
        }
        let control: Vec<&str> =
            text.lines().filter(|line| line.ends_with("--topic agent-control")).collect();
        assert!(control.len() == 2 && !control.iter().any(|line| line.contains("AGENT_GATEWAY")), "{text}");
        assert!(
            text.contains(r"--transactional-id 'watch'\''s-' --resource-pattern-type prefixed"),
            "{text}"
        );
        assert!(text.contains(
            r"User:ANALYST --operation Write --operation Describe --transactional-id 'watch'\''s-control'"
        ));
        let written =
            text.lines().filter(|line| line.ends_with("--topic agent-audit") && line.contains("Write"));
        assert_eq!(written.count(), 1, "tiltmeter cannot forge what it judges:\n{text}");
    }
}
