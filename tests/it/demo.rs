//! The demonstration as a person runs it: the same alerts as by hand, few false ones, honest figures.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tiltmeter::alert::{Alert, AlertState};
use tiltmeter::assess::budget::ALERTS_PER_DAY;
use tiltmeter::config::Config;
use tiltmeter::demo::{Demo, Progress, scenario};
use tiltmeter::simulate::{Attack, Scenario, Simulation};
use tiltmeter::time::HOUR_MS;

/// What leaves the broker out, in a build that has one.
const DIRECT: Option<&str> = if cfg!(feature = "kafka") { Some("--direct") } else { None };

/// Runs a command in a folder; `input` goes to its standard input. Returns standard output and standard error.
fn run(folder: &Path, arguments: &[&str], input: &[u8]) -> (String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tiltmeter"))
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feeding = std::thread::spawn(move || _ = stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {err}");
    (String::from_utf8(output.stdout).unwrap(), err)
}

/// Runs a demonstration in advances of `step_ms` of event time.
fn watched(scenario: &Scenario, step_ms: i64) -> (Demo, Vec<Alert>) {
    let mut demo = Demo::new(scenario, Config::default().settings().unwrap()).unwrap();
    let mut alerts = Vec::new();
    let mut until = scenario.start;
    loop {
        match demo.advance(until, &mut alerts) {
            Progress::Busy => {}
            Progress::Waiting => until = until.plus_ms(step_ms),
            Progress::Over => break,
        }
    }
    demo.finish(&mut alerts);
    (demo, alerts)
}

#[test]
fn the_commands_of_the_summary_give_the_same_alerts() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("more alerts.toml"), "[alerts]\nper_day = 20").unwrap();
    let options =
        "demo --for 0s --seed 3 --agents 40 --attacks hijacked-goal,tool-swap --alerts told.jsonl --config";
    let arguments: Vec<&str> = options.split(' ').chain(["more alerts.toml"]).chain(DIRECT).collect();
    let (summary, _) = run(folder.path(), &arguments, b"");
    let told = std::fs::read_to_string(folder.path().join("told.jsonl")).unwrap();
    assert!(told.lines().count() > 1, "too few alerts to compare: {told}\n{summary}");

    let by_hand = summary.lines().find(|line| line.contains("| tiltmeter detect")).unwrap();
    let commands: Vec<&str> = by_hand.trim().split(" | ").collect();
    let [simulate, detect] = commands[..] else { panic!("{by_hand}") };
    assert_eq!(detect, "tiltmeter detect --config 'more alerts.toml'");
    let simulate: Vec<&str> = simulate.split(' ').skip(1).collect();
    let (events, _) = run(folder.path(), &simulate, b"");
    let (alerts, _) = run(folder.path(), &["detect", "--config", "more alerts.toml"], events.as_bytes());
    let alerts: String = alerts
        .lines()
        .filter(|line| line.contains(tiltmeter::alert::SCHEMA))
        .map(|l| format!("{l}\n"))
        .collect();
    assert_eq!(alerts, told);

    let (explained, _) = run(folder.path(), &["explain", "told.jsonl"], b"");
    let striking: Vec<&str> = summary.lines().skip_while(|line| !line.starts_with("  Alert ")).collect();
    let striking = striking.iter().take_while(|line| !line.starts_with("What to try next"));
    let shown: String = striking.map(|line| format!("{}\n", line.get(2..).unwrap_or(""))).collect();
    assert!(explained.contains(shown.trim_end()), "{shown}\nis not part of\n{explained}");
}

