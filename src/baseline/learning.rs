//! How the baselines learn: votes, caps, and versions.
//!
//! Knows how votes become counts. Must not judge: who is worried about whom is not its business.
//!
//! Nothing is learned directly. Votes wait in a [`Delta`] per type and enter all at once when a version is
//! minted, sorted by key, so that the order of arrival cannot matter.

use super::agent::KeySpace;
use super::pool::{Baselines, Habits, Peaks, TypeBaseline};
use crate::identity::Key;
use crate::stats::decay::{VOTE, Votes};
use crate::stats::flat::{Flat, KeySet, Slot};
use crate::stats::key::mix;
use crate::stats::sequence::{self, Contexts};
use serde::{Deserialize, Serialize};

/// Different things one type can learn between two versions; what is beyond has to come again.
pub const VOTES_PER_VERSION: usize = 1 << 17;
/// Types that are known at most: a type is a kind of agent, and a source that writes a build number into it would fill the
/// memory. Those of which the fewest units are known are forgotten first, and are judged by the fleet.
pub const MOST_TYPES: usize = 1 << 12;
/// Most votes that count for one thing between two versions. A flood of sessions weighs no more.
pub const VOTES_PER_KEY: Votes = MOST_VOTES as Votes * VOTE;
/// The same, in whole votes.
const MOST_VOTES: u32 = 4096;
/// What has faded of a vote for a key after nine days at its half-life of 45: an agent that goes on as ever counts between
/// .87 and 1 for ever, one that is gone is forgotten. 1/256 vote.
pub const RENEWAL: Votes = 33;
/// Most bits that one observation may have cost: then a sum over all votes for one thing fits. Bits.
const MOST_BITS: f64 = 64.0;

/// Context that stands for the whole fleet in the table of sequences.
pub const FLEET: u64 = 0xF1EE_7000;

/// Something to be learned, without its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lesson {
    /// An action followed a history.
    Order {
        /// Contexts within the type, most general first.
        contexts: Contexts,
        /// The action before.
        previous: u64,
    },
    /// An argument had an origin: contexts of the fleet in the finer alphabet, most general first, then that of the
    /// type; see [`coarse`]. Its symbol is the key of [`OriginSymbols`].
    Origin([u64; 4], u64),
    /// An argument had a value: by argument, then by action and argument.
    Value([u64; 2]),
    /// An agent uses a key for the first time: one vote an agent.
    Access(KeySpace),
    /// It still uses it: [`RENEWAL`] of a vote, for what has faded of the first.
    StillAccess(KeySpace),
}

/// The context in the coarser alphabet of origins that belongs to one in the finer.
#[inline]
pub fn coarse(context: u64) -> u64 {
    context ^ 0x0C0A_25E0_0C0A_25E0
}

/// An origin in both alphabets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OriginSymbols {
    /// With form and anchoring, if they are known.
    pub fine: Option<u8>,
    /// Who named the value.
    pub coarse: u8,
}

impl OriginSymbols {
    /// Both symbols as one.
    pub fn key(self) -> u64 {
        u64::from(self.coarse) | self.fine.map_or(0, |fine| 1 + u64::from(fine)) << 8
    }

    /// The symbols of a key.
    fn of(key: u64) -> Self {
        Self { fine: (key >> 8).checked_sub(1).map(|fine| fine as u8), coarse: key as u8 }
    }
}

/// What is counted for one thing: small, because every vote looks one up at random. 16 bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Tally {
    /// Key of the thing.
    key: u64,
    /// Σ of what the observations cost. 1/256 bit; at most 2²⁶.
    surprise: u32,
    /// Place of the thing itself in [`Delta::things`], times [`PLACE`], plus whole votes.
    place_and_votes: u32,
}

/// Room for whole votes in [`Tally::place_and_votes`]; 17 bits are left for the place.
const PLACE: u32 = 1 << 15;
const _: () = assert!(MOST_VOTES < PLACE && VOTES_PER_VERSION <= (1 << 17));

impl Slot for Tally {
    fn is_empty(&self) -> bool {
        self.place_and_votes == 0
    }

    fn home(&self) -> u64 {
        self.key
    }
}

impl Tally {
    fn new(key: u64, place: usize) -> Self {
        Self { key, surprise: 0, place_and_votes: place as u32 * PLACE }
    }

    fn place(self) -> usize {
        (self.place_and_votes / PLACE) as usize
    }

    /// Whole votes.
    fn votes(self) -> u32 {
        self.place_and_votes % PLACE
    }

    /// Adds a vote, up to the most that count.
    fn vote(&mut self, surprise: u32) {
        if self.votes() < MOST_VOTES {
            self.place_and_votes += 1;
            self.surprise += surprise;
        }
    }
}

/// A vote that was cast and is not yet counted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Ballot {
    /// Key of the thing.
    key: u64,
    /// What the observation cost. 1/256 bit.
    surprise: u32,
    lesson: Lesson,
    symbol: u64,
}

