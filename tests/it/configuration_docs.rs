//! `docs/configuration.md` names every setting with its default and range, and no other, `docs/kafka.md` every topic; the
//! schema of the configuration follows from the code and agrees with what the code reads.

use std::path::{Path, PathBuf};

use expect_test::expect_file;
use serde_json::Value;
use tiltmeter::config::{Config, KafkaSettings, schema};
use tiltmeter::detect::rules::field::Field;
use tiltmeter::kafka::topics::{Partitions, plans};

use super::scenarios::rules::examples;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn page(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

/// Whether the schema takes a configuration.
fn takes(text: &str) -> bool {
    let document: Value = toml::from_str(text).unwrap();
    jsonschema::validator_for(&schema()).unwrap().is_valid(&document)
}

#[test]
fn the_page_lists_exactly_the_settings_there_are() {
    let page = page("docs/configuration.md");
    let listed: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let config = Config::default();
    let expected: Vec<String> = config
        .all()
        .iter()
        .map(|setting| {
            let default = match setting.default.as_str() {
                "" => "none".to_owned(),
                text => format!("`{text}`"),
            };
            format!("| `{}` | {default} | {} | {} |", setting.name, setting.allowed, setting.about)
        })
        .collect();
    assert_eq!(listed, expected, "the table should be:\n{}\n", expected.join("\n"));
}

#[test]
fn the_page_of_kafka_lists_every_topic_as_it_is_made() {
    let page = page("docs/kafka.md");
    let table = page.split("\n## Topics\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<String> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split(" | ").take(4).collect::<Vec<_>>().join(" | "))
        .collect();
    let expected: Vec<String> = plans(&KafkaSettings::default())
        .unwrap()
        .iter()
        .map(|plan| {
            let setting = plan.topic.setting().rsplit('.').next().unwrap();
            let required: Vec<String> = plan
                .require
                .iter()
                .map(
                    |(name, value)| {
                        if name == "cleanup.policy" { value.clone() } else { format!("`{value}`") }
                    },
                )
                .collect();
            let partitions = match plan.partitions {
                Partitions::Chosen => "as you choose",
                Partitions::Input => "as `audit`",
                Partitions::One => "1",
                Partitions::Free => "any",
            };
            format!("| `{setting}` | `{}` | {} | {partitions}", plan.name, required.join(", "))
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn the_page_of_rules_names_every_field_and_no_other() {
    let page = page("docs/detectors/rules.md");
    let table = page.split("\n## Fields\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let listed: Vec<&str> =
        rows.flat_map(|cell| cell.split(',')).map(|name| name.trim().trim_matches('`')).collect();
    let (mut listed, mut expected) = (listed, Field::ALL.map(Field::name).to_vec());
    listed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(listed, expected);
}

#[test]
fn the_schema_that_is_written_is_the_one_that_the_code_makes() {
    let made = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    expect_file![path("schemas/config.v1.schema.json")].assert_eq(&made);
}

#[test]
fn the_schema_takes_what_the_pages_show() {
    let page = page("docs/configuration.md");
    let shown: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!shown.is_empty());
    for text in shown.into_iter().chain([examples().as_str(), ""]) {
        assert!(takes(text), "{text}");
    }
    let everything: String = Config::default()
        .all()
        .iter()
        .filter(|setting| !setting.default.is_empty())
        .map(|setting| format!("{} = {}\n", setting.name, setting.default))
        .collect();
    assert!(takes(&everything), "{everything}");
}

#[test]
fn what_the_schema_refuses_the_code_refuses_too_and_the_reverse() {
    for text in [
        "[alert]\nper_day = 3",
        "alerts.per_day = -1",
        "alerts.per_day = \"3\"",
        "agents.max = 1.5",
        "detect.lexicon = 1",
        "levels.observe_only = \"a\"",
        "levels.never_block = [\"\"]",
        "levels.criticality = { \"pay*\" = \"hihg\" }",
        "[rules]\nname = \"a\"",
        "rules = [{ name = \"a\" }]",
        "rules = [{ when = { action = \"a\" } }]",
        "rules = [{ name = \"a\", when = {} }]",
        "rules = [{ name = \"a\", when = { acton = \"a\" } }]",
        "rules = [{ name = \"a\", when = { action = 3 } }]",
        "rules = [{ name = \"a\", when = { action = [] } }]",
        "rules = [{ name = \"a\", when = { action = { above = 3 } } }]",
        "rules = [{ name = \"a\", when = { action = { not = { not = \"x\" } } } }]",
        "rules = [{ name = \"a\", when = { action = { absent = true, glob = \"x\" } } }]",
        "rules = [{ name = \"a\", when = { bytes = { glob = \"1*\" } } }]",
        "rules = [{ name = \"a\", when = { outcome = \"refused\" } }]",
        "rules = [{ name = \"a\", when = { location = { cidr = \"10.0.0.0/8\" } } }]",
        "rules = [{ name = \"a\", honeytoken = [] }]",
        "rules = [{ name = \"a\", honeytoken = \"a\", sensitive = \"b\" }]",
        "rules = [{ name = \"a\", level = \"grave\", sensitive = \"b\" }]",
        "rules = [{ name = \"a\", count = { at_least = 1, within = \"1h\" } }]",
        "rules = [{ name = \"a\", count = { at_least = 2 } }]",
        "rules = [{ name = \"a\", distinct = { of = \"day\", at_least = 2, within = \"1h\" } }]",
        "rules = [{ name = \"a\", distinct = { of = \"action\", at_least = 65, within = \"1h\" } }]",
    ] {
        assert!(Config::parse(text, Path::new("")).is_err(), "the code takes {text}");
        assert!(!takes(text), "the schema takes {text}");
    }
}
