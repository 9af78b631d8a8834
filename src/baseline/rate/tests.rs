//! What an agent is used to, against a twin that keeps every window; lazy against step by step; votes; silence.

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson};

use super::*;
use crate::stats::rate::Moments;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn priors(mean_per_hour: f64) -> PerScale<Prior> {
    let of = |mean: f64| Prior { shape: 2.0, exposure: 2.0 / mean, dispersion: 0.2 };
    PerScale { five_minutes: of(mean_per_hour / 12.0), hour: of(mean_per_hour) }
}

/// An agent that counts a Poisson number in every window for some days.
fn steady(per_window: f64, days: i64, seed: u64, priors: &PerScale<Prior>) -> Rate {
    let (mut random, law) = (ChaCha8Rng::seed_from_u64(seed), Poisson::new(per_window).unwrap());
    let mut rate = Rate::born(0);
    for window in 0..days * 288 {
        let count: f64 = law.sample(&mut random);
        rate.count(window * WINDOW_MS, count as u32, priors);
    }
    rate
}

/// The slow twin of one scale: every window's count, and how it is learned when it ends.
fn slow(counts: &[u32], prior: &Prior, half_life: f64) -> (f64, f64) {
    let (mut events, mut windows) = (0.0, 0.0);
    for &count in counts {
        let usual = ((events + prior.shape) / (windows + prior.exposure)).max(1.0);
        let left = 0.5f64.powf(1.0 / half_life);
        events = events * left + f64::from(count).min(3.0 * usual + 3.0);
        windows = windows * left + 1.0;
    }
    (events, windows)
}

fn alike(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * a.abs().max(b.abs()) + 1e-6
}

proptest! {
    #[test]
    fn one_step_over_many_empty_windows_is_many_steps_over_one(start in 0..400i32, counts in prop::collection::vec(0..50u32, 1..40), gap in 1..5000i32) {
        let priors = priors(30.0);
        let mut lazy = Rate::born(i64::from(start) * WINDOW_MS);
        for (window, &count) in (start..).zip(&counts) {
            lazy.count(i64::from(window) * WINDOW_MS, count, &priors);
        }
        let mut stepwise = lazy.clone();
        let from = lazy.window;
        lazy.advance(from + gap, &priors);
        for window in from..from + gap {
            stepwise.advance(window + 1, &priors);
        }
        for scale in Scale::ALL {
            let (a, b) = (lazy.per_window(scale, priors.of(scale)), stepwise.per_window(scale, priors.of(scale)));
            prop_assert!(alike(a.mean(), b.mean(), 1e-4) && alike(a.size(), b.size(), 1e-4), "{:?} {:?}", a, b);
            prop_assert_eq!(lazy.counts(scale), stepwise.counts(scale));
            let (a, b) = (lazy.counts.of(scale), stepwise.counts.of(scale));
            prop_assert!(alike(a.day_sum.into(), b.day_sum.into(), 1e-4));
            prop_assert!(alike(a.day_squares.into(), b.day_squares.into(), 1e-4));
        }
    }

    #[test]
    fn what_is_learned_is_what_a_twin_learns_that_keeps_every_window(hours in prop::collection::vec(prop::collection::vec(0..30u32, 12), 1..60)) {
        let priors = priors(30.0);
        let mut rate = Rate::born(0);
        let windows = hours.concat();
        for (window, &count) in (0i64..).zip(&windows) {
            rate.count(window * WINDOW_MS, count, &priors);
        }
        rate.advance(i32::try_from(windows.len()).unwrap(), &priors);
        let hourly: Vec<u32> = hours.iter().map(|hour| hour.iter().sum()).collect();
        let twins = [slow(&windows, &priors.five_minutes, HALF_LIFE), slow(&hourly, &priors.hour, HALF_LIFE / 12.0)];
        for (scale, (events, exposure)) in Scale::ALL.into_iter().zip(twins) {
            prop_assert!(alike(rate.exposure(scale), exposure, 2e-3), "{} {}", rate.exposure(scale), exposure);
            prop_assert!(alike(rate.counts.of(scale).learned.into(), events, 2e-3), "{:?} {}", rate, events);
        }
    }

    #[test]
    fn no_order_of_times_hurts(times in prop::collection::vec((any::<i64>(), any::<u32>()), 1..60)) {
        let priors = priors(30.0);
        let mut rate = Rate::born(times[0].0);
        for (time, count) in times {
            if let Some(vote) = rate.count(time, count, &priors) {
                prop_assert!(vote.hour.rate.is_finite() && vote.five_minutes.squares.is_finite());
            }
            for scale in Scale::ALL {
                let law = rate.expected(scale, priors.of(scale));
                prop_assert!(law.mean().is_finite() && law.mean() > 0.0 && law.size() > 0.0);
            }
            prop_assert!(rate.silence(time, &priors.hour).is_none_or(|s| s.bits.is_finite()));
        }
    }

    #[test]
    fn state_survives_being_written_and_read(counts in prop::collection::vec((0..1000i64, 0..50u32), 1..40)) {
        let priors = priors(30.0);
        let mut rate = Rate::born(0);
        for (window, count) in counts {
            rate.count(window * WINDOW_MS, count, &priors);
        }
        let text = serde_json::to_string(&rate).unwrap();
        prop_assert_eq!(serde_json::from_str::<Rate>(&text).unwrap(), rate);
    }
}

