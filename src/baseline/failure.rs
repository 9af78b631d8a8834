//! How often one agent is refused, and what is usual for its type.
//!
//! Knows counts of refusals. Must not know what was refused.

use serde::{Deserialize, Serialize};

use crate::stats::decay::Fade;
use crate::stats::fixed::Sum;
use crate::stats::share::{BetaBinomial, ShareMoments};

/// Half-life of an agent's refusals, and of the type's votes. Days. As for keys: rights change with releases.
pub const HALF_LIFE_DAYS: f64 = 45.0;
/// Attempts of one unit that are learned at most; more are scaled down, so that a long unit weighs no more.
const UNIT_ATTEMPTS: f64 = 64.0;
/// Refusals of one unit that the type learns at most about repetition. Refusals.
const UNIT_REFUSALS: f64 = 8.0;
/// What the general idea of repetition is worth. Refusals.
const DISTINCT_WEIGHT: f64 = 4.0;

/// What is believed of an agent before it has done anything.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct FailurePrior {
    /// Share of attempts that are refused.
    pub denied: BetaBinomial,
    /// Share of refusals that are the first for their resource within the unit, in (0, 1]: small where agents knock
    /// at the same door again and again.
    pub distinct: f64,
}

/// What a new installation believes: one attempt in fifty is refused, give or take a lot (a belief worth five
/// attempts: agents that are never refused and agents that are refused in one attempt of four are both
/// plausible), and every other refusal is a repetition.
pub const SHIPPED: FailurePrior =
    FailurePrior { denied: BetaBinomial { mean: 0.02, strength: 5.0 }, distinct: 0.5 };

/// Refusals of one agent. 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct FailureHistory {
    /// Refused attempts, faded.
    denied: f32,
    /// All attempts, faded.
    attempts: f32,
}

impl FailureHistory {
    /// Lets everything fade by some days (the caller knows when it last did).
    pub fn fade(&mut self, days: i64) {
        self.discount((-(days.max(0) as f64) / HALF_LIFE_DAYS).exp2() as f32);
    }

    /// What was learned counts for so much less.
    ///
    /// * `left`: part that stays, in (0, 1].
    pub fn discount(&mut self, left: f32) {
        self.denied *= left;
        self.attempts *= left;
    }

    /// Learns a unit that has ended: at most 64 attempts' worth, and of its refusals at most 3·max(1, expected) + 3,
    /// so that one storm does not become normal.
    pub fn learn(&mut self, denied: u32, attempts: u32, prior: &FailurePrior) {
        if attempts == 0 {
            return;
        }
        let scale = (UNIT_ATTEMPTS / f64::from(attempts)).min(1.0);
        let attempts = f64::from(attempts) * scale;
        let usual = (self.belief(prior).mean * attempts).max(1.0);
        let denied = (f64::from(denied) * scale).min(attempts).min(3.0 * usual + 3.0);
        self.denied += denied as f32;
        self.attempts += attempts as f32;
    }

    /// What is believed of the agent's next unit.
    pub fn belief(&self, prior: &FailurePrior) -> BetaBinomial {
        prior.denied.given(f64::from(self.denied), f64::from(self.attempts))
    }

    /// What the agent says of itself, once a day on which it did something.
    pub fn vote(&self, moments: &mut FailureMoments) {
        moments.shares.add(f64::from(self.denied), f64::from(self.attempts));
    }
}

/// Refusals of a type's agents: one vote an agent and day, and how refusals repeat within units. Exact sums.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FailureMoments {
    shares: ShareMoments,
    /// Σ over units of distinct refused resources.
    distinct: Sum,
    /// Σ over units of refusals.
    refusals: Sum,
}

impl FailureMoments {
    /// Adds how the refusals of a unit repeated: at most eight of them count.
    pub fn add_unit(&mut self, denied: u32, distinct: u32) {
        let refusals = f64::from(denied).min(UNIT_REFUSALS);
        if refusals > 0.0 {
            self.refusals.add(refusals);
            self.distinct.add(refusals * f64::from(distinct.min(denied)) / f64::from(denied));
        }
    }

    /// Adds another group's sums.
    pub fn merge(&mut self, other: &Self) {
        self.shares.merge(&other.shares);
        self.distinct.merge(other.distinct);
        self.refusals.merge(other.refusals);
    }

    /// Lets everything fade.
    pub fn fade(&mut self, fade: Fade) {
        self.shares.fade(fade);
        self.distinct.fade(fade);
        self.refusals.fade(fade);
    }

