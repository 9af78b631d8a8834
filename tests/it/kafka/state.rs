//! What a group knows, as a file and back, on a real Kafka.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use tiltmeter::kafka::settings::Topic;
use tiltmeter::time::EventTime;

use super::deployment::{Deployment, events};
use super::rig::{left_out, shared};

/// Rules are certain: whoever judges, and by whichever baseline, tells the same. Each holds in one hour of a day, so that its
/// alert has closed before the next.
fn rules() -> String {
    let rule = |hour: u32| {
        let (above, below) = (f64::from(hour) - 0.5, f64::from(hour) + 0.5);
        format!(
            "\n[[rules]]\nname = \"at {hour}\"\nlevel = \"low\"\n\
             when.hour_of_day = {{ above = {above:?}, below = {below:?} }}\n"
        )
    };
    (0..24).step_by(3).map(rule).collect()
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

fn tiltmeter(arguments: &[&str], paths: &[&Path]) -> Said {
    let ran = Command::new(env!("CARGO_BIN_EXE_tiltmeter")).args(arguments).args(paths).output().unwrap();
    Said {
        code: ran.status.code().unwrap_or(-1),
        out: String::from_utf8(ran.stdout).unwrap(),
        err: String::from_utf8(ran.stderr).unwrap(),
    }
}

fn done(arguments: &[&str], paths: &[&Path]) -> String {
    let said = tiltmeter(arguments, paths);
    assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.out, said.err);
    said.out
}

fn refused(arguments: &[&str], paths: &[&Path], why: &str) {
    let said = tiltmeter(arguments, paths);
    assert!(said.code == 64 && said.err.contains(why), "{arguments:?}: {} {}", said.code, said.err);
}

fn write(path: &Path, events: &[(String, EventTime, Vec<u8>)]) {
    let lines: Vec<&[u8]> = events.iter().map(|(_, _, value)| value.as_slice()).collect();
    std::fs::write(path, [lines.join(&b'\n'), b"\n".to_vec()].concat()).unwrap();
}

/// Agent and family of every alert that was opened, and when where a rule or the registry is certain.
fn opened(alerts: impl Iterator<Item = String>, certain: bool) -> BTreeSet<(String, String)> {
    let mut opened = BTreeSet::new();
    for alert in alerts {
        let alert: serde_json::Value = serde_json::from_str(&alert).unwrap();
        if alert["state"] == "opened" && (alert["family"] == "rules") == certain {
            let when = if certain { alert["time"].to_string() } else { alert["family"].to_string() };
            opened.insert((alert["subject"]["id"].to_string(), when));
        }
    }
    opened
}

/// The number of agents as the table says it, after the change.
fn agents(told: &str) -> usize {
    let row = told.lines().find(|line| line.starts_with("agents")).unwrap();
    row.split_whitespace().last().unwrap().parse().unwrap()
}

/// The number of the newest version that the topic has.
fn newest_version(deployment: &Deployment) -> u64 {
    let manifests = deployment.read(Topic::Baselines).into_iter().filter_map(|(_, _, _, key, _)| {
        String::from_utf8(key).unwrap().strip_prefix("m|").map(|number| number.parse().unwrap())
    });
    manifests.max().unwrap()
}

