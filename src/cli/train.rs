//! `tiltmeter train`: makes the parameter files in `models/`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::output::Output;
use crate::config::Config;
use crate::models::CalibrationFile;
use crate::train;

/// Make the parameter files that ship in `models/`
#[derive(Debug, Args)]
pub struct Train {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum What {
    /// First-day calibration from simulated fleets, as JSON on standard output
    Calibration,
}

impl Train {
    /// Trains and prints.
    ///
    /// # Errors
    ///
    /// A broken build (shipped models that cannot be read), and output that cannot be written.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Calibration => {
                let peaks = train::calibration(&Config::load(None)?.settings()?)?;
                let file = CalibrationFile::new(&peaks, &train::calibration_recipe());
                let mut out = Output::stdout();
                out.text(&(serde_json::to_string(&file)? + "\n"))?;
                out.flush()?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
