//! Formats on a real Kafka: what was told once is told once in each format, whatever is killed in between.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use tiltmeter::kafka::client::Isolation;
use tiltmeter::kafka::settings::Topic;
use tiltmeter::wire::outputs::{Format, Formatter, IdentityTemplate, Rendered, Told};

use super::deployment::{Deployment, events};
use super::instance::Instance;
use super::rig::{left_out, shared};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(90);

fn wait(what: &str, instance: &mut Instance, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(instance.is_running() && Instant::now() < until, "{what}; log:\n{}", instance.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Values by key, each list in its order.
fn by_key(records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (key, value) in records {
        all.entry(key).or_default().push(value);
    }
    all
}

/// What a topic must hold in a format.
fn expected(deployment: &Deployment, topic: Topic, format: &str) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let formatter = Formatter::new(&Format::named(format).unwrap(), IdentityTemplate::default()).unwrap();
    let records = deployment.read(topic).into_iter().filter_map(|(_, _, _, key, value)| {
        let told = Told::read(&value.unwrap()).unwrap()?;
        Some((key, formatter.render(&told).unwrap().unwrap().value))
    });
    by_key(records)
}

#[test]
fn what_is_told_is_told_once_in_each_format_though_instances_are_killed() {
    let Some(brokers) = shared() else { return left_out("sinks") };
    let formats = ["ocsf", "cef", "cloudevents-binary"];
    let deployment =
        formats.iter().fold(Deployment::new("sinks", &brokers.brokers, 3, ""), |deployment, format| {
            deployment.with_sink(format)
        });
    let all = events(9_000, 40);
    let mut instance = deployment.start("a");
    for part in all.chunks(3_000) {
        deployment.produce(part);
        deployment.wait(&mut [&mut instance]);
        // Sinks are somewhere in between by now.
        instance.kill();
        instance = deployment.start("a");
    }
    let mut compared = 0;
    for topic in [Topic::Alerts, Topic::Risk] {
        for format in formats {
            let name = format!("{}.{format}", deployment.topic(topic));
            let count = |all: &BTreeMap<_, Vec<Vec<u8>>>| all.values().map(Vec::len).sum::<usize>();
            let wanted = expected(&deployment, topic, format);
            wait("not all is told", &mut instance, || deployment.read_named(&name).len() >= count(&wanted));
            let got = deployment.read_named(&name);
            let got = by_key(got.into_iter().map(|(_, _, _, key, value)| (key, value.unwrap())));
            assert_eq!(count(&got), count(&wanted), "{name}");
            assert!(got == wanted, "{name}: something else is told");
            compared += count(&got);
        }
    }
    println!("{compared} records in {} formats", formats.len());
    assert!(compared > 30, "{compared} records are too few to say anything");
    let (took, code) = instance.stop();
    assert_eq!(code, Some(0), "{}", instance.log());
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn what_has_no_place_in_a_format_is_said_and_holds_nobody_up() {
    let Some(brokers) = shared() else { return left_out("sinks that refuse") };
    let deployment = Deployment::new("refuse", &brokers.brokers, 1, "").with_sink("cloudevents-binary");
    let risk = include_bytes!("../../data/outputs/risk.json");
    let digest = br#"{"schema":"tiltmeter.alert-digest.v1"}"#;
    for value in [&b"no JSON"[..], digest, br#"{"schema":"tiltmeter.agent-risk.v1"}"#, risk] {
        deployment.write(Topic::Risk, 0, b"mail-helper-0042", Some(value));
    }
    deployment.write(Topic::Risk, 0, b"gone", None);
    let mut instance = deployment.start("a");
    let name = format!("{}.cloudevents-binary", deployment.topic(Topic::Risk));
    wait("the good one is not told", &mut instance, || deployment.read_named(&name).len() >= 2);
    let told = deployment.read_named(&name);
    assert_eq!(told.len(), 2);
    assert_eq!(
        (&*told[0].3, told[1].3.as_slice(), &told[1].4),
        (&b"mail-helper-0042"[..], &b"gone"[..], &None)
    );
    let log = instance.log();
    assert!(
        log.contains(&format!("{name}: the record at ")) && log.contains("is left out: it is no alert"),
        "{log}"
    );

    // Its attributes are in headers, as the binding has it.
    let clients = deployment.clients("headers");
    let reader: BaseConsumer = clients.reader(Isolation::Committed).unwrap().create().unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(&name, 0, Offset::Beginning).unwrap();
    reader.assign(&from).unwrap();
    let record = reader.poll(PATIENCE).unwrap().unwrap();
    let headers: BTreeMap<&str, &str> = record
        .headers()
        .unwrap()
        .iter()
        .map(|header| (header.key, std::str::from_utf8(header.value.unwrap()).unwrap()))
        .collect();
    let formatter = Formatter::new(&Format::CloudEventsBinary, IdentityTemplate::default()).unwrap();
    let Rendered { headers: wanted, value } =
        formatter.render(&Told::read(risk).unwrap().unwrap()).unwrap().unwrap();
    assert!(wanted.iter().all(|(name, value)| headers.get(name) == Some(&value.as_str())), "{headers:?}");
    assert_eq!(record.payload(), Some(value.as_slice()));
    assert_eq!(instance.stop().1, Some(0));
}

#[test]
fn topics_of_sinks_are_asked_for_and_made() {
    let Some(brokers) = shared() else { return left_out("topics of sinks") };
    let deployment = Deployment::new("listed", &brokers.brokers, 2, "").with_sink("ecs");
    let output = deployment.command("t", &["topics"]);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    let name = format!("{}.ecs", deployment.topic(Topic::Alerts));
    for operation in ["--operation Read --operation Write", "--operation Read --operation Describe"] {
        let is_so = |line: &str| line.contains(operation) && line.ends_with(&format!("--topic {name}"));
        assert!(told.lines().any(is_so), "{operation} {name}: {told}");
    }
    let mut without = deployment.config_file("u");
    let more = std::fs::read_to_string(&without).unwrap() + "\n[[sinks]]\nformat = \"graph\"\n";
    without.set_extension("more.toml");
    std::fs::write(&without, more).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tiltmeter"))
        .args(["run", "--config"])
        .arg(&without)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains(&format!("topic {}.graph ([[sinks]]) is missing", deployment.topic(Topic::Risk))),
        "{told}"
    );
}
