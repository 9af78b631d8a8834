//! Guards against whoever would teach the detector what is normal, or shout it down. Each test makes an attack twice:
//! against the guard, which must hold, and without it, when the attack must succeed.
//!
//! Knows what an attacker can send. Must not know how a guard is built. Two more guards are tested where they stand:
//! levels that do not flap in `assess::level`, and the cap of a storm in `engine::storm`.

use std::path::Path;

use serde_json::Value;
use tiltmeter::alert::{Alert, AlertState};
use tiltmeter::baseline::agent::{Familiar, KeySpace, shortened};
use tiltmeter::baseline::learning::{Delta, Lesson, VOTES_PER_KEY, mint};
use tiltmeter::baseline::pool::Baselines;
use tiltmeter::baseline::rate::{PerScale, Rate, Scale};
use tiltmeter::config::Config;
use tiltmeter::detect::access;
use tiltmeter::engine::unit::Position;
use tiltmeter::engine::{Engine, Judgement, Output};
use tiltmeter::risk::{Cause, Decision, Verdict};
use tiltmeter::simulate::{Scenario, Simulation};
use tiltmeter::stats::decay::VOTE;
use tiltmeter::stats::rate::Prior;
use tiltmeter::time::{DAY_MS, EventTime, HOUR_MS};
use tiltmeter::wire::audit_event::decode;

/// The type that is attacked, and how many agents it has.
const TYPE: u64 = 7;
const AGENTS: u64 = 20;
/// What the attacker would like to be usual.
const WANTED: u64 = 4_711 << 32;

fn engine(config: &str) -> Engine {
    Engine::new(Config::parse(config, Path::new("")).unwrap().settings().unwrap())
}

/// Judges lines; returns the judgement of the last one and everything that was told before the end.
fn judge(engine: &mut Engine, lines: &[String]) -> (Judgement, Vec<Output>) {
    let (mut out, mut last) = (Vec::new(), None);
    for (line, number) in lines.iter().zip(1..) {
        let event = decode(line.as_bytes()).unwrap();
        last = Some(engine.judge(&event, Position { source: 0, line: number }, &mut out));
    }
    (last.unwrap(), out)
}

fn opened(out: &[Output]) -> impl Iterator<Item = &Alert> {
    out.iter().filter_map(Output::alert).filter(|alert| alert.state == AlertState::Opened)
}

/// Bits of a resource for an agent that is new to it, after `votes` were cast in a type of twenty agents.
fn bits_of_wanted(votes: impl Fn(&mut Delta)) -> f64 {
    let mut delta = Delta::new("keeper");
    for agent in 0..AGENTS {
        delta.agent(agent, true);
        delta.vote(Lesson::Access(KeySpace::Resource), agent % 5, 0.0);
    }
    votes(&mut delta);
    let mut baselines = Baselines::default();
    mint(&mut baselines, 0, [(TYPE, &mut delta)]);
    let familiarity = Familiar::default().meet(KeySpace::Resource, WANTED, 100);
    access::judge(&baselines, baselines.types.get(&TYPE), KeySpace::Resource, WANTED, familiarity).bits
}

#[test]
fn one_agent_cannot_make_a_resource_usual_for_its_type() {
    let wanted = Lesson::Access(KeySpace::Resource);
    // As the engine votes: with the first use that the agent remembers, unless it has voted and forgotten.
    let uses = |delta: &mut Delta, agent: u64, familiar: &mut Familiar, key: u64| {
        let (familiarity, forgotten) = familiar.meet_and_forget(KeySpace::Resource, key, 100);
        if let Some(forgotten) = forgotten {
            delta.note_voter(agent, forgotten);
        }
        if familiarity.first && !delta.has_voted(agent, shortened(KeySpace::Resource, key)) {
            delta.vote(wanted, key, 0.0);
        }
    };
    let unknown = bits_of_wanted(|_| {});
    // Between two uses of the wanted key, so many others that it is forgotten.
    let hammered = bits_of_wanted(|delta| {
        let mut familiar = Familiar::default();
        for round in 0..50 {
            uses(delta, 3, &mut familiar, WANTED);
            (0..100).for_each(|i| uses(delta, 3, &mut familiar, (1000 + 100 * round + i) << 32));
        }
    });
    let used_by_all = bits_of_wanted(|delta| {
        (0..AGENTS).for_each(|agent| uses(delta, agent, &mut Familiar::default(), WANTED));
    });
    let unguarded = bits_of_wanted(|delta| (0..10_000).for_each(|_| delta.vote(wanted, WANTED, 0.0)));
    assert!(hammered > 2.0 && hammered > used_by_all + 2.0, "{hammered} {used_by_all} {unknown}");
    assert!(unguarded < used_by_all + 0.5, "with a vote a call it would be usual: {unguarded}");
}

