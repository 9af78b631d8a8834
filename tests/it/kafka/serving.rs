//! What an operator and an access policy read from a running instance, on a real Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use tiltmeter::kafka::settings::Topic;
use tiltmeter::partition::risk_key;
use tiltmeter::time::EventTime;

use super::deployment::{Deployment, events};
use super::instance::Instance;
use super::rig::{left_out, shared};
use crate::metrics_docs::promtool;

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What nobody has any business with.
pub const RULE: &str = "[[rules]]\nname = \"decoys\"\nhoneytoken = [\"secrets/decoy-*\"]\n";
pub const AGENT: &str = "payroll/7";

/// Where an instance answers, once it does.
pub fn address(instance: &mut Instance) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let log = instance.log();
        let last = log.rsplit_once("answers at http://").and_then(|(_, rest)| rest.split_once("/readyz"));
        if let Some((address, _)) = last {
            return address.to_owned();
        }
        assert!(instance.is_running() && Instant::now() < until, "{log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Sends a request; returns status, head and body.
pub fn ask(address: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

/// Asks until an answer will do.
fn asked(instance: &mut Instance, path: &str, will_do: impl Fn(u16, &str) -> bool) -> (u16, String, String) {
    let (address, until) = (address(instance), Instant::now() + PATIENCE);
    loop {
        let answer = ask(&address, "GET", path, "", "");
        if will_do(answer.0, &answer.2) {
            return answer;
        }
        assert!(instance.is_running() && Instant::now() < until, "{path}: {answer:?}\n{}", instance.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The figures of a scrape by their whole name, labels included.
fn figures(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

/// The sum of a metric over those of its series in whose labels a text stands.
fn sum(figures: &BTreeMap<&str, f64>, metric: &str, label: &str) -> f64 {
    let of = |name: &&str| name.split('{').next() == Some(metric) && name.contains(label);
    figures.iter().filter(|(name, _)| of(name)).map(|(_, value)| value).sum()
}

/// Events of a fleet, and one of an agent that touches what nobody should.
fn with_decoy(count: usize) -> Vec<(String, EventTime, Vec<u8>)> {
    let mut events = events(count, 30);
    let time = events.last().unwrap().1;
    let event = format!(
        "{{\"time\":\"{time}\",\"agent_id\":\"{AGENT}\",\"agent_type\":\"payroll\",\"action\":\"read_secret\",\
         \"resource\":\"secrets/decoy-1\",\"outcome\":\"ok\"}}"
    );
    events.push((AGENT.to_owned(), time, event.into_bytes()));
    events
}

/// What the topic of risk says of an agent last.
fn on_topic(deployment: &Deployment) -> Value {
    let records = deployment.read(Topic::Risk);
    let last =
        records.iter().rev().find(|(_, _, _, key, _)| *key == risk_key(None, AGENT).into_bytes()).unwrap();
    serde_json::from_slice(last.4.as_ref().unwrap()).unwrap()
}

const RISK: &str = "/v1/agents/payroll%2F7/risk";
pub const LISTEN: &[&str] = &["run", "--listen", "127.0.0.1:0"];

#[test]
fn a_level_is_served_released_by_a_verdict_and_served_again_after_a_restart() {
    let Some(brokers) = shared() else { return left_out("levels over HTTP") };
    let deployment = Deployment::new("serving", &brokers.brokers, 3, RULE);
    deployment.produce(&with_decoy(2000));
    let mut instance = deployment.start_with("a", LISTEN);
    let (_, head, body) = asked(&mut instance, RISK, |status, _| status == 200);
    let told: Value = serde_json::from_str(&body).unwrap();
    let record = on_topic(&deployment);
    assert_eq!((&told["level"], &record["level"]), (&"high".into(), &"high".into()), "{told}");
    for (name, value) in record.as_object().unwrap() {
        assert_eq!(&told[name], value, "{name} is told as the topic has it");
    }
    let tag = |head: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with("etag: ")).unwrap();
        line.split_once(": ").unwrap().1.to_owned()
    };
    let known = format!("If-None-Match: {}\r\n", tag(&head));
    let at = address(&mut instance);
    assert_eq!(ask(&at, "GET", RISK, &known, "").0, 304);
    assert_eq!(ask(&at, "GET", "/v1/agents/nobody/risk", "", "").0, 404);
    let page: Value = serde_json::from_str(&ask(&at, "GET", "/v1/agents?type=payroll", "", "").2).unwrap();
    assert_eq!(page["agents"][0]["agent_id"], AGENT);

    let verdict = format!("{{\"agent_id\":\"{AGENT}\",\"verdict\":\"confirm_safe\",\"by\":\"ann\"}}");
    let headers = "Content-Type: application/json\r\nIdempotency-Key: case-17\r\n";
    asked(&mut instance, "/readyz", |status, _| status == 200);
    let (status, _, body) = ask(&at, "POST", "/v1/verdicts?wait=30s", headers, &verdict);
    let first: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &first["took_effect"]), (202, &true.into()), "{body}\n{}", instance.log());
    assert_eq!(first["risk"]["level"], "none");
    assert_eq!(ask(&at, "GET", RISK, &known, "").0, 200, "something is new");
    let (status, _, body) = ask(&at, "POST", "/v1/verdicts", headers, &verdict);
    let again: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &again["offset"]), (202, &first["offset"]), "{body}");
    // Alerts are read beside the levels: they may come a little later.
    let told = |body: &str| -> Vec<Value> {
        let alerts: Value = serde_json::from_str(body).unwrap();
        alerts["alerts"].as_array().unwrap().iter().map(|alert| alert["state"].clone()).collect()
    };
    asked(&mut instance, "/v1/agents/payroll%2F7/alerts", |_, body| told(body) == ["closed", "opened"]);

    let (_, head, before) = ask(&at, "GET", RISK, "", "");
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
    let mut instance = deployment.start_with("b", LISTEN);
    let (_, head_after, after) = asked(&mut instance, RISK, |status, _| status == 200);
    let without_time = |body: &str| {
        let mut told: Value = serde_json::from_str(body).unwrap();
        told.as_object_mut().unwrap().remove("fresh_until");
        told
    };
    assert_eq!((tag(&head), without_time(&before)), (tag(&head_after), without_time(&after)));
    // Another instance knows of the key from the control topic.
    asked(&mut instance, "/readyz", |status, _| status == 200);
    let at = address(&mut instance);
    let (_, _, body) = ask(&at, "POST", "/v1/verdicts", headers, &verdict);
    let again: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(again["offset"], first["offset"], "{body}");
    let other = verdict.replace("confirm_safe", "dismiss");
    assert_eq!(ask(&at, "POST", "/v1/verdicts", headers, &other).0, 409);
    let verdicts =
        deployment.read(Topic::Control).into_iter().filter(|(.., key, _)| key.starts_with(b"verdict"));
    assert_eq!(verdicts.count(), 1);
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
    deployment.check();
}

