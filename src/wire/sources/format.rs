//! The formats that we read, by name.
//!
//! Knows names and spelling. Must not know how a format is read.

use std::path::PathBuf;

use super::mapping::{Mapping, MappingError, SHIPPED};
use crate::wire::mapping_file::nearest;

/// A format that we read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Format {
    /// Audit events.
    Native,
    /// Conversations.
    Transcript,
    /// Records that a shipped mapping translates.
    Shipped(&'static str),
    /// Records that a mapping in a file translates.
    File(PathBuf),
}

impl Format {
    /// The format of that name, or the mapping in the file of that name.
    ///
    /// # Errors
    ///
    /// A sentence that says which names there are.
    pub fn named(text: &str) -> Result<Self, String> {
        let shipped = SHIPPED.iter().map(|shipped| shipped.name);
        match text {
            "native" => return Ok(Self::Native),
            "transcript" => return Ok(Self::Transcript),
            _ => {}
        }
        if let Some(name) = shipped.clone().find(|name| *name == text) {
            return Ok(Self::Shipped(name));
        }
        if text.ends_with(".toml") || text.contains(std::path::MAIN_SEPARATOR) {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let known: Vec<&str> = ["native", "transcript"].into_iter().chain(shipped).collect();
        Err(match nearest(text, &known) {
            Some(nearest) => format!("there is no such source; did you mean {nearest}?"),
            None => format!(
                "there is no such source; give one of {}, or a mapping file whose name ends in .toml",
                known.join(", ")
            ),
        })
    }

    /// The mapping that translates records, if they have to be translated.
    ///
    /// # Errors
    ///
    /// When it cannot be read or used; all its faults are told at once.
    pub fn mapping(&self) -> Result<Option<Mapping>, MappingError> {
        match self {
            Self::Native | Self::Transcript => Ok(None),
            Self::Shipped(name) => Mapping::shipped(name).transpose(),
            Self::File(path) => Mapping::load(path).map(Some),
        }
    }
}
