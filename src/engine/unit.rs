//! The judging unit: the stretch of one agent's behaviour that is judged and calibrated as one.
//!
//! Knows peaks, stages and running p-values. Must not know baselines.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::explain::LeadArgument;
use super::judging::CallBits;
use crate::assess::calibrate::Calibration;
use crate::baseline::pool::STAGES;
use crate::detect::failure::Failures;
use crate::detect::sequence::Progress;
use crate::finding::Family;
use crate::identity::Key;
use crate::stats::combine;
use crate::stats::flat::ShortSet;
use crate::stats::key::mix;
use crate::stats::quantile::cell_of;
use crate::time::{EventTime, HOUR_MS};

/// A session unit closes when nothing happened for this long.
pub const SESSION_IDLE_MS: i64 = 15 * 60_000;
/// A session unit closes when it is this old.
pub const SESSION_LONGEST_MS: i64 = HOUR_MS;
/// A family whose p falls to or below this keeps what raised it, for the explanation.
const WORTH_KEEPING: f64 = 0.01;
/// Calls remembered by event id, to name the one a value came from.
const REMEMBERED_CALLS: usize = 64;
/// Things one unit may teach at most: a long unit weighs no more.
pub const LESSONS: usize = 4096;
/// Values that may wait for the unit's end.
const HELD_VALUES: usize = 64;
/// Lessons for which a unit needs no memory but its own; most units teach no more.
const NEAR_LESSONS: usize = 24;
/// Values, calls and leads for which there is room from the first one on.
const FIRST_VALUES: usize = 16;
const FIRST_CALLS: usize = 16;
const FIRST_LEADS: usize = 2;

/// No version has this number.
const NOT_ASSESSED: (Key, u64) = (0, u64::MAX);

/// Mixed into lessons before they are shortened: some are small numbers.
const SHORTENED: u64 = 0x7EAC_4E5D;

/// What a unit is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum UnitKind {
    /// One session.
    Session = 0,
    /// One hour of an agent.
    Hour = 1,
}

impl UnitKind {
    /// The name used in output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Hour => "hour",
        }
    }

    /// The families that belong to this kind of unit; those of sessions belong to the hour where events have no
    /// session id.
    pub fn families(self) -> &'static [Family] {
        match self {
            Self::Session => {
                &[Family::CallContent, Family::ToolValues, Family::BareContent, Family::Order, Family::Loops]
            }
            Self::Hour => &Family::ALL,
        }
    }
}

/// Part of the budget of false alarms that a family may spend, relative to the others. Values that came from tools
/// get half: agents are made to use them, and they are watched so that disguised injections are seen.
fn weight(family: Family) -> f64 {
    match family {
        Family::ToolValues => 0.5,
        _ => 1.0,
    }
}

/// The smallest p of any family.
pub(super) fn least(p: &[f64; Family::COUNT]) -> f64 {
    p.iter().copied().fold(1.0, f64::min)
}

/// Where an event stands in the input.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    /// Index of the input.
    pub source: u32,
    /// Line in it, from 1.
    pub line: u64,
}

/// The call that raised a family most.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Lead {
    /// The family.
    pub family: Family,
    /// Where the event stands.
    pub position: Position,
    /// Its time.
    pub time: EventTime,
    /// Its id.
    pub event_id: Option<SmallVec<[u8; 32]>>,
    /// Its place within the unit, from 1.
    pub call: u32,
    /// Its action.
    pub action: Key,
    /// The symbol before it.
    pub previous: Key,
    /// Its resource.
    pub resource: Option<SmallVec<[u8; 64]>>,
    /// The leading argument.
    pub argument: Option<LeadArgument>,
    /// All that the call says.
    pub bits: CallBits,
    /// Agents of the type, and of the fleet, that used the key that says most.
    pub users: Option<(f64, f64)>,
    /// Probability of the action here over the fleet.
    pub fleet_probability: f64,
    /// What is to be told of counts: of calls, or of refusals.
    pub counted: Option<Box<CountedLead>>,
}

/// What raised a family that counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CountedLead {
    /// What was counted.
    pub observed: f64,
    /// What is usual for the type.
    pub expected: f64,
    /// Unit of both.
    pub unit: String,
    /// In words.
    pub sentence: String,
}

/// A value of an argument that waits to be learned.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct HeldValue {
    /// Contexts of the value, as in [`crate::baseline::learning::Lesson::Value`].
    pub contexts: [u64; 2],
    /// The value's keyed hash.
    pub value: u64,
}

