//! `tiltmeter annotate`: conversations with content in, audit events without content out.
//!
//! Knows files, options and what people are told. Must not print anything a conversation says.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::NOTHING_USABLE;
use super::files::Files;
use super::notice::say;
use super::output::Output;
use crate::event::AuditEvent;
use crate::time::EventTime;
use crate::wire::annotate::keyed_hash::HashKey;
use crate::wire::annotate::resource::ResourceForm;
use crate::wire::annotate::{Annotator, Refused};
use crate::wire::input::Lines;
use crate::wire::sources::conversation::Conversation;
use crate::wire::sources::node::Node;
use crate::wire::sources::transcript;

/// Where a fresh key is written when no key file is named.
const FRESH_KEY_FILE: &str = "tiltmeter.key";
/// Longest value that `--keep` carries through. Bytes; a label, not a text.
const MAX_KEPT_BYTES: usize = 64;

/// Turn chat transcripts into audit events: content in, no content out.
///
/// Reads one conversation per line (OpenAI-style chat messages or AgentDojo logs) and writes one audit
/// event per tool call, with the origin of every argument: named by the user, a field of a tool result,
/// free text of a tool result, or made by the model. What may appear in an event: docs/annotate.md.
#[derive(Debug, clap::Args)]
pub struct Annotate {
    /// Transcripts, one conversation per line; .gz and .zst are unpacked. None or `-`: standard input.
    files: Vec<PathBuf>,

    /// File with the key of all hashes, at least 16 random bytes. Without it `tiltmeter.key` in the current
    /// folder is used, and made if it is missing.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// How the place a call went to is written: host, folder, owner and domain in clear, as keyed hashes,
    /// or not at all.
    #[arg(long, value_enum, default_value_t = Resource::Clear, value_name = "FORM")]
    resource: Resource,

    /// When conversations began that do not say so (RFC 3339). Their hours and rates then mean nothing;
    /// without this option they are refused.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    assume_started: Option<EventTime>,

    /// Where events go instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Where lines that could not be used are reported: place, length, SHA-256 and reason, no content.
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,

    /// Copy a field of the conversation into its events, for evaluation (repeatable).
    #[arg(long, value_name = "FIELD", hide = true)]
    keep: Vec<String>,
}

/// Values of `--resource`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Resource {
    /// In clear.
    Clear,
    /// As keyed hashes.
    Keyed,
    /// Not at all.
    None,
}

impl From<Resource> for ResourceForm {
    fn from(form: Resource) -> Self {
        match form {
            Resource::Clear => Self::Clear,
            Resource::Keyed => Self::Keyed,
            Resource::None => Self::Absent,
        }
    }
}

/// An event with the fields carried through beside it.
#[derive(Serialize)]
struct Row<'a, 'e> {
    #[serde(flatten)]
    event: &'a AuditEvent<'e>,
    #[serde(flatten)]
    kept: &'a BTreeMap<&'a str, serde_json::Value>,
}

