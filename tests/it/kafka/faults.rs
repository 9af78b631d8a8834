//! Faults in small doses: whatever is killed, stopped or damaged, what is told is what one run without failures tells.
//!
//! `cargo bench --bench verify` gives the same faults in larger doses; `docs/reliability.md` has the figures.

use std::time::{Duration, Instant};

use tiltmeter::control::{Control, ControlRecord};
use tiltmeter::kafka::settings::Topic;
use tiltmeter::risk::{Decision, Verdict};
use tiltmeter::time::EventTime;

use super::between;
use super::breaking;
use super::deployment::{Deployment, events};
use super::proxy::Proxy;
use super::rig::{Cluster, left_out, shared};

/// Fewer alerts than this would show nothing.
const ENOUGH: usize = 100;

#[test]
fn an_instance_that_is_killed_again_and_again_tells_everything_once() {
    let Some(brokers) = shared() else { return left_out("kills") };
    let deployment = Deployment::new("kills", &brokers.brokers, 3, "").with_seats();
    let done = breaking::kills(&deployment, 10, 1);
    assert_eq!((done.faults, done.events), (10, 8000));
    assert!(deployment.check() > ENOUGH);
    deployment.check_identities();
}

#[test]
fn at_least_once_a_killed_instance_loses_nothing_and_repeats_only_what_it_told() {
    let Some(brokers) = shared() else { return left_out("kills, at least once") };
    let more = "delivery = \"at_least_once\"\n";
    let deployment = Deployment::new("least", &brokers.brokers, 3, more).with_seats();
    breaking::kills(&deployment, 8, 2);
    assert!(deployment.check_at_least_once() > ENOUGH);
}

#[test]
fn instances_restarted_in_turn_tell_everything_once_and_stop_in_time() {
    let Some(brokers) = shared() else { return left_out("rolling restarts") };
    let deployment = Deployment::new("rolling", &brokers.brokers, 3, "");
    let done = breaking::rolling_restarts(&deployment, 6, 3);
    assert!(done.slowest_stop > Duration::ZERO);
    assert!(deployment.check() > ENOUGH);
}

#[test]
fn an_instance_that_slept_through_its_session_is_fenced_when_it_wakes() {
    let Some(brokers) = shared() else { return left_out("zombies") };
    let deployment = Deployment::new("zombies", &brokers.brokers, 3, "");
    breaking::zombies(&deployment, 2, 4);
    assert!(deployment.check() > ENOUGH);
}

#[test]
fn instances_that_come_and_go_tell_everything_once() {
    let Some(brokers) = shared() else { return left_out("scaling") };
    let deployment = Deployment::new("scaling", &brokers.brokers, 3, "");
    breaking::scaling(&deployment, 1, 5);
    assert!(deployment.check() > ENOUGH);
}

#[test]
fn brokers_that_are_killed_in_turn_lose_nothing_and_need_nobody() {
    let Some(mut cluster) = Cluster::start(3) else { return left_out("broker kills") };
    let deployment = Deployment::replicated("brokers", &cluster.addresses().brokers, 3, 3, "");
    breaking::broker_kills(&deployment, &mut cluster, 3, 6);
    assert!(deployment.check() > ENOUGH);
}

#[test]
fn damaged_missing_and_foreign_state_costs_memory_and_no_identity() {
    let Some(brokers) = shared() else { return left_out("damaged state") };
    let deployment = Deployment::new("damaged", &brokers.brokers, 2, "").with_seats();
    let all = events(8000, 30);
    let mut instance = deployment.start("a");
    for (round, portion) in all.chunks(1600).enumerate() {
        deployment.produce(portion);
        deployment.wait(&mut [&mut instance]);
        if round % 2 == 0 {
            instance.kill();
        } else {
            instance.stop();
        }
        damage(&deployment, round);
        instance = deployment.start("a");
    }
    deployment.wait(&mut [&mut instance]);
    assert!(instance.log().contains("lost or damaged"), "{}", instance.log());
    instance.stop();
    assert!(deployment.check_identities() > ENOUGH / 5);
}

