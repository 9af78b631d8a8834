//! Tests of control records: faults, limits, and what is written is read.

use super::*;
use crate::control::{Lifecycle, Muted, Scope, Subject};
use crate::finding::{Family, RiskEventType};
use crate::network::Network;
use crate::pattern::{Pattern, Patterns};
use crate::risk::Criticality;
use crate::wire::audit_event::TEXT_LIMIT_BYTES;

const NOW: EventTime = EventTime(1_769_107_859_000);

fn with(kind: &str, members: &str) -> String {
    format!(r#"{{"time":"2026-01-22T18:50:59Z","id":"r1","by":"ann","kind":"{kind}",{members}}}"#)
}

fn refused(line: &str) -> (&'static str, String) {
    let refusal = decode(line.as_bytes()).unwrap_err();
    (refusal.reason.label(), refusal.detail)
}

/// One record of each kind, with every field.
fn all_kinds() -> Vec<Control> {
    let scope = Scope {
        actions: Some(["read_*"].into_iter().collect()),
        resources: Some(Patterns::default()),
        destinations: Some(["example.com"].into_iter().collect()),
    };
    let networks = Some(vec![Network::parse("10.0.0.0/8").unwrap()]);
    let subject = Subject {
        agent_id: Some(Pattern::new("mail-*")),
        agent_type: Some(Pattern::new("mail")),
        tenant: Some(Pattern::new("acme")),
    };
    let text = |text: &str| Some(text.to_owned());
    let (from, until, reason) = (NOW, NOW.plus_ms(1), "release".to_owned());
    let suppression = |muted| {
        let (subject, owner, reason) = (subject.clone(), "bob".to_owned(), reason.clone());
        Control::Suppression(Suppression { subject, muted, owner, reason, until })
    };
    vec![
        Control::Registration(Box::new(Registration {
            subject: subject.clone(),
            purpose: text("mail"),
            creation: [("model".to_owned(), "m-1".to_owned())].into(),
            training_data: text("none"),
            overseer: text("ann"),
            owner: text("bob"),
            version: text("3"),
            criticality: Criticality::High,
            scope: scope.clone(),
            networks: networks.clone(),
            state: Lifecycle::Deprovisioned,
            valid_from: Some(from),
            valid_until: Some(until),
        })),
        Control::Verdict(Verdict {
            time: NOW,
            agent_id: "mail-1".to_owned(),
            tenant: text("acme"),
            verdict: Decision::Dismiss,
            by: "ann".to_owned(),
            reason: reason.clone(),
        }),
        Control::DeclaredChange(DeclaredChange {
            subject: subject.clone(),
            from_version: text("3"),
            to_version: "4".to_owned(),
            from,
            until,
            reason: reason.clone(),
        }),
        Control::Grant(Grant {
            subject: subject.clone(),
            scope,
            networks,
            from: Some(from),
            until,
            reason: reason.clone(),
        }),
        Control::Maintenance(Maintenance { subject: subject.clone(), from, until, reason: reason.clone() }),
        suppression(Muted::Family(Family::Novelty)),
        suppression(Muted::RiskEventType(RiskEventType::OutOfScopeAccess)),
        Control::Settings(EngineSettings {
            sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".to_owned(),
            text: String::new(),
        }),
    ]
}

#[test]
fn what_is_written_is_read() {
    let mut ids = std::collections::BTreeSet::new();
    for kind in all_kinds() {
        let made = record(NOW, "ann", kind.clone()).unwrap();
        assert_eq!((&made.kind, made.time, &*made.by), (&kind, NOW, "ann"));
        assert_eq!(decode(encode(&made).unwrap().as_bytes()).unwrap(), made);
        assert!(ids.insert(made.id.clone()), "an id of its own");
        assert_eq!(record(NOW, "ann", kind).unwrap(), made, "said twice, it is one record");
    }
    assert_eq!(ids.len(), Control::NAMES.len() + 1);
}

#[test]
fn a_kind_that_nobody_knows_is_refused() {
    let (reason, detail) = refused(&with("promotion", r#""agent_id":"a""#));
    assert_eq!(reason, "invalid_value");
    assert!(detail.contains("\"promotion\" is none of registration, verdict"), "{detail}");
}

#[test]
fn what_would_silently_do_nothing_or_too_much_is_refused() {
    let window = r#""from":"2026-01-22T19:00:00Z","until":"2026-01-22T20:00:00Z""#;
    for (line, reason, told) in [
        (with("maintenance", window), "missing_field", "whom"),
        (with("maintenance", &format!(r#""agent_id":"",{window}"#)), "empty_field", "agent_id"),
        (with("registration", r#""agent_type":"mail""#), "missing_field", "agent_id"),
        (with("registration", r#""agent_id":"a","networks":["10.0.0.0/40"]"#), "invalid_value", "no network"),
        (with("registration", r#""agent_id":"a","state":"asleep""#), "invalid_value", "asleep"),
        (with("grant", r#""agent_id":"a","until":"2026-01-22T20:00:00Z""#), "missing_field", "granted"),
        (with("grant", r#""agent_id":"a","scope":{"actions":["x"]}"#), "missing_field", "until"),
        (
            with("suppression", r#""agent_id":"a","owner":"b","reason":"c","until":"2026-02-01T00:00:00Z""#),
            "missing_field",
            "`family` or `risk_event_type`",
        ),
        (
            with(
                "suppression",
                r#""agent_id":"a","owner":"b","reason":"c","family":"rules","risk_event_type":"silence","until":"2026-02-01T00:00:00Z""#,
            ),
            "invalid_value",
            "two suppressions",
        ),
        (
            with(
                "suppression",
                r#""agent_id":"a","owner":"b","reason":"","family":"rules","until":"2026-02-01T00:00:00Z""#,
            ),
            "empty_field",
            "reason",
        ),
        (
            with("suppression", r#""agent_id":"a","owner":"b","reason":"c","family":"rules""#),
            "missing_field",
            "until",
        ),
        (
            with(
                "maintenance",
                r#""agent_id":"*","from":"2026-01-22T19:00:00Z","until":"2026-01-22T19:00:00Z""#,
            ),
            "invalid_value",
            "not after",
        ),
        (with("settings", r#""sha256":"00","text":"""#), "invalid_value", "hash"),
        (with("verdict", r#""agent_id":"a","verdict":"forgive""#), "invalid_value", "forgive"),
        (with("registration", r#""agent_id":"a","agent_id":"b""#), "duplicate_field", "agent_id"),
        (with("registration", r#""agent_id":7"#), "wrong_type", "integer"),
        (r#"{"time":"2026-01-22T18:50:59Z","kind":"maintenance"}"#.to_owned(), "missing_field", "from"),
        (
            r#"{"time":"1970-01-22T18:50:59Z","kind":"registration","agent_id":"a"}"#.to_owned(),
            "out_of_range",
            "2000",
        ),
        ("{".to_owned(), "not_json", "EOF"),
    ] {
        let (found, detail) = refused(&line);
        assert_eq!(found, reason, "{line}: {detail}");
        assert!(detail.contains(told), "{told} is not in {detail}");
    }
}

#[test]
fn limits_hold() {
    let long = "x".repeat(TEXT_LIMIT_BYTES + 1);
    assert_eq!(
        refused(&with("registration", &format!(r#""agent_id":"a","purpose":"{long}""#))).0,
        "too_long"
    );
    let many = vec![r#""read_*""#; LIST_LIMIT + 1].join(",");
    let scope = format!(r#""agent_id":"a","scope":{{"actions":[{many}]}}"#);
    assert_eq!(refused(&with("registration", &scope)).0, "too_many");
    assert_eq!(refused(&" ".repeat(EVENT_LIMIT_BYTES + 1)).0, "too_long");
    assert_eq!(decode(b"\xff").unwrap_err().reason, Reason::NotUtf8);
}

#[test]
fn a_file_is_read_in_the_order_of_time_and_every_wrong_line_is_told() {
    use std::io::Write;
    let file = |text: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    };
    let late = with("registration", r#""agent_id":"late""#);
    let early = late.replace("-22T", "-21T").replace("late", "early");
    let records = read(file(&format!("{late}\n\n{early}\r\n")).path()).unwrap();
    assert_eq!(
        records.iter().map(ControlRecord::key).collect::<Vec<_>>(),
        ["agent_id \"early\"", "agent_id \"late\""]
    );
    let told = read(file("x\n{}\n").path()).unwrap_err().to_string();
    assert!(told.contains("line 1: not_json") && told.contains("line 2: missing_field"), "{told}");
}

#[test]
fn a_field_that_would_be_without_effect_makes_the_record_void() {
    let suppression = r#"{"time":"2026-01-05T08:00:00Z","id":"x","kind":"suppression","agent_id":"*","family":"registry","owner":"ann","reason":"known","until":"2026-01-06T08:00:00Z""#;
    assert!(decode(format!("{suppression}}}").as_bytes()).is_ok());
    for (member, told) in [
        (r#""agenttype":"mail""#, "did you mean `agent_type`?"),
        (r#""scope":{"actions":["read"]}"#, "it has schema, time"),
        (r#""from":"2026-01-05T08:00:00Z""#, "none of a record of kind suppression"),
    ] {
        let refusal = decode(format!("{suppression},{member}}}").as_bytes()).unwrap_err();
        assert!(refusal.detail.contains(told), "{refusal}");
    }
    let scoped =
        r#"{"time":"2026-01-05T08:00:00Z","kind":"registration","agent_id":"a","scope":{"action":["read"]}}"#;
    let refusal = decode(scoped.as_bytes()).unwrap_err();
    assert!(refusal.detail.contains("did you mean `scope.actions`?"), "{refusal}");
}
