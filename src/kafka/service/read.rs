//! Reads a partition of a topic outside of the group: to its end, and on from there.
//!
//! Knows where a partition ends. Must not know what its records mean.
//!
//! Whoever reads only what is committed sees a partition end at the first transaction that is open. So that nothing that
//! was written before is missed, the end is asked for first, by a client that sees everything; then it is waited until all
//! transactions before it have ended.

use std::cell::{Cell, RefCell};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::client::{self, Clients, Context, Isolation, Severity};
use crate::kafka::failure::{Cause, Failure, Next};
use crate::kafka::unreadable::{is_unreadable, next_readable};

/// A broker that is there answers within this.
const ANSWER: Duration = Duration::from_secs(30);
/// One try, after which is heard what is in the way.
const ONCE: Duration = Duration::from_secs(5);
/// A sentence about what does not work is said this often.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// Between two looks whether a transaction has ended.
const LOOK: Duration = Duration::from_millis(20);
/// Beyond its time-out, a transaction has been ended by the broker by then.
const MARGIN: Duration = Duration::from_secs(20);

/// A record, as it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read<'r> {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: &'r [u8],
    pub value: Option<&'r [u8]>,
}

/// A reader of one partition. What nobody can read is passed over.
pub(super) struct Reader {
    consumer: RefCell<BaseConsumer<Context>>,
    topic: String,
    partition: i32,
    clients: Clients,
    said: Cell<Option<Instant>>,
    /// The next record, as far as that is known.
    next: Cell<i64>,
    /// Whether the consumer has met what cannot be read, and may have gone anywhere since.
    met_unreadable: Cell<bool>,
    /// What could not be read: first offsets, and those behind the last.
    lost: RefCell<Vec<(i64, i64)>>,
}

impl Reader {
    /// A reader that stands at an offset of a partition.
    pub fn new(clients: &Clients, topic: &str, partition: i32, from: Offset) -> Result<Self, Failure> {
        let consumer = RefCell::new(standing(clients, topic, partition, from)?);
        let (topic, clients) = (topic.to_owned(), clients.clone());
        let next = Cell::new(from.to_raw().unwrap_or_default());
        Ok(Self {
            consumer,
            topic,
            partition,
            clients,
            said: Cell::new(None),
            next,
            met_unreadable: Cell::new(false),
            lost: RefCell::default(),
        })
    }

    /// What could not be read since this was asked last, a sentence each.
    pub fn lost(&self) -> Vec<String> {
        let lost = std::mem::take(&mut *self.lost.borrow_mut());
        let Self { topic, partition, .. } = self;
        let sentence = |(from, until)| {
            format!(
                "{topic} [{partition}]: the records from offset {from} to {until} (excluded) cannot be read and are passed \
                 over; look at the disks of the brokers, or find out who wrote them"
            )
        };
        lost.into_iter().map(sentence).collect()
    }

    /// Goes on behind what cannot be read, if it cannot: with another consumer, because this one may be anywhere now.
    fn pass_over(&self) -> Result<(), Failure> {
        let from = self.next.get();
        let readable = next_readable(&self.clients, &self.topic, self.partition, from)?;
        let next = readable.unwrap_or(from);
        self.consumer.replace(standing(&self.clients, &self.topic, self.partition, Offset::Offset(next))?);
        if next > from {
            self.lost.borrow_mut().push((from, next));
            self.next.set(next);
        }
        Ok(())
    }

