//! The evidence about one call, added inside that call.
//!
//! Knows the bits of each detector about one call. Must not know other calls.
//!
//! Combining the session's peak of each detector instead loses up to thirty points of detection: those peaks
//! come from different innocent calls.

use serde::Deserialize;

use crate::baseline::pool::{Baselines, TypeBaseline};
use crate::detect::lexicon::Verb;
use crate::detect::provenance::OriginBits;
use crate::detect::sequence::OrderBits;
use crate::detect::{ArgumentKeys, Call, Tier, provenance};
use crate::finding::Family;
use crate::stats::key::mix;

/// Probability of a value of which nothing is known.
const UNKNOWN_VALUE: f64 = 1e-6;

/// What the call score is made of. The defaults were chosen on the training models named in
/// `scripts/evaluate.py` alone; the switches exist to show what each part earns.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContentSettings {
    /// Judge six symbols: origin with form and anchoring.
    pub fine: bool,
    /// Judge three symbols: origin alone.
    pub coarse: bool,
    /// Weight of the novelty of destination values beside suspicious origins.
    pub value_novelty: f64,
    /// Weight of the excess of the action sequence beside suspicious origins.
    pub order_excess: f64,
    /// Weight of value novelty where no origin is known.
    pub bare_value_novelty: f64,
    /// Weight of the sequence's excess where no origin is known.
    pub bare_order_excess: f64,
    /// Weight of the action's rarity where no origin is known.
    pub bare_rarity: f64,
    /// Weight by verb class: read, other, write, egress, pay, privilege, destructive.
    pub verb_weights: [f64; 7],
}

impl Default for ContentSettings {
    fn default() -> Self {
        Self {
            fine: true,
            coarse: true,
            value_novelty: 0.3,
            order_excess: 0.3,
            bare_value_novelty: 0.6,
            bare_order_excess: 0.3,
            bare_rarity: 0.3,
            verb_weights: [0.4, 0.6, 0.8, 1.0, 1.0, 1.0, 1.2],
        }
    }
}

/// Evidence about one call. Bits.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Content {
    /// The family it belongs to; none for a call that says nothing.
    pub family: Option<Family>,
    /// The sum.
    pub bits: f64,
    /// Part of `provenance`: origins of arguments.
    pub provenance: f64,
    /// Part of `access`: values and actions that are new or rare.
    pub novelty: f64,
    /// Part of `sequence`: an action out of order.
    pub order: f64,
    /// Index of the argument that says most.
    pub lead: Option<usize>,
}

/// Adds up what the detectors say about one call.
///
/// # Formula
///
/// With origins: c = w·(½(fine + coarse) + .3·novelty + .3·excess), the last two only beside an argument of
/// suspicious origin; without: c = w·(.6·novelty + .3·excess + .3·rarity of the action). w by verb class.
/// Weights as in [`ContentSettings`].
pub fn judge(
    settings: &ContentSettings,
    baselines: &Baselines,
    own: Option<&TypeBaseline>,
    call: &Call<'_, '_>,
    order: &OrderBits,
) -> Content {
    let weight = settings.verb_weights.get(call.verb as usize).copied().unwrap_or(0.6);
    let carries = own.is_some_and(TypeBaseline::carries_provenance);
    match call.tier {
        Tier::Full | Tier::Origin => {
            let mut content = Content { family: Some(Family::CallContent), ..Content::default() };
            let mut strongest = 0.0;
            for (index, argument) in call.arguments.iter().enumerate() {
                let origin = provenance::judge(baselines, own, call, argument);
                let bits = origin_bits(settings, call.tier, origin);
                if bits <= 0.0 {
                    continue;
                }
                let novelty = value_bits(own, call, argument) * settings.value_novelty;
                content.provenance += weight * bits;
                content.novelty += weight * novelty;
                if bits + novelty > strongest {
                    strongest = bits + novelty;
                    content.lead = Some(index);
                }
            }
            if content.lead.is_some() {
                content.order = weight * settings.order_excess * order.excess;
            }
            content.bits = content.provenance + content.novelty + content.order;
            content
        }
        Tier::NoArguments if carries => Content { family: Some(Family::CallContent), ..Content::default() },
        Tier::None | Tier::NoArguments => {
            let mut content = Content { family: Some(Family::BareContent), ..Content::default() };
            let mut strongest = 0.0;
            for (index, argument) in call.arguments.iter().enumerate() {
                let novelty = value_bits(own, call, argument) * settings.bare_value_novelty;
                content.novelty += weight * novelty;
                if novelty > strongest {
                    strongest = novelty;
                    content.lead = Some(index);
                }
            }
            let rarity = own.map_or(0.0, |own| {
                -own.sequence.probability(call.agent_type, call.symbol, 1.0 / 4096.0).log2()
            });
            content.novelty += weight * settings.bare_rarity * rarity;
            content.order = weight * settings.bare_order_excess * order.excess;
            content.bits = content.novelty + content.order;
            content
        }
    }
}

/// Bits of one argument's origin in the alphabets that the call's tier allows.
pub fn origin_bits(settings: &ContentSettings, tier: Tier, origin: OriginBits) -> f64 {
    match (settings.fine && tier == Tier::Full, settings.coarse) {
        (true, true) => 0.5 * (origin.fine + origin.coarse),
        (true, false) => origin.fine,
        (false, true) => origin.coarse,
        (false, false) => 0.0,
    }
}

/// Novelty of a destination-like argument's value. Bits; 0 for any other argument.
///
/// # Formula
///
/// −log2 of the Pitman–Yor probability over (argument) ← (action, argument) of the type, base 1e-6.
pub fn value_bits(own: Option<&TypeBaseline>, call: &Call<'_, '_>, argument: &ArgumentKeys) -> f64 {
    let (Some(own), Some(value), true) = (own, argument.value, argument.is_destination) else { return 0.0 };
    let [general, particular] = value_contexts(call, argument);
    let p = own.values.probability(general, value, UNKNOWN_VALUE);
    -own.values.probability(particular, value, p).log2()
}

/// The contexts in which a value is known: its argument, and the argument of this action.
pub fn value_contexts(call: &Call<'_, '_>, argument: &ArgumentKeys) -> [u64; 2] {
    [argument.name, mix(argument.name, call.action)]
}

/// Whether a verb class is one whose calls change something outside.
pub fn is_sensitive(verb: Verb) -> bool {
    matches!(verb, Verb::Egress | Verb::Pay | Verb::Privilege | Verb::Destructive | Verb::Write)
}