#[test]
fn what_a_scrape_says_is_what_was_produced_and_told() {
    let Some(brokers) = shared() else { return left_out("metrics of a running service") };
    let deployment = Deployment::new("metrics", &brokers.brokers, 3, RULE);
    let events = with_decoy(6000);
    let broken =
        events.iter().filter(|(_, _, value)| serde_json::from_slice::<Value>(value).is_err()).count();
    deployment.produce(&events);
    let mut instance = deployment.start_with("a", LISTEN);
    deployment.wait(&mut [&mut instance]);
    // Lag is looked at every few seconds.
    let (_, _, text) = asked(&mut instance, "/metrics", |_, text| {
        let figures = figures(text);
        let lag = figures.iter().filter(|(name, _)| name.starts_with("tiltmeter_lag_records"));
        lag.clone().count() == 3
            && lag.map(|(_, lag)| lag).sum::<f64>() == 0.0
            && sum(&figures, "tiltmeter_heartbeat_timestamp_seconds", "") > 0.0
            && sum(&figures, "tiltmeter_risk_topic_read", "") == 1.0
    });
    let figures = figures(&text);
    let sum = |metric: &str, label: &str| sum(&figures, metric, label);
    assert_eq!(sum("tiltmeter_events_judged_total", ""), (events.len() - broken) as f64);
    assert_eq!(sum("tiltmeter_dead_letters_total", ""), broken as f64);
    for stage in ["judged", "committed"] {
        assert_eq!(sum("tiltmeter_latency_seconds_count", stage), events.len() as f64, "{stage}");
    }
    let told = |topic| -> Vec<Value> {
        let records = deployment.read(topic);
        records.iter().map(|record| serde_json::from_slice(record.4.as_ref().unwrap()).unwrap()).collect()
    };
    let (alerts, risks) = (told(Topic::Alerts), told(Topic::Risk));
    let opened = alerts.iter().filter(|alert| alert["state"] == "opened");
    assert_eq!(sum("tiltmeter_alerts_opened_total", ""), opened.clone().count() as f64);
    assert_eq!(sum("tiltmeter_alerts_opened_by_type_total", ""), opened.clone().count() as f64);
    assert_eq!(sum("tiltmeter_alerts_opened_total", "honeytokenAccess"), 1.0);
    let changes = risks.iter().filter(|risk| risk["level"] != risk["previous_level"]).count();
    assert_eq!(sum("tiltmeter_level_changes_total", ""), changes as f64);
    let latest: BTreeMap<String, &Value> =
        risks.iter().map(|risk| (format!("{}/{}", risk["tenant"], risk["agent_id"]), risk)).collect();
    for level in ["none", "low", "medium", "high"] {
        let at = latest.values().filter(|risk| risk["level"] == level).count();
        assert_eq!(sum("tiltmeter_agents", &format!("level=\"{level}\"")), at as f64, "{level}");
    }
    assert!(text.lines().filter(|line| line.starts_with("tiltmeter_agent_risk_score{")).count() <= 20);
    let readable = |value: &[u8]| serde_json::from_slice::<Value>(value).is_ok();
    let agents: BTreeSet<&str> =
        events.iter().filter(|event| readable(&event.2)).map(|(agent, ..)| agent.as_str()).collect();
    assert_eq!(sum("tiltmeter_agents_resident", ""), agents.len() as f64);
    assert!(sum("tiltmeter_transactions_total", "committed") > 0.0);
    assert_eq!(
        sum("tiltmeter_transactions_total", "committed"),
        sum("tiltmeter_transaction_duration_seconds_count", "")
    );
    assert!(sum("tiltmeter_state_saved_bytes_total", "") > 0.0);
    assert_eq!(sum("tiltmeter_partitions", "running"), 3.0);
    assert_eq!(sum("tiltmeter_alerts_per_day_promised", ""), 500.0);
    let (closed, unusual) =
        (sum("tiltmeter_units_closed_total", ""), sum("tiltmeter_units_unusual_total", ""));
    assert!(closed > 100.0 && unusual < closed / 2.0, "{unusual} of {closed}");
    assert!(sum("tiltmeter_baseline_version", "") > 0.0, "something was learned");
    assert!(sum("tiltmeter_baseline_units", "") > 0.0);
    assert_eq!(promtool(&text).unwrap_or(Ok(())), Ok(()));
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
}

