//! The records in which a partition is saved.
//!
//! Knows keys and frames. Must not know what a slice holds, nor when it is saved.
//!
//! | key | value |
//! |---|---|
//! | `head\|COPY` | [`Head`]: position, caps on storms, who translates sources |
//! | `slice\|NUMBER\|COPY\|CHUNK` | [`Chunk`]: a piece of a slice, packed with zstd |
//! | `pin\|NUMBER` | a pin, from the oldest slice on |
//!
//! Each value is the version of the format (1 byte), the CRC-32C of the rest (4 bytes, little endian) and the rest. The
//! partition number of the topic is that of the audit topic.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::pin::PinRecord;
use super::position::Position;
use super::shedding::{Repeats, Shedding};
use super::sources::Sources;
use crate::engine::member::Moment;
use crate::engine::{SLICES, Storm};

/// Version of the format.
const FORMAT: u8 = 4;
/// A slice is cut in pieces of at most so many bytes, so that a record stays below 1 MiB.
const CHUNK_BYTES: usize = 900_000;
/// Fast, and half the size.
const ZSTD_LEVEL: i32 = 1;

/// How many copies of the state are kept in turn: where a commit is not written as a whole, the copy before it must
/// survive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copies {
    /// Commits are transactions.
    One,
    /// Commits can be cut off anywhere.
    Two,
}

impl Copies {
    /// The copy after another.
    pub(super) fn after(self, copy: u8) -> u8 {
        match self {
            Self::One => 0,
            Self::Two => copy ^ 1,
        }
    }
}

/// Why a saved record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is cut off.
    #[error("the record is cut off")]
    Short,
    /// It was written by another version.
    #[error("the record has format {0}, this version reads {FORMAT}")]
    Format(u8),
    /// It is not as it was written.
    #[error("the checksum of the record does not fit")]
    Checksum,
    /// It does not hold what it should.
    #[error("the record cannot be read: {0}")]
    Content(#[from] postcard::Error),
    /// It cannot be unpacked.
    #[error("the record cannot be unpacked: {0}")]
    Packed(#[from] std::io::Error),
}

/// As of when a slice was saved, and where that stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Saved {
    pub as_of: Position,
    /// The copy written last.
    pub copy: u8,
    /// Pieces of each copy.
    pub chunks: [u32; 2],
}

/// A piece of a slice.
#[derive(Serialize, Deserialize)]
pub(super) struct Chunk {
    /// Of which partition.
    pub partition: i32,
    /// Of which slice. A record that lies under another key, or on another partition, is none of ours: two would tell of
    /// one agent.
    pub slice: u8,
    /// Everything before it has happened to the slice.
    pub as_of: Position,
    /// How far time had come.
    pub moment: Moment,
    /// The version by which it was judged.
    pub version: u64,
    /// The first control record that had not been pinned.
    pub next_control: i64,
    /// Since when less was judged.
    pub shedding: Option<Shedding>,
    /// What its agents had repeated since then; in the first piece.
    pub repeats: Repeats,
    /// This piece, from 0.
    pub number: u32,
    /// All pieces.
    pub of: u32,
    /// The piece.
    pub bytes: Vec<u8>,
}

/// What is saved with every commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Everything before it has happened.
    pub position: Position,
    /// Where the partition began, and by which version it was judged then: the state of slices that were never saved.
    pub origin: (Position, u64),
    /// Slices that were saved, one bit each.
    pub saved: u64,
    /// The first control record that was not pinned.
    pub next_control: i64,
    /// Partitions of the topic.
    pub partitions: i32,
    /// Caps on storms.
    pub storm: Storm,
    /// Offset and time of the last record that was judged: one of another topic has another time there.
    pub last: Option<(i64, i64)>,
    /// Who translates sources into it, and when they were heard of: whoever has fallen silent is awaited after a restart too.
    pub sources: Sources,
    /// Slices of whose agents it was not told yet whether they can be seen, one bit each.
    pub untold: u64,
}

