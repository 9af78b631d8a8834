//! What people decide: the control topic, in its order.
//!
//! Knows the records since this instance began. Must not know what they do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::read::{Read, Reader, read_all};
use super::{Shared, pinned};
use crate::kafka::failure::Failure;
use crate::kafka::settings::Topic;

/// Between two looks whether the service ends.
const WAIT: Duration = Duration::from_millis(200);

/// The longest control record that is looked at. Bytes.
const LARGEST_BYTES: usize = 256 << 10;

/// All control records, by their offset.
#[derive(Default)]
pub(super) struct ControlTail {
    records: Mutex<BTreeMap<i64, Arc<str>>>,
}

impl ControlTail {
    /// The first record at or after an offset, with its own offset.
    pub fn from(&self, offset: i64) -> Option<(i64, Arc<str>)> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.range(offset..).next().map(|(offset, json)| (*offset, Arc::clone(json)))
    }

    /// All records before an offset, in their order.
    pub fn until(&self, offset: i64) -> Vec<Arc<str>> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.range(..offset).map(|(_, json)| Arc::clone(json)).collect()
    }

    /// The latest record that has a text in it.
    pub fn find(&self, text: &str) -> Option<(i64, Arc<str>)> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let found = records.iter().rev().find(|(_, json)| json.contains(text));
        found.map(|(offset, json)| (*offset, Arc::clone(json)))
    }

    fn add(&self, offset: i64, value: Option<&[u8]>) {
        if let Some(json) = value.and_then(|value| std::str::from_utf8(value).ok()) {
            // It is written down again wherever it is pinned, and has to fit there; nothing of use is so long.
            let json = if json.len() > LARGEST_BYTES { "" } else { json };
            self.records.lock().unwrap_or_else(PoisonError::into_inner).insert(offset, json.into());
        }
    }
}

/// Reads the control topic on.
pub(super) struct Tail(Reader);

fn add(shared: &Shared, record: Read<'_>) {
    pinned::heed(shared, record.offset, record.value.unwrap_or_default());
    shared.control.add(record.offset, record.value);
}

/// Reads the control topic to its end.
pub(super) fn tail(shared: &Shared) -> Result<Tail, Failure> {
    let topic = shared.clients.settings().topics.of(Topic::Control);
    read_all(&shared.clients, topic, 0, || shared.stops(), |record| add(shared, record)).map(Tail)
}

impl Tail {
    pub fn run(&self, shared: &Shared) -> Result<(), Failure> {
        while !shared.stops() {
            let before = shared.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.read(shared)?;
            pinned::came(shared, &before)?;
        }
        Ok(())
    }

    /// Reads on for a moment.
    pub fn read(&self, shared: &Shared) -> Result<(), Failure> {
        self.0.read(WAIT, |record| add(shared, record)).map(drop)
    }
}
