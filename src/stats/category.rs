//! How likely is this key in this context? Pitman–Yor predictive probabilities over hashed contexts.
//!
//! Knows contexts and symbols as 64-bit keys. Must not know what they stand for.
//!
//! A *table* holds many contexts. Contexts form chains, from the most general to the most particular, and the
//! probability under one is smoothed towards the probability under the next more general one.

use super::decay::{Fade, VOTE, Votes, as_votes};
use super::flat::{Flat, Slot};
use super::key::mix;
use serde::{Deserialize, Serialize};

/// The two parameters of a Pitman–Yor process.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct PitmanYor {
    /// Taken off each known symbol and given to the more general context. Votes, in [0, 1).
    pub discount: f64,
    /// Weight of the more general context. Votes, > 0.
    pub strength: f64,
}

/// What is known of one context.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Total {
    /// Sum of the votes of its symbols.
    pub votes: Votes,
    /// Σ over its symbols of min(votes, discount): the mass given to the more general context.
    pub discounted: Votes,
    /// Σ over the observations made in it of votes × bits they cost when they were judged. 1/256 bit.
    pub surprise: Votes,
    /// Sum of the votes of these observations: `surprise / judged` is their mean. It differs from `votes` where
    /// votes were passed on from longer contexts (see [`super::sequence::learn`]).
    pub judged: Votes,
}

/// What a vote met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Counted {
    /// The symbol was not known in the context.
    New,
    /// The symbol was known, but this is its first vote since the last fade.
    Again,
    /// The symbol had a vote since the last fade.
    Known,
    /// Nothing was counted: the table is full, or the vote was empty.
    Refused,
}

/// Symbols that lie beside the total of their context; the others have cells of their own. Most contexts of a
/// long history know one symbol or two.
const NEAR: usize = 2;

/// Contexts from the most general one on that are likely to know more symbols than lie beside their totals.
const MANY_SYMBOLS: usize = 4;

/// A context: its total and its first symbols in one line of the processor's cache (64 bytes).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[repr(align(64))]
struct Context {
    key: u64,
    votes: Votes,
    surprise: Votes,
    judged: Votes,
    symbols: [u64; NEAR],
    /// Votes of these symbols; 0 where there is none.
    near: [u32; NEAR],
    /// Less than one vote a symbol, and at most [`LARGEST`] of these.
    discounted: u32,
    /// Whether the near symbols were given a vote since the last fade.
    fresh: [bool; NEAR],
    /// Whether it has symbols that lie elsewhere.
    has_far: bool,
    /// Whether it is one at all.
    is_known: bool,
}

impl Slot for Context {
    fn is_empty(&self) -> bool {
        !self.is_known
    }

    fn home(&self) -> u64 {
        self.key
    }
}

impl Context {
    fn total(&self) -> Total {
        let discounted = Votes::from(self.discounted);
        Total { votes: self.votes, discounted, surprise: self.surprise, judged: self.judged }
    }

    /// Votes of a symbol that lies here; 0 where it does not.
    fn near(&self, symbol: u64) -> u32 {
        let symbols = self.symbols.iter().zip(self.near);
        symbols.filter(|(known, _)| **known == symbol).map(|(_, votes)| votes).sum()
    }

    /// Votes and freshness of a symbol that lies here.
    fn near_mut(&mut self, symbol: u64) -> Option<(&mut u32, &mut bool)> {
        let cells = self.near.iter_mut().zip(&mut self.fresh);
        let known =
            self.symbols.iter().zip(cells).find(|(known, (votes, _))| **known == symbol && **votes > 0);
        known.map(|(_, cell)| cell)
    }

    /// Notes that the votes of one symbol changed.
    fn changed(&mut self, before: u32, after: u32, discount: u32) {
        self.votes += Votes::from(after - before);
        self.discounted += after.min(discount) - before.min(discount);
    }
}

/// A symbol of a context that has more than lie beside its total.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Far {
    context: u64,
    symbol: u64,
    votes: u32,
    fresh: bool,
}

impl Slot for Far {
    fn is_empty(&self) -> bool {
        self.votes == 0
    }

    fn home(&self) -> u64 {
        mix(self.context, self.symbol)
    }
}

/// A cell with less is forgotten: an eighth of a vote.
const LEAST: u32 = VOTE as u32 / 8;

/// No table holds more cells, so that sums of discounts fit.
const LARGEST: usize = 1 << 23;

