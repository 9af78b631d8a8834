//! The whole engine as bytes, and back.
//!
//! Knows everything that influences a judgement to come. Must not know files.
//!
//! What follows from the rest (calibrations), what is configured (settings) and used memory are not saved. Maps are
//! written in the order of their keys: equal engines give equal bytes.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::clock::StreamClock;
use super::fleet_shift::FleetShifts;
use super::forgotten::{Loss, Stub};
use super::kin::Kin;
use super::member::Part;
use super::registry::{Known, Registry};
use super::slice::{OfType, SLICES, Slice};
use super::storm::Storm;
use super::version::Version;
use super::watched::Watched;
use super::{Engine, Settings};
use crate::assess::budget::Budget;
use crate::baseline::pool::{Baselines, sorted};
use crate::baseline::store::Store;
use crate::identity::Key;
use crate::risk::Verdict;
use crate::stats::recent::Recent;

/// Version of the format. Changes with every struct that is saved.
pub const FORMAT: u8 = 1;

/// Why bytes are no engine.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// They do not hold what an engine holds.
    #[error("the state cannot be read: {0}; it was written by another version, or is damaged")]
    Content(#[from] postcard::Error),
    /// Another key of the identity hash: nothing in it could be found again.
    #[error(
        "the state was written under another key of the identity hash; \
         name that key in [agents] identity_key_file, or begin a new state"
    )]
    Key,
    /// There is no such slice.
    #[error("there is no slice {0}: there are {SLICES}, numbered from 0")]
    NoSlice(usize),
    /// It is cut in another number of slices.
    #[error("the state has {0} slices instead of {SLICES}; it was written by another version")]
    Slices(usize),
}

/// What is saved. Generic, so that saving borrows and restoring owns.
#[derive(Serialize, Deserialize)]
struct Saved<V, S> {
    /// The identity hash of a fixed name: tells whether the key is the same.
    identity: Key,
    clock: StreamClock,
    minted: Option<i64>,
    uncounted: u32,
    next_timer: Option<i64>,
    storm: Storm,
    registry: Registry,
    version: V,
    slices: Vec<S>,
}

/// A version without what follows from it.
#[derive(Serialize, Deserialize)]
struct SavedVersion<B> {
    began: Option<i64>,
    budget: Budget,
    fleet_shifts: FleetShifts,
    frozen: bool,
    baselines: B,
}

/// Something that stands alone, with the identity hash of a fixed name.
#[derive(Serialize, Deserialize)]
struct Alone<T> {
    identity: Key,
    saved: T,
}

#[derive(Serialize, Deserialize)]
struct SavedSlice<A, T, K> {
    agents: Vec<A>,
    evicted: u64,
    types: T,
    stubs: Vec<(Key, Stub)>,
    #[serde(with = "as_text")]
    pending: Vec<(Key, Vec<Verdict>)>,
    known: Vec<(Key, K)>,
    timers: BTreeSet<(i64, Key)>,
    met: Recent,
    decided: Recent,
    duplicates: u64,
    suppressed: u64,
    count_from: u64,
    lost: Loss,
    told_under: String,
    held_back: u64,
    actions: Vec<Box<str>>,
    arguments: Vec<Box<str>>,
}

/// Types by reference, in the order of their keys.
#[derive(Serialize)]
struct TypesRef<'a>(#[serde(with = "sorted")] &'a HashMap<Key, OfType, RandomState>);

