//! `sequence`: the order of actions, and loops.
//!
//! Knows histories of symbols. Must not know arguments or resources beyond equality.

use crate::baseline::learning::{FLEET, Lesson};
use crate::baseline::pool::{Baselines, TypeBaseline};
use crate::identity::Key;
use crate::stats::key::mix;
use crate::stats::sequence::{History, Prediction, predict};
use serde::{Deserialize, Serialize};

use super::Call;

/// Symbols of which nothing is known share this probability.
const UNKNOWN: Prediction = Prediction { probability: 1.0 / 4096.0, expected_bits: 3.0, order: 0 };
/// What every unit starts with.
pub const START: Key = 0x57A2_7000;
/// Longest cycle that is recognised. Calls.
pub const CYCLE: usize = 4;
/// Calls without any excess that the mean starts with.
const MEAN_WEIGHT: f64 = 200.0;
/// Drift says something from this many calls on: in a short unit it is the model's habits, not the agent's
/// order.
const DRIFT_CALLS: f64 = 64.0;
/// A single transition adds at most this much to the drift: what counts is how many are unusual. Bits.
const DRIFT_BITS: f64 = 3.0;
/// Repetitions in a row that are everyday retries and pages.
const EVERYDAY_REPETITIONS: f64 = 32.0;

/// What a call takes back of a loop that it continues with other values. Calls.
const STEP_BACK: u32 = 2;
/// Values of a call's arguments that are told apart, with a bit to start each.
const VALUES: u32 = 0x1111_1111;

/// Where a unit stands in its sequence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Progress {
    history: History,
    /// Σ of excess so far, each at most [`DRIFT_BITS`]. Bits.
    sum: f64,
    calls: u32,
    /// Last (action, resource) pairs, newest first; the upper half of their keys.
    recent: [u32; CYCLE],
    /// Values of their arguments, as in [`values_of`].
    values: [u32; CYCLE],
    /// Calls that equal the one p calls before, for p = 1…[`CYCLE`]: none after another action or resource, fewer after
    /// another value.
    runs: [u32; CYCLE],
    /// Surprise of the calls of the running loop together. Bits.
    loop_bits: f64,
    /// The step that surprised most so far.
    costliest: Transition,
}

/// A step from one symbol to the next, and how much it surprised.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Transition {
    /// The symbol before; [`START`] at the start.
    pub previous: Key,
    /// The symbol.
    pub symbol: Key,
    /// Its probability there, for the type, in (0, 1].
    pub probability: f32,
    /// Its surprise beyond what was usual there, ≥ 0. Bits.
    pub excess: f32,
}

impl Default for Progress {
    fn default() -> Self {
        Self::AT_START
    }
}

/// What the order of actions says of one call.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct OrderBits {
    /// Probability of the action here, for the type.
    pub probability: f64,
    /// Its surprise. Bits.
    pub bits: f64,
    /// Surprise that is usual here. Bits.
    pub expected_bits: f64,
    /// Surprise beyond what is usual here; ≥ 0. Bits.
    pub excess: f64,
    /// Mean excess of the unit so far, drawn towards 0; 0 in a short unit. Bits a
    /// call, ×100.
    pub drift: f64,
    /// Repetitions in a row of a cycle of at most [`CYCLE`] calls.
    pub repetition: f64,
    /// Surprise of the loop's calls together: −log2 of the probability that an agent of this type goes through it.
    /// 0 up to a few everyday repetitions. Bits.
    pub loop_bits: f64,
}

