//! What is told of a lead: observed, usual and in words.
//!
//! Knows what each family measures, and in which unit. Must not choose which calls are told of.

use super::super::lead::{Lead, LeadArgument, New, NewKey};
use super::super::unit::{Unit, UnitKind, stage_then};
use super::{Moment, shown};
use crate::alert::{Observation, WHOLE_CALL_BITS};
use crate::assess::calibrate::Calibration;
use crate::assess::content::Content;
use crate::baseline::agent::KeySpace;
use crate::baseline::failure::FailureHistory;
use crate::baseline::rate::Rate;
use crate::detect::failure::FailureBits;
use crate::detect::frequency::FrequencyBits;
use crate::detect::{failure, frequency, sequence};
use crate::finding::{Detector, Family, RiskEventType};
use crate::identity::Key;
use crate::stats::quantile::middle;

/// A part of a call's evidence below this is everyday.
const EVERYDAY_PART: f64 = 0.05;

/// What one detector says of a lead; all that a family adds is the same for its detectors.
struct Said {
    detector: Detector,
    risk_event_type: RiskEventType,
    observed: f64,
    expected_agent: Option<f64>,
    expected_type: Option<f64>,
    expected_fleet: Option<f64>,
    unit: String,
    sentence: String,
}

impl Said {
    fn of(self, family: Family, p: f64) -> Observation {
        // Where too few units came so far, half of them seem to rise higher than one that is rare: then nothing is said.
        let is_bits = self.unit.starts_with("bits");
        let known = |usual: Option<f64>| usual.filter(|usual| !is_bits || *usual < self.observed);
        Observation {
            family,
            detector: self.detector,
            risk_event_type: self.risk_event_type,
            p,
            observed: self.observed,
            expected_agent: self.expected_agent,
            expected_type: known(self.expected_type),
            expected_fleet: known(self.expected_fleet),
            unit: self.unit,
            sentence: self.sentence,
        }
    }
}

impl Moment<'_, '_> {
    /// What a lead says, in words and figures.
    ///
    /// * `unit`, `hour`: where sessions' and hours' families are judged.
    pub fn observations(&self, unit: &Unit, hour: &Unit, lead: &Lead<'_>) -> Vec<Observation> {
        let family = lead.family;
        let at = if is_of_hours(family) { hour } else { unit };
        // As it was when the call was judged: a longer unit is expected to rise higher.
        let usual = self.usual(family, stage_then(family, lead.call));
        let said = match family {
            Family::CallContent | Family::ToolValues | Family::BareContent => self.content_said(lead, usual),
            Family::Order => self.drift_said(unit, lead, usual).into_iter().collect(),
            Family::Loops => self.loop_said(lead, usual).into_iter().collect(),
            Family::Bursts => {
                let counted = lead.frequency.as_ref().map(|(bits, rate)| self.burst_said(bits, rate));
                counted.into_iter().collect()
            }
            Family::Failure => {
                lead.failure.as_ref().map(|bits| self.refusals_said(bits)).into_iter().collect()
            }
            Family::Novelty => self.novelty_said(lead, usual).into_iter().collect(),
            Family::Rules | Family::Verdict | Family::Registry | Family::Fleet => Vec::new(),
        };
        let p = at.p(family);
        said.into_iter().map(|said| said.of(family, p)).collect()
    }

