//! How long records took: noted by one thread for itself, added to what all know when something was committed.
//!
//! Knows times. Must not ask for the time.

use std::collections::BTreeMap;

use prometheus::local::LocalHistogram;

use super::Metrics;

/// Latencies that one thread has seen.
pub struct Latencies {
    judged: LocalHistogram,
    committed: LocalHistogram,
    /// Records of each partition that were judged and are not committed: when they were written (milliseconds since 1970), and
    /// how many in a row at that time.
    waiting: BTreeMap<i32, Vec<(i64, u32)>>,
}

impl Latencies {
    /// None yet.
    pub fn new(metrics: &Metrics) -> Self {
        let of = |stage| metrics.figures.latency.with_label_values(&[stage]).local();
        Self { judged: of("judged"), committed: of("committed"), waiting: BTreeMap::new() }
    }

    /// Records of a partition were judged.
    ///
    /// * `written_ms`: when each was written. Milliseconds since 1970.
    /// * `now_ms`: the host's clock. Milliseconds since 1970.
    pub fn judged(&mut self, partition: i32, written_ms: impl Iterator<Item = i64>, now_ms: i64) {
        let waiting = self.waiting.entry(partition).or_default();
        for time in written_ms {
            match waiting.last_mut() {
                Some((last, count)) if *last == time => *count = count.saturating_add(1),
                _ => waiting.push((time, 1)),
            }
            self.judged.observe(seconds(time, now_ms));
        }
    }

    /// What was judged of a partition was committed.
    pub fn committed(&mut self, partition: i32, now_ms: i64) {
        for (time, count) in
            self.waiting.get_mut(&partition).into_iter().flat_map(|waiting| waiting.drain(..))
        {
            let seconds = seconds(time, now_ms);
            (0..count).for_each(|_| self.committed.observe(seconds));
        }
    }

    /// What was judged of a partition will be judged again, or by others.
    pub fn forget(&mut self, partition: i32) {
        self.waiting.remove(&partition);
    }

    /// Adds what was noted to what all know.
    pub fn publish(&self) {
        self.judged.flush();
        self.committed.flush();
    }
}

/// A clock that is behind does not make latencies negative.
fn seconds(from_ms: i64, to_ms: i64) -> f64 {
    to_ms.saturating_sub(from_ms).max(0) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_is_counted_once_when_judged_and_once_when_committed() {
        let metrics = Metrics::new();
        let mut latencies = Latencies::new(&metrics);
        latencies.judged(0, [1000, 1000, 1700, 9000].into_iter(), 2000);
        latencies.judged(1, [1500].into_iter(), 2000);
        latencies.forget(1);
        latencies.committed(0, 3000);
        latencies.committed(0, 4000);
        latencies.committed(1, 4000);
        latencies.publish();
        let text = metrics.text().unwrap();
        for line in [
            "tiltmeter_latency_seconds_count{stage=\"judged\"} 5",
            "tiltmeter_latency_seconds_count{stage=\"committed\"} 4",
            "tiltmeter_latency_seconds_sum{stage=\"judged\"} 2.8",
            "tiltmeter_latency_seconds_sum{stage=\"committed\"} 5.3",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
    }
}
