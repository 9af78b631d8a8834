//! From findings to a score and a level that a policy can act on: up at once, down slowly.
//!
//! Knows findings, alerts that are open and for how long they hold a level. Must not know what was found.
//!
//! Times are *watched* time: event time less the gaps in which the whole stream was silent, so that an outage makes
//! nobody harmless. Milliseconds.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use thin_vec::ThinVec;

use crate::finding::{Detector, RiskEventType};
use crate::identity::Key;
use crate::risk::{Criticality, Level, Proposal, Reason};
use crate::time::{EventTime, HOUR_MS};

/// For how long a finding at a level holds that level.
const HOLD_MS: [i64; 4] = [0, HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS];
/// Steps down are at least this far apart. With the holds above no agent changes its level more than four times an
/// hour: after a step down there are three steps up, and whatever was reached holds for an hour.
const DOWN_EVERY_MS: i64 = HOUR_MS;
/// Findings that the score is made of.
const FINDINGS: usize = 5;
/// Half-life of a finding's points. Milliseconds.
const HALF_LIFE_MS: f64 = 12.0 * HOUR_MS as f64;
/// Most bits that one finding counts.
const MOST_BITS: f64 = 40.0;
/// A finding whose points have fallen below this is let go. Bits.
const FAINT_BITS: f64 = 0.05;
/// Kinds of activity of one agent that can be declared safe at a time.
const MOST_SAFE: usize = 64;
/// Share of the evidence from which a family counts as one that says so.
const SAYS_SO: f64 = 0.25;

/// A unit with p ≤ .01, as the score remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    unit: u64,
    /// Watched time of the call that raised it last. Milliseconds.
    at: i64,
    bits: f64,
    /// Each detector's part; they sum to one.
    parts: [f32; Detector::COUNT],
    kind: RiskEventType,
    key: Key,
}

/// A finding, as it is handed in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// Which unit it is: each counts once.
    pub unit: u64,
    /// p of the unit, in (0, 1].
    pub p: f64,
    /// Each detector's part; they sum to one.
    pub parts: [f32; Detector::COUNT],
    /// What kind of risk its strongest part is.
    pub kind: RiskEventType,
    /// The action, resource or destination that it is about.
    pub key: Key,
}

/// Until when something holds each level. Watched milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    until: [i64; 4],
}

impl Default for Hold {
    fn default() -> Self {
        Self { until: [i64::MIN; 4] }
    }
}

impl Hold {
    /// A finding at a level.
    pub fn touch(&mut self, level: Level, now: i64) {
        for (until, hold) in self.until.iter_mut().zip(HOLD_MS).take(level as usize + 1) {
            *until = (*until).max(now.saturating_add(hold));
        }
    }

    /// From now on watched time is counted from another instant: what was at `t` is at `t + by_ms`.
    pub fn shift(&mut self, by_ms: i64) {
        for until in self.until.iter_mut().filter(|until| **until > i64::MIN) {
            *until = until.saturating_add(by_ms);
        }
    }

    /// The level that is held at a time.
    pub fn level(&self, now: i64) -> Level {
        let held = |level: &&Level| self.until.get(**level as usize).is_some_and(|until| *until > now);
        Level::ALL.iter().rev().find(held).copied().unwrap_or(Level::None)
    }

    /// Until when at least a level is held.
    pub fn until(&self, level: Level) -> i64 {
        self.until.iter().skip(level as usize).copied().max().unwrap_or(i64::MIN)
    }
}

/// What is held against one agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Risk {
    /// Most agents of which there are any have one.
    findings: SmallVec<[Entry; 1]>,
    /// What holds the level low.
    low: Hold,
    /// The level now.
    level: Level,
    /// Last step down. Watched milliseconds.
    stepped_down: Option<i64>,
    /// A person confirmed that the agent is compromised: high until a person says otherwise.
    pub confirmed: bool,
    /// The level that was published last.
    pub told: Level,
    /// Activity that a person declared safe, until when. Event time.
    safe: ThinVec<(RiskEventType, Key, EventTime)>,
    /// A verdict that waits for a second person.
    pub proposed: Option<Box<Proposal>>,
}

