//! The deterministic heart: judges events, closes units, mints versions.
//!
//! Knows everything below. Must not know clocks, files, networks or randomness: the same events in the same
//! order give the same outputs, byte for byte.

mod alerts;
pub mod clock;
mod closing;
mod explain;
mod judging;
pub mod unit;
pub mod watched;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use self::clock::StreamClock;
use self::unit::{Position, Spare, Unit, UnitKind};
use self::watched::Watched;
use crate::alert::Alert;
use crate::assess::budget::Budget;
use crate::assess::calibrate::{Calibration, FleetCalibration};
use crate::assess::content::ContentSettings;
use crate::baseline::learning::Delta;
use crate::baseline::pool::{Baselines, Peaks};
use crate::baseline::store::Store;
use crate::detect::Call;
use crate::detect::lexicon::Lexicon;
use crate::detect::vocabulary::Vocabulary;
use crate::event::AuditEvent;
use crate::finding::Family;
use crate::identity::{Identity, Key};
use crate::time::EventTime;

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
    /// Running p of each family: novelty from the hour unit, the others from the event's unit.
    pub families: [f64; Family::COUNT],
    /// Combined evidence of the agent's hour unit so far. Bits.
    pub hour_bits: f64,
    /// Calibrated p of the hour unit so far, in (0, 1].
    pub hour_p: f64,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    vocabulary: Vocabulary,
    agents: Store<Watched>,
    baselines: Baselines,
    deltas: HashMap<Key, Delta, RandomState>,
    fleet_calibration: FleetCalibration,
    /// The calibration of a type of which nothing is known: that of the fleet.
    fleet_scale: Calibration,
    /// Calibrations by type, each with the version it was made for.
    calibrations: HashMap<Key, (u64, Calibration), RandomState>,
    budget: Budget,
    clock: StreamClock,
    /// Hour (since 1970) up to which units were closed and versions minted.
    minted: Option<i64>,
    frozen: bool,
    /// Used while units close, kept for its memory.
    ended: Vec<Box<Unit>>,
    /// Used units, kept for their memory.
    /// Units that end in an hour's turn, with deadline and agent, kept for its memory.
    turning: Vec<(EventTime, Key, Box<Unit>)>,
    spare: Spare,
}

impl Engine {
    /// An engine that knows nothing but what is shipped.
    pub fn new(settings: Settings) -> Self {
        let fleet_calibration = FleetCalibration::new(std::iter::empty(), &settings.shipped);
        Self {
            fleet_scale: Calibration::new(None, &fleet_calibration),
            vocabulary: Vocabulary::new(settings.identity.clone(), settings.lexicon.clone()),
            agents: Store::new(settings.max_agents),
            baselines: Baselines::default(),
            deltas: HashMap::default(),
            fleet_calibration,
            calibrations: HashMap::default(),
            budget: Budget::new(settings.alerts_per_day),
            clock: StreamClock::default(),
            minted: None,
            frozen: false,
            ended: Vec::new(),
            turning: Vec::new(),
            spare: Spare::default(),
            settings,
        }
    }

    /// Judges an event, then learns from it. Alerts that it opens, updates or lets close are pushed to `out`.
    pub fn judge(&mut self, event: &AuditEvent<'_>, position: Position, out: &mut Vec<Alert>) -> Judgement {
        let call = self.vocabulary.call(event);
        let agent = self.vocabulary.agent(event);
        self.clock.see(agent, event.time);
        self.turn_hours(out);
        let slot = self.watch(agent, &call);
        self.close_ended(slot, event.time, out);
        self.judge_call(slot, &call, position, out)
    }

    /// The end of the input: every unit closes, and what was learned is minted.
    pub fn finish(&mut self, out: &mut Vec<Alert>) {
        self.close_all(out);
    }

    /// Stops learning: from now on the running version judges for ever.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Forgets how far time has come, so that older events are no longer late: between what is learned and what
    /// is judged in an evaluation.
    pub fn restart_clock(&mut self) {
        self.clock = StreamClock::default();
        self.minted = None;
        self.budget = Budget::new(self.settings.alerts_per_day);
        self.baselines.day = None;
    }

    /// An alert opens at p at or below this, now.
    pub fn threshold(&self) -> f64 {
        self.budget.threshold()
    }

    /// What is normal, as of the running version.
    pub fn baselines(&self) -> &Baselines {
        &self.baselines
    }

    /// Agents under watch.
    pub fn agents(&self) -> usize {
        self.agents.len()
    }

    /// Agents that were forgotten to make room for others.
    pub fn evicted(&self) -> u64 {
        self.agents.evicted()
    }

    /// Finds the agent, or begins to watch it.
    fn watch(&mut self, agent: Key, call: &Call<'_, '_>) -> usize {
        let event = call.event;
        let mut born = false;
        let slot = self.agents.slot(agent, event.time.0, || {
            born = true;
            Watched::new(agent, &event.agent_id, event.tenant.as_deref(), call.agent_type)
        });
        if born && !self.frozen {
            let name = event.agent_type();
            self.deltas.entry(call.agent_type).or_insert_with(|| Delta::new(name)).agent(agent);
        }
        slot
    }
}
