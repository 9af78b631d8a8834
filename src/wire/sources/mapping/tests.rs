//! Rules on single records.

use serde_json::{Value, json};

use super::*;

const LEAST: &str = "[fields]\ntime = 'at'\nagent_id = 'who'\naction = 'what'\n";

fn mapped(more: &str, members: &Value) -> Result<AuditEvent<'static>, Refusal> {
    let mapping = Mapping::parse(&format!("{LEAST}{more}")).unwrap();
    let mut record = json!({"at": "2026-01-22T18:50:59Z", "who": "a", "what": "b"});
    record.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let record = record.to_string();
    let key = HashKey::new(&[1; 16]).unwrap();
    let event = mapping.map(record.as_bytes(), &key)?.event;
    // Borrowed from what ends here.
    let written: &'static str = serde_json::to_string(&event).unwrap().leak();
    audit_event::decode(written.as_bytes())
}

fn tenant(rule: &str, members: &Value) -> Option<String> {
    mapped(&format!("tenant = {rule}"), members).unwrap().tenant.map(|text| text.to_string())
}

#[test]
fn the_first_place_that_is_not_null_and_not_empty_counts() {
    let rule = "['a.b', 'c[1]', 'd', '{e}-{f}', 'g']";
    for (members, expected) in [
        (json!({"a": {"b": "1"}, "d": "2"}), Some("1")),
        (json!({"a": {"b": null}, "c": ["x", "y"]}), Some("y")),
        (json!({"a": {"b": " "}, "c": ["x"], "d": 7}), Some("7")),
        (json!({"a": "no object", "c": {"1": "no list"}, "d": false}), Some("false")),
        (json!({"d": ["no", "scalar"], "e": "1", "g": "last"}), Some("last")),
        (json!({"e": 1.0, "f": -2.5}), Some("1--2.5")),
        (json!({"x": 1}), None),
    ] {
        assert_eq!(tenant(rule, &members).as_deref(), expected, "{members}");
    }
}

#[test]
fn a_place_and_a_place_below_it_can_both_be_asked_for() {
    assert_eq!(tenant("['a', 'a.b']", &json!({"a": {"b": "deep"}})).as_deref(), Some("deep"));
    assert_eq!(tenant("['a', 'a.b']", &json!({"a": "flat"})).as_deref(), Some("flat"));
}

#[test]
fn texts_are_trimmed_before_cases_and_cases_before_the_next_rule() {
    let rule = "[{ from = 'a', after_last = '.', strip_suffixes = ['-x', 'y'], cases = [\
                { equals = 'one', is = '1' }, { starts_with = ['two'], is = '2' },\
                { ends_with = 'ree', is = '3' }, { contains = 'ou', is = '4' }] }, { constant = 'none' }]";
    for (value, expected) in [
        ("q.p.one-x", "1"),
        ("oney", "1"),
        ("two.twofold", "2"),
        ("three", "3"),
        ("four", "4"),
        ("one-x-x", "none"),
        ("one.", "none"),
    ] {
        assert_eq!(tenant(rule, &json!({"a": value})).as_deref(), Some(expected), "{value}");
    }
    assert_eq!(
        tenant("{ from = 'a', cases = [{ equals = '1', is = 'x' }], otherwise = 'y' }", &json!({"a": 1}))
            .as_deref(),
        Some("x")
    );
}

#[test]
fn times_are_read_in_the_format_that_is_stated() {
    let at = |format: &str, value: Value| {
        let mapping = LEAST.replace("'at'", &format!("{{ from = 'at', format = '{format}' }}"));
        let mapping = Mapping::parse(&mapping).unwrap();
        let record = json!({"at": value, "who": "a", "what": "b"}).to_string();
        let event = mapping.map(record.as_bytes(), &HashKey::new(&[1; 16]).unwrap());
        event.map(|mapped| mapped.event.time.0).map_err(|refusal| refusal.reason)
    };
    for (format, value, expected) in [
        ("epoch_seconds", json!(1_772_442_000), Ok(1_772_442_000_000)),
        ("epoch_seconds", json!(1_772_442_000.25), Ok(1_772_442_000_250)),
        ("epoch_seconds", json!("1772442000"), Ok(1_772_442_000_000)),
        ("epoch_milliseconds", json!(1_772_442_000_123_u64), Ok(1_772_442_000_123)),
        ("epoch_milliseconds", json!(1_772_442_000), Err(Reason::OutOfRange)),
        ("epoch_seconds", json!(1_772_442_000_123_u64), Err(Reason::OutOfRange)),
        ("epoch_seconds", json!(u64::MAX), Err(Reason::OutOfRange)),
        ("epoch_seconds", json!(i64::MIN), Err(Reason::OutOfRange)),
        ("epoch_seconds", json!(1e300), Err(Reason::OutOfRange)),
        ("epoch_seconds", json!("soon"), Err(Reason::InvalidValue)),
        ("epoch_seconds", json!("NaN"), Err(Reason::InvalidValue)),
        ("epoch_seconds", json!(true), Err(Reason::InvalidValue)),
        ("rfc3339", json!("2026-03-02T09:00:00+01:00"), Ok(1_772_438_400_000)),
        ("rfc3339", json!(1_772_442_000), Err(Reason::InvalidValue)),
    ] {
        assert_eq!(at(format, value.clone()), expected, "{format} {value}");
    }
}

