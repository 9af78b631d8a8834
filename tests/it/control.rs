//! Control records over whole streams: their order, duplicates, saved states, threads, and the commands that write them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output as Ran};

use proptest::prelude::*;
use serde_json::{Value, json};
use tiltmeter::alert::{Alert, AlertState};
use tiltmeter::config::Config;
use tiltmeter::control::ControlRecord;
use tiltmeter::engine::unit::Position;
use tiltmeter::engine::{Engine, Output};
use tiltmeter::event::AuditEvent;
use tiltmeter::finding::Family;
use tiltmeter::risk::Level;
use tiltmeter::time::EventTime;
use tiltmeter::wire::{audit_event, control};

/// 2026-01-05, the first day of every scenario.
const FIRST_DAY: &str = "2026-01-05T00:00:00Z";
const LAST_DAY: &str = "2026-01-08T09:30:00Z";

fn record(value: Value) -> ControlRecord {
    let mut value = value;
    if value.get("time").is_none() {
        value["time"] = "2026-01-01T00:00:00Z".into();
    }
    control::decode(value.to_string().as_bytes()).unwrap()
}

fn engine() -> Engine {
    let config = "[registry]\nrequire = true\n[levels]\nobserve_first_days = 0\n";
    Engine::new(Config::parse(config, Path::new("")).unwrap().settings().unwrap())
}

/// The text of the events of a golden scenario.
fn scenario(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/scenarios").join(name);
    std::fs::read_to_string(folder.join("events.jsonl")).unwrap()
}

fn events(text: &str) -> Vec<(AuditEvent<'_>, Position)> {
    let decoded = text.lines().map(|line| audit_event::decode(line.as_bytes()).unwrap());
    decoded.zip(1..).map(|(event, line)| (event, Position { source: 0, line })).collect()
}

/// All that is said of a scenario when people have said something before it.
fn said(name: &str, records: &[Value]) -> (Engine, Vec<Output>) {
    said_of(&scenario(name), records)
}

/// The same of any events.
fn said_of(text: &str, records: &[Value]) -> (Engine, Vec<Output>) {
    let (mut engine, mut out) = (Engine::new(Config::default().settings().unwrap()), Vec::new());
    records.iter().for_each(|value| engine.control(&record(value.clone()), &mut out));
    for (event, position) in events(text) {
        engine.judge(&event, position, &mut out);
    }
    engine.finish(&mut out);
    (engine, out)
}

fn opened(out: &[Output]) -> Vec<&Alert> {
    out.iter().filter_map(Output::alert).filter(|alert| alert.state == AlertState::Opened).collect()
}

/// From the day of the case on.
fn in_the_case(kind: &str) -> Value {
    let mut value = json!({
        "kind": kind, "id": "x", "agent_id": "*", "from": "2026-01-08T00:00:00Z", "until": "2026-03-01T00:00:00Z",
    });
    if kind == "declared_change" {
        value["to_version"] = "2".into();
    }
    value
}

#[test]
fn during_maintenance_findings_are_recorded_and_no_level_rises() {
    let case = EventTime::parse("2026-01-08T00:00:00Z").unwrap();
    for name in
        ["access-attack", "sequence-attack", "provenance-attack", "frequency-attack", "failure-attack"]
    {
        let (_, plain) = said(name, &[]);
        assert!(!opened(&plain).is_empty(), "{name}");
        let (engine, quiet) = said(name, &[in_the_case("maintenance")]);
        let held: Vec<_> = quiet
            .iter()
            .filter_map(|o| if let Output::HeldBack(held) = o { Some(held) } else { None })
            .collect();
        let rises = |output: &Output| match output {
            Output::Risk(risk) => risk.as_of >= case && risk.level_uncapped > risk.previous_level,
            _ => false,
        };
        assert!(opened(&quiet).is_empty() && !quiet.iter().any(rises), "{name}: {quiet:?}");
        assert!(engine.held_back() >= held.len() as u64);
        let family = opened(&plain)[0].family;
        let is_recorded = held.iter().any(|held| held.family == family && held.because_of == "maintenance");
        assert!(is_recorded, "{name}: {held:?}");
    }
}

