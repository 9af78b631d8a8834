//! What a person decided, and what follows.
//!
//! Knows one agent and one verdict at a time. Must not know who asked for it.

use serde::{Deserialize, Serialize};

use super::clock::{Instant, Now};
use super::explain::shown;
use super::output::Output;
use super::plain::Plain;
use super::registry::is_critical;
use super::second_person::{SecondPerson, Stage, asked};
use super::slice::Slice;
use super::version::Version;
use super::watched::{OpenAlert, Watched};
use crate::finding::{Detector, Family, RiskEventType};
use crate::identity::Key;
use crate::risk::{Cause, Decision, Level, Verdict};
use crate::time::{DAY_MS, EventTime};

/// Name and version of the schema of a verdict's record.
pub const VERDICT_SCHEMA: &str = "tiltmeter.verdict.v1";

/// For how long similar activity stays safe.
const SAFE_MS: i64 = 30 * DAY_MS;
/// Verdicts on agents that were never met, in one slice.
const MOST_PENDING: usize = 1024;
/// Verdicts on one such agent, the latest.
const MOST_OF_ONE: usize = 16;

/// What a verdict did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictRecord {
    /// [`VERDICT_SCHEMA`].
    pub schema: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Whether the agent is known; a verdict on one that is not waits for its first event.
    pub known: bool,
    /// True level before.
    pub previous_level: Level,
    /// True level after.
    pub level: Level,
    /// Alerts that it closed.
    pub closed_alerts: Vec<String>,
    /// Version of the baseline.
    pub baseline: u64,
    /// What it has come to, where it needs two people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_person: Option<SecondPerson>,
}

#[cfg(test)]
impl super::Engine {
    /// Agents that were never met and on which a verdict waits.
    pub(crate) fn waiting_verdicts(&self) -> usize {
        self.slices.iter().map(|slice| slice.pending.len()).sum()
    }
}

impl Slice {
    /// Applies a verdict; one on an agent that was never met is kept until its first event.
    ///
    /// Returns the agent's type and how many alerts opened by p it found to be right.
    pub(super) fn verdict(
        &mut self,
        version: &Version,
        now: Now,
        agent: Key,
        verdict: &Verdict,
        out: &mut Vec<Output>,
    ) -> Option<(Key, u32)> {
        if self.agents.find(agent).is_some() {
            return self.apply(version, now, agent, verdict, out);
        }
        if self.pending.len() >= MOST_PENDING && !self.pending.contains_key(&agent) {
            // Who has waited longest will hardly be met any more.
            let latest = |verdicts: &[Verdict]| verdicts.iter().map(|verdict| verdict.time).max();
            let oldest = self.pending.iter().min_by_key(|(agent, of)| (latest(of.as_slice()), **agent));
            if let Some(oldest) = oldest.map(|(agent, _)| *agent) {
                self.pending.remove(&oldest);
            }
        }
        let waiting = self.pending.entry(agent).or_default();
        if waiting.len() >= MOST_OF_ONE {
            waiting.remove(0);
        }
        waiting.push(verdict.clone());
        let waits = recorded(version, verdict, false, Level::None, Level::None, Vec::new());
        out.push(Output::Verdict(Box::new(waits)));
        None
    }

