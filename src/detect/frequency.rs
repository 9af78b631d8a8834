//! `frequency`: many more calls in five minutes or an hour than is usual, and silence.
//!
//! Knows an agent's counts and the priors of its type. Must not know what was called.

use crate::baseline::pool::Habits;
use crate::baseline::rate::{PerScale, Rate, Scale};
use crate::stats::rate::Prior;
use serde::{Deserialize, Serialize};

/// How unusual the number of an agent's calls is.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct FrequencyBits {
    /// Surprise, ≥ 0: that of the stronger scale and of what it is compared with. Bits.
    pub bits: f64,
    /// The scale.
    pub scale: Scale,
}

impl FrequencyBits {
    /// Nothing was counted.
    pub const NOTHING: Self = Self { bits: 0.0, scale: Scale::FiveMinutes };
}

/// Judges the counts of an agent as they stand; they may be asked for while their windows are still open.
///
/// * `priors`: of the agent's type.
///
/// An agent younger than a day is compared with its type too, its own history left out: an agent that is bad from
/// birth makes itself familiar faster than anybody can look. Later a difference from its type is either told or
/// how the agent is. Where nothing is unusual this costs no logarithm.
#[inline]
pub fn judge(priors: &PerScale<Prior>, rate: &Rate) -> FrequencyBits {
    let mut strongest = FrequencyBits::NOTHING;
    for scale in Scale::ALL {
        let (prior, observed) = (priors.of(scale), rate.observed(scale));
        if !rate.is_usual(scale, prior) {
            let bits = rate.expected(scale, prior).upper_bits(observed);
            if bits > strongest.bits {
                strongest = FrequencyBits { bits, scale };
            }
        }
        if rate.is_young() {
            let bits = Rate::expected_of_peers(prior).upper_bits(observed);
            if bits > strongest.bits {
                strongest = FrequencyBits { bits, scale };
            }
        }
    }
    strongest
}

/// What to tell a person of a count.
#[derive(Clone, PartialEq, Debug)]
pub struct Explanation {
    /// Calls counted in `minutes`.
    pub observed: f64,
    /// Length of the stretch: one window, or two where the burst began in the one before. Minutes.
    pub minutes: u32,
    /// Calls usual for the agent in as long.
    pub expected: f64,
    /// Calls usual for its type in as long; none while that is not known.
    pub expected_of_type: Option<f64>,
    /// All this in one sentence.
    pub sentence: String,
}

/// Explains a judgement, with the counts and the habits of the type under which it was made.
///
/// * `agents`: how many of the type were counted. Below five what is believed of them is mostly a guess, and no observation.
pub fn explain(judged: &FrequencyBits, habits: &Habits, agents: f64, rate: &Rate) -> Explanation {
    let (scale, prior) = (judged.scale, habits.rate_priors.of(judged.scale));
    let (running, before) = rate.counts(scale);
    let windows = if running >= before { 1 } else { 2 };
    let observed = f64::from(running) + if windows == 2 { f64::from(before) } else { 0.0 };
    let minutes = scale.minutes() * windows;
    let expected = rate.per_window(scale, prior).mean() * f64::from(windows);
    let expected_of_type = habits.rates.of(scale).mean(agents).map(|mean| mean * f64::from(windows));
    let stretch = match minutes {
        60 => "an hour".to_owned(),
        120 => "two hours".to_owned(),
        minutes => format!("{minutes} minutes"),
    };
    let sentence = format!(
        "{observed:.0} calls in {stretch}; {} are usual for it, {} for its type",
        number(expected),
        known(expected_of_type)
    );
    Explanation { observed, minutes, expected, expected_of_type, sentence }
}

/// A silence in one sentence.
pub fn explain_silence(silence: &crate::baseline::rate::Silence) -> String {
    let hours = if silence.hours == 1 { "an hour".to_owned() } else { format!("{} hours", silence.hours) };
    format!("nothing for {hours}, in which {} calls are usual for it", number(silence.expected))
}

/// An expected number as a person reads it, where it is known.
pub(super) fn known(value: Option<f64>) -> String {
    value.map_or_else(|| "not known yet".to_owned(), number)
}

/// An expected number as a person reads it.
pub(super) fn number(value: f64) -> String {
    if value >= 9.5 {
        format!("{value:.0}")
    } else if value >= 0.95 {
        format!("{value:.1}")
    } else if value >= 0.001 {
        format!("{value:.3}").trim_end_matches('0').to_owned()
    } else {
        "next to none".to_owned()
    }
}

#[cfg(test)]
mod tests;
