//! What every alert must keep, over simulated fleets under attack: it adds up, it can be traced to its events, and
//! the world can read it.
//!
//! Knows the alert, its schema and the simulated fleet. Must not know how anything is judged.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tiltmeter::alert::{Alert, AlertState, Observation};
use tiltmeter::config::Config;
use tiltmeter::engine::unit::Position;
use tiltmeter::engine::{Engine, Output};
use tiltmeter::finding::{Family, RiskEventType};
use tiltmeter::simulate::{Preset, Scenario, Simulation};

use tiltmeter::event::AuditEvent;
use tiltmeter::time::{DAY_MS, EventTime};

/// The source number under which the events are handed to the engine: not 0, so that a forgotten one shows.
const SOURCE: u32 = 3;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A small fleet that is attacked often and blatantly; the events in order, and the alerts of them.
fn attacked_fleet(preset: Preset, seed: u64) -> (Vec<AuditEvent<'static>>, Vec<Alert>) {
    let scenario = Scenario {
        preset,
        seed,
        agents: 40,
        days: 4.0,
        attack_share: 0.03,
        strength: 1.0,
        quiet_ms: DAY_MS,
        ..Scenario::default()
    };
    let mut engine = Engine::new(Config::default().settings().unwrap());
    let (mut events, mut alerts) = (Vec::new(), Vec::new());
    for simulated in Simulation::new(&scenario).unwrap() {
        let line = events.len() as u64 + 1;
        engine.judge(&simulated.event, Position { source: SOURCE, line }, &mut alerts);
        events.push(simulated.event);
    }
    engine.finish(&mut alerts);
    (events, alerts.into_iter().filter_map(Output::into_alert).collect())
}

