//! Split or not, the rest of the stream is judged alike.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::test_runner::Config as TestConfig;

use super::*;
use crate::config::Config;
use crate::control::{Control, ControlRecord, Maintenance, Subject};
use crate::engine::Output;
use crate::engine::unit::Position;
use crate::event::AuditEvent;
use crate::identity::Key;
use crate::risk::{Decision, Verdict};
use crate::simulate::{Scenario, Simulation};
use crate::time::EventTime;

fn settings() -> Settings {
    Config::parse("[levels]\nobserve_first_days = 0", Path::new("")).unwrap().settings().unwrap()
}

fn events() -> &'static [AuditEvent<'static>] {
    static EVENTS: OnceLock<Vec<AuditEvent<'static>>> = OnceLock::new();
    EVENTS.get_or_init(|| {
        let scenario = Scenario { agents: 25, days: 2.0, attack_share: 0.2, ..Scenario::default() };
        Simulation::new(&scenario).unwrap().take(5000).map(|simulated| simulated.event).collect()
    })
}

/// An engine that has judged events up to `cut`, as it is saved.
fn saved(cut: usize) -> Vec<u8> {
    let mut engine = Engine::new(settings());
    let mut out = Vec::new();
    for (event, line) in events()[..cut].iter().zip(0..) {
        engine.judge(event, Position { source: 0, line }, &mut out);
    }
    // Nobody has met this agent yet: the verdict waits for it.
    engine.verdict(&verdict("not-met-yet"), &mut out);
    engine.freeze();
    engine.save().unwrap()
}

fn verdict(agent_id: &str) -> Verdict {
    Verdict {
        time: EventTime(0),
        agent_id: agent_id.to_owned(),
        tenant: None,
        verdict: Decision::ConfirmCompromised,
        by: "ann".to_owned(),
        reason: String::new(),
    }
}

fn restored(bytes: &[u8]) -> Engine {
    Engine::restore(settings(), bytes).unwrap()
}

/// A partition of an agent: any function of its id will do.
fn part_of(parts: usize) -> impl Fn(&str) -> usize {
    move |agent_id| agent_id.bytes().fold(7, |sum: usize, byte| sum * 31 % 10_007 + usize::from(byte)) % parts
}

/// What is told of each agent, in its order.
type Told = BTreeMap<String, Vec<String>>;

fn note(out: &mut Vec<Output>, told: &mut Told) {
    for output in out.drain(..) {
        let agent = match &output {
            Output::Alert(alert) => alert.subject.id.clone(),
            Output::Risk(risk) => risk.agent_id.clone(),
            _ => continue,
        };
        told.entry(agent).or_default().push(serde_json::to_string(&output).unwrap());
    }
}

