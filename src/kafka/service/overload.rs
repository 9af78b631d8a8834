//! When there is too much for a partition, and what is left out then.
//!
//! Knows how much waits at each look. Must not know how records are left out: that is the partition's, from the pins that
//! follow from here.
//!
//! Nothing is left out of what is being caught up with, however much it is: after a break of an hour all of that hour is
//! judged. Only where much waits and does not become less, repeats are left out; and where that is not enough, and the
//! operator wants it so, everything but the newest.

use std::time::Duration;

use crate::kafka::settings::{Overload, Shed};

/// What was seen of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// What waited when it was too much first, and the looks since then.
    since: Option<(i64, u32)>,
    /// The next record at the last look.
    stood: i64,
    /// Whether repeats are left out.
    pub sheds: bool,
    /// Whether more than repeats was left out since then.
    pub has_skipped: bool,
    /// Everything before it is to be left out.
    pub skip_to: Option<i64>,
}

impl Load {
    /// As it was when somebody else looked last.
    pub fn as_of(sheds: bool, has_skipped: bool) -> Self {
        Self { sheds, has_skipped, ..Self::default() }
    }

    /// Notes a look.
    ///
    /// * `waits`: records that wait.
    /// * `stands`: the next record that is judged. One that stands still does not judge too slowly: something else is in the
    ///   way, such as an open transaction.
    /// * `every`: between two looks.
    pub fn look(&mut self, waits: i64, stands: i64, every: Duration, settings: &Overload) {
        let moves = stands > std::mem::replace(&mut self.stood, stands);
        if settings.shed == Shed::None || waits <= i64::from(settings.below_records) {
            *self = Self { stood: stands, ..Self::default() };
            return;
        }
        if waits <= i64::from(settings.above_records) || !moves {
            self.since = None;
            return;
        }
        let (waited, looks) = self.since.map_or((waits, 0), |(waited, looks)| (waited, looks + 1));
        self.since = Some((waited, looks));
        if every * looks < Duration::from_secs(settings.for_secs.into()) {
            return;
        }
        self.since = Some((waits, 0));
        if waits < waited {
            return;
        }
        if !self.sheds {
            self.sheds = true;
        } else if settings.shed == Shed::Skip {
            self.has_skipped = true;
            self.skip_to = Some(stands + waits - i64::from(settings.below_records));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(5);

    fn settings(shed: Shed) -> Overload {
        Overload { shed, above_records: 1000, below_records: 100, for_secs: 10 }
    }

    /// What is known after looks at which so much waited.
    fn after(shed: Shed, waits: &[i64]) -> Load {
        let mut load = Load::default();
        for (place, waits) in waits.iter().enumerate() {
            load.look(*waits, 1 + place as i64, EVERY, &settings(shed));
        }
        load
    }

    #[test]
    fn less_is_judged_where_much_waits_and_does_not_become_less() {
        assert!(!after(Shed::Repeats, &[1001, 1100]).sheds, "not for long enough");
        assert!(after(Shed::Repeats, &[1001, 1100, 1200]).sheds);
        assert!(after(Shed::Repeats, &[2000, 1100, 2000]).sheds, "it goes up and down");
        assert!(!after(Shed::Repeats, &[1200, 900, 1200, 1200]).sheds, "it was less meanwhile");
        assert!(!after(Shed::None, &[5000; 40]).sheds);
    }

    #[test]
    fn what_is_being_caught_up_with_is_judged() {
        let falling: Vec<i64> = (0..200).map(|look| 1_000_000 - look * 1000).collect();
        assert!(!after(Shed::Skip, &falling).sheds);
    }

    #[test]
    fn a_partition_that_stands_still_is_not_too_slow() {
        let mut load = Load::default();
        for waits in 0..100 {
            load.look(2000 + waits, 7, EVERY, &settings(Shed::Skip));
        }
        assert!(!load.sheds);
    }

    #[test]
    fn all_is_judged_again_only_when_little_waits() {
        let long = [2000, 2000, 2000];
        let then = |more: &[i64]| after(Shed::Repeats, &[&long[..], more].concat()).sheds;
        assert!(then(&[900, 500, 101]) && !then(&[900, 500, 100]) && !then(&[50, 900]));
    }

    #[test]
    fn everything_but_the_newest_is_left_out_only_where_that_is_wanted_and_repeats_were_not_enough() {
        assert_eq!(after(Shed::Skip, &[2000; 4]).skip_to, None);
        let skips = after(Shed::Skip, &[2000; 5]);
        assert_eq!((skips.skip_to, skips.has_skipped), (Some(5 + 2000 - 100), true));
        let falls = after(Shed::Skip, &[2000, 2000, 2000, 1900, 1800, 1700, 1600]);
        assert_eq!((falls.skip_to, falls.sheds), (None, true), "repeats are enough");
        assert_eq!(after(Shed::Repeats, &[2000; 40]).skip_to, None);
        let over = after(Shed::Skip, &[2000, 2000, 2000, 2000, 2000, 100]);
        assert_eq!((over.skip_to, over.has_skipped, over.sheds), (None, false, false));
    }
}
