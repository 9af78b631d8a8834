//! How fresh an answer is, on a real Kafka: no level may hide behind a transaction that somebody left open.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use tiltmeter::kafka::settings::Topic;
use tiltmeter::time::EventTime;

use super::deployment::{Deployment, events};
use super::rig::{left_out, shared};
use super::serving::{LISTEN, PATIENCE, address, ask};

/// What an answer may be acted on after it was known to be complete. Milliseconds.
const FRESH_FOR_MS: i64 = 10_000;

#[test]
fn nothing_is_called_fresh_while_a_transaction_hides_what_follows_it() {
    let Some(brokers) = shared() else { return left_out("how fresh answers are") };
    let deployment = Deployment::new("freshness", &brokers.brokers, 1, "");
    let events = events(200, 5);
    deployment.produce(&events);
    let mut instance = deployment.start_with("a", LISTEN);
    let at = address(&mut instance);
    let fresh_until = || {
        let (status, _, body) = ask(&at, "GET", "/v1/agents", "", "");
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        (status == 200).then(|| body["fresh_until"].as_str().and_then(EventTime::parse).unwrap().0)
    };
    let wait_until_beyond = |least: i64| {
        let until = Instant::now() + PATIENCE;
        while fresh_until().is_none_or(|fresh| fresh <= least) {
            assert!(Instant::now() < until, "answers stay as old as {:?}", fresh_until());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    wait_until_beyond(0);

    let dead: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &brokers.brokers)
        .set("transactional.id", format!("{}-dead", deployment.topic(Topic::Risk)))
        .create()
        .unwrap();
    dead.init_transactions(PATIENCE).unwrap();
    dead.begin_transaction().unwrap();
    let topic = deployment.topic(Topic::Risk);
    dead.send(BaseRecord::<[u8], [u8]>::to(&topic).partition(0).key(b"dead/")).unwrap();
    dead.flush(PATIENCE).unwrap();
    let hidden_since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    // Twice as long as an instance takes between two looks.
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        let fresh = fresh_until().unwrap();
        assert!(fresh <= hidden_since + FRESH_FOR_MS, "fresh until {fresh}, hidden since {hidden_since}");
        std::thread::sleep(Duration::from_millis(100));
    }
    dead.abort_transaction(PATIENCE).unwrap();
    wait_until_beyond(hidden_since + FRESH_FOR_MS + 1000);
}
