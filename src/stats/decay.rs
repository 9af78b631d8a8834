//! Counts that fade: fixed-point votes, and how much of them is left after some days.
//!
//! Knows days and half-lives. Must not know what is counted.

/// A decayed count in 1/256 of a vote: exact sums, whatever the order of adding.
pub type Votes = u64;

/// One whole vote.
pub const VOTE: Votes = 256;

/// Converts votes to a real number of votes.
#[inline]
pub fn as_votes(votes: Votes) -> f64 {
    votes as f64 / VOTE as f64
}

/// What is left of a count after some whole days.
///
/// Counts fade in daily steps: between the steps they are whole sums, so that merging stays exact, and a
/// half-life of weeks does not notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fade {
    /// Remaining share in 1/2³².
    share: u64,
}

impl Fade {
    /// The share left after `days` days with this half-life (days, > 0).
    ///
    /// # Formula
    ///
    /// share = 2^(−days / half_life): exponential decay in the sense of Cormode, Shkapenyuk, Srivastava, Xu,
    /// *Forward Decay*, ICDE 2009, §3, applied at day boundaries. Zero or negative `days` leave everything.
    pub fn after(days: i64, half_life_days: f64) -> Self {
        debug_assert!(half_life_days > 0.0);
        let share = (-(days.max(0) as f64) / half_life_days).exp2();
        Self { share: (share * 4_294_967_296.0).round() as u64 }
    }

    /// What is left of `votes`, rounded to the nearest 1/256 vote; a fade that takes anything takes at least
    /// 1/256 vote.
    ///
    /// Rounding alone would never let a small count go: with a half-life of 45 days 32/256 vote lose less than
    /// half a step a day, and would stay for ever.
    #[inline]
    pub fn apply(self, votes: Votes) -> Votes {
        if self.is_nothing() {
            return votes;
        }
        let rounded = ((u128::from(votes) * u128::from(self.share) + (1 << 31)) >> 32) as u64;
        rounded.min(votes.saturating_sub(1))
    }

    /// [`Fade::apply`] for a wide sum of either sign: what is left of its size, so that it draws nearer to 0.
    pub fn apply_wide(self, sum: i128) -> i128 {
        if self.is_nothing() {
            return sum;
        }
        let (size, share) = (sum.unsigned_abs(), u128::from(self.share));
        // In two parts, because size × share may not fit.
        let (high, low) = (size >> 32, size & 0xFFFF_FFFF);
        let rounded = high * share + ((low * share + (1 << 31)) >> 32);
        let left = i128::try_from(rounded.min(size.saturating_sub(1))).unwrap_or(i128::MAX);
        left * sum.signum()
    }

