//! What was met lately: a bounded set that forgets the oldest half at once.
//!
//! Knows 64-bit keys. Must not know what they stand for.

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

/// Remembers at least the last `capacity` different keys, and at most twice as many: two generations, of which the
/// older is forgotten when the younger is full.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub struct Recent {
    capacity: usize,
    young: HashSet<u64, RandomState>,
    old: HashSet<u64, RandomState>,
}

impl Recent {
    /// An empty set. `capacity`: keys a generation, at least 1; 9 bytes each once they are there.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), young: HashSet::default(), old: HashSet::default() }
    }

    /// Notes a key; returns whether it is new. Constant time.
    #[inline]
    pub fn insert(&mut self, key: u64) -> bool {
        if self.old.contains(&key) || !self.young.insert(key) {
            return false;
        }
        if self.young.len() >= self.capacity {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        true
    }

    /// Whether a key was met lately.
    pub fn contains(&self, key: u64) -> bool {
        self.young.contains(&key) || self.old.contains(&key)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

/// The same, in an order that does not depend on the seed of a map.
#[derive(Serialize, Deserialize)]
struct Saved {
    capacity: usize,
    young: Vec<u64>,
    old: Vec<u64>,
}

impl From<Saved> for Recent {
    fn from(saved: Saved) -> Self {
        Self {
            capacity: saved.capacity.max(1),
            young: saved.young.into_iter().collect(),
            old: saved.old.into_iter().collect(),
        }
    }
}

impl From<Recent> for Saved {
    fn from(recent: Recent) -> Self {
        let sorted = |set: HashSet<u64, RandomState>| {
            let mut keys: Vec<u64> = set.into_iter().collect();
            keys.sort_unstable();
            keys
        };
        Self { capacity: recent.capacity, young: sorted(recent.young), old: sorted(recent.old) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The slow twin: all keys that were new, in the order in which they came.
        #[test]
        fn it_remembers_at_least_the_last_and_is_bounded(keys in prop::collection::vec(0..60u64, 0..400)) {
            let mut recent = Recent::new(10);
            let mut new: Vec<u64> = Vec::new();
            for key in keys {
                let remembered = new.iter().rev().take(10).any(|k| *k == key);
                let fresh = recent.insert(key);
                prop_assert!(!(fresh && remembered), "{} was among the last ten", key);
                prop_assert!(fresh || new.contains(&key));
                prop_assert!(recent.young.len() + recent.old.len() <= 20);
                if fresh {
                    new.push(key);
                }
            }
        }
    }

    #[test]
    fn what_is_saved_does_not_depend_on_seeds_and_comes_back() {
        let (mut a, mut b) = (Recent::new(100), Recent::new(100));
        for key in 0..150 {
            assert!(a.insert(key) && b.insert(key));
        }
        let saved = |recent: &Recent| serde_json::to_string(recent).unwrap();
        assert_eq!(saved(&a), saved(&b));
        let mut back: Recent = serde_json::from_str(&saved(&a)).unwrap();
        assert!(!back.insert(149) && !back.insert(3) && back.insert(150));
    }
}
