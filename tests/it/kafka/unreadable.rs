//! Batches that nobody can read, in the topic of audit events and in those of the state.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tiltmeter::control::{Control, ControlRecord};
use tiltmeter::kafka::settings::Topic;
use tiltmeter::risk::{Decision, Verdict};

use super::deployment::{Deployment, events};
use super::rig::{Cluster, left_out};
use super::serving::{address, ask};

const PATIENCE: Duration = Duration::from_secs(60);
/// More than librdkafka takes from a broker, once unpacked. Bytes.
const BOMB_BYTES: usize = 160 << 20;

/// Writes one record that is huge and packs well.
fn bomb(deployment: &Deployment, codec: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &deployment.brokers)
        .set("compression.type", codec)
        .set("message.max.bytes", "400000000")
        .create()
        .unwrap();
    let topic = deployment.topic(Topic::Audit);
    let value = vec![b' '; BOMB_BYTES];
    let record = BaseRecord::to(&topic).partition(0).key("bomb").payload(&value);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn batches_that_unpack_to_too_much_or_not_at_all_are_dead_letters_and_what_is_between_them_is_judged() {
    let Some(cluster) = Cluster::start(1) else { return left_out("batches that cannot be unpacked") };
    let deployment = Deployment::new("bombs", &cluster.addresses().brokers, 1, "").with_seats();
    let all = events(2500, 10);
    let portions: Vec<_> = all.chunks(500).collect();
    let topic = deployment.topic(Topic::Audit);
    let mut bombs = Vec::new();
    for (codec, portion) in ["zstd", "lz4", "gzip"].into_iter().zip(&portions) {
        deployment.produce(portion);
        bombs.push((codec, deployment.ends()[0]));
        bomb(&deployment, codec);
    }
    // One whose checksum is right and whose content is not what zstd writes.
    deployment.produce(portions[3]);
    let spoilt = deployment.ends()[0];
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &deployment.brokers)
        .set("compression.type", "zstd")
        .create()
        .unwrap();
    for _ in 0..20 {
        producer
            .send(BaseRecord::to(&topic).partition(0).key("k").payload(&[b'a'; 500]))
            .map_err(|(e, _)| e)
            .unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    cluster.spoil(&topic, 0, spoilt, true);
    deployment.produce(portions[4]);

    let began = Instant::now();
    let mut instance = deployment.start("a");
    deployment.wait(&mut [&mut instance]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", instance.id())).unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("past all of them after {:?}; {peak}", began.elapsed());
    let log = instance.log();
    let letters: Vec<serde_json::Value> = deployment
        .read(Topic::DeadLetters)
        .into_iter()
        .map(|(.., value)| serde_json::from_slice(&value.unwrap()).unwrap())
        .collect();
    let reasons = |reason: &str| letters.iter().filter(|letter| letter["reason"] == reason).count();
    let judged: usize = 2500 - 2500 / 100;
    println!(
        "unreadable: {}, too long: {}, bombs {bombs:?}, {judged} events\n{log}",
        reasons("unreadable"),
        reasons("too_long")
    );
    // A bomb is one that nobody can unpack, or a record of which is too long; each is told of.
    assert!(reasons("unreadable") >= 1, "{letters:?}");
    assert_eq!(reasons("unreadable") + reasons("too_long"), 4, "{letters:?}");
    assert!(log.contains("cannot be read and are passed over"), "{log}");

    // Nothing else is lost: every event that is none of these is judged or has a dead letter of its own.
    let broken = letters.len() - 4;
    assert_eq!(broken, 25, "{letters:?}");
    instance.kill();
    let mut instance = deployment.start("a");
    let more = events(200, 10);
    deployment.produce(&more);
    deployment.wait(&mut [&mut instance]);
    assert_eq!(deployment.read(Topic::DeadLetters).len(), letters.len() + 2, "{}", instance.log());
    instance.stop();
    deployment.check_identities();
}

#[test]
fn state_that_nobody_can_read_is_told_and_what_is_left_is_worked_with() {
    let Some(cluster) = Cluster::start(1) else { return left_out("damaged batches of the state") };
    let deployment = Deployment::new("state-batches", &cluster.addresses().brokers, 1, "").with_seats();
    let all = events(8000, 30);
    let (before, after) = all.split_at(5000);
    let mut instance = deployment.start("a");
    let verdict = |number: usize| {
        let verdict = Verdict {
            time: before[0].1,
            agent_id: format!("agent-{number}"),
            tenant: None,
            verdict: Decision::ConfirmCompromised,
            by: "someone".to_owned(),
            reason: format!("test {number}"),
        };
        let (time, id, by) = (verdict.time, number.to_string(), verdict.by.clone());
        let record = ControlRecord { time, id, by, kind: Control::Verdict(verdict) };
        let json = tiltmeter::wire::control::encode(&record).unwrap().into_bytes();
        deployment.write(Topic::Control, 0, format!("verdict|{number}").as_bytes(), Some(&json));
    };
    for portion in before.chunks(500) {
        deployment.produce(portion);
        deployment.wait(&mut [&mut instance]);
    }
    (0..3).for_each(verdict);
    instance.stop();

    let data = |topic: Topic| -> Vec<i64> {
        cluster
            .batches(&deployment.topic(topic), 0)
            .into_iter()
            .filter(|(_, control)| !control)
            .map(|(at, _)| at)
            .collect()
    };
    let (checkpoints, control, versions) =
        (data(Topic::Checkpoints), data(Topic::Control), data(Topic::Baselines));
    assert!(checkpoints.len() > 10 && control.len() >= 3, "{checkpoints:?} {control:?}");
    println!("{} batches of checkpoints, {} of versions", checkpoints.len(), versions.len());
    // The last one holds all slices; of the control records the second of three, of the versions the last.
    let mut damaged = vec![
        (Topic::Checkpoints, checkpoints[checkpoints.len() / 2]),
        (Topic::Checkpoints, checkpoints[checkpoints.len() - 1]),
        (Topic::Control, control[control.len() - 2]),
    ];
    damaged.extend(versions.last().map(|at| (Topic::Baselines, *at)));
    for (topic, at) in &damaged {
        cluster.spoil(&deployment.topic(*topic), 0, *at, false);
    }
    let began = Instant::now();
    let mut instance = deployment.start("a");
    for portion in after.chunks(500) {
        deployment.produce(portion);
        deployment.wait(&mut [&mut instance]);
    }
    println!("at work again, and all judged, after {:?}", began.elapsed());
    let log = instance.log();
    for (topic, at) in &damaged {
        let words = format!("{} [0]: the records from offset", deployment.topic(*topic));
        let told = log
            .lines()
            .any(|line| line.contains(&words) && line.contains("cannot be read and are passed over"));
        assert!(told, "{topic:?} at {at}:\n{log}");
    }
    // What people decide goes on taking effect, and the chain says that something is missing.
    verdict(3);
    let until = Instant::now() + PATIENCE;
    let told = || {
        let journal = deployment.read(Topic::Journal).into_iter().filter_map(|(.., value)| value);
        let text: String = journal.map(|value| String::from_utf8_lossy(&value).into_owned()).collect();
        (0..4).map(|number| text.contains(&format!("\"test {number}\""))).collect::<Vec<_>>()
    };
    while !told()[3] {
        assert!(Instant::now() < until, "{:?}\n{}", told(), instance.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let audit = deployment.command("a", &["status", "--audit", "--json"]);
    let text = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(audit.status.code() == Some(1) && text.contains("\"lost\""), "{audit:?}");
    instance.stop();
    assert!(deployment.check_identities() > 20);

    // Whoever answers over HTTP passes over what nobody can read of the levels.
    let risks = data(Topic::Risk);
    cluster.spoil(&deployment.topic(Topic::Risk), 0, risks[risks.len() / 2], false);
    let mut instance = deployment.start_with("a", &["run", "--listen", "127.0.0.1:0"]);
    let address = address(&mut instance);
    let until = Instant::now() + PATIENCE;
    while !ask(&address, "GET", "/metrics", "", "").2.contains("\ntiltmeter_risk_topic_read 1\n") {
        assert!(Instant::now() < until, "{}", instance.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(instance.log().contains("agent-risk [0]: the records from offset"), "{}", instance.log());
    instance.stop();
}
