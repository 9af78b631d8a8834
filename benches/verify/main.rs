//! Faults in large doses on a real Kafka, with figures.
//!
//! The same faults as the tests give in small doses (`tests/it/kafka/faults.rs`), with the same oracle: nothing lost,
//! nothing told twice, nothing else told, the order of each agent kept. It ends at the first violation, with the logs of the
//! instances. Every round is noted in `target/verify/journal.tsv`: a run that was broken off goes on where it stood.
//!
//! ```text
//! cargo bench --bench verify -- --fault 1 --dose 200     kill -9, 200 times, in rounds of 10
//! cargo bench --bench verify -- --fault 1 --dose 200 --anew
//! ```
//!
//! | fault | what |
//! |---|---|
//! | 1 | SIGKILL at random moments, start under the same name |
//! | 2 | SIGTERM, two instances in turn |
//! | 3 | SIGSTOP for longer than the session, then SIGCONT |
//! | 4 | 1 → 3 → 2 → 1 instances |
//! | 5 | SIGKILL of one broker of three |
//! | 1l | as 1, with delivery at least once: repeats are allowed, losses are not |
//! | 1g, 1gl | SIGKILL between any two requests of a transaction or a start; the same at least once |
//! | 6 | what ends transactions comes late, gets lost or is cut off |
//! | 7 | errors of the protocol |
//!
//! Needs what `scripts/kafka/fetch` copied. `docs/reliability.md` has the figures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a harness may fail loudly, and uses a part of what tests use"
)]

#[path = "../../tests/it/kafka/between.rs"]
mod between;
#[path = "../../tests/it/kafka/breaking.rs"]
mod breaking;
#[path = "../../tests/it/kafka/deployment.rs"]
mod deployment;
#[path = "../../tests/it/kafka/instance.rs"]
mod instance;
#[path = "../../tests/it/kafka/proxy.rs"]
mod proxy;
#[path = "../../tests/it/kafka/rig.rs"]
mod rig;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;

use breaking::Figures;
use deployment::Deployment;
use proxy::Proxy;
use rig::{Cluster, left_out};

/// Faults between two looks of the oracle.
const ROUND: usize = 10;

/// Faults in large doses.
#[derive(Parser)]
struct Arguments {
    /// Which: 1, 1l, 1g, 1gl, 2, 3, 4, 5, 6 or 7.
    #[arg(long)]
    fault: String,
    /// How many.
    #[arg(long, default_value_t = 10)]
    dose: usize,
    /// Forgets what was done before.
    #[arg(long)]
    anew: bool,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn journal() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/verify/journal.tsv")
}

/// Rounds of a fault that were done: faults, events, alerts of each.
fn done(fault: &str) -> Vec<[usize; 3]> {
    let text = std::fs::read_to_string(journal()).unwrap_or_default();
    let rounds = text.lines().filter_map(|line| line.strip_prefix(fault)?.strip_prefix('\t'));
    rounds
        .map(|line| {
            let mut numbers = line.split('\t').map(|number| number.parse().unwrap());
            [(); 3].map(|()| numbers.next().unwrap())
        })
        .collect()
}

fn note(line: &str) {
    let path = journal();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
    writeln!(file, "{line}").unwrap();
}

fn main() {
    let arguments = Arguments::parse();
    let fault = arguments.fault.as_str();
    if arguments.anew {
        let kept: String = std::fs::read_to_string(journal())
            .unwrap_or_default()
            .lines()
            .filter(|line| line.split('\t').next() != Some(fault))
            .map(|line| format!("{line}\n"))
            .collect();
        std::fs::create_dir_all(journal().parent().unwrap()).unwrap();
        std::fs::write(journal(), kept).unwrap();
    }
    let started = match fault {
        "5" => Cluster::start(3),
        "1g" | "1gl" | "6" | "7" => Cluster::start_behind_a_proxy(),
        _ => Cluster::start(1),
    };
    let Some(mut cluster) = started else { return left_out("faults in large doses") };
    let proxy = cluster.front().map(|(listener, port)| {
        let address = listener.local_addr().unwrap().to_string();
        (Proxy::start(listener, port), address)
    });
    loop {
        let before = done(fault);
        let given: usize = before.iter().map(|[faults, ..]| faults).sum();
        if given >= arguments.dose {
            let [events, alerts] = [1, 2].map(|of| before.iter().map(|round| round[of]).sum::<usize>());
            println!(
                "fault {fault}: {given} times in {} rounds, {events} events, {alerts} alerts; lost 0, repeated 0, extra 0",
                before.len()
            );
            return;
        }
        let began = Instant::now();
        let (figures, alerts) = round(
            fault,
            ROUND.min(arguments.dose - given),
            before.len() as u64,
            &mut cluster,
            proxy.as_ref(),
        );
        let Figures { faults, events, slowest_stop } = figures;
        println!(
            "fault {fault}: {faults} times more, {events} events, {alerts} alerts, slowest stop {slowest_stop:.1?}, in {:.0?}",
            began.elapsed()
        );
        note(&format!("{fault}\t{faults}\t{events}\t{alerts}"));
    }
}

/// One round on topics of its own; ends in a panic where something is lost, repeated or added.
fn round(
    fault: &str,
    dose: usize,
    seed: u64,
    cluster: &mut Cluster,
    proxy: Option<&(Proxy, String)>,
) -> (Figures, usize) {
    let brokers = proxy.map_or_else(|| cluster.addresses().brokers, |(_, address)| address.clone());
    let least = matches!(fault, "1l" | "1gl");
    let copies = if fault == "5" { 3 } else { 1 };
    let more = if least { "delivery = \"at_least_once\"\n" } else { "" };
    let deployment = Deployment::replicated("verify", &brokers, 3, copies, more);
    let seated = fault.starts_with('1') || proxy.is_some();
    let deployment = if seated { deployment.with_seats() } else { deployment };
    let figures = match (fault, proxy) {
        ("1g" | "1gl", Some((proxy, _))) => between::kills_in_gaps(&deployment, proxy, dose, seed),
        ("6", Some((proxy, _))) => between::late_and_lost(&deployment, proxy, dose, seed),
        ("7", Some((proxy, _))) => between::errors(&deployment, proxy, dose, seed),
        ("1" | "1l", _) => breaking::kills(&deployment, dose, seed),
        ("2", _) => breaking::rolling_restarts(&deployment, dose, seed),
        ("3", _) => breaking::zombies(&deployment, dose, seed),
        // Five changes a round.
        ("4", _) => breaking::scaling(&deployment, dose.div_ceil(4), seed),
        ("5", _) => breaking::broker_kills(&deployment, cluster, dose, seed),
        (other, _) => panic!("there is no fault {other}"),
    };
    if least {
        return (figures, deployment.check_at_least_once());
    }
    deployment.check_identities();
    (figures, deployment.check())
}