    /// What a family says of which no call was kept: none of them was unusual enough by itself.
    ///
    /// * `habits`: how often the agent acts and is refused.
    pub fn risen(
        &self,
        unit: &Unit,
        hour: &Unit,
        family: Family,
        (rate, refused): (&Rate, &FailureHistory),
    ) -> Option<Observation> {
        let at = if is_of_hours(family) { hour } else { unit };
        let p = at.p(family);
        if p >= 1.0 {
            return None;
        }
        let habits = self.version.baselines.habits(self.own);
        let counted = match family {
            Family::Bursts => {
                let bits = frequency::judge(&habits.rate_priors, rate);
                (bits.bits > 0.0).then(|| self.burst_said(&bits, rate))
            }
            Family::Failure => {
                let bits = hour.failures().map(|unit| failure::judge(&habits.failure_prior, refused, unit));
                bits.filter(|bits| bits.bits > 0.0).map(|bits| self.refusals_said(&bits))
            }
            _ => None,
        };
        if let Some(counted) = counted {
            return Some(counted.of(family, p));
        }
        let worth = |stage, bits| self.calibration.peak_p(family, stage, bits);
        let peaks = at.peaks(family)?.iter().enumerate().map(|(stage, cell)| (stage, middle(*cell)));
        let (stage, observed) = peaks.min_by(|a, b| worth(a.0, a.1).total_cmp(&worth(b.0, b.1)))?;
        let (usual_type, usual_fleet) = self.usual(family, stage);
        let (detector, risk_event_type, sentence) = in_general(family)?;
        let said = Said {
            detector,
            risk_event_type,
            observed,
            expected_agent: None,
            expected_type: Some(usual_type),
            expected_fleet: Some(usual_fleet),
            unit: "bits of surprise, at its height".to_owned(),
            sentence: sentence.to_owned(),
        };
        Some(said.of(family, p))
    }

    /// How high half of the units rise at a stage: those of the type, and of the fleet.
    fn usual(&self, family: Family, stage: usize) -> (f64, f64) {
        let median = |calibration: &Calibration| calibration.peak_quantile(family, stage, 0.5);
        (median(self.calibration), median(self.version.fleet()))
    }

    /// The parts of a call's score: where a value came from, what is new, what is out of order. What is usual is known of the
    /// whole alone; parts that are everyday are left out.
    fn content_said(&self, lead: &Lead<'_>, (usual_type, usual_fleet): (f64, f64)) -> Vec<Said> {
        let nothing = Content::nothing(lead.family);
        let content = lead.content.as_ref().unwrap_or(&nothing);
        let action = self.action(lead.action);
        let mut all = Vec::new();
        let counts = |part: f64| part > EVERYDAY_PART * content.bits;
        if let Some(argument) = lead.argument.filter(|a| a.known_origin && content.provenance > 0.0) {
            let name = self.argument(argument.name);
            let (own, fleet) = argument.probability;
            let from = argument.origin.map(|(a, n)| (self.action(a), n));
            all.push(Said {
                detector: Detector::Provenance,
                risk_event_type: RiskEventType::UntrustedArgumentOrigin,
                observed: 1.0,
                expected_agent: None,
                expected_type: Some(own),
                expected_fleet: Some(fleet),
                unit: format!("share of {action} calls whose {name} has this origin"),
                sentence: origin_sentence(&name, &action, &argument, from),
            });
        }
        let mut new = |risk_event_type, sentence| {
            all.push(Said {
                detector: Detector::Access,
                risk_event_type,
                observed: content.bits,
                expected_agent: None,
                expected_type: Some(usual_type),
                expected_fleet: Some(usual_fleet),
                unit: WHOLE_CALL_BITS.to_owned(),
                sentence,
            });
        };
        // Two small parts of one detector may count together.
        let (novelty, keys) = (content.novelty, content.keys);
        let together = counts(novelty + keys);
        if counts(novelty) || (together && novelty >= keys) {
            let (kind, what) = match lead.argument {
                Some(argument) => (
                    RiskEventType::UnfamiliarDestination,
                    format!("the value of {} in {action}", self.argument(argument.name)),
                ),
                None => (RiskEventType::UnfamiliarToolUse, action.clone()),
            };
            new(kind, format!("{what} is new or rare for agents of this type"));
        }
        if (counts(keys) || (together && keys > novelty))
            && let Some((kind, sentence)) = self.newest_key(lead)
        {
            new(kind, sentence);
        }
        if counts(content.order)
            && let Some(step) = &lead.step
        {
            let usual = (-step.order.expected_bits).exp2();
            let supported = step.order.probability.max(self.least_supported());
            all.push(Said {
                detector: Detector::Sequence,
                risk_event_type: RiskEventType::UnusualActionSequence,
                observed: if supported < usual { supported } else { step.order.probability },
                expected_agent: None,
                expected_type: Some(usual),
                expected_fleet: Some(step.fleet_probability.max(self.least_supported())),
                unit: "probability of the action at this point".to_owned(),
                sentence: self.transition(
                    lead.action,
                    step.previous,
                    step.order.probability,
                    step.fleet_probability,
                ),
            });
        }
        all
    }

