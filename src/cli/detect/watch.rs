//! The engine at work over the events of a call, and what it has seen.
//!
//! Knows what is read and what is written. Must not know options.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use indicatif::ProgressBar;

use super::batch::Batch;
use crate::alert::AlertState;
use crate::cli::output::Output as Writer;
use crate::cli::source::Visitor;
use crate::control::ControlRecord;
use crate::engine::unit::Position;
use crate::engine::{ClosedUnit, Engine, Output};
use crate::event::AuditEvent;
use crate::finding::RiskEventType;
use crate::risk::Level;
use crate::time::EventTime;
use crate::wire::dead_letter::{DeadLetters, Refusal};
use crate::wire::input::Line;
use crate::wire::outputs::{Formatter, Told};

/// Closed units are written after so many events.
const UNITS_EVERY: u64 = 4096;

/// The engine at work, and what it has seen.
pub(super) struct Watch {
    pub engine: Engine,
    /// Threads that judge.
    threads: usize,
    /// Lines that are not judged yet; only with several threads.
    batch: Batch,
    /// Time of the last event.
    reached: EventTime,
    /// Control records that have not taken effect yet, latest first.
    control: Vec<ControlRecord>,
    /// What is not yet written; kept between events so that its memory is.
    said: Vec<Output>,
    out: Writer,
    /// In which format it is told, where that is not our own.
    formatter: Option<Formatter>,
    pub dead: DeadLetters,
    bar: ProgressBar,
    pub events: u64,
    pub opened: [u64; RiskEventType::ALL.len()],
    pub updated: u64,
    /// Risk updates by the level they tell of.
    pub levels: [u64; Level::ALL.len()],
    /// Events with a value too long for its field.
    pub cut: u64,
    /// Where closed units are written.
    units: Option<BufWriter<File>>,
}

/// Writes an output in another format, if that has one for it.
fn told(output: &Output, formatter: &Formatter, out: &mut Writer) -> anyhow::Result<()> {
    let told = match output {
        Output::Alert(alert) => Told::Alert(Cow::Borrowed(alert.as_ref())),
        Output::Risk(risk) => Told::Risk(Cow::Borrowed(risk.as_ref())),
        _ => return Ok(()),
    };
    if let Some(record) = formatter.render(&told)? {
        out.line(&record.value)?;
    }
    Ok(())
}

impl Watch {
    pub fn new(
        engine: Engine,
        threads: usize,
        mut control: Vec<ControlRecord>,
        dead: DeadLetters,
        bar: ProgressBar,
    ) -> Self {
        control.reverse();
        Self {
            engine,
            threads,
            batch: Batch::default(),
            reached: EventTime(i64::MIN),
            control,
            said: Vec::new(),
            out: Writer::stdout(),
            formatter: None,
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
    pub fn keep_units(&mut self, path: &Path) -> anyhow::Result<()> {
        let file = File::create(path)
            .with_context(|| format!("cannot create {}; choose another place for --units", path.display()))?;
        self.units = Some(BufWriter::new(file));
        self.engine.keep_closed_units();
        Ok(())
    }

    /// From now on alerts and risk updates are written in another format, and nothing else is.
    pub fn tell_as(&mut self, formatter: Formatter) {
        self.formatter = Some(formatter);
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
    fn write(&mut self) -> anyhow::Result<()> {
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
                Output::Verdict(_)
                | Output::Digest(_)
                | Output::Eviction(_)
                | Output::HeldBack(_)
                | Output::Rebaselined(_) => {}
            }
        }
        let (out, said, formatter) = (&mut self.out, &self.said, &self.formatter);
        self.bar.suspend(|| {
            said.iter().try_for_each(|output| match formatter {
                None => Ok(out.json_line(output)?),
                Some(formatter) => told(output, formatter, out),
            })?;
            Ok::<(), anyhow::Error>(out.flush()?)
        })?;
        self.said.clear();
        Ok(())
    }

    /// Control records up to an instant take effect.
    fn decide(&mut self, until: EventTime) {
        while let Some(record) = self.control.pop_if(|record| record.time <= until) {
            self.engine.control(&record, &mut self.said);
        }
    }

    /// The end of the input: everything closes, unless it goes on with a later call. Returns how many control records
    /// wait for that.
    pub fn finish(&mut self, goes_on: bool) -> anyhow::Result<usize> {
        self.judge_batch()?;
        if goes_on {
            self.decide(self.reached);
        } else {
            self.decide(EventTime(i64::MAX));
            self.engine.finish(&mut self.said);
        }
        self.write()?;
        self.write_units()?;
        if let Some(file) = &mut self.units {
            file.flush().context("cannot write the file of --units")?;
        }
        Ok(self.control.len())
    }

    /// Decodes the lines that wait, on all threads, and judges them.
    fn judge_batch(&mut self) -> anyhow::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let mut events = Vec::with_capacity(batch.len());
        for (line, decoded) in batch.decode(self.threads) {
            match decoded {
                Ok(event) => events.push((event, line.position())),
                Err(refusal) => self.dead.add(&refusal, line.source, &line.line())?,
            }
        }
        self.events += events.len() as u64;
        let mut rest = events.as_slice();
        // A record takes effect before the first event at or after its time.
        while let Some(time) = self.control.last().map(|record| record.time)
            && let Some(place) = rest.iter().position(|(event, _)| event.time >= time)
        {
            let (before, after) = rest.split_at(place);
            self.engine.judge_all(before, self.threads, &mut self.said);
            self.decide(time);
            rest = after;
        }
        self.engine.judge_all(rest, self.threads, &mut self.said);
        self.reached = events.iter().map(|(event, _)| event.time).fold(self.reached, EventTime::max);
        self.write()?;
        self.write_units()?;
        drop(events);
        self.batch = batch.emptied();
        Ok(())
    }
}

impl Visitor for Watch {
    fn takes(&mut self, line: &Line<'_>, source: &str) -> anyhow::Result<bool> {
        if self.threads <= 1 {
            return Ok(false);
        }
        self.batch.push(line, source);
        if self.batch.is_full() {
            self.judge_batch()?;
        }
        Ok(true)
    }

    fn event(&mut self, event: &AuditEvent<'_>, at: Position) -> anyhow::Result<()> {
        self.events += 1;
        self.reached = self.reached.max(event.time);
        self.decide(event.time);
        self.engine.judge(event, at, &mut self.said);
        if self.events.is_multiple_of(UNITS_EVERY) {
            self.write_units()?;
        }
        self.write()
    }

    fn cut(&mut self, _: &[&'static str]) {
        self.cut += 1;
    }

    fn refused(&mut self, refusal: &Refusal, source: &str, line: &Line<'_>) -> anyhow::Result<()> {
        Ok(self.dead.add(refusal, source, line)?)
    }
}
