//! Nobody translates for ten minutes; then all that was written meanwhile arrives at once, with the times at which it happened.

use super::*;
use crate::time::HOUR_MS;

const MINUTE_MS: i64 = 60_000;
const OUTAGE_MS: i64 = 10 * MINUTE_MS;
/// A source is late after this.
const LATE_MS: i64 = MINUTE_MS;
/// Between two times of an idle partition.
const BEAT_MS: i64 = 30_000;

/// What happens where nobody translates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outage {
    /// It does not happen.
    None,
    /// It is noticed, and over before what waited arrives.
    Noticed,
    /// The same, and over when half of it has arrived.
    NoticedUntilHalf,
    /// Nobody notices it.
    Unnoticed,
}

/// Opened alerts by what kind of risk they are, of a fleet at peace, with an outage at eleven on each of the last three days.
fn opened(outage: Outage) -> BTreeMap<String, usize> {
    let start = EventTime(1_769_040_000_000);
    let scenario = Scenario { agents: 120, days: 7.0, attack_share: 0.0, start, ..Scenario::default() };
    let events: Vec<_> = Simulation::new(&scenario).unwrap().map(|simulated| simulated.event).collect();
    let engine =
        Config::parse("[levels]\nobserve_first_days = 0", Path::new("")).unwrap().settings().unwrap();
    let version = Arc::new(Version::new(engine.clone()));
    let mut partition = begun(PartitionSettings { engine, ..settings(Copies::One) }, version);
    let begins = |day: i64| start.0 + day * 24 * HOUR_MS + 11 * HOUR_MS;
    let mut offset = 0;
    let mut give = |partition: &mut Partition, event: &crate::event::AuditEvent<'_>, recorded: i64| {
        let value = serde_json::to_vec(event).unwrap();
        let record = Incoming { offset, timestamp_ms: recorded, key: None, value: Some(&value) };
        partition.take(&[record], world()).unwrap();
        offset += 1;
    };
    let mut rest = events.as_slice();
    for day in 4..7 {
        let from = begins(day);
        let (before, later) = rest.split_at(rest.partition_point(|event| event.time.0 < from));
        before.iter().for_each(|event| give(&mut partition, event, event.time.0));
        let until = from + OUTAGE_MS;
        let (meanwhile, later) = later.split_at(later.partition_point(|event| event.time.0 < until));
        rest = later;
        assert!(meanwhile.len() > 10, "{} events in ten minutes", meanwhile.len());
        if outage == Outage::None {
            meanwhile.iter().for_each(|event| give(&mut partition, event, event.time.0));
            continue;
        }
        for time in (from..until).step_by(BEAT_MS as usize) {
            if outage != Outage::Unnoticed && time >= from + LATE_MS && partition.blindness().is_none() {
                partition.pin(Pin::Sight(Some(Blindness::Sources)), world()).unwrap();
            }
            partition.pin(Pin::Clock(EventTime(time)), world()).unwrap();
        }
        let seen_after = if outage == Outage::NoticedUntilHalf { meanwhile.len() / 2 } else { 0 };
        for (place, event) in meanwhile.iter().enumerate() {
            if place == seen_after && partition.blindness().is_some() {
                partition.pin(Pin::Sight(None), world()).unwrap();
            }
            give(&mut partition, event, until);
        }
    }
    rest.iter().for_each(|event| give(&mut partition, event, event.time.0));
    let mut told = BTreeMap::new();
    for output in partition.commit(PACE, 0, false).unwrap().unwrap().outputs {
        if output.topic == Topic::Alerts {
            let alert: serde_json::Value = serde_json::from_slice(&output.value.unwrap()).unwrap();
            if alert["state"] == "opened" {
                *told.entry(alert["risk_event_type"].to_string()).or_insert(0) += 1;
            }
        }
    }
    told
}

#[test]
fn after_ten_minutes_in_which_nobody_translated_there_is_no_flood() {
    let usual = opened(Outage::None);
    let all = |told: &BTreeMap<String, usize>| told.values().sum::<usize>();
    for outage in [Outage::Noticed, Outage::NoticedUntilHalf, Outage::Unnoticed] {
        let told = opened(outage);
        println!("{outage:?}: {told:?}; without an outage: {usual:?}");
        // Units are cut otherwise, and some stand close to the threshold.
        assert!(all(&told) * 10 <= all(&usual) * 11, "{outage:?}: {told:?} instead of {usual:?}");
    }
}
