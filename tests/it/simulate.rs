//! The simulated fleet keeps its promises: order, determinism, honest labels, attacks that only add.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly, like the tests")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tiltmeter::event::{AuditEvent, Origin, OriginForm, Outcome};
use tiltmeter::simulate::{Attack, Label, Preset, Scenario, SimulatedEvent, Simulation};
use tiltmeter::time::DAY_MS;

/// A small fleet of every type over three days, attacked often.
fn scenario() -> Scenario {
    Scenario { agents: 18, days: 3.0, attack_share: 0.05, quiet_ms: DAY_MS, ..Scenario::default() }
}

fn events(scenario: &Scenario) -> Vec<SimulatedEvent> {
    Simulation::new(scenario).unwrap().collect()
}

fn bytes(simulated: &[SimulatedEvent]) -> String {
    simulated.iter().map(|s| serde_json::to_string(s).unwrap() + "\n").collect()
}

/// What an event belongs to: agent and session, or the agent alone where there are no session ids.
fn session(s: &SimulatedEvent) -> (String, Option<String>) {
    (s.event.agent_id.to_string(), s.event.session_id.as_deref().map(str::to_owned))
}

#[test]
fn equal_scenarios_give_equal_bytes_and_other_seeds_others() {
    let first = bytes(&events(&scenario()));
    assert_eq!(first, bytes(&events(&scenario())));
    assert_ne!(first, bytes(&events(&Scenario { seed: 2, ..scenario() })));
}

#[test]
fn events_come_in_order_within_the_time_of_the_scenario() {
    let scenario = scenario();
    let all = events(&scenario);
    assert!(all.len() > 2_000, "{} events", all.len());
    assert!(all.is_sorted_by_key(|s| s.event.time));
    assert!(all.iter().all(|s| s.event.time >= scenario.start && s.event.time < scenario.end()));
}

#[test]
fn every_event_decodes_and_keeps_the_limits() {
    let mut ids = BTreeSet::new();
    for simulated in events(&scenario()) {
        let line = serde_json::to_string(&simulated).unwrap();
        let decoded: AuditEvent = serde_json::from_str(&line).unwrap();
        assert_eq!(
            serde_json::to_string(&decoded).unwrap(),
            serde_json::to_string(&simulated.event).unwrap()
        );
        assert!(line.len() < 16_384 && decoded.agent_id.len() <= 256 && decoded.action.len() <= 256);
        assert!(decoded.arguments.len() <= 64);
        assert!(ids.insert(decoded.event_id.unwrap().to_string()), "an event id came twice: {line}");
        for argument in &decoded.arguments {
            assert!(argument.hash.unwrap().0 < 1 << 48 && argument.length.unwrap() >= 1);
            assert!(argument.origin_form.is_none() || argument.origin == Some(Origin::Tool), "{line}");
            assert!(argument.anchored.is_none() || argument.origin != Some(Origin::User), "{line}");
        }
    }
}

#[test]
fn a_value_from_a_tool_names_an_earlier_event_of_its_session() {
    let mut seen: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    let mut checked = 0;
    for s in events(&scenario()) {
        let earlier = seen.entry(session(&s)).or_default();
        for from in s.event.arguments.iter().filter_map(|a| a.origin_event.as_deref()) {
            assert!(earlier.contains(from), "{:?} names {from}", s.event);
            checked += 1;
        }
        earlier.insert(s.event.event_id.as_deref().unwrap().to_owned());
    }
    assert!(checked > 500, "{checked}");
}

#[test]
fn labels_are_consistent_within_a_session() {
    let mut attacked: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut exposed: BTreeMap<_, bool> = BTreeMap::new();
    for s in events(&scenario()).iter().filter(|s| s.event.session_id.is_some()) {
        assert_eq!(s.truth.label == Label::Attack, s.truth.injection.is_some());
        assert!(!s.truth.exposed || s.truth.label == Label::Attack, "exposed on a normal session");
        attacked.entry(session(s)).or_default().insert(s.truth.injection);
        let before = exposed.insert(session(s), s.truth.exposed).unwrap_or(false);
        assert!(s.truth.exposed || !before, "exposure ended within {:?}", session(s));
    }
    assert!(attacked.values().all(|labels| labels.len() == 1));
    let all: BTreeSet<_> = attacked.values().flatten().flatten().copied().collect();
    assert_eq!(all, Attack::ALL.into(), "some attack never happened");
}

#[test]
fn attacks_only_add() {
    let with = events(&scenario());
    let without = events(&Scenario { attacks: vec![], ..scenario() });
    assert!(without.iter().all(|s| s.truth.label == Label::Normal));
    let attacked: BTreeSet<_> = with
        .iter()
        .filter(|s| s.truth.label == Label::Attack)
        .filter_map(|s| s.event.session_id.clone())
        .collect();
    let normal = |all: &[SimulatedEvent]| -> Vec<SimulatedEvent> {
        // Where there are no session ids an attacked session cannot be told from the others by its events.
        let keep = |s: &&SimulatedEvent| s.event.session_id.as_ref().is_some_and(|id| !attacked.contains(id));
        all.iter().filter(keep).cloned().collect()
    };
    assert!(attacked.len() > 5);
    assert_eq!(bytes(&normal(&with)), bytes(&normal(&without)));
}

