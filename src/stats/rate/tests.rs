//! Laws against their slow twins and an outside peer; priors against members that were made to be alike.

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma, Poisson};
use statrs::distribution::{DiscreteCDF, NegativeBinomial as Peer};

use super::*;
use crate::stats::decay::Fade;

/// The slow twin: probabilities one by one, P(x + 1)/P(x) = (x + k)/(x + 1)·μ/(μ + k), from P(0) = (1 + μ/k)^(−k).
fn tails(mean: f64, size: f64, count: u32) -> (f64, f64) {
    let ratio = mean / (mean + size);
    let (mut term, mut below) = ((-size * (mean / size).ln_1p()).exp(), 0.0);
    for x in 0..count {
        below += term;
        term *= (f64::from(x) + size) / (f64::from(x) + 1.0) * ratio;
    }
    let (lower, mut upper) = (below + term, 0.0);
    for x in count..count + 200_000 {
        upper += term;
        term *= (f64::from(x) + size) / (f64::from(x) + 1.0) * ratio;
        if term < upper * 1e-15 {
            break;
        }
    }
    (lower, upper)
}

/// The Chernoff bound as it is defined: the least of e^(−tx)·E[e^(tX)] over a grid of t. Bits.
fn searched(mean: f64, size: f64, count: f64) -> f64 {
    let end = (1.0 + size / mean).ln();
    (1..20_000)
        .map(|i| end * f64::from(i) / 20_000.0)
        .map(|t| t * count + size * (1.0 - mean / size * t.exp_m1()).ln())
        .fold(0.0, f64::max)
        / std::f64::consts::LN_2
}

proptest! {
    #[test]
    fn the_bound_never_claims_more_than_the_exact_tail(mean in 0.01..200.0f64, size in 0.05..500.0f64, count in 0..600u32) {
        let law = NegativeBinomial::new(mean, size);
        let (lower, upper) = tails(mean, size, count);
        prop_assert!(law.upper_bits(f64::from(count)) <= -upper.log2() + 1e-6);
        prop_assert!(law.lower_bits(f64::from(count)) <= -lower.log2() + 1e-6);
    }

    #[test]
    fn the_bound_is_the_best_of_its_kind(mean in 0.1..50.0f64, size in 0.1..50.0f64, times in 1.1..20.0f64) {
        let (fast, slow) = (NegativeBinomial::new(mean, size).upper_bits(mean * times), searched(mean, size, mean * times));
        prop_assert!((fast - slow).abs() < 1e-3 * fast.max(1.0), "{} {}", fast, slow);
    }

    #[test]
    fn more_events_are_never_less_surprising(mean in 0.01..1e4f64, size in 0.05..1e6f64, count in 0.0..1e5f64, by in 0.0..1e4f64) {
        let law = NegativeBinomial::new(mean, size);
        prop_assert!(law.upper_bits(count + by) >= law.upper_bits(count));
        prop_assert!(law.lower_bits(count + by) <= law.lower_bits(count));
        prop_assert!(law.upper_bits(count) == 0.0 || law.lower_bits(count) == 0.0);
    }

    #[test]
    fn merging_is_the_union_in_any_order(one in votes(), other in votes()) {
        let (mut ab, mut ba) = (moments(&one), moments(&other));
        ab.merge(&moments(&other));
        ba.merge(&moments(&one));
        prop_assert_eq!(&ab, &ba);
        prop_assert_eq!(ab, moments(&[one, other].concat()));
    }

    #[test]
    fn every_prior_is_usable(votes in votes(), members in 0.0..100.0f64, days in 0..200i64) {
        let mut moments = moments(&votes);
        moments.fade(Fade::after(days, 45.0));
        let prior = moments.prior(members, &GENERAL);
        prop_assert!(prior.shape >= SHAPES.0 && prior.shape <= SHAPES.1 && prior.exposure > 0.0, "{:?}", prior);
        prop_assert!(prior.dispersion >= DISPERSIONS.0 && prior.dispersion <= DISPERSIONS.1, "{:?}", prior);
        let law = prior.predict(3.0, 2.0);
        prop_assert!(law.mean().is_finite() && law.size() > 0.0);
    }

    #[test]
    fn no_value_is_too_bad(a in prop::num::f64::ANY, b in prop::num::f64::ANY, c in prop::num::f64::ANY) {
        let law = NegativeBinomial::new(a, b);
        prop_assert!(law.upper_bits(c).is_finite() && law.lower_bits(c).is_finite(), "{:?} {}", law, c);
        let mut moments = Moments::default();
        moments.add(&Vote { rate: a, exposure: b, windows: c, sum: a, squares: b }, c);
        let prior = moments.prior(9.0, &GENERAL);
        prop_assert!(prior.mean().is_finite() && prior.dispersion.is_finite());
    }
}

