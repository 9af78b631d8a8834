//! With one version of what is normal for all, it does not matter how many instances there are, nor when they come and go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use tiltmeter::kafka::client::Begin;
use tiltmeter::kafka::settings::Topic;

use super::deployment::{Deployment, events};
use super::instance::Instance;
use super::rig::{left_out, shared};

/// Fewer alerts than this would show nothing.
const ENOUGH: usize = 100;

/// Sits in the only seat of those who make versions, and makes none.
struct Squatter {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Squatter {
    fn in_seat_of(deployment: &Deployment) -> Self {
        let clients = deployment.clients("squatter");
        let mut config = clients.consumer(0, Begin::Earliest).unwrap();
        config.set("group.id", format!("{}-aggregator", clients.settings().group));
        let consumer: BaseConsumer = config.create().unwrap();
        consumer.subscribe(&[&deployment.topic(Topic::BaselineParts)]).unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while consumer.assignment().unwrap().count() == 0 {
            assert!(Instant::now() < until, "nobody gives the squatter a seat");
            consumer.poll(Duration::from_millis(50));
        }
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                consumer.poll(Duration::from_millis(50));
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Squatter {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// All that was told, by topic, partition and key, without what the names of topics have of their own.
fn told(deployment: &Deployment) -> BTreeMap<(Topic, i32, Vec<u8>), Vec<String>> {
    let own = deployment.topic(Topic::Audit);
    let mut told = BTreeMap::new();
    for topic in [Topic::Alerts, Topic::Risk, Topic::DeadLetters, Topic::Journal, Topic::BaselineParts] {
        for (partition, _, _, key, value) in deployment.read(topic) {
            let value = value.unwrap_or_default();
            let text = String::from_utf8(value.clone())
                .map_or_else(|_| format!("{value:x?}"), |text| text.replace(&own, "audit"));
            told.entry((topic, partition, key)).or_insert_with(Vec::new).push(text);
        }
    }
    told
}

#[test]
fn with_one_version_for_all_three_instances_that_come_and_go_tell_what_one_tells() {
    let Some(brokers) = shared() else { return left_out("a frozen version") };
    let all = events(8000, 30);
    let of = |name: &str, sizes: &[usize]| {
        let deployment = Deployment::new(name, &brokers.brokers, 3, "");
        let _squatter = Squatter::in_seat_of(&deployment);
        let mut instances: Vec<Instance> = Vec::new();
        for (portion, size) in all.chunks(all.len().div_ceil(sizes.len())).zip(sizes) {
            while instances.len() > *size {
                let mut last = instances.pop().unwrap();
                last.stop();
            }
            while instances.len() < *size {
                instances.push(deployment.start(["a", "b", "c"][instances.len()]));
            }
            deployment.produce(portion);
            deployment.wait(&mut instances.iter_mut().collect::<Vec<_>>());
        }
        for instance in &mut instances {
            instance.stop();
        }
        assert_eq!(deployment.read(Topic::Baselines), [], "a version was made");
        told(&deployment)
    };
    let one = of("frozen-one", &[1]);
    let many = of("frozen-many", &[1, 3, 2]);
    let alerts: usize =
        one.iter().filter(|((topic, ..), _)| *topic == Topic::Alerts).map(|(_, all)| all.len()).sum();
    assert!(alerts > ENOUGH, "{alerts}");
    assert_eq!(one.keys().collect::<Vec<_>>(), many.keys().collect::<Vec<_>>());
    for (key, values) in &one {
        assert!(many[key] == *values, "{:?} {}", key.0, String::from_utf8_lossy(&key.2));
    }
}