/// Each round another kind of damage to every second record of the state.
fn damage(deployment: &Deployment, round: usize) {
    let saved = deployment.read(Topic::Checkpoints);
    let older = saved.iter().step_by(2);
    for (place, (partition, _, _, key, value)) in older.enumerate() {
        let Some(value) = value else { continue };
        let mut value = value.clone();
        let damaged = match (round + place) % 5 {
            0 => None,
            1 => Some(value[..value.len() / 2].to_vec()),
            2 => {
                let middle = value.len() / 2;
                value[middle] ^= 0x55;
                Some(value)
            }
            3 => {
                value[0] = 99;
                Some(value)
            }
            // As it is: older than what stands there now.
            _ => Some(value),
        };
        // Of round 3 on, to the other partition: whole, and of no use there.
        let to = if round >= 3 { 1 - partition } else { *partition };
        deployment.write(Topic::Checkpoints, to, key, damaged.as_deref());
    }
    for partition in 0..2 {
        deployment.write(Topic::Checkpoints, partition, b"of no kind", Some(b"\xff\x00"));
    }
}

#[test]
fn a_verdict_takes_effect_once_and_survives_a_kill() {
    let Some(brokers) = shared() else { return left_out("verdicts") };
    let deployment = Deployment::new("verdict", &brokers.brokers, 2, "").with_seats();
    let all = events(8000, 30);
    let (before, after) = all.split_at(4000);
    let mut instance = deployment.start("a");
    deployment.produce(before);
    deployment.wait(&mut [&mut instance]);
    let verdict = Verdict {
        time: EventTime(before.last().unwrap().1.0),
        agent_id: before[0].0.clone(),
        tenant: None,
        verdict: Decision::ConfirmCompromised,
        by: "someone".to_owned(),
        reason: "a test".to_owned(),
    };
    let record = ControlRecord {
        time: verdict.time,
        id: "a".to_owned(),
        by: verdict.by.clone(),
        kind: Control::Verdict(verdict),
    };
    let verdict = tiltmeter::wire::control::encode(&record).unwrap().into_bytes();
    deployment.write(Topic::Control, 0, b"verdict|a", Some(&verdict));
    deployment.write(Topic::Control, 0, b"verdict|b", Some(b"{ of no use"));
    deployment.write(Topic::Control, 0, b"verdict|c", Some(&vec![b' '; 900_000]));
    let told = || {
        let journal = deployment.read(Topic::Journal);
        let of = |value: &Option<Vec<u8>>| {
            String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned()
        };
        journal.iter().filter(|(.., value)| of(value).contains("\"a test\"")).count()
    };
    let until = Instant::now() + Duration::from_secs(60);
    while told() == 0 {
        assert!(Instant::now() < until, "the verdict is never told:\n{}", instance.log());
    }
    instance.kill();
    let mut instance = deployment.start("a");
    deployment.produce(after);
    deployment.wait(&mut [&mut instance]);
    instance.stop();
    assert_eq!(told(), 1, "once, whatever partitions there are");
    assert!(deployment.check() > ENOUGH);
}

#[test]
fn what_is_no_event_is_a_dead_letter_with_where_it_came_from() {
    let Some(brokers) = shared() else { return left_out("malformed input") };
    let deployment = Deployment::new("malformed", &brokers.brokers, 1, "");
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    let malformed: [Option<&[u8]>; 9] = [
        None,
        Some(b""),
        Some(b"\xff\xfe\x00"),
        Some(b"{"),
        Some(b"null"),
        Some(b"{\"schema\":\"tiltmeter.audit-event.v1\",\"time\":1e999}"),
        Some(b"{\"time\":NaN}"),
        Some(&deep),
        Some(b"{\"time\":\"9999-12-31T23:59:59Z\",\"agent_id\":\"a\",\"action\":\"x\"}"),
    ];
    let mut instance = deployment.start("a");
    for value in malformed {
        deployment.write(Topic::Audit, 0, b"key", value);
    }
    let all = events(600, 10);
    let broken = all.iter().filter(|(.., value)| serde_json::from_slice::<serde_json::Value>(value).is_err());
    let broken = broken.count();
    deployment.produce(&all);
    deployment.wait(&mut [&mut instance]);
    instance.stop();
    let letters = deployment.read(Topic::DeadLetters);
    assert_eq!(letters.len(), malformed.len() + broken, "{}", instance.log());
    assert!(letters[..malformed.len()].iter().all(|(_, _, _, key, _)| key == b"key"));
    deployment.check();
}

#[test]
fn an_instance_whose_seat_was_taken_ends_and_nothing_is_told_twice() {
    let Some(brokers) = shared() else { return left_out("a seat that was taken") };
    let deployment = Deployment::new("seat", &brokers.brokers, 2, "").with_seats();
    let all = events(8000, 30);
    let (before, after) = all.split_at(4000);
    let mut first = deployment.start("a");
    deployment.produce(before);
    deployment.wait(&mut [&mut first]);
    let mut second = deployment.start("a");
    deployment.produce(after);
    let until = Instant::now() + Duration::from_secs(60);
    while first.is_running() {
        assert!(Instant::now() < until, "it goes on:\n{}", first.log());
    }
    deployment.wait(&mut [&mut second]);
    second.stop();
    assert!(deployment.check() > ENOUGH);
}

