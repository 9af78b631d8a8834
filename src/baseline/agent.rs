//! What one agent is used to: the keys it touches, counted in active hours.
//!
//! Knows keys and hours. Must not know other agents.

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use thin_vec::{ThinVec, thin_vec};

use super::learning::RENEWAL;
use crate::stats::category::PitmanYor;
use crate::stats::decay::VOTE;

/// Keys an agent remembers at most; the rarest makes room for a new one.
pub const KEYS: usize = 48;
/// Keys that are compared at once; the room for keys is a multiple of it.
const GROUP: usize = 8;
/// Words of one bit for each of 256 groups of keys.
const NEW_WORDS: usize = 8;

/// An agent that goes on using a key says so again once in so long, at most. Nine days, a fifth of the half-life of its
/// vote. Hours.
const RENEW_EVERY: i64 = 9 * 24;
/// Votes of an agent that was gone for years.
const MOST_RENEWALS: u8 = 8;

/// How often an agent has to renew a vote that it cast or renewed in an earlier hour (hours since 1970) to give back what has
/// faded of it; 0 within the same nine days.
///
/// # Formula
///
/// (1 − 2^(−k/5))/[`RENEWAL`], rounded: k spells of nine days at a half-life of five of them.
pub fn renewals(before: i64, hour: i64) -> u8 {
    let spells = hour.div_euclid(RENEW_EVERY) - before.div_euclid(RENEW_EVERY);
    if spells <= 0 {
        return 0;
    }
    let faded = 1.0 - (-(spells as f64) / 5.0).exp2();
    ((faded * VOTE as f64 / RENEWAL as f64).round() as u8).min(MOST_RENEWALS)
}

/// What a key is a key of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum KeySpace {
    /// Things acted upon.
    Resource = 0,
    /// Operations called.
    Action = 1,
    /// Places that something is sent to: hashed values of destination-like arguments.
    Destination = 2,
}

impl KeySpace {
    /// Every key space, in order.
    pub const ALL: [Self; 3] = [Self::Resource, Self::Action, Self::Destination];

    /// The name used in explanations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Action => "action",
            Self::Destination => "destination",
        }
    }

    /// Salt that keeps the key spaces apart in a table.
    pub fn context(self) -> u64 {
        0xACCE_5500 + self as u64
    }
}

/// The keys one agent has used.
///
/// A key is counted once per *active hour*, not per event, so that a burst cannot make itself familiar.
///
/// Every event of the agent looks through all of them: shortened keys lie side by side, apart from what is counted,
/// so that a look at all of them touches three lines of memory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Familiar {
    /// Shortened keys, then as many [`Uses`], of which the first `len` of each are in use. Behind those, once there is room for
    /// [`KEYS`], which keys were met in the running hour for the first time, by their hash: one of them that made room since
    /// and comes back is not new once more. Two in the same group are one, so that some are not counted.
    cells: ThinVec<u32>,
    len: u8,
    /// Σ hours over all keys ever held, evicted ones too, without the running hour. Per key space.
    hours: [u32; 3],
    /// Different keys ever held, without those first used in the running hour. Per key space.
    kinds: [u32; 3],
    /// The same two, for the running hour alone.
    running: [(u16, u16); 3],
    /// Surprise of the resources that were new in the running hour, together. Bits.
    surprise: f32,
    /// The running hour. Hours since 1970.
    hour: i32,
}

/// In how many hours a key was used, and in which one last; in one number.
#[derive(Clone, Copy)]
struct Uses {
    hours: u16,
    /// Hours since 1970, without what exceeds 16 bits: an agent that comes back after seven years may be mistaken.
    last: u16,
}

impl Uses {
    fn new(number: u32) -> Self {
        Self { hours: (number >> 16) as u16, last: number as u16 }
    }

    fn number(self) -> u32 {
        u32::from(self.hours) << 16 | u32::from(self.last)
    }
}

/// What an agent knew of a key before the running hour.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Familiarity {
    /// Earlier hours in which it used this key.
    pub hours: f64,
    /// Σ of such hours over all its keys of the space.
    pub all_hours: f64,
    /// Different keys of the space.
    pub kinds: f64,
    /// Whether the agent used this key now for the first time that it remembers.
    pub first: bool,
    /// How often it has to renew its vote for the key; see [`renewals`].
    pub renewals: u8,
}

impl Familiarity {
    /// Probability that the agent's next key is one it never used, in (0, 1].
    ///
    /// # Formula
    ///
    /// (θ + d·kinds)/(θ + n): the mass a Pitman–Yor process keeps for new symbols (Teh, ACL 2006, eq. 4, with the
    /// discounted mass of whole counts).
    pub fn novelty_rate(&self, law: PitmanYor) -> f64 {
        (law.strength + law.discount * self.kinds) / (law.strength + self.all_hours)
    }
}

