//! What was told under a cap is told again when the cap ends.

use std::path::Path;

use super::super::{Engine, Output};
use crate::config::Config;
use crate::engine::unit::Position;
use crate::event::AuditEvent;
use crate::risk::{Cause, Decision, Level, RiskUpdate, Verdict};
use crate::time::{DAY_MS, EventTime, HOUR_MS};
use crate::wire::audit_event;

const RULE: &str = "[[rules]]\nname = \"decoys\"\nhoneytoken = [\"decoy\"]\n";

fn settings(levels: &str) -> crate::engine::Settings {
    Config::parse(&format!("[levels]\n{levels}\n{RULE}"), Path::new("")).unwrap().settings().unwrap()
}

/// A call of an agent so long after the first.
fn call(engine: &mut Engine, agent_id: &str, resource: &str, after_ms: i64) -> Vec<RiskUpdate> {
    let text = format!(
        r#"{{"time":"2026-01-08T09:00:00Z","agent_id":"{agent_id}","agent_type":"t","action":"read","resource":"{resource}"}}"#
    );
    let mut event: AuditEvent<'_> = audit_event::decode(text.as_bytes()).unwrap();
    event.time = event.time.plus_ms(after_ms);
    let mut out = Vec::new();
    engine.judge(&event, Position::default(), &mut out);
    updates(out)
}

fn updates(out: Vec<Output>) -> Vec<RiskUpdate> {
    out.into_iter()
        .filter_map(|output| if let Output::Risk(risk) = output { Some(*risk) } else { None })
        .collect()
}

/// Two agents, one call each, every half hour, so that time passes and nobody is unwatched.
fn pass(engine: &mut Engine, hours: std::ops::Range<i64>) -> Vec<RiskUpdate> {
    let mut told = Vec::new();
    for half in hours.start * 2..hours.end * 2 {
        for agent_id in ["one", "other"] {
            told.extend(call(engine, agent_id, "lobby", half * HOUR_MS / 2));
        }
    }
    told
}

fn compromised(agent_id: &str) -> Verdict {
    Verdict {
        time: EventTime(0),
        agent_id: agent_id.to_owned(),
        tenant: None,
        verdict: Decision::ConfirmCompromised,
        by: "ann".to_owned(),
        reason: String::new(),
    }
}

#[test]
fn when_the_first_days_are_over_a_high_level_is_told_as_high() {
    let mut engine = Engine::new(settings("observe_first_days = 2"));
    let first = pass(&mut engine, 0..40);
    assert!(first.is_empty(), "{first:?}");
    let raised = call(&mut engine, "thief", "decoy", 40 * HOUR_MS);
    assert_eq!((raised[0].level, raised[0].level_uncapped), (Level::Low, Level::High));
    let told = pass(&mut engine, 40..52);
    assert_eq!(told.len(), 1, "{told:?}");
    let again = &told[0];
    assert_eq!((again.level, again.previous_level, again.cause), (Level::High, Level::Low, Cause::Settings));
    assert_eq!((&*again.agent_id, again.seq), ("thief", raised[0].seq + 1));
    let began = raised[0].as_of.plus_ms(-40 * HOUR_MS);
    assert!(
        again.as_of >= began.plus_ms(2 * DAY_MS - HOUR_MS)
            && again.as_of < began.plus_ms(2 * DAY_MS + HOUR_MS)
    );
    // It falls as any other.
    let fallen = pass(&mut engine, 52..72);
    assert_eq!((fallen[0].level, fallen[0].previous_level), (Level::None, Level::High));
}

#[test]
fn what_a_person_confirmed_is_published_in_the_first_days() {
    let mut engine = Engine::new(settings("observe_first_days = 7"));
    call(&mut engine, "mole", "lobby", 0);
    let mut out = Vec::new();
    engine.verdict(&compromised("mole"), &mut out);
    assert_eq!(updates(out)[0].level, Level::High);
}

#[test]
fn a_cap_that_is_configured_no_more_ends_with_the_restart() {
    let capped = "observe_first_days = 0\nnever_block = [\"mole\"]";
    let mut engine = Engine::new(settings(capped));
    call(&mut engine, "mole", "lobby", 0);
    let mut out = Vec::new();
    engine.verdict(&compromised("mole"), &mut out);
    let before = updates(out).remove(0);
    assert_eq!(before.level, Level::Low);
    let saved = engine.save().unwrap();

    let mut same = Engine::restore(settings(capped), &saved).unwrap();
    assert_eq!(pass(&mut same, 1..3), [], "under the same configuration nothing is told again");

    let mut other = Engine::restore(settings("observe_first_days = 0"), &saved).unwrap();
    let told = pass(&mut other, 0..3);
    assert_eq!(told.len(), 1, "{told:?}");
    let again = &told[0];
    assert_eq!((again.level, again.previous_level, again.cause), (Level::High, Level::Low, Cause::Settings));
    assert!(again.seq > before.seq && again.expires_at.is_none());

    // And the other way round.
    let saved = other.save().unwrap();
    let told = pass(&mut Engine::restore(settings(capped), &saved).unwrap(), 3..5);
    assert_eq!((told[0].level, told[0].previous_level), (Level::Low, Level::High));
}

#[test]
fn an_alert_closes_when_it_holds_nothing_though_another_holds_the_level() {
    let rules = "[levels]\nobserve_first_days = 0\n[[rules]]\nname = \"decoys\"\nhoneytoken = [\"decoy\"]\n\
                 [[rules]]\nname = \"vault\"\nlevel = \"medium\"\nsensitive = [\"vault\"]\n";
    let mut engine = Engine::new(Config::parse(rules, Path::new("")).unwrap().settings().unwrap());
    pass(&mut engine, 0..1);
    call(&mut engine, "thief", "decoy", HOUR_MS);
    call(&mut engine, "thief", "vault", HOUR_MS);
    let open = |engine: &Engine| {
        let watched = engine.slices.iter().flat_map(|slice| slice.agents.iter());
        watched.map(|watched| watched.open.len()).sum::<usize>()
    };
    assert_eq!(open(&engine), 2);
    assert_eq!(pass(&mut engine, 1..6), []);
    assert_eq!(open(&engine), 2);
    pass(&mut engine, 6..10);
    assert_eq!(open(&engine), 1, "medium is held for six hours");
    pass(&mut engine, 10..27);
    assert_eq!(open(&engine), 0);
}

#[test]
fn a_first_event_from_the_time_to_come_keeps_nobody_quiet_until_then() {
    let mut engine = Engine::new(settings("observe_first_days = 1"));
    let early = call(&mut engine, "ahead", "decoy", 30 * DAY_MS);
    assert_eq!(early[0].level_uncapped, Level::High);
    let told = pass(&mut engine, 0..120);
    let of_ahead: Vec<&RiskUpdate> = told.iter().filter(|risk| risk.agent_id == "ahead").collect();
    assert!(of_ahead.iter().any(|risk| risk.level_uncapped == Level::None), "its level falls: {of_ahead:?}");
    let raised = call(&mut engine, "thief", "decoy", 121 * HOUR_MS);
    assert_eq!(
        (raised[0].level, raised[0].level_uncapped),
        (Level::High, Level::High),
        "the first day is over"
    );
}
