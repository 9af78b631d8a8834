//! Native events from bytes: examples, malformed input and dead letters.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tiltmeter::wire::audit_event::{DEPTH_LIMIT, decode};
use tiltmeter::wire::dead_letter::{DeadLetters, Reason};
use tiltmeter::wire::input::Lines;

const GOOD: &str = r#"{"time":"2026-01-22T18:50:59Z","agent_id":"mail-helper","action":"send"}"#;

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

fn schema(name: &str) -> jsonschema::Validator {
    let text = std::fs::read_to_string(schemas().join(name)).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

/// Every example: its name without ending, and its line.
fn examples() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(schemas().join("examples/agent-audit"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                bytes.strip_suffix(b"\n").unwrap().to_vec(),
            )
        })
        .collect();
    all.sort();
    all
}

/// The reason that an example's name states; `None` for a valid one.
fn stated(name: &str) -> Option<&'static str> {
    let rest = name.strip_prefix("invalid-")?;
    let label = rest.split('-').next().unwrap();
    Some(Reason::ALL.iter().find(|reason| reason.label() == label).expect(name).label())
}

fn refused_for(line: &[u8]) -> Option<&'static str> {
    decode(line).err().map(|refusal| refusal.reason.label())
}

#[test]
fn every_example_is_read_or_refused_for_the_reason_its_name_states() {
    let examples = examples();
    for (name, line) in &examples {
        assert_eq!(refused_for(line), stated(name), "{name}: {:?}", decode(line).err());
    }
    // No example can make judging panic.
    for reason in
        Reason::ALL.into_iter().filter(|reason| !matches!(reason, Reason::Panic | Reason::Unreadable))
    {
        assert!(
            examples.iter().any(|(name, _)| stated(name) == Some(reason.label())),
            "no example of {reason}"
        );
    }
}

#[test]
fn the_schema_agrees_with_the_reader_where_a_schema_can_speak() {
    let schema = schema("agent-audit.v1.schema.json");
    // The others are about the text, not about the value it stands for.
    let of_values = [
        "wrong_type",
        "missing_field",
        "empty_field",
        "too_long",
        "too_many",
        "out_of_range",
        "invalid_value",
    ];
    let mut compared = 0;
    for (name, line) in examples() {
        let Ok(value) = serde_json::from_slice::<Value>(&line) else { continue };
        let reason = stated(&name);
        if reason.is_none_or(|reason| of_values.contains(&reason)) {
            compared += 1;
            let faults: Vec<_> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
            assert_eq!(faults.is_empty(), reason.is_none(), "{name}: {faults:?}");
        }
    }
    assert!(compared > 25, "only {compared} examples compared");
}

