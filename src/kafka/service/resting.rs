//! A group in which nobody works: what it knows is taken out, put in, moved or taken back.
//!
//! Knows what has to be read and written together. Must not know files, nor how an engine is split.
//!
//! Nothing is changed while anybody works: the group has to have no members when it is looked at and once more before
//! anything is written. Everything that changes is written in one transaction, with the positions of the group: whoever is
//! started next finds either the old state or the new one. Where delivery is `at_least_once` there are no transactions; a
//! change that was cut off is made again.

mod taking;
mod writing;

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use self::taking::Held;
use self::writing::{Saved, Writes};
use super::read::Watermarks;
use super::restoring::committed_of;
use super::{OwnSettings, Shared, control, versions};
use crate::engine::{Engine, Holdings, Settings, Version};
use crate::kafka::client::{self, Clients, Context, Isolation};
use crate::kafka::failure::Failure;
use crate::kafka::settings::Topic;
use crate::kafka::verify::Verified;
use crate::partition::{Common as _, Partition, Position, partition_of};

/// A broker that is there answers within this.
const ANSWER: Duration = Duration::from_secs(30);

/// Where a group begins to read once it was given a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Where it stands; at the first record where it never was.
    Stands,
    /// At the first record.
    Earliest,
    /// Behind the last record.
    Latest,
    /// At these offsets, by partition.
    At(BTreeMap<i32, i64>),
}

/// What becomes otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// What the group held.
    pub before: Holdings,
    /// What it holds then.
    pub after: Holdings,
    /// Agents on each partition then.
    pub agents: BTreeMap<i32, usize>,
    /// Where each partition reads on.
    pub offsets: BTreeMap<i32, i64>,
    /// What a person should know, a sentence each.
    pub notes: Vec<String>,
}

/// A group in which nobody works.
pub struct Resting {
    shared: Shared,
    /// What one engine for all partitions is told.
    whole: Settings,
}

impl Resting {
    /// Looks whether nobody works, and reads versions and control records to their ends.
    ///
    /// * `engine`: what one engine for all partitions is told.
    /// * `own`: how the settings that held are read.
    ///
    /// # Errors
    ///
    /// When somebody works, with who it is; when the topics cannot be read.
    pub fn open(
        clients: Clients,
        engine: Settings,
        own: OwnSettings,
        verified: Verified,
    ) -> Result<Self, Failure> {
        let partitions = verified.partitions.max(1) as usize;
        let share = Settings { max_agents: engine.max_agents.div_ceil(partitions), ..engine.clone() };
        let resting = Self {
            shared: Shared::new(clients, share, own, verified, std::sync::Arc::default()),
            whole: engine,
        };
        resting.refuse_members()?;
        drop(versions::tail(&resting.shared)?);
        drop(control::tail(&resting.shared)?);
        Ok(resting)
    }

    /// One engine that knows what the group knows where it stands. What partitions have handed over and what they have
    /// learned since is minted into its version at once. Nothing is written.
    ///
    /// # Errors
    ///
    /// When the topics cannot be read, or records between what was saved and where the group stands cannot be judged.
    pub fn export(&self) -> Result<(Engine, Change), Failure> {
        let held = self.hold(self.numbers(), true)?;
        let (engine, _, mut change) = self.joined(held)?;
        change.after = engine.holdings();
        Ok((engine, change))
    }

    /// Gives the group the state of one engine, in place of whatever it has.
    ///
    /// Control records take effect anew from the first one on; those that the engine has heard of already do nothing.
    ///
    /// # Errors
    ///
    /// When the topics cannot be read or written, or `start` names places that are not there.
    pub fn import(&self, engine: Engine, start: &Start, dry_run: bool) -> Result<Change, Failure> {
        let mut change = Change::default();
        let Held { partitions, saved, .. } = self.hold(self.numbers(), false)?;
        for partition in partitions.values() {
            change.before = change.before.and(partition.holdings());
        }
        if engine.knows_groups() {
            change.notes.push(format!(
                "control records about groups of agents are not in a state of partitions: write those that were given with \
                 --control to {} as well",
                self.topic(Topic::Control)
            ));
        }
        let positions = self.positions(start)?;
        self.put(engine, positions, 0, &saved, dry_run, change)
    }

