//! Why: what was seen, what is usual, and which call it was, in words and figures.
//!
//! Knows everything that was known when a call was judged. Must not judge anything itself.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::clock::Now;
use super::judging::CallBits;
use super::registry::Registry;
use super::unit::{Lead, Position, Unit};
use super::version::Version;
use crate::alert::{Evidence, Observation};
use crate::assess::calibrate::Calibration;
use crate::assess::content::Content;
use crate::baseline::agent::KeySpace;
use crate::baseline::pool::TypeBaseline;
use crate::baseline::rate::Rate;
use crate::control::DeclaredChange;
use crate::detect::provenance::{Alphabet, Party, Symbol};
use crate::detect::registry::Standing;
use crate::detect::registry::records::Dated;
use crate::detect::vocabulary::Vocabulary;
use crate::detect::{Call, failure, frequency, provenance, sequence};
use crate::finding::{Detector, Family, RiskEventType};
use crate::identity::Key;

/// Longest name that is shown whole. Characters.
const SHOWN_CHARS: usize = 80;

/// Everything that is known at the moment a call is judged.
pub(super) struct Moment<'m, 't> {
    pub version: &'m Version,
    /// What people said of groups of agents.
    pub registry: &'m Registry,
    pub own: Option<&'m TypeBaseline>,
    pub vocabulary: &'m Vocabulary,
    pub calibration: &'m Calibration,
    pub now: Now,
    pub call: &'m Call<'m, 't>,
    pub position: Position,
    pub bits: CallBits,
    /// What people said of the agent; none where they said nothing.
    pub standing: Option<Standing<'m>>,
    /// The declared change that the agent goes through.
    pub change: Option<&'m Dated<DeclaredChange>>,
}

