//! What is done between an instance and its broker: requests that come late or never, errors, and kills at certain requests.
//!
//! Knows which requests make up a transaction. Must not know what should be told: that is the deployment's oracle.

use std::process::Command;
use std::time::Duration;

use rand::Rng;

use super::breaking::{AGENTS, FEWEST, Figures, STOPS_WITHIN, random, wait, while_fed};
use super::deployment::{Deployment, events};
use super::instance::Instance;
use super::proxy::{Act, Api, Proxy};

/// An instance at work has sent each kind of request within this: longer than two of its sessions.
const MEETS: Duration = Duration::from_secs(15);
/// Three sessions: an instance that tells nothing for longer is stuck.
const NOT_STUCK: Duration = Duration::from_secs(18);
/// Longer than a transaction may be open (4 s), for the broker and for the instance.
const BEYOND_A_TRANSACTION: Duration = Duration::from_secs(6);
/// Clients of the instance `a` that write transactions, and the one that puts partitions back.
const WORKER: &str = "a-0";
const READER: &str = "a-reader";

/// Requests that a transaction consists of, in their order.
const TRANSACTION: [Api; 5] =
    [Api::AddPartitionsToTxn, Api::Produce, Api::AddOffsetsToTxn, Api::TxnOffsetCommit, Api::EndTxn];

/// What ends transactions comes late, or its answer never does; so do the marks that the broker sets.
pub fn late_and_lost(deployment: &Deployment, proxy: &Proxy, dose: usize, seed: u64) -> Figures {
    let late = || Act::Delay(BEYOND_A_TRANSACTION);
    let faults: [(Api, &str, &dyn Fn() -> Act); 10] = [
        (Api::EndTxn, WORKER, &late),
        (Api::EndTxn, WORKER, &|| Act::LoseAnswer),
        (Api::EndTxn, WORKER, &|| Act::CutAfter),
        (Api::WriteTxnMarkers, "", &late),
        (Api::EndTxn, WORKER, &|| Act::OneWay),
        (Api::EndTxn, WORKER, &|| Act::CutBefore),
        (Api::TxnOffsetCommit, WORKER, &late),
        (Api::TxnOffsetCommit, WORKER, &|| Act::LoseAnswer),
        (Api::Produce, WORKER, &late),
        (Api::WriteTxnMarkers, "", &|| Act::CutAfter),
    ];
    let mut random = random(seed);
    let all = events((dose * 400).max(FEWEST), AGENTS);
    let mut instance = deployment.start("a");
    while_fed(deployment, &all, Duration::from_secs(10) * dose as u32, || {
        for (api, client, act) in faults.iter().cycle().take(dose) {
            wait(&mut [&mut instance], Duration::from_millis(random.random_range(300..1500)));
            let met = proxy.next(*api, client, act());
            assert!(proxy.is_over(met, MEETS), "no {api:?} came by:\n{}", instance.log());
        }
    });
    finish(deployment, instance);
    Figures { faults: dose, events: all.len(), ..Figures::default() }
}

/// SIGKILL when a request of a certain kind is about to reach the broker, or when it was answered: each gap of a
/// transaction, of the settling of the one before and of putting a partition back.
pub fn kills_in_gaps(deployment: &Deployment, proxy: &Proxy, dose: usize, seed: u64) -> Figures {
    // What is read when the group has said where it stands is, among others, the state.
    let starting = [(Api::InitProducerId, WORKER), (Api::OffsetFetch, READER), (Api::Fetch, READER)];
    let gaps: Vec<(Api, &str, bool)> = TRANSACTION
        .map(|api| (api, WORKER))
        .into_iter()
        .chain([(Api::OffsetCommit, WORKER)])
        .chain(starting)
        .flat_map(|(api, client)| [(api, client, false), (api, client, true)])
        .filter(|(api, ..)| {
            let without = matches!(api, Api::Produce | Api::OffsetCommit | Api::OffsetFetch | Api::Fetch);
            if deployment.is_exactly_once() { *api != Api::OffsetCommit } else { without }
        })
        .collect();
    let mut random = random(seed);
    let all = events((dose * 400).max(FEWEST), AGENTS);
    let mut instance = deployment.start("a");
    while_fed(deployment, &all, Duration::from_secs(5) * dose as u32, || {
        // Five and the number of gaps have no divisor in common: a small dose is spread over them.
        for (api, client, answered) in gaps.iter().cycle().step_by(5).take(dose) {
            wait(&mut [&mut instance], Duration::from_millis(random.random_range(100..1500)));
            if starting.contains(&(*api, *client)) {
                instance.kill();
                let process = deployment.start("a");
                let kill = kill(process.id(), *answered);
                let met = if *api == Api::Fetch {
                    let then = proxy.clone();
                    let next = move || {
                        then.next(Api::Fetch, READER, kill);
                    };
                    proxy.next(Api::OffsetFetch, READER, Act::Then(Box::new(next)))
                } else {
                    proxy.next(*api, client, kill)
                };
                assert!(proxy.is_over(met, MEETS), "no {api:?} came by:\n{}", process.log());
                instance = process;
            } else {
                let met = proxy.next(*api, client, kill(instance.id(), *answered));
                assert!(proxy.is_over(met, MEETS), "no {api:?} came by:\n{}", instance.log());
            }
            instance.kill();
            instance = deployment.start("a");
        }
    });
    finish(deployment, instance);
    Figures { faults: dose, events: all.len(), ..Figures::default() }
}

