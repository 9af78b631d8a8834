//! Why: what was seen, what is usual, and which call it was, in words and figures.
//!
//! Knows everything that was known when a call was judged. Must not judge anything itself.

mod observed;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

pub(super) use self::observed::kind_and_key;
use super::clock::Now;
use super::judging::CallBits;
use super::registry::Registry;
use super::unit::{Lead, Position, Unit};
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
