//! How many out of so many? Shares as a beta–binomial, and priors pooled over many members.
//!
//! Knows hits and trials. Must not know what is tried, nor by whom.

use serde::{Deserialize, Serialize};
use statrs::function::gamma::ln_gamma;

use super::decay::{Fade, VOTE, Votes, as_votes};
use super::fixed::Sum;

/// Range of the mean of a prior.
const MEANS: (f64, f64) = (1e-6, 0.999);
/// Range of the strength of a prior. Trials. Below 2 members would always or never have hits; beyond 200 it would
/// know its members better than they do.
const STRENGTHS: (f64, f64) = (2.0, 200.0);
/// Most trials that are judged: beyond them the logarithms lose the digits that matter.
const LARGEST_TRIALS: f64 = 1e7;

/// What is believed of a share, a beta law by mean and strength, and the law of hits that follows.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct BetaBinomial {
    /// Expected share, α/(α + β), in (0, 1).
    pub mean: f64,
    /// Trials that the belief is worth, α + β; > 0.
    pub strength: f64,
}

impl BetaBinomial {
    /// A belief. Values out of range, and what is no number, are drawn to the nearer end.
    #[expect(clippy::manual_clamp, reason = "clamp keeps what is no number, max and min do not")]
    pub fn new(mean: f64, strength: f64) -> Self {
        Self { mean: mean.max(MEANS.0).min(MEANS.1), strength: strength.max(0.1).min(1e7) }
    }

    /// The belief after `hits` in `trials` (≥ 0; more hits than trials count as so many).
    ///
    /// # Formula
    ///
    /// Beta(α + k, β + n − k) (Gelman et al., *Bayesian Data Analysis*, 3rd ed., §2.4).
    pub fn given(&self, hits: f64, trials: f64) -> Self {
        let trials = trials.max(0.0);
        let strength = self.strength + trials;
        Self::new((self.mean * self.strength + hits.max(0.0).min(trials)) / strength, strength)
    }

    /// Bits of `hits` or more in `trials`, never more than −log2 of the probability; 0 up to the expected number.
    ///
    /// Nine logarithms of the gamma function: ask when there is a new hit, not at every trial.
    ///
    /// # Formula
    ///
    /// −log2 [P(k)/(1 − r)]: the probabilities of k, k + 1, … fall at least like a geometric series of ratio
    /// r = (n − k)/(β + n − k − 1)·max(1, (α + k)/(k + 1)), because the first factor of their true ratio falls with k
    /// if β > 1 and the second one stays below the larger of its value and 1. Where r ≥ 1 nothing is claimed.
    /// P(k) = C(n, k)·B(α + k, β + n − k)/B(α, β) (Johnson, Kemp & Kotz, *Univariate Discrete Distributions*, 3rd ed.,
    /// §6.2.2). Chernoff's bound for a coin, with the strength folded in, is up to log2(1/α) bits weaker.
    pub fn upper_bits(&self, hits: f64, trials: f64) -> f64 {
        let (n, k) = (trials.min(LARGEST_TRIALS), hits.min(trials).min(LARGEST_TRIALS));
        let (alpha, beta) = self.parameters();
        // Also false for what is no number.
        if !(k > n * self.mean && beta > 1.0) {
            return 0.0;
        }
        let ratio = (n - k) / (beta + n - k - 1.0) * ((alpha + k) / (k + 1.0)).max(1.0);
        let nats = (1.0 - ratio).ln() - self.ln_probability(k, n);
        // No number where the ratio is too large.
        (nats / std::f64::consts::LN_2).max(0.0)
    }

    /// ln P(k) of k hits in n trials, 0 ≤ k ≤ n.
    fn ln_probability(&self, k: f64, n: f64) -> f64 {
        let (alpha, beta) = self.parameters();
        let ways = -(n + 1.0).ln() - ln_beta(n - k + 1.0, k + 1.0);
        ways + ln_beta(alpha + k, beta + n - k) - ln_beta(alpha, beta)
    }

