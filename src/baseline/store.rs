//! A bounded table of agents.
//!
//! Knows identity hashes and when each agent was last seen. Must not know what is kept of an agent.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// At most `capacity` entries, found by identity hash. The one seen longest ago makes room for a new one.
#[derive(Debug)]
pub struct Store<T> {
    capacity: usize,
    index: HashMap<u64, u32, RandomState>,
    slots: Vec<Slot<T>>,
    evicted: u64,
}

#[derive(Debug)]
struct Slot<T> {
    id: u64,
    last_seen: i64,
    value: T,
}

impl<T> Store<T> {
    /// An empty store for at most `capacity` entries (at least 1).
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), index: HashMap::default(), slots: Vec::new(), evicted: 0 }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Entries that had to make room so far.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The slot of an agent, made by `birth` where there is none; notes when it was seen (ms since 1970).
    ///
    /// Constant time; when the store is full, linear: the capacity is meant to be out of reach.
    pub fn slot(&mut self, id: u64, seen: i64, birth: impl FnOnce() -> T) -> usize {
        if let Some(&slot) = self.index.get(&id) {
            if let Some(s) = self.slots.get_mut(slot as usize) {
                s.last_seen = s.last_seen.max(seen);
            }
            return slot as usize;
        }
        if self.slots.len() >= self.capacity {
            self.evict();
        }
        let slot = self.slots.len();
        self.slots.push(Slot { id, last_seen: seen, value: birth() });
        self.index.insert(id, slot as u32);
        slot
    }

    /// The slot of an agent that is there.
    pub fn find(&self, id: u64) -> Option<usize> {
        self.index.get(&id).map(|&slot| slot as usize)
    }

    /// The entry in a slot.
    pub fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.slots.get_mut(slot).map(|s| &mut s.value)
    }

    /// All entries with their ids, in no particular order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut T)> {
        self.slots.iter_mut().map(|s| (s.id, &mut s.value))
    }

    /// Removes the sixteenth of the entries seen longest ago (at least one), ties by id: many at once, so
    /// that a flood of new agents costs a scan for each sixteenth and not for each agent.
    fn evict(&mut self) {
        let leaving = (self.slots.len() / 16).max(1);
        self.slots.sort_unstable_by_key(|s| (s.last_seen, s.id));
        self.slots.drain(..leaving.min(self.slots.len()));
        self.evicted += leaving as u64;
        self.index.clear();
        for (slot, s) in self.slots.iter().enumerate() {
            self.index.insert(s.id, slot as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_seen_longest_ago_make_room() {
        let mut store = Store::new(32);
        for id in 0..100u64 {
            store.slot(id, id as i64, || id);
            store.slot(3, id as i64, || 3);
        }
        assert!(store.len() <= 32);
        let kept: Vec<u64> = store.iter_mut().map(|(id, _)| id).collect();
        assert!(kept.contains(&99) && kept.contains(&3) && !kept.contains(&10));
        assert_eq!(store.evicted() as usize + store.len(), 100);
    }
}
