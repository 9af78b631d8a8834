//! Who translates sources into a partition, and how far each has come.
//!
//! Knows progress records. Must not know what follows where one does not come.

use std::collections::BTreeMap;

use crate::time::{DAY_MS, EventTime};
use crate::wire::progress::Progress;

/// A source of which nothing was heard for so long is not there any more.
const FORGOTTEN_MS: i64 = DAY_MS;
/// More are not kept in mind: whoever can write to the partition must not fill the memory.
const MOST: usize = 4096;

/// What was last said of each partition of a source.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    heard: BTreeMap<(String, i32), Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    /// When it was recorded.
    recorded: EventTime,
    /// How far it had come then.
    watermark: EventTime,
}

impl Sources {
    /// Notes a progress record.
    pub(super) fn hear(&mut self, progress: &Progress, recorded: EventTime) {
        self.heard.retain(|_, heard| heard.recorded.plus_ms(FORGOTTEN_MS) > recorded);
        let source = (progress.topic.clone(), progress.partition);
        if self.heard.len() < MOST || self.heard.contains_key(&source) {
            self.heard.insert(source, Heard { recorded, watermark: progress.watermark });
        }
    }

    /// A source that is late, with the milliseconds by which it is: it had not come further when it was heard of last, or
    /// was not heard of since.
    ///
    /// * `now`: the time by the clock that records are stamped with.
    /// * `within_ms`: what is not late yet.
    pub fn late(&self, now: EventTime, within_ms: i64) -> Option<(&str, i32, i64)> {
        let late_by = |heard: &Heard| {
            let silent = now.0.saturating_sub(heard.recorded.0);
            let behind = heard.recorded.0.saturating_sub(heard.watermark.0);
            Some(silent.max(behind)).filter(|late| *late > within_ms && silent < FORGOTTEN_MS)
        };
        let all = self
            .heard
            .iter()
            .filter_map(|((topic, partition), heard)| Some((topic.as_str(), *partition, late_by(heard)?)));
        all.max_by_key(|(.., late)| *late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::progress::PROGRESS_SCHEMA;

    fn progress(partition: i32, watermark: i64) -> Progress {
        Progress {
            schema: PROGRESS_SCHEMA.to_owned(),
            normaliser: "n".to_owned(),
            topic: "trail".to_owned(),
            partition,
            offset: None,
            watermark: EventTime(watermark),
        }
    }

    #[test]
    fn a_source_is_late_when_it_is_not_heard_of_or_says_so_itself() {
        let mut sources = Sources::default();
        assert_eq!(sources.late(EventTime(0), 60_000), None, "nobody is awaited");
        sources.hear(&progress(0, 1_000_000), EventTime(1_000_000));
        sources.hear(&progress(1, 900_000), EventTime(1_000_000));
        assert_eq!(sources.late(EventTime(1_010_000), 60_000), Some(("trail", 1, 100_000)));
        sources.hear(&progress(1, 1_010_000), EventTime(1_010_000));
        assert_eq!(sources.late(EventTime(1_060_000), 60_000), None);
        assert_eq!(sources.late(EventTime(1_060_001), 60_000), Some(("trail", 0, 60_001)));
    }

    #[test]
    fn a_source_that_was_given_up_is_awaited_for_a_day() {
        let mut sources = Sources::default();
        sources.hear(&progress(0, 0), EventTime(0));
        assert!(sources.late(EventTime(DAY_MS - 1), 60_000).is_some());
        assert_eq!(sources.late(EventTime(DAY_MS), 60_000), None);
        sources.hear(&progress(1, DAY_MS), EventTime(DAY_MS));
        assert_eq!(sources.heard.len(), 1);
    }
}
