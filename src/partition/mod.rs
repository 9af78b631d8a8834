//! One partition of the audit topic: records and pins in, records out; what is saved, and how it is put back.
//!
//! Knows the engine and the records of the topics. Must not know clients, brokers, threads or the host's clock.
//!
//! A partition has one ordered input: its records, and the [`Pin`]s between them, which hold everything else that has
//! influence (a version of what is normal, a verdict, how late it is where nothing arrives). The same records and pins give
//! the same outputs. A [`Commit`] holds the outputs since the one before, the pins, and some slices of the state, each
//! saved as of its own [`Position`]; until it is known to have been written it is kept, and written again if it was not.
//! To go on elsewhere, the slices are put back and the records since the oldest of them are judged again with the outputs
//! muted: what happened before a slice was saved is kept from it.

mod canary;
mod checkpoint;
mod commit;
mod judging;
mod keys;
mod moving;
mod murmur2;
mod outgoing;
mod pin;
mod position;
mod restore;
mod shedding;
mod sources;
mod told;

use std::collections::VecDeque;
use std::sync::Arc;

pub use self::canary::{CANARY, canary, canary_key};
pub use self::checkpoint::{Copies, RecordError};
pub use self::commit::{Commit, CommitError, Pace};
pub use self::judging::{Incoming, JudgingError};
pub use self::keys::{agent_of, risk_key};
pub use self::murmur2::partition_of;
pub use self::outgoing::{Outgoing, Topic};
pub use self::pin::Pin;
pub use self::position::{Position, PositionError};
pub use self::restore::{Log, Restored, last_judged, restore};
pub use self::shedding::{ONE_IN, Shedding};
pub use self::sources::Sources;
pub use self::told::Told;

use self::checkpoint::Saved;
use self::shedding::Repeats;
use crate::engine::{ClosedCounts, Engine, Output, SLICES, Settings, Storm, Version};
use crate::risk::Blindness;
use crate::time::EventTime;
use crate::wire::dead_letter::Reason;

/// What a partition is told once.
#[derive(Clone, Debug)]
pub struct PartitionSettings {
    /// What the engine is told; at most so many agents in this one partition.
    pub engine: Settings,
    /// The partition's number.
    pub number: i32,
    /// Partitions of the topic.
    pub partitions: i32,
    /// Name of the audit topic, for dead letters.
    pub topic: String,
    /// How many copies of the state are kept in turn.
    pub copies: Copies,
}

/// What all partitions have in common: versions of what is normal, and what people decided.
pub trait Common {
    /// The version with a number, if it is still there, under the settings that hold for whoever has seen the control records
    /// before an offset.
    fn version(&self, number: u64, control: i64) -> Option<Arc<Version>>;

    /// The control records before an offset of their topic, in its order, as JSON.
    fn control(&self, until: i64) -> Vec<Arc<str>>;

    /// Whether some of it is lost: then what is judged again may be judged otherwise than it was.
    fn has_lost(&self) -> bool {
        false
    }
}

/// What happened in a partition so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events judged, muted ones apart.
    pub events: u64,
    /// Records that could not be used.
    pub dead_letters: u64,
    /// The same by reason.
    pub reasons: [u64; Reason::ALL.len()],
    /// Alerts opened.
    pub opened: u64,
    /// Risk updates told.
    pub risk_updates: u64,
    /// Events that lie here although their key leads to another partition, or have no key: one agent may lie on two.
    pub misplaced: u64,
    /// Calls that were not judged because they repeated others while there was too much.
    pub left_out: u64,
    /// Records that were left out because there was too much, what is no record among them.
    pub overtaken: u64,
    /// Slices of the state that were lost: their agents are known less well.
    pub lost_slices: u64,
}

/// One partition at work.
#[derive(Debug)]
pub struct Partition {
    settings: PartitionSettings,
    engine: Engine,
    /// Everything before it has happened.
    position: Position,
    /// Everything before it was told by somebody before us.
    muted_until: Position,
    /// As of when each slice was saved.
    saved: [Saved; SLICES],
    /// Pins at or after the oldest slice, with where they stand; those before `position` have happened.
    pins: VecDeque<(Position, Pin)>,
    /// The first control record that has not been pinned yet.
    next_control: i64,
    /// What is to be told with the next commit.
    outgoing: Vec<Outgoing>,
    /// The same in a few words, to be counted.
    heard: Vec<Told>,
    /// Bytes of each slice as it was saved last, packed.
    saved_bytes: [u64; SLICES],
    /// Used while judging, kept for its memory.
    said: Vec<Output>,
    /// The latest record. Milliseconds since 1970.
    latest_record: Option<i64>,
    /// Offset and time of the last record that was judged.
    last: Option<(i64, i64)>,
    /// Who translates sources into it.
    sources: Sources,
    /// Slices of whose agents it is still to be told that they cannot be seen any more, or can be again; one bit each.
    untold: u64,
    /// Since when less is judged.
    shedding: Option<Shedding>,
    /// What the agents of each slice repeated since then.
    repeats: [Repeats; SLICES],
    /// When it told of a made-up event last.
    sang: Option<EventTime>,
    /// The caps on storms as they follow from what was told, while it is muted.
    told: Option<Storm>,
    counts: Counts,
    pace: commit::Progress,
}

impl Partition {
    /// Its number.
    pub fn number(&self) -> i32 {
        self.settings.number
    }

    /// Everything before it has happened.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Where the last commit led; none before the first.
    pub fn committed(&self) -> Option<Position> {
        self.pace.committed
    }

    /// The next record that it wants: the place from which it reads.
    pub fn next_offset(&self) -> i64 {
        self.position.offset
    }

    /// Whether it still repeats what was told before.
    pub fn is_muted(&self) -> bool {
        self.position < self.muted_until
    }

    /// The number of the version by which it judges.
    pub fn version(&self) -> u64 {
        self.engine.version().number()
    }

    /// The first control record that it has not seen.
    pub fn next_control(&self) -> i64 {
        self.next_control
    }

    /// Why what its agents do cannot be seen at present; none where it can.
    pub fn blindness(&self) -> Option<Blindness> {
        self.engine.blindness()
    }

    /// Those who translate sources into this partition, by what they said last.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The hash of the settings by which it judges.
    pub fn config(&self) -> &str {
        &self.engine.version().settings.config
    }

    /// Agents under watch.
    pub fn agents(&self) -> usize {
        self.engine.agents()
    }

    /// What happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Units that have closed since it was put back, those of what was repeated too.
    pub fn closed_counts(&self) -> ClosedCounts {
        self.engine.closed_counts()
    }

    /// Events that were dropped because one with the same id had been judged.
    pub fn duplicates(&self) -> u64 {
        self.engine.duplicates()
    }

    /// Bytes of its slices as they were saved last, packed; of those that were not saved since it was put back, nothing.
    pub fn saved_bytes(&self) -> u64 {
        self.saved_bytes.iter().sum()
    }

    /// The latest record, in milliseconds since 1970.
    pub fn latest_record(&self) -> Option<i64> {
        self.latest_record
    }
}

#[cfg(test)]
mod tests;
