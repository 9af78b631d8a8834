//! How small p must be for an alert, so that no more alerts come than a person can read.
//!
//! Knows how many units a day there are. Must not know what they did.

/// Alerts a day that a person can read, where the configuration says nothing.
pub const ALERTS_PER_DAY: f64 = 5.0;
/// The threshold never lies above this, however few units there are.
const LARGEST_THRESHOLD: f64 = 0.001;
/// Units a day that are assumed at least.
const FEWEST_UNITS: f64 = 1000.0;

/// Counts active units and sets the threshold of the fast path.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    alerts_per_day: f64,
    day: i64,
    today: u64,
    yesterday: u64,
}

impl Budget {
    /// A budget of alerts a day; at least .1.
    pub fn new(alerts_per_day: f64) -> Self {
        Self { alerts_per_day: alerts_per_day.max(0.1), day: 0, today: 0, yesterday: 0 }
    }

    /// Notes that a unit became active on a day (days since 1970). Late units count for the running day.
    pub fn unit(&mut self, day: i64) {
        if day > self.day {
            self.yesterday = if day == self.day + 1 { self.today } else { 0 };
            self.today = 0;
            self.day = day;
        }
        self.today += 1;
    }

    /// An alert opens at p at or below this.
    ///
    /// # Formula
    ///
    /// h₀ = min(½·B/M, .001), M = max(units yesterday, units today, 1000): half of the budget B, spread over
    /// the units of a day by a union bound.
    pub fn threshold(&self) -> f64 {
        let units = (self.today.max(self.yesterday) as f64).max(FEWEST_UNITS);
        (0.5 * self.alerts_per_day / units).min(LARGEST_THRESHOLD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_follows_the_number_of_units() {
        let mut budget = Budget::new(5.0);
        assert_eq!(budget.threshold(), 0.001);
        (0..10_000).for_each(|_| budget.unit(3));
        assert_eq!(budget.threshold(), 0.00025);
        budget.unit(4);
        assert_eq!(budget.threshold(), 0.00025, "yesterday still counts");
        budget.unit(6);
        assert_eq!(budget.threshold(), 0.001);
    }
}
