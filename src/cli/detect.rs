//! `tiltmeter detect`: audit events in, alerts out, without a service around it.
//!
//! Knows files, options and what people are told. Must not judge anything itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{HumanCount, ProgressBar};

use super::output::{Output, OutputError};
use super::source::{Events, SourceArguments, Visitor, all_read};
use crate::alert::{Alert, AlertState};
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::unit::Position;
use crate::event::AuditEvent;
use crate::finding::RiskEventType;
use crate::wire::dead_letter::{DeadLetters, Refusal};
use crate::wire::input::Line;

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

    /// Where lines that could not be used are written, with the reason; otherwise they are only counted.
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,
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
                is_no_input(path, &self.files)?;
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
        let mut watch = Watch::new(Engine::new(config.settings()?), dead, events.bar());
        let started = Instant::now();
        let unreadable = match events.visit(&mut watch) {
            Err(error) => {
                watch.dead.finish()?;
                return Err(error);
            }
            Ok(unreadable) => unreadable,
        };
        watch.engine.finish(&mut watch.alerts);
        watch.write()?;
        watch.summary(started.elapsed(), self.dead_letters.as_deref());
        watch.dead.finish()?;
        all_read(&unreadable)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The engine at work, and what it has seen.
struct Watch {
    engine: Engine,
    /// Alerts that are not yet written; kept between events so that its memory is.
    alerts: Vec<Alert>,
    out: Output,
    dead: DeadLetters,
    bar: ProgressBar,
    events: u64,
    opened: [u64; RiskEventType::ALL.len()],
    updated: u64,
    /// Events with a value too long for its field.
    cut: u64,
}

impl Watch {
    fn new(engine: Engine, dead: DeadLetters, bar: ProgressBar) -> Self {
        Self {
            engine,
            alerts: Vec::new(),
            out: Output::stdout(),
            dead,
            bar,
            events: 0,
            opened: Default::default(),
            updated: 0,
            cut: 0,
        }
    }

    /// Writes what the engine has said. At once: whoever reads a live stream waits for it.
    fn write(&mut self) -> Result<(), OutputError> {
        if self.alerts.is_empty() {
            return Ok(());
        }
        for alert in &self.alerts {
            match alert.state {
                AlertState::Opened => {
                    if let Some(count) = self.opened.get_mut(alert.risk_event_type as usize) {
                        *count += 1;
                    }
                }
                AlertState::Updated => self.updated += 1,
                AlertState::Closed => {}
            }
        }
        let (out, alerts) = (&mut self.out, &self.alerts);
        self.bar.suspend(|| {
            alerts.iter().try_for_each(|alert| out.json_line(alert))?;
            out.flush()
        })?;
        self.alerts.clear();
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
        self.engine.judge(event, at, &mut self.alerts);
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
fn is_no_input(path: &Path, files: &[PathBuf]) -> anyhow::Result<()> {
    // A file that is not there yet is none of those that were opened.
    let Ok(place) = path.canonicalize() else { return Ok(()) };
    let same = files.iter().find(|file| file.canonicalize().is_ok_and(|file| file == place));
    same.map_or(Ok(()), |file| Err(anyhow::anyhow!("{file:?} would be overwritten")))
        .context("--dead-letters names an input; name another file")
}

/// `1 event`, `2,345 events`.
fn number(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", HumanCount(n), if n == 1 { "" } else { "s" })
}

fn rate(events: u64, seconds: f64) -> HumanCount {
    HumanCount((events as f64 / seconds.max(1e-3)).round() as u64)
}
