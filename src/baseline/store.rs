//! A bounded table of agents.
//!
//! Knows that agents have identity hashes and were seen. Must not know what else is kept of an agent.

use crate::stats::flat::{self, Flat};

/// Share of a full table that makes room at once, so that a flood of new agents costs a sort for each sixteenth and not
/// for each agent.
const LEAVING: usize = 16;

/// What a [`Store`] holds.
pub trait Entry {
    /// Its identity hash, which never changes.
    fn id(&self) -> u64;

    /// When it was last seen. Milliseconds since 1970.
    fn last_seen(&self) -> i64;
}

/// At most `capacity` entries, found by identity hash. Those seen longest ago make room for new ones.
#[derive(Debug)]
pub struct Store<T> {
    capacity: usize,
    index: Flat<Pointer>,
    slots: Vec<T>,
    evicted: u64,
}

/// Where an entry lies: 8 bytes, so that a look-up touches one line. The upper half of the id may be alike for all ids of a
/// store; the lower half is as good as random.
#[derive(Clone, Copy, Debug, Default)]
struct Pointer {
    /// Lower half of the id.
    id: u32,
    /// The slot, plus one.
    next: u32,
}

impl flat::Slot for Pointer {
    fn is_empty(&self) -> bool {
        self.next == 0
    }

    fn home(&self) -> u64 {
        u64::from(self.id)
    }
}

impl Pointer {
    fn new(id: u64, slot: usize) -> Self {
        Self { id: id as u32, next: slot as u32 + 1 }
    }

    fn slot(self) -> usize {
        self.next.saturating_sub(1) as usize
    }
}

impl<T: Entry> Store<T> {
    /// An empty store for at most `capacity` entries (at least 1).
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), index: Flat::default(), slots: Vec::new(), evicted: 0 }
    }

    /// A store with entries as of [`Store::iter`].
    pub fn restore(capacity: usize, entries: Vec<T>, evicted: u64) -> Self {
        let mut store = Self { evicted, ..Self::new(capacity) };
        for entry in entries {
            store.insert(entry);
        }
        store
    }

    /// Entries that it holds at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// From now on it holds at most so many (at least 1). What is too much leaves as new entries need room.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity.max(1);
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether the next new entry needs room.
    pub fn is_full(&self) -> bool {
        self.slots.len() >= self.capacity
    }

    /// Entries that had to make room so far.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Counts entries that had to make room elsewhere.
    pub fn count_evicted(&mut self, evicted: u64) {
        self.evicted += evicted;
    }

    /// The slot of an entry that is there.
    pub fn find(&self, id: u64) -> Option<usize> {
        let is = |pointer: &Pointer| {
            pointer.id == id as u32 && self.slots.get(pointer.slot()).is_some_and(|entry| entry.id() == id)
        };
        self.index.find(u64::from(id as u32), is).map(|pointer| pointer.slot())
    }

    /// Brings near the processor what is needed to find an entry. Changes nothing.
    pub fn fetch(&self, id: u64) {
        self.index.fetch(std::iter::once(u64::from(id as u32)));
    }

    /// Adds an entry that is not there yet; returns its slot.
    pub fn insert(&mut self, entry: T) -> usize {
        let slot = self.slots.len();
        self.index.insert(Pointer::new(entry.id(), slot));
        self.slots.push(entry);
        slot
    }

    /// The entry in a slot.
    pub fn get(&self, slot: usize) -> Option<&T> {
        self.slots.get(slot)
    }

    /// The entry in a slot.
    pub fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.slots.get_mut(slot)
    }

    /// All entries, in the order in which they came or were sorted by the last eviction.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter()
    }

    /// All entries, in the same order. They must keep their ids.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut()
    }

    /// All entries, in the same order.
    pub fn into_entries(self) -> impl Iterator<Item = T> {
        self.slots.into_iter()
    }

    /// Takes out a sixteenth of the entries (at least one): those of the lowest `worth`, of these the ones seen longest ago,
    /// ties by id. In the order in which they leave. O(n log n).
    pub fn evict<W: Ord>(&mut self, worth: impl Fn(&T) -> W) -> Vec<T> {
        // Where there are too many, more leave than come; not all at once, for somebody is told of each.
        let least = if self.slots.len() > self.capacity { 2 } else { 1 };
        let leaving = (self.slots.len() / LEAVING).max(least).min(self.slots.len());
        self.slots.sort_by_cached_key(|s| (worth(s), s.last_seen(), s.id()));
        let gone = self.slots.drain(..leaving).collect();
        self.evicted += leaving as u64;
        self.index.clear();
        for (slot, s) in self.slots.iter().enumerate() {
            self.index.insert(Pointer::new(s.id(), slot));
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Id and when it was last seen.
    #[derive(Clone, Copy)]
    struct Seen(u64, i64);

    impl Entry for Seen {
        fn id(&self) -> u64 {
            self.0
        }

        fn last_seen(&self) -> i64 {
            self.1
        }
    }

    fn meet(store: &mut Store<Seen>, id: u64, seen: i64) -> Vec<u64> {
        if let Some(slot) = store.find(id) {
            store.get_mut(slot).unwrap().1 = seen;
            return Vec::new();
        }
        let gone = if store.is_full() {
            store.evict(|Seen(id, _)| if *id == 1 { 2 } else { u32::from(*id == 2) })
        } else {
            Vec::new()
        };
        store.insert(Seen(id, seen));
        gone.into_iter().map(|gone| gone.0).collect()
    }

    #[test]
    fn what_is_too_much_once_less_is_allowed_leaves_as_new_entries_need_room() {
        let mut store = Store::new(64);
        (0..64).for_each(|id| drop(meet(&mut store, id, id as i64)));
        store.set_capacity(8);
        assert_eq!((store.len(), store.is_full()), (64, true));
        for id in 100..400 {
            meet(&mut store, id, id as i64);
        }
        assert!(store.len() <= 8, "{}", store.len());
        store.set_capacity(0);
        assert_eq!(store.capacity(), 1);
    }

    #[test]
    fn the_agents_seen_longest_ago_make_room() {
        let mut store = Store::new(32);
        let mut gone = Vec::new();
        for id in 0..100u64 {
            gone.extend(meet(&mut store, id, id as i64));
            gone.extend(meet(&mut store, 3, id as i64));
        }
        assert!(store.len() <= 32);
        let kept: Vec<u64> = store.iter().map(Entry::id).collect();
        assert!(kept.contains(&99) && kept.contains(&3) && !kept.contains(&10));
        assert!(kept.contains(&1) && kept.contains(&2), "they are worth more");
        assert!(gone.is_sorted() && !gone.contains(&1));
        assert_eq!(store.evicted() as usize + store.len(), 100);
    }

    #[test]
    fn what_is_worth_most_stays_longest_however_long_ago_it_was_seen() {
        let mut store = Store::new(3);
        for (id, seen) in [(10, 5), (30, 1), (20, 9)] {
            store.insert(Seen(id, seen));
        }
        let left = |store: &mut Store<Seen>| store.evict(|entry| entry.0).first().map(|entry| entry.0);
        assert_eq!([left(&mut store), left(&mut store), left(&mut store)], [Some(10), Some(20), Some(30)]);
    }

    #[test]
    fn the_bound_holds_even_if_all_are_protected() {
        let mut store = Store::new(4);
        for id in 0..9 {
            if store.is_full() {
                store.evict(|_| 1);
            }
            store.insert(Seen(id, id as i64));
        }
        assert!(store.len() <= 4 && store.find(8).is_some());
    }
}
