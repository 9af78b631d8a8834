//! Many agents of a type alert within one hour: it is the type that changed, not one agent.
//!
//! Knows who alerted when. Must not know why.
//!
//! A new model, a tool that answers otherwise or a poisoned instruction moves all agents of a type at once. One alert about
//! the type says so; those about its agents stay, because a person may have to act on each.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::alerts::alert_id;
use super::explain::shown;
use super::output::Output;
use super::version::Version;
use crate::alert::{Alert, AlertState, JudgedUnder, Maturity, Observation, Share, Subject};
use crate::finding::{Detector, Family, RiskEventType};
use crate::identity::Key;
use crate::time::EventTime;

/// Fewer agents than this are not many.
const LEAST_AGENTS: usize = 5;
/// Nor is this share of the agents of a type.
const LEAST_SHARE: f64 = 0.05;
/// It is told again when so many times more agents have alerted.
const TELL_AGAIN: usize = 2;
/// Hours after the last one in which many alerted until the alert closes.
const QUIET_HOURS: i64 = 2;
/// Agents of one type and hour that are remembered, and of one slice between two looks.
const MOST_AGENTS: usize = 1024;
/// Agents that a sentence names.
const NAMED: usize = 5;

/// An agent opened an alert because it was improbable, not because of a rule, a person or the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moved {
    /// Event time.
    pub time: EventTime,
    /// Its id.
    pub agent_id: Box<str>,
}

/// Notes that an agent opened an alert, as far as there is room.
pub(super) fn note(moved: &mut Vec<Moved>, time: EventTime, agent_id: &str) {
    if moved.len() < MOST_AGENTS {
        moved.push(Moved { time, agent_id: agent_id.into() });
    }
}

/// Agents that alerted lately, by type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FleetShifts {
    types: BTreeMap<Key, Shift>,
}

/// One type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Shift {
    name: String,
    /// Agents by hour since 1970.
    hours: BTreeMap<i64, BTreeSet<Box<str>>>,
    /// Alerts opened so far.
    opened: u64,
    open: Option<Open>,
}

/// An alert that is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    /// The last hour in which many alerted.
    hour: i64,
    /// Agents that it told of.
    agents: usize,
    /// As it was told last.
    #[serde(with = "super::checkpoint::as_text")]
    told: Box<Alert>,
}

impl FleetShifts {
    /// Takes in who alerted.
    pub(super) fn count(&mut self, agent_type: Key, name: &str, moved: Vec<Moved>) {
        if moved.is_empty() {
            return;
        }
        let shift = self.types.entry(agent_type).or_default();
        name.clone_into(&mut shift.name);
        for Moved { time, agent_id } in moved {
            let agents = shift.hours.entry(time.hour()).or_default();
            if agents.len() < MOST_AGENTS {
                agents.insert(agent_id);
            }
        }
    }
}

impl Version {
    /// Tells of types of which many agents have alerted within an hour, up to `now`; of those that have become quiet too.
    ///
    /// Many: at least five, and more than 5 % of the agents known of the type.
    pub fn tell_fleet_shifts(&mut self, now: EventTime, out: &mut Vec<Output>) {
        // Taken out, so that the version can be read meanwhile.
        let mut shifts = std::mem::take(&mut self.fleet_shifts);
        let oldest = now.hour() - QUIET_HOURS;
        for (agent_type, shift) in &mut shifts.types {
            shift.hours.retain(|hour, _| *hour >= oldest);
            let known = self.of(*agent_type).map_or(0.0, |own| own.agents.count().keys);
            shift.tell(
                known,
                now,
                |shift, agents| self.fleet_shift(*agent_type, shift, agents, known, now),
                out,
            );
        }
        // What was told keeps its count: no id is used again.
        shifts.types.retain(|_, shift| shift.opened > 0 || !shift.hours.is_empty());
        self.fleet_shifts = shifts;
    }

    /// Closes all such alerts: the end of the input.
    pub fn close_fleet_shifts(&mut self, now: EventTime, out: &mut Vec<Output>) {
        for shift in self.fleet_shifts.types.values_mut() {
            shift.close(now, out);
        }
    }