#[derive(Deserialize)]
struct Types(#[serde(with = "sorted")] HashMap<Key, OfType, RandomState>);

impl Engine {
    /// The engine as bytes. Linear in its size.
    ///
    /// # Errors
    ///
    /// When there is not enough memory for them.
    pub fn save(&self) -> Result<Vec<u8>, CheckpointError> {
        let saved = Saved {
            identity: self.version.settings.identity.of(PROBE),
            clock: self.clock,
            minted: self.minted,
            uncounted: self.uncounted,
            next_timer: self.next_timer,
            storm: self.storm.clone(),
            registry: (*self.registry).clone(),
            version: save_version(&self.version),
            slices: self.slices.iter().map(save_slice).collect(),
        };
        Ok(postcard::to_allocvec(&saved)?)
    }

    /// The engine that was saved, under these settings: what was configured otherwise since holds from now on.
    ///
    /// # Errors
    ///
    /// When the bytes are no engine, or one under another key of the identity hash.
    pub fn restore(settings: Settings, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let saved: Saved<SavedVersion<Baselines>, SavedSlice<Watched, Types, Known>> =
            postcard::from_bytes(bytes)?;
        if saved.identity != settings.identity.of(PROBE) {
            return Err(CheckpointError::Key);
        }
        if saved.slices.len() != SLICES {
            return Err(CheckpointError::Slices(saved.slices.len()));
        }
        let slices = saved.slices.into_iter().map(|slice| restore_slice(&settings, slice)).collect();
        let mut engine = Self {
            version: Arc::new(restore_version(settings, saved.version)),
            slices,
            clock: saved.clock,
            minted: saved.minted,
            uncounted: saved.uncounted,
            next_timer: saved.next_timer,
            storm: saved.storm,
            registry: Arc::new(saved.registry),
            member: None,
        };
        engine.read_registry();
        engine.look_at_configuration();
        Ok(engine)
    }

    /// One slice as bytes, from 0 to [`SLICES`] (excluded). Linear in its size.
    ///
    /// # Errors
    ///
    /// When there is not enough memory for them, or no such slice.
    pub fn save_slice(&self, number: usize) -> Result<Vec<u8>, CheckpointError> {
        let slice = self.slices.get(number).ok_or(CheckpointError::NoSlice(number))?;
        let identity = self.version.settings.identity.of(PROBE);
        Ok(postcard::to_allocvec(&Alone { identity, saved: save_slice(slice) })?)
    }

    /// Puts one slice back as it was saved.
    ///
    /// # Errors
    ///
    /// When the bytes are no slice, or one under another key of the identity hash. The slice stays as it is then.
    pub fn restore_slice(&mut self, number: usize, bytes: &[u8]) -> Result<(), CheckpointError> {
        let settings = &self.version.settings;
        let Alone { identity, saved } =
            postcard::from_bytes::<Alone<SavedSlice<Watched, Types, Known>>>(bytes)?;
        if identity != settings.identity.of(PROBE) {
            return Err(CheckpointError::Key);
        }
        let slice = self.slices.get_mut(number).ok_or(CheckpointError::NoSlice(number))?;
        *slice = restore_slice(settings, saved);
        slice.registry = Arc::clone(&self.registry);
        Ok(())
    }
}

impl Version {
    /// The version as bytes. Linear in its size.
    ///
    /// # Errors
    ///
    /// When there is not enough memory for them.
    pub fn save(&self) -> Result<Vec<u8>, CheckpointError> {
        let identity = self.settings.identity.of(PROBE);
        Ok(postcard::to_allocvec(&Alone { identity, saved: save_version(self) })?)
    }

    /// The version that was saved, under these settings.
    ///
    /// # Errors
    ///
    /// When the bytes are no version, or one under another key of the identity hash.
    pub fn restore(settings: Settings, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let Alone { identity, saved } = postcard::from_bytes(bytes)?;
        if identity != settings.identity.of(PROBE) {
            return Err(CheckpointError::Key);
        }
        Ok(restore_version(settings, saved))
    }
}

fn save_version(version: &Version) -> SavedVersion<&Baselines> {
    SavedVersion {
        began: version.began,
        budget: version.budget.clone(),
        fleet_shifts: version.fleet_shifts.clone(),
        frozen: version.frozen,
        baselines: &version.baselines,
    }
}

fn restore_version(settings: Settings, saved: SavedVersion<Baselines>) -> Version {
    let mut version = Version::new(settings);
    version.baselines = saved.baselines;
    version.budget = saved.budget;
    version.fleet_shifts = saved.fleet_shifts;
    version.budget.promise(version.settings.alerts_per_day);
    version.frozen = saved.frozen;
    version.began = saved.began;
    version.calibrate();
    version
}

impl Part {
    /// The part as bytes.
    ///
    /// # Errors
    ///
    /// When there is not enough memory for them.
    pub fn save(&self) -> Result<Vec<u8>, CheckpointError> {
        Ok(postcard::to_allocvec(self)?)
    }

    /// The part that was saved.
    ///
    /// # Errors
    ///
    /// When the bytes are none.
    pub fn restore(bytes: &[u8]) -> Result<Self, CheckpointError> {
        Ok(postcard::from_bytes(bytes)?)
    }
}

/// Any name: its hash tells one key from another.
const PROBE: &str = "tiltmeter";

fn save_slice(slice: &Slice) -> SavedSlice<&Watched, TypesRef<'_>, &Known> {
    let mut stubs: Vec<(Key, Stub)> = slice.stubs.iter().map(|(key, stub)| (*key, *stub)).collect();
    stubs.sort_unstable_by_key(|(key, _)| *key);
    let mut pending: Vec<(Key, Vec<Verdict>)> = slice.pending.iter().map(|(k, v)| (*k, v.clone())).collect();
    pending.sort_unstable_by_key(|(key, _)| *key);
    let mut known: Vec<(Key, &Known)> = slice.known.iter().map(|(key, known)| (*key, known)).collect();
    known.sort_unstable_by_key(|(key, _)| *key);
    let (actions, arguments) = slice.vocabulary.names();
    SavedSlice {
        agents: slice.agents.iter().collect(),
        evicted: slice.agents.evicted(),
        types: TypesRef(&slice.types),
        stubs,
        pending,
        known,
        timers: slice.timers.clone(),
        met: slice.met.clone(),
        decided: slice.decided.clone(),
        duplicates: slice.duplicates,
        suppressed: slice.suppressed,
        count_from: slice.count_from,
        lost: slice.lost,
        told_under: slice.told_under.clone(),
        held_back: slice.held_back,
        actions,
        arguments,
    }
}

fn restore_slice(settings: &Settings, saved: SavedSlice<Watched, Types, Known>) -> Slice {
    let mut slice = Slice::new(settings);
    slice.agents = Store::restore(settings.max_agents.div_ceil(SLICES), saved.agents, saved.evicted);
    slice.types = saved.types.0;
    for watched in slice.agents.iter_mut() {
        let kin = (*watched.kin).clone();
        let name = slice.types.get(&kin.agent_type).map(|of_type| &*of_type.name);
        watched.kin = slice.kindred.shared(Kin { type_name: name.unwrap_or_default().into(), ..kin });
    }
    slice.stubs = saved.stubs.into_iter().collect();
    slice.pending = saved.pending.into_iter().collect();
    slice.known = saved.known.into_iter().collect();
    slice.timers = saved.timers;
    slice.met = saved.met;
    slice.decided = saved.decided;
    slice.duplicates = saved.duplicates;
    slice.suppressed = saved.suppressed;
    slice.count_from = saved.count_from;
    slice.lost = saved.lost;
    slice.told_under = saved.told_under;
    slice.held_back = saved.held_back;
    slice.vocabulary.learn_names(&saved.actions, &saved.arguments);
    slice
}

/// Messages as text: their fields may be left out, which only formats that name fields can tell.
pub(super) mod as_text {
    use serde::de::{DeserializeOwned, Error as _};
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(message: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::to_string(message).map_err(S::Error::custom)?.serialize(serializer)
    }

    pub fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        serde_json::from_str(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
