//! Access on a broker with an authorizer: what `tiltmeter topics` lists is enough, and what of it is missing is told.

mod grants;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tiltmeter::kafka::settings::Topic;

use self::grants::{Grant, give, grants, take};
use super::deployment::{Deployment, events};
use super::instance::Instance;
use super::rig::{Beyond, Cluster, left_out};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(90);
/// As the list calls the engine, those who are watched, and those who read alerts and decide.
const NAMES: [&str; 4] = ["tiltmeter", "AGENT_GATEWAY", "ALERT_READER", "ANALYST"];
const PASSWORD: &str = "correct-horse";

/// A broker that lets nobody do anything but who has no password.
fn strict() -> Option<Cluster> {
    let users: String = NAMES.iter().map(|name| format!(" user_{name}=\"{PASSWORD}\"")).collect();
    Cluster::start_with(
        1,
        &Beyond {
            settings: format!(
                "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                 super.users=User:ANONYMOUS\n\
                 listener.name.password.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
                 required{users};\n"
            ),
            ..Beyond::default()
        },
    )
}

fn login(name: &str) -> String {
    format!(
        "protocol = \"sasl_plaintext\"\nmechanism = \"PLAIN\"\nusername = \"{name}\"\npassword = {{ file = \"password\" }}\n"
    )
}

/// A client of somebody.
fn client(brokers: &str, name: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("security.protocol", "sasl_plaintext")
        .set("sasl.mechanism", "PLAIN")
        .set("sasl.username", name)
        .set("sasl.password", PASSWORD)
        .set("partitioner", "murmur2_random")
        .set("message.timeout.ms", "20000");
    config
}

/// A deployment, the rights that its list names, and where those with a password are let in.
fn installed(cluster: &Cluster, name: &str) -> (Deployment, Vec<Grant>, String) {
    let at = cluster.addresses();
    let mut deployment = Deployment::new(name, &at.brokers, 2, "");
    std::fs::write(deployment.folder().join("password"), PASSWORD).unwrap();
    let listed = deployment.command("a", &["topics"]);
    let rights = String::from_utf8(listed.stdout).unwrap().lines().flat_map(grants).collect::<Vec<_>>();
    let named: BTreeSet<&str> = rights.iter().map(|right| right.principal.as_str()).collect();
    assert_eq!(named.len(), NAMES.len(), "{rights:?}");
    let entry = at.with_password.unwrap();
    deployment.entered_at(&entry, &login(NAMES[0]));
    (deployment, rights, entry)
}