    /// The order of a whole unit, and the step in it that surprised most.
    fn drift_said(
        &self,
        unit: &Unit,
        lead: &Lead<'_>,
        (usual_type, usual_fleet): (f64, f64),
    ) -> Option<Said> {
        let step = lead.step.as_ref()?;
        let worst = unit.progress().costliest();
        let most = if f64::from(worst.excess) > step.order.excess {
            let (previous, symbol) = (worst.previous, worst.symbol);
            let fleet = sequence::fleet_probability(&self.version.baselines, previous, symbol);
            self.transition_of(&self.action_of(symbol), previous, f64::from(worst.probability), fleet)
        } else {
            self.transition(lead.action, step.previous, step.order.probability, step.fleet_probability)
        };
        Some(Said {
            detector: Detector::Sequence,
            risk_event_type: RiskEventType::UnusualActionSequence,
            observed: step.order.drift / 100.0,
            expected_agent: None,
            expected_type: Some(usual_type / 100.0),
            expected_fleet: Some(usual_fleet / 100.0),
            unit: "bits of surprise a call beyond what is usual".to_owned(),
            sentence: format!(
                "the order of actions has drifted from that of its type; most surprising, {most}"
            ),
        })
    }

    fn loop_said(&self, lead: &Lead<'_>, (usual_type, usual_fleet): (f64, f64)) -> Option<Said> {
        let (action, order) = (self.action(lead.action), &lead.step.as_ref()?.order);
        Some(Said {
            detector: Detector::Sequence,
            risk_event_type: RiskEventType::AgentLoop,
            observed: order.loop_bits,
            expected_agent: None,
            expected_type: Some(usual_type),
            expected_fleet: Some(usual_fleet),
            unit: "bits of surprise of the loop's calls together".to_owned(),
            sentence: format!(
                "{action} and what goes with it repeated {:.0} times in a row, which its type does not do",
                order.repetition
            ),
        })
    }

    /// Calls in a window.
    fn burst_said(&self, bits: &FrequencyBits, rate: &Rate) -> Said {
        let told = frequency::explain(bits, self.version.baselines.habits(self.own), self.agents(), rate);
        Said {
            detector: Detector::Frequency,
            risk_event_type: RiskEventType::RequestSpike,
            observed: told.observed,
            expected_agent: Some(told.expected),
            expected_type: told.expected_of_type,
            expected_fleet: None,
            unit: format!("calls in {} minutes", told.minutes),
            sentence: told.sentence,
        }
    }

    fn refusals_said(&self, bits: &FailureBits) -> Said {
        let told = failure::explain(bits, self.version.baselines.habits(self.own), self.agents());
        Said {
            detector: Detector::Failure,
            risk_event_type: RiskEventType::FailedAccessAttempt,
            observed: told.observed,
            expected_agent: Some(told.expected),
            expected_type: told.expected_of_type,
            expected_fleet: None,
            unit: "refusals".to_owned(),
            sentence: told.sentence,
        }
    }

    /// How many agents of the type were counted.
    fn agents(&self) -> f64 {
        self.own.map_or(0.0, |own| own.agent_count)
    }

    /// Keys that are new to the agent: one, or many within an hour.
    fn novelty_said(&self, lead: &Lead<'_>, (usual_type, usual_fleet): (f64, f64)) -> Option<Said> {
        let novelty = lead.new.as_ref()?;
        let (risk_event_type, sentence) = match novelty.enumeration {
            Some((new, used)) => (
                RiskEventType::MassEnumeration,
                format!(
                    "{new} of the {used} resources it used within the hour were new to it{}",
                    among(lead)
                ),
            ),
            None => self.newest_key(lead)?,
        };
        Some(Said {
            detector: Detector::Access,
            risk_event_type,
            observed: novelty.bits,
            expected_agent: None,
            expected_type: Some(usual_type),
            expected_fleet: Some(usual_fleet),
            unit: "bits of surprise".to_owned(),
            sentence,
        })
    }

