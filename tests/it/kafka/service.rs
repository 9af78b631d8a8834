//! The service on a real Kafka: what is told is what one run without failures tells.

use std::time::Duration;

use super::deployment::{Deployment, events};
use super::rig::{left_out, shared};

#[test]
fn what_arrives_is_judged_once_and_a_stop_takes_no_ten_seconds() {
    let Some(brokers) = shared() else { return left_out("the service") };
    let deployment = Deployment::new("once", &brokers.brokers, 3, "");
    let events = events(6000, 30);
    let (first, second) = events.split_at(2500);
    deployment.produce(first);
    let mut instance = deployment.start("a");
    deployment.wait(&mut [&mut instance]);
    let (took, code) = instance.stop();
    assert_eq!(code, Some(0), "{}", instance.log());
    assert!(took < Duration::from_secs(10), "{took:?}");
    let mut instance = deployment.start("a");
    deployment.produce(second);
    deployment.wait(&mut [&mut instance]);
    instance.stop();
    let alerts = deployment.check();
    assert!(alerts > 50, "hardly any alerts ({alerts}):\n{}", instance.log());
}
