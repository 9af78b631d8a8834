//! Who translates sources into a partition, and how far each has come.
//!
//! Knows progress records. Must not know what follows where one does not come.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::{DAY_MS, EventTime};
use crate::wire::progress::Progress;

/// A source of which nothing was heard for so long is not there any more.
const FORGOTTEN_MS: i64 = DAY_MS;
/// More are not kept in mind, nor longer names: whoever can write to the partition must not fill the memory, nor what is
/// saved with every commit.
const MOST: usize = 1024;
/// The longest name of a topic that Kafka allows. Bytes.
const LONGEST_NAME: usize = 249;

/// When each partition of a source was last heard of, by the time at which that was recorded.
///
/// How far it had come then is left out of account: events of some sources are minutes old when they are delivered, and
/// whoever translates them at once would look late.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sources {
    heard: BTreeMap<(String, i32), EventTime>,
}

impl Sources {
    /// Notes a progress record.
    pub(super) fn hear(&mut self, progress: &Progress, recorded: EventTime) {
        self.heard.retain(|_, heard| heard.plus_ms(FORGOTTEN_MS) > recorded);
        if progress.topic.len() > LONGEST_NAME {
            return;
        }
        let source = (progress.topic.clone(), progress.partition);
        if self.heard.len() < MOST || self.heard.contains_key(&source) {
            // What is read once more is older than what was heard since.
            let heard = self.heard.entry(source).or_insert(recorded);
            *heard = (*heard).max(recorded);
        }
    }

    /// The source that was not heard of for longest, with the milliseconds since then, if that is late.
    ///
    /// * `now`: the time by the clock that records are stamped with.
    /// * `within_ms`: what is not late yet.
    pub fn late(&self, now: EventTime, within_ms: i64) -> Option<(&str, i32, i64)> {
        let late_by = |heard: &EventTime| {
            Some(now.0.saturating_sub(heard.0)).filter(|late| (within_ms + 1..FORGOTTEN_MS).contains(late))
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
    fn a_source_is_late_when_it_is_not_heard_of_and_not_because_its_events_are_old() {
        let mut sources = Sources::default();
        assert_eq!(sources.late(EventTime(0), 60_000), None, "nobody is awaited");
        sources.hear(&progress(0, 1_000_000), EventTime(1_000_000));
        sources.hear(&progress(1, 900_000), EventTime(1_000_000));
        assert_eq!(sources.late(EventTime(1_010_000), 60_000), None, "its events are delivered late");
        sources.hear(&progress(1, 1_010_000), EventTime(1_010_000));
        assert_eq!(sources.late(EventTime(1_060_000), 60_000), None);
        assert_eq!(sources.late(EventTime(1_060_001), 60_000), Some(("trail", 0, 60_001)));
    }

    #[test]
    fn what_is_read_once_more_makes_nobody_look_late_and_nobody_fills_what_is_saved() {
        let mut sources = Sources::default();
        sources.hear(&progress(0, 0), EventTime(2_000_000));
        sources.hear(&progress(0, 0), EventTime(1_000_000));
        assert_eq!(sources.late(EventTime(2_000_000), 60_000), None);
        for partition in 0..10_000 {
            let topic = "t".repeat(if partition % 2 == 0 { 249 } else { 4000 });
            sources.hear(&Progress { topic, ..progress(partition, 0) }, EventTime(2_000_000));
        }
        assert_eq!(sources.heard.len(), MOST);
        assert!(postcard::to_allocvec(&sources).unwrap().len() < 300_000);
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
