//! Reads the topics of risk and of alerts, to their ends and on from there, in a thread of its own.
//!
//! Knows consumers. Must not know what is asked.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::Lookup;
use super::alerts::KEPT;
use crate::kafka::client::{self, Clients, Context, Isolation, Severity};
use crate::kafka::failure::{Cause, Failure, Next};
use crate::kafka::service::read::Watermarks;
use crate::kafka::service::writer::now_ms;
use crate::kafka::settings::Topic;
use crate::kafka::unreadable::{is_unreadable, next_readable};

/// How long a poll waits.
const POLL: Duration = Duration::from_millis(50);
/// Records of a topic that are taken before the other one has its turn.
const TURN: usize = 10_000;
/// Before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// A broker that is there answers within this.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two looks whether the broker is still there, so that nothing is missing; and how long one may take.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const LOOK_WITHIN: Duration = Duration::from_millis(500);
/// A sentence about what does not work is said this often.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// Beyond its time-out, a transaction has been ended by the broker by then.
const MARGIN: Duration = Duration::from_secs(20);

/// The thread that reads. Told to end when this is dropped; it is not waited for, because a broker may be.
pub struct Reading {
    stop: Arc<AtomicBool>,
    renew: Arc<AtomicBool>,
}

impl Reading {
    /// Begins to read. Trouble is told, and waited for.
    ///
    /// # Errors
    ///
    /// When the operating system starts no thread.
    pub fn start(clients: Clients, lookup: Arc<Lookup>) -> io::Result<Self> {
        let reading = Self { stop: Arc::default(), renew: Arc::default() };
        let (stop, renew) = (Arc::clone(&reading.stop), Arc::clone(&reading.renew));
        let run = move || run(&clients, &lookup, &stop, &renew);
        thread::Builder::new().name("lookup".to_owned()).spawn(run)?;
        Ok(reading)
    }

    /// Goes on with clients that are made anew, from where it stands.
    pub fn renew(&self) {
        self.renew.store(true, Ordering::Relaxed);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn run(clients: &Clients, lookup: &Lookup, stop: &AtomicBool, renew: &AtomicBool) {
    let mut said: Option<Instant> = None;
    let mut read_so_far = [Places::new(), Places::new()];
    while !stop.load(Ordering::Relaxed) {
        renew.store(false, Ordering::Relaxed);
        let stops = || stop.load(Ordering::Relaxed) || renew.load(Ordering::Relaxed);
        let Err(failure) = read(clients, lookup, &mut read_so_far, stops) else { continue };
        if said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            said = Some(Instant::now());
            let line = format!("{failure}; until it can be read, /v1 answers with what was read before");
            clients.say(Severity::Warning, &line);
        }
        let until = Instant::now() + PAUSE;
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            thread::sleep(POLL);
        }
    }
}

/// The next record of each partition.
type Places = BTreeMap<i32, i64>;

/// A topic that is read.
struct Reader<'t> {
    consumer: BaseConsumer<Context>,
    topic: &'t str,
    partitions: Vec<i32>,
    next: &'t mut Places,
    /// Where each ended when that was asked last, open transactions included.
    ends: Places,
}

/// * `read_so_far`: of the topic of risk, and of that of alerts: what was read is not read again.
fn read(
    clients: &Clients,
    lookup: &Lookup,
    read_so_far: &mut [Places; 2],
    stops: impl Fn() -> bool,
) -> Result<(), Failure> {
    let topics = &clients.settings().topics;
    let [risk_places, alert_places] = read_so_far;
    // When the ends were asked for, until they are reached.
    let mut asked = Some(now_ms());
    let mut risk = Reader::begin(clients, topics.of(Topic::Risk), risk_places, None, &stops)?;
    let mut alerts = Reader::begin(clients, topics.of(Topic::Alerts), alert_places, Some(KEPT), &stops)?;
    let watermarks = Watermarks::new(clients, Isolation::Uncommitted)?;
    let mut next_look = Instant::now();
    let mut is_wrong = false;
    let mut tell = |taken: Result<(), String>, message: &BorrowedMessage<'_>| {
        if let (Err(why), false) = (&taken, is_wrong) {
            is_wrong = true;
            let place = format!("{} [{}] at {}", message.topic(), message.partition(), message.offset());
            clients.say(
                Severity::Warning,
                &format!("{place} is of no use: {why}; such records are passed over"),
            );
        }
    };
    while !stops() {
        risk.turn(clients, POLL, |message| {
            let place = (message.partition(), message.offset());
            let key = message.key().unwrap_or_default();
            tell(lookup.take_risk(place, key, message.payload()), message);
        })?;
        alerts.turn(clients, Duration::ZERO, |message| {
            tell(message.payload().map_or(Ok(()), |value| lookup.take_alert(value)), message);
        })?;
        if let Some(at) = asked
            && risk.stands_at_ends()?
            && (lookup.is_read() || alerts.stands_at_ends()?)
        {
            lookup.read_until(at);
            asked = None;
        }
        if asked.is_none() && Instant::now() >= next_look {
            next_look = Instant::now() + LOOK_EVERY;
            let at = now_ms();
            asked = risk.ask_for_ends(&watermarks).then_some(at);
        }
    }
    Ok(())
}

