//! Reads a topic, makes records of its records, and writes them in one transaction with the offsets, for ever.
//!
//! Knows consumers, transactions and threads. Must not know what is made of a record, and keeps nothing that could not be
//! read again.
//!
//! Whatever fails, producer and consumer are made anew: the new producer settles what was open, the new consumer begins
//! where the group stands. So there is nothing to put back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::STOP_WITHIN;
use super::assignment::{Decided, Membership};
use super::writer::{Together, Writer};
use crate::kafka::client::{self, Begin, Clients, Hears, Isolation, Severity};
use crate::kafka::failure::{Failure, Next};
use crate::partition::Outgoing;

/// How long a poll waits for the first record.
const POLL: Duration = Duration::from_millis(50);
/// After the first record, others are waited for so long: a transaction for each would be slow.
const GATHER: Duration = Duration::from_millis(20);
/// Records that are taken at once, their bytes, and records that may follow from them before others are taken.
const BATCH: usize = 4096;
const BATCH_BYTES: usize = 8 << 20;
const BATCH_OUTPUTS: usize = 20_000;
/// Between two tries, at first and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// A broker that is there answers within this.
const ANSWER: Duration = Duration::from_secs(30);
/// Between two looks whether it ends.
const LOOK: Duration = Duration::from_millis(20);

/// What is made of the records of a topic.
pub(super) trait Work: Send + 'static {
    /// Adds what follows from one record.
    ///
    /// # Errors
    ///
    /// When the record has to be taken again: everything is made anew, and what was taken since the last writing comes
    /// again with it.
    fn take(&mut self, message: &BorrowedMessage<'_>, outputs: &mut Vec<Outgoing>) -> Result<(), Failure>;

    /// Whether what was taken is to be written before more is taken.
    fn is_full(&self) -> bool {
        false
    }

    /// Nothing is left of a partition, for now.
    fn reached_end(&mut self, _partition: i32) {}

    /// A partition is another's from now on.
    fn give_up(&mut self, _partition: i32) {}

    /// What was taken, and what followed from it, has been written: only now it counts.
    ///
    /// * `_records`: taken since the last time.
    fn written(&mut self, _records: usize, _outputs: &[Outgoing]) {}

    /// Something failed, and everything is made anew.
    fn failed(&mut self) {}

    /// What is to be written besides. Asked again and again, but not while partitions change hands.
    fn more(&mut self) -> Vec<Outgoing> {
        Vec::new()
    }
}

/// Threads that relay, and how they are ended.
pub(super) struct Relay {
    clients: Clients,
    /// What one of them is, for messages: `a source`.
    what: &'static str,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// No threads yet.
    pub fn new(clients: &Clients, what: &'static str) -> Self {
        Self { clients: clients.clone(), what, stop: Arc::default(), threads: Vec::new() }
    }

    /// Starts a thread.
    ///
    /// * `clients`: of the group that reads.
    /// * `number`: among the threads of that group in this process: ends the transactional id.
    /// * `work`: made anew whenever something failed.
    pub fn spawn<W: Work>(
        &mut self,
        clients: Clients,
        number: u32,
        topic: String,
        work: impl Fn() -> W + Send + 'static,
    ) {
        let stop = Arc::clone(&self.stop);
        let run = move || run(&Place { clients, number, topic, stop }, work);
        self.threads.extend(thread::Builder::new().name("relay".to_owned()).spawn(run));
    }

    /// Whether a thread has ended by itself: then this must be ended, and says why.
    pub fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends: what was taken is written, partitions are given up. Within ten seconds.
    ///
    /// # Errors
    ///
    /// When a thread ended in a panic.
    pub fn stop(self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + STOP_WITHIN;
        let mut ended = Ok(());
        for thread in self.threads {
            while !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5));
            }
            if !thread.is_finished() {
                let line = format!(
                    "{} did not end in time; what was not written is written after the next start",
                    self.what
                );
                self.clients.say(Severity::Warning, &line);
                continue;
            }
            if thread.join().is_err() {
                let text = format!("{} ended in a panic; please report what was printed", self.what);
                ended = Err(Failure::passing(text));
            }
        }
        ended
    }
}

/// Whether a topic is there.
///
/// # Errors
///
/// When the broker cannot be asked.
pub(super) fn is_there(clients: &Clients, topic: &str) -> Result<bool, Failure> {
    let consumer = client::consumer(&clients.reader(Isolation::Committed)?, clients.context())
        .map_err(|error| Failure::new("make a reader", &error, None))?;
    let found = consumer.fetch_metadata(Some(topic), ANSWER).map_err(|error| {
        Failure::new(&format!("ask for {topic}"), &error, consumer.context().trouble().as_ref())
    })?;
    Ok(found.topics().iter().any(|found| found.name() == topic && !found.partitions().is_empty()))
}

/// Where a thread reads, and as whom.
struct Place {
    clients: Clients,
    number: u32,
    topic: String,
    stop: Arc<AtomicBool>,
}

