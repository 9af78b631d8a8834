//! Rules: those of `docs/detectors/rules.md`, broken and nearly broken.
//!
//! Knows what the page promises, and the alerts that come of it. Must not know how rules are judged.

use std::path::Path;

use serde_json::json;
use tiltmeter::config::Config;
use tiltmeter::finding::RiskEventType;

use super::check_under;
use super::stream::{Session, Stream};

/// Every example of the page, one below the other.
pub fn examples() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/detectors/rules.md");
    let page = std::fs::read_to_string(page).unwrap();
    page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Judges a scenario under the rules of the page.
///
/// Returns agent, kind of risk and rule of every alert that was opened.
fn check(name: &str, stream: &Stream) -> Vec<(String, RiskEventType, String)> {
    let config = Config::parse(&examples(), Path::new("")).unwrap();
    let told = check_under(name, stream, &config).into_iter().map(|alert| {
        let rule = alert.findings[0].sentence.split('`').nth(1).unwrap_or_default().to_owned();
        (alert.subject.id, alert.risk_event_type, rule)
    });
    told.collect()
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
    let told = check("rules-attack", &stream);
    let expected = [
        ("payroll-helper-0", RiskEventType::RuleMatched, "payroll after hours"),
        ("deploy-helper-0", RiskEventType::HoneytokenAccess, "decoys"),
        ("record-keeper-0", RiskEventType::RuleMatched, "record walk"),
        ("archiver-0", RiskEventType::RuleMatched, "archive from outside"),
    ];
    assert_eq!(told, expected.map(|(agent, kind, rule)| (agent.to_owned(), kind, rule.to_owned())));
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