/// Whether a line of the log has all of these parts, or gets one within a time.
fn says(instance: &Instance, parts: &[&str], within: Duration) -> bool {
    let until = Instant::now() + within;
    loop {
        if instance.log().lines().any(|line| parts.iter().all(|part| line.contains(part))) {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_access_that_is_listed_is_enough_for_everybody_and_nothing_is_possible_without_it() {
    let Some(cluster) = strict() else { return left_out("access") };
    let (mut deployment, rights, entry) = installed(&cluster, "access");
    let nothing = deployment.command("a", &["topics"]);
    let told = String::from_utf8_lossy(&nothing.stderr).into_owned();
    assert_eq!(nothing.status.code(), Some(64), "{told}");
    assert!(told.contains("grant what `tiltmeter topics` lists under access"), "{told}");
    assert!(String::from_utf8_lossy(&nothing.stdout).contains("kafka-acls "), "the list comes all the same");

    give(&cluster.addresses().brokers, &rights);
    // A broker learns of it from the controller, a moment later.
    let until = Instant::now() + PATIENCE;
    while !deployment.command("a", &["topics"]).status.success() {
        assert!(Instant::now() < until, "{:?}", deployment.command("a", &["topics"]));
    }
    let mut instance = deployment.start("a");
    let producer: BaseProducer = client(&entry, NAMES[1]).create().unwrap();
    let topic = deployment.topic(Topic::Audit);
    for (agent, time, value) in &events(600, 10) {
        producer.send(BaseRecord::to(&topic).key(agent).payload(value).timestamp(time.0)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    deployment.wait(&mut [&mut instance]);

    let reader: BaseConsumer = client(&entry, NAMES[2]).set("group.id", "desk").create().unwrap();
    for topic in [Topic::Alerts, Topic::Risk, Topic::DeadLetters, Topic::Status] {
        let (_, end) = reader.fetch_watermarks(&deployment.topic(topic), 0, PATIENCE).unwrap();
        assert!(end >= 0);
    }
    let state = deployment.topic(Topic::Checkpoints);
    assert!(
        reader.fetch_watermarks(&state, 0, Duration::from_secs(5)).is_err(),
        "state is nobody's but the engine's"
    );
    let refused: BaseProducer = client(&entry, NAMES[1]).set("message.timeout.ms", "3000").create().unwrap();
    let control = deployment.topic(Topic::Control);
    let before = deployment.read(Topic::Control).len();
    refused.send(BaseRecord::to(&control).key("k").payload("v")).unwrap();
    refused.flush(PATIENCE).unwrap();
    assert_eq!(deployment.read(Topic::Control).len(), before, "who is watched decides nothing");

    deployment.entered_at(&entry, &login(NAMES[3]));
    let verdict = ["verdict", "mail-helper-0001", "confirm_safe", "--by", "ann", "--kafka", "--config"];
    let file = deployment.config_file("ann");
    let given = std::process::Command::new(env!("CARGO_BIN_EXE_tiltmeter"))
        .args(verdict)
        .arg(&file)
        .output()
        .unwrap();
    assert!(given.status.success(), "{given:?}");
    assert_eq!(deployment.read(Topic::Control).len(), before + 1);
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
    let log = instance.log();
    assert!(!log.contains("uthorization"), "something was refused all the same:\n{log}");
}

/// Rights that are used in the first moments of an instance that judges some events, and how they are called.
const MET: [(&str, &str, Option<Topic>); 8] = [
    ("DescribeConfigs", "topic", Some(Topic::Audit)),
    ("Read", "topic", Some(Topic::Audit)),
    ("Read", "topic", Some(Topic::Control)),
    ("Write", "topic", Some(Topic::Alerts)),
    ("Write", "topic", Some(Topic::DeadLetters)),
    ("Write", "topic", Some(Topic::Checkpoints)),
    ("Read", "group", None),
    ("Write", "transactional-id", None),
];

#[test]
fn a_right_that_the_engine_lacks_is_told_with_its_topic_and_what_mends_it() {
    let Some(cluster) = strict() else { return left_out("missing access") };
    let brokers = cluster.addresses().brokers;
    let (deployment, rights, _) = installed(&cluster, "lacking");
    give(&brokers, &rights);
    let events = events(400 * MET.len(), 20);
    let mut untold = Vec::new();
    for ((operation, kind, topic), events) in MET.iter().zip(events.chunks(400)) {
        let name = topic.map_or(String::new(), |topic| deployment.topic(topic));
        let is_meant = |right: &&Grant| {
            right.principal == "User:tiltmeter"
                && (right.operation.as_str(), right.kind.as_str()) == (*operation, *kind)
                && (name.is_empty() || right.name == name)
        };
        let right = rights.iter().find(is_meant).unwrap();
        take(&brokers, std::slice::from_ref(right));
        deployment.produce(events);
        if *operation == "DescribeConfigs" {
            let until = Instant::now() + PATIENCE;
            let told = loop {
                let looked = deployment.command("a", &["topics"]);
                if looked.status.code() == Some(64) || Instant::now() > until {
                    break String::from_utf8(looked.stderr).unwrap();
                }
            };
            assert!(
                told.contains(&format!("topic {name} (")) && told.contains("grant DescribeConfigs"),
                "{told}"
            );
        } else {
            let mut instance = deployment.start("a");
            let told = ["uthorization", &name, "`tiltmeter topics` lists the commands"];
            if !says(&instance, &told, Duration::from_secs(40)) {
                untold.push(format!("{right:?} is not told in:\n{}", instance.log()));
            }
            // It waits for the right, and goes on once it has it.
            give(&brokers, std::slice::from_ref(right));
            deployment.wait(&mut [&mut instance]);
            assert_eq!(instance.stop().1, Some(0), "{right:?}: {}", instance.log());
            std::fs::remove_file(deployment.folder().join("a.log")).unwrap();
        }
        give(&brokers, std::slice::from_ref(right));
    }
    assert!(untold.is_empty(), "{}", untold.join("\n"));
    assert!(deployment.check() > 0);
}
