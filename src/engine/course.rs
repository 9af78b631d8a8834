//! The course of a unit: what came after what, how it ended, and what of it was taught.
//!
//! Knows the calls of one unit. Must not know p-values.
//!
//! Sessions have a course. An hour of an agent whose calls all belong to sessions has none, and needs no memory for it.

use serde::{Deserialize, Serialize};
use thin_vec::ThinVec;

use super::unit::SessionHeights;
use crate::detect::sequence::Progress;
use crate::identity::Key;
use crate::stats::flat::ShortSet;
use crate::stats::key::mix;

/// Calls remembered by event id, to name the one a value came from.
const REMEMBERED_CALLS: usize = 64;
/// Things one unit may teach at most: a long unit weighs no more.
pub const LESSONS: usize = 4096;
/// Values that may wait for the unit's end.
const HELD_VALUES: usize = 64;
/// Lessons for which a course needs no memory but its own; most teach no more.
const NEAR_LESSONS: usize = 16;
/// Values and calls for which there is room from the first one on.
const FIRST_VALUES: usize = 16;
const FIRST_CALLS: usize = 16;

/// Mixed into lessons before they are shortened: some are small numbers.
const SHORTENED: u64 = 0x7EAC_4E5D;

/// A value of an argument that waits to be learned.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct HeldValue {
    /// Contexts of the value, as in [`crate::baseline::learning::Lesson::Value`].
    pub contexts: [u64; 2],
    /// The value's keyed hash.
    pub value: u64,
}

/// What the calls of a unit have in common. What every call touches comes first.
#[derive(Debug, Default, Serialize, Deserialize)]
#[repr(C)]
pub struct Course {
    /// Where its sequence stands.
    pub progress: Progress,
    /// How high each of its families rose.
    pub(super) heights: SessionHeights,
    /// Votes it has cast, shortened: a vote in four billion is taken for another one, and lost.
    cast: ShortSet<NEAR_LESSONS>,
    /// Keys of event ids with their actions, by place modulo the number remembered.
    calls: ThinVec<(u64, Key)>,
    /// Values to be learned, which wait until the unit turns out harmless.
    pub held: ThinVec<HeldValue>,
}

impl Course {
    /// Reads something of each of its lines.
    pub(super) fn touch(&self) -> u64 {
        self.progress.previous() ^ self.heights.touch() ^ self.cast.touch() ^ self.calls.len() as u64
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.progress = Progress::default();
        self.heights = SessionHeights::default();
        self.cast.clear();
        self.calls.clear();
        self.held.clear();
    }

    /// Remembers the running call, the `number`-th of its unit (from 1), under its event id.
    pub fn remember_call(&mut self, number: u32, event: u64, action: Key) {
        let place = number.saturating_sub(1) as usize % REMEMBERED_CALLS;
        while self.calls.len() <= place {
            // Calls before it may have had no id.
            make_room(&mut self.calls, FIRST_CALLS, REMEMBERED_CALLS);
            self.calls.push((0, 0));
        }
        if let Some(slot) = self.calls.get_mut(place) {
            *slot = (event, action);
        }
    }

    /// Action and place (from 1) of a remembered call, of which the newest is the `number`-th.
    pub fn call_of(&self, number: u32, event: u64) -> Option<(Key, u32)> {
        let place = self.calls.iter().position(|(e, _)| *e == event)?;
        let (_, action) = self.calls.get(place)?;
        let newest = number as usize;
        let back = (newest + REMEMBERED_CALLS - 1 - place) % REMEMBERED_CALLS;
        Some((*action, newest.saturating_sub(back) as u32))
    }

    /// Marks a lesson as taught by this unit; false when it was already, or when the unit has taught enough.
    pub fn teaches(&mut self, lesson: u64) -> bool {
        self.cast.insert(((mix(lesson, SHORTENED) >> 32) as u32).max(1), LESSONS)
    }

    /// Holds a value back until the unit closes.
    pub fn hold(&mut self, value: HeldValue) {
        make_room(&mut self.held, FIRST_VALUES, HELD_VALUES);
        if self.held.len() < HELD_VALUES {
            self.held.push(value);
        }
    }
}

/// Makes room for one more entry: for `few` at first, then for the most that there may be. Units are used again and
/// again, and sooner or later each of them holds a long list: growing in more steps would only spread the allocations
/// over hours.
fn make_room<T>(list: &mut ThinVec<T>, few: usize, most: usize) {
    if list.len() == list.capacity() && list.len() < most {
        let room = if list.is_empty() { few } else { most };
        list.reserve_exact(room - list.len());
    }
}
