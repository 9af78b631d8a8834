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
    let agent_type = if agent.contains("agent_type") { "" } else { r#","agent_type":"t""# };
    let text = format!(
        r#"{{"time":"2026-01-08T09:00:00Z","event_id":"1",{agent}{agent_type},"action":"read","resource":"{resource}"}}"#
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
fn who_makes_up_a_type_for_each_event_fills_no_memory_and_is_judged() {
    let mut engine = engine();
    for number in 0..20_000 {
        let agent = format!(r#"{MOLE},"agent_type":"t{number}""#);
        call(&mut engine, &agent, "lobby", number);
    }
    let kept: usize = engine.slices.iter().map(|slice| slice.types.len()).sum();
    assert!(kept < 600, "{kept} types");
    let told = call(&mut engine, &format!(r#"{MOLE},"agent_type":"yet another""#), "decoy", 20_001);
    let alert = told.iter().find_map(Output::alert).unwrap();
    assert_eq!(alert.agent_type, "~others");
}

#[test]
fn an_alert_is_found_to_be_right_once() {
    let mut engine = engine();
    let confirmed = |engine: &Engine| -> u32 {
        engine.slices.iter().flat_map(|slice| slice.types.values()).map(|of| of.counted.confirmed).sum()
    };
    call(&mut engine, MOLE, "lobby", 0);
    let slot = engine.slices.iter_mut().find(|slice| slice.agents.len() == 1).unwrap();
    let watched = slot.agents.iter_mut().next().unwrap();
    let at = watched.latest;
    for (number, opened) in [at, at.plus_ms(-2 * crate::time::DAY_MS)].into_iter().enumerate() {
        watched.open.push(super::watched::OpenAlert {
            id: number.to_string(),
            family: crate::finding::Family::Novelty,
            opened,
            about: "".into(),
            floor: Level::None,
            hold: Default::default(),
            unit: 0,
            p: 0.001,
            told: Box::new(crate::alert::Alert::empty(crate::finding::Family::Novelty)),
        });
    }
    for reason in ["first", "again"] {
        let verdict = Verdict {
            time: at,
            agent_id: "mole".to_owned(),
            tenant: None,
            verdict: Decision::ConfirmCompromised,
            by: "ann".to_owned(),
            reason: reason.to_owned(),
        };
        engine.verdict(&verdict, &mut Vec::new());
        assert_eq!(confirmed(&engine), 1, "{reason}: not the one of the day before yesterday, and not again");
    }
}

#[test]
fn a_verdict_on_somebody_who_was_never_met_makes_room_for_the_next_when_there_are_too_many() {
    let mut engine = engine();
    let of = |number: i64| Verdict {
        time: EventTime(number),
        agent_id: format!("nobody {number}"),
        tenant: None,
        verdict: Decision::ConfirmCompromised,
        by: "ann".to_owned(),
        reason: String::new(),
    };
    for number in 0..100_000 {
        engine.verdict(&of(number), &mut Vec::new());
    }
    assert!(engine.waiting_verdicts() < 70_000);
    let told = call(&mut engine, r#""agent_id":"nobody 99999""#, "lobby", 0);
    assert!(told.iter().any(|output| matches!(output, Output::Risk(risk) if risk.level == Level::High)));
}

#[test]
fn what_one_value_says_in_two_families_is_one_thing() {
    use super::alerts::agreement;
    use crate::finding::Family;
    let p = |families: &[Family]| {
        let mut p = [1.0; Family::COUNT];
        families.iter().for_each(|family| p[*family as usize] = 1e-5);
        let agreeing = agreement(true, &p);
        assert!((agreeing.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        agreeing.into_iter().filter(|share| *share >= 0.25).count()
    };
    assert_eq!(p(&[Family::CallContent, Family::ToolValues]), 1);
    assert_eq!(p(&[Family::CallContent, Family::Novelty]), 2);
}

#[test]
fn an_agent_with_its_open_units_is_small() {
    let sizes = (size_of::<Watched>(), size_of::<Unit>(), size_of::<Course>(), size_of::<Risk>());
    assert!(sizes.0 <= 416 && sizes.1 <= 88 && sizes.2 <= 344 && sizes.3 <= 152, "{sizes:?}");
}
