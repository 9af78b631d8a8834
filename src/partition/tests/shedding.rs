//! Too much: what is left out, what is told of that, and that nothing else is lost by it.

use super::*;

/// One agent that does the same again and again, and another between.
fn flood(count: i64) -> Vec<(i64, i64, Vec<u8>)> {
    let event = |offset: i64| {
        let (agent, action) =
            if offset % 50 == 7 { ("quiet", format!("step {offset}")) } else { ("loud", "poll".to_owned()) };
        let time = 1_769_000_000_000 + offset * 100;
        let value = serde_json::json!({"schema": "tiltmeter.audit-event.v1", "event_id": offset.to_string(),
            "time": EventTime(time).to_string(), "agent_id": agent, "agent_type": "t", "action": action});
        (offset, time, serde_json::to_vec(&value).unwrap())
    };
    (0..count).map(event).collect()
}

fn give(partition: &mut Partition, all: &[(i64, i64, Vec<u8>)]) {
    let records = all.iter().map(|(offset, timestamp_ms, value)| Incoming {
        offset: *offset,
        timestamp_ms: *timestamp_ms,
        key: None,
        value: Some(value),
    });
    partition.take(&records.collect::<Vec<_>>(), world()).unwrap();
}

/// What was told of records that were not judged.
fn gaps(partition: &mut Partition) -> Vec<serde_json::Value> {
    let commit = partition.commit(PACE, 0, false).unwrap();
    let outputs = commit.into_iter().flat_map(|commit| commit.outputs);
    let gaps = outputs.filter(|output| output.topic == Topic::Journal && output.key.starts_with(b"~gap|0"));
    gaps.map(|gap| serde_json::from_slice(&gap.value.unwrap()).unwrap()).collect()
}

#[test]
fn what_repeats_is_left_out_and_told_and_nothing_of_anybody_else() {
    let all = flood(1000);
    let mut partition = Broker::default().restore(Flaw::None);
    give(&mut partition, &all[..100]);
    partition.pin(Pin::Repeats(10), world()).unwrap();
    give(&mut partition, &all[100..900]);
    assert_eq!(gaps(&mut partition), [] as [serde_json::Value; 0], "it is told when it is over");
    partition.pin(Pin::Repeats(0), world()).unwrap();
    give(&mut partition, &all[900..]);
    // 16 of 800 are of the quiet one; of the others, in each slice, the first and every tenth.
    let loud = 800 - 16;
    let left_out = loud - 1 - (loud - 1) / 10;
    assert_eq!(partition.counts().left_out, left_out);
    assert_eq!(partition.counts().events, 1000 - left_out);
    let expected = serde_json::json!({"schema": "tiltmeter.coverage-gap.v1", "partition": 0, "how": "repeats",
        "from": 100, "until": 900, "records": left_out});
    assert_eq!(gaps(&mut partition), [expected]);
}

#[test]
fn a_rule_that_counts_sees_what_was_left_out() {
    let rule = "[[rules]]\nname = \"many\"\nlevel = \"medium\"\ncount = { at_least = 500, within = \"15m\" }";
    let text = format!("[levels]\nobserve_first_days = 0\n{rule}");
    let engine = Config::parse(&text, Path::new("")).unwrap().settings().unwrap();
    let version = Arc::new(Version::new(engine.clone()));
    let alerts = |one_in: u32, count: i64| {
        let mut partition = begun(
            PartitionSettings { engine: engine.clone(), ..settings(Copies::One) },
            Arc::clone(&version),
        );
        partition.pin(Pin::Repeats(one_in), world()).unwrap();
        give(&mut partition, &flood(count));
        let commit = partition.commit(PACE, 0, false).unwrap().unwrap();
        let alerts = commit.outputs.into_iter().filter(|output| output.topic == Topic::Alerts);
        alerts.filter(|alert| String::from_utf8_lossy(alert.value.as_ref().unwrap()).contains("many")).count()
    };
    assert_eq!((alerts(0, 480), alerts(10, 480)), (0, 0));
    assert!(alerts(0, 560) > 0 && alerts(10, 560) > 0);
}

#[test]
fn what_is_overtaken_is_told_with_its_offsets_and_what_comes_behind_it_is_judged() {
    let all = flood(1000);
    let mut partition = Broker::default().restore(Flaw::None);
    give(&mut partition, &all[..100]);
    partition.pin(Pin::Overtake(950), world()).unwrap();
    assert_eq!(partition.next_offset(), 950);
    give(&mut partition, &all);
    assert_eq!((partition.counts().events, partition.counts().overtaken), (150, 850));
    let expected = serde_json::json!({"schema": "tiltmeter.coverage-gap.v1", "partition": 0, "how": "skip",
        "from": 100, "until": 950, "records": 850});
    assert_eq!(gaps(&mut partition), [expected]);
}

#[test]
fn that_less_is_judged_and_what_was_repeated_outlive_a_restart() {
    use Step::{Commit, Crash, CrashUnheard, HandOver, Repeats, Take};
    let mut steps = vec![Take(200), Commit, Repeats(7)];
    for _ in 0..12 {
        steps.extend([Take(83), Commit, Take(20), CrashUnheard, Take(11), Commit, Crash, Take(31), HandOver]);
    }
    steps.extend([Repeats(0), Take(100), Commit, Crash]);
    assert_eq!(differs(&steps, Flaw::None), None);
    let (broker, ..) = run(&steps, Flaw::None);
    let gap = broker.told.iter().find(|told| told.key.starts_with(b"~gap")).unwrap();
    let gap: serde_json::Value = serde_json::from_slice(gap.value.as_ref().unwrap()).unwrap();
    assert!(gap["how"] == "repeats" && gap["records"].as_u64().unwrap() > 100, "{gap}");
    assert!(differs(&steps, Flaw::RepeatsForgotten).is_some());
}
