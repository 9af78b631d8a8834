//! One file per watched behaviour, and the call as all of them see it.
//!
//! Knows one call and the baselines. Must not know units, p-values or alerts.

pub mod access;
pub mod failure;
pub mod frequency;
pub mod lexicon;
pub mod provenance;
pub mod registry;
pub mod rules;
pub mod sequence;
pub mod vocabulary;

use smallvec::SmallVec;

use crate::event::AuditEvent;
use crate::identity::Key;

use self::lexicon::Verb;
use self::provenance::{Party, Symbol};

/// One audit event with its names turned into keys.
#[derive(Debug)]
pub struct Call<'e, 't> {
    /// The event itself.
    pub event: &'e AuditEvent<'t>,
    /// The agent type's key.
    pub agent_type: Key,
    /// The action's key.
    pub action: Key,
    /// Action and outcome: what sequences are made of.
    pub symbol: Key,
    /// What the action's name says.
    pub verb: Verb,
    /// The resource's key.
    pub resource: Option<Key>,
    /// The arguments, in the order of the event.
    pub arguments: SmallVec<[ArgumentKeys; 6]>,
    /// What is known about where the arguments came from.
    pub tier: Tier,
}

/// One argument, its name turned into a key.
#[derive(Clone, Copy, Debug)]
pub struct ArgumentKeys {
    /// Key of its name.
    pub name: Key,
    /// Whether something goes where this argument says.
    pub is_destination: bool,
    /// Keyed hash of its value.
    pub value: Option<u64>,
    /// Origin with form and anchoring, if all are known.
    pub symbol: Option<Symbol>,
    /// Origin alone.
    pub party: Option<Party>,
}

/// Which provenance fields a call carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Tier {
    /// It has arguments, and nothing is known of their origin.
    None,
    /// Origins are known, but not form and anchoring.
    Origin,
    /// Origins are known with form and anchoring.
    Full,
    /// It has no arguments.
    NoArguments,
}