    /// Moves the state of a group to as many partitions as its topics have by now.
    ///
    /// # Errors
    ///
    /// When the topics cannot be read or written.
    pub fn repartition(&self, dry_run: bool) -> Result<Change, Failure> {
        let held = self.hold(self.numbers(), true)?;
        let next_control = held.partitions.values().filter(|partition| partition.committed().is_some());
        let next_control = next_control.map(Partition::next_control).min().unwrap_or_default();
        let saved = held.saved.clone();
        let (engine, stands, mut change) = self.joined(held)?;
        let mut positions = self.positions(&Start::Stands)?;
        positions.extend(stands);
        let ends = Watermarks::new(&self.shared.clients, Isolation::Uncommitted)?;
        let mut unread = 0;
        for (number, position) in &positions {
            unread += ends.of(self.topic(Topic::Audit), *number)?.1.saturating_sub(position.offset).max(0);
        }
        if unread > 0 {
            change.notes.push(format!(
                "{unread} records are not judged yet: those that lie where their agents lay before meet agents that are \
                 not known there any more; stop the producers and let the service catch up first"
            ));
        }
        self.put(engine, positions, next_control, &saved, dry_run, change)
    }

    /// Makes an earlier version of what is normal hold again, under a new number.
    ///
    /// # Errors
    ///
    /// When there is no such version, or the topics cannot be read or written.
    pub fn revert_version(&self, number: u64, dry_run: bool) -> Result<Change, Failure> {
        let found =
            self.shared.versions.version(number, i64::MAX).filter(|version| version.number() == number);
        let found = found.ok_or_else(|| {
            Failure::set_up(format!(
                "there is no version {number} in {} any more; the newest is {}",
                self.topic(Topic::Baselines),
                self.shared.versions.newest().number()
            ))
        })?;
        let mut change = Change::default();
        for partition in self.hold(self.numbers(), false)?.partitions.values() {
            change.before = change.before.and(partition.holdings());
        }
        let newest = self.shared.versions.newest();
        change.before.version = newest.number();
        change.before.types = newest.baselines.types.len();
        let mut version = self.copy(&found)?;
        version.baselines.version = newest.number() + 1;
        change.after =
            Holdings { version: version.number(), types: version.baselines.types.len(), ..change.before };
        change.notes.push(format!(
            "what was handed over since version {number} is forgotten; what agents are used to themselves stays"
        ));
        let manifest = self.shared.versions.manifest();
        let state = versions::records(&version, manifest.next, manifest.merged)?;
        self.write(&Writes { state, positions: BTreeMap::new() }, dry_run)?;
        Ok(change)
    }

    /// Forgets what one agent is used to: it is judged by its peers, as if it were new.
    ///
    /// # Errors
    ///
    /// When the agent is not known, or the topics cannot be read or written.
    pub fn revert_agent(
        &self,
        tenant: Option<&str>,
        agent_id: &str,
        dry_run: bool,
    ) -> Result<Change, Failure> {
        let number = partition_of(agent_id.as_bytes(), self.shared.verified.partitions);
        let number = i32::try_from(number).unwrap_or_default();
        let mut held = self.hold(std::iter::once(number), true)?;
        let Some(partition) = held.partitions.remove(&number) else { return Ok(Change::default()) };
        let (stands, next_control) = (partition.position(), partition.next_control());
        let mut change = Change { before: partition.holdings(), notes: held.notes, ..Change::default() };
        let mut engine = partition.into_engine();
        if !engine.forget_habits(tenant, agent_id) {
            return Err(Failure::set_up(format!(
                "agent {agent_id:?} is not known on partition {number}; check its id, and its tenant if it has one"
            )));
        }
        change.after = engine.holdings();
        change.offsets.insert(number, stands.offset);
        let mut writes = Writes::default();
        self.place(engine, number, stands, next_control, &held.saved, &mut writes)?;
        self.write(&writes, dry_run)?;
        Ok(change)
    }

    fn topic(&self, topic: Topic) -> &str {
        self.shared.clients.settings().topics.of(topic)
    }

    fn numbers(&self) -> std::ops::Range<i32> {
        0..i32::try_from(self.shared.verified.partitions).unwrap_or(i32::MAX)
    }