/// The level that a finding deserves.
///
/// * `p`: of the unit, in (0, 1];
/// * `alerts`: whether p is small enough for an alert;
/// * `family_shares`: each family's part in the evidence, in [0, 1]: two of at least ¼ agree;
/// * `low`, `calibrated`: p at or below which the level is low, and h₀, in (0, 1);
/// * `of`: how much harm the agent could do.
pub fn deserves(
    p: f64,
    alerts: bool,
    family_shares: &[f64],
    low: f64,
    calibrated: f64,
    of: Criticality,
) -> Level {
    let high = calibrated
        / match of {
            Criticality::High => 10.0,
            Criticality::Normal => 30.0,
            Criticality::Low => 100.0,
        };
    let agreeing = family_shares.iter().filter(|share| **share >= SAYS_SO).count();
    match alerts {
        true if p <= high || agreeing >= 2 => Level::High,
        true => Level::Medium,
        false if p <= low => Level::Low,
        false => Level::None,
    }
}

impl Risk {
    /// From now on watched time is counted from another instant: what was at `t` is at `t + by_ms`.
    pub fn shift(&mut self, by_ms: i64) {
        self.findings.iter_mut().for_each(|entry| entry.at = entry.at.saturating_add(by_ms));
        self.low.shift(by_ms);
        self.stepped_down = self.stepped_down.map(|at| at.saturating_add(by_ms));
    }

    /// The level now.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Adds a finding, or its later, larger value.
    pub fn add(&mut self, finding: &Finding, now: i64) {
        let bits = (-finding.p.max(f64::MIN_POSITIVE).log2()).min(MOST_BITS);
        let entry = Entry {
            unit: finding.unit,
            at: now,
            bits,
            parts: finding.parts,
            kind: finding.kind,
            key: finding.key,
        };
        let has_room = self.findings.len() < FINDINGS;
        match self.findings.iter_mut().find(|e| e.unit == finding.unit) {
            Some(known) if points(known, now) <= bits => *known = entry,
            Some(_) => {}
            None if has_room => self.findings.push(entry),
            None => {
                // A common decay keeps their order, so that the smallest can be let go for good.
                let smallest =
                    self.findings.iter_mut().min_by(|a, b| points(a, now).total_cmp(&points(b, now)));
                if let Some(smallest) = smallest.filter(|e| points(e, now) < bits) {
                    *smallest = entry;
                }
            }
        }
    }

    /// Holds the level at low.
    pub fn hold_low(&mut self, now: i64) {
        self.low.touch(Level::Low, now);
    }

    /// Declares safe, from now until an instant, what the findings are about. At the bound, what is over first makes room.
    pub fn declare_safe(&mut self, now: EventTime, until: EventTime) {
        self.safe.retain(|(.., until)| now < *until);
        for entry in &self.findings {
            self.safe.retain(|(kind, key, _)| (*kind, *key) != (entry.kind, entry.key));
            if self.safe.len() >= MOST_SAFE {
                let first = self.safe.iter().enumerate().min_by_key(|(_, (.., until))| *until);
                if let Some(first) = first.map(|(place, _)| place) {
                    self.safe.remove(first);
                }
            }
            self.safe.push((entry.kind, entry.key, until));
        }
    }

    /// Whether a person declared such activity safe.
    pub fn is_safe(&self, kind: RiskEventType, key: Key, time: EventTime) -> bool {
        self.safe.iter().any(|(k, of, until)| (*k, *of) == (kind, key) && time < *until)
    }

    /// Forgets every finding: a person said that there is nothing.
    pub fn clear(&mut self) {
        self.findings.clear();
        self.low = Hold::default();
        self.confirmed = false;
    }

