//! From bytes to judgements, against the plain parse of the same bytes.
//!
//! Both are measured in one run, taking turns, in CPU time of the one thread they run on: only their ratio says
//! something about the engine, and it says it on any machine. `benches/README.md` has the table.
//!
//! ```text
//! cargo bench --bench engine                 the ratio, 100,000 agents
//! cargo bench --bench engine -- sweep        cost at 10,000 and at 1,000,000 agents
//! cargo bench --bench engine -- threads      judging alone on one thread and on two
//! cargo bench --bench engine -- memory       memory of one hot agent
//! cargo bench --bench engine -- bad          what bad lines between good ones cost
//! cargo bench --bench engine -- repeats      what it spares to leave repeats out
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may fail loudly"
)]

mod bad;
mod memory;
mod repeats;
mod traffic;

use std::hint::black_box;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use tiltmeter::config::Config;
use tiltmeter::engine::Engine;
use tiltmeter::engine::unit::Position;
use tiltmeter::event::AuditEvent;
use tiltmeter::wire::audit_event;

use traffic::Traffic;

/// One round of the small and of the large fleet: (parse, judge) of each.
type Round = ((Duration, Duration), (Duration, Duration));

/// Measured rounds over all events, after one that is not measured.
const ROUNDS: usize = 7;
/// Events after which parsing and judging take turns.
const TURN: usize = 20_000;
/// Events that are decoded and then judged together: they stay in the caches of a core.
const BATCH: usize = 128;
const EVENTS: usize = 1_000_000;
const SEED: u64 = 1;

fn main() {
    // cargo adds `--bench`.
    match std::env::args().skip(1).find(|arg| !arg.starts_with('-')).as_deref() {
        None => ratio(),
        Some("sweep") => sweep(),
        Some("threads") => threads(),
        Some("memory") => memory::report(),
        Some("bad") => bad::report(),
        Some("repeats") => repeats::report(),
        Some("profile") => profile(),
        Some(other) => {
            panic!("there is no measurement named {other}: sweep, threads, memory, bad, repeats or none")
        }
    }
}

/// An engine as `tiltmeter detect` makes it, every detector on, learning.
fn engine() -> Engine {
    Engine::new(Config::load(None).unwrap().settings().unwrap())
}

/// One engine with traffic that goes on and on.
struct Bench {
    traffic: Traffic,
    engine: Engine,
    round: i64,
    alerts: usize,
}

impl Bench {
    fn new(agents: u32) -> Self {
        Self { traffic: Traffic::new(agents, EVENTS, SEED), engine: engine(), round: 0, alerts: 0 }
    }

    /// One round over all events, then time moves on: CPU time of parsing and of judging.
    fn round(&mut self) -> (Duration, Duration) {
        let (mut parsing, mut judging) = (Duration::ZERO, Duration::ZERO);
        for from in (0..self.traffic.len()).step_by(TURN) {
            parsing += self.parse(from);
            judging += self.judge(from);
        }
        self.round += 1;
        self.traffic.repeat_later(self.round);
        (parsing, judging)
    }

    /// The anchor: the same bytes into the same struct, by the same parser, and nothing else.
    fn parse(&self, from: usize) -> Duration {
        let clock = ThreadTime::now();
        for line in self.traffic.lines(from, from + TURN) {
            let event: AuditEvent<'_> = sonic_rs::from_slice(line).unwrap();
            black_box(&event);
        }
        clock.elapsed()
    }

    /// One round over all events with so many threads, decoding left out: wall time.
    fn judge_all(&mut self, threads: usize) -> Duration {
        let mut out = Vec::new();
        let mut took = Duration::ZERO;
        for from in (0..self.traffic.len()).step_by(TURN) {
            let lines = self.traffic.lines(from, from + TURN).zip(from as u64 + 1..);
            let events: Vec<_> = lines
                .map(|(bytes, line)| (audit_event::decode(bytes).unwrap(), Position { source: 0, line }))
                .collect();
            let clock = Instant::now();
            self.engine.judge_all(&events, threads, &mut out);
            took += clock.elapsed();
        }
        self.alerts += out.len();
        self.round += 1;
        self.traffic.repeat_later(self.round);
        took
    }

