//! From bits to p: how often does a unit of this type rise this high?
//!
//! Knows histograms of peaks. Must not know what made them.
//!
//! What is calibrated is the *unit*, not the event: asking for five false alarms in 1,500 system-call traces,
//! p-values of events gave 2,469, p-values of whole traces eight.

use std::borrow::Cow;

use crate::baseline::pool::{PeakSketch, Peaks, STAGES};
use crate::finding::Family;
use crate::stats::quantile::{CELLS, Histogram, cell_of, lower_edge, middle};
use crate::stats::tail;

/// Units of the fleet that weigh as much as a type's own.
const FLEET_WEIGHT: f64 = 200.0;
/// What the shipped calibration weighs, in units of the fleet.
const SHIPPED_WEIGHT: f64 = 200.0;
/// Units from which a type's tail stands alone.
const OWN_TAIL: f64 = 200.0;
/// Bits of evidence that a halving of p costs at least: the gate for the size of an effect.
const EFFECT: f64 = 0.5;
/// Units that shares of stages are smoothed by.
const STAGE_WEIGHT: f64 = 50.0;

/// p-values of one statistic: a table for the body, a generalised Pareto tail beyond it.
#[derive(Clone, Debug)]
pub struct Scale {
    /// P(value ≥ lower edge of the cell).
    survival: [f32; CELLS + 1],
    /// Units behind it.
    count: f64,
    /// The tail.
    tail: Tail,
    /// Shape of the tail.
    shape: f64,
    /// No p is smaller than this: as much as the whole fleet can vouch for.
    floor: f64,
}

impl Scale {
    /// p of a value in bits: the share of units that rise at least this high, in (0, 1].
    ///
    /// # Formula
    ///
    /// Body: (1 + n·tail share)/(n + 1), the conformal p-value (Vovk, Gammerman & Shafer, *Algorithmic
    /// Learning in a Random World*, §2.2), interpolated inside a cell. Beyond the 98 % quantile
    /// [`tail::survival`].
    #[inline]
    pub fn p(&self, bits: f64) -> f64 {
        if self.count <= 0.0 {
            return 1.0;
        }
        let cell = cell_of(bits);
        let edge = |i: usize| self.survival.get(i).copied().map_or(0.0, f64::from);
        let (low, high) = (lower_edge(cell), lower_edge(cell + 1));
        let within = ((bits - low) / (high - low)).clamp(0.0, 1.0);
        let (from, to) = (edge(usize::from(cell)), edge(usize::from(cell) + 1));
        let share = from + (to - from) * within;
        let body = (1.0 + self.count * share) / (self.count + 1.0);
        let Tail { start, share, excess } = self.tail;
        if bits <= start {
            return body.min(1.0);
        }
        let beyond = share / tail::TAIL_SHARE * tail::survival((bits - start) / excess.max(1e-3), self.shape);
        beyond.max(self.floor).min(body.max(self.floor))
    }

    /// The value that a share of units exceed. Bits. For explanations.
    pub fn quantile(&self, share: f64) -> f64 {
        let cell = self.survival.iter().position(|&s| f64::from(s) < share).unwrap_or(CELLS);
        lower_edge(cell.saturating_sub(1) as u8)
    }

    fn new(own: &Histogram, fleet: &Pooled) -> Self {
        let own_count = own.count();
        let count = own_count + FLEET_WEIGHT * f64::from(u8::from(fleet.count > 0.0));
        let mut shares = [0.0; CELLS];
        if count > 0.0 {
            let own_shares = own.shares();
            for ((share, mine), theirs) in shares.iter_mut().zip(own_shares).zip(fleet.shares) {
                *share = (mine * own_count + theirs * (count - own_count)) / count;
            }
        }
        let mut survival = [0.0f32; CELLS + 1];
        let mut sum = 0.0;
        for (cell, share) in shares.iter().enumerate().rev() {
            sum += share;
            if let Some(s) = survival.get_mut(cell) {
                *s = sum as f32;
            }
        }
        let tail = if own_count >= OWN_TAIL {
            let (tail, n, sum, _) = excesses(&own.shares(), own_count);
            Tail { excess: tail::pooled_scale(fleet.tail.excess, sum, n), ..tail }
        } else {
            fleet.tail
        };
        Self { survival, count, tail, shape: fleet.shape, floor: fleet.floor }
    }
}

