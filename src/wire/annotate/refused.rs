//! What is said about a conversation that could not be used: where it lies and why, never what it says.
//!
//! Knows places, lengths and hashes. Must not hold a byte of the line: other dead letters carry their
//! input, this one must not, because its input is content.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::wire::input::Line;
use crate::wire::sources::transcript::TranscriptError;

/// A dead letter without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Constant name of the reason.
    pub reason: &'static str,
    /// The reason in words, and what to do.
    pub detail: String,
    /// Where the line came from: a path or `stdin`.
    pub source: String,
    /// Number of the line, from 1.
    pub line: u64,
    /// Where the line begins in its decompressed source. Bytes.
    pub offset: u64,
    /// Length of the line. Bytes.
    pub length: u64,
    /// SHA-256 of the line, hexadecimal: finds the line again in an archive.
    pub sha256: String,
}

impl Refused {
    /// The dead letter of a line that is no usable conversation.
    pub fn new(line: &Line<'_>, source: &str, error: TranscriptError) -> Self {
        Self::at(line, source, error.label(), error.to_string())
    }

    /// The dead letter of a line that is longer than a line may be.
    pub fn too_long(line: &Line<'_>, source: &str) -> Self {
        let limit = crate::wire::input::LINE_LIMIT_BYTES;
        let detail = format!("the conversation has {} bytes, the limit is {limit}: split it", line.length);
        Self::at(line, source, "too_long", detail)
    }

    fn at(line: &Line<'_>, source: &str, reason: &'static str, detail: String) -> Self {
        let digest = line.sha256.unwrap_or_else(|| Sha256::digest(line.bytes).into());
        Self {
            reason,
            detail,
            source: source.to_owned(),
            line: line.number,
            offset: line.offset,
            length: line.length,
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}
