//! Beyond what was seen: a generalised Pareto tail, its scale pooled over groups.
//!
//! Knows excesses over a high quantile. Must not know which group is which.

/// Share of values that lie beyond the body: the tail starts at the 98 % quantile.
pub const TAIL_SHARE: f64 = 0.02;
/// Pseudo-excesses by which a group's mean excess is drawn towards that of all groups.
pub const SCALE_WEIGHT: f64 = 50.0;

/// The heaviest tail: beyond it the variance, and so the estimate of the shape, does not exist.
const LARGEST_SHAPE: f64 = 0.5;

/// Mean excess of a group, drawn towards that of all groups.
///
/// * `pooled`: mean excess of all groups (bits, > 0);
/// * `sum`, `count`: the group's own excesses.
///
/// # Formula
///
/// e = (50·pooled + sum)/(50 + count): the posterior mean of an exponential tail's scale under a
/// conjugate prior worth 50 excesses (Gelman et al., *Bayesian Data Analysis*, 3rd ed., §2.6).
/// A group whose excesses are no finite number adds nothing.
pub fn pooled_scale(pooled: f64, sum: f64, count: f64) -> f64 {
    if sum.is_finite() && count.is_finite() && sum >= 0.0 && count >= 0.0 {
        (SCALE_WEIGHT * pooled + sum) / (SCALE_WEIGHT + count)
    } else {
        pooled
    }
}

/// Shape of the tail from the moments of scaled excesses t; in [0, 0.5].
///
/// # Formula
///
/// ξ = ½(1 − mean²/variance): method of moments, Hosking & Wallis, *Technometrics* 29(3), 1987, eq. 5 (with
/// k = −ξ). Clipped at 0, an exponential tail (a lighter one would claim to have seen the end), and at ½,
/// where the variance stops existing. Moments that are no finite number give 0.
pub fn shape(mean: f64, variance: f64) -> f64 {
    let shape = 0.5 * (1.0 - mean * mean / variance);
    if variance > 0.0 && shape > 0.0 { shape.min(LARGEST_SHAPE) } else { 0.0 }
}

