//! Calibration as a property: quiet units give uniform p-values, whatever their lengths; and its two bounds.

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, Geometric};

use super::*;

/// The stage of the n-th event, from 1: as units count it.
fn stage_of(event: u32) -> usize {
    ((event + 3).ilog2() as usize - 2).min(STAGES - 1)
}

/// A unit's surprise, call by call: of heavy-tailed length, with exponential bits.
fn unit(rng: &mut ChaCha8Rng) -> Vec<f64> {
    let calls = 1 + Geometric::new(0.08).unwrap().sample(rng).min(400);
    let calls = if rng.random_bool(0.02) { calls * 10 } else { calls };
    (0..calls)
        .map(|_| {
            let bits: f64 = Exp1.sample(rng);
            4.0 * bits
        })
        .collect()
}

fn learned(units: usize, seed: u64) -> Peaks {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut peaks = Peaks::default();
    for _ in 0..units {
        let mut cells: Vec<u8> = Vec::new();
        for (bits, event) in unit(&mut rng).into_iter().zip(1..) {
            let stage = stage_of(event);
            cells.resize(cells.len().max(stage + 1), 0);
            cells[stage] = cells[stage].max(cell_of(bits));
        }
        peaks.families[Family::CallContent as usize].add(&cells);
    }
    peaks
}

/// Shares of quiet units with p ≤ .05 and ≤ .01: all units, and the longest tenth of them.
fn false_alarms(p: impl Fn(usize, f64) -> f64, units: usize) -> [(f64, f64); 2] {
    let mut rng = ChaCha8Rng::seed_from_u64(77);
    let mut all: Vec<(usize, f64)> = (0..units)
        .map(|_| {
            let unit = unit(&mut rng);
            let least =
                unit.iter().zip(1..).map(|(&bits, event)| p(stage_of(event), bits)).fold(1.0, f64::min);
            (unit.len(), least)
        })
        .collect();
    all.sort_by_key(|(calls, _)| std::cmp::Reverse(*calls));
    let share = |of: &[(usize, f64)], level: f64| {
        of.iter().filter(|(_, p)| *p <= level).count() as f64 / of.len() as f64
    };
    let longest = &all[..units / 10];
    [(share(&all, 0.05), share(&all, 0.01)), (share(longest, 0.05), share(longest, 0.01))]
}

#[test]
fn quiet_units_alarm_as_often_as_promised_and_long_ones_too() {
    let peaks = learned(4_000, 1);
    let fleet = FleetCalibration::new([&peaks].into_iter(), &Peaks::default());
    let calibration = Calibration::new(Some(&peaks), &fleet);
    let p = |stage, bits| calibration.peak_p(Family::CallContent, stage, bits);
    let [all, longest] = false_alarms(p, 4_000);
    assert!(all.0 <= 0.06 && all.1 <= 0.015, "{all:?}");
    assert!(longest.0 <= 0.15 && longest.1 <= 0.04, "{longest:?}");
    // Negative control: asked call by call, without stages and their prices, most long units alarm.
    let naive = |_, bits: f64| (-bits / 4.0).exp();
    let [_, longest] = false_alarms(naive, 4_000);
    assert!(longest.0 > 0.5, "{longest:?}");
}

#[test]
fn the_stages_spend_the_budget_once() {
    let peaks = learned(500, 2);
    let shares = stage_shares(&peaks.families[0], &prior_shares(), STAGE_WEIGHT);
    for first in [0, 3, 4] {
        let mut reach = 0.0;
        let mut spent = 0.0;
        for (share, price) in shares.iter().zip(prices(&shares, first)).skip(first).rev() {
            reach += share;
            spent += reach / price; // π_k
        }
        let reached: f64 = shares.iter().skip(first).sum();
        assert!((reach - reached).abs() < 1e-9 && (spent - 1.0).abs() < 1e-9, "{first}: {reach} {spent}");
    }
}

#[test]
fn a_family_that_speaks_late_does_not_pay_for_the_time_before() {
    let peaks = learned(500, 2);
    let shares = stage_shares(&peaks.families[0], &prior_shares(), STAGE_WEIGHT);
    let (early, late) = (prices(&shares, 0), prices(&shares, 4));
    assert!(late[4] < early[4] / 3.0, "{late:?} {early:?}");
}

#[test]
fn where_nothing_ever_happens_a_little_surprise_is_no_alarm() {
    let mut quiet = Peaks::default();
    (0..5_000).for_each(|_| quiet.families[Family::CallContent as usize].add(&[0]));
    let fleet = FleetCalibration::new([&quiet].into_iter(), &Peaks::default());
    let calibration = Calibration::new(Some(&quiet), &fleet);
    let p = |bits| calibration.peak_p(Family::CallContent, 0, bits);
    assert!(p(0.2) > 0.7 && p(1.0) >= 0.25, "{} {}", p(0.2), p(1.0));
    assert!(p(12.0) < 0.001, "{}", p(12.0));
}

#[test]
fn with_nothing_learned_and_nothing_shipped_nothing_alarms() {
    let fleet = FleetCalibration::new(std::iter::empty(), &Peaks::default());
    let calibration = Calibration::new(None, &fleet);
    assert_eq!(calibration.peak_p(Family::CallContent, 3, 500.0), 1.0);
    assert_eq!(calibration.evidence_p(0, 500.0, 0.0), 1.0);
}

proptest! {
    #[test]
    fn more_bits_are_never_more_probable(a in 0.0f64..60.0, more in 0.0f64..20.0, stage in 0usize..STAGES) {
        let peaks = learned(300, 3);
        let fleet = FleetCalibration::new([&peaks].into_iter(), &Peaks::default());
        let calibration = Calibration::new(Some(&peaks), &fleet);
        for family in Family::ALL {
            let (low, high) = (calibration.peak_p(family, stage, a), calibration.peak_p(family, stage, a + more));
            prop_assert!(high <= low + 1e-12 && high > 0.0 && low <= 1.0, "{family:?}: p({a}) = {low}, p({}) = {high}", a + more);
        }
    }
}

#[test]
fn two_sides_that_are_a_little_odd_together_are_less_probable_than_either() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut peaks = Peaks::default();
    for _ in 0..20_000 {
        let (one, other): (f64, f64) = (rng.random(), rng.random());
        peaks.evidence[2].add(cell_of(-one.log2() - other.log2()));
    }
    let fleet = FleetCalibration::new([&peaks].into_iter(), &Peaks::default());
    let calibration = Calibration::new(Some(&peaks), &fleet);
    let together = |one: f64, other: f64| calibration.joint_p(-one.log2() - other.log2());
    assert!(together(1e-3, 1e-3) < 1e-4, "{}", together(1e-3, 1e-3));
    // Both are independent here: Fisher's law, q(1 − ln q), is the truth.
    for q in [0.1f64, 0.01, 0.001] {
        let (measured, truth) = (together(q, 1.0), q * (1.0 - q.ln()));
        assert!((measured / truth).ln().abs() < 0.2, "{q}: {measured} {truth}");
    }
}
