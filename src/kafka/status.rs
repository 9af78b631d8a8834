//! How a service is doing, as Kafka shows it to anybody: heartbeats, where groups stand, what is open.
//!
//! Knows the status topic, offsets and watermarks. Must not know a running service, nor how a status is shown.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use super::client::{self, Clients, Context, Isolation};
use super::failure::Failure;
use super::settings::{SourceTopic, Topic};
use crate::risk::Blindness;
use crate::time::EventTime;

/// A broker that is there answers within this.
const ANSWER: Duration = Duration::from_secs(30);
/// Why no broker answers is said within this, after it is known that none does.
const REASON: Duration = Duration::from_secs(2);
/// Marks of transactions that may stand behind the last record that was taken; nobody takes them.
const MARKS: i64 = 10;
/// Heartbeats are looked for as far back. Milliseconds.
const LOOK_BACK_MS: i64 = 3_600_000;
/// Whoever has not been heard of for so long is away: four heartbeats. Milliseconds.
pub const AWAY_AFTER_MS: i64 = 120_000;

/// The latest heartbeat of an instance (`tiltmeter.heartbeat.v1`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Its name.
    pub instance: String,
    /// Version of the program.
    pub version: String,
    /// When it was written, by the broker's clock.
    #[serde(default)]
    pub time: EventTime,
    /// What it does on each of its partitions.
    pub partitions: Vec<Beat>,
}

/// What an instance does on a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The partition.
    pub partition: i32,
    /// Whether it is still being put back.
    pub restoring: bool,
    /// The next record.
    pub offset: i64,
    /// Agents under watch.
    pub agents: usize,
    /// The version of what is normal.
    pub baseline: u64,
    /// Why what its agents do cannot be seen; none where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind: Option<Blindness>,
    /// Events judged since it was put back.
    pub events: u64,
    /// Dead letters since it was put back.
    pub dead_letters: u64,
}

/// Where a group stands on a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next record; none where the group has taken none.
    pub committed: Option<i64>,
    /// One after the last record that may be read: where the first open transaction begins, if there is one.
    pub stable_end: i64,
    /// One after the last record.
    pub end: i64,
    /// Records, and marks of transactions, that wait; `stable_end` − `committed`.
    pub lag: i64,
    /// Records behind the first open transaction, `end` − `stable_end`: nobody may read them until it ends.
    pub open: i64,
    /// Whether more waits than came between two looks, and more than before.
    pub falls_behind: bool,
}

/// How a service is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// When it was asked, by the host's clock.
    pub time: EventTime,
    /// The group of the service.
    pub group: String,
    /// Instances that were heard of within an hour, by name.
    pub instances: Vec<Heartbeat>,
    /// Where the service stands on the audit topic.
    pub partitions: Vec<Standing>,
    /// Where those who translate stand on the topics of sources.
    pub sources: Vec<Standing>,
}

impl Status {
    /// Instances that were heard of lately.
    pub fn present(&self) -> impl Iterator<Item = &Heartbeat> {
        let since = self.time.plus_ms(-AWAY_AFTER_MS);
        self.instances.iter().filter(move |instance| instance.time >= since)
    }

    /// What is not as it should be, a sentence each.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        if self.present().next().is_none() {
            troubles.push(
                "no instance was heard of within two minutes: start one with `tiltmeter run`".to_owned(),
            );
        }
        for beat in self.present().flat_map(|heartbeat| &heartbeat.partitions) {
            if let Some(blindness) = beat.blind {
                troubles.push(format!(
                    "agents of partition {} cannot be seen ({}): see TiltmeterBlind in docs/runbook.md",
                    beat.partition,
                    blindness.name()
                ));
            }
        }
        for Standing { topic, partition, lag, open, falls_behind, .. } in
            self.partitions.iter().chain(&self.sources)
        {
            if *falls_behind {
                troubles.push(format!(
                    "{topic} [{partition}] falls behind: {lag} records wait; start more instances"
                ));
            }
            if *open > 0 && *lag <= 0 {
                troubles.push(format!(
                    "{topic} [{partition}] waits for a transaction that is open, {open} records before its end"
                ));
            }
        }
        troubles
    }

    /// Whether somebody is there and nobody falls behind. An open transaction alone is no illness: it may be a moment old.
    pub fn is_healthy(&self) -> bool {
        self.present().next().is_some()
            && !self.partitions.iter().chain(&self.sources).any(|standing| standing.falls_behind)
    }
}

