//! Sequences against a slow twin that keeps all observations, and the laws of learning.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::category::PitmanYor;
use super::super::category::tests::image;
use super::super::decay::Fade;
use super::*;

const LAW: PitmanYor = PitmanYor { discount: 0.75, strength: 0.5 };
const BASE: Prediction = Prediction { probability: 1.0 / 64.0, expected_bits: 6.0, order: 0 };
const SCOPE: u64 = 77;

/// One observation: the symbols before it (oldest first), the symbol, votes, and votes × bits it cost.
#[derive(Clone, Debug)]
struct Seen {
    before: Vec<u64>,
    symbol: u64,
    votes: Votes,
    surprise: Votes,
}

impl Seen {
    fn contexts(&self) -> Contexts {
        let mut history = History::default();
        self.before.iter().for_each(|&s| history.push(s));
        history.contexts(SCOPE)
    }
}

/// Few symbols, so that contexts meet; histories of every length, so that long and short ones mix.
fn observations() -> impl Strategy<Value = Vec<Seen>> {
    let one = (prop::collection::vec(1u64..4, 0..=MAX_ORDER + 2), 1u64..5, 1u64..1_000, 0u64..10_000)
        .prop_map(|(before, symbol, votes, surprise)| Seen { before, symbol, votes, surprise });
    prop::collection::vec(one, 0..60)
}

fn learned(observations: &[Seen]) -> Table {
    let mut table = Table::new(LAW, 1_000_000);
    for seen in observations {
        learn(&mut table, seen.contexts().as_slice(), seen.symbol, seen.votes, seen.surprise);
    }
    table
}

/// The slow twin: keeps every observation with its whole history, and counts when asked.
struct Slow<'a>(&'a [Seen]);

impl Slow<'_> {
    /// Votes of each symbol after these symbols: those of observations with no longer history, and one for
    /// each different longer context in which the symbol was seen (Kneser & Ney 1995).
    fn counts(&self, context: &[u64]) -> BTreeMap<u64, f64> {
        let mut counts: BTreeMap<u64, f64> = BTreeMap::new();
        let mut types = BTreeSet::new();
        for seen in self.0 {
            let before = &seen.before[seen.before.len().saturating_sub(MAX_ORDER)..];
            if before == context {
                *counts.entry(seen.symbol).or_default() += seen.votes as f64 / 256.0;
            } else if before.ends_with(context) {
                types.insert((before[before.len() - context.len() - 1], seen.symbol));
            }
        }
        for (_, symbol) in types {
            *counts.entry(symbol).or_default() += 1.0;
        }
        counts
    }

    /// Bits of everything seen after these symbols, weighted by votes, and the weights.
    fn cost(&self, context: &[u64]) -> (f64, f64) {
        let here =
            self.0.iter().filter(|s| s.before[s.before.len().saturating_sub(MAX_ORDER)..].ends_with(context));
        here.fold((0.0, 0.0), |(bits, n), s| (bits + s.surprise as f64 / 256.0, n + s.votes as f64 / 256.0))
    }

    /// Recursion from the particular to the general (the code under test runs the other way).
    fn predict(&self, before: &[u64], symbol: u64) -> Prediction {
        let before = &before[before.len().saturating_sub(MAX_ORDER)..];
        let general = match before {
            [] => BASE,
            [_, shorter @ ..] => self.predict(shorter, symbol),
        };
        let counts = self.counts(before);
        if counts.is_empty() {
            return general;
        }
        let n: f64 = counts.values().sum();
        let given_away: f64 = counts.values().map(|c| c.min(LAW.discount)).sum();
        let own = counts.get(&symbol).map_or(0.0, |c| (c - LAW.discount).max(0.0));
        let (bits, votes) = self.cost(before);
        Prediction {
            probability: (own + (LAW.strength + given_away) * general.probability) / (n + LAW.strength),
            expected_bits: (bits + general.expected_bits) / (votes + 1.0),
            order: before.len() as u8,
        }
    }
}

