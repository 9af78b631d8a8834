//! Control records from bytes and to bytes: one JSON object each.
//!
//! Knows the fields of each kind, their limits and what is wrong with a record. Must not know what a record does.
//!
//! Strict, so that nobody believes in a suppression or a scope that was never read: a field that it does not know, or that
//! belongs to another kind, may have been meant to narrow what the record does, so that the record is refused.

mod check;
mod fields;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::check::check;
pub use self::check::{LIST_LIMIT, PARAMETERS_LIMIT};
use super::audit_event::{self, EVENT_LIMIT_BYTES};
use super::dead_letter::{Reason, Refusal};
use super::line_faults::LineFaults;
use crate::control::{
    CONTROL_SCHEMA, Control, ControlRecord, DeclaredChange, EngineSettings, Grant, Maintenance, Registration,
    Suppression,
};
use crate::risk::{Decision, Verdict};
use crate::time::EventTime;

/// Why control records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The file cannot be read.
    #[error("cannot read the control records {path:?}: {source}; check the path and its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Lines that are no control records; all of them.
    #[error(
        "the control records {path:?} cannot be used; mend this: {faults}\n\
         schemas/agent-control.v1.schema.json says what a record is; `tiltmeter registry` and `tiltmeter verdict` write some"
    )]
    Faults {
        /// The file.
        path: PathBuf,
        /// What is wrong with them; not empty.
        faults: LineFaults,
    },
    /// The first line is an audit event.
    #[error("{path:?} holds audit events, not control records; give it as input, without --control")]
    Events {
        /// The file.
        path: PathBuf,
    },
}

/// What every record has.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    schema: Option<String>,
    time: EventTime,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    by: String,
    kind: String,
}

/// What a verdict has besides.
#[derive(Serialize, Deserialize)]
struct Judged {
    agent_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    verdict: Decision,
    #[serde(default)]
    reason: String,
}

