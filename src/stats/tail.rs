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
