//! `tiltmeter detect`: audit events in, alerts out, without a service around it.
//!
//! Knows files, options and what people are told. Must not judge anything itself.

mod batch;
mod heard;
mod summary;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;

use self::watch::Watch;
use super::NOTHING_USABLE;
use super::files::Files;
use super::notice::say;
use super::source::{Events, SourceArguments, all_read};
use crate::config::Config;
use crate::control::{Control, ControlRecord};
use crate::engine::Engine;
use crate::engine::unit::Position;
use crate::identity::Identity;
use crate::wire::control;
use crate::wire::dead_letter::DeadLetters;
use crate::wire::outputs::{Format, Formatter};
use crate::wire::state::{self, State};
use crate::wire::verdict;

/// Exit status after a signal (128 + SIGINT, as a shell has it).
const INTERRUPTED: u8 = 130;

/// Judge audit events and write alerts.
///
/// Reads events in the order in which they happened (or records of another format, or conversations, whose events it makes itself), judges each against what is normal for its agent's type
/// and the fleet, then learns from it. Several files are read by time, as if they were one; each has to be in order. Alerts go
/// to standard output as they arise, one JSON object a line; a summary goes to standard error. `tiltmeter explain` shows alerts
/// as text. Alerts are no failure: the exit code is 0 when everything was read, 65 when there were lines and none could be
/// used. Ctrl-C, SIGTERM and SIGHUP end it after the event at hand, with the state and the summary written and the exit code
/// 130; a second one ends it at once.
#[derive(Debug, clap::Args)]
pub struct Detect {
    /// Audit events, or what `--source` names, one JSON object a line; .gz and .zst are unpacked. None or `-`: standard input.
    files: Vec<PathBuf>,

    /// Configuration file; without it every setting has its default.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    source: SourceArguments,

    /// Goes on where the call that wrote this file ended, and writes it anew at the end. Units that are open stay open. The
    /// file holds a key of its own for the identity hash unless the configuration names one, so that hashes and thresholds
    /// drawn from them differ between two files that began with the same events. One call at a time: `FILE.lock` is held.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// Threads that decode and judge; the output is the same with any number. With more than one, audit events are
    /// judged some thousand at a time, so that a live stream is told of later.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,

    /// Verdicts of people, one JSON object a line: time, agent_id, verdict (confirm_compromised, confirm_safe, dismiss,
    /// accept), by, reason. Each takes effect before the first event at or after its time.
    #[arg(long, value_name = "FILE")]
    verdicts: Option<PathBuf>,

    /// What people told the detector, one JSON object a line: registrations, grants, declared changes, maintenance,
    /// suppressions, verdicts (schemas/agent-control.v1.schema.json). Each takes effect before the first event at or after
    /// its time; what is older than the input holds from the start.
    #[arg(long, value_name = "FILE")]
    control: Option<PathBuf>,

    /// Format of alerts and risk updates: native (everything that is told), cloudevents, ocsf, caep, ecs, cef, graph, sentinel, or
    /// an output mapping, FILE.toml. Other formats have alerts and risk updates only.
    #[arg(long, value_name = "FORMAT", default_value = "native", value_parser = named)]
    format: Format,

    /// Where lines that could not be used are written, with the reason; otherwise they are only counted.
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,

