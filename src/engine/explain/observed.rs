//! What is told of a lead: observed, usual and in words.
//!
//! Knows what each family measures, and in which unit. Must not choose which calls are told of.

use super::super::lead::{Lead, LeadArgument, New, Step};
use super::super::unit::Unit;
use super::{Moment, shown};
use crate::alert::Observation;
use crate::assess::calibrate::Calibration;
use crate::assess::content::Content;
use crate::baseline::agent::KeySpace;
use crate::detect::{failure, frequency, sequence};
use crate::finding::{Detector, Family, RiskEventType};
use crate::identity::Key;

/// Unit of evidence that was weighted before it was added up.
const WEIGHTED_BITS: &str = "bits of surprise, weighted";

/// What one detector says of a lead; all that a family adds is the same for its detectors.
struct Said {
    detector: Detector,
    risk_event_type: RiskEventType,
    observed: f64,
    expected_type: f64,
    expected_fleet: Option<f64>,
    unit: String,
    sentence: String,
}

impl Moment<'_, '_> {
    /// What a lead says, in words and figures.
    ///
    /// * `unit`, `hour`: where sessions' and hours' families are judged.
    pub fn observations(&self, unit: &Unit, hour: &Unit, lead: &Lead<'_>) -> Vec<Observation> {
        let of_hours = matches!(lead.family, Family::Novelty | Family::Bursts | Family::Failure);
        let at = if of_hours { hour } else { unit };
        let median =
            |calibration: &Calibration| calibration.peak_quantile(lead.family, at.stage_of(lead.family), 0.5);
        let usual = (median(self.calibration), median(self.version.fleet()));
        let said = match lead.family {
            Family::CallContent | Family::ToolValues | Family::BareContent => self.content_said(lead, usual),
            Family::Order => self.drift_said(lead, usual).into_iter().collect(),
            Family::Loops => self.loop_said(lead, usual).into_iter().collect(),
            Family::Bursts | Family::Failure => self.counts_said(lead).into_iter().collect(),
            Family::Novelty => self.novelty_said(lead, usual).into_iter().collect(),
            Family::Rules | Family::Verdict | Family::Registry | Family::Fleet => Vec::new(),
        };
        let p = at.p(lead.family);
        let family = lead.family;
        said.into_iter()
            .map(|said| Observation {
                family,
                detector: said.detector,
                risk_event_type: said.risk_event_type,
                p,
                observed: said.observed,
                expected_type: said.expected_type,
                expected_fleet: said.expected_fleet,
                unit: said.unit,
                sentence: said.sentence,
            })
            .collect()
    }

    /// The parts of a call's score: where a value came from, what is new, what is out of order.
    fn content_said(&self, lead: &Lead<'_>, (usual_type, usual_fleet): (f64, f64)) -> Vec<Said> {
        let nothing = Content::nothing(lead.family);
        let content = lead.content.as_ref().unwrap_or(&nothing);
        let action = self.action(lead.action);
        let mut all = Vec::new();
        if let Some(argument) = lead.argument.filter(|a| a.known_origin) {
            let name = self.argument(argument.name);
            let (own, fleet) = argument.probability;
            let from = argument.origin.map(|(a, n)| (self.action(a), n));
            all.push(Said {
                detector: Detector::Provenance,
                risk_event_type: RiskEventType::UntrustedArgumentOrigin,
                observed: 1.0,
                expected_type: own,
                expected_fleet: Some(fleet),
                unit: format!("share of {action} calls whose {name} has this origin"),
                sentence: origin_sentence(&name, &action, &argument, from),
            });
        }
        let mut new = |risk_event_type, observed, sentence| {
            all.push(Said {
                detector: Detector::Access,
                risk_event_type,
                observed,
                expected_type: usual_type,
                expected_fleet: Some(usual_fleet),
                unit: WEIGHTED_BITS.to_owned(),
                sentence,
            });
        };
        if content.novelty > 0.0 {
            let (kind, what) = match lead.argument {
                Some(argument) => (
                    RiskEventType::UnfamiliarDestination,
                    format!("the value of {} in {action}", self.argument(argument.name)),
                ),
                None => (RiskEventType::UnfamiliarToolUse, action.clone()),
            };
            new(kind, content.novelty, format!("{what} is new or rare for agents of this type"));
        }
        if content.keys > 0.0
            && let Some((kind, sentence)) = self.newest_key(lead)
        {
            new(kind, content.keys, sentence);
        }
        if content.order > 0.0
            && let Some(step) = &lead.step
        {
            all.push(Said {
                detector: Detector::Sequence,
                risk_event_type: RiskEventType::UnusualActionSequence,
                observed: step.order.probability.max(self.least_supported()),
                expected_type: (-step.order.expected_bits).exp2(),
                expected_fleet: Some(step.fleet_probability.max(self.least_supported())),
                unit: "probability of the action at this point".to_owned(),
                sentence: self.transition(lead.action, step),
            });
        }
        all
    }