impl Familiar {
    /// Notes that a key is used in an hour and tells how familiar it was before that hour.
    ///
    /// O([`KEYS`]). Allocates only while the agent is young.
    pub fn meet(&mut self, space: KeySpace, key: u64, hour: i64) -> Familiarity {
        self.meet_and_forget(space, key, hour).0
    }

    /// [`Familiar::meet`], and the key that made room, [`shortened`].
    pub fn meet_and_forget(&mut self, space: KeySpace, key: u64, hour: i64) -> (Familiarity, Option<u32>) {
        self.turn(hour);
        let short = shortened(space, key);
        let at = space as usize;
        let (mut first, mut renewed, mut earlier, mut forgotten) = (false, 0, 0, None);
        let mut running = (0, 0);
        let known = self.place(short);
        let (_, all_uses, _) = self.parts_mut();
        match known.and_then(|place| all_uses.get_mut(place)) {
            Some(number) => {
                let mut uses = Uses::new(*number);
                let met_this_hour = uses.last == hour as u16;
                earlier = uses.hours - u16::from(met_this_hour);
                if !met_this_hour {
                    let ago = i64::from((hour as u16).wrapping_sub(uses.last));
                    renewed = renewals(hour - ago, hour);
                    uses.hours = uses.hours.saturating_add(1);
                    uses.last = hour as u16;
                    running = (1, 0);
                    *number = uses.number();
                }
            }
            None => {
                first = true;
                let is_full = usize::from(self.len) == KEYS;
                let place = self.place_for_one(hour);
                // Before any had to make room, what is not there was never met.
                if self.is_new_in_hour(short) || !is_full {
                    running = (1, 1);
                }
                let (keys, all_uses, _) = self.parts_mut();
                if let (Some(key), Some(number)) = (keys.get_mut(place), all_uses.get_mut(place)) {
                    forgotten = is_full.then_some(*key);
                    *key = short;
                    *number = Uses { hours: 1, last: hour as u16 }.number();
                }
            }
        }
        let of = |all: [u32; 3]| all.get(at).copied().map_or(0.0, f64::from);
        let familiarity = Familiarity {
            hours: f64::from(earlier),
            all_hours: of(self.hours),
            kinds: of(self.kinds),
            first,
            renewals: renewed,
        };
        if let Some(slot) = self.running.get_mut(at) {
            *slot = (slot.0.saturating_add(running.0), slot.1.saturating_add(running.1));
        }
        (familiarity, forgotten)
    }

    /// What was learned counts for so much less: every key stays known, and new ones surprise less.
    ///
    /// * `by`: what hours are divided by, > 0.
    pub fn discount(&mut self, by: u16) {
        let (_, all_uses, _) = self.parts_mut();
        for number in all_uses {
            let uses = Uses::new(*number);
            *number = Uses { hours: uses.hours.div_ceil(by), ..uses }.number();
        }
        // Never less than the sum over keys, each of which was rounded up.
        for (hours, kinds) in self.hours.iter_mut().zip(self.kinds) {
            *hours = (*hours).min(*hours / u32::from(by) + kinds);
        }
    }

    /// How familiar a key is, without using it.
    #[cfg(test)]
    fn look(&self, space: KeySpace, key: u64) -> Familiarity {
        let known = self.place(shortened(space, key));
        let uses = known.and_then(|place| self.uses().get(place)).map(|&number| Uses::new(number));
        let of = |all: [u32; 3]| all.get(space as usize).copied().map_or(0.0, f64::from);
        Familiarity {
            hours: uses.map_or(0.0, |uses| f64::from(uses.hours)),
            all_hours: of(self.hours),
            kinds: of(self.kinds),
            first: uses.is_none(),
            renewals: 0,
        }
    }

    /// Keys of a space used in the running hour: (all, those of them that were new).
    pub fn this_hour(&self, space: KeySpace) -> (f64, f64) {
        self.running.get(space as usize).map_or((0.0, 0.0), |r| (f64::from(r.0), f64::from(r.1)))
    }

    /// The same as of an hour, which may be one that has not begun: nothing was used in it.
    pub fn this_hour_at(&self, space: KeySpace, hour: i64) -> (f64, f64) {
        if hour == i64::from(self.hour) { self.this_hour(space) } else { (0.0, 0.0) }
    }

    /// Adds to the surprise of the running hour's new resources. Bits, ≥ 0.
    pub fn surprise(&mut self, bits: f64) {
        self.surprise += bits as f32;
    }

