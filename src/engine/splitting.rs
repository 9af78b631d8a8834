//! One engine becomes several, one for each partition of a stream, and several become one again.
//!
//! Knows what belongs to an agent, what to all, and what can be told apart. Must not know which partition an agent is on: it
//! asks.
//!
//! An agent goes with everything that is known of it. What cannot be attributed because only hashes of it are kept (event
//! ids and verdicts met lately, stubs of forgotten agents, who has voted) goes to every part, where it does no harm. What
//! was learned and is in no version yet, and what was counted, goes to the first part: whoever mints the next version adds
//! up all parts anyway. When parts are joined, it is minted at once, because its votes lie in as many heaps.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::clock::StreamClock;
use super::forgotten::Loss;
use super::member::{Moment, Part, take_learned};
use super::registry::Known;
use super::slice::{OfType, Slice};
use super::version::Version;
use super::watched::{NEVER, Watched};
use super::{Engine, Settings, slice_of};

/// What an engine holds, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Agents under watch.
    pub agents: usize,
    /// Their events so far.
    pub events: u64,
    /// Alerts that they opened so far.
    pub alerts: u64,
    /// Agent types of which something is known.
    pub types: usize,
    /// Number of the version of what is normal.
    pub version: u64,
}

impl Holdings {
    /// The holdings of two parts of one whole.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            agents: self.agents + other.agents,
            events: self.events + other.events,
            alerts: self.alerts + other.alerts,
            types: self.types.max(other.types),
            version: self.version.max(other.version),
        }
    }
}

impl Engine {
    /// What it holds, in numbers. Linear in the agents.
    pub fn holdings(&self) -> Holdings {
        let mut holdings = Holdings {
            types: self.version.baselines.types.len(),
            version: self.version.number(),
            ..Holdings::default()
        };
        for watched in self.slices.iter().flat_map(|slice| slice.agents.iter()) {
            holdings.agents += 1;
            holdings.events += watched.events;
            holdings.alerts += watched.alerts_opened;
        }
        holdings
    }

    /// Records about groups of agents that it knows. They are not split: whoever runs the parts hears them from elsewhere.
    pub fn knows_groups(&self) -> bool {
        !self.registry.records.is_empty()
    }

    /// Becomes one engine for each of `parts` partitions, which judge by the version that this one judges by.
    ///
    /// * `settings`: what each part is told; its `max_agents` are those of one part;
    /// * `number`: what the version is called from now on;
    /// * `part_of`: the partition of an agent, by its id; below `parts`.
    ///
    /// Linear in the size of the engine; what goes to every part is copied.
    pub fn split(
        mut self,
        settings: &Settings,
        number: u64,
        parts: usize,
        part_of: impl Fn(&str) -> usize,
    ) -> Vec<Self> {
        self.own_version(|version| version.baselines.version = number);
        let moment = Moment::of_whole(self.clock, self.minted, self.version.began);
        let mut engines: Vec<Self> = Vec::with_capacity(parts);
        for _ in 0..parts {
            let mut engine = Self::member(settings.clone(), Arc::clone(&self.version));
            engine.set_moment(moment);
            engine.storm = self.storm.clone();
            engine.registry = Arc::clone(&self.registry);
            engines.push(engine);
        }
        let slices = self.slices.into_iter().enumerate();
        for (number, slice) in slices {
            let places = engines.iter_mut().filter_map(|engine| engine.slices.get_mut(number));
            slice.split(places.collect(), &part_of);
        }
        engines.iter_mut().for_each(Self::read_registry);
        engines
    }

    /// Becomes one engine of several that each judged one partition. What they have learned and not handed over is minted at
    /// once, into `version`.
    ///
    /// The clock is that of the partition that has come furthest; time that agents of another spent unwatched is counted as
    /// there.
    pub fn join(settings: Settings, mut version: Version, members: Vec<Self>) -> Self {
        let clock = StreamClock::joined(members.iter().map(|member| member.clock));
        let now = clock.now().unwrap_or_default();
        let minted = members.iter().filter_map(|member| member.minted).min();
        let mut whole = Self::new(settings);
        let mut parts = Vec::with_capacity(members.len());
        for mut member in members {
            let types = take_learned(member.slices.iter_mut());
            parts.push(Part::new(now.time, member.moment().began(), types));
            let gap_ms = member.clock.now().map_or(now.gap_ms, |own| own.gap_ms);
            for (to, from) in whole.slices.iter_mut().zip(member.slices) {
                to.take_in(from, gap_ms - now.gap_ms, &whole.version.settings.config);
            }
            whole.storm.join(member.storm);
            whole.registry = member.registry;
        }
        if parts.iter().any(Part::has_types) {
            version.merge(now.time, &mut parts);
        }
        whole.version = Arc::new(version);
        whole.clock = clock;
        whole.minted = minted;
        whole.read_registry();
        whole.look_at_timers();
        whole.look_at_configuration();
        whole
    }

    /// Forgets what one agent is used to: from now on it is judged by its peers, as if it were new. What it taught its type
    /// stays, and so do its counters, its open alerts and what is held against it. Whether it was there.
    pub fn forget_habits(&mut self, tenant: Option<&str>, agent_id: &str) -> bool {
        let agent = self.agent(tenant, agent_id);
        let now = self.clock.now().unwrap_or_default();
        let Some(slice) = self.slices.get_mut(slice_of(agent)) else { return false };
        let Some(watched) = slice.agents.find(agent).and_then(|slot| slice.agents.get_mut(slot)) else {
            return false;
        };
        if let Some(of_type) = slice.types.get_mut(&watched.kin.agent_type) {
            // It has voted for them, and must not vote again.
            watched.familiar.keys().for_each(|key| of_type.delta.note_voter(agent, key));
        }
        watched.forget_habits(now.watched(now.time));
        true
    }
}

