//! How long a million agents take to be put back: an hour of traffic is judged, the instance ends, another begins.
//!
//! Knows traffic of many agents and when an instance is ready. Must not know how anything is restored.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseRecord, Producer};
use tiltmeter::kafka::settings::Topic;
use tiltmeter::time::EventTime;

use super::{Instance, PARTITIONS, PATIENCE, Place, now_ms, producer};

const AGENTS: u64 = 1_000_000;
/// In the hour, of each agent.
const EVENTS: u64 = 4;
const HOUR_MS: u64 = 3_600_000;
/// Prime: agents come in an order in which none is next to the one before.
const STRIDE: u64 = 7_919;
const TYPES: u64 = 30;
/// Records that lie in front of the instance at most, so that little of the hour is left to judge when it is killed.
const AHEAD: i64 = 200_000;
const RUNS: usize = 3;

fn event(number: u64, begin_ms: i64) -> (String, String) {
    let agent = number * STRIDE % AGENTS;
    let time = EventTime(begin_ms + (number * HOUR_MS / (AGENTS * EVENTS)) as i64);
    let (kind, turn) = (agent % TYPES, number / AGENTS);
    let line = format!(
        "{{\"time\":\"{time}\",\"event_id\":\"{number}\",\"agent_id\":\"agent-{agent}\",\"agent_type\":\"type-{kind}\",\
         \"session_id\":\"{agent}-{}\",\"action\":\"step-{}\",\"resource\":\"folder-{}/file-{turn}\",\"outcome\":\"ok\"}}",
        turn / 2,
        (agent + turn) % 8,
        agent % 20
    );
    (format!("agent-{agent}"), line)
}

/// Status and body of an answer; none where nobody listens.
pub fn ask(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn start(place: &Place, port: u16) -> Instance {
    place.start_with(&["--listen", &format!("127.0.0.1:{port}")])
}

fn wait_until_ready(instance: &mut Instance, port: u16) -> Duration {
    let began = Instant::now();
    while ask(port, "/readyz").is_none_or(|(status, _)| status != 200) {
        assert!(instance.0.try_wait().unwrap().is_none(), "the instance ended");
        assert!(began.elapsed() < 3 * PATIENCE, "it is not ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

/// Agents in memory, over all partitions.
fn agents(port: u16) -> f64 {
    let (_, text) = ask(port, "/metrics").unwrap();
    let of =
        |line: &str| line.strip_prefix("tiltmeter_agents_resident{")?.rsplit_once(' ')?.1.parse::<f64>().ok();
    text.lines().filter_map(of).sum()
}

/// Largest resident memory so far. MiB.
pub fn largest_mib(instance: &Instance) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", instance.0.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

pub fn restore(brokers: &str) {
    let place = Place::new(brokers, "restore", "exactly_once", "producer");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let topic = place.topic(Topic::Audit);
    let (producer, asker) = (producer(brokers), place.asker());
    let begin_ms = now_ms() - HOUR_MS as i64;
    let mut instance = start(&place, port);
    let began = Instant::now();
    for number in 0..AGENTS * EVENTS {
        let (agent, line) = event(number, begin_ms);
        let time = begin_ms + (number * HOUR_MS / (AGENTS * EVENTS)) as i64;
        while producer.send(BaseRecord::to(&topic).key(&agent).payload(&line).timestamp(time)).is_err() {
            producer.poll(Duration::from_millis(1));
        }
        if number % 50_000 == 0 {
            let until = Instant::now() + PATIENCE;
            while (number as i64) - place.committed(&asker) > AHEAD {
                assert!(
                    instance.0.try_wait().unwrap().is_none() && Instant::now() < until,
                    "it does not follow"
                );
                producer.poll(Duration::from_millis(20));
            }
        }
    }
    producer.flush(PATIENCE).unwrap();
    while place.committed(&asker) < (AGENTS * EVENTS) as i64 {
        assert!(instance.0.try_wait().unwrap().is_none(), "the instance ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    place.assert_nothing_was_refused();
    println!(
        "an hour of {} agents, {} events: judged within {:.0} s, {:.0} agents in memory, {} MiB; {PARTITIONS} partitions",
        AGENTS,
        AGENTS * EVENTS,
        began.elapsed().as_secs_f64(),
        agents(port),
        largest_mib(&instance)
    );
    // Whoever is killed keeps its partitions until the group has missed it for the time-out of its session.
    for ends in ["stopped"; RUNS].into_iter().chain(["killed"]) {
        if ends == "stopped" {
            instance.stop();
        }
        drop(instance);
        instance = start(&place, port);
        let took = wait_until_ready(&mut instance, port);
        println!(
            "{ends} and started again: ready after {:.1} s, {:.0} agents in memory, {} MiB",
            took.as_secs_f64(),
            agents(port),
            largest_mib(&instance)
        );
        // So that it has something to put back that it saved itself.
        std::thread::sleep(Duration::from_secs(5));
    }
}