const GENERAL: Prior = Prior { shape: 0.1, exposure: 1e-3, dispersion: 1.0 };

fn votes() -> impl Strategy<Value = Vec<Vote>> {
    let vote =
        (0.0..1e4f64, 1.0..5e3f64, 1.0..288.0f64, 0.0..3.0f64).prop_map(|(rate, exposure, windows, d)| {
            let sum = rate * windows;
            Vote { rate, exposure, windows, sum, squares: sum * rate * (1.0 + d) }
        });
    prop::collection::vec(vote, 0..20)
}

fn moments(votes: &[Vote]) -> Moments {
    let mut moments = Moments::default();
    votes.iter().for_each(|vote| moments.add(vote, 0.5));
    moments
}

/// A day of windows of a member with this rate, whose windows differ by relative variance `dispersion`.
fn day(random: &mut ChaCha8Rng, rate: f64, dispersion: f64, windows: u32) -> Vote {
    let swing = Gamma::new(1.0 / dispersion, dispersion).unwrap();
    let (mut sum, mut squares) = (0.0, 0.0);
    for _ in 0..windows {
        let x: f64 = Poisson::new((rate * swing.sample(random)).max(1e-9)).unwrap().sample(random);
        sum += x;
        squares += x * x;
    }
    let windows = f64::from(windows);
    Vote { rate: sum / windows, exposure: windows, windows, sum, squares }
}

#[test]
fn the_slow_twin_agrees_with_an_outside_peer() {
    for (mean, size) in [(3.0, 2.0), (40.0, 7.5), (0.2, 0.6)] {
        let peer = Peer::new(size, size / (size + mean)).unwrap();
        for count in [1u32, 2, 5, 30, 90] {
            let (lower, upper) = tails(mean, size, count);
            let (below, above) = (peer.cdf(u64::from(count)), peer.sf(u64::from(count) - 1));
            assert!((upper / above - 1.0).abs() < 1e-6, "{mean} {size} {count}");
            assert!((lower / below - 1.0).abs() < 1e-6, "{mean} {size} {count}");
        }
    }
}

#[test]
fn a_large_size_is_a_poisson_law() {
    // Poisson's Chernoff bound: x ln(x/μ) − x + μ.
    for (mean, count) in [(0.5, 4.0f64), (20.0, 60.0), (1000.0, 1400.0)] {
        let poisson = (count * (count / mean).ln() - count + mean) / std::f64::consts::LN_2;
        let bits = NegativeBinomial::new(mean, 1e12).upper_bits(count);
        assert!((bits / poisson - 1.0).abs() < 1e-6, "{bits} {poisson}");
        assert!(NegativeBinomial::new(mean, 1.0).upper_bits(count) < 0.8 * poisson, "size does not matter");
    }
}

#[test]
fn nothing_at_all_is_judged_exactly() {
    let law = NegativeBinomial::new(10.0, 2.0);
    assert!((law.lower_bits(0.0) - 2.0 * 6.0f64.log2()).abs() < 1e-9, "(1 + 10/2)^(−2)");
}

