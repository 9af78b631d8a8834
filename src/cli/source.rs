//! Where a command gets its events: files or standard input, in one of the formats we read.
//!
//! Knows formats, progress, the order of time and which input could not be read. Must not know what is done with an event.

mod order;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub use self::order::Order;
use super::annotate::instant;
use crate::engine::unit::Position;
use crate::event::AuditEvent;
use crate::time::EventTime;
use crate::wire::annotate::Annotator;
use crate::wire::annotate::keyed_hash::HashKey;
use crate::wire::annotate::resource::ResourceForm;
use crate::wire::audit_event;
use crate::wire::dead_letter::Refusal;
use crate::wire::input::{InputError, Line, Lines, Merged};
use crate::wire::sources::conversation::Conversation;
use crate::wire::sources::format::Format;
use crate::wire::sources::mapping::{self, Mapping, MappingError, SHIPPED, Shipped};
use crate::wire::sources::transcript;

/// Progress is shown after so many lines.
const LINES_PER_SHOW: u64 = 1024;

/// What the input is: options of every command that reads events.
#[derive(Debug, clap::Args)]
pub struct SourceArguments {
    /// What the input is: native, transcript, cloudtrail, or a mapping file of your own.
    ///
    /// `native`: audit events, one a line (schemas/agent-audit.v1.schema.json). `transcript`: conversations, one a
    /// line, as `tiltmeter annotate` reads them. `cloudtrail`: records of AWS CloudTrail, one a line or as files of
    /// {"Records": […]}. FILE.toml: any JSON, by a mapping of your own (docs/sources.md).
    #[arg(long, default_value = "native", value_parser = Format::named, value_name = "NAME|FILE.toml")]
    source: Format,

    /// With `--source transcript`: when conversations began that do not say so (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = instant)]
    assume_started: Option<EventTime>,
}

/// What turns a line into events.
enum Decoder {
    Native,
    Transcript { annotator: Annotator, assume_started: Option<EventTime> },
    Mapped { mapping: Mapping, key: HashKey },
}

