//! Whether those who are told hold up judging: receivers in good health against receivers that are dead, in turns.
//!
//! Knows webhooks and the topics of formats. Must not know how latency is measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer;

use super::{Latency, PATIENCE, Place, latency};

/// Events a second: so few that waiting for the processor is not what is measured.
const RATE: usize = 1000;
/// How often each side is measured.
const ROUNDS: usize = 5;
/// Formats that have topics of their own.
const FORMATS: [&str; 2] = ["ocsf", "cef"];
const WEBHOOKS: usize = 3;
/// How much of `median(dead) / median(well)` is allowed.
const ALLOWED: f64 = 1.2;

/// An address that counts requests, and answers them or never does. It ends with the process.
struct Desk {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Desk {
    fn open(answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || serve(stream, answers, &counted));
            }
        });
        Self { url, requests }
    }
}

/// Takes requests of one connection, until the other side ends it.
fn serve(mut stream: TcpStream, answers: bool, counted: &AtomicUsize) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).ok()? > 2 {
            if let Some(told) = line.to_lowercase().strip_prefix("content-length:") {
                length = told.trim().parse().ok()?;
            }
            line.clear();
        }
        if line.is_empty() {
            return None;
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        counted.fetch_add(1, Ordering::Relaxed);
        if answers {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
        }
    }
}

/// One measurement; also how many records formats wrote and how many requests came.
fn measure(brokers: &str, is_well: bool) -> (Latency, i64, usize) {
    let desks: Vec<Desk> = (0..WEBHOOKS).map(|_| Desk::open(is_well)).collect();
    let mut tables = String::new();
    for format in FORMATS {
        tables += &format!("[[sinks]]\nformat = \"{format}\"\n");
    }
    for (desk, number) in desks.iter().zip(0..) {
        tables += &format!("[[webhooks]]\nname = \"desk-{number}\"\nurl = \"{}\"\n", desk.url);
    }
    let name = if is_well { "well" } else { "dead" };
    let place = Place::with_tables(brokers, name, "exactly_once", "broker", tables);
    let topics: Vec<String> = ["agent-alerts", "agent-risk"]
        .iter()
        .flat_map(|topic| FORMATS.map(|format| format!("{}{topic}.{format}", place.prefix)))
        .collect();
    let asker = place.asker();
    let all = || topics.iter().map(|topic| written(&asker, topic)).sum::<i64>();
    let mut before = 0;
    // An instance that misses them when it starts does not start.
    let told = latency(&place, RATE, || {
        if !is_well {
            take_away(brokers, &topics);
        }
        before = all();
    });
    let written = all() - before;
    (told, written, desks.iter().map(|desk| desk.requests.load(Ordering::Relaxed)).sum())
}

/// From now on there are no such topics, and the broker refuses whatever is written to them.
fn take_away(brokers: &str, topics: &[String]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    for gone in futures_executor::block_on(admin.delete_topics(&topics, &options)).unwrap() {
        gone.unwrap();
    }
}

/// Offsets that were used in a topic: records, and marks of transactions. None where there is no such topic.
fn written(asker: &impl Consumer, topic: &str) -> i64 {
    let seen = asker.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let ids = seen.topics()[0].partitions().iter().map(|partition| partition.id());
    ids.map(|id| asker.fetch_watermarks(topic, id, PATIENCE).unwrap().1).sum()
}

/// Prints the ratio of the medians of p99, and each measurement.
///
/// # Panics
///
/// When a receiver that is well was not told, or one that is dead was: then nothing was compared.
pub fn compare(brokers: &str) {
    let mut p99 = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (side, is_well) in p99.iter_mut().zip([true, false]) {
            let (told, written, requests) = measure(brokers, is_well);
            let name = if is_well { "well" } else { "dead" };
            println!("receivers {name}: {told}; {written} offsets of formats, {requests} requests");
            assert_eq!(told.took.len(), told.due, "not every planted event was told");
            assert_eq!(written > 0, is_well, "{written} offsets were used in topics of formats");
            assert!(requests >= if is_well { told.due } else { WEBHOOKS }, "{requests} requests came");
            side.push(told.quantile(0.99));
        }
    }
    let [well, dead] = p99.map(|mut all| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    });
    let ratio = dead / well;
    let kept = if ratio < ALLOWED { "kept" } else { "NOT KEPT" };
    println!(
        "p99 with dead receivers / well: {ratio:.2} ({dead:.0} against {well:.0} ms, medians of {ROUNDS}); below {ALLOWED}: {kept}"
    );
}
