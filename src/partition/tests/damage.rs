//! State that was lost, damaged, swapped or is older than it should be: agents are known less well, and nothing worse.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What happens to one record of the state.
#[derive(Clone, Debug)]
enum Damage {
    Lost,
    CutOff(prop::sample::Index),
    Flipped(prop::sample::Index),
    OtherFormat,
    /// As it was some commits before.
    Older,
    /// Under the key of another.
    Elsewhere(prop::sample::Index),
}

fn damages() -> impl Strategy<Value = Vec<(prop::sample::Index, Damage)>> {
    let index = || any::<prop::sample::Index>();
    let damage = prop_oneof![
        Just(Damage::Lost),
        index().prop_map(Damage::CutOff),
        index().prop_map(Damage::Flipped),
        Just(Damage::OtherFormat),
        Just(Damage::Older),
        index().prop_map(Damage::Elsewhere),
    ];
    proptest::collection::vec((index(), damage), 1..60)
}

fn damaged(
    state: &BTreeMap<Vec<u8>, Vec<u8>>,
    older: &BTreeMap<Vec<u8>, Vec<u8>>,
    damages: &[(prop::sample::Index, Damage)],
) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut damaged = state.clone();
    let keys: Vec<&Vec<u8>> = state.keys().collect();
    for (which, damage) in damages {
        let key = *which.get(&keys);
        let value = state[key].clone();
        match damage {
            Damage::Lost => {
                damaged.remove(key);
            }
            Damage::CutOff(place) => {
                damaged.insert(key.clone(), value[..place.index(value.len())].to_vec());
            }
            Damage::Flipped(place) => {
                let mut value = value;
                let place = place.index(value.len());
                value[place] ^= 0x10;
                damaged.insert(key.clone(), value);
            }
            Damage::OtherFormat => {
                let mut value = value;
                value[0] = 77;
                damaged.insert(key.clone(), value);
            }
            Damage::Older => {
                if let Some(older) = older.get(key) {
                    damaged.insert(key.clone(), older.clone());
                }
            }
            Damage::Elsewhere(other) => {
                damaged.insert(other.get(&keys).to_vec(), value);
            }
        }
    }
    damaged
}

fn take_until(partition: &mut Partition, offset: i64) {
    let end = world().values.len() as i64 - 2;
    while partition.next_offset() < offset.min(end) {
        take(partition, 1);
    }
}

/// Takes, commits and pins until a record; returns an older state.
fn go_on(broker: &mut Broker, partition: &mut Partition, until: i64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut older = BTreeMap::new();
    let until = until.min(world().values.len() as i64 - 2);
    while partition.next_offset() < until {
        take(partition, 60);
        if partition.is_muted() {
            continue;
        }
        if !partition.has_waiting_pins() {
            let number = partition.next_offset() as usize / 100;
            let version = world().versions[number % world().versions.len()].number();
            partition.pin(Pin::Version(version), world()).unwrap();
        }
        if let Some(commit) = partition.commit(PACE, 0, false).unwrap() {
            broker.write(&commit);
        }
        if partition.next_offset() > until / 2 && older.is_empty() {
            older = broker.state.clone();
        }
    }
    older
}

/// No id of an alert is used twice, and the numbers of an agent's risk updates only grow.
fn check_identities(told: &[Outgoing]) {
    let mut opened = BTreeSet::new();
    let mut last: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for record in told {
        let value = || serde_json::from_slice::<serde_json::Value>(record.value.as_ref().unwrap()).unwrap();
        match record.topic {
            Topic::Alerts if value()["state"] == "opened" => {
                let id = value()["alert_id"].to_string();
                assert!(opened.insert(id.clone()), "alert {id} was opened twice");
            }
            Topic::Risk => {
                let seq = value()["seq"].as_u64().unwrap();
                let before = last.insert(record.key.clone(), seq);
                assert!(before.is_none_or(|before| before < seq), "{before:?} before {seq}");
            }
            _ => {}
        }
    }
}

fn restored(state: &BTreeMap<Vec<u8>, Vec<u8>>, committed: Option<Position>, start: i64) -> Restored {
    let newest = Arc::clone(&world().versions[0]);
    let end = world().values.len() as i64;
    restore(settings(Copies::One), state, committed, (start, end), world(), newest)
}

