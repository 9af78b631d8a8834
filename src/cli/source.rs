//! Where a command gets its events: files or standard input, in one of the formats we read.
//!
//! Knows formats, progress and which input could not be read. Must not know what is done with an event.

use std::io::IsTerminal;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::engine::unit::Position;
use crate::event::AuditEvent;
use crate::wire::audit_event;
use crate::wire::dead_letter::Refusal;
use crate::wire::input::{InputError, Line, Lines};

/// Progress is shown after so many lines.
const LINES_PER_SHOW: u64 = 1024;

/// What the input is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Source {
    /// Audit events, one a line (`schemas/agent-audit.v1.schema.json`).
    #[default]
    Native,
}

/// What is done with events and with lines that are none.
pub trait Visitor {
    /// One event, and where it stood.
    ///
    /// # Errors
    ///
    /// What makes it pointless to go on.
    fn event(&mut self, event: &AuditEvent<'_>, at: Position) -> anyhow::Result<()>;

    /// One line of the input `source` that is no event.
    ///
    /// # Errors
    ///
    /// What makes it pointless to go on.
    fn refused(&mut self, refusal: &Refusal, source: &str, line: &Line<'_>) -> anyhow::Result<()>;
}

/// Input that is read event by event.
pub struct Events {
    lines: Lines,
    names: Vec<String>,
    source: Source,
    bar: ProgressBar,
}

impl Events {
    /// Opens files; none, or `-`, is standard input.
    ///
    /// # Errors
    ///
    /// When a file does not exist or is a directory.
    pub fn open(files: &[PathBuf], source: Source) -> Result<Self, InputError> {
        let lines = Lines::open(files)?;
        let names = (0..files.len().max(1)).map(|i| lines.name(i).to_owned()).collect();
        let bar = bar(lines.progress().1);
        Ok(Self { lines, names, source, bar })
    }

    /// The progress bar; whoever writes to the same terminal does so within [`ProgressBar::suspend`].
    pub fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Hands every event to `to`, in order. Input that cannot be read, or not to its end, does not keep the
    /// rest from being read: it is returned.
    ///
    /// # Errors
    ///
    /// The first one of `to`.
    pub fn visit(mut self, to: &mut impl Visitor) -> anyhow::Result<Vec<InputError>> {
        let mut unreadable = Vec::new();
        let mut lines = 0u64;
        loop {
            if lines.is_multiple_of(LINES_PER_SHOW) {
                self.bar.set_position(self.lines.progress().0);
            }
            lines += 1;
            let line = match self.lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    unreadable.push(error);
                    continue;
                }
            };
            let source = self.names.get(line.source).map_or("", String::as_str);
            let at = Position { source: u32::try_from(line.source).unwrap_or(u32::MAX), line: line.number };
            match self.source {
                Source::Native => match audit_event::decode(line.bytes) {
                    Ok(event) => to.event(&event, at)?,
                    Err(refusal) => to.refused(&refusal, source, &line)?,
                },
            }
        }
        self.bar.finish_and_clear();
        Ok(unreadable)
    }
}

/// A failure that names every input that could not be read; nothing where all could.
///
/// # Errors
///
/// That failure.
pub fn all_read(unreadable: &[InputError]) -> anyhow::Result<()> {
    if unreadable.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = unreadable.iter().map(InputError::to_string).collect();
    anyhow::bail!("not all of the input was read: {}", all.join("\n  and "))
}

/// A bar for a known number of bytes, a counter for an unknown one; on a terminal only.
fn bar(total: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = match total {
        Some(_) => "{bar:40} {percent} %  {bytes_per_sec}  {eta} left",
        None => "{spinner} {bytes} read  {bytes_per_sec}",
    };
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
