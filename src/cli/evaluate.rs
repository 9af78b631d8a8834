//! `tiltmeter evaluate`: labelled data in, detection report out.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use regex::Regex;

use super::NOTHING_USABLE;
use super::explain::printable;
use super::files::Files;
use super::notice::say;
use super::output::Output;
use super::source::{Events, SourceArguments, Visitor, all_read};
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::unit::Position;
use crate::evaluate::report::{Delay, Report, report};
use crate::evaluate::{Labelled, Plan, ReportUnit, TierKept, run};
use crate::event::AuditEvent;
use crate::wire::dead_letter::Refusal;
use crate::wire::input::Line;

/// Labels that are named where none fits.
const SHOWN_LABELS: usize = 10;

/// Learn from labelled events, judge others, and report how well the labels were found
#[derive(Debug, Args)]
pub struct Evaluate {
    /// Events to learn from
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    baseline: Vec<PathBuf>,
    /// Events to judge
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    test: Vec<PathBuf>,
    /// Labels that are learned
    #[arg(long, default_value = "", value_name = "REGEX")]
    learn: Regex,
    /// Labels that count as normal
    #[arg(long, default_value = "^normal$", value_name = "REGEX")]
    normal: Regex,
    /// Labels that count as positive
    #[arg(long, default_value = "^attack$", value_name = "REGEX")]
    positive: Regex,
    /// What is judged as one
    #[arg(long, value_enum, default_value = "session")]
    unit: UnitArgument,
    /// Provenance fields that are kept
    #[arg(long, value_enum, default_value = "full")]
    tier: TierArgument,
    /// Go on learning while judging
    #[arg(long = "continue")]
    continues: bool,
    /// Write one line of JSON per unit
    #[arg(long, value_name = "FILE")]
    per_unit: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Configuration file
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    source: SourceArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum UnitArgument {
    Session,
    Hour,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TierArgument {
    Full,
    Origin,
    None,
}

impl Evaluate {
    /// Runs the evaluation.
    ///
    /// # Errors
    ///
    /// Files that cannot be read or written, and a faulty configuration.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(self.config.as_deref())?;
        Files::default()
            .read("the input", self.baseline.iter().chain(&self.test))
            .read("the configuration", &self.config)
            .read("a file that the configuration names", &config.files())
            .read("the mapping", self.source.file())
            .written("--per-unit", self.per_unit.as_ref())
            .check()?;
        let (settings, key) = (config.settings()?, config.identity_key());
        let lexicon = settings.lexicon.clone();
        let mut engine = Engine::new(settings);
        let plan = Plan {
            learn: self.learn,
            normal: self.normal,
            positive: self.positive,
            unit: match self.unit {
                UnitArgument::Session => ReportUnit::Session,
                UnitArgument::Hour => ReportUnit::Hour,
            },
            tier: match self.tier {
                TierArgument::Full => TierKept::Full,
                TierArgument::Origin => TierKept::Origin,
                TierArgument::None => TierKept::None,
            },
            continues: self.continues,
        };
        let read = |files| read(files, &self.source, &key);
        let (baseline, test) = (read(&self.baseline)?, read(&self.test)?);
        // A file of nothing is a choice: to be judged by what is shipped. One of which nothing can be used is a mistake.
        let is_nothing = |file: &PathBuf| std::fs::metadata(file).is_ok_and(|about| about.len() == 0);
        let learns_nothing = self.baseline.iter().all(is_nothing);
        for (what, files, is_missing) in [
            ("--baseline", &self.baseline, baseline.is_empty() && !learns_nothing),
            ("--test", &self.test, test.is_empty()),
        ] {
            if is_missing {
                let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
                say(format_args!(
                    "there is no event in {what} {}, so there is nothing to report; `tiltmeter check` says what is \
                     wrong with a file",
                    names.join(" ")
                ));
                return Ok(ExitCode::from(NOTHING_USABLE));
            }
        }
        if !baseline.is_empty() && !baseline.iter().any(|line| plan.learns(line)) {
            say(format_args!(
                "--learn {} fits the label of none of the {} events of --baseline: nothing is learned, all is judged by what is \
                 shipped",
                printable(plan.learn.as_str()),
                baseline.len()
            ));
        }
        let mut rows = run(&mut engine, lexicon.as_ref(), &plan, baseline, test);
        let report = report(&plan, &mut rows);
        see_that_labels_fit(&plan, &report);
        if let Some(path) = &self.per_unit {
            let mut out = Output::file(path)?;
            rows.iter().try_for_each(|row| out.json_line(row))?;
            out.flush()?;
        }
        let mut out = Output::stdout();
        if self.json {
            out.text(&(serde_json::to_string_pretty(&report)? + "\n"))?;
        } else {
            out.with(|out| print(&report, out))?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads labelled events; lines that are no events are counted on stderr.
fn read(paths: &[PathBuf], source: &SourceArguments, key: &[u8; 16]) -> anyhow::Result<Vec<Labelled>> {
    let mut side = Side { is_native: source.is_native(), labelled: Vec::new(), refused: 0, first: None };
    let unreadable = Events::open(paths, source, key, None)?.visit(&mut side)?;
    all_read(&unreadable)?;
    if let Some(first) = side.first {
        let refused = side.refused;
        let are = if refused == 1 {
            "line is no audit event and was"
        } else {
            "lines are no audit events and were"
        };
        say(format_args!("{refused} {are} left out; the first, {first}"));
    }
    Ok(side.labelled)
}

/// One side of the evaluation, while it is read.
struct Side {
    is_native: bool,
    labelled: Vec<Labelled>,
    refused: u64,
    first: Option<String>,
}

impl Visitor for Side {
    fn event(&mut self, _: &AuditEvent<'_>, _: Position) -> anyhow::Result<()> {
        Ok(())
    }

    fn record(&mut self, event: &AuditEvent<'_>, _: Position, line: &Line<'_>) -> anyhow::Result<()> {
        // What is an event already is kept as it stands.
        let labelled =
            if self.is_native { Labelled::read(line.bytes)? } else { Labelled::mapped(event, line.bytes)? };
        self.labelled.push(labelled);
        Ok(())
    }

    fn refused(&mut self, refusal: &Refusal, _: &str, line: &Line<'_>) -> anyhow::Result<()> {
        self.refused += 1;
        self.first.get_or_insert_with(|| format!("line {}: {refusal}", line.number));
        Ok(())
    }
}

/// Says where a side of the report has no unit: its figures mean nothing then.
fn see_that_labels_fit(plan: &Plan, report: &Report) {
    let labels: Vec<String> = report
        .labels
        .iter()
        .take(SHOWN_LABELS)
        .map(|(label, units)| {
            format!("{} ({units} units)", if label.is_empty() { "none".into() } else { printable(label) })
        })
        .collect();
    let more = if report.labels.len() > SHOWN_LABELS { ", …" } else { "" };
    for (units, option, pattern, then) in [
        (report.positives, "--positive", &plan.positive, "nothing can be found"),
        (report.units - report.positives, "--normal", &plan.normal, "there is nothing to compare with"),
    ] {
        if units == 0 {
            say(format_args!(
                "{option} {} leaves no unit of --test, whose labels are {}{more}: {then}",
                printable(pattern.as_str()),
                labels.join(", ")
            ));
        }
    }
}

fn print(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    let figure = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.3}"));
    let level = |at: &BTreeMap<&str, f64>, name: &str, has_units: bool| {
        figure(at.get(name).copied().filter(|_| has_units))
    };
    let has_normal = report.units > report.positives;
    let has_both = has_normal && report.positives > 0;
    let Delay { median, within_3, never_exposed, early } = report.calls_to_alarm;
    let has_exposed = report.positives > never_exposed + early;
    writeln!(out, "units                       {} ({} positive)", report.units, report.positives)?;
    for (label, count) in &report.labels {
        writeln!(out, "  {:<25} {count}", if label.is_empty() { "(no label)" } else { label })?;
    }
    writeln!(out, "AUC                         {}", figure(report.auc))?;
    writeln!(out, "AUC, length-matched         {}", figure(report.length_matched_auc))?;
    for (name, share) in [("0.01", "1 %"), ("0.05", "5 %")] {
        writeln!(out, "found at {share} false alarms   {}", level(&report.tpr_at_fpr, name, has_both))?;
        writeln!(out, "false alarms at nominal {share} {}", level(&report.fpr_at_nominal, name, has_normal))?;
    }
    writeln!(
        out,
        "calls to alarm              median {}, within 3: {}",
        if has_exposed {
            median.map_or_else(|| "∞".to_owned(), |m| m.to_string())
        } else {
            "–".to_owned()
        },
        figure(Some(within_3).filter(|_| has_exposed))
    )?;
    for (name, control) in &report.controls {
        writeln!(
            out,
            "control {name:<20} AUC {}, found at 5 % {}",
            figure(control.auc),
            level(&control.tpr_at_fpr, "0.05", has_both)
        )?;
    }
    for (name, family) in &report.families {
        writeln!(out, "family {name:<21} AUC {}", figure(family.auc))?;
    }
    Ok(())
}
