//! Agents that cannot be seen: what is told of them, and what is known of that after a restart.

use super::*;

#[test]
fn a_level_does_not_fall_while_events_are_missing_and_says_so() {
    use crate::risk::{Level, Monitoring, RiskUpdate};
    let rule =
        "[[rules]]\nname = \"many calls\"\nlevel = \"medium\"\ncount = { at_least = 6, within = \"15m\" }";
    let text = format!("[levels]\nobserve_first_days = 0\n{rule}");
    let engine = Config::parse(&text, Path::new("")).unwrap().settings().unwrap();
    let version = Arc::new(Version::new(engine.clone()));
    let settings = PartitionSettings { engine, ..settings(Copies::One) };
    let mut partition = begun(settings, version);
    let told = |partition: &mut Partition| -> Vec<RiskUpdate> {
        let commit = partition.commit(PACE, 0, false).unwrap();
        let outputs = commit.into_iter().flat_map(|commit| commit.outputs);
        let risks = outputs.filter(|output| output.topic == Topic::Risk);
        risks.map(|output| serde_json::from_slice(&output.value.unwrap()).unwrap()).collect()
    };
    let records: Vec<Incoming<'_>> = (0..)
        .zip(&world().values)
        .map(|(offset, (time, value))| Incoming {
            offset,
            timestamp_ms: *time,
            key: None,
            value: Some(value),
        })
        .collect();
    partition.take(&records, world()).unwrap();
    let mut levels: BTreeMap<String, (Level, u64)> = BTreeMap::new();
    for risk in told(&mut partition) {
        assert_eq!(risk.monitoring, Monitoring::Ok);
        levels.insert(risk.agent_id, (risk.level_uncapped, risk.seq));
    }
    assert!(levels.values().any(|(level, _)| *level > Level::None), "nobody has a level: {levels:?}");

    partition.pin(Pin::Sight(Some(Blindness::DeadLetters)), world()).unwrap();
    assert_eq!(told(&mut partition), [], "not all at once");
    let mut blind = Vec::new();
    while partition.untold != 0 {
        partition.tell_sight(3, world()).unwrap();
        let some = told(&mut partition);
        assert!(some.len() <= 3, "{} at once", some.len());
        blind.extend(some);
    }
    assert_eq!(blind.len(), levels.len(), "everybody of whom a risk was told");
    for risk in &blind {
        assert_eq!((risk.monitoring, risk.expires_at), (Monitoring::Blind, None));
        assert_eq!((risk.level_uncapped, risk.seq - 1), levels[&risk.agent_id]);
    }
    let mut latest = partition.latest_record().unwrap();
    for _ in 0..40 {
        latest += 30 * 60_000;
        partition.pin(Pin::Clock(EventTime(latest)), world()).unwrap();
    }
    assert_eq!(told(&mut partition), [], "nothing falls in twenty hours in which nobody sees");

    partition.pin(Pin::Sight(None), world()).unwrap();
    partition.tell_sight(usize::MAX, world()).unwrap();
    let seen_again = told(&mut partition);
    assert_eq!(seen_again.len(), levels.len());
    assert!(seen_again.iter().all(|risk| risk.monitoring == Monitoring::Ok
        && risk.expires_at.is_some() == (risk.level_uncapped > Level::None)));
    for _ in 0..200 {
        latest += 30 * 60_000;
        partition.pin(Pin::Clock(EventTime(latest)), world()).unwrap();
    }
    let fallen = told(&mut partition);
    assert!(fallen.iter().any(|risk| risk.level_uncapped < risk.previous_level), "{fallen:?}");
}

