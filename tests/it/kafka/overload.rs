//! Too much for one instance: what is left out, and what is told of that.
//!
//! The instance is slowed down by stopping it most of the time (SIGSTOP), while records are written at a pace that it keeps up
//! with otherwise.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tiltmeter::kafka::settings::Topic;

use super::breaking::Event;
use super::deployment::{Deployment, events};
use super::instance::Instance;
use super::rig::{left_out, shared};
use super::serving::{address, ask};

/// Nothing here takes so long.
const PATIENCE: Duration = Duration::from_secs(100);
/// What is written at once, and how often.
const PORTION: usize = 600;
const EVERY: Duration = Duration::from_millis(100);
/// An instance sleeps and is awake for so long.
const ASLEEP: Duration = Duration::from_millis(2900);
const AWAKE: Duration = Duration::from_millis(150);

fn overload(shed: &str) -> String {
    format!("[kafka.overload]\nshed = \"{shed}\"\nabove_records = 2000\nbelow_records = 200\nfor_secs = 5\n")
}

/// Events of a fleet; behind each stands so often the same call by one of three agents.
fn fleet(count: usize, agents: u32, repeats: usize) -> Vec<Event> {
    let mut all = Vec::new();
    for event in events(count, agents) {
        let time = event.1;
        all.push(event);
        for _ in 0..repeats {
            let number = all.len();
            let agent = format!("loop-{}", number % 3);
            let call = serde_json::json!({"event_id": format!("again-{number}"), "time": time.to_string(),
                "agent_id": agent, "agent_type": "looping", "action": "poll", "resource": "queue", "outcome": "error"});
            all.push((agent, time, serde_json::to_vec(&call).unwrap()));
        }
    }
    all
}

/// Writes events while an instance is slow, until it says something; returns how many were written.
fn until_it_says(deployment: &Deployment, instance: &mut Instance, all: &[Event], words: &str) -> usize {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let feeder = scope.spawn(|| {
            let mut written = 0;
            for portion in all.chunks(PORTION) {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                deployment.produce(portion);
                written += portion.len();
                std::thread::sleep(EVERY);
            }
            written
        });
        let until = Instant::now() + PATIENCE;
        let mut said = false;
        while !said && Instant::now() < until && instance.is_running() {
            instance.signal("STOP");
            std::thread::sleep(ASLEEP);
            instance.signal("CONT");
            std::thread::sleep(AWAKE);
            said = instance.log().contains(words);
        }
        over.store(true, Ordering::Relaxed);
        let written = feeder.join().unwrap();
        assert!(said, "{words:?} is never said; {written} events were written:\n{}", instance.log());
        written
    })
}

