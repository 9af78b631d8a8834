//! What a group is to know is written, all of it or nothing.
//!
//! Knows records, positions and who has to be fenced. Must not know why.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::{Offset, TopicPartitionList};

use super::Resting;
use crate::engine::Engine;
use crate::kafka::failure::Failure;
use crate::kafka::service::restoring;
use crate::kafka::service::writer::{Together, Writer};
use crate::kafka::settings::Topic;
use crate::partition::{Outgoing, Partition, Position};

/// How long the transaction of a large state may take: as long as brokers allow by default. Milliseconds.
const TRANSACTION_MS: &str = "900000";

/// The keys of all that is saved, by partition.
pub(super) type Saved = BTreeMap<i32, BTreeSet<Vec<u8>>>;

/// What is written together.
#[derive(Default)]
pub(super) struct Writes {
    pub state: Vec<Outgoing>,
    pub positions: BTreeMap<i32, Position>,
}

impl Resting {
    /// Adds what replaces everything that is saved of a partition.
    ///
    /// * `saved`: the keys of all that is there.
    pub(super) fn place(
        &self,
        engine: Engine,
        number: i32,
        position: Position,
        next_control: i64,
        saved: &Saved,
        writes: &mut Writes,
    ) -> Result<(), Failure> {
        let settings = restoring::settings(&self.shared, number);
        let commit = Partition::standing(settings, engine, position, next_control)
            .replace(saved.get(&number).unwrap_or(&BTreeSet::new()))
            .map_err(|error| Failure::set_up(format!("partition {number} cannot be saved: {error}")))?;
        writes.state.extend(commit.state);
        writes.positions.insert(number, commit.position);
        Ok(())
    }

    /// Writes everything in one transaction, unless it is only looked what would be written.
    pub(super) fn write(&self, writes: &Writes, dry_run: bool) -> Result<(), Failure> {
        if dry_run {
            return Ok(());
        }
        let clients = &self.shared.clients;
        let group = &clients.settings().group;
        let mut config = clients.producer(u32::MAX)?;
        if config.get("transactional.id").is_some() {
            // Whoever worked under one of our names is fenced; who worked under another is no member any more, and nothing
            // is taken from it.
            let names = (0..clients.settings().threads).map(|thread| clients.transactional_id(thread));
            for name in names.chain([format!("{group}-aggregator")]) {
                config.set("transactional.id", name);
                drop(Writer::new(clients, &config, || false)?);
            }
            config.set("transactional.id", format!("{group}-state"));
            config.set("transaction.timeout.ms", TRANSACTION_MS);
        }
        let writer = Writer::new(clients, &config, || false)?;
        let mut offsets = TopicPartitionList::new();
        for (number, position) in &writes.positions {
            let mut place = offsets.add_partition(self.topic(Topic::Audit), *number);
            place.set_metadata(position.metadata());
            place
                .set_offset(Offset::Offset(position.offset))
                .map_err(|error| Failure::new("note an offset", &error, None))?;
        }
        self.refuse_members()?;
        let state = writes.state.iter().collect();
        writer.write(&Together { outputs: Vec::new(), state, offsets }, &self.reader()?)
    }
}