    pub(super) fn apply(
        &mut self,
        version: &Version,
        now: Now,
        agent: Key,
        verdict: &Verdict,
        out: &mut Vec<Output>,
    ) -> Option<(Key, u32)> {
        let watched = self.agents.find(agent).and_then(|slot| self.agents.get_mut(slot))?;
        let now = now.of(verdict.time);
        let time = now.time;
        let before = watched.level();
        let agent_type = watched.kin.agent_type;
        let waited = watched.risk.as_ref().is_some_and(|risk| risk.proposed.is_some());
        let levels = &version.settings.levels;
        let second_person = match levels.second_person_ms.filter(|_| verdict.verdict.releases()) {
            Some(within_ms) if is_critical(&self.known, &self.registry, watched) => {
                Some(asked(&mut watched.risk_mut().proposed, verdict, time, within_ms))
            }
            _ => {
                if let Some(risk) = &mut watched.risk {
                    risk.proposed = None;
                }
                None
            }
        };
        if let Some(second_person) = second_person.as_ref().filter(|asked| asked.stage != Stage::Completed) {
            let stage = second_person.stage;
            let waits = VerdictRecord {
                second_person: Some(second_person.clone()),
                ..recorded(version, verdict, true, before, before, Vec::new())
            };
            out.push(Output::Verdict(Box::new(waits)));
            if stage == Stage::Proposed {
                // So that whoever is asked sees it; the level stays.
                watched.tell_level(version, now, Cause::Verdict, out);
            }
            return Some((agent_type, 0));
        }
        let mut confirmed = 0;
        let mut closed = Vec::new();
        match verdict.verdict {
            Decision::ConfirmCompromised => {
                // Once, and only what the budget of the last day still counts.
                let is_new = watched.risk.as_ref().is_none_or(|risk| !risk.confirmed);
                let counts = |open: &&OpenAlert| {
                    is_new && Family::ALL.contains(&open.family) && open.opened.plus_ms(DAY_MS) > time
                };
                confirmed = watched.open.iter().filter(counts).count() as u32;
                let by = if verdict.by.is_empty() { "a person" } else { &verdict.by };
                watched.confirm(version, now, now.time, by, out);
            }
            Decision::ConfirmSafe | Decision::Dismiss | Decision::Accept => {
                closed = watched.open.iter().map(|open| open.id.clone()).collect();
                watched.close_alerts(time, out);
                let risk = watched.risk_mut();
                if verdict.verdict != Decision::Dismiss {
                    risk.declare_safe(time, time.plus_ms(SAFE_MS));
                }
                risk.clear();
                risk.set(Level::None);
                if verdict.verdict == Decision::Accept {
                    watched.hour.iter_mut().for_each(|unit| unit.accepted = true);
                    watched.sessions.iter_mut().for_each(|unit| unit.accepted = true);
                }
            }
        }
        let level = watched.level();
        let done = VerdictRecord { second_person, ..recorded(version, verdict, true, before, level, closed) };
        out.push(Output::Verdict(Box::new(done)));
        // What was confirmed no longer falls by itself, and what waited for a second person does so no longer: that is news even
        // where the level is the same.
        if level != before || waited || verdict.verdict == Decision::ConfirmCompromised {
            watched.tell_level(version, now, Cause::Verdict, out);
        }
        Self::set_timer(&mut self.timers, version, watched, now.at);
        Some((agent_type, confirmed))
    }
}

impl Watched {
    /// A person confirmed that it is compromised: high until a person says otherwise, with an alert if none is open.
    pub(super) fn confirm(
        &mut self,
        version: &Version,
        now: Instant,
        clock: EventTime,
        by: &str,
        out: &mut Vec<Output>,
    ) {
        self.risk_mut().confirmed = true;
        self.risk_mut().set(Level::High);
        if !self.open.is_empty() {
            return;
        }
        let plain = Plain {
            family: Family::Verdict,
            detector: Detector::Rules,
            kind: RiskEventType::AdminConfirmedAgentCompromised,
            about: "",
            level: Level::High,
            p: (1.0, 1.0),
            bits: 0.0,
            observed: 1.0,
            expected: 0.0,
            unit: "verdicts",
            sentence: format!("{} confirmed that it is compromised", shown(by)),
            evidence: None,
        };
        self.tell_plain(version, now, clock, plain, out);
    }
}

fn recorded(
    version: &Version,
    verdict: &Verdict,
    known: bool,
    previous_level: Level,
    level: Level,
    closed_alerts: Vec<String>,
) -> VerdictRecord {
    VerdictRecord {
        schema: VERDICT_SCHEMA.to_owned(),
        verdict: verdict.clone(),
        known,
        previous_level,
        level,
        closed_alerts,
        baseline: version.baselines.version,
        second_person: None,
    }
}
