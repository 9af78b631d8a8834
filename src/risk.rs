//! How worried to be about an agent, in four levels, and whom the levels may trouble.
//!
//! Knows names and their order. Must not know how a level is reached nor what is done about it.

mod blindness;
mod update;
mod verdict;

use serde::{Deserialize, Serialize};

pub use self::blindness::Blindness;
pub use self::update::{Cause, Monitoring, RISK_SCHEMA, Reason, RiskUpdate};
pub use self::verdict::{Decision, Proposal, Verdict};

use crate::pattern::{Pattern, Patterns};
use crate::time::DAY_MS;

/// Risk level of one agent. Ordered: `None < Low < Medium < High`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing to say.
    #[default]
    None = 0,
    /// Unusual, without an alert: worth a look when there is time.
    Low = 1,
    /// An alert is open.
    Medium = 2,
    /// An alert is open, and several things or a strong one speak against the agent.
    High = 3,
}

impl Level {
    /// Every level, from the lowest.
    pub const ALL: [Self; 4] = [Self::None, Self::Low, Self::Medium, Self::High];

    /// The name used in configuration, output and documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// The level of this name, if there is one.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// How much harm an agent could do: less evidence is enough to call a critical one high.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// It can hardly do any harm.
    Low = 0,
    /// As others.
    #[default]
    Normal = 1,
    /// It can do great harm.
    High = 2,
}

impl Criticality {
    /// Every criticality, from the lowest.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// The name used in configuration, output and documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// The criticality of this name, if there is one.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|criticality| criticality.name() == name)
    }
}

/// Whom levels may trouble, as configured.
#[derive(Clone, PartialEq, Debug)]
pub struct LevelSettings {
    /// Agent types whose published level is at most low: they are only observed.
    pub observe_only: Patterns,
    /// First days of a new installation in which every agent is only observed. Days of event time, ≥ 0; 0 = none.
    pub observe_first_days: f64,
    /// Ids of agents that must never be blocked, whatever their level.
    pub never_block: Patterns,
    /// Criticality by agent type. Where several patterns fit, the highest holds.
    pub criticality: Vec<(Pattern, Criticality)>,
    /// How long a verdict that takes a level away waits for a second person, of agents whose registration says that they can
    /// do great harm. Milliseconds of event time; none: one person is enough.
    pub second_person_ms: Option<i64>,
}

impl LevelSettings {
    /// How critical agents of this type are; normal where nothing is said.
    pub fn criticality(&self, agent_type: &str) -> Criticality {
        let fitting = self.criticality.iter().filter(|(pattern, _)| pattern.matches(agent_type));
        fitting.map(|(_, criticality)| *criticality).max().unwrap_or_default()
    }

    /// The level that may be published of an agent whose true level is `level`.
    ///
    /// * `running_ms`: watched time since the first event of the installation. Milliseconds.
    pub fn published(&self, level: Level, agent_id: &str, agent_type: &str, running_ms: i64) -> Level {
        let observed = (running_ms as f64) < self.observe_first_days * DAY_MS as f64
            || self.observe_only.matches(agent_type)
            || self.never_block.matches(agent_id);
        if observed { level.min(Level::Low) } else { level }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_and_a_criticality_are_called_the_same_everywhere() {
        for level in Level::ALL {
            assert_eq!(serde_json::to_value(level).unwrap(), level.name());
            assert_eq!(Level::of_name(level.name()), Some(level));
        }
        for criticality in Criticality::ALL {
            assert_eq!(serde_json::to_value(criticality).unwrap(), criticality.name());
            assert_eq!(Criticality::of_name(criticality.name()), Some(criticality));
        }
        assert_eq!((Level::of_name("High"), Criticality::of_name("none")), (None, None));
        assert!(Level::ALL.is_sorted() && Criticality::ALL.is_sorted());
    }

    #[test]
    fn the_highest_criticality_that_fits_holds() {
        let criticality =
            [("pay*", Criticality::High), ("*-test", Criticality::Low), ("*", Criticality::Low)];
        let settings = LevelSettings {
            observe_only: Patterns::default(),
            observe_first_days: 7.0,
            never_block: Patterns::default(),
            criticality: criticality.map(|(pattern, value)| (Pattern::new(pattern), value)).to_vec(),
            second_person_ms: None,
        };
        assert_eq!(settings.criticality("pay-test"), Criticality::High);
        assert_eq!(settings.criticality("mail-test"), Criticality::Low);
        assert_eq!(settings.published(Level::High, "a", "t", 6 * DAY_MS), Level::Low);
        assert_eq!(settings.published(Level::High, "a", "t", 7 * DAY_MS), Level::High);
        let named = LevelSettings { never_block: ["a*"].into_iter().collect(), ..settings.clone() };
        assert_eq!(named.published(Level::High, "ab", "t", 8 * DAY_MS), Level::Low);
        assert_eq!(named.published(Level::None, "ab", "t", 8 * DAY_MS), Level::None);
        let unsaid = LevelSettings { criticality: Vec::new(), ..settings };
        assert_eq!(unsaid.criticality("mail-test"), Criticality::Normal);
    }
}