/// A unit that is open.
///
/// What every event touches comes first and together, in three lines of the processor's cache: hence the order.
#[derive(Debug, Serialize, Deserialize)]
#[repr(C)]
pub struct Unit {
    /// What it is.
    pub kind: UnitKind,
    /// Whether an alert about its agent was open before it began.
    pub under_alert: bool,
    /// Whether a person accepted what it holds as normal.
    pub accepted: bool,
    has_data: [bool; Family::COUNT],
    /// Its events.
    pub events: u32,
    /// The session's key, or the hour's number.
    pub id: u64,
    /// Its first event.
    pub started: EventTime,
    /// Its last event.
    pub last: EventTime,
    /// Combined evidence so far. Bits.
    pub bits: f64,
    /// Calibrated p so far, in (0, 1].
    pub unit_p: f64,
    /// Type and version of the calibration under which `bits` and `unit_p` hold; [`NOT_ASSESSED`] when a p has fallen
    /// since.
    assessed: (Key, u64),
    p: [f64; Family::COUNT],
    peaks: [[u8; STAGES]; Family::COUNT],
    /// How its calls ended.
    pub failures: Failures,
    /// Where its sequence stands.
    pub progress: Progress,
    /// Votes it has cast, shortened: a vote in four billion is taken for another one, and lost.
    cast: ShortSet<NEAR_LESSONS>,
    /// Keys of event ids with their actions, by place modulo the number remembered.
    calls: Vec<(u64, Key)>,
    /// Values to be learned, which wait until the unit turns out harmless.
    pub held: Vec<HeldValue>,
    /// What raised each family most.
    pub(super) leads: Vec<Lead>,
}

impl Unit {
    /// A unit that starts with an event at this time.
    pub fn new(kind: UnitKind, id: u64, time: EventTime, under_alert: bool) -> Self {
        Self {
            kind,
            id,
            started: time,
            last: time,
            events: 0,
            failures: Failures::default(),
            progress: Progress::default(),
            cast: ShortSet::default(),
            held: Vec::new(),
            leads: Vec::new(),
            under_alert,
            accepted: false,
            bits: 0.0,
            unit_p: 1.0,
            peaks: [[0; STAGES]; Family::COUNT],
            p: [1.0; Family::COUNT],
            has_data: [false; Family::COUNT],
            assessed: NOT_ASSESSED,
            calls: Vec::new(),
        }
    }

    /// Makes a used unit new, keeping its memory.
    pub fn restart(&mut self, kind: UnitKind, id: u64, time: EventTime, under_alert: bool) {
        let mut fresh = Self::new(kind, id, time, under_alert);
        fresh.cast = std::mem::take(&mut self.cast);
        fresh.held = std::mem::take(&mut self.held);
        fresh.leads = std::mem::take(&mut self.leads);
        fresh.calls = std::mem::take(&mut self.calls);
        fresh.cast.clear();
        fresh.held.clear();
        fresh.leads.clear();
        fresh.calls.clear();
        *self = fresh;
    }

    /// When it closes if nothing more happens.
    pub fn deadline(&self) -> EventTime {
        match self.kind {
            UnitKind::Session => {
                self.last.plus_ms(SESSION_IDLE_MS).min(self.started.plus_ms(SESSION_LONGEST_MS))
            }
            UnitKind::Hour => self.started.plus_ms(HOUR_MS),
        }
    }

    /// Counts an event; returns the stage it falls into.
    pub fn count(&mut self, time: EventTime) -> usize {
        self.events += 1;
        self.last = self.last.max(time);
        self.stage()
    }

    /// The running stage: 0 for the first four events, then one for each doubling. The first four are one stage
    /// because sketches of single calls are thin and say little about each other.
    pub fn stage(&self) -> usize {
        ((self.events.max(1) + 3).ilog2() as usize - 2).min(STAGES - 1)
    }

    /// The stage in which a family is judged: the running one. How many calls there are is what bursts are about: they have
    /// one stage.
    pub fn stage_of(&self, family: Family) -> usize {
        if family == Family::Bursts { 0 } else { self.stage() }
    }

    /// Raises a family's peak in the running stage and its running p. Returns whether p fell.
    #[inline]
    pub fn raise(&mut self, calibration: &Calibration, family: Family, bits: f64) -> bool {
        let stage = self.stage_of(family);
        let index = family as usize;
        if let Some(flag) = self.has_data.get_mut(index) {
            *flag = true;
        }
        let Some(peak) = self.peaks.get_mut(index).and_then(|p| p.get_mut(stage)) else { return false };
        let cell = cell_of(bits);
        if cell < *peak || cell == 0 {
            return false; // below the stage's peak: p cannot fall
        }
        *peak = cell;
        let p = calibration.peak_p(family, stage, bits);
        match self.p.get_mut(index) {
            Some(running) if p < *running => {
                *running = p;
                self.assessed = NOT_ASSESSED;
                true
            }
            _ => false,
        }
    }

    /// Running p of a family.
    pub fn p(&self, family: Family) -> f64 {
        self.p.get(family as usize).copied().unwrap_or(1.0)
    }

    /// The families that are known to be below 1, with their running p.
    pub fn said(&self) -> impl Iterator<Item = (Family, f64)> {
        Family::ALL.into_iter().zip(self.p).filter(|(_, p)| *p < 1.0)
    }