    /// Where every partition begins.
    fn positions(&self, start: &Start) -> Result<BTreeMap<i32, Position>, Failure> {
        let numbers: Vec<i32> = self.numbers().collect();
        let consumer = self.reader()?;
        let stands = committed_of(&consumer, &self.shared, &numbers)?;
        let log = Watermarks::new(&self.shared.clients, Isolation::Uncommitted)?;
        let mut positions = BTreeMap::new();
        for number in numbers {
            let (first, end) = log.of(self.topic(Topic::Audit), number)?;
            let stood = stands.get(&number).copied();
            let offset = match start {
                Start::Stands => stood.map_or(first, |stood| stood.offset),
                Start::Earliest => first,
                Start::Latest => end,
                Start::At(offsets) => match offsets.get(&number) {
                    Some(offset) if (first..=end).contains(offset) => *offset,
                    Some(offset) => {
                        return Err(Failure::set_up(format!(
                            "partition {number} has no offset {offset}: it reaches from {first} to {end}"
                        )));
                    }
                    None => {
                        return Err(Failure::set_up(format!(
                            "no offset is named for partition {number}; name one for each of the {} partitions",
                            self.shared.verified.partitions
                        )));
                    }
                },
            };
            positions.insert(number, Position { offset, pins: stood.map_or(0, |stood| stood.pins) });
        }
        Ok(positions)
    }

    /// Splits an engine over the partitions and writes all of it.
    fn put(
        &self,
        engine: Engine,
        positions: BTreeMap<i32, Position>,
        next_control: i64,
        saved: &Saved,
        dry_run: bool,
        mut change: Change,
    ) -> Result<Change, Failure> {
        let newest = self.shared.versions.newest().number();
        change.before.version = newest;
        let number = newest.max(engine.version().number()) + 1;
        change.after = Holdings { version: number, ..engine.holdings() };
        let partitions = self.shared.verified.partitions;
        let parts = engine.split(&self.shared.engine, number, partitions.max(1) as usize, |agent_id| {
            partition_of(agent_id.as_bytes(), partitions) as usize
        });
        let end = Watermarks::new(&self.shared.clients, Isolation::Uncommitted)?;
        let (_, end) = end.of(self.topic(Topic::BaselineParts), 0)?;
        let mut writes = Writes::default();
        if let Some(first) = parts.first() {
            // What was handed over before is in it, or belongs to what it replaces.
            writes.state = versions::records(first.version(), end, BTreeMap::new())?;
        }
        for (part, (number, position)) in parts.into_iter().zip(positions) {
            change.agents.insert(number, part.agents());
            change.offsets.insert(number, position.offset);
            self.place(part, number, position, next_control, saved, &mut writes)?;
        }
        self.write(&writes, dry_run)?;
        Ok(change)
    }

    /// Nobody may work meanwhile.
    fn refuse_members(&self) -> Result<(), Failure> {
        let consumer = self.reader()?;
        let group = self.shared.clients.settings().group.as_str();
        let aggregator = format!("{group}-aggregator");
        // Every broker is asked who works: they have to be known.
        consumer.fetch_metadata(None, ANSWER).map_err(|error| {
            let trouble = consumer.context().trouble();
            Failure::new("ask which brokers there are", &error, trouble.as_ref())
        })?;
        for name in [group, aggregator.as_str()] {
            let found = consumer.fetch_group_list(Some(name), ANSWER).map_err(|error| {
                let trouble = consumer.context().trouble();
                Failure::new(&format!("ask who works in group {name}"), &error, trouble.as_ref())
            })?;
            let members: Vec<String> = found
                .groups()
                .iter()
                .flat_map(|group| group.members())
                .map(|member| {
                    format!("{} at {}", member.client_id(), member.client_host().trim_start_matches('/'))
                })
                .collect();
            if !members.is_empty() {
                return Err(Failure::set_up(format!(
                    "group {name} is at work: {}; stop all instances, wait until their sessions have ended, and try again",
                    members.join(", ")
                )));
            }
        }
        Ok(())
    }

    fn reader(&self) -> Result<BaseConsumer<Context>, Failure> {
        let clients = &self.shared.clients;
        client::consumer(&clients.reader(Isolation::Committed)?, clients.context())
            .map_err(|error| Failure::new("make a reader", &error, None))
    }

    fn copy(&self, version: &Version) -> Result<Version, Failure> {
        version.save().and_then(|bytes| Version::restore(self.shared.engine.clone(), &bytes)).map_err(
            |error| Failure::set_up(format!("version {} cannot be copied: {error}", version.number())),
        )
    }
}
