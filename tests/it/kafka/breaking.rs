//! What is done to instances and brokers while events arrive: each fault as a function of its dose.
//!
//! Knows processes and signals. Must not know what should be told: that is the deployment's oracle.
//!
//! The moments are drawn from a seed, but what an instance is doing then depends on the machine: a dose is a number of tries,
//! not a list of cases. The waits are part of the faults.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tiltmeter::time::EventTime;

use super::deployment::{Deployment, events};
use super::instance::Instance;
use super::rig::Cluster;

/// Between two portions of events, about.
const PAUSE: Duration = Duration::from_millis(200);
/// Fewer events do not have enough attacks among them.
pub const FEWEST: usize = 8000;
/// Agents of the fleet.
pub const AGENTS: u32 = 30;
/// Longer than a session (6 s) of the instances of a deployment.
const BEYOND_A_SESSION: Duration = Duration::from_secs(9);
/// Between two looks at an instance.
const LOOK: Duration = Duration::from_millis(20);
/// A stop may take so long.
pub const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// What was done and seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Faults.
    pub faults: usize,
    /// Events written meanwhile.
    pub events: usize,
    /// The slowest stop.
    pub slowest_stop: Duration,
}

/// Agent, time, record.
pub type Event = (String, EventTime, Vec<u8>);

/// Writes events in small portions while something happens, over about `span`, and the rest once it is over.
pub fn while_fed<T>(
    deployment: &Deployment,
    all: &[Event],
    span: Duration,
    happens: impl FnOnce() -> T,
) -> T {
    let portions = (span.as_millis() / PAUSE.as_millis()).max(1) as usize;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for portion in all.chunks(all.len().div_ceil(portions)) {
                deployment.produce(portion);
                let until = Instant::now() + PAUSE;
                while Instant::now() < until && !over.load(Ordering::Relaxed) {
                    thread::sleep(LOOK);
                }
            }
        });
        // Also where it ends in a panic: the feeder is waited for.
        let _over = Over(&over);
        happens()
    })
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Waits for a time that is part of a fault; an instance that ends by itself meanwhile is a failure.
pub fn wait(instances: &mut [&mut Instance], span: Duration) {
    let until = Instant::now() + span;
    while Instant::now() < until {
        for instance in &mut *instances {
            assert!(instance.is_running(), "an instance has ended by itself:\n{}", instance.log());
        }
        thread::sleep(LOOK);
    }
}

/// Ends all instances, in time.
fn end(instances: &mut [Instance]) {
    for instance in instances {
        let (took, code) = instance.stop();
        assert!(code == Some(0) && took < STOPS_WITHIN, "{took:?}, {code:?}:\n{}", instance.log());
    }
}

/// SIGKILL at random moments, start under the same name.
pub fn kills(deployment: &Deployment, dose: usize, seed: u64) -> Figures {
    let mut random = random(seed);
    let all = events((dose * 400).max(FEWEST), AGENTS);
    let mut instance = deployment.start("a");
    while_fed(deployment, &all, Duration::from_millis(2500) * dose as u32, || {
        for _ in 0..dose {
            // Sometimes while it is starting, sometimes at work.
            wait(&mut [&mut instance], Duration::from_millis(random.random_range(100..4500)));
            instance.kill();
            instance = deployment.start("a");
        }
    });
    deployment.wait(&mut [&mut instance]);
    end(std::slice::from_mut(&mut instance));
    Figures { faults: dose, events: all.len(), ..Figures::default() }
}