/// Where a tail starts, and what lies in it.
#[derive(Clone, Copy, Debug)]
struct Tail {
    /// Where it starts. Bits.
    start: f64,
    /// Share of units beyond it: 2 %, or less where fewer units show anything at all.
    share: f64,
    /// Mean excess beyond the start. Bits.
    excess: f64,
}

/// The tail of a distribution, and count, sum and sum of squares of what lies in it.
///
/// It starts at the 98 % quantile. Where fewer than 2 % of the units rise above nothing, it holds just these: units that
/// show nothing say nothing of how far the others rise, and would make them look closer together than they are.
fn excesses(shares: &[f64; CELLS], count: f64) -> (Tail, f64, f64, f64) {
    let mut beyond = 0.0;
    let mut start_cell = 0;
    for (cell, share) in shares.iter().enumerate().rev() {
        if beyond + share > tail::TAIL_SHARE {
            start_cell = cell;
            break;
        }
        beyond += share;
    }
    // The quantile lies inside a cell: at the height where the share beyond it is exactly the tail's.
    let inside = shares.get(start_cell).copied().unwrap_or(0.0);
    let kept = if inside > 0.0 { (tail::TAIL_SHARE - beyond) / inside } else { 0.0 };
    let (low, high) = (lower_edge(start_cell as u8), lower_edge(start_cell as u8 + 1));
    let mut start = high - (high - low) * kept;
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    let mut add = |weight: f64, excess: f64| {
        n += weight;
        sum += weight * excess;
        squares += weight * excess * excess;
    };
    let mut share = tail::TAIL_SHARE;
    if start_cell == 0 {
        start = 0.0;
        // A unit more than there were is the least that can be said.
        share = beyond.max(1.0 / (count + 1.0)).min(tail::TAIL_SHARE);
    } else {
        add(count * inside * kept, 0.5 * (high - start));
    }
    for (cell, share) in shares.iter().enumerate().skip(start_cell + 1) {
        add(count * share, middle(cell as u8) - start);
    }
    (Tail { start, share, excess: if n > 0.0 { sum / n } else { 1.0 } }, n, sum, squares)
}

/// One statistic over the whole fleet, on top of what was shipped.
#[derive(Clone, Debug)]
struct Pooled {
    shares: [f64; CELLS],
    count: f64,
    tail: Tail,
    shape: f64,
    floor: f64,
}

impl Pooled {
    fn new(fleet: &Histogram, shipped: &Histogram) -> Self {
        let (own_count, given) = (fleet.count(), shipped.count());
        let prior = if given > 0.0 { SHIPPED_WEIGHT } else { 0.0 };
        let count = own_count + prior;
        let mut shares = [0.0; CELLS];
        if count > 0.0 {
            for ((share, mine), theirs) in shares.iter_mut().zip(fleet.shares()).zip(shipped.shares()) {
                *share = (mine * own_count + theirs * prior) / count;
            }
        }
        let (tail, n, sum, squares) = excesses(&shares, count);
        let mean = if n > 0.0 { sum / n } else { 1.0 };
        let variance = if n > 0.0 { squares / n - mean * mean } else { 0.0 };
        Self {
            shares,
            count,
            tail: Tail { excess: mean.max(0.05), ..tail },
            shape: tail::shape(mean, variance),
            floor: if count > 0.0 { 1.0 / (20.0 * count) } else { 1.0 },
        }
    }
}

/// The fleet's pooled statistics, from which every type's calibration is made.
#[derive(Clone, Debug)]
pub struct FleetCalibration {
    families: Vec<(Vec<Pooled>, [f64; STAGES])>,
    evidence: [Pooled; 3],
    /// The peaks of all types together, kept for their memory.
    fleet: Peaks,
}

