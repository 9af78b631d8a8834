//! Lines of text, or records of a list, out of files and standard input, compressed or not, in bounded memory.
//!
//! Knows gzip, zstd, line ends, brackets, positions and the longest line or record it keeps.
//! Must not know what a line or record says.

mod merged;
mod records;
mod stream;

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use memchr::memchr;
use sha2::{Digest, Sha256};

pub use self::merged::Merged;
use self::records::Envelope;
use self::stream::Stream;

/// The longest line that is kept whole. Bytes, without the line end. A source record may have 1 MiB.
pub const LINE_LIMIT_BYTES: usize = 1 << 20;
/// First size of the line buffer; it grows only while a longer line asks for it. Bytes.
const FIRST_BUFFER_BYTES: usize = 256 << 10;
/// Last size of the line buffer: the longest kept line with its CR and LF. Bytes.
const LAST_BUFFER_BYTES: usize = LINE_LIMIT_BYTES + 2;
/// Room for the pieces of the dropped part of a longer line. Bytes.
const PIECE_BYTES: usize = 64 << 10;

/// Why input could not be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A source could not be opened.
    #[error("cannot open {path:?}: {source}; check the path and its permissions")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A source is a directory.
    #[error("{path:?} is a directory; name the files in it, for example {path:?}/*.jsonl")]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// Standard input was named more than once.
    #[error("standard input (\"-\") is named {times} times; it can be read only once")]
    StdinRepeated {
        /// How often it was named.
        times: usize,
    },
    /// Reading failed half-way.
    #[error(
        "cannot read {name} after line {line}: {source}; try again, or copy the file to a local disk first"
    )]
    Read {
        /// Name of the source.
        name: String,
        /// Lines read before.
        line: u64,
        /// What the operating system says.
        source: io::Error,
    },
    /// A compressed source ends in the middle.
    #[error(
        "{name} is a cut-off {format} file: it ends in the middle after line {line}; \
         every complete line was used; fetch the file again"
    )]
    Truncated {
        /// Name of the source.
        name: String,
        /// `gzip` or `zstd`.
        format: &'static str,
        /// Complete lines delivered before.
        line: u64,
    },
    /// A compressed source is no valid compressed data.
    #[error(
        "{name} is not valid {format} after line {line}: {source}; fetch the file again, \
         or rename it if it is not compressed"
    )]
    Damaged {
        /// Name of the source.
        name: String,
        /// `gzip` or `zstd`.
        format: &'static str,
        /// Complete lines delivered before.
        line: u64,
        /// What the decompressor says.
        source: io::Error,
    },
}

/// One line of input, or one record of a list, with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line without its end (LF or CRLF); its first [`LINE_LIMIT_BYTES`] if it was longer.
    pub bytes: &'a [u8],
    /// Index of the source among the paths given; see [`Lines::name`].
    pub source: usize,
    /// Number of the line in its source, from 1; blank lines count. Of a record: that of the line it begins in.
    pub number: u64,
    /// Where the line or record begins in its decompressed source. Bytes.
    pub offset: u64,
    /// Full length of the line; greater than `bytes.len()` when the line was cut. Bytes.
    pub length: u64,
    /// SHA-256 of the full line, only when it was cut.
    pub sha256: Option<[u8; 32]>,
}

impl Line<'_> {
    /// Whether the line was longer than [`LINE_LIMIT_BYTES`] and is not whole.
    pub fn is_cut(&self) -> bool {
        self.length > self.bytes.len() as u64
    }

    /// The line's place, length and hash, without a byte of it: for input that must not be kept.
    pub fn without_content(&self) -> Self {
        let sha256 = self.sha256.or_else(|| Some(Sha256::digest(self.bytes).into()));
        Self { bytes: &[], sha256, ..*self }
    }
}

/// Reads the lines of several sources one after another, without an allocation per line.
///
/// Memory: one buffer of 256 KiB that grows up to 1 MiB while lines are that long, and what one
/// decompressor needs (gzip 32 KiB, zstd up to 128 MiB if the file was written so).
pub struct Lines {
    sources: Vec<Source>,
    /// Index of the source being read.
    at: usize,
    stream: Option<Stream>,
    buffer: Vec<u8>,
    /// The unread part of `buffer` is `start..end`; `start..scanned` holds no line end.
    start: usize,
    scanned: usize,
    end: usize,
    /// Lines of the current source given out or skipped.
    number: u64,
    /// Decompressed bytes of the current source before `start`.
    offset: u64,
    compressed_read: Arc<AtomicU64>,
    compressed_total: Option<u64>,
    /// Ends what is waited for, once it is set.
    ends: Option<Arc<AtomicBool>>,
    /// Set where objects around a list of records are taken apart.
    envelope: Option<Envelope>,
}

struct Source {
    name: String,
    /// `None` is standard input.
    path: Option<PathBuf>,
}

/// Where in the buffer a found line lies, and what was seen of the part that was not kept.
struct Found {
    from: usize,
    to: usize,
    number: u64,
    offset: u64,
    length: u64,
    sha256: Option<[u8; 32]>,
    /// Whether it stood in a list; then it counts even when it is blank.
    is_record: bool,
}