impl Place {
    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Relays until it is told to end; trouble is told, and it begins anew.
fn run<W: Work>(place: &Place, work: impl Fn() -> W) {
    let mut wait = BACK_OFF.0;
    loop {
        let began = Instant::now();
        let mut work = work();
        let ended = session(place, &mut work);
        let Err(failure) = ended else { return };
        if place.stops() {
            return;
        }
        work.failed();
        // Detection goes on meanwhile: it must not end because a topic is gone.
        let severity = if failure.next == Next::Mend { Severity::Error } else { Severity::Warning };
        place.clients.say(severity, &format!("{}: {failure}; it is tried again", place.topic));
        if began.elapsed() > BACK_OFF.1 {
            wait = BACK_OFF.0;
        }
        let until = Instant::now() + wait;
        while Instant::now() < until && !place.stops() {
            thread::sleep(LOOK);
        }
        wait = (wait * 2).min(BACK_OFF.1);
    }
}

fn session<W: Work>(place: &Place, work: &mut W) -> Result<(), Failure> {
    let Place { clients, number, topic, .. } = place;
    let config = clients.producer(*number)?;
    let writer = Writer::new(clients, &config, || place.stops())?;
    let mut config = clients.consumer(*number, Begin::Earliest)?;
    // How far a topic has been read shows where nothing is left of it.
    config.set("enable.partition.eof", "true").set("statistics.interval.ms", "0");
    let consumer = client::consumer(&config, Membership::new(clients.context()))
        .map_err(|error| Failure::new("make a consumer", &error, None))?;
    let subscribed = consumer
        .subscribe(&[topic.as_str()])
        .map_err(|error| Failure::new(&format!("subscribe to {topic}"), &error, None));
    let mut session = Session { place, work, consumer, writer, next: BTreeMap::new() };
    let ended = subscribed.and_then(|()| {
        while !place.stops() {
            session.turn()?;
        }
        Ok(())
    });
    // Dropping it waits until everything is given up.
    session.consumer.context().close();
    ended
}

/// A consumer and a producer, as long as nothing fails.
struct Session<'s, W> {
    place: &'s Place,
    work: &'s mut W,
    consumer: BaseConsumer<Membership>,
    writer: Writer,
    /// The next record of each partition of which one was taken.
    next: BTreeMap<i32, i64>,
}

impl<W: Work> Session<'_, W> {
    /// Takes what there is, and writes what is made of it.
    fn turn(&mut self) -> Result<(), Failure> {
        let mut outputs = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        let mut trouble = None;
        let mut until = Instant::now() + POLL;
        while count < BATCH && bytes < BATCH_BYTES && outputs.len() < BATCH_OUTPUTS {
            match self.consumer.poll(until.saturating_duration_since(Instant::now())) {
                None => break,
                Some(Ok(message)) => {
                    if count == 0 {
                        until = Instant::now() + GATHER;
                    }
                    count += 1;
                    bytes += message.payload_len();
                    self.work.take(&message, &mut outputs)?;
                    self.next.insert(message.partition(), message.offset() + 1);
                    if self.work.is_full() {
                        break;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.work.reached_end(partition);
                }
                Some(Err(error)) => {
                    trouble = Some(error);
                    break;
                }
            }
        }
        self.writer.hear();
        let decided = self.consumer.context().take();
        if self.consumer.assignment_lost() {
            // Others have it by now; what was taken here is dropped.
            return Err(self.failure(&KafkaError::Global(RDKafkaErrorCode::RebalanceInProgress)));
        }
        if decided.is_empty() {
            outputs.extend(self.work.more());
        }
        if count > 0 || !outputs.is_empty() {
            self.write(&outputs)?;
            self.work.written(count, &outputs);
            if self.writer.is_doubtful() {
                let text =
                    "the end of a transaction may have been sent twice: it begins anew with another producer";
                return Err(Failure::passing(text.to_owned()));
            }
        }
        // Only now: what was taken of a partition that is given up has been written by then.
        for decided in decided {
            self.decide(decided)?;
        }
        trouble.map_or(Ok(()), |error| self.tell(&error))
    }

    fn write(&self, outputs: &[Outgoing]) -> Result<(), Failure> {
        let mut offsets = TopicPartitionList::new();
        for (partition, next) in &self.next {
            offsets
                .add_partition_offset(&self.place.topic, *partition, Offset::Offset(*next))
                .map_err(|error| Failure::new("note an offset", &error, None))?;
        }
        let together = Together { outputs: outputs.iter().collect(), state: Vec::new(), offsets };
        self.writer.write(&together, &self.consumer)
    }

    fn decide(&mut self, decided: Decided) -> Result<(), Failure> {
        let topic = &self.place.topic;
        let failed = |doing: &'static str| {
            move |error: KafkaError| Failure::new(&format!("{doing} of {topic}"), &error, None)
        };
        match decided {
            Decided::Assigned(partitions) => {
                let take = failed("take the partitions assigned");
                self.consumer.incremental_assign(&partitions).map_err(take)
            }
            Decided::Revoked(partitions) => {
                for place in partitions.elements() {
                    self.next.remove(&place.partition());
                    self.work.give_up(place.partition());
                }
                let give = failed("give up the partitions revoked");
                self.consumer.incremental_unassign(&partitions).map_err(give)
            }
            Decided::Failed(why) => {
                let line = format!("{topic}: the group could not be joined: {why}; it is tried again");
                self.place.clients.say(Severity::Warning, &line);
                for partition in std::mem::take(&mut self.next).into_keys() {
                    self.work.give_up(partition);
                }
                let _ = self.consumer.unassign();
                Ok(())
            }
        }
    }

    /// Trouble of the consumer: passing, or for good.
    fn tell(&self, error: &KafkaError) -> Result<(), Failure> {
        let failure = self.failure(error);
        if failure.next != Next::Retry {
            return Err(failure);
        }
        self.place.clients.say(Severity::Warning, &failure.to_string());
        Ok(())
    }

    fn failure(&self, error: &KafkaError) -> Failure {
        let trouble = self.consumer.context().context().trouble();
        Failure::new(&format!("read {}", self.place.topic), error, trouble.as_ref())
    }
}