/// Votes that are counted at once: as many as a processor core waits for at the same time.
const AT_ONCE: usize = 16;

/// (agent, key) pairs that have voted and that the agent has forgotten, remembered in two generations: when the younger
/// is full the older is forgotten, so that a pair is remembered for at least this many others.
const VOTERS: usize = 1 << 16;

/// What a type has learned since the last version.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Delta {
    /// Name of the type.
    name: String,
    /// Votes that are not yet counted.
    waiting: Vec<Ballot>,
    tallies: Flat<Tally>,
    /// What the tallies count.
    things: Vec<(Lesson, u64)>,
    agents: Vec<Key>,
    /// Votes of agents for their own existence.
    active: Votes,
    provenance: [Votes; 2],
    peaks: Peaks,
    habits: Habits,
    changed: bool,
    /// Who has voted for a key that it has forgotten since. Its vote counts once all the same. Two generations.
    voters: [KeySet<u64>; 2],
}

fn voter(agent: Key, key: u32) -> u64 {
    mix(agent, u64::from(key))
}

impl Delta {
    /// An empty delta for a type.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Casts one vote. `surprise_bits` is what the observation cost when it was judged (bits, ≥ 0).
    pub fn vote(&mut self, lesson: Lesson, symbol: u64, surprise_bits: f64) {
        self.changed = true;
        let particular = match lesson {
            Lesson::Order { contexts, .. } => mix(1, contexts.as_slice().last().copied().unwrap_or(0)),
            Lesson::Origin(_, context) => mix(2, context),
            Lesson::Value([_, context]) => mix(3, context),
            Lesson::Access(space) => mix(4, space.context()),
            Lesson::StillAccess(space) => mix(5, space.context()),
        };
        let surprise = (surprise_bits.clamp(0.0, MOST_BITS) * VOTE as f64) as u32;
        if self.waiting.capacity() == 0 {
            self.waiting.reserve_exact(AT_ONCE);
        }
        self.waiting.push(Ballot { key: mix(particular, symbol), surprise, lesson, symbol });
        if self.waiting.len() >= AT_ONCE {
            self.count();
        }
    }

    /// Counts the votes that wait, in the order in which they were cast.
    fn count(&mut self) {
        // A tally lies anywhere in some megabytes: waiting for all of them together takes as long as for one.
        self.tallies.fetch(self.waiting.iter().map(|ballot| ballot.key));
        for Ballot { key, surprise, lesson, symbol } in self.waiting.drain(..) {
            if let Some(tally) = self.tallies.find_mut(key, |tally| tally.key == key) {
                tally.vote(surprise);
            } else if self.tallies.len() < VOTES_PER_VERSION {
                let mut tally = Tally::new(key, self.things.len());
                tally.vote(surprise);
                self.tallies.insert(tally);
                self.things.push((lesson, symbol));
            }
        }
    }

    /// Notes that an agent has forgotten a key (shortened, as [`super::agent::shortened`] has it) for which it has voted.
    pub fn note_voter(&mut self, agent: Key, key: u32) {
        self.add_voter(voter(agent, key));
    }

    /// Whether an agent that meets a key for the first time that it remembers has voted for it before. An agent that
    /// remembers a key has.
    pub fn has_voted(&self, agent: Key, key: u32) -> bool {
        let pair = voter(agent, key);
        self.voters.iter().any(|voters| voters.contains(pair))
    }

    /// Notes that an agent of this type exists.
    ///
    /// * `is_new`: whether it was never met before.
    pub fn agent(&mut self, agent: Key, is_new: bool) {
        self.changed = true;
        self.agents.push(agent);
        self.active += if is_new { VOTE } else { 0 };
    }

    /// Notes that an agent is still there; see [`super::agent::renewals`].
    pub fn still_active(&mut self, renewals: u8) {
        self.changed |= renewals > 0;
        self.active += Votes::from(renewals) * RENEWAL;
    }

    /// Notes a call with arguments, and whether their origins were known.
    pub fn provenance(&mut self, known: bool) {
        self.changed = true;
        let [with, without] = &mut self.provenance;
        *if known { with } else { without } += VOTE;
    }

    /// What agents say of how often they act and are refused.
    pub fn habits_mut(&mut self) -> &mut Habits {
        self.changed = true;
        &mut self.habits
    }

    /// The peaks of units that closed.
    pub fn peaks_mut(&mut self) -> &mut Peaks {
        self.changed = true;
        &mut self.peaks
    }

    /// Whether anything was learned.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// Whether it holds nothing at all, not even who has voted.
    pub fn is_bare(&self) -> bool {
        !self.changed && self.voters.iter().all(KeySet::is_empty)
    }

    /// Takes out everything that was learned; who has voted stays known here.
    pub fn take(&mut self) -> Self {
        let left = Self::new(&self.name);
        let voters = std::mem::take(&mut self.voters);
        let taken = std::mem::replace(self, left);
        self.voters = voters;
        taken
    }