    /// Whether anything is lost at all.
    pub fn is_nothing(self) -> bool {
        self.share == 1 << 32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A sum that fades by itself: value and the day it was last brought up to date.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    struct DecayedSum {
        /// What is left, as of `day`.
        votes: Votes,
        /// Days since 1970.
        day: i64,
    }

    impl DecayedSum {
        /// Adds votes on a day (days since 1970). A day before the last one counts as the last one: late
        /// observations are not lost, and never revive what has faded.
        fn add(&mut self, day: i64, votes: Votes, half_life_days: f64) {
            self.votes = self.at(day, half_life_days).saturating_add(votes);
            self.day = self.day.max(day);
        }

        /// What is left on a day. Constant time.
        fn at(&self, day: i64, half_life_days: f64) -> Votes {
            if self.votes == 0 {
                return 0;
            }
            Fade::after(day.saturating_sub(self.day), half_life_days).apply(self.votes)
        }

        /// Adds another sum of the same half-life.
        fn merge(&mut self, other: &Self, half_life_days: f64) {
            let day = self.day.max(other.day);
            self.votes = self.at(day, half_life_days).saturating_add(other.at(day, half_life_days));
            self.day = day;
        }
    }

    /// The slow twin: keeps every observation and weighs each one by its age.
    fn slow_sum(observations: &[(i64, Votes)], day: i64, half_life: f64) -> f64 {
        observations
            .iter()
            .map(|&(then, votes)| votes as f64 * 0.5f64.powf((day - then) as f64 / half_life))
            .sum()
    }

    /// How far repeated rounding may drift. Each step is off by at most one 1/256 vote, and what it was off
    /// fades with the rest: at most 1 + s + s² + … steps.
    fn drift(half_life: f64, largest: Votes) -> f64 {
        1.0 / (1.0 - 0.5f64.powf(1.0 / half_life)) + largest as f64 * 1e-6
    }

    fn sum_of(observations: &[(i64, Votes)], half_life: f64) -> DecayedSum {
        let mut sum = DecayedSum::default();
        for &(day, votes) in observations {
            sum.add(day, votes, half_life);
        }
        sum
    }

    fn by_day(days: std::ops::Range<i64>) -> impl Strategy<Value = Vec<(i64, Votes)>> {
        prop::collection::vec((days, 1u64..100_000), 0..40).prop_map(|mut list| {
            list.sort_unstable();
            list
        })
    }

    proptest! {
        #[test]
        fn a_wide_sum_fades_like_a_narrow_one(votes in any::<u64>(), days in 0..400i64, wide in any::<i128>()) {
            let fade = Fade::after(days, 14.0);
            prop_assert_eq!(fade.apply_wide(i128::from(votes)), i128::from(fade.apply(votes)));
            prop_assert_eq!(fade.apply_wide(-i128::from(votes)), -i128::from(fade.apply(votes)));
            let left = fade.apply_wide(wide) as f64;
            let slow = wide as f64 * 0.5f64.powf(days as f64 / 14.0);
            prop_assert!((left - slow).abs() <= slow.abs() * 1e-9 + wide.unsigned_abs() as f64 * 1e-9, "{} {}", left, slow);
        }

        #[test]
        fn a_decayed_sum_is_the_sum_of_the_weights_of_its_observations(
            observations in by_day(19_000..19_400), half_life in 1.0..120.0f64, later in 0i64..100,
        ) {
            let sum = sum_of(&observations, half_life);
            let day = observations.last().map_or(19_000, |o| o.0) + later;
            let slow = slow_sum(&observations, day, half_life);
            let off = (sum.at(day, half_life) as f64 - slow).abs();
            prop_assert!(off <= drift(half_life, 4_000_000), "{} against {slow}", sum.at(day, half_life));
        }

        #[test]
        fn merging_sums_equals_the_sum_of_the_union(
            a in by_day(19_000..19_200), b in by_day(19_000..19_200), half_life in 1.0..120.0f64,
        ) {
            let (left, right) = (sum_of(&a, half_life), sum_of(&b, half_life));
            let mut one = left;
            one.merge(&right, half_life);
            let mut other = right;
            other.merge(&left, half_life);
            prop_assert_eq!(one.at(19_300, half_life), other.at(19_300, half_life), "merging does not commute");
            let union: Vec<_> = a.into_iter().chain(b).collect();
            let slow = slow_sum(&union, 19_300, half_life);
            prop_assert!((one.at(19_300, half_life) as f64 - slow).abs() <= 3.0 * drift(half_life, 8_000_000));
        }

        #[test]
        fn on_one_day_the_order_of_adding_does_not_matter(mut votes in prop::collection::vec(any::<u64>(), 0..20)) {
            let day: Vec<_> = votes.iter().map(|&v| (19_000, v)).collect();
            votes.reverse();
            let reversed: Vec<_> = votes.iter().map(|&v| (19_000, v)).collect();
            prop_assert_eq!(sum_of(&day, 30.0), sum_of(&reversed, 30.0));
        }

        #[test]
        fn forgetting_twice_is_forgetting_the_sum(
            votes in 0u64..1 << 40, a in 0i64..400, b in 0i64..400, half_life in 0.5..200.0f64,
        ) {
            let twice = Fade::after(b, half_life).apply(Fade::after(a, half_life).apply(votes));
            let once = Fade::after(a + b, half_life).apply(votes);
            let rounding = 2.0 + votes as f64 / 4_294_967_296.0 * 2.0;
            prop_assert!(twice.abs_diff(once) as f64 <= rounding, "{twice} against {once}");
        }

        #[test]
        fn more_days_leave_less_and_more_votes_leave_more(
            votes in any::<u64>(), days in 0i64..10_000, half_life in 0.1..1_000.0f64,
        ) {
            let left = Fade::after(days, half_life).apply(votes);
            prop_assert!(left <= votes);
            prop_assert!(Fade::after(days + 1, half_life).apply(votes) <= left);
            prop_assert!(Fade::after(days, half_life).apply(votes.saturating_add(1)) >= left);
        }

        #[test]
        fn no_day_and_no_count_is_too_large(day in any::<i64>(), then in any::<i64>(), votes in any::<u64>()) {
            let mut sum = DecayedSum::default();
            sum.add(then, votes, 30.0);
            sum.add(day, votes, 30.0);
            let other = sum;
            sum.merge(&other, 30.0);
            prop_assert!(sum.at(i64::MAX, 30.0) <= sum.at(i64::MIN, 30.0));
        }
    }

    #[test]
    fn any_count_is_gone_in_the_end_however_small_the_steps() {
        for half_life in [14.0, 45.0, 90.0, 365.0] {
            let (day, mut left, mut days) = (Fade::after(1, half_life), 40 * VOTE, 0);
            while left > 0 {
                let less = day.apply(left);
                assert!(less < left, "{left}/256 votes never fade with a half-life of {half_life} days");
                (left, days) = (less, days + 1);
            }
            assert!(f64::from(days) > 5.0 * half_life, "gone after {days} days of half-life {half_life}");
        }
    }

    #[test]
    fn after_one_half_life_half_is_left() {
        assert_eq!(Fade::after(45, 45.0).apply(1000 * VOTE), 500 * VOTE);
        assert!(Fade::after(0, 45.0).is_nothing() && Fade::after(-3, 45.0).is_nothing());
        assert!(!Fade::after(1, 45.0).is_nothing());
        assert_eq!(Fade::after(0, 45.0).apply(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_late_observation_counts_in_full_and_revives_nothing() {
        let mut sum = sum_of(&[(19_000, 8 * VOTE), (19_010, VOTE)], 10.0);
        assert_eq!(sum.at(19_010, 10.0), 5 * VOTE);
        sum.add(19_000, VOTE, 10.0);
        assert_eq!(sum.at(19_010, 10.0), 6 * VOTE);
    }

    #[test]
    fn a_twin_with_a_wrong_half_life_is_noticed() {
        let observations = [(19_000, 4_000 * VOTE), (19_020, 300 * VOTE)];
        let fast = sum_of(&observations, 45.0).at(19_050, 45.0) as f64;
        assert!((fast - slow_sum(&observations, 19_050, 45.0)).abs() <= drift(45.0, 4_000_000));
        assert!((fast - slow_sum(&observations, 19_050, 44.0)).abs() > drift(45.0, 4_000_000));
    }
}
