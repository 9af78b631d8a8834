//! A partition is given what was learned elsewhere, or gives up what it has.
//!
//! Knows engines and positions. Must not know how an engine is split, nor who writes what follows.

use std::collections::{BTreeSet, VecDeque};

use super::checkpoint::Saved;
use super::commit::{Commit, CommitError, Pace, Progress};
use super::outgoing::{Outgoing, Topic};
use super::position::Position;
use super::shedding::Repeats;
use super::sources::Sources;
use super::{Counts, Partition, PartitionSettings};
use crate::engine::{Engine, Holdings, SLICES};

impl Partition {
    /// A partition that stands at `position` and knows what `engine` knows. Nothing of it is saved yet.
    ///
    /// * `next_control`: the first control record that it has not seen.
    pub fn standing(
        settings: PartitionSettings,
        engine: Engine,
        position: Position,
        next_control: i64,
    ) -> Self {
        let origin = (position, engine.version().number());
        let unsaved = Saved { as_of: position, ..Saved::default() };
        Self {
            settings,
            engine,
            position,
            muted_until: position,
            saved: [unsaved; SLICES],
            pins: VecDeque::new(),
            next_control,
            outgoing: Vec::new(),
            heard: Vec::new(),
            saved_bytes: [0; SLICES],
            said: Vec::new(),
            latest_record: None,
            last: None,
            sources: Sources::default(),
            untold: 0,
            shedding: None,
            repeats: std::array::from_fn(|_| Repeats::default()),
            sang: None,
            told: None,
            counts: Counts::default(),
            pace: Progress { origin, pins_written: position.pins, ..Progress::default() },
        }
    }

    /// What it holds, in numbers.
    pub fn holdings(&self) -> Holdings {
        self.engine.holdings()
    }

    /// What it knows, once it has reached what was told before.
    pub fn into_engine(self) -> Engine {
        let mut engine = self.engine;
        if let Some(storm) = self.told {
            engine.set_storm(storm);
        }
        (0..SLICES).for_each(|slice| engine.sleep(slice, false));
        engine
    }

    /// Everything that it knows as one commit, and the end of whatever else is saved of the partition.
    ///
    /// * `saved`: the keys of all records that are there.
    ///
    /// # Errors
    ///
    /// When there is not enough memory.
    pub fn replace(mut self, saved: &BTreeSet<Vec<u8>>) -> Result<Commit, CommitError> {
        let number = self.settings.number;
        let pace = Pace { events: u64::MAX, every_ms: i64::MAX };
        let empty = Commit {
            partition: number,
            position: self.position,
            outputs: Vec::new(),
            state: Vec::new(),
            told: Vec::new(),
        };
        let mut commit = self.commit(pace, 0, true)?.unwrap_or(empty);
        let written: BTreeSet<&[u8]> = commit.state.iter().map(|record| record.key.as_slice()).collect();
        let stale: Vec<Vec<u8>> =
            saved.iter().filter(|key| !written.contains(key.as_slice())).cloned().collect();
        commit.state.extend(stale.into_iter().map(|key| Outgoing {
            partition: Some(number),
            value: None,
            ..Outgoing::new(Topic::Checkpoints, key, Vec::new())
        }));
        Ok(commit)
    }
}
