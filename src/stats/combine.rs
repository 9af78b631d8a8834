//! Several p-values into one: the weighted harmonic mean.
//!
//! Knows p-values. Must not know which detectors they come from.

/// The combined evidence of several p-values, and each one's part in it.
///
/// * `terms`: (weight, p) pairs; weights ≥ 0, p in (0, 1].
///
/// Returns bits, log2 Σ wᵢ/pᵢ. With weights that sum to one it is 0 when every p is 1, and −log2 of the
/// harmonic mean of the p-values otherwise: an OR with a split budget. A p of 1 does no harm.
///
/// # Formula
///
/// Wilson, *The harmonic mean p-value for combining dependent tests*, PNAS 116(4), 2019, eq. 1. It is used
/// here as a statistic that is calibrated again, so that its own null distribution does not matter.
pub fn harmonic_bits(terms: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    let sum: f64 = terms.into_iter().map(|(w, p)| w / p.max(f64::MIN_POSITIVE)).sum();
    if sum > 0.0 { sum.log2().max(0.0) } else { 0.0 }
}

/// Each term's share of the combined evidence: (wᵢ/pᵢ)/Σ. They sum to one.
pub fn shares(terms: &[(f64, f64)]) -> Vec<f64> {
    let parts: Vec<f64> = terms.iter().map(|(w, p)| w / p.max(f64::MIN_POSITIVE)).collect();
    let sum: f64 = parts.iter().sum();
    parts.iter().map(|part| if sum > 0.0 { part / sum } else { 0.0 }).collect()
}
