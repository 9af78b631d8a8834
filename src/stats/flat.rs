//! A flat hash table for entries that are hashed already.
//!
//! Knows entries that say where they belong. Must not know what they hold.
//!
//! Judging an event looks up some twenty entries at random, in tables too large for the processor's caches, so
//! that a look-up costs as much as the memory lines it touches. A table of control bytes beside the entries, as
//! general hash tables have it, makes that two lines at least; here it is one.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
/// With how much a table begins: less is hardly less, once the allocator has added its own.
const FIRST_BYTES: usize = 128;

/// What a [`Flat`] holds. Its default value is an empty place.
pub trait Slot: Copy + Default {
    /// Whether nothing lies here.
    fn is_empty(&self) -> bool;

    /// Where it belongs: 64 bits of which the low ones are as good as random.
    fn home(&self) -> u64;
}

/// Entries found by their home. Open addressing with linear probing in a power of two of places, at most three
/// quarters of them full (Knuth, *The Art of Computer Programming* 3, 2nd ed., §6.4, algorithm L).
///
/// What it holds does not depend on the order of inserting; where it lies does, so that iteration must not show.
#[derive(Clone, Debug)]
pub struct Flat<S> {
    slots: Box<[S]>,
    len: usize,
}

/// In the order of homes, so that equal tables are written alike.
impl<S: Slot + Serialize> Serialize for Flat<S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let mut entries: Vec<&S> = self.iter().collect();
        entries.sort_by_key(|entry| entry.home());
        serializer.collect_seq(entries)
    }
}

impl<'de, S: Slot + Deserialize<'de>> Deserialize<'de> for Flat<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<S>::deserialize(deserializer)?;
        let mut flat = Self::default();
        flat.reserve(entries.len());
        for entry in entries {
            if entry.is_empty() {
                return Err(D::Error::custom("an entry of a table is empty"));
            }
            flat.insert(entry);
        }
        Ok(flat)
    }
}

impl<S> Default for Flat<S> {
    fn default() -> Self {
        Self { slots: Box::default(), len: 0 }
    }
}

impl<S: Slot> Flat<S> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entry with this home of which `is` holds. Constant time.
    #[inline]
    pub fn find(&self, home: u64, is: impl Fn(&S) -> bool) -> Option<&S> {
        self.slots.get(self.place(home, is)?).filter(|slot| !slot.is_empty())
    }

    /// What lies right at a home: most often the entry that belongs there, if there is one.
    #[inline]
    pub fn at_home(&self, home: u64) -> Option<&S> {
        self.slots.get(home as usize & self.slots.len().wrapping_sub(1))
    }

    /// Brings the entries with these homes near the processor, so that a look-up right afterwards does not wait. Their
    /// memory is asked for all at once, where look-ups one after the other would wait for each. Changes nothing.
    pub fn fetch(&self, homes: impl Iterator<Item = u64>) {
        let fetched = homes.filter_map(|home| self.at_home(home)).fold(0, |sum, slot| sum ^ slot.home());
        std::hint::black_box(fetched);
    }

    /// [`Flat::find`], to change the entry. It must keep its home and must not become empty.
    #[inline]
    pub fn find_mut(&mut self, home: u64, is: impl Fn(&S) -> bool) -> Option<&mut S> {
        let place = self.place(home, is)?;
        self.slots.get_mut(place).filter(|slot| !slot.is_empty())
    }

    /// Adds an entry, which must not be empty and not be there yet. Constant time, but for growing.
    pub fn insert(&mut self, entry: S) {
        debug_assert!(!entry.is_empty());
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.settle(entry);
        self.len += 1;
    }

    /// Makes room for so many entries in all.
    pub fn reserve(&mut self, entries: usize) {
        let places = (entries * 4).div_ceil(3).next_power_of_two();
        if places > self.slots.len() {
            self.resize(places);
        }
    }

    /// All entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &S> {
        self.slots.iter().filter(|slot| !slot.is_empty())
    }

    /// All entries, to change them, in no particular order. They must keep their homes and not become empty.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut S> {
        self.slots.iter_mut().filter(|slot| !slot.is_empty())
    }

    /// Keeps the entries of which `keep` holds. It may change them as [`Flat::iter_mut`] may. Linear; asks for
    /// no memory.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut S) -> bool) {
        // No entry's way from its home to its place leads over this one; after some are taken out, that is no longer
        // known of any other.
        let Some(border) = self.slots.iter().position(Slot::is_empty) else { return };
        for slot in self.slots.iter_mut().filter(|slot| !slot.is_empty()) {
            if !keep(slot) {
                *slot = S::default();
                self.len -= 1;
            }
        }
        // The way of an entry may lead over places that are empty now: each is settled anew, in an order in which all
        // that lie before it on its way have been settled already.
        for place in (border..self.slots.len()).chain(0..border) {
            if let Some(slot) = self.slots.get_mut(place).filter(|slot| !slot.is_empty()) {
                let entry = std::mem::take(slot);
                self.settle(entry);
            }
        }
    }

    /// Takes all entries out, in the order of `key`, and keeps the memory.
    pub fn drain_sorted<K: Ord>(&mut self, key: impl FnMut(&S) -> K, each: impl FnMut(S)) {
        let mut full = 0;
        for place in 0..self.slots.len() {
            if self.slots.get(place).is_some_and(|slot| !slot.is_empty()) {
                self.slots.swap(full, place);
                full += 1;
            }
        }
        self.len = 0;
        let entries = self.slots.get_mut(..full).unwrap_or_default();
        entries.sort_unstable_by_key(key);
        entries.iter_mut().map(std::mem::take).for_each(each);
    }

    /// Forgets all entries and keeps the memory.
    pub fn clear(&mut self) {
        self.slots.fill(S::default());
        self.len = 0;
    }

    /// The place of the entry with this home of which `is` holds, or of the empty place where it would be; none
    /// in a table without places.
    #[inline]
    fn place(&self, home: u64, is: impl Fn(&S) -> bool) -> Option<usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut place = home as usize & mask;
        // Ends, because a quarter of the places is empty.
        loop {
            let slot = self.slots.get(place)?;
            if slot.is_empty() || is(slot) {
                return Some(place);
            }
            place = (place + 1) & mask;
        }
    }

    /// Puts an entry into the first empty place from its home on.
    fn settle(&mut self, entry: S) {
        let place = self.place(entry.home(), |_| false);
        if let Some(slot) = place.and_then(|place| self.slots.get_mut(place)) {
            *slot = entry;
        }
    }

    fn grow(&mut self) {
        let first = (FIRST_BYTES / size_of::<S>()).next_power_of_two().max(8);
        self.resize((self.slots.len() * 2).max(first));
    }

    fn resize(&mut self, places: usize) {
        let old = std::mem::replace(&mut self.slots, vec![S::default(); places].into_boxed_slice());
        for entry in old.into_iter().filter(|slot| !slot.is_empty()) {
            self.settle(entry);
        }
    }
}

