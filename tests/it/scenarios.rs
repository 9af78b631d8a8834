//! Golden scenarios: per detector one attack that must alert and one look-alike that must stay quiet.
//!
//! Knows the folders under `tests/data/scenarios` and the engine as `tiltmeter detect` runs it. Must not know how
//! anything is judged.
//!
//! Each folder holds `events.jsonl` (some days of ordinary work, then the case) and `expected.jsonl` (every alert
//! that comes of it). After a change that was meant to change alerts, `UPDATE_EXPECT=1 cargo test scenarios`
//! writes both anew; what a case is *about* stands in the tests below and does not change with them.

use std::path::PathBuf;

use expect_test::expect_file;
use serde_json::{Number, Value};
use tiltmeter::alert::{Alert, AlertState};
use tiltmeter::config::Config;
use tiltmeter::engine::unit::Position;
use tiltmeter::engine::{Engine, Output};
use tiltmeter::finding::RiskEventType;
use tiltmeter::wire::audit_event::decode;
use tiltmeter::wire::control;

mod access;
mod failure;
mod fleet;
mod frequency;
mod provenance;
mod registry;
pub mod rules;
mod sequence;
mod stream;

use self::stream::Stream;

/// Digits of a figure that are compared: enough to notice a change of judgement, few enough for another
/// processor's logarithm.
const DIGITS: usize = 5;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/scenarios").join(name)
}

/// Judges a scenario as `tiltmeter detect` would and compares the alerts with the expected ones.
///
/// Returns the alerts that were opened: agent and kind of risk.
fn check(name: &str, stream: &Stream) -> Vec<(String, RiskEventType)> {
    let opened = check_under(name, stream, &Config::default()).into_iter();
    opened.map(|alert| (alert.subject.id, alert.risk_event_type)).collect()
}

/// The same under a configuration; returns the alerts that were opened.
fn check_under(name: &str, stream: &Stream, config: &Config) -> Vec<Alert> {
    let events = folder(name).join("events.jsonl");
    expect_file![&events].assert_eq(&stream.lines());
    let alerts = judge(&std::fs::read_to_string(events).unwrap(), config);
    let told: String = alerts.iter().map(|alert| format!("{}\n", rounded(alert))).collect();
    expect_file![folder(name).join("expected.jsonl")].assert_eq(&told);
    alerts.into_iter().filter(|alert| alert.state == AlertState::Opened).collect()
}

/// The same with control records, which all lie before the first event. Beside the alerts, what else is said of the records
/// (`said.jsonl`) is compared.
fn check_said(name: &str, stream: &Stream, records: &[Value], config: &Config) -> Vec<Alert> {
    let place = folder(name);
    expect_file![place.join("events.jsonl")].assert_eq(&stream.lines());
    let records: String = records.iter().map(|record| format!("{record}\n")).collect();
    expect_file![place.join("control.jsonl")].assert_eq(&records);
    let mut engine = Engine::new(config.settings().unwrap());
    let mut said = Vec::new();
    for record in records.lines() {
        engine.control(&control::decode(record.as_bytes()).unwrap(), &mut said);
    }
    for (line, number) in stream.lines().lines().zip(1..) {
        engine.judge(&decode(line.as_bytes()).unwrap(), Position { source: 0, line: number }, &mut said);
    }
    engine.finish(&mut said);
    let about_records = said.iter().filter(|o| matches!(o, Output::HeldBack(_) | Output::Rebaselined(_)));
    let lines: String = about_records.map(|output| serde_json::to_string(output).unwrap() + "\n").collect();
    expect_file![place.join("said.jsonl")].assert_eq(&lines);
    let alerts: Vec<Alert> = said.into_iter().filter_map(Output::into_alert).collect();
    let told: String = alerts.iter().map(|alert| format!("{}\n", rounded(alert))).collect();
    expect_file![place.join("expected.jsonl")].assert_eq(&told);
    alerts.into_iter().filter(|alert| alert.state == AlertState::Opened).collect()
}

/// Every alert of a stream under a configuration.
fn judge(events: &str, config: &Config) -> Vec<Alert> {
    let mut engine = Engine::new(config.settings().unwrap());
    let mut alerts = Vec::new();
    for (line, number) in events.lines().zip(1..) {
        let event = decode(line.as_bytes()).unwrap();
        engine.judge(&event, Position { source: 0, line: number }, &mut alerts);
    }
    engine.finish(&mut alerts);
    alerts.into_iter().filter_map(Output::into_alert).collect()
}

/// An alert as a line of JSON, its figures rounded, without the hash of the configuration: a new setting does not
/// change what is judged.
fn rounded(alert: &Alert) -> Value {
    fn round(value: &mut Value) {
        match value {
            Value::Number(number) if number.is_f64() => {
                let text = format!("{:.*e}", DIGITS - 1, number.as_f64().unwrap());
                *number = Number::from_f64(text.parse().unwrap()).unwrap();
            }
            Value::Array(list) => list.iter_mut().for_each(round),
            Value::Object(map) => map.values_mut().for_each(round),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(alert).unwrap();
    round(&mut value);
    value["judged_under"].as_object_mut().unwrap().remove("config");
    value
}
