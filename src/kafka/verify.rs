//! Looks at the topics of a cluster, tells everything that is not as it has to be, and makes what is missing.
//!
//! Knows the broker's answers. Must not change anything that exists: that is for a person to decide.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::{self, Clients, Context, Isolation};
use super::failure::{Cause, Failure};
use super::settings::{Mechanism, Topic};
use super::topics::{Partitions, Plan, TIMESTAMP_TYPE, plans};
use crate::tls::why_not_believed;

/// One try to reach a broker.
const TRY: Duration = Duration::from_secs(1);
/// So many tries, unless the broker says no.
const TRIES: u32 = 5;
/// A broker that was reached answers within this.
const ANSWER: Duration = Duration::from_secs(30);
/// Between two looks for a topic that was just made, and how often we look.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: u32 = 300;

/// What was found to be right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Partitions of the topic of audit events.
    pub partitions: u32,
    /// Id of the cluster: checkpoints of another are not continued.
    pub cluster_id: String,
    /// Whether settings of topics were looked at. They cannot be where we log in with a token, because the admin client
    /// of rdkafka 0.39 asks for none.
    pub settings_seen: bool,
}

/// Why nothing can start.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The cluster cannot be asked.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// Topics are not as they have to be.
    #[error("the topics at {brokers} are not as they have to be; mend this:\n  {}", faults.join("\n  "))]
    Faults {
        /// Where.
        brokers: String,
        /// Everything that is wrong, a sentence each; not empty.
        faults: Vec<String>,
    },
}

impl VerifyError {
    /// Exit status of a command that ends with it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(failure) => failure.exit_code(),
            Self::Faults { .. } => 64,
        }
    }
}

/// What a broker says of the topics there are.
struct Found {
    cluster_id: String,
    /// Partitions of every topic that we may see.
    partitions: BTreeMap<String, u32>,
}

/// Looks whether every topic is as it has to be; called before the first poll.
///
/// # Errors
///
/// When the cluster cannot be asked; everything that is wrong with the topics, at once.
pub fn verify(clients: &Clients) -> Result<Verified, VerifyError> {
    let plans = listed(clients)?;
    let found = Cluster::reach(clients)?.look()?;
    judge(clients, &plans, &found)
}

/// Makes the topics that are missing, then looks whether all are as they have to be.
///
/// * `partitions`: of the topic of audit events if it is missing, and of those that follow it; at least 1.
/// * `replication`: copies of each; none: as the broker does by default.
///
/// Returns the names of the topics that were made, and what [`verify`] says then.
///
/// # Errors
///
/// When the cluster cannot be asked, or does not make a topic.
pub fn create(
    clients: &Clients,
    partitions: u32,
    replication: Option<u32>,
) -> Result<(Vec<String>, Result<Verified, VerifyError>), VerifyError> {
    let plans = listed(clients)?;
    let cluster = Cluster::reach(clients)?;
    let mut found = cluster.look()?;
    let missing: Vec<&Plan> =
        plans.iter().filter(|plan| !found.partitions.contains_key(&plan.name)).collect();
    if !missing.is_empty() {
        if logs_in_by_token(clients) {
            let text = "topics cannot be made where [kafka.security] mechanism = \"OAUTHBEARER\": make them as a user with a \
                        password, or with kafka-topics";
            return Err(Failure::set_up(text.to_owned()).into());
        }
        let audit = clients.settings().topics.of(Topic::Audit);
        // First the one that others must have as many partitions as. Somebody may have made it a moment ago: what it has then
        // counts, not what would have been made.
        let (first, others): (Vec<&Plan>, Vec<&Plan>) = missing.iter().partition(|plan| plan.name == audit);
        for plans in [first, others].into_iter().filter(|plans| !plans.is_empty()) {
            let input = found.partitions.get(audit).copied().unwrap_or(partitions);
            make(clients, &plans, input, replication)?;
            found = cluster.look_for(&plans)?;
        }
    }
    let made = missing.iter().map(|plan| plan.name.clone()).collect();
    Ok((made, judge(clients, &plans, &found)))
}

fn listed(clients: &Clients) -> Result<Vec<Plan>, Failure> {
    plans(clients.settings()).map_err(|error| Failure::set_up(error.to_string()))
}

