//! The rig itself: brokers that are killed, stopped and started again are the same brokers afterwards.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::rig::{Cluster, left_out};

/// Longer than it takes a broker to be given up and another to lead.
const PATIENCE: Duration = Duration::from_secs(60);

fn produce(brokers: &str, topic: &str) -> Result<(), String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("acks", "all").set("log_level", "0");
    let producer: BaseProducer = config.create().unwrap();
    producer.send(BaseRecord::to(topic).key("k").payload("v")).map_err(|(error, _)| error.to_string())?;
    producer.flush(PATIENCE).map_err(|error| error.to_string())
}

#[test]
fn three_brokers_survive_the_death_and_the_sleep_of_one() {
    let Some(mut cluster) = Cluster::start(3) else { return left_out("a cluster of three brokers") };
    let brokers = cluster.addresses().brokers;
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    let topic = NewTopic::new("events", 3, TopicReplication::Fixed(3));
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let made = futures_executor::block_on(admin.create_topics([&topic], &options)).unwrap();
    assert_eq!(made, [Ok("events".to_owned())]);

    cluster.kill(1);
    produce(&brokers, "events").unwrap();
    cluster.restart(1);
    cluster.pause(2);
    produce(&brokers, "events").unwrap();
    cluster.resume(2);
    produce(&brokers, "events").unwrap();
}
