//! Verdicts of people, one JSON object a line.
//!
//! Knows the file. Must not know what a verdict does.

use std::path::{Path, PathBuf};

use super::line_faults::LineFaults;
use super::{audit_event, control};
use crate::risk::Verdict;

/// Why verdicts could not be read.
#[derive(Debug, thiserror::Error)]
pub enum VerdictError {
    /// The file cannot be read.
    #[error("cannot read the verdicts {path:?}: {source}; check the path and its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Lines that are no verdicts; all of them.
    #[error(
        "the verdicts {path:?} cannot be used; mend this: {faults}\n\
         a verdict is {{\"time\": \"2026-01-05T08:00:00Z\", \"agent_id\": \"…\", \"verdict\": \
         \"confirm_compromised | confirm_safe | dismiss | accept\", \"by\": \"…\", \"reason\": \"…\"}}"
    )]
    Faults {
        /// The file.
        path: PathBuf,
        /// What is wrong with them; not empty.
        faults: LineFaults,
    },
    /// The first line is something else that this program knows.
    #[error("{path:?} holds {what}; give it {how}")]
    Others {
        /// The file.
        path: PathBuf,
        /// What it holds.
        what: &'static str,
        /// With which option.
        how: &'static str,
    },
}

/// Reads a file of verdicts; in the order of time, those of equal time as they stand.
///
/// # Errors
///
/// When the file cannot be read or any line is no verdict: a verdict that is not applied is worse than a late start.
pub fn read(path: &Path) -> Result<Vec<Verdict>, VerdictError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| VerdictError::Read { path: path.to_owned(), source })?;
    let (mut verdicts, mut faults) = (Vec::new(), LineFaults::default());
    for (line, number) in text.lines().zip(1..) {
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<Verdict>(line) {
            Ok(verdict) if !verdict.time.is_plausible() => {
                faults.add(number, format_args!("time {} lies outside 2000–2100", verdict.time));
            }
            Ok(verdict) if verdict.agent_id.is_empty() => faults.add(number, "agent_id is empty"),
            Ok(verdict) => verdicts.push(verdict),
            Err(error) => {
                if verdicts.is_empty()
                    && faults.is_empty()
                    && let Some((what, how)) = other(line)
                {
                    return Err(VerdictError::Others { path: path.to_owned(), what, how });
                }
                faults.add(number, error);
            }
        }
    }
    if !faults.is_empty() {
        return Err(VerdictError::Faults { path: path.to_owned(), faults });
    }
    verdicts.sort_by_key(|verdict| verdict.time);
    Ok(verdicts)
}

/// What else a line may be, and how it is given then.
fn other(line: &str) -> Option<(&'static str, &'static str)> {
    if control::decode(line.as_bytes()).is_ok() {
        return Some(("control records, as `tiltmeter verdict` writes them", "with --control"));
    }
    audit_event::decode(line.as_bytes()).is_ok().then_some(("audit events", "as input, without --verdicts"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::risk::Decision;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn verdicts_come_in_the_order_of_time() {
        let file = file(
            "{\"time\":\"2026-01-06T00:00:00Z\",\"agent_id\":\"b\",\"verdict\":\"dismiss\"}\n\n\
             {\"time\":\"2026-01-05T00:00:00Z\",\"agent_id\":\"a\",\"verdict\":\"confirm_safe\",\"by\":\"ann\"}\n",
        );
        let verdicts = read(file.path()).unwrap();
        assert_eq!(verdicts.iter().map(|v| v.agent_id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(verdicts[0].verdict, Decision::ConfirmSafe);
    }

    #[test]
    fn a_file_of_something_else_is_recognised() {
        let record = "{\"time\":\"2026-01-06T00:00:00Z\",\"kind\":\"verdict\",\"agent_id\":\"b\",\"verdict\":\"dismiss\"}\n";
        let event = "{\"time\":\"2026-01-06T00:00:00Z\",\"agent_id\":\"b\",\"action\":\"read\"}\n";
        for (text, remedy) in [(record, "with --control"), (event, "as input")] {
            let said = read(file(text).path()).unwrap_err().to_string();
            assert!(said.contains(remedy) && said.lines().count() == 1, "{said}");
        }
        let said = control::read(file(event).path()).unwrap_err().to_string();
        assert!(said.contains("without --control"), "{said}");
    }

    #[test]
    fn every_wrong_line_is_told() {
        let file = file(
            "{\"time\":\"2026-01-06T00:00:00Z\",\"agent_id\":\"b\",\"verdict\":\"forgive\"}\nx\n\
             {\"time\":\"1970-01-06T00:00:00Z\",\"agent_id\":\"b\",\"verdict\":\"dismiss\"}\n",
        );
        let text = read(file.path()).unwrap_err().to_string();
        for part in ["line 1", "forgive", "line 2", "line 3", "outside 2000"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