fn logs_in_by_token(clients: &Clients) -> bool {
    clients.settings().security.mechanism == Some(Mechanism::OauthBearer)
}

/// A cluster that answers.
struct Cluster<'c> {
    clients: &'c Clients,
    // A consumer and no admin client: only its events can be polled, and only they say why there is no connection.
    consumer: BaseConsumer<Context>,
}

impl<'c> Cluster<'c> {
    fn reach(clients: &'c Clients) -> Result<Self, Failure> {
        let brokers = &clients.settings().brokers;
        let doing = format!("reach Kafka at {brokers}");
        let config = clients.reader(Isolation::Committed)?;
        let consumer = client::consumer(&config, clients.context())
            .map_err(|error| Failure::new(&doing, &error, None))?;
        let cluster = Self { clients, consumer };
        let mut last =
            Failure::new(&doing, &KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut), None);
        for _ in 0..TRIES {
            match cluster.consumer.fetch_metadata(None, TRY) {
                Ok(_) => return Ok(cluster),
                Err(error) => {
                    // The answer comes before the reason.
                    client::hear_why(&cluster.consumer, TRY);
                    last = Failure::new(&doing, &error, cluster.consumer.context().trouble().as_ref());
                    if last.cause == Cause::Refused {
                        break;
                    }
                }
            }
        }
        Err(match cluster.why_not_believed() {
            Some(why) => last.adding(&why),
            None => last,
        })
    }

    /// What is wrong with the certificate of a broker that librdkafka does not believe: it does not say.
    fn why_not_believed(&self) -> Option<String> {
        let trouble = self.consumer.context().trouble()?;
        if !trouble.reason.contains("certificate verify failed") {
            return None;
        }
        // `ssl://host:port/name: …`
        let (_, rest) = trouble.reason.split_once("://")?;
        let (address, _) = rest.split_once('/')?;
        why_not_believed(address, self.clients.settings().security.ca_file.as_deref()?)
    }

    /// Looks until topics that were just made are there: brokers learn of a new one one after the other.
    fn look_for(&self, plans: &[&Plan]) -> Result<Found, Failure> {
        let mut found = self.look()?;
        for _ in 0..LOOKS {
            if plans.iter().all(|plan| found.partitions.contains_key(&plan.name)) {
                break;
            }
            std::thread::sleep(LOOK);
            found = self.look()?;
        }
        Ok(found)
    }

    fn look(&self) -> Result<Found, Failure> {
        let brokers = &self.clients.settings().brokers;
        let failed = |error| Failure::new(&format!("ask {brokers} for its topics"), &error, None);
        let metadata = self.consumer.fetch_metadata(None, ANSWER).map_err(failed)?;
        let partitions = metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none())
            .map(|topic| {
                (topic.name().to_owned(), u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX))
            })
            .collect();
        let cluster_id = self
            .consumer
            .client()
            .fetch_cluster_id(ANSWER)
            .ok_or_else(|| failed(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut)))?;
        Ok(Found { cluster_id, partitions })
    }
}

fn admin(clients: &Clients) -> Result<AdminClient<DefaultClientContext>, Failure> {
    let mut config = clients.admin()?;
    // Nobody can poll the events of an admin client; what it has to say is in its results.
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    let doing = format!("reach Kafka at {}", clients.settings().brokers);
    config.create().map_err(|error| Failure::new(&doing, &error, None))
}