#[test]
fn a_flood_of_sessions_weighs_no_more_than_the_cap() {
    const FLOOD: u64 = 100_000;
    let lesson = Lesson::Value([1, 2]);
    let learned = |versions: u64| {
        let (mut baselines, mut delta) = (Baselines::default(), Delta::new("keeper"));
        for _ in 0..versions {
            (0..FLOOD / versions).for_each(|_| delta.vote(lesson, WANTED, 0.0));
            mint(&mut baselines, 0, [(TYPE, &mut delta)]);
        }
        baselines.types[&TYPE].values.votes(2, WANTED)
    };
    assert_eq!(learned(1), VOTES_PER_KEY);
    // Spread so thinly that no version reaches its cap, every vote counts: what a version without one would learn.
    assert_eq!(learned(50), FLOOD * VOTE);
}

/// Sessions of one call each, or one session of as many.
fn calls_with_arguments(calls: usize, one_session: bool) -> Vec<String> {
    let session = |call| if one_session { 0 } else { call };
    let line = |call: usize| {
        let time = EventTime(1_767_571_200_000 + call as i64 * 1000);
        let argument = r#"{"name":"q","class":"word","hash":"0123456789ab","origin":"user"}"#;
        format!(
            r#"{{"time":"{time}","agent_id":"a","agent_type":"t","session_id":"s{}","action":"find","arguments":[{argument}]}}"#,
            session(call)
        )
    };
    (0..calls).map(line).collect()
}

#[test]
fn a_unit_teaches_a_lesson_once_however_often_it_repeats_it() {
    let learned = |one_session| {
        let mut engine = engine("");
        judge(&mut engine, &calls_with_arguments(1000, one_session));
        engine.finish(&mut Vec::new());
        engine.baselines().types.values().map(|own| own.provenance[0]).sum::<u64>()
    };
    assert_eq!(learned(true), VOTE);
    assert_eq!(
        learned(false),
        256 * VOTE,
        "as many sessions have as many votes, up to 256 of an agent an hour"
    );
}

#[test]
fn one_flood_does_not_make_floods_usual() {
    let prior = |mean: f64| Prior { shape: 2.0, exposure: 2.0 / mean, dispersion: 0.2 };
    let priors = PerScale { five_minutes: prior(2.0), hour: prior(24.0) };
    let hours = 240;
    let mut rate = Rate::born(0);
    for hour in 0..hours {
        rate.count(hour * HOUR_MS, 24, &priors);
    }
    rate.count(hours * HOUR_MS, 100_000, &priors);
    rate.count((hours + 1) * HOUR_MS, 24, &priors);
    let usual = rate.per_window(Scale::Hour, &priors.hour).mean();
    let unguarded = (24 * hours + 100_000) / (hours + 1);
    assert!(usual < 26.0 && unguarded > 400, "{usual} {unguarded}");
}

/// The lines of the scenario in which a recipient is lifted out of a mail: ordinary days, then its last session, whose
/// three calls come again after each of the given hours, as other sessions of the agent with that number.
fn lifted_recipients(again: &[(i64, usize)]) -> Vec<String> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/scenarios/provenance-attack/events.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let session = lines.split_off(lines.len() - 3);
    for &(hours, agent) in again {
        for line in &session {
            let mut event: Value = serde_json::from_str(line).unwrap();
            let time = EventTime::parse(event["time"].as_str().unwrap()).unwrap().plus_ms(hours * HOUR_MS);
            event["time"] = time.to_string().into();
            event["agent_id"] = format!("mail-assistant-{agent}").into();
            event["session_id"] = format!("again-{hours}").into();
            if let Some(id) = event.get("event_id").and_then(Value::as_str).map(str::to_owned) {
                event["event_id"] = format!("{id}-{hours}").into();
            }
            if let Some(id) = event["arguments"][0]["origin_event"].as_str().map(str::to_owned) {
                event["arguments"][0]["origin_event"] = format!("{id}-{hours}").into();
            }
            lines.push(event.to_string());
        }
    }
    lines
}