impl FleetCalibration {
    /// Pools the peaks of all types on top of the shipped ones.
    pub fn new<'a>(types: impl Iterator<Item = &'a Peaks>, shipped: &Peaks) -> Self {
        let nothing = Histogram::default();
        let mut new = Self {
            families: vec![(Vec::new(), [0.0; STAGES]); Family::COUNT],
            evidence: std::array::from_fn(|_| Pooled::new(&nothing, &nothing)),
            fleet: Peaks::default(),
        };
        new.renew(types, shipped);
        new
    }

    /// The same as [`FleetCalibration::new`], in the memory of an old one.
    pub fn renew<'a>(&mut self, types: impl Iterator<Item = &'a Peaks>, shipped: &Peaks) {
        let fleet = &mut self.fleet;
        fleet.clear();
        types.for_each(|peaks| fleet.merge(peaks));
        let given = fleet.families.iter().zip(&shipped.families);
        for ((stages, shares), (own, shipped)) in self.families.iter_mut().zip(given) {
            stages.clear();
            stages.extend((0..STAGES).map(|k| Pooled::new(&stage(own, k), &stage(shipped, k))));
            let prior = stage_shares(shipped, &prior_shares(), STAGE_WEIGHT);
            *shares = stage_shares(own, &prior, STAGE_WEIGHT);
        }
        let given = fleet.evidence.iter().zip(&shipped.evidence);
        for (pooled, (own, shipped)) in self.evidence.iter_mut().zip(given) {
            *pooled = Pooled::new(own, shipped);
        }
    }
}

/// The p-values of one agent type.
#[derive(Clone, Debug)]
pub struct Calibration {
    families: Vec<FamilyScale>,
    evidence: [Scale; 3],
}

#[derive(Clone, Debug)]
struct FamilyScale {
    stages: Vec<Scale>,
    /// What each stage pays. > 0.
    prices: [f64; STAGES],
}

impl Calibration {
    /// The calibration of a type; of a type never seen where `own` is none.
    pub fn new(own: Option<&Peaks>, fleet: &FleetCalibration) -> Self {
        let nothing = Histogram::default();
        let mut new = Self {
            families: vec![FamilyScale { stages: Vec::new(), prices: [1.0; STAGES] }; Family::COUNT],
            evidence: fleet.evidence.each_ref().map(|pooled| Scale::new(&nothing, pooled)),
        };
        new.renew(own, fleet);
        new
    }

    /// The same as [`Calibration::new`], in the memory of an old one.
    pub fn renew(&mut self, own: Option<&Peaks>, fleet: &FleetCalibration) {
        let nothing = Peaks::default();
        let own = own.unwrap_or(&nothing);
        let given = own.families.iter().zip(&fleet.families);
        for ((scale, (own, (pooled, shares))), family) in self.families.iter_mut().zip(given).zip(Family::ALL)
        {
            scale.stages.clear();
            scale.stages.extend(pooled.iter().enumerate().map(|(k, p)| Scale::new(&stage(own, k), p)));
            scale.prices = prices(&stage_shares(own, shares, STAGE_WEIGHT), first_stage(family));
        }
        let given = own.evidence.iter().zip(&fleet.evidence);
        for (scale, (own, pooled)) in self.evidence.iter_mut().zip(given) {
            *scale = Scale::new(own, pooled);
        }
    }

    /// p of a peak inside one stage, paid for by the stage's share: min over stages of these is valid at
    /// every moment of a unit. In (0, 1].
    ///
    /// # Formula
    ///
    /// p_k·R_k/π_k with Σπ = 1 and R_k the share of the type's units that reach the stage, and never below
    /// 2^(−2·bits): where nothing ever happens the smallest surprise would be the rarest, but rare is not serious.
    /// A unit alarms in stage k with probability R_k·P(p_k ≤ α·π_k/R_k) ≤ α·π_k; over all stages that is α. Without
    /// it the longest 1 % of units raise 9 % false alarms at a nominal 1 % (simulated).
    #[inline]
    pub fn peak_p(&self, family: Family, stage: usize, bits: f64) -> f64 {
        let stage = stage.min(STAGES - 1);
        // Counts are atoms: a cell's mass lies on one value, and interpolating inside it would promise too much.
        let at = if family == Family::Novelty { lower_edge(cell_of(bits)) } else { bits };
        self.families.get(family as usize).map_or(1.0, |scale| {
            let p = scale.stages.get(stage).map_or(1.0, |s| s.p(at));
            let price = scale.prices.get(stage).copied().unwrap_or(1.0);
            let p = (p * price).max((-bits / EFFECT).exp2()).min(1.0);
            // Agents retry and page: loops speak only where hardly any unit of the type goes.
            if family == Family::Loops && p > tail::TAIL_SHARE { 1.0 } else { p }
        })
    }

