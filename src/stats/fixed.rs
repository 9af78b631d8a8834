//! Sums of real numbers that are exact: the order of adding and merging cannot matter.
//!
//! Knows numbers. Must not know what they measure.

use serde::{Deserialize, Serialize};

use super::decay::Fade;

/// One, in units of the sum: 2³².
const ONE: f64 = 4_294_967_296.0;
/// What is added is not taken larger than this: 2⁶⁰, so that more than 2³⁰ such terms fit.
const LARGEST: f64 = 1_152_921_504_606_846_976.0;

/// A sum in steps of 2⁻³².
///
/// Each term is rounded once, when it is added; after that everything is a sum of whole numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sum(i128);

impl Sum {
    /// Adds a number, at most ±2⁶⁰; what is no number adds nothing.
    pub fn add(&mut self, value: f64) {
        // A cast of NaN is 0.
        self.0 = self.0.saturating_add((value.clamp(-LARGEST, LARGEST) * ONE).round() as i128);
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }

    /// Lets it fade.
    pub fn fade(&mut self, fade: Fade) {
        self.0 = fade.apply_wide(self.0);
    }

    /// The sum as a real number.
    pub fn value(self) -> f64 {
        self.0 as f64 / ONE
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum_of(values: &[f64]) -> Sum {
        let mut sum = Sum::default();
        values.iter().for_each(|&value| sum.add(value));
        sum
    }

    proptest! {
        #[test]
        fn the_order_and_grouping_of_terms_leave_no_trace(values in prop::collection::vec(-1e9..1e9f64, 0..40), cut in any::<prop::sample::Index>()) {
            let cut = cut.index(values.len() + 1);
            let (left, right) = values.split_at(cut);
            let (mut one, mut other) = (sum_of(left), sum_of(right));
            let kept = one;
            one.merge(other);
            other.merge(kept);
            prop_assert_eq!(one, other);
            prop_assert_eq!(one, sum_of(&values));
        }

        #[test]
        fn a_sum_is_near_the_sum_of_floats(values in prop::collection::vec(-1e6..1e6f64, 0..40)) {
            let slow: f64 = values.iter().sum();
            prop_assert!((sum_of(&values).value() - slow).abs() < 1e-6);
        }

        #[test]
        fn no_value_is_too_bad(values in prop::collection::vec(prop::num::f64::ANY, 0..40)) {
            prop_assert!(sum_of(&values).value().is_finite());
        }
    }

    #[test]
    fn what_is_no_number_adds_nothing() {
        assert_eq!(sum_of(&[f64::NAN]), Sum::default());
    }

    #[test]
    fn a_sum_survives_being_written_and_read() {
        let sum = sum_of(&[-1e15, 0.3]);
        let text = serde_json::to_string(&sum).unwrap();
        assert_eq!(serde_json::from_str::<Sum>(&text).unwrap(), sum);
        assert!(sum.value() < 0.0);
    }
}