impl<'t> Moment<'_, 't> {
    /// Remembers this call as the one that raised a family, if that is worth it or the call decides a finding.
    pub fn keep_lead(&self, unit: &mut Unit, family: Family, rate: &Rate, decides: bool) {
        if decides || unit.is_worth_keeping(family) {
            let lead = self.lead(unit, family, rate);
            unit.keep_lead(lead);
        }
    }

    fn lead(&self, unit: &Unit, family: Family, rate: &Rate) -> Lead {
        let Self { own, call, bits, .. } = self;
        let baselines = &self.version.baselines;
        let event = call.event;
        let argument = bits.content(family).and_then(|content| content.lead).and_then(|i| {
            let keys = call.arguments.get(i)?;
            let origin = event.arguments.get(i)?.origin_event.as_deref();
            let origin = origin.and_then(|id| unit.call_of(self.vocabulary.identity().of(id)));
            let fine = family == Family::CallContent && keys.symbol == Some(Symbol::Text);
            let (alphabet, symbol) = if fine {
                (Alphabet::Fine, Symbol::Text as u64)
            } else {
                (Alphabet::Coarse, Party::Tool as u64)
            };
            let p = |own| provenance::probability(baselines, own, call, keys.name, alphabet, symbol);
            Some(LeadArgument {
                name: keys.name,
                unanchored_text: fine,
                known_origin: keys.party.is_some(),
                origin,
                probability: (p(*own), p(None)),
            })
        });
        Lead {
            family,
            position: self.position,
            time: event.time,
            event_id: event.event_id.as_deref().map(|id| SmallVec::from_slice(id.as_bytes())),
            call: unit.events,
            action: call.action,
            previous: unit.progress().previous(),
            resource: event.resource.as_deref().map(|r| SmallVec::from_slice(r.as_bytes())),
            argument,
            bits: *bits,
            users: bits.novelty.strongest.map(|key| baselines.key_agents(*own, key.space, key.key)),
            fleet_probability: sequence::fleet_probability(baselines, unit.progress(), call.symbol),
            rate: (family == Family::Bursts).then(|| rate.clone()),
        }
    }

    /// What is to be told of counts: observed, expected for the type, their unit, all in words.
    fn counted(&self, lead: &Lead) -> Option<(f64, f64, String, String)> {
        let habits = self.version.baselines.habits(self.own);
        if lead.family == Family::Bursts {
            let told = frequency::explain(&lead.bits.frequency, &habits.rate_priors, lead.rate.as_ref()?);
            let unit = format!("calls in {} minutes", told.minutes);
            return Some((told.observed, told.expected_of_type, unit, told.sentence));
        }
        let told = failure::explain(&lead.bits.failure?, &habits.failure_prior);
        Some((told.observed, told.expected_of_type, "refusals".to_owned(), told.sentence))
    }

    /// What the leads of a unit say, in words and figures; `weight` orders them.
    pub fn observations(&self, unit: &Unit, hour: &Unit, lead: &Lead) -> Vec<Observation> {
        let bits = &lead.bits;
        let action = self.action(lead.action);
        let at = if matches!(lead.family, Family::Novelty | Family::Bursts | Family::Failure) {
            hour
        } else {
            unit
        };
        let p = at.p(lead.family);
        let usual =
            |calibration: &Calibration| calibration.peak_quantile(lead.family, at.stage_of(lead.family), 0.5);
        let (usual_type, usual_fleet) = (usual(self.calibration), usual(self.version.fleet()));
        let mut all = Vec::new();
        let mut add =
            |detector, risk_event_type, observed, expected_type, expected_fleet, unit: &str, sentence| {
                all.push(Observation {
                    family: lead.family,
                    detector,
                    risk_event_type,
                    p,
                    observed,
                    expected_type,
                    expected_fleet: Some(expected_fleet),
                    unit: unit.to_owned(),
                    sentence,
                });
            };
        match lead.family {
            Family::CallContent | Family::ToolValues | Family::BareContent => {
                let nothing = Content::nothing(lead.family);
                let content = bits.content(lead.family).unwrap_or(&nothing);
                if let Some(argument) = lead.argument.filter(|a| a.known_origin) {
                    let name = self.argument(argument.name);
                    let (own, fleet) = argument.probability;
                    let unit = format!("share of {action} calls whose {name} has this origin");
                    let sentence = origin_sentence(
                        &name,
                        &action,
                        &argument,
                        argument.origin.map(|(a, n)| (self.action(a), n)),
                    );
                    add(
                        Detector::Provenance,
                        RiskEventType::UntrustedArgumentOrigin,
                        1.0,
                        own,
                        fleet,
                        &unit,
                        sentence,
                    );
                }
                if content.novelty > 0.0 {
                    let what = lead.argument.map_or_else(
                        || action.clone(),
                        |a| format!("the value of {} in {action}", self.argument(a.name)),
                    );
                    let kind = if lead.argument.is_some() {
                        RiskEventType::UnfamiliarDestination
                    } else {
                        RiskEventType::UnfamiliarToolUse
                    };
                    let sentence = format!("{what} is new or rare for agents of this type");
                    add(
                        Detector::Access,
                        kind,
                        content.novelty,
                        usual_type,
                        usual_fleet,
                        "bits of surprise, weighted",
                        sentence,
                    );
                }
                if content.order > 0.0 {
                    add(
                        Detector::Sequence,
                        RiskEventType::UnusualActionSequence,
                        bits.order.probability.max(self.least_supported()),
                        (-bits.order.expected_bits).exp2(),
                        lead.fleet_probability.max(self.least_supported()),
                        "probability of the action at this point",
                        self.transition(lead),
                    );
                }
            }
            Family::Order => add(
                Detector::Sequence,
                RiskEventType::UnusualActionSequence,
                bits.order.drift / 100.0,
                usual_type / 100.0,
                usual_fleet / 100.0,
                "bits of surprise a call beyond what is usual",
                format!(
                    "the order of actions has drifted from that of its type; last, {}",
                    self.transition(lead)
                ),
            ),
            Family::Loops => {
                let sentence = format!(
                    "{action} and what goes with it repeated {:.0} times in a row, which its type does not do",
                    bits.order.repetition
                );
                add(
                    Detector::Sequence,
                    RiskEventType::AgentLoop,
                    bits.order.loop_bits,
                    usual_type,
                    usual_fleet,
                    "bits of surprise of the loop's calls together",
                    sentence,
                );
            }
            Family::Bursts | Family::Failure => {
                if let Some((observed, expected_type, unit, sentence)) = self.counted(lead) {
                    let (detector, kind) = match lead.family {
                        Family::Bursts => (Detector::Frequency, RiskEventType::RequestSpike),
                        _ => (Detector::Failure, RiskEventType::FailedAccessAttempt),
                    };
                    all.push(Observation {
                        family: lead.family,
                        detector,
                        risk_event_type: kind,
                        p,
                        observed,
                        expected_type,
                        expected_fleet: None,
                        unit,
                        sentence,
                    });
                }
            }
            Family::Rules | Family::Verdict | Family::Registry | Family::Fleet => {}
            Family::Novelty => {
                if let Some((new, used)) = bits.novelty.enumeration {
                    let sentence =
                        format!("{new:.0} of the {used:.0} resources it used within the hour were new to it");
                    add(
                        Detector::Access,
                        RiskEventType::MassEnumeration,
                        bits.novelty.bits,
                        usual_type,
                        usual_fleet,
                        "bits of surprise",
                        sentence,
                    );
                } else if let Some(key) = bits.novelty.strongest {
                    let (kind, what) = match key.space {
                        KeySpace::Resource => {
                            let name = lead.resource.as_deref().map_or_else(
                                || "its resource".to_owned(),
                                |r| shown(&String::from_utf8_lossy(r)),
                            );
                            (RiskEventType::UnfamiliarResourceAccess, format!("resource {name}"))
                        }
                        KeySpace::Action => (RiskEventType::UnfamiliarToolUse, format!("action {action}")),
                        KeySpace::Destination => {
                            (RiskEventType::UnfamiliarDestination, format!("a destination of {action}"))
                        }
                    };
                    let sentence = format!("{what}: {}", self.users(lead.users));
                    add(
                        Detector::Access,
                        kind,
                        bits.novelty.bits,
                        usual_type,
                        usual_fleet,
                        "bits of surprise",
                        sentence,
                    );
                }
            }
        }
        all
    }

    /// The evidence of a lead.
    pub fn evidence(&self, lead: &Lead) -> Evidence {
        Evidence {
            event_id: lead.event_id.as_deref().map(|id| String::from_utf8_lossy(id).into_owned()),
            time: lead.time,
            action: self.vocabulary.action_name(lead.action).unwrap_or("(name not kept)").to_owned(),
            call: lead.call,
            source: lead.position.source,
            line: lead.position.line,
            family: lead.family,
        }
    }

    /// An action's name as it may be shown.
    pub fn action(&self, key: Key) -> String {
        self.vocabulary.action_name(key).map_or_else(|| "an action whose name was not kept".to_owned(), shown)
    }

    /// An argument's name as it may be shown.
    pub fn argument(&self, key: Key) -> String {
        self.vocabulary.argument_name(key).map_or_else(|| "an argument".to_owned(), shown)
    }

    fn transition(&self, lead: &Lead) -> String {
        let before = if lead.previous == sequence::START {
            "at the start".to_owned()
        } else {
            self.vocabulary.symbol_action(lead.previous).map_or_else(
                || "after an action whose name was not kept".to_owned(),
                |name| format!("after {}", shown(name)),
            )
        };
        format!(
            "{} {before} is expected in {} of such places for its type, {} in the fleet",
            self.action(lead.action),
            percent(lead.bits.order.probability.max(self.least_supported())),
            percent(lead.fleet_probability.max(self.least_supported())),
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
pub(super) fn kind_and_key(lead: &Lead) -> (RiskEventType, Key) {
    match lead.family {
        Family::CallContent | Family::ToolValues | Family::BareContent => {
            let novel = lead.bits.content(lead.family).is_some_and(|content| content.novelty > 0.0);
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
        Family::Novelty => match (lead.bits.novelty.enumeration, lead.bits.novelty.strongest) {
            (Some(_), _) | (None, None) => (RiskEventType::MassEnumeration, lead.action),
            (None, Some(key)) => (kind_of_key(key.space), key.key),
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

/// The argument that leads, and where its value came from.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LeadArgument {
    /// Key of its name.
    pub name: Key,
    /// Whether the value was lifted out of free text and is not anchored in the request.
    pub unanchored_text: bool,
    /// Whether anything is known of its origin.
    pub known_origin: bool,
    /// Action and place within the unit of the call that it came from.
    pub origin: Option<(Key, u32)>,
    /// Probability of such an origin for this argument: for the type, for the fleet.
    pub probability: (f64, f64),
}

fn origin_sentence(name: &str, action: &str, argument: &LeadArgument, from: Option<(String, u32)>) -> String {
    let from = from.map_or_else(|| "an earlier tool result".to_owned(), |(a, n)| format!("{a}, call {n},"));
    if argument.unanchored_text {
        format!("{name} of {action} came from free text in {from} and was never anchored in the request")
    } else {
        format!("{name} of {action} came from {from} and not from the user").replace(", and", " and")
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

/// A name that the agent chose, as a person (or a language model) may see it: quoted, cut, with control, bidi
/// and zero-width characters escaped.
pub(super) fn shown(name: &str) -> String {
    let mut text = String::from("`");
    for (i, c) in name.chars().enumerate() {
        if i == SHOWN_CHARS {
            text.push('…');
            break;
        }
        let hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '`');
        if hidden { text.extend(c.escape_unicode()) } else { text.push(c) }
    }
    text.push('`');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_is_shown_escaped_and_cut() {
        assert_eq!(shown("send_email"), "`send_email`");
        assert_eq!(shown("a\u{202e}b\n`"), "`a\\u{202e}b\\u{a}\\u{60}`");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), SHOWN_CHARS + 3);
    }
}