#[test]
fn a_prediction_is_wide_for_a_new_member_and_narrow_for_an_old_one() {
    let prior = Prior { shape: 2.0, exposure: 0.5, dispersion: 0.1 };
    let (new, old) = (prior.predict(0.0, 0.0), prior.predict(40_000.0, 4_000.0));
    assert!((new.mean() - 4.0).abs() < 1e-12 && (old.mean() - 10.0).abs() < 0.01);
    // 1/(.1 + 1/2 + .1/2), and next to 1/.1.
    assert!((new.size() - 1.0 / 0.65).abs() < 1e-12, "{}", new.size());
    assert!((old.size() - 10.0).abs() < 0.01, "{}", old.size());
}

#[test]
fn a_weighted_sum_of_two_counts_has_no_heavier_tail_than_the_law_it_is_judged_by() {
    // Count and half of another: the law of the sum by convolution, with each its own deviation.
    let (mean, size) = (3.0, 1.5);
    let law = NegativeBinomial::new(mean, size).times(1.5);
    let p: Vec<f64> = (0..400).map(|x| tails(mean, size, x).1 - tails(mean, size, x + 1).1).collect();
    for threshold in [6u32, 12, 25, 50] {
        let mut exact = 0.0;
        for (x, px) in p.iter().enumerate() {
            for (y, py) in p.iter().enumerate() {
                exact += if 2 * x + y >= 2 * threshold as usize { px * py } else { 0.0 };
            }
        }
        assert!(law.upper_bits(f64::from(threshold)) <= -exact.log2(), "{threshold}: {exact}");
    }
}

#[test]
fn the_prior_of_like_members_is_recovered() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for (shape, mean, dispersion) in [(1.0, 4.0, 0.3), (6.0, 30.0, 0.05), (0.4, 0.8, 1.5)] {
        let rates = Gamma::new(shape, mean / shape).unwrap();
        let mut moments = Moments::default();
        for _ in 0..600 {
            let rate = rates.sample(&mut random);
            moments.add(&day(&mut random, rate, dispersion, 288), 1.0);
        }
        let prior = moments.prior(600.0, &GENERAL);
        assert!((prior.mean() / mean - 1.0).abs() < 0.2, "{prior:?}");
        assert!((prior.shape / shape - 1.0).abs() < 0.35, "{prior:?} for {shape}");
        // Twenty votes of 620 are the general prior's.
        let mixed = (600.0 * dispersion + 20.0) / 620.0;
        assert!((prior.dispersion / mixed - 1.0).abs() < 0.2, "{prior:?} for {dispersion}");
    }
}

#[test]
fn four_members_say_nothing_of_the_fifth() {
    let vote = Vote { rate: 5.0, exposure: 288.0, windows: 288.0, sum: 1440.0, squares: 7200.0 + 1440.0 };
    let moments = moments(&[vote; 40]);
    let few = moments.prior(4.0, &GENERAL);
    assert_eq!((few.shape, few.exposure), (GENERAL.shape, GENERAL.exposure));
    let enough = moments.prior(5.0, &GENERAL);
    assert!((enough.mean() - 5.0).abs() < 1e-9, "{enough:?}");
    let none = Moments::default().prior(50.0, &GENERAL);
    assert_eq!(none, GENERAL);
}

#[test]
fn one_wild_member_does_not_decide_how_wild_all_are() {
    let calm = Vote { rate: 5.0, exposure: 288.0, windows: 288.0, sum: 1440.0, squares: 7200.0 + 1440.0 };
    let wild = Vote { rate: 5000.0, squares: 1e12, sum: 1.44e6, ..calm };
    let mut votes = vec![calm; 60];
    let before = moments(&votes).prior(60.0, &GENERAL).dispersion;
    votes.push(wild);
    let after = moments(&votes).prior(61.0, &GENERAL).dispersion;
    assert!(before < 0.3 && after < before + 0.5, "{before} {after}");
}

#[test]
fn moments_survive_being_written_and_read() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let moments = moments(&[day(&mut random, 3.0, 0.5, 288), day(&mut random, 0.01, 0.5, 20)]);
    let text = serde_json::to_string(&moments).unwrap();
    assert_eq!(serde_json::from_str::<Moments>(&text).unwrap(), moments);
}