/// Two instances, stopped (SIGTERM) and started in turn.
pub fn rolling_restarts(deployment: &Deployment, dose: usize, seed: u64) -> Figures {
    let mut random = random(seed);
    let all = events((dose * 400).max(FEWEST), AGENTS);
    let mut instances = [deployment.start("a"), deployment.start("b")];
    let mut slowest = Duration::ZERO;
    while_fed(deployment, &all, Duration::from_secs(3) * dose as u32, || {
        for round in 0..dose {
            let [a, b] = &mut instances;
            wait(&mut [a, b], Duration::from_millis(random.random_range(500..4000)));
            let (took, code) = instances[round % 2].stop();
            assert_eq!(code, Some(0), "{}", instances[round % 2].log());
            assert!(took < STOPS_WITHIN, "{took:?}:\n{}", instances[round % 2].log());
            slowest = slowest.max(took);
            instances[round % 2] = deployment.start(["a", "b"][round % 2]);
        }
    });
    let [a, b] = &mut instances;
    deployment.wait(&mut [a, b]);
    end(&mut instances);
    Figures { faults: dose, events: all.len(), slowest_stop: slowest }
}

/// Two instances, of which one is stopped (SIGSTOP) for longer than its session, and goes on when the other has its
/// partitions.
pub fn zombies(deployment: &Deployment, dose: usize, seed: u64) -> Figures {
    let mut random = random(seed);
    let all = events((dose * 1000).max(FEWEST), AGENTS);
    let mut instances = [deployment.start("a"), deployment.start("b")];
    while_fed(deployment, &all, Duration::from_secs(13) * dose as u32, || {
        for round in 0..dose {
            let [a, b] = &mut instances;
            wait(&mut [a, b], Duration::from_millis(random.random_range(2500..5000)));
            instances[round % 2].signal("STOP");
            let awake = &mut instances[(round + 1) % 2];
            wait(&mut [awake], BEYOND_A_SESSION);
            instances[round % 2].signal("CONT");
        }
    });
    let [a, b] = &mut instances;
    deployment.wait(&mut [a, b]);
    end(&mut instances);
    Figures { faults: dose, events: all.len(), ..Figures::default() }
}

/// One instance, then three, then two, then one; each change is a fault.
pub fn scaling(deployment: &Deployment, rounds: usize, seed: u64) -> Figures {
    let mut random = random(seed);
    let all = events((rounds * 1500).max(FEWEST), AGENTS);
    let mut instances = vec![deployment.start("a")];
    let mut slowest = Duration::ZERO;
    let mut faults = 0;
    while_fed(deployment, &all, Duration::from_secs(12) * rounds as u32, || {
        for _ in 0..rounds {
            for size in [3, 2, 1] {
                let mut running: Vec<&mut Instance> = instances.iter_mut().collect();
                wait(&mut running, Duration::from_millis(random.random_range(2000..5000)));
                while instances.len() > size {
                    let mut last = instances.pop().unwrap();
                    let (took, code) = last.stop();
                    assert_eq!(code, Some(0), "{}", last.log());
                    slowest = slowest.max(took);
                    faults += 1;
                }
                while instances.len() < size {
                    instances.push(deployment.start(["a", "b", "c"][instances.len()]));
                    faults += 1;
                }
            }
        }
    });
    deployment.wait(&mut instances.iter_mut().collect::<Vec<_>>());
    end(&mut instances);
    Figures { faults, events: all.len(), slowest_stop: slowest }
}

/// Each broker of three in turn is killed, so that others lead its partitions, groups and transactions, and comes back.
pub fn broker_kills(deployment: &Deployment, cluster: &mut Cluster, dose: usize, seed: u64) -> Figures {
    let mut random = random(seed);
    let all = events((dose * 1000).max(FEWEST), AGENTS);
    let mut instances = [deployment.start("a"), deployment.start("b")];
    while_fed(deployment, &all, Duration::from_secs(15) * dose as u32, || {
        for round in 0..dose {
            let [a, b] = &mut instances;
            wait(&mut [a, b], Duration::from_millis(random.random_range(2000..5000)));
            cluster.kill(round % 3);
            let [a, b] = &mut instances;
            wait(&mut [a, b], Duration::from_millis(random.random_range(1000..9000)));
            cluster.restart(round % 3);
        }
    });
    let [a, b] = &mut instances;
    deployment.wait(&mut [a, b]);
    end(&mut instances);
    Figures { faults: dose, events: all.len(), ..Figures::default() }
}
