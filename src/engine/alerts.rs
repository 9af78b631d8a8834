//! Telling a person: opens and updates alerts.
//!
//! Knows units whose p fell below the threshold. Must not decide what the threshold is.

mod findings;
mod what_if;

use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use super::explain::{Moment, in_general, kind_and_key};
use super::held_back::HeldFinding;
use super::judging::FINDING_P;
use super::lead::Lead;
use super::output::Output;
use super::unit::{Unit, UnitKind, judged};
use super::watched::{OpenAlert, Watched};
use crate::alert::{Alert, AlertState, JudgedUnder, Maturity, SCHEMA, Share, Subject};
use crate::assess::calibrate::Calibration;
use crate::assess::level::{self, Finding, Hold};
use crate::finding::{Detector, Family, RiskEventType};
use crate::identity::Key;
use crate::risk::Level;
use crate::stats::combine;

/// An open alert is told again when its unit became this much less probable.
const TELL_AGAIN: f64 = 10.0;

/// The units of a call after it was judged, and their running p before.
pub(super) struct Units<'u> {
    pub session: Option<&'u Unit>,
    pub hour: &'u Unit,
    /// Running p of the unit that content belongs to, before the call.
    pub unit_before: [f64; Family::COUNT],
}

impl Units<'_> {
    /// The unit that is less probable.
    pub fn worse(&self) -> &Unit {
        self.session.filter(|s| s.alarm_p <= self.hour.alarm_p).unwrap_or(self.hour)
    }

    /// The unit that is less probable, and how improbable it is.
    fn weigh(&self) -> Weighed<'_> {
        let unit = self.worse();
        Weighed { unit, p: self.p(unit), alarm_p: unit.alarm_p, bits: unit.alarm_bits() }
    }

    /// The same as if some families had shown nothing.
    fn weigh_without(&self, calibration: &Calibration, left_out: &[Family]) -> Weighed<'_> {
        let weigh = |unit| {
            let mut p = self.p(unit);
            left_out.iter().for_each(|&family| set(&mut p, family, 1.0));
            let (bits, alarm_p) = judged(calibration, unit.has_content(), &p);
            Weighed { unit, p, alarm_p, bits }
        };
        let hour = weigh(self.hour);
        self.session.map(weigh).filter(|session| session.alarm_p <= hour.alarm_p).unwrap_or(hour)
    }

    /// p of a unit's families, and of those of its hour.
    fn p(&self, unit: &Unit) -> [f64; Family::COUNT] {
        let mut p = unit.running_p();
        if unit.kind == UnitKind::Session {
            UnitKind::Hour.families().iter().for_each(|&family| set(&mut p, family, self.hour.p(family)));
        }
        p
    }

    /// What raised a family most.
    fn lead(&self, family: Family) -> Option<Lead<'_>> {
        self.content().leads.of(family).or_else(|| self.hour.leads.of(family))
    }

    /// What a family's part in a unit is about: the kind of risk, and the key. What was found without a call that could be named
    /// is like nothing else: a person who calls it safe says so of this unit alone.
    fn about(&self, family: Family, unit: &Unit) -> (Family, RiskEventType, Key) {
        let unnamed = || {
            (in_general(family).map_or(RiskEventType::UnusualActionSequence, |(_, kind, _)| kind), unit.id)
        };
        let (kind, key) = self.lead(family).map_or_else(unnamed, |lead| kind_and_key(&lead));
        (family, kind, key)
    }

    /// Whether a unit is the session or the hour of the call.
    fn holds(&self, unit: u64) -> bool {
        unit == self.hour.id || self.session.is_some_and(|session| session.id == unit)
    }

    /// The unit that content belongs to.
    fn content(&self) -> &Unit {
        self.session.unwrap_or(self.hour)
    }
}

/// A unit, and what counts of it.
struct Weighed<'u> {
    unit: &'u Unit,
    /// p of its families, and of those of its hour.
    p: [f64; Family::COUNT],
    /// Calibrated p of all of them together, in (0, 1].
    alarm_p: f64,
    /// What that was made from. Bits.
    bits: f64,
}

/// The parts of the detectors in a finding: seldom more than two a family.
type Shares = SmallVec<[Share; 2 * Family::COUNT]>;

/// What became of a finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// It is not improbable enough to tell a person.
    Quiet,
    /// A person said that such things are safe.
    Suppressed,
    /// Maintenance, a suppression or a declared change keeps it quiet.
    HeldBack,
    /// It opened an alert.
    Opened,
    /// It belongs to an open alert.
    Known,
}