#[test]
fn the_full_example_names_every_field_of_the_schema_and_survives_a_round_trip() {
    let text = std::fs::read_to_string(schemas().join("agent-audit.v1.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let line = std::fs::read(schemas().join("examples/agent-audit/valid-full.json")).unwrap();
    let event = decode(&line).unwrap();
    let again = serde_json::to_value(&event).unwrap();
    assert_eq!(again, serde_json::from_slice::<Value>(&line).unwrap().with_millisecond_times());
    let keys =
        |value: &Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(keys(&again), keys(&schema["properties"]));
    assert_eq!(keys(&again["arguments"][0]), keys(&schema["$defs"]["argument"]["properties"]));
}

trait Times {
    fn with_millisecond_times(self) -> Self;
}

impl Times for Value {
    /// Times are written to the millisecond, whatever they were read with.
    fn with_millisecond_times(mut self) -> Self {
        if let Some(Self::String(text)) = self.get_mut("credential_issued_at") {
            *text = text.replace(":00Z", ":00.000Z");
        }
        self
    }
}

/// What else arrives at an open port: each line with the reason it must be refused for.
fn malformed() -> Vec<(Vec<u8>, &'static str)> {
    let with = |member: &str| format!("{}, {member}}}", GOOD.strip_suffix('}').unwrap()).into_bytes();
    let deep = |open: &str, close: &str, levels: usize| {
        with(&format!("\"x\": {}1{}", open.repeat(levels), close.repeat(levels)))
    };
    let mut all = vec![
        (b"".to_vec(), "not_json"),
        (b"null".to_vec(), "wrong_type"),
        (b"\"text\"".to_vec(), "wrong_type"),
        (b"12".to_vec(), "wrong_type"),
        (b"{}".to_vec(), "missing_field"),
        (b"{\"time\"".to_vec(), "not_json"),
        (b"hello, world".to_vec(), "not_json"),
        (b"<6>Jan 22 18:50:59 host agent: send".to_vec(), "not_json"),
        (b"\x00\x00\x00\x00".to_vec(), "not_json"),
        (b"\x1f\x8b\x08\x00\x00".to_vec(), "not_utf8"),
        ([GOOD, "}"].concat().into_bytes(), "not_json"),
        ([GOOD, ","].concat().into_bytes(), "not_json"),
        ([GOOD, GOOD].concat().into_bytes(), "not_json"),
        (format!("[{GOOD}]").into_bytes(), "wrong_type"),
        (GOOD.replace('"', "'").into_bytes(), "not_json"),
        (with("\"x\": 01"), "not_json"),
        (with("\"x\": Infinity"), "not_json"),
        (with("\"x\": \"\\q\""), "not_json"),
        (with("\"x\": 1,"), "not_json"),
        (with("\"bytes\": -0.0"), "wrong_type"),
        (with("\"bytes\": 1e3"), "wrong_type"),
        (with("\"bytes\": -1e999"), "out_of_range"),
        (with("\"bytes\": 18446744073709551616"), "out_of_range"),
        (with("\"bytes\": 9007199254740992"), "out_of_range"),
        (with("\"seq\": -9223372036854775809"), "out_of_range"),
        (with("\"bytes\": true"), "wrong_type"),
        (with("\"tenant\": {\"a\": 1}"), "wrong_type"),
        (with("\"tenant\": 7"), "wrong_type"),
        (with("\"outcome\": 1"), "wrong_type"),
        (with("\"outcome\": \"OK\""), "invalid_value"),
        (with("\"credential_issued_at\": \"soon\""), "invalid_value"),
        (with("\"arguments\": {}"), "wrong_type"),
        (with("\"arguments\": [null]"), "wrong_type"),
        (with("\"arguments\": [{\"name\": \"a\", \"name\": \"b\"}]"), "duplicate_field"),
        (with("\"arguments\": [{\"name\": \"a\", \"length\": 4294967296}]"), "out_of_range"),
        (with("\"arguments\": [{\"name\": \"a\", \"anchored\": \"yes\"}]"), "wrong_type"),
        (with("\"arguments\": [{\"name\": \"a\", \"hash\": 12}]"), "wrong_type"),
        (with("\"tenant\": null, \"tenant\": \"a\""), "duplicate_field"),
        (with("\"\\u0074ime\": \"2026-01-22T18:50:59Z\""), "duplicate_field"),
        (with("\"tenant\": \"\\udc00\""), "not_json"),
        (with("\"tenant\": \"a\u{0}b\""), "not_json"),
        (with(&format!("\"event_id\": \"{}\"", "é".repeat(129))), "too_long"),
        (with(&format!("\"x\": \"{}\"", "y".repeat(10 << 20))), "too_long"),
        (deep("[", "]", 10_000), "too_deep"),
        (deep("{\"x\":", "}", 10_000), "too_deep"),
        (deep("[", "]", 130_000), "too_deep"),
        (b"[".repeat(200_000), "too_deep"),
    ];
    for bytes in [&b"\xc3\x28"[..], b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\x80", b"\xff"] {
        all.push((with("\"x\": \"@\"").split(|b| *b == b'@').collect::<Vec<_>>().join(bytes), "not_utf8"));
    }
    for cut in 1..GOOD.len() {
        all.push((GOOD.as_bytes()[..cut].to_vec(), "not_json"));
    }
    all
}

#[test]
fn malformed_lines_are_refused_for_the_right_reason_and_nothing_panics() {
    for (line, reason) in malformed() {
        let start = String::from_utf8_lossy(&line[..line.len().min(160)]).into_owned();
        assert_eq!(refused_for(&line), Some(reason), "{start}: {:?}", decode(&line).err());
        let detail = decode(&line).unwrap_err().detail;
        assert!(!detail.is_empty() && detail.chars().count() < 400, "{detail}");
    }
}

#[test]
fn a_refusal_names_the_field_the_value_and_the_remedy() {
    let told = |member: &str| {
        decode(format!("{}, {member}}}", GOOD.strip_suffix('}').unwrap()).as_bytes()).unwrap_err().to_string()
    };
    assert_eq!(
        told(r#""outcome": "okay""#),
        "invalid_value: field `outcome`: \"okay\" is none of ok, denied, error, unknown; use one of them"
    );
    assert_eq!(
        told(r#""arguments": [{"name": "to", "origin": 7}]"#),
        "wrong_type: field `arguments[0].origin`: 7 is no string; write it in quotes"
    );
    assert_eq!(
        told(r#""count": 0"#),
        "out_of_range: field `count`: 0 does not lie between 1 and 9007199254740991; mend the sender"
    );
}

#[test]
fn nesting_is_allowed_exactly_up_to_the_limit_wherever_it_stands() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let top = |levels: usize| format!("{},\"x\":{}}}", GOOD.strip_suffix('}').unwrap(), nested(levels));
    let inside = |levels: usize| {
        let argument = format!("{{\"name\":\"a\",\"x\":{}}}", nested(levels));
        format!("{},\"arguments\":[{argument}]}}", GOOD.strip_suffix('}').unwrap())
    };
    assert_eq!(refused_for(top(DEPTH_LIMIT - 1).as_bytes()), None);
    assert_eq!(refused_for(top(DEPTH_LIMIT).as_bytes()), Some("too_deep"));
    assert_eq!(refused_for(inside(DEPTH_LIMIT - 3).as_bytes()), None);
    assert_eq!(refused_for(inside(DEPTH_LIMIT - 2).as_bytes()), Some("too_deep"));
    let brackets = GOOD.replace("send", &"[{".repeat(500));
    assert_eq!(refused_for(brackets.as_bytes()), None, "brackets in strings are no nesting");
}

#[test]
fn bad_lines_of_a_file_become_dead_letters_that_the_schema_describes() {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("in.jsonl"), dir.path().join("dead.jsonl"));
    let mut bad: Vec<_> = malformed().into_iter().filter(|(line, _)| !line.is_empty()).collect();
    let mut text = Vec::new();
    for (line, _) in &mut bad {
        line.retain(|byte| *byte != b'\n');
        text.extend_from_slice(GOOD.as_bytes());
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    std::fs::write(&input, &text).unwrap();

    let mut lines = Lines::open(std::slice::from_ref(&input)).unwrap();
    let mut dead = DeadLetters::to_file(&output).unwrap();
    let mut good = 0;
    let name = lines.name(0).to_owned();
    while let Some(line) = lines.next_line().unwrap() {
        match decode(line.bytes) {
            Ok(_) => good += 1,
            Err(refusal) => dead.add(&refusal, &name, &line).unwrap(),
        }
    }
    assert_eq!((good, dead.total()), (bad.len(), bad.len() as u64));
    for (reason, count) in dead.counts() {
        assert_eq!(
            count,
            bad.iter().filter(|(_, label)| *label == reason.label()).count() as u64,
            "{reason}"
        );
    }
    dead.finish().unwrap();

    let schema = schema("dead-letter.v1.schema.json");
    let written = std::fs::read_to_string(&output).unwrap();
    assert_eq!(written.lines().count(), bad.len());
    for (i, (letter, (line, reason))) in written.lines().zip(&bad).enumerate() {
        let letter: Value = serde_json::from_str(letter).unwrap();
        assert!(schema.is_valid(&letter), "{letter}");
        assert_eq!((&letter["reason"], &letter["source"]), (&(*reason).into(), &name.as_str().into()));
        assert_eq!((&letter["line"], &letter["length"]), (&(2 * i + 2).into(), &line.len().into()));
        let offset = usize::try_from(letter["offset"].as_u64().unwrap()).unwrap();
        assert!(text[offset..].starts_with(line));
        let hash: String = Sha256::digest(line).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(letter["sha256"], hash);
        let data =
            base64::engine::general_purpose::STANDARD.decode(letter["data"].as_str().unwrap()).unwrap();
        assert_eq!(data, &line[..line.len().min(64 << 10)]);
    }
}

#[test]
fn dead_letters_without_a_file_are_only_counted() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.jsonl");
    std::fs::write(&input, "nonsense\n{}\nnonsense\n").unwrap();
    let mut lines = Lines::open(&[input]).unwrap();
    let mut dead = DeadLetters::counted();
    while let Some(line) = lines.next_line().unwrap() {
        dead.add(&decode(line.bytes).unwrap_err(), "in.jsonl", &line).unwrap();
    }
    assert_eq!(dead.counts().collect::<Vec<_>>(), [(Reason::NotJson, 2), (Reason::MissingField, 1)]);
    dead.finish().unwrap();
}

#[derive(Debug, Clone)]
enum Damage {
    Flip(u8),
    Cut(usize),
    Insert(Vec<u8>),
}

fn damage() -> impl Strategy<Value = (prop::sample::Index, Damage)> {
    let tokens = prop::sample::select(vec![
        "\"", "{", "}", "[", "]", ",", ":", "null", "-", "1e999", "\\u", "\u{202e}",
    ]);
    let kind = prop_oneof![
        any::<u8>().prop_map(Damage::Flip),
        (1usize..20).prop_map(Damage::Cut),
        prop::collection::vec(any::<u8>(), 1..4).prop_map(Damage::Insert),
        tokens.prop_map(|token| Damage::Insert(token.as_bytes().to_vec())),
    ];
    (any::<prop::sample::Index>(), kind)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_lines_never_panic_and_what_is_accepted_survives_a_round_trip(
        choice in any::<prop::sample::Index>(),
        damages in prop::collection::vec(damage(), 0..4),
    ) {
        let valid: Vec<_> = examples().into_iter().filter(|(name, _)| stated(name).is_none()).collect();
        let mut line = choice.get(&valid).1.clone();
        for (place, damage) in damages {
            let at = place.index(line.len() + 1);
            match damage {
                Damage::Flip(bits) => {
                    if let Some(byte) = line.get_mut(at) {
                        *byte ^= bits;
                    }
                }
                Damage::Cut(length) => drop(line.drain(at..(at + length).min(line.len()))),
                Damage::Insert(bytes) => drop(line.splice(at..at, bytes)),
            }
        }
        let again; // outlives the event it is compared with
        match decode(&line) {
            Ok(event) => {
                again = serde_json::to_vec(&event).unwrap();
                let second = decode(&again).unwrap();
                prop_assert_eq!(&second, &event);
            }
            // The thorough look must find what the fast one found.
            Err(refusal) => prop_assert!(!refusal.detail.contains("a limit is broken"), "{refusal}"),
        }
    }

    #[test]
    fn any_bytes_at_all_never_panic(line in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(&line).is_err());
    }
}