fn make(clients: &Clients, missing: &[&Plan], input: u32, replication: Option<u32>) -> Result<(), Failure> {
    let replication = replication.map_or(-1, |copies| i32::try_from(copies).unwrap_or(i32::MAX));
    let topics: Vec<NewTopic<'_>> = missing
        .iter()
        .map(|plan| {
            let partitions = if plan.partitions == Partitions::One { 1 } else { input };
            let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
            let topic = NewTopic::new(&plan.name, partitions, TopicReplication::Fixed(replication));
            plan.require.iter().chain(&plan.config).fold(topic, |topic, (name, value)| topic.set(name, value))
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
    let brokers = &clients.settings().brokers;
    let failed = |error: &KafkaError| Failure::new(&format!("make topics at {brokers}"), error, None);
    let made = block_on(admin(clients)?.create_topics(&topics, &options)).map_err(|error| failed(&error))?;
    for result in made {
        match result {
            // Somebody else was quicker; whether it is right is looked at next.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                let doing = format!("make the topic {topic} at {brokers}");
                return Err(Failure::new(&doing, &KafkaError::AdminOp(code), None));
            }
        }
    }
    Ok(())
}

/// Holds what was found against what has to be.
fn judge(clients: &Clients, plans: &[Plan], found: &Found) -> Result<Verified, VerifyError> {
    let audit = clients.settings().topics.of(Topic::Audit);
    let input = found.partitions.get(audit).copied();
    let mut faults = Vec::new();
    for plan in plans {
        let name = &plan.name;
        let setting = plan.setting();
        match (found.partitions.get(name).copied(), plan.partitions, input) {
            (None, _, _) => faults.push(format!(
                "topic {name} ({setting}) is missing, or may not be seen: make it with `tiltmeter topics --create`, or grant \
                 what `tiltmeter topics` lists under access"
            )),
            (Some(count), Partitions::One, _) if count != 1 => faults.push(format!(
                "topic {name} ({setting}) has {count} partitions and must have 1, because its order counts: name another \
                 topic, or delete this one and make it with `tiltmeter topics --create`"
            )),
            (Some(count), Partitions::Input, Some(input)) if count != input => faults.push(format!(
                "topic {name} ({setting}) has {count} partitions and must have {input} like {audit}: name another topic, \
                 or delete this one and make it with `tiltmeter topics --create`; its agents are learned anew"
            )),
            (Some(_), ..) => {}
        }
    }
    let settings_seen = !logs_in_by_token(clients);
    if settings_seen {
        faults.extend(settings_against(clients, plans, found)?);
    }
    match input {
        Some(partitions) if faults.is_empty() => {
            Ok(Verified { partitions, cluster_id: found.cluster_id.clone(), settings_seen })
        }
        _ => Err(VerifyError::Faults { brokers: clients.settings().brokers.clone(), faults }),
    }
}

/// Every setting of a topic that is not as it must be.
fn settings_against(clients: &Clients, plans: &[Plan], found: &Found) -> Result<Vec<String>, Failure> {
    let existing: Vec<&Plan> =
        plans.iter().filter(|plan| found.partitions.contains_key(&plan.name)).collect();
    if existing.is_empty() {
        return Ok(Vec::new());
    }
    let brokers = &clients.settings().brokers;
    let options = AdminOptions::new().request_timeout(Some(ANSWER));
    let asked: Vec<ResourceSpecifier<'_>> =
        existing.iter().map(|plan| ResourceSpecifier::Topic(&plan.name)).collect();
    let failed = |what: &str, error: KafkaError| {
        Failure::new(&format!("read settings of {what} at {brokers}"), &error, None)
    };
    let answers = block_on(admin(clients)?.describe_configs(&asked, &options))
        .map_err(|error| failed("topics", error))?;
    let mut faults = Vec::new();
    for answer in answers {
        let answer = answer.map_err(|code| failed("topics", KafkaError::AdminOp(code)))?;
        let OwnedResourceSpecifier::Topic(name) = &answer.specifier else { continue };
        let Some(plan) = existing.iter().find(|plan| plan.name == *name) else { continue };
        // rdkafka 0.39 leaves out why: whoever may not read settings gets none.
        if answer.entries.is_empty() {
            faults.push(format!(
                "topic {name} ({}): its settings may not be read: grant DescribeConfigs, as `tiltmeter topics` lists under access",
                plan.setting()
            ));
            continue;
        }
        let entries = answer.entry_map();
        for (property, wanted) in &plan.require {
            let value =
                entries.get(property.as_str()).and_then(|entry| entry.value.as_deref()).unwrap_or("nothing");
            if value != wanted {
                let setting = plan.setting();
                let or = if plan.topic == Topic::Audit && property == TIMESTAMP_TYPE {
                    "; or, if you own every producer, say [kafka] record_time = \"producer\""
                } else {
                    ""
                };
                faults.push(format!(
                    "topic {name} ({setting}) has {property} = {value} and must have {wanted}: `kafka-configs \
                     --bootstrap-server {brokers} --alter --topic {name} --add-config {property}={wanted}`{or}"
                ));
            }
        }
    }
    Ok(faults)
}