#[test]
fn an_agents_counts_take_forty_eight_bytes() {
    assert!(size_of::<Rate>() <= 48, "{}", size_of::<Rate>());
}

#[test]
fn the_rate_of_a_steady_agent_is_learned_at_both_scales() {
    for per_window in [0.05, 2.0, 300.0] {
        let priors = priors(1.0);
        let rate = steady(per_window, 20, 5, &priors);
        let five = rate.per_window(Scale::FiveMinutes, &priors.five_minutes).mean();
        let hour = rate.per_window(Scale::Hour, &priors.hour).mean();
        assert!((five / per_window - 1.0).abs() < 0.12, "{five} for {per_window}");
        assert!((hour / per_window / 12.0 - 1.0).abs() < 0.12, "{hour} for {per_window}");
    }
}

#[test]
fn a_single_burst_teaches_next_to_nothing() {
    let priors = priors(24.0);
    let (calm, mut burst) = (steady(2.0, 10, 5, &priors), steady(2.0, 10, 5, &priors));
    burst.count(10 * DAY_MS, 1_000_000, &priors);
    burst.count(10 * DAY_MS + HOUR_MS, 1, &priors);
    let usual = |rate: &Rate| rate.per_window(Scale::Hour, &priors.hour).mean();
    assert!(usual(&burst) < 1.02 * usual(&calm), "{} {}", usual(&burst), usual(&calm));
}

#[test]
fn half_of_the_window_before_is_carried() {
    let priors = priors(24.0);
    let mut rate = Rate::born(0);
    rate.count(0, 10, &priors);
    rate.count(WINDOW_MS, 4, &priors);
    assert_eq!(rate.observed(Scale::FiveMinutes), 9.0);
    assert_eq!(rate.observed(Scale::Hour), 14.0);
    rate.count(3 * WINDOW_MS, 1, &priors);
    assert_eq!(rate.observed(Scale::FiveMinutes), 1.0, "an empty window lies between");
}

#[test]
fn a_late_event_counts_into_the_running_window() {
    let priors = priors(24.0);
    let mut rate = Rate::born(0);
    rate.count(100 * WINDOW_MS, 1, &priors);
    let before = rate.clone();
    assert_eq!(rate.count(3 * WINDOW_MS, 2, &priors), None);
    assert_eq!(rate.counts(Scale::FiveMinutes).0, 3);
    assert_eq!((rate.window, rate.exposure), (before.window, before.exposure));
}

#[test]
fn an_agent_votes_once_for_a_day_and_not_for_idle_ones() {
    let priors = priors(24.0);
    let mut rate = Rate::born(0);
    let mut votes = 0;
    for window in 0..288 {
        votes += i32::from(rate.count(window * WINDOW_MS, 2, &priors).is_some());
    }
    assert_eq!(votes, 0, "the day is not over");
    let vote = rate.vote(DAY_MS, &priors).unwrap();
    assert!((vote.five_minutes.rate - 2.0).abs() < 1e-3 && (vote.hour.rate - 24.0).abs() < 0.1, "{vote:?}");
    assert!((vote.five_minutes.windows - 288.0).abs() < 0.5 && (vote.hour.windows - 24.0).abs() < 0.1);
    assert_eq!((vote.five_minutes.sum, vote.hour.sum), (576.0, 576.0));
    assert_eq!((vote.five_minutes.squares, vote.hour.squares), (1152.0, 24.0 * 576.0));
    assert_eq!(rate.vote(DAY_MS, &priors), None);
    assert_eq!(rate.count(5 * DAY_MS, 1, &priors), None, "idle days say nothing");
    assert!(rate.count(6 * DAY_MS, 1, &priors).is_some());
}

