//! How high the families of a unit rose.
//!
//! Knows p and the peaks of each stage. Must not know which families there are, nor what a peak is worth.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How high some families rose, each of which has a run of cells: one a stage, for the highest peak in it.
#[derive(Clone, Debug)]
pub(super) struct Heights<const FAMILIES: usize, const CELLS: usize> {
    /// Running p of each family.
    p: [f64; FAMILIES],
    /// Peaks, as cells of bits.
    peaks: [u8; CELLS],
    /// A bit for each family of which the unit says anything.
    known: u8,
}

/// Where the height of a family lies: its number, and the first of its cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub family: usize,
    pub cell: usize,
}

/// How high one family rose.
#[derive(Debug)]
pub(super) struct Height<'h> {
    /// Running p.
    pub p: f64,
    /// Peak of each stage from the first on, and of whatever lies behind its last.
    pub peaks: &'h [u8],
    /// Whether the unit says anything about it.
    pub is_known: bool,
}

impl<const FAMILIES: usize, const CELLS: usize> Default for Heights<FAMILIES, CELLS> {
    fn default() -> Self {
        Self { p: [1.0; FAMILIES], peaks: [0; CELLS], known: 0 }
    }
}

impl<const FAMILIES: usize, const CELLS: usize> Heights<FAMILIES, CELLS> {
    /// The height at a place.
    #[inline]
    pub fn at(&self, place: Place) -> Option<Height<'_>> {
        Some(Height {
            p: *self.p.get(place.family)?,
            peaks: self.peaks.get(place.cell..)?,
            is_known: self.known >> place.family & 1 == 1,
        })
    }

    /// Notes that the unit says something of a family.
    #[inline]
    pub fn mark(&mut self, place: Place) {
        self.known |= 1 << place.family;
    }

    /// Raises the peak of a stage to a cell and p to what it is worth. Returns whether p fell.
    #[inline]
    pub fn raise(&mut self, place: Place, stage: usize, cell: u8, worth: impl FnOnce() -> f64) -> bool {
        self.mark(place);
        let Some(peak) = self.peaks.get_mut(place.cell + stage) else { return false };
        if cell < *peak || cell == 0 {
            return false; // below the stage's peak: p cannot fall
        }
        *peak = cell;
        let Some(p) = self.p.get_mut(place.family) else { return false };
        let worth = worth();
        let fell = worth < *p;
        if fell {
            *p = worth;
        }
        fell
    }

    /// Reads something of each of its lines.
    pub fn touch(&self) -> u64 {
        self.p.first().map_or(0, |p| p.to_bits()) ^ u64::from(self.known)
    }
}

impl<const FAMILIES: usize, const CELLS: usize> Serialize for Heights<FAMILIES, CELLS> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        (self.p.as_slice(), self.peaks.as_slice(), self.known).serialize(serializer)
    }
}

impl<'de, const FAMILIES: usize, const CELLS: usize> Deserialize<'de> for Heights<FAMILIES, CELLS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (p, peaks, known) = <(Vec<f64>, Vec<u8>, u8)>::deserialize(deserializer)?;
        let another = |_| D::Error::custom("heights of other families");
        let peaks = peaks.try_into().map_err(|_| D::Error::custom("heights of other stages"))?;
        Ok(Self { p: p.try_into().map_err(another)?, peaks, known })
    }
}
