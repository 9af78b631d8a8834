//! Tests of rules: every test of a value, thresholds, once an hour, order, the index.

use proptest::prelude::*;

use super::condition::Test;
use super::*;
use crate::event::{Outcome, Text};
use crate::network::Network;
use crate::pattern::Patterns;
use crate::time::{DAY_MS, EventTime};

/// 2026-01-05T08:00:00Z.
const START_MS: i64 = 1_767_600_000_000;

fn event(action: &'static str, resource: &'static str, after_ms: i64) -> AuditEvent<'static> {
    let json = format!(
        r#"{{"time":"{}","agent_id":"a","action":"{action}","resource":"{resource}"}}"#,
        EventTime(START_MS + after_ms)
    );
    let owned: &'static str = json.leak();
    serde_json::from_str(owned).unwrap()
}

fn rule(name: &str, conditions: Vec<Condition>, threshold: Option<Threshold>) -> Rule {
    Rule { name: name.into(), level: Level::Medium, kind: RuleKind::When, conditions, threshold }
}

fn is(field: Field, texts: &[&str]) -> Condition {
    Condition::Value(field, vec![Test::OneOf(texts.iter().map(|text| Box::from(*text)).collect())])
}

fn ready(rules: Vec<Rule>) -> Rules {
    Rules::compile(rules, Identity::new([7; 16]))
}

