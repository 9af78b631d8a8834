//! Lines that wait to be decoded and judged on several threads.
//!
//! Knows lines and threads. Must not judge.

use std::thread;

use crate::engine::unit::Position;
use crate::event::AuditEvent;
use crate::wire::audit_event;
use crate::wire::dead_letter::Refusal;
use crate::wire::input::Line;

/// Lines that are decoded together.
const LINES: usize = 8192;
/// Bytes that are decoded together, but for one line.
const BYTES: usize = 8 << 20;

/// Lines, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    lines: Vec<Kept>,
    /// Names of the sources met.
    sources: Vec<String>,
}

/// Where a line stands.
#[derive(Debug)]
struct Kept {
    end: usize,
    source: usize,
    number: u64,
    offset: u64,
    length: u64,
    sha256: Option<[u8; 32]>,
}

/// A line of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeptLine<'b> {
    bytes: &'b [u8],
    /// Name of its source.
    pub source: &'b str,
    kept: &'b Kept,
}

impl KeptLine<'_> {
    /// The line, as it was read.
    pub fn line(&self) -> Line<'_> {
        let Kept { source, number, offset, length, sha256, .. } = *self.kept;
        Line { bytes: self.bytes, source, number, offset, length, sha256 }
    }

    /// Where its event stands.
    pub fn position(&self) -> Position {
        let source = u32::try_from(self.kept.source).unwrap_or(u32::MAX);
        Position { source, line: self.kept.number }
    }
}

impl Batch {
    /// Adds a line of the input `source`.
    pub fn push(&mut self, line: &Line<'_>, source: &str) {
        while self.sources.len() <= line.source {
            self.sources.push(source.to_owned());
        }
        self.bytes.extend_from_slice(line.bytes);
        let &Line { source, number, offset, length, sha256, .. } = line;
        self.lines.push(Kept { end: self.bytes.len(), source, number, offset, length, sha256 });
    }

    /// Whether it should be judged now.
    pub fn is_full(&self) -> bool {
        self.lines.len() >= LINES || self.bytes.len() >= BYTES
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// All lines with the events in them, in their order; decoded on up to `threads` threads.
    pub fn decode<'b>(&'b self, threads: usize) -> Vec<(KeptLine<'b>, Result<AuditEvent<'b>, Refusal>)> {
        let lines = self.kept_lines();
        let each = lines.len().div_ceil(threads.max(1)).max(1);
        thread::scope(|scope| {
            let parts: Vec<_> = lines
                .chunks(each)
                .map(|part| {
                    let decode = |line: &KeptLine<'b>| (*line, audit_event::decode(line.bytes));
                    scope.spawn(move || part.iter().map(decode).collect::<Vec<_>>())
                })
                .collect();
            let joined =
                parts.into_iter().map(|part| part.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
            joined.flatten().collect()
        })
    }

    /// The same memory without lines.
    pub fn emptied(mut self) -> Self {
        self.bytes.clear();
        self.lines.clear();
        self
    }

    fn kept_lines(&self) -> Vec<KeptLine<'_>> {
        let mut from = 0;
        let mut lines = Vec::with_capacity(self.lines.len());
        for kept in &self.lines {
            let bytes = self.bytes.get(from..kept.end).unwrap_or_default();
            from = kept.end;
            let source = self.sources.get(kept.source).map_or("", String::as_str);
            lines.push(KeptLine { bytes, source, kept });
        }
        lines
    }
}
