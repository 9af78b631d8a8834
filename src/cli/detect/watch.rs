//! The engine at work over the events of a call, and what it has seen.
//!
//! Knows what is read and what is written. Must not know options.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use indicatif::ProgressBar;

use super::batch::Batch;
use super::heard::Heard;
use crate::alert::AlertState;
use crate::cli::output::Output as Writer;
use crate::cli::source::{Order, Visitor};
use crate::control::ControlRecord;
use crate::engine::unit::Position;
use crate::engine::{Engine, Output};
use crate::event::AuditEvent;
use crate::finding::RiskEventType;
use crate::risk::{Level, RiskUpdate};
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
    /// Whether events come by time, and the latest of them.
    pub order: Order,
    /// Control records that have not taken effect yet, latest first.
    control: Vec<ControlRecord>,
    /// Which control records are about somebody.
    pub heard: Heard,
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
    /// Agents whose level changed, by tenant and id: the highest level told, and the highest that there would be without
    /// the cap of the first days.
    levels: HashMap<(Option<String>, String), (Level, Level)>,
    /// The last line that was judged: its source and number.
    pub last: Option<Position>,
    /// Events with a value too long for its field.
    pub cut: u64,
    /// Where closed units are written.
    units: Option<Writer>,
}

/// Keeps the highest levels of an agent.
fn note(levels: &mut HashMap<(Option<String>, String), (Level, Level)>, risk: &RiskUpdate) {
    let (told, uncapped) = levels.entry((risk.tenant.clone(), risk.agent_id.clone())).or_default();
    *told = risk.level.max(*told);
    *uncapped = risk.level_uncapped.max(*uncapped);
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
            order: Order::default(),
            heard: Heard::new(&control),
            control,
            said: Vec::new(),
            out: Writer::stdout(),
            formatter: None,
            dead,
            bar,
            events: 0,
            opened: Default::default(),
            updated: 0,
            levels: HashMap::new(),
            last: None,
            cut: 0,
            units: None,
        }
    }

    /// Writes every unit that closes into a file.
    pub fn keep_units(&mut self, path: &Path) -> anyhow::Result<()> {
        self.units = Some(Writer::file(path)?);
        self.engine.keep_closed_units();
        Ok(())
    }

    /// Agents by the highest level that was told of them, and how many were held below what they would have without the cap
    /// of the first days.
    pub fn levels(&self) -> ([u64; Level::ALL.len()], u64) {
        let mut counts = [0; Level::ALL.len()];
        for (told, _) in self.levels.values() {
            if let Some(count) = counts.get_mut(*told as usize) {
                *count += 1;
            }
        }
        (counts, self.levels.values().filter(|(told, uncapped)| told < uncapped).count() as u64)
    }

    /// From now on alerts and risk updates are written in another format, and nothing else is.
    pub fn tell_as(&mut self, formatter: Formatter) {
        self.formatter = Some(formatter);
    }

    /// Writes the units that have closed.
    fn write_units(&mut self) -> anyhow::Result<()> {
        let Some(file) = &mut self.units else { return Ok(()) };
        Ok(self.engine.take_closed_units().try_for_each(|unit| file.json_line(&unit))?)
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
                Output::Risk(risk) => note(&mut self.levels, risk),
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
            self.decide(self.order.latest());
        } else {
            self.decide(EventTime(i64::MAX));
            self.engine.finish(&mut self.said);
        }
        self.write()?;
        self.write_units()?;
        if let Some(file) = &mut self.units {
            file.flush()?;
        }
        Ok(self.control.len())
    }

    /// Decodes the lines that wait, on all threads, and judges them.
    fn judge_batch(&mut self) -> anyhow::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let mut events = Vec::with_capacity(batch.len());
        for (line, decoded) in batch.decode(self.threads) {
            match decoded {
                Ok(event) => {
                    self.last = Some(line.position());
                    self.order.add(event.time);
                    self.heard.met(&event);
                    events.push((event, line.position()));
                }
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
        self.last = Some(at);
        self.order.add(event.time);
        self.heard.met(event);
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
