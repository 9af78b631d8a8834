//! Agents make room for others: what is told of them, and what is left.
//!
//! Knows one slice's agents. Must not know how many there may be in all.

use serde::{Deserialize, Serialize};

use super::clock::{Instant, Now};
use super::closing::teach;
use super::output::{EVICTION_SCHEMA, Eviction, Output};
use super::registry;
use super::slice::Slice;
use super::version::Version;
use super::watched::{NEW, Watched};
use crate::identity::Key;
use crate::risk::{Cause, Level, Monitoring};
use crate::time::{DAY_MS, EventTime};

/// Stubs are kept for four times as many agents as a slice holds; for at least four times this many.
const FEWEST_STUBS: usize = 1024;
/// After a loss of state whoever is met may be somebody who was lost; after so long he is taken for new. Watched milliseconds.
const LOST_FOR_MS: i64 = 7 * DAY_MS;

/// What is left of an agent that made room: enough that no alert id and no sequence number is used again, and what a person
/// decided until further notice.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stub {
    pub alerts_opened: u64,
    pub seq: u64,
    pub last_seen: i64,
    /// Whether a person had confirmed that it is compromised.
    pub confirmed: bool,
    /// Whether it was told that it is degraded.
    pub told: bool,
}

/// Whether agents of the slice were lost without a stub.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
pub(super) enum Loss {
    /// None were.
    #[default]
    None,
    /// Some were; whoever is met before this (watched milliseconds) may be one of them.
    Until(i64),
    /// Some were, and nobody was met since.
    Unmet,
}

impl Stub {
    /// What is left of one agent by two accounts.
    pub fn and(self, other: Self) -> Self {
        // Of two verdicts the one that was known to whoever saw it last holds.
        let later = if other.last_seen > self.last_seen { other } else { self };
        Self {
            alerts_opened: self.alerts_opened.max(other.alerts_opened),
            seq: self.seq.max(other.seq),
            last_seen: later.last_seen,
            confirmed: later.confirmed,
            told: self.told || other.told,
        }
    }
}

impl Slice {
    /// Closes the units of the agents seen longest ago and forgets all but their stubs. Those with a level stay as long as
    /// there are others, the higher the longer; whose level is forgotten is told to be at none.
    pub(super) fn make_room(&mut self, version: &Version, now: Now, out: &mut Vec<Output>) {
        let capacity = self.agents.len();
        for mut watched in self.agents.evict(Watched::worth) {
            let (agent, last_seen) = (watched.key, watched.latest.0);
            watched.units_ended_by(EventTime(i64::MAX / 2), &mut self.ended);
            for unit in self.ended.drain(..) {
                let delta = self.types.get_mut(&watched.kin.agent_type).map(|of| &mut of.delta);
                teach(version, delta, &mut watched, unit);
            }
            self.timers.remove(&(watched.timer, agent));
            registry::forget(&mut self.known, agent);
            if let Some(of_type) = self.types.get_mut(&watched.kin.agent_type) {
                watched.familiar.keys().for_each(|key| of_type.delta.note_voter(agent, key));
            }
            let confirmed = watched.risk.as_ref().is_some_and(|risk| risk.confirmed);
            let told = watched.let_go(version, now.of(EventTime(last_seen)), out);
            let stub =
                Stub { alerts_opened: watched.alerts_opened, seq: watched.seq, last_seen, confirmed, told };
            self.stubs.insert(agent, stub);
            out.push(Output::Eviction(Box::new(Eviction {
                schema: EVICTION_SCHEMA.to_owned(),
                agent_id: watched.id.to_string(),
                tenant: watched.kin.tenant.as_deref().map(str::to_owned),
                last_seen: EventTime(last_seen),
                events: watched.events,
            })));
        }
        if self.stubs.len() > 4 * capacity.max(FEWEST_STUBS) {
            self.forget_stubs();
        }
    }

    /// Whether an agent that is met at an instant (watched milliseconds) may be one that was lost with the slice.
    pub(super) fn may_be_lost(&mut self, at: i64) -> bool {
        match &mut self.lost {
            Loss::None => false,
            Loss::Unmet => {
                self.lost = Loss::Until(at.saturating_add(LOST_FOR_MS));
                true
            }
            Loss::Until(until) => at < *until,
        }
    }

    /// Half of the stubs go at once, oldest first.
    fn forget_stubs(&mut self) {
        let mut ages: Vec<(i64, Key)> = self.stubs.iter().map(|(key, stub)| (stub.last_seen, *key)).collect();
        ages.sort_unstable();
        for (_, key) in ages.iter().take(ages.len() / 2) {
            if let Some(stub) = self.stubs.remove(key) {
                // Whoever of them comes back is as good as new, and must not count from the beginning.
                self.count_from = self.count_from.max(stub.alerts_opened).max(stub.seq);
            }
        }
    }
}

impl Watched {
    /// What it is kept for where others have to make room: what a person confirmed before all else, then its level, then open
    /// alerts.
    fn worth(&self) -> (bool, Level, bool) {
        let confirmed = self.risk.as_ref().is_some_and(|risk| risk.confirmed);
        (confirmed, self.level(), !self.open.is_empty())
    }

    /// Closes its alerts, and tells that nobody knows any more what is held against it, nor whether it can be seen. Whether
    /// there was anything to tell.
    fn let_go(&mut self, version: &Version, now: Instant, out: &mut Vec<Output>) -> bool {
        self.close_alerts(now.time, out);
        self.monitoring = Monitoring::Degraded;
        let was_blind = std::mem::take(&mut self.blind) && self.seq > 0;
        let falls = self.risk.as_mut().is_some_and(|risk| {
            risk.clear();
            risk.set(Level::None).is_some()
        });
        if falls {
            self.tell_level(version, now, Cause::Eviction, out);
        } else if was_blind {
            self.tell_level(version, now, Cause::Monitoring, out);
        }
        falls || was_blind
    }

    /// It is met, perhaps again.
    pub(super) fn remember(&mut self, stub: Option<Stub>, count_from: u64, may_be_lost: bool) {
        self.alerts_opened = stub.map_or(count_from, |stub| stub.alerts_opened);
        self.seq = stub.map_or(count_from, |stub| stub.seq);
        if stub.is_some() || may_be_lost {
            self.monitoring = Monitoring::Degraded;
        }
        if stub.is_some_and(|stub| stub.told) {
            // So that it is told when it is not degraded any more.
            self.risk_mut();
        }
    }

    /// Another call of it was counted: what was forgotten of it matters no more once it is not new any more. That is told
    /// where something else was told since.
    pub(super) fn settle_in(&mut self, version: &Version, now: Instant, out: &mut Vec<Output>) {
        if self.monitoring == Monitoring::Degraded && self.maturity() != NEW {
            self.monitoring = Monitoring::Ok;
            if self.risk.is_some() {
                self.tell_level(version, now, Cause::Monitoring, out);
            }
        }
    }

    /// It is back, and a person had confirmed that it is compromised.
    pub(super) fn confirm_again(
        &mut self,
        version: &Version,
        now: Instant,
        clock: EventTime,
        out: &mut Vec<Output>,
    ) {
        self.confirm(version, now, clock, "a person", out);
        self.tell_level(version, now, Cause::Verdict, out);
    }
}

#[cfg(test)]
mod tests;
