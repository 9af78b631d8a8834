//! The judging unit: the stretch of one agent's behaviour that is judged and calibrated as one.
//!
//! Knows peaks, stages and running p-values. Must not know baselines.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::course::Course;
use super::height::{Height, Heights, Place};
use super::lead::Leads;
use crate::assess::calibrate::Calibration;
use crate::baseline::pool::STAGES;
use crate::detect::failure::Failures;
use crate::detect::sequence::Progress;
use crate::finding::Family;
use crate::identity::Key;
use crate::stats::combine;
use crate::stats::quantile::cell_of;
use crate::time::{EventTime, HOUR_MS};

/// A session unit closes when nothing happened for this long.
pub const SESSION_IDLE_MS: i64 = 15 * 60_000;
/// A session unit closes when it is this old.
pub const SESSION_LONGEST_MS: i64 = HOUR_MS;
/// A family whose p falls to or below this keeps what raised it, for the explanation.
const WORTH_KEEPING: f64 = 0.01;

/// Of no version: 31 bits of their numbers are kept.
const NOT_ASSESSED: u32 = u32::MAX;

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

    /// The families that belong to this kind of unit; an hour has those of sessions too where events have no session id.
    pub fn families(self) -> &'static [Family] {
        match self {
            Self::Session => {
                &[Family::CallContent, Family::ToolValues, Family::BareContent, Family::Order, Family::Loops]
            }
            Self::Hour => &[Family::Novelty, Family::Bursts, Family::Failure],
        }
    }

    /// The (weight, p) terms of the combined evidence of its families under these p-values, in the order of
    /// [`UnitKind::families`]. The weights sum to one.
    pub(super) fn terms(self, p: &[f64; Family::COUNT]) -> SmallVec<[(f64, f64); Family::COUNT]> {
        self.weighed(p).collect()
    }

    fn weighed(self, p: &[f64; Family::COUNT]) -> impl Iterator<Item = (f64, f64)> {
        let families = self.families();
        let total: f64 = families.iter().map(|&f| weight(f)).sum();
        families.iter().map(move |&f| (weight(f) / total, p.get(f as usize).copied().unwrap_or(1.0)))
    }

    /// Combined evidence of its families under these p-values. Bits.
    pub(super) fn bits(self, p: &[f64; Family::COUNT]) -> f64 {
        combine::harmonic_bits(self.weighed(p))
    }

    /// Calibrated p of its families together, in (0, 1].
    pub(super) fn p(self, calibration: &Calibration, p: &[f64; Family::COUNT]) -> f64 {
        let least = self.weighed(p).fold(1.0, |least, (_, p)| p.min(least));
        calibration.evidence_p(self as usize, self.bits(p), least)
    }
}

/// What the families of sessions and those of hours say together, given the calibrated p of each. Bits.
fn joint_bits(session: f64, hour: f64) -> f64 {
    (-session.log2() - hour.log2()).max(0.0)
}

/// What a unit with content (or an hour without) says whose families, and those of its hour, have these p: bits, and the
/// calibrated p that alerts are decided by.
pub(super) fn judged(calibration: &Calibration, has_content: bool, p: &[f64; Family::COUNT]) -> (f64, f64) {
    let hour = UnitKind::Hour.p(calibration, p);
    if !has_content {
        return (UnitKind::Hour.bits(p), hour);
    }
    let bits = joint_bits(UnitKind::Session.p(calibration, p), hour);
    (bits, calibration.joint_p(bits))
}

/// The stage of a unit of so many events.
fn stage_after(events: u32) -> usize {
    ((events.max(1).saturating_add(3)).ilog2() as usize - 2).min(STAGES - 1)
}

/// The stage in which a family was judged at the `call`-th event of its unit.
pub(super) fn stage_then(family: Family, call: u32) -> usize {
    if has_one_stage(family) { 0 } else { stage_after(call) }
}

/// How many calls there are is what bursts are about, and what refusals are measured by.
fn has_one_stage(family: Family) -> bool {
    matches!(family, Family::Bursts | Family::Failure)
}

