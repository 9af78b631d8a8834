//! How often an agent acts: what is counted, what is learned of it, and silence.
//!
//! Knows one agent's counts. Must not know what it called.

use super::clock::Now;
use super::fleet_shift;
use super::held_back::{self, HeldFinding, Whom};
use super::plain::Plain;
use super::registry::registered_criticality;
use super::slice::{Said, Slice};
use super::unit::UnitKind;
use super::version::Version;
use super::watched::Watched;
use crate::assess::calibrate::Calibration;
use crate::assess::level::{self, Finding};
use crate::baseline::learning::Delta;
use crate::baseline::pool::Habits;
use crate::baseline::rate::{PerScale, Scale};
use crate::detect::frequency::{self, FrequencyBits};
use crate::finding::{Detector, Family, RiskEventType};
use crate::risk::Level;
use crate::stats::key::mix;
use crate::stats::quantile::cell_of;
use crate::stats::rate::Vote;
use crate::time::EventTime;

/// A silence is judged for so long; what is longer is no news. Hours.
const LONGEST_SILENCE: u32 = 24;

impl Watched {
    /// Counts a call and what it stands for, and judges how many there are now.
    pub(super) fn count(
        &mut self,
        at: i64,
        times: u32,
        habits: &Habits,
        delta: Option<&mut Delta>,
    ) -> FrequencyBits {
        let vote = self.rate.count(at, times, &habits.rate_priors);
        if let Some(delta) = delta {
            learn(delta, vote, habits);
        }
        frequency::judge(&habits.rate_priors, &self.rate)
    }

    /// An agent that was silent speaks again: its silence calibrates like a unit of its own. With its first words of a
    /// day it says how often it was refused on all days before.
    pub(super) fn speak(&mut self, day: i64, mut delta: Option<&mut Delta>) {
        let (failures, last) = &mut self.failure;
        let today = i32::try_from(day).unwrap_or(i32::MAX);
        if *last < today {
            if *last > 0 {
                if let Some(delta) = &mut delta {
                    failures.vote(&mut delta.habits_mut().failures);
                }
                failures.fade(i64::from(today - *last));
            }
            *last = today;
        }
        if let (Some((bits, _)), Some(delta)) = (self.silence.take(), delta) {
            calibrate(delta, f64::from(bits));
        }
    }
}

/// Notes how high a silence rose: a unit of one stage.
fn calibrate(delta: &mut Delta, bits: f64) {
    if let Some(sketch) = delta.peaks_mut().families.get_mut(Family::Bursts as usize) {
        sketch.add(&[cell_of(bits)]);
    }
}

fn learn(delta: &mut Delta, vote: Option<PerScale<Vote>>, habits: &Habits) {
    let Some(vote) = vote else { return };
    for scale in Scale::ALL {
        let dispersion = habits.rate_priors.of(scale).dispersion;
        delta.habits_mut().rates.of_mut(scale).add(vote.of(scale), dispersion);
    }
}

impl Slice {
    /// Hears, once an hour, those who say nothing: judges their silence and takes the vote of their last day.
    pub(super) fn listen(&mut self, version: &Version, now: Now, said: &mut Vec<Said>) {
        let at = now.watched(now.time);
        let mut out = Vec::new();
        for watched in self.agents.iter_mut() {
            let key = watched.key;
            let habits = version.baselines.habits(version.of(watched.kin.agent_type));
            let silence = watched.rate.silence(at, &habits.rate_priors.hour);
            let vote = watched.rate.vote(at, &habits.rate_priors);
            let Some(of_type) = self.types.get_mut(&watched.kin.agent_type) else { continue };
            if !version.frozen {
                learn(&mut of_type.delta, vote, habits);
            }
            let Some(silence) = silence else { continue };
            if silence.hours > LONGEST_SILENCE {
                continue;
            }
            let bits = silence.bits;
            let (most, told) = watched.silence.unwrap_or_default();
            let most = most.max(bits as f32);
            if watched.silence.is_none() {
                of_type.counted.units += 1;
            }
            watched.silence = Some((most, told));
            let p = silence_p(version.calibration(watched.kin.agent_type), bits);
            let thresholds = version.thresholds(watched.kin.agent_type);
            if told || p > thresholds.low() {
                continue;
            }
            let alerts = p <= thresholds.alert;
            let known = self.known.get(&key);
            // Looked up anew: it has done nothing since, and what was found with its last event is not saved.
            let registered = registered_criticality(&self.known, &self.registry, watched);
            let criticality = version.settings.levels.criticality(&watched.kin.type_name);
            let criticality = registered.map_or(criticality, |registered| registered.max(criticality));
            let level =
                level::deserves(p, alerts, &[1.0], thresholds.low(), thresholds.calibrated, criticality);
            let then = now.of(now.time);
            let mut parts = [0.0; Detector::COUNT];
            if let Some(part) = parts.get_mut(Detector::Frequency as usize) {
                *part = 1.0;
            }
            let kind = RiskEventType::Silence;
            if watched.risk.as_ref().is_some_and(|risk| risk.is_safe(kind, 0, now.time)) {
                self.suppressed += 1;
                continue;
            }
            let whom = Whom::of(watched);
            let records = [known.map(|known| &known.records), Some(&self.registry.records)];
            if let Some(excuse) = whom.excuse(records, Family::Bursts, kind, then.time) {
                let identity = &version.settings.identity;
                let about = mix(identity.of("silence"), watched.latest.0 as u64);
                let held = match alerts {
                    true => whom.held(identity, about, then.time, Family::Bursts, kind, p, &excuse),
                    false => HeldFinding::quiet(),
                };
                self.held_back += held_back::record(&mut self.known, key, [held], &mut out);
                said.extend(out.drain(..).map(|output| (then.time, key, output)));
                continue;
            }
            let risk = watched.risk_mut();
            risk.add(&Finding { unit: key, p, parts, kind, key: 0 }, then.at);
            if alerts {
                let plain = Plain {
                    family: Family::Bursts,
                    detector: Detector::Frequency,
                    kind,
                    about: "silence",
                    level,
                    p: (p, thresholds.alert),
                    bits: evidence(p),
                    observed: 0.0,
                    expected: silence.expected,
                    unit: "calls since it fell silent",
                    sentence: frequency::explain_silence(&silence),
                    evidence: None,
                };
                if watched.tell_plain(version, then, now.time, plain, &mut out) {
                    of_type.counted.alerts += 1;
                    fleet_shift::note(&mut of_type.moved, then.time, &watched.id);
                }
                watched.silence = Some((most, true));
            } else if level == Level::Low {
                risk.hold_low(then.at);
            }
            watched.settle(version, then, &mut out);
            Self::set_timer(&mut self.timers, version, watched, then.at);
            said.extend(out.drain(..).map(|output| (EventTime(then.time.0), key, output)));
        }
    }
}

/// p of an hour unit in which nothing happens but a silence of so many bits.
fn silence_p(calibration: &Calibration, bits: f64) -> f64 {
    let mut p = [1.0; Family::COUNT];
    if let Some(slot) = p.get_mut(Family::Bursts as usize) {
        *slot = calibration.peak_p(Family::Bursts, 0, bits);
    }
    UnitKind::Hour.p(calibration, &p)
}

/// Combined evidence of a unit in which one family alone has a p. Bits.
fn evidence(p: f64) -> f64 {
    -p.max(f64::MIN_POSITIVE).log2()
}
