//! Instances whose files differ, on a real Kafka: all judge by the settings that hold.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tiltmeter::control::{Control, ControlRecord, EngineSettings};
use tiltmeter::kafka::settings::Topic;
use tiltmeter::time::EventTime;
use tiltmeter::wire::control;

use super::deployment::{Deployment, events};
use super::instance::Instance;
use super::rig::{left_out, shared};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Fewer alerts than this would show nothing.
const ENOUGH: usize = 100;
/// Another rule than the one of the deployment.
const OTHER: &str =
    "[[rules]]\nname = \"more calls\"\nlevel = \"medium\"\ncount = { at_least = 8, within = \"20m\" }\n";

fn wait_for_log(instance: &mut Instance, text: &str) {
    let until = Instant::now() + PATIENCE;
    while !instance.log().contains(text) {
        assert!(instance.is_running() && Instant::now() < until, "never said {text:?}:\n{}", instance.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The hashes of the settings by which alerts were judged.
fn judged_by(deployment: &Deployment) -> BTreeSet<String> {
    let alerts = deployment.read(Topic::Alerts).into_iter().filter_map(|(.., value)| value);
    let alerts = alerts.map(|value| serde_json::from_slice::<Value>(&value).unwrap());
    alerts.filter_map(|alert| alert["judged_under"]["config"].as_str().map(str::to_owned)).collect()
}

#[test]
fn an_instance_whose_file_differs_judges_by_the_settings_that_hold_and_says_so() {
    let Some(brokers) = shared() else { return left_out("files that differ") };
    let deployment = Deployment::new("files", &brokers.brokers, 3, "").with_other_rule("b", OTHER);
    let all = events(8000, 30);
    let (before, after) = all.split_at(4000);
    let mut first = deployment.start("a");
    deployment.produce(before);
    deployment.wait(&mut [&mut first]);
    let mut second = deployment.start("b");
    wait_for_log(&mut second, "and not by its own file");
    first.stop();
    // It has every partition now, and puts each back from what the other one saved.
    deployment.produce(after);
    deployment.wait(&mut [&mut second]);
    second.stop();
    assert_eq!(judged_by(&deployment).len(), 1);
    assert!(deployment.check() > ENOUGH);
}

#[test]
fn settings_that_are_activated_hold_for_all_from_one_place_on_and_after_a_kill() {
    let Some(brokers) = shared() else { return left_out("settings that are activated") };
    let deployment =
        Deployment::new("activated", &brokers.brokers, 3, "").with_seats().with_other_rule("b", OTHER);
    let all = events(9000, 30);
    let portions: Vec<_> = all.chunks(3000).collect();
    let mut first = deployment.start("a");
    deployment.produce(portions[0]);
    deployment.wait(&mut [&mut first]);
    let mut second = deployment.start_with("b", &["run", "--activate-config"]);
    deployment.produce(portions[1]);
    wait_for_log(&mut first, "as instance b wants");
    wait_for_log(&mut first, "and not by its own file");
    deployment.wait(&mut [&mut first, &mut second]);
    first.kill();
    let mut first = deployment.start("a");
    deployment.produce(portions[2]);
    deployment.wait(&mut [&mut first, &mut second]);
    second.stop();
    first.stop();
    assert_eq!(judged_by(&deployment).len(), 2);
    assert!(deployment.check() > ENOUGH);
}

#[test]
fn an_instance_that_cannot_judge_by_what_holds_does_not_judge_until_it_is_told_what_does() {
    let Some(brokers) = shared() else { return left_out("settings that cannot be read") };
    let deployment = Deployment::new("unknown", &brokers.brokers, 1, "");
    let text = "# settings 0123456789ab\n[detect]\nof_a_later_version = true\n".to_owned();
    let sha256 = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let record = ControlRecord {
        time: EventTime(1_769_000_000_000),
        id: "later".to_owned(),
        by: "a later version".to_owned(),
        kind: Control::Settings(EngineSettings { sha256, text }),
    };
    let record = control::encode(&record).unwrap();
    deployment.write(Topic::Control, 0, b"settings|later", Some(record.as_bytes()));
    deployment.produce(&events(600, 10));
    let refused = deployment.command("a", &["run", "--log", "json"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(64), "{said}");
    assert!(said.contains("of_a_later_version") && said.contains("--activate-config"), "{said}");
    assert!(deployment.committed()[0] < 0, "it has judged nothing");
    let mut instance = deployment.start_with("a", &["run", "--activate-config"]);
    deployment.wait(&mut [&mut instance]);
    // Started again without it, what was activated holds.
    instance.stop();
    let mut instance = deployment.start("a");
    deployment.produce(&events(200, 10));
    deployment.wait(&mut [&mut instance]);
    instance.stop();
    deployment.check();
}