/// What is done with events and with lines that are none.
pub trait Visitor {
    /// One event, and where it stood.
    ///
    /// # Errors
    ///
    /// What makes it pointless to go on.
    fn event(&mut self, event: &AuditEvent<'_>, at: Position) -> anyhow::Result<()>;

    /// One line of audit events that is not decoded yet, of the input `source`. True takes it: it is decoded elsewhere.
    ///
    /// # Errors
    ///
    /// What makes it pointless to go on.
    fn takes(&mut self, _line: &Line<'_>, _source: &str) -> anyhow::Result<bool> {
        Ok(false)
    }

    /// One event, where it stood, and the line or record that it was made of.
    ///
    /// # Errors
    ///
    /// What makes it pointless to go on.
    fn record(&mut self, event: &AuditEvent<'_>, at: Position, _line: &Line<'_>) -> anyhow::Result<()> {
        self.event(event, at)
    }

    /// The record read next has values too long for these fields, and they were cut.
    fn cut(&mut self, _fields: &[&'static str]) {}

    /// One line of the input `source` that is no event.
    ///
    /// # Errors
    ///
    /// What makes it pointless to go on.
    fn refused(&mut self, refusal: &Refusal, source: &str, line: &Line<'_>) -> anyhow::Result<()>;
}

impl SourceArguments {
    /// Whether events are made here, from conversations.
    pub fn is_transcript(&self) -> bool {
        self.source == Format::Transcript
    }

    /// Whether lines are audit events already.
    pub fn is_native(&self) -> bool {
        self.source == Format::Native
    }

    /// The mapping that translates records, if the input has to be translated.
    ///
    /// # Errors
    ///
    /// When it cannot be read or used; all its faults are told at once.
    pub fn mapping(&self) -> Result<Option<Mapping>, MappingError> {
        self.source.mapping()
    }

    /// The file of a mapping of one's own.
    pub fn file(&self) -> Option<&PathBuf> {
        match &self.source {
            Format::File(path) => Some(path),
            _ => None,
        }
    }

    /// A record that the shipped mapping can read.
    pub fn example(&self) -> Option<&'static Shipped> {
        SHIPPED.iter().find(|shipped| self.source == Format::Shipped(shipped.name))
    }
}

/// One source after its lines, or several files by time.
enum Reader {
    One(Box<Lines>),
    Several(Box<Merged>),
}

/// Input that is read event by event.
pub struct Events {
    reader: Reader,
    /// Set when somebody wants it to end early.
    ends: Option<Arc<AtomicBool>>,
    names: Vec<String>,
    decoder: Decoder,
    bar: ProgressBar,
}

impl Events {
    /// Opens files; none, or `-`, is standard input.
    ///
    /// Several files are read by the time of their events, as if they were one.
    ///
    /// * `key`: of the hashes in events that are made from transcripts or other formats.
    /// * `ends`: once it is true, nothing more is read.
    ///
    /// # Errors
    ///
    /// When a file does not exist or is a directory, or a mapping cannot be used.
    pub fn open(
        files: &[PathBuf],
        source: &SourceArguments,
        key: &[u8; 16],
        ends: Option<Arc<AtomicBool>>,
    ) -> anyhow::Result<Self> {
        let key = HashKey::new(key).context("the key of the identity hash is too short")?;
        let decoder = match source.mapping()? {
            Some(mapping) => Decoder::Mapped { mapping, key },
            None if source.is_native() => Decoder::Native,
            None => {
                let annotator = Annotator::new(key, ResourceForm::Clear);
                Decoder::Transcript { annotator, assume_started: source.assume_started }
            }
        };
        let records = match &decoder {
            Decoder::Mapped { mapping, .. } => mapping.records(),
            Decoder::Native | Decoder::Transcript { .. } => None,
        };
        let lines = Lines::open(files)?.with_records(records).until(ends.as_ref());
        let names = (0..files.len().max(1)).map(|i| lines.name(i).to_owned()).collect();
        let bar = bar(lines.progress().1);
        let reader = match files {
            [_, _, ..] => {
                let time = |line: &Line<'_>| decoder.time(line);
                Reader::Several(Box::new(Merged::open(files, records, ends.as_ref(), time)?))
            }
            _ => Reader::One(Box::new(lines)),
        };
        Ok(Self { reader, ends, names, decoder, bar })
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
                self.bar.set_position(match &self.reader {
                    Reader::One(lines) => lines.progress().0,
                    Reader::Several(merged) => merged.read_bytes(),
                });
            }
            lines += 1;
            let next = match &mut self.reader {
                Reader::One(lines) => lines.next_line(),
                Reader::Several(merged) => merged.next_line(|line| self.decoder.time(line)),
            };
            // What was read then may be half a line.
            if self.ends.as_ref().is_some_and(|ends| ends.load(Ordering::Relaxed)) {
                break;
            }
            let line = match next {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    unreadable.push(error);
                    continue;
                }
            };
            let source = self.names.get(line.source).map_or("", String::as_str);
            let at = Position { source: u32::try_from(line.source).unwrap_or(u32::MAX), line: line.number };
            match &self.decoder {
                Decoder::Native if to.takes(&line, source)? => {}
                Decoder::Native => match audit_event::decode(line.bytes) {
                    Ok(event) => to.record(&event, at, &line)?,
                    Err(refusal) => to.refused(&refusal, source, &line)?,
                },
                Decoder::Mapped { mapping, key } => match mapped(mapping, &line, key) {
                    Ok(mapped) => {
                        if !mapped.cut.is_empty() {
                            to.cut(&mapped.cut);
                        }
                        to.record(&mapped.event, at, &line)?;
                    }
                    Err(refusal) => to.refused(&refusal, source, &line)?,
                },
                Decoder::Transcript { annotator, assume_started } => {
                    match conversation(&line, *assume_started) {
                        Ok(conversation) => {
                            for event in annotator.events(&conversation) {
                                to.record(&event, at, &line)?;
                            }
                        }
                        Err(refusal) => to.refused(&refusal, source, &line.without_content())?,
                    }
                }
            }
        }
        self.bar.finish_and_clear();
        Ok(unreadable)
    }
}

impl Decoder {
    /// When what a line tells of happened, or began.
    fn time(&self, line: &Line<'_>) -> Option<EventTime> {
        match self {
            Self::Native => audit_event::decode(line.bytes).ok().map(|event| event.time),
            Self::Mapped { mapping, key } => mapped(mapping, line, key).ok().map(|mapped| mapped.event.time),
            Self::Transcript { assume_started, .. } => conversation(line, *assume_started).ok()?.started,
        }
    }
}

fn mapped<'a>(mapping: &'a Mapping, line: &Line<'a>, key: &HashKey) -> Result<mapping::Mapped<'a>, Refusal> {
    if line.is_cut() {
        return Err(mapping::too_long(line.length));
    }
    mapping.map(line.bytes, key)
}

fn conversation(line: &Line<'_>, assume_started: Option<EventTime>) -> Result<Conversation, Refusal> {
    if line.is_cut() {
        return Err(transcript::too_long(line.length));
    }
    transcript::parse(line.bytes, assume_started).map_err(Refusal::from)
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
