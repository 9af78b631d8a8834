//! The demonstration over its own broker: alerts about the attacked, read by any client while it runs.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use tiltmeter::alert::{Alert, AlertState};
use tiltmeter::demo::scenario;

/// Longer than the demonstration takes.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn another_client_reads_the_alerts_of_a_running_demonstration() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_tiltmeter"))
        .args(["demo", "--for", "20s", "--plain"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stderr.take().unwrap()).lines();
    let banner = lines.next().unwrap().unwrap();
    let brokers =
        banner.split_whitespace().find(|word| word.contains(':') && word.ends_with(char::is_numeric));
    let brokers = brokers.unwrap_or_else(|| panic!("no address: {banner}")).to_owned();
    let said = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());

    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "somebody")
        .set("auto.offset.reset", "earliest")
        .set("log_level", "0")
        .create()
        .unwrap();
    consumer.subscribe(&["agent-alerts"]).unwrap();
    let (mut opened, until) = (Vec::new(), Instant::now() + PATIENCE);
    while demo.try_wait().unwrap().is_none() && Instant::now() < until {
        let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let alert: Alert = serde_json::from_slice(record.payload().unwrap()).unwrap();
        if alert.state == AlertState::Opened {
            opened.push(alert);
        }
    }
    let output = demo.wait_with_output().unwrap();
    let (summary, said) = (String::from_utf8(output.stdout).unwrap(), said.join().unwrap().join("\n"));
    assert_eq!(output.status.code(), Some(0), "{said}\n{summary}");
    assert!(!opened.is_empty(), "no alert was read: {said}\n{summary}");
    let quiet_until = scenario().start.plus_ms(scenario().quiet_ms);
    for alert in &opened {
        assert!(alert.time >= quiet_until, "nobody was attacked yet: {alert:?}");
        assert!(said.contains(&alert.alert_id), "the board reads what anybody reads: {said}");
    }
    let found = summary.lines().find(|line| line.starts_with("  all ")).unwrap();
    let found: u64 = found.split_whitespace().next_back().unwrap().parse().unwrap();
    assert!(found > 0, "{summary}");
    assert!(summary.contains(" 0 events were left at the broker"), "{summary}");
}
