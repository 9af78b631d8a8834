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
pub fn shares(terms: &[(f64, f64)]) -> impl Iterator<Item = f64> {
    let sum: f64 = terms.iter().copied().map(term).sum();
    terms.iter().copied().map(move |one| if sum > 0.0 { term(one) / sum } else { 0.0 })
}

/// w/p, always finite and ≥ 0.
fn term((weight, p): (f64, f64)) -> f64 {
    let weight = if weight > 0.0 { weight.min(LARGEST_WEIGHT) } else { 0.0 };
    let p = if p < 1.0 { p.max(SMALLEST_P) } else { 1.0 };
    weight / p
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shares(terms: &[(f64, f64)]) -> Vec<f64> {
        super::shares(terms).collect()
    }

    fn terms() -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec((0.01..1.0f64, 1e-12..1.0f64), 1..9)
    }

    /// The slow twin: the weighted harmonic mean as it is taught, 1 / Σ wᵢ·(1/pᵢ) with weights that sum to one.
    fn harmonic_mean(terms: &[(f64, f64)]) -> f64 {
        let weights: f64 = terms.iter().map(|t| t.0).sum();
        let mut reciprocals = 0.0;
        for (weight, p) in terms {
            reciprocals += weight / weights * p.recip();
        }
        reciprocals.recip()
    }

    proptest! {
        #[test]
        fn bits_are_minus_the_logarithm_of_the_harmonic_mean(mut terms in terms()) {
            let slow = -harmonic_mean(&terms).log2();
            let weights: f64 = terms.iter().map(|t| t.0).sum();
            terms.iter_mut().for_each(|t| t.0 /= weights);
            prop_assert!((harmonic_bits(terms) - slow).abs() < 1e-9);
        }

        #[test]
        fn shares_sum_to_one_and_follow_their_terms(terms in terms()) {
            let shares = shares(&terms);
            prop_assert_eq!(shares.len(), terms.len());
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            for (one, a) in terms.iter().zip(&shares) {
                for (other, b) in terms.iter().zip(&shares) {
                    prop_assert!(one.0 / one.1 < other.0 / other.1 || a >= b);
                }
            }
        }

        #[test]
        fn a_smaller_p_never_lowers_the_evidence(terms in terms(), which in any::<prop::sample::Index>(), by in 0.0..1.0f64) {
            let mut stronger = terms.clone();
            let which = which.index(terms.len());
            stronger[which].1 *= by;
            prop_assert!(harmonic_bits(stronger.iter().copied()) >= harmonic_bits(terms.iter().copied()));
            prop_assert!(shares(&stronger)[which] >= shares(&terms)[which] - 1e-12);
        }

        #[test]
        fn the_order_of_terms_does_not_matter(terms in terms()) {
            let backwards: Vec<_> = terms.iter().rev().copied().collect();
            prop_assert!((harmonic_bits(backwards) - harmonic_bits(terms)).abs() < 1e-9);
        }

        #[test]
        fn no_value_is_too_bad(terms in prop::collection::vec((prop::num::f64::ANY, prop::num::f64::ANY), 0..9)) {
            prop_assert!(harmonic_bits(terms.iter().copied()).is_finite());
            let sum: f64 = shares(&terms).iter().sum();
            let weighty = terms.iter().any(|t| t.0 > 0.0);
            prop_assert!(if weighty { (sum - 1.0).abs() < 1e-9 } else { sum == 0.0 }, "{sum}");
        }
    }

    #[test]
    fn certainty_that_nothing_happened_is_no_evidence() {
        assert_eq!(harmonic_bits([(0.5, 1.0), (0.5, 1.0)]), 0.0);
        assert_eq!(harmonic_bits([]), 0.0);
        assert!(shares(&[]).is_empty());
    }

    #[test]
    fn what_is_no_number_is_no_evidence() {
        assert_eq!(harmonic_bits([(0.5, f64::NAN), (0.5, 1.0)]), 0.0);
        assert_eq!(shares(&[(1.0, f64::NAN), (f64::NAN, 1e-9)]), [1.0, 0.0]);
        let impossible = [(f64::INFINITY, 0.0); 20];
        assert!(harmonic_bits(impossible).is_finite());
        assert!((shares(&impossible).iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn one_strong_term_pays_only_for_the_split_of_the_budget() {
        let bits = harmonic_bits([(0.25, 2f64.powi(-20)), (0.75, 1.0)]);
        assert!((bits - 18.0).abs() < 1e-4, "{bits}");
    }

    #[test]
    fn an_arithmetic_mean_would_be_noticed() {
        let terms = [(0.5, 1e-6), (0.5, 1.0)];
        let arithmetic: f64 = -terms.iter().map(|(w, p)| w * p).sum::<f64>().log2();
        assert!((harmonic_bits(terms) - arithmetic).abs() > 10.0);
    }
}
