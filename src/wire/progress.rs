//! Progress records: how far whoever translates a source has come, among the audit events.
//!
//! Knows their fields. Must not know who writes them, nor what follows from them.
//!
//! They stand on every partition of the audit topic, so that a partition without events knows what time it is, and whoever
//! reads it can tell an agent that is silent from a source that is late.

use serde::{Deserialize, Serialize};

use crate::time::EventTime;

/// Name and version of the schema.
pub const PROGRESS_SCHEMA: &str = "tiltmeter.progress.v1";
/// Longest progress record. Bytes; what is longer is none.
const LIMIT_BYTES: usize = 4 << 10;

/// How far one partition of a source has been translated (`schemas/progress.v1.schema.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// [`PROGRESS_SCHEMA`].
    pub schema: String,
    /// Who translates: group and instance.
    pub normaliser: String,
    /// Topic of the source.
    pub topic: String,
    /// Partition of the source.
    pub partition: i32,
    /// The next record to be translated; none where none was read yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// What happened before has been written, as far as the source is in order: the latest time of an event so far, or
    /// the translator's clock where nothing is left to be read.
    pub watermark: EventTime,
}

/// The progress record in these bytes; none where they are something else.
pub fn decode(bytes: &[u8]) -> Option<Progress> {
    if bytes.len() > LIMIT_BYTES {
        return None;
    }
    let progress: Progress = serde_json::from_slice(bytes).ok()?;
    (progress.schema == PROGRESS_SCHEMA).then_some(progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is_taken_for_it() {
        let progress = Progress {
            schema: PROGRESS_SCHEMA.to_owned(),
            normaliser: "tiltmeter-normalise/a".to_owned(),
            topic: "trail".to_owned(),
            partition: 3,
            offset: Some(17),
            watermark: EventTime(1_769_000_000_000),
        };
        let written = serde_json::to_string(&progress).unwrap();
        assert_eq!(decode(written.as_bytes()), Some(progress));
        let other = written.replace("progress.v1", "progress.v2");
        let event = r#"{"time": "2026-01-22T18:50:59Z", "agent_id": "a", "action": "b"}"#;
        let long = written.replace("trail", &"x".repeat(LIMIT_BYTES));
        for bytes in [other.as_str(), event, &long, "{}", ""] {
            assert_eq!(decode(bytes.as_bytes()), None, "{bytes:.80}");
        }
    }
}