    /// α and β.
    fn parameters(&self) -> (f64, f64) {
        (self.mean * self.strength, (1.0 - self.mean) * self.strength)
    }
}

/// ln B(a, b), for a and b > 0 (DLMF 5.12.1).
fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// Sums over the votes of a group's members. Exact: the order of votes and of merging leaves no trace.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ShareMoments {
    /// Number of votes.
    votes: Votes,
    /// Σ share.
    shares: Sum,
    /// Σ share².
    squares: Sum,
    /// Σ of the shares' own estimation variances.
    noise: Sum,
}

impl ShareMoments {
    /// Adds a member's vote: its hits in its trials (≥ 0). Fewer than two trials say nothing.
    pub fn add(&mut self, hits: f64, trials: f64) {
        // Also true for what is no number.
        if !(trials >= 2.0 && hits >= 0.0) {
            return;
        }
        let share = (hits / trials).min(1.0);
        self.votes = self.votes.saturating_add(VOTE);
        self.shares.add(share);
        self.squares.add(share * share);
        self.noise.add(share * (1.0 - share) / (trials - 1.0));
    }

    /// Adds another group's sums.
    pub fn merge(&mut self, other: &Self) {
        self.votes = self.votes.saturating_add(other.votes);
        self.shares.merge(other.shares);
        self.squares.merge(other.squares);
        self.noise.merge(other.noise);
    }

    /// Lets everything fade.
    pub fn fade(&mut self, fade: Fade) {
        self.votes = fade.apply(self.votes);
        self.shares.fade(fade);
        self.squares.fade(fade);
        self.noise.fade(fade);
    }

    /// Votes held, faded.
    pub fn votes(&self) -> f64 {
        as_votes(self.votes)
    }

    /// Mean share of its members, as they said; none while fewer than five of them did. In [0, 1].
    ///
    /// * `members`: how many different ones there are (a member votes every day).
    pub fn mean(&self, members: f64) -> Option<f64> {
        // Five votes have faded a little by the next day.
        let fewest = super::rate::FEWEST_MEMBERS;
        (members >= fewest && self.votes() >= 0.9 * fewest).then(|| self.shares.value() / self.votes())
    }

    /// What is to be believed of one more member.
    ///
    /// * `members`: how many different ones have voted (a member votes every day);
    /// * `general`: the belief where this group says nothing; worth one member.
    ///
    /// # Formula
    ///
    /// m = (m_general + n·mean share)/(1 + n). Method of moments (Casella & Berger, *Statistical Inference*, 2nd ed.,
    /// §7.2.1) for the rest: v = variance of shares·n/(n − 1) − mean of p(1 − p)/(N − 1), the share of it in all variance
    /// ρ = v/(m(1 − m)), smoothed like m, and strength 1/ρ − 1. Below five members, and where nobody ever had a hit,
    /// nothing is known of how members differ, and the strength is the general one.
    pub fn prior(&self, members: f64, general: &BetaBinomial) -> BetaBinomial {
        let votes = self.votes();
        if votes <= 0.0 {
            return *general;
        }
        let members = members.clamp(1.0, votes.max(1.0));
        let own = self.shares.value() / votes;
        let mean = (general.mean + members * own) / (1.0 + members);
        if members < super::rate::FEWEST_MEMBERS || own <= 0.0 {
            return BetaBinomial::new(mean, general.strength);
        }
        let total = (self.squares.value() / votes - own * own) * members / (members - 1.0);
        let between = (total - self.noise.value() / votes).max(0.0) / (own * (1.0 - own)).max(1e-9);
        let alike = 1.0 / (1.0 + general.strength);
        let alike = (alike + members * between.min(1.0)) / (1.0 + members);
        BetaBinomial::new(mean, (1.0 / alike - 1.0).clamp(STRENGTHS.0, STRENGTHS.1))
    }
}

#[cfg(test)]
mod tests;
