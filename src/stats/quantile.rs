//! How often is a value at least this large? A histogram of surprise in bits, eight cells an octave.
//!
//! Knows bits ≥ 0. Must not know which detector they come from.
//!
//! A logarithmic histogram is exact under merging and fading, which a t-digest is not; its error is one cell,
//! ±4.5 % of the value.

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
    (1.0 + octaves * PER_OCTAVE).min((CELLS - 1) as f64) as u8
}

/// Lower edge of a cell. Bits.
#[inline]
pub fn lower_edge(cell: u8) -> f64 {
    if cell == 0 { 0.0 } else { SMALLEST_BITS * (f64::from(cell - 1) / PER_OCTAVE).exp2() }
}

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

    /// Adds one vote for a cell.
    pub fn add(&mut self, cell: u8) {
        if let Some(votes) = self.votes.get_mut(usize::from(cell)) {
            *votes = votes.saturating_add(VOTE as u32);
        }
    }

    /// Adds another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (to, from) in self.votes.iter_mut().zip(other.votes) {
            *to = to.saturating_add(from);
        }
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
