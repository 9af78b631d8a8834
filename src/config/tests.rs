//! Tests of the configuration: defaults, faults, hash, secrets.

use super::*;
use expect_test::{Expect, expect};

fn parse(text: &str) -> Config {
    Config::parse(text, Path::new("")).unwrap()
}

fn check_faults(text: &str, expected: Expect) {
    let faults = Config::parse(text, Path::new("/nowhere")).unwrap_err();
    expected.assert_eq(&faults.iter().map(|fault| format!("{fault}\n")).collect::<String>());
}

#[test]
fn an_empty_file_no_file_and_all_defaults_written_out_say_the_same() {
    let empty = parse("");
    let mut text = String::new();
    for setting in empty.all().iter().filter(|setting| !setting.default.is_empty()) {
        text += &format!("{} = {}\n", setting.name, setting.default);
    }
    let written = parse(&text);
    assert_eq!(written.all(), empty.all());
    assert_eq!(written.hash(), empty.hash());
    assert_eq!(Config::load(None).unwrap().hash(), empty.hash());
    assert_eq!(Config::default().all(), empty.all());
    let settings = empty.settings().unwrap();
    assert_eq!((settings.alerts_per_day, settings.max_agents), (5.0, 1_000_000));
    assert_eq!(settings.content, ContentSettings::default());
    assert!(settings.lexicon.is_some());
    assert_eq!(settings.config, empty.hash());
}

#[test]
fn every_setting_reaches_the_engine() {
    let config = parse(
        "alerts.per_day = 1\nagents.max = 1_007\nagents.identity = \"urn:{agent_id}\"\nlearn.quarantine_p = 0.5\ndetect.lexicon = false\n\
         [detect.content]\nfine = false\ncoarse = false\nvalue_novelty = 11\norder_excess = 12\n\
         key_novelty = 15\nbare_value_novelty = 13\nbare_order_excess = 14\n\
         [detect.content.verb_weights]\nread = 1\nother = 2\nwrite = 3\negress = 4\npay = 5\nprivilege = 6\n\
         destructive = 7\n\
         [levels]\nobserve_only = [\"batch-*\"]\nobserve_first_days = 0\nnever_block = [\"pump-7\"]\n\
         criticality = { \"pay*\" = \"high\", \"*-test\" = \"low\" }\n\
         [verdicts]\nsecond_person = true\nsecond_person_hours = 6\n\
         [registry]\nrequire = true\ndormant_days = 12",
    );
    let settings = config.settings().unwrap();
    assert_eq!((settings.alerts_per_day, settings.max_agents, settings.quarantine_p), (1.0, 1_007, 0.5));
    assert!(settings.lexicon.is_none());
    let expected = ContentSettings {
        fine: false,
        coarse: false,
        value_novelty: 11.0,
        order_excess: 12.0,
        key_novelty: 15.0,
        bare_value_novelty: 13.0,
        bare_order_excess: 14.0,
        verb_weights: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
    };
    assert_eq!(settings.content, expected);
    assert_eq!(settings.registry, RegistrySettings { require: true, dormant_days: 12.0 });
    assert_eq!(config.identity().to_string(), "urn:{agent_id}");
    let levels = config.levels();
    assert!(levels.observe_only.matches("batch-7") && !levels.observe_only.matches("pump-7"));
    assert!(levels.never_block.matches("pump-7") && !levels.never_block.matches("pump-71"));
    assert_eq!(levels.observe_first_days, 0.0);
    assert_eq!(levels.second_person_ms, Some(6 * 3_600_000));
    let criticality = ["pay-test", "mail-test", "mail"].map(|agent_type| levels.criticality(agent_type));
    assert_eq!(criticality, [Criticality::High, Criticality::Low, Criticality::Normal]);
    // Every setting but the two that name files was changed: a new one cannot be forgotten here.
    let is_apart = |name: &str| ["kafka.", "http.", "caep."].iter().any(|table| name.starts_with(table));
    let judging = config.all().iter().filter(|setting| !is_apart(setting.name)).count();
    assert_eq!(config.changed().count() + 2, judging);
}

#[test]
fn a_calibration_of_ones_own_takes_the_place_of_the_shipped_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let load = |name: &str| Config::parse(&format!("learn.calibration_file = \"{name}\""), &folder);
    let own = load("calibration.v1.json").unwrap();
    assert_eq!(own.settings().unwrap().shipped, crate::models::calibration().unwrap());
    assert_ne!(own.hash(), Config::default().hash());
    for wrong in ["lexicon.toml", "missing.json"] {
        assert!(load(wrong).unwrap_err()[0].to_string().contains("calibration_file"), "{wrong}");
    }
}