impl<'t> Moment<'_, 't> {
    /// A unit became a finding, or a worse one: scores it, opens or updates its alert if it is improbable enough, and
    /// raises the agent's level.
    pub fn found(
        &self,
        watched: &mut Watched,
        units: &Units<'_>,
        held: &mut SmallVec<[HeldFinding; 1]>,
        out: &mut Vec<Output>,
    ) -> Told {
        let now = self.now.of_event(self.call.event.time);
        let (at, time) = (now.at, now.time);
        let thresholds = self.version.thresholds(self.call.agent_type);
        let mut left_out = SmallVec::<[Family; Family::COUNT]>::new();
        let mut weighed = units.weigh();
        // What people excused is left out, and what remains must be a finding by itself: who hides behind a release, or
        // behind what was declared safe once, is told of all the same.
        let (family, (kind, key), shares) = loop {
            let shares = self.shares(units, &weighed);
            let Some(most) = leading(&shares, |_| true) else { return Told::Quiet };
            // What nobody can name is told as that which says most of what can be named; it is excused for itself.
            let named = leading(&shares, |family| units.lead(family).is_some()).unwrap_or(most);
            let known =
                |(_, kind, key)| watched.risk.as_ref().is_some_and(|risk| risk.is_safe(kind, key, time));
            let [most, named] = [most, named].map(|family| units.about(family, weighed.unit));
            let is_excused = |about: &(Family, RiskEventType, Key)| {
                known(*about) || self.excuse(about.0, about.1, time).is_some()
            };
            let (family, kind, key) = if is_excused(&most) { most } else { named };
            let told = if watched.risk.as_ref().is_some_and(|risk| risk.is_safe(kind, key, time)) {
                Told::Suppressed
            } else if let Some(excuse) = self.excuse(family, kind, time) {
                let Weighed { unit, alarm_p, .. } = weighed;
                if held.is_empty() {
                    held.push(match alarm_p <= thresholds.alert {
                        true => self.held_unit(family, kind, unit.id, alarm_p, &excuse),
                        false => HeldFinding::quiet(),
                    });
                }
                Told::HeldBack
            } else {
                break (family, (kind, key), shares);
            };
            left_out.push(family);
            weighed = units.weigh_without(self.calibration, &left_out);
            if weighed.alarm_p > FINDING_P || left_out.len() == Family::COUNT {
                return told;
            }
        };
        let alerts = weighed.alarm_p <= thresholds.alert;
        let mut parts = [0.0; Detector::COUNT];
        for share in &shares {
            if let Some(part) = parts.get_mut(share.detector as usize) {
                *part += share.share as f32;
            }
        }
        let criticality = self.version.settings.levels.criticality(self.call.event.agent_type());
        let registered = self.standing.as_ref().and_then(|standing| standing.registration);
        let criticality = registered.map_or(criticality, |of| of.criticality.max(criticality));
        let level = level::deserves(
            weighed.alarm_p,
            alerts,
            &agreement(weighed.unit.has_content(), &weighed.p),
            thresholds.low(),
            thresholds.calibrated,
            criticality,
        );
        let risk = watched.risk_mut();
        risk.add(&Finding { unit: weighed.unit.id, p: weighed.alarm_p, parts, kind, key }, at);
        let told = if alerts {
            self.tell(watched, (units, &weighed), family, shares, thresholds.alert, level, out)
        } else {
            if level == Level::Low {
                risk.hold_low(at);
            }
            Told::Quiet
        };
        watched.settle(self.version, now, out);
        told
    }

    /// Opens an alert about an agent, or updates the open one of the same family, or of the same session or hour, where there
    /// is more to tell.
    #[expect(clippy::too_many_arguments, reason = "what was found, and where it goes")]
    fn tell(
        &self,
        watched: &mut Watched,
        (units, weighed): (&Units<'_>, &Weighed<'_>),
        family: Family,
        shares: Shares,
        threshold: f64,
        level: Level,
        out: &mut Vec<Output>,
    ) -> Told {
        let unit = weighed.unit;
        let at = self.now.of_event(self.call.event.time).at;
        let open = watched.open_alert(family, |open| units.holds(open));
        if let Some(open) = open.and_then(|i| watched.open.get_mut(i)) {
            open.hold.touch(level, at);
            // From a session to its hour is not elsewhere.
            let is_same = unit.id == open.unit || (unit.kind == UnitKind::Hour && units.holds(open.unit));
            if is_same && weighed.alarm_p * TELL_AGAIN > open.p {
                return Told::Known;
            }
        } else {
            watched.alerts_opened += 1;
        }
        let known = open.and_then(|i| watched.open.get(i));
        let alert = Alert {
            schema: SCHEMA.to_owned(),
            alert_id: known.map_or_else(|| watched.alert_id(family.name()), |a| a.id.clone()),
            state: if known.is_some() { AlertState::Updated } else { AlertState::Opened },
            time: self.call.event.time,
            opened: known.map_or(self.call.event.time, |a| a.opened),
            subject: Subject { kind: "agent".to_owned(), id: watched.id.to_string() },
            tenant: watched.kin.tenant.as_deref().map(str::to_owned),
            level: Some(known.map_or(level, |open| open.hold.level(at).max(level))),
            agent_type: self.call.event.agent_type().to_owned(),
            session_id: self
                .call
                .event
                .session_id
                .as_deref()
                .filter(|_| unit.kind == UnitKind::Session)
                .map(str::to_owned),
            threshold,
            p: weighed.alarm_p,
            bits: weighed.bits,
            family,
            counterfactual: self.counterfactual(units, weighed, &shares, threshold),
            maturity: self.maturity(watched),
            judged_under: self.judged_under(),
            ..self.findings(units, family, shares, (&watched.rate, &watched.failure.0))
        };
        let told = Box::new(alert.clone());
        out.push(Output::Alert(Box::new(alert)));
        match open.and_then(|i| watched.open.get_mut(i)) {
            Some(open) => {
                open.p = open.p.min(told.p);
                open.unit = unit.id;
                open.told = told;
                Told::Known
            }
            None => {
                let mut hold = Hold::default();
                hold.touch(level, at);
                watched.open.push(OpenAlert {
                    id: told.alert_id.clone(),
                    family,
                    about: "".into(),
                    floor: Level::Medium,
                    opened: told.opened,
                    hold,
                    unit: unit.id,
                    p: told.p,
                    told,
                });
                Told::Opened
            }
        }
    }

    /// Under what the call is judged.
    pub fn judged_under(&self) -> JudgedUnder {
        JudgedUnder {
            baseline: self.version.baselines.version,
            clock: self.now.time,
            config: self.version.settings.config.clone(),
        }
    }

    fn maturity(&self, watched: &Watched) -> Maturity {
        Maturity {
            agent: watched.maturity().to_owned(),
            agent_events: watched.events,
            ..self.version.type_maturity(self.call.agent_type)
        }
    }
}

