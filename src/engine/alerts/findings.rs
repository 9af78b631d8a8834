//! What an alert says: findings, strongest first, the events they rest on, and each detector's part.
//!
//! Knows the leads of two units and what else rose in them. Must not judge.

use smallvec::{SmallVec, smallvec};

use super::{Shares, Units, Weighed};
use crate::alert::{Alert, Observation, Share};
use crate::baseline::failure::FailureHistory;
use crate::baseline::rate::Rate;
use crate::engine::explain::{Moment, shown};
use crate::engine::lead::Lead;
use crate::engine::unit::UnitKind;
use crate::finding::{Detector, Family, RiskEventType};
use crate::stats::combine;

/// A part of the evidence from which on it must be explained.
pub(super) const SAYS_SOMETHING: f64 = 0.05;
/// A family whose part is smaller is left out, though a call was kept that raised it.
const NEXT_TO_NOTHING: f64 = 0.01;

impl Moment<'_, '_> {
    /// Findings, evidence and summary of an alert; everything else is left empty.
    ///
    /// * `family`: what the alert is about;
    /// * `habits`: how often the agent acts and is refused.
    pub(super) fn findings(
        &self,
        units: &Units<'_>,
        family: Family,
        shares: Shares,
        habits: (&Rate, &FailureHistory),
    ) -> Alert {
        let part = |of: Family| shares.iter().filter(|s| s.family == of).map(|s| s.share).sum::<f64>();
        let of_hour = |lead: &Lead<'_>| UnitKind::Hour.families().contains(&lead.family);
        let hour = units.session.map(|_| units.hour.leads.iter().filter(of_hour));
        let mut leads: Vec<Lead<'_>> =
            units.content().leads.iter().chain(hour.into_iter().flatten()).collect();
        leads.retain(|lead| lead.family == family || part(lead.family) >= NEXT_TO_NOTHING);
        let (content, hour) = (units.content(), units.hour);
        let mut findings = Vec::new();
        for lead in &leads {
            let all = self.observations(content, hour, lead);
            let is_alone = lead.family == family && !all.iter().any(is_unusual);
            findings.extend(all.into_iter().filter(|found| is_alone || is_unusual(found)));
        }
        // What counts and of which no call was kept, is explained too.
        for share in shares.iter().filter(|share| share.share >= SAYS_SOMETHING) {
            let is_told =
                |found: &Observation| (found.family, found.detector) == (share.family, share.detector);
            if !findings.iter().any(is_told) {
                let risen = self.risen(content, hour, share.family, habits);
                findings.extend(risen.filter(|risen| risen.detector == share.detector));
            }
        }
        findings.sort_by(|a, b| part(b.family).total_cmp(&part(a.family)).then(a.family.cmp(&b.family)));
        leads.sort_by(|a, b| part(b.family).total_cmp(&part(a.family)).then(a.family.cmp(&b.family)));
        let evidence = leads.iter().map(|lead| self.evidence(lead)).collect();
        let strongest = findings.iter().find(|f| f.family == family);
        let risk_event_type = strongest.map_or(RiskEventType::UnusualActionSequence, |f| f.risk_event_type);
        let summary = format!(
            "{} ({}): {}",
            shown(&self.call.event.agent_id),
            shown(self.call.event.agent_type()),
            strongest.map_or("its behaviour is not that of its type", |f| f.sentence.as_str())
        );
        let ids = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Alert {
            risk_event_type,
            owasp: ids(risk_event_type.owasp()),
            atlas: ids(risk_event_type.atlas()),
            summary,
            shares: shares.into_vec(),
            findings,
            evidence,
            ..Alert::empty(family)
        }
    }

    /// Each detector's share: the part of its side (session or hour) in the bits of both, of that a family's term in the
    /// harmonic sum, divided among its detectors by their bits.
    pub(super) fn shares(&self, units: &Units<'_>, Weighed { unit, p, .. }: &Weighed<'_>) -> Shares {
        let bits = |kind: UnitKind| -kind.p(self.calibration, p).log2();
        let mut sides: SmallVec<[(UnitKind, f64); 2]> = smallvec![(UnitKind::Hour, bits(UnitKind::Hour))];
        if unit.has_content() {
            sides.push((UnitKind::Session, bits(UnitKind::Session)));
        }
        let sum: f64 = sides.iter().map(|(_, bits)| bits).sum();
        let mut all = Shares::new();
        for (side, bits) in sides.into_iter().filter(|(_, bits)| *bits > 0.0) {
            Self::shares_of(units, side, bits / sum, p, &mut all);
        }
        all
    }

    fn shares_of(
        units: &Units<'_>,
        side: UnitKind,
        of_side: f64,
        p: &[f64; Family::COUNT],
        all: &mut Shares,
    ) {
        let families = side.families().iter().copied();
        for (family, share) in families.zip(combine::shares(&side.terms(p))) {
            let share = of_side * share;
            let content = units.lead(family).and_then(|lead| lead.content);
            let parts: SmallVec<[(Detector, f64); 3]> = match (family, content) {
                (_, Some(content)) if content.bits > 0.0 => smallvec![
                    (Detector::Provenance, content.provenance),
                    (Detector::Sequence, content.order),
                    (Detector::Access, content.novelty + content.keys),
                ],
                (Family::CallContent | Family::ToolValues, _) => smallvec![(Detector::Provenance, 1.0)],
                (Family::BareContent | Family::Novelty, _) => smallvec![(Detector::Access, 1.0)],
                (Family::Order | Family::Loops, _) => smallvec![(Detector::Sequence, 1.0)],
                (Family::Bursts, _) => smallvec![(Detector::Frequency, 1.0)],
                (Family::Failure, _) => smallvec![(Detector::Failure, 1.0)],
                (Family::Rules | Family::Verdict, _) => smallvec![(Detector::Rules, 1.0)],
                (Family::Registry, _) => smallvec![(Detector::Registry, 1.0)],
                (Family::Fleet, _) => smallvec![(Detector::Fleet, 1.0)],
            };
            let sum: f64 = parts.iter().map(|(_, bits)| bits).sum();
            for (detector, bits) in parts.into_iter().filter(|(_, bits)| *bits > 0.0) {
                all.push(Share { family, detector, share: share * bits / sum });
            }
        }
    }
}

/// Whether what was seen is more than what is usual (for a probability: less).
///
/// Counts are measured by what the agent itself does, which may be less than what its type does.
fn is_unusual(found: &Observation) -> bool {
    let Some(usual) = found.expected_agent.or(found.expected_type) else { return true };
    match found.detector {
        Detector::Sequence if found.family != Family::Order && found.family != Family::Loops => {
            found.observed < usual
        }
        _ => found.observed > usual,
    }
}
