//! The service: audit events from Kafka in, alerts and risk updates to Kafka out, for ever.
//!
//! Knows consumers, transactions and who owns which partition. Must not judge, and must not know what is saved.
//!
//! One thread for each consumer, with a producer of its own. What it takes, what follows from it and where it stands are
//! written in one transaction. Whatever fails, there is one way back: a new producer with the same transactional id, which
//! settles what was open; the committed position; and then either go on, write the same once more, or put the partition
//! back from what was saved (see [`crate::partition`]).

mod aggregator;
mod assignment;
mod canary;
mod control;
mod deciding;
mod figures;
mod forwarded;
pub mod lookup;
mod names;
mod normalise;
mod overload;
mod pinned;
mod pulse;
mod read;
mod relay;
mod resting;
mod restoring;
mod sight;
mod sinks;
mod testing;
mod versions;
mod webhooks;
mod worker;
mod writer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::{Clients, Severity};
use super::failure::{Cause, Failure, Next};
use super::verify::Verified;
use crate::engine::{Settings, Version};
use crate::metrics::Metrics;
use crate::partition::{Common, Counts};
use crate::risk::Blindness;

use self::control::ControlTail;
pub use self::deciding::{Decided, Deciding};
pub use self::figures::Watcher;
use self::names::Names;
pub use self::normalise::{NormaliseError, Normalising};
use self::pinned::Held;
pub use self::pinned::{OwnSettings, ReadSettings};
use self::pulse::{AlarmKind, Pulse};
pub use self::resting::{Change, Resting, Start};
pub use self::sinks::Sinks;
pub use self::testing::{TEST_AGENT, TEST_MARK, Tested, test_id};
pub use self::versions::VersionStore;
pub use self::webhooks::Webhooks;

/// How long a stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(8);
/// For as long is tried what has to be read and written before the first thread starts.
const PREPARED_WITHIN: Duration = Duration::from_secs(120);

/// What all threads of an instance share.
pub(in crate::kafka::service) struct Shared {
    pub clients: Clients,
    pub engine: Settings,
    pub verified: Verified,
    pub versions: VersionStore,
    pub control: ControlTail,
    /// What the file of this instance says.
    pub own: OwnSettings,
    /// Which settings hold.
    held: Mutex<Held>,
    pub pulse: Pulse,
    pub names: Arc<Names>,
    pub metrics: Arc<Metrics>,
    status: Mutex<BTreeMap<i32, PartitionStatus>>,
    stop: AtomicBool,
    /// Whether control records or versions could not be read.
    has_lost: AtomicBool,
    /// Consumers that the group has given something, or nothing.
    joined: AtomicU32,
}

/// What a partition does, for whoever asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartitionStatus {
    /// Whether it is still being put back, or repeats what was told.
    pub restoring: bool,
    /// The next record.
    pub offset: i64,
    /// Everything before it has been read: records, and what is none, such as what aborted transactions left. At least
    /// `offset`.
    pub read_to: i64,
    /// The latest record's time. Milliseconds since 1970.
    pub latest_record: Option<i64>,
    /// Agents under watch.
    pub agents: usize,
    /// The version by which it judges.
    pub version: u64,
    /// Why what its agents do cannot be seen at present.
    pub blindness: Option<Blindness>,
    /// Whether calls that repeat others are left out.
    pub sheds: bool,
    /// What happened so far.
    pub counts: Counts,
    /// Its slices as they were saved last, packed; of those that were not saved since it was put back, nothing. Bytes.
    pub state_bytes: u64,
}

