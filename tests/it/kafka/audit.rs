//! The chain of control records on a real Kafka: many write it at once, and a stranger is named; two people decide.

use std::time::{Duration, Instant};

use serde_json::Value;
use tiltmeter::kafka::settings::Topic;

use super::deployment::{Deployment, events};
use super::instance::Instance;
use super::rig::{left_out, shared};
use super::serving;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `status --audit --json` says, and its exit code.
pub fn audit(deployment: &Deployment) -> (Option<i32>, Value) {
    let output = deployment.command("a", &["status", "--audit", "--json"]);
    let told = serde_json::from_slice(&output.stdout);
    (output.status.code(), told.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}

/// Offsets at which the chain breaks.
fn breaks(audit: &Value) -> Vec<i64> {
    let broken = audit["entries"].as_array().unwrap().iter().filter(|entry| entry["expected"].is_string());
    broken.map(|entry| entry["offset"].as_i64().unwrap()).collect()
}

/// Where an instance answers, once it does and is ready.
fn address(instance: &mut Instance) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let log = instance.log();
        let told = log.rsplit_once("answers at http://").and_then(|(_, rest)| rest.split_once("/readyz"));
        if let Some((address, _)) = told
            && ask(address, "GET", "/readyz", "", "").0 == 200
        {
            return address.to_owned();
        }
        assert!(instance.is_running() && Instant::now() < until, "{log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ask(address: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let (status, _, body) = serving::ask(address, method, path, headers, body);
    (status, serde_json::from_str(&body).unwrap_or_default())
}

fn give(address: &str, agent: &str, verdict: &str, by: &str, query: &str) -> (u16, Value) {
    let body = format!("{{\"agent_id\":\"{agent}\",\"verdict\":\"{verdict}\",\"by\":\"{by}\"}}");
    ask(address, "POST", &format!("/v1/verdicts{query}"), "Content-Type: application/json\r\n", &body)
}

const LISTEN: &[&str] = &["run", "--listen", "127.0.0.1:0"];

#[test]
fn verdicts_of_many_at_once_are_one_chain_and_what_a_stranger_writes_is_named() {
    let Some(brokers) = shared() else { return left_out("the chain of control records") };
    for key in ["", "control_key = { env = \"PATH\" }"] {
        let deployment = Deployment::new("audit", &brokers.brokers, 1, key);
        // Before there was a chain, people wrote with programs of their own.
        let early = br#"{"time":"2026-01-05T00:00:00Z","by":"old","kind":"verdict","agent_id":"a","verdict":"dismiss"}"#;
        deployment.write(Topic::Control, 0, b"verdict|old|1", Some(early));
        let mut instances = [deployment.start_with("a", LISTEN), deployment.start_with("b", LISTEN)];
        let addresses = instances.each_mut().map(address);
        std::thread::scope(|scope| {
            for (address, by) in addresses.iter().zip(["http-a", "http-b"]) {
                scope.spawn(move || {
                    for agent in 0..4 {
                        let (status, told) = give(address, &format!("agent-{agent}"), "dismiss", by, "");
                        assert_eq!(status, 202, "{told}");
                    }
                });
            }
            for by in ["cli-c", "cli-d"] {
                let deployment = &deployment;
                scope.spawn(move || {
                    for agent in ["agent-7", "agent-8"] {
                        let verdict = ["verdict", agent, "confirm_safe", "--by", by, "--kafka"];
                        let output = deployment.command(by, &verdict);
                        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                    }
                });
            }
        });
        let (code, whole) = audit(&deployment);
        // Either instance, or both, have said which settings hold, before anybody decided anything.
        let all = whole["entries"].as_array().unwrap();
        let is_of_instance = |entry: &&Value| entry["by"].as_str().unwrap().starts_with("instance ");
        let entries: Vec<&Value> = all.iter().filter(|entry| !is_of_instance(entry)).collect();
        assert!((1..=2).contains(&(all.len() - entries.len())), "{whole:#}");
        assert_eq!((code, breaks(&whole)), (Some(0), vec![]), "{whole:#}");
        assert_eq!((entries.len(), &entries[0]["before"]), (13, &true.into()), "{whole:#}");
        let of = |by: &str| entries.iter().filter(|entry| entry["by"] == by).count();
        assert_eq!(["http-a", "http-b", "cli-c", "cli-d"].map(of), [4, 4, 2, 2]);
        assert_eq!(entries[12]["link"], whole["head"]);

        // A stranger releases an agent with a plain producer.
        let forged = br#"{"time":"2026-01-05T00:00:00Z","by":"ann","kind":"verdict","agent_id":"a","verdict":"accept"}"#;
        deployment.write(Topic::Control, 0, b"verdict|forged|1", Some(forged));
        let at = deployment.read(Topic::Control).last().unwrap().1;
        let output = deployment.command("cli-c", &["verdict", "z", "dismiss", "--by", "zoe", "--kafka"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (code, broken) = audit(&deployment);
        assert_eq!(
            (code, breaks(&broken)),
            (Some(1), vec![at]),
            "who writes after it goes on behind it: {broken:#}"
        );
        let output = deployment.command("a", &["status", "--audit"]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1));
        let named = format!("! the chain breaks at {} [0] {at}: expected ", deployment.topic(Topic::Control));
        assert!(told.contains(&named) && told.contains("found no link"), "{told}");
        for mut instance in instances {
            assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
        }
    }
}

#[test]
fn a_critical_agent_waits_for_a_second_person_over_http_and_on_the_command_line() {
    let Some(brokers) = shared() else { return left_out("second persons") };
    let rule = "[[rules]]\nname = \"decoys\"\nhoneytoken = [\"decoy\"]\n";
    let deployment = Deployment::new("second", &brokers.brokers, 2, "")
        .with_table("[verdicts]\nsecond_person = true\n")
        .with_table(rule);
    let registered = ["registry", "add", "pump-*", "--by", "ann", "--criticality", "high", "--kafka"];
    assert!(deployment.command("cli", &registered).status.success());
    let mut all = events(500, 5);
    let time = all.last().unwrap().1;
    for agent in ["pump-7", "pump-8"] {
        let event = format!(
            "{{\"time\":\"{time}\",\"agent_id\":\"{agent}\",\"agent_type\":\"pump\",\"action\":\"read\",\"resource\":\"decoy\",\"outcome\":\"ok\"}}"
        );
        all.push((agent.to_owned(), time, event.into_bytes()));
    }
    deployment.produce(&all);
    let mut instance = deployment.start_with("a", LISTEN);
    let at = address(&mut instance);
    let until = Instant::now() + PATIENCE;
    let level = |agent: &str| ask(&at, "GET", &format!("/v1/agents/{agent}/risk"), "", "").1;
    while level("pump-7")["level"] != "high" || level("pump-8")["level"] != "high" {
        assert!(Instant::now() < until, "{}\n{}", level("pump-7"), instance.log());
        std::thread::sleep(Duration::from_millis(50));
    }

    let (status, told) = give(&at, "pump-7", "confirm_safe", "ann", "?wait=30s");
    assert_eq!(
        (status, &told["took_effect"], &told["proposed"]["by"]),
        (202, &false.into(), &"ann".into()),
        "{told}"
    );
    assert_eq!(
        (&level("pump-7")["level"], &level("pump-7")["proposed"]["by"]),
        (&"high".into(), &"ann".into())
    );
    let (status, told) = give(&at, "pump-7", "confirm_safe", "ANN", "");
    assert_eq!((status, &told["type"]), (409, &"urn:tiltmeter:problem:same-person".into()), "{told}");
    assert!(told["detail"].as_str().unwrap().contains("a different person has to complete it"), "{told}");
    let (status, told) = give(&at, "pump-7", "confirm_safe", "bob", "?wait=30s");
    assert_eq!(
        (status, &told["took_effect"], &told["risk"]["level"]),
        (202, &true.into(), &"none".into()),
        "{told}"
    );

    // On the command line, and one person twice: it is the service that refuses.
    for (by, expected) in [("ann", "proposed"), ("ann", "refused"), ("bob", "completed")] {
        let verdict = ["verdict", "pump-8", "dismiss", "--by", by, "--kafka"];
        assert!(deployment.command("cli", &verdict).status.success());
        loop {
            let journal = deployment.read(Topic::Journal);
            let mut told =
                journal.iter().filter_map(|record| serde_json::from_slice::<Value>(record.4.as_ref()?).ok());
            let last = told.rfind(|told| told["agent_id"] == "pump-8");
            if last.as_ref().is_some_and(|last| last["second_person"]["stage"] == expected) {
                break;
            }
            assert!(Instant::now() < until, "{expected}: {last:?}\n{}", instance.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
    // What was told is what whoever judges everything again tells.
    deployment.check();
    assert_eq!(audit(&deployment).0, Some(0));
}

/// The records of a topic about the test agent.
fn of_tests(deployment: &Deployment, topic: Topic) -> Vec<Value> {
    let records = deployment.read(topic).into_iter().filter(|(.., key, _)| key == b"tiltmeter-test");
    records.map(|record| serde_json::from_slice(&record.4.unwrap()).unwrap()).collect()
}

#[test]
fn a_test_alert_goes_where_alerts_go_once_and_no_level_changes_unless_it_is_asked_for() {
    let Some(brokers) = shared() else { return left_out("test alerts") };
    let desk = super::webhooks::Desk::answering(&[], 200);
    let deployment = Deployment::new("drill", &brokers.brokers, 1, "")
        .with_sink("ocsf")
        .with_table(&format!("[[webhooks]]\nname = \"desk\"\nurl = \"{}\"\ntopics = [\"alerts\"]", desk.url));
    deployment.produce(&events(2000, 20));
    let mut instances = [deployment.start_with("a", LISTEN), deployment.start_with("b", LISTEN)];
    let addresses = instances.each_mut().map(address);
    let test = |at: &str, key: &str, body: &str| {
        let headers = format!("Content-Type: application/json\r\nIdempotency-Key: {key}\r\n");
        ask(at, "POST", "/v1/test-alert", &headers, body)
    };
    let (status, first) = test(&addresses[0], "drill", "{}");
    assert_eq!((status, &first["written"]), (202, &true.into()), "{first}");
    let (status, again) = test(&addresses[0], "drill", "{}");
    assert_eq!((status, &again["written"], &again["alert_id"]), (202, &false.into(), &first["alert_id"]));
    // Another instance knows of it once it has read the topic.
    let path = "/v1/agents/tiltmeter-test/alerts";
    let until = Instant::now() + PATIENCE;
    while ask(&addresses[1], "GET", path, "", "").1["alerts"].as_array().is_none_or(|alerts| alerts.len() < 2)
    {
        assert!(Instant::now() < until, "{}", instances[1].log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(test(&addresses[1], "drill", "{}").1["written"], false);
    let alerts = of_tests(&deployment, Topic::Alerts);
    assert_eq!(
        (alerts.len(), &alerts[0]["state"], &alerts[1]["state"]),
        (2, &"opened".into(), &"closed".into())
    );
    let schema = include_str!("../../../schemas/agent-alerts.v1.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    for alert in &alerts {
        let faults: Vec<String> = schema.iter_errors(alert).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{faults:?} in {alert}");
        assert!(alert["summary"].as_str().unwrap().starts_with("TEST, nothing happened: "), "{alert}");
    }
    assert_eq!(of_tests(&deployment, Topic::Risk), Vec::<Value>::new(), "nobody acts on it");

    for level in ["high", "none"] {
        let (status, told) = test(&addresses[0], level, &format!("{{\"level\":\"{level}\"}}"));
        assert_eq!((status, &told["level"]), (202, &level.into()), "{told}");
        while ask(&addresses[0], "GET", "/v1/agents/tiltmeter-test/risk", "", "").1["level"] != level {
            assert!(Instant::now() < until, "{}", instances[0].log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let told = of_tests(&deployment, Topic::Risk);
    let levels: Vec<&Value> =
        told.iter().flat_map(|risk| [&risk["previous_level"], &risk["level"]]).collect();
    assert_eq!(levels, ["none", "high", "high", "none"]);
    let schema = include_str!("../../../schemas/agent-risk.v1.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    assert!(told.iter().all(|risk| schema.is_valid(risk)), "{told:?}");
    let sink = format!("{}.ocsf", deployment.topic(Topic::Alerts));
    let marked = |value: &[u8]| String::from_utf8_lossy(value).contains("TEST, nothing happened");
    loop {
        let sent = desk.requests().iter().filter(|request| marked(&request.body)).count();
        let written = deployment.read_named(&sink);
        let written =
            written.iter().filter(|record| record.4.as_ref().is_some_and(|value| marked(value))).count();
        if (sent, written) == (6, 6) {
            break;
        }
        assert!(Instant::now() < until, "{sent} sent, {written} written\n{}", instances[0].log());
        std::thread::sleep(Duration::from_millis(100));
    }

    // What is normal is told by any instance once anything was learned.
    let agent_type = {
        let agents = ask(&addresses[0], "GET", "/v1/agents?limit=50", "", "").1;
        let mut types = agents["agents"].as_array().unwrap().iter().map(|agent| agent["agent_type"].clone());
        types.rfind(|name| name != "tiltmeter-test").expect("the fleet is under attack")
    };
    let path = format!("/v1/agent-types/{}/baseline", agent_type.as_str().unwrap());
    loop {
        let told = addresses.each_ref().map(|at| ask(at, "GET", &path, "", ""));
        if told.iter().all(|(status, told)| *status == 200 && told["sessions"].as_f64() > Some(0.0)) {
            assert!(told[0].1["rates"][1]["events"].as_f64() > Some(0.0), "{told:?}");
            break;
        }
        assert!(Instant::now() < until, "{path}: {told:?}\n{}", instances[0].log());
        std::thread::sleep(Duration::from_millis(200));
    }
    for mut instance in instances {
        assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
    }
}