#[test]
fn whether_a_day_is_ended_early_or_by_the_next_event_leaves_no_trace() {
    let priors = priors(24.0);
    let mut early = steady(2.0, 3, 9, &priors);
    let mut late = early.clone();
    let vote = early.vote(3 * DAY_MS + HOUR_MS, &priors);
    assert_eq!(early.count(4 * DAY_MS, 7, &priors), None);
    assert_eq!(late.count(4 * DAY_MS, 7, &priors), vote);
    assert_eq!(early, late);
}

#[test]
fn a_steady_agents_votes_have_no_dispersion_and_a_bursty_ones_have() {
    let priors = priors(24.0);
    let spread = |bursts: u32| {
        let (mut moments, mut random) = (Moments::default(), ChaCha8Rng::seed_from_u64(4));
        let law = Poisson::new(f64::from(4 * bursts)).unwrap();
        for _ in 0..20 {
            let mut rate = Rate::born(0);
            for window in 0..5 * 288 {
                let events: f64 = if window % bursts == 0 { law.sample(&mut random) } else { 0.0 };
                if let Some(vote) = rate.count(i64::from(window) * WINDOW_MS, events as u32, &priors) {
                    moments.add(&vote.five_minutes, 0.2);
                }
            }
        }
        moments.prior(20.0, &priors.five_minutes).dispersion
    };
    assert!(spread(1) < 0.05, "{}", spread(1));
    // Every third window is three times the mean: relative variance 2.
    assert!((spread(3) - 2.0).abs() < 0.4, "{}", spread(3));
}

#[test]
fn a_busy_agent_that_stops_becomes_conspicuous_hour_by_hour() {
    let priors = priors(24.0);
    let rate = steady(2.0, 10, 5, &priors);
    let end = 10 * DAY_MS;
    let after = |hours: i64| rate.silence(end + hours * HOUR_MS, &priors.hour).map_or(0.0, |s| s.bits);
    assert_eq!(after(0), 0.0, "the hour of its last event is over, none is empty");
    assert!(after(1) > 8.0 && after(4) > after(1) + 4.0, "{} {}", after(1), after(4));
    let silence = rate.silence(end + 4 * HOUR_MS, &priors.hour).unwrap();
    assert_eq!(silence.hours, 4);
    assert!((silence.expected / 96.0 - 1.0).abs() < 0.1, "{silence:?}");
}

#[test]
fn silence_of_a_rare_a_young_or_a_living_agent_is_no_news() {
    let priors = priors(24.0);
    let rare = steady(0.005, 20, 5, &priors);
    assert_eq!(rare.silence(20 * DAY_MS + 10 * HOUR_MS, &priors.hour), None, "less than three are missing");
    let mut young = Rate::born(0);
    young.count(0, 500, &priors);
    assert_eq!(young.silence(DAY_MS, &priors.hour), None);
    let living = steady(2.0, 10, 5, &priors);
    assert_eq!(living.silence(10 * DAY_MS - 1, &priors.hour), None);
}

#[test]
fn a_silence_goes_on_after_the_day_was_ended() {
    let priors = priors(24.0);
    let mut rate = steady(2.0, 10, 5, &priors);
    rate.vote(10 * DAY_MS, &priors);
    let silence = rate.silence(10 * DAY_MS + 5 * HOUR_MS, &priors.hour).unwrap();
    assert!(silence.hours == 5 && silence.bits > 12.0, "{silence:?}");
}

#[test]
fn what_is_discounted_keeps_its_rate_and_gives_way_sooner() {
    let prior = Prior { shape: 1.0, exposure: 0.5, dispersion: 0.2 };
    let priors = PerScale { five_minutes: prior, hour: prior };
    let lived = || {
        let mut rate = Rate::born(0);
        (0..240).for_each(|hour| _ = rate.count(hour * HOUR_MS, 24, &priors));
        rate
    };
    let (old, mut new) = (lived(), lived());
    new.discount(0.25);
    let mean = |rate: &Rate| rate.per_window(Scale::Hour, &prior).mean();
    assert!((mean(&old) / mean(&new) - 1.0).abs() < 0.05, "{} {}", mean(&old), mean(&new));
    let after = |mut rate: Rate| {
        (240..288).for_each(|hour| _ = rate.count(hour * HOUR_MS, 96, &priors));
        mean(&rate)
    };
    assert!(after(new) > after(old) + 10.0);
}
