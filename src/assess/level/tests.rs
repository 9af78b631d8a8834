//! Levels go up at once, down slowly, and never flap; scores add up.

use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;

fn finding(unit: u64, p: f64) -> Finding {
    Finding { unit, p, parts: [0.5, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0], kind: RiskEventType::AgentLoop, key: unit }
}

#[test]
fn a_single_finding_beyond_all_bounds_scores_as_much_as_one_may() {
    let mut risk = Risk::default();
    assert!(risk.score(0).0.is_sign_positive(), "0, not −0");
    risk.add(&finding(1, 1e-30), 0);
    let (score, reasons) = risk.score(0);
    assert!((score - 100.0 * 40.0 / 70.4).abs() < 0.05, "{score}");
    assert_eq!(reasons.len(), 2);
    for unit in 2..=5 {
        risk.add(&finding(unit, 1e-30), 0);
    }
    assert!((risk.score(0).0 - 100.0).abs() < 1e-9);
    assert!((risk.score(12 * HOUR_MS).0 - 50.0).abs() < 1e-9, "half-life of twelve hours");
}

#[test]
fn a_unit_counts_once_with_its_largest_value() {
    let mut risk = Risk::default();
    risk.add(&finding(1, 1e-3), 0);
    risk.add(&finding(1, 1e-6), MINUTE);
    risk.add(&finding(1, 1e-2), 2 * MINUTE);
    let mut once = Risk::default();
    once.add(&finding(1, 1e-6), MINUTE);
    assert_eq!(risk.score(HOUR_MS).0, once.score(HOUR_MS).0);
}

#[test]
fn levels_are_spent_from_the_same_budget() {
    let h = 1e-4;
    let of = |p, alerts, families: &[f64]| deserves(p, alerts, families, 1e-3, h, Criticality::Normal);
    assert_eq!(of(5e-3, false, &[1.0]), Level::None);
    assert_eq!(of(5e-4, false, &[1.0]), Level::Low);
    assert_eq!(of(5e-5, true, &[0.8, 0.2]), Level::Medium);
    assert_eq!(of(5e-5, true, &[0.6, 0.4]), Level::High, "two families say so");
    assert_eq!(of(h / 31.0, true, &[1.0]), Level::High);
    let critical = |p, of| deserves(p, true, &[1.0], 1e-3, h, of);
    assert_eq!(critical(h / 11.0, Criticality::High), Level::High);
    assert_eq!(critical(h / 31.0, Criticality::Low), Level::Medium);
}

#[test]
fn a_level_holds_and_steps_down_by_itself() {
    let (mut risk, mut alert) = (Risk::default(), Hold::default());
    alert.touch(Level::High, 0);
    assert_eq!(risk.settle([&alert], 0), Some(Level::None));
    assert_eq!(risk.due([&alert]), Some(24 * HOUR_MS));
    assert_eq!(risk.settle([&alert], 24 * HOUR_MS - 1), None);
    assert_eq!(risk.settle([&alert], 24 * HOUR_MS), Some(Level::High));
    assert_eq!(risk.level(), Level::None);
    assert_eq!(risk.due([&alert]), None);
}

#[test]
fn what_is_confirmed_does_not_fall_by_itself() {
    let mut risk = Risk { confirmed: true, ..Risk::default() };
    assert_eq!(risk.settle([], 0), Some(Level::None));
    assert_eq!(risk.due([]), None);
    assert_eq!(risk.settle([], 1000 * HOUR_MS), None);
    risk.clear();
    assert_eq!(risk.settle([], 1001 * HOUR_MS), Some(Level::High));
}

#[test]
fn what_a_person_declared_safe_is_safe_for_a_while() {
    let mut risk = Risk::default();
    risk.add(&finding(7, 1e-6), 0);
    risk.declare_safe(EventTime(0), EventTime(100));
    assert!(risk.is_safe(RiskEventType::AgentLoop, 7, EventTime(99)));
    assert!(!risk.is_safe(RiskEventType::AgentLoop, 7, EventTime(100)));
    assert!(!risk.is_safe(RiskEventType::AgentLoop, 8, EventTime(99)));
    assert!(!risk.is_safe(RiskEventType::MassEnumeration, 7, EventTime(99)));
}

