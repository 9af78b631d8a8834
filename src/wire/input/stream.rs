//! The bytes of one source, decompressed.
//!
//! Knows files, standard input, gzip and zstd, and how to tell them apart.
//! Must not know what a line is.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buffer)
    }
}

impl Stream {
    /// Opens a file, or standard input for `None`. `count` grows by the bytes read from it.
    pub(super) fn open(path: Option<&Path>, count: &Arc<AtomicU64>) -> io::Result<Self> {
        let raw: Box<dyn Read + Send> = match path {
            Some(path) => Box::new(File::open(path)?),
            None => Box::new(io::stdin()),
        };
        let mut raw = Counted { inner: raw, count: Arc::clone(count) };
        let head = read_head(&mut raw)?;
        let format = Format::of(&head, path);
        let whole = Cursor::new(head).chain(raw);
        let buffered = |whole| BufReader::with_capacity(COMPRESSED_BUFFER_BYTES, whole);
        let bytes: Box<dyn Read + Send> = match format {
            Format::Plain => Box::new(whole),
            Format::Gzip => Box::new(MultiGzDecoder::new(buffered(whole))),
            Format::Zstd => Box::new(zstd::Decoder::with_buffer(buffered(whole))?),
        };
        Ok(Self { bytes, format })
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