/// Asks how a service is doing, twice with `between` in between: what falls behind shows only over time.
///
/// # Errors
///
/// When the cluster cannot be asked, or the topics are not there.
pub fn status(clients: &Clients, sources: &[SourceTopic], between: Duration) -> Result<Status, Failure> {
    let settings = clients.settings();
    let audit = vec![settings.topics.of(Topic::Audit).to_owned()];
    let translated: Vec<String> = sources.iter().map(|source| source.topic.clone()).collect();
    let (judging, translating) = (Asked::new(clients)?, Asked::new(&clients.for_sources())?);
    let before = (judging.standings(&audit)?, translating.standings(&translated)?);
    thread::sleep(between);
    let (mut partitions, mut sources) = (judging.standings(&audit)?, translating.standings(&translated)?);
    compare(&before.0, &mut partitions);
    compare(&before.1, &mut sources);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = EventTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    let instances = judging.heartbeats(settings.topics.of(Topic::Status), time)?;
    Ok(Status { time, group: settings.group.clone(), instances, partitions, sources })
}

/// Who keeps up takes what comes within moments: what waits is less than what came between the looks.
fn compare(before: &[Standing], after: &mut [Standing]) {
    for (before, after) in before.iter().zip(after) {
        let arrived = after.stable_end - before.stable_end;
        after.falls_behind = after.lag > before.lag && after.lag > arrived + MARKS;
    }
}

/// Clients of a group that is asked about.
struct Asked {
    seen: BaseConsumer<Context>,
    committed: BaseConsumer<Context>,
    group: String,
    brokers: String,
}

impl Asked {
    fn new(clients: &Clients) -> Result<Self, Failure> {
        let client = |isolation| -> Result<BaseConsumer<Context>, Failure> {
            let made = client::consumer(&clients.reader(isolation)?, clients.context());
            made.map_err(|error| Failure::new("make a reader", &error, None))
        };
        Ok(Self {
            seen: client(Isolation::Uncommitted)?,
            committed: client(Isolation::Committed)?,
            group: clients.settings().group.clone(),
            brokers: clients.settings().brokers.clone(),
        })
    }

