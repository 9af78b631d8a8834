//! Several p-values into one: the weighted harmonic mean.
//!
//! Knows p-values. Must not know which detectors they come from.

/// p-values are not taken below this, so that sums of w/p stay finite.
const SMALLEST_P: f64 = 1e-300;
/// Weights are not taken above this, for the same reason.
const LARGEST_WEIGHT: f64 = 1e6;

/// The combined evidence of several p-values, and each one's part in it.
///
/// * `terms`: (weight, p) pairs; weights in [0, 10⁶], p in (0, 1].
///
/// Returns bits, log2 Σ wᵢ/pᵢ. With weights that sum to one it is 0 when every p is 1, and −log2 of the
/// harmonic mean of the p-values otherwise: an OR with a split budget. A p of 1 does no harm. What is no
/// number is no evidence: such a p counts as 1, such a weight as 0.
///
/// # Formula
///
/// Wilson, *The harmonic mean p-value for combining dependent tests*, PNAS 116(4), 2019, eq. 1. It is used
/// here as a statistic that is calibrated again, so that its own null distribution does not matter.
pub fn harmonic_bits(terms: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    let sum: f64 = terms.into_iter().map(term).sum();
    if sum > 0.0 { sum.log2().max(0.0) } else { 0.0 }
}

/// Each term's share of the combined evidence: (wᵢ/pᵢ)/Σ. They sum to one; all zero when every weight is.
pub fn shares(terms: &[(f64, f64)]) -> Vec<f64> {
    let parts: Vec<f64> = terms.iter().copied().map(term).collect();
    let sum: f64 = parts.iter().sum();
    parts.iter().map(|part| if sum > 0.0 { part / sum } else { 0.0 }).collect()
}

/// w/p, always finite and ≥ 0.
fn term((weight, p): (f64, f64)) -> f64 {
    let weight = if weight > 0.0 { weight.min(LARGEST_WEIGHT) } else { 0.0 };
    let p = if p < 1.0 { p.max(SMALLEST_P) } else { 1.0 };
    weight / p
}
