//! `provenance`: where the values in a call came from.
//!
//! Knows origins of arguments. Must not know sequences, resources or units.
//!
//! A hijacked agent does what a text told it to do: the value that makes the call dangerous was lifted out of
//! free text in a tool result and nothing in the user's request names it. How unusual that is depends on the
//! argument: bodies of e-mails are made of what was read, recipients are not.

use crate::baseline::learning::{Lesson, OriginSymbols, coarse};
use crate::baseline::pool::{Baselines, TypeBaseline};
use crate::event::{Argument, Origin, OriginForm};
use crate::identity::Key;
use crate::stats::key::mix;

use super::lexicon::Verb;
use super::{ArgumentKeys, Call};

/// Where a value came from, how it stood there, and whether the request has anything to do with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Symbol {
    /// Named in the user's request.
    User = 0,
    /// A field of a tool result, not known to be anchored.
    Field = 1,
    /// Free text of a tool result, anchored in the request.
    AnchoredText = 2,
    /// Free text of a tool result, not anchored: the suspicious one.
    Text = 3,
    /// Made by the model.
    Model = 4,
    /// Made by the model, anchored in the request.
    AnchoredModel = 5,
    /// A field of a tool result, anchored in the request.
    AnchoredField = 6,
}

impl Symbol {
    /// The symbol of an argument; none when its origin, form or anchoring is missing.
    pub fn of(argument: &Argument<'_>) -> Option<Self> {
        Some(match (argument.origin?, argument.origin_form, argument.anchored) {
            (Origin::User, _, _) => Self::User,
            (Origin::Tool, Some(OriginForm::Field), Some(true)) => Self::AnchoredField,
            (Origin::Tool, Some(OriginForm::Field), _) => Self::Field,
            (Origin::Tool, Some(OriginForm::FreeText), Some(true)) => Self::AnchoredText,
            (Origin::Tool, Some(OriginForm::FreeText), Some(false)) => Self::Text,
            (Origin::Model, _, Some(true)) => Self::AnchoredModel,
            (Origin::Model, _, Some(false)) => Self::Model,
            _ => return None,
        })
    }
}

/// Who named a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Party {
    /// The user.
    User = 0,
    /// A tool's result.
    Tool = 1,
    /// The model.
    Model = 2,
}

impl Party {
    /// The party of an origin.
    pub fn of(origin: Origin) -> Self {
        match origin {
            Origin::User => Self::User,
            Origin::Tool => Self::Tool,
            Origin::Model => Self::Model,
        }
    }
}

/// The two alphabets in which origins are judged. The coarse one cannot be evaded by making an injected value
/// look like a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Alphabet {
    /// [`Symbol`]: seven symbols.
    Fine = 7,
    /// [`Party`]: three symbols.
    Coarse = 3,
}

/// The surprise of one argument's origin.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct OriginBits {
    /// Bits of [`Symbol::Text`], 0 for every other symbol.
    pub fine: f64,
    /// Bits of [`Party::Tool`], 0 for every other party.
    pub coarse: f64,
    /// Bits of [`Symbol::Text`] and [`Symbol::Field`] together, 0 for every other symbol: a tool named the value and
    /// nothing in the request did, in whatever form it stood there.
    pub unanchored: f64,
}

/// How unusual the origin of one argument is for its action and type.
pub fn judge(
    baselines: &Baselines,
    own: Option<&TypeBaseline>,
    call: &Call<'_, '_>,
    argument: &ArgumentKeys,
) -> OriginBits {
    let p = |alphabet, symbol: u64| probability(baselines, own, call, argument.name, alphabet, symbol);
    let fine = |symbol: Symbol| p(Alphabet::Fine, symbol as u64);
    let mut bits = OriginBits::default();
    if argument.party == Some(Party::Tool) {
        bits.coarse = -p(Alphabet::Coarse, Party::Tool as u64).log2();
    }
    if let Some(symbol @ (Symbol::Text | Symbol::Field)) = argument.symbol {
        let text = fine(Symbol::Text);
        // Rounding may take a sum of probabilities beyond 1.
        bits.unanchored = -(text + fine(Symbol::Field)).min(1.0).log2();
        if symbol == Symbol::Text {
            bits.fine = -text.log2();
        }
    }
    bits
}

