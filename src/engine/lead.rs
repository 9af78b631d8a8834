//! The calls that raised the families of a unit most, kept for the explanation.
//!
//! Knows what a call said of one family. Must not know words.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;
use thin_vec::ThinVec;

use super::unit::Position;
use crate::assess::content::Content;
use crate::baseline::agent::KeySpace;
use crate::baseline::rate::Rate;
use crate::detect::failure::FailureBits;
use crate::detect::frequency::FrequencyBits;
use crate::detect::sequence::OrderBits;
use crate::finding::Family;
use crate::identity::Key;
use crate::time::EventTime;

/// Resources that are named beside that of the lead.
pub(super) const NAMED: usize = 4;
/// Bytes of nearly every lead.
const USUAL_BYTES: usize = 512;

/// The call that raised a family most: where it stands, and what it says of that family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Lead<'l> {
    /// The family.
    pub family: Family,
    /// Where the event stands.
    pub position: Position,
    /// Its time.
    pub time: EventTime,
    /// Its id.
    #[serde(borrow)]
    pub event_id: Option<&'l str>,
    /// Its place within the unit, from 1.
    pub call: u32,
    /// Its action.
    pub action: Key,
    /// Its resource.
    #[serde(borrow)]
    pub resource: Option<&'l str>,
    /// Some of the resources before it, where many are new within the hour.
    #[serde(borrow)]
    pub before: SmallVec<[&'l str; NAMED]>,
    /// Its content, of a family of content.
    pub content: Option<Content>,
    /// The leading argument, of a family of content.
    pub argument: Option<LeadArgument>,
    /// The step from the action before it, of the families of sessions.
    pub step: Option<Step>,
    /// What is new to the agent, of novelty and of the families of content.
    pub new: Option<New>,
    /// How often the agent acted then, of bursts. Words are found when they are asked for.
    pub frequency: Option<(FrequencyBits, Rate)>,
    /// What was refused, of failure.
    pub failure: Option<FailureBits>,
}

/// The argument that leads, and where its value came from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LeadArgument {
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

/// A step from one action to the next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Step {
    /// The symbol before the call.
    pub previous: Key,
    /// What the order of actions says.
    pub order: OrderBits,
    /// Probability of the action here over the fleet.
    pub fleet_probability: f64,
}

/// What a call uses that is new to its agent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct New {
    /// What that says. Bits.
    pub bits: f64,
    /// (new, used) resources of the hour, where enumeration says more than any key.
    pub enumeration: Option<(u32, u32)>,
    /// The key that says most; none where it is not told of.
    pub strongest: Option<NewKey>,
}

/// A key that is new to its agent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct NewKey {
    /// What it is a key of.
    pub space: KeySpace,
    /// The key.
    pub key: Key,
    /// Agents of the type, and of the fleet, that used it.
    pub users: (f64, f64),
}

/// The leads of one unit, at most one a family.
///
/// They lie there written down, one after the other: nearly all of them are forgotten before anybody reads them, and written
/// they take a seventh of the memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Leads(ThinVec<u8>);

impl Leads {
    /// Keeps a lead in place of the one of its family.
    ///
    /// * `memory`: asked for when the first is kept: leads whose memory may be used.
    pub fn keep(&mut self, lead: &Lead<'_>, memory: impl FnOnce() -> Self) {
        let Ok(written) = postcard::to_extend(lead, SmallVec::<[u8; USUAL_BYTES]>::new()) else {
            debug_assert!(false, "a lead has no part that cannot be written");
            return;
        };
        let known = self.places().find(|(_, known)| known.family == lead.family);
        if let Some(place) = known.map(|(place, _)| place) {
            self.0.drain(place);
        }
        if self.0.capacity() == 0 {
            *self = memory();
        }
        self.0.reserve_exact(written.len());
        self.0.extend_from_slice(&written);
    }

    /// Forgets all of them and keeps the memory; none where there is no memory to keep.
    pub fn cleared(mut self) -> Option<Self> {
        self.0.clear();
        (self.0.capacity() > 0).then_some(self)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Lead<'_>> {
        self.places().map(|(_, lead)| lead)
    }

    /// The lead of a family.
    pub fn of(&self, family: Family) -> Option<Lead<'_>> {
        self.iter().find(|lead| lead.family == family)
    }

    /// Where each of them is written.
    fn places(&self) -> impl Iterator<Item = (std::ops::Range<usize>, Lead<'_>)> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let from = self.0.len() - rest.len();
            let lead;
            (lead, rest) = postcard::take_from_bytes(rest).ok()?;
            Some((from..self.0.len() - rest.len(), lead))
        })
    }
}

impl Serialize for Leads {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        self.iter().collect::<Vec<_>>().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Leads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut leads = Self::default();
        Vec::<Lead<'de>>::deserialize(deserializer)?.iter().for_each(|lead| leads.keep(lead, Self::default));
        Ok(leads)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lead(family: Family, call: u32, resource: Option<&str>) -> Lead<'_> {
        Lead {
            family,
            position: Position { source: 1, line: u64::from(call) + 7 },
            time: EventTime(1_767_600_000_000),
            event_id: Some("one"),
            call,
            action: 2,
            resource,
            before: resource.into_iter().collect(),
            content: (family == Family::ToolValues).then(|| Content::nothing(family)),
            argument: None,
            step: None,
            new: Some(New {
                bits: 3.5,
                enumeration: None,
                strongest: Some(NewKey { space: KeySpace::Resource, key: 4, users: (1.0, 2.5) }),
            }),
            frequency: None,
            failure: None,
        }
    }

    proptest! {
        /// The slow twin: a list.
        #[test]
        fn the_last_lead_of_each_family_is_kept(
            kept in prop::collection::vec((0..Family::COUNT, 0u32.., prop::option::of(".{0,600}")), 0..20),
        ) {
            let mut leads = Leads::default();
            let mut twin: Vec<Lead<'_>> = Vec::new();
            for (family, call, resource) in &kept {
                let lead = lead(Family::ALL[*family], *call, resource.as_deref());
                leads.keep(&lead, Leads::default);
                twin.retain(|known| known.family != lead.family);
                twin.push(lead);
            }
            prop_assert_eq!(leads.iter().collect::<Vec<_>>(), twin.clone());
            for family in Family::ALL {
                prop_assert_eq!(leads.of(family), twin.iter().find(|lead| lead.family == family).cloned());
            }
            let saved = postcard::to_allocvec(&leads).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<Leads>(&saved).unwrap(), &leads);
        }
    }
}
