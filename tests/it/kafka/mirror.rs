//! State that was copied to another cluster, whose audit topic has other records at the same offsets: what was learned is
//! kept, everything there is judged, and nobody is flooded.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tiltmeter::kafka::settings::Topic;

use super::deployment::{Deployment, events};
use super::rig::{left_out, shared};

fn values(deployment: &Deployment, topic: Topic) -> Vec<Value> {
    let records = deployment.read(topic).into_iter().filter_map(|(.., value)| value);
    records.map(|value| serde_json::from_slice(&value).unwrap()).collect()
}

fn opened(alerts: &[Value]) -> Vec<String> {
    let opened = alerts.iter().filter(|alert| alert["state"] == "opened");
    opened.map(|alert| alert["alert_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn state_that_was_copied_to_another_cluster_is_kept_and_all_records_there_are_judged() {
    let Some(brokers) = shared() else { return left_out("state of another cluster") };
    let all = events(8000, 30);
    let (first, second) = all.split_at(4000);
    let one = Deployment::new("mirrored", &brokers.brokers, 3, "");
    let mut instance = one.start("a");
    one.produce(first);
    one.wait(&mut [&mut instance]);
    instance.stop();
    let other = Deployment::new("mirror", &brokers.brokers, 3, "");
    for topic in [Topic::Checkpoints, Topic::Baselines] {
        let copies: Vec<_> =
            one.read(topic).into_iter().map(|(at, _, _, key, value)| (at, key, value)).collect();
        other.write_all(topic, &copies);
    }
    let (alerts, risks) = (values(&one, Topic::Alerts), values(&one, Topic::Risk));

    // What would have been told without a move.
    let mut instance = one.start("a");
    one.produce(second);
    one.wait(&mut [&mut instance]);
    instance.stop();
    let usual = opened(&values(&one, Topic::Alerts)).len() - opened(&alerts).len();

    other.produce(second);
    let mut instance = other.start("a");
    other.wait(&mut [&mut instance]);
    instance.stop();
    assert!(instance.log().contains("or is another cluster's"), "{}", instance.log());
    let broken = |part: &[(String, _, Vec<u8>)]| {
        part.iter().filter(|(.., value)| serde_json::from_slice::<Value>(value).is_err()).count()
    };
    assert_eq!(other.read(Topic::DeadLetters).len(), broken(second), "{}", instance.log());
    let (moved_alerts, moved_risks) = (values(&other, Topic::Alerts), values(&other, Topic::Risk));
    let ids = [opened(&alerts), opened(&moved_alerts)].concat();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id was used twice");
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for risk in risks.iter().chain(&moved_risks) {
        let seq = risk["seq"].as_u64().unwrap();
        let before = last.insert(risk["agent_id"].as_str().unwrap(), seq);
        assert!(before.is_none_or(|before| before < seq), "{before:?} before {risk}");
    }
    let told = opened(&moved_alerts).len();
    assert!(usual > 20 && told <= usual + usual / 4, "{told} alerts instead of {usual}");
}
