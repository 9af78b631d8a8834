//! `tiltmeter detect`: audit events in, alerts out, without a service around it.
//!
//! Knows files, options and what people are told. Must not judge anything itself.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{HumanCount, ProgressBar};

use super::output::{Output as Writer, OutputError};
use super::source::{Events, SourceArguments, Visitor, all_read};
use crate::alert::AlertState;
use crate::config::Config;
use crate::engine::unit::Position;
use crate::engine::{ClosedUnit, Engine, Output};
use crate::event::AuditEvent;
use crate::finding::RiskEventType;
use crate::risk::{Level, Verdict};
use crate::time::EventTime;
use crate::wire::dead_letter::{DeadLetters, Refusal};
use crate::wire::input::Line;
use crate::wire::verdict;

/// Closed units are written after so many events.
const UNITS_EVERY: u64 = 4096;

/// Judge audit events and write alerts.
///
/// Reads events in the order in which they happened (or records of another format, or conversations, whose events it makes itself), judges each against what is normal for its agent's type
/// and the fleet, then learns from it. Alerts go to standard output as they arise, one JSON object a line; a
/// summary goes to standard error. `tiltmeter explain` shows alerts as text. Alerts are no failure: the exit
/// code is 0 when everything was read.
#[derive(Debug, clap::Args)]
pub struct Detect {
    /// Audit events, or what `--source` names, one JSON object a line; .gz and .zst are unpacked. None or `-`: standard input.
    files: Vec<PathBuf>,

    /// Configuration file; without it every setting has its default.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    source: SourceArguments,

    /// Verdicts of people, one JSON object a line: time, agent_id, verdict (confirm_compromised, confirm_safe, dismiss,
    /// accept), by, reason. Each takes effect before the first event at or after its time.
    #[arg(long, value_name = "FILE")]
    verdicts: Option<PathBuf>,

    /// Where lines that could not be used are written, with the reason; otherwise they are only counted.
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,

    /// File that gets one JSON line per unit (session, or hour of an agent) when it closes, with its p.
    #[arg(long, value_name = "FILE")]
    units: Option<PathBuf>,
}

impl Detect {
    /// Reads, judges, writes, and says at the end what was seen.
    ///
    /// # Errors
    ///
    /// When the configuration cannot be used, when input cannot be read (all that can be is judged before),
    /// when the output cannot be written.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(self.config.as_deref())?;
        let events = Events::open(&self.files, &self.source, &config.identity_key())?;
        let dead = match &self.dead_letters {
            Some(path) => {
                is_no_input("--dead-letters", path, &self.files)?;
                DeadLetters::to_file(path)?
            }
            None => DeadLetters::counted(),
        };
        if !config.has_identity_key() {
            eprintln!(
                "tiltmeter: identity hash without a key: whoever can choose ids could make them collide; \
                 where that matters, set [agents] identity_key_file"
            );
        }
        if self.source.is_transcript() && !config.has_identity_key() {
            eprintln!(
                "tiltmeter: a guess of what a user asked for can be tested against the ids that are made for \
                 conversations without one; set [agents] identity_key_file before alerts leave this machine"
            );
        }
        let verdicts = self.verdicts.as_deref().map(verdict::read).transpose()?.unwrap_or_default();
        let mut watch = Watch::new(Engine::new(config.settings()?), verdicts, dead, events.bar());
        if let Some(path) = &self.units {
            is_no_input("--units", path, &self.files)?;
            watch.keep_units(path)?;
        }
        let started = Instant::now();
        let unreadable = match events.visit(&mut watch) {
            Err(error) => {
                watch.dead.finish()?;
                return Err(error);
            }
            Ok(unreadable) => unreadable,
        };
        watch.finish()?;
        watch.summary(started.elapsed(), self.dead_letters.as_deref());
        watch.dead.finish()?;
        all_read(&unreadable)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The engine at work, and what it has seen.
struct Watch {
    engine: Engine,
    /// Verdicts that have not taken effect yet, latest first.
    verdicts: Vec<Verdict>,
    /// What is not yet written; kept between events so that its memory is.
    said: Vec<Output>,
    out: Writer,
    dead: DeadLetters,
    bar: ProgressBar,
    events: u64,
    opened: [u64; RiskEventType::ALL.len()],
    updated: u64,
    /// Risk updates by the level they tell of.
    levels: [u64; Level::ALL.len()],
    /// Events with a value too long for its field.
    cut: u64,
    /// Where closed units are written.
    units: Option<BufWriter<File>>,
}

impl Watch {
    fn new(engine: Engine, mut verdicts: Vec<Verdict>, dead: DeadLetters, bar: ProgressBar) -> Self {
        verdicts.reverse();
        Self {
            engine,
            verdicts,
            said: Vec::new(),
            out: Writer::stdout(),
            dead,
            bar,
            events: 0,
            opened: Default::default(),
            updated: 0,
            levels: Default::default(),
            cut: 0,
            units: None,
        }
    }

    /// Writes every unit that closes into a file.
    fn keep_units(&mut self, path: &Path) -> anyhow::Result<()> {
        let file = File::create(path)
            .with_context(|| format!("cannot create {}; choose another place for --units", path.display()))?;
        self.units = Some(BufWriter::new(file));
        self.engine.keep_closed_units();
        Ok(())
    }

    /// Writes the units that have closed.
    fn write_units(&mut self) -> anyhow::Result<()> {
        let Some(file) = &mut self.units else { return Ok(()) };
        let write = |unit: ClosedUnit| -> io::Result<()> {
            serde_json::to_writer(&mut *file, &unit)?;
            file.write_all(b"\n")
        };
        self.engine.take_closed_units().try_for_each(write).context("cannot write the file of --units")
    }

