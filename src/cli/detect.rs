//! `tiltmeter detect`: audit events in, alerts out, without a service around it.
//!
//! Knows files, options and what people are told. Must not judge anything itself.

mod batch;
mod summary;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;

use self::watch::Watch;
use super::source::{Events, SourceArguments, all_read};
use crate::config::Config;
use crate::control::{Control, ControlRecord};
use crate::engine::Engine;
use crate::identity::Identity;
use crate::wire::control;
use crate::wire::dead_letter::DeadLetters;
use crate::wire::outputs::{Format, Formatter};
use crate::wire::state::{self, State};
use crate::wire::verdict;

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

    /// Goes on where the call that wrote this file ended, and writes it anew at the end. Units that are open stay open.
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
        let known = self.state.as_deref().map(state::read).transpose()?.flatten();
        let key = self.key(&config, known.as_ref())?;
        let events = Events::open(&self.files, &self.source, &key.unwrap_or(config.identity_key()))?;
        let dead = match &self.dead_letters {
            Some(path) => {
                is_no_input("--dead-letters", path, &self.files)?;
                DeadLetters::to_file(path)?
            }
            None => DeadLetters::counted(),
        };
        if !config.has_identity_key() && self.state.is_none() {
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
            eprintln!(
                "tiltmeter: --threads {} is for audit events; other formats are read on one thread",
                self.threads
            );
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
            is_no_input("--units", path, &self.files)?;
            watch.keep_units(path)?;
        }
        if let Some(formatter) = formatter {
            watch.tell_as(formatter);
        }
        let started = Instant::now();
        let unreadable = match events.visit(&mut watch) {
            Err(error) => {
                watch.dead.finish()?;
                return Err(error);
            }
            Ok(unreadable) => unreadable,
        };
        let waiting = watch.finish(self.state.is_some())?;
        watch.summary(started.elapsed(), self.dead_letters.as_deref());
        watch.dead.finish()?;
        if let Some(path) = &self.state {
            state::write(path, &State { key, engine: watch.engine.save()? })?;
            if waiting > 0 {
                eprintln!(
                    "tiltmeter: {waiting} verdicts and other control records lie after the last event; give them again with the next input"
                );
            }
        }
        all_read(&unreadable)?;
        Ok(ExitCode::SUCCESS)
    }

    /// What people said, in the order of time: verdicts and other control records.
    fn control_records(&self) -> anyhow::Result<Vec<ControlRecord>> {
        let mut records = self.control.as_deref().map(control::read).transpose()?.unwrap_or_default();
        let verdicts = self.verdicts.as_deref().map(verdict::read).transpose()?.unwrap_or_default();
        records.extend(verdicts.into_iter().map(ControlRecord::from));
        // Stable: what was said at the same time stays in its order.
        records.sort_by_key(|record| record.time);
        if records.iter().any(|record| matches!(record.kind, Control::Settings(_))) {
            eprintln!(
                "tiltmeter: control records of settings are for the service; --config says what holds here"
            );
        }
        Ok(records)
    }

    /// The key of the identity hash where the configuration names none but there is a state: that of the state, or a
    /// new random one.
    fn key(&self, config: &Config, known: Option<&State>) -> anyhow::Result<Option<[u8; 16]>> {
        let Some(path) = &self.state else { return Ok(None) };
        is_no_input("--state", path, &self.files)?;
        match (config.has_identity_key(), known) {
            (true, _) => Ok(None),
            (false, Some(state)) => Ok(state.key),
            (false, None) => {
                state::fresh_key().map(Some).context("the system gives no random numbers for a key")
            }
        }
    }
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

/// Makes sure that the file to be written is none of those to be read.
fn is_no_input(option: &str, path: &Path, files: &[PathBuf]) -> anyhow::Result<()> {
    // A file that is not there yet is none of those that were opened.
    let Ok(place) = path.canonicalize() else { return Ok(()) };
    let same = files.iter().find(|file| file.canonicalize().is_ok_and(|file| file == place));
    same.map_or(Ok(()), |file| Err(anyhow::anyhow!("{file:?} would be overwritten")))
        .with_context(|| format!("{option} names an input; name another file"))
}