impl<'t> Reader<'t> {
    /// Stands at the beginning of each partition, or so many records before the end of the topic; not before what was
    /// read.
    fn begin(
        clients: &Clients,
        topic: &'t str,
        next: &'t mut Places,
        last: Option<usize>,
        stops: impl Fn() -> bool,
    ) -> Result<Self, Failure> {
        let consumer = client::consumer(&clients.reader(Isolation::Committed)?, clients.context())
            .map_err(|error| Failure::new("make a reader", &error, None))?;
        let failed = |error: KafkaError| {
            Failure::new(&format!("read {topic}"), &error, consumer.context().trouble().as_ref())
        };
        let found = consumer.fetch_metadata(Some(topic), ANSWER).map_err(failed)?;
        let found = found.topics().iter().find(|found| found.name() == topic);
        let partitions: Vec<i32> =
            found.map(|found| found.partitions()).unwrap_or_default().iter().map(|of| of.id()).collect();
        if partitions.is_empty() {
            return Err(Failure::set_up(format!(
                "{topic} is not there: make it with `tiltmeter topics --create`"
            )));
        }
        let all = Watermarks::new(clients, Isolation::Uncommitted)?;
        let committed = Watermarks::new(clients, Isolation::Committed)?;
        let patience = Duration::from_millis(u64::from(clients.settings().transaction_timeout_ms)) + MARGIN;
        let deadline = Instant::now() + patience;
        let (mut places, mut ends) = (TopicPartitionList::new(), Places::new());
        for partition in &partitions {
            let (first, end) = all.of(topic, *partition)?;
            // What is open by now is waited for: it was there before we were.
            while committed.of(topic, *partition)?.1 < end && Instant::now() < deadline && !stops() {
                thread::sleep(POLL / 2);
            }
            let each =
                last.map_or(i64::MAX, |last| i64::try_from(last / partitions.len()).unwrap_or(i64::MAX));
            // Beyond the end: the topic was made anew.
            let read = next.get(partition).copied().filter(|next| *next <= end).unwrap_or_default();
            let from = first.max(end.saturating_sub(each)).max(read);
            next.insert(*partition, from);
            ends.insert(*partition, end);
            places.add_partition_offset(topic, *partition, Offset::Offset(from)).map_err(failed)?;
        }
        consumer.assign(&places).map_err(failed)?;
        Ok(Self { consumer, topic, partitions, next, ends })
    }

    /// Notes where each partition ends, open transactions included. Returns whether all leaders answered.
    fn ask_for_ends(&mut self, watermarks: &Watermarks) -> bool {
        let end = |partition: &i32| {
            let (_, end) = watermarks.once(self.topic, *partition, LOOK_WITHIN).ok()?;
            Some((*partition, end))
        };
        let found: Option<Places> = self.partitions.iter().map(end).collect();
        self.ends = found.unwrap_or_default();
        !self.ends.is_empty()
    }

    /// Whether everything before the ends that were noted has been read. Not where librdkafka says that a partition ends: a
    /// transaction that is open hides what was committed behind it, and while records keep coming it never says so.
    fn stands_at_ends(&self) -> Result<bool, Failure> {
        let positions = self
            .consumer
            .position()
            .map_err(|error| Failure::new(&format!("ask what was read of {}", self.topic), &error, None))?;
        Ok(self.ends.iter().all(|(partition, end)| {
            // Behind the marks of transactions, too, which are no records.
            let stands = positions.find_partition(self.topic, *partition);
            let stands = stands.and_then(|place| place.offset().to_raw()).unwrap_or_default();
            stands.max(self.next.get(partition).copied().unwrap_or_default()) >= *end
        }))
    }

    /// Hands on what there is.
    fn turn(
        &mut self,
        clients: &Clients,
        wait: Duration,
        mut each: impl FnMut(&BorrowedMessage<'_>),
    ) -> Result<(), Failure> {
        let mut wait = wait;
        for _ in 0..TURN {
            match self.consumer.poll(wait) {
                None => return Ok(()),
                Some(Ok(message)) => {
                    self.next.insert(message.partition(), message.offset() + 1);
                    each(&message);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) if is_unreadable(&error) => return Err(self.pass_over(clients)?),
                Some(Err(error)) => {
                    let trouble = self.consumer.context().trouble();
                    let failure = Failure::new(&format!("read {}", self.topic), &error, trouble.as_ref());
                    // Whoever is not let in has to hear of it; what passes by itself is waited for.
                    if failure.next != Next::Retry || failure.cause == Cause::Refused {
                        return Err(failure);
                    }
                }
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    /// Goes on behind what nobody can read; returns what to say. It has to be read on by another consumer, because this one
    /// may be anywhere now.
    fn pass_over(&mut self, clients: &Clients) -> Result<Failure, Failure> {
        let mut passed = String::new();
        for partition in &self.partitions {
            let from = self.next.get(partition).copied().unwrap_or_default();
            if let Some(until) = next_readable(clients, self.topic, *partition, from)? {
                self.next.insert(*partition, until);
                passed = format!(
                    " [{partition}]: the records from offset {from} to {until} (excluded), which are passed over; agents are \
                     shown as they were told of before or after"
                );
            }
        }
        Ok(Failure::passing(format!("cannot read {}{passed}", self.topic)))
    }
}