    /// The key of the lead's call that is newest to the agent: the kind of risk, and who ever used it.
    fn newest_key(&self, lead: &Lead<'_>) -> Option<(RiskEventType, String)> {
        let NewKey { space, users, .. } = lead.new?.strongest?;
        let action = self.action(lead.action);
        let what = match space {
            KeySpace::Resource => {
                let name = lead.resource.map(shown);
                name.map_or_else(|| "its resource".to_owned(), |name| format!("resource {name}"))
            }
            KeySpace::Action => format!("action {action}"),
            KeySpace::Destination => format!("a destination of {action}"),
        };
        Some((kind_of_key(space), format!("{what}: {}", self.users(users))))
    }

    fn transition(&self, action: Key, previous: Key, of_type: f64, of_fleet: f64) -> String {
        self.transition_of(&self.action(action), previous, of_type, of_fleet)
    }

    /// * `action`: its name as it may be shown.
    fn transition_of(&self, action: &str, previous: Key, of_type: f64, of_fleet: f64) -> String {
        let before = match previous {
            sequence::START => "at the start".to_owned(),
            previous => format!("after {}", self.action_of(previous)),
        };
        format!(
            "{action} {before} is expected in {} of such places for its type, {} in the fleet",
            percent(of_type.max(self.least_supported())),
            percent(of_fleet.max(self.least_supported())),
        )
    }

    /// The smallest probability that the type's history supports: one in its units.
    fn least_supported(&self) -> f64 {
        1.0 / (1.0 + self.own.map_or(0.0, |own| own.units().iter().sum()))
    }

    /// "0 of 214 agents of its type ever used it": exact up to 64 agents, then with its error.
    fn users(&self, (own, fleet): (f64, f64)) -> String {
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
            Some(New { strongest: Some(key), .. }) => (kind_of_key(key.space), key.key),
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

/// Whether an hour is judged by it, and not a session.
fn is_of_hours(family: Family) -> bool {
    UnitKind::Hour.families().contains(&family)
}

/// ", such as `a`, `b`": resources that a lead names.
fn among(lead: &Lead<'_>) -> String {
    let names: Vec<String> = lead.resource.iter().chain(&lead.before).map(|name| shown(name)).collect();
    if names.is_empty() { String::new() } else { format!(", such as {}", names.join(", ")) }
}

/// What a family is about, where no call can be named.
pub(in crate::engine) fn in_general(family: Family) -> Option<(Detector, RiskEventType, &'static str)> {
    Some(match family {
        Family::CallContent => (
            Detector::Provenance,
            RiskEventType::UntrustedArgumentOrigin,
            "values in its calls came from free text and were not anchored in the request, more than is usual",
        ),
        Family::ToolValues => (
            Detector::Provenance,
            RiskEventType::UntrustedArgumentOrigin,
            "values in its calls came from tools and not from the user, more than is usual",
        ),
        Family::BareContent => (
            Detector::Access,
            RiskEventType::UnfamiliarToolUse,
            "what its calls hold is newer or rarer than is usual",
        ),
        Family::Order => (
            Detector::Sequence,
            RiskEventType::UnusualActionSequence,
            "the order of actions strays from that of its type",
        ),
        Family::Loops => (
            Detector::Sequence,
            RiskEventType::AgentLoop,
            "it repeats the same few actions more than is usual",
        ),
        Family::Novelty => (
            Detector::Access,
            RiskEventType::UnfamiliarResourceAccess,
            "it used what was new to it, more than is usual",
        ),
        Family::Bursts => {
            (Detector::Frequency, RiskEventType::RequestSpike, "it called more often than is usual")
        }
        Family::Failure => {
            (Detector::Failure, RiskEventType::FailedAccessAttempt, "it was refused more often than is usual")
        }
        Family::Rules | Family::Verdict | Family::Registry | Family::Fleet => return None,
    })
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
