//! Records out of one large object around a list of them, as `{"Records": [{…}, {…}]}`, one at a time.
//!
//! Knows brackets, strings and positions. Must not know what a record says, nor hold more than one of them.
//!
//! Which of the two forms a source has shows at its first members: whoever reads lines gets lines, also when a line of
//! them is broken, because only an object whose leading members are scalars and then the list counts as an envelope.

use std::io;

use memchr::memchr_iter;
use sha2::{Digest, Sha256};

use super::{Found, LAST_BUFFER_BYTES, LINE_LIMIT_BYTES, Lines, PIECE_BYTES};

/// The list must begin within so many bytes.
const HEAD_BYTES: usize = 64 << 10;

/// The name of the list, and where between its brackets the reader stands.
#[derive(Debug)]
pub(super) struct Envelope {
    name: String,
    at: At,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// Where a line, or an envelope, may begin.
    Outside,
    /// In the list, before a record or its end.
    Between,
    /// In a record.
    Record(Scan),
    /// Behind the list, in the rest of the object around it.
    Rest(Scan),
}

/// How a source goes on.
#[derive(PartialEq, Eq, Debug)]
enum Head {
    /// With an envelope, whose first record may begin behind so many bytes.
    Envelope(usize),
    /// With a line.
    Line,
    /// That cannot be said yet.
    Unclear,
}

impl Envelope {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), at: At::Outside }
    }

    pub fn leave(&mut self) {
        self.at = At::Outside;
    }
}

/// How far into a value the reader is. It can stop and go on anywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Scan {
    /// Where in `bytes` the value ends, and whether what follows can be trusted to be outside of a string.
    fn end(&mut self, bytes: &[u8]) -> Option<(usize, bool)> {
        for (i, byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if std::mem::take(&mut self.is_escaped) => {}
                    b'\\' => self.is_escaped = true,
                    b'"' => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return Some((i + 1, true));
                        }
                    }
                    // No JSON string holds a line end: a quote is missing, and where strings are is anybody's guess.
                    b'\n' => return Some((i, false)),
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth == 0 => return Some((i, true)),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some((i + 1, true));
                    }
                }
                b',' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => return Some((i, true)),
                _ => {}
            }
        }
        None
    }
}