/// A table of contexts and their symbols. Bounded: at `capacity` cells it takes no new ones.
///
/// # Contract
///
/// * Sums are exact: adding the same votes in any order between two fades gives an equal table, as long as it
///   is not full.
/// * Contexts without cells are let go by [`Table::fade`], so that there are never more contexts than cells.
/// * A table never forgets but by [`Table::fade`]; it never replaces a cell, so that a flood of new keys
///   cannot push out what was learned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    law: PitmanYor,
    /// The discount in fixed point: what is taken off a symbol is exactly what `Total::discounted` adds up.
    discount: u32,
    capacity: usize,
    /// Cells in use.
    len: usize,
    contexts: Flat<Context>,
    far: Flat<Far>,
}

impl Table {
    /// An empty table that will hold at most `capacity` cells (8.4 million at most). 64 bytes a context, for its first
    /// two cells; 24 for each further one.
    pub fn new(law: PitmanYor, capacity: usize) -> Self {
        Self {
            law,
            discount: (law.discount * VOTE as f64).round() as u32,
            capacity: capacity.min(LARGEST),
            len: 0,
            contexts: Flat::default(),
            far: Flat::default(),
        }
    }

    /// Number of (context, symbol) pairs known.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The parameters.
    pub fn law(&self) -> PitmanYor {
        self.law
    }

    /// What is known of a context; all zero for an unknown one. Constant time.
    #[inline]
    pub fn total(&self, context: u64) -> Total {
        self.context(context).map(Context::total).unwrap_or_default()
    }

    /// Votes of a symbol in a context. Constant time.
    #[inline]
    pub fn votes(&self, context: u64, symbol: u64) -> Votes {
        self.look(context, symbol).1
    }

    /// What is known of a context, and votes of a symbol in it. Constant time.
    #[inline]
    pub fn look(&self, context: u64, symbol: u64) -> (Total, Votes) {
        let Some(known) = self.context(context) else { return Default::default() };
        let near = known.near(symbol);
        let votes = if near == 0 && known.has_far {
            let is = |far: &Far| far.context == context && far.symbol == symbol;
            self.far.find(mix(context, symbol), is).map_or(0, |far| far.votes)
        } else {
            near
        };
        (known.total(), Votes::from(votes))
    }

    /// [`Table::look`] in one context after the other, most general first, until `go_on` wants no more of them.
    ///
    /// All are fetched from memory before the first is looked at: that takes as long as fetching one.
    #[inline]
    pub fn look_along(&self, contexts: &[u64], symbol: u64, mut go_on: impl FnMut(Total, Votes) -> bool) {
        self.fetch(contexts, symbol);
        for &context in contexts {
            let (total, votes) = self.look(context, symbol);
            if !go_on(total, votes) {
                break;
            }
        }
    }

    /// Brings what is known of some contexts near the processor, most general first.
    #[inline]
    pub(super) fn fetch(&self, contexts: &[u64], symbol: u64) {
        self.contexts.fetch(contexts.iter().copied());
        self.far.fetch(contexts.iter().take(MANY_SYMBOLS).map(|&context| mix(context, symbol)));
    }

    #[inline]
    fn context(&self, key: u64) -> Option<&Context> {
        self.contexts.find(key, |context| context.key == key)
    }

    /// Probability of `symbol` in `context`, in (0, 1], given its probability `general` in the next more
    /// general context. An unknown context returns `general` itself. Constant time.
    ///
    /// # Formula
    ///
    /// P = (max(c − d, 0) + (θ + D) · general) / (n + θ), D = Σ min(c, d). With whole counts D is d times the
    /// number of symbols; in this form it stays normalised when counts have faded to fractions.
    /// Source: Teh, *A Hierarchical Bayesian Language Model based on Pitman–Yor Processes*, ACL 2006, eq. 4.
    #[inline]
    pub fn probability(&self, context: u64, symbol: u64, general: f64) -> f64 {
        let (total, votes) = self.look(context, symbol);
        if total.votes == 0 {
            return general;
        }
        self.probability_given(total, votes, general)
    }

    /// [`Table::probability`] with the context's total and the symbol's votes already looked up.
    #[inline]
    pub fn probability_given(&self, total: Total, votes: Votes, general: f64) -> f64 {
        let strength = self.law.strength;
        let own = as_votes(votes.saturating_sub(Votes::from(self.discount)));
        (own + (strength + as_votes(total.discounted)) * general) / (as_votes(total.votes) + strength)
    }

