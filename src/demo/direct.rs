//! A simulated fleet, judged by the engine in the same process.
//!
//! Knows the order of events. Must not know the host's clock, but to tell how long judging took.

use std::time::{Duration, Instant};

use super::{Figures, Progress, Watched};
use crate::alert::Alert;
use crate::engine::unit::Position;
use crate::engine::{Engine, Output, Settings};
use crate::simulate::{Scenario, ScenarioError, SimulatedEvent, Simulation};
use crate::time::EventTime;

/// Events judged in one go at most: a few milliseconds of work.
const BATCH: usize = 512;

/// A demonstration that is running without a broker. The same scenario gives the same alerts at each run.
///
/// Memory: that of the simulation, the engine and what is watched.
#[derive(Debug)]
pub struct Demo {
    simulation: Simulation,
    /// The event after the last one that was judged.
    next: Option<SimulatedEvent>,
    batch: Vec<SimulatedEvent>,
    engine: Engine,
    /// What the engine said of the running batch.
    said: Vec<Output>,
    watched: Watched,
    events: u64,
    judging: Duration,
}

impl Demo {
    /// Sets the fleet and the engine up.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] with every setting that is out of its range.
    pub fn new(scenario: &Scenario, settings: Settings) -> Result<Self, ScenarioError> {
        let mut simulation = Simulation::new(scenario)?;
        let next = simulation.next();
        Ok(Self {
            simulation,
            next,
            batch: Vec::with_capacity(BATCH),
            engine: Engine::new(settings),
            said: Vec::new(),
            watched: Watched::new(scenario),
            events: 0,
            judging: Duration::ZERO,
        })
    }

    /// Judges events before `until`, a few hundred at most; pushes what the engine says to `out`.
    ///
    /// However the stream is cut into advances, the engine is given the same events in the same order.
    pub fn advance(&mut self, until: EventTime, out: &mut Vec<Alert>) -> Progress {
        while self.batch.len() < BATCH
            && let Some(simulated) = self.next.take_if(|next| next.event.time < until)
        {
            self.watched.note(&simulated);
            self.batch.push(simulated);
            self.next = self.simulation.next();
        }
        // The ledger reads the truth from the events.
        self.simulation.take_attacks();
        let began = Instant::now();
        for simulated in &self.batch {
            // The line on which `simulate` writes this event, so that alerts are the same to the last byte.
            self.events += 1;
            self.engine.judge(&simulated.event, Position { source: 0, line: self.events }, &mut self.said);
        }
        self.judging += began.elapsed();
        self.batch.clear();
        self.settle(out);
        self.watched.forget(self.watched.time());
        match &self.next {
            None => Progress::Over,
            Some(next) if next.event.time < until => Progress::Busy,
            Some(_) => Progress::Waiting,
        }
    }

    /// The end: every unit and every open alert closes.
    pub fn finish(&mut self, out: &mut Vec<Alert>) {
        self.engine.finish(&mut self.said);
        self.settle(out);
    }

    /// Hands on what the engine has said, and what it says of itself.
    fn settle(&mut self, out: &mut Vec<Alert>) {
        for output in self.said.drain(..) {
            self.watched.told(output, out);
        }
        let baselines = self.engine.baselines();
        self.watched.set_figures(Figures {
            events: self.events,
            agents: self.engine.agents(),
            types: baselines.types.len(),
            version: baselines.version,
            lag: None,
            judging: Some(self.judging),
        });
    }

    /// What a person who watches is shown.
    pub fn watched(&self) -> &Watched {
        &self.watched
    }
}
