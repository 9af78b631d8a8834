//! One setting, and one thing that is wrong with a file.
//!
//! Knows what values can be allowed and how that is said. Must not know any setting.

use std::fmt;

/// One setting: its name, what it may be and what it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Setting {
    /// Tables and key, with dots between them.
    pub name: &'static str,
    /// What it says, in a few words, with its unit.
    pub about: &'static str,
    /// Which values are allowed.
    pub allowed: Allowed,
    /// The value where the file says nothing, as TOML; empty where there is none.
    pub default: String,
    /// The value in force, as TOML; empty where there is none. A secret's place is left out.
    pub value: String,
}

/// The values that a setting may have. Written (`Display`) as a person is told.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Allowed {
    /// Any number of a range, ends included.
    Number {
        /// The smallest.
        least: f64,
        /// The largest.
        most: f64,
    },
    /// A whole number of a range, ends included.
    Whole {
        /// The smallest.
        least: u32,
        /// The largest.
        most: u32,
    },
    /// Yes or no.
    Flag,
    /// A file.
    Path,
    /// A list of patterns of names ([`crate::pattern`]).
    Patterns,
    /// A table from patterns of names to one of these.
    Choices(&'static [&'static str]),
    /// Any text that is not empty.
    Text,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// The place of a secret.
    Secret,
    /// A table of properties that somebody else defines.
    Properties,
}

impl Allowed {
    /// Whether the value is a table of its own.
    pub fn is_table(&self) -> bool {
        matches!(self, Self::Choices(_) | Self::Secret | Self::Properties)
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { least, most } => write!(f, "a number from {least} to {most}"),
            Self::Whole { least, most } => write!(f, "a whole number from {least} to {most}"),
            Self::Flag => f.write_str("true or false"),
            Self::Path => f.write_str("the path of a file, in quotes"),
            Self::Patterns => {
                f.write_str("a list of patterns in quotes, `*` for any text and `?` for one character")
            }
            Self::Choices(names) => write!(f, "a table from patterns to one of {names:?}"),
            Self::Text => f.write_str("text in quotes"),
            Self::OneOf(names) => write!(f, "one of {names:?}"),
            Self::Secret => {
                f.write_str("`{ file = \"PATH\" }` or `{ env = \"VARIABLE\" }`, never the secret itself")
            }
            Self::Properties => f.write_str("a table of properties"),
        }
    }
}

/// One thing that is wrong with a configuration file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong, with table, key, value, what is allowed and what to do.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}