    /// Adds votes for a symbol in a context; `surprise` (1/256 bit) is votes × bits the observation cost when it
    /// was judged. Returns whether the symbol was new there. A full table refuses new pairs and returns false.
    pub fn add(&mut self, context: u64, symbol: u64, votes: Votes, surprise: Votes) -> bool {
        let counted = self.count(context, symbol, votes);
        if counted != Counted::Refused {
            self.cost(context, votes, surprise);
        }
        counted == Counted::New
    }

    /// Adds votes without what they cost.
    pub(super) fn count(&mut self, context: u64, symbol: u64, votes: Votes) -> Counted {
        if votes == 0 {
            return Counted::Refused;
        }
        let Some(known) = self.contexts.find_mut(context, |known| known.key == context) else {
            if self.len >= self.capacity {
                return Counted::Refused;
            }
            let (symbols, near, fresh) = ([symbol, 0], [as_cell(votes), 0], [true, false]);
            let mut new =
                Context { key: context, symbols, near, fresh, is_known: true, ..Context::default() };
            new.changed(0, as_cell(votes), self.discount);
            self.contexts.insert(new);
            self.len += 1;
            return Counted::New;
        };
        let has_far = known.has_far;
        let cell = known.near_mut(symbol).or_else(|| {
            let is = |far: &Far| far.context == context && far.symbol == symbol;
            let far = if has_far { self.far.find_mut(mix(context, symbol), is) } else { None };
            far.map(|far| (&mut far.votes, &mut far.fresh))
        });
        if let Some((cell, fresh)) = cell {
            let before = *cell;
            *cell = as_cell(Votes::from(before).saturating_add(votes));
            let after = *cell;
            let counted = if std::mem::replace(fresh, true) { Counted::Known } else { Counted::Again };
            known.changed(before, after, self.discount);
            return counted;
        }
        if self.len >= self.capacity {
            return Counted::Refused;
        }
        self.len += 1;
        let votes = as_cell(votes);
        known.changed(0, votes, self.discount);
        let cells = known.symbols.iter_mut().zip(&mut known.near).zip(&mut known.fresh);
        match cells.into_iter().find(|((_, near), _)| **near == 0) {
            Some(((place, near), fresh)) => (*place, *near, *fresh) = (symbol, votes, true),
            None => {
                known.has_far = true;
                self.far.insert(Far { context, symbol, votes, fresh: true });
            }
        }
        Counted::New
    }

    /// Adds what an observation in a known context cost: `surprise` (1/256 bit) is votes × bits.
    pub(super) fn cost(&mut self, context: u64, votes: Votes, surprise: Votes) {
        if let Some(known) = self.contexts.find_mut(context, |known| known.key == context) {
            known.surprise = known.surprise.saturating_add(surprise);
            known.judged = known.judged.saturating_add(votes);
        }
    }

    /// Lets everything fade; a pair with less than an eighth of a vote left is forgotten, and so is a context
    /// whose last pair is. Linear in the size.
    pub fn fade(&mut self, fade: Fade) {
        if fade.is_nothing() {
            return;
        }
        let (discount, contexts, len) = (self.discount, &mut self.contexts, &mut self.len);
        let left = |votes: u32| Some(as_cell(fade.apply(Votes::from(votes)))).filter(|&left| left >= LEAST);
        for context in contexts.iter_mut() {
            (context.votes, context.discounted, context.has_far) = (0, 0, false);
            (context.surprise, context.judged) = (fade.apply(context.surprise), fade.apply(context.judged));
            context.fresh = [false; NEAR];
            for votes in context.near.map(left) {
                context.changed(0, votes.unwrap_or(0), discount);
            }
            for votes in context.near.iter_mut().filter(|votes| **votes > 0) {
                *votes = left(*votes).unwrap_or(0);
                *len -= usize::from(*votes == 0);
            }
        }
        self.far.retain(|far| {
            let votes = left(far.votes);
            let context = contexts.find_mut(far.context, |known| known.key == far.context);
            if let (Some(votes), Some(context)) = (votes, context) {
                (far.votes, far.fresh, context.has_far) = (votes, false, true);
                context.changed(0, votes, discount);
            }
            *len -= usize::from(votes.is_none());
            votes.is_some()
        });
        contexts.retain(|context| context.votes > 0);
    }
}

/// Votes as a cell holds them: at most 16.7 million.
fn as_cell(votes: Votes) -> u32 {
    u32::try_from(votes).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(super) mod tests;
