//! A simulated fleet, judged by the engine in the same process, and the score that is kept of it.
//!
//! Knows which events come when and what is true of them. Must not know terminals, nor how events are made or
//! judged. The engine is given events alone: neither the truth about them nor the host's clock.

pub mod ledger;
pub mod pace;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use self::ledger::{Ledger, Score};
use crate::alert::{Alert, AlertState};
use crate::engine::unit::Position;
use crate::engine::{Engine, Output, Settings};
use crate::simulate::{Attack, Scenario, ScenarioError, SimulatedEvent, Simulation};
use crate::time::EventTime;

/// Events judged in one go at most: a few milliseconds of work.
const BATCH: usize = 512;
/// The last alerts that are remembered.
const RECENT: usize = 8;

/// The scenario that is shown where nothing else is asked for: four days, two quiet ones in which the baselines are
/// learned, then two in which one session in a hundred is attacked in earnest. Its seed is one whose fleet raises no
/// alert when nobody attacks it; over the seeds 1 to 40 such a fleet raises 5.9 in four days (docs/demo.md).
pub fn scenario() -> Scenario {
    Scenario { agents: 25, days: 4.0, seed: 59, attack_share: 0.02, strength: 1.0, ..Scenario::default() }
}

/// How far an advance came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There are more events before the instant that was asked for.
    Busy,
    /// The next event is not before it.
    Waiting,
    /// There are no more events.
    Over,
}

/// The last state of an alert, and the truth about it.
#[derive(Clone, Debug)]
pub struct Told {
    /// The alert.
    pub alert: Alert,
    /// The attack it belongs to.
    pub attack: Option<Attack>,
    /// How often it was updated.
    pub updates: u64,
}

/// A demonstration that is running.
///
/// Memory: that of the simulation and the engine, the open sessions and alerts, and a few alerts more.
#[derive(Debug)]
pub struct Demo {
    scenario: Scenario,
    simulation: Simulation,
    /// The event after the last one that was judged.
    next: Option<SimulatedEvent>,
    batch: Vec<SimulatedEvent>,
    engine: Engine,
    ledger: Ledger,
    /// Alerts of the running batch.
    said: Vec<Output>,
    open: Vec<Told>,
    recent: VecDeque<Told>,
    striking: Option<Told>,
    time: EventTime,
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
            scenario: scenario.clone(),
            simulation,
            next,
            batch: Vec::with_capacity(BATCH),
            engine: Engine::new(settings),
            ledger: Ledger::default(),
            said: Vec::new(),
            open: Vec::new(),
            recent: VecDeque::with_capacity(RECENT),
            striking: None,
            time: scenario.start,
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
            self.ledger.note(&simulated);
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
        self.time = self.batch.last().map_or(self.time, |last| last.event.time);
        self.batch.clear();
        self.settle(out);
        self.ledger.forget(self.time);
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

    /// Keeps the score of what the engine has said, and hands it on.
    fn settle(&mut self, out: &mut Vec<Alert>) {
        if self.said.is_empty() {
            return;
        }
        for alert in self.said.drain(..).filter_map(Output::into_alert) {
            let known = self.open.iter().position(|told| told.alert.alert_id == alert.alert_id);
            let mut told = match known {
                Some(place) => self.open.swap_remove(place),
                None => Told {
                    attack: self.ledger.opened(&alert.subject.id, alert.time),
                    updates: 0,
                    alert: alert.clone(),
                },
            };
            told.updates += u64::from(alert.state == AlertState::Updated);
            told.alert = alert.clone();
            if self.striking.as_ref().is_none_or(|best| told.strikes_more_than(best)) {
                self.striking = Some(told.clone());
            }
            if alert.state != AlertState::Closed {
                if self.recent.len() >= RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back(told.clone());
                self.open.push(told);
            }
            out.push(alert);
        }
        self.open.sort_by(|a, b| a.alert.p.total_cmp(&b.alert.p));
    }

    /// What is simulated.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Time of the last event that was judged; the start before the first.
    pub fn time(&self) -> EventTime {
        self.time
    }

    /// Whether the attacks have not begun yet.
    pub fn is_quiet(&self) -> bool {
        self.time < self.attacks_begin()
    }

    /// No session that starts before is attacked.
    pub fn attacks_begin(&self) -> EventTime {
        self.scenario.start.plus_ms(self.scenario.quiet_ms)
    }

    /// Events that were judged.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Time that the engine took for them; nothing else is counted.
    pub fn judging(&self) -> Duration {
        self.judging
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The score so far.
    pub fn score(&self) -> &Score {
        self.ledger.score()
    }

    /// Open alerts, least probable first.
    pub fn open(&self) -> &[Told] {
        &self.open
    }

    /// The last alerts that were opened or updated, as they were then; latest last.
    pub fn recent(&self) -> impl DoubleEndedIterator<Item = &Told> {
        self.recent.iter()
    }

    /// The least probable alert, one that belongs to an attack before any other.
    pub fn striking(&self) -> Option<&Told> {
        self.striking.as_ref()
    }
}

impl Told {
    /// Whether a person should rather be shown this alert (a later state of the same one included).
    fn strikes_more_than(&self, other: &Self) -> bool {
        if self.alert.alert_id == other.alert.alert_id {
            return true;
        }
        (self.attack.is_some(), other.alert.p) > (other.attack.is_some(), self.alert.p)
    }
}