/// Part of the budget of false alarms that a family may spend, relative to the others. Values that came from tools
/// get half: agents are made to use them, and they are watched so that disguised injections are seen.
fn weight(family: Family) -> f64 {
    match family {
        Family::ToolValues => 0.5,
        _ => 1.0,
    }
}

/// Where an event stands in the input.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    /// Index of the input.
    pub source: u32,
    /// Line in it, from 1.
    pub line: u64,
}

/// Families whose evidence lies in the calls of a session.
pub(super) type SessionHeights = Heights<5, { 5 * STAGES }>;
/// Families of hours: novelty has stages, bursts and failure have one each.
type HourHeights = Heights<3, { STAGES + 2 }>;

/// Where the height of a family lies.
enum Home {
    /// Every hour has these.
    Hourly(Place),
    /// In its course.
    Course(Place),
}

fn place(family: Family) -> Home {
    match family {
        Family::Novelty => Home::Hourly(Place { family: 0, cell: 0 }),
        Family::Bursts => Home::Hourly(Place { family: 1, cell: STAGES }),
        Family::Failure => Home::Hourly(Place { family: 2, cell: STAGES + 1 }),
        other => Home::Course(Place { family: other as usize, cell: other as usize * STAGES }),
    }
}

/// What is counted in hours alone.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Hourly {
    heights: HourHeights,
    /// How its calls ended.
    failures: Failures,
}

/// A unit that is open.
///
/// What every event touches lies together, in two lines of the processor's cache: hence the order.
#[derive(Debug, Serialize, Deserialize)]
#[repr(C)]
pub struct Unit {
    /// What it is.
    pub kind: UnitKind,
    /// Whether an alert by p about its agent was open before it began.
    pub under_alert: bool,
    /// Whether a person accepted what it holds as normal.
    pub accepted: bool,
    /// Whether its agent began so many within the hour that this one is not learned from.
    pub is_surplus: bool,
    /// Its events.
    pub events: u32,
    /// Its last event. Milliseconds after its first.
    last_ms: u32,
    /// Version of the calibration under which all p hold; [`NOT_ASSESSED`] when one has fallen since.
    assessed: u32,
    /// The session's key, or the hour's number.
    pub id: u64,
    /// Its first event.
    pub started: EventTime,
    /// Combined evidence so far. Bits.
    pub bits: f64,
    /// Calibrated p so far, in (0, 1].
    pub unit_p: f64,
    /// Calibrated p of a session and its hour together, in (0, 1]: what alerts are decided by. In an hour it is `unit_p`.
    pub alarm_p: f64,
    /// p of the families of hours, as last looked at: its own in an hour, in a session those of its agent's hour.
    hour_p: f64,
    /// What raised each family most.
    pub(super) leads: Leads,
    /// The course of its calls; none in an hour whose calls all belong to sessions.
    course: Option<Box<Course>>,
    /// What is counted in hours; none in a session.
    hourly: Option<Box<Hourly>>,
}

impl Unit {
    /// A unit that starts with an event at this time.
    fn new(kind: UnitKind, id: u64, time: EventTime, under_alert: bool, hourly: Option<Box<Hourly>>) -> Self {
        Self {
            kind,
            id,
            started: time,
            last_ms: 0,
            events: 0,
            leads: Leads::default(),
            under_alert,
            accepted: false,
            is_surplus: false,
            bits: 0.0,
            unit_p: 1.0,
            alarm_p: 1.0,
            assessed: NOT_ASSESSED,
            hour_p: 1.0,
            course: None,
            hourly,
        }
    }

    /// When it closes if nothing more happens.
    pub fn deadline(&self) -> EventTime {
        match self.kind {
            UnitKind::Session => {
                self.last().plus_ms(SESSION_IDLE_MS).min(self.started.plus_ms(SESSION_LONGEST_MS))
            }
            UnitKind::Hour => self.started.plus_ms(HOUR_MS),
        }
    }

    /// Counts an event; returns the stage it falls into.
    pub fn count(&mut self, time: EventTime) -> usize {
        self.events += 1;
        let after_ms = time.0.saturating_sub(self.started.0).max(0);
        self.last_ms = self.last_ms.max(u32::try_from(after_ms).unwrap_or(u32::MAX));
        self.stage()
    }

