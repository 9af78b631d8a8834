//! From an attack to a refused call and back: a real Kafka, a real Open Policy Agent, the policy and the feed of `deploy/opa`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tiltmeter::kafka::settings::Topic;
use tiltmeter::partition::risk_key;

use super::deployment::{Deployment, events};
use super::rig::{left_out, shared};
use super::serving::{AGENT, LISTEN, PATIENCE, RULE, address, ask};

/// Stays at level high when the other one is released.
const OTHER: &str = "payroll/8";
/// Heartbeats come every 30 seconds: levels are fresh for a little longer than that.
const STALE_AFTER_SECS: u64 = 40;

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An Open Policy Agent with the policy of `deploy/opa` and settings of its own.
struct Opa {
    name: &'static str,
    address: String,
    _running: Vec<Running>,
}

impl Opa {
    /// * `feed`: brokers and topics of the feed that pushes levels; none: it asks by itself.
    fn start(name: &'static str, folder: &Path, settings: Value, feed: Option<(&str, &Deployment)>) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/opa");
        let policy = folder.join(format!("policy-{name}"));
        std::fs::create_dir(&policy).unwrap();
        let files = std::fs::read_dir(here.join("policy")).unwrap().map(|entry| entry.unwrap().path());
        let is_wanted = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.ends_with(".rego") && !name.ends_with("_test.rego")
        };
        for file in files.filter(is_wanted) {
            std::fs::copy(&file, policy.join(file.file_name().unwrap())).unwrap();
        }
        let settings = json!({ "tiltmeter": { "settings": settings } });
        std::fs::write(policy.join("settings.json"), settings.to_string()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut opa = Command::new("opa");
        opa.args(["run", "--server", "--log-level", "error", "--addr", &address]).arg(&policy);
        let mut running = vec![silent(&mut opa)];
        if let Some((brokers, deployment)) = feed {
            let mut program = Command::new("python3");
            program.arg(here.join("feed.py")).args([
                "--brokers",
                brokers,
                "--opa",
                &format!("http://{address}"),
            ]);
            let (risk, status) = (deployment.topic(Topic::Risk), deployment.topic(Topic::Status));
            running.push(silent(program.args(["--risk", &risk, "--status", &status])));
        }
        let until = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < until, "no OPA at {address}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { name, address, _running: running }
    }

