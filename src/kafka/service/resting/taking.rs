//! What a group knows is taken out: partitions as they stand, and one engine of all of them.
//!
//! Knows what has to be judged again. Must not write.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::Offset;

use super::writing::Saved;
use super::{Change, Resting};
use crate::engine::Engine;
use crate::kafka::client::Isolation;
use crate::kafka::failure::Failure;
use crate::kafka::service::read::{Reader, Watermarks};
use crate::kafka::service::{aggregator, restoring};
use crate::kafka::settings::Topic;
use crate::partition::{Incoming, JudgingError, Partition, Position};

/// How long one look for records lasts.
const READ: Duration = Duration::from_millis(200);
/// A partition that gives nothing for so long will not.
const SILENT: Duration = Duration::from_secs(30);
/// Records that are judged again at once.
const BATCH: usize = 4096;

/// Partitions that were put back.
#[derive(Default)]
pub(super) struct Held {
    pub partitions: BTreeMap<i32, Partition>,
    /// The keys of all that is saved of each.
    pub saved: Saved,
    /// What was missing, a sentence each.
    pub notes: Vec<String>,
}

impl Resting {
    /// Puts partitions back as they were saved.
    ///
    /// * `to_the_end`: judges again what they have judged since.
    pub(super) fn hold(&self, numbers: impl Iterator<Item = i32>, to_the_end: bool) -> Result<Held, Failure> {
        let mut held = Held::default();
        for number in numbers {
            let (mut restored, keys) = restoring::read(&self.shared, number)?;
            held.saved.insert(number, keys);
            if to_the_end {
                self.catch_up(&mut restored.partition)?;
                held.notes.append(&mut restored.missing);
            }
            held.partitions.insert(number, restored.partition);
        }
        Ok(held)
    }

    /// Judges what was judged since the slices were saved once more, and tells nobody.
    fn catch_up(&self, partition: &mut Partition) -> Result<(), Failure> {
        let Some(stands) = partition.committed().filter(|_| partition.is_muted()) else { return Ok(()) };
        let (topic, number) = (self.topic(Topic::Audit), partition.number());
        let failed = |error: JudgingError| {
            Failure::set_up(format!(
                "partition {} cannot be judged up to where it stands: {error}; start the service, let it catch up, and \
                 stop it again",
                number
            ))
        };
        let (begin, _) =
            Watermarks::new(&self.shared.clients, Isolation::Committed)?.of(topic, partition.number())?;
        let from = partition.next_offset().max(begin);
        if from < stands.offset {
            let reader = Reader::new(&self.shared.clients, topic, partition.number(), Offset::Offset(from))?;
            let (mut read, mut ended) = (Vec::new(), false);
            let mut heard = Instant::now();
            while !ended {
                if heard.elapsed() > SILENT {
                    return Err(Failure::set_up(format!(
                        "{topic} [{number}] gives no more records before {}: start the service, let it catch up, and stop it again",
                        stands.offset
                    )));
                }
                let reached = reader.read(READ, |record| {
                    ended |= record.offset >= stands.offset;
                    let value = record.value.map(<[u8]>::to_vec);
                    read.push((record.offset, record.timestamp_ms, record.key.to_vec(), value));
                })?;
                ended |= reached;
                if !read.is_empty() {
                    heard = Instant::now();
                }
                read.retain(|(offset, ..)| *offset < stands.offset);
                let records: Vec<Incoming<'_>> = read
                    .iter()
                    .map(|(offset, timestamp_ms, key, value)| Incoming {
                        offset: *offset,
                        timestamp_ms: *timestamp_ms,
                        key: Some(key),
                        value: value.as_deref(),
                    })
                    .collect();
                for records in records.chunks(BATCH) {
                    partition.take(records, &self.shared).map_err(failed)?;
                }
                read.clear();
            }
        }
        if partition.is_muted() {
            partition.take(&[], &self.shared).map_err(failed)?;
        }
        Ok(())
    }

    /// One engine of all partitions, and where those stand that ever stood anywhere.
    pub(super) fn joined(&self, held: Held) -> Result<(Engine, BTreeMap<i32, Position>, Change), Failure> {
        let mut change = Change { notes: held.notes, ..Change::default() };
        let mut stands = BTreeMap::new();
        let mut engines = Vec::new();
        for (number, partition) in held.partitions {
            change.before = change.before.and(partition.holdings());
            if let Some(position) = partition.committed() {
                stands.insert(number, position);
                change.offsets.insert(number, position.offset);
            }
            engines.push(partition.into_engine());
        }
        let version = aggregator::latest(&self.shared)?;
        Ok((Engine::join(self.whole.clone(), version, engines), stands, change))
    }
}
