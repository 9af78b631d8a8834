//! One engine for one partition of a stream: it hands over what it learned, and judges by versions that come from elsewhere.
//!
//! Knows one partition's slices. Must not know where parts go and versions come from.
//!
//! Everything that happens follows from the records of the partition and from the pins between them. Each slice can be
//! saved alone: put back and given what came since, it becomes what it was, whatever was saved when beside it. Hence
//! nothing that a slice does may follow from another slice: levels fall at ticks of the clock, and what is counted for the
//! budget is handed over, not read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::clock::{Now, StreamClock};
use super::forgotten::Loss;
use super::output::Output;
use super::slice::{OfType, Slice};
use super::storm::Storm;
use super::unit::Position;
use super::version::Version;
use super::{Engine, Settings};
use crate::event::AuditEvent;
use crate::identity::Key;
use crate::risk::Blindness;
use crate::time::{DAY_MS, EventTime, HOUR_MS};

/// How often it is looked whose level may fall. Milliseconds of the clock.
const TICK_MS: i64 = 1_000;
/// How often what was learned is handed over on the first day: a fleet that nobody knows yet is judged by what it does as
/// soon as possible. Milliseconds of the clock.
const FIRST_DAY_MS: i64 = 10 * 60_000;

/// What a partition has learned and counted since it said so last.
#[derive(Debug, Serialize, Deserialize)]
pub struct Part {
    /// Until when.
    pub boundary: EventTime,
    /// The first instant of the partition. Watched milliseconds.
    pub began: Option<i64>,
    /// Types in the order of their keys, those of one type in the order of the slices.
    pub(super) types: Vec<(Key, OfType)>,
}

/// How far the clock of a partition has come, and what followed from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    clock: StreamClock,
    minted: Option<i64>,
    tick: Option<i64>,
    handed: Option<i64>,
    began: Option<i64>,
    blindness: Option<Blindness>,
}

/// What is otherwise in the engine of a partition.
#[derive(Debug, Default)]
pub(super) struct Member {
    /// The last tick at which it was looked whose level may fall.
    tick: Option<i64>,
    /// When parts were handed over last. Milliseconds of event time.
    handed: Option<i64>,
    /// The first instant of the partition. Watched milliseconds.
    pub(super) began: Option<i64>,
    /// Why what its agents do cannot be seen at present.
    pub(super) blindness: Option<Blindness>,
    parts: Vec<Part>,
}

impl Member {
    /// Whether the clock has come to another tick.
    pub(super) fn is_due(&self, now: Now) -> bool {
        self.tick != Some(tick(now))
    }
}

fn tick(now: Now) -> i64 {
    now.time.0.div_euclid(TICK_MS)
}

impl Part {
    /// What was learned and counted until an instant.
    pub(super) fn new(boundary: EventTime, began: Option<i64>, types: Vec<(Key, OfType)>) -> Self {
        Self { boundary, began, types }
    }

    /// Whether there is anything in it.
    pub(super) fn has_types(&self) -> bool {
        !self.types.is_empty()
    }
}

impl Moment {
    /// The moment of an engine that made its versions itself.
    pub(super) fn of_whole(clock: StreamClock, minted: Option<i64>, began: Option<i64>) -> Self {
        Self { clock, minted, began, ..Self::default() }
    }

    /// The first instant. Watched milliseconds.
    pub(super) fn began(&self) -> Option<i64> {
        self.began
    }
}

impl Engine {
    /// An engine for one partition, which judges by `version`.
    pub fn member(settings: Settings, version: Arc<Version>) -> Self {
        Self { version, member: Some(Member::default()), ..Self::new(settings) }
    }

    /// From now on judges by another version, and by the settings that it was made with.
    pub fn adopt(&mut self, version: Arc<Version>) {
        if version.settings.config != self.version.settings.config {
            self.slices.iter_mut().for_each(|slice| slice.heed(&version.settings));
        }
        self.version = version;
    }

