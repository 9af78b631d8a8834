//! What one agent is used to: the keys it touches, counted in active hours.
//!
//! Knows keys and hours. Must not know other agents.

use crate::stats::category::PitmanYor;

/// Keys an agent remembers at most; the rarest makes room for a new one.
pub const KEYS: usize = 48;

/// What a key is a key of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
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
#[derive(Clone, Debug, Default)]
pub struct Familiar {
    entries: Vec<Entry>,
    /// Σ hours over all keys ever held, evicted ones too, without the running hour. Per key space.
    hours: [u32; 3],
    /// Different keys ever held, without those first used in the running hour. Per key space.
    kinds: [u32; 3],
    /// The same two, for the running hour alone.
    running: [(u16, u16); 3],
    /// The running hour. Hours since 1970.
    hour: i64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u32,
    space: KeySpace,
    hours: u16,
    last: i32,
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
}

impl Familiarity {
    /// Probability of the key for this agent, given its probability among the agent's peers.
    ///
    /// # Formula
    ///
    /// As [`crate::stats::category::Table::probability`]; the discounted mass of whole counts is d × kinds.
    pub fn probability(&self, law: PitmanYor, peers: f64) -> f64 {
        let own = (self.hours - law.discount).max(0.0);
        (own + (law.strength + law.discount * self.kinds) * peers) / (self.all_hours + law.strength)
    }
}

impl Familiar {
    /// Notes that a key is used in an hour and tells how familiar it was before that hour.
    ///
    /// O([`KEYS`]). Allocates only while the agent is young.
    pub fn meet(&mut self, space: KeySpace, key: u64, hour: i64) -> Familiarity {
        self.turn(hour);
        let short = (key >> 32) as u32;
        let known = self.entries.iter_mut().find(|e| e.key == short && e.space == space);
        let at = space as usize;
        let (mut first, mut earlier) = (false, 0);
        let mut running = (0, 0);
        match known {
            Some(entry) => {
                let met_this_hour = i64::from(entry.last) == hour;
                earlier = entry.hours - u16::from(met_this_hour);
                if !met_this_hour {
                    entry.hours = entry.hours.saturating_add(1);
                    entry.last = hour as i32;
                    running = (1, 0);
                }
            }
            None => {
                first = true;
                running = (1, 1);
                let entry = Entry { key: short, space, hours: 1, last: hour as i32 };
                if self.entries.len() < KEYS {
                    self.entries.push(entry);
                } else if let Some(rarest) = self.entries.iter_mut().min_by_key(|e| (e.hours, e.last, e.key))
                {
                    *rarest = entry;
                }
            }
        }
        let of = |all: [u32; 3]| all.get(at).copied().map_or(0.0, f64::from);
        let familiarity = Familiarity {
            hours: f64::from(earlier),
            all_hours: of(self.hours),
            kinds: of(self.kinds),
            first,
        };
        if let Some(slot) = self.running.get_mut(at) {
            *slot = (slot.0.saturating_add(running.0), slot.1.saturating_add(running.1));
        }
        familiarity
    }

    /// How familiar a key is, without using it.
    pub fn look(&self, space: KeySpace, key: u64) -> Familiarity {
        let short = (key >> 32) as u32;
        let known = self.entries.iter().find(|e| e.key == short && e.space == space);
        let of = |all: [u32; 3]| all.get(space as usize).copied().map_or(0.0, f64::from);
        Familiarity {
            hours: known.map_or(0.0, |e| f64::from(e.hours)),
            all_hours: of(self.hours),
            kinds: of(self.kinds),
            first: known.is_none(),
        }
    }

    /// Keys of a space used in the running hour: (all, those of them that were new).
    pub fn this_hour(&self, space: KeySpace) -> (f64, f64) {
        self.running.get(space as usize).map_or((0.0, 0.0), |r| (f64::from(r.0), f64::from(r.1)))
    }

    fn turn(&mut self, hour: i64) {
        if hour == self.hour {
            return;
        }
        self.hour = hour;
        for ((hours, kinds), running) in self.hours.iter_mut().zip(&mut self.kinds).zip(&mut self.running) {
            *hours += u32::from(running.0);
            *kinds += u32::from(running.1);
            *running = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(familiar.entries.len(), KEYS);
        assert_eq!(familiar.look(KeySpace::Resource, 1 << 32).hours, 10.0);
        assert_eq!(familiar.meet(KeySpace::Resource, 1 << 32, 2000).all_hours, 1008.0);
    }
}
