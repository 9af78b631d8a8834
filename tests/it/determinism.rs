//! The same input gives the same output, bit for bit: within one process, where every map has a seed of its own, and
//! from process to process.

use std::io::Write;
use std::process::{Command, Stdio};

use tempfile::NamedTempFile;
use tiltmeter::config::Config;
use tiltmeter::engine::Engine;
use tiltmeter::engine::unit::Position;
use tiltmeter::simulate::{Scenario, Simulation};
use tiltmeter::time::DAY_MS;
use tiltmeter::wire::audit_event;

const AT_LEAST: usize = 50_000;

/// Three days of a fleet that is attacked often.
fn lines() -> Vec<u8> {
    let scenario = Scenario {
        agents: 150,
        days: 3.0,
        attack_share: 0.02,
        strength: 1.0,
        quiet_ms: DAY_MS,
        ..Scenario::default()
    };
    let mut lines = Vec::new();
    for simulated in Simulation::new(&scenario).unwrap() {
        serde_json::to_writer(&mut lines, &simulated.event).unwrap();
        lines.push(b'\n');
    }
    lines
}

/// Every figure of every judgement, and the alerts as they are written.
fn run(lines: &[u8]) -> (Vec<Vec<u64>>, String) {
    let mut engine = Engine::new(Config::load(None).unwrap().settings().unwrap());
    let (mut judgements, mut alerts) = (Vec::new(), Vec::new());
    for (line, number) in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).zip(1..) {
        let event = audit_event::decode(line).unwrap();
        let judged = engine.judge(&event, Position { source: 0, line: number }, &mut alerts);
        let families = judged.families.map(f64::to_bits);
        let [bits, p, hour_bits, hour_p] =
            [judged.bits, judged.p, judged.hour_bits, judged.hour_p].map(f64::to_bits);
        let rest = [judged.kind as u64, judged.unit, bits, p, hour_bits, hour_p];
        judgements.push(families.into_iter().chain(rest).collect());
    }
    engine.finish(&mut alerts);
    (judgements, alerts.iter().map(|alert| serde_json::to_string(alert).unwrap() + "\n").collect())
}

/// What `tiltmeter detect` writes for a file.
fn detect(file: &NamedTempFile) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_tiltmeter"))
        .arg("detect")
        .arg(file.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn the_same_events_give_the_same_judgements_and_alerts_bit_for_bit() {
    let lines = lines();
    let (judgements, alerts) = run(&lines);
    assert!(judgements.len() >= AT_LEAST, "{} events are too few", judgements.len());
    assert!(alerts.lines().count() >= 20, "too few alerts to tell:\n{alerts}");
    assert!(judgements.iter().any(|j| j[3] != judgements[0][3]), "p never changes");
    for _ in 0..2 {
        let (again, alerts_again) = run(&lines);
        let different = judgements.iter().zip(&again).position(|(a, b)| a != b);
        assert_eq!(different, None, "index of the first event that was judged otherwise");
        assert_eq!(alerts, alerts_again);
    }
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&lines).unwrap();
    assert_eq!(detect(&file), alerts, "another process writes other alerts");
    assert_eq!(detect(&file), alerts, "another process writes other alerts");
}

#[test]
fn a_difference_of_one_event_is_noticed() {
    let lines = lines();
    let second = lines.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let (all, _) = run(&lines);
    let (fewer, _) = run(&lines[second..]);
    assert!(all.iter().skip(1).zip(&fewer).any(|(a, b)| a != b), "the first event has no influence at all");
}
