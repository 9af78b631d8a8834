//! How likely is this key in this context? Pitman–Yor predictive probabilities over hashed contexts.
//!
//! Knows contexts and symbols as 64-bit keys. Must not know what they stand for.
//!
//! A *table* holds many contexts. Contexts form chains, from the most general to the most particular, and the
//! probability under one is smoothed towards the probability under the next more general one.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::decay::{Fade, VOTE, Votes, as_votes};

/// The two parameters of a Pitman–Yor process.
#[derive(Clone, Copy, PartialEq, Debug)]
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

#[derive(Clone, Copy, Debug)]
struct Cell {
    context: u64,
    votes: u32,
    /// Whether it was given a vote since the last fade.
    fresh: bool,
}

/// A table of contexts and their symbols. Bounded: at `capacity` cells it takes no new ones.
///
/// # Contract
///
/// * Sums are exact: adding the same votes in any order between two fades gives an equal table, as long as it
///   is not full.
/// * Contexts without cells are let go by [`Table::fade`], so that there are never more contexts than cells.
/// * A table never forgets but by [`Table::fade`]; it never replaces a cell, so that a flood of new keys
///   cannot push out what was learned.
#[derive(Clone, Debug)]
pub struct Table {
    law: PitmanYor,
    /// The discount in fixed point: what is taken off a symbol is exactly what `Total::discounted` adds up.
    discount: Votes,
    capacity: usize,
    totals: HashMap<u64, Total, RandomState>,
    cells: HashMap<u64, Cell, RandomState>,
}

impl Table {
    /// An empty table that will hold at most `capacity` cells (24 bytes each, and 40 a context).
    pub fn new(law: PitmanYor, capacity: usize) -> Self {
        Self {
            law,
            discount: (law.discount * VOTE as f64).round() as Votes,
            capacity,
            totals: HashMap::default(),
            cells: HashMap::default(),
        }
    }

    /// Number of (context, symbol) pairs known.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The parameters.
    pub fn law(&self) -> PitmanYor {
        self.law
    }

    /// What is known of a context; all zero for an unknown one. Constant time.
    #[inline]
    pub fn total(&self, context: u64) -> Total {
        self.totals.get(&context).copied().unwrap_or_default()
    }

    /// Votes of a symbol in a context. Constant time.
    #[inline]
    pub fn votes(&self, context: u64, symbol: u64) -> Votes {
        self.cells.get(&cell_key(context, symbol)).map_or(0, |c| Votes::from(c.votes))
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
        let total = self.total(context);
        if total.votes == 0 {
            return general;
        }
        self.probability_given(total, self.votes(context, symbol), general)
    }

    /// [`Table::probability`] with the context's total and the symbol's votes already looked up.
    #[inline]
    pub fn probability_given(&self, total: Total, votes: Votes, general: f64) -> f64 {
        let strength = self.law.strength;
        let own = as_votes(votes.saturating_sub(self.discount));
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
        let key = cell_key(context, symbol);
        if let Some(cell) = self.cells.get_mut(&key) {
            let before = Votes::from(cell.votes);
            cell.votes = as_cell(before.saturating_add(votes));
            let after = Votes::from(cell.votes);
            if let Some(total) = self.totals.get_mut(&cell.context) {
                total.votes += after - before;
                total.discounted += after.min(self.discount) - before.min(self.discount);
            }
            return if std::mem::replace(&mut cell.fresh, true) { Counted::Known } else { Counted::Again };
        }
        if self.cells.len() >= self.capacity {
            return Counted::Refused;
        }
        let votes = as_cell(votes);
        let total = self.totals.entry(context).or_default();
        total.votes += Votes::from(votes);
        total.discounted += Votes::from(votes).min(self.discount);
        self.cells.insert(key, Cell { context, votes, fresh: true });
        Counted::New
    }

    /// Adds what an observation in a known context cost: `surprise` (1/256 bit) is votes × bits.
    pub(super) fn cost(&mut self, context: u64, votes: Votes, surprise: Votes) {
        if let Some(total) = self.totals.get_mut(&context) {
            total.surprise = total.surprise.saturating_add(surprise);
            total.judged = total.judged.saturating_add(votes);
        }
    }

    /// Lets everything fade; a pair with less than an eighth of a vote left is forgotten, and so is a context
    /// whose last pair is. Linear in the size.
    pub fn fade(&mut self, fade: Fade) {
        if fade.is_nothing() {
            return;
        }
        for total in self.totals.values_mut() {
            let (surprise, judged) = (fade.apply(total.surprise), fade.apply(total.judged));
            *total = Total { votes: 0, discounted: 0, surprise, judged };
        }
        let (discount, totals) = (self.discount, &mut self.totals);
        self.cells.retain(|_, cell| {
            let left = fade.apply(Votes::from(cell.votes));
            if left < VOTE / 8 {
                return false;
            }
            cell.votes = as_cell(left);
            cell.fresh = false;
            if let Some(total) = totals.get_mut(&cell.context) {
                total.votes += left;
                total.discounted += left.min(discount);
            }
            true
        });
        self.totals.retain(|_, total| total.votes > 0);
    }
}

/// Votes as a cell holds them: at most 16.7 million.
fn as_cell(votes: Votes) -> u32 {
    u32::try_from(votes).unwrap_or(u32::MAX)
}

#[inline]
fn cell_key(context: u64, symbol: u64) -> u64 {
    super::key::mix(context, symbol)
}

#[cfg(test)]
pub(super) mod tests;
