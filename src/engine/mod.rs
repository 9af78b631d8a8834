//! The deterministic heart: judges events, closes units, mints versions.
//!
//! Knows everything below. Must not know clocks, files, networks or randomness: the same events in the same
//! order give the same outputs, byte for byte.

mod alerts;
mod batch;
pub mod checkpoint;
pub mod clock;
mod closing;
mod course;
mod explain;
mod fleet_shift;
mod forgotten;
mod habits;
mod height;
mod held_back;
mod judging;
pub mod kin;
mod lead;
mod levels;
pub mod member;
pub mod output;
mod plain;
mod registry;
pub mod second_person;
mod sight;
mod slice;
mod splitting;
mod storm;
mod turning;
pub mod unit;
pub mod verdicts;
mod version;
pub mod watched;

pub use self::output::{ClosedCounts, ClosedUnit, Output, UNUSUAL_P};
pub use self::slice::SLICES;
pub use self::splitting::Holdings;
pub use self::storm::Storm;
pub use self::verdicts::VerdictRecord;
pub use self::version::Version;

use std::sync::Arc;

use self::clock::{Now, StreamClock};
use self::member::Member;
use self::registry::Registry;
use self::slice::{Arrival, Slice};
use self::unit::{Position, UnitKind};
use crate::assess::content::ContentSettings;
use crate::baseline::pool::{Baselines, Peaks};
use crate::detect::lexicon::Lexicon;
use crate::detect::registry::RegistrySettings;
use crate::detect::rules::Rules;
use crate::event::AuditEvent;
use crate::finding::Family;
use crate::identity::{Identity, Key};
use crate::risk::{LevelSettings, Verdict};
use crate::stats::key::mix;

/// Everything the engine is told before the first event.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Alerts a day that a person can read.
    pub alerts_per_day: f64,
    /// Agents watched at most.
    pub max_agents: usize,
    /// Key of the identity hash.
    pub identity: Identity,
    /// What the call score is made of.
    pub content: ContentSettings,
    /// Verbs and destinations.
    pub lexicon: Option<Lexicon>,
    /// First-day calibration.
    pub shipped: Peaks,
    /// Values that a unit with p at or below this used are not learned.
    pub quarantine_p: f64,
    /// Whom levels may trouble.
    pub levels: LevelSettings,
    /// Rules of the user.
    pub rules: Rules,
    /// What is asked of the registry.
    pub registry: RegistrySettings,
    /// Hash of the configuration, for the record.
    pub config: String,
}

/// What one event did to its unit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Judgement {
    /// Which kind of unit the event's content belongs to.
    pub kind: UnitKind,
    /// That unit: the session's key, or the number of the agent's hour.
    pub unit: u64,
    /// Combined evidence of that unit so far. Bits.
    pub bits: f64,
    /// Calibrated p of the unit so far, in (0, 1].
    pub p: f64,
    /// Running p of each family: novelty, bursts and refusals from the hour unit, the others from the event's unit.
    pub families: [f64; Family::COUNT],
    /// Combined evidence of the agent's hour unit so far. Bits.
    pub hour_bits: f64,
    /// Calibrated p of the hour unit so far, in (0, 1].
    pub hour_p: f64,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    /// Shared only where versions come from elsewhere.
    version: Arc<Version>,
    slices: Vec<Slice>,
    clock: StreamClock,
    /// Hour (since 1970) up to which units were closed and versions minted.
    minted: Option<i64>,
    /// Events since units and alerts were counted last.
    uncounted: u32,
    /// When a level may fall next. Watched milliseconds.
    next_timer: Option<i64>,
    storm: Storm,
    /// What people said of groups of agents; every slice reads it.
    registry: Arc<Registry>,
    /// What is otherwise where the engine judges one partition and versions come from elsewhere.
    member: Option<Member>,
}

impl Engine {
    /// An engine that knows nothing but what is shipped.
    pub fn new(settings: Settings) -> Self {
        Self {
            slices: (0..SLICES).map(|_| Slice::new(&settings)).collect(),
            version: Arc::new(Version::new(settings)),
            clock: StreamClock::default(),
            minted: None,
            uncounted: 0,
            next_timer: None,
            storm: Storm::default(),
            registry: Arc::default(),
            member: None,
        }
    }

    /// Judges an event, then learns from it. What there is to say is pushed to `out`.
    ///
    /// An event that was met lately, of the same id, time, action and resource, is dropped and counted: nothing is known
    /// against it.
    pub fn judge(&mut self, event: &AuditEvent<'_>, position: Position, out: &mut Vec<Output>) -> Judgement {
        let arrival = self.arrival(event);
        let now = self.see(arrival.agent, event.time, event.time);
        if self.is_due(now) {
            self.turn(now, out);
        }
        self.uncounted += 1;
        let from = out.len();
        let Some(slice) = self.slices.get_mut(slice_of(arrival.agent)) else {
            return Judgement::NOTHING;
        };
        let judgement = slice.judge(&self.version, now, arrival, event, position, out);
        self.storm.tell(out, from);
        judgement
    }

