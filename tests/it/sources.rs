//! Foreign records through mappings: shipped mappings, records by the list, and whatever else may arrive.

use std::path::{Path, PathBuf};

use expect_test::expect_file;
use proptest::prelude::*;
use serde_json::{Value, json};
use tiltmeter::wire::annotate::keyed_hash::HashKey;
use tiltmeter::wire::audit_event;
use tiltmeter::wire::dead_letter::Refusal;
use tiltmeter::wire::input::{LINE_LIMIT_BYTES, Lines};
use tiltmeter::wire::sources::mapping::{Mapping, SHIPPED};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn key() -> HashKey {
    HashKey::new(&[7; 32]).unwrap()
}

fn cloudtrail() -> Mapping {
    Mapping::shipped("cloudtrail").unwrap().unwrap()
}

/// What becomes of every record of a file: its event as JSON, or its place and why it was refused.
fn mapped(mapping: &Mapping, path: PathBuf) -> Vec<Result<String, (u64, u64, Refusal)>> {
    let mut lines = Lines::open(&[path]).unwrap().with_records(mapping.records());
    let mut all = Vec::new();
    while let Some(line) = lines.next_line().unwrap() {
        let mapped = mapping.map(line.bytes, &key());
        all.push(
            mapped
                .map(|mapped| serde_json::to_string(&mapped.event).unwrap())
                .map_err(|refusal| (line.number, line.offset, refusal)),
        );
    }
    all
}

fn check(mapping: &Mapping, input: &str, expected: &str) {
    let folder = root().join("tests/data/sources");
    let mut text = String::new();
    for one in mapped(mapping, folder.join(input)) {
        text += &match one {
            Ok(event) => {
                audit_event::decode(event.as_bytes()).expect("what is mapped is an audit event");
                event
            }
            Err((line, offset, refusal)) => format!("line {line}, byte {offset}: {refusal}"),
        };
        text.push('\n');
    }
    expect_file![folder.join(expected)].assert_eq(&text);
}

#[test]
fn cloudtrail_records_become_the_expected_events() {
    check(&cloudtrail(), "cloudtrail.json", "cloudtrail.expected.jsonl");
}

#[test]
fn renamed_fields_become_the_expected_events() {
    let mapping = Mapping::load(&root().join("tests/data/sources/renamed.toml")).unwrap();
    check(&mapping, "renamed.jsonl", "renamed.expected.jsonl");
}

#[test]
fn the_example_of_the_page_is_the_one_that_is_tested() {
    let page = std::fs::read_to_string(root().join("docs/sources.md")).unwrap();
    let example = std::fs::read_to_string(root().join("tests/data/sources/renamed.toml")).unwrap();
    assert!(page.contains(&format!("```toml\n{example}```")), "docs/sources.md shows another renamed.toml");
}

