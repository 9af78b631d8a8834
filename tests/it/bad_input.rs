//! Bad lines between good ones, through the command that a person runs: each becomes a dead letter with its place and
//! its bytes, and the good ones are judged as if the bad had never been there.
//!
//! Knows what an open port gets to see. What the reader makes of single lines stands in `wire`; of foreign records, in
//! `sources`.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use serde_json::Value;

/// The configured limit of what a dead letter keeps. Bytes.
const KEPT: usize = 64 << 10;

/// Lines that are no native events, each with its reason.
fn bad_events() -> Vec<(Vec<u8>, &'static str)> {
    let good = br#"{"time":"2026-01-05T09:00:00Z","agent_id":"a","action":"send"}"#;
    let with = |member: &[u8]| [good.strip_suffix(b"}").unwrap(), b",", member, b"}"].concat();
    let at = |time: &str| String::from_utf8_lossy(good).replace("2026-01-05T09:00:00Z", time).into_bytes();
    let long = "y".repeat(10 << 20);
    vec![
        (b"{\"time\":\"2026-01-05T09:00:00Z\",\"agent_id\":".to_vec(), "not_json"),
        (with(br#""bytes":"many""#), "wrong_type"),
        (br#"{"time":"2026-01-05T09:00:00Z","agent_id":"a"}"#.to_vec(), "missing_field"),
        (with(br#""bytes":NaN"#), "not_json"),
        (with(br#""bytes":1e999"#), "out_of_range"),
        (with(format!(r#""x":{}1{}"#, "[".repeat(10_000), "]".repeat(10_000)).as_bytes()), "too_deep"),
        (with(format!(r#""tenant":"{long}""#).as_bytes()), "too_long"),
        (with(b"\"tenant\":\"\xff\xfe\""), "not_utf8"),
        (with(br#""action":"send""#), "duplicate_field"),
        (at("1970-01-01T00:00:00Z"), "out_of_range"),
        (at("9999-12-31T23:59:59Z"), "out_of_range"),
    ]
}

/// The mapping under which the foreign records stand.
const MAPPING: &str = "[fields]\ntime = { from = 'at', format = 'epoch_milliseconds' }\nagent_id = 'who.name'\n\
                       action = 'what'\nbytes = 'size'\n";

/// Lines that are no records of this source, each with its reason.
fn bad_records() -> Vec<(Vec<u8>, &'static str)> {
    let good = br#"{"at":1767603600000,"who":{"name":"a"},"what":"send"}"#;
    let with = |member: &[u8]| [good.strip_suffix(b"}").unwrap(), b",", member, b"}"].concat();
    let at = |time: &str| String::from_utf8_lossy(good).replace("1767603600000", time).into_bytes();
    let long = "y".repeat(10 << 20);
    vec![
        (b"{\"at\":1767603600000,\"who\":".to_vec(), "not_json"),
        (b"[1767603600000]".to_vec(), "wrong_type"),
        (br#"{"at":1767603600000,"what":"send"}"#.to_vec(), "missing_field"),
        (with(br#""size":NaN"#), "not_json"),
        (with(br#""size":1e999"#), "out_of_range"),
        (with(format!(r#""x":{}1{}"#, "[".repeat(10_000), "]".repeat(10_000)).as_bytes()), "too_deep"),
        (with(format!(r#""x":"{long}""#).as_bytes()), "too_long"),
        (with(b"\"x\":\"\xff\xfe\""), "not_utf8"),
        (with(br#""what":"read""#), "duplicate_field"),
        (with(br#""who":{"name":"b"}"#), "duplicate_field"),
        (at("0"), "out_of_range"),
        (at("253402300799000"), "out_of_range"),
    ]
}

/// What `tiltmeter detect` writes of a file: outputs without the places of their evidence, and dead letters.
fn detect(folder: &Path, options: &[&str], input: &[u8]) -> (Vec<Value>, Vec<Value>) {
    std::fs::write(folder.join("in.jsonl"), input).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiltmeter"));
    command.current_dir(folder).args(["detect", "--dead-letters", "dead.jsonl", "in.jsonl"]).args(options);
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let values = |text: &[u8]| -> Vec<Value> {
        String::from_utf8_lossy(text).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let mut said = values(&ran.stdout);
    for evidence in said.iter_mut().filter_map(|value| value.get_mut("evidence")?.as_array_mut()).flatten() {
        evidence["line"].take();
    }
    (said, values(&std::fs::read(folder.join("dead.jsonl")).unwrap()))
}

/// Judges good lines alone and with a bad one after every second; compares.
fn check(options: &[&str], mapping: Option<&str>, good: &[String], bad: &[(Vec<u8>, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    if let Some(mapping) = mapping {
        std::fs::write(folder.path().join("m.toml"), mapping).unwrap();
    }
    let (mut clean, mut mixed) = (Vec::new(), Vec::new());
    let mut places = Vec::new();
    let mut left = bad.iter();
    let mut number = 0;
    for line in good {
        for text in [&mut clean, &mut mixed] {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        number += 1;
        if number % 3 == 2
            && let Some((line, reason)) = left.next()
        {
            number += 1;
            places.push((line, *reason, number, mixed.len()));
            mixed.extend_from_slice(line);
            mixed.push(b'\n');
        }
    }
    assert!(left.next().is_none(), "too few good lines");
    let (alone, none) = detect(folder.path(), options, &clean);
    let (among, dead) = detect(folder.path(), options, &mixed);
    assert!(!alone.is_empty() && none.is_empty(), "{none:?}");
    assert_eq!(alone, among, "the good lines are judged alike");
    assert_eq!(dead.len(), places.len());
    for (letter, (line, reason, number, offset)) in dead.iter().zip(places) {
        assert_eq!(
            (&letter["reason"], &letter["line"], &letter["offset"], &letter["length"]),
            (&reason.into(), &number.into(), &offset.into(), &line.len().into()),
            "{}",
            letter["detail"]
        );
        let data = letter["data"].as_str().unwrap();
        let data = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
        assert_eq!(data, &line[..line.len().min(KEPT)]);
        assert!(!letter["detail"].as_str().unwrap().is_empty());
    }
}

#[test]
fn bad_lines_are_dead_letters_and_change_nothing_for_the_others() {
    let scenario =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/scenarios/access-attack/events.jsonl");
    let good: Vec<String> = std::fs::read_to_string(scenario).unwrap().lines().map(str::to_owned).collect();
    check(&[], None, &good, &bad_events());
}

#[test]
fn bad_foreign_records_are_dead_letters_and_change_nothing_for_the_others() {
    // An agent that is busy, and a decoy rule, so that something is said.
    let good: Vec<String> = (0..60)
        .map(|n| {
            let what = if n == 50 { "decoy" } else { "read" };
            let at = 1_767_600_000_000_u64 + n * 60_000;
            format!(r#"{{"at":{at},"who":{{"name":"bot-{}"}},"what":"{what}"}}"#, n % 3)
        })
        .collect();
    let rules = "[[rules]]\nname = \"decoys\"\nlevel = \"high\"\nwhen = { action = \"decoy\" }\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rules).unwrap();
    let config = file.path().to_str().unwrap();
    check(&["--source", "m.toml", "--config", config], Some(MAPPING), &good, &bad_records());
}
