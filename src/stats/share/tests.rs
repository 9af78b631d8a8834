//! The bound against the exact tail, the tail against a slow twin, priors against members that were made to be alike.

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};

use super::*;

/// The slow twin: Pólya's urn, played through for every number of hits.
fn urn(mean: f64, strength: f64, hits: u32, trials: u32) -> f64 {
    let mut law = vec![1.0];
    for drawn in 0..trials {
        let mut next = vec![0.0; law.len() + 1];
        for (k, p) in law.iter().enumerate() {
            let hit = (mean * strength + k as f64) / (strength + f64::from(drawn));
            next[k + 1] += p * hit;
            next[k] += p * (1.0 - hit);
        }
        law = next;
    }
    law.iter().skip(hits as usize).sum()
}

/// Probability of `hits` or more in `trials`: P(k) = C(n, k)·B(α + k, β + n − k)/B(α, β), summed upwards by the ratio of
/// neighbours (Johnson, Kemp & Kotz, *Univariate Discrete Distributions*, 3rd ed., §6.2.2).
fn tail(law: &BetaBinomial, hits: u32, trials: u32) -> f64 {
    let ((alpha, beta), n) = (law.parameters(), f64::from(trials));
    let (mut term, mut sum) = (1.0, 0.0);
    for k in (hits..=trials).map(f64::from) {
        sum += term;
        term *= (n - k) / (k + 1.0) * (alpha + k) / (beta + n - k - 1.0);
    }
    // Where the first term is nothing, the sum of what follows is beyond all numbers, and the tail is all there is.
    (law.ln_probability(f64::from(hits), n) + f64::ln(sum)).exp().min(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_bound_never_claims_more_than_the_exact_tail(mean in -11.0..-0.02f64, strength in -2.0..9.0f64, trials in 1..1500u32, share in 0.0..=1.0f64) {
        let law = BetaBinomial::new(mean.exp(), strength.exp());
        let hits = (share * f64::from(trials)).round() as u32;
        let (bits, exact) = (law.upper_bits(f64::from(hits), f64::from(trials)), tail(&law, hits, trials));
        prop_assume!(exact > 1e-300);
        prop_assert!(bits <= -exact.log2() + 1e-6, "{:?} {} of {}: {} bits, p {}", law, hits, trials, bits, exact);
    }

    #[test]
    fn more_hits_are_never_less_surprising(mean in 0.001..0.9f64, strength in 0.3..300.0f64, trials in 1..500u32, hits in 0..500u32) {
        let law = BetaBinomial::new(mean, strength);
        let (less, more) = (f64::from(hits.min(trials)), f64::from((hits + 1).min(trials)));
        prop_assert!(law.upper_bits(more, f64::from(trials)) >= law.upper_bits(less, f64::from(trials)) - 1e-9);
    }

    #[test]
    fn no_value_is_too_bad(a in prop::num::f64::ANY, b in prop::num::f64::ANY, c in prop::num::f64::ANY, d in prop::num::f64::ANY) {
        let law = BetaBinomial::new(a, b).given(c.min(1e12), d.min(1e12));
        prop_assert!(law.mean > 0.0 && law.mean < 1.0 && law.strength > 0.0, "{:?}", law);
        prop_assert!(law.upper_bits(c, d) >= 0.0, "{}", law.upper_bits(c, d));
        let mut moments = ShareMoments::default();
        moments.add(a, b);
        prop_assert!(moments.prior(c, &law).mean > 0.0);
    }
}

proptest! {
    #[test]
    fn the_tail_is_that_of_an_urn(mean in 0.001..0.95f64, strength in 0.1..300.0f64, trials in 1..60u32, hits in 0..60u32) {
        let hits = hits.min(trials);
        let (fast, slow) = (tail(&BetaBinomial::new(mean, strength), hits, trials), urn(mean, strength, hits, trials));
        prop_assert!((fast - slow).abs() <= 1e-7 * slow + 1e-14, "{} {}", fast, slow);
    }

    #[test]
    fn merging_is_the_union_in_any_order(one in prop::collection::vec((0.0..9.0f64, 0.0..99.0f64), 0..20), other in prop::collection::vec((0.0..9.0f64, 0.0..99.0f64), 0..20)) {
        let moments = |votes: &[(f64, f64)]| {
            let mut moments = ShareMoments::default();
            votes.iter().for_each(|&(hits, trials)| moments.add(hits, trials));
            moments
        };
        let (mut ab, mut ba) = (moments(&one), moments(&other));
        ab.merge(&moments(&other));
        ba.merge(&moments(&one));
        prop_assert_eq!(&ab, &ba);
        prop_assert_eq!(ab, moments(&[one, other].concat()));
    }
}

#[test]
fn the_bound_is_within_a_few_bits_of_the_exact_tail() {
    for (mean, strength, hits, trials) in [(0.02, 50.0, 8, 10), (0.1, 200.0, 40, 80), (0.01, 20.0, 30, 60)] {
        let law = BetaBinomial::new(mean, strength);
        let exact = -tail(&law, hits, trials).log2();
        let bits = law.upper_bits(f64::from(hits), f64::from(trials));
        assert!(bits > exact - 0.5, "{bits} bits of {exact}");
    }
}

#[test]
fn an_uncertain_belief_gives_fewer_bits_than_a_certain_one() {
    let bits = |strength| BetaBinomial::new(0.02, strength).upper_bits(8.0, 10.0);
    assert!(bits(2.0) < bits(20.0) && bits(20.0) < bits(1e6));
    // Certain: eight of ten tosses of a coin, and what is above that adds a hundredth.
    let coin = -(45.0 * 0.02f64.powi(8) * 0.98f64.powi(2)).log2();
    assert!((bits(1e6) - coin).abs() < 0.03, "{} {coin}", bits(1e6));
}

#[test]
fn the_prior_of_like_members_is_recovered() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let general = BetaBinomial::new(0.02, 5.0);
    for (mean, strength) in [(0.05, 20.0), (0.3, 4.0)] {
        let shares = Beta::new(mean * strength, (1.0 - mean) * strength).unwrap();
        let mut moments = ShareMoments::default();
        for _ in 0..800 {
            let share: f64 = shares.sample(&mut random);
            let hits = (0..100).filter(|_| random.random_bool(share)).count();
            moments.add(hits as f64, 100.0);
        }
        let prior = moments.prior(800.0, &general);
        assert!((prior.mean / mean - 1.0).abs() < 0.15, "{prior:?}");
        assert!((prior.strength / strength - 1.0).abs() < 0.3, "{prior:?}");
    }
}

#[test]
fn a_group_in_which_nobody_has_a_hit_still_thinks_one_possible() {
    let mut moments = ShareMoments::default();
    (0..100).for_each(|_| moments.add(0.0, 500.0));
    let prior = moments.prior(100.0, &BetaBinomial::new(0.02, 5.0));
    assert!(prior.mean > 1e-4 && prior.mean < 1e-3 && prior.strength == 5.0, "{prior:?}");
}