#[test]
fn a_source_that_has_fallen_silent_and_those_who_wait_to_be_told_are_known_after_a_restart() {
    let mut broker = Broker::default();
    let mut partition = broker.restore(Flaw::None);
    let progress = |topic: &str| {
        let progress = serde_json::json!({"schema": crate::wire::progress::PROGRESS_SCHEMA, "normaliser": "n",
            "topic": topic, "partition": 0, "watermark": "2026-01-01T00:00:00Z"});
        serde_json::to_vec(&progress).unwrap()
    };
    let (time, value) = &world().values[0];
    let silent = progress("trail");
    let record = |offset, value| Incoming { offset, timestamp_ms: *time, key: None, value: Some(value) };
    partition.take(&[record(0, value), record(1, &silent)], world()).unwrap();
    partition.pin(Pin::Sight(Some(Blindness::Sources)), world()).unwrap();
    partition.tell_sight(1, world()).unwrap();
    // All is saved: nothing is read again that would tell of the source.
    broker.write(&partition.commit(PACE, 0, true).unwrap().unwrap());
    let again = broker.restore(Flaw::None);
    let late = |partition: &Partition| {
        let late = partition.sources().late(EventTime(time + 70_000), 60_000);
        late.map(|(topic, number, late)| (topic.to_owned(), number, late))
    };
    assert_eq!(late(&again), Some(("trail".to_owned(), 0, 70_000)));
    assert_eq!(late(&again), late(&partition));
    assert_eq!(again.untold, partition.untold);
    assert_eq!(again.blindness(), Some(Blindness::Sources));
}

#[test]
fn whoever_is_forgotten_while_nobody_sees_him_is_told_of_as_not_watched() {
    use crate::risk::{Monitoring, RiskUpdate};
    let rule = "[[rules]]\nname = \"decoys\"\nhoneytoken = [\"decoy\"]";
    let text = format!("[agents]\nmax = 64\n[levels]\nobserve_first_days = 0\n{rule}");
    let engine = Config::parse(&text, Path::new("")).unwrap().settings().unwrap();
    let version = Arc::new(Version::new(engine.clone()));
    let settings = PartitionSettings { engine, ..settings(Copies::One) };
    let mut partition = begun(settings, version);
    let event = |offset: i64, agent: usize| {
        let value = serde_json::json!({"schema": "tiltmeter.audit-event.v1", "event_id": offset.to_string(),
            "time": EventTime(1_769_000_000_000 + offset).to_string(), "agent_id": format!("agent {agent}"), "agent_type": "t", "action": "read",
            "resource": "decoy"});
        (offset, 1_769_000_000_000 + offset, serde_json::to_vec(&value).unwrap())
    };
    let give = |partition: &mut Partition, all: &[(i64, i64, Vec<u8>)]| {
        let records: Vec<Incoming<'_>> = all
            .iter()
            .map(|(offset, timestamp_ms, value)| Incoming {
                offset: *offset,
                timestamp_ms: *timestamp_ms,
                key: None,
                value: Some(value),
            })
            .collect();
        partition.take(&records, world()).unwrap();
    };
    let told = |partition: &mut Partition| -> Vec<Outgoing> {
        partition.commit(PACE, 0, false).unwrap().into_iter().flat_map(|commit| commit.outputs).collect()
    };
    give(&mut partition, &(0..60).map(|n| event(n, n as usize)).collect::<Vec<_>>());
    partition.pin(Pin::Sight(Some(Blindness::DeadLetters)), world()).unwrap();
    partition.tell_sight(usize::MAX, world()).unwrap();
    told(&mut partition);
    give(&mut partition, &(60..400).map(|n| event(n, n as usize)).collect::<Vec<_>>());
    let mut last: BTreeMap<String, (Monitoring, u64)> = BTreeMap::new();
    let mut forgotten = Vec::new();
    for output in told(&mut partition) {
        let value = output.value.unwrap();
        match output.topic {
            Topic::Risk => {
                let risk: RiskUpdate = serde_json::from_slice(&value).unwrap();
                let before = last.insert(risk.agent_id, (risk.monitoring, risk.seq));
                assert!(before.is_none_or(|(_, seq)| seq < risk.seq));
            }
            Topic::Journal => {
                let told: serde_json::Value = serde_json::from_slice(&value).unwrap();
                forgotten.extend(told["agent_id"].as_str().map(str::to_owned));
            }
            _ => {}
        }
    }
    assert!(forgotten.len() > 100, "{forgotten:?}");
    for agent in &forgotten {
        assert_eq!(last[agent].0, Monitoring::Degraded, "{agent}");
    }
    assert!(last.values().any(|(monitoring, _)| *monitoring == Monitoring::Blind), "others are watched");
}