impl Lines {
    /// Opens the sources in order. An empty list, or the path `-`, means standard input.
    ///
    /// gzip (also of several members) and zstd are recognised by their first bytes, else by the
    /// endings `.gz` and `.zst`. Files are opened one at a time, when their turn comes.
    ///
    /// # Errors
    ///
    /// When a path does not exist or is a directory, or standard input is named twice.
    pub fn open(paths: &[PathBuf]) -> Result<Self, InputError> {
        let stdin = [PathBuf::from("-")];
        let paths = if paths.is_empty() { stdin.as_slice() } else { paths };
        let times = paths.iter().filter(|path| path.as_os_str() == "-").count();
        if times > 1 {
            return Err(InputError::StdinRepeated { times });
        }
        let mut sources = Vec::with_capacity(paths.len());
        let mut compressed_total = Some(0u64);
        for path in paths {
            if path.as_os_str() == "-" {
                compressed_total = None;
                sources.push(Source { name: "stdin".to_owned(), path: None });
                continue;
            }
            let about =
                std::fs::metadata(path).map_err(|source| InputError::Open { path: path.clone(), source })?;
            if about.is_dir() {
                return Err(InputError::Directory { path: path.clone() });
            }
            // What may not be read is told before anything is done. A pipe is opened once, when its turn comes.
            if about.is_file() {
                std::fs::File::open(path)
                    .map_err(|source| InputError::Open { path: path.clone(), source })?;
            }
            // Pipes and devices have no length.
            let length = about.is_file().then_some(about.len());
            compressed_total = compressed_total.zip(length).map(|(sum, length)| sum.saturating_add(length));
            sources.push(Source { name: path.display().to_string(), path: Some(path.clone()) });
        }
        Ok(Self {
            sources,
            at: 0,
            stream: None,
            buffer: vec![0; FIRST_BUFFER_BYTES],
            start: 0,
            scanned: 0,
            end: 0,
            number: 0,
            offset: 0,
            compressed_read: Arc::new(AtomicU64::new(0)),
            compressed_total,
            ends: None,
            envelope: None,
        })
    }

    /// Also takes objects apart that hold a list called `name`, as `{"Records": [{…}, {…}]}`: each of its elements is
    /// then given out like a line. Which form a source has is found out from its beginning; both may be mixed.
    #[must_use]
    pub fn with_records(self, name: Option<&str>) -> Self {
        Self { envelope: name.map(Envelope::new), ..self }
    }

    /// From when on it is true, nothing more is waited for: pipes and standard input end there, in the middle of a line
    /// perhaps. Whoever sets it must not use what is given out after.
    #[must_use]
    pub fn until(self, ends: Option<&Arc<AtomicBool>>) -> Self {
        Self { ends: ends.cloned(), ..self }
    }

    /// The next line that is not blank, or `None` after the last one of the last source.
    ///
    /// # Errors
    ///
    /// When a source cannot be opened or read, or is damaged; every complete line before the damage was
    /// delivered. The next call goes on with the next source.
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, InputError> {
        let found = loop {
            let Some(source) = self.sources.get(self.at) else { return Ok(None) };
            if self.stream.is_none() {
                match Stream::open(source.path.as_deref(), &self.compressed_read, self.ends.as_ref()) {
                    Ok(stream) => self.stream = Some(stream),
                    Err(error) => {
                        let path = source.path.clone().unwrap_or_else(|| PathBuf::from("stdin"));
                        self.leave_source();
                        return Err(InputError::Open { path, source: error });
                    }
                }
            }
            match self.find() {
                Ok(Some(found)) if self.is_blank(&found) => {}
                Ok(Some(found)) => break found,
                Ok(None) => self.leave_source(),
                Err(error) => {
                    let error = self.explain(error);
                    self.leave_source();
                    return Err(error);
                }
            }
        };
        Ok(Some(Line {
            bytes: self.buffer.get(found.from..found.to).unwrap_or_default(),
            source: self.at,
            number: found.number,
            offset: found.offset,
            length: found.length,
            sha256: found.sha256,
        }))
    }

    /// Name of a source for people: its path, or `stdin`.
    pub fn name(&self, source: usize) -> &str {
        self.sources.get(source).map_or("", |source| &source.name)
    }