proptest! {
    #![proptest_config(TestConfig { cases: 12, failure_persistence: None, max_shrink_iters: 20, ..TestConfig::default() })]
    #[test]
    fn whatever_is_damaged_no_identity_is_used_twice(
        half in 300i64..900, damages in damages(), gone in prop_oneof![Just(0i64), 0i64..900]
    ) {
        let mut broker = Broker::default();
        let mut partition = broker.restore(Flaw::None);
        let older = go_on(&mut broker, &mut partition, half);
        let state = damaged(&broker.state, &older, &damages);
        broker.state = state;
        // The log may begin later than what was saved.
        let start = gone.min(broker.committed.unwrap().offset);
        let Restored { mut partition, .. } = restored(&broker.state, broker.committed, start);
        if partition.next_offset() < start {
            let until = Incoming { offset: start, timestamp_ms: world().values[start as usize].0, key: None,
                value: Some(&world().values[start as usize].1) };
            partition.take(&[until], world()).unwrap();
        }
        go_on(&mut broker, &mut partition, 1500);
        check_identities(&broker.told);
    }
}

#[test]
fn pins_that_are_lost_do_not_silence_what_comes_next() {
    let mut broker = Broker::default();
    let mut partition = broker.restore(Flaw::None);
    go_on(&mut broker, &mut partition, 1000);
    for number in 0..3 {
        partition.pin(Pin::Clock(EventTime(number)), world()).unwrap();
    }
    broker.write(&partition.commit(PACE, 0, false).unwrap().unwrap());
    let pins = broker.state.keys().filter(|key| key.starts_with(b"pin")).count();
    broker.state.retain(|key, _| !key.starts_with(b"pin"));
    let Restored { mut partition, missing } = restored(&broker.state, broker.committed, 0);
    assert!(missing.iter().any(|line| line.starts_with(&format!("{pins} of the pins"))), "{missing:?}");
    let stands = broker.committed.unwrap();
    take_until(&mut partition, stands.offset);
    assert_eq!((partition.next_offset(), partition.is_muted()), (stands.offset, false));
    take(&mut partition, 1);
    assert_eq!(partition.counts().events + partition.counts().dead_letters, 1, "it was muted");
    assert!(partition.position().pins >= stands.pins);
}

#[test]
fn a_partition_whose_records_were_all_deleted_is_at_work_at_once() {
    let mut broker = Broker::default();
    let mut partition = broker.restore(Flaw::None);
    go_on(&mut broker, &mut partition, 1000);
    let stands = broker.committed.unwrap();
    let Restored { partition, .. } = restored(&broker.state, Some(stands), stands.offset - 1);
    assert!(partition.is_muted(), "one record is left to be judged again");
    let Restored { mut partition, .. } = restored(&broker.state, Some(stands), stands.offset);
    assert_eq!((partition.position(), partition.is_muted()), (stands, false));
    take(&mut partition, 1);
    assert_eq!(partition.counts().events + partition.counts().dead_letters, 1);
}

#[test]
fn what_was_passed_over_is_passed_over_again_and_told_once_even_if_nothing_comes_after_it() {
    let mut broker = Broker::default();
    let mut partition = broker.restore(Flaw::None);
    go_on(&mut broker, &mut partition, 1000);
    let from = partition.next_offset();
    // Two damaged batches, of which the second was looked through later.
    for (from, until) in [(from, from + 40), (from + 40, from + 70)] {
        assert_eq!(partition.pass_over_unreadable(until, world()).unwrap(), [(from, until)]);
    }
    broker.write(&partition.commit(PACE, 0, false).unwrap().unwrap());
    let count = |broker: &Broker| {
        let letters = broker.told.iter().filter(|record| record.topic == Topic::DeadLetters);
        letters.filter(|letter| letter.headers.contains(&("reason", "unreadable".to_owned()))).count()
    };
    assert_eq!(count(&broker), 2);

    let Restored { partition: mut again, .. } = restored(&broker.state, broker.committed, 0);
    take_until(&mut again, from);
    assert!(again.is_muted());
    assert_eq!(again.pass_over_unreadable(from + 70, world()).unwrap(), []);
    assert_eq!((again.is_muted(), again.position()), (false, partition.position()), "it is at work");
    take(&mut again, 300);
    take(&mut partition, 300);
    let (commit, expected) =
        (again.commit(PACE, 0, true).unwrap().unwrap(), partition.commit(PACE, 0, true).unwrap().unwrap());
    assert_eq!(commit.outputs, expected.outputs);
    broker.write(&commit);
    assert_eq!(count(&broker), 2);
    check_identities(&broker.told);
}

#[test]
fn a_record_whose_judging_panicked_is_passed_over_again_and_told_once() {
    let mut broker = Broker::default();
    let mut partition = broker.restore(Flaw::None);
    go_on(&mut broker, &mut partition, 1000);
    let offset = partition.next_offset();
    let record = Incoming { offset, timestamp_ms: 0, key: None, value: Some(b"panics") };
    partition.pass_over(&record, world()).unwrap();
    broker.write(&partition.commit(PACE, 0, false).unwrap().unwrap());
    let Restored { partition: mut again, .. } = restored(&broker.state, broker.committed, 0);
    take_until(&mut again, offset);
    again.take(&[record], world()).unwrap();
    assert_eq!(
        (again.position(), again.is_muted(), again.has_outputs()),
        (partition.position(), false, false)
    );
    assert_eq!(again.counts().dead_letters, 0, "it was not looked at again");
}