fn close(a: Prediction, b: Prediction) -> bool {
    (a.probability - b.probability).abs() < 1e-12
        && (a.expected_bits / b.expected_bits - 1.0).abs() < 1e-9
        && a.order == b.order
}

proptest! {
    #[test]
    fn predictions_agree_with_recursion_over_all_observations(
        observations in observations(), asked in prop::collection::vec(1u64..4, 0..=MAX_ORDER + 1),
    ) {
        let table = learned(&observations);
        let contexts = Seen { before: asked.clone(), symbol: 0, votes: 0, surprise: 0 }.contexts();
        for symbol in 0..5 {
            let fast = predict(&table, &contexts, symbol, BASE);
            let slow = Slow(&observations).predict(&asked, symbol);
            prop_assert!(close(fast, slow), "{fast:?} against {slow:?}");
        }
    }

    #[test]
    fn probabilities_sum_to_one_before_and_after_fading(
        observations in observations(), asked in prop::collection::vec(1u64..4, 0..=MAX_ORDER), days in 0i64..80,
    ) {
        let mut table = learned(&observations);
        let contexts = Seen { before: asked, symbol: 0, votes: 0, surprise: 0 }.contexts();
        for _ in 0..3 {
            let sum: f64 = (0..64).map(|s| predict(&table, &contexts, s, BASE).probability).sum();
            prop_assert!((sum - 1.0).abs() < 1e-9, "{sum}");
            prop_assert!(predict(&table, &contexts, 0, BASE).expected_bits >= 0.0);
            table.fade(Fade::after(days, 30.0));
        }
    }

    #[test]
    fn the_order_of_learning_does_not_matter(
        (observations, shuffled) in observations().prop_flat_map(|o| (Just(o.clone()), Just(o).prop_shuffle())),
    ) {
        prop_assert_eq!(image(&learned(&observations)), image(&learned(&shuffled)));
    }

    #[test]
    fn the_order_of_learning_does_not_matter_after_a_fade_either(
        earlier in observations(),
        (observations, shuffled) in observations().prop_flat_map(|o| (Just(o.clone()), Just(o).prop_shuffle())),
        days in 1i64..60,
    ) {
        let mut one = learned(&earlier);
        one.fade(Fade::after(days, 30.0));
        let mut other = one.clone();
        for (table, list) in [(&mut one, &observations), (&mut other, &shuffled)] {
            for seen in list {
                learn(table, seen.contexts().as_slice(), seen.symbol, seen.votes, seen.surprise);
            }
            table.fade(Fade::after(1, 30.0));
        }
        prop_assert_eq!(image(&one), image(&other));
    }

    #[test]
    fn parts_learned_one_after_the_other_equal_the_whole(observations in observations(), parts in 1usize..5) {
        let mut table = Table::new(LAW, 1_000_000);
        for part in 0..parts {
            for seen in observations.iter().skip(part).step_by(parts) {
                learn(&mut table, seen.contexts().as_slice(), seen.symbol, seen.votes, seen.surprise);
            }
        }
        prop_assert_eq!(image(&table), image(&learned(&observations)));
    }

    #[test]
    fn learning_a_symbol_makes_it_more_probable_there(observations in observations(), which in any::<prop::sample::Index>()) {
        prop_assume!(!observations.is_empty());
        let seen = Seen { votes: VOTE, ..which.get(&observations).clone() };
        let before = learned(&observations);
        let mut after = before.clone();
        let new = learn(&mut after, seen.contexts().as_slice(), seen.symbol, seen.votes, 0);
        prop_assert!(!new);
        let p = |table: &Table| predict(table, &seen.contexts(), seen.symbol, BASE).probability;
        prop_assert!(p(&after) >= p(&before) - 1e-12, "{} after {}", p(&after), p(&before));
    }

    #[test]
    fn a_full_table_still_predicts_and_never_grows(observations in observations(), capacity in 0usize..40) {
        let mut table = Table::new(LAW, capacity);
        for seen in &observations {
            learn(&mut table, seen.contexts().as_slice(), seen.symbol, seen.votes, seen.surprise);
            prop_assert!(table.len() <= capacity);
            let at = predict(&table, &seen.contexts(), seen.symbol, BASE);
            prop_assert!(at.probability > 0.0 && at.probability <= 1.0 && at.expected_bits.is_finite());
        }
    }

    #[test]
    fn no_vote_and_no_cost_is_too_large(mut observations in observations(), votes in any::<u64>(), surprise in any::<u64>()) {
        observations.iter_mut().for_each(|o| (o.votes, o.surprise) = (votes, surprise));
        let table = learned(&observations);
        for seen in &observations {
            let at = predict(&table, &seen.contexts(), seen.symbol, BASE);
            prop_assert!(at.probability > 0.0 && at.probability <= 1.0 && at.expected_bits.is_finite(), "{at:?}");
        }
    }
}

