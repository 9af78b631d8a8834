//! The evidence about one call, added inside that call.
//!
//! Knows the bits of each detector about one call. Must not know other calls.
//!
//! Combining the session's peak of each detector instead loses up to thirty points of detection: those peaks
//! come from different innocent calls.

use serde::Deserialize;
use smallvec::SmallVec;

use crate::baseline::pool::{Baselines, TypeBaseline};
use crate::detect::lexicon::Verb;
use crate::detect::provenance::{OriginBits, Symbol};
use crate::detect::sequence::OrderBits;
use crate::detect::{ArgumentKeys, Call, Tier, provenance};
use crate::finding::Family;
use crate::identity::Key;
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
            verb_weights: [0.6, 0.8, 0.8, 1.0, 1.0, 1.0, 1.0],
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
/// suspicious origin; without: c = w·(.6·largest novelty + .3·excess). w by verb class.
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
            let mut judged: SmallVec<[(Key, f64, f64); 6]> = SmallVec::new();
            for (index, argument) in call.arguments.iter().enumerate() {
                let origin = provenance::judge(baselines, own, call, argument);
                let bits = origin_bits(settings, call.tier, argument, origin);
                if bits <= 0.0 {
                    continue;
                }
                let novelty = value_bits(own, call, argument) * settings.value_novelty;
                let said = judged.iter_mut().find(|(name, _, _)| *name == argument.name);
                match said {
                    // The elements of a list are one argument: the one that says most counts.
                    Some(slot) if slot.1 + slot.2 < bits + novelty => (slot.1, slot.2) = (bits, novelty),
                    Some(_) => {}
                    None => judged.push((argument.name, bits, novelty)),
                }
                if bits + novelty > strongest {
                    strongest = bits + novelty;
                    content.lead = Some(index);
                }
            }
            for (_, bits, novelty) in judged {
                content.provenance += weight * bits;
                content.novelty += weight * novelty;
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
                if novelty > strongest {
                    strongest = novelty;
                    content.novelty = weight * novelty;
                    content.lead = Some(index);
                }
            }
            content.order = weight * settings.bare_order_excess * order.excess;
            content.bits = content.novelty + content.order;
            content
        }
    }
}

/// Bits of one argument's origin in the alphabets that the call's tier allows. Where form and anchoring are known
/// only unanchored free text counts: a field, or text that the request has to do with, is how agents work.
fn origin_bits(settings: &ContentSettings, tier: Tier, argument: &ArgumentKeys, origin: OriginBits) -> f64 {
    let knows_form = tier == Tier::Full && settings.fine;
    if knows_form && argument.symbol != Some(Symbol::Text) {
        return 0.0;
    }
    match (knows_form, settings.coarse) {
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