impl Slot for u64 {
    fn is_empty(&self) -> bool {
        *self == 0
    }

    fn home(&self) -> u64 {
        *self
    }
}

impl Slot for u32 {
    fn is_empty(&self) -> bool {
        *self == 0
    }

    fn home(&self) -> u64 {
        u64::from(*self)
    }
}

/// A set of keys that are hashed already; 0 is no key. 4 or 8 bytes a place.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "K: Slot + Serialize", deserialize = "K: Slot + Deserialize<'de>"))]
pub struct KeySet<K>(Flat<K>);

impl<K> Default for KeySet<K> {
    fn default() -> Self {
        Self(Flat::default())
    }
}

impl<K: Slot + PartialEq> KeySet<K> {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key is there.
    #[inline]
    pub fn contains(&self, key: K) -> bool {
        self.0.find(key.home(), |known| *known == key).is_some()
    }

    /// Adds a key; false when it was there, and for 0.
    #[inline]
    pub fn insert(&mut self, key: K) -> bool {
        let new = !key.is_empty() && !self.contains(key);
        if new {
            self.0.insert(key);
        }
        new
    }

    /// All keys, in the order of their numbers.
    pub fn sorted(&self) -> Vec<K>
    where
        K: Ord,
    {
        let mut keys: Vec<K> = self.0.iter().copied().collect();
        keys.sort_unstable();
        keys
    }

    /// Makes room for so many keys.
    pub fn reserve(&mut self, keys: usize) {
        self.0.reserve(keys);
    }

    /// Forgets all keys and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// A set of shortened keys of which the first `NEAR` lie in the set itself: most sets never hold more, and need no
/// memory but their own. One that does has room for four times as many from then on. 0 is no key.
#[derive(Clone, Debug)]
pub struct ShortSet<const NEAR: usize> {
    near: [u32; NEAR],
    far: Option<Box<KeySet<u32>>>,
}

impl<const NEAR: usize> Serialize for ShortSet<NEAR> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        // Memory that is kept for later is not part of what it holds.
        let far = self.far.as_ref().filter(|far| !far.is_empty());
        (self.near.as_slice(), far).serialize(serializer)
    }
}

impl<'de, const NEAR: usize> Deserialize<'de> for ShortSet<NEAR> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (near, far) = <(Vec<u32>, Option<Box<KeySet<u32>>>)>::deserialize(deserializer)?;
        let near = near.try_into().map_err(|_| D::Error::custom("a set of another size"))?;
        Ok(Self { near, far })
    }
}

impl<const NEAR: usize> Default for ShortSet<NEAR> {
    fn default() -> Self {
        Self { near: [0; NEAR], far: None }
    }
}

