//! `tiltmeter check`: what is wrong with a configuration and with example events, before anything runs.
//!
//! Knows files, options and what people are told. Must not judge anything.

mod capacity;
mod coverage;
mod extraction;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use super::explain::printable;
use super::output::{Output, OutputError};
use super::source::{Events, Order, SourceArguments, Visitor, all_read};
use crate::config::Config;
use crate::detect::vocabulary::Vocabulary;
use crate::engine::unit::Position;
use crate::event::AuditEvent;
use crate::identity::Identity;
use crate::models;
use crate::wire::audit_event;
use crate::wire::dead_letter::Refusal;
use crate::wire::input::Line;
use crate::wire::sources::mapping::Mapping;

use self::capacity::Fleet;
use self::coverage::Coverage;
use self::extraction::extraction;

/// Refused lines that are shown; the others are counted.
const SHOWN_LINES: u64 = 100;
/// Names of unknown fields that are kept.
const SHOWN_NAMES: usize = 20;

/// Check a configuration, a source mapping, example events if there are any, and what a fleet would need.
///
/// Tells everything that is wrong at once: settings, the mapping that `--source` names, lines that would be refused
/// and why, what the mapping makes of the first of them, and what each detector would have to do without. The exit code is 0 when nothing has to be mended, otherwise 64.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Example events, one a line; .gz and .zst are unpacked; `-` is standard input. None: no events.
    files: Vec<PathBuf>,

    /// Configuration file; without it every setting has its default.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    source: SourceArguments,

    #[command(flatten)]
    fleet: Fleet,
}

impl Check {
    /// Looks at everything and writes what it found.
    ///
    /// # Errors
    ///
    /// When input cannot be read or the output cannot be written. Faults in the configuration or in events
    /// are no error: they are what was asked for, and make the exit code 64.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut out = Output::stdout();
        let mut is_fine = true;
        let config = Config::load(self.config.as_deref());
        match &config {
            Ok(config) => out.text(&told(config))?,
            Err(error) => {
                is_fine = false;
                out.text(&format!("tiltmeter: {error}\n"))?;
            }
        }
        let mapping = self.source.mapping();
        match (&mapping, self.source.example()) {
            (Err(error), _) => {
                is_fine = false;
                out.text(&format!("tiltmeter: {error}\n"))?;
            }
            (Ok(Some(mapping)), Some(shipped)) if self.files.is_empty() => {
                out.text(&extraction(mapping, shipped.example.as_bytes(), "the example that ships with it"))?;
            }
            (Ok(Some(_)), None) if self.files.is_empty() => {
                out.text(
                    "source mapping: valid; name a file of example records to see what it makes of them\n",
                )?;
            }
            (Ok(_), _) => {}
        }
        if let (Ok(mapping), false) = (mapping, self.files.is_empty()) {
            let events = Events::open(&self.files, &self.source, &[0; 16], None)?;
            let vocabulary = Vocabulary::new(Identity::new([0; 16]), Some(models::lexicon()?));
            let mut example = Example {
                out,
                vocabulary,
                coverage: Coverage::default(),
                refused: 0,
                cut: BTreeMap::new(),
                misspelt: BTreeMap::new(),
                is_native: self.source.is_native(),
                order: Order::default(),
                mapping,
            };
            let unreadable = events.visit(&mut example)?;
            is_fine &= example.refused == 0;
            out = example.out;
            if example.refused > SHOWN_LINES {
                out.text(&format!(
                    "and {} more; `tiltmeter detect --dead-letters FILE` writes them all\n",
                    example.refused - SHOWN_LINES
                ))?;
            }
            out.text(&example.coverage.told(example.refused))?;
            for (field, events) in &example.cut {
                out.text(&format!("  {field} was too long in {events} and was cut\n"))?;
            }
            for ((name, near), events) in &example.misspelt {
                let name = printable(name);
                out.text(&format!("  {name} in {events} is not read: did you mean {near}?\n"))?;
            }
            if let Some(told) = example.order.told() {
                is_fine = false;
                out.text(&format!("  {told}\n"))?;
            }
            out.flush()?;
            all_read(&unreadable)?;
        }
        if self.fleet.is_asked() {
            // What a fleet needs does not depend on a file that has to be mended first.
            let settings = config.unwrap_or_default().settings()?;
            out.flush()?;
            out.text(&self.fleet.told(settings)?)?;
        }
        out.flush()?;
        Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::from(super::TO_BE_MENDED) })
    }
}

/// A configuration in a few lines.
fn told(config: &Config) -> String {
    let mut text = format!("configuration {}: valid\n", config.hash());
    for setting in config.changed() {
        let otherwise = if setting.default.is_empty() { "none" } else { &setting.default };
        text += &format!("  {} = {} (default {otherwise})\n", setting.name, setting.value);
    }
    for rule in config.rules().iter() {
        text += &format!("  rule {}\n", rule.shown());
    }
    if !config.has_identity_key() {
        text += "  no agents.identity_key_file: whoever can choose ids could make them collide\n";
    }
    text
}

/// Example events, looked at one by one.
struct Example {
    out: Output,
    vocabulary: Vocabulary,
    coverage: Coverage,
    refused: u64,
    /// Fields that were too long, and in how many events.
    cut: BTreeMap<&'static str, u64>,
    /// Fields that are not read and the ones that may be meant, and in how many lines.
    misspelt: BTreeMap<(String, &'static str), u64>,
    is_native: bool,
    order: Order,
    /// What translates records, until the first one has been shown.
    mapping: Option<Mapping>,
}

impl Example {
    /// Counts fields that are not read and are like one that is.
    fn spell(&mut self, line: &Line<'_>) {
        if !self.is_native {
            return;
        }
        for pair in audit_event::misspelt(line.bytes) {
            // An input of nothing but different names is not kept.
            if self.misspelt.len() < SHOWN_NAMES || self.misspelt.contains_key(&pair) {
                *self.misspelt.entry(pair).or_default() += 1;
            }
        }
    }

    fn show(&mut self, line: &Line<'_>) -> Result<(), OutputError> {
        let Some(mapping) = self.mapping.take() else { return Ok(()) };
        self.out.text(&extraction(&mapping, line.bytes, &format!("the record at line {}", line.number)))
    }
}

impl Visitor for Example {
    fn event(&mut self, event: &AuditEvent<'_>, _: Position) -> anyhow::Result<()> {
        let call = self.vocabulary.call(event);
        self.coverage.add(&call);
        self.order.add(event.time);
        Ok(())
    }

    fn record(&mut self, event: &AuditEvent<'_>, at: Position, line: &Line<'_>) -> anyhow::Result<()> {
        self.show(line)?;
        self.spell(line);
        self.event(event, at)
    }

    fn cut(&mut self, fields: &[&'static str]) {
        for field in fields {
            *self.cut.entry(field).or_default() += 1;
        }
    }

    fn refused(&mut self, refusal: &Refusal, source: &str, line: &Line<'_>) -> anyhow::Result<()> {
        self.show(line)?;
        self.spell(line);
        self.refused += 1;
        if self.refused <= SHOWN_LINES {
            let text = format!("{}:{}: {refusal}\n", printable(source), line.number);
            self.out.text(&text)?;
        }
        Ok(())
    }
}