#[test]
fn a_recipient_used_only_where_something_was_wrong_does_not_become_usual() {
    // Once for each agent. Origins are not held back: where every thirtieth mail is hijacked, that is how mails are.
    let often: Vec<(i64, usize)> = (0..6).map(|n| (n * 2, n as usize)).collect();
    let values = |config: &str, again: &[(i64, usize)]| {
        let mut engine = engine(config);
        judge(&mut engine, &lifted_recipients(again));
        engine.finish(&mut Vec::new());
        engine.baselines().types.values().map(|own| own.values.len()).sum::<usize>()
    };
    let before = values("", &[]);
    assert_eq!(values("", &often), before, "nothing was learned of it");
    assert!(values("learn.quarantine_p = 0", &often) > before, "without quarantine it is");
}

#[test]
fn what_was_declared_safe_is_not_told_again_and_what_was_dismissed_is() {
    let lines = lifted_recipients(&[(0, 2), (24, 2)]);
    let (first, second) = lines.split_at(lines.len() - 3);
    let told = |decision| {
        let mut engine = engine("");
        let (_, mut out) = judge(&mut engine, first);
        let alert = opened(&out).next().expect("an alert").clone();
        assert_eq!(opened(&out).count(), 1);
        engine.verdict(
            &Verdict {
                time: alert.time.plus_ms(HOUR_MS),
                agent_id: alert.subject.id,
                tenant: None,
                verdict: decision,
                by: "ann".to_owned(),
                reason: String::new(),
            },
            &mut out,
        );
        let (_, out) = judge(&mut engine, second);
        (opened(&out).count(), engine.suppressed() > 0)
    };
    assert_eq!(told(Decision::ConfirmSafe), (0, true));
    assert_eq!(told(Decision::Dismiss), (1, false), "without the verdict it is told");
}

#[test]
fn a_noisy_fleet_is_told_less_often_than_its_findings_would_be() {
    // Of half an alert and of a million alerts a day the calibrated threshold is the same as long as there are fewer than a
    // thousand units a day; what differs is only that the second never exceeds its budget.
    let told = |config: &str| {
        let (mut alerts, mut lowest) = (0, 1.0_f64);
        for seed in 1..4 {
            let scenario = Scenario {
                agents: 48,
                days: 8.0,
                attack_share: 0.02,
                strength: 1.0,
                quiet_ms: DAY_MS,
                seed,
                ..Scenario::default()
            };
            let (mut engine, mut out) = (engine(config), Vec::new());
            for (simulated, line) in Simulation::new(&scenario).unwrap().zip(1..) {
                engine.judge(&simulated.event, Position { source: 0, line }, &mut out);
            }
            alerts += opened(&out).count();
            lowest = opened(&out).map(|alert| alert.threshold).fold(lowest, f64::min);
        }
        (alerts, lowest)
    };
    let (guarded, lowest) = told("alerts.per_day = 0.5");
    let (unguarded, calibrated) = told("alerts.per_day = 1000000");
    assert_eq!(calibrated, 0.001, "nothing tightens it");
    assert!(lowest < 0.8 * calibrated, "{lowest}: the threshold follows the noise");
    assert!(guarded < unguarded, "{guarded} {unguarded}");
}

/// Two hundred agents of one type, all of which touch a decoy within a minute.
fn storm() -> Vec<String> {
    let line = |n: i64| {
        let time = EventTime(1_767_571_200_000 + n * 290);
        format!(
            r#"{{"time":"{time}","agent_id":"a{n}","agent_type":"t","action":"read","resource":"secrets/decoy"}}"#
        )
    };
    (0..200).map(line).collect()
}

#[test]
fn of_a_storm_twenty_alerts_are_told_and_the_others_together() {
    let mut engine = engine("[[rules]]\nname = \"decoys\"\nhoneytoken = [\"secrets/decoy\"]\n");
    let (_, out) = judge(&mut engine, &storm());
    let digests: Vec<u64> =
        out.iter().filter_map(|o| if let Output::Digest(d) = o { Some(d.held_back) } else { None }).collect();
    assert_eq!(opened(&out).count(), 20);
    assert_eq!(digests, [1, 100]);
    // No level is held back: whoever blocks by level blocks all two hundred.
    let raised = |output: &&Output| matches!(output, Output::Risk(risk) if risk.cause == Cause::Rule);
    assert_eq!(out.iter().filter(raised).count(), 200);
}
