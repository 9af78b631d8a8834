//! Registry: agents that do what nobody granted them, or are not to be there, and agents that only look like it.
//!
//! Knows the control records of the case, and the alerts that come of it. Must not know how they are judged.

use std::path::Path;

use serde_json::{Value, json};
use tiltmeter::config::Config;
use tiltmeter::finding::RiskEventType;

use super::stream::{CASE_DAY, Stream};
use super::{check_said, folder};

/// What people say before the first event: 2026-01-05 is the first day of every scenario.
fn said() -> Vec<Value> {
    let at = |mut record: Value| {
        record["time"] = "2026-01-01T00:00:00Z".into();
        record["by"] = "ann".into();
        record
    };
    [
        json!({
            "kind": "registration", "agent_id": "mail-helper-*", "owner": "mail-team", "version": "3",
            "scope": { "actions": ["read_mail", "send_mail"], "resources": ["mail/*"], "destinations": ["example.com"] },
            "networks": ["10.0.0.0/8"],
        }),
        json!({
            "kind": "registration", "agent_id": "mail-helper-9", "owner": "mail-team", "state": "deprovisioned",
        }),
        json!({ "kind": "registration", "agent_id": "ledger-*", "valid_until": "2026-01-08T00:00:00Z" }),
        json!({
            "kind": "grant", "id": "g1", "agent_id": "mail-helper-1", "until": "2026-01-08T12:00:00Z",
            "scope": { "actions": ["export_mail"], "resources": ["archive/*"] }, "networks": ["192.0.2.7"],
        }),
        json!({
            "kind": "declared_change", "id": "c1", "agent_id": "mail-helper-2", "to_version": "4",
            "from": "2026-01-08T08:00:00Z", "until": "2026-01-08T20:00:00Z", "reason": "release 4",
        }),
        json!({
            "kind": "maintenance", "id": "m1", "agent_id": "mail-helper-3",
            "from": "2026-01-08T08:00:00Z", "until": "2026-01-08T12:00:00Z", "reason": "the mail server moves",
        }),
        json!({
            "kind": "suppression", "id": "s1", "agent_id": "mail-helper-4", "risk_event_type": "configurationDrift",
            "owner": "bob", "reason": "a pilot", "until": "2026-02-01T00:00:00Z",
        }),
    ]
    .map(at)
    .to_vec()
}