    /// Surprise of the running hour's new resources together. Bits.
    pub fn surprised(&self) -> f64 {
        f64::from(self.surprise)
    }

    /// Where a key lies.
    fn place(&self, short: u32) -> Option<usize> {
        let len = usize::from(self.len);
        let mut place = 0;
        // All of a group are compared before any is looked at, so that the compiler compares them at once. What lies
        // behind the last key in use is empty and may look like a key.
        for group in self.cells.get(..self.room())?.chunks_exact(GROUP) {
            let found = group.iter().zip(0..).fold(0u32, |found, (&k, i)| found | u32::from(k == short) << i);
            if found != 0 {
                let place = place + found.trailing_zeros() as usize;
                return (place < len).then_some(place);
            }
            place += GROUP;
            if place >= len {
                return None;
            }
        }
        None
    }

    /// Reads something of it, so that it lies near the processor.
    pub fn touch(&self) -> u64 {
        self.hour as u64 ^ u64::from(self.len)
    }

    /// Reads something of each line of memory of its keys. [`Familiar::touch`] should be near.
    pub fn touch_keys(&self) -> u64 {
        u64::from(self.cells.iter().step_by(16).fold(0, |sum, cell| sum ^ cell))
    }

    /// The keys that it remembers, [`shortened`].
    pub fn keys(&self) -> impl Iterator<Item = u32> {
        self.cells.iter().copied().take(usize::from(self.len))
    }

    /// Keys for which there is room.
    fn room(&self) -> usize {
        (self.cells.len() / 2).min(KEYS)
    }

    fn uses(&self) -> &[u32] {
        let room = self.room();
        self.cells.get(room..2 * room).unwrap_or_default()
    }

    /// Shortened keys, their uses, and which of them are new in the running hour.
    fn parts_mut(&mut self) -> (&mut [u32], &mut [u32], &mut [u32]) {
        let room = self.room();
        let (keys, rest) = self.cells.split_at_mut(room);
        let (uses, new) = rest.split_at_mut(room);
        (keys, uses, new)
    }

    /// A place for one more key: a new one, or that of the rarest key.
    fn place_for_one(&mut self, hour: i64) -> usize {
        let (len, room) = (usize::from(self.len), self.room());
        if len == KEYS {
            let keys = self.cells.iter().zip(self.uses()).zip(0..);
            let rarity =
                |key: u32, uses: Uses| (uses.hours, Reverse((hour as u16).wrapping_sub(uses.last)), key);
            let rarest = keys.min_by_key(|&((&key, &number), _)| rarity(key, Uses::new(number)));
            return rarest.map_or(0, |(_, place)| place);
        }
        if len == room {
            self.grow();
        }
        self.len += 1;
        len
    }

    fn grow(&mut self) {
        let room = self.room();
        let more = (room * 2).clamp(GROUP, KEYS);
        let mut cells = thin_vec![0; more * 2 + if more == KEYS { NEW_WORDS } else { 0 }];
        for (to, from) in cells.chunks_exact_mut(more).zip(self.cells.chunks_exact(room.max(1))) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
        self.cells = cells;
        // Until now none had to make room: all that are new lie here.
        let hour = self.hour as u16;
        for place in 0..room {
            let use_of = self.uses().get(place).map(|number| Uses::new(*number));
            if let (Some(&short), Some(Uses { hours: 1, last })) = (self.cells.get(place), use_of)
                && last == hour
            {
                self.is_new_in_hour(short);
            }
        }
    }