#[test]
fn all_faults_are_told_at_once_with_their_lines() {
    check_faults(
        r#"
per_day = 3
[alerts]
per_day = -1
[agents]
max = 0
identity_key_file = "missing.key"
[detect]
lexikon = true
lexicon = "yes"
content.value_novelty = nan
content.order_excess = inf
content.fine = 1
content.verb_weights = [0.1, 0.2]
[detect.content.lexicon]
[learn.quarantine_p]
[kalfa]
brokers = "localhost:9092"
[detekt]
[levels]
observe_only = "batch-*"
never_block = ["a", ""]
[levels.criticality]
"pay*" = "hihg"
[levells]
[levels.criticalty]
"#,
        expect![[r#"
            line 2: per_day = 3 is unknown: did you mean [alerts] per_day?
            line 4: [alerts] per_day = -1 is not allowed: give a number from 0.1 to 1000000 (alerts a day that a person can read: the average that the threshold aims at; not filled up when less happens), or leave it out for 5
            line 6: [agents] max = 0 is not allowed: give a whole number from 1 to 100000000 (agents watched at once; the one unseen for longest makes room), or leave it out for 1000000
            line 7: [agents] identity_key_file = "missing.key": cannot read it: No such file or directory (os error 2); check its permissions, or make one with `openssl rand -hex 16`
            line 9: [detect] lexikon = true is unknown: did you mean [detect] lexicon?
            line 10: [detect] lexicon = "yes" is not allowed: give true or false (judge actions by what the words of their names say), or leave it out for true
            line 11: [detect.content] value_novelty = nan is not allowed: give a number from 0 to 100 (weight of new destinations beside a suspicious origin), or leave it out for 0.3
            line 12: [detect.content] order_excess = inf is not allowed: give a number from 0 to 100 (weight of an unusual order beside a suspicious origin), or leave it out for 0.3
            line 13: [detect.content] fine = 1 is not allowed: give true or false (judge six kinds of origin: with form, and anchored in the request or not), or leave it out for true
            line 14: [detect.content] verb_weights = [0.1, 0.2] is not allowed: it is a table; write [detect.content.verb_weights] and its settings below
            line 15: [detect.content.lexicon] is unknown: remove it; known here: verb_weights
            line 16: [learn.quarantine_p] is not allowed: it is a setting, not a table; write [learn] quarantine_p = VALUE
            line 17: [kalfa] is unknown: did you mean [kafka]?
            line 19: [detekt] is unknown: did you mean [detect]?
            line 21: [levels] observe_only = "batch-*" is not allowed: give a list of patterns in quotes, `*` for any text and `?` for one character (agent types that are only observed: their published level is at most low), or leave it out for nothing
            line 22: [levels] never_block = ["a", ""] is not allowed: give a list of patterns in quotes, `*` for any text and `?` for one character (ids of agents that must never be blocked), or leave it out for nothing
            line 24: [levels.criticality] "pay*" = "hihg" is not allowed: give one of ["low", "normal", "high"] (how much harm agents of a type could do; normal where nothing is said, the highest of all that fit)
            line 25: [levells] is unknown: did you mean [levels]?
            line 26: [levels.criticalty] is unknown: did you mean [levels.criticality]?
        "#]],
    );
}

#[test]
fn a_file_that_is_no_toml_is_told_by_line() {
    check_faults(
        "[alerts\nper_day = 3\nx = = 1\n",
        expect![[r#"
        line 1: unclosed table, expected `]`; this is no valid TOML, see https://toml.io
        line 3: extra `=`, expected nothing; this is no valid TOML, see https://toml.io
        line 3: unexpected key or value, expected newline, `#`; this is no valid TOML, see https://toml.io
    "#]],
    );
}

#[test]
fn hostile_values_are_shown_cut_and_escaped() {
    let text = format!("\"a\\u202e\\u001b[31m\" = \"{}\"", "x".repeat(500));
    let fault = Config::parse(&text, Path::new("")).unwrap_err().remove(0).what;
    assert!(fault.chars().count() < 250 && !fault.contains(['\u{202e}', '\u{1b}']), "{fault}");
}

#[test]
fn the_hash_follows_what_is_said_and_not_how() {
    let base = parse("").hash();
    assert_eq!(base.len(), 12);
    assert_eq!(parse("# nothing\n[alerts]\nper_day = 5").hash(), base);
    let mut seen = std::collections::BTreeSet::from([base]);
    for text in ["alerts.per_day = 6", "detect.lexicon = false", "detect.content.verb_weights.pay = 1.5"] {
        assert!(seen.insert(parse(text).hash()), "{text}");
    }
}

#[test]
fn the_key_is_read_from_its_file_and_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let key = "000102030405060708090a0B0c0d0e0f";
    std::fs::write(folder.path().join("id.key"), format!("{key}\n")).unwrap();
    let file = folder.path().join("tiltmeter.toml");
    std::fs::write(&file, "agents.identity_key_file = \"id.key\"").unwrap();
    let config = Config::load(Some(&file)).unwrap();
    assert!(config.has_identity_key());
    assert_eq!(config.identity_key(), std::array::from_fn(|i| u8::try_from(i).unwrap()));
    let shown = format!("{config:?} {:?}", config.settings().unwrap());
    assert!(!shown.contains("id.key") && !shown.contains("13, 14, 15"), "{shown}");

    for wrong in ["", "0001", "000102030405060708090a0b0c0d0e0g", "+00102030405060708090a0b0c0d0e0f"] {
        std::fs::write(folder.path().join("id.key"), wrong).unwrap();
        let told = Config::load(Some(&file)).unwrap_err().to_string();
        assert!(told.contains("32 hexadecimal digits"), "{told}");
        assert!(wrong.is_empty() || !told.contains(wrong), "a secret is told: {told}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let told = Config::load(Some(Path::new("/nowhere/t.toml"))).unwrap_err().to_string();
    assert!(told.contains("/nowhere/t.toml"), "{told}");
}
