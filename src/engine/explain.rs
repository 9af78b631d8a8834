//! Why: what was seen, what is usual, and which call it was, in words and figures.
//!
//! Knows everything that was known when a call was judged. Must not judge anything itself.

mod observed;

use smallvec::SmallVec;

pub(super) use self::observed::{in_general, kind_and_key};
use super::clock::Now;
use super::judging::CallBits;
use super::lead::{Lead, LeadArgument, NAMED, New, NewKey, Step};
use super::registry::Registry;
use super::unit::{Position, Spare, Unit, UnitKind};
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
    pub fn keep_lead(&self, unit: &mut Unit, family: Family, rate: &Rate, decides: bool, spare: &mut Spare) {
        if decides || unit.is_worth_keeping(family) {
            // Of many new resources a few are named, not only the last one.
            let before = self.bits.novelty.enumeration.filter(|_| family == Family::Novelty);
            let resource = self.call.event.resource.as_deref();
            let before = before.map_or_else(SmallVec::new, |_| named_before(unit, resource));
            let mut lead = self.lead(unit, family, rate);
            lead.before = before.iter().map(String::as_str).collect();
            unit.leads.keep(&lead, || spare.leads());
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
            before: SmallVec::new(),
            content,
            argument: content.and_then(|content| self.lead_argument(unit, family, content.lead?)),
            step: of_session.then(|| self.step(unit)),
            new: (of_content || family == Family::Novelty).then(|| self.novelty(family)),
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
        let (alphabet, symbol) =
            if fine { (Alphabet::Fine, Symbol::Text as u64) } else { (Alphabet::Coarse, Party::Tool as u64) };
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
                progress.previous(),
                self.call.symbol,
            ),
        }
    }

    /// What is new, as it will be told: in a family of content, the key that says most; of novelty, many resources or that key.
    fn novelty(&self, family: Family) -> New {
        let novelty = &self.bits.novelty;
        let enumeration = novelty.enumeration.filter(|_| family == Family::Novelty);
        let strongest = novelty.strongest.filter(|_| enumeration.is_none()).map(|key| NewKey {
            space: key.space,
            key: key.key,
            users: self.version.baselines.key_agents(self.own, key.space, key.key),
        });
        // Whole numbers, and no more than an agent can use in an hour.
        let enumeration = enumeration.map(|(new, used)| (new as u32, used as u32));
        New { bits: novelty.bits, enumeration, strongest }
    }

    /// The evidence of a lead.
    pub fn evidence(&self, lead: &Lead<'_>) -> Evidence {
        Evidence {
            event_id: lead.event_id.map(str::to_owned),
            time: lead.time,
            action: self.vocabulary.action_name(lead.action).unwrap_or("(name not kept)").to_owned(),
            resources: lead.resource.iter().chain(&lead.before).map(|name| (*name).to_owned()).collect(),
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

    /// The action of a symbol as it may be shown.
    fn action_of(&self, symbol: Key) -> String {
        let name = self.vocabulary.symbol_action(symbol);
        name.map_or_else(|| "an action whose name was not kept".to_owned(), shown)
    }

    /// An argument's name as it may be shown.
    pub fn argument(&self, key: Key) -> String {
        self.vocabulary.argument_name(key).map_or_else(|| "an argument".to_owned(), shown)
    }
}

/// Resources that the lead of novelty before this one named, the latest first, without this one's.
fn named_before(unit: &Unit, now: Option<&str>) -> SmallVec<[String; NAMED]> {
    let before = unit.leads.of(Family::Novelty);
    let names = before.iter().flat_map(|lead| lead.resource.iter().chain(&lead.before));
    names.filter(|name| now != Some(**name)).take(NAMED).map(|name| (*name).to_owned()).collect()
}
