//! Rules: those of `docs/detectors/rules.md`, broken and nearly broken.
//!
//! Knows what the page promises. Must not know how rules are judged.

use std::collections::HashMap;
use std::path::Path;

use expect_test::expect_file;
use serde_json::json;
use smallvec::SmallVec;
use tiltmeter::config::Config;
use tiltmeter::detect::rules::state::RuleState;
use tiltmeter::wire::audit_event::decode;

use super::folder;
use super::stream::{Session, Stream};

/// Every example of the page, one below the other.
pub fn examples() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/detectors/rules.md");
    let page = std::fs::read_to_string(page).unwrap();
    page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Judges a scenario by the rules of the page, agent by agent, and compares what held with what is expected.
///
/// Returns agent and rule of everything that held.
fn check(name: &str, stream: &Stream) -> Vec<(String, String)> {
    let events = folder(name).join("events.jsonl");
    expect_file![&events].assert_eq(&stream.lines());
    let config = Config::parse(&examples(), Path::new("")).unwrap();
    let mut states: HashMap<String, RuleState> = HashMap::new();
    let (mut told, mut held) = (String::new(), Vec::new());
    for line in std::fs::read_to_string(events).unwrap().lines() {
        let event = decode(line.as_bytes()).unwrap();
        let mut out = SmallVec::new();
        let state = states.entry(event.agent_id.to_string()).or_default();
        config.rules().judge(&event, state, &mut out);
        for hit in out {
            let rule = config.rules().iter().nth(hit.rule).unwrap();
            held.push((event.agent_id.to_string(), rule.name.to_string()));
            let line = json!({
                "agent_id": event.agent_id, "time": event.time, "rule": rule.name, "kind": hit.kind.name(),
                "level": hit.level, "observed": hit.observed, "limit": hit.limit, "sentence": hit.sentence,
            });
            told += &format!("{line}\n");
        }
    }
    expect_file![folder(name).join("expected.jsonl")].assert_eq(&told);
    held
}

fn payroll(session: &mut Session<'_>, times: usize) {
    for person in 0..times {
        session.call("read_payslip", json!({ "resource": format!("hr/payroll/{person}") }));
    }
}

fn records(session: &mut Session<'_>, numbers: std::ops::Range<usize>) {
    for number in numbers {
        session.call(
            "read_record",
            json!({ "resource": format!("crm/customer-{number}"), "source_ip": "10.1.2.3" }),
        );
    }
}

#[test]
fn every_rule_of_the_page_is_told_when_it_is_broken() {
    let mut stream = Stream::default();
    payroll(&mut stream.session("payroll-helper", 0, 0, 22 * 60), 12);
    let mut session = stream.session("deploy-helper", 0, 1, 10 * 60);
    session.call("list_secrets", json!({ "resource": "secrets/production" }));
    session.call("read_secret", json!({ "resource": "secrets/decoy-7" }));
    session.call("read_secret", json!({ "resource": "secrets/decoy-8" }));
    records(&mut stream.session("record-keeper", 0, 2, 9 * 60), 0..25);
    let mut session = stream.session("archiver", 0, 3, 9 * 60);
    session.call("export_record", json!({ "resource": "crm/customer-1", "source_ip": "203.0.113.9" }));
    let held = check("rules-attack", &stream);
    let expected = [
        ("payroll-helper-0", "payroll after hours"),
        ("deploy-helper-0", "decoys"),
        ("record-keeper-0", "record walk"),
        ("archiver-0", "archive from outside"),
    ];
    assert_eq!(held, expected.map(|(agent, rule)| (agent.to_owned(), rule.to_owned())));
}

#[test]
fn what_only_looks_like_it_breaks_no_rule() {
    let mut stream = Stream::default();
    payroll(&mut stream.session("payroll-helper", 0, 0, 10 * 60), 12);
    payroll(&mut stream.session("payroll-helper", 0, 0, 22 * 60), 4);
    payroll(&mut stream.session("payroll-helper", 0, 0, 23 * 60), 4);
    let mut session = stream.session("deploy-helper", 0, 1, 10 * 60);
    session.call("read_secret", json!({ "resource": "secrets/production-decoy-7" }));
    records(&mut stream.session("record-keeper", 0, 2, 9 * 60), 0..19);
    records(&mut stream.session("record-keeper", 0, 2, 10 * 60), 19..20);
    records(&mut stream.session("archiver", 0, 3, 9 * 60), 0..40);
    assert_eq!(check("rules-look-alike", &stream), []);
}