impl Slice {
    /// Goes over into the slices of the same number of several engines.
    fn split(self, mut parts: Vec<&mut Self>, part_of: &impl Fn(&str) -> usize) {
        let (actions, arguments) = self.vocabulary.names();
        for part in &mut parts {
            part.vocabulary.learn_names(&actions, &arguments);
            part.stubs.clone_from(&self.stubs);
            part.met.clone_from(&self.met);
            part.decided.clone_from(&self.decided);
            part.count_from = self.count_from;
            part.lost = self.lost;
            part.told_under.clone_from(&self.told_under);
            part.types = self
                .types
                .iter()
                .map(|(key, of_type)| {
                    let apart = OfType { delta: of_type.delta.apart(), ..OfType::new(&of_type.name) };
                    (*key, apart)
                })
                .collect();
        }
        let (mut known, evicted) = (self.known, self.agents.evicted());
        for watched in self.agents.into_entries() {
            let agent = watched.key;
            let Some(part) = parts.get_mut(part_of(&watched.id)) else { continue };
            if let Some(of_agent) = known.remove(&agent) {
                part.known.insert(agent, of_agent);
            }
            if watched.timer != NEVER {
                part.timers.insert((watched.timer, agent));
            }
            part.agents.insert(watched);
        }
        for (agent, of_agent) in known {
            let part = of_agent.records.one_agent().map_or(0, |agent_id| part_of(&agent_id));
            if let Some(part) = parts.get_mut(part) {
                part.known.insert(agent, of_agent);
            }
        }
        for (agent, verdicts) in self.pending {
            let part = verdicts.first().map_or(0, |verdict| part_of(&verdict.agent_id));
            if let Some(part) = parts.get_mut(part) {
                part.pending.insert(agent, verdicts);
            }
        }
        if let Some(first) = parts.first_mut() {
            first.types = self.types;
            first.agents.count_evicted(evicted);
            first.duplicates = self.duplicates;
            first.suppressed = self.suppressed;
            first.held_back = self.held_back;
        }
    }

    /// Takes in a slice of the same number, whose learned votes were taken out.
    ///
    /// * `by_ms`: what its watched time is to be shifted by.
    /// * `config`: hash of the configuration that holds.
    fn take_in(&mut self, from: Self, by_ms: i64, config: &str) {
        let (actions, arguments) = from.vocabulary.names();
        self.vocabulary.learn_names(&actions, &arguments);
        for (key, of_type) in from.types {
            let own = self.types.entry(key).or_insert_with(|| OfType::new(&of_type.name));
            own.delta.know_voters_of(&of_type.delta);
        }
        self.agents.count_evicted(from.agents.evicted());
        let mut taken = BTreeSet::new();
        for mut watched in from.agents.into_entries() {
            let agent = watched.key;
            watched.shift(by_ms);
            self.stubs.remove(&agent);
            // What waited elsewhere was applied where it was watched.
            self.pending.remove(&agent);
            let mut timer = watched.timer;
            match self.agents.find(agent).and_then(|slot| self.agents.get_mut(slot)) {
                // Its events lay on two partitions.
                Some(own) => {
                    self.timers.remove(&(own.timer, agent));
                    if own.latest < watched.latest {
                        std::mem::swap(own, &mut watched);
                    }
                    own.join(watched);
                    timer = own.timer;
                }
                None => {
                    self.agents.insert(watched);
                }
            }
            if timer != NEVER {
                self.timers.insert((timer, agent));
            }
            taken.insert(agent);
        }
        for (agent, mut of_agent) in from.known {
            of_agent.shift(by_ms);
            // Who watches an agent knows most of it, then who ever saw it.
            let is_better = |own: &Known| {
                taken.contains(&agent) || self.agents.find(agent).is_none() && of_agent.saw_later_than(own)
            };
            if self.known.get(&agent).is_none_or(is_better) {
                self.known.insert(agent, of_agent);
            }
        }
        for (agent, verdicts) in from.pending {
            if self.agents.find(agent).is_none() {
                self.pending.entry(agent).or_insert(verdicts);
            }
        }
        for (agent, stub) in from.stubs {
            if self.agents.find(agent).is_none() {
                let own = self.stubs.entry(agent).or_insert(stub);
                *own = own.and(stub);
            }
        }
        self.met.meet_all(&from.met);
        self.decided.meet_all(&from.decided);
        self.duplicates += from.duplicates;
        self.suppressed += from.suppressed;
        self.held_back += from.held_back;
        self.count_from = self.count_from.max(from.count_from);
        let lost = match from.lost {
            Loss::Until(until) => Loss::Until(until.saturating_add(by_ms)),
            other => other,
        };
        if lost > self.lost {
            self.lost = lost;
        }
        // One of them that was told under another is enough.
        if from.told_under != config {
            self.told_under = from.told_under;
        }
    }
}

impl Watched {
    /// Becomes one with what was known of the same agent elsewhere, where it was seen earlier: its habits are those of here, what
    /// is held against it is the worse of both, and nothing that is open is forgotten.
    fn join(&mut self, other: Self) {
        self.events = self.events.saturating_add(other.events);
        self.alerts_opened = self.alerts_opened.max(other.alerts_opened);
        self.seq = self.seq.max(other.seq);
        self.timer = self.timer.min(other.timer);
        let weight =
            |watched: &Self| (watched.risk.as_ref().is_some_and(|risk| risk.confirmed), watched.level());
        if weight(&other) > weight(self) {
            self.risk = other.risk;
        }
        for open in other.open {
            if self.open.iter().all(|own| own.id != open.id) {
                self.open.push(open);
            }
        }
    }
}

#[cfg(test)]
mod tests;