    /// Hands on what there is within `wait`; returns whether the end of the partition was reached meanwhile.
    ///
    /// Faults that pass by themselves are waited for; that we are not let in is said meanwhile.
    pub fn read(&self, wait: Duration, mut each: impl FnMut(Read<'_>)) -> Result<bool, Failure> {
        let until = Instant::now() + wait;
        loop {
            if self.met_unreadable.get() {
                if let Err(failure) = self.pass_over() {
                    self.wait_for(failure)?;
                    return Ok(false);
                }
                self.met_unreadable.set(false);
            }
            let left = until.saturating_duration_since(Instant::now());
            let consumer = self.consumer.borrow();
            match consumer.poll(left) {
                None => return Ok(false),
                Some(Ok(message)) => {
                    self.next.set(message.offset() + 1);
                    each(Read {
                        offset: message.offset(),
                        timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
                        key: message.key().unwrap_or_default(),
                        value: message.payload(),
                    });
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(true),
                Some(Err(error)) if is_unreadable(&error) => self.met_unreadable.set(true),
                Some(Err(error)) => {
                    let doing = format!("read {} [{}]", self.topic, self.partition);
                    self.wait_for(Failure::new(&doing, &error, consumer.context().trouble().as_ref()))?;
                }
            }
        }
    }

    /// What passes by itself is waited for; that we are not let in is said.
    fn wait_for(&self, failure: Failure) -> Result<(), Failure> {
        if failure.next != Next::Retry {
            return Err(failure);
        }
        let is_said = self.said.get().is_some_and(|said| said.elapsed() < SAID_EVERY);
        if failure.cause == Cause::Refused && !is_said {
            self.said.set(Some(Instant::now()));
            self.clients.say(Severity::Warning, &format!("{failure}; it is tried again"));
        }
        Ok(())
    }
}

/// A consumer that stands at an offset of a partition.
fn standing(
    clients: &Clients,
    topic: &str,
    partition: i32,
    from: Offset,
) -> Result<BaseConsumer<Context>, Failure> {
    let consumer = reader(clients, Isolation::Committed)?;
    let mut place = TopicPartitionList::new();
    place
        .add_partition_offset(topic, partition, from)
        .and_then(|()| consumer.assign(&place))
        .map_err(|error| Failure::new(&format!("read {topic} [{partition}]"), &error, None))?;
    Ok(consumer)
}

fn reader(clients: &Clients, isolation: Isolation) -> Result<BaseConsumer<Context>, Failure> {
    client::consumer(&clients.reader(isolation)?, clients.context())
        .map_err(|error| Failure::new("make a reader", &error, None))
}

/// Asks where partitions begin and end.
pub(super) struct Watermarks {
    consumer: BaseConsumer<Context>,
}

impl Watermarks {
    /// Asks as one who sees everything, or only what is committed.
    pub fn new(clients: &Clients, isolation: Isolation) -> Result<Self, Failure> {
        Ok(Self { consumer: reader(clients, isolation)? })
    }

    /// The first offset of a partition and the one after its last, asked once.
    pub fn once(&self, topic: &str, partition: i32, within: Duration) -> Result<(i64, i64), Failure> {
        client::hear(&self.consumer);
        self.consumer.fetch_watermarks(topic, partition, within).map_err(|error| {
            client::hear(&self.consumer);
            let doing = format!("ask where {topic} [{partition}] ends");
            Failure::new(&doing, &error, self.consumer.context().trouble().as_ref())
        })
    }

    /// The first offset of a partition and the one after its last.
    pub fn of(&self, topic: &str, partition: i32) -> Result<(i64, i64), Failure> {
        let doing = format!("ask where {topic} [{partition}] ends");
        let until = Instant::now() + ANSWER;
        loop {
            client::hear(&self.consumer);
            let failure = match self.consumer.fetch_watermarks(topic, partition, ONCE) {
                Ok(found) => return Ok(found),
                Err(error) => Failure::new(&doing, &error, self.consumer.context().trouble().as_ref()),
            };
            // A topic that was just made, or whose leader went, has nobody who answers for a moment.
            if failure.next != Next::Retry || Instant::now() > until {
                return Err(failure);
            }
            thread::sleep(LOOK);
        }
    }
}

/// Reads a partition from its first record to where it ends now. Returns a reader that stands there.
pub(super) fn read_all(
    clients: &Clients,
    topic: &str,
    partition: i32,
    stops: impl Fn() -> bool,
    mut each: impl FnMut(Read<'_>),
) -> Result<Reader, Failure> {
    let (begin, end) = Watermarks::new(clients, Isolation::Uncommitted)?.of(topic, partition)?;
    let committed = Watermarks::new(clients, Isolation::Committed)?;
    let patience = Duration::from_millis(u64::from(clients.settings().transaction_timeout_ms)) + MARGIN;
    let deadline = Instant::now() + patience;
    while committed.of(topic, partition)?.1 < end && Instant::now() < deadline && !stops() {
        thread::sleep(LOOK);
    }
    let reader = Reader::new(clients, topic, partition, Offset::Beginning)?;
    reader.next.set(begin);
    while begin < end && !stops() && !reader.read(Duration::from_millis(200), &mut each)? {}
    Ok(reader)
}
