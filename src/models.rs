//! The small parameter files that ship with the product, compiled in.
//!
//! Knows the files in `models/`. Must not know what uses them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::baseline::pool::{PeakSketch, Peaks, STAGES};
use crate::detect::lexicon::Lexicon;
use crate::finding::Family;
use crate::stats::quantile::Histogram;

const LEXICON: &str = include_str!("../models/lexicon.toml");
const CALIBRATION: &str = include_str!("../models/calibration.v1.json");

/// A file in `models/` that cannot be read: the build is broken, or a file given by the user is.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The lexicon is not what it should be.
    #[error("models/lexicon.toml: {0}; compare it with the one in the repository")]
    Lexicon(#[from] toml::de::Error),
    /// The calibration is not what it should be.
    #[error("this is no calibration: {0}; make it again with `tiltmeter train calibration`")]
    Calibration(#[from] serde_json::Error),
}

/// The calibration file: how high units rise before anything is known of a fleet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationFile {
    /// Version of the format.
    pub version: u32,
    /// How it was made.
    pub made_by: String,
    /// Per family: peaks per stage, and where units ended.
    pub families: BTreeMap<String, FamilyFile>,
    /// Cells of the combined evidence of sessions, of hours, and of both together. 1/256 votes.
    pub evidence: [Vec<u32>; 3],
}

/// One family in the calibration file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyFile {
    /// Cells of each stage's histogram, without empty ones at the end. 1/256 votes.
    pub stages: Vec<Vec<u32>>,
    /// Units that ended in each stage. 1/256 votes.
    pub ends: Vec<u64>,
}

/// Words and what they say about an action.
///
/// # Errors
///
/// When the compiled-in file is broken, which a test excludes.
pub fn lexicon() -> Result<Lexicon, ModelError> {
    Ok(toml::from_str(LEXICON)?)
}

/// First-day calibration, made from the simulated fleet.
///
/// # Errors
///
/// When the compiled-in file is broken, which a test excludes.
pub fn calibration() -> Result<Peaks, ModelError> {
    calibration_in(CALIBRATION)
}

/// A calibration in the text of a file.
///
/// # Errors
///
/// When it is not what `tiltmeter train calibration` writes.
pub fn calibration_in(text: &str) -> Result<Peaks, ModelError> {
    let file: CalibrationFile = serde_json::from_str(text)?;
    Ok(file.to_peaks())
}

impl CalibrationFile {
    /// The file for some peaks.
    pub fn new(peaks: &Peaks, made_by: &str) -> Self {
        let cells = |h: &Histogram| {
            let used = h.cells().iter().rposition(|&v| v > 0).map_or(0, |last| last + 1);
            h.cells().iter().take(used).copied().collect::<Vec<_>>()
        };
        let families = Family::ALL.iter().zip(&peaks.families).map(|(family, sketch)| {
            let file =
                FamilyFile { stages: sketch.stages.iter().map(cells).collect(), ends: sketch.ends.to_vec() };
            (family.name().to_owned(), file)
        });
        Self {
            version: 1,
            made_by: made_by.to_owned(),
            families: families.collect(),
            evidence: peaks.evidence.each_ref().map(cells),
        }
    }

    /// The peaks in the file.
    pub fn to_peaks(&self) -> Peaks {
        let mut peaks = Peaks::default();
        for (family, to) in Family::ALL.iter().zip(&mut peaks.families) {
            let Some(from) = self.families.get(family.name()) else { continue };
            let stages = from.stages.iter().take(STAGES).map(|cells| Histogram::from_cells(cells)).collect();
            let mut sketch = PeakSketch { stages, ..PeakSketch::default() };
            for (to, from) in sketch.ends.iter_mut().zip(&from.ends) {
                *to = *from;
            }
            *to = sketch;
        }
        peaks.evidence = self.evidence.each_ref().map(|cells| Histogram::from_cells(cells));
        peaks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_can_be_read() {
        lexicon().unwrap();
        let peaks = calibration().unwrap();
        let again = CalibrationFile::new(&peaks, "test").to_peaks();
        assert_eq!(peaks, again);
    }
}