#[test]
fn maintenance_that_is_over_keeps_nothing_quiet() {
    let over = json!({
        "kind": "maintenance", "id": "m", "agent_id": "*", "from": "2026-01-01T00:00:00Z",
        "until": FIRST_DAY,
    });
    let (_, plain) = said("access-attack", &[]);
    let (engine, told) = said("access-attack", &[over]);
    assert_eq!(told, plain);
    assert_eq!(engine.held_back(), 0);
}

#[test]
fn a_suppression_keeps_quiet_what_it_names_and_nothing_else() {
    let suppression = |what: &str, kind: &str| {
        let mut value = json!({
            "kind": "suppression", "id": "s", "agent_id": "*", "owner": "bob", "reason": "known",
            "until": "2026-03-01T00:00:00Z",
        });
        value[what] = kind.into();
        value
    };
    let (_, plain) = said("access-attack", &[]);
    let alert = opened(&plain)[0].clone();
    let agent = |out: &[Output]| opened(out).iter().filter(|a| a.subject.id == alert.subject.id).count();
    let (_, out) = said("access-attack", &[suppression("risk_event_type", alert.risk_event_type.name())]);
    assert!(agent(&out) < agent(&plain), "{:?}", opened(&out));
    let (_, out) = said("access-attack", &[suppression("family", "loops")]);
    assert_eq!(out, plain);
}

#[test]
fn a_declared_release_raises_no_alert_and_hides_no_hijacking() {
    for name in ["access-attack", "sequence-attack", "frequency-attack"] {
        let (_, out) = said(name, &[in_the_case("declared_change")]);
        assert_eq!(opened(&out), Vec::<&Alert>::new(), "{name}");
        assert!(out.iter().any(|o| matches!(o, Output::Rebaselined(_))), "{name}");
    }
    let (_, out) = said("provenance-attack", &[in_the_case("declared_change")]);
    assert!(opened(&out).iter().any(|alert| alert.family == Family::CallContent), "{:?}", opened(&out));
}

/// The provenance attack, and right before the hijacked call what the new release does: it reads forty folders that nobody
/// ever read. That alone would be a worse finding than the hijacking.
fn hijacked_amid_a_release() -> String {
    let (_, told) = said("provenance-attack", &[]);
    let attack = opened(&told)[0].clone();
    let mut lines = String::new();
    for line in scenario("provenance-attack").lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let is_attack = event["agent_id"] == attack.subject.id && event["time"] == attack.time.to_string();
        for folder in (0..40).filter(|_| is_attack) {
            let read = json!({
                "time": attack.time.plus_ms(folder - 50).to_string(), "agent_id": event["agent_id"],
                "agent_type": event["agent_type"], "session_id": "release", "event_id": format!("r{folder}"),
                "agent_version": event["agent_version"], "action": event["action"],
                "resource": format!("release/{folder}"), "outcome": "ok",
            });
            lines += &format!("{read}\n");
        }
        lines += &format!("{line}\n");
    }
    lines
}

#[test]
fn who_hides_behind_a_release_is_told_of_all_the_same() {
    let text = hijacked_amid_a_release();
    let families = |records: &[Value]| -> Vec<Family> {
        let (_, out) = said_of(&text, records);
        opened(&out).iter().map(|alert| alert.family).collect()
    };
    assert!(
        families(&[]).contains(&Family::Novelty),
        "the release is the worse finding: {:?}",
        families(&[])
    );
    assert_eq!(families(&[in_the_case("declared_change")]), [Family::CallContent]);
    // What covers everything still covers this.
    assert_eq!(families(&[in_the_case("maintenance")]), []);
}