#[test]
fn a_state_goes_from_a_file_run_into_the_service_and_back() {
    let Some(brokers) = shared() else { return left_out("states") };
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| -> PathBuf { folder.path().join(name) };
    std::fs::write(place("key"), "000102030405060708090a0b0c0d0e0f").unwrap();
    let more = format!("{}[agents]\nidentity_key_file = {:?}\n", rules(), place("key"));
    let mut deployment = Deployment::new("state", &brokers.brokers, 3, &more).without_rule();
    let events = events(8000, 20);
    let (first, rest) = events.split_at(3000);
    let (second, last) = rest.split_at(2500);
    for (name, events) in [("first", first), ("second", second), ("last", last)] {
        write(&place(name), events);
    }
    let config = deployment.config_file("a");
    let (c, config) = ("-c", config.to_str().unwrap().to_owned());
    let state = place("file.state");
    let state_name = state.to_str().unwrap();
    done(&["detect", c, &config, "--state", state_name], &[&place("first")]);

    // Nothing of what cannot be used is written.
    let import = ["state", "import", c, &config];
    refused(&[&import[..], &["--from"]].concat(), &[&place("first")], "no state of tiltmeter");
    done(&["detect", "--state", place("own.state").to_str().unwrap()], &[&place("last")]);
    refused(&[&import[..], &["--from"]].concat(), &[&place("own.state")], "another key");
    refused(&[&import[..], &["--at", "0=99999,1=0,2=0", "--from"]].concat(), &[&state], "no offset 99999");
    refused(&["state", "repartition", c, &config, "--partitions", "7"], &[], "have 3 partitions, not 7");
    let told = done(&[&import[..], &["--dry-run", "--from"]].concat(), &[&state]);
    assert!(told.contains("nothing was changed") && deployment.read(Topic::Checkpoints).is_empty(), "{told}");

    let told = done(&[&import[..], &["--from"]].concat(), &[&state]);
    let known = agents(&told);
    assert!(known >= 15, "{told}");
    deployment.produce(second);
    let mut instance = deployment.start("a");
    deployment.wait(&mut [&mut instance]);
    refused(&[&import[..], &["--from"]].concat(), &[&state], "is at work: a-0");
    instance.stop();

    // The same as the file run that goes on: what is certain exactly, the rest but for when versions come.
    let copy = place("copy.state");
    std::fs::copy(&state, &copy).unwrap();
    let by_file = done(&["detect", c, &config, "--state", copy.to_str().unwrap()], &[&place("second")]);
    let is_alert = |line: &&str| line.contains("tiltmeter.agent-alert.v1");
    let by_file: Vec<String> = by_file.lines().filter(is_alert).map(str::to_owned).collect();
    let by_service: Vec<String> = deployment
        .read(Topic::Alerts)
        .into_iter()
        .map(|(.., value)| String::from_utf8(value.unwrap()).unwrap())
        .filter(|line| is_alert(&line.as_str()))
        .collect();
    let certain = opened(by_file.iter().cloned(), true);
    assert!(certain.len() > 5, "{certain:?}");
    assert_eq!(certain, opened(by_service.iter().cloned(), true), "{}", instance.log());
    let (file, service) = (opened(by_file.into_iter(), false), opened(by_service.into_iter(), false));
    let (both, all) = (file.intersection(&service).count(), file.union(&service).count());
    // Versions come at other moments, and few alerts stand far from the threshold: that the rest is judged exactly alike
    // under one version is tested where no time passes (`engine::splitting`).
    assert!(both > 0, "{both} of {all}: {file:?}\n{service:?}");

    // Forgotten, exported, read by a file run.
    let (agent, _, value) = &first[0];
    let event: serde_json::Value = serde_json::from_slice(value).unwrap();
    let mut whom = vec!["--agent", agent.as_str()];
    if let Some(tenant) = event["tenant"].as_str() {
        whom.extend(["--tenant", tenant]);
    }
    let revert = ["state", "revert", c, &config];
    done(&[&revert[..], &whom, &["--dry-run"]].concat(), &[]);
    done(&[&revert[..], &whom].concat(), &[]);
    refused(&[&revert[..], &["--agent", "nobody"]].concat(), &[], "not known on partition");
    let exported = place("exported.state");
    let told = done(&["state", "export", c, &config, "--to"], &[&exported]);
    assert!(agents(&told) >= known, "{told}");
    done(&["detect", c, &config, "--state", exported.to_str().unwrap()], &[&place("last")]);
    refused(&[&revert[..], &["--to-version", "999999"]].concat(), &[], "there is no version 999999");
    let newest = newest_version(&deployment);
    let before = (newest - 1).to_string();
    let told = done(&[&revert[..], &["--to-version", &before]].concat(), &[]);
    assert_eq!(newest_version(&deployment), newest + 1, "{told}");

    // On more partitions, where the service goes on.
    deployment.enlarge(5);
    let told = done(&["state", "repartition", c, &config, "--partitions", "5"], &[]);
    assert!(agents(&told) >= known, "{told}");
    deployment.produce(last);
    let alerts = deployment.read(Topic::Alerts).len();
    let mut instance = deployment.start("a");
    deployment.wait(&mut [&mut instance]);
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
    assert!(!instance.log().contains("lost or damaged"), "{}", instance.log());
    assert!(deployment.read(Topic::Alerts).len() > alerts, "nothing is told any more:\n{}", instance.log());
    deployment.check_identities();
}