/// Judges a call at this point of a unit.
pub fn judge(
    baselines: &Baselines,
    own: Option<&TypeBaseline>,
    progress: &Progress,
    call: &Call<'_, '_>,
) -> OrderBits {
    let prediction = probability(baselines, own, progress, call.agent_type, call.symbol);
    let bits = -prediction.probability.log2();
    let excess = (bits - prediction.expected_bits).max(0.0);
    let (sum, calls) = (progress.sum + excess.min(DRIFT_BITS), f64::from(progress.calls) + 1.0);
    let repetition = progress
        .runs_with(repeat_key(call), values_of(call))
        .iter()
        .zip(1u32..)
        .map(|(&run, period)| f64::from(run / period))
        .fold(0.0, f64::max);
    OrderBits {
        probability: prediction.probability,
        bits,
        expected_bits: prediction.expected_bits,
        excess,
        drift: if calls < DRIFT_CALLS { 0.0 } else { 100.0 * sum / (calls + MEAN_WEIGHT) },
        repetition,
        loop_bits: if repetition > EVERYDAY_REPETITIONS { progress.loop_bits + bits } else { 0.0 },
    }
}

/// Probability and usual surprise of a symbol at this point, for the type (smoothed by the fleet).
pub fn probability(
    baselines: &Baselines,
    own: Option<&TypeBaseline>,
    progress: &Progress,
    agent_type: Key,
    symbol: Key,
) -> Prediction {
    let fleet = Prediction {
        probability: baselines.fleet.sequence.probability(FLEET, symbol, UNKNOWN.probability),
        ..UNKNOWN
    };
    own.map_or(fleet, |own| predict(&own.sequence, &progress.history.contexts(agent_type), symbol, fleet))
}

/// Probability of a symbol after the one before it, over the whole fleet: share of types that do so, smoothed.
pub fn fleet_probability(baselines: &Baselines, previous: Key, symbol: Key) -> f64 {
    let table = &baselines.fleet.sequence;
    let alone = table.probability(FLEET, symbol, UNKNOWN.probability);
    table.probability(mix(FLEET, previous), symbol, alone)
}

/// What there is to learn from a call at this point.
pub fn lesson(progress: &Progress, agent_type: Key) -> Lesson {
    Lesson::Order { contexts: progress.history.contexts(agent_type), previous: progress.previous() }
}

fn repeat_key(call: &Call<'_, '_>) -> u32 {
    (mix(call.action, call.resource.unwrap_or(0)) >> 32) as u32
}

/// The values of a call's arguments, four bits each; 0 where none is known. An argument keeps its place by its name; two
/// that share one are as good as one.
fn values_of(call: &Call<'_, '_>) -> u32 {
    let mut all = 0;
    for argument in &call.arguments {
        if let Some(value) = argument.value {
            let lane = (argument.name >> 61) as u32 * 4;
            let short = 1 + (mix(value, argument.name) >> 32) as u32 % 15;
            all = (all & !(15 << lane)) | short << lane;
        }
    }
    all
}

/// Whether no argument that both calls have differs. Who turns the pages of a listing, or goes through a list, repeats
/// an action but not a call; an argument that is left out once says nothing.
fn agree(values: u32, then: u32) -> bool {
    let filled = |of: u32| (of | of >> 1 | of >> 2 | of >> 3) & VALUES;
    filled(values) & filled(then) & filled(values ^ then) == 0
}

impl Progress {
    /// Before the first call.
    pub const AT_START: Self = Self {
        history: History::of(START),
        sum: 0.0,
        calls: 0,
        recent: [0; CYCLE],
        values: [0; CYCLE],
        runs: [0; CYCLE],
        loop_bits: 0.0,
        costliest: Transition { previous: START, symbol: START, probability: 1.0, excess: 0.0 },
    };

    /// The symbol before; [`START`] at the start.
    pub fn previous(&self) -> Key {
        self.history.last().unwrap_or(START)
    }

    /// The step that surprised most so far; its excess is 0 where none did.
    pub fn costliest(&self) -> Transition {
        self.costliest
    }

