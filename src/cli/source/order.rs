//! Whether events come in the order of time.
//!
//! Knows times. Must not know where events come from, nor what is done with them.

use indicatif::HumanCount;

use crate::time::EventTime;

/// An event that is so much older than one before it is out of order: hosts' clocks differ by less, and what is sent again
/// is there by then. Minutes.
const LATE_MINUTES: i64 = 10;
/// Of so many events one may be out of order without a word.
const EVENTS_PER_LATE: u64 = 1_000;

/// Counts events that come out of order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    latest: EventTime,
    events: u64,
    late: u64,
}

impl Default for Order {
    fn default() -> Self {
        Self { latest: EventTime(i64::MIN), events: 0, late: 0 }
    }
}

impl Order {
    /// Takes in the time of the next event.
    pub fn add(&mut self, time: EventTime) {
        self.events += 1;
        self.late += u64::from(time.plus_ms(LATE_MINUTES * 60_000) < self.latest);
        self.latest = self.latest.max(time);
    }

    /// The latest time of all.
    pub fn latest(&self) -> EventTime {
        self.latest
    }

    /// What to do about it, where so much is out of order that levels and alerts cannot be trusted.
    pub fn told(&self) -> Option<String> {
        (self.late * EVENTS_PER_LATE > self.events).then(|| {
            format!(
                "{} of {} events are more than {LATE_MINUTES} minutes older than one before them: levels and alerts \
                 may be wrong; sort the input by time",
                HumanCount(self.late),
                HumanCount(self.events)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_late_events_are_no_disorder_and_days_in_the_wrong_order_are() {
        let told = |minutes: &[i64]| {
            let mut order = Order::default();
            minutes.iter().for_each(|minute| order.add(EventTime(minute * 60_000)));
            order.told()
        };
        let mut minutes: Vec<i64> = (0..3_000).collect();
        assert_eq!(told(&minutes), None);
        minutes.swap(100, 105);
        minutes.swap(1_000, 1_100);
        assert_eq!(told(&minutes).map(|_| ()), Some(()), "a hundred events follow one that is too early");
        minutes.rotate_left(1_500);
        assert!(told(&minutes).unwrap().starts_with("1,"), "{:?}", told(&minutes));
        minutes = (0..3_000).collect();
        minutes[2_000] = 0;
        minutes[2_001] = 1;
        assert_eq!(told(&minutes), None);
    }
}