impl Shared {
    /// * `engine`: what the engine of one partition is told.
    fn new(
        clients: Clients,
        engine: Settings,
        own: OwnSettings,
        verified: Verified,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            versions: VersionStore::new(engine.clone()),
            control: ControlTail::default(),
            own,
            held: Mutex::default(),
            pulse: Pulse::default(),
            names: Arc::default(),
            metrics,
            status: Mutex::default(),
            stop: AtomicBool::new(false),
            has_lost: AtomicBool::new(false),
            joined: AtomicU32::new(0),
            clients,
            engine,
            verified,
        }
    }

    /// Whether the service is to end.
    pub fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Notes that control records or versions could not be read.
    pub fn lose(&self) {
        self.has_lost.store(true, Ordering::Relaxed);
    }

    /// Notes that a consumer has joined the group for the first time.
    pub fn join(&self) {
        self.joined.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells the operator: a line in the log, and a record in the topic of status.
    pub fn alarm(&self, kind: AlarmKind, partition: Option<i32>, sentence: &str) {
        self.say(Severity::Error, sentence);
        self.metrics.figures.operator_alerts.with_label_values(&[kind.name()]).inc();
        self.pulse.alarm(kind, partition, sentence);
    }

    /// Passes a line on.
    pub fn say(&self, severity: Severity, line: &str) {
        self.clients.say(severity, line);
    }

    /// Notes what a partition does; none where it is not ours any more.
    pub fn note(&self, partition: i32, status: Option<PartitionStatus>) {
        let mut all = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        match status {
            Some(status) => all.insert(partition, status),
            None => all.remove(&partition),
        };
    }

    /// What each of our partitions does.
    pub fn partitions(&self) -> BTreeMap<i32, PartitionStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Common for Shared {
    fn version(&self, number: u64, control: i64) -> Option<Arc<Version>> {
        self.versions.version(number, control)
    }

    fn control(&self, until: i64) -> Vec<Arc<str>> {
        self.control.until(until)
    }

    fn has_lost(&self) -> bool {
        self.has_lost.load(Ordering::Relaxed)
    }
}

/// Reads versions and control records to their ends, and agrees with the group on the settings. What passes by itself is tried
/// again for [`PREPARED_WITHIN`]: a broker may just be changing places with another.
fn prepared(shared: &Shared, activates: bool) -> Result<(versions::Tail, control::Tail), Failure> {
    let prepare = || -> Result<(versions::Tail, control::Tail), Failure> {
        let (versions, control) = (versions::tail(shared)?, control::tail(shared)?);
        pinned::agree(shared, &control, activates)?;
        Ok((versions, control))
    };
    let until = Instant::now() + PREPARED_WITHIN;
    let mut wait = Duration::from_millis(500);
    loop {
        let failure = match prepare() {
            Ok(prepared) => return Ok(prepared),
            Err(failure) => failure,
        };
        if failure.next != Next::Retry || failure.cause == Cause::Refused || Instant::now() + wait > until {
            return Err(failure);
        }
        shared.say(Severity::Warning, &format!("{failure}; it is tried again"));
        thread::sleep(wait);
        wait = (wait * 2).min(Duration::from_secs(10));
    }
}

/// A service at work.
pub struct Service {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<(), Failure>>>,
}

impl Service {
    /// Starts the threads of an instance. Returns once the versions and the control topic have been read to their ends.
    ///
    /// * `engine`: what every partition's engine is told; `max_agents` of all partitions together.
    /// * `own`: the same as a text, and how those of others are read. They hold where nobody has said which do.
    /// * `activates`: whether they are to hold for the whole group from now on.
    /// * `metrics`: where it counts what it does.
    ///
    /// # Errors
    ///
    /// When the topics cannot be read, or the settings that hold cannot be judged by here.
    pub fn start(
        clients: Clients,
        engine: Settings,
        (own, activates): (OwnSettings, bool),
        verified: Verified,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Failure> {
        let partitions = verified.partitions.max(1) as usize;
        let engine = Settings { max_agents: engine.max_agents.div_ceil(partitions), ..engine };
        let shared = Arc::new(Shared::new(clients, engine, own, verified, metrics));
        let threads = shared.clients.settings().threads;
        let mut service = Self { shared, threads: Vec::new() };
        // Whatever may fail comes before the first thread: nobody would end it.
        let (versions, control) = prepared(&service.shared, activates)?;
        service.spawn("baselines", move |shared| versions.run(&shared));
        service.spawn("control", move |shared| control.run(&shared));
        service.spawn("pulse", |shared| pulse::run(&shared));
        if service.shared.clients.settings().canary {
            service.spawn("canary", |shared| canary::run(&shared));
        }
        service.spawn("aggregator", |shared| aggregator::run(&shared));
        for thread in 0..threads {
            service.spawn("worker", move |shared| worker::run(&shared, thread));
        }
        Ok(service)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce(Arc<Shared>) -> Result<(), Failure> + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new().name(name.to_owned()).spawn(move || run(shared));
        if let Ok(thread) = started {
            self.threads.push(thread);
        }
    }

    /// What each of our partitions does.
    pub fn partitions(&self) -> BTreeMap<i32, PartitionStatus> {
        self.shared.partitions()
    }

    /// Why the instance is not ready; none if it is. One that the group gives no partition is ready to take over.
    pub fn why_not_ready(&self) -> Option<String> {
        let joined = self.shared.joined.load(Ordering::Relaxed);
        let threads = self.shared.clients.settings().threads;
        if joined < threads {
            return Some("the group is being joined".to_owned());
        }
        let partitions = self.shared.partitions();
        let restoring = partitions.values().filter(|partition| partition.restoring).count();
        (restoring > 0).then(|| format!("{restoring} of {} partitions are being put back", partitions.len()))
    }

    /// The newest version of what is normal.
    pub fn newest_version(&self) -> u64 {
        self.shared.versions.newest().number()
    }

    /// Brings the figures that are as of now up to date: to be called before they are told.
    pub fn watcher(&self) -> Watcher {
        Watcher::new(&self.shared)
    }

    /// Writes what people decide, for whoever asks over HTTP.
    pub fn deciding(&self) -> Deciding {
        Deciding::new(&self.shared)
    }

    /// Types of agents that have a baseline in it.
    pub fn types(&self) -> usize {
        self.shared.versions.newest().baselines.types.len()
    }

    /// Whether a thread has ended by itself: then the service must be ended, and says why.
    pub fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends: no more records are taken, what was taken is written, partitions are given up. Within ten seconds.
    ///
    /// # Errors
    ///
    /// The first failure of a thread.
    pub fn stop(self) -> Result<(), Failure> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + STOP_WITHIN;
        let mut failed = Ok(());
        for thread in self.threads {
            while !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5));
            }
            if !thread.is_finished() {
                self.shared.say(
                    Severity::Warning,
                    "a thread did not end in time; what it held is put back at the next start",
                );
                continue;
            }
            let ended = thread.join().unwrap_or_else(|_| {
                Err(Failure::passing(
                    "a thread of the service ended in a panic; please report what was printed".to_owned(),
                ))
            });
            failed = failed.and(ended);
        }
        failed
    }
}
