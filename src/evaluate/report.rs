//! The report: all figures of an evaluation.
//!
//! Knows rows of units. Must not know the engine.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Plan, UnitRow, measures};
use crate::finding::Family;

/// Shares of false alarms at which hits are told.
const LEVELS: [(&str, f64); 2] = [("0.01", 0.01), ("0.05", 0.05)];

/// All figures.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Normal and positive units.
    pub units: usize,
    /// Positive units.
    pub positives: usize,
    /// Units by label, those that do not count too.
    pub labels: BTreeMap<String, usize>,
    /// Area under the curve of the score.
    pub auc: Option<f64>,
    /// Share of positives found at a share of false alarms.
    pub tpr_at_fpr: BTreeMap<&'static str, f64>,
    /// Share of normal units whose p is at or below a nominal level.
    pub fpr_at_nominal: BTreeMap<&'static str, f64>,
    /// AUC over pairs of equal type and length.
    pub length_matched_auc: Option<f64>,
    /// What trivial rules reach.
    pub controls: BTreeMap<&'static str, Control>,
    /// What each family reaches alone.
    pub families: BTreeMap<&'static str, FamilyReport>,
    /// Calls from exposure to alarm, at the 5 % threshold.
    pub calls_to_alarm: Delay,
}

/// What a trivial rule reaches.
#[derive(Clone, Debug, Serialize)]
pub struct Control {
    /// Area under the curve.
    pub auc: Option<f64>,
    /// Share of positives found at a share of false alarms.
    pub tpr_at_fpr: BTreeMap<&'static str, f64>,
}

/// What one family reaches alone.
#[derive(Clone, Debug, Serialize)]
pub struct FamilyReport {
    /// Area under the curve of its p.
    pub auc: Option<f64>,
}

/// Calls from exposure to alarm.
#[derive(Clone, Debug, Serialize)]
pub struct Delay {
    /// Median; none (infinite) where most positives never alarm.
    pub median: Option<f64>,
    /// Share alarmed within three calls.
    pub within_3: f64,
    /// Positives never exposed, counted apart.
    pub never_exposed: usize,
    /// Positives alarmed before exposure, counted apart.
    pub early: usize,
}

/// Computes all figures and notes in each row at which call it alarmed at the 5 % threshold.
pub fn report(plan: &Plan, rows: &mut [UnitRow]) -> Report {
    let is_positive = |row: &UnitRow| plan.positive.is_match(&row.label);
    let is_normal = |row: &UnitRow| !is_positive(row) && plan.normal.is_match(&row.label);
    let split = |value: &dyn Fn(&UnitRow) -> f64| {
        let of =
            |keep: &dyn Fn(&UnitRow) -> bool| rows.iter().filter(|r| keep(r)).map(value).collect::<Vec<_>>();
        (of(&is_normal), of(&is_positive))
    };
    let hits = |normal: &[f64], positive: &[f64]| {
        LEVELS
            .iter()
            .map(|&(name, level)| (name, measures::share_above(positive, measures::threshold(normal, level))))
            .collect()
    };
    let (normal, positive) = split(&|r| r.score);
    let at_nominal = |level: f64| {
        let normals: Vec<_> = rows.iter().filter(|r| is_normal(r)).collect();
        normals.iter().filter(|r| r.p <= level).count() as f64 / (normals.len() as f64).max(1.0)
    };
    let matched = |keep: &dyn Fn(&UnitRow) -> bool| {
        rows.iter().filter(|r| keep(r)).map(|r| (r.agent_type.as_str(), r.calls, r.score)).collect::<Vec<_>>()
    };
    let names: Vec<&str> =
        rows.first().map(|r| r.controls.named().map(|(n, _)| n).to_vec()).unwrap_or_default();
    let controls = names
        .into_iter()
        .map(|name| {
            let of =
                |r: &UnitRow| r.controls.named().iter().find(|(n, _)| *n == name).map_or(0.0, |(_, v)| *v);
            let (normal, positive) = split(&of);
            (name, Control { auc: measures::auc(&normal, &positive), tpr_at_fpr: hits(&normal, &positive) })
        })
        .collect();
    let families = Family::ALL
        .into_iter()
        .map(|family| {
            let of = |r: &UnitRow| -r.families.get(family as usize).copied().unwrap_or(1.0).ln();
            let (normal, positive) = split(&of);
            (family.name(), FamilyReport { auc: measures::auc(&normal, &positive) })
        })
        .collect();
    let mut labels = BTreeMap::new();
    for row in rows.iter() {
        *labels.entry(row.label.clone()).or_insert(0) += 1;
    }
    let limit = measures::threshold(&normal, 0.05);
    let length_matched_auc = measures::length_matched_auc(&matched(&is_normal), &matched(&is_positive));
    let fpr_at_nominal = LEVELS.iter().map(|&(name, level)| (name, at_nominal(level))).collect();
    for row in rows.iter_mut() {
        row.alarm_call = row.trajectory.iter().find(|(_, score)| *score > limit).map(|(call, _)| *call);
    }
    let waits: Vec<_> =
        rows.iter().filter(|r| is_positive(r)).map(|r| (r.first_exposed_call, r.alarm_call)).collect();
    let delays = measures::delays(&waits);
    Report {
        units: normal.len() + positive.len(),
        positives: positive.len(),
        labels,
        auc: measures::auc(&normal, &positive),
        tpr_at_fpr: hits(&normal, &positive),
        fpr_at_nominal,
        length_matched_auc,
        controls,
        families,
        calls_to_alarm: Delay {
            median: delays.median.is_finite().then_some(delays.median),
            within_3: delays.within_3,
            never_exposed: delays.never_exposed,
            early: delays.early,
        },
    }
}
