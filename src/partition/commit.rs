//! What is written together: outputs, pins, and a little of the state.
//!
//! Knows what has to be written when. Must not know how.

use super::Partition;
use super::checkpoint::{Chunk, Head, RecordError, framed, head_key, packed, pin_key, slice_key};
use super::outgoing::{Outgoing, Topic};
use super::pin::PinRecord;
use super::position::Position;
use super::told::Told;
use crate::engine::SLICES;
use crate::engine::checkpoint::CheckpointError;

/// How often a slice is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// After so many events.
    pub events: u64,
    /// After so many milliseconds of the host's clock.
    pub every_ms: i64,
}

/// How far saving has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Events since a slice was saved last.
    pub events: u64,
    /// When that was, by the host's clock. Milliseconds.
    pub saved_ms: Option<i64>,
    /// Pins that were written.
    pub pins_written: u64,
    /// Where the last commit ended.
    pub committed: Option<Position>,
    /// The copy of the head written last.
    pub copy: u8,
    /// Slices that were saved, one bit each.
    pub saved: u64,
    /// Where the partition began, and its version then.
    pub origin: (Position, u64),
}

/// What is written together, and the position that it leads to.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Number of the partition.
    pub partition: i32,
    /// Where the partition stands once this is written.
    pub position: Position,
    /// What is told.
    pub outputs: Vec<Outgoing>,
    /// What is saved; in this order.
    pub state: Vec<Outgoing>,
    /// What is told, in the few words by which it is counted.
    pub told: Vec<Told>,
}

impl Partition {
    /// Whether something should be written at once: somebody waits for it.
    pub fn has_outputs(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether there is anything to write.
    pub fn has_progress(&self) -> bool {
        !self.is_muted() && (self.has_outputs() || self.pace.committed != Some(self.position))
    }

    /// Whether something happened since a slice was saved: to put the partition back, it would have to happen again.
    fn is_unsaved(&self) -> bool {
        !self.is_muted() && self.saved.iter().any(|saved| saved.as_of < self.position)
    }

    /// Everything since the last commit, with the slices whose turn it is; none where nothing happened.
    ///
    /// * `now_ms`: the host's clock, which decides only what is saved when. Milliseconds.
    /// * `all`: saves every slice, so that nothing has to be repeated.
    ///
    /// # Errors
    ///
    /// When there is not enough memory.
    pub fn commit(&mut self, pace: Pace, now_ms: i64, all: bool) -> Result<Option<Commit>, CommitError> {
        if !(self.has_progress() || all && self.is_unsaved()) {
            return Ok(None);
        }
        let mut state = Vec::new();
        let written = self.pace.pins_written;
        for (position, pin) in self.pins.iter().filter(|(position, _)| position.pins >= written) {
            let record = framed(&PinRecord { position: *position, pin: pin.clone() })?;
            state.push(self.saved_record(pin_key(position.pins), Some(record)));
        }
        self.pace.pins_written = self.position.pins.max(written);
        // Before anything is saved: where a commit is cut off, a slice is put back as it was saved before, and needs the pins from
        // there on.
        self.delete_pins(&mut state);
        let since = now_ms.saturating_sub(*self.pace.saved_ms.get_or_insert(now_ms));
        if all {
            for slice in 0..SLICES {
                self.save_slice(slice, &mut state)?;
            }
        } else if self.pace.events >= pace.events || since >= pace.every_ms {
            let oldest = self.saved.iter().zip(0..).min_by_key(|(saved, slice)| (saved.as_of, *slice));
            if let Some((_, slice)) = oldest {
                self.save_slice(slice, &mut state)?;
            }
            self.pace.events = 0;
            self.pace.saved_ms = Some(now_ms);
        }
        let head = Head {
            position: self.position,
            origin: self.pace.origin,
            saved: self.pace.saved,
            next_control: self.next_control,
            partitions: self.settings.partitions,
            storm: self.engine.storm().clone(),
            last: self.last,
            sources: self.sources.clone(),
            untold: self.untold,
        };
        self.pace.copy = self.settings.copies.after(self.pace.copy);
        state.push(self.saved_record(head_key(self.pace.copy), Some(framed(&head)?)));
        self.pace.committed = Some(self.position);
        let outputs = std::mem::take(&mut self.outgoing);
        let told = std::mem::take(&mut self.heard);
        Ok(Some(Commit { partition: self.settings.number, position: self.position, outputs, state, told }))
    }

    /// Saves one slice as of now.
    fn save_slice(&mut self, slice: usize, state: &mut Vec<Outgoing>) -> Result<(), CommitError> {
        // What sleeps was saved later than this, and cannot be saved as of now.
        let Some(saved) = self.saved.get(slice).copied().filter(|saved| saved.as_of <= self.position) else {
            return Ok(());
        };
        let copy = self.settings.copies.after(saved.copy);
        let pieces = packed(&self.engine.save_slice(slice)?)?;
        let of = pieces.len() as u32;
        if let Some(bytes) = self.saved_bytes.get_mut(slice) {
            *bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        }
        let (moment, version, next_control) = (self.engine.moment(), self.version(), self.next_control);
        for (bytes, number) in pieces.into_iter().zip(0..) {
            let (partition, slice_number) = (self.settings.number, slice as u8);
            let as_of = self.position;
            let repeats = self.repeats.get(slice).filter(|_| number == 0).cloned().unwrap_or_default();
            let chunk = Chunk {
                partition,
                slice: slice_number,
                as_of,
                moment,
                version,
                next_control,
                shedding: self.shedding,
                repeats,
                number,
                of,
                bytes,
            };
            state.push(self.saved_record(slice_key(slice, copy, number), Some(framed(&chunk)?)));
        }
        let mut chunks = saved.chunks;
        if let Some(before) = chunks.get_mut(usize::from(copy)) {
            for surplus in of..*before {
                state.push(self.saved_record(slice_key(slice, copy, surplus), None));
            }
            *before = of;
        }
        if let Some(saved) = self.saved.get_mut(slice) {
            (saved.as_of, saved.copy, saved.chunks) = (self.position, copy, chunks);
        }
        self.pace.saved |= 1 << slice;
        Ok(())
    }

    /// Deletes the pins that happened before the oldest slice that was saved.
    fn delete_pins(&mut self, state: &mut Vec<Outgoing>) {
        let oldest = self.saved.iter().map(|saved| saved.as_of).min().unwrap_or_default();
        while let Some((position, _)) = self.pins.front()
            && *position < oldest
        {
            state.push(self.saved_record(pin_key(position.pins), None));
            self.pins.pop_front();
        }
    }

    fn saved_record(&self, key: Vec<u8>, value: Option<Vec<u8>>) -> Outgoing {
        let partition = Some(self.settings.number);
        Outgoing { partition, value, ..Outgoing::new(Topic::Checkpoints, key, Vec::new()) }
    }
}

/// A commit could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The state cannot be turned into bytes.
    #[error(transparent)]
    State(#[from] CheckpointError),
    /// A record cannot be made.
    #[error(transparent)]
    Record(#[from] RecordError),
}
