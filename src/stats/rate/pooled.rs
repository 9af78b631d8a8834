//! What many counters have in common: moments over them, and the prior that these give for one more.
//!
//! Knows rates and their uncertainty. Must not know who the members are.

use serde::{Deserialize, Serialize};

use super::super::decay::{Fade, VOTE, Votes, as_votes};
use super::super::fixed::Sum;
use super::{DISPERSIONS, Prior, SHAPES};

/// Members below which a group says nothing of how its members differ.
pub const FEWEST_MEMBERS: f64 = 5.0;

/// Members that the general prior's idea of how members differ is worth.
const SHAPE_WEIGHT: f64 = 1.0;
/// Most that this idea may claim, as a squared variation: members are a group because they do the same work.
const LARGEST_GENERAL_VARIATION: f64 = 1.0;
/// The least information, in squared means, that the general prior's dispersion is worth: an estimate from as
/// much has a standard error of √(2/50) = .2.
const DISPERSION_WEIGHT: f64 = 50.0;
/// Votes that the general prior's dispersion is worth where votes carry more information than that.
const DISPERSION_VOTES: f64 = 20.0;
/// Highest rate of a vote. Events a window.
const LARGEST_RATE: f64 = 1e6;

/// What one member says at the end of a day.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Vote {
    /// Its rate from all its days. Events a window, ≥ 0.
    pub rate: f64,
    /// What this rate rests on. Windows, > 0.
    pub exposure: f64,
    /// Windows of the day, ≥ 1.
    pub windows: f64,
    /// Σ over them of counts. Events.
    pub sum: f64,
    /// Σ over them of squared counts.
    pub squares: f64,
}

/// Sums over the votes of a group's members. Exact: the order of votes and of merging leaves no trace.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Moments {
    /// Number of votes.
    votes: Votes,
    /// Σ rate.
    rates: Sum,
    /// Σ rate².
    squares: Sum,
    /// Σ rate/exposure: variance of the estimates of Poisson rates.
    noise: Sum,
    /// Σ rate²/exposure: what is added to that for each unit of dispersion.
    dispersed_noise: Sum,
    /// Σ of excess variances between windows, weighted.
    excess: Sum,
    /// Σ of squared means, weighted alike.
    information: Sum,
}

impl Moments {
    /// Adds a member's vote. Votes without exposure or windows, or with values that are no numbers, are left out.
    ///
    /// * `dispersion`: what is thought of it at present; used for weights only.
    ///
    /// # Formula
    ///
    /// With counts x of a day about the member's rate r: excess = Σ(x − r)² − Σr, whose mean is d·Σr² for windows
    /// of relative variance d. Both are weighted by 1/(1 + dr)², near to inverse variances, so that a busy member
    /// counts for at most 1/d² a window: a vote, and not a flood. The excess of one vote is at most ten times its
    /// information, the end of [`DISPERSIONS`].
    pub fn add(&mut self, vote: &Vote, dispersion: f64) {
        let Vote { rate, exposure, windows, sum, squares } = *vote;
        let usable = [rate, exposure, windows, sum, squares].iter().all(|v| v.is_finite() && *v >= 0.0);
        if !usable || exposure <= 0.0 || windows < 1.0 {
            return;
        }
        let rate = rate.min(LARGEST_RATE);
        self.votes = self.votes.saturating_add(VOTE);
        self.rates.add(rate);
        self.squares.add(rate * rate);
        self.noise.add(rate / exposure);
        self.dispersed_noise.add(rate * rate / exposure);
        let weight = (1.0 + dispersion.clamp(DISPERSIONS.0, DISPERSIONS.1) * rate).powi(-2);
        let information = weight * windows * rate * rate;
        let about = squares - 2.0 * rate * sum + windows * rate * rate;
        let excess = weight * (about - windows * rate);
        self.information.add(information);
        self.excess.add(excess.min(DISPERSIONS.1 * information.max(1.0)));
    }

    /// Adds another group's sums.
    pub fn merge(&mut self, other: &Self) {
        self.votes = self.votes.saturating_add(other.votes);
        for (to, from) in self.sums_mut().into_iter().zip(other.sums()) {
            to.merge(from);
        }
    }

    /// Lets everything fade.
    pub fn fade(&mut self, fade: Fade) {
        self.votes = fade.apply(self.votes);
        self.sums_mut().into_iter().for_each(|sum| sum.fade(fade));
    }

    /// Votes held, faded.
    pub fn votes(&self) -> f64 {
        as_votes(self.votes)
    }

    /// Mean rate of its members, as they said; none while fewer than five of them did. Events a window.
    ///
    /// * `members`: how many different ones there are (a member votes every day).
    pub fn mean(&self, members: f64) -> Option<f64> {
        // Five votes have faded a little by the next day.
        let enough = members >= FEWEST_MEMBERS && self.votes() >= 0.9 * FEWEST_MEMBERS;
        enough.then(|| self.rates.value() / self.votes())
    }

    /// What is to be believed of one more member.
    ///
    /// * `members`: how many different ones have voted (a member votes every day);
    /// * `general`: the belief where this group says nothing: that of a larger group, or the shipped one.
    ///
    /// Below [`FEWEST_MEMBERS`] mean and shape are the general prior's: four agents do not tell how the fifth may
    /// differ.
    ///
    /// # Formula
    ///
    /// Method of moments for a Gamma prior over members (Casella & Berger, *Statistical Inference*, 2nd ed., §7.2.1):
    /// m = mean of rates, v = variance of rates·n/(n − 1) − mean of their own estimation variances r(1 + rd)/E, at least
    /// 10⁻³m²; squared variation c = (min(c_general, 1) + n·v/m²)/(1 + n); shape 1/c within [`SHAPES`], exposure shape/m.
    /// Dispersion d = (w·d_general + Σexcess)/(w + Σinformation) within [`DISPERSIONS`], w twenty votes' worth.
    pub fn prior(&self, members: f64, general: &Prior) -> Prior {
        let votes = self.votes();
        if votes <= 0.0 {
            return *general;
        }
        let information = self.information.value();
        let start = (DISPERSION_VOTES * information / votes).max(DISPERSION_WEIGHT);
        let dispersion = ((start * general.dispersion + self.excess.value()) / (start + information))
            .clamp(DISPERSIONS.0, DISPERSIONS.1);
        let (members, mean) = (members.min(votes), self.rates.value() / votes);
        if members < FEWEST_MEMBERS || mean <= 0.0 {
            return Prior { dispersion, ..*general };
        }
        let total = (self.squares.value() / votes - mean * mean) * members / (members - 1.0);
        let noise = (self.noise.value() + dispersion * self.dispersed_noise.value()) / votes;
        let own = ((total - noise) / (mean * mean)).max(1e-3);
        let general = general.shape.recip().min(LARGEST_GENERAL_VARIATION);
        let variation = (SHAPE_WEIGHT * general + members * own) / (SHAPE_WEIGHT + members);
        let shape = variation.recip().clamp(SHAPES.0, SHAPES.1);
        Prior { shape, exposure: shape / mean, dispersion }
    }

    fn sums(&self) -> [Sum; 6] {
        [self.rates, self.squares, self.noise, self.dispersed_noise, self.excess, self.information]
    }

    fn sums_mut(&mut self) -> [&mut Sum; 6] {
        [
            &mut self.rates,
            &mut self.squares,
            &mut self.noise,
            &mut self.dispersed_noise,
            &mut self.excess,
            &mut self.information,
        ]
    }
}
