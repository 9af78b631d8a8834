//! `--source` as a person uses it: shipped mappings, mappings of one's own, and what is said of faults.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiltmeter"));
    let output = command.current_dir(folder).args(arguments).stdin(Stdio::null()).output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sources").join(name);
    path.to_str().unwrap().to_owned()
}

#[test]
fn check_shows_what_a_shipped_mapping_makes_of_its_example() {
    let shown = run(Path::new("."), &["check", "--source", "cloudtrail"]);
    assert_eq!(shown.code, 0, "{}", shown.out);
    let line = |field: &str| shown.out.lines().find(|line| line.trim_start().starts_with(field)).unwrap();
    assert!(line("agent_id ").contains("role/AgentCore-invoices"));
    assert!(line("agent_id ").ends_with("<- userIdentity.sessionContext.sessionIssuer.arn"));
    assert!(line("on_behalf_of ").ends_with("–  nothing in this record"));
    assert!(line("arguments.key ").contains("path ") && !line("arguments.key ").contains("2026"));
}

#[test]
fn check_tells_every_fault_of_a_mapping_and_ends_with_64_as_detect_does() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.toml"), "[fields]\ntime = 'at'\nagentid = 'who'\n[argument]\n")
        .unwrap();
    let faults = [
        "line 1: fields.agent_id is missing",
        "line 3: fields.agentid is unknown",
        "line 4: argument is unknown",
    ];
    for arguments in [["check", "--source", "m.toml"], ["detect", "--source", "m.toml"]] {
        let told = run(folder.path(), &arguments);
        assert_eq!(told.code, 64, "{arguments:?}");
        for fault in faults {
            assert!(
                told.out.contains(fault) || told.err.contains(fault),
                "{fault}: {}{}",
                told.out,
                told.err
            );
        }
    }
    let absent = run(folder.path(), &["detect", "--source", "other.toml"]);
    assert!(absent.code == 64 && absent.err.contains("cannot read the source mapping"), "{}", absent.err);
    let misspelt = run(folder.path(), &["detect", "--source", "cloudtrial"]);
    assert!(misspelt.err.contains("did you mean cloudtrail?"), "{}", misspelt.err);
}

#[test]
fn a_mapping_of_ones_own_is_checked_and_judged() {
    let (mapping, events) = (data("renamed.toml"), data("renamed.jsonl"));
    let checked = run(Path::new("."), &["check", "--source", &mapping, &events]);
    assert_eq!(checked.code, 0, "{}", checked.out);
    for told in
        ["of the record at line 1 it makes:", "<- {service}.{method}", "(constant)", "events: 3 of 3 lines"]
    {
        assert!(checked.out.contains(told), "{told} is missing in:\n{}", checked.out);
    }
    let judged = run(Path::new("."), &["detect", "--source", &mapping, &events]);
    assert!(judged.code == 0 && judged.err.contains("3 events in "), "{}", judged.err);
}

#[test]
fn records_in_an_envelope_become_events_and_the_bad_one_a_dead_letter_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let events = data("cloudtrail.json");
    let arguments = ["detect", "--source", "cloudtrail", "--dead-letters", "dead.jsonl", &events];
    let judged = run(folder.path(), &arguments);
    assert!(judged.code == 0 && judged.err.contains("11 events in "), "{}", judged.err);
    let dead = std::fs::read_to_string(folder.path().join("dead.jsonl")).unwrap();
    let letter: Value = serde_json::from_str(&dead).unwrap();
    assert_eq!((&letter["reason"], &letter["line"]), (&"missing_field".into(), &1.into()));
    let text = std::fs::read_to_string(&events).unwrap();
    let (from, length) = (letter["offset"].as_u64().unwrap(), letter["length"].as_u64().unwrap());
    let record = &text[usize::try_from(from).unwrap()..usize::try_from(from + length).unwrap()];
    let record: Value = serde_json::from_str(record).unwrap();
    assert_eq!(record["eventID"], "no-time");
}

#[test]
fn labels_of_foreign_records_are_evaluated_and_agents_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let records: String = (0..40)
        .map(|i| {
            let label = if i % 10 == 9 { "attack" } else { "normal" };
            format!(
                "{{\"at\":{},\"who\":\"bot-{}\",\"what\":\"read\",\"run\":\"r{i}\",\"label\":\"{label}\"}}\n",
                1_772_442_000_000_u64 + i * 60_000,
                i % 3
            )
        })
        .collect();
    std::fs::write(folder.path().join("records.jsonl"), records).unwrap();
    let mapping = "[fields]\ntime = { from = 'at', format = 'epoch_milliseconds' }\nagent_id = 'who'\n\
                   action = 'what'\nsession_id = 'run'\n";
    std::fs::write(folder.path().join("m.toml"), mapping).unwrap();
    let arguments = "evaluate --source m.toml --baseline records.jsonl --test records.jsonl --per-unit units.jsonl --json";
    let evaluated = run(folder.path(), &arguments.split_whitespace().collect::<Vec<_>>());
    assert_eq!(evaluated.code, 0, "{}", evaluated.err);
    let report: Value = serde_json::from_str(&evaluated.out).unwrap();
    assert_eq!((&report["units"], &report["positives"]), (&40.into(), &4.into()), "{report}");
    let units = std::fs::read_to_string(folder.path().join("units.jsonl")).unwrap();
    let first: Value = serde_json::from_str(units.lines().next().unwrap()).unwrap();
    assert_eq!((&first["agent_id"], &first["id"]), (&"bot-0".into(), &"r0".into()));
}
