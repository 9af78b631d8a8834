//! What is written besides alerts, and what people write: schemas, examples, and a fleet on a bad day that is held to
//! them.
//!
//! Knows the schemas and the simulated fleet. Must not know how anything is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;
use tiltmeter::config::Config;
use tiltmeter::control::Control;
use tiltmeter::engine::unit::Position;
use tiltmeter::engine::{Engine, Output};
use tiltmeter::event::AuditEvent;
use tiltmeter::finding::{Family, RiskEventType};
use tiltmeter::risk::{Decision, Verdict};
use tiltmeter::simulate::{Scenario, Simulation};
use tiltmeter::time::DAY_MS;
use tiltmeter::wire::audit_event::decode;
use tiltmeter::wire::{control, verdict};

/// Schemas with examples that this file tests.
const SCHEMAS: [&str; 8] = [
    "agent-risk",
    "verdict",
    "verdict-record",
    "alert-digest",
    "eviction",
    "agent-control",
    "held-back",
    "rebaselined",
];

/// The schema of each output, by the name that it carries.
const WRITTEN: [(&str, &str); 7] = [
    ("tiltmeter.agent-alert.v1", "agent-alerts"),
    ("tiltmeter.agent-risk.v1", "agent-risk"),
    ("tiltmeter.verdict.v1", "verdict-record"),
    ("tiltmeter.alert-digest.v1", "alert-digest"),
    ("tiltmeter.eviction.v1", "eviction"),
    ("tiltmeter.held-back.v1", "held-back"),
    ("tiltmeter.rebaselined.v1", "rebaselined"),
];

/// A decoy that all agents touch at once is what makes the storm; tables this small make the evictions.
const BAD_DAY: &str =
    "[agents]\nmax = 64\n\n[[rules]]\nname = \"decoys\"\nhoneytoken = [\"secrets/decoy\"]\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

fn text_of(name: &str) -> Value {
    let text = std::fs::read_to_string(folder().join(format!("{name}.v1.schema.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn schema(name: &str) -> Validator {
    jsonschema::validator_for(&text_of(name)).unwrap()
}

/// Every example of a schema: its name without ending, and its one line.
fn examples(name: &str) -> Vec<(String, String)> {
    let files = std::fs::read_dir(folder().join("examples").join(name)).unwrap();
    let mut all: Vec<_> = files
        .map(|file| {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), text)
        })
        .collect();
    all.sort();
    all
}

/// The reason for which an example's name says that it is refused; none for a valid one.
fn stated(name: &str) -> Option<&str> {
    name.strip_prefix("invalid-").map(|rest| rest.split('-').next().unwrap())
}

/// Why the schema refuses a value.
fn refused_for(schema: &Validator, value: &Value) -> BTreeSet<&'static str> {
    let reason = |kind: &Kind| match kind {
        Kind::Required { .. } => "missing_field",
        Kind::AdditionalProperties { .. } => "unknown_field",
        Kind::Type { .. } => "wrong_type",
        Kind::MinLength { .. } => "empty_field",
        Kind::Minimum { .. } | Kind::Maximum { .. } => "out_of_range",
        Kind::Enum { .. } | Kind::Constant { .. } | Kind::Pattern { .. } => "invalid_value",
        other => panic!("a fault of a kind that no example has: {other:?}"),
    };
    schema.iter_errors(value).map(|fault| reason(&fault.kind)).collect()
}

#[test]
fn every_example_is_accepted_or_refused_for_the_reason_its_name_states() {
    for name in SCHEMAS {
        let (schema, examples) = (schema(name), examples(name));
        for (example, line) in &examples {
            let value: Value = serde_json::from_str(line).unwrap();
            assert_eq!(
                refused_for(&schema, &value),
                BTreeSet::from_iter(stated(example)),
                "{name}/{example}"
            );
        }
        let valid = examples.iter().filter(|(example, _)| stated(example).is_none()).count();
        assert!(valid >= 1 && examples.len() - valid >= 3, "{name} has too few examples");
    }
}