/// What is wrong with an alert that was told after `events`.
fn faults(alert: &Alert, events: &[AuditEvent<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut need = |good: bool, what: String| {
        if !good {
            faults.push(what);
        }
    };
    let sum: f64 = alert.shares.iter().map(|share| share.share).sum();
    need((sum - 1.0).abs() <= 1e-9, format!("shares sum to {sum}"));
    need(alert.p <= alert.threshold, format!("p {} above the threshold {}", alert.p, alert.threshold));
    need(!alert.findings.is_empty(), "no findings".to_owned());
    let first = alert.findings.iter().find(|finding| finding.family == alert.family);
    need(
        first.is_some_and(|finding| finding.risk_event_type == alert.risk_event_type),
        format!("{} is not what its family found", alert.risk_event_type.name()),
    );
    for finding in &alert.findings {
        need(!finding.unit.is_empty(), format!("no unit: {}", finding.sentence));
        let figures = [Some(finding.observed), finding.expected_type, finding.expected_fleet];
        need(
            figures.iter().flatten().all(|figure| figure.is_finite()),
            format!("{figures:?} {}", finding.unit),
        );
        need((0.0..=1.0).contains(&finding.p) && finding.p > 0.0, format!("p of a finding is {}", finding.p));
        let usual = finding.expected_agent.or(finding.expected_type).unwrap_or(0.0);
        let is_share = finding.unit.starts_with("probability");
        let is_unusual = if is_share { finding.observed < usual } else { finding.observed > usual };
        // Counts are judged window by window, and told for a stretch of them.
        let is_count = finding.unit.starts_with("calls") || finding.unit.starts_with("refusals");
        need(
            is_unusual || is_count,
            format!("{} is usual: {} beside {usual}", finding.sentence, finding.observed),
        );
    }
    for share in alert.shares.iter().filter(|share| share.share >= 0.05) {
        let explains =
            |found: &&Observation| (found.family, found.detector) == (share.family, share.detector);
        need(alert.findings.iter().any(|found| explains(&found)), format!("nothing explains {share:?}"));
    }
    let enumerated =
        alert.evidence.iter().filter(|_| alert.risk_event_type == RiskEventType::MassEnumeration);
    for evidence in enumerated.filter(|evidence| evidence.family == Family::Novelty) {
        need(
            !evidence.resources.is_empty(),
            "no resource is named of those that were walked through".to_owned(),
        );
    }
    need(alert.evidence.iter().any(|evidence| evidence.family == alert.family), "no evidence".to_owned());
    for evidence in &alert.evidence {
        let event = evidence.line.checked_sub(1).and_then(|line| events.get(line as usize));
        let Some(event) = event.filter(|_| evidence.source == SOURCE) else {
            need(false, format!("evidence at {}:{}, where nothing is", evidence.source, evidence.line));
            continue;
        };
        need(
            *event.agent_id == *alert.subject.id
                && event.time == evidence.time
                && *event.action == *evidence.action
                && event.event_id.as_deref() == evidence.event_id.as_deref(),
            format!("evidence {evidence:?} is not the event there, {event:?}"),
        );
        // What belongs to a session stands in that session; these belong to the hour, with all its sessions.
        let of_the_hour = matches!(evidence.family, Family::Novelty | Family::Bursts | Family::Failure);
        let of_the_session = !of_the_hour && alert.session_id.is_some();
        let same = event.session_id.as_deref() == alert.session_id.as_deref();
        need(!of_the_session || same, format!("evidence of session {:?}", event.session_id));
        need(
            evidence.time <= alert.time,
            format!("evidence of {} in an alert of {}", evidence.time, alert.time),
        );
    }
    faults
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn every_alert_adds_up_and_rests_on_the_events_it_names(seed: u64, preset in 0usize..4) {
        let (events, alerts) = attacked_fleet(Preset::ALL[preset], seed);
        for alert in &alerts {
            prop_assert_eq!(faults(alert, &events), Vec::<String>::new(), "{}", serde_json::to_string(alert).unwrap());
        }
    }
}

/// In this fleet a session and its hour are unusual together, and no family is by itself.
#[test]
fn an_alert_that_no_family_explains_alone_names_the_call_that_decided_it() {
    let (events, alerts) = attacked_fleet(Preset::ALL[3], 17_897_834_335_765_982_506);
    for alert in &alerts {
        assert_eq!(faults(alert, &events), Vec::<String>::new(), "{}", serde_json::to_string(alert).unwrap());
    }
}

#[test]
fn every_alert_of_an_attacked_fleet_follows_the_schema() {
    let text = std::fs::read_to_string(root().join("schemas/agent-alerts.v1.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap();
    let (_, alerts) = attacked_fleet(Preset::Mixed, 7);
    let opened = alerts.iter().filter(|alert| alert.state == AlertState::Opened).count();
    assert!(opened >= 3, "only {opened} alerts: nothing is tested");
    for alert in &alerts {
        let value = serde_json::to_value(alert).unwrap();
        let faults: Vec<_> =
            schema.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path)).collect();
        assert!(faults.is_empty(), "{}\n{value:#}", faults.join("\n"));
    }
    let mut value = serde_json::to_value(&alerts[0]).unwrap();
    value["p"] = 0.into();
    value["evidence"][0]["line"] = 0.into();
    assert_eq!(schema.iter_errors(&value).count(), 2, "the schema lets anything through");
}

#[test]
fn the_schema_names_every_family_detector_and_kind_of_risk() {
    let text = std::fs::read_to_string(root().join("schemas/agent-alerts.v1.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    let families: Vec<_> = Family::TOLD.iter().map(|family| family.name()).collect();
    assert_eq!(schema["$defs"]["family"]["enum"], serde_json::json!(families));
    let kinds: Vec<_> = RiskEventType::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(schema["$defs"]["riskEventType"]["enum"], serde_json::json!(kinds));
}

#[test]
fn an_alert_keeps_its_id_and_opens_before_it_is_updated_or_closed() {
    let (_, alerts) = attacked_fleet(Preset::Mixed, 7);
    let mut open: std::collections::BTreeMap<&str, EventTime> = Default::default();
    let mut seen = std::collections::BTreeSet::new();
    for alert in &alerts {
        match alert.state {
            AlertState::Opened => {
                assert!(seen.insert(&alert.alert_id), "{} opened twice", alert.alert_id);
                open.insert(&alert.alert_id, alert.opened);
            }
            AlertState::Updated => assert_eq!(open.get(&*alert.alert_id), Some(&alert.opened)),
            AlertState::Closed => assert_eq!(open.remove(&*alert.alert_id), Some(alert.opened)),
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

#[test]
fn every_technique_id_stands_in_the_published_list() {
    let list: PathBuf = root().join("../shared/validators/atlas-5.6.0.csv");
    let Ok(text) = std::fs::read_to_string(&list) else {
        println!("left out: {} is not here (technique ids of MITRE ATLAS 5.6.0, one a line)", list.display());
        return;
    };
    let known: Vec<&str> = text.lines().filter_map(|line| line.split(',').next()).collect();
    assert!(known.contains(&"AML.T0051"), "{} is no list of ATLAS ids", list.display());
    for kind in RiskEventType::ALL {
        for id in kind.atlas() {
            assert!(known.contains(id), "{id} of {} is not in ATLAS 5.6.0", kind.name());
        }
    }
}