    fn decides(&self, agent: &str) -> String {
        let input = json!({ "input": { "agent": { "id": agent }, "tool_call": { "tool": "send_email" } } });
        let path = "/v1/data/tiltmeter/access/decision";
        let headers = "Content-Type: application/json\r\n";
        let (status, _, body) = ask(&self.address, "POST", path, headers, &input.to_string());
        let told: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 200, "{body}");
        told["result"]["decision"].as_str().unwrap().to_owned()
    }

    /// Waits for a decision; returns how long it took since then.
    fn comes_to(&self, agent: &str, decision: &str, since: Instant) -> Duration {
        loop {
            let now = self.decides(agent);
            if now == decision {
                return since.elapsed();
            }
            assert!(since.elapsed() < 2 * PATIENCE, "{}: {agent} gets {now}, not {decision}", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn silent(command: &mut Command) -> Running {
    Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// Whether a program can be run so.
fn is_at_hand(program: &str, arguments: &[&str]) -> bool {
    let done = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

/// An event of an agent that touches what nobody should: a rule of level high.
fn attack(agent: &str) -> Vec<(String, tiltmeter::time::EventTime, Vec<u8>)> {
    let time = events(2000, 30).last().unwrap().1;
    let event = json!({
        "time": time.to_string(), "agent_id": agent, "agent_type": "payroll", "action": "read_secret",
        "resource": "secrets/decoy-1", "outcome": "ok"
    });
    vec![(agent.to_owned(), time, event.to_string().into_bytes())]
}

#[test]
fn an_attack_is_refused_a_verdict_lets_pass_and_nothing_is_released_by_silence() {
    let Some(brokers) = shared() else { return left_out("the access policy on Kafka") };
    if !is_at_hand("opa", &["version"]) || !is_at_hand("python3", &["-c", "import confluent_kafka"]) {
        println!("left out: the access policy on Kafka: needs opa and the Python package confluent-kafka");
        return;
    }
    let deployment = Deployment::new("policy", &brokers.brokers, 2, RULE);
    let folder = tempfile::tempdir().unwrap();
    deployment.produce(&events(2000, 30));
    let mut instance = deployment.start_with("a", LISTEN);
    let at = address(&mut instance);
    let fed = |name, on_stale: &str| {
        let settings = json!({ "on_stale": on_stale, "stale_after_secs": STALE_AFTER_SECS });
        Opa::start(name, folder.path(), settings, Some((&brokers.brokers, &deployment)))
    };
    let asking = json!({ "url": format!("http://{at}"), "on_unavailable": "deny" });
    let asks = Opa::start("asks", folder.path(), asking, None);
    let [keeps, steps_up, denies] =
        [("keeps", "keep"), ("steps-up", "step_up"), ("denies", "deny")].map(|(n, s)| fed(n, s));
    let all = [&asks, &keeps, &steps_up, &denies];

    // Nothing is known of an agent that never did anything: it may call.
    let started = Instant::now();
    for opa in all {
        opa.comes_to(AGENT, "allow", started);
    }

    deployment.produce(&attack(OTHER));
    let attacked = Instant::now();
    deployment.produce(&attack(AGENT));
    let is_high = || {
        let records = deployment.read(Topic::Risk);
        let last = records.iter().rev().find(|(_, _, _, key, _)| *key == risk_key(None, AGENT).into_bytes());
        last.and_then(|record| record.4.as_deref())
            .is_some_and(|value| serde_json::from_slice::<Value>(value).unwrap()["level"] == "high")
    };
    // All at once: who is looked at last would seem to be the slowest.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_high() {
                assert!(attacked.elapsed() < PATIENCE, "level high is not on the topic");
            }
            println!(
                "level high is read from the topic {:.2} s after the attack was written",
                attacked.elapsed().as_secs_f64()
            );
        });
        for opa in all {
            scope.spawn(move || {
                let took = opa.comes_to(AGENT, "deny", attacked);
                println!(
                    "OPA ({}) denies {:.2} s after the attack was written",
                    opa.name,
                    took.as_secs_f64()
                );
                opa.comes_to(OTHER, "deny", attacked);
            });
        }
    });

    let decided = Instant::now();
    let verdict = json!({ "agent_id": AGENT, "verdict": "confirm_safe", "by": "ann" }).to_string();
    std::thread::scope(|scope| {
        for opa in all {
            scope.spawn(move || {
                let took = opa.comes_to(AGENT, "allow", decided);
                println!("OPA ({}) allows {:.2} s after the verdict was given", opa.name, took.as_secs_f64());
            });
        }
        let headers = "Content-Type: application/json\r\n";
        let (status, _, body) = ask(&at, "POST", "/v1/verdicts?wait=30s", headers, &verdict);
        assert_eq!(status, 202, "{body}");
        println!("the verdict took effect {:.2} s after it was given", decided.elapsed().as_secs_f64());
    });

    // Nobody watches any more. What is high stays refused, whatever is to happen to the others.
    instance.kill();
    let killed = Instant::now();
    let after = |opa: &Opa, decision| {
        let took = opa.comes_to(AGENT, decision, killed);
        println!("OPA ({}): {decision} {:.0} s after Tiltmeter was killed", opa.name, took.as_secs_f64());
    };
    after(&asks, "deny");
    after(&denies, "deny");
    after(&steps_up, "step_up");
    assert_eq!(keeps.decides(AGENT), "allow");
    for opa in all {
        assert_eq!(opa.decides(OTHER), "deny", "{}", opa.name);
    }
}
