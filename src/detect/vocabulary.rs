//! Names met so far: their keys, what the lexicon says of them, and their text for explanations.
//!
//! Knows names. Must not know baselines. Bounded: what comes after is judged, but explained without its name.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::lexicon::{Lexicon, Verb};
use super::provenance::{Party, Symbol};
use super::{ArgumentKeys, Call, Tier};
use crate::event::{Argument, AuditEvent, Outcome, ValueClass};
use crate::identity::{Identity, Key};
use crate::stats::key::mix;

/// Different names kept of actions, and of arguments.
const NAMES: usize = 1 << 16;

/// Turns events into calls.
#[derive(Debug)]
pub struct Vocabulary {
    identity: Identity,
    lexicon: Option<Lexicon>,
    actions: HashMap<Key, (Verb, Box<str>), RandomState>,
    arguments: HashMap<Key, (bool, Box<str>), RandomState>,
}

impl Vocabulary {
    /// A vocabulary under an identity hash; without a lexicon every action is `other` and only the class of a
    /// value tells destinations.
    pub fn new(identity: Identity, lexicon: Option<Lexicon>) -> Self {
        Self { identity, lexicon, actions: HashMap::default(), arguments: HashMap::default() }
    }

    /// The identity hash.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Reads an event. Constant time an argument; allocates only at new names.
    pub fn call<'e, 't>(&mut self, event: &'e AuditEvent<'t>) -> Call<'e, 't> {
        let action = self.identity.of(&event.action);
        let verb = self.verb(action, &event.action);
        let arguments: SmallVec<[ArgumentKeys; 6]> =
            event.arguments.iter().map(|a| self.argument(a)).collect();
        let tier = if arguments.is_empty() {
            Tier::NoArguments
        } else if arguments.iter().all(|a| a.party.is_none()) {
            Tier::None
        } else if arguments.iter().all(|a| a.symbol.is_some() == a.party.is_some()) {
            Tier::Full
        } else {
            Tier::Origin
        };
        Call {
            event,
            agent_type: self.identity.of(event.agent_type()),
            action,
            symbol: symbol_of(action, event.outcome),
            verb,
            resource: event.resource.as_deref().filter(|r| !r.is_empty()).map(|r| self.identity.of(r)),
            arguments,
            tier,
        }
    }

    /// Text of an action, if it was kept.
    pub fn action_name(&self, action: Key) -> Option<&str> {
        self.actions.get(&action).map(|(_, name)| &**name)
    }

    /// Text of the action in a symbol of a sequence, if it was kept. Tries the few outcomes of every name, so
    /// that nothing needs to be kept for it: explanations are rare.
    pub fn symbol_action(&self, symbol: Key) -> Option<&str> {
        let outcomes = [Outcome::Ok, Outcome::Denied, Outcome::Error, Outcome::Unknown];
        let of = |action: Key| outcomes.iter().any(|&outcome| symbol_of(action, outcome) == symbol);
        self.actions.iter().find(|(action, _)| of(**action)).map(|(_, (_, name))| &**name)
    }

    /// Text of an argument's name, if it was kept.
    pub fn argument_name(&self, argument: Key) -> Option<&str> {
        self.arguments.get(&argument).map(|(_, name)| &**name)
    }

    /// Names kept of actions, and of arguments; in the order of their keys.
    pub fn names(&self) -> (Vec<Box<str>>, Vec<Box<str>>) {
        fn sorted<T>(names: &HashMap<Key, (T, Box<str>), RandomState>) -> Vec<Box<str>> {
            let mut names: Vec<(Key, &Box<str>)> =
                names.iter().map(|(key, (_, name))| (*key, name)).collect();
            names.sort_unstable_by_key(|(key, _)| *key);
            names.into_iter().map(|(_, name)| name.clone()).collect()
        }
        (sorted(&self.actions), sorted(&self.arguments))
    }

    /// Learns names that were kept before.
    pub fn learn_names(&mut self, actions: &[Box<str>], arguments: &[Box<str>]) {
        for action in actions {
            self.verb(self.identity.of(action), action);
        }
        for argument in arguments {
            self.is_named(argument);
        }
    }

    fn verb(&mut self, key: Key, name: &str) -> Verb {
        if let Some((verb, _)) = self.actions.get(&key) {
            return *verb;
        }
        let verb = self.lexicon.as_ref().map_or(Verb::Other, |lexicon| lexicon.verb(name));
        if self.actions.len() < NAMES {
            self.actions.insert(key, (verb, name.into()));
        }
        verb
    }

    /// Key of an argument's name, and whether it names a destination.
    fn is_named(&mut self, argument: &str) -> (Key, bool) {
        let key = self.identity.of(argument);
        let named = match self.arguments.get(&key) {
            Some((named, _)) => *named,
            None => {
                let named = self.lexicon.as_ref().is_some_and(|l| l.is_destination(argument));
                if self.arguments.len() < NAMES {
                    self.arguments.insert(key, (named, argument.into()));
                }
                named
            }
        };
        (key, named)
    }

    fn argument(&mut self, argument: &Argument<'_>) -> ArgumentKeys {
        let (name, named) = self.is_named(&argument.name);
        let classed = matches!(argument.class, ValueClass::Email | ValueClass::Url | ValueClass::Iban);
        ArgumentKeys {
            name,
            is_destination: named || classed,
            value: argument.hash.map(|h| mix(h.0, 0x7A1E)),
            symbol: Symbol::of(argument),
            party: argument.origin.map(Party::of),
        }
    }
}

/// What sequences are made of: an action and how it ended.
fn symbol_of(action: Key, outcome: Outcome) -> Key {
    mix(action, outcome as u64)
}