    /// Goes one call further.
    pub fn advance(&mut self, call: &Call<'_, '_>, judged: &OrderBits) {
        if judged.excess as f32 > self.costliest.excess {
            self.costliest = Transition {
                previous: self.previous(),
                symbol: call.symbol,
                probability: judged.probability as f32,
                excess: judged.excess as f32,
            };
        }
        self.history.push(call.symbol);
        self.sum += judged.excess.min(DRIFT_BITS);
        self.calls = self.calls.saturating_add(1);
        let key = repeat_key(call);
        let values = values_of(call);
        let longest = |runs: &[u32; CYCLE]| f64::from(runs.iter().copied().max().unwrap_or(0));
        let before = longest(&self.runs);
        self.runs = self.runs_with(key, values);
        let after = longest(&self.runs);
        self.loop_bits = if after > before {
            self.loop_bits + judged.bits
        } else if before > 0.0 {
            self.loop_bits * after / before
        } else {
            0.0
        };
        self.values.rotate_right(1);
        if let Some(first) = self.values.first_mut() {
            *first = values;
        }
        self.recent.rotate_right(1);
        if let Some(first) = self.recent.first_mut() {
            *first = key;
        }
    }

    fn runs_with(&self, key: u32, values: u32) -> [u32; CYCLE] {
        let mut runs = self.runs;
        for ((run, &before), &then) in runs.iter_mut().zip(&self.recent).zip(&self.values) {
            *run = match before == key {
                true if agree(values, then) => run.saturating_add(1),
                true => run.saturating_sub(STEP_BACK),
                false => 0,
            };
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::vocabulary::Vocabulary;
    use crate::event::AuditEvent;
    use crate::identity::Identity;

    /// Repetitions after so many calls of one action on one resource, with these page numbers.
    fn repetitions(pages: impl Iterator<Item = u32>) -> f64 {
        let mut vocabulary = Vocabulary::new(Identity::new([0; 16]), None);
        let mut progress = Progress::AT_START;
        let mut last = 0.0;
        for page in pages {
            let arguments = match page {
                0 => String::new(),
                page => format!(r#","arguments":[{{"name":"page","class":"num","hash":"{page:012x}"}}]"#),
            };
            let event = format!(
                r#"{{"time":"2026-01-05T08:00:00Z","agent_id":"a","action":"list","resource":"crm"{arguments}}}"#
            );
            let event: AuditEvent<'_> = serde_json::from_str(&event).unwrap();
            let call = vocabulary.call(&event);
            let judged = judge(&Baselines::default(), None, &progress, &call);
            progress.advance(&call, &judged);
            last = judged.repetition;
        }
        last
    }

    #[test]
    fn the_step_that_surprised_most_is_remembered_and_not_the_last() {
        let mut vocabulary = Vocabulary::new(Identity::new([0; 16]), None);
        let mut progress = Progress::AT_START;
        let excess = [0.5, 7.0, 0.0, 2.0];
        let mut symbols = Vec::new();
        for (step, excess) in excess.into_iter().enumerate() {
            let event = format!(r#"{{"time":"2026-01-05T08:00:00Z","agent_id":"a","action":"do_{step}"}}"#);
            let event: AuditEvent<'_> = serde_json::from_str(&event).unwrap();
            let call = vocabulary.call(&event);
            let judged = judge(&Baselines::default(), None, &progress, &call);
            progress.advance(&call, &OrderBits { excess, probability: 0.25 / (1.0 + excess), ..judged });
            symbols.push(call.symbol);
        }
        let worst = progress.costliest();
        assert_eq!((worst.previous, worst.symbol), (symbols[0], symbols[1]));
        assert_eq!((worst.excess, worst.probability), (7.0, 0.25 / 8.0));
    }

    #[test]
    fn the_same_call_again_and_again_is_a_loop() {
        assert_eq!(repetitions(std::iter::repeat_n(7, 100)), 99.0);
    }

    #[test]
    fn turning_pages_is_no_loop() {
        assert!(repetitions(1..=100) < EVERYDAY_REPETITIONS / 2.0);
    }

    #[test]
    fn a_loop_that_leaves_an_argument_out_or_strays_now_and_then_is_still_one() {
        let sometimes_without = (0..100).map(|call| if call % 3 == 0 { 0 } else { 7 });
        assert_eq!(repetitions(sometimes_without), 99.0);
        let strays = (0..200).map(|call| if call % 10 == 0 { 8 } else { 7 });
        assert!(repetitions(strays) > EVERYDAY_REPETITIONS);
    }
}
