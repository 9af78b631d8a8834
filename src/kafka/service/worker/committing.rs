//! What follows from records is written, with where the group stands then; and the one way back where that fails.
//!
//! Knows what belongs together, and what is still to be written. Must not know what is read next.

use std::time::{Duration, Instant};

use rdkafka::{Offset, TopicPartitionList};

use super::{BACK_OFF, Slot, Worker, settled};
use crate::kafka::client::Severity;
use crate::kafka::failure::{Failure, Next};
use crate::kafka::service::restoring::committed_of;
use crate::kafka::service::writer::{Together, now_ms};
use crate::kafka::settings::Topic;
use crate::partition::{Commit, Position};

/// Without outputs, offsets are committed this often, and after so many records.
const COMMIT_EVERY: Duration = Duration::from_millis(250);
const COMMIT_AFTER: usize = 20_000;

impl Worker<'_> {
    /// Those who have something to tell do not wait, nor for those who have not: the fewer partitions a transaction has,
    /// the sooner it ends.
    pub(super) fn commit_if_due(&mut self) -> Result<(), Failure> {
        if self.since_commit >= COMMIT_AFTER || self.last_commit.elapsed() >= COMMIT_EVERY {
            return self.commit(None, false);
        }
        let tell = self.slots.iter().filter(|(_, slot)| match slot {
            Slot::Running(partition) => partition.has_outputs() && !partition.is_muted(),
            Slot::Restoring(_) => false,
        });
        let tell: Vec<i32> = tell.map(|(number, _)| *number).collect();
        if tell.is_empty() { Ok(()) } else { self.commit(Some(&tell), false) }
    }

    /// Writes everything that some partitions (or all) have to write.
    pub(super) fn commit(&mut self, only: Option<&[i32]>, all: bool) -> Result<(), Failure> {
        if only.is_none() {
            self.since_commit = 0;
            self.last_commit = Instant::now();
        }
        let mut commits = Vec::new();
        for (number, slot) in &mut self.slots {
            let Slot::Running(partition) = slot else { continue };
            if only.is_some_and(|only| !only.contains(number)) {
                continue;
            }
            let before = partition.committed();
            match partition.commit(self.pace, now_ms(), all) {
                Ok(Some(commit)) => commits.push((before, commit)),
                Ok(None) => {}
                Err(error) => return Err(Failure::set_up(format!("the state cannot be saved: {error}"))),
            }
        }
        if commits.is_empty() {
            return Ok(());
        }
        match self.write(&commits) {
            Ok(()) => Ok(()),
            Err(failure) => self.recover(commits, failure),
        }
    }

    pub(super) fn write(&mut self, commits: &[(Option<Position>, Commit)]) -> Result<(), Failure> {
        if self.writer.is_doubtful() {
            self.writer = settled(self.shared, self.thread)?;
        }
        let began = Instant::now();
        let written = self.write_together(commits);
        self.tally.wrote(began.elapsed(), written.is_ok());
        if written.is_ok() {
            self.count(commits.iter().map(|(_, commit)| commit));
        }
        written
    }

    /// Counts what was written.
    pub(super) fn count<'c>(&mut self, commits: impl Iterator<Item = &'c Commit>) {
        for commit in commits {
            let partition = match self.slots.get(&commit.partition) {
                Some(Slot::Running(partition)) => Some(&**partition),
                Some(Slot::Restoring(_)) | None => None,
            };
            self.tally.committed(commit, partition);
        }
    }

    pub(super) fn write_together(&self, commits: &[(Option<Position>, Commit)]) -> Result<(), Failure> {
        let topic = self.shared.clients.settings().topics.of(Topic::Audit);
        let mut offsets = TopicPartitionList::new();
        for (_, commit) in commits {
            let mut place = offsets.add_partition(topic, commit.partition);
            place.set_metadata(commit.position.metadata());
            place
                .set_offset(Offset::Offset(commit.position.offset))
                .map_err(|error| Failure::new("note an offset", &error, None))?;
        }
        let together = Together {
            outputs: commits.iter().flat_map(|(_, commit)| &commit.outputs).collect(),
            state: commits.iter().flat_map(|(_, commit)| &commit.state).collect(),
            offsets,
        };
        self.writer.write(&together, &self.consumer)
    }

    /// The one way back: a new producer settles what was open, then the group says where it stands. What was written is
    /// done, what was not is written again; a partition that stands elsewhere is put back.
    pub(super) fn recover(
        &mut self,
        mut commits: Vec<(Option<Position>, Commit)>,
        mut failure: Failure,
    ) -> Result<(), Failure> {
        let mut wait = BACK_OFF.0;
        loop {
            self.say_sometimes(Severity::Warning, &failure.to_string());
            if failure.next == Next::Mend {
                return Err(failure);
            }
            self.writer = settled(self.shared, self.thread)?;
            // The group may have decided otherwise meanwhile. No records are taken.
            let ours: Vec<i32> = self.keep_membership()?;
            commits.retain(|(_, commit)| ours.contains(&commit.partition));
            let numbers: Vec<i32> = commits.iter().map(|(_, commit)| commit.partition).collect();
            let stands = match committed_of(&self.consumer, self.shared, &numbers) {
                Ok(stands) => stands,
                Err(next) => {
                    failure = next;
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(BACK_OFF.1);
                    continue;
                }
            };
            let is_written = |commit: &Commit| stands.get(&commit.partition) == Some(&commit.position);
            self.count(commits.iter().map(|(_, commit)| commit).filter(|commit| is_written(commit)));
            let mut elsewhere = Vec::new();
            commits.retain(|(before, commit)| {
                let stands = stands.get(&commit.partition).copied();
                let written = stands == Some(commit.position);
                if !written && stands != *before {
                    elsewhere.push(commit.partition);
                }
                !written && stands == *before
            });
            for number in elsewhere {
                self.restore_anew(number);
            }
            if commits.is_empty() {
                return Ok(());
            }
            match self.write(&commits) {
                Ok(()) => return Ok(()),
                Err(next) => failure = next,
            }
            if self.shared.stops() {
                return Err(failure);
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(BACK_OFF.1);
        }
    }

    /// Writes and saves everything of some partitions (or all), because they are given up.
    pub(super) fn give_up(&mut self, only: Option<&[i32]>) -> Result<(), Failure> {
        let written = self.commit(only, true);
        if let Err(failure) = &written {
            self.shared.say(Severity::Warning, &format!("{failure}; what was not written is judged again"));
        }
        if only.is_none() {
            self.slots.keys().for_each(|number| self.shared.note(*number, None));
            self.slots.clear();
        }
        match written {
            Err(failure) if failure.next == Next::Mend => Err(failure),
            _ => Ok(()),
        }
    }
}
