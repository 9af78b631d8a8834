//! What bad lines cost: bytes a second of a file with one bad line in a hundred, against the same file without.
//!
//! Knows the way that `tiltmeter detect` reads: lines of a file, events, judgements, dead letters to a file. Must not
//! know why a line is bad.

use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cpu_time::ThreadTime;
use tiltmeter::engine::unit::Position;
use tiltmeter::wire::audit_event;
use tiltmeter::wire::dead_letter::DeadLetters;
use tiltmeter::wire::input::Lines;

use crate::traffic::Traffic;
use crate::{ROUNDS, SEED, engine, median};

/// Good lines of each file, and the agents that they are of.
const EVENTS: usize = 100_000;
const AGENTS: u32 = 10_000;
/// One bad line follows so many good ones.
const GOOD_FOR_ONE_BAD: usize = 99;
/// Levels of the nested line, and bytes of the long string.
const LEVELS: usize = 10_000;
const LONG_BYTES: usize = 10 << 20;

/// A file of lines, and how long it took to get through it.
struct Input {
    name: &'static str,
    path: PathBuf,
    bytes: u64,
    took: Vec<Duration>,
}

impl Input {
    /// Writes the good lines and, after every so many, the next bad one.
    fn new(name: &'static str, folder: &Path, traffic: &Traffic, bad: &[Vec<u8>]) -> Self {
        let path = folder.join(format!("{name}.jsonl"));
        let mut file = BufWriter::new(std::fs::File::create(&path).unwrap());
        let mut next = bad.iter().cycle();
        for (place, line) in traffic.lines(0, EVENTS).enumerate() {
            file.write_all(line).unwrap();
            file.write_all(b"\n").unwrap();
            if place % GOOD_FOR_ONE_BAD == GOOD_FOR_ONE_BAD - 1
                && let Some(bad) = next.next()
            {
                file.write_all(bad).unwrap();
                file.write_all(b"\n").unwrap();
            }
        }
        file.flush().unwrap();
        let bytes = path.metadata().unwrap().len();
        Self { name, path, bytes, took: Vec::new() }
    }

    /// Reads, judges and buries all of it, by an engine that knows nothing yet: CPU time of this thread.
    fn round(&self, dead: &Path) -> (Duration, u64) {
        let mut engine = engine();
        let mut out = Vec::new();
        let clock = ThreadTime::now();
        let mut lines = Lines::open(std::slice::from_ref(&self.path)).unwrap();
        let mut dead = DeadLetters::to_file(dead).unwrap();
        let name = lines.name(0).to_owned();
        while let Some(line) = lines.next_line().unwrap() {
            match audit_event::decode(line.bytes) {
                Ok(event) => {
                    let position = Position { source: 0, line: line.number };
                    black_box(engine.judge(&event, position, &mut out));
                }
                Err(refusal) => dead.add(&refusal, &name, &line).unwrap(),
            }
        }
        let buried = dead.total();
        dead.finish().unwrap();
        (clock.elapsed(), buried)
    }

    fn bytes_per_second(&self, round: usize) -> f64 {
        self.bytes as f64 / self.took[round].as_secs_f64()
    }
}

/// The lines that the tests hold the reader to, and one nested far too deep.
fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/examples/agent-audit");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut bad: Vec<PathBuf> =
        files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("invalid-")).collect();
    bad.sort();
    let mut lines: Vec<Vec<u8>> =
        bad.iter().map(|path| std::fs::read(path).unwrap().trim_ascii_end().to_vec()).collect();
    lines.push(line_with(&format!("{}1{}", "[".repeat(LEVELS), "]".repeat(LEVELS))));
    lines
}

fn line_with(value: &str) -> Vec<u8> {
    let event = r#"{"time":"2026-01-05T08:00:00Z","agent_id":"a","action":"send","x":"#;
    format!("{event}{value}}}").into_bytes()
}

/// Measures three files in turns and prints their rates.
pub fn report() {
    let folder = tempfile::tempdir().unwrap();
    let traffic = Traffic::new(AGENTS, EVENTS, SEED);
    let bad = corpus();
    let mut long = bad.clone();
    long.push(line_with(&format!("\"{}\"", "y".repeat(LONG_BYTES))));
    let mut inputs = [
        Input::new("clean", folder.path(), &traffic, &[]),
        Input::new("bad", folder.path(), &traffic, &bad),
        Input::new("bad-and-long", folder.path(), &traffic, &long),
    ];
    let dead = folder.path().join("dead.jsonl");
    for round in 0..=ROUNDS {
        for input in &mut inputs {
            let (took, buried) = input.round(&dead);
            if round == 0 {
                println!(
                    "{:12} {:6.1} MB, {buried} dead letters (first round, not counted)",
                    input.name,
                    input.bytes as f64 / 1e6
                );
            } else {
                input.took.push(took);
            }
        }
    }
    let of = |f: &dyn Fn(usize) -> f64| median((0..ROUNDS).map(f).collect());
    for input in &inputs {
        println!("{:12} {:6.1} MB/s", input.name, of(&|round| input.bytes_per_second(round)) / 1e6);
    }
    for input in &inputs[1..] {
        let ratio = of(&|round| input.bytes_per_second(round) / inputs[0].bytes_per_second(round));
        println!("{:12} {ratio:6.3} of clean", input.name);
    }
}