/// Probability of an origin for an argument of an action, in (0, 1).
///
/// # Formula
///
/// Hierarchical Pitman–Yor over () ← verb class ← argument ← (action, argument) ← (type, action, argument),
/// base uniform; all but the last level are shared by all types, so that a type never seen before is judged
/// too. Source: Teh, ACL 2006, eq. 4, with the contexts of this task in place of word histories.
pub fn probability(
    baselines: &Baselines,
    own: Option<&TypeBaseline>,
    call: &Call<'_, '_>,
    argument: Key,
    alphabet: Alphabet,
    symbol: u64,
) -> f64 {
    let (general, particular) = contexts(call.agent_type, call.action, call.verb, argument);
    let within = |context| match alphabet {
        Alphabet::Fine => context,
        Alphabet::Coarse => coarse(context),
    };
    let fleet = &baselines.fleet.origins;
    let mut p = 1.0 / f64::from(alphabet as u8);
    for context in general {
        p = fleet.probability(within(context), symbol, p);
    }
    own.map_or(p, |own| own.origins.probability(within(particular), symbol, p))
}

/// What there is to learn from one argument's origin, in both alphabets: one lesson, because the finer symbol says
/// the coarser one. At most one.
pub fn lessons(call: &Call<'_, '_>, argument: &ArgumentKeys) -> impl Iterator<Item = (Lesson, u64)> {
    let lesson = || {
        let (general, particular) = contexts(call.agent_type, call.action, call.verb, argument.name);
        Lesson::Origin(general, particular)
    };
    let symbol = |party| OriginSymbols { fine: argument.symbol.map(|s| s as u8), coarse: party as u8 };
    argument.party.map(|party| (lesson(), symbol(party).key())).into_iter()
}

/// The contexts of an origin in the fine alphabet, most general first: those of the fleet, and that of the type.
fn contexts(agent_type: Key, action: Key, verb: Verb, argument: Key) -> ([u64; 4], u64) {
    let root = 0x0419_1415;
    let call = mix(mix(root, action), argument);
    ([root, mix(root, verb as u64), mix(mix(root, 0xA6), argument), call], mix(call, agent_type))
}

#[cfg(test)]
mod tests {
    use smallvec::SmallVec;

    use super::*;
    use crate::detect::Tier;
    use crate::event::AuditEvent;
    use crate::stats::decay::VOTE;

    const ACTION: Key = 5;

    fn argument(symbol: Symbol) -> ArgumentKeys {
        let party = match symbol {
            Symbol::User => Party::User,
            Symbol::Model | Symbol::AnchoredModel => Party::Model,
            Symbol::Field | Symbol::AnchoredField | Symbol::AnchoredText | Symbol::Text => Party::Tool,
        };
        ArgumentKeys { name: 7, is_destination: true, value: None, symbol: Some(symbol), party: Some(party) }
    }

    /// Judges a symbol where the user named most values and tools some that were anchored.
    fn judged(symbol: Symbol) -> OriginBits {
        let event = r#"{"time":"2026-01-05T08:00:00Z","agent_id":"a","action":"send"}"#;
        let event: AuditEvent<'_> = serde_json::from_str(event).unwrap();
        let call = Call {
            event: &event,
            agent_type: 1,
            action: ACTION,
            symbol: ACTION,
            verb: Verb::Egress,
            resource: None,
            arguments: SmallVec::new(),
            tier: Tier::Full,
        };
        let mut baselines = Baselines::default();
        let mut own = TypeBaseline::new("type");
        for (known, votes) in [(Symbol::User, 40), (Symbol::AnchoredField, 10)] {
            let (general, particular) = contexts(1, ACTION, Verb::Egress, 7);
            let party = Party::of(if known == Symbol::User { Origin::User } else { Origin::Tool });
            own.origins.add(particular, known as u64, votes * VOTE, 0);
            own.origins.add(coarse(particular), party as u64, votes * VOTE, 0);
            for context in general {
                baselines.fleet.origins.add(context, known as u64, VOTE, 0);
                baselines.fleet.origins.add(coarse(context), party as u64, VOTE, 0);
            }
        }
        judge(&baselines, Some(&own), &call, &argument(symbol))
    }

    #[test]
    fn an_injected_value_in_a_field_of_its_own_is_as_unusual_as_in_free_text() {
        let (text, field) = (judged(Symbol::Text), judged(Symbol::Field));
        assert_eq!(text.unanchored, field.unanchored);
        assert!(field.unanchored > field.coarse + 1.0, "{field:?}");
        assert!(text.fine > text.unanchored && field.fine == 0.0, "{text:?} {field:?}");
    }

    #[test]
    fn a_value_that_the_request_anchors_is_only_a_value_from_a_tool() {
        for symbol in [Symbol::AnchoredField, Symbol::AnchoredText] {
            let bits = judged(symbol);
            assert!(bits.unanchored == 0.0 && bits.fine == 0.0 && bits.coarse > 0.0, "{bits:?}");
        }
        assert_eq!(judged(Symbol::User), OriginBits::default());
        assert_eq!(judged(Symbol::Model), OriginBits::default());
    }
}
