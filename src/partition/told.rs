//! What a partition told, in the few words by which it is counted.
//!
//! Knows outputs. Must not know who counts.

use crate::alert::AlertState;
use crate::engine::Output;
use crate::finding::{Family, RiskEventType};
use crate::risk::{Decision, Level};

/// One thing that was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// An alert opened.
    Opened {
        /// The family that says most.
        family: Family,
        /// What kind of risk it is.
        risk_event_type: RiskEventType,
        /// Type of the agent.
        agent_type: String,
    },
    /// The published level of an agent changed.
    Level {
        /// The level before.
        previous: Level,
        /// The level now.
        level: Level,
    },
    /// A digest of alerts.
    Digest,
    /// A verdict took effect.
    Verdict(Decision),
    /// An agent made room for others.
    Evicted,
    /// A finding was not told, because of this.
    HeldBack(String),
}

impl Told {
    /// What there is to count of an output, if anything.
    pub(super) fn of(output: &Output) -> Option<Self> {
        match output {
            Output::Alert(alert) => (alert.state == AlertState::Opened).then(|| Self::Opened {
                family: alert.family,
                risk_event_type: alert.risk_event_type,
                agent_type: alert.agent_type.clone(),
            }),
            Output::Risk(risk) => Some(Self::Level { previous: risk.previous_level, level: risk.level }),
            Output::Digest(_) => Some(Self::Digest),
            Output::Verdict(record) => Some(Self::Verdict(record.verdict.verdict)),
            Output::Eviction(_) => Some(Self::Evicted),
            Output::HeldBack(held) => Some(Self::HeldBack(held.because_of.clone())),
            Output::Rebaselined(_) => None,
        }
    }
}