#[test]
fn every_shipped_mapping_validates_and_reads_its_example() {
    let schema = std::fs::read_to_string(root().join("schemas/source-mapping.v1.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let files = std::fs::read_dir(root().join("schemas/sources")).unwrap();
    let files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), SHIPPED.len(), "a mapping in schemas/sources is not compiled in");
    for path in files.iter().chain(&[root().join("tests/data/sources/renamed.toml")]) {
        let table: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let value = serde_json::to_value(table).unwrap();
        let faults: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(faults, Vec::<String>::new(), "{path:?}");
    }
    for shipped in SHIPPED {
        assert!(files.iter().any(|path| path.file_stem().unwrap() == shipped.name));
        let mapping = Mapping::shipped(shipped.name).unwrap().unwrap();
        mapping.map(shipped.example.as_bytes(), &key()).unwrap();
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let schema = std::fs::read_to_string(root().join("schemas/source-mapping.v1.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let least = "[fields]\ntime = 'at'\nagent_id = 'who'\naction = 'what'\n";
    for (more, is_valid) in [
        ("", true),
        ("seq = ['a', 'b[0].c']", true),
        ("seq = [{ from = 'a', cases = [{ equals = 'x', is = '1' }] }, { constant = '0' }]", true),
        ("credential_issued_at = { from = 'a', format = 'epoch_seconds' }", true),
        ("arguments = 'x'", false),
        ("seq = 1", false),
        ("seq = {}", false),
        ("seq = []", false),
        ("seq = ''", false),
        ("seq = { from = 'a', constant = '1' }", false),
        ("seq = { from = 'a', otherwise = '1' }", false),
        ("seq = { from = 'a', cases = [{ is = '1' }] }", false),
        ("seq = { from = 'a', cases = [{ equals = 'x' }] }", false),
        ("seq = { from = 'a', format = 'epoch_seconds' }", false),
        ("seq = { from = 'a', generalise = 'x' }", false),
        ("[arguments]", false),
        ("[arguments]\nfrom = 'a'\nto = 'b'", false),
        ("[unknown]", false),
    ] {
        let text = format!("{least}{more}\n");
        let value = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
        assert_eq!(validator.is_valid(&value), is_valid, "schema: {more}");
        assert_eq!(
            Mapping::parse(&text).is_ok(),
            is_valid,
            "reader: {more}: {:?}",
            Mapping::parse(&text).err()
        );
    }
}

/// A CloudTrail record with one member replaced or added (`null` is absent to a mapping).
fn record(name: &str, value: Value) -> String {
    let mut record = json!({
        "eventTime": "2026-03-01T08:15:30Z", "eventSource": "s3.amazonaws.com", "eventName": "GetObject",
        "userIdentity": {"arn": "arn:aws:iam::111122223333:user/a"}, "requestParameters": {"bucketName": "b"},
    });
    record[name] = value;
    record.to_string()
}

#[test]
fn hostile_records_are_refused_for_the_right_reason_and_nothing_panics() {
    let mapping = cloudtrail();
    let good = record("x", json!(1));
    let with = |member: &str| format!("{}, {member}}}", good.strip_suffix('}').unwrap()).into_bytes();
    let nested = |levels: usize| format!("\"y\": {}1{}", "[".repeat(levels), "]".repeat(levels));
    let unsure = |bytes: &[u8]| with("\"y\": \"@\"").split(|b| *b == b'@').collect::<Vec<_>>().join(bytes);
    let all: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "not_json"),
        (b"null".to_vec(), "wrong_type"),
        (b"[]".to_vec(), "wrong_type"),
        (b"{}".to_vec(), "missing_field"),
        (b"{\"eventTime\"".to_vec(), "not_json"),
        (format!("{good}{good}").into_bytes(), "not_json"),
        (with("\"y\": NaN"), "not_json"),
        (with("\"y\": \"\\q\""), "not_json"),
        (with("\"awsRegion\": \"\\udc00\""), "not_json"),
        (with("\"awsRegion\": 1e999"), "out_of_range"),
        (with("\"additionalEventData\": {\"bytesTransferredOut\": -1e999}"), "out_of_range"),
        (with("\"additionalEventData\": {\"bytesTransferredOut\": -1}"), "out_of_range"),
        (with("\"additionalEventData\": {\"bytesTransferredOut\": 1e300}"), "out_of_range"),
        (with("\"additionalEventData\": {\"bytesTransferredOut\": \"many\"}"), "wrong_type"),
        (with(&nested(10_000)), "too_deep"),
        ("[".repeat(200_000).into_bytes(), "too_deep"),
        (with("\"eventName\": \"GetObject\""), "duplicate_field"),
        (with("\"\\u0065ventName\": null"), "duplicate_field"),
        (with("\"userIdentity\": {}"), "duplicate_field"),
        (record("eventTime", json!("1999-12-31T23:59:59Z")).into_bytes(), "out_of_range"),
        (record("eventTime", json!("2101-01-01T00:00:00Z")).into_bytes(), "out_of_range"),
        (record("eventTime", json!("9999-12-31T23:59:59Z")).into_bytes(), "out_of_range"),
        (record("eventTime", json!("yesterday")).into_bytes(), "invalid_value"),
        (record("eventTime", json!(1_772_442_000)).into_bytes(), "invalid_value"),
        (record("eventTime", json!(null)).into_bytes(), "missing_field"),
        (record("eventName", json!(" ")).into_bytes(), "missing_field"),
        (record("eventName", json!({"a": 1})).into_bytes(), "missing_field"),
        (record("userIdentity", json!({"arn": "a".repeat(257)})).into_bytes(), "too_long"),
        (record("eventID", json!("é".repeat(129))).into_bytes(), "too_long"),
        (with(&format!("\"y\": \"{}\"", "z".repeat(10 << 20))), "too_long"),
        (unsure(b"\xff"), "not_utf8"),
        (unsure(b"\xed\xa0\x80"), "not_utf8"),
    ];
    for (record, reason) in all {
        let start = String::from_utf8_lossy(&record[..record.len().min(200)]).into_owned();
        let refusal = mapping.map(&record, &key()).expect_err(&start);
        assert_eq!(refusal.reason.label(), reason, "{start}: {refusal}");
        assert!(refusal.detail.chars().count() < 600, "{refusal}");
    }
    for (member, is_read) in [(nested(120), true), (nested(127), true), (nested(128), false)] {
        assert_eq!(mapping.map(&with(&member), &key()).is_ok(), is_read, "{member}");
    }
    assert!(mapping.map(&with("\"y\": {\"eventName\": 1, \"eventName\": 2}"), &key()).is_ok());
}

#[test]
fn long_text_is_cut_and_said_so_and_long_lists_of_arguments_too() {
    let mapping = cloudtrail();
    let agent = record("userAgent", json!("é".repeat(513)));
    let mapped = mapping.map(agent.as_bytes(), &key()).unwrap();
    assert_eq!((mapped.event.user_agent.unwrap().len(), mapped.cut), (1024, vec!["user_agent"]));
    let fits = record("userAgent", json!("é".repeat(512)));
    assert_eq!(mapping.map(fits.as_bytes(), &key()).unwrap().cut, Vec::<&str>::new());
    let many: Value =
        (0..70).map(|i| (format!("p{i:02}"), json!(i))).collect::<serde_json::Map<_, _>>().into();
    let many = record("requestParameters", many);
    let mapped = mapping.map(many.as_bytes(), &key()).unwrap();
    assert_eq!((mapped.event.arguments.len(), mapped.cut), (64, vec!["arguments"]));
}

#[test]
fn no_value_of_an_argument_leaves_the_mapping() {
    let mapping = cloudtrail();
    let line = record(
        "requestParameters",
        json!({"policyDocument": "swordfish at dawn", "n": 4711, "list": ["swordfish"]}),
    );
    let event = serde_json::to_string(&mapping.map(line.as_bytes(), &key()).unwrap().event).unwrap();
    assert!(!event.contains("swordfish") && !event.contains("4711"), "{event}");
    assert!(event.contains("\"policyDocument\"") && event.contains("\"class\":\"phrase\""), "{event}");
}

#[test]
fn records_of_a_list_have_their_own_places_and_bad_ones_spare_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let good = record("eventID", json!("1"));
    let huge = format!("{{\"x\": \"{}\"}}", "[\\\"".repeat(LINE_LIMIT_BYTES / 2));
    let unclosed = "{\"eventID\": \"no end";
    let text = format!(
        "\n{{\"v\": 1, \"Records\": [\n{good},\n  {good} , 12, {huge},{{}},\n{good}], \"more\": [\"]}}\"]}}\n\
         {good}\n\
         {{\"Records\": []}}{{\"Records\":[{unclosed}\n\
         {good}\n\
         {{\"Records\":[{good}"
    );
    let path = folder.path().join("list.json");
    std::fs::write(&path, &text).unwrap();
    let zipped = folder.path().join("list.json.gz");
    let mut gz = std::process::Command::new("gzip");
    let packed = gz.arg("-c").arg(&path).output().ok().filter(|done| done.status.success());
    let mut paths = vec![path];
    match packed {
        Some(done) => {
            std::fs::write(&zipped, done.stdout).unwrap();
            paths.push(zipped);
        }
        None => println!("left out: gzip is not installed"),
    }
    for path in paths {
        let mut lines = Lines::open(&[path]).unwrap().with_records(Some("Records"));
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            let at = usize::try_from(line.offset).unwrap();
            assert!(
                text.as_bytes()[at..].starts_with(line.bytes),
                "the offset of line {} is wrong",
                line.number
            );
            assert_eq!(line.number as usize, text[..at].matches('\n').count() + 1);
            assert_eq!(line.is_cut(), line.bytes.len() == LINE_LIMIT_BYTES);
            found.push((line.number, usize::try_from(line.length).unwrap()));
        }
        let (good, huge, unclosed) = (good.len(), huge.len(), unclosed.len());
        let expected =
            [(3, good), (4, good), (4, 2), (4, huge), (4, 2), (5, good), (6, good), (7, unclosed), (8, good)];
        // The list that ends with the file is told: once as its last record, once as the end that is missing.
        assert_eq!(found[..9], expected);
        assert_eq!(found[9..], [(9, good), (9, 0)]);
    }
}