    /// Nothing learned, but who has voted is known as here: for agents of the type that are counted elsewhere from now on.
    pub fn apart(&self) -> Self {
        Self { voters: self.voters.clone(), ..Self::new(&self.name) }
    }

    /// Knows who has voted elsewhere as well, as far as there is room.
    pub fn know_voters_of(&mut self, other: &Self) {
        for pair in other.voters.iter().rev().flat_map(KeySet::sorted) {
            self.add_voter(pair);
        }
    }

    fn add_voter(&mut self, pair: u64) {
        let [young, old] = &mut self.voters;
        if !old.contains(pair) && young.insert(pair) && young.len() >= VOTERS {
            std::mem::swap(young, old);
            young.clear();
        }
    }

    /// Moves everything into the baselines and is empty afterwards.
    fn absorb_into(&mut self, key: Key, baselines: &mut Baselines) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        self.count();
        let fleet = &mut baselines.fleet;
        let own = baselines.types.entry(key).or_insert_with(|| TypeBaseline::new(&self.name));
        let things = &self.things;
        let learn = |tally: Tally| {
            let (votes, surprise) = (Votes::from(tally.votes()) * VOTE, Votes::from(tally.surprise));
            let Some(&(lesson, symbol)) = things.get(tally.place()) else { return };
            match lesson {
                Lesson::Order { contexts, previous } => {
                    let pair = contexts.as_slice().get(1).copied().unwrap_or(key);
                    let pair_is_new = own.sequence.votes(pair, symbol) == 0;
                    sequence::learn(&mut own.sequence, contexts.as_slice(), symbol, votes, surprise);
                    if pair_is_new {
                        let contexts = [FLEET, mix(FLEET, previous)];
                        sequence::learn(
                            &mut fleet.sequence,
                            &contexts,
                            symbol,
                            VOTE,
                            surprise * VOTE / votes,
                        );
                    }
                }
                Lesson::Origin(general, particular) => {
                    let mut learn = |general: [u64; 4], particular, symbol: u8| {
                        let symbol = u64::from(symbol);
                        if own.origins.add(particular, symbol, votes, 0) {
                            sequence::learn(&mut fleet.origins, &general, symbol, VOTE, 0);
                        }
                    };
                    let symbols = OriginSymbols::of(symbol);
                    if let Some(fine) = symbols.fine {
                        learn(general, particular, fine);
                    }
                    learn(general.map(coarse), coarse(particular), symbols.coarse);
                }
                Lesson::Value(contexts) => {
                    sequence::learn(&mut own.values, &contexts, symbol, votes, 0);
                }
                Lesson::Access(space) => {
                    own.access.add(space.context(), symbol, votes, 0);
                    fleet.access.add(space.context(), symbol, votes, 0);
                }
                Lesson::StillAccess(space) => {
                    let votes = votes * RENEWAL / VOTE;
                    own.access.add(space.context(), symbol, votes, 0);
                    fleet.access.add(space.context(), symbol, votes, 0);
                }
            }
        };
        self.tallies.drain_sorted(|tally| tally.key, learn);
        self.things.clear();
        self.agents.sort_unstable();
        for agent in self.agents.drain(..) {
            own.agents.add(agent);
            fleet.agents.add(agent);
        }
        own.agent_count = own.agents.count().keys;
        fleet.agent_count = fleet.agents.count().keys;
        own.active += self.active;
        fleet.active += std::mem::take(&mut self.active);
        for (to, from) in own.provenance.iter_mut().zip(&mut self.provenance) {
            *to += std::mem::take(from);
        }
        own.peaks.merge(&self.peaks);
        self.peaks.clear();
        own.habits.merge(&self.habits);
        fleet.habits.merge(&self.habits);
        self.habits = Habits::default();
    }
}

/// Mints the next version: fades what is known up to `day`, then adds what every type has learned since.
///
/// Types are taken in the order of their keys, several deltas of a type in the order given, and votes in the order of
/// theirs: the same votes give the same
/// version, byte for byte. Returns whether there was anything to learn: no version is minted for nothing.
pub fn mint<'a>(
    baselines: &mut Baselines,
    day: i64,
    deltas: impl IntoIterator<Item = (Key, &'a mut Delta)>,
) -> bool {
    baselines.fade_to(day);
    let deltas_of_all = deltas.into_iter();
    let mut deltas = Vec::with_capacity(deltas_of_all.size_hint().1.unwrap_or(0));
    deltas.extend(deltas_of_all.filter(|(_, delta)| delta.changed));
    if deltas.is_empty() {
        return false;
    }
    // Stable: several deltas of one type stay in the order given. Which of them brings a new pair first leaves a trace.
    deltas.sort_by_key(|(key, _)| *key);
    for (key, delta) in deltas {
        delta.absorb_into(key, baselines);
    }
    baselines.forget_types(MOST_TYPES);
    baselines.version += 1;
    true
}

#[cfg(test)]
mod tests;
