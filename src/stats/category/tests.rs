//! Tables against a slow twin that keeps all observations, and the laws that tables keep.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const LAW: PitmanYor = PitmanYor { discount: 0.5, strength: 1.0 };
/// Symbols 0…9 are drawn; the rest of the mass is that of all others.
const SYMBOLS: u64 = 10;
/// What is thought of each of 16 possible symbols before anything is known.
const BASE: f64 = 1.0 / 16.0;

/// Totals by context; votes and freshness by context and symbol.
type Image = (BTreeMap<u64, Total>, BTreeMap<(u64, u64), (u32, bool)>);

/// Everything a table holds, in an order of its own: equal images mean equal tables, byte for byte.
pub(in crate::stats) fn image(table: &Table) -> Image {
    let near =
        table.contexts.iter().flat_map(|c| (0..NEAR).map(|i| (c.key, c.symbols[i], c.near[i], c.fresh[i])));
    let far = table.far.iter().map(|f| (f.context, f.symbol, f.votes, f.fresh));
    let cells: Vec<_> = near.chain(far).filter(|(_, _, votes, _)| *votes > 0).collect();
    assert_eq!(cells.len(), table.len());
    let image: Image = (
        table.contexts.iter().map(|c| (c.key, c.total())).collect(),
        cells.iter().map(|&(context, symbol, votes, fresh)| ((context, symbol), (votes, fresh))).collect(),
    );
    assert_eq!(image.1.len(), cells.len(), "a symbol lies in two places");
    image
}

type Observation = (u64, u64, Votes, Votes);

fn observations() -> impl Strategy<Value = Vec<Observation>> {
    prop::collection::vec((0u64..4, 0..SYMBOLS, 1u64..2_000, 0u64..50_000), 0..60)
}

fn learned(law: PitmanYor, observations: &[Observation]) -> Table {
    let mut table = Table::new(law, 10_000);
    for &(context, symbol, votes, surprise) in observations {
        table.add(context, symbol, votes, surprise);
    }
    table
}

/// The slow twin: keeps every observation and counts them when asked (Teh 2006, eq. 4, with real counts).
fn slow_probability(
    law: PitmanYor,
    observations: &[Observation],
    context: u64,
    symbol: u64,
    general: f64,
) -> f64 {
    let mut counts: BTreeMap<u64, f64> = BTreeMap::new();
    for (_, symbol, votes, _) in observations.iter().filter(|o| o.0 == context) {
        *counts.entry(*symbol).or_default() += *votes as f64 / 256.0;
    }
    if counts.is_empty() {
        return general;
    }
    let n: f64 = counts.values().sum();
    let given_away: f64 = counts.values().map(|c| c.min(law.discount)).sum();
    let own = counts.get(&symbol).map_or(0.0, |c| (c - law.discount).max(0.0));
    own / (n + law.strength) + (law.strength + given_away) / (n + law.strength) * general
}

fn laws() -> impl Strategy<Value = PitmanYor> {
    (0u32..256, 0.05..5.0f64).prop_map(|(d, strength)| PitmanYor { discount: f64::from(d) / 256.0, strength })
}

