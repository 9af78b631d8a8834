//! The commands as a person runs them: output, messages and exit codes of the built binary.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

fn tiltmeter(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiltmeter"));
    command.current_dir(folder).args(arguments).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn run(folder: &Path, arguments: &[&str]) -> Ran {
    ran(tiltmeter(folder, arguments).output().unwrap())
}

fn run_with_input(folder: &Path, arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = tiltmeter(folder, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feeding = std::thread::spawn(move || _ = stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    ran(output)
}

/// Events of a simulated fleet, many of whose sessions are hijacked on the last day.
fn fleet() -> &'static str {
    static EVENTS: OnceLock<String> = OnceLock::new();
    EVENTS.get_or_init(|| {
        let options = "simulate --days 3 --agents 30 --attacks hijacked-goal --attack-share 0.2 --strength 1 \
                       --quiet-until 2d --no-labels";
        let simulated = run(Path::new("."), &options.split_whitespace().collect::<Vec<_>>());
        assert_eq!(simulated.code, 0, "{}", simulated.err);
        simulated.out
    })
}

fn alerts(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn alerts_name_the_lines_they_rest_on_and_can_be_explained() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.jsonl"), fleet()).unwrap();
    let detected = run(folder.path(), &["detect", "events.jsonl"]);
    assert_eq!(detected.code, 0, "{}", detected.err);
    let mut found = alerts(&detected.out);
    found.retain(|message| message["schema"] == tiltmeter::alert::SCHEMA);
    let first = found.first().expect("no alert in a fleet full of attacks");
    assert_eq!(first["state"], "opened");
    let lines: Vec<&str> = fleet().lines().collect();
    for evidence in found.iter().flat_map(|alert| alert["evidence"].as_array().unwrap()) {
        let line = usize::try_from(evidence["line"].as_u64().unwrap()).unwrap();
        let event: Value = serde_json::from_str(lines[line - 1]).unwrap();
        assert_eq!((&event["event_id"], &event["action"]), (&evidence["event_id"], &evidence["action"]));
    }
    let opened = found.iter().filter(|alert| alert["state"] == "opened").count();
    assert!(detected.err.contains(&format!("{opened} alert")), "{}", detected.err);
    assert!(detected.err.contains("30 agents of "), "{}", detected.err);
    assert!(detected.err.contains("identity hash without a key"), "{}", detected.err);

    let id = first["alert_id"].as_str().unwrap();
    std::fs::write(folder.path().join("alerts.jsonl"), &detected.out).unwrap();
    let explained = run(folder.path(), &["explain", "--alert", &id[..8], "alerts.jsonl"]);
    assert_eq!(explained.code, 0, "{}", explained.err);
    assert!(explained.out.starts_with(&format!("Alert {id}\n")), "{}", explained.out);
    assert!(
        explained.out.contains(&format!("(line {} of input 0", first["evidence"][0]["line"])),
        "{}",
        explained.out
    );
    assert!(!explained.out.contains('\u{1b}'));
    assert!(explained.out.lines().all(|line| line.chars().count() <= 100), "{}", explained.out);
    let piped = run_with_input(folder.path(), &["explain"], detected.out.as_bytes());
    assert!(piped.out.contains(&explained.out));
    assert_eq!(piped.out.lines().filter(|line| line.starts_with("Alert ")).count(), opened);
}

#[test]
fn files_standard_input_and_compressed_files_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let events = fleet();
    std::fs::write(folder.path().join("events.jsonl"), events).unwrap();
    let packed = zstd::encode_all(events.as_bytes(), 0).unwrap();
    std::fs::write(folder.path().join("events.jsonl.zst"), packed).unwrap();
    let plain = run(folder.path(), &["detect", "events.jsonl"]).out;
    assert!(!plain.is_empty());
    assert_eq!(run(folder.path(), &["detect", "events.jsonl.zst"]).out, plain);
    assert_eq!(run_with_input(folder.path(), &["detect"], events.as_bytes()).out, plain);
    assert_eq!(run_with_input(folder.path(), &["detect", "-"], events.as_bytes()).out, plain);
}

#[test]
fn what_is_no_event_is_counted_kept_and_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let input = "nonsense\n{\"time\":\"2026-03-01T00:00:00Z\",\"agent_id\":\"a\",\"action\":\"b\"}\n{}\n";
    let counted = run_with_input(folder.path(), &["detect"], input.as_bytes());
    assert_eq!(counted.code, 0);
    assert!(counted.err.contains("2 lines could not be used: not_json 1, missing_field 1; --dead-letters"));
    let kept = run_with_input(folder.path(), &["detect", "--dead-letters", "dead.jsonl"], input.as_bytes());
    assert_eq!(kept.code, 0);
    let letters = alerts(&std::fs::read_to_string(folder.path().join("dead.jsonl")).unwrap());
    assert_eq!(letters.iter().map(|l| l["line"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn dead_letters_never_overwrite_an_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    std::fs::write(&path, "nonsense\n").unwrap();
    let refused = run(folder.path(), &["detect", "--dead-letters", "./events.jsonl", "events.jsonl"]);
    assert_eq!(refused.code, 64);
    assert!(refused.err.contains("name another file"), "{}", refused.err);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "nonsense\n");
}

#[test]
fn a_missing_file_and_a_bad_configuration_end_with_64() {
    let folder = tempfile::tempdir().unwrap();
    let missing = run(folder.path(), &["detect", "nowhere.jsonl"]);
    assert_eq!((missing.code, missing.out.as_str()), (64, ""));
    assert!(
        missing.err.contains("nowhere.jsonl") && missing.err.matches("os error").count() == 1,
        "{}",
        missing.err
    );
    std::fs::write(folder.path().join("bad.toml"), "[alerts]\nper_day = 0\nper_dya = 1\n").unwrap();
    let bad = run(folder.path(), &["detect", "--config", "bad.toml"]);
    assert_eq!(bad.code, 64);
    assert!(bad.err.contains("line 2: [alerts] per_day = 0") && bad.err.contains("line 3:"), "{}", bad.err);
}

#[test]
fn a_file_that_breaks_off_does_not_keep_the_others_from_being_judged() {
    let folder = tempfile::tempdir().unwrap();
    let packed = zstd::encode_all(fleet().as_bytes(), 0).unwrap();
    std::fs::write(folder.path().join("cut.zst"), &packed[..packed.len() / 2]).unwrap();
    std::fs::write(folder.path().join("whole.jsonl"), fleet()).unwrap();
    let ran = run(folder.path(), &["detect", "cut.zst", "whole.jsonl"]);
    assert_eq!(ran.code, 64);
    assert!(!ran.out.is_empty(), "{}", ran.err);
    assert!(ran.err.contains("cut.zst") && ran.err.contains("not all of the input was read"), "{}", ran.err);
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.jsonl"), fleet()).unwrap();
    let mut child = tiltmeter(folder.path(), &["detect", "events.jsonl"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = ran(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(ended.err.lines().count(), 1, "only the note on the key: {}", ended.err);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_with_74_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.jsonl"), fleet()).unwrap();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let ended = tiltmeter(folder.path(), &["detect", "events.jsonl"]).stdout(full).output().unwrap();
    assert_eq!(ended.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("free space"));
    let ended = tiltmeter(folder.path(), &["detect", "--dead-letters", "/dev/full", "/dev/stdin"])
        .stdin(std::fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap())
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(74), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn an_alert_that_is_not_there_is_answered_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let found = run_with_input(folder.path(), &["detect"], fleet().as_bytes()).out;
    let of_alerts = |message: &&Value| message["schema"] == tiltmeter::alert::SCHEMA;
    let id = alerts(&found).iter().find(of_alerts).unwrap()["alert_id"].as_str().unwrap().to_owned();
    let wrong = format!("{}zz", &id[..6]);
    let asked = run_with_input(folder.path(), &["explain", "--alert", &wrong], found.as_bytes());
    assert_eq!((asked.code, asked.out.as_str()), (64, ""));
    assert!(asked.err.contains(&id) && asked.err.contains(" among "), "{}", asked.err);
    let none = run_with_input(folder.path(), &["explain", "--alert", "ab"], b"");
    assert!(none.code == 64 && none.err.contains("the input holds no alerts"), "{}", none.err);
    let empty = run_with_input(folder.path(), &["explain"], b"");
    assert!(empty.code == 0 && empty.err.contains("there are no alerts in stdin"), "{}", empty.err);
    let events = run_with_input(folder.path(), &["explain"], fleet().as_bytes());
    assert!(events.code == 64 && events.err.contains("stdin, line 1, is no alert"), "{}", events.err);
}

#[test]
fn check_tells_every_fault_and_what_the_detectors_would_miss() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.jsonl"), fleet()).unwrap();
    let fine = run(folder.path(), &["check", "events.jsonl"]);
    assert_eq!(fine.code, 0, "{}", fine.out);
    assert!(fine.out.contains("configuration ") && fine.out.contains("resource in all "), "{}", fine.out);

    std::fs::write(folder.path().join("bad.toml"), "[alerts]\nper_day = 0\n[agnets]\n").unwrap();
    let bare = "{\"time\":\"2026-03-01T00:00:00Z\",\"agent_id\":\"a\",\"action\":\"b\",\"arguments\":[{\"name\":\"x\"}]}\n{}\nx\n";
    std::fs::write(folder.path().join("bare.jsonl"), bare).unwrap();
    let bad = run(folder.path(), &["check", "--config", "bad.toml", "bare.jsonl"]);
    assert_eq!(bad.code, 64);
    for told in [
        "line 2: [alerts] per_day = 0",
        "did you mean [agents]?",
        "bare.jsonl:2: missing_field",
        "bare.jsonl:3: not_json",
        "events: 1 of 3 lines can be used",
        "no session_id: such sequences are judged by hour",
        "no origin: tier none",
    ] {
        assert!(bad.out.contains(told), "{told} is missing in:\n{}", bad.out);
    }
    assert_eq!(run(folder.path(), &["check"]).code, 0);
}

#[test]
fn check_tells_rules_and_what_a_fleet_needs() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[[rules]]\nname = \"decoys\"\nhoneytoken = \"secrets/decoy-*\"\n";
    std::fs::write(folder.path().join("rules.toml"), config).unwrap();
    let fine =
        run(folder.path(), &["check", "--config", "rules.toml", "--agents", "2000000", "--rate", "1000"]);
    assert_eq!(fine.code, 0, "{}{}", fine.out, fine.err);
    for told in [
        "rule honeytoken \"decoys\" high: resource glob [\"secrets/decoy-*\"]",
        "measured on this machine just now",
        "[agents] max = 1000000 keeps no more at once",
        "estimate for 1,000 events/s",
        "what limits: ",
    ] {
        assert!(fine.out.contains(told), "{told} is missing in:\n{}", fine.out);
    }
    assert_ne!(run(folder.path(), &["check", "--agents", "0"]).code, 0);
}

#[test]
fn transcripts_are_judged_and_leave_no_content_behind() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("id.key"), "000102030405060708090a0b0c0d0e0f").unwrap();
    std::fs::write(folder.path().join("t.toml"), "agents.identity_key_file = \"id.key\"").unwrap();
    let talk = |to: &str| {
        format!(
            "{{\"agent_id\":\"mail-1\",\"started\":\"2026-03-01T00:00:00Z\",\"messages\":[\
             {{\"role\":\"user\",\"content\":\"write to {to}\"}},\
             {{\"role\":\"assistant\",\"tool_calls\":[{{\"id\":\"1\",\"function\":{{\"name\":\"send\",\
             \"arguments\":{{\"to\":\"{to}\"}}}}}}]}}]}}\n"
        )
    };
    let input = format!("{}{{\"secret\": \"swordfish\"}}\n{}", talk("a@b.example"), talk("c@d.example"));
    let arguments =
        ["detect", "--config", "t.toml", "--source", "transcript", "--dead-letters", "dead.jsonl"];
    let judged = run_with_input(folder.path(), &arguments, input.as_bytes());
    assert_eq!(judged.code, 0, "{}", judged.err);
    assert!(judged.err.contains("2 events in ") && judged.err.contains("missing_field 1"), "{}", judged.err);
    assert!(!judged.err.contains("key"), "{}", judged.err);
    let dead = std::fs::read_to_string(folder.path().join("dead.jsonl")).unwrap();
    let letter = &alerts(&dead)[0];
    assert_eq!((&letter["line"], &letter["data"], &letter["length"]), (&2.into(), &"".into(), &23.into()));
    assert!(!dead.contains("swordfish"));
    let checked = run_with_input(folder.path(), &["check", "--source", "transcript", "-"], input.as_bytes());
    assert_eq!(checked.code, 64);
    assert!(
        checked.out.contains("stdin:2: missing_field") && checked.out.contains("origin in all 2"),
        "{}",
        checked.out
    );
}
