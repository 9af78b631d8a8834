//! Why: what was seen, what is usual, and which call it was, in words and figures.
//!
//! Knows everything that was known when a call was judged. Must not judge anything itself.

mod observed;

pub(super) use self::observed::kind_and_key;
use super::clock::Now;
use super::judging::CallBits;
use super::lead::{Lead, LeadArgument, New, Step};
use super::registry::Registry;
use super::unit::{Position, Unit, UnitKind};
use super::version::Version;
use crate::alert::Evidence;
use crate::assess::calibrate::Calibration;
use crate::baseline::pool::TypeBaseline;
use crate::baseline::rate::Rate;
use crate::control::DeclaredChange;
use crate::detect::provenance::{Alphabet, Party, Symbol};
use crate::detect::registry::Standing;
use crate::detect::registry::records::Dated;
use crate::detect::vocabulary::Vocabulary;
use crate::detect::{Call, provenance, sequence};
use crate::finding::Family;
pub(super) use crate::finding::shown;
use crate::identity::Key;

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
            unit.leads.keep(&lead);
        }
    }

    fn lead(&self, unit: &Unit, family: Family, rate: &Rate) -> Lead<'_> {
        let Self { call, bits, .. } = self;
        let event = call.event;
        let of_content = matches!(family, Family::CallContent | Family::ToolValues | Family::BareContent);
        let of_session = UnitKind::Session.families().contains(&family);
        let content = bits.content(family).copied();
        Lead {
            family,
            position: self.position,
            time: event.time,
            event_id: event.event_id.as_deref(),
            call: unit.events,
            action: call.action,
            resource: event.resource.as_deref(),
            content,
            argument: content.and_then(|content| self.lead_argument(unit, family, content.lead?)),
            step: of_session.then(|| self.step(unit)),
            new: (of_content || family == Family::Novelty).then(|| self.new()),
            frequency: (family == Family::Bursts).then(|| (bits.frequency, rate.clone())),
            failure: bits.failure.filter(|_| family == Family::Failure),
        }
    }

    fn lead_argument(&self, unit: &Unit, family: Family, place: usize) -> Option<LeadArgument> {
        let Self { own, call, .. } = self;
        let keys = call.arguments.get(place)?;
        let origin = call.event.arguments.get(place)?.origin_event.as_deref();
        let origin = origin.and_then(|id| unit.call_of(self.vocabulary.identity().of(id)));
        let fine = family == Family::CallContent && keys.symbol == Some(Symbol::Text);
        let (alphabet, symbol) = if fine {
            (Alphabet::Fine, Symbol::Text as u64)
        } else {
            (Alphabet::Coarse, Party::Tool as u64)
        };
        let baselines = &self.version.baselines;
        let p = |own| provenance::probability(baselines, own, call, keys.name, alphabet, symbol);
        Some(LeadArgument {
            name: keys.name,
            unanchored_text: fine,
            known_origin: keys.party.is_some(),
            origin,
            probability: (p(*own), p(None)),
        })
    }

    fn step(&self, unit: &Unit) -> Step {
        let progress = unit.progress();
        Step {
            previous: progress.previous(),
            order: self.bits.order,
            fleet_probability: sequence::fleet_probability(
                &self.version.baselines,
                progress,
                self.call.symbol,
            ),
        }
    }

    fn new(&self) -> New {
        let novelty = &self.bits.novelty;
        let strongest = novelty.strongest.map(|key| (key.space, key.key));
        let users = |(space, key)| self.version.baselines.key_agents(self.own, space, key);
        New {
            bits: novelty.bits,
            strongest,
            users: strongest.map(users),
            enumeration: novelty.enumeration,
        }
    }

    /// The evidence of a lead.
    pub fn evidence(&self, lead: &Lead<'_>) -> Evidence {
        Evidence {
            event_id: lead.event_id.map(str::to_owned),
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
}