#[test]
fn a_symbol_is_new_only_once() {
    let mut table = Table::new(LAW, 1_000);
    let seen = |before: &[u64]| Seen { before: before.to_vec(), symbol: 9, votes: VOTE, surprise: 0 };
    let mut learn = |before: &[u64]| learn(&mut table, seen(before).contexts().as_slice(), 9, VOTE, 0);
    assert!(learn(&[1, 2]), "never seen");
    assert!(!learn(&[1, 2]), "seen there");
    assert!(!learn(&[5, 6]), "seen elsewhere");
}

#[test]
fn an_agent_that_never_changes_stays_familiar_in_short_contexts_too() {
    let mut table = Table::new(LAW, 1_000);
    let daily: Vec<Seen> = [[1, 2], [2, 3], [3, 1]]
        .map(|[before, symbol]| Seen { before: vec![9, before], symbol, votes: 4 * VOTE, surprise: 0 })
        .to_vec();
    for _ in 0..1_000 {
        for seen in &daily {
            learn(&mut table, seen.contexts().as_slice(), seen.symbol, seen.votes, seen.surprise);
        }
        table.fade(Fade::after(1, 45.0));
    }
    for seen in &daily {
        let at = predict(&table, &seen.contexts(), seen.symbol, BASE);
        assert!(at.probability > 0.9 && at.order == 2, "{at:?}");
        let elsewhere = Seen { before: vec![40, 41], ..seen.clone() };
        let at = predict(&table, &elsewhere.contexts(), seen.symbol, BASE);
        assert!(
            at.probability > 0.2,
            "a known symbol in a new place is as strange as an unknown one: {at:?}"
        );
    }
}

#[test]
fn a_twin_that_counts_occurrences_instead_of_contexts_is_noticed() {
    // Symbol 1 follows many symbols once, symbol 2 follows one symbol often: after a new one, 1 is likelier.
    let mut observations: Vec<Seen> =
        (10..20).map(|before| Seen { before: vec![before], symbol: 1, votes: VOTE, surprise: 0 }).collect();
    observations.extend((0..50).map(|_| Seen { before: vec![30], symbol: 2, votes: VOTE, surprise: 0 }));
    let table = learned(&observations);
    let p = |symbol| predict(&table, &History::default().contexts(SCOPE), symbol, BASE).probability;
    assert!(p(1) > 5.0 * p(2), "{} and {}", p(1), p(2));
}

#[test]
fn histories_share_nothing_between_scopes_and_keep_only_the_last_symbols() {
    let (mut long, mut short) = (History::default(), History::default());
    assert_eq!(long.last(), None);
    (1..21).for_each(|s| long.push(s));
    (21 - MAX_ORDER as u64..21).for_each(|s| short.push(s));
    assert_eq!(long.contexts(1), short.contexts(1));
    assert_eq!(long.last(), Some(20));
    assert_eq!(long.contexts(1).as_slice().len(), MAX_ORDER + 1);
    let ours: BTreeSet<_> = long.contexts(1).as_slice().to_vec().into_iter().collect();
    assert!(long.contexts(2).as_slice().iter().all(|key| !ours.contains(key)));
    assert_eq!(History::default().contexts(5).as_slice(), [5]);
}
