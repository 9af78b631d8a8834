//! Clients as the library makes them, against a real broker: transactions, and who is fenced.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use tiltmeter::kafka::client::{Clients, Isolation};
use tiltmeter::kafka::failure::{Failure, Next};
use tiltmeter::kafka::settings::KafkaSettings;

use super::rig::{left_out, prefix, shared};

/// Longer than anything a broker at hand takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn clients(brokers: &str, prefix: &str) -> Clients {
    let settings = KafkaSettings {
        brokers: brokers.to_owned(),
        group: format!("{prefix}group"),
        instance: Some("a".to_owned()),
        ..KafkaSettings::default()
    };
    Clients::new(&settings, Arc::new(|_, _| ())).unwrap()
}

fn make(clients: &Clients, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = clients.admin().unwrap().create().unwrap();
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    let made = futures_executor::block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
    assert_eq!(made, [Ok(topic.to_owned())]);
}

/// Values of all records that a reader sees before it says that it has reached the end.
fn read(clients: &Clients, isolation: Isolation, topic: &str) -> Vec<String> {
    let reader: BaseConsumer = clients.reader(isolation).unwrap().create().unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    reader.assign(&from).unwrap();
    let mut values = Vec::new();
    while let Some(Ok(message)) = reader.poll(PATIENCE) {
        values.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
    }
    values
}

#[test]
fn what_was_not_committed_is_not_read_and_whoever_came_before_is_fenced() {
    let Some(brokers) = shared() else { return left_out("transactions") };
    let prefix = prefix("fence");
    let clients = clients(&brokers.brokers, &prefix);
    let topic = format!("{prefix}out");
    make(&clients, &topic);
    let producer = || {
        let producer: BaseProducer = clients.producer(0).unwrap().create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        producer
    };
    let send = |producer: &BaseProducer, value: &str| {
        producer
            .send(BaseRecord::to(&topic).key("agent").payload(value))
            .map_err(|(error, _)| error)
            .unwrap();
    };
    let first = producer();
    send(&first, "lost");
    first.flush(PATIENCE).unwrap();
    let second = producer();
    send(&second, "kept");
    second.commit_transaction(PATIENCE).unwrap();
    let fenced = first.commit_transaction(PATIENCE).unwrap_err();
    assert_eq!(Failure::new("commit", &fenced, None).next, Next::Renew, "{fenced}");
    assert_eq!(read(&clients, Isolation::Committed, &topic), ["kept"]);
    assert_eq!(read(&clients, Isolation::Uncommitted, &topic), ["lost", "kept"]);
}