#[test]
fn an_agent_is_rebaselined_once_a_change_and_only_if_it_has_a_past() {
    let (_, out) = said("access-attack", &[in_the_case("declared_change")]);
    let case = EventTime::parse("2026-01-08T00:00:00Z").unwrap();
    let text = scenario("access-attack");
    let agents = |after: bool| -> BTreeSet<String> {
        let chosen = events(&text).into_iter().filter(|(event, _)| (event.time >= case) == after);
        chosen.map(|(event, _)| event.agent_id.to_string()).collect()
    };
    let expected: Vec<String> = agents(true).intersection(&agents(false)).cloned().collect();
    let mut told: Vec<String> = out
        .iter()
        .filter_map(|o| if let Output::Rebaselined(r) = o { Some(r.agent_id.clone()) } else { None })
        .collect();
    told.sort();
    assert_eq!(told, expected);
    assert!(!told.is_empty());
}

#[test]
fn two_changes_at_the_same_time_are_two_and_not_one_for_every_call() {
    let change = |id: &str, version: &str| {
        record(
            json!({"id": id, "by": "ann", "kind": "declared_change", "agent_id": "twin", "to_version": version,
            "from": "2026-01-08T00:00:00Z", "until": "2026-01-09T00:00:00Z", "reason": "both run side by side"}),
        )
    };
    let (mut engine, mut out) = (engine(), Vec::new());
    engine.control(&change("1", "2.0"), &mut out);
    engine.control(&change("2", "3.0"), &mut out);
    for second in 0..20 {
        let version = if second % 2 == 0 { "2.0" } else { "3.0" };
        let line = format!(
            r#"{{"time":"2026-01-08T09:00:{second:02}Z","agent_id":"twin","agent_type":"t","agent_version":"{version}","action":"read"}}"#
        );
        engine.judge(&audit_event::decode(line.as_bytes()).unwrap(), Position::default(), &mut out);
    }
    // The first call has no past to put behind it.
    assert_eq!(out.iter().filter(|o| matches!(o, Output::Rebaselined(_))).count(), 1);
}

#[test]
fn a_fact_of_the_registry_holds_its_level_and_says_why() {
    let text = scenario("registry-attack");
    let (mut engine, mut out) = (engine(), Vec::new());
    engine.control(&record(json!({ "kind": "registration", "agent_id": "ledger-0" })), &mut out);
    for (event, position) in events(&text) {
        engine.judge(&event, position, &mut out);
    }
    let risk = out.iter().find_map(|o| if let Output::Risk(risk) = o { Some(risk) } else { None }).unwrap();
    assert_eq!((risk.level, serde_json::to_value(risk.cause).unwrap()), (Level::Medium, "registry".into()));
    assert!(!risk.open_alerts.is_empty() && risk.score > 0.0 && risk.reasons[0].points == risk.score);
    // Every event of an unregistered agent is one; it is told once.
    let strangers = opened(&out).into_iter().filter(|alert| alert.subject.id == "mail-helper-4").count();
    assert_eq!(strangers, 1);
}

#[test]
fn who_registers_nobody_is_told_nothing_and_pays_nothing() {
    let text = scenario("registry-attack");
    let settings = |config: &str| Config::parse(config, Path::new("")).unwrap().settings().unwrap();
    let run = |config: &str| {
        let (mut engine, mut out) = (Engine::new(settings(config)), Vec::new());
        for (event, position) in events(&text) {
            engine.judge(&event, position, &mut out);
        }
        (out.len(), engine.save().unwrap())
    };
    let (none, without) = run("");
    let (required, with) = run("[registry]\nrequire = true\ndormant_days = 1\n");
    assert_eq!((none, required), (0, 0));
    // They differ in the hash of the configuration alone.
    assert_eq!(without.len(), with.len(), "nothing is remembered for a registry that is not in use");
}