    /// Its last event.
    pub fn last(&self) -> EventTime {
        self.started.plus_ms(i64::from(self.last_ms))
    }

    /// The running stage: 0 for the first four events, then one for each doubling. The first four are one stage
    /// because sketches of single calls are thin and say little about each other.
    pub fn stage(&self) -> usize {
        stage_after(self.events)
    }

    /// The stage in which a family is judged: the running one, for those that have more than one.
    pub fn stage_of(&self, family: Family) -> usize {
        if has_one_stage(family) { 0 } else { self.stage() }
    }

    /// Raises a family's peak in the running stage and its running p. Returns whether p fell.
    #[inline]
    pub fn raise(&mut self, calibration: &Calibration, family: Family, bits: f64) -> bool {
        let stage = self.stage_of(family);
        let (cell, worth) = (cell_of(bits), || calibration.peak_p(family, stage, bits));
        let fell = match place(family) {
            Home::Hourly(at) => {
                self.hourly.as_mut().map(|hourly| hourly.heights.raise(at, stage, cell, worth))
            }
            Home::Course(at) => {
                self.course.as_mut().map(|course| course.heights.raise(at, stage, cell, worth))
            }
        };
        let fell = fell.unwrap_or(false);
        if fell {
            self.assessed = NOT_ASSESSED;
        }
        fell
    }

    fn height(&self, family: Family) -> Option<Height<'_>> {
        match place(family) {
            Home::Hourly(at) => self.hourly.as_ref()?.heights.at(at),
            Home::Course(at) => self.course.as_ref()?.heights.at(at),
        }
    }

    /// Running p of a family.
    #[inline]
    pub fn p(&self, family: Family) -> f64 {
        self.height(family).map_or(1.0, |height| height.p)
    }

    /// The families that are known to be below 1, with their running p.
    pub fn said(&self) -> impl Iterator<Item = (Family, f64)> {
        Family::ALL.into_iter().zip(self.running_p()).filter(|(_, p)| *p < 1.0)
    }

    /// p of all families, to be kept before a call is judged.
    pub fn running_p(&self) -> [f64; Family::COUNT] {
        Family::ALL.map(|family| self.p(family))
    }

    /// Whether anything is known of a family; marks it as known, so that a unit without a peak counts as one
    /// whose peak is zero. A unit without a course says nothing of its families.
    pub fn mark(&mut self, family: Family) {
        match place(family) {
            Home::Hourly(at) => self.hourly.as_mut().map(|hourly| hourly.heights.mark(at)),
            Home::Course(at) => self.course.as_mut().map(|course| course.heights.mark(at)),
        };
    }

    /// Whether it has families of sessions: it is one, or an hour with calls that belong to none.
    pub fn has_content(&self) -> bool {
        self.kind == UnitKind::Session || self.course.is_some()
    }

    /// Brings combined evidence and both calibrated p up to date. Returns whether the one that alerts fell.
    ///
    /// * `version`: that of the calibration;
    /// * `hour`: the hour in which a session runs, assessed before it.
    ///
    /// Nothing is done where nothing has changed.
    pub fn assess(&mut self, calibration: &Calibration, version: u64, hour: Option<&Self>) -> bool {
        let hour_p = hour.map(|hour| hour.hour_p);
        let version = version as u32 & !(1 << 31);
        if self.assessed == version && hour_p.is_none_or(|p| p == self.hour_p) {
            return false;
        }
        self.assessed = version;
        let p = self.running_p();
        let before = self.alarm_p;
        self.hour_p = hour_p.unwrap_or_else(|| UnitKind::Hour.p(calibration, &p));
        let hour_p = self.hour_p;
        if self.has_content() {
            let session_p = UnitKind::Session.p(calibration, &p);
            let together = joint_bits(session_p, hour_p);
            self.alarm_p = calibration.joint_p(together);
            (self.bits, self.unit_p) = match self.kind {
                UnitKind::Session => (UnitKind::Session.bits(&p), session_p),
                UnitKind::Hour => (together, self.alarm_p),
            };
        } else {
            (self.bits, self.unit_p, self.alarm_p) = (UnitKind::Hour.bits(&p), hour_p, hour_p);
        }
        self.alarm_p < before
    }

    /// From now on another calibration holds.
    pub fn assess_anew(&mut self) {
        self.assessed = NOT_ASSESSED;
    }

    /// What `alarm_p` was made from. Bits.
    pub fn alarm_bits(&self) -> f64 {
        match self.kind {
            UnitKind::Session => joint_bits(self.unit_p, self.hour_p),
            UnitKind::Hour => self.bits,
        }
    }

    /// Peaks per stage reached of a family, if the unit says anything about it.
    pub fn peaks(&self, family: Family) -> Option<&[u8]> {
        self.height(family).filter(|height| height.is_known)?.peaks.get(..=self.stage_of(family))
    }

    /// Whether a family's p is small enough to keep what raised it.
    pub fn is_worth_keeping(&self, family: Family) -> bool {
        self.p(family) <= WORTH_KEEPING
    }

    /// How its calls ended; counted in hours.
    pub(super) fn failures(&self) -> Option<&Failures> {
        self.hourly.as_ref().map(|hourly| &hourly.failures)
    }

    /// The same, to count on.
    pub(super) fn failures_mut(&mut self) -> Option<&mut Failures> {
        self.hourly.as_mut().map(|hourly| &mut hourly.failures)
    }

    /// Reads something of both of its lines.
    pub(super) fn touch(&self) -> u64 {
        self.id ^ self.hour_p.to_bits()
    }

    /// Reads something of what it points to and every call needs.
    pub(super) fn touch_parts(&self) -> u64 {
        let course = self.course.as_ref().map_or(0, |course| course.touch());
        course ^ self.hourly.as_ref().map_or(0, |hourly| hourly.heights.touch())
    }

    /// The course of its calls, begun by whoever counts the first of them.
    pub fn course(&mut self, begin: impl FnOnce() -> Box<Course>) -> &mut Course {
        self.course.get_or_insert_with(begin)
    }

    /// The course of its calls, if it has one.
    pub fn course_so_far(&self) -> Option<&Course> {
        self.course.as_deref()
    }

    /// Where its sequence stands; at the start where it has none.
    pub fn progress(&self) -> &Progress {
        self.course.as_ref().map_or(&Progress::AT_START, |course| &course.progress)
    }

    /// Action and place (from 1) of a remembered call.
    pub fn call_of(&self, event: u64) -> Option<(Key, u32)> {
        self.course.as_ref()?.call_of(self.events, event)
    }
}

