//! The bytes of one source, decompressed.
//!
//! Knows files, standard input, gzip and zstd, and how to tell them apart.
//! Must not know what a line is.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;

/// Buffer between a file and its decompressor. Bytes.
const COMPRESSED_BUFFER_BYTES: usize = 64 << 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Plain,
    Gzip,
    Zstd,
}

impl Format {
    const MAGIC: [(Self, &'static [u8]); 2] =
        [(Self::Gzip, &[0x1f, 0x8b]), (Self::Zstd, &[0x28, 0xb5, 0x2f, 0xfd])];

    /// Name of a compressed format.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// What the first bytes say, or else what the file name says: a damaged head is then reported as damage.
    fn of(head: &[u8], path: Option<&Path>) -> Self {
        if let Some((format, _)) = Self::MAGIC.iter().find(|(_, magic)| head.starts_with(magic)) {
            return *format;
        }
        match path.and_then(Path::extension).and_then(|ending| ending.to_str()) {
            Some("gz" | "gzip") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// The decompressed bytes of one source.
pub(super) struct Stream {
    bytes: Box<dyn Read + Send>,
    format: Format,
    /// Whether it begins as its format does, as far as it goes.
    is_marked: bool,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buffer)
    }
}

impl Stream {
    /// Opens a file, or standard input for `None`. `count` grows by the bytes read from it.
    ///
    /// * `ends`: once it is true, nothing is waited for: what may be slow has ended then.
    pub(super) fn open(
        path: Option<&Path>,
        count: &Arc<AtomicU64>,
        ends: Option<&Arc<AtomicBool>>,
    ) -> io::Result<Self> {
        let is_slow = path.is_none_or(|path| !path.is_file());
        let raw: Box<dyn Read + Send> = match path {
            Some(path) => Box::new(File::open(path)?),
            None => Box::new(io::stdin()),
        };
        let raw: Box<dyn Read + Send> = match ends {
            Some(ends) if is_slow => Box::new(Awaited::new(raw, Arc::clone(ends))?),
            _ => raw,
        };
        let mut raw = Counted { inner: raw, count: Arc::clone(count) };
        let head = read_head(&mut raw)?;
        let format = Format::of(&head, path);
        let is_marked = Format::MAGIC
            .iter()
            .any(|(of, magic)| *of == format && (magic.starts_with(&head) || head.starts_with(magic)));
        let whole = Cursor::new(head).chain(raw);
        let buffered = |whole| BufReader::with_capacity(COMPRESSED_BUFFER_BYTES, whole);
        let bytes: Box<dyn Read + Send> = match format {
            Format::Plain => Box::new(whole),
            Format::Gzip => Box::new(MultiGzDecoder::new(buffered(whole))),
            Format::Zstd => Box::new(zstd::Decoder::with_buffer(buffered(whole))?),
        };
        Ok(Self { bytes, format, is_marked })
    }

    /// Whether its first bytes are those of its compression, and not its name alone says so.
    pub(super) fn is_marked(&self) -> bool {
        self.is_marked
    }

    /// Name of the compression, if any.
    pub(super) fn compression(&self) -> Option<&'static str> {
        self.format.name()
    }
}

/// Reads no further than it takes to tell the formats apart, so that a slow pipe is not waited for.
fn read_head(raw: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(4);
    let undecided = |head: &[u8]| {
        Format::MAGIC.iter().any(|(_, magic)| magic.len() > head.len() && magic.starts_with(head))
    };
    let mut byte = [0u8];
    while undecided(&head) {
        match raw.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => head.extend_from_slice(&byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(head)
}

/// Most that is read from a pipe at once. Bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait to be used, so that a pipe is read no faster than its lines are used.
const WAITING_PIECES: usize = 4;
/// How long it takes at most until somebody who waits sees that it has to end.
const LOOK: Duration = Duration::from_millis(50);

/// A pipe that is read by a thread of its own, because who reads one waits for as long as it says nothing.
struct Awaited {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Cursor<Vec<u8>>,
    ends: Arc<AtomicBool>,
}

impl Awaited {
    fn new(mut raw: Box<dyn Read + Send>, ends: Arc<AtomicBool>) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(WAITING_PIECES);
        let read = move || {
            let mut room = vec![0; PIECE_BYTES];
            loop {
                let piece = match raw.read(&mut room) {
                    Ok(0) => return,
                    Ok(got) => Ok(room.get(..got).unwrap_or_default().to_vec()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let is_last = piece.is_err();
                if sender.send(piece).is_err() || is_last {
                    return;
                }
            }
        };
        thread::Builder::new().name("input".to_owned()).spawn(read)?;
        Ok(Self { pieces, piece: Cursor::default(), ends })
    }
}

impl Read for Awaited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let got = self.piece.read(buffer)?;
            if got > 0 || buffer.is_empty() {
                return Ok(got);
            }
            match self.pieces.recv_timeout(LOOK) {
                Ok(piece) => self.piece = Cursor::new(piece?),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) if self.ends.load(Ordering::Relaxed) => return Ok(0),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// Counts the bytes that come from the disk or pipe.
struct Counted {
    inner: Box<dyn Read + Send>,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.count.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}