/// What was told in the journal of records that were not judged.
fn gaps(deployment: &Deployment) -> Vec<Value> {
    let journal = deployment.read(Topic::Journal).into_iter();
    let gaps = journal.filter(|(.., key, _)| key == b"~gap|0");
    let gaps: Vec<Value> = gaps.map(|(.., value)| serde_json::from_slice(&value.unwrap()).unwrap()).collect();
    let schema = serde_json::from_str(include_str!("../../../schemas/coverage-gap.v1.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    assert!(gaps.iter().all(|gap| schema.is_valid(gap)), "{gaps:?}");
    gaps
}

fn wait_for(instance: &mut Instance, what: &str, mut is_so: impl FnMut(&Instance) -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so(instance) {
        assert!(instance.is_running() && Instant::now() < until, "{what}:\n{}", instance.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The sum of a counter over its labels.
fn counted(scrape: &str, metric: &str) -> f64 {
    let lines = scrape.lines().filter(|line| line.starts_with(metric));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

/// How often agents were told of as blind, and how many of them still are.
fn blind(deployment: &Deployment) -> (usize, usize) {
    let mut now = std::collections::BTreeMap::new();
    let mut times = 0;
    for (.., key, value) in deployment.read(Topic::Risk) {
        let risk: Value = serde_json::from_slice(&value.unwrap()).unwrap();
        let is_blind = risk["monitoring"] == "blind";
        times += usize::from(is_blind);
        now.insert(key, is_blind);
    }
    (times, now.values().filter(|blind| **blind).count())
}

/// Holds heartbeats and operator alerts to their schemas.
fn described(record: &Value) {
    let schema = match record["schema"].as_str() {
        Some("tiltmeter.heartbeat.v1") => include_str!("../../../schemas/heartbeat.v1.schema.json"),
        Some("tiltmeter.operator-alert.v1") => include_str!("../../../schemas/operator-alert.v1.schema.json"),
        _ => return,
    };
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let faults: Vec<String> =
        schema.iter_errors(record).map(|fault| format!("{}: {fault}", fault.instance_path)).collect();
    assert!(faults.is_empty(), "{faults:?} in {record}");
}

fn operator_alerts(deployment: &Deployment) -> Vec<String> {
    let status = deployment.read(Topic::Status).into_iter().filter_map(|(.., value)| value);
    let records = status.map(|value| serde_json::from_slice::<Value>(&value).unwrap()).inspect(described);
    records
        .filter_map(|record| Some(format!("{} {}", record["kind"].as_str()?, record["sentence"])))
        .collect()
}

#[test]
fn calls_that_repeat_each_other_are_left_out_where_too_much_waits_and_that_is_told_and_ends() {
    let Some(brokers) = shared() else { return left_out("repeats where there is too much") };
    let deployment = Deployment::new("repeats", &brokers.brokers, 1, &overload("repeats")).with_seats();
    let all = fleet(30_000, 120, 4);
    let mut instance = deployment.start("a");
    deployment.produce(&all[..3000]);
    deployment.wait(&mut [&mut instance]);
    let begun = "one in 10 of the calls that repeat each other";
    let first = until_it_says(&deployment, &mut instance, &all[3000..], begun) + 3000;
    // Whoever takes over goes on with it, and leaves out the same again.
    instance.kill();
    let mut instance = deployment.start_with("a", &["run", "--listen", "127.0.0.1:0"]);
    deployment.produce(&all[first..first + 2000]);
    let produced = first + 2000;
    deployment.wait(&mut [&mut instance]);
    wait_for(&mut instance, "it does not end", |instance| instance.log().contains("all is judged again"));
    wait_for(&mut instance, "it is not told", |_| !gaps(&deployment).is_empty());
    deployment.produce(&all[produced..produced + 500]);
    let produced = produced + 500;
    deployment.wait(&mut [&mut instance]);
    let address = address(&mut instance);
    let (_, _, scrape) = ask(&address, "GET", "/metrics", "", "");
    wait_for(&mut instance, "agents stay blind", |_| blind(&deployment).1 == 0);
    instance.stop();

    assert!(deployment.check() > 50);
    let told = gaps(&deployment);
    assert_eq!((told.len(), &told[0]["how"]), (1, &Value::from("repeats")), "{told:?}");
    let left_out = told[0]["records"].as_u64().unwrap() as usize;
    let (from, until) = (told[0]["from"].as_u64().unwrap(), told[0]["until"].as_u64().unwrap());
    // Four of five calls are repeats, nine of ten of them are left out; three agents are in three slices.
    let share = left_out as f64 / (until - from) as f64;
    assert!((0.70..=0.72).contains(&share), "{share} of {from} to {until}");
    assert!(counted(&scrape, "tiltmeter_events_shed_total{how=\"repeats\"}") > 0.0, "{scrape}");
    let status = operator_alerts(&deployment);
    let said =
        |words: &str| status.iter().any(|told| told.starts_with("coverage_gap") && told.contains(words));
    assert!(said(begun) && said("all is judged again"), "{status:?}");
    assert!(blind(&deployment).0 > 0, "nobody was blind");
    println!(
        "{produced} written, {left_out} of {} left out between offsets {from} and {until}",
        until - from
    );
}

#[test]
fn everything_but_the_newest_is_left_out_where_that_is_wanted_and_what_is_judged_and_what_is_not_is_all() {
    let Some(brokers) = shared() else { return left_out("skipping where there is too much") };
    let deployment = Deployment::new("skips", &brokers.brokers, 1, &overload("skip")).with_seats();
    let all = fleet(150_000, 600, 0);
    let mut instance = deployment.start_with("a", &["run", "--listen", "127.0.0.1:0"]);
    deployment.produce(&all[..3000]);
    deployment.wait(&mut [&mut instance]);
    let written = until_it_says(&deployment, &mut instance, &all[3000..], "are never judged") + 3000;
    deployment.wait(&mut [&mut instance]);
    wait_for(&mut instance, "it does not end", |instance| instance.log().contains("all is judged again"));
    wait_for(&mut instance, "it is not told", |_| gaps(&deployment).len() > 1);
    wait_for(&mut instance, "agents stay blind", |_| blind(&deployment).1 == 0);
    let address = address(&mut instance);
    let (_, _, scrape) = ask(&address, "GET", "/metrics", "", "");
    instance.stop();

    deployment.check();
    let told = gaps(&deployment);
    let of = |how: &str| -> f64 {
        let gaps = told.iter().filter(|gap| gap["how"] == how);
        gaps.map(|gap| gap["records"].as_f64().unwrap()).sum()
    };
    let (repeats, skipped) = (of("repeats"), of("skip"));
    assert!(skipped > 1000.0, "{told:?}");
    assert_eq!(counted(&scrape, "tiltmeter_events_shed_total{how=\"skip\"}"), skipped);
    assert_eq!(counted(&scrape, "tiltmeter_events_shed_total{how=\"repeats\"}"), repeats);
    let judged = counted(&scrape, "tiltmeter_events_judged_total");
    let dead = counted(&scrape, "tiltmeter_dead_letters_total");
    assert_eq!(judged + dead + repeats + skipped, written as f64, "{told:?}");
    assert!(blind(&deployment).0 > 0, "nobody was blind");
    println!(
        "{written} written, {judged} judged, {dead} dead letters, {repeats} repeats and {skipped} skipped"
    );
}