/// Memory of used units: every session needs a course again, few units need leads.
#[derive(Debug, Default)]
pub(super) struct Spare {
    courses: Vec<Box<Course>>,
    #[expect(clippy::vec_box, reason = "a unit takes the box as it is")]
    hours: Vec<Box<Hourly>>,
    leads: Vec<Leads>,
}

impl Spare {
    /// A unit that starts with an event at this time.
    pub fn unit(&mut self, kind: UnitKind, id: u64, time: EventTime, under_alert: bool) -> Unit {
        let hourly = (kind == UnitKind::Hour).then(|| self.hours.pop().unwrap_or_default());
        Unit::new(kind, id, time, under_alert, hourly)
    }

    /// A course of nothing so far.
    pub fn course(&mut self) -> Box<Course> {
        self.courses.pop().unwrap_or_default()
    }

    /// Leads of nothing so far.
    pub fn leads(&mut self) -> Leads {
        self.leads.pop().unwrap_or_default()
    }

    /// Keeps the memory of a unit, that of at most `most` units.
    pub fn keep(&mut self, unit: Unit, most: usize) {
        if let Some(mut course) = unit.course
            && self.courses.len() < most
        {
            course.clear();
            self.courses.push(course);
        }
        if let Some(mut hourly) = unit.hourly
            && self.hours.len() < most
        {
            hourly.heights = HourHeights::default();
            hourly.failures.clear();
            self.hours.push(hourly);
        }
        if self.leads.len() < most {
            self.leads.extend(unit.leads.cleared());
        }
    }
}