    fn failed<'c>(
        client: &'c BaseConsumer<Context>,
        doing: String,
    ) -> impl Fn(KafkaError) -> Failure + use<'c> {
        move |error| Failure::new(&doing, &error, client.context().trouble().as_ref())
    }

    fn partitions(&self, topic: &str) -> Result<i32, Failure> {
        let doing = format!("ask Kafka at {} for {topic}", self.brokers);
        let found = self.seen.fetch_metadata(Some(topic), ANSWER).map_err(|error| {
            // The answer comes before the reason.
            client::hear_why(&self.seen, REASON);
            Self::failed(&self.seen, doing)(error)
        })?;
        let count =
            found.topics().iter().find(|found| found.name() == topic).map(|found| found.partitions().len());
        match count.and_then(|count| i32::try_from(count).ok()).filter(|count| *count > 0) {
            Some(count) => Ok(count),
            None => Err(Failure::set_up(format!(
                "{topic} is not there: make it with `tiltmeter topics --create`, or mend its name"
            ))),
        }
    }

    fn standings(&self, topics: &[String]) -> Result<Vec<Standing>, Failure> {
        let mut standings = Vec::new();
        for topic in topics {
            let mut asked = TopicPartitionList::new();
            asked.add_partition_range(topic, 0, self.partitions(topic)? - 1);
            let doing = format!("ask where group {} stands", self.group);
            let found = self.committed.committed_offsets(asked, ANSWER);
            let found = found.map_err(Self::failed(&self.committed, doing.clone()))?;
            for place in found.elements() {
                place.error().map_err(|error| Failure::new(&doing, &error, None))?;
                let partition = place.partition();
                let committed = place.offset().to_raw().filter(|offset| *offset >= 0);
                let ends = |client: &BaseConsumer<Context>| {
                    let doing = format!("ask where {topic} [{partition}] ends");
                    client
                        .fetch_watermarks(topic, partition, ANSWER)
                        .map_err(|error| Failure::new(&doing, &error, client.context().trouble().as_ref()))
                };
                let (begin, end) = ends(&self.seen)?;
                let stable_end = ends(&self.committed)?.1;
                standings.push(Standing {
                    topic: topic.clone(),
                    partition,
                    committed,
                    stable_end,
                    end,
                    lag: (stable_end - committed.unwrap_or(begin)).max(0),
                    open: (end - stable_end).max(0),
                    falls_behind: false,
                });
            }
        }
        Ok(standings)
    }

    /// The latest heartbeat of every instance.
    fn heartbeats(&self, topic: &str, now: EventTime) -> Result<Vec<Heartbeat>, Failure> {
        let failed = Self::failed(&self.committed, format!("read {topic}"));
        let partitions = self.partitions(topic)?;
        let mut since = TopicPartitionList::new();
        for partition in 0..partitions {
            let time = Offset::Offset(now.plus_ms(-LOOK_BACK_MS).0);
            since.add_partition_offset(topic, partition, time).map_err(&failed)?;
        }
        let from = self.seen.offsets_for_times(since, ANSWER).map_err(&failed)?;
        self.committed.assign(&from).map_err(&failed)?;
        let mut latest: BTreeMap<String, Heartbeat> = BTreeMap::new();
        let mut ended = 0;
        while ended < partitions {
            match self.committed.poll(ANSWER) {
                None => break,
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(error)) => return Err(failed(error)),
                Some(Ok(message)) => {
                    let read =
                        message.payload().and_then(|value| serde_json::from_slice::<Heartbeat>(value).ok());
                    let Some(beat) = read else { continue };
                    let beat = Heartbeat {
                        time: EventTime(message.timestamp().to_millis().unwrap_or_default()),
                        ..beat
                    };
                    let known = latest.get(&beat.instance).map(|known| known.time);
                    if known.is_none_or(|known| known <= beat.time) {
                        latest.insert(beat.instance.clone(), beat);
                    }
                }
            }
        }
        Ok(latest.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(committed: i64, end: i64) -> Standing {
        Standing {
            topic: "t".to_owned(),
            partition: 0,
            committed: Some(committed),
            stable_end: end,
            end,
            lag: end - committed,
            open: 0,
            falls_behind: false,
        }
    }

    fn falls_behind(before: (i64, i64), after: (i64, i64)) -> bool {
        let mut second = [standing(after.0, after.1)];
        compare(&[standing(before.0, before.1)], &mut second);
        second[0].falls_behind
    }

    #[test]
    fn who_takes_less_than_comes_falls_behind_and_who_has_taken_all_but_a_mark_does_not() {
        assert!(falls_behind((0, 1000), (500, 2000)));
        assert!(falls_behind((0, 1000), (0, 1100)), "it stands still");
        assert!(!falls_behind((0, 1000), (1500, 2000)), "it catches up");
        assert!(!falls_behind((990, 1000), (1900, 2000)), "it takes within moments");
        assert!(!falls_behind((999, 1000), (999, 1000)), "a mark of a transaction");
        assert!(!falls_behind((999, 1000), (999, 1100)), "they came a moment ago");
    }

    #[test]
    fn without_a_heartbeat_within_two_minutes_nobody_is_there() {
        let now = EventTime(10_000_000);
        let seen = |ago: i64| Heartbeat {
            instance: "a".to_owned(),
            version: "1".to_owned(),
            time: now.plus_ms(-ago),
            partitions: Vec::new(),
        };
        let status = |ago| Status {
            time: now,
            group: "g".to_owned(),
            instances: vec![seen(ago)],
            partitions: vec![standing(1, 1)],
            sources: Vec::new(),
        };
        assert!(status(AWAY_AFTER_MS).is_healthy() && status(0).troubles().is_empty());
        assert!(!status(AWAY_AFTER_MS + 1).is_healthy());
        assert!(status(AWAY_AFTER_MS + 1).troubles()[0].contains("tiltmeter run"));
    }
}