    /// File that gets one JSON line per unit (session, or hour of an agent) when it closes: its p, and the p that alerts are decided by (alarm_p).
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
        self.files(&config).check()?;
        // Before it is read: what another call writes meanwhile would be lost.
        let _held = self.state.as_deref().map(state::lock).transpose()?;
        let known = self.state.as_deref().map(state::read).transpose()?.flatten();
        let key = self.key(&config, known.as_ref())?;
        let hash_key = key.unwrap_or(config.identity_key());
        let ends = ends_on_request()?;
        let events = Events::open(&self.files, &self.source, &hash_key, Some(Arc::clone(&ends)))?;
        let dead = match &self.dead_letters {
            Some(path) => DeadLetters::to_file(path)?,
            None => DeadLetters::counted(),
        };
        if !config.has_identity_key() && self.state.is_none() {
            say("identity hash without a key: whoever can choose ids could make them collide; \
                 where that matters, set [agents] identity_key_file");
        }
        if self.source.is_transcript() && !config.has_identity_key() {
            say("a guess of what a user asked for can be tested against the ids that are made for \
                 conversations without one; set [agents] identity_key_file before alerts leave this machine");
        }
        let control = self.control_records()?;
        let formatter = match &self.format {
            Format::Native => None,
            other => {
                let transmitter = config.transmitter()?;
                if *other == Format::Caep && transmitter.is_none() {
                    anyhow::bail!(
                        "--format caep needs to know who signs: set issuer, audience and keys in [caep]"
                    );
                }
                Some(Formatter::new(other, config.identity().clone())?.signed_by(transmitter.as_ref()))
            }
        };
        if self.threads > 1 && !self.source.is_native() {
            say(format_args!(
                "--threads {} is for audit events; other formats are read on one thread",
                self.threads
            ));
        }
        let mut settings = config.settings()?;
        if let Some(key) = key {
            settings.identity = Identity::new(key);
            settings.rules = settings.rules.under(Identity::new(key));
        }
        let engine = match &known {
            Some(state) => Engine::restore(settings, &state.engine).with_context(|| {
                format!("cannot go on from {:?}", self.state.as_deref().unwrap_or(Path::new("")))
            })?,
            None => Engine::new(settings),
        };
        let mut watch = Watch::new(engine, self.threads.into(), control, dead, events.bar());
        if let Some(path) = &self.units {
            watch.keep_units(path)?;
        }
        if let Some(formatter) = formatter {
            watch.tell_as(formatter);
        }
        let started = Instant::now();
        let unreadable = match events.visit(&mut watch) {
            Err(error) => {
                watch.dead.finish()?;
                self.say_unsaved();
                return Err(error);
            }
            Ok(unreadable) => unreadable,
        };
        let is_cut_short = ends.load(Ordering::Relaxed);
        let waiting =
            watch.finish(self.state.is_some() || is_cut_short).inspect_err(|_| self.say_unsaved())?;
        watch.summary(started.elapsed(), self.dead_letters.as_deref(), unreadable.is_empty());
        let is_useless = watch.events == 0 && watch.dead.total() > 0;
        watch.dead.finish()?;
        if let Some(path) = &self.state {
            state::write(path, &State { key, engine: watch.engine.save()? })?;
            if waiting > 0 {
                say(format_args!(
                    "{waiting} verdicts and other control records lie after the last event; give them again with the next input"
                ));
            }
        }
        all_read(&unreadable)?;
        if is_cut_short {
            match &watch.last {
                Some(Position { source, line }) => {
                    let file = self.files.get(*source as usize).filter(|file| file.as_os_str() != "-");
                    let name = file.map_or("stdin".into(), |file| file.display().to_string());
                    say(format_args!(
                        "ended by a signal after line {line} of {name}; give what follows with the next call"
                    ));
                }
                None => say("ended by a signal before the first event"),
            }
            return Ok(ExitCode::from(INTERRUPTED));
        }
        if is_useless {
            say("no line could be used: `tiltmeter check` with the same files says why; is --source right?");
            return Ok(ExitCode::from(NOTHING_USABLE));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Says that no state was written, where one was asked for: with a reader that has gone (`| head`) nothing else is said.
    fn say_unsaved(&self) {
        if let Some(path) = &self.state {
            say(format_args!(
                "{path:?} is as it was before: this call could not write all that it had to tell"
            ));
        }
    }

    /// Everything that is read and written.
    fn files(&self, config: &Config) -> Files {
        Files::default()
            .input(&self.files)
            .read("the configuration", &self.config)
            .read("a file that the configuration names", &config.files())
            .read("the mapping", self.source.file())
            .read("the mapping of the output", self.format.file())
            .read("--verdicts", &self.verdicts)
            .read("--control", &self.control)
            .written("--state", self.state.as_ref())
            .written("--dead-letters", self.dead_letters.as_ref())
            .written("--units", self.units.as_ref())
    }

    /// What people said, in the order of time: verdicts and other control records.
    fn control_records(&self) -> anyhow::Result<Vec<ControlRecord>> {
        let mut records = self.control.as_deref().map(control::read).transpose()?.unwrap_or_default();
        let verdicts = self.verdicts.as_deref().map(verdict::read).transpose()?.unwrap_or_default();
        records.extend(verdicts.into_iter().map(ControlRecord::from));
        // Stable: what was said at the same time stays in its order.
        records.sort_by_key(|record| record.time);
        if records.iter().any(|record| matches!(record.kind, Control::Settings(_))) {
            say("control records of settings are for the service; --config says what holds here");
        }
        Ok(records)
    }

    /// The key of the identity hash where the configuration names none but there is a state: that of the state, or a
    /// new random one.
    fn key(&self, config: &Config, known: Option<&State>) -> anyhow::Result<Option<[u8; 16]>> {
        let Some(path) = &self.state else { return Ok(None) };
        match (config.has_identity_key(), known) {
            (true, _) => Ok(None),
            (false, Some(state)) => Ok(state.key),
            (false, None) => {
                let key = state::fresh_key().context("the system gives no random numbers for a key")?;
                say(format_args!(
                    "a fresh key of the identity hash is kept in {}; other states have other keys, and may differ in \
                     what they find in the same events; [agents] identity_key_file gives them one",
                    path.display()
                ));
                Ok(Some(key))
            }
        }
    }
}

/// A sign that is set by the first signal to end; the second one ends the process.
fn ends_on_request() -> anyhow::Result<Arc<AtomicBool>> {
    let ends = Arc::new(AtomicBool::new(false));
    let sign = Arc::clone(&ends);
    ctrlc::set_handler(move || {
        if sign.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    })
    .context("cannot listen for signals to end")?;
    Ok(ends)
}

/// A format that stands in lines.
fn named(text: &str) -> Result<Format, String> {
    match Format::named(text)? {
        Format::CloudEventsBinary => {
            Err("its attributes stand in headers of Kafka, which a line has not; give cloudevents".to_owned())
        }
        format => Ok(format),
    }
}