const _: () = assert!(SLICES <= 64, "one bit each");

/// A slice that was put together.
#[derive(Debug)]
pub(super) struct Whole {
    pub as_of: Position,
    pub moment: Moment,
    pub version: u64,
    pub next_control: i64,
    pub copy: u8,
    pub shedding: Option<Shedding>,
    pub repeats: Repeats,
    pub bytes: Vec<u8>,
}

pub(super) fn head_key(copy: u8) -> Vec<u8> {
    format!("head|{copy}").into_bytes()
}

pub(super) fn slice_key(slice: usize, copy: u8, chunk: u32) -> Vec<u8> {
    format!("slice|{slice:02}|{copy}|{chunk}").into_bytes()
}

pub(super) fn pin_key(number: u64) -> Vec<u8> {
    format!("pin|{number:016}").into_bytes()
}

/// A value with its frame.
pub(super) fn framed(value: &impl Serialize) -> Result<Vec<u8>, RecordError> {
    let body = postcard::to_allocvec(value)?;
    let mut record = Vec::with_capacity(body.len() + 5);
    record.push(FORMAT);
    record.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    record.extend_from_slice(&body);
    Ok(record)
}

/// The value in a frame.
pub(super) fn unframed<T: DeserializeOwned>(record: &[u8]) -> Result<T, RecordError> {
    let (&format, rest) = record.split_first().ok_or(RecordError::Short)?;
    if format != FORMAT {
        return Err(RecordError::Format(format));
    }
    let (sum, body) = rest.split_first_chunk::<4>().ok_or(RecordError::Short)?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
        return Err(RecordError::Checksum);
    }
    Ok(postcard::from_bytes(body)?)
}

/// Bytes, packed and in pieces of which each fits into a record.
pub(super) fn packed(bytes: &[u8]) -> Result<Vec<Vec<u8>>, RecordError> {
    let packed = zstd::encode_all(bytes, ZSTD_LEVEL)?;
    Ok(packed.chunks(CHUNK_BYTES).map(<[u8]>::to_vec).collect())
}

/// The same bytes again.
pub(super) fn unpacked(pieces: &[u8]) -> Result<Vec<u8>, RecordError> {
    Ok(zstd::decode_all(pieces)?)
}

/// The newest copy of a slice of a partition that is complete; none if there is none.
pub(super) fn whole(records: &BTreeMap<Vec<u8>, Vec<u8>>, partition: i32, slice: usize) -> Option<Whole> {
    let copies = (0..2).filter_map(|copy| whole_copy(records, partition, slice, copy));
    copies.max_by_key(|whole| whole.as_of)
}

fn whole_copy(records: &BTreeMap<Vec<u8>, Vec<u8>>, partition: i32, slice: usize, copy: u8) -> Option<Whole> {
    let ours = |chunk: &Chunk| (chunk.partition, usize::from(chunk.slice)) == (partition, slice);
    let chunk = |number| unframed::<Chunk>(records.get(&slice_key(slice, copy, number))?).ok().filter(ours);
    let Chunk { as_of, moment, version, next_control, of, shedding, repeats, bytes: mut pieces, .. } =
        chunk(0)?;
    for number in 1..of {
        let next = chunk(number).filter(|next| (next.as_of, next.number, next.of) == (as_of, number, of))?;
        pieces.extend_from_slice(&next.bytes);
    }
    Some(Whole {
        as_of,
        moment,
        version,
        next_control,
        copy,
        shedding,
        repeats,
        bytes: unpacked(&pieces).ok()?,
    })
}

/// All pins that can be read, in their order.
pub(super) fn pins(records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<PinRecord> {
    let of_pins = records.range(b"pin|".to_vec()..b"pin}".to_vec());
    let mut pins: Vec<PinRecord> = of_pins.filter_map(|(_, record)| unframed(record).ok()).collect();
    pins.sort_by_key(|pin| pin.position);
    pins
}
