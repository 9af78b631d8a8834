//! Which partitions are ours: what the group decided, to be acted on outside of the poll.
//!
//! Knows the group's decisions. Must not act on them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;

use crate::kafka::client::With;

/// What the group decided.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decided {
    /// These partitions are ours as well.
    Assigned(TopicPartitionList),
    /// These are to be given up.
    Revoked(TopicPartitionList),
    /// Something went wrong; nothing is ours.
    Failed(String),
}

/// The context of a consumer of a group.
pub(super) type Membership = With<Decisions>;

/// What the group decided and nobody has acted on.
#[derive(Default)]
pub(super) struct Decisions {
    decided: Mutex<Vec<Decided>>,
    /// Whether nobody acts on decisions any more.
    closes: AtomicBool,
}

impl Decisions {
    /// Takes out what was decided, in its order.
    pub fn take(&self) -> Vec<Decided> {
        std::mem::take(&mut *self.decided.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on everything is given up at once: the consumer is about to be dropped, which waits for that.
    pub fn close(&self) {
        self.closes.store(true, Ordering::Relaxed);
    }
}

impl ConsumerContext for Membership {
    // It runs inside a poll, and may not take long: what was decided is done afterwards. Until then the group waits.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if self.closes.load(Ordering::Relaxed) {
            let _ = consumer.incremental_unassign(partitions);
            return;
        }
        let decided = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Decided::Assigned(partitions.clone()),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => Decided::Revoked(partitions.clone()),
            other => Decided::Failed(format!("{other:?}")),
        };
        self.decided.lock().unwrap_or_else(PoisonError::into_inner).push(decided);
    }
}