    /// Applies a verdict of a person, as of its time or of the stream's if that has passed. The same verdict given again
    /// does nothing.
    pub fn verdict(&mut self, verdict: &Verdict, out: &mut Vec<Output>) {
        let identity = &self.version.settings.identity;
        let text = [verdict.verdict.name(), &verdict.by, &verdict.reason];
        let agent = self.agent(verdict.tenant.as_deref(), &verdict.agent_id);
        let own = mix(agent, identity.of(&verdict.time.to_string()));
        let key = text.iter().fold(own, |key, part| mix(key, identity.of(part)));
        let now = self.clock.now().unwrap_or(Now { time: verdict.time, gap_ms: 0 });
        let from = out.len();
        let Some(slice) = self.slices.get_mut(slice_of(agent)).filter(|slice| !slice.asleep) else { return };
        if !slice.decided.insert(key) {
            return;
        }
        if let Some((agent_type, alerts)) = slice.verdict(&self.version, now, agent, verdict, out)
            && let Some(of_type) = slice.types.get_mut(&agent_type)
        {
            of_type.counted.confirmed += alerts;
        }
        self.look_at_timers();
        self.storm.tell(out, from);
    }

    /// The end of the input: every unit closes, levels fall as they would in time, and what was learned is minted.
    pub fn finish(&mut self, out: &mut Vec<Output>) {
        self.close_all(out);
    }

    /// Stops learning: from now on the running version judges for ever.
    pub fn freeze(&mut self) {
        self.own_version(|version| version.frozen = true);
    }

    /// Forgets how far time has come, so that older events are no longer late: between what is learned and what
    /// is judged in an evaluation.
    pub fn restart_clock(&mut self) {
        self.clock = StreamClock::default();
        self.minted = None;
        self.own_version(Version::restart_clock);
        self.slices.iter_mut().for_each(|slice| slice.met.clear());
    }

    /// From now on keeps a record of every unit that closes, until it is taken.
    pub fn keep_closed_units(&mut self) {
        self.slices.iter_mut().for_each(|slice| slice.closed = Some(Vec::new()));
    }

    /// Takes out the units that have closed since the last call, slice by slice. Empty unless they are kept.
    pub fn take_closed_units(&mut self) -> impl Iterator<Item = ClosedUnit> {
        self.slices.iter_mut().filter_map(|slice| slice.closed.as_mut()).flat_map(|closed| closed.drain(..))
    }

    /// Units that have closed since the engine was made or put back, by family.
    pub fn closed_counts(&self) -> ClosedCounts {
        self.slices.iter().fold(ClosedCounts::default(), |sum, slice| sum.plus(&slice.closed_counts))
    }

    /// What is normal, as of the running version.
    pub fn baselines(&self) -> &Baselines {
        &self.version.baselines
    }

    /// Whether it watches an agent.
    pub fn watches(&self, tenant: Option<&str>, agent_id: &str) -> bool {
        let agent = self.agent(tenant, agent_id);
        self.slices.get(slice_of(agent)).is_some_and(|slice| slice.agents.find(agent).is_some())
    }

    /// Agents under watch.
    pub fn agents(&self) -> usize {
        self.slices.iter().map(|slice| slice.agents.len()).sum()
    }

    /// Agents that were forgotten to make room for others.
    pub fn evicted(&self) -> u64 {
        self.slices.iter().map(|slice| slice.agents.evicted()).sum()
    }

    /// Events that were dropped because the same one had been judged.
    pub fn duplicates(&self) -> u64 {
        self.slices.iter().map(|slice| slice.duplicates).sum()
    }

    /// Findings that were not told because a person had declared such activity safe.
    pub fn suppressed(&self) -> u64 {
        self.slices.iter().map(|slice| slice.suppressed).sum()
    }

    /// Changes the version, which is this engine's alone unless versions come from elsewhere.
    fn own_version(&mut self, change: impl FnOnce(&mut Version)) {
        if let Some(version) = Arc::get_mut(&mut self.version) {
            change(version);
        }
    }

    /// The keys by which an event is placed.
    fn arrival(&self, event: &AuditEvent<'_>) -> Arrival {
        let identity = &self.version.settings.identity;
        let agent = self.agent(event.tenant.as_deref(), &event.agent_id);
        let id = event.event_id.as_deref().map(|id| identity.of(id));
        // One that is delivered again says the same. An id alone proves nothing: whoever uses one twice must not hide behind
        // it.
        let said = |id| {
            let of = [Some(event.action.as_str()), event.resource.as_deref()];
            let own = mix(mix(agent, id), event.time.0 as u64);
            of.into_iter().fold(own, |key, part| mix(key, part.map_or(0, |part| identity.of(part))))
        };
        Arrival { agent, event: id, met: id.map(said) }
    }

    /// Key of an agent: agents of two tenants are two agents.
    fn agent(&self, tenant: Option<&str>, agent_id: &str) -> Key {
        let identity = &self.version.settings.identity;
        mix(tenant.map_or(0, |tenant| identity.of(tenant)), identity.of(agent_id))
    }
}

/// The slice of an agent.
fn slice_of(agent: Key) -> usize {
    (agent >> 32) as usize % SLICES
}

#[cfg(test)]
mod tests;
