//! Tests of how rules are written: what is read, what is refused and how that is told.

use std::path::Path;

use expect_test::{Expect, expect};

use crate::config::Config;

fn check(text: &str, expected: Expect) {
    let config = Config::parse(text, Path::new("")).unwrap();
    expected.assert_eq(&config.rules().iter().map(|rule| format!("{rule}\n")).collect::<String>());
}

fn check_faults(text: &str, expected: Expect) {
    let faults = Config::parse(text, Path::new("")).unwrap_err();
    expected.assert_eq(&faults.iter().map(|fault| format!("{fault}\n")).collect::<String>());
}

#[test]
fn every_form_of_a_rule_is_read() {
    check(
        r#"
[[rules]]
name = "payroll after hours"
level = "medium"
when = { resource = { glob = "hr/payroll/*" }, hour_of_day = { not = { above = 5, below = 20 } } }
count = { at_least = 5, within = "10m" }

[[rules]]
name = "decoys"
honeytoken = ["secrets/decoy-*", "finance/old-*"]

[[rules]]
name = "books"
sensitive = "finance/*"
when.agent_type = { not = ["book-keeper", "auditor"] }

[[rules]]
name = "walk"
level = "none"
distinct = { of = "resource", at_least = 20, within = "1d 12h" }

[[rules]]
name = "odd"
[rules.when]
bytes = { above = 1e9 }
count = [1, 2]
outcome = ["denied", "error"]
source_ip = { not = { cidr = ["10.0.0.0/8", "::1"] }, prefix = "1" }
tenant = { absent = true }
location.absent = false
"#,
        expect![[r#"
            when "payroll after hours" medium: hour_of_day not (above 5 and below 20), resource glob ["hr/payroll/*"]; count 5 within 600000 ms
            honeytoken "decoys" high: resource glob ["secrets/decoy-*", "finance/old-*"]
            sensitive "books" low: resource glob ["finance/*"], agent_type not (is ["book-keeper", "auditor"])
            when "walk" none: ; distinct resource 20 within 129600000 ms
            when "odd" low: bytes above 1000000000, count is [1.0, 2.0], location present, outcome is ["denied", "error"], source_ip not (cidr [10.0.0.0/8, ::1/128]) and prefix ["1"], tenant absent
        "#]],
    );
    check("rules = []", expect![""]);
}

#[test]
fn all_faults_of_all_rules_are_told_at_once_with_their_lines() {
    check_faults(
        r#"
[alerts]
per_day = 0
[[rules]]
name = "first"
wen = { action = "x" }
level = "hihg"
[[rules]]
level = "low"
when = { acton = "x", action = { globb = "x" }, bytes = "many", hour_of_day = { glob = "2*" } }
[[rules]]
name = "first"
when.outcome = ["denied", "refused"]
when.source_ip = { cidr = "10.0.0.0/99" }
when.resource = { not = { not = "x" } }
when.location = []
when.tenant = { absent = true, prefix = "x" }
when.agent_id = {}
[[rules]]
name = "spans"
count = { at_least = 1, within = "10" }
[[rules]]
name = "values"
distinct = { of = "recource", at_least = 65, within = "8d", every = 3 }
[[rules]]
name = "halves"
count = { at_least = 3 }
distinct = 7
[[rules]]
name = "empty"
[[rules]]
name = "both"
honeytoken = ["a"]
sensitive = "b"
when = { action = ""}
"#,
        expect![[r#"
            line 3: [alerts] per_day = 0 is not allowed: give a number from 0.1 to 1000000 (alerts a day that a person can read: the average that the threshold aims at; not filled up when less happens), or leave it out for 5
            line 6: [[rules]] "first": wen = { action = "x" } is unknown: did you mean when?
            line 7: [[rules]] "first": level = "hihg" is not allowed: give none, low, medium or high
            line 8: [[rules]] number 2: it has no name: give every rule a name of its own
            line 10: [[rules]] number 2: when.action.globb = "x" is unknown: did you mean when.action.glob?
            line 10: [[rules]] number 2: when.acton = "x" is unknown: did you mean when.action?
            line 10: [[rules]] number 2: when.bytes = "many" is not allowed: give a number, a list of them, or a table with above, below, not, absent
            line 10: [[rules]] number 2: when.hour_of_day.glob = "2*" is unknown: remove it; known here: above, below, not, absent
            line 11: [[rules]] "first": another rule has this name: give every rule its own
            line 13: [[rules]] "first": when.outcome = ["denied", "refused"] is not allowed: give one of ["ok", "denied", "error"], a list of them, or a table with not, absent
            line 14: [[rules]] "first": when.source_ip.cidr = "10.0.0.0/99" is not allowed: give a network like "10.0.0.0/8", or a list of networks
            line 15: [[rules]] "first": when.resource.not.not = "x" is not allowed: give what it must be without the second not
            line 16: [[rules]] "first": when.location = [] is not allowed: give text in quotes, a list of them, or a table with prefix, glob, not, absent
            line 17: [[rules]] "first": when.tenant = { absent = true, prefix = "x" } is not allowed: give absent alone, or only what the value must be
            line 18: [[rules]] "first": when.agent_id = {} is not allowed: give at least one of prefix, glob, not, absent
            line 21: [[rules]] "spans": count.at_least = 1 is not allowed: give a whole number from 2 to 1000000
            line 21: [[rules]] "spans": count.within = "10" is not allowed: give a span from "1s" to "7d", like "10m"
            line 24: [[rules]] "values": distinct.every = 3 is unknown: remove it; known here: of, at_least, within
            line 24: [[rules]] "values": distinct.at_least = 65 is not allowed: give a whole number from 2 to 64
            line 24: [[rules]] "values": distinct.within = "8d" is not allowed: give a span from "1s" to "7d", like "10m"
            line 24: [[rules]] "values": distinct.of = "recource" is not allowed: give one field: tenant, agent_id, agent_type, agent_version, instance_id, session_id, action, resource, outcome, bytes, count, source_ip, location, user_agent, credential_id, credential_type, credential_age_days, on_behalf_of, delegated_by, decision, decision_key, attestation, hour_of_day
            line 27: [[rules]] "halves": count.within is missing: count needs at_least, within
            line 28: [[rules]] "halves": it has count and distinct: make two rules of it
            line 28: [[rules]] "halves": distinct = 7 is not allowed: give a table with of, at_least, within
            line 29: [[rules]] "empty": it says nothing: give it when, honeytoken, sensitive, count or distinct
            line 31: [[rules]] "both": it is honeytoken and sensitive at once: make two rules of it
            line 35: [[rules]] "both": when.action = "" is not allowed: give text in quotes, a list of them, or a table with prefix, glob, not, absent
        "#]],
    );
    check_faults(
        "[rules]\nname = \"x\"",
        expect![[r#"
        line 1: rules is not allowed like this: write [[rules]] above every rule
    "#]],
    );
    check_faults(
        "rules = [3]",
        expect![[r#"
        line 1: rules = 3 is not allowed: write [[rules]] above every rule
    "#]],
    );
    check_faults(
        "[[rule]]\nname = \"x\"\nwhen.action = \"x\"",
        expect![[r#"
        line 1: rule = [[rule]] is unknown: did you mean [[rules]]?
    "#]],
    );
    check_faults(
        "[[rules]]\nname = \"a\\nb\"\nwhen = {}",
        expect![[r#"
            line 2: [[rules]] "a\nb": name = "a\nb" is not allowed: give a name of 1 to 64 characters that all print, in quotes
            line 3: [[rules]] "a\nb": when = {} is not allowed: give at least one field, or leave it out for every call
        "#]],
    );
}

#[test]
fn there_is_an_end_to_rules() {
    let rules = |count: usize| {
        (0..count).map(|i| format!("[[rules]]\nname = \"{i}\"\nwhen.action = \"a\"\n")).collect::<String>()
    };
    assert_eq!(Config::parse(&rules(1_000), Path::new("")).unwrap().rules().iter().len(), 1_000);
    let faults = Config::parse(&rules(1_001), Path::new("")).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].what.contains("there are 1001 rules"), "{}", faults[0]);
}

#[test]
fn the_hash_follows_the_rules_and_not_how_they_are_written() {
    let hash = |text: &str| Config::parse(text, Path::new("")).unwrap().hash();
    let rule = hash("[[rules]]\nname = \"a\"\nwhen.resource.glob = \"x*\"");
    assert_eq!(
        hash("rules = [{ when = { resource = { glob = [\"x**\"] } }, level = \"low\", name = \"a\" }]"),
        rule
    );
    assert_ne!(hash(""), rule);
    assert_ne!(hash("[[rules]]\nname = \"a\"\nwhen.resource.glob = \"y*\""), rule);
    assert_ne!(hash("[[rules]]\nname = \"a\"\nlevel = \"high\"\nwhen.resource.glob = \"x*\""), rule);
}

#[test]
fn a_rule_that_can_never_hold_is_refused_with_what_to_write() {
    check_faults(
        r#"
[[rules]]
name = "night"
when = { hour_of_day = { above = 20, below = 6 } }
[[rules]]
name = "size"
when = { bytes = { not = { above = 20, below = 6 } }, count = 0 }
[[rules]]
name = "unreadable, told once"
when = { hour_of_day = { above = "x" } }
"#,
        expect![[r#"
            line 4: [[rules]] "night": when.hour_of_day never holds: no hour is above 20 and below 6: for the hours after 20 and before 6 write hour_of_day = { not = { above = 5, below = 21 } }
            line 7: [[rules]] "size": when.bytes.not never holds: no number of bytes is above 20 and below 6: mend one of them, or make two rules of it
            line 7: [[rules]] "size": when.count never holds: no count is 0: give whole numbers from 1 to 9007199254740991
            line 10: [[rules]] "unreadable, told once": when.hour_of_day.above = "x" is not allowed: give a number
        "#]],
    );
}
