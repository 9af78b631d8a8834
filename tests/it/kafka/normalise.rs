//! Sources on a real Kafka: what was written once is translated once, whatever is killed in between.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tiltmeter::kafka::settings::Topic;

use super::deployment::Deployment;
use super::instance::Instance;
use super::rig::{left_out, shared};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(90);
/// Records of each partition of the trail; every fiftieth is broken.
const RECORDS: usize = 1500;

fn cloudtrail(partition: i32, number: usize) -> Vec<u8> {
    let example = include_str!("../../../schemas/examples/sources/cloudtrail.json");
    let mut record: Value = serde_json::from_str(example).unwrap();
    record["eventID"] = format!("{partition}-{number:05}").into();
    if number % 50 == 49 {
        return b"{\"eventVersion\": ".to_vec();
    }
    if number % 50 == 7 {
        return json!({"Records": [record, {"eventName": "nobody did this"}]}).to_string().into_bytes();
    }
    record.to_string().into_bytes()
}

/// Audit events that have arrived, as `(partition, event)`, and on how many partitions there is progress of how many sources.
fn arrived(deployment: &Deployment) -> (Vec<(i32, Value)>, usize) {
    let (mut events, mut progress) = (Vec::new(), std::collections::BTreeSet::new());
    for (partition, _, _, key, value) in deployment.read(Topic::Audit) {
        let value: Value = serde_json::from_slice(&value.unwrap()).unwrap();
        if value["schema"] == "tiltmeter.progress.v1" {
            progress.insert((partition, key));
        } else {
            assert_eq!(key, value["agent_id"].as_str().unwrap().as_bytes());
            events.push((partition, value));
        }
    }
    (events, progress.len())
}

fn wait(what: &str, instance: &mut Instance, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(instance.is_running() && Instant::now() < until, "{what}; log:\n{}", instance.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn records_of_sources_become_events_once_though_the_translator_is_killed() {
    let Some(brokers) = shared() else { return left_out("sources") };
    let deployment = Deployment::new("sources", &brokers.brokers, 3, "")
        .with_source("trail", "cloudtrail", 2)
        .with_source("chats", "transcript", 1);
    let chat = include_bytes!("../../../schemas/examples/transcripts/valid-openai-chat.json");
    deployment.produce_to("chats", 0, &[chat.to_vec(), b"{\"agent_id\": \"a\", \"secret\": 1}".to_vec()]);
    let part = RECORDS / 3;
    let mut translator = deployment.start_with("n", &["normalise"]);
    for round in 0..3 {
        // The last ten are kept for the end: whoever has read nothing cannot tell how far a source is.
        let to = if round == 2 { RECORDS - 10 } else { (round + 1) * part };
        for partition in 0..2 {
            let records: Vec<_> = (round * part..to).map(|number| cloudtrail(partition, number)).collect();
            deployment.produce_to("trail", partition, &records);
        }
        let some = round * 2 * part + 1;
        wait("nothing arrives", &mut translator, || arrived(&deployment).0.len() >= some);
        translator.kill();
        translator = deployment.start_with("n", &["normalise"]);
    }
    for partition in 0..2 {
        let records: Vec<_> = (RECORDS - 10..RECORDS).map(|number| cloudtrail(partition, number)).collect();
        deployment.produce_to("trail", partition, &records);
    }
    deployment.produce_to("chats", 0, &[chat.to_vec()]);
    // Three partitions of sources on three partitions of the audit topic.
    wait("no progress is told", &mut translator, || arrived(&deployment).1 == 9);
    let broken = RECORDS / 50;
    let usable = 2 * (RECORDS - broken);
    let of_trail = |events: &[(i32, Value)]| {
        let ids = events.iter().filter_map(|(_, event)| event["event_id"].as_str().map(str::to_owned));
        ids.filter(|id| id.contains('-')).collect::<Vec<_>>()
    };
    wait("not all arrives", &mut translator, || of_trail(&arrived(&deployment).0).len() >= usable);
    let letters = 2 * 2 * broken + 1;
    wait("dead letters are missing", &mut translator, || {
        deployment.read(Topic::DeadLetters).len() >= letters
    });
    let (_, code) = translator.stop();
    assert_eq!(code, Some(0), "{}", translator.log());

    let (events, _) = arrived(&deployment);
    let ids = of_trail(&events);
    for partition in 0..2 {
        let expected: Vec<String> = (0..RECORDS)
            .filter(|number| number % 50 != 49)
            .map(|number| format!("{partition}-{number:05}"))
            .collect();
        let begin = format!("{partition}-");
        let got: Vec<String> = ids.iter().filter(|id| id.starts_with(&begin)).cloned().collect();
        assert_eq!(got, expected, "once each, in the order of the source");
    }
    let calls = events.len() - ids.len();
    assert!(calls > 0, "the conversation has calls");
    let dead = deployment.read(Topic::DeadLetters);
    assert_eq!(dead.len(), letters);
    let without_content = dead
        .iter()
        .map(|(_, _, _, _, value)| serde_json::from_slice::<Value>(value.as_ref().unwrap()).unwrap())
        .filter(|letter| letter["source"].as_str().unwrap().ends_with("chats"));
    assert_eq!(without_content.map(|letter| letter["data"].clone()).collect::<Vec<_>>(), [""]);

    // Whoever judges takes progress for what it is.
    let mut judge = deployment.start_with("a", &["run", "--without-sources"]);
    let records = deployment.read(Topic::Audit);
    wait("not all is judged", &mut judge, || {
        let stands = deployment.committed();
        records.iter().all(|(partition, offset, ..)| stands[*partition as usize] > *offset)
    });
    assert_eq!(judge.stop().1, Some(0), "{}", judge.log());
    assert_eq!(deployment.read(Topic::DeadLetters).len(), letters, "progress records are no dead letters");
}

#[test]
fn whoever_judges_translates_too() {
    let Some(brokers) = shared() else { return left_out("sources beside judging") };
    let deployment = Deployment::new("both", &brokers.brokers, 2, "").with_source("trail", "cloudtrail", 1);
    let mut instance = deployment.start("a");
    let records: Vec<_> = (0..100).map(|number| cloudtrail(0, number)).collect();
    deployment.produce_to("trail", 0, &records);
    wait("not all is translated", &mut instance, || arrived(&deployment).0.len() == 98);
    let last = deployment.read(Topic::Audit);
    wait("not all is judged", &mut instance, || {
        let stands = deployment.committed();
        last.iter().all(|(partition, offset, ..)| stands[*partition as usize] > *offset)
    });
    let (took, code) = instance.stop();
    assert_eq!(code, Some(0), "{}", instance.log());
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_source_that_is_not_there_is_told_before_anything_starts() {
    let Some(brokers) = shared() else { return left_out("a source that is not there") };
    let deployment = Deployment::new("gone", &brokers.brokers, 1, "");
    let output = deployment.command("n", &["normalise"]);
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("there are no sources: add [[sources]]"), "{told}");
}
