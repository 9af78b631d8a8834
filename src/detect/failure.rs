//! `failure`: many refusals, and refusals at many doors.
//!
//! Knows how calls ended and what is usual for agent and type. Must not know what the resources are.

use serde::{Deserialize, Serialize, Serializer};

use crate::baseline::failure::{FailureHistory, FailurePrior};
use crate::baseline::pool::Habits;
use crate::event::Outcome;
use crate::identity::Key;
use crate::stats::share::BetaBinomial;

use super::frequency::{known, number};

/// How the calls of one unit ended. 16 bytes while nothing was refused.
///
/// Attempts are calls that went well, were refused or failed; how the others ended is not known. Only a refusal
/// says that somebody asked for what it may not have: an error is the tool's affair.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Failures {
    /// One bit for each of 256 groups of resources: set where one of them was refused.
    #[serde(serialize_with = "without_memory")]
    resources: Option<Box<[u64; 4]>>,
    denied: u32,
    attempts: u32,
}

/// Memory that is kept for later is not part of what was counted.
fn without_memory<S: Serializer>(
    resources: &Option<Box<[u64; 4]>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    resources.as_ref().filter(|words| words.iter().any(|word| *word != 0)).serialize(serializer)
}

/// What a unit's refusals were conspicuous for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Conspicuous {
    /// Their number.
    Refusals,
    /// The number of different resources: somebody tries doors.
    Probing,
}

/// How unusual the refusals of a unit are.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct FailureBits {
    /// Surprise, ≥ 0: the larger of both kinds. Bits.
    pub bits: f64,
    /// Which kind that is.
    pub kind: Conspicuous,
    /// Refusals, or different refused resources.
    pub observed: u32,
    /// Attempts of the unit so far.
    pub attempts: u32,
    /// Belief under which they were judged.
    pub law: BetaBinomial,
}

impl Failures {
    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        (self.denied, self.attempts) = (0, 0);
        if let Some(resources) = &mut self.resources {
            resources.fill(0);
        }
    }

    /// Counts a call and the `times` it stands for.
    ///
    /// * `what`: key of its resource, or of its action where it has none.
    pub fn count(&mut self, outcome: Outcome, what: Key, times: u32) {
        match outcome {
            Outcome::Unknown => return,
            Outcome::Ok | Outcome::Error => {}
            Outcome::Denied => {
                self.denied = self.denied.saturating_add(times);
                // The keys are hashes; their upper bits are as good as any.
                let resources = self.resources.get_or_insert_default();
                if let Some(word) = resources.get_mut((what >> 62) as usize) {
                    *word |= 1 << ((what >> 56) & 63);
                }
            }
        }
        self.attempts = self.attempts.saturating_add(times);
    }

    /// Refusals.
    pub fn denied(&self) -> u32 {
        self.denied
    }

    /// Attempts whose outcome is known.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Different resources that were refused; a lower bound that is nearly exact up to a few dozen, at most 256.
    ///
    /// A bitmap (Whang, Vander-Zanden & Taylor, *ACM TODS* 15(2), 1990) without the correction for collisions:
    /// not counting two resources apart is harmless, counting one twice would be an accusation.
    pub fn distinct(&self) -> u32 {
        let words = self.resources.iter().flat_map(|words| words.iter());
        words.map(|word| word.count_ones()).sum::<u32>().min(self.denied)
    }
}

/// Judges the refusals of a unit as they stand.
///
/// # Formula
///
/// The upper tail of a beta–binomial law ([`BetaBinomial::upper_bits`]): of the refusals k among n attempts, under
/// what is believed of this agent; and of the d different refused resources among n attempts, whose expected
/// share is smaller by the share of refusals that are no repetitions in this type.
///
/// Ask after a refusal: calls that were not refused only make the refusals less conspicuous.
#[inline]
pub fn judge(prior: &FailurePrior, history: &FailureHistory, unit: &Failures) -> FailureBits {
    let law = history.belief(prior);
    let mut strongest = FailureBits {
        bits: 0.0,
        kind: Conspicuous::Refusals,
        observed: unit.denied,
        attempts: unit.attempts,
        law,
    };
    if unit.denied == 0 {
        return strongest;
    }
    let attempts = f64::from(unit.attempts);
    strongest.bits = law.upper_bits(f64::from(unit.denied), attempts);
    let (distinct, law) = (unit.distinct(), of_distinct(law, prior));
    let bits = law.upper_bits(f64::from(distinct), attempts);
    // One refused resource is no search for an open door.
    if distinct > 1 && bits > strongest.bits {
        strongest = FailureBits { bits, kind: Conspicuous::Probing, observed: distinct, law, ..strongest };
    }
    strongest
}

fn of_distinct(law: BetaBinomial, prior: &FailurePrior) -> BetaBinomial {
    BetaBinomial::new(law.mean * prior.distinct, law.strength)
}

/// What to tell a person of refusals.
#[derive(Clone, PartialEq, Debug)]
pub struct Explanation {
    /// Refusals, or different refused resources.
    pub observed: f64,
    /// What is usual for the agent in as many attempts.
    pub expected: f64,
    /// What is usual for its type in as many attempts; none while that is not known.
    pub expected_of_type: Option<f64>,
    /// All this in one sentence.
    pub sentence: String,
}