/// A broker behind a proxy, the proxy, and a deployment whose instances come by it.
fn behind_a_proxy(name: &str, more: &str) -> Option<(Cluster, Proxy, Deployment)> {
    let cluster = Cluster::start_behind_a_proxy()?;
    let (listener, port) = cluster.front()?;
    let address = listener.local_addr().unwrap().to_string();
    let proxy = Proxy::start(listener, port);
    Some((cluster, proxy, Deployment::new(name, &address, 3, more).with_seats()))
}

#[test]
fn ends_of_transactions_that_come_late_or_get_lost_lose_nothing_and_repeat_nothing() {
    let Some((_cluster, proxy, deployment)) = behind_a_proxy("late", "") else {
        return left_out("late and lost requests");
    };
    between::late_and_lost(&deployment, &proxy, 3, 7);
    assert!(deployment.check() > ENOUGH);
    deployment.check_identities();
}

#[test]
fn a_kill_between_any_two_requests_of_a_transaction_or_a_start_loses_nothing() {
    let Some((_cluster, proxy, deployment)) = behind_a_proxy("gaps", "") else {
        return left_out("kills between requests");
    };
    between::kills_in_gaps(&deployment, &proxy, 6, 8);
    assert!(deployment.check() > ENOUGH);
    deployment.check_identities();
}

#[test]
fn at_least_once_a_kill_between_what_is_acknowledged_loses_nothing() {
    let more = "delivery = \"at_least_once\"\n";
    let Some((_cluster, proxy, deployment)) = behind_a_proxy("gaps-least", more) else {
        return left_out("kills between requests, at least once");
    };
    between::kills_in_gaps(&deployment, &proxy, 4, 9);
    assert!(deployment.check_at_least_once() > ENOUGH);
}

#[test]
fn errors_of_the_broker_lose_nothing_and_stop_nobody_for_long() {
    let Some((_cluster, proxy, deployment)) = behind_a_proxy("errors", "") else {
        return left_out("errors of the broker");
    };
    between::errors(&deployment, &proxy, 7, 10);
    assert!(deployment.check() > ENOUGH);
    deployment.check_identities();
}

#[test]
fn damaged_batches_are_passed_over_what_is_between_them_is_judged_and_a_restart_tells_nothing_twice() {
    let Some(cluster) = Cluster::start(1) else { return left_out("damaged batches") };
    let deployment = Deployment::new("damaged-batch", &cluster.addresses().brokers, 1, "").with_seats();
    let all = events(1500, 10);
    let portions: Vec<_> = all.chunks(300).collect();
    let mut ends = vec![0];
    for portion in &portions[..4] {
        deployment.produce(portion);
        ends.push(deployment.ends()[0]);
    }
    // A byte in the middle of the second portion and of the fourth, on the broker's disk: nobody can read the batches around
    // them any more.
    for damaged in [1, 3] {
        let key = portions[damaged][150].0.as_bytes();
        cluster.damage(&deployment.topic(Topic::Audit), 0, key, ends[damaged]);
    }
    let mut instance = deployment.start("a");
    deployment.wait(&mut [&mut instance]);
    let letters = || -> Vec<String> {
        let values = deployment.read(Topic::DeadLetters).into_iter().filter_map(|(.., value)| value);
        values
            .map(|value| String::from_utf8_lossy(&value).into_owned())
            .filter(|letter| letter.contains("\"unreadable\""))
            .collect()
    };
    let first = letters();
    let log = instance.log();
    assert_eq!(first.len(), 2, "{first:?}\n{log}");
    assert!(log.contains("cannot be read and are passed over"), "{log}");
    for (letter, damaged) in first.iter().zip([1, 3]) {
        let from = letter.find("from offset ").unwrap();
        let span: Vec<i64> = letter[from..]
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|word| word.parse().ok())
            .take(2)
            .collect();
        assert!(span[0] >= ends[damaged] && span[1] <= ends[damaged + 1], "{span:?} of {ends:?}: {letter}");
    }

    // Killed and put back, it passes over the same again, and is at work although nothing has come after it.
    instance.kill();
    let mut instance = deployment.start("a");
    deployment.produce(portions[4]);
    deployment.wait(&mut [&mut instance]);
    assert_eq!(letters(), first, "{}", instance.log());
    instance.stop();
    deployment.check_identities();
}
