//! Levels, scores and verdicts over whole streams: what an access policy can rely on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tiltmeter::alert::AlertState;
use tiltmeter::config::Config;
use tiltmeter::engine::unit::Position;
use tiltmeter::engine::{Engine, Output};
use tiltmeter::event::AuditEvent;
use tiltmeter::finding::RiskEventType;
use tiltmeter::risk::{Cause, Decision, Level, RiskUpdate, Verdict};
use tiltmeter::simulate::{Scenario, Simulation};
use tiltmeter::time::{DAY_MS, EventTime, HOUR_MS};

fn fleet() -> Vec<AuditEvent<'static>> {
    let scenario = Scenario {
        agents: 60,
        days: 4.0,
        attack_share: 0.03,
        strength: 1.0,
        quiet_ms: DAY_MS,
        seed: 11,
        ..Scenario::default()
    };
    Simulation::new(&scenario).unwrap().map(|simulated| simulated.event).collect()
}

fn engine() -> Engine {
    Engine::new(Config::default().settings().unwrap())
}

/// Everything the engine says of a stream, the verdicts before the first event at or after their time.
fn outputs(events: &[AuditEvent<'_>], verdicts: &[Verdict]) -> Vec<Output> {
    let (mut engine, mut out) = (engine(), Vec::new());
    let mut verdicts = verdicts.iter().peekable();
    for (event, line) in events.iter().zip(1..) {
        while let Some(verdict) = verdicts.next_if(|verdict| verdict.time <= event.time) {
            engine.verdict(verdict, &mut out);
        }
        engine.judge(event, Position { source: 0, line }, &mut out);
    }
    engine.finish(&mut out);
    out
}

fn updates(out: &[Output]) -> Vec<&RiskUpdate> {
    out.iter()
        .filter_map(|output| if let Output::Risk(risk) = output { Some(&**risk) } else { None })
        .collect()
}

#[test]
fn no_agent_is_at_medium_or_above_without_an_open_alert_and_none_flaps() {
    let out = outputs(&fleet(), &[]);
    let mut open: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut last: BTreeMap<&str, &RiskUpdate> = BTreeMap::new();
    let mut changes: BTreeMap<&str, Vec<EventTime>> = BTreeMap::new();
    let (mut raised, mut fallen) = (0, 0);
    for output in &out {
        match output {
            Output::Alert(alert) => {
                let of = open.entry(&alert.subject.id).or_default();
                match alert.state {
                    AlertState::Opened => assert!(of.insert(&alert.alert_id)),
                    AlertState::Updated => assert!(of.contains(&*alert.alert_id)),
                    AlertState::Closed => assert!(of.remove(&*alert.alert_id)),
                }
            }
            Output::Risk(risk) => {
                let before = last.insert(&risk.agent_id, risk);
                assert_eq!(risk.seq, before.map_or(0, |b| b.seq) + 1);
                assert_eq!(
                    risk.previous_level.min(Level::Low),
                    before.map_or(Level::None, |b| b.level.min(Level::Low))
                );
                let of = open.entry(&risk.agent_id).or_default();
                let told: BTreeSet<&str> = risk.open_alerts.iter().map(String::as_str).collect();
                assert_eq!(&told, of, "the update names the alerts that are open");
                assert_eq!(risk.level_uncapped >= Level::Medium, !of.is_empty(), "{risk:?}");
                let points: f64 = risk.reasons.iter().map(|reason| reason.points).sum();
                assert!((points - risk.score).abs() < 1e-9 && (0.0..=100.0).contains(&risk.score));
                assert_eq!(risk.expires_at.is_none(), risk.level_uncapped == Level::None);
                assert!(
                    risk.expires_at.is_none_or(|expires| expires.0 >= risk.as_of.0 + HOUR_MS),
                    "{risk:?}"
                );
                changes.entry(&risk.agent_id).or_default().push(risk.as_of);
                raised += u32::from(risk.cause == Cause::Finding);
                fallen += u32::from(risk.cause == Cause::Decay);
            }
            _ => {}
        }
    }
    assert!(raised >= 10 && fallen >= 10, "too little happened: {raised} up, {fallen} down");
    assert!(open.values().all(BTreeSet::is_empty), "at the end every alert has closed");
    assert!(last.values().all(|risk| risk.level == Level::None), "and every level has fallen");
    for times in changes.values() {
        for from in times {
            let hour = times.iter().filter(|t| (from.0..from.0 + HOUR_MS).contains(&t.0)).count();
            assert!(hour <= 4, "{hour} changes in an hour");
        }
    }
}

#[test]
fn in_the_first_days_no_level_blocks_anyone_and_the_true_one_is_told() {
    let out = outputs(&fleet(), &[]);
    let updates = updates(&out);
    assert!(updates.iter().any(|risk| risk.level_uncapped == Level::High));
    assert!(updates.iter().all(|risk| risk.level <= Level::Low), "the stream is four days long");
}

#[test]
fn an_event_that_comes_twice_counts_once() {
    let events = fleet();
    let twice: Vec<AuditEvent<'_>> = events.iter().flat_map(|event| [event.clone(), event.clone()]).collect();
    let (mut once_engine, mut twice_engine) = (engine(), engine());
    let (mut once, mut both) = (Vec::new(), Vec::new());
    for event in &events {
        once_engine.judge(event, Position::default(), &mut once);
    }
    for event in &twice {
        twice_engine.judge(event, Position::default(), &mut both);
    }
    let ids = |out: Vec<Output>| -> Vec<String> {
        out.into_iter().filter_map(Output::into_alert).map(|alert| alert.alert_id).collect()
    };
    assert_eq!(twice_engine.duplicates(), events.len() as u64);
    assert_eq!(ids(once), ids(both));
}

#[test]
fn verdicts_do_what_they_say() {
    let events = fleet();
    let plain = outputs(&events, &[]);
    let first = plain.iter().find_map(Output::alert).expect("an alert").clone();
    let verdict = |verdict, later_ms, agent_id: &str| Verdict {
        time: first.time.plus_ms(later_ms),
        agent_id: agent_id.to_owned(),
        tenant: first.tenant.clone(),
        verdict,
        by: "ann".to_owned(),
        reason: "looked at it".to_owned(),
    };
    let agent = &first.subject.id;
    let of_agent = |out: &[Output]| -> Vec<RiskUpdate> {
        updates(out).into_iter().filter(|risk| risk.agent_id == *agent).cloned().collect()
    };

    let safe = outputs(&events, &[verdict(Decision::ConfirmSafe, 60_000, agent)]);
    let record = safe.iter().find_map(|o| if let Output::Verdict(v) = o { Some(v) } else { None }).unwrap();
    assert!(record.known && record.level == Level::None && record.closed_alerts.contains(&first.alert_id));
    let after = of_agent(&safe).into_iter().find(|risk| risk.cause == Cause::Verdict).expect("an update");
    assert_eq!((after.level_uncapped, after.score), (Level::None, 0.0));

    let confirmed = outputs(&events, &[verdict(Decision::ConfirmCompromised, 60_000, agent)]);
    let after = of_agent(&confirmed).into_iter().find(|risk| risk.cause == Cause::Verdict).unwrap();
    assert_eq!(after.level_uncapped, Level::High);
    assert_eq!(after.expires_at, None, "it does not fall by itself");
    assert!(of_agent(&confirmed).iter().all(|risk| risk.cause != Cause::Decay || risk.as_of < after.as_of));

    // An agent that nothing is held against, and one that nobody knows.
    let calm = updates(&plain).iter().map(|risk| &risk.agent_id).collect::<BTreeSet<_>>();
    let calm = events.iter().map(|event| &*event.agent_id).find(|id| !calm.iter().any(|c| *c == id)).unwrap();
    let verdicts = [verdict(Decision::ConfirmCompromised, 0, calm), verdict(Decision::Dismiss, 1, "nobody")];
    let out = outputs(&events, &verdicts);
    let alert = out.iter().find_map(|o| o.alert().filter(|alert| alert.subject.id == calm)).unwrap();
    assert_eq!(alert.risk_event_type, RiskEventType::AdminConfirmedAgentCompromised);
    assert!(
        out.iter().any(|o| matches!(o, Output::Verdict(v) if !v.known && v.verdict.agent_id == "nobody"))
    );
}

#[test]
fn what_was_declared_safe_is_not_told_again_and_what_was_dismissed_is() {
    let events = fleet();
    let plain = outputs(&events, &[]);
    // An agent with two alerts of one kind about the same thing would be a rare find: its events come again, as other
    // sessions two days later.
    let first = plain.iter().find_map(Output::alert).unwrap().clone();
    let mut again = events.clone();
    let span = 5 * DAY_MS;
    again.extend(events.iter().map(|event| {
        let mut later = event.clone();
        later.time = later.time.plus_ms(span);
        later.event_id = later.event_id.map(|id| format!("{}-again", &*id).into());
        later.session_id = later.session_id.map(|id| format!("{}-again", &*id).into());
        later
    }));
    let told = |decision| {
        let verdict = Verdict {
            time: first.time.plus_ms(60_000),
            agent_id: first.subject.id.clone(),
            tenant: first.tenant.clone(),
            verdict: decision,
            by: String::new(),
            reason: String::new(),
        };
        let out = outputs(&again, &[verdict]);
        let same = |alert: &&tiltmeter::alert::Alert| {
            alert.subject.id == first.subject.id
                && alert.risk_event_type == first.risk_event_type
                && alert.state == AlertState::Opened
        };
        out.iter().filter_map(Output::alert).filter(same).count()
    };
    assert!(told(Decision::Dismiss) >= told(Decision::ConfirmSafe));
}

#[test]
fn threads_change_nothing() {
    let events = fleet();
    let straight = outputs(&events, &[]);
    let positions = (1..).map(|line| Position { source: 0, line });
    let all: Vec<(AuditEvent<'_>, Position)> = events.iter().cloned().zip(positions).collect();
    for threads in [1, 2, 4, 7] {
        let (mut engine, mut out) = (engine(), Vec::new());
        for part in all.chunks(5000) {
            engine.judge_all(part, threads, &mut out);
        }
        engine.finish(&mut out);
        assert_eq!(out.len(), straight.len());
        assert!(out == straight, "{threads} threads");
    }
}

#[test]
fn a_full_table_forgets_the_calm_and_says_so() {
    let config = Config::parse("[agents]\nmax = 64\n", Path::new("")).unwrap();
    let (mut engine, mut out) = (Engine::new(config.settings().unwrap()), Vec::new());
    let mut events = fleet();
    for (number, event) in events.iter_mut().enumerate() {
        if number % 3 == 0 {
            event.agent_id = format!("passer-by-{number}").into();
        }
        engine.judge(event, Position::default(), &mut out);
    }
    let evicted: Vec<_> =
        out.iter().filter_map(|o| if let Output::Eviction(gone) = o { Some(gone) } else { None }).collect();
    assert_eq!(evicted.len() as u64, engine.evicted());
    assert!(engine.agents() <= 128 && evicted.len() > 1000, "{} {}", engine.agents(), evicted.len());
    let mut ids = BTreeSet::new();
    for alert in out.iter().filter_map(Output::alert).filter(|alert| alert.state == AlertState::Opened) {
        assert!(ids.insert(&alert.alert_id), "no alert id is used again");
    }
    let mut seqs: BTreeMap<&str, u64> = BTreeMap::new();
    for risk in updates(&out) {
        let seq = seqs.insert(&risk.agent_id, risk.seq).unwrap_or(0);
        assert!(risk.seq > seq, "{} after {seq}", risk.seq);
    }
}

#[test]
fn a_saved_engine_goes_on_as_if_nothing_had_happened() {
    let events = fleet();
    let straight = outputs(&events, &[]);
    let settings = || Config::default().settings().unwrap();
    for cut in [1, 777, events.len() / 3, events.len() / 2, events.len() - 5] {
        let (mut first, mut out) = (engine(), Vec::new());
        for (event, line) in events.iter().zip(1..).take(cut) {
            first.judge(event, Position { source: 0, line }, &mut out);
        }
        let saved = first.save().unwrap();
        let mut second = Engine::restore(settings(), &saved).unwrap();
        assert!(second.save().unwrap() == saved, "what was restored is saved as it was, cut at {cut}");
        for (event, line) in events.iter().zip(1..).skip(cut) {
            second.judge(event, Position { source: 0, line }, &mut out);
        }
        second.finish(&mut out);
        let different = straight.iter().zip(&out).position(|(a, b)| a != b);
        assert_eq!((different, straight.len()), (None, out.len()), "cut at {cut}");
    }
}

/// An engine that asks for a second person, and an agent registered so that it does, at level high.
fn critical(records: &[&str]) -> (Engine, Vec<Output>) {
    let config = "[verdicts]\nsecond_person = true\nsecond_person_hours = 2\n[levels]\nobserve_first_days = 0\n\
                  [[rules]]\nname = \"decoys\"\nhoneytoken = [\"decoy\"]\n";
    let settings = Config::parse(config, Path::new("")).unwrap().settings().unwrap();
    let (mut engine, mut out) = (Engine::new(settings), Vec::new());
    for text in records {
        engine.control(&tiltmeter::wire::control::decode(text.as_bytes()).unwrap(), &mut out);
    }
    let event = r#"{"time":"2026-01-08T09:00:00Z","agent_id":"pump-7","agent_type":"pump","action":"read","resource":"decoy","outcome":"ok"}"#;
    let event = tiltmeter::wire::audit_event::decode(event.as_bytes()).unwrap();
    engine.judge(&event, Position { source: 0, line: 1 }, &mut out);
    assert_eq!(updates(&out).last().unwrap().level, Level::High);
    (engine, out)
}

const CRITICAL: &str = r#"{"time":"2026-01-01T00:00:00Z","by":"ann","kind":"registration","agent_id":"pump-*","criticality":"high"}"#;

/// What a verdict on it comes to: stage and level.
fn decided(engine: &mut Engine, by: &str, decision: Decision, hour: i64) -> (Option<String>, Level) {
    let time = EventTime::parse("2026-01-08T10:00:00Z").unwrap().plus_ms(hour * HOUR_MS);
    let mut out = Vec::new();
    let (agent_id, by) = ("pump-7".to_owned(), by.to_owned());
    let verdict = Verdict { time, agent_id, tenant: None, verdict: decision, by, reason: String::new() };
    // Time passes with the stream.
    let event = format!(r#"{{"time":"{time}","agent_id":"other","action":"read","outcome":"ok"}}"#);
    let event = tiltmeter::wire::audit_event::decode(event.as_bytes()).unwrap();
    engine.judge(&event, Position { source: 0, line: 2 }, &mut Vec::new());
    engine.verdict(&verdict, &mut out);
    let record =
        out.iter().find_map(|output| if let Output::Verdict(record) = output { Some(record) } else { None });
    let record = record.expect("every verdict leaves a record");
    let stage = record
        .second_person
        .as_ref()
        .map(|second| serde_json::to_value(second.stage).unwrap().as_str().unwrap().to_owned());
    if stage.as_deref() == Some("proposed") {
        let risk = updates(&out)[0];
        assert_eq!(risk.proposed.as_ref().unwrap().by, record.verdict.by, "whoever is asked sees it");
        assert_eq!((risk.level, risk.previous_level), (record.level, record.previous_level));
    } else if record.level == Level::None {
        assert_eq!(updates(&out)[0].proposed, None);
    }
    (stage, record.level)
}

#[test]
fn a_critical_agent_is_released_by_two_people_and_not_by_one_who_asks_twice() {
    let (mut engine, _) = critical(&[CRITICAL]);
    let safe = Decision::ConfirmSafe;
    let told = |stage: &str, level| (Some(stage.to_owned()), level);
    assert_eq!(decided(&mut engine, "ann", safe, 0), told("proposed", Level::High));
    assert_eq!(decided(&mut engine, "Ann", safe, 1), told("refused", Level::High));
    // Two hours are over.
    assert_eq!(decided(&mut engine, "bob", safe, 2), told("proposed", Level::High));
    // A saved state and a restart keep what waits.
    let saved = engine.save().unwrap();
    let config = "[verdicts]\nsecond_person = true\nsecond_person_hours = 2\n[levels]\nobserve_first_days = 0\n\
                  [[rules]]\nname = \"decoys\"\nhoneytoken = [\"decoy\"]\n";
    let settings = Config::parse(config, Path::new("")).unwrap().settings().unwrap();
    let mut again = Engine::restore(settings, &saved).unwrap();
    for engine in [&mut engine, &mut again] {
        assert_eq!(decided(engine, "bob", safe, 3), told("refused", Level::High));
        assert_eq!(decided(engine, "ann", safe, 3), told("completed", Level::None));
        assert_eq!(decided(engine, "ann", Decision::ConfirmCompromised, 4), (None, Level::High));
        for (releases, hour) in [Decision::Dismiss, Decision::Accept].into_iter().zip([5, 8]) {
            assert_eq!(decided(engine, "ann", releases, hour), told("proposed", Level::High));
        }
    }
}

#[test]
fn what_two_people_said_no_longer_waits_though_it_changes_no_level() {
    let (mut engine, _) = critical(&[CRITICAL]);
    let told = |stage: &str, level| (Some(stage.to_owned()), level);
    for (by, stage, level, hour) in [
        ("ann", "proposed", Level::High, 0),
        ("bob", "completed", Level::None, 1),
        ("ann", "proposed", Level::None, 2),
        // Its update says that nothing is proposed any more.
        ("bob", "completed", Level::None, 3),
    ] {
        assert_eq!(decided(&mut engine, by, Decision::ConfirmSafe, hour), told(stage, level));
    }
}

#[test]
fn one_person_is_enough_for_agents_that_nobody_called_critical() {
    let normal = CRITICAL.replace("high", "normal");
    for records in [&[][..], &[normal.as_str()]] {
        let (mut engine, _) = critical(records);
        assert_eq!(decided(&mut engine, "ann", Decision::ConfirmSafe, 0), (None, Level::None));
    }
    // A registration that comes later counts from then on, though the agent has done nothing since.
    let (mut engine, _) = critical(&[]);
    engine.control(&tiltmeter::wire::control::decode(CRITICAL.as_bytes()).unwrap(), &mut Vec::new());
    assert_eq!(decided(&mut engine, "ann", Decision::ConfirmSafe, 0).0.as_deref(), Some("proposed"));
}