proptest! {
    #[test]
    fn a_list_in_one_object_gives_the_records_that_its_lines_give(
        values in prop::collection::vec("[ -~]{0,30}|(\\[|\\{|\"|\\\\|,|\\]|\\}){1,12}", 0..6),
        is_spread in any::<bool>(),
        copies in 1usize..3,
    ) {
        let records: Vec<Value> = values.iter().map(|text| json!({"a": text, text.as_str(): [text, {"b": 1.5}]})).collect();
        let whole = json!({"Records": records});
        let text = if is_spread { serde_json::to_string_pretty(&whole) } else { serde_json::to_string(&whole) }.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.json");
        std::fs::write(&path, vec![text; copies].join("\n")).unwrap();
        let mut lines = Lines::open(&[path]).unwrap().with_records(Some("Records"));
        let mut found: Vec<Value> = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            found.push(serde_json::from_slice(line.bytes).unwrap());
        }
        let expected: Vec<Value> = (0..copies).flat_map(|_| records.clone()).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn damaged_records_never_panic_and_what_is_mapped_is_an_audit_event(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut line = SHIPPED[0].example.trim_end().as_bytes().to_vec();
        for (at, bits) in flips {
            let at = at.index(line.len());
            line[at] ^= bits;
        }
        let written; // outlives the event it is compared with
        let mapping = cloudtrail();
        if let Ok(mapped) = mapping.map(&line, &key()) {
            written = serde_json::to_vec(&mapped.event).unwrap();
            prop_assert_eq!(&audit_event::decode(&written).unwrap(), &mapped.event);
        }
    }

    #[test]
    fn any_bytes_at_all_are_read_to_their_end(bytes in prop::collection::vec(
        prop::sample::select(b"{}[]\",:\\\n Records1".to_vec()), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.json");
        let text = [b"{\"Records\":[".as_slice(), &bytes].concat();
        std::fs::write(&path, &text).unwrap();
        let mut lines = Lines::open(&[path]).unwrap().with_records(Some("Records"));
        let mut last = 0;
        while let Some(line) = lines.next_line().unwrap() {
            prop_assert!(line.offset >= last && text[line.offset as usize..].starts_with(line.bytes));
            last = line.offset;
        }
    }
}
