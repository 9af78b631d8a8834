//! What was met lately: a bounded set that forgets the oldest half at once.
//!
//! Knows 64-bit keys. Must not know what they stand for.

use serde::{Deserialize, Serialize};

use super::flat::{Flat, Slot};

/// Remembers at least the last `capacity` different keys, and at most twice as many: two generations, of which the
/// older is forgotten when the younger is full. Both lie in one table, so that a look at a key is a look at one place.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub struct Recent {
    capacity: usize,
    /// Keys of the younger generation.
    young: usize,
    /// The mark of the younger generation.
    running: u64,
    met: Flat<Met>,
}

/// A key without its lowest bit, which marks its generation. Two keys that differ in that bit alone are taken for one: one
/// pair in nine quintillions.
#[derive(Clone, Copy, Debug, Default)]
struct Met(u64);

impl Met {
    /// A key under a mark; keys must not become empty places.
    fn new(key: u64, mark: u64) -> Self {
        Self((key & !1).max(2) | mark)
    }

    fn key(self) -> u64 {
        self.0 & !1
    }

    fn mark(self) -> u64 {
        self.0 & 1
    }
}

impl Slot for Met {
    fn is_empty(&self) -> bool {
        self.0 == 0
    }

    fn home(&self) -> u64 {
        self.0 >> 1
    }
}

impl Recent {
    /// An empty set. `capacity`: keys a generation, at least 1; 16 bytes each once they are there.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), young: 0, running: 0, met: Flat::default() }
    }

    /// Notes a key; returns whether it is new. Constant time, but for every `capacity`-th.
    #[inline]
    pub fn insert(&mut self, key: u64) -> bool {
        if self.contains(key) {
            return false;
        }
        self.met.insert(Met::new(key, self.running));
        self.young += 1;
        if self.young >= self.capacity {
            let running = self.running;
            self.met.retain(|met| met.mark() == running);
            self.running ^= 1;
            self.young = 0;
        }
        true
    }

    /// Whether a key was met lately.
    #[inline]
    pub fn contains(&self, key: u64) -> bool {
        let wanted = Met::new(key, 0);
        self.met.find(wanted.home(), |met| met.key() == wanted.key()).is_some()
    }

    /// Notes everything that another set has met: first what it met longer ago.
    pub fn meet_all(&mut self, other: &Self) {
        for mark in [other.running ^ 1, other.running] {
            for key in other.generation(mark) {
                self.insert(key);
            }
        }
    }

    /// Brings what is known of these keys near the processor; see [`Flat::fetch`].
    pub fn fetch(&self, keys: impl Iterator<Item = u64>) {
        self.met.fetch(keys.map(|key| Met::new(key, 0).home()));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.met.clear();
        self.young = 0;
    }

    fn generation(&self, mark: u64) -> Vec<u64> {
        let mut keys: Vec<u64> =
            self.met.iter().filter(|met| met.mark() == mark).map(|met| met.key()).collect();
        keys.sort_unstable();
        keys
    }
}

/// The same, in an order that does not depend on places.
#[derive(Serialize, Deserialize)]
struct Saved {
    capacity: usize,
    young: Vec<u64>,
    old: Vec<u64>,
}

impl From<Saved> for Recent {
    fn from(saved: Saved) -> Self {
        let mut recent = Self { young: saved.young.len(), ..Self::new(saved.capacity) };
        recent.met.reserve(saved.young.len() + saved.old.len());
        for (keys, mark) in [(saved.young, 0), (saved.old, 1)] {
            keys.into_iter().for_each(|key| recent.met.insert(Met::new(key, mark)));
        }
        recent
    }
}

impl From<Recent> for Saved {
    fn from(recent: Recent) -> Self {
        Self {
            capacity: recent.capacity,
            young: recent.generation(recent.running),
            old: recent.generation(recent.running ^ 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_that_meets_all_of_another_knows_both() {
        let (mut one, mut other) = (Recent::new(10), Recent::new(10));
        for key in (2..12).step_by(2) {
            one.insert(key);
            other.insert(key + 100);
        }
        one.meet_all(&other);
        assert!((2..12).step_by(2).all(|key| one.contains(key) && one.contains(key + 100)));
    }

    proptest! {
        /// The slow twin: all keys that were new, in the order in which they came.
        #[test]
        fn it_remembers_at_least_the_last_and_is_bounded(keys in prop::collection::vec((1..60u64).prop_map(|key| key * 2), 0..400)) {
            let mut recent = Recent::new(10);
            let mut new: Vec<u64> = Vec::new();
            for key in keys {
                let remembered = new.iter().rev().take(10).any(|k| *k == key);
                let fresh = recent.insert(key);
                prop_assert!(!(fresh && remembered), "{} was among the last ten", key);
                prop_assert!(fresh || new.contains(&key));
                prop_assert!(recent.met.len() <= 20 && recent.young < 10);
                if fresh {
                    new.push(key);
                }
            }
        }
    }

    #[test]
    fn what_is_saved_does_not_depend_on_seeds_and_comes_back() {
        let (mut a, mut b) = (Recent::new(100), Recent::new(100));
        for key in (2..302).step_by(2) {
            assert!(a.insert(key) && b.insert(key));
        }
        let saved = |recent: &Recent| serde_json::to_string(recent).unwrap();
        assert_eq!(saved(&a), saved(&b));
        let mut back: Recent = serde_json::from_str(&saved(&a)).unwrap();
        assert!(!back.insert(300) && !back.insert(6) && back.insert(302));
    }
}