#[test]
fn threads_change_nothing_about_control() {
    let text = scenario("registry-attack");
    let all = events(&text);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/scenarios/registry-attack");
    let records = control::read(&folder.join("control.jsonl")).unwrap();
    // Enough events that threads are worth their start.
    let many: Vec<_> = all
        .iter()
        .cycle()
        .take(all.len() * 8)
        .cloned()
        .enumerate()
        .map(|(n, (mut event, position))| {
            let round = (n / all.len()) as i64;
            event.agent_id = format!("{}{}", &*event.agent_id, round).into();
            (event, position)
        })
        .collect();
    let run = |threads| {
        let (mut engine, mut out) = (engine(), Vec::new());
        for (part, number) in many.chunks(many.len() / 3 + 1).zip(0..) {
            records.iter().skip(number * 2).for_each(|record| engine.control(record, &mut out));
            engine.judge_all(part, threads, &mut out);
        }
        engine.finish(&mut out);
        (engine.save().unwrap(), out)
    };
    let one = run(1);
    assert!(one.1.len() > 10, "too little is said");
    for threads in [2, 4] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

/// A record of any kind about one of a few agents or groups; its time is `second` seconds after the first.
fn any_record(second: u32) -> impl Strategy<Value = Value> {
    let whom = prop::sample::select(vec!["mail-helper-0", "mail-helper-1", "mail-*", "*"]);
    let kind =
        prop::sample::select(vec!["registration", "grant", "declared_change", "maintenance", "suppression"]);
    (whom, kind, 0..3u8, any::<bool>()).prop_map(move |(agent_id, kind, id, other)| {
        let own = match kind {
            "registration" => json!({
                "scope": { "actions": [if other { "read_*" } else { "*" }] }, "owner": "bob",
                "state": if other { "active" } else { "deprovisioned" },
            }),
            "grant" => json!({
                "scope": { "actions": [if other { "read_*" } else { "*" }] }, "from": FIRST_DAY, "until": LAST_DAY,
            }),
            "declared_change" => {
                json!({ "to_version": if other { "4" } else { "5" }, "from": FIRST_DAY, "until": LAST_DAY })
            }
            "maintenance" => json!({ "from": FIRST_DAY, "until": LAST_DAY }),
            _ => json!({ "family": "registry", "owner": "bob", "reason": "known", "until": LAST_DAY }),
        };
        let mut record = json!({
            "time": format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60), "by": "ann", "kind": kind,
            "id": format!("{agent_id}{id}"), "agent_id": agent_id,
        });
        record.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        record
    })
}