    /// Bytes read so far, as they lie on disk, and how many there are in all; the latter is `None` when a
    /// source is standard input or a pipe.
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.compressed_read.load(Ordering::Relaxed), self.compressed_total)
    }

    fn leave_source(&mut self) {
        self.at += 1;
        self.stream = None;
        (self.start, self.scanned, self.end) = (0, 0, 0);
        (self.number, self.offset) = (0, 0);
        if let Some(envelope) = &mut self.envelope {
            envelope.leave();
        }
    }

    fn is_blank(&self, found: &Found) -> bool {
        found.sha256.is_none()
            && !found.is_record
            && self.buffer.get(found.from..found.to).is_some_and(|line| line.trim_ascii().is_empty())
    }

    /// The next record or line of the current source, blank or not; `None` at its end.
    fn find(&mut self) -> io::Result<Option<Found>> {
        if let Some(record) = self.find_record()? {
            return Ok(Some(record));
        }
        loop {
            let fresh = self.buffer.get(self.scanned..self.end).unwrap_or_default();
            if let Some(at) = memchr(b'\n', fresh) {
                let line_end = self.scanned + at;
                return Ok(Some(self.take(line_end, line_end + 1)));
            }
            self.scanned = self.end;
            if self.end - self.start >= LAST_BUFFER_BYTES {
                return self.cut().map(Some);
            }
            if self.fill()? == 0 {
                return Ok((self.end > self.start).then(|| self.take(self.end, self.end)));
            }
        }
    }

    /// Gives out `start..line_end` and goes on at `next`.
    fn take(&mut self, line_end: usize, next: usize) -> Found {
        let from = self.start;
        let line = self.buffer.get(from..line_end).unwrap_or_default();
        let length = line.strip_suffix(b"\r").unwrap_or(line).len();
        // A line one byte too long still fits the buffer, which has room for CR and LF.
        let kept = length.min(LINE_LIMIT_BYTES);
        let sha256 = (kept < length).then(|| Sha256::digest(line.get(..length).unwrap_or_default()).into());
        let found = Found {
            from,
            to: from + kept,
            number: self.number + 1,
            offset: self.offset,
            length: length as u64,
            sha256,
            is_record: false,
        };
        self.number += 1;
        self.offset += (next - from) as u64;
        (self.start, self.scanned) = (next, next);
        found
    }

    /// Gives out the first part of a line that fills the buffer; hashes and drops the rest.
    fn cut(&mut self) -> io::Result<Found> {
        let (number, offset) = (self.number + 1, self.offset);
        let mut whole = Whole::default();
        let first = self.buffer.get(self.start..self.end).unwrap_or_default();
        whole.add(first);
        let mut seen = first.len() as u64;
        // The kept part stays at the front of the buffer; what follows is read into the room behind it.
        self.buffer.copy_within(self.start..self.end, 0);
        let (room_from, room_to) = (LINE_LIMIT_BYTES, LINE_LIMIT_BYTES + PIECE_BYTES);
        self.buffer.resize(self.buffer.len().max(room_to), 0);
        loop {
            let got = self.read(room_from, room_to)?;
            let chunk = self.buffer.get(room_from..room_from + got).unwrap_or_default();
            let line_end = memchr(b'\n', chunk);
            whole.add(chunk.get(..line_end.unwrap_or(got)).unwrap_or_default());
            let used = line_end.map_or(got, |at| at + 1);
            seen += used as u64;
            if line_end.is_some() || got == 0 {
                self.start = room_from + used;
                (self.scanned, self.end) = (self.start, room_from + got);
                break;
            }
        }
        self.number += 1;
        self.offset += seen;
        let (length, sha256) = whole.finish();
        let sha256 = Some(sha256);
        Ok(Found { from: 0, to: LINE_LIMIT_BYTES, number, offset, length, sha256, is_record: false })
    }

    /// Reads more behind `end`; 0 at the end of the source.
    fn fill(&mut self) -> io::Result<usize> {
        if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                let length = (self.buffer.len() * 2).min(LAST_BUFFER_BYTES);
                self.buffer.resize(length, 0);
            }
            self.scanned = self.end;
        }
        let got = self.read(self.end, self.buffer.len())?;
        self.end += got;
        Ok(got)
    }

    fn read(&mut self, from: usize, to: usize) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else { return Ok(0) };
        let room = self.buffer.get_mut(from..to).unwrap_or_default();
        loop {
            match stream.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn explain(&self, source: io::Error) -> InputError {
        let (name, line) = (self.name(self.at).to_owned(), self.number);
        match self.stream.as_ref().and_then(Stream::compression) {
            // An error of the operating system is not the fault of the data.
            Some(format) if source.raw_os_error().is_none() => {
                let is_marked = self.stream.as_ref().is_some_and(Stream::is_marked);
                if is_marked && source.kind() == io::ErrorKind::UnexpectedEof {
                    InputError::Truncated { name, format, line }
                } else {
                    InputError::Damaged { name, format, line, source }
                }
            }
            _ => InputError::Read { name, line, source },
        }
    }
}

/// Length and hash of a line that is read in pieces, without the CR before its end.
#[derive(Default)]
struct Whole {
    hash: Sha256,
    length: u64,
    /// The last byte seen was a CR: part of the line only if something other than LF follows.
    held_cr: bool,
}

impl Whole {
    fn add(&mut self, piece: &[u8]) {
        let Some((last, _)) = piece.split_last() else { return };
        if std::mem::take(&mut self.held_cr) {
            self.hash.update(b"\r");
            self.length += 1;
        }
        self.held_cr = *last == b'\r';
        let body = piece.strip_suffix(b"\r").unwrap_or(piece);
        self.hash.update(body);
        self.length += body.len() as u64;
    }

    fn finish(self) -> (u64, [u8; 32]) {
        (self.length, self.hash.finalize().into())
    }
}

#[cfg(test)]
mod tests;