    /// The score, 0–100, and each detector's points, which sum to it.
    ///
    /// # Formula
    ///
    /// 100·min(1, Σ_{i≤5} c_i/70.4), c_i = b_i·2^(−age_i/12 h)/i^1.5, b_i = min(40, −log2 p); 70.4 = 40·Σ_{i≤5} i^−1.5. Ours:
    /// the worst finding decides, others add less and less.
    pub fn score(&self, now: i64) -> (f64, SmallVec<[Reason; Detector::COUNT]>) {
        let mut entries: SmallVec<[&Entry; FINDINGS]> = self.findings.iter().collect();
        entries.sort_by(|a, b| points(b, now).total_cmp(&points(a, now)).then(a.unit.cmp(&b.unit)));
        let rank = |i: f64| i.powf(-1.5);
        let most: f64 = (1..=FINDINGS).map(|i| MOST_BITS * rank(i as f64)).sum();
        let mut of = [0.0; Detector::COUNT];
        let mut kinds = [None; Detector::COUNT];
        for (entry, i) in entries.into_iter().zip(1..) {
            let c = 100.0 * points(entry, now) * rank(f64::from(i)) / most;
            let all: f64 = entry.parts.iter().copied().map(f64::from).sum();
            let leading = entry.parts.iter().copied().fold(0.0, f32::max);
            for ((sum, kind), part) in of.iter_mut().zip(&mut kinds).zip(entry.parts) {
                *sum += c * f64::from(part) / all.max(f64::MIN_POSITIVE);
                if part == leading && kind.is_none() {
                    *kind = Some(entry.kind);
                }
            }
        }
        let reasons: SmallVec<[Reason; Detector::COUNT]> = Detector::ALL
            .into_iter()
            .zip(of)
            .zip(kinds)
            .filter(|((_, points), _)| *points > 0.0)
            .map(|((detector, points), risk_event_type)| Reason { detector, risk_event_type, points })
            .collect();
        // The sum of nothing would be −0.
        (reasons.iter().fold(0.0, |sum, reason| sum + reason.points), reasons)
    }

    /// Brings the level up to what is held, at once, or down, if the last step down is long enough ago. Returns the
    /// level before if it changed.
    ///
    /// * `alerts`: what each open alert holds.
    pub fn settle<'a>(&mut self, alerts: impl IntoIterator<Item = &'a Hold>, now: i64) -> Option<Level> {
        let wanted = self.wanted(alerts, now);
        let before = self.level;
        if wanted < before {
            if self.may_step_down() > now {
                return None;
            }
            self.stepped_down = Some(now);
        }
        self.level = wanted;
        self.findings.retain(|e| points(e, now) >= FAINT_BITS);
        (wanted != before).then_some(before)
    }

    /// Sets the level by verdict, whatever is held. Returns the level before if it changed.
    pub fn set(&mut self, level: Level) -> Option<Level> {
        let before = std::mem::replace(&mut self.level, level);
        (before != level).then_some(before)
    }

    /// When the level has to be looked at again: the first instant at which it may fall. None where it never does.
    pub fn due<'a>(&self, alerts: impl IntoIterator<Item = &'a Hold>) -> Option<i64> {
        if self.confirmed || self.level == Level::None {
            return None;
        }
        let held =
            alerts.into_iter().map(|hold| hold.until(self.level)).chain([self.low.until(self.level)]).max();
        held.map(|until| until.max(self.may_step_down()))
    }

    fn wanted<'a>(&self, alerts: impl IntoIterator<Item = &'a Hold>, now: i64) -> Level {
        if self.confirmed {
            return Level::High;
        }
        alerts.into_iter().map(|hold| hold.level(now)).chain([self.low.level(now)]).max().unwrap_or_default()
    }

    fn may_step_down(&self) -> i64 {
        self.stepped_down.map_or(i64::MIN, |at| at.saturating_add(DOWN_EVERY_MS))
    }
}

fn points(entry: &Entry, now: i64) -> f64 {
    entry.bits * (-((now - entry.at).max(0) as f64) / HALF_LIFE_MS).exp2()
}

#[cfg(test)]
mod tests;