#[test]
fn numbers_lose_their_fraction_and_keep_their_range() {
    let count = |value: Value| {
        mapped("count = 'n'", &json!({"n": value})).map(|event| event.count).map_err(|r| r.reason)
    };
    assert_eq!(count(json!(3.9)), Ok(Some(3)));
    assert_eq!(count(json!("12")), Ok(Some(12)));
    assert_eq!(count(json!(0)), Err(Reason::OutOfRange));
    assert_eq!(count(json!(-1)), Err(Reason::OutOfRange));
    assert_eq!(count(json!(u64::MAX)), Err(Reason::OutOfRange));
    assert_eq!(count(json!("x")), Err(Reason::WrongType));
    assert_eq!(count(json!(null)), Ok(None));
}

#[test]
fn an_argument_is_hashed_as_annotate_hashes_it() {
    let event = mapped(
        "[arguments]\nfrom = ['p', 'q.r']\n",
        &json!({
            "p": {"to": " Ann@B.example ", "list": ["x"], "none": null, "empty": ""}, "q": {"r": {"n": 10.0}}
        }),
    );
    let event = event.unwrap();
    let key = HashKey::new(&[1; 16]).unwrap();
    let names: Vec<&str> = event.arguments.iter().map(|argument| &*argument.name).collect();
    assert_eq!(names, ["to", "n"]);
    assert_eq!(event.arguments[0].hash, Some(key.value("ann@b.example")));
    assert_eq!(event.arguments[0].class, crate::event::ValueClass::Email);
    assert_eq!((event.arguments[1].hash, event.arguments[1].length), (Some(key.value("10")), Some(2)));
    assert!(event.arguments.iter().all(|argument| argument.origin.is_none()));
}

#[test]
fn arguments_of_one_name_may_come_from_two_objects_but_not_from_one() {
    let rule = "[arguments]\nfrom = ['p', 'q']\n";
    let event = mapped(rule, &json!({"p": {"a": 1}, "q": {"a": 2}})).unwrap();
    assert_eq!(event.arguments.len(), 2);
    let mapping = Mapping::parse(&format!("{LEAST}{rule}")).unwrap();
    let twice = br#"{"at": "2026-01-22T18:50:59Z", "who": "a", "what": "b", "p": {"a": 1, "a": 1}}"#;
    let refusal = mapping.map(twice, &HashKey::new(&[1; 16]).unwrap()).unwrap_err();
    assert_eq!(
        (refusal.reason, refusal.detail.as_str()),
        (Reason::DuplicateField, "member \"a\" is there twice; keep one")
    );
}

#[test]
fn what_is_extracted_is_what_is_mapped() {
    let mapping =
        Mapping::parse(&format!("{LEAST}tenant = 'no'\nlocation = {{ constant = 'x' }}\n")).unwrap();
    let record = br#"{"at": "2026-01-22T18:50:59Z", "who": "a", "what": "b"}"#;
    let all = mapping.extract(record, &HashKey::new(&[1; 16]).unwrap()).unwrap();
    let line = |field: &str| all.iter().find(|one| one.field == field).unwrap();
    assert_eq!((line("action").value.as_deref(), line("action").from.as_deref()), (Some("b"), Some("what")));
    assert_eq!((line("location").value.as_deref(), line("location").from.as_deref()), (Some("x"), None));
    assert_eq!(line("tenant").value, None);
}