    /// Whether a key was not met in the running hour before; notes it. Precondition: there is room for [`KEYS`].
    fn is_new_in_hour(&mut self, short: u32) -> bool {
        // The upper bits: which space it is of stands in the lowest.
        let (place, bit) = ((short >> 29) as usize, 1 << (short >> 24 & 31));
        let (_, _, new) = self.parts_mut();
        let Some(word) = new.get_mut(place) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn turn(&mut self, hour: i64) {
        let hour = i32::try_from(hour).unwrap_or(i32::MAX);
        if hour == self.hour {
            return;
        }
        self.hour = hour;
        self.surprise = 0.0;
        self.parts_mut().2.fill(0);
        for ((hours, kinds), running) in self.hours.iter_mut().zip(&mut self.kinds).zip(&mut self.running) {
            *hours += u32::from(running.0);
            *kinds += u32::from(running.1);
            *running = (0, 0);
        }
    }
}

/// The part of a key that is remembered, its space mixed into it.
pub fn shortened(space: KeySpace, key: u64) -> u32 {
    (key >> 32) as u32 ^ space as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The slow twin: a list of everything, as it would be written without a thought for memory.
    #[derive(Default)]
    struct Twin {
        entries: Vec<(KeySpace, u32, u16, i64)>,
    }

    impl Twin {
        /// Hours before this one in which the key was used; none when it is not known.
        fn meet(&mut self, space: KeySpace, key: u32, hour: i64) -> Option<u16> {
            if let Some((_, _, hours, last)) =
                self.entries.iter_mut().find(|(s, k, _, _)| (*s, *k) == (space, key))
            {
                let earlier = *hours - u16::from(*last == hour);
                *hours = earlier + 1;
                *last = hour;
                return Some(earlier);
            }
            if self.entries.len() == KEYS {
                let rarest = (0..KEYS).min_by_key(|&i| {
                    let (space, key, hours, last) = self.entries[i];
                    (hours, last, key ^ space as u32)
                });
                self.entries.swap_remove(rarest.unwrap());
            }
            self.entries.push((space, key, 1, hour));
            None
        }
    }

    proptest! {
        #[test]
        fn what_is_remembered_agrees_with_a_list_of_everything(
            met in prop::collection::vec((0usize..3, 0u32..40, 0i64..2), 1..400), start in 400_000i64..600_000,
        ) {
            let (mut familiar, mut twin, mut hour) = (Familiar::default(), Twin::default(), start);
            for (space, key, later) in met {
                // Keys that differ in more than their space.
                let (space, key) = (KeySpace::ALL[space], key * 4);
                hour += later;
                let known = familiar.meet(space, u64::from(key) << 32, hour);
                let slow = twin.meet(space, key, hour);
                prop_assert_eq!((known.first, known.hours), (slow.is_none(), f64::from(slow.unwrap_or(0))));
            }
        }
    }

    #[test]
    fn a_burst_does_not_make_itself_familiar() {
        let mut familiar = Familiar::default();
        for _ in 0..1000 {
            assert_eq!(familiar.meet(KeySpace::Resource, 7 << 32, 100).hours, 0.0);
        }
        assert_eq!(familiar.meet(KeySpace::Resource, 7 << 32, 101).hours, 1.0);
    }

    #[test]
    fn key_spaces_do_not_mix() {
        let mut familiar = Familiar::default();
        familiar.meet(KeySpace::Resource, 7 << 32, 1);
        assert!(familiar.meet(KeySpace::Action, 7 << 32, 2).first);
        assert!(!familiar.meet(KeySpace::Resource, 7 << 32, 2).first);
    }

    #[test]
    fn memory_is_bounded_and_the_rarest_key_goes_first() {
        let mut familiar = Familiar::default();
        for hour in 0..10 {
            familiar.meet(KeySpace::Resource, 1 << 32, hour);
        }
        for key in 2..1000u64 {
            familiar.meet(KeySpace::Resource, key << 32, 10 + key as i64);
        }
        assert_eq!((usize::from(familiar.len), familiar.cells.len()), (KEYS, 2 * KEYS + NEW_WORDS));
        assert_eq!(familiar.look(KeySpace::Resource, 1 << 32).hours, 10.0);
        assert_eq!(familiar.meet(KeySpace::Resource, 1 << 32, 2000).all_hours, 1008.0);
    }

    #[test]
    fn who_works_in_more_places_than_are_remembered_meets_each_once_an_hour() {
        let mut familiar = Familiar::default();
        let places: Vec<u64> = (0..60).map(|place: u64| place << 58).collect();
        for hour in 0..5 {
            for _ in 0..10 {
                for place in &places {
                    familiar.meet(KeySpace::Resource, *place, hour);
                }
            }
        }
        let (used, new) = familiar.this_hour(KeySpace::Resource);
        assert!(used <= 60.0 && new <= 60.0, "{new} of {used} are new");
    }

    #[test]
    fn what_is_discounted_stays_known_and_new_keys_surprise_less() {
        let mut familiar = Familiar::default();
        for hour in 0..40 {
            familiar.meet(KeySpace::Resource, 1 << 32, hour);
        }
        familiar.meet(KeySpace::Resource, 2 << 32, 39);
        let law = PitmanYor { discount: 0.5, strength: 1.0 };
        let before = familiar.meet(KeySpace::Resource, 1 << 32, 40);
        familiar.discount(4);
        let known = familiar.look(KeySpace::Resource, 1 << 32);
        assert_eq!((known.hours, known.all_hours, known.kinds, known.first), (11.0, 12.0, 2.0, false));
        assert!(known.novelty_rate(law) > 2.0 * before.novelty_rate(law));
        let once = familiar.look(KeySpace::Resource, 2 << 32);
        assert_eq!((once.hours, once.first), (1.0, false));
    }
}
