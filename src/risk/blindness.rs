//! Why what agents do cannot be seen at present.
//!
//! Knows the reasons. Must not know how they are noticed.

use serde::{Deserialize, Serialize};

/// Why a partition does not see what its agents do. While it holds, no level falls for want of events.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blindness {
    /// What happened waits to be judged for too long.
    Behind,
    /// Too many records cannot be used.
    DeadLetters,
    /// Somebody who translates a source into audit events is not heard of, or is late.
    Sources,
    /// There is too much, and of calls that repeat each other not every one is judged.
    Repeats,
    /// There was too much, and records were left out.
    Skipped,
}

impl Blindness {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Behind, Self::DeadLetters, Self::Sources, Self::Repeats, Self::Skipped];

    /// The name used in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::DeadLetters => "dead_letters",
            Self::Sources => "sources",
            Self::Repeats => "repeats",
            Self::Skipped => "skipped",
        }
    }

    /// Whether events are missing, so that time in which none came says nothing. What is only late is seen in the end, at
    /// the time at which it was recorded; and of calls that repeat each other the one that is judged stands for the others.
    pub fn misses_events(self) -> bool {
        !matches!(self, Self::Behind | Self::Repeats)
    }
}