/// Probability of a value beyond the tail's start by `t` mean excesses or more, times [`TAIL_SHARE`].
///
/// * `t` ≥ 0; `shape` in [0, 0.5]; values outside are drawn to the nearer end, and what is no number to 0.
///
/// Returns p in (0, 0.02]: where p would be too small for a number it is the smallest one, so that it has bits.
///
/// # Formula
///
/// p = .02·(1 + ξt/(1 − ξ))^(−1/ξ), and .02·e^(−t) as ξ → 0: a generalised Pareto tail whose mean is 1.
/// Source: Coles, *An Introduction to Statistical Modeling of Extreme Values*, §4.2.
pub fn survival(t: f64, shape: f64) -> f64 {
    let t = t.max(0.0);
    let shape = if shape.is_nan() { 0.0 } else { shape.min(LARGEST_SHAPE) };
    let p = if shape > 1e-6 {
        TAIL_SHARE * (1.0 + shape * t / (1.0 - shape)).powf(-1.0 / shape)
    } else {
        TAIL_SHARE * (-t).exp()
    };
    p.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Exp1, Pareto};
    use statrs::distribution::{ContinuousCDF, Exp, Pareto as PeerPareto};

    use super::*;

    /// The slow twin: integrates the density of the generalised Pareto distribution of mean 1 from `t` on
    /// (Simpson's rule in u, with the excess written t + u/(1 − u)).
    fn integrated(t: f64, shape: f64) -> f64 {
        let scale = 1.0 - shape;
        let density = |x: f64| (1.0 + shape * x / scale).powf(-1.0 / shape - 1.0) / scale;
        let steps = 20_000;
        let at = |i: usize| {
            let u = i as f64 / f64::from(steps);
            if i == steps as usize { 0.0 } else { density(t + u / (1.0 - u)) / (1.0 - u).powi(2) }
        };
        let inner: f64 =
            (1..steps as usize).map(|i| if i % 2 == 1 { 4.0 * at(i) } else { 2.0 * at(i) }).sum();
        TAIL_SHARE * (at(0) + inner + at(steps as usize)) / (3.0 * f64::from(steps))
    }

    /// Mean and variance of excesses in units of their mean, as the caller of [`shape`] takes them.
    fn moments(excesses: &[f64]) -> (f64, f64) {
        let n = excesses.len() as f64;
        let mean = excesses.iter().sum::<f64>() / n;
        let variance = excesses.iter().map(|x| (x / mean - 1.0).powi(2)).sum::<f64>() / n;
        (1.0, variance)
    }

    #[test]
    fn survival_is_the_integral_of_its_density() {
        for shape in [0.05, 0.1, 0.25, 0.4, 0.5] {
            for t in [0.0, 0.3, 1.0, 4.0, 12.0] {
                let (fast, slow) = (survival(t, shape), integrated(t, shape));
                assert!((fast / slow - 1.0).abs() < 1e-5, "t {t}, shape {shape}: {fast} against {slow}");
            }
        }
        assert!(
            (survival(4.0, 0.25) / integrated(4.0, 0.3) - 1.0).abs() > 0.01,
            "a wrong shape is not noticed"
        );
    }

    #[test]
    fn survival_agrees_with_an_outside_peer() {
        let exponential = Exp::new(1.0).unwrap();
        for t in [0.0, 0.5, 3.0, 20.0, 100.0] {
            assert!((survival(t, 0.0) / (TAIL_SHARE * exponential.sf(t)) - 1.0).abs() < 1e-9, "t {t}");
        }
        // Beyond its scale s, a Pareto of index 1/ξ has generalised Pareto excesses with scale s·ξ.
        for shape in [0.2, 0.35, 0.5] {
            let scale = (1.0 - shape) / shape;
            let peer = PeerPareto::new(scale, 1.0 / shape).unwrap();
            for t in [0.1, 1.0, 10.0, 1000.0] {
                let ratio = survival(t, shape) / (TAIL_SHARE * peer.sf(scale + t));
                assert!((ratio - 1.0).abs() < 1e-9, "t {t}, shape {shape}: {ratio}");
            }
        }
    }

    #[test]
    fn the_tail_is_continuous_where_the_formula_changes() {
        for t in [0.0, 1.0, 10.0, 25.0] {
            let (below, above) = (survival(t, 0.9e-6), survival(t, 1.1e-6));
            assert!((below / above - 1.0).abs() < 1e-3, "t {t}: {below} against {above}");
        }
    }

    #[test]
    fn the_shape_of_an_exponential_tail_is_recovered() {
        for seed in 0..20 {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let excesses: Vec<f64> = (0..20_000).map(|_| Exp1.sample(&mut random)).collect();
            let (mean, variance) = moments(&excesses);
            // Standard error of ξ at 0 is 1/√n = .007 (Hosking & Wallis 1987, table 1).
            assert!(shape(mean, variance) < 0.035, "seed {seed}: {}", shape(mean, variance));
        }
    }

    #[test]
    fn the_shape_of_a_pareto_tail_is_recovered() {
        for seed in 0..20 {
            for truth in [0.1, 0.2] {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                let pareto = Pareto::new(1.0, 1.0 / truth).unwrap();
                let excesses: Vec<f64> = (0..50_000).map(|_| pareto.sample(&mut random) - 1.0).collect();
                let (mean, variance) = moments(&excesses);
                let found = shape(mean, variance);
                assert!((found - truth).abs() < 0.06, "seed {seed}: {found} against {truth}");
            }
        }
    }

    #[test]
    fn a_light_tail_counts_as_exponential_and_a_wild_one_as_one_half() {
        assert_eq!(shape(1.0, 1.0 / 3.0), 0.0, "uniform excesses");
        assert_eq!(shape(1.0, 1.0), 0.0);
        assert_eq!(shape(1.0, f64::INFINITY), 0.5);
        assert!((shape(1.0, 2.0) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn a_group_without_excesses_has_the_scale_of_all_groups() {
        assert_eq!(pooled_scale(3.0, 0.0, 0.0), 3.0);
        assert!(
            (pooled_scale(3.0, 50.0, 50.0) - 2.0).abs() < 1e-12,
            "fifty excesses weigh as much as the pool"
        );
        assert!((pooled_scale(3.0, 1e6, 1e6) - 1.0).abs() < 1e-3);
        assert_eq!(pooled_scale(3.0, f64::NAN, 1.0), 3.0);
        assert_eq!(pooled_scale(3.0, 1.0, -SCALE_WEIGHT), 3.0);
    }

    proptest! {
        #[test]
        fn a_larger_excess_is_never_more_probable(t in 0.0..1e6f64, by in 0.0..1e3f64, shape in 0.0..0.5f64) {
            let p = survival(t, shape);
            prop_assert!(p > 0.0 && p <= TAIL_SHARE);
            prop_assert!(survival(t + by, shape) <= p);
        }

        #[test]
        fn far_out_a_heavier_tail_is_more_probable(t in 6.0..500.0f64, shape in 0.0..0.45f64) {
            prop_assert!(survival(t, shape + 0.05) >= survival(t, shape));
        }

        #[test]
        fn the_pooled_scale_lies_between_group_and_pool(pooled in 0.01..50.0f64, mean in 0.01..50.0f64, count in 1.0..1e6f64) {
            let scale = pooled_scale(pooled, mean * count, count);
            prop_assert!(scale >= pooled.min(mean) * (1.0 - 1e-9) && scale <= pooled.max(mean) * (1.0 + 1e-9));
        }

        #[test]
        fn no_value_is_too_bad(a in prop::num::f64::ANY, b in prop::num::f64::ANY) {
            let p = survival(a, b);
            prop_assert!(p > 0.0 && p <= TAIL_SHARE, "survival({a}, {b}) = {p}");
            prop_assert!((0.0..=0.5).contains(&shape(a, b)), "shape({a}, {b}) = {}", shape(a, b));
            prop_assert!(pooled_scale(1.0, a, b) >= 0.0);
        }
    }
}