    fn fleet_shift(
        &self,
        agent_type: Key,
        shift: &Shift,
        agents: &BTreeSet<Box<str>>,
        known: f64,
        now: EventTime,
    ) -> Box<Alert> {
        let (family, detector, kind) = (Family::Fleet, Detector::Fleet, RiskEventType::FleetShift);
        let ids = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect();
        let named: Vec<String> = agents.iter().take(NAMED).map(|id| shown(id)).collect();
        let more = agents.len().saturating_sub(NAMED);
        let sentence = format!(
            "{} of {:.0} agents of the type opened alerts within one hour, among them {}{}",
            agents.len(),
            known.max(agents.len() as f64),
            named.join(", "),
            if more > 0 { format!(" and {more} more") } else { String::new() },
        );
        let of_type = self.type_maturity(agent_type);
        let agent = if of_type.calibration == "own" { "mature" } else { "new" };
        Box::new(Alert {
            alert_id: alert_id("", "agent_type", &shift.name, family.name(), shift.opened),
            time: now,
            opened: now,
            subject: Subject { kind: "agent_type".to_owned(), id: shift.name.clone() },
            agent_type: shift.name.clone(),
            risk_event_type: kind,
            owasp: ids(kind.owasp()),
            atlas: ids(kind.atlas()),
            threshold: 1.0,
            summary: format!("{}: {sentence}", shown(&shift.name)),
            shares: vec![Share { family, detector, share: 1.0 }],
            findings: vec![Observation {
                family,
                detector,
                risk_event_type: kind,
                p: 1.0,
                observed: agents.len() as f64,
                expected_agent: None,
                expected_type: Some(self.budget.alerts_an_hour(agent_type)),
                expected_fleet: None,
                unit: "agents that open alerts within one hour".to_owned(),
                sentence,
            }],
            maturity: Maturity { agent: agent.to_owned(), ..of_type },
            judged_under: JudgedUnder {
                baseline: self.baselines.version,
                clock: now,
                config: self.settings.config.clone(),
            },
            ..Alert::empty(family)
        })
    }
}

impl Shift {
    fn tell(
        &mut self,
        known: f64,
        now: EventTime,
        alert: impl Fn(&Self, &BTreeSet<Box<str>>) -> Box<Alert>,
        out: &mut Vec<Output>,
    ) {
        let is_many = |agents: usize| agents >= LEAST_AGENTS && agents as f64 > LEAST_SHARE * known;
        let most = self.hours.iter().filter(|(_, agents)| is_many(agents.len()));
        let Some((hour, agents)) = most.max_by_key(|(hour, agents)| (agents.len(), **hour)) else {
            let ended = |open: &Open| now.hour() > open.hour + QUIET_HOURS;
            if self.open.as_ref().is_some_and(ended) {
                self.close(now, out);
            }
            return;
        };
        let (hour, count) = (*hour, agents.len());
        let told = match &self.open {
            None => {
                self.opened += 1;
                alert(self, &self.hours.get(&hour).cloned().unwrap_or_default())
            }
            Some(open) if count < TELL_AGAIN * open.agents => {
                self.open.iter_mut().for_each(|open| open.hour = open.hour.max(hour));
                return;
            }
            Some(open) => {
                let again = alert(self, agents);
                let (alert_id, opened) = (open.told.alert_id.clone(), open.told.opened);
                Box::new(Alert { state: AlertState::Updated, alert_id, opened, ..*again })
            }
        };
        out.push(Output::Alert(told.clone()));
        self.open = Some(Open { hour, agents: count, told });
    }

    fn close(&mut self, now: EventTime, out: &mut Vec<Output>) {
        out.extend(self.open.take().map(|open| {
            let time = now.max(open.told.time);
            Output::Alert(Box::new(Alert { state: AlertState::Closed, time, ..*open.told }))
        }));
    }
}

#[cfg(test)]
mod tests;
