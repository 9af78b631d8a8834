//! What a person who watches is shown: alerts, agents at risk, figures, and the truth beside them.
//!
//! Knows what was told and what was true. Must not know who judges, nor how anything is shown.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::ledger::{Ledger, Score};
use crate::alert::{Alert, AlertState};
use crate::engine::Output;
use crate::risk::Level;
use crate::simulate::{Attack, Scenario, SimulatedEvent};
use crate::time::EventTime;

/// The last alerts that are remembered.
const RECENT: usize = 8;

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

/// What whoever judges says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Events that were judged.
    pub events: u64,
    /// Agents under watch.
    pub agents: usize,
    /// Types of agents that have a baseline.
    pub types: usize,
    /// Number of the baseline in force.
    pub version: u64,
    /// Events that wait at the broker; none without a broker.
    pub lag: Option<u64>,
    /// Time that judging took, where nothing else was done meanwhile.
    pub judging: Option<Duration>,
}

/// A demonstration as it is watched.
///
/// Memory: the open sessions and alerts, a level for each agent that ever had one, and a few alerts more.
#[derive(Debug)]
pub struct Watched {
    scenario: Scenario,
    ledger: Ledger,
    open: Vec<Told>,
    recent: VecDeque<Told>,
    striking: Option<Told>,
    levels: BTreeMap<String, Level>,
    time: EventTime,
    figures: Figures,
}

impl Watched {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            scenario: scenario.clone(),
            ledger: Ledger::default(),
            open: Vec::new(),
            recent: VecDeque::with_capacity(RECENT),
            striking: None,
            levels: BTreeMap::new(),
            time: scenario.start,
            figures: Figures::default(),
        }
    }

    /// Notes the truth about an event that was handed over.
    pub(super) fn note(&mut self, simulated: &SimulatedEvent) {
        self.ledger.note(simulated);
        self.time = simulated.event.time;
    }

    /// Forgets sessions about which no alert can come any more: all events until `judged` were.
    pub(super) fn forget(&mut self, judged: EventTime) {
        self.ledger.forget(judged);
    }

    pub(super) fn set_figures(&mut self, figures: Figures) {
        self.figures = figures;
    }

    /// Takes in what was told; alerts are handed on.
    pub(super) fn told(&mut self, output: Output, out: &mut Vec<Alert>) {
        match output {
            Output::Alert(alert) => {
                self.settle(&alert);
                out.push(*alert);
            }
            // A fleet is only observed at first; what is shown is the level it would have.
            Output::Risk(risk) if risk.level_uncapped == Level::None => {
                self.levels.remove(&risk.agent_id);
            }
            Output::Risk(risk) => {
                self.levels.insert(risk.agent_id, risk.level_uncapped);
            }
            _ => {}
        }
    }

    /// Keeps the score of an alert.
    fn settle(&mut self, alert: &Alert) {
        let known = self.open.iter().position(|told| told.alert.alert_id == alert.alert_id);
        let mut told = match known {
            Some(place) => self.open.remove(place),
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
            let place = self.open.partition_point(|open| open.alert.p.total_cmp(&alert.p).is_le());
            self.open.insert(place, told);
        }
    }

    /// What is simulated.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Time of the last event that was handed over; the start before the first.
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

    /// What whoever judges says of itself.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// The score so far.
    pub fn score(&self) -> &Score {
        self.ledger.score()
    }

    /// Open alerts, least probable first.
    pub fn open(&self) -> &[Told] {
        &self.open
    }

    /// Agents whose level is above `none`, as it would be were the fleet not only observed.
    pub fn at_risk(&self) -> &BTreeMap<String, Level> {
        &self.levels
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
