//! The evidence about one call, added inside that call.
//!
//! Knows the bits of each detector about one call. Must not know other calls.
//!
//! Combining the session's peak of each detector instead loses up to thirty points of detection: those peaks
//! come from different innocent calls.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::baseline::pool::{Baselines, TypeBaseline};
use crate::detect::lexicon::Verb;
use crate::detect::sequence::OrderBits;
use crate::detect::{ArgumentKeys, Call, Tier, provenance};
use crate::finding::Family;
use crate::identity::Key;
use crate::stats::key::mix;

/// Probability of a value of which nothing is known.
const UNKNOWN_VALUE: f64 = 1e-6;

/// An unusual order says at most this much about a call: no type's history supports more, and back-off multiplies
/// what is new at every length. Bits.
const EXCESS_BITS: f64 = 8.0;

/// What is new to an agent says something about a call from here on: a new task brings new keys of its own. Bits.
const EVERYDAY_KEY_BITS: f64 = 10.0;

/// What the call score is made of. The defaults were chosen on the training models named in
/// `scripts/evaluate.py` alone; the switches exist to show what each part earns.
#[derive(Clone, Debug, PartialEq)]
pub struct ContentSettings {
    /// Judge seven symbols: origin with form and anchoring.
    pub fine: bool,
    /// Judge three symbols: origin alone.
    pub coarse: bool,
    /// Weight of the novelty of destination values beside suspicious origins.
    pub value_novelty: f64,
    /// Weight of the excess of the action sequence beside suspicious origins.
    pub order_excess: f64,
    /// Weight of what is new to the agent (action, resource, destination) beside suspicious origins, and where no origin
    /// is known.
    pub key_novelty: f64,
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
            key_novelty: 0.15,
            bare_value_novelty: 0.6,
            bare_order_excess: 0.3,
            verb_weights: [0.6, 0.8, 0.8, 1.0, 1.0, 1.0, 1.0],
        }
    }
}

/// Evidence about one call, of one family. Bits.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Content {
    /// The family it belongs to.
    pub family: Family,
    /// The sum.
    pub bits: f64,
    /// Part of `provenance`: origins of arguments.
    pub provenance: f64,
    /// Part of `access`: values that are new or rare.
    pub novelty: f64,
    /// Part of `access`: an action, a resource and destinations that are new to the agent.
    pub keys: f64,
    /// Part of `sequence`: an action out of order.
    pub order: f64,
    /// Index of the argument that says most.
    pub lead: Option<usize>,
}

impl Content {
    /// A call that says nothing.
    pub fn nothing(family: Family) -> Self {
        Self { family, bits: 0.0, provenance: 0.0, novelty: 0.0, keys: 0.0, order: 0.0, lead: None }
    }
}

/// The evidence about one call: at most two families have any.
pub type Contents = [Option<Content>; 2];

/// Adds up what the detectors say about one call, per family.
///
/// # Formula
///
/// c = w·(Σ (o + .3·novelty) + .3·excess + .15·keys⁺), the sum over the arguments that count (once a name), excess and
/// keys only where one does; w by verb class. `call_content`: arguments lifted out of free text and not anchored, with
/// o = ½(fine + coarse). `tool_values`: all arguments named by a tool, with o = unanchored (0 for what is anchored), or
/// o = coarse where form and anchoring are not known; it cannot be evaded by making an injected value look like a
/// field. `bare_content`, where no origin is known: c = w·(.6·largest novelty
/// + .3·excess + .15·keys⁺). Weights as in [`ContentSettings`].
///
/// * `keys`: surprise of the action, the resource and the destinations for the agent, as of [`crate::detect::access`]
///   (bits); keys⁺ is what they have beyond ten bits.
pub fn judge(
    settings: &ContentSettings,
    baselines: &Baselines,
    own: Option<&TypeBaseline>,
    call: &Call<'_, '_>,
    order: &OrderBits,
    keys: f64,
) -> Contents {
    let keys = settings.key_novelty * (keys - EVERYDAY_KEY_BITS).max(0.0);
    let weight = settings.verb_weights.get(call.verb as usize).copied().unwrap_or(0.6);
    match call.tier {
        Tier::Full | Tier::Origin => {
            let knows_form = settings.fine && call.tier == Tier::Full;
            let mut lifted = Sum::new(Family::CallContent);
            let mut named = Sum::new(Family::ToolValues);
            for (index, argument) in call.arguments.iter().enumerate() {
                let origin = provenance::judge(baselines, own, call, argument);
                if origin.coarse <= 0.0 {
                    continue;
                }
                let novelty = settings.value_novelty * value_bits(own, call, argument);
                if knows_form && origin.fine > 0.0 {
                    let bits =
                        if settings.coarse { 0.5 * (origin.fine + origin.coarse) } else { origin.fine };
                    lifted.add(index, argument.name, bits, novelty);
                }
                if settings.coarse {
                    let bits = if knows_form { origin.unanchored } else { origin.coarse };
                    named.add(index, argument.name, bits, novelty);
                }
            }
            let beside = (settings.order_excess * order.excess.min(EXCESS_BITS), keys);
            let lifted = knows_form.then(|| lifted.content(weight, beside));
            [lifted, settings.coarse.then(|| named.content(weight, beside))]
        }
        Tier::NoArguments => {
            let carries = own.is_some_and(TypeBaseline::carries_provenance);
            [(!carries).then(|| Content::nothing(Family::BareContent)), None]
        }
        Tier::None => {
            let mut content = Content::nothing(Family::BareContent);
            for (index, argument) in call.arguments.iter().enumerate() {
                let novelty = weight * settings.bare_value_novelty * value_bits(own, call, argument);
                if novelty > content.novelty {
                    content.novelty = novelty;
                    content.lead = Some(index);
                }
            }
            content.order = weight * settings.bare_order_excess * order.excess.min(EXCESS_BITS);
            content.keys = weight * keys;
            content.bits = content.novelty + content.order + content.keys;
            [Some(content), None]
        }
    }
}

/// A sum over arguments. The elements of a list are one argument: the one that says most counts.
struct Sum {
    family: Family,
    judged: SmallVec<[(Key, f64, f64); 6]>,
    lead: Option<(usize, f64)>,
}

impl Sum {
    fn new(family: Family) -> Self {
        Self { family, judged: SmallVec::new(), lead: None }
    }

    fn add(&mut self, index: usize, name: Key, bits: f64, novelty: f64) {
        match self.judged.iter_mut().find(|(n, _, _)| *n == name) {
            Some(slot) if slot.1 + slot.2 < bits + novelty => (slot.1, slot.2) = (bits, novelty),
            Some(_) => {}
            None => self.judged.push((name, bits, novelty)),
        }
        if self.lead.is_none_or(|(_, most)| bits + novelty > most) {
            self.lead = Some((index, bits + novelty));
        }
    }

    /// * `excess`, `keys`: what else the call says, where an argument counts.
    fn content(self, weight: f64, (excess, keys): (f64, f64)) -> Content {
        let mut content = Content::nothing(self.family);
        for (_, bits, novelty) in self.judged {
            content.provenance += weight * bits;
            content.novelty += weight * novelty;
        }
        content.lead = self.lead.map(|(index, _)| index);
        if content.lead.is_some() {
            (content.order, content.keys) = (weight * excess, weight * keys);
        }
        content.bits = content.provenance + content.novelty + content.order + content.keys;
        content
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

#[cfg(test)]
mod tests;
