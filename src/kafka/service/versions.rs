//! Versions of what is normal: the topic of baselines, as far as anybody may still need it.
//!
//! Knows how a version is cut into records. Must not know how one is made.
//!
//! | key | value |
//! |---|---|
//! | `v\|NUMBER\|PIECE` | a piece of the version, packed with zstd |
//! | `m\|NUMBER` | [`Manifest`]; a version counts only with it |

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Shared;
use super::pulse::AlarmKind;
use super::read::{Read, Reader, read_all};
use crate::engine::{Settings, Version};
use crate::kafka::client::{Clients, Severity};
use crate::kafka::failure::Failure;
use crate::kafka::settings::Topic;
use crate::partition::{Common, Outgoing};

/// Versions that are kept: those of more than a day, one an hour, or of some hours of a first day.
pub(super) const KEPT: u64 = 40;
/// A version is cut in pieces of at most so many bytes, so that a record stays below 1 MiB.
const PIECE_BYTES: usize = 900_000;
/// Fast, and half the size.
const ZSTD_LEVEL: i32 = 1;
/// Between two looks whether the service ends.
const WAIT: Duration = Duration::from_millis(200);

/// What makes a version count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub number: u64,
    /// Pieces.
    pub pieces: u32,
    /// The offset before which all parts are in it.
    pub next: i64,
    /// Until when what each partition handed over is in it.
    pub merged: BTreeMap<i32, i64>,
}

/// Versions by their number, each under the settings that hold for whoever asks.
pub struct VersionStore {
    known: Mutex<Known>,
}

struct Known {
    /// Settings, by one after the offset of the control record from which they hold; those of 0 before any. None where they
    /// cannot be read here.
    settings: BTreeMap<i64, Option<Settings>>,
    /// Pieces of versions, whole or not.
    pieces: BTreeMap<(u64, u32), Vec<u8>>,
    /// With when we heard of them.
    manifests: BTreeMap<u64, (Manifest, Instant)>,
    /// Versions that were put together, by their number and since when their settings hold.
    ready: BTreeMap<(u64, i64), Arc<Version>>,
    newest: Arc<Version>,
    /// When it was written, by the broker's clock; none for what is shipped. Milliseconds since 1970.
    newest_ms: Option<i64>,
    /// Whether records of the topic could not be read.
    has_lost: bool,
}

impl VersionStore {
    /// All versions that there are now.
    ///
    /// * `deleted`: and those that were deleted, as far as the broker still has them.
    ///
    /// # Errors
    ///
    /// When the topic cannot be read.
    pub fn read(clients: &Clients, settings: Settings, deleted: bool) -> Result<Self, Failure> {
        let store = Self::new(settings);
        let topic = clients.settings().topics.of(Topic::Baselines);
        read_all(
            clients,
            topic,
            0,
            || false,
            |record| {
                if record.value.is_some() || !deleted {
                    // Whoever judges by it says what is wrong with it.
                    let _ = store.take(record);
                }
            },
        )?;
        Ok(store)
    }

    /// Nothing but what is shipped: version 0.
    pub(super) fn new(settings: Settings) -> Self {
        let newest = Arc::new(Version::new(settings.clone()));
        let known = Known {
            pieces: BTreeMap::new(),
            manifests: BTreeMap::new(),
            ready: BTreeMap::from([((0, 0), Arc::clone(&newest))]),
            newest,
            newest_ms: None,
            settings: BTreeMap::from([(0, Some(settings))]),
            has_lost: false,
        };
        Self { known: Mutex::new(known) }
    }

    /// From now on the newest version that is known holds where a later one is not.
    pub(super) fn lose(&self) {
        self.lock().has_lost = true;
    }

    /// From the control record at an offset on, other settings hold.
    ///
    /// * `settings`: none where they cannot be read here. Until others are there, nobody who has seen that record has a
    ///   version: whoever cannot judge as the others do must not judge.
    pub fn heed(&self, at: i64, settings: Option<Settings>) {
        let mut known = self.lock();
        known.settings.insert(at + 1, settings);
        let number = known.newest.number();
        drop(known);
        if let Some(newest) = self.version(number, i64::MAX) {
            self.lock().newest = newest;
        }
    }

    /// The settings that hold for whoever has seen the control records before an offset, and since when.
    fn settings(&self, control: i64) -> Option<(i64, Settings)> {
        let known = self.lock();
        let mut held = known.settings.range(..=control.max(0)).rev();
        let is_last = |since: &i64| known.settings.last_key_value().is_some_and(|(last, _)| last == since);
        if held.clone().next().is_some_and(|(since, settings)| settings.is_none() && is_last(since)) {
            return None;
        }
        held.find_map(|(since, settings)| Some((*since, settings.clone()?)))
    }

