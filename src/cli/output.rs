//! Standard output, and what becomes of the process when it cannot be written.
//!
//! Knows pipes that close and disks that fill. Must not know what is written.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

use crate::wire::outputs::json;

/// Standard output cannot be written. A cause of the kind `BrokenPipe` is no failure: its reader has seen enough.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}; free space or write elsewhere, then start again")]
pub struct OutputError(#[from] io::Error);

/// Standard output, buffered. What is not flushed may be lost: [`Output::flush`] says whether it was written.
#[derive(Debug)]
pub struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    /// Takes hold of standard output.
    pub fn stdout() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Writes a value as one line of JSON, in which names that an agent chose act on no terminal and no page.
    ///
    /// # Errors
    ///
    /// When the output was closed or cannot be written.
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<(), OutputError> {
        json::write(&mut self.0, value).map_err(io::Error::from)?;
        Ok(self.0.write_all(b"\n")?)
    }

    /// Writes a line.
    ///
    /// # Errors
    ///
    /// When the output was closed or cannot be written.
    pub fn line(&mut self, line: &[u8]) -> Result<(), OutputError> {
        self.0.write_all(line)?;
        Ok(self.0.write_all(b"\n")?)
    }

    /// Writes text as it is.
    ///
    /// # Errors
    ///
    /// When the output was closed or cannot be written.
    pub fn text(&mut self, text: &str) -> Result<(), OutputError> {
        Ok(self.0.write_all(text.as_bytes())?)
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    ///
    /// When the output was closed or cannot be written.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        Ok(self.0.flush()?)
    }
}
