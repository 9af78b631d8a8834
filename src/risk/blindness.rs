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
}

impl Blindness {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Behind, Self::DeadLetters, Self::Sources];

    /// The name used in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::DeadLetters => "dead_letters",
            Self::Sources => "sources",
        }
    }

    /// Whether events are missing, so that time in which none came says nothing. What is only late is seen in the end, at
    /// the time at which it was recorded.
    pub fn misses_events(self) -> bool {
        self != Self::Behind
    }
}