#[test]
fn what_was_declared_safe_and_is_over_makes_room() {
    let mut risk = Risk::default();
    for unit in 0..=MOST_SAFE as u64 {
        risk.clear();
        risk.add(&finding(unit, 1e-6), 0);
        risk.declare_safe(EventTime(0), EventTime(100 + unit as i64));
    }
    let is_safe = |risk: &Risk, unit| risk.is_safe(RiskEventType::AgentLoop, unit, EventTime(1));
    assert!(is_safe(&risk, MOST_SAFE as u64), "the latest is never ignored");
    assert!(!is_safe(&risk, 0) && is_safe(&risk, 1), "what ends first has made room");
    risk.declare_safe(EventTime(10_000), EventTime(20_000));
    assert_eq!(risk.safe.len(), 1, "what is over is dropped");
}

/// What may happen to an agent: minutes that pass, then a finding of a level (0: only time passes), of one of two
/// alerts.
fn history() -> impl Strategy<Value = Vec<(i64, u8, bool)>> {
    prop::collection::vec((0..400i64, 0..4u8, any::<bool>()), 1..120)
}

/// Times at which the level changed. `guarded`: with the hold and the pause between steps down.
fn changes(history: &[(i64, u8, bool)], guarded: bool) -> Vec<i64> {
    let mut risk = Risk::default();
    let mut alerts = [Hold::default(); 2];
    let (mut now, mut changed) = (0, Vec::new());
    let look = |risk: &mut Risk, alerts: &[Hold; 2], now: i64, changed: &mut Vec<i64>| {
        if risk.settle(alerts, now).is_some() {
            changed.push(now);
        }
    };
    for (minutes, level, first) in history {
        let until = now + minutes * MINUTE;
        while let Some(due) = risk.due(&alerts).filter(|due| *due <= until) {
            look(&mut risk, &alerts, due, &mut changed);
        }
        now = until;
        if !guarded {
            (alerts, risk.low, risk.stepped_down) = ([Hold::default(); 2], Hold::default(), None);
            look(&mut risk, &alerts, now, &mut changed);
        }
        match level {
            1 => risk.hold_low(now),
            2 => alerts[usize::from(*first)].touch(Level::Medium, now),
            3 => alerts[usize::from(*first)].touch(Level::High, now),
            _ => {}
        }
        look(&mut risk, &alerts, now, &mut changed);
    }
    changed
}

fn most_in_an_hour(changes: &[i64]) -> usize {
    let in_hour = |from: &i64| changes.iter().filter(|t| (*from..*from + HOUR_MS).contains(*t)).count();
    changes.iter().map(in_hour).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_agent_changes_its_level_more_than_four_times_an_hour(history in history()) {
        prop_assert!(most_in_an_hour(&changes(&history, true)) <= 4);
    }

    #[test]
    fn the_points_of_the_detectors_sum_to_the_score(
        units in prop::collection::vec((0..9u64, 0.0..60.0f64, 0..48i64, prop::array::uniform7(0.0..1.0f32)), 0..20)
    ) {
        let mut risk = Risk::default();
        let mut now = 0;
        for (unit, bits, hours, mut parts) in units {
            now += hours * HOUR_MS;
            let sum: f32 = parts.iter().sum::<f32>().max(1e-3);
            parts.iter_mut().for_each(|part| *part /= sum);
            risk.add(&Finding { parts, ..finding(unit, (-bits).exp2()) }, now);
            let (score, reasons) = risk.score(now);
            prop_assert!((0.0..=100.0 + 1e-9).contains(&score));
            prop_assert!((reasons.iter().map(|r| r.points).sum::<f64>() - score).abs() < 1e-9);
        }
    }
}

#[test]
fn without_holds_and_pauses_a_level_flaps() {
    let history: Vec<_> = (0..30).map(|i| (5, if i % 2 == 0 { 3 } else { 0 }, true)).collect();
    assert!(most_in_an_hour(&changes(&history, false)) > 4);
    assert!(most_in_an_hour(&changes(&history, true)) <= 4);
}
