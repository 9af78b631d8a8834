//! Everything by which events are judged until the next version is minted.
//!
//! Knows baselines, calibrations and thresholds. Must not know any agent: slices read it, nobody writes it while events
//! are judged, so that it does not matter who judges which slice when.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::Settings;
use super::clock::Now;
use super::fleet_shift::FleetShifts;
use crate::alert::Maturity;
use crate::assess::budget::{Budget, Thresholds};
use crate::assess::calibrate::{Calibration, FleetCalibration};
use crate::baseline::learning::{self, Delta};
use crate::baseline::pool::{Baselines, TypeBaseline};
use crate::identity::Key;
use crate::time::{DAY_MS, EventTime};

/// Units of a type from which its calibration is called its own.
const OWN_CALIBRATION: f64 = 200.0;
/// Units (faded) from which a type has a calibration of its own; below it would hardly differ from the fleet's.
const OWN_CALIBRATION_UNITS: f64 = 4.0;

/// One version of what is normal, and what follows from it.
#[derive(Debug)]
pub struct Version {
    /// What does not change.
    pub settings: Settings,
    /// What is normal.
    pub baselines: Baselines,
    /// Alerts and units counted, and the thresholds that follow.
    pub budget: Budget,
    /// Types of which many agents alert.
    pub fleet_shifts: FleetShifts,
    /// Whether nothing is learned any more.
    pub frozen: bool,
    /// The first instant of all. Watched milliseconds.
    pub began: Option<i64>,
    fleet_calibration: FleetCalibration,
    /// The calibration of a type of which nothing is known: that of the fleet.
    fleet_scale: Calibration,
    /// Calibrations of types.
    calibrations: HashMap<Key, Calibration, RandomState>,
}

impl Version {
    /// A version that knows nothing but what is shipped.
    pub fn new(settings: Settings) -> Self {
        let fleet_calibration = FleetCalibration::new(std::iter::empty(), &settings.shipped);
        Self {
            fleet_scale: Calibration::new(None, &fleet_calibration),
            baselines: Baselines::default(),
            budget: Budget::new(settings.alerts_per_day),
            fleet_shifts: FleetShifts::default(),
            frozen: false,
            began: None,
            fleet_calibration,
            calibrations: HashMap::default(),
            settings,
        }
    }

    /// Notes the first instant of all: an earlier one, where the clock of the first event turned out to be ahead.
    pub fn begin(&mut self, now: Now) {
        let at = now.watched(now.time);
        self.began = Some(self.began.map_or(at, |began| began.min(at)));
    }

    /// Watched time from the first instant to another (watched milliseconds). Milliseconds.
    pub fn running_ms(&self, at: i64) -> i64 {
        self.began.map_or(0, |began| at - began)
    }

    /// When the days are over in which all agents are only observed. Watched milliseconds; none before the first instant.
    pub fn first_days_end(&self) -> Option<i64> {
        let days_ms = (self.settings.levels.observe_first_days * DAY_MS as f64).ceil();
        self.began.map(|began| began.saturating_add(days_ms as i64))
    }

    /// Forgets how far time has come.
    pub fn restart_clock(&mut self) {
        self.budget = Budget::new(self.settings.alerts_per_day);
        self.fleet_shifts = FleetShifts::default();
        self.baselines.day = None;
        self.began = None;
    }

    /// What is normal for a type, if anything is known.
    pub fn of(&self, agent_type: Key) -> Option<&TypeBaseline> {
        self.baselines.types.get(&agent_type)
    }

    /// How much is known of a type.
    pub fn type_maturity(&self, agent_type: Key) -> Maturity {
        let own = self.of(agent_type);
        let units: f64 = own.map_or(0.0, |own| own.units().iter().sum());
        Maturity {
            type_units: units.round(),
            type_agents: own.map_or(0.0, |own| own.agents.count().keys).round(),
            calibration: if units < OWN_CALIBRATION { "shipped" } else { "own" }.to_owned(),
            ..Maturity::default()
        }
    }

    /// The p-values of a type; those of the fleet where little is known of it.
    pub fn calibration(&self, agent_type: Key) -> &Calibration {
        self.calibrations.get(&agent_type).unwrap_or(&self.fleet_scale)
    }

    /// The p-values of the fleet.
    pub fn fleet(&self) -> &Calibration {
        &self.fleet_scale
    }

    /// The thresholds of a type.
    pub fn thresholds(&self, agent_type: Key) -> Thresholds {
        self.budget.thresholds(agent_type)
    }

    /// Mints the next version from what was learned since; types in the order of their keys.
    pub fn mint<'a>(&mut self, now: EventTime, deltas: impl IntoIterator<Item = (Key, &'a mut Delta)>) {
        if self.frozen {
            return;
        }
        let day = self.baselines.day;
        // What has faded is another version of what is normal, even if nothing was learned.
        if learning::mint(&mut self.baselines, now.day(), deltas) || self.baselines.day != day {
            self.baselines.believe();
            self.calibrate();
        }
    }

    /// Makes all calibrations anew from the baselines.
    pub fn calibrate(&mut self) {
        // In the order of their keys: a histogram that is full halves, and then it matters who came first.
        let mut types: Vec<_> = self.baselines.types.iter().collect();
        types.sort_unstable_by_key(|(key, _)| **key);
        let peaks = types.into_iter().map(|(_, own)| &own.peaks);
        self.fleet_calibration.renew(peaks, &self.settings.shipped);
        self.fleet_scale.renew(None, &self.fleet_calibration);
        self.calibrations.retain(|agent_type, _| self.baselines.types.contains_key(agent_type));
        for (agent_type, own) in &self.baselines.types {
            if own.units().iter().sum::<f64>() < OWN_CALIBRATION_UNITS {
                self.calibrations.remove(agent_type);
                continue;
            }
            match self.calibrations.entry(*agent_type) {
                hashbrown::hash_map::Entry::Occupied(mut known) => {
                    known.get_mut().renew(Some(&own.peaks), &self.fleet_calibration);
                }
                hashbrown::hash_map::Entry::Vacant(place) => {
                    place.insert(Calibration::new(Some(&own.peaks), &self.fleet_calibration));
                }
            }
        }
    }
}