#[test]
fn what_an_aborted_transaction_left_behind_waits_for_nobody() {
    let Some(brokers) = shared() else { return left_out("an aborted transaction") };
    let deployment = Deployment::new("aborted", &brokers.brokers, 1, "");
    let mut instance = deployment.start_with("a", &["run", "--listen", "127.0.0.1:0"]);
    deployment.produce(&events(200, 5));
    deployment.wait(&mut [&mut instance]);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &deployment.brokers)
        .set("transactional.id", deployment.topic(Topic::Audit))
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    for _ in 0..50 {
        let topic = deployment.topic(Topic::Audit);
        producer
            .send(BaseRecord::to(&topic).key("nobody").payload("nothing"))
            .map_err(|(error, _)| error)
            .unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    producer.abort_transaction(PATIENCE).unwrap();
    assert!(
        deployment.ends()[0] > deployment.committed()[0] + 50,
        "there is something behind the last record"
    );
    // The end is looked at every five seconds: two looks have seen it by then.
    let until = Instant::now() + Duration::from_secs(12);
    let mut last = String::new();
    while Instant::now() < until {
        let (_, _, metrics) = asked(&mut instance, "/metrics", |status, _| status == 200);
        let lag = metrics.lines().find(|line| line.starts_with("tiltmeter_lag_records{partition=\"0\"}"));
        last = lag.unwrap_or_default().to_owned();
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(last, "tiltmeter_lag_records{partition=\"0\"} 0", "{}", instance.log());
    instance.stop();
}