#[test]
fn the_reader_of_verdicts_agrees_with_their_schema() {
    for (example, line) in examples("verdict") {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(line.as_bytes()).unwrap();
        let read = verdict::read(file.path());
        assert_eq!(read.is_ok(), stated(&example).is_none(), "{example}: {read:?}");
    }
}

#[test]
fn the_reader_of_control_records_agrees_with_their_schema() {
    let mut kinds = BTreeSet::new();
    for (example, line) in examples("agent-control") {
        let read = control::decode(line.trim_end().as_bytes());
        let refused_for = read.as_ref().err().map(|refusal| refusal.reason.label());
        // The reader has no reason of its own for it.
        let stated = stated(&example).map(|reason| reason.replace("unknown_field", "invalid_value"));
        assert_eq!(refused_for, stated.as_deref(), "{example}: {read:?}");
        kinds.extend(read.map(|record| record.kind.name()));
    }
    assert_eq!(kinds, Control::NAMES.into(), "an example of each kind");
    let schema = text_of("agent-control");
    assert_eq!(schema["properties"]["kind"]["enum"], serde_json::json!(Control::NAMES));
    for name in ["agent-control", "held-back"] {
        let schema = text_of(name);
        // What is said of types cannot be held back of agents.
        let families = Family::TOLD.map(Family::name).into_iter().filter(|name| *name != "fleet");
        let families: Vec<_> = families.collect();
        assert_eq!(schema["properties"]["family"]["enum"], serde_json::json!(families));
        let kinds = RiskEventType::ALL.map(RiskEventType::name).into_iter();
        let kinds: Vec<_> = kinds.filter(|name| *name != "fleetShift").collect();
        assert_eq!(schema["properties"]["risk_event_type"]["enum"], serde_json::json!(kinds));
    }
}