fn kill(process: u32, answered: bool) -> Act {
    let kill = Box::new(move || {
        let killed = Command::new("kill").args(["-9", &process.to_string()]).status().unwrap();
        assert!(killed.success(), "there is no process {process}");
    });
    if answered { Act::After(kill) } else { Act::Before(kill) }
}

/// Errors of the protocol, by kind of request. The codes are those of Kafka.
const ERRORS: [(Api, &[i16]); 7] = [
    // Of these, one leaves the transaction as it is, one is for another try, one fences, one is for good.
    (Api::EndTxn, &[51, 47, 15, 48, 16, 14, 90, 49, 53, -1]),
    (Api::TxnOffsetCommit, &[25, 15, 22, 47, 14, 16, 3, 82, 30, 27]),
    (Api::AddPartitionsToTxn, &[47, 51, 48, 16, 15, 3, 49, 90, -1]),
    (Api::Produce, &[19, 45, 47, 6, 59, 20, 7, 2, 10]),
    (Api::AddOffsetsToTxn, &[48, 51, 15, 16, 47, 30, 90]),
    (Api::InitProducerId, &[51, 15, 16, 14, 90, 47]),
    (Api::FindCoordinator, &[15, 14, 30]),
];

/// Answers that say that something failed. An instance that ends, as it does where a person must mend something, is started
/// again; one that neither goes on nor ends is a failure.
pub fn errors(deployment: &Deployment, proxy: &Proxy, dose: usize, seed: u64) -> Figures {
    let longest = ERRORS.iter().map(|(_, codes)| codes.len()).max().unwrap_or_default();
    // Of each kind of request the first code, then of each the second.
    let all_errors: Vec<(Api, i16)> = (0..longest)
        .flat_map(|nth| ERRORS.iter().filter_map(move |(api, codes)| Some((*api, *codes.get(nth)?))))
        .collect();
    let mut random = random(seed);
    let all = events((dose * 400).max(FEWEST), AGENTS);
    let mut instance = deployment.start("a");
    while_fed(deployment, &all, Duration::from_secs(5) * dose as u32, || {
        for (api, code) in all_errors.iter().cycle().take(dose) {
            std::thread::sleep(Duration::from_millis(random.random_range(100..500)));
            let met = proxy.next(*api, WORKER, Act::Error(*code));
            if matches!(api, Api::InitProducerId | Api::FindCoordinator) {
                instance.kill();
                instance = deployment.start("a");
            }
            assert!(proxy.is_over(met, MEETS), "no {api:?} came by:\n{}", instance.log());
            let told = deployment.is_told_more(NOT_STUCK, || {
                if !instance.is_running() {
                    instance = deployment.start("a");
                }
            });
            assert!(told, "stuck after error {code} of {api:?}:\n{}", instance.log());
        }
    });
    finish(deployment, instance);
    Figures { faults: dose, events: all.len(), ..Figures::default() }
}

/// Waits until everything is judged, and ends the instance.
fn finish(deployment: &Deployment, mut instance: Instance) {
    deployment.wait(&mut [&mut instance]);
    let (took, code) = instance.stop();
    assert!(code == Some(0) && took < STOPS_WITHIN, "{took:?}, {code:?}:\n{}", instance.log());
}
