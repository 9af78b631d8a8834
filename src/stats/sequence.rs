//! What came before: the contexts of a sequence, from none to the last few symbols.
//!
//! Knows symbols as 64-bit keys. Must not know what they stand for.

use super::category::{Counted, Table};
use super::decay::{VOTE, Votes, as_votes};
use super::key::mix;
use serde::{Deserialize, Serialize};

/// The longest context: this many symbols back. Seven was the best of 3, 5 and 7 on system-call traces; a context
/// that was never seen costs nothing, since the look-up stops at the first unknown one.
pub const MAX_ORDER: usize = 7;

/// The last few symbols, newest first, and behind them 0, which is no symbol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct History {
    symbols: [u64; MAX_ORDER],
}

/// The contexts of one position, most general first: `contexts[k]` covers the last k symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contexts {
    keys: [u64; MAX_ORDER + 1],
    len: u8,
}

impl History {
    /// One symbol; not 0.
    pub const fn of(symbol: u64) -> Self {
        Self { symbols: [symbol, 0, 0, 0, 0, 0, 0] }
    }

    /// Appends a symbol, not 0; the oldest is forgotten.
    pub fn push(&mut self, symbol: u64) {
        self.symbols.rotate_right(1);
        if let Some(first) = self.symbols.first_mut() {
            *first = symbol;
        }
    }

    /// The last symbol, if there is one.
    pub fn last(&self) -> Option<u64> {
        self.symbols.first().copied().filter(|symbol| *symbol != 0)
    }

    /// The contexts of the next symbol, under `scope` (equal histories in different scopes share nothing).
    pub fn contexts(&self, scope: u64) -> Contexts {
        let mut keys = [scope; MAX_ORDER + 1];
        let mut key = scope;
        let mut len = 1;
        let symbols = self.symbols.into_iter().take_while(|symbol| *symbol != 0);
        for (slot, symbol) in keys.iter_mut().skip(1).zip(symbols) {
            key = mix(key, symbol);
            *slot = key;
            len += 1;
        }
        Contexts { keys, len }
    }
}

impl Contexts {
    /// Context keys, most general first.
    pub fn as_slice(&self) -> &[u64] {
        self.keys.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// A prediction of one symbol.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Prediction {
    /// Probability of the symbol, in (0, 1].
    pub probability: f64,
    /// Surprise that is usual at this point: mean bits of what was seen in this context, smoothed towards the
    /// more general ones. Bits, ≥ 0.
    pub expected_bits: f64,
    /// Number of symbols back that the longest known context reaches.
    pub order: u8,
}

/// Predicts a symbol by backing off from the longest known context to `base`, the probability and usual
/// surprise of a symbol of which nothing is known.
///
/// The loop runs from the general to the particular and stops at the first unknown context: every longer one
/// is unknown too, or has not been met for so long that the shorter one was forgotten. Cost: one or two
/// look-ups an order, those of all orders at the same time.
///
/// # Formula
///
/// The recursion of [`Table::probability`] over orders 0…k: interpolated Kneser–Ney as a hierarchical
/// Pitman–Yor process (Teh 2006). The usual surprise of a context is the mean of the bits its votes cost when
/// they were judged (a prequential entropy: Dawid, *J. R. Statist. Soc. A* 147, 1984), smoothed by one vote.
pub fn predict(table: &Table, contexts: &Contexts, symbol: u64, base: Prediction) -> Prediction {
    let mut at = base;
    let mut order = 0;
    table.look_along(contexts.as_slice(), symbol, |total, votes| {
        if total.votes == 0 {
            return false;
        }
        at.probability = table.probability_given(total, votes, at.probability);
        at.expected_bits = (as_votes(total.surprise) + at.expected_bits) / (as_votes(total.judged) + 1.0);
        at.order = order;
        order += 1;
        true
    });
    at
}

/// Learns one observation: its longest context gets its votes, and each shorter one gets one vote the first time
/// since the last fade that the symbol follows the next longer one. Every context of it notes what it cost.
///
/// * `contexts`: most general first, as of [`Contexts::as_slice`];
/// * `votes`: 1/256 vote; nothing is learned from 0;
/// * `surprise`: votes × bits it cost when it was judged; 1/256 bit.
///
/// Returns true when the symbol was new even in the most general context.
///
/// Counting a symbol in a shorter context once per *longer context* it was seen in, not once per occurrence, is
/// what makes the short contexts good priors (Kneser & Ney, ICASSP 1995; Teh 2006, §4). It is once per longer
/// context *and fade*, because the votes of the shorter one fade too: told only once, the short contexts of an
/// agent that never changes would be forgotten while its long ones are still in use.
///
/// Between two fades the order of learning does not matter. That is why the cost is noted in every context, not
/// only in those that got a vote: which observation brings the vote depends on the order.
pub fn learn(table: &mut Table, contexts: &[u64], symbol: u64, votes: Votes, surprise: Votes) -> bool {
    table.fetch(contexts, symbol);
    let mut new = true;
    let mut cast = Some(votes);
    for &context in contexts.iter().rev() {
        cast = match cast.map(|votes| table.count(context, symbol, votes)) {
            Some(Counted::Refused) => return false,
            Some(Counted::New) => Some(VOTE),
            Some(Counted::Again) => {
                new = false;
                Some(VOTE)
            }
            Some(Counted::Known) | None => {
                new = false;
                None
            }
        };
        table.cost(context, votes, surprise);
    }
    new
}

#[cfg(test)]
mod tests;