#[test]
fn without_a_terminal_every_alert_is_a_line_and_the_summary_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    let arguments: Vec<&str> =
        ["demo", "--for", "0s", "--alerts", "told.jsonl"].into_iter().chain(DIRECT).collect();
    let (summary, lines) = run(folder.path(), &arguments, b"");
    let told = std::fs::read_to_string(folder.path().join("told.jsonl")).unwrap();
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let opened: Vec<&str> = told
        .iter()
        .filter(|alert| alert["state"] == "opened")
        .map(|alert| alert["alert_id"].as_str().unwrap())
        .collect();
    assert!(!opened.is_empty(), "{summary}");
    let alert_lines: Vec<&str> = lines.lines().filter(|line| line.contains(": alert ")).collect();
    assert_eq!(alert_lines.len(), opened.len());
    for (line, id) in alert_lines.iter().zip(&opened) {
        assert!(line.contains(id), "{line}");
    }
    assert!(!summary.contains('\u{1b}') && !lines.contains('\u{1b}'));
    assert!(summary.contains(&format!("{} opened", opened.len())), "{summary}");
    for said in ["planted   found", "stayed quiet", "events/s", "What to try next"] {
        assert!(summary.contains(said), "{said}: {summary}");
    }
}

#[test]
fn pacing_does_not_change_what_is_told() {
    let scenario = Scenario { days: 4.0, agents: 25, attack_share: 0.1, ..scenario() };
    let (slow, slow_alerts) = watched(&scenario, 7 * 60_000);
    let (fast, fast_alerts) = watched(&scenario, scenario.span_ms());
    assert!(!slow_alerts.is_empty());
    assert_eq!(slow_alerts, fast_alerts);
    assert_eq!(
        (slow.watched().score(), slow.watched().figures().events),
        (fast.watched().score(), fast.watched().figures().events)
    );
    assert!(slow.watched().open().is_empty(), "every alert closes at the end");
}

#[test]
fn without_attacks_the_demo_raises_no_alert() {
    let scenario = Scenario { attacks: Vec::new(), ..scenario() };
    let (demo, alerts) = watched(&scenario, HOUR_MS);
    let told: Vec<String> = alerts.iter().map(|alert| serde_json::to_string(alert).unwrap()).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert_eq!(demo.watched().score().all_attacks().total, 0);
    assert!(demo.watched().score().look_alikes.total > 20, "{:?}", demo.watched().score());
}

#[test]
fn other_quiet_fleets_stay_far_below_the_promised_number_of_alerts() {
    let seeds = 1..=6;
    let (mut opened, mut days) = (0, 0.0);
    for seed in seeds {
        let scenario = Scenario { attacks: Vec::new(), seed, ..scenario() };
        let (demo, _) = watched(&scenario, HOUR_MS);
        opened += demo.watched().score().unfounded;
        days += scenario.days;
    }
    // So small a fleet is judged at the largest threshold there is, which spends a fifth of five a day; the first day,
    // on which the calibration is not its own, spends more.
    assert!((opened as f64) < days * ALERTS_PER_DAY / 2.0, "{opened} false alerts in {days} days");
}

/// The slow twin of the ledger: all attacks as the simulation tells them, each compared with all alerts.
#[test]
fn the_score_is_that_of_attacks_and_alerts_compared_one_by_one() {
    let scenario = Scenario { days: 4.0, attack_share: 0.05, ..scenario() };
    let (demo, alerts) = watched(&scenario, HOUR_MS);
    let mut simulation = Simulation::new(&scenario).unwrap();
    while simulation.next().is_some() {}
    let attacks = simulation.take_attacks();
    let opened: Vec<&Alert> = alerts.iter().filter(|alert| alert.state == AlertState::Opened).collect();
    let mut founded = BTreeSet::new();
    let mut expected = [(0, 0); Attack::ALL.len()];
    for attack in attacks.iter().filter(|attack| attack.exposed_at.is_some()) {
        let belongs = |alert: &&&Alert| {
            alert.subject.id == attack.agent_id
                && Some(alert.time) >= attack.exposed_at
                && alert.time <= attack.ended.plus_ms(HOUR_MS)
        };
        let found: Vec<_> = opened.iter().filter(belongs).map(|alert| &alert.alert_id).collect();
        let (total, hits) = &mut expected[attack.scenario as usize];
        *total += 1;
        *hits += u64::from(!found.is_empty());
        founded.extend(found);
    }
    let counted = demo.watched().score().attacks.map(|count| (count.total, count.alerted));
    assert!(expected.iter().map(|(total, _)| total).sum::<u64>() > 30);
    assert_eq!(counted, expected);
    assert_eq!(demo.watched().score().unfounded, (opened.len() - founded.len()) as u64);
}
