//! A call goes on where the one before it ended; any number of threads writes the same bytes.

use std::path::Path;
use std::process::Command;

use tiltmeter::simulate::{Scenario, Simulation};
use tiltmeter::time::DAY_MS;

fn events() -> Vec<String> {
    let scenario = Scenario {
        agents: 40,
        days: 3.0,
        attack_share: 0.04,
        strength: 1.0,
        quiet_ms: DAY_MS,
        seed: 5,
        ..Scenario::default()
    };
    let lines =
        Simulation::new(&scenario).unwrap().map(|simulated| serde_json::to_string(&simulated.event).unwrap());
    lines.collect()
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

fn detect(folder: &Path, arguments: &[&str]) -> Said {
    let ran = Command::new(env!("CARGO_BIN_EXE_tiltmeter"))
        .current_dir(folder)
        .arg("detect")
        .args(arguments)
        .output()
        .unwrap();
    Said {
        code: ran.status.code().unwrap_or(-1),
        out: String::from_utf8(ran.stdout).unwrap(),
        err: String::from_utf8(ran.stderr).unwrap(),
    }
}

fn folder(events: &[String], cut: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, lines: &[String]| {
        std::fs::write(folder.path().join(name), lines.join("\n") + "\n").unwrap();
    };
    write("all.jsonl", events);
    write("first.jsonl", &events[..cut]);
    write("second.jsonl", &events[cut..]);
    // A key, so that ids do not depend on the state.
    std::fs::write(folder.path().join("key"), "000102030405060708090a0b0c0d0e0f").unwrap();
    std::fs::write(folder.path().join("c.toml"), "[agents]\nidentity_key_file = \"key\"\n").unwrap();
    folder
}

/// Without the places of events: the second file counts its lines from 1.
fn without_lines(out: &str) -> Vec<String> {
    let number = regex::Regex::new(r#""line":\d+"#).unwrap();
    out.lines().map(|line| number.replace_all(line, "").into_owned()).collect()
}

#[test]
fn two_calls_with_a_state_say_what_one_says() {
    let events = events();
    let folder = folder(&events, events.len() * 2 / 3);
    let straight = detect(folder.path(), &["-c", "c.toml", "--state", "one.state", "all.jsonl"]);
    assert_eq!(straight.code, 0, "{}", straight.err);
    let first = detect(folder.path(), &["-c", "c.toml", "--state", "two.state", "first.jsonl"]);
    let second =
        detect(folder.path(), &["-c", "c.toml", "--state", "two.state", "--threads", "2", "second.jsonl"]);
    assert_eq!((first.code, second.code), (0, 0), "{}{}", first.err, second.err);
    assert!(first.out.lines().count() > 3 && second.out.lines().count() > 3, "too little is said");
    let both = format!("{}{}", first.out, second.out);
    assert_eq!(without_lines(&straight.out), without_lines(&both));
}

#[test]
fn threads_write_the_same_bytes() {
    let events = events();
    let folder = folder(&events, 0);
    let one = detect(folder.path(), &["all.jsonl"]);
    for threads in ["2", "4"] {
        let many = detect(folder.path(), &["--threads", threads, "all.jsonl"]);
        assert!(one.out == many.out, "{threads} threads: {}", many.err);
    }
}

#[test]
fn broken_lines_are_dead_letters_on_any_number_of_threads() {
    let mut events = events();
    events.truncate(2000);
    for place in [7, 900, 1999] {
        events[place] = "{\"agent_id\":".to_owned();
    }
    let folder = folder(&events, 0);
    let letters = |threads: &str| {
        let said =
            detect(folder.path(), &["--threads", threads, "--dead-letters", "dead.jsonl", "all.jsonl"]);
        assert!(said.err.contains("3 lines could not be used"), "{}", said.err);
        std::fs::read_to_string(folder.path().join("dead.jsonl")).unwrap()
    };
    assert_eq!(letters("1"), letters("3"));
}

#[test]
fn a_state_without_a_key_has_one_of_its_own_and_is_private() {
    let events = events();
    let folder = folder(&events, 500);
    let said = detect(folder.path(), &["--state", "s", "first.jsonl"]);
    assert!(said.code == 0 && !said.err.contains("identity hash without a key"), "{}", said.err);
    let again = detect(folder.path(), &["--state", "s", "second.jsonl"]);
    assert_eq!(again.code, 0, "{}", again.err);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join("s")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let other = detect(folder.path(), &["-c", "c.toml", "--state", "s", "second.jsonl"]);
    assert!(other.code == 64 && other.err.contains("another key"), "{} {}", other.code, other.err);
}

#[test]
fn a_state_that_is_none_is_refused_before_anything_is_judged() {
    let events = events();
    let folder = folder(&events, 100);
    std::fs::write(folder.path().join("s"), "something else").unwrap();
    let said = detect(folder.path(), &["--state", "s", "first.jsonl"]);
    assert!(
        said.code == 64 && said.out.is_empty() && said.err.contains("is no state of tiltmeter"),
        "{}",
        said.err
    );
    assert_eq!(std::fs::read_to_string(folder.path().join("s")).unwrap(), "something else");
}

#[test]
fn verdicts_are_taken_from_a_file_and_recorded() {
    let events = events();
    let folder = folder(&events, 0);
    let plain = detect(folder.path(), &["all.jsonl"]);
    let alert: serde_json::Value = {
        let line = plain.out.lines().find(|line| line.contains("tiltmeter.agent-alert.v1")).unwrap();
        serde_json::from_str(line).unwrap()
    };
    let verdict = serde_json::json!({
        "time": alert["time"], "agent_id": alert["subject"]["id"], "verdict": "confirm_safe", "by": "ann",
    });
    std::fs::write(folder.path().join("verdicts.jsonl"), format!("{verdict}\n")).unwrap();
    let said = detect(folder.path(), &["--verdicts", "verdicts.jsonl", "all.jsonl"]);
    let records: Vec<_> = said.out.lines().filter(|line| line.contains("tiltmeter.verdict.v1")).collect();
    assert!(records.len() == 1 && records[0].contains("confirm_safe"), "{records:?}");
    let threaded = detect(folder.path(), &["--threads", "2", "--verdicts", "verdicts.jsonl", "all.jsonl"]);
    assert!(threaded.out == said.out);
}

/// A state of format 1 as the first version wrote it. `UPDATE_EXPECT=1 cargo test state` writes it anew, which only a new
/// format justifies once there is a release.
#[test]
fn a_state_of_the_first_format_is_still_read() {
    let mut events = events();
    events.truncate(1500);
    let folder = folder(&events, 1000);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/state/format-1.state");
    let fresh = folder.path().join("fresh.state");
    assert_eq!(detect(folder.path(), &["-c", "c.toml", "--state", "fresh.state", "first.jsonl"]).code, 0);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
        std::fs::copy(&fresh, &golden).unwrap();
    }
    std::fs::copy(&golden, folder.path().join("old.state")).unwrap();
    let from_old = detect(folder.path(), &["-c", "c.toml", "--state", "old.state", "second.jsonl"]);
    let from_fresh = detect(folder.path(), &["-c", "c.toml", "--state", "fresh.state", "second.jsonl"]);
    assert_eq!((from_old.code, from_fresh.code), (0, 0), "{}", from_old.err);
    assert_eq!(
        from_old.out.lines().count(),
        from_fresh.out.lines().count(),
        "the old state is as good as a new one"
    );
}