/// Each family's part if they all were one OR: two that say about the same agree, one that is much less probable than the
/// others stands alone. What one value says in two families is one thing.
pub(super) fn agreement(has_content: bool, p: &[f64; Family::COUNT]) -> [f64; Family::COUNT] {
    let kinds: &[UnitKind] =
        if has_content { &[UnitKind::Hour, UnitKind::Session] } else { &[UnitKind::Hour] };
    let terms: SmallVec<[(f64, f64); Family::COUNT]> = kinds.iter().flat_map(|kind| kind.terms(p)).collect();
    let mut agreeing = [0.0; Family::COUNT];
    for (&family, share) in kinds.iter().flat_map(|kind| kind.families()).zip(combine::shares(&terms)) {
        let family = if family == Family::ToolValues { Family::CallContent } else { family };
        let sum = at_family(&agreeing, family) + share;
        set(&mut agreeing, family, sum);
    }
    agreeing
}

/// The family with the largest part, of those that may lead.
fn leading(shares: &[Share], may_lead: impl Fn(Family) -> bool) -> Option<Family> {
    let mut sums = [0.0; Family::COUNT];
    for share in shares {
        if let Some(sum) = sums.get_mut(share.family as usize) {
            *sum += share.share;
        }
    }
    let candidates = Family::ALL.into_iter().zip(sums).filter(|(family, _)| may_lead(*family));
    candidates.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(family, _)| family)
}

fn at_family(p: &[f64; Family::COUNT], family: Family) -> f64 {
    p.get(family as usize).copied().unwrap_or(1.0)
}

fn set(p: &mut [f64; Family::COUNT], family: Family, value: f64) {
    if let Some(slot) = p.get_mut(family as usize) {
        *slot = value;
    }
}

impl Watched {
    /// The place of the open alert to which a finding of this family belongs: that of the same family, or else one about a unit
    /// that is the finding's. One thing that an agent does is seldom unusual in one way only. What is certain (rules, verdicts,
    /// the registry) and silence have alerts of their own.
    fn open_alert(&self, family: Family, is_same_unit: impl Fn(u64) -> bool) -> Option<usize> {
        let by_p = |open: &OpenAlert| open.about.is_empty() && Family::ALL.contains(&open.family);
        let same_family = |open: &OpenAlert| by_p(open) && open.family == family;
        let same_unit = |open: &OpenAlert| by_p(open) && is_same_unit(open.unit);
        self.open.iter().position(same_family).or_else(|| self.open.iter().position(same_unit))
    }

    /// The id of its latest alert.
    pub(super) fn alert_id(&self, family: &str) -> String {
        alert_id(self.kin.tenant.as_deref().unwrap_or(""), "agent", &self.id, family, self.alerts_opened)
    }
}

/// SHA-256 of tenant, kind and id of the subject, family and the subject's own count of alerts.
pub(super) fn alert_id(tenant: &str, kind: &str, id: &str, family: &str, counter: u64) -> String {
    let mut hash = Sha256::new();
    for part in [tenant, kind, id, family, &counter.to_string()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
