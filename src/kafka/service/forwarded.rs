//! What a sink or webhook has told, in figures.
//!
//! Knows their names. Must not know formats, nor where anything is told.

use std::sync::Arc;

use rdkafka::message::{BorrowedMessage, Message};

use super::writer::now_ms;
use crate::metrics::Metrics;

/// What became of records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// They arrived.
    Sent,
    /// They are not told there.
    LeftOut,
    /// A try failed, and is made again.
    Failed,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Sent, Self::LeftOut, Self::Failed];

    fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::LeftOut => "left_out",
            Self::Failed => "failed",
        }
    }
}

/// The figures of one sink, or of one topic of a webhook.
#[derive(Clone)]
pub(super) struct Forwarded {
    metrics: Arc<Metrics>,
    to: String,
}

impl Forwarded {
    /// * `to`: the topic of a sink, or NAME/TOPIC of a webhook.
    pub fn new(metrics: &Arc<Metrics>, to: String) -> Self {
        let forwarded = Self { metrics: Arc::clone(metrics), to };
        // All are there from the start, so that a rise from nothing is seen.
        for outcome in Outcome::ALL {
            forwarded.count(outcome, 0);
        }
        forwarded
    }

    /// Counts records; returns how many of that outcome there were since the start.
    pub fn count(&self, outcome: Outcome, records: u64) -> u64 {
        let counter = self.metrics.figures.forwarded.with_label_values(&[self.to.as_str(), outcome.name()]);
        counter.inc_by(records);
        counter.get()
    }

    /// Notes how old the record is that is told now.
    pub fn at(&self, message: &BorrowedMessage<'_>) {
        if let Some(written) = message.timestamp().to_millis() {
            let seconds = now_ms().saturating_sub(written).max(0) as f64 / 1000.0;
            self.metrics.figures.forward_lag.with_label_values(&[self.to.as_str()]).set(seconds);
        }
    }
}