#[test]
fn more_agents_leave_the_others_as_they_were() {
    let few = events(&scenario());
    let many = events(&Scenario { agents: 40, ..scenario() });
    let known: BTreeSet<_> = few.iter().map(|s| s.event.agent_id.clone()).collect();
    let of_known: Vec<_> = many.into_iter().filter(|s| known.contains(&s.event.agent_id)).collect();
    assert_eq!(bytes(&few), bytes(&of_known));
}

#[test]
fn at_strength_zero_only_the_labels_know() {
    let shy = events(&Scenario { strength: 0.0, ..scenario() });
    let none = events(&Scenario { attacks: vec![], ..scenario() });
    assert!(shy.iter().any(|s| s.truth.label == Label::Attack));
    assert!(shy.iter().map(|s| &s.event).eq(none.iter().map(|s| &s.event)));
}

#[test]
fn a_stronger_attack_shows_more() {
    let traces = |strength: f64| {
        let all = events(&Scenario { strength, ..scenario() });
        let lifted = |s: &SimulatedEvent| {
            s.event
                .arguments
                .iter()
                .filter(|a| a.origin_form == Some(OriginForm::FreeText) && a.anchored == Some(false))
                .count()
        };
        let exposed: Vec<_> = all.iter().filter(|s| s.truth.exposed).collect();
        (
            exposed.len(),
            exposed.iter().map(|s| lifted(s)).sum::<usize>(),
            exposed.iter().filter(|s| s.event.outcome == Outcome::Denied).count(),
        )
    };
    let (half, full) = (traces(0.3), traces(1.0));
    assert!(full.0 > half.0 && full.1 > half.1 && full.2 > half.2, "{half:?} {full:?}");
}

#[test]
fn nothing_is_attacked_in_the_quiet_time() {
    let quiet = Scenario { quiet_ms: 2 * DAY_MS, attack_share: 1.0, ..scenario() };
    let from = quiet.start.plus_ms(quiet.quiet_ms);
    let mut simulation = Simulation::new(&quiet).unwrap();
    let early = simulation.by_ref().filter(|s| s.event.time < from).all(|s| s.truth.label == Label::Normal);
    assert!(early);
    let attacks = simulation.take_attacks();
    assert!(attacks.len() > 50 && attacks.iter().all(|a| a.started >= from));
}

#[test]
fn the_truth_about_attacks_agrees_with_the_events() {
    let mut simulation = Simulation::new(&scenario()).unwrap();
    let all: Vec<_> = simulation.by_ref().collect();
    let attacks = simulation.take_attacks();
    assert!(simulation.take_attacks().is_empty());
    for attack in attacks.iter().filter(|a| a.session_id.is_some()) {
        let own: Vec<_> =
            all.iter().filter(|s| s.event.session_id.as_deref() == attack.session_id.as_deref()).collect();
        assert_eq!(own.len() as u64, attack.calls);
        assert_eq!((own[0].event.time, own[own.len() - 1].event.time), (attack.started, attack.ended));
        let first = own.iter().find(|s| s.truth.exposed);
        assert_eq!(first.and_then(|s| s.event.seq), attack.first_exposed_call);
        assert_eq!(first.map(|s| s.event.time), attack.exposed_at);
        assert!(own.iter().all(|s| s.truth.injection == Some(attack.scenario)));
    }
}

#[test]
fn agents_of_a_type_differ_in_pace_and_in_what_they_touch() {
    let fleet =
        Scenario { preset: Preset::Trading, agents: 30, days: 20.0, attacks: vec![], ..Scenario::default() };
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    let mut touched: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for s in Simulation::new(&fleet).unwrap().filter(|s| s.event.agent_type() == "order-executor") {
        let agent = s.event.agent_id.to_string();
        *counts.entry(agent.clone()).or_default() += 1.0;
        touched.entry(agent).or_default().extend(s.event.resource.map(|r| r.to_string()));
    }
    let (least, most) = counts.values().fold((f64::MAX, 0.0f64), |(a, b), &n| (a.min(n), b.max(n)));
    assert!(most > 2.0 * least, "{least} to {most}");
    let common = touched.values().skip(1).fold(touched.values().next().unwrap().clone(), |a, b| &a & b);
    let all = touched.values().fold(BTreeSet::new(), |a, b| &a | b);
    assert!(common.len() * 3 < all.len(), "{} of {} resources are everybody's", common.len(), all.len());
}

