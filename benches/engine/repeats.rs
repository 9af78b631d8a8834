//! What it spares to leave repeats out: a partition under a flood of one call, judging all of it and one in ten.
//!
//! Knows a partition as the service uses it. Must not know Kafka: what reading a record costs comes on top.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cpu_time::ThreadTime;
use tiltmeter::config::Config;
use tiltmeter::engine::Version;
use tiltmeter::partition::{Copies, Incoming, ONE_IN, Partition, PartitionSettings, Pin, restore};
use tiltmeter::time::EventTime;
use tiltmeter::wire::audit_event;

use crate::{ROUNDS, median};

/// Calls of the flood, and the agents that it comes from.
const CALLS: usize = 200_000;
const AGENTS: usize = 8;
/// Records that are taken at once, as in the service.
const AT_ONCE: usize = 4096;
const START: EventTime = EventTime(1_769_040_000_000);

/// Prints nanoseconds a record: decoded only, all judged, one in ten judged.
pub fn report() {
    let records: Vec<(i64, Vec<u8>)> = (0..CALLS).map(call).collect();
    let mut took: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let clock = ThreadTime::now();
        for (_, value) in &records {
            std::hint::black_box(audit_event::decode(value).unwrap());
        }
        took[0].push(clock.elapsed());
        for (place, one_in) in [(1, 0), (2, ONE_IN)] {
            let (mut partition, version) = partition();
            partition.pin(Pin::Repeats(one_in), &version).unwrap();
            let clock = ThreadTime::now();
            for (batch, number) in records.chunks(AT_ONCE).zip(0..) {
                let all: Vec<Incoming<'_>> =
                    batch.iter().zip(number * AT_ONCE as i64..).map(incoming).collect();
                partition.take(&all, &version).unwrap();
            }
            took[place].push(clock.elapsed());
            assert_eq!(partition.counts().events + partition.counts().left_out, CALLS as u64);
        }
    }
    let [decoded, all, few] =
        took.map(|took| median(took.iter().map(|took| took.as_nanos() as f64 / CALLS as f64).collect()));
    println!("ns a record: {decoded:.0} decoded only, {all:.0} all judged, {few:.0} one in {ONE_IN} judged");
}

fn incoming((record, offset): (&(i64, Vec<u8>), i64)) -> Incoming<'_> {
    Incoming { offset, timestamp_ms: record.0, key: None, value: Some(&record.1) }
}

fn call(number: usize) -> (i64, Vec<u8>) {
    let time = START.plus_ms(number as i64);
    let value = serde_json::json!({"schema": "tiltmeter.audit-event.v1", "event_id": number.to_string(),
        "time": time.to_string(), "agent_id": format!("loop-{}", number % AGENTS), "agent_type": "looping",
        "session_id": "one", "action": "poll", "resource": "queue", "outcome": "error"});
    (time.0, serde_json::to_vec(&value).unwrap())
}

fn partition() -> (Partition, Arc<Version>) {
    let engine = Config::load(None).unwrap().settings().unwrap();
    let version = Arc::new(Version::new(engine.clone()));
    let settings = PartitionSettings {
        engine,
        number: 0,
        partitions: 1,
        topic: "agent-audit".to_owned(),
        copies: Copies::One,
    };
    let log = (0, CALLS as i64);
    (restore(settings, &BTreeMap::new(), None, log, &version, Arc::clone(&version)).partition, version)
}