    /// Writes what the engine has said. At once: whoever reads a live stream waits for it.
    fn write(&mut self) -> Result<(), OutputError> {
        if self.said.is_empty() {
            return Ok(());
        }
        for output in &self.said {
            match output {
                Output::Alert(alert) => match alert.state {
                    AlertState::Opened => {
                        if let Some(count) = self.opened.get_mut(alert.risk_event_type as usize) {
                            *count += 1;
                        }
                    }
                    AlertState::Updated => self.updated += 1,
                    AlertState::Closed => {}
                },
                Output::Risk(risk) => {
                    if let Some(count) = self.levels.get_mut(risk.level_uncapped as usize) {
                        *count += 1;
                    }
                }
                Output::Verdict(_) | Output::Digest(_) | Output::Eviction(_) => {}
            }
        }
        let (out, said) = (&mut self.out, &self.said);
        self.bar.suspend(|| {
            said.iter().try_for_each(|output| out.json_line(output))?;
            out.flush()
        })?;
        self.said.clear();
        Ok(())
    }

    /// Verdicts up to an instant take effect.
    fn decide(&mut self, until: EventTime) {
        while let Some(verdict) = self.verdicts.pop_if(|verdict| verdict.time <= until) {
            self.engine.verdict(&verdict, &mut self.said);
        }
    }

    /// The end of the input.
    fn finish(&mut self) -> anyhow::Result<()> {
        self.decide(EventTime(i64::MAX));
        self.engine.finish(&mut self.said);
        self.write()?;
        self.write_units()?;
        if let Some(file) = &mut self.units {
            file.flush().context("cannot write the file of --units")?;
        }
        Ok(())
    }

    fn summary(&self, took: Duration, dead_letters: Option<&Path>) {
        let seconds = took.as_secs_f64();
        eprintln!(
            "tiltmeter: {} in {seconds:.1} s ({} events/s); {} of {}; baseline version {}",
            number(self.events, "event"),
            rate(self.events, seconds),
            number(self.engine.agents() as u64, "agent"),
            number(self.engine.baselines().types.len() as u64, "type"),
            self.engine.baselines().version,
        );
        let opened: u64 = self.opened.iter().sum();
        let kinds = RiskEventType::ALL.iter().zip(self.opened).filter(|(_, n)| *n > 0);
        let kinds: Vec<String> =
            kinds.map(|(kind, n)| format!("{} {}", kind.name(), HumanCount(n))).collect();
        if opened == 0 {
            eprintln!("tiltmeter: no alerts");
        } else {
            let updated = number(self.updated, "update");
            eprintln!("tiltmeter: {} opened ({updated}): {}", number(opened, "alert"), kinds.join(", "));
        }
        let reached: Vec<String> = Level::ALL
            .iter()
            .zip(self.levels)
            .skip(1)
            .filter(|(_, n)| *n > 0)
            .map(|(level, n)| format!("{} {}", level.name(), HumanCount(n)))
            .collect();
        if !reached.is_empty() {
            eprintln!("tiltmeter: risk levels reached: {}", reached.join(", "));
        }
        if self.engine.duplicates() > 0 {
            eprintln!(
                "tiltmeter: {} dropped: an event with the same event_id was judged before",
                number(self.engine.duplicates(), "event")
            );
        }
        if self.engine.suppressed() > 0 {
            eprintln!(
                "tiltmeter: {} not told: a verdict declared such activity safe",
                number(self.engine.suppressed(), "finding")
            );
        }
        if self.engine.evicted() > 0 {
            eprintln!(
                "tiltmeter: {} forgotten to make room for others; raise [agents] max",
                number(self.engine.evicted(), "agent")
            );
        }
        if self.cut > 0 {
            eprintln!(
                "tiltmeter: {} had values too long for their fields, which were cut; `tiltmeter check` says which",
                number(self.cut, "event")
            );
        }
        if self.dead.total() > 0 {
            let reasons: Vec<String> =
                self.dead.counts().map(|(reason, n)| format!("{reason} {}", HumanCount(n))).collect();
            let place = dead_letters.map_or_else(
                || "; --dead-letters FILE keeps them".to_owned(),
                |path| format!("; see {}", path.display()),
            );
            eprintln!(
                "tiltmeter: {} could not be used: {}{place}",
                number(self.dead.total(), "line"),
                reasons.join(", ")
            );
        }
    }
}

impl Visitor for Watch {
    fn event(&mut self, event: &AuditEvent<'_>, at: Position) -> anyhow::Result<()> {
        self.events += 1;
        self.decide(event.time);
        self.engine.judge(event, at, &mut self.said);
        if self.events % UNITS_EVERY == 0 {
            self.write_units()?;
        }
        Ok(self.write()?)
    }

    fn cut(&mut self, _: &[&'static str]) {
        self.cut += 1;
    }

    fn refused(&mut self, refusal: &Refusal, source: &str, line: &Line<'_>) -> anyhow::Result<()> {
        Ok(self.dead.add(refusal, source, line)?)
    }
}

/// Makes sure that the file to be written is none of those to be read.
fn is_no_input(option: &str, path: &Path, files: &[PathBuf]) -> anyhow::Result<()> {
    // A file that is not there yet is none of those that were opened.
    let Ok(place) = path.canonicalize() else { return Ok(()) };
    let same = files.iter().find(|file| file.canonicalize().is_ok_and(|file| file == place));
    same.map_or(Ok(()), |file| Err(anyhow::anyhow!("{file:?} would be overwritten")))
        .with_context(|| format!("{option} names an input; name another file"))
}

/// `1 event`, `2,345 events`.
fn number(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", HumanCount(n), if n == 1 { "" } else { "s" })
}

fn rate(events: u64, seconds: f64) -> HumanCount {
    HumanCount((events as f64 / seconds.max(1e-3)).round() as u64)
}
