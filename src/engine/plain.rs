//! Alerts that no call's bits speak for: rules of the user, silence, verdicts.
//!
//! Knows one agent and what is to be told of it. Must not judge.

use super::clock::Instant;
use super::explain::{Moment, shown};
use super::held_back::HeldFinding;
use super::output::Output;
use super::version::Version;
use super::watched::{OpenAlert, Watched};
use crate::alert::{Alert, Evidence, JudgedUnder, Maturity, Observation, Share, Subject};
use crate::assess::level::{Finding, Hold};
use crate::detect::rules::{Hit, RuleKind};
use crate::finding::{Detector, Family, RiskEventType};
use crate::risk::{Cause, Level};
use crate::time::EventTime;
use smallvec::SmallVec;

/// What something certain of each level (a rule, a fact of the registry) adds to the score, as the bits of a finding: the
/// level says how bad it is.
pub(super) const FIXED_BITS: [f64; 4] = [0.0, 7.0, 14.0, 40.0];

/// What is to be told.
pub(super) struct Plain<'p> {
    pub family: Family,
    pub detector: Detector,
    pub kind: RiskEventType,
    /// Tells alerts of one family apart, such as those of two rules.
    pub about: &'p str,
    pub level: Level,
    /// p and threshold; 1 and 0 where no p speaks.
    pub p: (f64, f64),
    pub bits: f64,
    pub observed: f64,
    pub expected: f64,
    pub unit: &'p str,
    pub sentence: String,
    pub evidence: Option<Evidence>,
}

impl Watched {
    /// Opens an alert, or holds the level of the open one. Returns whether it was opened.
    pub(super) fn tell_plain(
        &mut self,
        version: &Version,
        now: Instant,
        clock: EventTime,
        plain: Plain<'_>,
        out: &mut Vec<Output>,
    ) -> bool {
        let Plain { family, detector, kind, level, .. } = plain;
        let known = self.open.iter_mut().find(|open| open.family == family && &*open.about == plain.about);
        if let Some(open) = known {
            open.hold.touch(level, now.at);
            return false;
        }
        self.alerts_opened += 1;
        let name = match plain.about {
            "" => family.name().to_owned(),
            about => format!("{} {about}", family.name()),
        };
        let ids = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect();
        let told = Box::new(Alert {
            alert_id: self.alert_id(&name),
            time: now.time,
            opened: now.time,
            subject: Subject { kind: "agent".to_owned(), id: self.id.to_string() },
            tenant: self.kin.tenant.as_deref().map(str::to_owned),
            agent_type: self.kin.type_name.to_string(),
            level: Some(level),
            risk_event_type: kind,
            owasp: ids(kind.owasp()),
            atlas: ids(kind.atlas()),
            family,
            p: plain.p.0,
            threshold: plain.p.1,
            bits: plain.bits,
            summary: format!("{} ({}): {}", shown(&self.id), shown(&self.kin.type_name), plain.sentence),
            shares: vec![Share { family, detector, share: 1.0 }],
            findings: vec![Observation {
                family,
                detector,
                risk_event_type: kind,
                p: plain.p.0,
                observed: plain.observed,
                expected_agent: None,
                expected_type: Some(plain.expected),
                expected_fleet: None,
                unit: plain.unit.to_owned(),
                sentence: plain.sentence,
            }],
            maturity: Maturity {
                agent: self.maturity().to_owned(),
                agent_events: self.events,
                ..version.type_maturity(self.kin.agent_type)
            },
            judged_under: JudgedUnder {
                baseline: version.baselines.version,
                clock,
                config: version.settings.config.clone(),
            },
            evidence: plain.evidence.into_iter().collect(),
            ..Alert::empty(family)
        });
        let mut hold = Hold::default();
        hold.touch(level, now.at);
        out.push(Output::Alert(told.clone()));
        self.open.push(OpenAlert {
            id: told.alert_id.clone(),
            family,
            about: plain.about.into(),
            floor: level.min(Level::Medium),
            opened: now.time,
            hold,
            unit: 0,
            p: plain.p.0,
            told,
        });
        true
    }
}

impl Moment<'_, '_> {
    /// Runs the rules of the user over the call; they are told beside the budget.
    pub fn judge_rules(
        &self,
        watched: &mut Watched,
        held: &mut SmallVec<[HeldFinding; 1]>,
        out: &mut Vec<Output>,
    ) {
        let mut hits = SmallVec::new();
        self.version.settings.rules.judge(self.call.event, &mut watched.rules, &mut hits);
        if hits.is_empty() {
            return;
        }
        let now = self.now.of_event(self.call.event.time);
        for hit in hits {
            self.tell_hit(watched, now, hit, held, out);
        }
        watched.settle_because(Cause::Rule, self.version, now, out);
    }

    fn tell_hit(
        &self,
        watched: &mut Watched,
        now: Instant,
        hit: Hit,
        held: &mut SmallVec<[HeldFinding; 1]>,
        out: &mut Vec<Output>,
    ) {
        let kind = match hit.kind {
            RuleKind::When => RiskEventType::RuleMatched,
            RuleKind::Honeytoken => RiskEventType::HoneytokenAccess,
            RuleKind::Sensitive => RiskEventType::SensitiveResourceAccess,
        };
        let name = self.version.settings.rules.iter().nth(hit.rule).map_or("", |rule| &*rule.name);
        if let Some(excuse) = self.excuse(Family::Rules, kind, now.time) {
            held.push(self.held_fact(Family::Rules, kind, name, &excuse));
            return;
        }
        let bits = FIXED_BITS.get(hit.level as usize).copied().unwrap_or(0.0);
        if bits > 0.0 {
            let mut parts = [0.0; Detector::COUNT];
            if let Some(part) = parts.get_mut(Detector::Rules as usize) {
                *part = 1.0;
            }
            let unit = self.vocabulary.identity().of(name);
            watched.risk_mut().add(&Finding { unit, p: (-bits).exp2(), parts, kind, key: unit }, now.at);
        } else {
            watched.risk_mut();
        }
        let call = self.call.event;
        let evidence = Evidence {
            event_id: call.event_id.as_deref().map(str::to_owned),
            time: call.time,
            action: call.action.to_string(),
            resources: call.resource.iter().map(|resource| resource.to_string()).collect(),
            call: 1,
            source: self.position.source,
            line: self.position.line,
            family: Family::Rules,
        };
        let plain = Plain {
            family: Family::Rules,
            detector: Detector::Rules,
            kind,
            about: name,
            level: hit.level,
            p: (1.0, 1.0),
            bits,
            observed: hit.observed,
            expected: hit.limit,
            unit: "calls or different values that matched",
            sentence: hit.sentence,
            evidence: Some(evidence),
        };
        watched.tell_plain(self.version, now, self.now.time, plain, out);
    }
}