/// Returns agent, kind of risk and what is said of every alert that was opened.
fn check(name: &str, stream: &Stream) -> Vec<(String, RiskEventType, String)> {
    let config = Config::parse("registry = { require = true, dormant_days = 2 }", Path::new("")).unwrap();
    let alerts = check_said(name, stream, &said(), &config);
    let mut told: Vec<_> = alerts
        .into_iter()
        .map(|alert| (alert.subject.id, alert.risk_event_type, alert.findings[0].sentence.clone()))
        .collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

/// Mail helpers at their ordinary work, on the days before the case.
fn ordinary(stream: &mut Stream) {
    for day in 0..CASE_DAY {
        for agent in 0..5 {
            let mut session = stream.session("mail-helper", agent, day, 9 * 60 + agent);
            for _ in 0..4 {
                let fields =
                    json!({ "resource": "mail/inbox", "source_ip": "10.1.2.3", "agent_version": "3" });
                session.call("read_mail", fields);
            }
            session.call("send_mail", json!({ "resource": "example.com", "source_ip": "10.1.2.3" }));
        }
    }
}

#[test]
fn whatever_is_not_as_it_was_registered_is_told() {
    let mut stream = Stream::default();
    ordinary(&mut stream);
    let mut session = stream.session("mail-helper", 0, CASE_DAY, 9 * 60);
    session.call("export_mail", json!({ "resource": "mail/inbox" }));
    session.call("read_mail", json!({ "resource": "hr/payroll" }));
    session.call("read_mail", json!({ "resource": "hr/holidays" }));
    session.call("send_mail", json!({ "resource": "evil.example" }));
    session.call("read_mail", json!({ "source_ip": "203.0.113.9" }));
    // The grant is over by then.
    stream.session("mail-helper", 1, CASE_DAY, 13 * 60).call("export_mail", json!({}));
    // A version that nobody declared.
    stream.session("mail-helper", 2, CASE_DAY, 10 * 60).call("read_mail", json!({ "agent_version": "5" }));
    // The maintenance is over by then.
    stream
        .session("mail-helper", 3, CASE_DAY, 13 * 60)
        .call("read_mail", json!({ "resource": "hr/payroll" }));
    stream.session("mail-helper", 9, CASE_DAY, 9 * 60).call("read_mail", json!({}));
    stream.session("ledger", 0, CASE_DAY, 9 * 60).call("book", json!({}));
    stream.session("stranger", 0, CASE_DAY, 9 * 60).call("read_mail", json!({}));
    let mut session = stream.session("mail-helper", 0, CASE_DAY + 3, 9 * 60);
    session.call("read_mail", json!({ "resource": "mail/inbox" }));
    // The stream has to go on, or nobody was watched in between.
    for hour in 1..=78 {
        for agent in [1, 4] {
            stream.session("mail-helper", agent, CASE_DAY, 9 * 60 + hour * 55).call("read_mail", json!({}));
        }
    }
    use RiskEventType::{
        ConfigurationDrift, DeprovisionedAgent, DormantAgent, OutOfScopeAccess, UnregisteredAgent,
    };
    let told = check("registry-attack", &stream);
    let whom = "; its owner is `mail-team`";
    let expected = [
        ("ledger-0", DeprovisionedAgent, "it acts, but it was deprovisioned".to_owned()),
        ("mail-helper-0", OutOfScopeAccess, format!("the action `export_mail` was not granted to it{whom}")),
        ("mail-helper-0", OutOfScopeAccess, format!("the resource `hr/payroll` was not granted to it{whom}")),
        ("mail-helper-0", OutOfScopeAccess, format!("sending to `evil.example` was not granted to it{whom}")),
        (
            "mail-helper-0",
            OutOfScopeAccess,
            format!("it came from `203.0.113.9`, outside the networks that it is registered with{whom}"),
        ),
        ("mail-helper-0", DormantAgent, format!("it acts after 2 days in which it did nothing{whom}")),
        ("mail-helper-1", OutOfScopeAccess, format!("the action `export_mail` was not granted to it{whom}")),
        (
            "mail-helper-2",
            ConfigurationDrift,
            format!("it runs version `5` instead of `3`, and nobody declared the change{whom}"),
        ),
        ("mail-helper-3", OutOfScopeAccess, format!("the resource `hr/payroll` was not granted to it{whom}")),
        ("mail-helper-9", DeprovisionedAgent, format!("it acts, but it was deprovisioned{whom}")),
        ("stranger-0", UnregisteredAgent, "it acts, but nobody registered it".to_owned()),
    ];
    assert_eq!(told, expected.map(|(agent, kind, sentence)| (agent.to_owned(), kind, sentence)));
}

#[test]
fn what_was_granted_declared_or_announced_is_not_told() {
    let mut stream = Stream::default();
    ordinary(&mut stream);
    let mut session = stream.session("mail-helper", 1, CASE_DAY, 9 * 60);
    session.call("export_mail", json!({ "resource": "archive/2025", "source_ip": "192.0.2.7" }));
    session.call("send_mail", json!({ "resource": "example.com", "source_ip": "::ffff:10.1.2.3" }));
    let mut session = stream.session("mail-helper", 2, CASE_DAY, 9 * 60);
    session.call("read_mail", json!({ "agent_version": "4" }));
    session.call("read_mail", json!({ "agent_version": "3" }));
    session.call("read_mail", json!({ "agent_version": "4" }));
    stream.session("mail-helper", 3, CASE_DAY, 9 * 60).call("read_mail", json!({ "resource": "hr/payroll" }));
    stream.session("mail-helper", 4, CASE_DAY, 9 * 60).call("read_mail", json!({ "agent_version": "7" }));
    // Registered to the last minute.
    stream.session("ledger", 0, CASE_DAY - 1, 23 * 60 + 58).call("book", json!({}));
    assert_eq!(check("registry-look-alike", &stream), []);
    let held: Vec<Value> = std::fs::read_to_string(folder("registry-look-alike").join("said.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |schema: &str| held.iter().filter(|said| said["schema"] == schema).collect::<Vec<_>>();
    assert_eq!(of("tiltmeter.rebaselined.v1").len(), 1);
    let quiet: Vec<_> = of("tiltmeter.held-back.v1").iter().map(|held| held["because_of"].clone()).collect();
    assert_eq!(quiet, ["maintenance", "suppression"]);
}