    fn drift_said(&self, lead: &Lead<'_>, (usual_type, usual_fleet): (f64, f64)) -> Option<Said> {
        let step = lead.step.as_ref()?;
        let last = self.transition(lead.action, step);
        Some(Said {
            detector: Detector::Sequence,
            risk_event_type: RiskEventType::UnusualActionSequence,
            observed: step.order.drift / 100.0,
            expected_type: usual_type / 100.0,
            expected_fleet: Some(usual_fleet / 100.0),
            unit: "bits of surprise a call beyond what is usual".to_owned(),
            sentence: format!("the order of actions has drifted from that of its type; last, {last}"),
        })
    }

    fn loop_said(&self, lead: &Lead<'_>, (usual_type, usual_fleet): (f64, f64)) -> Option<Said> {
        let (action, order) = (self.action(lead.action), &lead.step.as_ref()?.order);
        Some(Said {
            detector: Detector::Sequence,
            risk_event_type: RiskEventType::AgentLoop,
            observed: order.loop_bits,
            expected_type: usual_type,
            expected_fleet: Some(usual_fleet),
            unit: "bits of surprise of the loop's calls together".to_owned(),
            sentence: format!(
                "{action} and what goes with it repeated {:.0} times in a row, which its type does not do",
                order.repetition
            ),
        })
    }

    /// Counts: calls in a window, refusals.
    fn counts_said(&self, lead: &Lead<'_>) -> Option<Said> {
        let habits = self.version.baselines.habits(self.own);
        Some(if lead.family == Family::Bursts {
            let (bits, rate) = lead.frequency.as_ref()?;
            let told = frequency::explain(bits, &habits.rate_priors, rate);
            Said {
                detector: Detector::Frequency,
                risk_event_type: RiskEventType::RequestSpike,
                observed: told.observed,
                expected_type: told.expected_of_type,
                expected_fleet: None,
                unit: format!("calls in {} minutes", told.minutes),
                sentence: told.sentence,
            }
        } else {
            let told = failure::explain(lead.failure.as_ref()?, &habits.failure_prior);
            Said {
                detector: Detector::Failure,
                risk_event_type: RiskEventType::FailedAccessAttempt,
                observed: told.observed,
                expected_type: told.expected_of_type,
                expected_fleet: None,
                unit: "refusals".to_owned(),
                sentence: told.sentence,
            }
        })
    }

    /// Keys that are new to the agent: one, or many within an hour.
    fn novelty_said(&self, lead: &Lead<'_>, (usual_type, usual_fleet): (f64, f64)) -> Option<Said> {
        let novelty = lead.new.as_ref()?;
        let (risk_event_type, sentence) = match novelty.enumeration {
            Some((new, used)) => (
                RiskEventType::MassEnumeration,
                format!("{new:.0} of the {used:.0} resources it used within the hour were new to it"),
            ),
            None => self.newest_key(lead)?,
        };
        Some(Said {
            detector: Detector::Access,
            risk_event_type,
            observed: novelty.bits,
            expected_type: usual_type,
            expected_fleet: Some(usual_fleet),
            unit: "bits of surprise".to_owned(),
            sentence,
        })
    }

    /// The key of the lead's call that is newest to the agent: the kind of risk, and who ever used it.
    fn newest_key(&self, lead: &Lead<'_>) -> Option<(RiskEventType, String)> {
        let new = lead.new.as_ref()?;
        let (space, _) = new.strongest?;
        let action = self.action(lead.action);
        let what = match space {
            KeySpace::Resource => {
                let name = lead.resource.map(shown);
                name.map_or_else(|| "its resource".to_owned(), |name| format!("resource {name}"))
            }
            KeySpace::Action => format!("action {action}"),
            KeySpace::Destination => format!("a destination of {action}"),
        };
        Some((kind_of_key(space), format!("{what}: {}", self.users(new.users))))
    }

