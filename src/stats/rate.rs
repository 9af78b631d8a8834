//! How many is many? Counts per window as a negative binomial, and priors pooled over many counters.
//!
//! Knows counts, exposures and windows. Must not know who counts what, nor how long a window is.

use serde::{Deserialize, Serialize};

mod pooled;

pub use pooled::{FEWEST_MEMBERS, Moments, Vote};

/// Smallest mean and size: below them a count is as good as impossible.
const SMALLEST: f64 = 1e-9;
/// Largest mean and size: a size beyond it is a Poisson law to a double's precision.
const LARGEST: f64 = 1e12;
/// Range of the relative variance of a rate. At 10⁻⁴ windows differ by 1 %, less than any clock is regular.
pub const DISPERSIONS: (f64, f64) = (1e-4, 10.0);
/// Range of the shape of a prior: members that differ by a factor of e^±4, and such that are all but equal.
pub const SHAPES: (f64, f64) = (0.05, 50.0);

/// Law of a count that varies more than a Poisson count does.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NegativeBinomial {
    mean: f64,
    size: f64,
}

impl NegativeBinomial {
    /// The law with variance mean + mean²/size.
    ///
    /// * `mean`: events, > 0;
    /// * `size`: > 0; the larger, the nearer to a Poisson law.
    ///
    /// Values out of range, and what is no number, are drawn to the nearer end.
    #[expect(clippy::manual_clamp, reason = "clamp keeps what is no number, max and min do not")]
    pub fn new(mean: f64, size: f64) -> Self {
        Self { mean: mean.max(SMALLEST).min(LARGEST), size: size.max(SMALLEST).min(LARGEST) }
    }

    /// Expected number. Events, > 0.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Size. > 0.
    pub fn size(&self) -> f64 {
        self.size
    }

    /// The law of a count that is expected to be `factor` times as large, and varies no less in proportion.
    ///
    /// With the same size it has at least the tail of every weighted sum of counts whose weights, each in
    /// (0, 1], sum to `factor`, whether their common law's variation is shared by them or each one's own:
    /// log-moments K(wt) ≤ wK(t) for w ≤ 1 by convexity, and K grows with the shared part.
    pub fn times(&self, factor: f64) -> Self {
        Self::new(self.mean * factor, self.size)
    }

    /// Bits of seeing `count` or more, never more than −log2 of the probability; 0 up to the mean.
    ///
    /// * `count`: events, ≥ 0, need not be whole.
    ///
    /// Two logarithms. It only grows with the count, so that it may be asked while the window is still open.
    ///
    /// # Formula
    ///
    /// [x ln(x/μ) − (x + k) ln((x + k)/(μ + k))]/ln 2, the Chernoff bound inf over t of e^(−tx)·E[e^(tX)]
    /// (Mitzenmacher & Upfal, *Probability and Computing*, 2nd ed., §4.2) with the negative binomial's
    /// E[e^(tX)] = (1 − (μ/k)(e^t − 1))^(−k).
    #[inline]
    pub fn upper_bits(&self, count: f64) -> f64 {
        if count > self.mean { self.bound(count.min(LARGEST * 1e3)) } else { 0.0 }
    }

    /// Bits of seeing `count` or fewer, never more than −log2 of the probability; 0 from the mean on.
    ///
    /// The formula of [`NegativeBinomial::upper_bits`], which holds on both sides. At 0 it is exact.
    pub fn lower_bits(&self, count: f64) -> f64 {
        if count < self.mean { self.bound(count.max(0.0)) } else { 0.0 }
    }

    #[inline]
    fn bound(&self, count: f64) -> f64 {
        let (mean, size) = (self.mean, self.size);
        let own = if count > 0.0 { count * (count / mean).log2() } else { 0.0 };
        let total = count + size;
        // A large size takes the digits of the quotient; ln_1p keeps them, but costs twice as much.
        let both = if size < 1e6 {
            (total / (mean + size)).log2()
        } else {
            ((count - mean) / (mean + size)).ln_1p() * std::f64::consts::LOG2_E
        };
        (own - total * both).max(0.0)
    }
}

/// What is believed of a member's rate before it has counted anything: Gamma(shape, exposure), and how much the
/// rate of one member differs from window to window.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Prior {
    /// Events that the belief is worth; > 0. Small where members differ much.
    pub shape: f64,
    /// Windows that the belief is worth; > 0.
    pub exposure: f64,
    /// Relative variance of a member's own rate between windows, in [`DISPERSIONS`].
    pub dispersion: f64,
}

impl Prior {
    /// Mean rate. Events a window.
    pub fn mean(&self) -> f64 {
        self.shape / self.exposure
    }

    /// Law of the next window's count for a member that counted `events` in `windows` (both faded alike, ≥ 0).
    ///
    /// # Formula
    ///
    /// μ = (X + a)/(E + b), the posterior mean of a Gamma–Poisson rate (Gelman et al., *Bayesian Data Analysis*,
    /// 3rd ed., §2.6). Two things vary about it: what is not known of the rate, with shape
    /// g = a + X/(1 + μd) (a dispersed event is worth less than a whole one), and the windows, with relative
    /// variance d. Independent, they multiply: 1/size = d + 1/g + d/g.
    #[inline]
    pub fn predict(&self, events: f64, windows: f64) -> NegativeBinomial {
        let mean = (events + self.shape) / (windows + self.exposure);
        let known = self.shape + events / (1.0 + mean * self.dispersion);
        NegativeBinomial::new(mean, known / (1.0 + self.dispersion * (1.0 + known)))
    }
}

#[cfg(test)]
mod tests;