fn any_records() -> impl Strategy<Value = Vec<ControlRecord>> {
    (1..12u32).prop_flat_map(|count| {
        let records: Vec<_> = (0..count).map(any_record).collect();
        records.prop_map(|values| values.into_iter().map(record).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn records_may_come_twice_in_any_order_and_across_a_restart(
        (records, shuffled) in any_records().prop_flat_map(|records| {
            let twice: Vec<_> = records.iter().chain(&records).cloned().collect();
            (Just(records), Just(twice).prop_shuffle())
        }),
        cut in any::<prop::sample::Index>(),
    ) {
        let text = scenario("registry-attack");
        let events = events(&text);
        let settings = || Config::parse("[registry]\nrequire = true\n", Path::new("")).unwrap().settings().unwrap();
        let (mut straight, mut out) = (Engine::new(settings()), Vec::new());
        records.iter().for_each(|record| straight.control(record, &mut out));
        let mut other = Engine::new(settings());
        let cut = cut.index(shuffled.len());
        shuffled[..cut].iter().for_each(|record| other.control(record, &mut out));
        let mut other = Engine::restore(settings(), &other.save().unwrap()).unwrap();
        shuffled[cut..].iter().for_each(|record| other.control(record, &mut out));
        prop_assert!(out.is_empty());
        prop_assert!(straight.save().unwrap() == other.save().unwrap(), "{records:?}");
        // What was said before is said again in between; the second engine is saved and restored half-way.
        let mut both = (Vec::new(), Vec::new());
        for (number, (event, position)) in events.iter().enumerate() {
            straight.judge(event, *position, &mut both.0);
            if number == events.len() / 2 {
                other = Engine::restore(settings(), &other.save().unwrap()).unwrap();
                shuffled.iter().for_each(|record| other.control(record, &mut both.1));
            }
            other.judge(event, *position, &mut both.1);
        }
        straight.finish(&mut both.0);
        other.finish(&mut both.1);
        prop_assert!(both.0 == both.1);
        prop_assert!(straight.save().unwrap() == other.save().unwrap());
    }
}

fn tiltmeter(folder: &Path, arguments: &[&str]) -> Ran {
    Command::new(env!("CARGO_BIN_EXE_tiltmeter")).current_dir(folder).args(arguments).output().unwrap()
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    String::from_utf8_lossy(bytes).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_the_commands_write_is_what_detect_reads() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let ran = tiltmeter(folder.path(), arguments);
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        ran
    };
    let said = ["--by", "ann", "--time", "2026-01-01T00:00:00Z", "--to", "control.jsonl"];
    let say = |arguments: &[&str]| run(&[arguments, &said].concat());
    say(&[
        "registry",
        "add",
        "mail-helper-*",
        "--owner",
        "mail-team",
        "--action",
        "read_mail",
        "--action",
        "send_mail",
    ]);
    say(&["registry", "add", "mail-helper-9", "--owner", "old-team", "--network", "10.0.0.0/8"]);
    let later = ["--by", "ann", "--time", "2026-01-02T00:00:00Z", "--to", "control.jsonl"];
    run(&[&["registry", "deprovision", "mail-helper-9", "--control", "control.jsonl"][..], &later].concat());
    run(&[
        "verdict",
        "mail-helper-9",
        "dismiss",
        "--by",
        "ann",
        "--reason",
        "seen",
        "--time",
        "2026-01-08T11:00:00Z",
        "--to",
        "control.jsonl",
    ]);
    let shown = lines(&run(&["registry", "show", "--control", "control.jsonl", "mail-helper-9"]).stdout);
    assert_eq!(shown.len(), 2);
    let old = shown.iter().find(|record| record["agent_id"] == "mail-helper-9").unwrap();
    assert_eq!((&old["state"], &old["owner"]), (&"deprovisioned".into(), &"old-team".into()));

    std::fs::write(folder.path().join("events.jsonl"), scenario("registry-attack")).unwrap();
    let ran = run(&["detect", "--control", "control.jsonl", "events.jsonl"]);
    let out = lines(&ran.stdout);
    let kinds: BTreeSet<_> = out.iter().filter_map(|line| line["risk_event_type"].as_str()).collect();
    assert_eq!(kinds, ["configurationDrift", "deprovisionedAgent", "outOfScopeAccess"].into());
    let verdict = out.iter().find(|line| line["schema"] == "tiltmeter.verdict.v1").unwrap();
    assert_eq!((&verdict["known"], &verdict["previous_level"]), (&true.into(), &"high".into()));
    let threaded = run(&["detect", "--threads", "3", "--control", "control.jsonl", "events.jsonl"]);
    assert!(threaded.stdout == ran.stdout);

    let written = lines(&run(&["verdict", "a", "accept", "--by", "ann"]).stdout);
    assert_eq!((&written[0]["kind"], &written[0]["verdict"]), (&"verdict".into(), &"accept".into()));
}

#[test]
fn wrong_records_are_told_before_anything_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.jsonl"), scenario("registry-attack")).unwrap();
    let wrong = "{\"time\":\"2026-01-01T00:00:00Z\",\"kind\":\"promotion\"}\n";
    std::fs::write(folder.path().join("control.jsonl"), wrong).unwrap();
    let ran = tiltmeter(folder.path(), &["detect", "--control", "control.jsonl", "events.jsonl"]);
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(64));
    assert!(ran.stdout.is_empty() && told.contains("line 1") && told.contains("promotion"), "{told}");
    let ran = tiltmeter(folder.path(), &["registry", "add", "", "--by", "ann"]);
    assert_eq!(ran.status.code(), Some(64), "{}", String::from_utf8_lossy(&ran.stderr));
}
