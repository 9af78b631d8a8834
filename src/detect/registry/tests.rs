//! Tests of the registry: each fact, and what is none; records that come in any order.

use proptest::prelude::*;
use smallvec::SmallVec;

use super::records::{Excuse, Kept};
use super::*;
use crate::control::{Control, ControlRecord, Lifecycle, Maintenance, Muted, Suppression};
use crate::finding::Family;

const NOW: EventTime = EventTime(1_769_107_859_000);

fn event(fields: &str) -> AuditEvent<'_> {
    serde_json::from_str(fields).unwrap()
}

fn call() -> String {
    r#"{"time":"2026-01-22T18:50:59Z","agent_id":"a","action":"read_mail","resource":"mail/1","source_ip":"10.0.0.1","agent_version":"3"}"#
        .to_owned()
}

fn patterns(texts: &[&str]) -> Option<Patterns> {
    Some(texts.iter().collect())
}

fn registered() -> Registration {
    Registration {
        version: Some("3".to_owned()),
        scope: Scope {
            actions: patterns(&["read_*", "send_*"]),
            resources: patterns(&["mail/*"]),
            destinations: patterns(&["example.com"]),
        },
        networks: Some(vec![Network::parse("10.0.0.0/8").unwrap()]),
        ..Registration::of(Subject::of_agent("a", None))
    }
}

fn standing<'s>(registration: &'s Registration, records: &'s Records) -> Standing<'s> {
    Standing {
        registration: Some(registration),
        is_required: true,
        silent_ms: Some(0),
        version: None,
        records: [Some(records), None],
    }
}

fn facts(standing: &Standing<'_>, line: &str, verb: Verb) -> Vec<Fact> {
    let mut found = SmallVec::new();
    let settings = RegistrySettings { require: true, dormant_days: 10.0 };
    standing.judge(&event(line), verb, NOW, &settings, &mut found);
    found.to_vec()
}

fn said(seconds: i64, id: &str, kind: Control) -> ControlRecord {
    ControlRecord { time: NOW.plus_ms(seconds * 1000), id: id.to_owned(), by: "ann".to_owned(), kind }
}

fn grant(until_ms: i64) -> Control {
    Control::Grant(Grant {
        subject: Subject::of_agent("a", None),
        scope: Scope { actions: patterns(&["export_mail"]), ..Scope::default() },
        networks: None,
        from: None,
        until: NOW.plus_ms(until_ms),
        reason: String::new(),
    })
}

#[test]
fn a_scope_limits_what_it_names() {
    let (registration, none) = (registered(), Records::default());
    let standing = standing(&registration, &none);
    for (from, to, verb, fact) in [
        ("read_mail", "read_all", Verb::Read, None),
        ("read_mail", "delete_mail", Verb::Destructive, Some(Fact::Action)),
        ("mail/1", "hr/1", Verb::Read, Some(Fact::Resource)),
        ("mail/1", "example.com", Verb::Egress, None),
        ("mail/1", "mail/2", Verb::Pay, None),
        ("mail/1", "hr/1", Verb::Pay, Some(Fact::Destination)),
        ("mail/1", "example.com", Verb::Write, Some(Fact::Resource)),
        ("10.0.0.1", "11.0.0.1", Verb::Read, Some(Fact::Network)),
        ("10.0.0.1", "at home", Verb::Read, Some(Fact::Network)),
        (r#","resource":"mail/1""#, "", Verb::Egress, None),
    ] {
        let expected: Vec<Fact> = fact.into_iter().collect();
        assert_eq!(facts(&standing, &call().replace(from, to), verb), expected, "{to}");
    }
    // What is left out limits nothing; an empty list allows nothing.
    let unlimited = Registration::of(Subject::of_agent("a", None));
    assert_eq!(facts(&self::standing(&unlimited, &none), &call(), Verb::Egress), []);
    let nothing = Registration {
        scope: Scope { actions: patterns(&[]), ..Scope::default() },
        ..Registration::of(Subject::of_agent("a", None))
    };
    assert_eq!(facts(&self::standing(&nothing, &none), &call(), Verb::Read), [Fact::Action]);
}

#[test]
fn a_grant_allows_more_until_it_ends() {
    let (registration, mut records) = (registered(), Records::default());
    let line = call().replace("read_mail", "export_mail");
    assert_eq!(facts(&standing(&registration, &records), &line, Verb::Read), [Fact::Action]);
    assert_eq!(records.apply(&said(0, "g", grant(1)), 8), Kept::Yes);
    assert_eq!(facts(&standing(&registration, &records), &line, Verb::Read), []);
    assert_eq!(records.apply(&said(1, "g", grant(0)), 8), Kept::Yes);
    assert_eq!(facts(&standing(&registration, &records), &line, Verb::Read), [Fact::Action]);
}

#[test]
fn who_is_not_registered_or_not_any_more_is_asked_nothing_else() {
    let none = Records::default();
    let line = call().replace("read_mail", "delete_mail");
    let early = Registration { valid_from: Some(NOW.plus_ms(1)), ..registered() };
    let gone = Registration { state: Lifecycle::Deprovisioned, ..registered() };
    let over = Registration { valid_until: Some(NOW), ..registered() };
    for (registration, fact) in
        [(&early, Fact::Unregistered), (&gone, Fact::Deprovisioned), (&over, Fact::Deprovisioned)]
    {
        assert_eq!(facts(&standing(registration, &none), &line, Verb::Read), [fact]);
    }
    let stranger = Standing { registration: None, ..standing(&gone, &none) };
    assert_eq!(facts(&stranger, &line, Verb::Read), [Fact::Unregistered]);
    assert_eq!(facts(&Standing { is_required: false, ..stranger }, &line, Verb::Read), []);
}

#[test]
fn a_long_silence_and_another_version_are_facts() {
    let (registration, mut records) = (registered(), Records::default());
    let silent = |ms| Standing { silent_ms: Some(ms), ..standing(&registration, &records) };
    assert_eq!(facts(&silent(10 * DAY_MS - 1), &call(), Verb::Read), []);
    assert_eq!(facts(&silent(10 * DAY_MS), &call(), Verb::Read), [Fact::Dormant]);

    let line = call().replace("\"3\"", "\"4\"");
    assert_eq!(facts(&standing(&registration, &records), &line, Verb::Read), [Fact::Version]);
    // The second call of the new version is no news, and neither is the way back to what is registered.
    fn ran<'s>(version: &'s str, of: &'s Registration, records: &'s Records) -> Standing<'s> {
        Standing { version: Some(version), ..standing(of, records) }
    }
    assert_eq!(facts(&ran("4", &registration, &records), &line, Verb::Read), []);
    assert_eq!(facts(&ran("4", &registration, &records), &call(), Verb::Read), []);
    let change = |from_ms, until_ms| {
        Control::DeclaredChange(DeclaredChange {
            subject: Subject::of_agent("a", None),
            from_version: Some("2".to_owned()),
            to_version: "4".to_owned(),
            from: NOW.plus_ms(from_ms),
            until: NOW.plus_ms(until_ms),
            reason: String::new(),
        })
    };
    records.apply(&said(0, "c", change(1, 2)), 8);
    assert_eq!(
        facts(&ran("3", &registration, &records), &line, Verb::Read),
        [Fact::Version],
        "it is too early"
    );
    records.apply(&said(1, "c", change(-2, -1)), 8);
    assert_eq!(
        facts(&ran("3", &registration, &records), &line, Verb::Read),
        [],
        "who is late was declared all the same"
    );
    let back = call().replace("\"3\"", "\"2\"");
    assert_eq!(
        facts(&ran("4", &registration, &records), &back, Verb::Read),
        [Fact::Version],
        "the window is over"
    );
    records.apply(&said(2, "c", change(-2, 1)), 8);
    assert_eq!(facts(&ran("4", &registration, &records), &back, Verb::Read), []);
}