    fn transition(&self, action: Key, step: &Step) -> String {
        let before = if step.previous == sequence::START {
            "at the start".to_owned()
        } else {
            self.vocabulary.symbol_action(step.previous).map_or_else(
                || "after an action whose name was not kept".to_owned(),
                |name| format!("after {}", shown(name)),
            )
        };
        format!(
            "{} {before} is expected in {} of such places for its type, {} in the fleet",
            self.action(action),
            percent(step.order.probability.max(self.least_supported())),
            percent(step.fleet_probability.max(self.least_supported())),
        )
    }

    /// The smallest probability that the type's history supports: one in its units.
    fn least_supported(&self) -> f64 {
        1.0 / (1.0 + self.own.map_or(0.0, |own| own.units().iter().sum()))
    }

    /// "0 of 214 agents of its type ever used it": exact up to 64 agents, then with its error.
    fn users(&self, users: Option<(f64, f64)>) -> String {
        let (own, fleet) = users.unwrap_or_default();
        let of = |users: f64, agents: crate::stats::distinct::Count| {
            let error = if agents.error > 0.0 { format!(" (±{:.0})", agents.error) } else { String::new() };
            format!("{:.0} of {:.0}{error}", users.min(agents.keys), agents.keys)
        };
        let type_agents = self.own.map(|own| own.agents.count());
        let fleet_agents = self.version.baselines.fleet.agents.count();
        match type_agents {
            Some(agents) => format!(
                "{} agents of its type ever used it, {} in the fleet",
                of(own, agents),
                of(fleet, fleet_agents)
            ),
            None => format!("{} agents of the fleet ever used it; its type is new", of(fleet, fleet_agents)),
        }
    }
}

/// The kind of risk that a lead alone would be, and the key (action, resource, destination) that it is about.
pub(in crate::engine) fn kind_and_key(lead: &Lead<'_>) -> (RiskEventType, Key) {
    match lead.family {
        Family::CallContent | Family::ToolValues | Family::BareContent => {
            let novel = lead.content.is_some_and(|content| content.novelty + content.keys > 0.0);
            let kind = match lead.argument {
                Some(argument) if argument.known_origin => RiskEventType::UntrustedArgumentOrigin,
                Some(_) if novel => RiskEventType::UnfamiliarDestination,
                None if novel => RiskEventType::UnfamiliarToolUse,
                _ => RiskEventType::UnusualActionSequence,
            };
            (kind, lead.action)
        }
        Family::Order => (RiskEventType::UnusualActionSequence, lead.action),
        Family::Loops => (RiskEventType::AgentLoop, lead.action),
        Family::Novelty => match lead.new {
            Some(New { enumeration: None, strongest: Some((space, key)), .. }) => (kind_of_key(space), key),
            _ => (RiskEventType::MassEnumeration, lead.action),
        },
        Family::Bursts => (RiskEventType::RequestSpike, 0),
        Family::Failure => (RiskEventType::FailedAccessAttempt, lead.action),
        Family::Rules | Family::Verdict | Family::Registry | Family::Fleet => (RiskEventType::RuleMatched, 0),
    }
}

fn kind_of_key(space: KeySpace) -> RiskEventType {
    match space {
        KeySpace::Resource => RiskEventType::UnfamiliarResourceAccess,
        KeySpace::Action => RiskEventType::UnfamiliarToolUse,
        KeySpace::Destination => RiskEventType::UnfamiliarDestination,
    }
}

fn origin_sentence(name: &str, action: &str, argument: &LeadArgument, from: Option<(String, u32)>) -> String {
    let from = from.map_or_else(|| "an earlier tool result".to_owned(), |(a, n)| format!("{a}, call {n},"));
    if argument.unanchored_text {
        format!("{name} of {action} came from free text in {from} and was never anchored in the request")
    } else {
        format!("{name} of {action} came from {from} and not from the user")
    }
}

fn percent(p: f64) -> String {
    if p >= 0.1 {
        format!("{:.0} %", p * 100.0)
    } else if p >= 0.001 {
        format!("{:.1} %", p * 100.0)
    } else {
        format!("1 in {:.0}", 1.0 / p.max(1e-12))
    }
}
