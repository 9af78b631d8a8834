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

    /// Whether anything is lost at all.
    pub fn is_nothing(self) -> bool {
        self.share == 1 << 32
    }
}

/// A sum that fades by itself: value and the day it was last brought up to date.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DecayedSum {
    /// What is left, as of `day`.
    votes: Votes,
    /// Days since 1970.
    day: i64,
}

impl DecayedSum {
    /// Adds votes on a day (days since 1970). A day before the last one counts as the last one: late
    /// observations are not lost, and never revive what has faded.
    pub fn add(&mut self, day: i64, votes: Votes, half_life_days: f64) {
        self.votes = self.at(day, half_life_days).saturating_add(votes);
        self.day = self.day.max(day);
    }

    /// What is left on a day. Constant time.
    pub fn at(&self, day: i64, half_life_days: f64) -> Votes {
        if self.votes == 0 {
            return 0;
        }
        Fade::after(day.saturating_sub(self.day), half_life_days).apply(self.votes)
    }

    /// Adds another sum of the same half-life.
    pub fn merge(&mut self, other: &Self, half_life_days: f64) {
        let day = self.day.max(other.day);
        self.votes = self.at(day, half_life_days).saturating_add(other.at(day, half_life_days));
        self.day = day;
    }
}
