//! `tiltmeter status --audit`: what people decided, and whether anybody tampered with it.
//!
//! Knows how it is shown. Must not know a broker, nor how a chain is made.

use std::process::ExitCode;

use super::super::output::Output;
use super::{UNWELL, table};
use crate::kafka::audit::{Audit, Entry, audit};
use crate::kafka::client::Clients;

/// Digits of a link that are shown in the table.
const SHOWN: usize = 12;

/// Reads the chain and shows it.
pub(super) fn run(clients: &Clients, json: bool) -> anyhow::Result<ExitCode> {
    let found = audit(clients)?;
    let mut out = Output::stdout();
    if json {
        out.text(&(serde_json::to_string(&found)? + "\n"))?;
    } else {
        out.text(&shown(&found))?;
    }
    out.flush()?;
    Ok(if found.first_break().is_none() { ExitCode::SUCCESS } else { ExitCode::from(UNWELL) })
}

/// A table for a person, and what is wrong.
fn shown(found: &Audit) -> String {
    let mut rows = vec![["offset", "written", "by", "kind", "about", "link"].map(str::to_owned)];
    for entry in &found.entries {
        let link = entry.link.as_deref().map_or("-", |link| link.get(..SHOWN).unwrap_or(link));
        let mark = if entry.expected.is_some() { " !" } else { "" };
        rows.push([
            entry.offset.to_string(),
            entry.written.to_string(),
            entry.by.clone(),
            entry.kind.clone(),
            entry.about.clone(),
            format!("{link}{mark}"),
        ]);
    }
    let before = found.entries.iter().filter(|entry| entry.before).count();
    let mut text = table(&rows);
    text += &format!(
        "\n{}: {} records, {before} of them written before there was a chain; head {}\n",
        found.topic,
        found.entries.len(),
        found.head
    );
    text += &match found.first_break() {
        None => {
            "the chain is whole; write the head down elsewhere: it shows later whether anything was cut off\n"
                .to_owned()
        }
        Some(Entry { offset, link, expected, .. }) => format!(
            "! the chain breaks at {} [0] {offset}: expected {}, found {}\n! this record was written by another program, or \
             changed, or something before it was taken away; look at what it decided and who may write the topic\n",
            found.topic,
            expected.as_deref().unwrap_or_default(),
            link.as_deref().unwrap_or("no link"),
        ),
    };
    text
}
