//! What happens to all slices together when time passes: units close, versions are minted, levels fall.
//!
//! Knows the clock and every slice. Must not judge calls.
//!
//! Between two of these moments nothing but a slice's own agents influences its judgements. Which moments they are follows
//! from the input alone, not from who judges which slice.

use std::sync::Arc;

use super::Engine;
use super::clock::Now;
use super::output::Output;
use super::slice::Said;
use crate::identity::Key;
use crate::risk::Blindness;
use crate::time::{EventTime, HOUR_MS};

/// Units and alerts are counted after at most so many events, so that the first hour of a large fleet does not run on
/// the threshold of a small one.
const COUNT_EVERY: u32 = 4096;

impl Engine {
    /// Notes that an event has arrived. Returns the instant at which it is judged.
    pub(super) fn see(&mut self, agent: Key, time: EventTime, recorded: EventTime) -> Now {
        if let Some(member) = &mut self.member {
            if member.blindness.is_some_and(Blindness::misses_events) {
                self.clock.record_unwatched(recorded);
            } else {
                self.clock.record(recorded);
            }
            let now = self.clock.now().unwrap_or_default();
            member.began.get_or_insert(now.watched(now.time));
            return now;
        }
        let before = self.clock.now();
        self.clock.see(agent, time);
        let now = self.clock.now().unwrap_or_default();
        if before.is_none_or(|before| now.time < before.time) {
            self.own_version(|version| version.begin(now));
            // Whoever was met by a clock that was ahead was met now.
            let by_ms = before.map_or(0, |before| now.time.0 - before.time.0);
            self.slices.iter_mut().for_each(|slice| slice.shift(by_ms));
        }
        now
    }

    /// Whether something has to happen to all slices before the next event is judged.
    pub(super) fn is_due(&self, now: Now) -> bool {
        if let Some(member) = &self.member {
            return member.is_due(now);
        }
        self.uncounted >= COUNT_EVERY
            || self.minted != Some(now.time.hour())
            || self.next_timer.is_some_and(|due| due <= now.watched(now.time))
    }

    /// Counts; lets levels fall; once an hour closes units and mints a version (once for several hours in which
    /// nothing happened), or hands over what was learned where versions come from elsewhere.
    pub(super) fn turn(&mut self, now: Now, out: &mut Vec<Output>) {
        self.count(now);
        let mut said = Vec::new();
        let hour = now.time.hour();
        if self.minted.is_some_and(|minted| minted < hour) {
            let boundary = EventTime(hour * HOUR_MS);
            for slice in self.slices.iter_mut().filter(|slice| !slice.asleep) {
                slice.close_by(&self.version, boundary);
                slice.listen(&self.version, Now { time: boundary, ..now }, &mut said);
            }
            self.mint(boundary);
            // A version that comes from elsewhere is the same for all who judge by it.
            if self.member.is_none() {
                self.own_version(|version| version.budget.turn(hour));
            }
        }
        let is_new_hour = self.minted.replace(hour) != Some(hour);
        self.hand_over(now);
        for slice in self.slices.iter_mut().filter(|slice| is_new_hour && !slice.asleep) {
            slice.forget_types(&self.version);
        }
        for slice in self.slices.iter_mut().filter(|slice| !slice.asleep) {
            slice.fire_timers(&self.version, now, &mut said);
        }
        self.look_at_timers();
        self.say(said, out);
        if self.member.is_none() {
            self.own_version(|version| version.tell_fleet_shifts(now.time, out));
        }
    }

    /// Closes everything that is open and mints a last version.
    pub(super) fn close_all(&mut self, out: &mut Vec<Output>) {
        self.clock.end();
        let Some(now) = self.clock.now() else { return };
        self.count(now);
        let mut said = Vec::new();
        for slice in &mut self.slices {
            slice.close_by(&self.version, EventTime(i64::MAX / 2));
            slice.close_all_alerts(&self.version, now, &mut said);
        }
        self.mint(now.time);
        self.look_at_timers();
        self.say(said, out);
        self.own_version(|version| {
            version.tell_fleet_shifts(now.time, out);
            version.close_fleet_shifts(now.time, out);
        });
    }

    /// As soon as time passes what was told under another configuration is told anew: time passes with the next event.
    pub fn look_at_configuration(&mut self) {
        let config = &self.version.settings.config;
        if self.slices.iter().any(|slice| slice.told_under != *config) {
            self.next_timer = Some(i64::MIN);
        }
    }

    /// Looks when a level may fall next.
    pub(super) fn look_at_timers(&mut self) {
        self.next_timer = self.slices.iter().filter_map(super::Slice::next_timer).min();
    }

    fn count(&mut self, now: Now) {
        self.uncounted = 0;
        let Some(version) = Arc::get_mut(&mut self.version).filter(|_| self.member.is_none()) else { return };
        for slice in &mut self.slices {
            for (agent_type, of_type) in &mut slice.types {
                let counted = std::mem::take(&mut of_type.counted);
                if counted != Default::default() {
                    version.budget.count(*agent_type, now.time.day(), counted);
                }
                let moved = std::mem::take(&mut of_type.moved);
                version.fleet_shifts.count(*agent_type, &of_type.name, moved);
            }
        }
        self.look_at_timers();
    }

    fn mint(&mut self, boundary: EventTime) {
        let Some(version) = Arc::get_mut(&mut self.version).filter(|_| self.member.is_none()) else { return };
        let slices = self.slices.iter_mut();
        let deltas = slices.flat_map(|slice| slice.types.iter_mut().map(|(key, of)| (*key, &mut of.delta)));
        version.mint(boundary, deltas);
    }

    /// Tells what was said when time passed, in the order of (time, identity hash).
    fn say(&mut self, mut said: Vec<Said>, out: &mut Vec<Output>) {
        let from = out.len();
        said.sort_by_key(|(time, agent, _)| (*time, *agent));
        out.extend(said.into_iter().map(|(_, _, output)| output));
        self.storm.tell(out, from);
    }
}