    /// The version by which it judges.
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// Judges events in their order, each with the time at which it was recorded, which moves the clock.
    pub fn judge_records(&mut self, events: &[(AuditEvent<'_>, Position, EventTime)], out: &mut Vec<Output>) {
        self.judge_these(
            events.iter().map(|(event, position, recorded)| (event, *position, *recorded)),
            1,
            out,
        );
    }

    /// Nothing has arrived until `recorded`: the clock moves all the same.
    pub fn pass(&mut self, recorded: EventTime, out: &mut Vec<Output>) {
        let now = self.see(0, recorded, recorded);
        if self.is_due(now) {
            self.turn(now, out);
        }
    }

    /// Takes out what was learned and counted, in the order in which it was handed over.
    pub fn take_parts(&mut self) -> Vec<Part> {
        self.member.as_mut().map(|member| std::mem::take(&mut member.parts)).unwrap_or_default()
    }

    /// How far time has come.
    pub fn moment(&self) -> Moment {
        let member = self.member.as_ref();
        let (tick, handed, began) = member.map(|m| (m.tick, m.handed, m.began)).unwrap_or_default();
        let blindness = self.blindness();
        Moment { clock: self.clock, minted: self.minted, tick, handed, began, blindness }
    }

    /// Goes back to a moment.
    pub fn set_moment(&mut self, moment: Moment) {
        let Moment { clock, minted, tick, handed, began, blindness } = moment;
        self.clock = clock;
        self.minted = minted;
        self.member = Some(Member { tick, handed, began, blindness, parts: Vec::new() });
        self.slices.iter_mut().for_each(|slice| slice.see(blindness));
    }

    /// Puts a slice to sleep: what happens has happened to it already, until it is woken.
    pub fn sleep(&mut self, slice: usize, asleep: bool) {
        let blindness = self.blindness();
        if let Some(slice) = self.slices.get_mut(slice) {
            if slice.asleep && !asleep {
                // What was said of its sight meanwhile was told when it was saved.
                slice.see(blindness);
            }
            slice.asleep = asleep;
        }
    }

    /// Agents that a slice meets from now on count their alerts and risk updates from `count` on: what its agents had
    /// counted was lost.
    pub fn count_from(&mut self, slice: usize, count: u64) {
        if let Some(slice) = self.slices.get_mut(slice) {
            slice.count_from = slice.count_from.max(count);
            slice.lost = Loss::Unmet;
        }
    }

    /// All agents of a slice count their alerts and risk updates on from at least `count`: some of what they had told since
    /// is gone. Linear in the agents.
    pub fn count_further(&mut self, slice: usize, count: u64) {
        let Some(slice) = self.slices.get_mut(slice) else { return };
        slice.count_from = slice.count_from.max(count);
        for watched in slice.agents.iter_mut() {
            watched.alerts_opened = watched.alerts_opened.max(count);
            watched.seq = watched.seq.max(count);
        }
        for stub in slice.stubs.values_mut() {
            stub.alerts_opened = stub.alerts_opened.max(count);
            stub.seq = stub.seq.max(count);
        }
    }

    /// The caps on storms, which follow from what was told.
    pub fn storm(&self) -> &Storm {
        &self.storm
    }

    /// Puts the caps on storms back.
    pub fn set_storm(&mut self, storm: Storm) {
        self.storm = storm;
    }

    /// Hands over what was learned, if it is time.
    pub(super) fn hand_over(&mut self, now: Now) {
        let Some(member) = &mut self.member else { return };
        member.tick = Some(tick(now));
        let first_day = self.version.running_ms(now.watched(now.time)) < DAY_MS;
        let every = if first_day { FIRST_DAY_MS } else { HOUR_MS };
        let boundary = now.time.0.div_euclid(every) * every;
        if member.handed.replace(boundary).is_none_or(|handed| handed >= boundary) {
            return;
        }
        let awake = self.slices.iter_mut().filter(|slice| !slice.asleep);
        let types = take_learned(awake);
        member.parts.push(Part { boundary: EventTime(boundary), began: member.began, types });
    }
}

/// Takes out everything that slices have learned and counted, types in the order of their keys, those of one type in the order
/// of the slices.
pub(super) fn take_learned<'s>(slices: impl Iterator<Item = &'s mut Slice>) -> Vec<(Key, OfType)> {
    let mut types: Vec<(Key, OfType)> = Vec::new();
    for slice in slices {
        for (key, of_type) in &mut slice.types {
            types.extend(of_type.take().map(|taken| (*key, taken)));
        }
    }
    types.sort_by_key(|(key, _)| *key);
    types
}

impl Version {
    /// The next version: what partitions have handed over until `boundary`, in the order given, is learned and counted.
    /// What follows for types is told by [`Version::tell_fleet_shifts`].
    pub fn merge(&mut self, boundary: EventTime, parts: &mut [Part]) {
        let last = self.baselines.version;
        let day = boundary.plus_ms(-1).day();
        for part in &mut *parts {
            self.began = self.began.into_iter().chain(part.began).min();
            for (agent_type, of_type) in &mut part.types {
                self.budget.count(*agent_type, day, of_type.counted);
                self.fleet_shifts.count(*agent_type, &of_type.name, std::mem::take(&mut of_type.moved));
            }
        }
        let deltas =
            parts.iter_mut().flat_map(|part| part.types.iter_mut().map(|(key, of)| (*key, &mut of.delta)));
        self.mint(boundary, deltas);
        if boundary.0.rem_euclid(HOUR_MS) == 0 {
            self.budget.turn(boundary.hour());
        }
        self.baselines.version = last + 1;
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.baselines.version
    }
}
