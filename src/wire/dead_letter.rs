//! Dead letters: input we could not use, why, where it stood and what it was.
//!
//! Knows the closed set of reasons and the form in which dead letters are written.
//! Must not know how the input was read, beyond its place.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::wire::input::Line;

/// Most bytes of the input that a dead letter carries.
pub const DATA_LIMIT_BYTES: usize = 64 << 10;

/// Why input could not be used: a closed set, so that it can be the label of a metric.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// Not JSON, not complete, or more than one value.
    NotJson,
    /// Not UTF-8.
    NotUtf8,
    /// A field has another type than its own, or the line is no object.
    WrongType,
    /// A required field is absent.
    MissingField,
    /// A required field is an empty string.
    EmptyField,
    /// A field is there more than once.
    DuplicateField,
    /// A string, or the whole event, is longer than its limit.
    TooLong,
    /// Objects and lists are nested too deeply.
    TooDeep,
    /// A list has too many entries.
    TooMany,
    /// A time or number lies outside its range.
    OutOfRange,
    /// A string is no time, no hash, or no word of its vocabulary.
    InvalidValue,
    /// Judging it ended in a panic.
    Panic,
    /// Nobody can read it: its batch is damaged, or cannot be unpacked.
    Unreadable,
}

impl Reason {
    /// Every reason, in the order in which they are reported.
    pub const ALL: [Self; 13] = [
        Self::NotJson,
        Self::NotUtf8,
        Self::WrongType,
        Self::MissingField,
        Self::EmptyField,
        Self::DuplicateField,
        Self::TooLong,
        Self::TooDeep,
        Self::TooMany,
        Self::OutOfRange,
        Self::InvalidValue,
        Self::Panic,
        Self::Unreadable,
    ];

    /// The reason's name in metrics and dead letters: lower case with underscores.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotUtf8 => "not_utf8",
            Self::WrongType => "wrong_type",
            Self::MissingField => "missing_field",
            Self::EmptyField => "empty_field",
            Self::DuplicateField => "duplicate_field",
            Self::TooLong => "too_long",
            Self::TooDeep => "too_deep",
            Self::TooMany => "too_many",
            Self::OutOfRange => "out_of_range",
            Self::InvalidValue => "invalid_value",
            Self::Panic => "panic",
            Self::Unreadable => "unreadable",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

/// A line was refused: the reason, and a sentence that names the field, its value and the remedy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    /// Why, as one of a closed set.
    pub reason: Reason,
    /// Why, for a person. Values in it are cut to 64 characters and escaped, but not trustworthy.
    pub detail: String,
}

impl Refusal {
    /// A refusal for `reason`, explained by `detail`.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// One piece of input we could not use; written as one line of JSON (`schemas/dead-letter.v1.schema.json`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DeadLetter<'a> {
    /// Why, as one of a closed set.
    pub reason: Reason,
    /// Why, for a person.
    pub detail: &'a str,
    /// Name of the source: a path, or `stdin`.
    pub source: &'a str,
    /// Line in the source, from 1.
    pub line: u64,
    /// Where the line begins in the decompressed source. Bytes.
    pub offset: u64,
    /// Length of the whole line, without its end. Bytes.
    pub length: u64,
    /// SHA-256 of the whole line, without its end. 64 hexadecimal digits.
    pub sha256: String,
    /// The first 64 KiB of the line. Base64 with padding (RFC 4648 §4).
    pub data: String,
}

impl<'a> DeadLetter<'a> {
    /// The dead letter of `line`, which came from `source` and was refused.
    pub fn new(refusal: &'a Refusal, source: &'a str, line: &Line<'_>) -> Self {
        let hash = line.sha256.unwrap_or_else(|| Sha256::digest(line.bytes).into());
        let kept = line.bytes.get(..DATA_LIMIT_BYTES).unwrap_or(line.bytes);
        Self {
            reason: refusal.reason,
            detail: &refusal.detail,
            source,
            line: line.number,
            offset: line.offset,
            length: line.length,
            sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            data: BASE64.encode(kept),
        }
    }
}

/// Dead letters could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write dead letters to {path:?}: {source}; free space or name another file")]
pub struct DeadLetterError {
    /// The file.
    pub path: PathBuf,
    /// What the operating system says.
    pub source: io::Error,
}

/// Counts dead letters by reason and, if a file was named, writes them there as lines of JSON.
#[derive(Debug, Default)]
pub struct DeadLetters {
    counts: [u64; Reason::ALL.len()],
    file: Option<(PathBuf, BufWriter<File>)>,
}

impl DeadLetters {
    /// Dead letters that are only counted.
    pub fn counted() -> Self {
        Self::default()
    }

    /// Dead letters that are counted and written to a new file at `path`, replacing an old one.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn to_file(path: &Path) -> Result<Self, DeadLetterError> {
        let file = File::create(path).map_err(|source| DeadLetterError { path: path.to_owned(), source })?;
        Ok(Self { file: Some((path.to_owned(), BufWriter::new(file))), ..Self::default() })
    }

    /// Takes in `line` of `source`, refused for `refusal`.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. The dead letter is counted all the same.
    pub fn add(&mut self, refusal: &Refusal, source: &str, line: &Line<'_>) -> Result<(), DeadLetterError> {
        if let Some(count) = self.counts.get_mut(refusal.reason as usize) {
            *count += 1;
        }
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        serde_json::to_writer(&mut *file, &DeadLetter::new(refusal, source, line))
            .map_err(io::Error::from)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(|source| DeadLetterError { path: path.clone(), source })
    }

    /// How many there were of each reason; reasons that did not occur are left out.
    pub fn counts(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }

    /// How many there were in all.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Writes out what is still in memory; must be called at the end.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<(), DeadLetterError> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        file.flush().map_err(|source| DeadLetterError { path: path.clone(), source })
    }
}
