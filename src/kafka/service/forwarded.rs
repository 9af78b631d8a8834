//! What a sink or webhook has told, in figures.
//!
//! Knows their names. Must not know formats, nor where anything is told.

use std::sync::Arc;

use rdkafka::message::{BorrowedMessage, Message};

use super::writer::now_ms;
use crate::metrics::Metrics;

/// What became of records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// They arrived.
    Sent,
    /// They are not told there.
    LeftOut,
    /// A try failed, and is made again.
    Failed,
}

impl Fate {
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
        for fate in Fate::ALL {
            forwarded.count(fate, 0);
        }
        forwarded
    }

    /// Counts records; returns how many of that fate there were since the start.
    pub fn count(&self, fate: Fate, records: u64) -> u64 {
        let counter = self.metrics.figures.forwarded.with_label_values(&[self.to.as_str(), fate.name()]);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::values;

    #[test]
    fn what_is_told_elsewhere_is_counted_and_is_there_from_the_start() {
        assert_eq!(Fate::ALL.map(Fate::name).to_vec(), values("fate"));
        let metrics = Arc::new(Metrics::new());
        let forwarded = Forwarded::new(&metrics, "pager/agent-alerts".to_owned());
        forwarded.count(Fate::Sent, 3);
        assert_eq!(forwarded.count(Fate::Sent, 1), 4);
        let text = metrics.text().unwrap();
        for (fate, records) in [("sent", 4), ("left_out", 0), ("failed", 0)] {
            let line =
                format!("tiltmeter_forwarded_total{{fate=\"{fate}\",to=\"pager/agent-alerts\"}} {records}");
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
