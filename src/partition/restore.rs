//! A partition is put back from what was saved.
//!
//! Knows what to do where something is missing. Must not know where the records come from.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::checkpoint::{self, Head, Saved, Whole, head_key, unframed};
use super::commit::Progress;
use super::pin::{Pin, PinRecord};
use super::position::Position;
use super::shedding::{Repeats, Shedding};
use super::{Common, Copies, Counts, Partition, PartitionSettings};
use crate::engine::member::Moment;
use crate::engine::{Engine, SLICES, Version};
use crate::wire::control;

/// An agent whose counters were lost counts on from here for each position before: more than one record or pin can have
/// told.
const TOLD_AT_MOST: u64 = 64;

/// A partition that was put back.
#[derive(Debug)]
pub struct Restored {
    /// The partition. It wants the records from [`Partition::next_offset`] on.
    pub partition: Partition,
    /// What was missing, a sentence each.
    pub missing: Vec<String>,
}

/// What there is of the partition's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The first record there is.
    pub start: i64,
    /// One after the last.
    pub end: i64,
    /// Whether they are others than those that were judged: the topic was made anew, or the state was copied from another
    /// cluster.
    pub is_another: bool,
}

impl From<(i64, i64)> for Log {
    /// The same log as ever, with its first record and its end.
    fn from((start, end): (i64, i64)) -> Self {
        Self { start, end, is_another: false }
    }
}

