//! How often is a value at least this large? A histogram of surprise in bits, eight cells an octave.
//!
//! Knows bits ≥ 0. Must not know which detector they come from.
//!
//! A logarithmic histogram is exact under merging and fading, which a t-digest is not; its error is one cell,
//! ±4.5 % of the value.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use std::sync::LazyLock;

use super::decay::{Fade, VOTE, Votes, as_votes};

/// Cells an octave.
const PER_OCTAVE: f64 = 8.0;
/// Values below this fall into cell 0. Bits.
pub const SMALLEST_BITS: f64 = 1.0 / 16.0;
/// Number of cells: cell 0, then 15 octaves from 1/16 bit to 2,048 bits.
pub const CELLS: usize = 121;

/// The cell a value falls into.
#[inline]
pub fn cell_of(bits: f64) -> u8 {
    if bits.is_nan() || bits < SMALLEST_BITS {
        return 0;
    }
    let octaves = (bits / SMALLEST_BITS).log2();
    // A hair is added so that an edge belongs to the cell above it, however the logarithm was rounded.
    (1.0 + octaves * PER_OCTAVE + 1e-9).min((CELLS - 1) as f64) as u8
}

/// Lower edge of a cell. Bits.
#[inline]
pub fn lower_edge(cell: u8) -> f64 {
    EDGES.get(usize::from(cell)).copied().unwrap_or(f64::MAX)
}

/// The lower edges of all cells there could be.
static EDGES: LazyLock<[f64; 256]> = LazyLock::new(|| {
    let edge = |cell: usize| SMALLEST_BITS * ((cell as f64 - 1.0) / PER_OCTAVE).exp2();
    std::array::from_fn(|cell| if cell == 0 { 0.0 } else { edge(cell) })
});

/// Middle of a cell. Bits.
#[inline]
pub fn middle(cell: u8) -> f64 {
    0.5 * (lower_edge(cell) + lower_edge(cell.saturating_add(1)))
}

/// A histogram of bits. 500 bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Histogram {
    votes: [u32; CELLS],
}

/// Cells up to the last that is not empty.
impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let used = self.votes.iter().rposition(|votes| *votes > 0).map_or(0, |last| last + 1);
        self.votes.get(..used).unwrap_or_default().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<u32>::deserialize(deserializer).map(|cells| Self::from_cells(&cells))
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { votes: [0; CELLS] }
    }
}

impl Histogram {
    /// A histogram from its cells (1/256 votes); missing cells are empty.
    pub fn from_cells(cells: &[u32]) -> Self {
        let mut histogram = Self::default();
        for (to, from) in histogram.votes.iter_mut().zip(cells) {
            *to = *from;
        }
        histogram
    }

    /// The cells, in 1/256 votes.
    pub fn cells(&self) -> &[u32] {
        &self.votes
    }

    /// Adds one vote for a cell. Where a cell is full (sixteen million votes) all cells count half from then on: their
    /// shares stay, and so many votes are as good as twice as many.
    pub fn add(&mut self, cell: u8) {
        let Some(votes) = self.votes.get_mut(usize::from(cell)) else { return };
        match votes.checked_add(VOTE as u32) {
            Some(more) => *votes = more,
            None => {
                self.halve();
                self.add(cell);
            }
        }
    }

    /// Adds another histogram; where a cell would be too full, half of both.
    pub fn merge(&mut self, other: &Self) {
        if self.votes.iter().zip(other.votes).all(|(to, from)| to.checked_add(from).is_some()) {
            self.votes.iter_mut().zip(other.votes).for_each(|(to, from)| *to += from);
        } else {
            self.halve();
            self.votes.iter_mut().zip(other.votes).for_each(|(to, from)| *to += from / 2);
        }
    }

    fn halve(&mut self) {
        self.votes.iter_mut().for_each(|votes| *votes /= 2);
    }

    /// Lets everything fade.
    pub fn fade(&mut self, fade: Fade) {
        for votes in &mut self.votes {
            *votes = fade.apply(Votes::from(*votes)) as u32;
        }
    }

    /// Number of values held, faded. Votes.
    pub fn count(&self) -> f64 {
        as_votes(self.votes.iter().map(|&v| Votes::from(v)).sum())
    }

    /// Share of each cell, as real numbers that sum to one; all zero when empty.
    pub fn shares(&self) -> [f64; CELLS] {
        let mut shares = [0.0; CELLS];
        let total: Votes = self.votes.iter().map(|&v| Votes::from(v)).sum();
        if total > 0 {
            for (share, votes) in shares.iter_mut().zip(self.votes) {
                *share = f64::from(votes) / total as f64;
            }
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(values: &[f64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|&bits| histogram.add(cell_of(bits)));
        histogram
    }

    /// Share of values in the cell of `bits` or above, as a reader of the histogram takes it.
    fn survival(histogram: &Histogram, bits: f64) -> f64 {
        histogram.shares().iter().skip(usize::from(cell_of(bits))).sum()
    }

    /// The slow twin: sorts all values and counts those that are at least as large.
    fn sorted_survival(values: &[f64], bits: f64) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let below = sorted.partition_point(|&v| v < bits);
        (sorted.len() - below) as f64 / sorted.len() as f64
    }

    #[test]
    fn a_full_cell_keeps_its_share() {
        let mut full = Histogram::from_cells(&[u32::MAX - 100, 3 << 20]);
        let before = full.shares();
        let mut merged = full.clone();
        merged.merge(&full);
        full.add(0);
        for histogram in [full, merged] {
            let [zero, one, ..] = histogram.shares();
            assert!((zero - before[0]).abs() < 1e-6 && (one / before[1] - 1.0).abs() < 1e-3, "{zero} {one}");
        }
    }

    fn values() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(prop_oneof![0.0..1.0f64, 0.0..60.0f64, 0.0..5_000.0f64], 1..200)
    }