/// Explains a judgement, with the habits of the type under which it was made.
///
/// * `agents`: how many of the type were counted. Below five what is believed of them is mostly a guess, and no observation.
pub fn explain(judged: &FailureBits, habits: &Habits, agents: f64) -> Explanation {
    let attempts = f64::from(judged.attempts);
    let (distinct, what) = match judged.kind {
        Conspicuous::Refusals => (1.0, "were refused"),
        Conspicuous::Probing => (habits.failure_prior.distinct, "were refused, each at another resource"),
    };
    let expected = judged.law.mean * attempts;
    let expected_of_type = habits.failures.mean(agents).map(|share| share * distinct * attempts);
    let sentence = format!(
        "{} of {} calls {what}; {} are usual for it, {} for its type",
        judged.observed,
        judged.attempts,
        number(expected),
        known(expected_of_type)
    );
    Explanation { observed: f64::from(judged.observed), expected, expected_of_type, sentence }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::failure::SHIPPED;
    use crate::stats::key::mix;

    fn unit(ok: u32, refused: &[Key]) -> Failures {
        let mut unit = Failures::default();
        unit.count(Outcome::Ok, 1, ok);
        refused.iter().for_each(|&what| unit.count(Outcome::Denied, what, 1));
        unit
    }

    fn doors(n: u64) -> Vec<Key> {
        (0..n).map(|door| mix(door, 0xD00)).collect()
    }

    fn quiet_prior() -> FailurePrior {
        FailurePrior { denied: BetaBinomial::new(0.002, 20.0), distinct: 0.5 }
    }

    #[test]
    fn a_unit_takes_at_most_forty_eight_bytes() {
        assert!(size_of::<Failures>() <= 48);
    }

    #[test]
    fn a_unit_without_refusals_raises_nothing() {
        let mut unit = unit(500, &[]);
        unit.count(Outcome::Error, 7, 300);
        unit.count(Outcome::Unknown, 7, 300);
        assert_eq!((unit.attempts(), unit.denied(), unit.distinct()), (800, 0, 0));
        assert_eq!(judge(&quiet_prior(), &FailureHistory::default(), &unit).bits, 0.0);
    }

    #[test]
    fn one_refusal_of_a_new_agent_is_a_few_bits() {
        let judged = judge(&SHIPPED, &FailureHistory::default(), &unit(9, &doors(1)));
        assert!(judged.bits < 4.0, "{judged:?}");
    }

    #[test]
    fn trying_doors_is_seen_where_refusals_are_rare() {
        let judged = judge(&quiet_prior(), &FailureHistory::default(), &unit(20, &doors(12)));
        assert!(judged.bits > 15.0, "{judged:?}");
        assert_eq!(judged.kind, Conspicuous::Probing);
    }

    #[test]
    fn trying_doors_is_seen_where_agents_knock_at_one_door_all_day() {
        let prior = FailurePrior { denied: BetaBinomial::new(0.4, 10.0), distinct: 0.02 };
        let mut history = FailureHistory::default();
        (0..50).for_each(|_| history.learn(20, 50, &prior));
        let same = judge(&prior, &history, &unit(30, &[doors(1)[0]; 20]));
        assert!(same.bits < 1.0, "{same:?}");
        let other = judge(&prior, &history, &unit(30, &doors(20)));
        assert!(other.bits > 30.0 && other.kind == Conspicuous::Probing, "{other:?}");
    }

    #[test]
    fn an_agent_that_is_often_refused_is_used_to_it() {
        let mut history = FailureHistory::default();
        (0..50).for_each(|_| history.learn(10, 50, &quiet_prior()));
        let unit = unit(40, &[doors(1)[0]; 10]);
        let (used, new) = (
            judge(&quiet_prior(), &history, &unit).bits,
            judge(&quiet_prior(), &FailureHistory::default(), &unit).bits,
        );
        assert!(used < 1.0 && new > 10.0, "{used} {new}");
    }

    #[test]
    fn resources_are_never_counted_twice() {
        for n in [1, 8, 40, 100, 10_000u64] {
            let unit = unit(0, &doors(n).repeat(2));
            assert!(u64::from(unit.distinct()) <= n.min(256));
            assert!(f64::from(unit.distinct()) >= 0.8 * n.min(100) as f64, "{n}: {}", unit.distinct());
        }
    }

    #[test]
    fn a_judgement_is_told_in_one_sentence() {
        let judged = judge(&quiet_prior(), &FailureHistory::default(), &unit(20, &doors(12)));
        let mut habits = Habits { failure_prior: quiet_prior(), ..Habits::default() };
        for _ in 0..5 {
            let mut history = FailureHistory::default();
            history.learn(1, 500, &quiet_prior());
            history.vote(&mut habits.failures);
        }
        assert_eq!(
            explain(&judged, &habits, 5.0).sentence,
            "12 of 32 calls were refused, each at another resource; 0.032 are usual for it, 0.032 for its type"
        );
    }

    #[test]
    fn what_was_used_before_is_saved_like_new() {
        let mut used = unit(3, &doors(9));
        used.clear();
        let saved = |unit: &Failures| serde_json::to_string(unit).unwrap();
        assert_eq!(saved(&used), saved(&Failures::default()));
    }

    #[test]
    fn what_is_usual_for_a_type_of_few_agents_is_not_known_yet() {
        let judged = judge(&quiet_prior(), &FailureHistory::default(), &unit(20, &doors(12)));
        let told = explain(&judged, &Habits { failure_prior: quiet_prior(), ..Habits::default() }, 1.0);
        assert_eq!(told.expected_of_type, None);
        assert!(
            told.sentence.ends_with("0.032 are usual for it, not known yet for its type"),
            "{}",
            told.sentence
        );
    }
}