/// Offset and time of the last record that was judged, by what was saved.
pub fn last_judged(records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Option<(i64, i64)> {
    let heads = (0..2).filter_map(|copy| unframed::<Head>(records.get(&head_key(copy))?).ok());
    heads.max_by_key(|head| head.position)?.last
}

/// Puts a partition back.
///
/// * `records`: its checkpoint records by their key, of which the latest counts.
/// * `committed`: where the partition stands; none where nothing was committed.
/// * `log`: the records there are.
/// * `common`: versions, and control records; the latter complete up to now.
/// * `newest`: the version that holds where the one by which it was judged is not known any more.
///
/// A partition of which nothing was committed begins by what is shipped, whatever is the newest: that follows from no pin,
/// and whoever begins once more must not judge its first records by another version.
///
/// What was lost makes agents less well known, and is said; it never makes an alert id or a sequence number be used
/// twice.
pub fn restore(
    settings: PartitionSettings,
    records: &BTreeMap<Vec<u8>, Vec<u8>>,
    committed: Option<Position>,
    log: impl Into<Log>,
    common: &impl Common,
    newest: Arc<Version>,
) -> Restored {
    let mut missing = Vec::new();
    let Log { start, end, is_another } = log.into();
    let mut heads: Vec<(u8, Head)> =
        (0..2).filter_map(|copy| Some((copy, unframed(records.get(&head_key(copy))?).ok()?))).collect();
    // The head of this very commit; where it was cut off, the one before.
    heads.sort_by_key(|(_, head)| (Some(head.position) == committed, head.position));
    let (copy, head) = heads.pop().map_or((0, None), |(copy, head)| (copy, Some(head)));
    let told = committed.or(head.as_ref().map(|head| head.position));
    let mut stands = told.unwrap_or(Position { offset: start, pins: 0 });
    // Offsets of a topic that was made anew begin again: what was learned stays, where it stood is forgotten.
    let anew = is_another || stands.offset > end;
    if anew {
        let why = if is_another {
            format!("has another record than the one that was judged last, before offset {}", stands.offset)
        } else {
            format!("ends at {end}, before the committed offset {}", stands.offset)
        };
        missing.push(format!(
            "partition {} {why}: the topic was made anew, or is another cluster's; what was learned is kept, and reading \
             begins at {start}",
            settings.number
        ));
        stands.offset = start;
    }
    let first = if told.is_none() { common.version(0, 0) } else { None };
    let first = first.unwrap_or(newest);
    let origin = head.as_ref().map_or((stands, first.number()), |head| head.origin);
    let was_saved = head.as_ref().map_or(u64::from(told.is_some()).wrapping_neg(), |head| head.saved);
    let mut partition = Partition {
        engine: Engine::member(settings.engine.clone(), first),
        position: stands,
        muted_until: stands,
        saved: [Saved::default(); SLICES],
        pins: VecDeque::new(),
        next_control: head.as_ref().map_or(0, |head| head.next_control),
        outgoing: Vec::new(),
        heard: Vec::new(),
        saved_bytes: [0; SLICES],
        said: Vec::new(),
        latest_record: None,
        last: head.as_ref().and_then(|head| head.last),
        // Somebody of another topic is not awaited here.
        sources: head.as_ref().filter(|_| !anew).map(|head| head.sources.clone()).unwrap_or_default(),
        // Nobody knows of whom it was told: then of all.
        untold: head.as_ref().map_or(u64::from(told.is_some()).wrapping_neg(), |head| head.untold),
        shedding: None,
        repeats: std::array::from_fn(|_| Repeats::default()),
        sang: None,
        told: head.as_ref().map(|head| head.storm.clone()),
        counts: Counts::default(),
        pace: Progress { committed: told, copy, saved: was_saved, origin, ..Progress::default() },
        settings,
    };
    let beyond = counted(told.unwrap_or(stands));
    // Where every slice stands: the moment and the version of the oldest hold when the records are read again.
    let mut oldest: Option<(Position, Moment, u64, i64, Option<Shedding>)> = None;
    let mut is_older =
        |as_of: Position, moment: Moment, version: u64, next_control: i64, shedding: Option<Shedding>| {
            if oldest.is_none_or(|(oldest, ..)| as_of < oldest) {
                oldest = Some((as_of, moment, version, next_control, shedding));
            }
        };
    for slice in 0..SLICES {
        let saved = match checkpoint::whole(records, partition.settings.number, slice) {
            Some(whole) if partition.put_back(slice, &whole) => {
                // Behind the end of the log nothing of this partition was ever saved: it is another's.
                let foreign = anew || whole.as_of.offset > end;
                let as_of = if foreign { stands } else { whole.as_of };
                // Where its records are others now, nothing is repeated.
                let shedding = whole.shedding.filter(|_| !foreign);
                is_older(as_of, whole.moment, whole.version, whole.next_control, shedding);
                if let (Some(repeats), false) = (partition.repeats.get_mut(slice), foreign) {
                    repeats.clone_from(&whole.repeats);
                }
                // What was told since it was saved cannot be judged again.
                let forgets = foreign && Some(whole.as_of) != told;
                if (as_of.offset < start || forgets) && told.is_some() {
                    partition.engine.count_further(slice, beyond);
                }
                Saved { as_of, copy: whole.copy, chunks: chunks(records, slice) }
            }
            None if was_saved >> slice & 1 == 0 && told.is_some() && !anew => {
                is_older(origin.0, Moment::default(), origin.1, 0, None);
                if origin.0.offset < start {
                    partition.engine.count_from(slice, beyond);
                }
                Saved { as_of: origin.0, ..Saved::default() }
            }
            found => {
                if told.is_some() && (anew || found.is_some() || was_saved >> slice & 1 == 1) {
                    partition.counts.lost_slices += 1;
                    partition.engine.count_from(slice, beyond);
                }
                Saved { as_of: stands, chunks: chunks(records, slice), ..Saved::default() }
            }
        };
        if let Some(place) = partition.saved.get_mut(slice) {
            *place = saved;
        }
    }
    if partition.counts.lost_slices > 0 {
        missing.push(format!(
            "{} of {SLICES} slices of partition {} were lost or damaged: their agents are known less well",
            partition.counts.lost_slices, partition.settings.number
        ));
    }
    let mut otherwise = told.is_some() && common.has_lost();
    if let Some((as_of, moment, number, next_control, shedding)) = oldest {
        partition.position = as_of;
        partition.shedding = shedding;
        partition.next_control = next_control;
        partition.engine.set_moment(moment);
        match common.version(number, next_control) {
            Some(version) => partition.engine.adopt(version),
            None => {
                otherwise = true;
                missing.push(format!("version {number} of what is normal is gone: a later one holds"));
            }
        }
        if as_of.offset < start {
            missing.push(format!(
                "partition {} begins at {start}, after the oldest saved slice ({}): what was between is gone",
                partition.settings.number, as_of.offset
            ));
        }
    }
    // What people said of groups of agents follows from their records alone.
    for json in common.control(partition.next_control) {
        if let Ok(record) = control::decode(json.as_bytes()) {
            partition.engine.control_of_groups(&record);
        }
    }
    if !anew {
        let ahead = told.is_none() || partition.settings.copies == Copies::Two;
        let lost = partition.put_pins_back(checkpoint::pins(records), stands, ahead);
        if lost > 0 {
            missing.push(format!(
                "{lost} of the pins of partition {} were lost or damaged: what they did to agents is forgotten",
                partition.settings.number
            ));
            otherwise = true;
        }
    }
    if otherwise {
        // What is judged again may be judged otherwise, and fewer alerts be counted than were told.
        (0..SLICES).for_each(|slice| partition.engine.count_further(slice, beyond));
    }
    // Nothing is left to be judged again: it stands where it stood now, and not only when the next record comes.
    if start >= stands.offset && partition.happen_until(stands.offset, common).is_ok() {
        partition.position.offset = partition.position.offset.max(stands.offset);
    }
    partition.pace.pins_written = partition.pins.back().map_or(stands.pins, |(at, _)| at.pins + 1);
    Restored { partition, missing }
}

impl Partition {
    /// Puts back the pins from where the partition begins to read again; returns how many were lost. In place of each stands
    /// one that does nothing: the others keep their numbers.
    ///
    /// * `ahead`: whether pins can be known that stand behind `stands`.
    fn put_pins_back(&mut self, records: Vec<PinRecord>, stands: Position, ahead: bool) -> usize {
        let mut known: BTreeMap<u64, PinRecord> =
            records.into_iter().map(|record| (record.position.pins, record)).collect();
        // What was not deleted before is deleted now.
        let done = (0..self.position.pins).rev().map_while(|number| known.remove(&number));
        let mut done: Vec<PinRecord> = done.collect();
        done.reverse();
        self.pins.extend(done.into_iter().map(|PinRecord { position, pin }| (position, pin)));
        let mut offset = self.position.offset;
        let mut lost = 0;
        for pins in self.position.pins.. {
            let fits = |at: Position| at.offset >= offset && (ahead || at < stands);
            match known.remove(&pins).filter(|record| fits(record.position)) {
                Some(PinRecord { position, pin }) => {
                    offset = position.offset;
                    self.pins.push_back((position, pin));
                }
                None if pins < stands.pins => {
                    lost += 1;
                    self.pins.push_back((Position { offset, pins }, Pin::Skip(0)));
                }
                None => break,
            }
        }
        lost
    }

    /// Puts a slice back; returns whether that went well.
    fn put_back(&mut self, slice: usize, whole: &Whole) -> bool {
        self.engine.restore_slice(slice, &whole.bytes).is_ok()
    }
}

/// No agent has counted so far where a partition stands.
pub(super) fn counted(stands: Position) -> u64 {
    let before = u64::try_from(stands.offset).unwrap_or_default() + stands.pins + 1;
    before.saturating_mul(TOLD_AT_MOST)
}

/// Pieces of each copy that there are, whole or not.
fn chunks(records: &BTreeMap<Vec<u8>, Vec<u8>>, slice: usize) -> [u32; 2] {
    [0, 1].map(|copy| {
        (0..).take_while(|chunk| records.contains_key(&checkpoint::slice_key(slice, copy, *chunk))).count()
            as u32
    })
}
