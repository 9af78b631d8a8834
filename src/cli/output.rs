//! Standard output and files that a command writes, and what becomes of the process when they cannot be written.
//!
//! Knows pipes that close and disks that fill. Must not know what is written.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::wire::outputs::json;

/// Something cannot be written. A cause of the kind `BrokenPipe` is no failure: its reader has seen enough.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Standard output.
    #[error("cannot write to standard output: {0}; free space or write elsewhere, then start again")]
    Standard(#[from] io::Error),
    /// A file.
    #[error("cannot write to {path:?}: {source}; {}, then start again", room(source))]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// What to do about a file that cannot be written.
fn room(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "make its folder or name another file",
        io::ErrorKind::PermissionDenied => "get the right to write there or name another file",
        _ => "free space or name another file",
    }
}

/// Standard output or a file, buffered. What is not flushed may be lost: [`Output::flush`] says whether it was written.
pub struct Output {
    to: BufWriter<Box<dyn Write>>,
    /// None for standard output.
    path: Option<PathBuf>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Output {
    /// Takes hold of standard output.
    pub fn stdout() -> Self {
        Self { to: BufWriter::new(Box::new(io::stdout().lock())), path: None }
    }

    /// A new file, in place of one that is there. Whether a command may replace it: [`Files`](super::files::Files).
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn file(path: &Path) -> Result<Self, OutputError> {
        Self::of(path, File::create(path))
    }

    /// The end of a file, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// When it can be neither opened nor made.
    pub fn end_of(path: &Path) -> Result<Self, OutputError> {
        Self::of(path, File::options().create(true).append(true).open(path))
    }

    fn of(path: &Path, file: io::Result<File>) -> Result<Self, OutputError> {
        let path = path.to_owned();
        match file {
            Ok(file) => Ok(Self { to: BufWriter::new(Box::new(file)), path: Some(path) }),
            Err(source) => Err(OutputError::File { path, source }),
        }
    }

    /// Writes a value as one line of JSON, in which names that an agent chose act on no terminal and no page.
    ///
    /// # Errors
    ///
    /// When the output was closed or cannot be written.
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<(), OutputError> {
        let written =
            json::write(&mut self.to, value).map_err(io::Error::from).and_then(|()| self.to.write_all(b"\n"));
        self.told(written)
    }

    /// Writes a line.
    ///
    /// # Errors
    ///
    /// When the output was closed or cannot be written.
    pub fn line(&mut self, line: &[u8]) -> Result<(), OutputError> {
        let written = self.to.write_all(line).and_then(|()| self.to.write_all(b"\n"));
        self.told(written)
    }

    /// Writes text as it is.
    ///
    /// # Errors
    ///
    /// When the output was closed or cannot be written.
    pub fn text(&mut self, text: &str) -> Result<(), OutputError> {
        let written = self.to.write_all(text.as_bytes());
        self.told(written)
    }

    /// Writes with what only knows [`Write`].
    ///
    /// # Errors
    ///
    /// When the output was closed or cannot be written.
    pub fn with(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), OutputError> {
        let written = write(&mut self.to);
        self.told(written)
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    ///
    /// When the output was closed or cannot be written.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        let written = self.to.flush();
        self.told(written)
    }

    fn told(&self, written: io::Result<()>) -> Result<(), OutputError> {
        written.map_err(|source| match &self.path {
            None => OutputError::Standard(source),
            Some(path) => OutputError::File { path: path.clone(), source },
        })
    }
}