/// A record as it is written.
#[derive(Serialize)]
struct Written<'r> {
    schema: &'static str,
    time: EventTime,
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'r str,
    by: &'r str,
    kind: &'static str,
    #[serde(flatten)]
    body: Body<'r>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'r> {
    Registration(&'r Registration),
    Verdict(Judged),
    DeclaredChange(&'r DeclaredChange),
    Grant(&'r Grant),
    Maintenance(&'r Maintenance),
    Suppression(&'r Suppression),
    Settings(&'r EngineSettings),
}

/// Reads a file of control records; in the order of time, those of equal time as they stand. Empty lines are skipped.
///
/// # Errors
///
/// When the file cannot be read or any line is no control record: one that does not take effect is worse than a late start.
pub fn read(path: &Path) -> Result<Vec<ControlRecord>, ControlError> {
    let bytes = std::fs::read(path).map_err(|source| ControlError::Read { path: path.to_owned(), source })?;
    let (mut records, mut faults) = (Vec::new(), LineFaults::default());
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match decode(line) {
            Ok(record) => records.push(record),
            Err(refusal) => {
                if records.is_empty() && faults.is_empty() && audit_event::decode(line).is_ok() {
                    return Err(ControlError::Events { path: path.to_owned() });
                }
                faults.add(number, refusal);
            }
        }
    }
    if !faults.is_empty() {
        return Err(ControlError::Faults { path: path.to_owned(), faults });
    }
    records.sort_by_key(|record| record.time);
    Ok(records)
}

/// One control record.
///
/// # Errors
///
/// When the bytes are no control record, or one whose kind or version this program does not know: the reason, and what to
/// do.
pub fn decode(bytes: &[u8]) -> Result<ControlRecord, Refusal> {
    if bytes.len() > EVENT_LIMIT_BYTES {
        return Err(Refusal::new(
            Reason::TooLong,
            format!("the record has {} bytes; at most {EVENT_LIMIT_BYTES} are read", bytes.len()),
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let detail = format!("byte {} is no valid UTF-8; write the record in UTF-8", error.valid_up_to());
        Refusal::new(Reason::NotUtf8, detail)
    })?;
    let head: Head = parse(text)?;
    if let Some(schema) = head.schema.as_deref().filter(|schema| *schema != CONTROL_SCHEMA) {
        return Err(invalid(format!("schema {schema:.64?} is unknown; this version reads {CONTROL_SCHEMA}")));
    }
    fields::check(&head.kind, text)?;
    let id = head.id.unwrap_or_default();
    let kind = match head.kind.as_str() {
        "registration" => Control::Registration(Box::new(parse(text)?)),
        "verdict" => {
            let Judged { agent_id, tenant, verdict, reason } = parse(text)?;
            let (time, by) = (head.time, head.by.clone());
            Control::Verdict(Verdict { time, agent_id, tenant, verdict, by, reason })
        }
        "declared_change" => Control::DeclaredChange(parse(text)?),
        "grant" => Control::Grant(parse(text)?),
        "maintenance" => Control::Maintenance(parse(text)?),
        "suppression" => Control::Suppression(parse(text)?),
        "settings" => Control::Settings(parse(text)?),
        other => {
            let known = Control::NAMES.join(", ");
            return Err(invalid(format!("field `kind`: {other:.64?} is none of {known}; use one of them")));
        }
    };
    let record = ControlRecord { time: head.time, id, by: head.by, kind };
    check(&record, text)?;
    Ok(record)
}

/// A record as one line of JSON, without the line's end.
///
/// # Errors
///
/// When there is not enough memory for it.
pub fn encode(record: &ControlRecord) -> Result<String, serde_json::Error> {
    let body = match &record.kind {
        Control::Registration(registration) => Body::Registration(registration),
        Control::Verdict(Verdict { agent_id, tenant, verdict, reason, .. }) => Body::Verdict(Judged {
            agent_id: agent_id.clone(),
            tenant: tenant.clone(),
            verdict: *verdict,
            reason: reason.clone(),
        }),
        Control::DeclaredChange(change) => Body::DeclaredChange(change),
        Control::Grant(grant) => Body::Grant(grant),
        Control::Maintenance(maintenance) => Body::Maintenance(maintenance),
        Control::Suppression(suppression) => Body::Suppression(suppression),
        Control::Settings(settings) => Body::Settings(settings),
    };
    let ControlRecord { time, id, by, kind } = record;
    serde_json::to_string(&Written { schema: CONTROL_SCHEMA, time: *time, id, by, kind: kind.name(), body })
}

/// A record of something said at a time, with an id that follows from all of it: said twice in the same millisecond, it is
/// one record.
///
/// # Errors
///
/// When it breaks a limit: what a person typed is held to the same as what arrives.
pub fn record(time: EventTime, by: &str, kind: Control) -> Result<ControlRecord, Refusal> {
    let mut record = ControlRecord { time, id: String::new(), by: by.to_owned(), kind };
    let written = |record: &ControlRecord| encode(record).map_err(|error| invalid(error.to_string()));
    let digest = Sha256::digest(written(&record)?.as_bytes());
    record.id = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    decode(written(&record)?.as_bytes())
}

/// The key of a record on the topic of control records: `KIND|ID|UUID`, a new one each time, so that compaction takes none
/// of them away.
///
/// * `now_ms`: by the host's clock, since 1970.
///
/// # Errors
///
/// When the operating system has no random numbers.
pub fn topic_key(record: &ControlRecord, now_ms: u64) -> std::io::Result<String> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|error| std::io::Error::other(error.to_string()))?;
    let uuid = uuid::Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid();
    Ok(format!("{}|{}|{uuid}", record.kind.name(), record.id))
}

fn parse<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| {
        let said = error.to_string();
        let reason = match error.classify() {
            serde_json::error::Category::Data => reason_of(&said),
            _ => Reason::NotJson,
        };
        Refusal::new(reason, cut(&said))
    })
}

/// The reason in what the parser says. It has no codes of its own.
fn reason_of(said: &str) -> Reason {
    let reasons = [
        ("missing field", Reason::MissingField),
        ("no variant of enum Muted", Reason::MissingField),
        ("duplicate field", Reason::DuplicateField),
        ("invalid type", Reason::WrongType),
    ];
    let known = reasons.into_iter().find(|(start, _)| said.starts_with(start));
    known.map_or(Reason::InvalidValue, |(_, reason)| reason)
}

fn invalid(detail: String) -> Refusal {
    Refusal::new(Reason::InvalidValue, detail)
}

/// What the parser says, short and printable: values in it come from outside.
fn cut(said: &str) -> String {
    said.replace(
        "no variant of enum Muted found in flattened data",
        "missing field `family` or `risk_event_type`",
    )
    .chars()
    .take(200)
    .flat_map(|c| match c {
        '"' | '\'' | '\\' => vec![c],
        c => c.escape_debug().collect(),
    })
    .collect()
}

#[cfg(test)]
mod tests;
