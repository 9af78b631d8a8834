//! What arrives twice, and what only seems to.

use std::path::Path;

use super::course::Course;
use super::unit::Unit;
use super::watched::Watched;
use super::*;
use crate::assess::level::Risk;
use crate::config::Config;
use crate::risk::{Decision, Level};
use crate::time::EventTime;
use crate::wire::audit_event;

fn engine() -> Engine {
    let config = "[levels]\nobserve_first_days = 0\n[[rules]]\nname = \"decoys\"\nhoneytoken = [\"decoy\"]\n";
    Engine::new(Config::parse(config, Path::new("")).unwrap().settings().unwrap())
}

/// A call with the id `1`, so many seconds after the first.
fn call(engine: &mut Engine, agent: &str, resource: &str, after_secs: i64) -> Vec<Output> {
    let text = format!(
        r#"{{"time":"2026-01-08T09:00:00Z","event_id":"1",{agent},"agent_type":"t","action":"read","resource":"{resource}"}}"#
    );
    let mut event = audit_event::decode(text.as_bytes()).unwrap();
    event.time = event.time.plus_ms(after_secs * 1000);
    let mut out = Vec::new();
    engine.judge(&event, Position::default(), &mut out);
    out
}

const MOLE: &str = r#""agent_id":"mole""#;

#[test]
fn an_id_that_is_used_again_hides_nothing_and_what_is_delivered_again_counts_once() {
    let mut engine = engine();
    call(&mut engine, MOLE, "lobby", 0);
    call(&mut engine, MOLE, "lobby", 0);
    assert_eq!(engine.duplicates(), 1, "the same, delivered again");
    call(&mut engine, MOLE, "lobby", 1);
    let same_second = call(&mut engine, MOLE, "decoy", 1);
    assert_eq!(same_second.iter().filter_map(Output::alert).count(), 1);
    assert_eq!((engine.duplicates(), engine.holdings().events), (1, 3));
}

#[test]
fn verdicts_on_agents_of_two_tenants_are_two_though_they_say_the_same() {
    let mut engine = engine();
    let mut told = Vec::new();
    for tenant in ["acme", "globex"] {
        call(&mut engine, &format!(r#"{MOLE},"tenant":"{tenant}""#), "lobby", 0);
        let verdict = Verdict {
            time: EventTime(0),
            agent_id: "mole".to_owned(),
            tenant: Some(tenant.to_owned()),
            verdict: Decision::ConfirmCompromised,
            by: "ann".to_owned(),
            reason: String::new(),
        };
        engine.verdict(&verdict, &mut told);
        engine.verdict(&verdict, &mut told);
    }
    let updates: Vec<_> = told
        .iter()
        .filter_map(
            |output| if let Output::Risk(risk) = output { Some((&risk.tenant, risk.level)) } else { None },
        )
        .collect();
    let [acme, globex] = ["acme", "globex"].map(|tenant| Some(tenant.to_owned()));
    assert_eq!(updates, [(&acme, Level::High), (&globex, Level::High)]);
}

#[test]
fn how_critical_a_silent_agent_is_outlasts_a_restart() {
    let mut engine = engine();
    let record = r#"{"time":"2026-01-01T00:00:00Z","by":"ann","kind":"registration","agent_id":"mole","criticality":"high"}"#;
    let record = crate::wire::control::decode(record.as_bytes()).unwrap();
    engine.control(&record, &mut Vec::new());
    call(&mut engine, MOLE, "lobby", 0);
    let engine = Engine::restore(engine.version.settings.clone(), &engine.save().unwrap()).unwrap();
    let slice = engine.slices.iter().find(|slice| slice.agents.len() == 1).unwrap();
    let criticality =
        slice.agents.iter().next().and_then(|watched| {
            super::registry::registered_criticality(&slice.known, &slice.registry, watched)
        });
    assert_eq!(criticality, Some(crate::risk::Criticality::High));
}

#[test]
fn an_agent_with_its_open_units_is_small() {
    let sizes = (size_of::<Watched>(), size_of::<Unit>(), size_of::<Course>(), size_of::<Risk>());
    assert!(sizes.0 <= 480 && sizes.1 <= 96 && sizes.2 <= 328 && sizes.3 <= 168, "{sizes:?}");
}