    /// The bits that a share of the type's units exceed within a stage.
    pub fn peak_quantile(&self, family: Family, stage: usize, share: f64) -> f64 {
        let scale = self.families.get(family as usize).and_then(|f| f.stages.get(stage.min(STAGES - 1)));
        scale.map_or(0.0, |s| s.quantile(share))
    }

    /// p of the combined evidence of the families of a session (0) or of an hour (1), the smallest p of which is
    /// `least`. In (0, 1]; never below `least`: an OR is not less probable than the most improbable thing in it.
    #[inline]
    pub fn evidence_p(&self, kind: usize, bits: f64, least: f64) -> f64 {
        self.evidence.get(kind).map_or(1.0, |scale| scale.p(bits)).max(least)
    }

    /// p of what the families of sessions and those of hours say together. In (0, 1].
    ///
    /// * `bits`: −log2 of the product of both p-values.
    ///
    /// # Formula
    ///
    /// The product is Fisher's statistic (*Statistical Methods for Research Workers*, 4th ed., §21.1); here it is
    /// ranked among the units of the type, because what happens in a session and in its hour is not independent. Never
    /// below the product itself, which two independent p-values do not reach.
    #[inline]
    pub fn joint_p(&self, bits: f64) -> f64 {
        let [.., joint] = &self.evidence;
        joint.p(bits).max((-bits).exp2())
    }
}

fn stage(sketch: &PeakSketch, k: usize) -> Cow<'_, Histogram> {
    sketch.stages.get(k).map_or_else(|| Cow::Owned(Histogram::default()), Cow::Borrowed)
}

/// 1/((k + 1)(k + 2)), its rest given to the last stage: sums to one.
fn prior_shares() -> [f64; STAGES] {
    let mut shares = [0.0; STAGES];
    for (k, share) in shares.iter_mut().enumerate() {
        let k = k as f64;
        *share = 1.0 / ((k + 1.0) * (k + 2.0));
    }
    let sum: f64 = shares.iter().sum();
    if let Some(last) = shares.last_mut() {
        *last += 1.0 - sum;
    }
    shares
}

/// The stage in which a family can speak for the first time: loops after 32 repetitions, the order of actions after 64
/// calls. What stages before it would be given of the budget would be spent on nothing.
fn first_stage(family: Family) -> usize {
    match family {
        Family::Loops => 3,
        Family::Order => 4,
        _ => 0,
    }
}

/// R_k/π_k: the share of units that reach a stage over the part of the budget that it may spend. Half of the budget
/// is spent where units end, half by the prior, so that a stage that a type never reached can alarm too; both among the
/// stages from `first` on.
fn prices(shares: &[f64; STAGES], first: usize) -> [f64; STAGES] {
    let prior = prior_shares();
    let sum = |of: &[f64; STAGES]| of.iter().skip(first).sum::<f64>().max(f64::MIN_POSITIVE);
    let (ending, given) = (sum(shares), sum(&prior));
    let mut prices = *shares;
    let mut reach = 0.0;
    for (price, prior) in prices.iter_mut().zip(prior).rev() {
        reach += *price;
        *price = reach / (0.5 * *price / ending + 0.5 * prior / given);
    }
    prices
}

fn stage_shares(sketch: &PeakSketch, prior: &[f64; STAGES], weight: f64) -> [f64; STAGES] {
    let ends = sketch.ends.map(crate::stats::decay::as_votes);
    let total: f64 = ends.iter().sum();
    let mut shares = *prior;
    for (share, end) in shares.iter_mut().zip(ends) {
        *share = (end + weight * *share) / (total + weight);
    }
    shares
}

#[cfg(test)]
mod tests;
