//! How fast event time passes beside the time of the person who watches.
//!
//! Knows two lengths of time. Must not know what happens in them: pacing never changes a result.

use std::time::Duration;

use crate::simulate::Scenario;
use crate::time::EventTime;

/// A straight line from the time watched to event time.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    start: EventTime,
    end: EventTime,
    length: Duration,
}

impl Pace {
    /// The whole scenario within `length`; as fast as possible where that is nothing.
    pub fn new(scenario: &Scenario, length: Duration) -> Self {
        Self { start: scenario.start, end: scenario.end(), length }
    }

    /// Events before this instant may be shown after so much time.
    pub fn reached(&self, watched: Duration) -> EventTime {
        if watched >= self.length {
            return self.end;
        }
        let share = watched.as_secs_f64() / self.length.as_secs_f64();
        self.start.plus_ms((share * (self.end.0 - self.start.0) as f64) as i64)
    }

    /// How long a person waits for this instant. Zero for the start and what is before it.
    pub fn wait_for(&self, time: EventTime) -> Duration {
        let span = (self.end.0 - self.start.0).max(1) as f64;
        let share = (time.0 - self.start.0) as f64 / span;
        self.length.mul_f64(share.clamp(0.0, 1.0))
    }

    /// The whole length.
    pub fn length(&self) -> Duration {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_passes_in_a_minute_and_never_runs_over() {
        let scenario = Scenario { days: 7.0, ..Scenario::default() };
        let pace = Pace::new(&scenario, Duration::from_secs(60));
        assert_eq!(pace.reached(Duration::ZERO), scenario.start);
        assert_eq!(pace.reached(Duration::from_secs(30)).0 - scenario.start.0, scenario.span_ms() / 2);
        assert_eq!(pace.reached(Duration::from_secs(600)), scenario.end());
        let middle = scenario.start.plus_ms(scenario.span_ms() / 4);
        assert_eq!(pace.wait_for(middle), Duration::from_secs(15));
    }

    #[test]
    fn a_length_of_nothing_does_not_wait() {
        let pace = Pace::new(&Scenario::default(), Duration::ZERO);
        assert_eq!(pace.reached(Duration::ZERO), Scenario::default().end());
        assert_eq!(pace.wait_for(Scenario::default().end()), Duration::ZERO);
    }
}
