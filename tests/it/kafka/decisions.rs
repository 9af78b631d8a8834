//! What a person says to a running service, and what it says of itself, on a real Kafka.

use std::time::{Duration, Instant};

use serde_json::Value;
use tiltmeter::kafka::decision::{Once, write, write_once};
use tiltmeter::kafka::settings::Topic;

use super::deployment::{Deployment, events};
use super::rig::{left_out, shared};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn alerts(deployment: &Deployment) -> Vec<Value> {
    let read = deployment.read(Topic::Alerts);
    read.iter().map(|(.., value)| serde_json::from_slice(value.as_ref().unwrap()).unwrap()).collect()
}

fn status(deployment: &Deployment) -> (Option<i32>, Value) {
    let output = deployment.command("a", &["status", "--json", "--between", "1"]);
    let told = serde_json::from_slice(&output.stdout);
    (output.status.code(), told.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}

fn lag(status: &Value) -> i64 {
    status["partitions"].as_array().unwrap().iter().map(|partition| partition["lag"].as_i64().unwrap()).sum()
}

#[test]
fn a_verdict_closes_the_alert_of_a_running_service_and_status_says_how_it_is() {
    let Some(brokers) = shared() else { return left_out("verdicts and status") };
    let deployment = Deployment::new("verdict", &brokers.brokers, 3, "");
    deployment.produce(&events(6000, 30));
    let (code, before) = status(&deployment);
    assert_eq!((code, lag(&before)), (Some(1), 6000), "nobody is there: {before}");

    let mut instance = deployment.start("a");
    deployment.wait(&mut [&mut instance]);
    let open = alerts(&deployment)
        .into_iter()
        .find(|alert| alert["state"] == "opened" && alert["subject"]["kind"] == "agent");
    let open = open.expect("the fleet is under attack");
    let (agent, tenant) = (open["subject"]["id"].as_str().unwrap(), open["tenant"].as_str().unwrap());
    let closes = |alert: &Value| alert["alert_id"] == open["alert_id"] && alert["state"] == "closed";
    let said = deployment
        .command("a", &["verdict", agent, "confirm_safe", "--tenant", tenant, "--by", "ann", "--kafka"]);
    let told = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let at = deployment.read(Topic::Control).last().unwrap().1;
    assert_eq!(told, format!("written to {} [0] at {at}\n", deployment.topic(Topic::Control)));
    let until = Instant::now() + PATIENCE;
    while !alerts(&deployment).iter().any(closes) {
        assert!(instance.is_running() && Instant::now() < until, "{open}; log:\n{}", instance.log());
        std::thread::sleep(Duration::from_millis(100));
    }

    let (code, after) = status(&deployment);
    assert_eq!(code, Some(0), "{after}");
    assert!(lag(&after) <= 3, "at most the mark of a transaction waits on each partition: {after}");
    let instances = after["instances"].as_array().unwrap();
    assert_eq!((instances.len(), &instances[0]["instance"]), (1, &Value::from("a")));
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
    deployment.check();
}

#[test]
fn a_record_whose_commit_was_not_answered_is_written_once() {
    let Some(brokers) = shared() else { return left_out("records that are written again") };
    let deployment = Deployment::new("once", &brokers.brokers, 1, "");
    let clients = deployment.clients("a");
    // Whoever was not told what became of a record tries again with the same key.
    let first = write(&clients, "verdict|x|1", "{}").unwrap();
    assert_eq!(write(&clients, "verdict|x|1", "{}").unwrap(), first);
    let second = write(&clients, "verdict|x|2", "{}").unwrap();
    assert!(second.offset > first.offset, "another record with the same id is another");
    // Given with an idempotency key, it is the id that counts, whoever wrote it; the first one is told.
    let before = write_once(&clients, "verdict|x|3", r#"{"other":1}"#).unwrap();
    assert_eq!(before, Once::Before(first, b"{}".to_vec()));
    let Once::Now(third) = write_once(&clients, "verdict|xy|4", "{}").unwrap() else { panic!("it is new") };
    let keys: Vec<_> =
        deployment.read(Topic::Control).into_iter().map(|(_, offset, _, key, _)| (offset, key)).collect();
    let expected = [(first, "1"), (second, "2"), (third, "4")];
    let expected = expected.map(|(written, of)| {
        let id = if of == "4" { "xy" } else { "x" };
        (written.offset, format!("verdict|{id}|{of}").into_bytes())
    });
    assert_eq!(keys, expected);
    let (code, audit) = super::audit::audit(&deployment);
    assert_eq!((code, audit["entries"].as_array().unwrap().len()), (Some(0), 3), "one chain: {audit}");
}
