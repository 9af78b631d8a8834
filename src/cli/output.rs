//! Standard output, and what becomes of the process when it cannot be written.
//!
//! Knows pipes that close and disks that fill. Must not know what is written.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

/// Why a command stopped writing.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Whoever read the output has seen enough (`| head`): no failure, and nothing to say.
    #[error("standard output was closed by its reader")]
    Closed,
    /// The output cannot be written.
    #[error("cannot write to standard output: {0}; free space or write elsewhere, then start again")]
    Failed(#[source] io::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Failed(error) }
    }
}

/// Standard output, buffered. What is not flushed may be lost: [`Output::flush`] says whether it was written.
#[derive(Debug)]
pub struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    /// Takes hold of standard output.
    pub fn stdout() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Writes a value as one line of JSON.
    ///
    /// # Errors
    ///
    /// When the output was closed or cannot be written.
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<(), OutputError> {
        serde_json::to_writer(&mut self.0, value).map_err(io::Error::from)?;
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