    /// The newest version that is whole.
    pub fn newest(&self) -> Arc<Version> {
        Arc::clone(&self.lock().newest)
    }

    /// The newest version that is whole, and when it was written, by the broker's clock; none for what is shipped.
    pub(super) fn newest_written(&self) -> (Arc<Version>, Option<i64>) {
        let known = self.lock();
        (Arc::clone(&known.newest), known.newest_ms)
    }

    /// The manifest of the newest version; that of nothing if there is none.
    pub(super) fn manifest(&self) -> Manifest {
        self.lock().manifests.last_key_value().map(|(_, (manifest, _))| manifest.clone()).unwrap_or_default()
    }

    /// Takes in a record of the topic; says what is wrong with it.
    pub(super) fn take(&self, record: Read<'_>) -> Result<(), String> {
        let key = std::str::from_utf8(record.key).unwrap_or_default();
        let parts: Vec<&str> = key.split('|').collect();
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("key {key:?} of no kind"));
        match (parts.as_slice(), record.value) {
            (["v", version, piece], Some(value)) => {
                let piece = number(piece)? as u32;
                self.lock().pieces.insert((number(version)?, piece), value.to_vec());
            }
            (["m", version], Some(value)) => {
                let version = number(version)?;
                let manifest: Manifest = postcard::from_bytes(value).map_err(|error| error.to_string())?;
                self.lock().manifests.insert(version, (manifest, Instant::now()));
                // Made here, so that nobody waits for it while judging.
                let Some((since, settings)) = self.settings(i64::MAX) else { return Ok(()) };
                let made =
                    self.make(version, settings).ok_or_else(|| format!("version {version} is not whole"))?;
                let mut known = self.lock();
                if version >= known.newest.number() {
                    known.newest = Arc::clone(&made);
                    known.newest_ms = Some(record.timestamp_ms);
                }
                known.ready.insert((version, since), made);
                while known.ready.len() > 3 {
                    known.ready.pop_first();
                }
            }
            (["v", version, piece], None) => {
                let piece = number(piece)? as u32;
                self.lock().pieces.remove(&(number(version)?, piece));
            }
            (["m", version], None) => {
                self.lock().manifests.remove(&number(version)?);
            }
            _ => return Err(format!("key {key:?} of no kind")),
        }
        Ok(())
    }

    /// Puts a version together.
    fn make(&self, number: u64, settings: Settings) -> Option<Arc<Version>> {
        let packed: Vec<u8> = {
            let known = self.lock();
            let pieces = known.manifests.get(&number)?.0.pieces;
            let found: Option<Vec<&Vec<u8>>> =
                (0..pieces).map(|piece| known.pieces.get(&(number, piece))).collect();
            found?.into_iter().flatten().copied().collect()
        };
        let bytes = zstd::decode_all(packed.as_slice()).ok()?;
        Version::restore(settings, &bytes).ok().map(Arc::new)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Common for VersionStore {
    fn version(&self, number: u64, control: i64) -> Option<Arc<Version>> {
        let (since, settings) = self.settings(control)?;
        if let Some(ready) = self.lock().ready.get(&(number, since)) {
            return Some(Arc::clone(ready));
        }
        let made = self.make(number, settings.clone());
        let shipped = || (number == 0).then(|| Arc::new(Version::new(settings.clone())));
        let made = made.or_else(shipped).or_else(|| {
            // Outlived: what came after it holds. One that is not there yet will come.
            let after = self.lock().manifests.range(number..).next().map(|(number, _)| *number)?;
            self.make(after, settings.clone())
        });
        // Lost, and nothing has come after it.
        let made = made.or_else(|| {
            let known = self.lock();
            let newest = Some(known.newest.number()).filter(|newest| known.has_lost && *newest < number)?;
            drop(known);
            self.version(newest, control)
        })?;
        let mut known = self.lock();
        if known.newest.number() == made.number() {
            // Other partitions will ask for it as well.
            known.ready.insert((made.number(), since), Arc::clone(&made));
        }
        Some(made)
    }

    fn control(&self, _: i64) -> Vec<Arc<str>> {
        Vec::new()
    }
}

/// A version as records, the manifest last.
pub(super) fn records(
    version: &Version,
    next: i64,
    merged: BTreeMap<i32, i64>,
) -> Result<Vec<Outgoing>, Failure> {
    let failed =
        |why: String| Failure::set_up(format!("version {} cannot be written: {why}", version.number()));
    let bytes = version.save().map_err(|error| failed(error.to_string()))?;
    let packed = zstd::encode_all(bytes.as_slice(), ZSTD_LEVEL).map_err(|error| failed(error.to_string()))?;
    let number = version.number();
    let mut records: Vec<Outgoing> = packed
        .chunks(PIECE_BYTES)
        .zip(0..)
        .map(|(piece, place)| {
            Outgoing::new(Topic::Baselines, format!("v|{number:016}|{place}"), piece.to_vec())
        })
        .collect();
    let manifest = Manifest { number, pieces: records.len() as u32, next, merged };
    let value = postcard::to_allocvec(&manifest).map_err(|error| failed(error.to_string()))?;
    records.push(Outgoing::new(Topic::Baselines, format!("m|{number:016}"), value));
    Ok(records)
}

/// What deletes a version.
pub(super) fn deletion(store: &VersionStore, number: u64) -> Vec<Outgoing> {
    let known = store.lock();
    let pieces = known.pieces.range((number, 0)..=(number, u32::MAX)).map(|((_, piece), _)| *piece);
    let gone = |key: String| Outgoing { value: None, ..Outgoing::new(Topic::Baselines, key, Vec::new()) };
    let mut records = vec![gone(format!("m|{number:016}"))];
    records.extend(pieces.map(|piece| gone(format!("v|{number:016}|{piece}"))));
    records
}

/// The oldest versions, beyond those that are kept, that have been there for `rest`: when much is read in a short time, many
/// are made that pins still name.
pub(super) fn outlived(store: &VersionStore, rest: Duration) -> Vec<u64> {
    let known = store.lock();
    let surplus = known.manifests.len().saturating_sub(KEPT as usize);
    let oldest = known.manifests.iter().take(surplus);
    oldest.filter(|(_, (_, heard))| heard.elapsed() > rest).map(|(number, _)| *number).collect()
}

/// Reads the topic on.
pub(super) struct Tail(Reader);

/// Reads the topic to its end.
pub(super) fn tail(shared: &Shared) -> Result<Tail, Failure> {
    let topic = shared.clients.settings().topics.of(Topic::Baselines);
    let reader = read_all(&shared.clients, topic, 0, || shared.stops(), |record| note(shared, record))?;
    tell_lost(shared, &reader);
    Ok(Tail(reader))
}

/// Says what nobody can read; from then on an older version stands in the place of one that is not there.
fn tell_lost(shared: &Shared, reader: &Reader) {
    for lost in reader.lost() {
        shared.lose();
        shared.versions.lose();
        let sentence =
            format!("{lost}; where a version of what is normal is missing by that, the one before it holds");
        shared.alarm(AlarmKind::CoverageGap, None, &sentence);
    }
}

fn note(shared: &Shared, record: Read<'_>) {
    if let Err(why) = shared.versions.take(record) {
        shared.say(Severity::Warning, &format!("a record of the baselines cannot be used: {why}"));
    }
}

impl Tail {
    pub fn run(&self, shared: &Shared) -> Result<(), Failure> {
        while !shared.stops() {
            self.0.read(WAIT, |record| note(shared, record))?;
            tell_lost(shared, &self.0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn settings(per_day: u32) -> Settings {
        let text = format!("[alerts]\nper_day = {per_day}");
        Config::parse(&text, Path::new("")).unwrap().settings().unwrap()
    }

    #[test]
    fn whoever_asks_gets_the_settings_that_held_where_he_stands() {
        let store = VersionStore::new(settings(1));
        store.heed(10, Some(settings(2)));
        store.heed(20, Some(settings(3)));
        let per_day = |control| store.version(0, control).map(|version| version.settings.alerts_per_day);
        assert_eq!([0, 10, 11, 20, 21, i64::MAX].map(per_day), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0].map(Some));
        assert_eq!(store.newest().settings.alerts_per_day, 3.0);
        assert!(
            Arc::ptr_eq(&store.version(0, 15).unwrap(), &store.version(0, 12).unwrap()),
            "one for all partitions"
        );
    }

    #[test]
    fn settings_that_cannot_be_read_here_stop_whoever_has_come_to_them_until_there_are_others() {
        let store = VersionStore::new(settings(1));
        store.heed(10, None);
        let per_day = |control| store.version(0, control).map(|version| version.settings.alerts_per_day);
        assert_eq!([10, 11].map(per_day), [Some(1.0), None]);
        store.heed(20, Some(settings(3)));
        assert_eq!([10, 11, 21].map(per_day), [1.0, 1.0, 3.0].map(Some));
    }
}
