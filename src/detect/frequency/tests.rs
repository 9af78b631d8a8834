//! Honest agents of many rates stay below the bound; bursts, bad births and silences do not.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma, Poisson};

use super::*;
use crate::baseline::rate::SHIPPED;
use crate::stats::rate::{Moments, Vote};

const WINDOW_MS: i64 = 300_000;

fn priors(per_window: f64, shape: f64, dispersion: f64) -> PerScale<Prior> {
    let of = |mean: f64| Prior { shape, exposure: shape / mean, dispersion };
    PerScale { five_minutes: of(per_window), hour: of(12.0 * per_window) }
}

/// Share of windows, of agents drawn from the prior, that end with at least so many bits: at 2, 4, … 10.
fn exceedances(per_window: f64, dispersion: f64, agents: u32, windows: i64) -> [f64; 5] {
    let priors = priors(per_window, 3.0, dispersion.max(1e-4));
    let mut random = ChaCha8Rng::seed_from_u64(17);
    let mut above = [0u32; 5];
    let mut judged = 0u32;
    for _ in 0..agents {
        let own = per_window * Gamma::new(3.0, 1.0 / 3.0).unwrap().sample(&mut random);
        let mut rate = Rate::born(0);
        for window in 0..windows {
            let swing = if dispersion > 0.0 {
                Gamma::new(1.0 / dispersion, dispersion).unwrap().sample(&mut random)
            } else {
                1.0
            };
            let count: f64 = Poisson::new((own * swing).max(1e-9)).unwrap().sample(&mut random);
            rate.count(window * WINDOW_MS, count as u32, &priors);
            // A window without events judges nothing.
            let bits = if count > 0.0 { judge(&priors, &rate).bits } else { 0.0 };
            judged += 1;
            for (above, k) in above.iter_mut().zip([2.0, 4.0, 6.0, 8.0, 10.0]) {
                *above += u32::from(bits >= k);
            }
        }
    }
    above.map(|n| f64::from(n) / f64::from(judged))
}

#[test]
fn a_poisson_agent_of_any_rate_has_k_bits_in_at_most_one_of_two_to_the_k_windows() {
    for rate in [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0] {
        let shares = exceedances(rate, 0.0, 120, 400);
        for (share, k) in shares.into_iter().zip([2, 4, 6, 8, 10]) {
            assert!(share <= 0.5f64.powi(k), "rate {rate}: {share} of windows with {k} bits");
        }
    }
}

#[test]
fn an_agent_whose_windows_differ_has_k_bits_in_at_most_one_of_two_to_the_k_windows() {
    for (rate, dispersion) in [(0.2, 1.0), (5.0, 0.5), (50.0, 2.0)] {
        let shares = exceedances(rate, dispersion, 120, 400);
        for (share, k) in shares.into_iter().zip([2, 4, 6, 8, 10]) {
            assert!(share <= 0.5f64.powi(k), "rate {rate}, {dispersion}: {share} of windows with {k} bits");
        }
    }
}

#[test]
fn agents_more_various_than_their_prior_would_be_noticed() {
    // The same agents, judged as if their windows did not differ.
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (priors, swing) = (priors(50.0, 3.0, 1e-4), Gamma::new(0.5, 2.0).unwrap());
    let mut rate = Rate::born(0);
    let mut above = 0;
    for window in 0..2000 {
        let count: f64 =
            Poisson::new(50.0 * f64::max(swing.sample(&mut random), 1e-9)).unwrap().sample(&mut random);
        rate.count(window * WINDOW_MS, count as u32, &priors);
        above += i32::from(judge(&priors, &rate).bits >= 10.0);
    }
    assert!(above > 100, "{above}");
}

#[test]
fn a_burst_is_seen_in_a_mature_agent() {
    for per_window in [1.0, 10.0, 200.0] {
        let priors = priors(per_window, 3.0, 0.1);
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let mut rate = Rate::born(0);
        for window in 0..2000 {
            let count: f64 = Poisson::new(per_window).unwrap().sample(&mut random);
            rate.count(window * WINDOW_MS, count as u32, &priors);
        }
        rate.count(2000 * WINDOW_MS, (10.0 * per_window) as u32, &priors);
        let judged = judge(&priors, &rate);
        assert!(judged.bits > 12.0, "{per_window}: {judged:?}");
    }
}

