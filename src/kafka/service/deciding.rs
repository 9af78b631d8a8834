//! Writes what a person decided over HTTP to the control topic, once.
//!
//! Knows which control records there are. Must not know what a decision does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::Shared;
use super::writer::now_ms;
use crate::baseline::agent::KeySpace;
use crate::control::{Control, ControlRecord};
use crate::engine::Version;
pub use crate::kafka::decision::Written;
use crate::kafka::decision::{self, Once};
use crate::kafka::failure::Failure;
use crate::kafka::settings::Topic;
use crate::risk::Verdict;
use crate::wire::control;
use crate::wire::dead_letter::Refusal;

/// Decisions that are remembered until the control topic says them.
const REMEMBERED: usize = 1024;

/// Writes decisions.
pub struct Deciding {
    pub(super) shared: Arc<Shared>,
    /// One at a time, so that the same one that comes twice at once is written once.
    last: Mutex<VecDeque<(ControlRecord, Written)>>,
    /// Ids of tests that were told.
    pub(super) tests: Mutex<VecDeque<String>>,
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Decided {
    /// It was written now, or was there already; here, with its id.
    At(Written, String),
    /// Another one has the same idempotency key.
    Differs,
    /// It breaks a limit.
    Refused(Refusal),
}

impl Deciding {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), last: Mutex::default(), tests: Mutex::default() }
    }

    /// The newest version of what is normal, and when it was written, by the broker's clock; none for what is shipped.
    /// Milliseconds since 1970.
    pub fn newest(&self) -> (Arc<Version>, Option<i64>) {
        self.shared.versions.newest_written()
    }

    /// Names that agents of a type used lately, as this instance saw them, by their kind.
    pub fn names(&self, agent_type: &str) -> Vec<(KeySpace, String)> {
        self.shared.names.of(agent_type)
    }

    /// The topic of alerts.
    pub fn alerts_topic(&self) -> &str {
        self.shared.clients.settings().topics.of(Topic::Alerts)
    }

    /// The topic of control records.
    pub fn topic(&self) -> &str {
        self.shared.clients.settings().topics.of(Topic::Control)
    }

    /// Writes a verdict; returns once all replicas have it. May take half a minute where the broker is slow.
    ///
    /// * `key`: an idempotency key. Whatever instance is given the same verdict with the same key, it is written once, for as
    ///   long as the control topic keeps it; but for two that are given it in the same moment, where there are no transactions.
    ///
    /// # Errors
    ///
    /// When it is not known to have been written.
    pub fn verdict(&self, verdict: Verdict, key: Option<&str>) -> Result<Decided, Failure> {
        let (time, by) = (verdict.time, verdict.by.clone());
        let made = match key {
            None => control::record(time, &by, Control::Verdict(verdict)),
            Some(key) => {
                let record = ControlRecord { time, id: id(key), by, kind: Control::Verdict(verdict) };
                // Held to the same limits as what arrives.
                control::encode(&record)
                    .map_err(|error| Failure::set_up(error.to_string()))
                    .map(|json| control::decode(json.as_bytes()))?
            }
        };
        let record = match made {
            Ok(record) => record,
            Err(refusal) => return Ok(Decided::Refused(refusal)),
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if key.is_some()
            && let Some((known, written)) = self.known(&last, &record.id)
        {
            return Ok(if is_same(&known, &record) {
                Decided::At(written, record.id)
            } else {
                Decided::Differs
            });
        }
        let failed = |why: String| Failure::set_up(format!("the verdict cannot be written: {why}"));
        let json = control::encode(&record).map_err(|error| failed(error.to_string()))?;
        let now = u64::try_from(now_ms()).unwrap_or_default();
        let topic_key = control::topic_key(&record, now).map_err(|error| failed(error.to_string()))?;
        let once = match key {
            Some(_) => decision::write_once(&self.shared.clients, &topic_key, &json)?,
            None => Once::Now(decision::write(&self.shared.clients, &topic_key, &json)?),
        };
        let written = match once {
            Once::Now(written) => written,
            // Another instance wrote it, or we did and were not told: it had not been read yet.
            Once::Before(written, value) => match control::decode(&value) {
                Ok(before) if is_same(&before, &record) => written,
                _ => return Ok(Decided::Differs),
            },
        };
        let id = record.id.clone();
        last.push_back((record, written));
        if last.len() > REMEMBERED {
            last.pop_front();
        }
        Ok(Decided::At(written, id))
    }

    /// The verdict with an id, if there is one. Linear in the control records.
    fn known(&self, last: &VecDeque<(ControlRecord, Written)>, id: &str) -> Option<(ControlRecord, Written)> {
        if let Some(known) = last.iter().find(|(record, _)| record.id == id) {
            return Some(known.clone());
        }
        let (offset, json) = self.shared.control.find(&format!("\"id\":\"{id}\""))?;
        let record = control::decode(json.as_bytes()).ok()?;
        (record.id == id).then_some((record, Written { partition: 0, offset }))
    }
}

/// Whether two verdicts say the same; when they were said does not count, for whoever tries again does so later.
fn is_same(a: &ControlRecord, b: &ControlRecord) -> bool {
    let said = |record: &ControlRecord| match &record.kind {
        Control::Verdict(verdict) => Some(Verdict { time: Default::default(), ..verdict.clone() }),
        _ => None,
    };
    said(a) == said(b)
}

/// The id of a record that is written under an idempotency key.
fn id(key: &str) -> String {
    let digest = Sha256::digest(format!("idempotency-key\n{key}"));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