impl<const NEAR: usize> ShortSet<NEAR> {
    /// Adds a key, unless the set holds `most` already; false when it did, when the key was there, and for 0.
    #[inline]
    pub fn insert(&mut self, key: u32, most: usize) -> bool {
        // All are compared before any is looked at, so that the compiler compares many at once.
        if key == 0 || self.near.iter().fold(false, |found, &near| found | (near == key)) {
            return false;
        }
        match self.near.iter_mut().find(|near| **near == 0) {
            Some(place) => {
                *place = key;
                true
            }
            None if NEAR + self.far.as_ref().map_or(0, |far| far.len()) >= most => false,
            None => {
                let far = self.far.get_or_insert_default();
                far.reserve(3 * NEAR);
                far.insert(key)
            }
        }
    }

    /// Reads something of each of its lines, so that they lie near the processor.
    pub fn touch(&self) -> u64 {
        let sum = self.near.iter().step_by(8).fold(0, |sum, key| sum ^ key);
        u64::from(sum) ^ u64::from(self.far.is_some())
    }

    /// Forgets all keys and keeps the memory.
    pub fn clear(&mut self) {
        self.near = [0; NEAR];
        if let Some(far) = &mut self.far {
            far.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    struct Entry {
        home: u64,
        id: u64,
    }

    impl Slot for Entry {
        fn is_empty(&self) -> bool {
            self.id == 0
        }

        fn home(&self) -> u64 {
            self.home
        }
    }

    /// Few homes, at both ends of the table: long ways, and ways that lead over the end.
    fn entries() -> impl Strategy<Value = BTreeMap<u64, u64>> {
        prop::collection::btree_map(1u64..500, prop_oneof![0u64..6, Just(u64::MAX), any::<u64>()], 0..200)
    }

    fn filled(entries: &BTreeMap<u64, u64>) -> Flat<Entry> {
        let mut flat = Flat::default();
        entries.iter().for_each(|(&id, &home)| flat.insert(Entry { home, id }));
        flat
    }

    proptest! {
        #[test]
        fn what_was_put_in_is_found_and_nothing_else(entries in entries(), dropped in any::<u64>()) {
            let mut flat = filled(&entries);
            let mut twin = entries.clone();
            for _ in 0..2 {
                prop_assert_eq!(flat.len(), twin.len());
                prop_assert_eq!(flat.iter().count(), twin.len());
                for id in 1..500 {
                    let home = entries.get(&id).copied().unwrap_or(id);
                    let found = flat.find(home, |e| e.id == id).is_some();
                    prop_assert_eq!(found, twin.contains_key(&id), "{}", id);
                }
                let keep = |id: u64| !(id ^ dropped).is_multiple_of(3);
                flat.retain(|e| keep(e.id));
                twin.retain(|&id, _| keep(id));
            }
        }

        #[test]
        fn entries_leave_in_order_and_the_table_can_be_used_again(entries in entries()) {
            let mut flat = filled(&entries);
            let mut left = Vec::new();
            flat.drain_sorted(|e| e.id, |e| left.push(e.id));
            prop_assert_eq!(left, entries.keys().copied().collect::<Vec<_>>());
            prop_assert!(flat.is_empty() && flat.iter().next().is_none());
            for (&id, &home) in &entries {
                prop_assert!(flat.find(home, |e| e.id == id).is_none());
                flat.insert(Entry { home, id });
            }
            prop_assert_eq!(flat.len(), entries.len());
        }

        #[test]
        fn a_set_knows_its_keys(keys in prop::collection::vec(0u64..100, 0..200)) {
            let mut set = KeySet::default();
            let mut twin = std::collections::BTreeSet::new();
            for key in keys {
                prop_assert_eq!(set.insert(key), key > 0 && twin.insert(key));
            }
            prop_assert_eq!(set.len(), twin.len());
            set.clear();
            prop_assert!(set.is_empty() && !twin.iter().any(|&key| set.contains(key)));
        }

        #[test]
        fn a_set_of_short_keys_takes_each_once_and_no_more_than_it_may(
            keys in prop::collection::vec(0u32..100, 0..200), most in 8usize..60,
        ) {
            let mut set = ShortSet::<8>::default();
            for _ in 0..2 {
                let mut twin = std::collections::BTreeSet::new();
                for &key in &keys {
                    let taken = key > 0 && twin.len() < most && twin.insert(key);
                    prop_assert_eq!(set.insert(key, most), taken);
                }
                set.clear();
            }
        }
    }

    #[test]
    fn a_set_that_was_used_before_is_saved_like_a_new_one() {
        let (mut used, new) = (ShortSet::<8>::default(), ShortSet::<8>::default());
        (1..50).for_each(|key| assert!(used.insert(key, 100)));
        used.clear();
        let saved = |set: &ShortSet<8>| serde_json::to_string(set).unwrap();
        assert_eq!(saved(&used), saved(&new));
    }
}