#[test]
fn what_was_damaged_after_it_had_been_judged_costs_memory_and_no_identity() {
    let mut broker = Broker::default();
    let mut partition = broker.restore(Flaw::None);
    go_on(&mut broker, &mut partition, 1400);
    let Restored { mut partition, .. } = restored(&broker.state, broker.committed, 0);
    let stands = broker.committed.unwrap().offset;
    // All of what would be judged again, and some records behind it.
    let from = partition.next_offset();
    let passed = partition.pass_over_unreadable(stands + 20, world()).unwrap();
    assert_eq!((passed.first().unwrap().0, *passed.last().unwrap()), (from, (stands, stands + 20)));
    assert!(passed.windows(2).all(|pair| pair[0].1 == pair[1].0), "{passed:?}");
    go_on(&mut broker, &mut partition, 2300);
    check_identities(&broker.told);
}

#[test]
fn a_slice_that_is_ahead_is_not_saved_as_of_an_earlier_record() {
    let mut broker = Broker::default();
    let mut partition = broker.restore(Flaw::None);
    go_on(&mut broker, &mut partition, 1000);
    let early = broker.committed.unwrap();
    take(&mut partition, 200);
    // Without transactions: the state was written, the offsets were not.
    let ahead = partition.commit(PACE, 0, true).unwrap().unwrap();
    broker.write(&ahead);
    let Restored { mut partition, .. } = restored(&broker.state, Some(early), 0);
    let mut expected = restored(&broker.state, Some(early), 0).partition;
    take_until(&mut expected, 1600);
    take_until(&mut partition, early.offset + 20);
    broker.write(&partition.commit(PACE, 0, true).unwrap().unwrap());
    let Restored { mut partition, .. } = restored(&broker.state, broker.committed, 0);
    take_until(&mut partition, 1600);
    for slice in 0..SLICES {
        assert_eq!(
            partition.engine.save_slice(slice).unwrap(),
            expected.engine.save_slice(slice).unwrap(),
            "slice {slice}"
        );
    }
}

#[test]
fn whoever_alone_holds_a_version_judges_by_it_as_it_was_made() {
    let made = world().versions[3].save().unwrap();
    let alone = Arc::new(Version::restore(engine_settings(), &made).unwrap());
    let mut partition = begun(settings(Copies::One), alone);
    take_until(&mut partition, 2300);
    assert!(partition.engine.version().save().unwrap() == made, "the version was changed");
}

/// A partition whose copies are written in turn, as without transactions; what was written, in order.
fn without_transactions(broker: &mut Broker) -> (Partition, Commit) {
    let begin = |broker: &Broker| {
        let end = world().values.len() as i64;
        let newest = Arc::clone(&world().versions[0]);
        restore(settings(Copies::Two), &broker.state, broker.committed, (0, end), world(), newest).partition
    };
    let mut partition = begin(broker);
    for round in 0..3 {
        take(&mut partition, 60);
        let at = partition.next_control();
        partition.pin(verdict(round, at), world()).unwrap();
        take(&mut partition, 60);
        broker.write(&partition.commit(PACE, 0, true).unwrap().unwrap());
        partition = begin(broker);
    }
    take(&mut partition, 60);
    let commit = partition.commit(PACE, 0, true).unwrap().unwrap();
    (partition, commit)
}

#[test]
fn whoever_falls_back_on_the_copy_before_finds_the_pins_since_it() {
    let mut broker = Broker::default();
    let (_, commit) = without_transactions(&mut broker);
    broker.write(&commit);
    for record in commit.state.iter().filter(|record| record.value.is_some() && record.key.starts_with(b"s"))
    {
        broker.state.insert(record.key.clone(), b"damaged".to_vec());
    }
    let end = world().values.len() as i64;
    let newest = Arc::clone(&world().versions[0]);
    let found = restore(settings(Copies::Two), &broker.state, broker.committed, (0, end), world(), newest);
    assert_eq!(found.missing, [] as [String; 0]);
    assert!(found.partition.position < broker.committed.unwrap());
}

#[test]
fn pins_that_nothing_needs_are_deleted_in_the_end_though_restarts_came_between() {
    let mut broker = Broker::default();
    let (mut partition, commit) = without_transactions(&mut broker);
    let pins = |broker: &Broker| broker.state.keys().filter(|key| key.starts_with(b"pin|")).count();
    assert!(pins(&broker) > 0);
    broker.write(&commit);
    take(&mut partition, 60);
    broker.write(&partition.commit(PACE, 0, true).unwrap().unwrap());
    assert_eq!(pins(&broker), 0);
}
