//! What happens when a unit's time is over, and when an hour of event time has passed.
//!
//! Knows units that have ended. Must not judge calls.

use super::clock::Now;
use super::output::ClosedUnit;
use super::slice::{Said, Slice};
use super::unit::{Unit, UnitKind};
use super::version::Version;
use super::watched::Watched;
use crate::baseline::learning::{Delta, Lesson};
use crate::baseline::pool::{Peaks, TypeBaseline};
use crate::detect::failure::Failures;
use crate::finding::Family;
use crate::stats::quantile::cell_of;
use crate::time::EventTime;

/// Used units whose memory is kept for new ones: at least so many, and one an agent.
const SPARE_UNITS: usize = 64;
/// How often an agent may give the tail of a kind of unit another one. Hours.
const TAIL_EVERY: i64 = 12;

impl Slice {
    /// Closes the units that are over at an instant of the stream, in the order in which they ended.
    pub(super) fn close_by(&mut self, version: &Version, boundary: EventTime) {
        let mut ended = std::mem::take(&mut self.turning);
        for watched in self.agents.iter_mut() {
            let id = watched.key;
            watched.units_ended_by(boundary, &mut self.ended);
            ended.extend(self.ended.drain(..).map(|unit| (unit.deadline(), id, unit)));
        }
        ended.sort_unstable_by_key(|(deadline, id, unit)| (*deadline, *id, unit.kind as u8, unit.id));
        for (_, id, unit) in ended.drain(..) {
            if let Some(slot) = self.agents.find(id) {
                self.close(version, slot, unit);
            }
        }
        self.turning = ended;
    }

    /// Closes every alert, as of when it would have closed by itself: the end of the input.
    pub(super) fn close_all_alerts(&mut self, version: &Version, now: Now, said: &mut Vec<Said>) {
        while let Some(due) = self.next_timer() {
            let then = Now { time: now.instant(due).time, ..now };
            self.fire_timers(version, then, said);
        }
    }

    /// Closes the units of one agent that are over at `now`, whatever the stream clock says.
    pub(super) fn close_ended(&mut self, version: &Version, slot: usize, now: EventTime) {
        let mut ended = std::mem::take(&mut self.ended);
        if let Some(watched) = self.agents.get_mut(slot) {
            watched.units_ended_by(now, &mut ended);
        }
        for unit in ended.drain(..) {
            self.close(version, slot, unit);
        }
        self.ended = ended;
    }

    /// Closes a unit: its peaks calibrate, its values are learned if it was harmless.
    pub(super) fn close(&mut self, version: &Version, slot: usize, unit: Unit) {
        let Some(watched) = self.agents.get_mut(slot) else { return };
        if let Some(closed) = &mut self.closed {
            closed.push(ClosedUnit {
                agent_id: watched.id.to_string(),
                agent_type: watched.kin.type_name.to_string(),
                kind: unit.kind.name(),
                started: unit.started,
                ended: unit.last(),
                events: unit.events,
                p: unit.unit_p,
                alarm_p: unit.alarm_p,
                families: unit.said().map(|(family, p)| (family.name(), p)).collect(),
            });
        }
        let of_type = self.types.get_mut(&watched.kin.agent_type).map(|of| &mut of.delta);
        let unit = teach(version, of_type, watched, unit);
        for family in Family::ALL {
            if unit.peaks(family).is_some() {
                self.closed_counts.add(family, unit.p(family));
            }
        }
        let most = SPARE_UNITS.max(self.agents.len());
        self.spare.keep(unit, most);
    }
}

/// What a unit that has ended teaches its type.
pub(super) fn teach(
    version: &Version,
    delta: Option<&mut Delta>,
    watched: &mut Watched,
    mut unit: Unit,
) -> Unit {
    let Some(delta) = delta.filter(|_| !version.frozen && !unit.is_surplus) else { return unit };
    if unit.unit_p > version.settings.quarantine_p || unit.accepted {
        for held in unit.course_so_far().into_iter().flat_map(|course| &course.held) {
            delta.vote(Lesson::Value(held.contexts), held.value, 0.0);
        }
    }
    if unit.has_content() {
        if version.of(watched.kin.agent_type).is_some_and(TypeBaseline::carries_provenance) {
            unit.mark(Family::CallContent);
            unit.mark(Family::ToolValues);
        } else {
            unit.mark(Family::BareContent);
        }
    }
    let failures = unit.failures();
    let ended = |failures: &Failures| (failures.denied(), failures.attempts(), failures.distinct());
    let (denied, attempts, distinct) = failures.map_or((0, 0, 0), ended);
    if attempts > 0 {
        unit.mark(Family::Failure);
        let prior = &version.baselines.habits(version.of(watched.kin.agent_type)).failure_prior;
        watched.failure.0.learn(denied, attempts, prior);
        delta.habits_mut().failures.add_unit(denied, distinct);
    }
    if unit.under_alert {
        return unit;
    }
    // One agent gives the tail at most one unit in half a day.
    let tail_half_day = watched.tail_half_day.get_mut(unit.kind as usize);
    let half_day = i32::try_from(unit.started.hour().div_euclid(TAIL_EVERY)).unwrap_or(i32::MAX);
    let high = unit.unit_p <= 0.02;
    if !high || tail_half_day.as_ref().is_none_or(|last| **last != half_day) {
        if let (true, Some(last)) = (high, tail_half_day) {
            *last = half_day;
        }
        add_peaks(delta.peaks_mut(), &unit);
    }
    if unit.has_content() {
        // Of all of them: sessions of one hour share its p, and leaving out all but one would promise too much of the others.
        let [.., joint] = &mut delta.peaks_mut().evidence;
        joint.add(cell_of(unit.alarm_bits()));
    }
    unit
}

fn add_peaks(peaks: &mut Peaks, unit: &Unit) {
    for &family in &Family::ALL {
        if let (Some(cells), Some(sketch)) = (unit.peaks(family), peaks.families.get_mut(family as usize)) {
            sketch.add(cells);
        }
    }
    let p = unit.running_p();
    let [session, hour, _] = &mut peaks.evidence;
    if unit.has_content() {
        session.add(cell_of(UnitKind::Session.bits(&p)));
    }
    if unit.kind == UnitKind::Hour {
        hour.add(cell_of(UnitKind::Hour.bits(&p)));
    }
}
