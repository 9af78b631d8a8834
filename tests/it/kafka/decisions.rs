//! What a person says to a running service, and what it says of itself, on a real Kafka.

use std::time::{Duration, Instant};

use serde_json::Value;
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
