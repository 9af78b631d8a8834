//! What agents of one type and tenant have in common, kept once for all of them.
//!
//! Knows names. Must not know agents.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

use crate::identity::Key;

/// Type and tenant of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Kin {
    /// Key of the type.
    pub agent_type: Key,
    /// Name of the type. Not saved: whoever restores it knows the types.
    #[serde(skip)]
    pub type_name: Box<str>,
    /// The tenant.
    pub tenant: Option<Box<str>>,
}

/// The kin of the agents of a slice.
#[derive(Debug, Default)]
pub(super) struct Kindred(HashSet<Arc<Kin>, RandomState>);

impl Kindred {
    /// The one for all that are equal.
    pub fn shared(&mut self, kin: Kin) -> Arc<Kin> {
        match self.0.get(&kin) {
            Some(known) => Arc::clone(known),
            None => {
                let kin = Arc::new(kin);
                self.0.insert(Arc::clone(&kin));
                kin
            }
        }
    }

    /// Forgets those that no agent is of any more.
    pub fn forget_unused(&mut self) {
        self.0.retain(|kin| Arc::strong_count(kin) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kin_is_kept_once_and_as_long_as_an_agent_is_of_it() {
        let mut kindred = Kindred::default();
        let kin = |tenant: Option<&str>| Kin {
            agent_type: 7,
            type_name: "helper".into(),
            tenant: tenant.map(Into::into),
        };
        let one = kindred.shared(kin(Some("north")));
        let other = kindred.shared(kin(None));
        assert!(Arc::ptr_eq(&one, &kindred.shared(kin(Some("north")))) && !Arc::ptr_eq(&one, &other));
        drop(other);
        kindred.forget_unused();
        assert_eq!(kindred.0.len(), 1);
    }
}