#[test]
fn of_all_that_is_full_what_is_over_makes_room() {
    let mut records = Records::default();
    assert_eq!(records.apply(&said(0, "a", grant(1000)), 2), Kept::Yes);
    assert_eq!(records.apply(&said(0, "b", grant(9000)), 2), Kept::Yes);
    assert_eq!(records.apply(&said(0, "c", grant(9000)), 2), Kept::NoRoom);
    assert_eq!(records.apply(&said(1, "c", grant(9000)), 2), Kept::Yes);
    assert_eq!(records.grants().map(|grant| grant.id.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(records.apply(&said(2, "b", grant(8000)), 2), Kept::Yes, "what is known finds room");
}

#[test]
fn an_excuse_names_the_record_and_who_answers_for_it() {
    let subject = || Subject::of_agent("a*", None);
    let mut records = Records::default();
    let suppression = Control::Suppression(Suppression {
        subject: subject(),
        muted: Muted::Family(Family::Novelty),
        owner: "bob".to_owned(),
        reason: "known".to_owned(),
        until: NOW.plus_ms(10),
    });
    records.apply(&said(0, "s", suppression), 8);
    let kind = RiskEventType::MassEnumeration;
    let excuse = |records: &Records, agent: &str, family, ms| {
        let found = records.excuse((agent, "t", None), family, kind, NOW.plus_ms(ms));
        found.map(|Excuse { what, id, by, .. }| (what, id.to_owned(), by.to_owned()))
    };
    let by_bob = Some(("suppression", "s".to_owned(), "bob".to_owned()));
    assert_eq!(excuse(&records, "a1", Family::Novelty, 9), by_bob);
    assert_eq!(excuse(&records, "a1", Family::Novelty, 10), None);
    assert_eq!(excuse(&records, "a1", Family::Order, 9), None);
    assert_eq!(excuse(&records, "b1", Family::Novelty, 9), None);
    let (from, until, reason) = (NOW, NOW.plus_ms(5), String::new());
    let maintenance = Control::Maintenance(Maintenance { subject: subject(), from, until, reason });
    records.apply(&said(0, "m", maintenance), 8);
    let by_ann = Some(("maintenance", "m".to_owned(), "ann".to_owned()));
    assert_eq!(excuse(&records, "a1", Family::Order, 4), by_ann);
    assert_eq!(excuse(&records, "a1", Family::Order, 5), None);
    assert_eq!(excuse(&records, "a1", Family::Order, -1), None);
}

proptest! {
    #[test]
    fn of_several_records_with_one_key_the_latest_stays_whatever_the_order(
        times in prop::collection::vec((0..3u8, 0..20i64), 1..20),
        order in any::<prop::sample::Index>(),
    ) {
        let records: Vec<_> =
            times.iter().map(|(id, second)| said(*second, &id.to_string(), grant(*second))).collect();
        let mut forwards = Records::default();
        records.iter().for_each(|record| _ = forwards.apply(record, 64));
        let mut rotated = records.clone();
        rotated.rotate_left(order.index(records.len()));
        let mut backwards = Records::default();
        rotated.iter().rev().chain(&records).for_each(|record| _ = backwards.apply(record, 64));
        prop_assert_eq!(&forwards, &backwards);
        // The slow twin: all records, sorted.
        for id in 0..3u8 {
            let latest = times.iter().filter(|(of, _)| *of == id).map(|(_, second)| *second).max();
            let kept = forwards.grants().find(|grant| grant.id == id.to_string());
            prop_assert_eq!(kept.map(|grant| grant.time), latest.map(|second| NOW.plus_ms(second * 1000)));
        }
    }
}