proptest! {
    #[test]
    fn probabilities_agree_with_counting_all_observations(law in laws(), observations in observations(), general in 0.0..1.0f64) {
        let table = learned(law, &observations);
        for context in 0..5 {
            for symbol in 0..SYMBOLS {
                let fast = table.probability(context, symbol, general);
                let slow = slow_probability(law, &observations, context, symbol, general);
                prop_assert!((fast - slow).abs() < 1e-12, "{fast} against {slow}");
            }
        }
    }

    #[test]
    fn probabilities_sum_to_one_before_and_after_fading(
        discount in 0.0..1.0f64, observations in observations(), days in 0i64..200, half_life in 10.0..90.0f64,
    ) {
        // Any discount, not only multiples of 1/256: what is taken off must be what is given away.
        let mut table = learned(PitmanYor { discount, strength: 0.7 }, &observations);
        for _ in 0..3 {
            for context in 0..5 {
                let known: f64 = (0..SYMBOLS).map(|s| table.probability(context, s, BASE)).sum();
                let unseen = 6.0 * table.probability(context, 999, BASE);
                prop_assert!((known + unseen - 1.0).abs() < 1e-9, "{known} + {unseen}");
            }
            table.fade(Fade::after(days, half_life));
        }
    }

    #[test]
    fn totals_are_the_sums_of_their_cells(
        observations in observations(), days in prop::collection::vec(0i64..100, 0..5),
    ) {
        let mut table = learned(LAW, &observations);
        for days in days {
            table.fade(Fade::after(days, 30.0));
            let mut sums = BTreeMap::new();
            let (totals, cells) = image(&table);
            for ((context, _), (votes, _)) in cells {
                let sum: &mut (Votes, Votes) = sums.entry(context).or_default();
                sum.0 += Votes::from(votes);
                sum.1 += Votes::from(votes.min(128));
            }
            prop_assert_eq!(sums.len(), totals.len(), "a context without cells is kept");
            for (context, sum) in sums {
                let total = totals[&context];
                prop_assert_eq!((total.votes, total.discounted), sum);
            }
        }
    }

    #[test]
    fn the_order_of_adding_does_not_matter(observations in observations(), seed in any::<u64>(), days in 0i64..60) {
        let mut shuffled = observations.clone();
        shuffled.sort_by_key(|o| super::super::key::mix(seed, super::super::key::mix(o.2, o.3)));
        let (mut one, mut other) = (learned(LAW, &observations), learned(LAW, &shuffled));
        prop_assert_eq!(image(&one), image(&other));
        one.fade(Fade::after(days, 30.0));
        other.fade(Fade::after(days, 30.0));
        prop_assert_eq!(image(&one), image(&other));
    }

    #[test]
    fn forgetting_twice_is_forgetting_the_sum(observations in observations(), a in 0i64..60, b in 0i64..60) {
        let (mut twice, mut once) = (learned(LAW, &observations), learned(LAW, &observations));
        twice.fade(Fade::after(a, 30.0));
        twice.fade(Fade::after(b, 30.0));
        once.fade(Fade::after(a + b, 30.0));
        for context in 0..4 {
            for symbol in 0..SYMBOLS {
                let (x, y) = (twice.votes(context, symbol), once.votes(context, symbol));
                // Within rounding, unless one of them fell just below the eighth of a vote that is kept.
                prop_assert!(x.abs_diff(y) <= 2 || x.max(y) <= VOTE / 8 + 2, "{x} against {y}");
            }
        }
    }

    #[test]
    fn another_vote_makes_a_symbol_more_probable_and_the_others_less(
        observations in observations(), context in 0u64..4, symbol in 0..SYMBOLS, votes in 1u64..1_000,
    ) {
        let before = learned(LAW, &observations);
        let mut after = before.clone();
        after.add(context, symbol, votes, 0);
        prop_assert!(after.probability(context, symbol, BASE) >= before.probability(context, symbol, BASE) - 1e-12);
        // A *new* symbol may make other unknown ones more probable too: where novelties happen, expect more.
        let known = before.votes(context, symbol) >= 128;
        for other in (0..SYMBOLS).filter(|&s| s != symbol && known) {
            prop_assert!(after.probability(context, other, BASE) <= before.probability(context, other, BASE) + 1e-12);
        }
    }

    #[test]
    fn a_flood_neither_grows_the_table_nor_pushes_out_what_was_learned(
        observations in observations(), flood in any::<u64>(), rounds in 1usize..6,
    ) {
        let mut table = Table::new(LAW, 100);
        for &(context, symbol, votes, surprise) in &observations {
            table.add(context, symbol, votes, surprise);
        }
        let before: Vec<_> = observations.iter().map(|o| table.votes(o.0, o.1)).collect();
        for i in 0..300 {
            table.add(super::super::key::mix(flood, i), i, VOTE, VOTE);
        }
        prop_assert_eq!(table.len(), 100);
        let after: Vec<_> = observations.iter().map(|o| table.votes(o.0, o.1)).collect();
        prop_assert_eq!(before, after);
        for round in 0..rounds as u64 {
            table.fade(Fade::after(500, 30.0));
            prop_assert!(table.is_empty() && table.contexts.is_empty());
            for i in 0..300 {
                table.add(super::super::key::mix(round, i), i, VOTE, VOTE);
            }
            prop_assert_eq!(table.contexts.len(), 100, "contexts pile up");
        }
    }

    #[test]
    fn no_count_is_too_large(extremes in prop::collection::vec(
        (0u64..2, 0u64..3, prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], any::<u64>()), 0..12,
    )) {
        let table = learned(LAW, &extremes);
        let sum: f64 = (0..3).map(|s| table.probability(0, s, BASE)).sum::<f64>() + 13.0 * table.probability(0, 9, BASE);
        prop_assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }
}

#[test]
fn a_twin_that_does_not_discount_is_noticed() {
    let observations = [(0, 1, VOTE, 0), (0, 2, 3 * VOTE, 0)];
    let wrong = PitmanYor { discount: 0.0, ..LAW };
    let fast = learned(LAW, &observations).probability(0, 1, BASE);
    assert!((fast - slow_probability(LAW, &observations, 0, 1, BASE)).abs() < 1e-12);
    assert!((fast - slow_probability(wrong, &observations, 0, 1, BASE)).abs() > 0.05);
}

#[test]
fn a_context_is_one_line_of_the_cache() {
    assert_eq!((size_of::<Context>(), align_of::<Context>()), (64, 64));
}

#[test]
fn tables_that_differ_in_one_vote_have_different_images() {
    let observations = [(0, 1, VOTE, 7), (0, 2, 3 * VOTE, 9)];
    let table = learned(LAW, &observations);
    for different in [(0, 1, VOTE + 1, 7), (0, 1, VOTE, 8), (1, 1, VOTE, 7), (0, 3, VOTE, 7)] {
        assert_ne!(image(&table), image(&learned(LAW, &[different, observations[1]])), "{different:?}");
    }
}

#[test]
fn the_mean_surprise_of_a_context_does_not_rise_when_its_pairs_are_forgotten() {
    let mut table = learned(LAW, &[(0, 1, 100 * VOTE, 200 * VOTE)]);
    for symbol in 100..200 {
        table.add(0, symbol, VOTE, 2 * VOTE);
    }
    let mean = |table: &Table| as_votes(table.total(0).surprise) / as_votes(table.total(0).judged);
    assert_eq!(mean(&table), 2.0);
    table.fade(Fade::after(150, 45.0));
    assert_eq!(table.len(), 1, "single votes are forgotten");
    assert!((mean(&table) - 2.0).abs() < 0.01, "{}", mean(&table));
}

#[test]
fn a_vote_is_forgotten_after_three_half_lives_of_daily_fading() {
    let mut table = learned(LAW, &[(0, 1, VOTE, 0)]);
    let days = (1..1_000).find(|_| {
        table.fade(Fade::after(1, 45.0));
        table.is_empty()
    });
    assert!(days.is_some_and(|days| (100..=140).contains(&days)), "{days:?}");
}
