//! How long an instance takes to say the level of an agent while it knows those of a million.
//!
//! Knows the topic of risk and requests. Must not know how levels are kept.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseRecord, Producer};
use tiltmeter::kafka::settings::Topic;
use tiltmeter::partition::risk_key;

use super::restoring::{ask, largest_mib};
use super::{PATIENCE, Place, producer};

const AGENTS: u64 = 1_000_000;
const REQUESTS: u64 = 20_000;
/// Prime: agents are asked for in an order in which none is next to the one before.
const STRIDE: u64 = 617_971;
const RISK: &str = include_str!("../../tests/data/outputs/risk.json");

/// Status of the answer to a request on a connection that stays open.
fn status(connection: &mut BufReader<TcpStream>, path: &str) -> u16 {
    write!(connection.get_mut(), "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (mut line, mut status, mut length) = (String::new(), 0, 0);
    loop {
        line.clear();
        connection.read_line(&mut line).unwrap();
        let line = line.trim_end().to_lowercase();
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some(rest) = line.strip_prefix("content-length: ") {
            length = rest.parse().unwrap();
        } else if line.is_empty() {
            break;
        }
    }
    connection.read_exact(&mut vec![0; length]).unwrap();
    status
}

pub fn answer(brokers: &str) {
    let place = Place::new(brokers, "answers", "exactly_once", "broker");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (topic, producer) = (place.topic(Topic::Risk), producer(brokers));
    for agent in 0..AGENTS {
        let agent = format!("mail-helper-{agent}");
        let record = RISK.replace("mail-helper-0042", &agent);
        let key = risk_key(Some("acme"), &agent);
        while producer.send(BaseRecord::to(&topic).key(&key).payload(&record)).is_err() {
            producer.poll(Duration::from_millis(1));
        }
    }
    producer.flush(PATIENCE).unwrap();
    let began = Instant::now();
    let instance = place.start_with(&["--listen", &format!("127.0.0.1:{port}")]);
    let path = |agent: u64| format!("/v1/agents/mail-helper-{}/risk?tenant=acme", agent * STRIDE % AGENTS);
    while ask(port, &path(0)).is_none_or(|(status, _)| status != 200) {
        assert!(began.elapsed() < PATIENCE, "levels are not served");
        std::thread::sleep(Duration::from_millis(50));
    }
    println!(
        "levels of {AGENTS} agents are served {:.1} s after the start; {} MiB",
        began.elapsed().as_secs_f64(),
        largest_mib(&instance)
    );
    let mut connection = BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    connection.get_ref().set_nodelay(true).unwrap();
    let mut took: Vec<f64> = (0..REQUESTS)
        .map(|number| {
            let (path, began) = (path(number), Instant::now());
            assert_eq!(status(&mut connection, &path), 200, "{path}");
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let quantile = |share: f64| took[(took.len() as f64 * share) as usize];
    println!(
        "{REQUESTS} requests, one after the other: p50 {:.2} ms, p99 {:.2} ms, largest {:.2} ms",
        quantile(0.5),
        quantile(0.99),
        took[took.len() - 1]
    );
}