    /// p of all families, to be kept before a call is judged.
    pub fn running_p(&self) -> [f64; Family::COUNT] {
        self.p
    }

    /// Whether anything is known of a family; marks it as known, so that a unit without a peak counts as one
    /// whose peak is zero.
    pub fn mark(&mut self, family: Family) {
        if let Some(flag) = self.has_data.get_mut(family as usize) {
            *flag = true;
        }
    }

    /// The (weight, p) terms of the combined evidence under these p-values of its families, in the order of
    /// [`UnitKind::families`]. The weights sum to one.
    pub fn terms(kind: UnitKind, p: &[f64; Family::COUNT]) -> SmallVec<[(f64, f64); Family::COUNT]> {
        Self::weighed(kind, p).collect()
    }

    fn weighed(kind: UnitKind, p: &[f64; Family::COUNT]) -> impl Iterator<Item = (f64, f64)> {
        let families = kind.families();
        let total: f64 = families.iter().map(|&f| weight(f)).sum();
        families.iter().map(move |&f| (weight(f) / total, p.get(f as usize).copied().unwrap_or(1.0)))
    }

    /// Brings combined evidence and calibrated p up to date.
    ///
    /// `under`: the agent type and version of the calibration. Nothing is done where nothing has changed.
    pub fn assess(&mut self, calibration: &Calibration, under: (Key, u64)) {
        if self.assessed == under {
            return;
        }
        self.assessed = under;
        self.bits = self.bits.max(combine::harmonic_bits(Self::weighed(self.kind, &self.p)));
        self.unit_p = calibration.evidence_p(self.kind as usize, self.bits, least(&self.p));
    }

    /// Peaks per stage reached of a family, if the unit says anything about it.
    pub fn peaks(&self, family: Family) -> Option<&[u8]> {
        let has_data = self.has_data.get(family as usize).copied().unwrap_or(false);
        self.peaks.get(family as usize).filter(|_| has_data).and_then(|p| p.get(..=self.stage_of(family)))
    }

    /// Whether a family's p is small enough to keep what raised it.
    pub fn is_worth_keeping(&self, family: Family) -> bool {
        self.p(family) <= WORTH_KEEPING
    }

    /// Remembers what raised a family.
    pub(super) fn keep_lead(&mut self, lead: Lead) {
        match self.leads.iter_mut().find(|l| l.family == lead.family) {
            Some(slot) => *slot = lead,
            None => {
                // A lead is large, and few units have more than two.
                make_room(&mut self.leads, FIRST_LEADS, Family::COUNT);
                self.leads.push(lead);
            }
        }
    }

    /// Remembers the running call under its event id.
    pub fn remember_call(&mut self, event: u64, action: Key) {
        make_room(&mut self.calls, FIRST_CALLS, REMEMBERED_CALLS);
        let place = self.events.saturating_sub(1) as usize % REMEMBERED_CALLS;
        match self.calls.get_mut(place) {
            Some(slot) => *slot = (event, action),
            None => self.calls.push((event, action)),
        }
    }

    /// Action and place (from 1) of a remembered call.
    pub fn call_of(&self, event: u64) -> Option<(Key, u32)> {
        let place = self.calls.iter().position(|(e, _)| *e == event)?;
        let (_, action) = self.calls.get(place)?;
        let newest = self.events as usize;
        let back = (newest + REMEMBERED_CALLS - 1 - place) % REMEMBERED_CALLS;
        Some((*action, newest.saturating_sub(back) as u32))
    }

    /// Whether the unit was used for the content of calls, so that it has the memory for it.
    pub fn has_room_for_content(&self) -> bool {
        self.calls.capacity() > 0 || self.held.capacity() > 0
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

/// Used units, kept for their memory. Those that were used for content have memory which the others never need.
#[derive(Debug, Default)]
pub(super) struct Spare {
    content: Vec<Box<Unit>>,
    bare: Vec<Box<Unit>>,
}

impl Spare {
    /// Takes one out, for content or not; one of the other sort where there is none.
    pub fn take(&mut self, for_content: bool) -> Option<Box<Unit>> {
        let (first, second) = match for_content {
            true => (&mut self.content, &mut self.bare),
            false => (&mut self.bare, &mut self.content),
        };
        first.pop().or_else(|| second.pop())
    }

    /// Keeps a unit, at most `most` of each sort.
    pub fn keep(&mut self, unit: Box<Unit>, most: usize) {
        let spare = if unit.has_room_for_content() { &mut self.content } else { &mut self.bare };
        if spare.len() < most {
            spare.push(unit);
        }
    }
}

/// Makes room for one more entry: for `few` at first, then for the most that there may be. Units are used again and
/// again, and sooner or later each of them holds a long list: growing in more steps would only spread the allocations
/// over hours.
fn make_room<T>(list: &mut Vec<T>, few: usize, most: usize) {
    if list.len() == list.capacity() && list.len() < most {
        let room = if list.is_empty() { few } else { most };
        list.reserve_exact(room - list.len());
    }
}