    fn fade() -> impl Strategy<Value = Fade> {
        (0i64..60, 5.0..90.0f64).prop_map(|(days, half_life)| Fade::after(days, half_life))
    }

    proptest! {
        #[test]
        fn survival_agrees_with_sorting_but_for_one_cell(values in values(), bits in 0.0..2_000.0f64) {
            let fast = survival(&filled(&values), bits);
            let cell = cell_of(bits);
            let (below, above) = (lower_edge(cell) * (1.0 - 1e-9), lower_edge(cell + 1));
            prop_assert!(fast <= sorted_survival(&values, below) + 1e-9);
            prop_assert!(fast >= sorted_survival(&values, above) - 1e-9);
        }

        #[test]
        fn shares_sum_to_one_after_fading_too(values in values(), fade in fade()) {
            let mut histogram = filled(&values);
            histogram.fade(fade);
            let sum: f64 = histogram.shares().iter().sum();
            let empty = histogram.count() == 0.0;
            prop_assert!(if empty { sum == 0.0 } else { (sum - 1.0).abs() < 1e-9 }, "{sum}");
        }

        #[test]
        fn merging_commutes_and_equals_the_union(a in values(), b in values()) {
            let (left, right) = (filled(&a), filled(&b));
            let mut one = left.clone();
            one.merge(&right);
            let mut other = right;
            other.merge(&left);
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(one, filled(&[a, b].concat()));
        }

        #[test]
        fn the_order_of_adding_does_not_matter(values in values(), seed in any::<u64>()) {
            let mut shuffled = values.clone();
            shuffled.sort_by_key(|v| super::super::key::mix(seed, v.to_bits()));
            prop_assert_eq!(filled(&values), filled(&shuffled));
        }

        #[test]
        fn forgetting_twice_is_forgetting_the_sum(
            values in values(), a in 0i64..60, b in 0i64..60, half_life in 5.0..90.0f64,
        ) {
            let (mut twice, mut once) = (filled(&values), filled(&values));
            twice.fade(Fade::after(a, half_life));
            twice.fade(Fade::after(b, half_life));
            once.fade(Fade::after(a + b, half_life));
            for (x, y) in twice.cells().iter().zip(once.cells()) {
                prop_assert!(x.abs_diff(*y) <= 2, "{x} against {y}");
            }
        }

        #[test]
        fn larger_values_never_fall_into_lower_cells(a in 0.0..3_000.0f64, b in 0.0..3_000.0f64) {
            prop_assert!(cell_of(a.min(b)) <= cell_of(a.max(b)));
        }

        #[test]
        fn a_value_lies_in_its_cell_and_near_its_middle(bits in SMALLEST_BITS..2_047.0f64) {
            let cell = cell_of(bits);
            prop_assert!(lower_edge(cell) <= bits * (1.0 + 1e-12) && bits <= lower_edge(cell + 1) * (1.0 + 1e-12));
            prop_assert!((middle(cell) / bits - 1.0).abs() < 0.0455, "{bits} is off by {}", middle(cell) / bits);
        }

        #[test]
        fn no_value_is_too_bad(bits in prop::num::f64::ANY, cell in any::<u8>(), votes in prop::collection::vec(any::<u32>(), 0..200)) {
            prop_assert!(usize::from(cell_of(bits)) < CELLS);
            prop_assert!(middle(cell).is_finite());
            let mut histogram = Histogram::from_cells(&votes);
            histogram.add(cell);
            histogram.merge(&histogram.clone());
            let sum: f64 = histogram.shares().iter().sum();
            prop_assert!((sum - 1.0).abs() < 1e-9 || histogram.count() == 0.0);
        }
    }

    #[test]
    fn every_lower_edge_belongs_to_its_own_cell() {
        for cell in 0..CELLS as u8 {
            assert_eq!(cell_of(lower_edge(cell)), cell, "{} bits", lower_edge(cell));
        }
    }

    #[test]
    fn what_is_no_number_says_nothing_and_infinity_says_most() {
        assert_eq!(cell_of(f64::NAN), 0);
        assert_eq!(cell_of(-1.0), 0);
        assert_eq!(usize::from(cell_of(f64::INFINITY)), CELLS - 1);
        assert_eq!(usize::from(cell_of(4_000.0)), CELLS - 1);
    }

    #[test]
    fn cells_survive_being_taken_out_and_put_back() {
        let histogram = filled(&[0.0, 0.5, 3.0, 3.1, 700.0]);
        assert_eq!(Histogram::from_cells(histogram.cells()), histogram);
        assert_eq!(histogram.count(), 5.0);
        assert_ne!(
            histogram,
            filled(&[0.0, 0.5, 3.0, 3.1, 800.0]),
            "a histogram that loses values is not noticed"
        );
    }
}