#[test]
fn innocent_values_from_unanchored_text_are_a_tenth_of_what_tools_give() {
    for preset in [Preset::Mixed, Preset::Trading, Preset::CustomerData, Preset::SystemAdministration] {
        let fleet = Scenario { preset, agents: 45, days: 5.0, attacks: vec![], ..Scenario::default() };
        let (mut tool, mut lifted) = (0.0, 0.0);
        for argument in Simulation::new(&fleet).unwrap().flat_map(|s| s.event.arguments) {
            if argument.origin_form.is_some() {
                tool += 1.0;
                let free =
                    argument.origin_form == Some(OriginForm::FreeText) && argument.anchored == Some(false);
                lifted += f64::from(u8::from(free));
            }
        }
        let share = lifted / tool;
        assert!((0.05..=0.15).contains(&share), "{preset}: {share}");
    }
}

#[test]
fn look_alikes_are_there_and_labelled_normal() {
    let fleet = Scenario { agents: 60, days: 20.0, attacks: vec![], ..Scenario::default() };
    let tasks: BTreeSet<_> = Simulation::new(&fleet)
        .unwrap()
        .filter(|s| s.truth.task.starts_with("look-alike/"))
        .inspect(|s| assert_eq!(s.truth.label, Label::Normal))
        .map(|s| s.truth.task)
        .collect();
    assert_eq!(tasks.len(), 5, "{tasks:?}");
}

#[test]
fn agents_are_born_and_upgraded_during_the_run() {
    let fleet = Scenario { agents: 90, days: 10.0, ..Scenario::default() };
    let mut first = BTreeMap::new();
    let mut versions = BTreeSet::new();
    for s in Simulation::new(&fleet).unwrap() {
        first.entry(s.event.agent_id.to_string()).or_insert(s.event.time);
        versions
            .extend(s.event.agent_version.map(|v| (s.event.agent_type.unwrap().to_string(), v.to_string())));
    }
    let late = first.values().filter(|t| t.0 > fleet.start.0 + 3 * DAY_MS).count();
    assert!((2..30).contains(&late), "{late} born later");
    assert_eq!(versions.len(), 18, "each of nine types runs two versions: {versions:?}");
}

/// Runs `tiltmeter simulate` with these options; returns its standard output and error.
fn run(options: &[&str]) -> (String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tiltmeter"))
        .arg("simulate")
        .args(options)
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_command_writes_events_with_or_without_labels_and_the_truth_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let truth = folder.path().join("truth.ndjson");
    let options = ["--agents", "9", "--days", "2", "--quiet-until", "6h", "--attack-share", "0.2"];
    let (labelled, _) = run(&[&options[..], &["--truth", truth.to_str().unwrap()]].concat());
    let (bare, _) = run(&[&options[..], &["--no-labels"]].concat());
    assert_eq!(labelled.lines().count(), bare.lines().count());
    for (with, without) in labelled.lines().zip(bare.lines()) {
        let mut with: serde_json::Value = serde_json::from_str(with).unwrap();
        let fields = with.as_object_mut().unwrap();
        for key in ["label", "exposed", "task", "injection"] {
            assert!(fields.remove(key).is_some(), "{key}");
        }
        assert_eq!(with, serde_json::from_str::<serde_json::Value>(without).unwrap());
    }
    let attacks = std::fs::read_to_string(truth).unwrap();
    assert!(attacks.lines().count() > 5);
    for line in attacks.lines() {
        let attack: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["agent_id", "session_id", "scenario", "started", "ended", "calls", "first_exposed_call"] {
            assert!(attack.get(key).is_some(), "{key}: {line}");
        }
    }
}

#[test]
fn the_command_says_what_is_wrong_and_what_would_be_right() {
    assert!(run(&["--attacks", "data-teft"]).1.contains("did you mean \"data-theft\"?"));
    assert!(run(&["--days", "-1"]).1.contains("days is -1, must be above 0"));
    assert!(run(&["--quiet-until", "soon"]).1.contains("write it like 60s"));
}

#[test]
fn the_simulator_knows_nothing_of_the_detectors() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/simulate");
    let mut checked = 0;
    for folder in [root.clone(), root.join("presets")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "rs") {
                continue;
            }
            for (number, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
                let imports = line.split("crate::").skip(1).filter_map(|rest| rest.split([':', ';']).next());
                for module in imports {
                    let at = format!("{}:{}", path.display(), number + 1);
                    assert!(["event", "time", "simulate"].contains(&module), "{at} imports {module}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 10);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_scenario_within_the_limits_runs_in_order(
        seed: u64, agents in 1u32..12, days in 0.01f64..2.0, rate in 0.1f64..60.0,
        share in 0.0f64..=1.0, strength in 0.0f64..=1.0, preset in prop::sample::select(Preset::ALL.to_vec()),
    ) {
        let scenario = Scenario {
            preset, agents, days, seed, sessions_per_day: rate, attack_share: share, strength, quiet_ms: 0,
            ..Scenario::default()
        };
        let end = scenario.end();
        let mut last = scenario.start;
        for s in Simulation::new(&scenario).unwrap() {
            prop_assert!(s.event.time >= last && s.event.time < end);
            prop_assert!(!s.truth.exposed || s.truth.label == Label::Attack);
            last = s.event.time;
        }
    }
}