/// The rest of the stream, judged by as many partitions; all hear how late it is.
fn told_by_parts(mut parts: Vec<Engine>, rest: &[AuditEvent<'static>]) -> (Told, Vec<Engine>) {
    let part_of = part_of(parts.len());
    let (mut told, mut out) = (Told::new(), Vec::new());
    for (event, line) in rest.iter().zip(0..) {
        let own = part_of(&event.agent_id);
        for (number, part) in parts.iter_mut().enumerate() {
            if number == own {
                part.judge_records(&[(event.clone(), Position { source: 0, line }, event.time)], &mut out);
            } else {
                part.pass(event.time, &mut out);
            }
            note(&mut out, &mut told);
        }
    }
    (told, parts)
}

fn version(of: &Engine) -> Version {
    Version::restore(settings(), &of.version().save().unwrap()).unwrap()
}

proptest! {
    #![proptest_config(TestConfig { cases: 6, failure_persistence: None, ..TestConfig::default() })]
    #[test]
    fn parts_tell_what_one_tells(cut in 1500usize..3500, parts in 2usize..7) {
        let saved = saved(cut);
        let one = restored(&saved).split(&settings(), 9, 1, part_of(1));
        let many = restored(&saved).split(&settings(), 9, parts, part_of(parts));
        prop_assert_eq!(many.iter().map(Engine::agents).sum::<usize>(), one[0].agents());
        let rest = &events()[cut..];
        let (by_one, _) = told_by_parts(one, rest);
        let (by_many, _) = told_by_parts(many, rest);
        prop_assert!(by_one.values().map(Vec::len).sum::<usize>() > 0, "nothing is told at all");
        prop_assert_eq!(by_one, by_many);
    }

    #[test]
    fn joined_again_they_hold_what_was_split_and_judge_like_it(cut in 1500usize..3500, parts in 2usize..7) {
        let saved = saved(cut);
        let before = restored(&saved);
        let number = before.version().number();
        let many = restored(&saved).split(&settings(), number, parts, part_of(parts));
        let version = version(&before);
        let joined = Engine::join(settings(), version, many);
        let held = Holdings { version: joined.version().number(), ..before.holdings() };
        prop_assert_eq!(joined.holdings(), held);
        let judge = |mut engine: Engine| {
            let (mut judged, mut out) = (Vec::new(), Vec::new());
            for (event, line) in events()[cut..].iter().zip(0..) {
                let judgement = engine.judge(event, Position { source: 0, line }, &mut out);
                judged.push((judgement.bits, judgement.p, judgement.hour_p));
            }
            judged
        };
        prop_assert_eq!(judge(before), judge(joined));
    }
}

#[test]
fn nothing_is_met_twice_and_no_verdict_is_lost() {
    let saved = saved(2000);
    let mut parts = restored(&saved).split(&settings(), 9, 3, part_of(3));
    let again = &events()[1990..2000];
    let (told, parts_then) = told_by_parts(std::mem::take(&mut parts), again);
    assert_eq!(told, Told::new());
    assert_eq!(parts_then.iter().map(Engine::duplicates).sum::<u64>(), 10);
    let mut event = events()[2000].clone();
    (event.agent_id, event.tenant) = ("not-met-yet".into(), None);
    let (told, _) = told_by_parts(parts_then, &[event]);
    assert!(told["not-met-yet"].iter().any(|told| told.contains("\"high\"")), "{told:?}");
}

#[test]
fn what_people_said_of_an_agent_goes_with_it() {
    let maintenance = Maintenance {
        subject: Subject::of_agent("somebody-new", None),
        from: EventTime(0),
        until: EventTime(i64::MAX / 2),
        reason: "moves".to_owned(),
    };
    let record = ControlRecord {
        time: EventTime(0),
        id: "1".to_owned(),
        by: "ann".to_owned(),
        kind: Control::Maintenance(maintenance),
    };
    let mut engine = Engine::new(settings());
    engine.control(&record, &mut Vec::new());
    let parts = engine.split(&settings(), 1, 5, part_of(5));
    let knows = |part: &Engine| part.slices.iter().map(|slice| slice.known.len()).sum::<usize>();
    let known: Vec<usize> = parts.iter().map(knows).collect();
    let mut expected = vec![0; 5];
    expected[part_of(5)("somebody-new")] = 1;
    assert_eq!(known, expected);
}

#[test]
fn watched_time_of_partitions_with_gaps_is_made_one() {
    let saved = saved(2500);
    let mut parts = restored(&saved).split(&settings(), 9, 2, part_of(2));
    let agents: Vec<usize> = parts.iter().map(Engine::agents).collect();
    // Nobody heard of the first partition for five hours, while the second one went on minute by minute.
    let from = parts[0].clock.now().unwrap();
    let mut out = Vec::new();
    for minute in 1..=300 {
        parts[1].pass(from.time.plus_ms(minute * 60_000 + 60_000), &mut out);
    }
    parts[0].pass(from.time.plus_ms(301 * 60_000 + 60_000), &mut out);
    assert!(parts[0].clock.now().unwrap().gap_ms > parts[1].clock.now().unwrap().gap_ms);
    let gaps = parts[0].clock.now().unwrap().gap_ms - parts[1].clock.now().unwrap().gap_ms;
    let timers: Vec<i64> =
        parts[1].slices.iter().flat_map(|slice| slice.timers.iter().map(|(due, _)| *due)).collect();
    let version = version(&parts[0]);
    let joined = Engine::join(settings(), version, parts);
    assert_eq!(joined.agents(), agents.iter().sum::<usize>());
    let now: BTreeMap<Key, i64> = joined
        .slices
        .iter()
        .flat_map(|slice| slice.timers.iter().map(|(due, agent)| (*agent, *due)))
        .collect();
    // Those of the second partition are as much earlier, because the first one's watched time holds.
    for due in timers {
        assert!(now.values().any(|then| *then == due - gaps), "{due} {gaps} {now:?}");
    }
}

#[test]
fn who_is_forgotten_keeps_its_counters() {
    let mut engine = restored(&saved(3000));
    let before = engine.holdings();
    let AuditEvent { agent_id, tenant, .. } = &events()[0];
    assert!(engine.forget_habits(tenant.as_deref(), agent_id));
    let after = engine.holdings();
    assert_eq!((after.agents, after.alerts), (before.agents, before.alerts));
    assert!(after.events < before.events);
    assert!(!engine.forget_habits(None, "nobody"));
}

#[test]
fn joined_again_an_agent_is_what_its_own_partition_knows() {
    let agent_id = events()[0].agent_id.to_string();
    let maintenance = Maintenance {
        subject: Subject::of_agent(&agent_id, events()[0].tenant.as_deref()),
        from: EventTime(0),
        until: EventTime(1),
        reason: "moves".to_owned(),
    };
    let record = ControlRecord {
        time: EventTime(0),
        id: "1".to_owned(),
        by: "ann".to_owned(),
        kind: Control::Maintenance(maintenance),
    };
    let verdict = Verdict { tenant: events()[0].tenant.as_deref().map(str::to_owned), ..verdict(&agent_id) };
    let shared = Arc::new(Version::new(settings()));
    let mut parts: Vec<Engine> = (0..2).map(|_| Engine::member(settings(), Arc::clone(&shared))).collect();
    // The first watches it; the second only hears of it.
    for part in &mut parts {
        part.control(&record, &mut Vec::new());
    }
    parts[0].judge_records(&[(events()[0].clone(), Position::default(), events()[0].time)], &mut Vec::new());
    for part in &mut parts {
        part.verdict(&verdict, &mut Vec::new());
    }
    let whole = Engine::join(settings(), Version::new(settings()), parts);
    let key = whole.agent(events()[0].tenant.as_deref(), &agent_id);
    let slice = &whole.slices[slice_of(key)];
    assert!(slice.known[&key].was_seen(), "when it was seen last is not lost");
    assert!(slice.pending.is_empty(), "what was applied waits no longer");
}

/// A call of one agent that opens an alert by a rule, and one of another.
fn decoy(agent_id: &'static str, after_ms: i64) -> AuditEvent<'static> {
    let text = r#"{"time":"2026-01-08T09:00:00Z","agent_id":"a","agent_type":"t","action":"read","resource":"decoy"}"#;
    let mut event = crate::wire::audit_event::decode(text.as_bytes()).unwrap();
    event.time = event.time.plus_ms(after_ms);
    AuditEvent { agent_id: agent_id.into(), ..event }
}

#[test]
fn an_agent_that_two_partitions_saw_is_one_whose_level_falls_in_the_end() {
    let text = "[levels]\nobserve_first_days = 0\n[[rules]]\nname = \"decoys\"\nhoneytoken = [\"decoy\"]";
    let settings = || Config::parse(text, Path::new("")).unwrap().settings().unwrap();
    for later in 0..2 {
        let shared = Arc::new(Version::new(settings()));
        let mut parts: Vec<Engine> =
            (0..2).map(|_| Engine::member(settings(), Arc::clone(&shared))).collect();
        let mut out = Vec::new();
        for (number, part) in parts.iter_mut().enumerate() {
            let event = decoy("astray", if number == later { 60_000 } else { 0 });
            let time = event.time;
            part.judge_records(&[(event, Position::default(), time)], &mut out);
        }
        let mut whole = Engine::join(settings(), Version::new(settings()), parts);
        assert_eq!(whole.agents(), 1);
        let timers = |engine: &Engine| engine.slices.iter().map(|slice| slice.timers.len()).sum::<usize>();
        assert_eq!(timers(&whole), 1);
        out.clear();
        for (hour, line) in (1..80).zip(0..) {
            for agent_id in ["one", "other"] {
                let event = AuditEvent { resource: None, ..decoy(agent_id, hour * crate::time::HOUR_MS) };
                whole.judge(&event, Position { source: 0, line }, &mut out);
            }
        }
        let last = out.iter().rev().find_map(|output| match output {
            Output::Risk(risk) if risk.agent_id == "astray" => Some(risk.level),
            _ => None,
        });
        assert_eq!(last, Some(crate::risk::Level::None));
        assert_eq!(timers(&whole), 0);
    }
}

#[test]
fn levels_are_told_anew_if_one_partition_told_them_under_other_settings() {
    let config = |engine: &Engine| engine.slices[0].told_under.clone();
    for before in [true, false] {
        let shared = Arc::new(Version::new(settings()));
        let mut parts: Vec<Engine> =
            (0..2).map(|_| Engine::member(settings(), Arc::clone(&shared))).collect();
        parts[usize::from(before)].slices[0].told_under = "others".to_owned();
        assert_eq!(config(&Engine::join(settings(), Version::new(settings()), parts)), "others");
    }
}