#[test]
fn an_agent_that_is_bad_from_birth_is_seen_within_six_hours() {
    // Eight honest agents of a type teach what is usual; they differ by a factor of two or so.
    let mut random = ChaCha8Rng::seed_from_u64(6);
    let mut moments: PerScale<Moments> = PerScale::default();
    for _ in 0..8 {
        let own: f64 = 3.0 * Gamma::new(4.0, 0.25).unwrap().sample(&mut random);
        let mut rate = Rate::born(0);
        for window in 0..=5 * 288 {
            let count: f64 = Poisson::new(own).unwrap().sample(&mut random);
            if let Some(vote) = rate.count(window * WINDOW_MS, count as u32, &SHIPPED) {
                for scale in Scale::ALL {
                    moments.of_mut(scale).add(vote.of(scale), SHIPPED.of(scale).dispersion);
                }
            }
        }
    }
    let priors = PerScale {
        five_minutes: moments.five_minutes.prior(8.0, &SHIPPED.five_minutes),
        hour: moments.hour.prior(8.0, &SHIPPED.hour),
    };
    let highest = |per_window: f64| {
        let mut random = ChaCha8Rng::seed_from_u64(8);
        let mut rate = Rate::born(0);
        let mut highest = 0.0f64;
        for window in 0..6 * 12 {
            let count: f64 = Poisson::new(per_window).unwrap().sample(&mut random);
            rate.count(window * WINDOW_MS, count as u32, &priors);
            highest = highest.max(judge(&priors, &rate).bits);
        }
        highest
    };
    assert!(highest(30.0) >= 10.0, "{} {priors:?}", highest(30.0));
    assert!(highest(3.0) < 4.0, "one of its peers: {}", highest(3.0));
}

#[test]
fn the_first_agent_of_a_new_installation_may_be_busy() {
    let mut rate = Rate::born(0);
    rate.count(0, 1000, &SHIPPED);
    assert!(judge(&SHIPPED, &rate).bits < 1.0, "{:?}", judge(&SHIPPED, &rate));
}

#[test]
fn a_usual_window_costs_no_bits() {
    let priors = priors(10.0, 3.0, 0.1);
    let mut rate = Rate::born(0);
    rate.count(0, 9, &priors);
    let judged = judge(&priors, &rate);
    assert_eq!((judged.bits, rate.observed(Scale::Hour)), (0.0, 9.0));
    assert_eq!(rate.expected(Scale::FiveMinutes, priors.of(Scale::FiveMinutes)).mean(), 15.0);
}

#[test]
fn a_judgement_is_told_in_one_sentence() {
    let priors = priors(11.0, 5.0, 0.05);
    let mut rate = Rate::born(0);
    for window in 0..1000 {
        rate.count(window * WINDOW_MS, 14, &priors);
    }
    rate.count(1000 * WINDOW_MS, 212, &priors);
    let judged = judge(&priors, &rate);
    let mut habits = Habits { rate_priors: priors, ..Habits::default() };
    let unknown = explain(&judged, &habits, 7.0, &rate);
    assert_eq!(unknown.sentence, "212 calls in 5 minutes; 14 are usual for it, not known yet for its type");
    assert_eq!(unknown.expected_of_type, None);

    let vote =
        Vote { rate: 11.0, exposure: 288.0, windows: 288.0, sum: 11.0 * 288.0, squares: 121.0 * 288.0 };
    (0..5).for_each(|_| habits.rates.of_mut(Scale::FiveMinutes).add(&vote, 1.0));
    let told = explain(&judged, &habits, 5.0, &rate);
    assert_eq!(told.sentence, "212 calls in 5 minutes; 14 are usual for it, 11 for its type");
    assert_eq!(explain(&judged, &habits, 4.0, &rate).expected_of_type, None);

    rate.count(1001 * WINDOW_MS, 1, &priors);
    let told = explain(&judge(&priors, &rate), &habits, 5.0, &rate);
    assert!(told.sentence.starts_with("213 calls in 10 minutes; 28 are usual"), "{}", told.sentence);
}

#[test]
fn a_silence_is_told_in_one_sentence() {
    let silence = crate::baseline::rate::Silence { hours: 7, expected: 84.2, bits: 20.0 };
    assert_eq!(explain_silence(&silence), "nothing for 7 hours, in which 84 calls are usual for it");
}