impl Lines {
    /// The next record of an envelope; `None` where a line begins instead, or the source has ended.
    pub(super) fn find_record(&mut self) -> io::Result<Option<Found>> {
        loop {
            let Some(envelope) = &self.envelope else { return Ok(None) };
            match envelope.at {
                At::Outside => match head(self.unread(), &envelope.name) {
                    Head::Envelope(length) => self.pass(length, At::Between),
                    Head::Unclear if self.unread().len() < HEAD_BYTES => {
                        let got = self.fill()?;
                        self.scanned = self.start;
                        if got == 0 {
                            return Ok(None);
                        }
                    }
                    Head::Unclear | Head::Line => return Ok(None),
                },
                At::Between => {
                    let unread = self.unread();
                    let is_gap = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
                    let gap = unread.iter().take_while(|byte| is_gap(byte)).count();
                    let next = unread.get(gap).copied();
                    match next {
                        Some(b']') => self.pass(gap + 1, At::Rest(Scan { depth: 1, ..Scan::default() })),
                        // The list is closed by a bracket that never opened it: what follows is a line, if anything.
                        Some(b'}') => self.pass(gap, At::Outside),
                        Some(_) => self.pass(gap, At::Record(Scan::default())),
                        None => {
                            self.pass(gap, At::Between);
                            if self.fill()? == 0 {
                                return Ok(Some(self.take_record(0, At::Outside)));
                            }
                        }
                    }
                    if next == Some(b'}') {
                        return Ok(None);
                    }
                }
                At::Record(mut scan) => {
                    let fresh = self.buffer.get(self.scanned..self.end).unwrap_or_default();
                    if let Some((length, is_sure)) = scan.end(fresh) {
                        let length = self.scanned + length - self.start;
                        let next = if is_sure { At::Between } else { At::Outside };
                        return Ok(Some(self.take_record(length, next)));
                    }
                    self.scanned = self.end;
                    self.stand(At::Record(scan));
                    if self.end - self.start >= LAST_BUFFER_BYTES {
                        return self.cut_record(scan).map(Some);
                    }
                    if self.fill()? == 0 {
                        return Ok(Some(self.take_record(self.end - self.start, At::Outside)));
                    }
                }
                At::Rest(mut scan) => {
                    let unread = self.unread();
                    let length = unread.len();
                    match scan.end(unread) {
                        Some((length, _)) => self.pass(length, At::Outside),
                        None => {
                            self.pass(length, At::Rest(scan));
                            if self.fill()? == 0 {
                                return Ok(Some(self.take_record(0, At::Outside)));
                            }
                        }
                    }
                }
            }
        }
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn stand(&mut self, at: At) {
        if let Some(envelope) = &mut self.envelope {
            envelope.at = at;
        }
    }

    /// Leaves `length` bytes behind that belong to no record.
    fn pass(&mut self, length: usize, then: At) {
        let passed = self.buffer.get(self.start..self.start + length).unwrap_or_default();
        self.number += memchr_iter(b'\n', passed).count() as u64;
        self.offset += length as u64;
        self.start += length;
        self.scanned = self.start;
        self.stand(then);
    }

    /// Gives out the next `length` bytes as a record; of none where the source ends in the middle of the list.
    fn take_record(&mut self, length: usize, then: At) -> Found {
        let (from, number, offset) = (self.start, self.number + 1, self.offset);
        let record = self.buffer.get(from..from + length).unwrap_or_default();
        // A record a little too long still fits the buffer, which has room for a line end.
        let kept = length.min(LINE_LIMIT_BYTES);
        let sha256 = (kept < length).then(|| Sha256::digest(record).into());
        self.pass(length, then);
        Found { from, to: from + kept, number, offset, length: length as u64, sha256, is_record: true }
    }

    /// Gives out the first part of a record that fills the buffer; hashes and drops the rest.
    fn cut_record(&mut self, mut scan: Scan) -> io::Result<Found> {
        let (number, offset) = (self.number + 1, self.offset);
        let mut hash = Sha256::new();
        let first = self.unread();
        hash.update(first);
        let (mut length, mut lines) = (first.len() as u64, memchr_iter(b'\n', first).count() as u64);
        // The kept part stays at the front of the buffer; what follows is read into the room behind it.
        self.buffer.copy_within(self.start..self.end, 0);
        let (room_from, room_to) = (LINE_LIMIT_BYTES, LINE_LIMIT_BYTES + PIECE_BYTES);
        self.buffer.resize(self.buffer.len().max(room_to), 0);
        loop {
            let got = self.read(room_from, room_to)?;
            let chunk = self.buffer.get(room_from..room_from + got).unwrap_or_default();
            let end = scan.end(chunk);
            let used = end.map_or(got, |(length, _)| length);
            let piece = chunk.get(..used).unwrap_or_default();
            hash.update(piece);
            length += used as u64;
            lines += memchr_iter(b'\n', piece).count() as u64;
            if end.is_some() || got == 0 {
                self.start = room_from + used;
                (self.scanned, self.end) = (self.start, room_from + got);
                let is_sure = end.is_some_and(|(_, is_sure)| is_sure);
                self.stand(if is_sure { At::Between } else { At::Outside });
                break;
            }
        }
        self.number += lines;
        self.offset += length;
        let sha256 = Some(hash.finalize().into());
        Ok(Found { from: 0, to: LINE_LIMIT_BYTES, number, offset, length, sha256, is_record: true })
    }
}

/// Whether an envelope begins at `bytes`: an object whose first members are scalars, and then a list called `name`.
fn head(bytes: &[u8], name: &str) -> Head {
    let mut at = Cursor { bytes, at: 0 };
    let found = (|| {
        if at.token()? != b'{' {
            return Some(None);
        }
        loop {
            if at.token()? != b'"' {
                return Some(None);
            }
            let Some(key) = at.string()? else { return Some(None) };
            if at.token()? != b':' {
                return Some(None);
            }
            let first = at.token()?;
            if key == name.as_bytes() {
                return Some((first == b'[').then_some(at.at));
            }
            match first {
                b'{' | b'[' => return Some(None),
                b'"' if at.string()?.is_none() => return Some(None),
                b'"' => {}
                _ => at.literal()?,
            }
            if at.token()? != b',' {
                return Some(None);
            }
        }
    })();
    match found {
        None => Head::Unclear,
        Some(None) => Head::Line,
        Some(Some(length)) => Head::Envelope(length),
    }
}

/// Reads tokens; `None` where the bytes end before it is clear what they are.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The first byte that is no white space; goes behind it.
    fn token(&mut self) -> Option<u8> {
        let rest = self.bytes.get(self.at..)?;
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.at += blank + 1;
        rest.get(blank).copied()
    }

    /// The string behind an opening quote, with its escapes; `Some(None)` where a line ends in it.
    fn string(&mut self) -> Option<Option<&'a [u8]>> {
        let rest = self.bytes.get(self.at..)?;
        let mut scan = Scan { in_string: true, ..Scan::default() };
        let (length, is_sure) = scan.end(rest)?;
        self.at += length;
        Some(is_sure.then(|| rest.get(..length - 1).unwrap_or_default()))
    }

    /// Goes to the end of a number or word.
    fn literal(&mut self) -> Option<()> {
        let rest = self.bytes.get(self.at..)?;
        self.at += rest.iter().position(|byte| b",}]\n".contains(byte))?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_told_from_a_line_by_its_first_members() {
        for (text, expected) in [
            ("{\"Records\":[", Head::Envelope(12)),
            (" \n{ \"v\" : 1.5, \"k\": \"a\\\"b\", \"Records\" : [ {", Head::Envelope(41)),
            ("{\"Records\":[1", Head::Envelope(12)),
            ("{\"Records\":{", Head::Line),
            ("{\"records\":[", Head::Line),
            ("{\"a\":{\"Records\":[", Head::Line),
            ("{\"a\":1}", Head::Line),
            ("{\"a\":\"x\n\"Records\":[", Head::Line),
            ("{\"a\n", Head::Line),
            ("{}", Head::Line),
            ("[{\"Records\":[", Head::Line),
            ("nonsense", Head::Line),
            ("{\"Records\":", Head::Unclear),
            ("{\"Rec", Head::Unclear),
            ("{\"a\": 12", Head::Unclear),
            ("  ", Head::Unclear),
            ("", Head::Unclear),
        ] {
            assert_eq!(head(text.as_bytes(), "Records"), expected, "{text}");
        }
    }
}