/// Names of the rules that held, event after event.
fn told(rules: &Rules, events: &[AuditEvent<'_>]) -> Vec<Vec<String>> {
    let mut state = RuleState::default();
    let one = |event| {
        let mut out = SmallVec::new();
        rules.judge(event, &mut state, &mut out);
        out.iter().map(|hit| rules.iter().nth(hit.rule).unwrap().name.to_string()).collect()
    };
    events.iter().map(one).collect()
}

fn patterns(texts: &[&str]) -> Patterns {
    texts.iter().collect()
}

#[test]
fn each_test_of_a_value_holds_where_it_should_and_nowhere_else() {
    let mut event = event("delete", "hr/payroll/1", 0);
    event.bytes = Some(500);
    event.source_ip = Some(Text::from("::ffff:10.1.2.3"));
    event.outcome = Outcome::Denied;
    event.credential_issued_at = Some(EventTime(START_MS - 36 * HOUR_MS));
    let text = |test| Condition::Value(Field::Resource, vec![test]);
    let number = |test| Condition::Value(Field::Bytes, vec![test]);
    let address =
        |net| Condition::Value(Field::SourceIp, vec![Test::Cidr(vec![Network::parse(net).unwrap()])]);
    let not = |test| Condition::Value(Field::Resource, vec![Test::Not(vec![test])]);
    let age = |test| Condition::Value(Field::CredentialAgeDays, vec![test]);
    for (condition, expected) in [
        (is(Field::Action, &["drop", "delete"]), true),
        (is(Field::Action, &["Delete"]), false),
        (is(Field::Outcome, &["denied"]), true),
        (is(Field::AgentType, &["unspecified"]), true),
        (text(Test::Prefix(vec!["hr/".into()])), true),
        (text(Test::Prefix(vec!["payroll".into()])), false),
        (text(Test::Glob(patterns(&["x", "hr/*/?"]))), true),
        (text(Test::Glob(patterns(&["hr/?"]))), false),
        (not(Test::Glob(patterns(&["hr/*"]))), false),
        (not(Test::Glob(patterns(&["it/*"]))), true),
        (address("10.0.0.0/8"), true),
        (address("10.1.2.3"), true),
        (address("2001:db8::/32"), false),
        (number(Test::Above(499.0)), true),
        (number(Test::Above(500.0)), false),
        (number(Test::Below(501.0)), true),
        (number(Test::Below(500.0)), false),
        (number(Test::OneNumber(vec![1.0, 500.0])), true),
        (number(Test::OneOf(vec!["500".into()])), false),
        (age(Test::Above(1.4)), true),
        (age(Test::Above(1.5)), false),
        (Condition::Value(Field::HourOfDay, vec![Test::OneNumber(vec![8.0])]), true),
        (Condition::Value(Field::Count, vec![Test::OneNumber(vec![1.0])]), true),
        (Condition::Absent(Field::Tenant), true),
        (Condition::Absent(Field::Bytes), false),
        (Condition::Value(Field::Bytes, vec![]), true),
        (Condition::Value(Field::Tenant, vec![]), false),
        // Nothing is known, so nothing is said against it.
        (Condition::Value(Field::Tenant, vec![Test::Not(vec![Test::Prefix(vec!["x".into()])])]), false),
    ] {
        assert_eq!(condition.holds(&event), expected, "{condition}");
    }
}

#[test]
fn every_field_is_read_from_where_its_name_says() {
    let json = serde_json::json!({
        "time": "2026-01-05T08:00:00Z", "credential_issued_at": "2026-01-03T08:00:00Z", "bytes": 4096, "count": 3,
        "outcome": "denied", "tenant": "tenant", "agent_id": "agent_id", "agent_type": "agent_type",
        "agent_version": "agent_version", "instance_id": "instance_id", "session_id": "session_id",
        "action": "action", "resource": "resource", "source_ip": "source_ip", "location": "location",
        "user_agent": "user_agent", "credential_id": "credential_id", "credential_type": "credential_type",
        "on_behalf_of": "on_behalf_of", "delegated_by": "delegated_by", "decision": "decision",
        "decision_key": "decision_key", "attestation": "attestation",
    })
    .to_string();
    let event: AuditEvent<'_> = serde_json::from_str(&json).unwrap();
    for field in Field::ALL {
        let expected = match field {
            Field::Bytes => Value::Number(4096.0),
            Field::Count => Value::Number(3.0),
            Field::HourOfDay => Value::Number(8.0),
            Field::CredentialAgeDays => Value::Number(2.0),
            Field::Outcome => Value::Text("denied"),
            text => Value::Text(text.name()),
        };
        assert_eq!(field.of(&event), Some(expected));
        assert_eq!(Field::of_name(field.name()), Some(field));
    }
}

#[test]
fn a_rule_without_a_threshold_is_told_once_an_hour() {
    let rules = ready(vec![rule("deletes", vec![is(Field::Action, &["delete"])], None)]);
    let events = [
        event("delete", "a", 0),
        event("delete", "b", HOUR_MS - 1),
        event("read", "c", HOUR_MS),
        event("delete", "d", HOUR_MS),
        event("delete", "e", HOUR_MS + 1),
        event("delete", "late", HOUR_MS - 2),
    ];
    let held: Vec<bool> = told(&rules, &events).iter().map(|names| !names.is_empty()).collect();
    assert_eq!(held, [true, false, false, true, false, true]);
}

#[test]
fn a_count_is_told_once_a_span_and_counts_what_an_event_stands_for() {
    let threshold = Threshold { distinct: None, at_least: 5, within_ms: 1_000 };
    let rules = ready(vec![rule("five", vec![is(Field::Action, &["read"])], Some(threshold))]);
    let mut state = RuleState::default();
    let mut out = SmallVec::new();
    let mut judge = |after_ms, count| {
        out.clear();
        rules.judge(&AuditEvent { count, ..event("read", "r", after_ms) }, &mut state, &mut out);
        out.first().map(|hit: &Hit| (hit.observed, hit.limit))
    };
    assert_eq!(judge(0, None), None);
    assert_eq!(judge(10, Some(3)), None);
    assert_eq!(judge(1_000, None), None, "the first is a whole span ago");
    assert_eq!(judge(1_005, Some(3)), Some((7.0, 5.0)));
    assert_eq!(judge(1_006, Some(100)), None, "told already");
    assert_eq!(judge(2_004, Some(100)), None);
    assert_eq!(judge(2_005, Some(4)), None, "counted from nothing");
    assert_eq!(judge(2_006, None), Some((5.0, 5.0)));
}

#[test]
fn different_values_are_counted_and_calls_without_the_field_are_not() {
    let threshold = Threshold { distinct: Some(Field::Resource), at_least: 3, within_ms: DAY_MS };
    let rules = ready(vec![rule("walk", vec![], Some(threshold))]);
    let mut events: Vec<_> =
        ["a", "a", "b", "b", "a"].into_iter().zip(0..).map(|(name, at)| event("read", name, at)).collect();
    events.push(AuditEvent { resource: None, ..event("read", "x", 6) });
    assert!(told(&rules, &events).iter().all(Vec::is_empty));
    events.push(event("write", "c", 7));
    assert_eq!(told(&rules, &events).last().unwrap(), &["walk"]);
}

#[test]
fn sentences_say_what_was_seen_and_escape_what_an_agent_chose() {
    let touched = Condition::Value(Field::Resource, vec![Test::Glob(patterns(&["decoy/*"]))]);
    let threshold = Threshold { distinct: None, at_least: 2, within_ms: 5_400_000 };
    let rules = ready(vec![
        Rule {
            kind: RuleKind::Honeytoken,
            level: RuleKind::Honeytoken.default_level(),
            ..rule("decoys", vec![touched.clone()], None)
        },
        rule("plain", vec![touched.clone(), Condition::Absent(Field::Tenant)], None),
        rule("often", vec![touched], Some(threshold)),
    ]);
    let mut state = RuleState::default();
    let mut out = SmallVec::new();
    let hostile = "decoy/`\u{202e}\\n";
    for after_ms in [0, 1] {
        rules.judge(&event("read", hostile, after_ms), &mut state, &mut out);
    }
    let told: Vec<_> = out.iter().map(|hit| (hit.level, hit.sentence.as_str())).collect();
    assert_eq!(
        told,
        [
            (
                Level::High,
                "rule `decoys`: the honeytoken resource `decoy/\\u{60}\\u{202e}\\u{a}` was touched"
            ),
            (Level::Medium, "rule `plain`: a call matched (resource glob [\"decoy/*\"], tenant absent)"),
            (Level::Medium, "rule `often`: 2 matching calls within 1 h 30 min, the limit is 2"),
        ]
    );
}

#[test]
fn the_index_finds_what_looking_at_every_rule_finds_in_the_same_order() {
    proptest!(|(
        rules in prop::collection::vec(prop::collection::vec(0usize..4, 0..3), 0..8),
        calls in prop::collection::vec(0usize..4, 1..10),
    )| {
        const ACTIONS: [&str; 4] = ["read", "write", "send", "pay"];
        let names: Vec<Vec<&str>> = rules.iter().map(|rule| rule.iter().map(|i| ACTIONS[*i]).collect()).collect();
        // No action named: a rule for every call.
        let conditions = |names: &[&str]| if names.is_empty() { vec![] } else { vec![is(Field::Action, names)] };
        let all = names.iter().zip(0..).map(|(names, i)| rule(&format!("{i}"), conditions(names), None));
        let rules = ready(all.collect());
        for action in calls.into_iter().map(|i| ACTIONS[i]) {
            let expected: Vec<String> = names.iter().zip(0..)
                .filter(|(names, _)| names.is_empty() || names.contains(&action))
                .map(|(_, i)| format!("{i}")).collect();
            prop_assert_eq!(told(&rules, &[event(action, "r", 0)]), [expected]);
        }
    });
}

#[test]
fn nothing_is_remembered_where_nothing_matches() {
    let mut state = RuleState::default();
    let mut out = SmallVec::new();
    let rules = ready(vec![rule("deletes", vec![is(Field::Action, &["delete"])], None)]);
    rules.judge(&event("read", "r", 0), &mut state, &mut out);
    Rules::default().judge(&event("delete", "r", 0), &mut state, &mut out);
    assert!(state.is_empty() && out.is_empty() && Rules::default().is_empty());
}
