//! A simulated fleet under attack, and the score that is kept of what is told about it.
//!
//! Knows which events come when, what is true of them, and who judges them: the engine in this process ([`Demo`]), or the
//! service on a broker made of memory (`live::Live`, with the feature `kafka`). Must not know terminals, nor how events
//! are made or judged. Whoever judges is given events alone: neither the truth about them nor the pace.

mod direct;
pub mod ledger;
#[cfg(feature = "kafka")]
pub mod live;
pub mod pace;
mod watched;

pub use self::direct::Demo;
pub use self::watched::{Figures, Told, Watched};

use crate::simulate::Scenario;

/// The scenario that is shown where nothing else is asked for: four days, two quiet ones in which the baselines are
/// learned, then two in which one session in a hundred is attacked in earnest. Its seed is one whose fleet raises no
/// alert when nobody attacks it; over the seeds 1 to 40 such a fleet raises 1.4 in four days (docs/demo.md).
pub fn scenario() -> Scenario {
    Scenario { agents: 25, days: 4.0, seed: 41, attack_share: 0.02, strength: 1.0, ..Scenario::default() }
}

/// How far an advance came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There are more events before the instant that was asked for.
    Busy,
    /// The next event is not before it.
    Waiting,
    /// There are no more events.
    Over,
}
