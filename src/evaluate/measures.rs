//! Figures over scored units: area under the curve, hits at a share of false alarms, delay.
//!
//! Knows scores and labels. Must not know how a score was made.

/// Area under the receiver operating characteristic: the probability that a positive scores higher than a
/// normal, ties counting half. In [0, 1]; none where either side is empty. O(n log n).
///
/// # Formula
///
/// Mann–Whitney U/(n₊·n₋) with mid-ranks (Hanley & McNeil, *Radiology* 143, 1982).
pub fn auc(normal: &[f64], positive: &[f64]) -> Option<f64> {
    if normal.is_empty() || positive.is_empty() {
        return None;
    }
    let mut all: Vec<(f64, bool)> =
        normal.iter().map(|&s| (s, false)).chain(positive.iter().map(|&s| (s, true))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins) = (0.0, 0.0);
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        let positives = group.iter().filter(|(_, positive)| *positive).count() as f64;
        let normals = group.len() as f64 - positives;
        wins += positives * (below + 0.5 * normals);
        below += normals;
    }
    Some(wins / (normal.len() as f64 * positive.len() as f64))
}

/// The lowest threshold that at most a share of normal units exceed: an alarm is a score *above* it. Ties of
/// normal units are never split. `f64::INFINITY` where there are none.
pub fn threshold(normal: &[f64], share: f64) -> f64 {
    let mut sorted = normal.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let allowed = (share * sorted.len() as f64 + 1e-9).floor() as usize;
    sorted.get(allowed).copied().unwrap_or(if normal.is_empty() { f64::INFINITY } else { f64::NEG_INFINITY })
}

/// Share of values above a threshold; 0 where there are none.
pub fn share_above(values: &[f64], threshold: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.iter().filter(|v| **v > threshold).count() as f64 / values.len() as f64
}

/// AUC over pairs of equal type and equal number of calls (from 30 on taken as 30): what is left when length says
/// nothing. Each item is (type, calls, score). None where no pair is equal.
pub fn length_matched_auc(normal: &[(&str, u32, f64)], positive: &[(&str, u32, f64)]) -> Option<f64> {
    use std::collections::BTreeMap;
    type Group = (Vec<f64>, Vec<f64>);
    let mut groups: BTreeMap<(&str, u32), Group> = BTreeMap::new();
    for (agent_type, calls, score) in normal {
        groups.entry((agent_type, (*calls).min(30))).or_default().0.push(*score);
    }
    for (agent_type, calls, score) in positive {
        groups.entry((agent_type, (*calls).min(30))).or_default().1.push(*score);
    }
    let (mut wins, mut pairs) = (0.0, 0.0);
    for (normals, positives) in groups.values() {
        let weight = (normals.len() * positives.len()) as f64;
        if let Some(auc) = auc(normals, positives) {
            wins += weight * auc;
            pairs += weight;
        }
    }
    (pairs > 0.0).then(|| wins / pairs)
}

/// Calls from exposure to alarm, 1 being the exposed call itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delays {
    /// Median over exposed units; infinite where most never alarm.
    pub median: f64,
    /// Share alarmed within three calls.
    pub within_3: f64,
    /// Units never exposed, counted apart.
    pub never_exposed: usize,
    /// Units alarmed before exposure, counted apart.
    pub early: usize,
}

/// Delays of units given as (first exposed call, alarm call).
pub fn delays(units: &[(Option<u32>, Option<u32>)]) -> Delays {
    let mut result = Delays::default();
    let mut waits = Vec::new();
    for unit in units {
        match unit {
            (None, _) => result.never_exposed += 1,
            (Some(exposed), Some(alarm)) if alarm < exposed => result.early += 1,
            (Some(exposed), Some(alarm)) => waits.push(f64::from(alarm - exposed + 1)),
            (Some(_), None) => waits.push(f64::INFINITY),
        }
    }
    waits.sort_by(f64::total_cmp);
    let middle = waits.len() / 2;
    result.median = match (waits.get(middle), middle.checked_sub(1).and_then(|i| waits.get(i))) {
        (Some(high), Some(low)) if waits.len().is_multiple_of(2) => 0.5 * (low + high),
        (Some(high), _) => *high,
        _ => f64::INFINITY,
    };
    if !waits.is_empty() {
        result.within_3 = waits.iter().filter(|w| **w <= 3.0).count() as f64 / waits.len() as f64;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ties_of_normal_units_are_never_split() {
        let normal = [5.0, 5.0, 5.0, 1.0];
        assert_eq!(threshold(&normal, 0.25), 5.0);
        assert_eq!(share_above(&normal, threshold(&normal, 0.25)), 0.0);
        assert_eq!(share_above(&[6.0, 5.0], threshold(&normal, 0.25)), 0.5);
        assert_eq!(threshold(&normal, 0.8), 1.0);
    }

    #[test]
    fn delays_count_from_the_exposed_call() {
        let units =
            [(Some(2), Some(2)), (Some(2), Some(5)), (Some(0), None), (None, Some(1)), (Some(4), Some(1))];
        let d = delays(&units);
        assert_eq!((d.median, d.never_exposed, d.early), (4.0, 1, 1));
        assert!((d.within_3 - 1.0 / 3.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn the_area_is_the_share_of_pairs_won(
            normal in prop::collection::vec(0u8..20, 1..40), positive in prop::collection::vec(0u8..20, 1..40)
        ) {
            let f = |v: &[u8]| v.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            let (normal, positive) = (f(&normal), f(&positive));
            let mut wins = 0.0;
            for p in &positive {
                for n in &normal {
                    wins += if p > n { 1.0 } else if p == n { 0.5 } else { 0.0 };
                }
            }
            let slow = wins / (normal.len() * positive.len()) as f64;
            prop_assert!((auc(&normal, &positive).unwrap() - slow).abs() < 1e-12);
        }
    }
}