    fn judge(&mut self, from: usize) -> Duration {
        let mut out = Vec::new();
        let clock = ThreadTime::now();
        let lines: Vec<_> = self.traffic.lines(from, from + TURN).zip(from as u64 + 1..).collect();
        let mut events = Vec::with_capacity(BATCH);
        for batch in lines.chunks(BATCH) {
            let decoded = batch.iter().map(|(bytes, line)| {
                (audit_event::decode(bytes).unwrap(), Position { source: 0, line: *line })
            });
            events.extend(decoded);
            self.engine.judge_all(&events, 1, &mut out);
            events.clear();
        }
        let took = clock.elapsed();
        self.alerts += out.len();
        took
    }
}

fn ratio() {
    let mut bench = Bench::new(100_000);
    println!("{EVENTS} events of {:.0} bytes in the mean, 100,000 agents", bench.traffic.mean_bytes());
    let (parsing, judging) = bench.round();
    println!(
        "first round, not counted: parse {:.0}, judge {:.0} ns/event",
        per_event(parsing),
        per_event(judging)
    );
    let rounds: Vec<_> = (0..ROUNDS).map(|_| bench.round()).collect();
    for (parsing, judging) in &rounds {
        println!("  parse {:.0}, judge {:.0} ns/event", per_event(*parsing), per_event(*judging));
    }
    let of = |f: fn(&(Duration, Duration)) -> f64| median(rounds.iter().map(f).collect());
    println!("parse                     {:7.0} ns/event", of(|r| per_event(r.0)));
    println!("bytes to judgement        {:7.0} ns/event", of(|r| per_event(r.1)));
    println!("rate / parse rate         {:7.3}", of(|r| r.0.as_secs_f64() / r.1.as_secs_f64()));
    println!("alerts in all rounds      {:7}; agents {}", bench.alerts, bench.engine.agents());
}

fn sweep() {
    let (mut few, mut many) = (Bench::new(10_000), Bench::new(1_000_000));
    few.round();
    many.round();
    let rounds: Vec<_> = (0..ROUNDS).map(|_| (few.round(), many.round())).collect();
    let of = |f: fn(&Round) -> f64| median(rounds.iter().map(f).collect());
    println!("agents met                {} and {}", few.engine.agents(), many.engine.agents());
    println!("bytes to judgement        {:7.0} ns/event at 10,000 agents", of(|r| per_event(r.0.1)));
    println!("                          {:7.0} ns/event at 1,000,000", of(|r| per_event(r.1.1)));
    println!("cost at many / at few     {:7.3}", of(|r| r.1.1.as_secs_f64() / r.0.1.as_secs_f64()));
    println!("parse at many / at few    {:7.3}", of(|r| r.1.0.as_secs_f64() / r.0.0.as_secs_f64()));
}

/// Judging of events that are decoded already, on one thread and on two. Wall time: CPU time of one thread would not
/// show what a second one takes over.
fn threads() {
    let (mut one, mut two) = (Bench::new(100_000), Bench::new(100_000));
    one.judge_all(1);
    two.judge_all(2);
    let rounds: Vec<_> = (0..ROUNDS).map(|_| (one.judge_all(1), two.judge_all(2))).collect();
    let of = |f: fn(&(Duration, Duration)) -> f64| median(rounds.iter().map(f).collect());
    println!("events to judgement       {:7.0} ns/event on one thread", of(|r| per_event(r.0)));
    println!("                          {:7.0} ns/event on two", of(|r| per_event(r.1)));
    println!("rate of two / of one      {:7.3}", of(|r| r.0.as_secs_f64() / r.1.as_secs_f64()));
    assert_eq!(one.alerts, two.alerts, "threads change nothing");
}

/// Only the engine, for a profiler.
fn profile() {
    let mut bench = Bench::new(100_000);
    for _ in 0..ROUNDS {
        for from in (0..EVENTS).step_by(TURN) {
            bench.judge(from);
        }
        bench.round += 1;
        bench.traffic.repeat_later(bench.round);
    }
}

fn per_event(time: Duration) -> f64 {
    time.as_nanos() as f64 / EVENTS as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
