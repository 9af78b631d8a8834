//! Whose level is forgotten is told so, and what a person confirmed comes back.

use std::path::Path;

use crate::alert::AlertState;
use crate::config::Config;
use crate::engine::unit::Position;
use crate::engine::{Engine, Output};
use crate::event::AuditEvent;
use crate::finding::RiskEventType;
use crate::risk::{Cause, Decision, Level, Monitoring, RiskUpdate, Verdict};
use crate::time::EventTime;
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
    let alert = told.iter().find_map(|output| output.alert().filter(|alert| alert.subject.id == "mole")).unwrap();
    assert_eq!(alert.risk_event_type, RiskEventType::AdminConfirmedAgentCompromised);
    assert_eq!(back.open_alerts, [alert.alert_id.clone()]);
}