    /// Votes held, faded.
    pub fn votes(&self) -> f64 {
        self.shares.votes()
    }

    /// Share of attempts that are refused, as its agents said; see [`ShareMoments::mean`].
    pub fn mean(&self, agents: f64) -> Option<f64> {
        self.shares.mean(agents)
    }

    /// What is to be believed of one more agent; see [`ShareMoments::prior`].
    pub fn prior(&self, agents: f64, general: &FailurePrior) -> FailurePrior {
        let distinct = (DISTINCT_WEIGHT * general.distinct + self.distinct.value())
            / (DISTINCT_WEIGHT + self.refusals.value());
        FailurePrior {
            denied: self.shares.prior(agents, &general.denied),
            distinct: distinct.clamp(0.01, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moments(agents: &[(u32, u32)]) -> FailureMoments {
        let mut moments = FailureMoments::default();
        for &(denied, attempts) in agents {
            let mut agent = FailureHistory::default();
            agent.learn(denied, attempts, &SHIPPED);
            agent.vote(&mut moments);
            moments.add_unit(denied, denied.div_ceil(2));
        }
        moments
    }

    fn agents() -> impl Strategy<Value = Vec<(u32, u32)>> {
        prop::collection::vec((0..40u32, 0..200u32), 0..20)
    }

    proptest! {
        #[test]
        fn merging_is_the_union_in_any_order(one in agents(), other in agents()) {
            let (mut ab, mut ba) = (moments(&one), moments(&other));
            ab.merge(&moments(&other));
            ba.merge(&moments(&one));
            prop_assert_eq!(&ab, &ba);
            prop_assert_eq!(ab, moments(&[one, other].concat()));
        }

        #[test]
        fn every_belief_is_a_probability(agents in agents(), members in 0.0..1e6f64) {
            let prior = moments(&agents).prior(members, &SHIPPED);
            prop_assert!(prior.denied.mean > 0.0 && prior.denied.mean < 1.0, "{:?}", prior);
            prop_assert!(prior.denied.strength > 0.0 && prior.distinct > 0.0 && prior.distinct <= 1.0);
        }
    }

    #[test]
    fn an_agents_refusals_take_eight_bytes() {
        assert_eq!(size_of::<FailureHistory>(), 8);
    }

    #[test]
    fn a_storm_of_refusals_does_not_become_normal() {
        let (mut agent, mut steady) = (FailureHistory::default(), FailureHistory::default());
        agent.learn(100_000, 100_000, &SHIPPED);
        assert!(agent.belief(&SHIPPED).mean < 0.12, "{:?}", agent.belief(&SHIPPED));
        for _ in 0..200 {
            steady.learn(5, 10, &SHIPPED);
        }
        let learned = steady.belief(&SHIPPED).mean;
        assert!((learned - 0.5).abs() < 0.02, "what happens every day is learned: {learned}");
    }

    #[test]
    fn refusals_fade_by_half_in_forty_five_days() {
        let mut agent = FailureHistory::default();
        agent.learn(4, 64, &SHIPPED);
        agent.fade(45);
        assert!((agent.attempts - 32.0).abs() < 1e-4 && (agent.denied - 2.0).abs() < 1e-4, "{agent:?}");
        agent.fade(-3);
        assert!((agent.attempts - 32.0).abs() < 1e-4);
    }

    #[test]
    fn a_type_that_is_never_refused_expects_few_refusals_and_not_none() {
        let prior = moments(&[(0, 60); 40]).prior(40.0, &SHIPPED);
        assert!(prior.denied.mean > 0.0 && prior.denied.mean < 0.001, "{prior:?}");
        assert_eq!(prior.denied.strength, SHIPPED.denied.strength);
        assert_eq!(prior.distinct, SHIPPED.distinct);
    }

    #[test]
    fn a_type_that_knocks_again_and_again_is_known_for_it() {
        let mut moments = FailureMoments::default();
        for _ in 0..50 {
            moments.add_unit(200, 1);
        }
        assert!(moments.prior(1.0, &SHIPPED).distinct < 0.02);
        assert!(FailureMoments::default().prior(1.0, &SHIPPED).distinct > 0.4);
    }

    #[test]
    fn state_survives_being_written_and_read() {
        let moments = moments(&[(3, 60), (0, 9), (7, 7)]);
        let text = serde_json::to_string(&moments).unwrap();
        assert_eq!(serde_json::from_str::<FailureMoments>(&text).unwrap(), moments);
    }
}
