//! What happens when a unit's time is over, and when an hour of event time has passed.
//!
//! Knows units that have ended. Must not judge calls.

use super::Engine;
use super::unit::{Unit, UnitKind};
use crate::alert::{Alert, AlertState};
use crate::baseline::learning::{self, Lesson};
use crate::baseline::pool::Peaks;
use crate::finding::Family;
use crate::stats::quantile::cell_of;
use crate::time::{EventTime, HOUR_MS};

/// An open alert closes after this long without a finding that belongs to it.
const QUIET_MS: i64 = 6 * HOUR_MS;
/// Used units whose memory is kept for new ones: at least so many, and one an agent.
const SPARE_UNITS: usize = 4096;

impl Engine {
    /// Closes units and alerts, and mints a version, once for every hour that the stream clock has passed
    /// (several at once where nothing happened in between).
    pub(super) fn turn_hours(&mut self, out: &mut Vec<Alert>) {
        let Some(now) = self.clock.now() else { return };
        let hour = now.hour();
        match self.minted {
            Some(minted) if hour <= minted => return,
            None => {
                self.minted = Some(hour);
                return;
            }
            Some(_) => self.minted = Some(hour),
        }
        let boundary = EventTime(hour * HOUR_MS);
        let mut ended = std::mem::take(&mut self.turning);
        let mut quiet: Vec<(EventTime, u64)> = Vec::new();
        for (id, watched) in self.agents.iter_mut() {
            watched.units_ended_by(boundary, &mut self.ended);
            ended.extend(self.ended.drain(..).map(|unit| (unit.deadline(), id, unit)));
            if let Some(first) = watched.open.iter().map(|a| a.last.plus_ms(QUIET_MS)).min()
                && first <= boundary
            {
                quiet.push((first, id));
            }
        }
        ended.sort_unstable_by_key(|(deadline, id, unit)| (*deadline, *id, unit.kind as u8, unit.id));
        for (_, id, unit) in ended.drain(..) {
            if let Some(slot) = self.agents.find(id) {
                self.close(slot, unit);
            }
        }
        self.turning = ended;
        quiet.sort_unstable();
        for (_, id) in quiet {
            self.close_alerts(id, boundary, out);
        }
        self.mint(boundary);
    }

    /// Closes the units of one agent that are over at `now`, whatever the stream clock says.
    pub(super) fn close_ended(&mut self, slot: usize, now: EventTime, out: &mut Vec<Alert>) {
        let mut ended = std::mem::take(&mut self.ended);
        let mut quiet = None;
        if let Some(watched) = self.agents.get_mut(slot) {
            watched.units_ended_by(now, &mut ended);
            let over = |last: EventTime| last.plus_ms(QUIET_MS) <= now;
            quiet = watched.open.iter().any(|a| over(a.last)).then_some(watched.key);
        }
        for unit in ended.drain(..) {
            self.close(slot, unit);
        }
        self.ended = ended;
        if let Some(id) = quiet {
            self.close_alerts(id, now, out);
        }
    }

    /// Closes everything that is open and mints a last version.
    pub(super) fn close_all(&mut self, out: &mut Vec<Alert>) {
        let end = self.clock.now().unwrap_or_default();
        let mut ended: Vec<(EventTime, u64, Box<Unit>)> = Vec::new();
        let mut quiet = Vec::new();
        for (id, watched) in self.agents.iter_mut() {
            watched.units_ended_by(EventTime(i64::MAX / 2), &mut self.ended);
            ended.extend(self.ended.drain(..).map(|unit| (unit.deadline(), id, unit)));
            quiet.extend(watched.open.iter().map(|a| (a.last.plus_ms(QUIET_MS), id)));
        }
        ended.sort_unstable_by_key(|(deadline, id, unit)| (*deadline, *id, unit.kind as u8, unit.id));
        for (_, id, unit) in ended {
            if let Some(slot) = self.agents.find(id) {
                self.close(slot, unit);
            }
        }
        quiet.sort_unstable();
        for (time, id) in quiet {
            self.close_alerts(id, time, out);
        }
        self.mint(end);
    }

    /// Closes a unit: its peaks calibrate, its values are learned if it was harmless.
    pub(super) fn close(&mut self, slot: usize, mut unit: Box<Unit>) {
        let Some(watched) = self.agents.get_mut(slot) else { return };
        let own = self.baselines.types.get(&watched.agent_type);
        if !self.frozen
            && let Some(delta) = self.deltas.get_mut(&watched.agent_type)
        {
            if unit.unit_p > self.settings.quarantine_p {
                for held in unit.held.drain(..) {
                    delta.vote(Lesson::Value(held.contexts), held.value, 0.0);
                }
            }
            let content_here = unit.kind == UnitKind::Session || unit.peaks(Family::Order).is_some();
            if content_here {
                let carries = own.is_some_and(|own| own.carries_provenance());
                if carries {
                    unit.mark(Family::CallContent);
                    unit.mark(Family::ToolValues);
                } else {
                    unit.mark(Family::BareContent);
                }
            }
            if !unit.under_alert {
                let tail_day = watched.tail_day.get_mut(unit.kind as usize);
                let day = unit.started.day();
                let high = unit.unit_p <= 0.02;
                // One agent gives the tail at most one unit a day.
                let counts = !high || tail_day.as_ref().is_none_or(|d| **d != day);
                if counts {
                    if let (true, Some(d)) = (high, tail_day) {
                        *d = day;
                    }
                    add_peaks(delta.peaks_mut(), &unit);
                }
            }
        }
        let most = SPARE_UNITS.max(self.agents.len());
        self.spare.keep(unit, most);
    }

    fn close_alerts(&mut self, id: u64, now: EventTime, out: &mut Vec<Alert>) {
        let Some(watched) = self.agents.find(id).and_then(|slot| self.agents.get_mut(slot)) else { return };
        let mut i = 0;
        while let Some(open) = watched.open.get(i) {
            if open.last.plus_ms(QUIET_MS) <= now {
                let open = watched.open.remove(i);
                let time = open.last.plus_ms(QUIET_MS);
                out.push(Alert { state: AlertState::Closed, time, ..*open.told });
            } else {
                i += 1;
            }
        }
    }

    fn mint(&mut self, now: EventTime) {
        if self.frozen {
            return;
        }
        let deltas = self.deltas.iter_mut().map(|(key, delta)| (*key, delta));
        if learning::mint(&mut self.baselines, now.day(), deltas) {
            let peaks = self.baselines.types.values().map(|t| &t.peaks);
            self.fleet_calibration.renew(peaks, &self.settings.shipped);
            self.fleet_scale.renew(None, &self.fleet_calibration);
        }
    }
}

fn add_peaks(peaks: &mut Peaks, unit: &Unit) {
    for &family in &Family::ALL {
        if let (Some(cells), Some(sketch)) = (unit.peaks(family), peaks.families.get_mut(family as usize)) {
            sketch.add(cells);
        }
    }
    if let Some(evidence) = peaks.evidence.get_mut(unit.kind as usize) {
        evidence.add(cell_of(unit.bits));
    }
}