#[test]
fn every_field_of_a_schema_is_described() {
    fn undescribed(at: &str, value: &Value, found: &mut Vec<String>) {
        let Value::Object(map) = value else { return };
        for (key, value) in map {
            if let ("properties", Value::Object(fields)) = (key.as_str(), value) {
                let bare = fields.iter().filter(|(_, field)| field.get("description").is_none());
                found.extend(bare.map(|(field, _)| format!("{at}/{field}")));
            }
            undescribed(&format!("{at}/{key}"), value, found);
        }
    }
    let mut found = Vec::new();
    for name in SCHEMAS {
        undescribed(name, &text_of(name), &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
}

/// An attacked fleet; on its last day everybody touches a decoy within one minute.
fn bad_days() -> Vec<AuditEvent<'static>> {
    let scenario = Scenario {
        agents: 60,
        days: 3.0,
        attack_share: 0.03,
        strength: 1.0,
        quiet_ms: DAY_MS,
        seed: 11,
        ..Scenario::default()
    };
    let mut events: Vec<_> = Simulation::new(&scenario).unwrap().map(|simulated| simulated.event).collect();
    let last = events.last().unwrap().clone();
    events.extend((0..150).map(|number| AuditEvent {
        agent_id: format!("curious-{number}").into(),
        agent_type: Some("curious".into()),
        tenant: (number % 2 == 0).then(|| "acme".into()),
        time: last.time.plus_ms(300 * number),
        event_id: None,
        resource: Some("secrets/decoy".into()),
        ..last.clone()
    }));
    events
}

/// All that is said of the events, with each kind of verdict on the first four agents that are in trouble and on one
/// that nobody knows.
fn said(events: &[AuditEvent<'_>]) -> Vec<Output> {
    let config = Config::parse(BAD_DAY, Path::new("")).unwrap();
    let (mut engine, mut out) = (Engine::new(config.settings().unwrap()), Vec::new());
    let decisions =
        [Decision::ConfirmCompromised, Decision::ConfirmSafe, Decision::Dismiss, Decision::Accept];
    let (first, last) = (&events[0], &events[events.len() - 1]);
    for record in [
        serde_json::json!({
            "kind": "declared_change", "id": "c", "agent_id": "*", "tenant": "*",
            "to_version": last.agent_version.as_deref().unwrap_or("2"),
            "from": last.time.plus_ms(-DAY_MS / 12), "until": "2100-01-01T00:00:00Z",
        }),
        serde_json::json!({
            "kind": "maintenance", "id": "m", "agent_id": "curious-149", "tenant": "*",
            "from": "2000-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z",
        }),
    ] {
        let mut record = record;
        record["time"] = serde_json::to_value(first.time).unwrap();
        engine.control(&control::decode(record.to_string().as_bytes()).unwrap(), &mut out);
    }
    let mut left = decisions.iter();
    let mut decided = BTreeSet::new();
    for (event, line) in events.iter().zip(1..) {
        let from = out.len();
        engine.judge(event, Position { source: 0, line }, &mut out);
        let opened: Vec<_> = out[from..].iter().filter_map(Output::alert).cloned().collect();
        for alert in opened {
            let (true, Some(decision)) = (decided.insert(alert.subject.id.clone()), left.next()) else {
                continue;
            };
            for agent_id in [alert.subject.id, "nobody".to_owned()] {
                let (time, tenant, by) = (event.time, alert.tenant.clone(), "ann".to_owned());
                let reason = "looked at it".to_owned();
                engine.verdict(&Verdict { time, agent_id, tenant, verdict: *decision, by, reason }, &mut out);
            }
        }
    }
    engine.finish(&mut out);
    assert!(left.next().is_none(), "not every verdict was given");
    out
}

/// Holds values to the schemas that they name; returns how many there were of each.
fn held_to_their_schemas(values: impl IntoIterator<Item = Value>) -> BTreeMap<&'static str, usize> {
    let schemas = WRITTEN.map(|(id, file)| (id, file, schema(file)));
    let mut counts = BTreeMap::new();
    for value in values {
        let (_, file, schema) = schemas.iter().find(|(id, ..)| value["schema"] == *id).expect("a schema");
        let faults: Vec<_> =
            schema.iter_errors(&value).map(|fault| format!("{}: {fault}", fault.instance_path)).collect();
        assert!(faults.is_empty(), "{file}: {}\n{value:#}", faults.join("\n"));
        *counts.entry(*file).or_default() += 1;
    }
    counts
}

#[test]
fn everything_said_of_a_fleet_on_a_bad_day_follows_its_schema() {
    let out = said(&bad_days());
    let counts = held_to_their_schemas(out.iter().map(|output| serde_json::to_value(output).unwrap()));
    for (_, file) in WRITTEN {
        assert!(counts.contains_key(file), "nothing of {file} was said: {counts:?}");
    }
    assert!(counts["alert-digest"] >= 2, "at the first and at the hundredth: {counts:?}");
}

#[test]
fn everything_said_of_the_golden_scenarios_follows_its_schema() {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/scenarios");
    let mut kinds = BTreeSet::new();
    for scenario in std::fs::read_dir(scenarios).unwrap() {
        let text = std::fs::read_to_string(scenario.unwrap().path().join("events.jsonl")).unwrap();
        let config = Config::parse(&super::scenarios::rules::examples(), Path::new("")).unwrap();
        let (mut engine, mut out) = (Engine::new(config.settings().unwrap()), Vec::new());
        for (line, number) in text.lines().zip(1..) {
            let event = decode(line.as_bytes()).unwrap();
            engine.judge(&event, Position { source: 0, line: number }, &mut out);
        }
        engine.finish(&mut out);
        kinds.extend(out.iter().filter_map(Output::alert).map(|alert| alert.risk_event_type.name()));
        held_to_their_schemas(out.iter().map(|output| serde_json::to_value(output).unwrap()));
    }
    for kind in ["silence", "requestSpike", "failedAccessAttempt", "honeytokenAccess"] {
        assert!(kinds.contains(kind), "no alert of {kind}: {kinds:?}");
    }
}