impl Annotate {
    /// Reads, annotates, writes; says at the end what could not be used.
    ///
    /// # Errors
    ///
    /// When a file or the key cannot be read or written. A conversation that cannot be used is no error:
    /// it is reported and left out.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(name) = self.keep.iter().find(|name| EVENT_FIELDS.contains(&name.as_str())) {
            anyhow::bail!("--keep {name}: the audit event has a field of that name; keep another one");
        }
        let fresh_key = PathBuf::from(FRESH_KEY_FILE);
        Files::default()
            .input(&self.files)
            .read("the key file", [self.key_file.as_ref().unwrap_or(&fresh_key)])
            .written("--output", self.output.as_ref())
            .written("--dead-letters", self.dead_letters.as_ref())
            .check()?;
        let mut lines = Lines::open(&self.files)?;
        let annotator = Annotator::new(self.key()?, self.resource.into());
        let mut events = self.output.as_deref().map_or_else(|| Ok(Output::stdout()), Output::file)?;
        let mut letters = self.dead_letters.as_deref().map(Output::file).transpose()?;
        let (mut used, mut written) = (0u64, 0u64);
        let mut refused = BTreeMap::<&'static str, u64>::new();
        let names: Vec<String> = sources(&self.files);
        while let Some(line) = lines.next_line()? {
            let source = names.get(line.source).map_or("stdin", String::as_str);
            let outcome = if line.is_cut() {
                Err(Refused::too_long(&line, source))
            } else {
                transcript::parse(line.bytes, self.assume_started)
                    .map_err(|error| Refused::new(&line, source, error))
            };
            match outcome {
                Ok(conversation) => {
                    used += 1;
                    written += self.write(&annotator.events(&conversation), &conversation, &mut events)?;
                    // At once: whoever reads a live stream waits for it.
                    events.flush()?;
                }
                Err(letter) => {
                    *refused.entry(letter.reason).or_default() += 1;
                    if let Some(letters) = &mut letters {
                        letters.json_line(&letter)?;
                    }
                    if refused.values().sum::<u64>() <= 3 {
                        say(format_args!("{source}, line {}: {}", letter.line, letter.detail));
                    }
                }
            }
        }
        events.flush()?;
        if let Some(letters) = &mut letters {
            letters.flush()?;
        }
        if !refused.is_empty() {
            let counts: Vec<String> = refused.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
            let all: u64 = refused.values().sum();
            say(format_args!(
                "{all} of {} conversations could not be used: {}",
                all + used,
                counts.join(", ")
            ));
        } else if std::io::stderr().is_terminal() {
            say(format_args!("{used} conversations, {written} events"));
        }
        Ok(if used == 0 && !refused.is_empty() { ExitCode::from(NOTHING_USABLE) } else { ExitCode::SUCCESS })
    }

    fn key(&self) -> anyhow::Result<HashKey> {
        if let Some(path) = &self.key_file {
            return Ok(HashKey::read(path)?);
        }
        let path = Path::new(FRESH_KEY_FILE);
        let shown = std::env::current_dir().unwrap_or_default().join(path);
        if path.exists() {
            say(format_args!("hashes use the key in {}", shown.display()));
            return Ok(HashKey::read(path)?);
        }
        let key = HashKey::create(path)?;
        say(format_args!(
            "a fresh key was written to {}; keep it secret, and give the same file (--key-file) to every \
             sensor whose hashes are to be compared",
            shown.display()
        ));
        Ok(key)
    }

    fn write(
        &self,
        events: &[AuditEvent<'_>],
        conversation: &Conversation,
        out: &mut Output,
    ) -> anyhow::Result<u64> {
        let mut kept = BTreeMap::new();
        for (name, value) in &conversation.extra {
            if let Some(wanted) = self.keep.iter().find(|wanted| *wanted == name) {
                kept.extend(small(value).map(|value| (wanted.as_str(), value)));
            }
        }
        for event in events {
            out.json_line(&Row { event, kept: &kept })?;
        }
        Ok(events.len() as u64)
    }
}

/// Fields of the audit event that `annotate` writes itself.
const EVENT_FIELDS: [&str; 12] = [
    "time",
    "event_id",
    "tenant",
    "agent_id",
    "agent_type",
    "session_id",
    "seq",
    "action",
    "resource",
    "outcome",
    "bytes",
    "arguments",
];

/// A label as JSON; `None` for anything that could be a text.
fn small(value: &Node) -> Option<serde_json::Value> {
    match value {
        Node::Bool(flag) => Some((*flag).into()),
        Node::Number(text) => serde_json::from_str(text).ok(),
        Node::Text(text) if text.len() <= MAX_KEPT_BYTES => Some(text.as_str().into()),
        _ => None,
    }
}

/// A time on the command line.
pub(super) fn instant(text: &str) -> Result<EventTime, String> {
    EventTime::parse(text).filter(|time| time.is_plausible()).ok_or_else(|| {
        format!("{text:?} is no time between 2000 and 2100: write it like 2026-01-22T18:50:59Z")
    })
}

fn sources(files: &[PathBuf]) -> Vec<String> {
    files
        .iter()
        .map(|path| if path.as_os_str() == "-" { "stdin".to_owned() } else { path.display().to_string() })
        .collect()
}
