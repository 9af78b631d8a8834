//! Batches that nobody can read are passed over; whoever can write one would stop detection for ever otherwise.
//!
//! Knows which partitions may stand before one. Must not know how its end is found.

use super::{Slot, Worker};
use crate::kafka::client::Severity;
use crate::kafka::service::pulse::AlarmKind;
use crate::kafka::settings::Topic;
use crate::kafka::unreadable::next_readable;

impl Worker<'_> {
    /// Looks which partitions stand before what cannot be read, and passes over that. Partitions go on reading from where
    /// they stand: the consumer does not say which one it could not read, and may be behind it already.
    pub(super) fn pass_over_unreadable(&mut self) {
        self.met_unreadable = false;
        let at_work: Vec<(i32, i64)> = self
            .slots
            .iter()
            .filter_map(|(number, slot)| match slot {
                Slot::Running(partition) => Some((*number, partition.next_offset())),
                Slot::Restoring(_) => None,
            })
            .collect();
        // Where nobody answers now, the others are not asked as well: the group has to hear of us. Whoever stands before what
        // cannot be read meets it again.
        let mut answers = true;
        for (number, from) in at_work {
            let clients = &self.shared.clients;
            let topic = clients.settings().topics.of(Topic::Audit);
            let found = if answers { next_readable(clients, topic, number, from) } else { Ok(None) };
            match found {
                Ok(None) => {}
                Ok(Some(until)) => self.pass_over(number, until),
                Err(failure) => {
                    self.say_sometimes(Severity::Warning, &failure.to_string());
                    answers = false;
                }
            }
            let next = match self.slots.get(&number) {
                Some(Slot::Running(partition)) => partition.next_offset(),
                Some(Slot::Restoring(_)) | None => continue,
            };
            if let Err(failure) = self.read_from(number, next) {
                self.say_sometimes(Severity::Warning, &failure.to_string());
                self.restore_anew(number);
            }
        }
    }

    fn pass_over(&mut self, number: i32, until: i64) {
        let Some(Slot::Running(partition)) = self.slots.get_mut(&number) else { return };
        let topic = self.shared.clients.settings().topics.of(Topic::Audit);
        match partition.pass_over_unreadable(until, &**self.shared) {
            Ok(passed) => {
                for (from, until) in passed {
                    let sentence = format!(
                        "{topic} [{number}]: the records from offset {from} to {until} (excluded) cannot be read and are \
                         passed over; find out who wrote them"
                    );
                    self.shared.alarm(AlarmKind::CoverageGap, Some(number), &sentence);
                }
            }
            Err(error) => self.mend(number, error),
        }
    }
}
