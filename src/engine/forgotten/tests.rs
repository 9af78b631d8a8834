//! Whose level is forgotten is told so, and what a person confirmed comes back.

use std::path::Path;

use super::*;
use crate::alert::AlertState;
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::unit::Position;
use crate::event::AuditEvent;
use crate::finding::RiskEventType;
use crate::risk::{Decision, RiskUpdate, Verdict};
use crate::wire::audit_event;

/// An engine of which each slice watches one agent.
fn crowded() -> Engine {
    let config = "[agents]\nmax = 64\n[levels]\nobserve_first_days = 0\n\
                  [[rules]]\nname = \"decoys\"\nhoneytoken = [\"decoy\"]\n";
    Engine::new(Config::parse(config, Path::new("")).unwrap().settings().unwrap())
}

/// The minute-th call of the hour, of one agent.
fn call(engine: &mut Engine, agent_id: &str, resource: &str, minute: i64) -> Vec<Output> {
    let text = format!(
        r#"{{"time":"2026-01-08T09:00:00Z","agent_id":"{agent_id}","agent_type":"t","action":"read","resource":"{resource}"}}"#
    );
    let mut event: AuditEvent<'_> = audit_event::decode(text.as_bytes()).unwrap();
    event.time = event.time.plus_ms(minute * 60_000);
    let mut out = Vec::new();
    engine.judge(&event, Position::default(), &mut out);
    out
}

/// Others act until the agent was forgotten; what was told meanwhile.
fn crowd_out(engine: &mut Engine, agent_id: &str) -> Vec<Output> {
    let mut told = Vec::new();
    for passer_by in 0..10_000 {
        told.extend(call(engine, &format!("passer-by-{passer_by}"), "lobby", 1));
        let gone = |output: &Output| matches!(output, Output::Eviction(gone) if gone.agent_id == agent_id);
        if told.iter().any(gone) {
            return told;
        }
    }
    panic!("{agent_id} was never forgotten");
}

fn updates<'o>(out: &'o [Output], agent_id: &str) -> Vec<&'o RiskUpdate> {
    let risks = out.iter().filter_map(|output| match output {
        Output::Risk(risk) if risk.agent_id == agent_id => Some(&**risk),
        _ => None,
    });
    risks.collect()
}

#[test]
fn whose_level_is_forgotten_is_told_to_be_at_none() {
    let mut engine = crowded();
    let raised = call(&mut engine, "thief", "decoy", 0);
    assert_eq!(updates(&raised, "thief").last().unwrap().level, Level::High);
    let told = crowd_out(&mut engine, "thief");
    let last = *updates(&told, "thief").last().expect("an update");
    assert_eq!((last.level, last.previous_level, last.cause), (Level::None, Level::High, Cause::Eviction));
    assert_eq!((last.monitoring, last.open_alerts.len(), last.expires_at), (Monitoring::Degraded, 0, None));
    assert!(last.seq > updates(&raised, "thief").last().unwrap().seq);
    let closed = told.iter().filter_map(Output::alert).filter(|alert| alert.state == AlertState::Closed);
    assert_eq!(closed.filter(|alert| alert.subject.id == "thief").count(), 1);
}

#[test]
fn what_a_person_confirmed_outlasts_being_forgotten() {
    let mut engine = crowded();
    call(&mut engine, "mole", "lobby", 0);
    let verdict = Verdict {
        time: EventTime(0),
        agent_id: "mole".to_owned(),
        tenant: None,
        verdict: Decision::ConfirmCompromised,
        by: "ann".to_owned(),
        reason: String::new(),
    };
    engine.verdict(&verdict, &mut Vec::new());
    let told = crowd_out(&mut engine, "mole");
    let forgotten = updates(&told, "mole").last().unwrap().seq;
    // Also where it was saved in between.
    let mut engine = Engine::restore(engine.version().settings.clone(), &engine.save().unwrap()).unwrap();
    let told = call(&mut engine, "mole", "lobby", 2);
    let back = *updates(&told, "mole").first().expect("an update with its first call");
    assert_eq!((back.level, back.seq, back.expires_at), (Level::High, forgotten + 1, None));
    let alert =
        told.iter().find_map(|output| output.alert().filter(|alert| alert.subject.id == "mole")).unwrap();
    assert_eq!(alert.risk_event_type, RiskEventType::AdminConfirmedAgentCompromised);
    assert_eq!(back.open_alerts, std::slice::from_ref(&alert.alert_id));
}

#[test]
fn who_is_back_is_degraded_until_it_is_known_again_and_that_is_told() {
    let mut engine = crowded();
    call(&mut engine, "thief", "decoy", 0);
    crowd_out(&mut engine, "thief");
    let mut told = Vec::new();
    for minute in 2..62 {
        told.extend(call(&mut engine, "thief", "lobby", minute));
    }
    let told = updates(&told, "thief");
    let known = told.iter().position(|risk| risk.cause == Cause::Monitoring).expect("an update");
    let is_ok = |risk: &RiskUpdate| risk.monitoring == Monitoring::Ok;
    assert_eq!(told.iter().position(|risk| is_ok(risk)), Some(known), "degraded until then");
    assert_eq!((told[known].level, &*told[known].maturity), (told[known].previous_level, "young"));
}

#[test]
fn whoever_is_met_first_is_not_degraded_and_after_a_loss_for_a_week_at_most() {
    let monitoring = |engine: &mut Engine, agent_id: &str, days: i64| {
        let told = call(engine, agent_id, "decoy", days * 24 * 60);
        updates(&told, agent_id).first().unwrap().monitoring
    };
    let mut engine = crowded();
    assert_eq!(monitoring(&mut engine, "new", 0), Monitoring::Ok);
    (0..crate::engine::SLICES).for_each(|slice| engine.count_from(slice, 1000));
    // Others keep the stream awake: what nobody watches is no time.
    for hour in 1..=9 * 24 {
        for agent_id in ["a", "b"] {
            call(&mut engine, agent_id, "lobby", hour * 60);
        }
        if hour == 24 {
            assert_eq!(monitoring(&mut engine, "perhaps-lost", 1), Monitoring::Degraded);
        }
    }
    assert_eq!(monitoring(&mut engine, "new-again", 9), Monitoring::Ok);
}

#[test]
fn stubs_that_are_forgotten_leave_where_to_count_on() {
    let mut slice = Slice::new(&crowded().version().settings);
    for (number, seq) in [(1, 7), (2, 900), (3, 5), (4, 6)] {
        let stub = Stub { alerts_opened: 3, seq, last_seen: number as i64, confirmed: false, told: false };
        slice.stubs.insert(number, stub);
    }
    slice.forget_stubs();
    assert_eq!((slice.stubs.len(), slice.count_from), (2, 900), "the two that were seen last stay");
}
