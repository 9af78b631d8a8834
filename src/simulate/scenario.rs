//! What to simulate: how many agents of which preset, for how long, attacked how.
//!
//! Knows the settings, their limits and their defaults. Must not know how events are made.

use std::fmt;
use std::str::FromStr;

use crate::time::{DAY_MS, EventTime};

/// Most agents a scenario may have. Each takes about half a kilobyte.
pub const MAX_AGENTS: u32 = 1_000_000;
/// Longest scenario. Days.
pub const MAX_DAYS: f64 = 3_650.0;
/// Most sessions an average agent may have a day.
pub const MAX_SESSIONS_PER_DAY: f64 = 20_000.0;

/// Largest log-sd of the agents' pace: one in fifty is then more than sixty times as busy as the median.
pub const MAX_PACE_SPREAD: f64 = 2.0;

/// The settings of a simulated fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Which agent types there are.
    pub preset: Preset,
    /// Number of agents. 1 to [`MAX_AGENTS`].
    pub agents: u32,
    /// Length. Days of event time; > 0, at most [`MAX_DAYS`].
    pub days: f64,
    /// First instant.
    pub start: EventTime,
    /// Seed: equal scenarios with equal seeds give equal events.
    pub seed: u64,
    /// Sessions of an average agent on an average day. > 0, at most [`MAX_SESSIONS_PER_DAY`].
    pub sessions_per_day: f64,
    /// Law by which sessions start.
    pub rate_law: RateLaw,
    /// How much agents of a type differ in pace: standard deviation of its logarithm. 0 to [`MAX_PACE_SPREAD`].
    pub pace_spread: f64,
    /// How much of their type's day and week agents follow. 0 (the same at every hour) to 1.
    pub day_night: f64,
    /// Attacks to choose from; empty = none.
    pub attacks: Vec<Attack>,
    /// Share of the sessions that start after the quiet time and are attacked. 0 to 1.
    pub attack_share: f64,
    /// How blatant the attacks are: 0 = indistinguishable from normal work, 1 = blatant.
    pub strength: f64,
    /// No session that starts before this much event time is attacked. Milliseconds; ≥ 0.
    pub quiet_ms: i64,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            preset: Preset::Mixed,
            agents: 50,
            days: 7.0,
            start: EventTime(1_767_571_200_000), // 2026-01-05, a Monday
            seed: 1,
            sessions_per_day: 12.0,
            rate_law: RateLaw::Spells,
            pace_spread: 0.5,
            day_night: 1.0,
            attacks: Attack::ALL.to_vec(),
            attack_share: 0.003,
            strength: 0.8,
            quiet_ms: 2 * DAY_MS,
        }
    }
}

impl Scenario {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] with every setting that is out of its range.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let mut faults = Vec::new();
        let mut need = |good: bool, setting: &'static str, value: String, range: String| {
            if !good {
                faults.push(Fault { setting, value, range });
            }
        };
        let within = |value: f64, most: f64| value > 0.0 && value <= most;
        let share = |value: f64| (0.0..=1.0).contains(&value);
        need(
            (1..=MAX_AGENTS).contains(&self.agents),
            "agents",
            self.agents.to_string(),
            format!("from 1 to {MAX_AGENTS}"),
        );
        need(
            within(self.days, MAX_DAYS),
            "days",
            self.days.to_string(),
            format!("above 0 and at most {MAX_DAYS}"),
        );
        need(
            within(self.sessions_per_day, MAX_SESSIONS_PER_DAY),
            "sessions-per-day",
            self.sessions_per_day.to_string(),
            format!("above 0 and at most {MAX_SESSIONS_PER_DAY}"),
        );
        need(
            (0.0..=MAX_PACE_SPREAD).contains(&self.pace_spread),
            "pace-spread",
            self.pace_spread.to_string(),
            format!("from 0 to {MAX_PACE_SPREAD}"),
        );
        need(share(self.day_night), "day-night", self.day_night.to_string(), "from 0 to 1".to_owned());
        need(
            share(self.attack_share),
            "attack-share",
            self.attack_share.to_string(),
            "from 0 to 1".to_owned(),
        );
        need(share(self.strength), "strength", self.strength.to_string(), "from 0 to 1".to_owned());
        need(self.quiet_ms >= 0, "quiet-until", format!("{} ms", self.quiet_ms), "0 or more".to_owned());
        need(
            self.start.is_plausible() && self.end().is_plausible(),
            "start",
            self.start.to_string(),
            "such that all events lie in the years 2000 to 2100".to_owned(),
        );
        if faults.is_empty() { Ok(()) } else { Err(ScenarioError { faults }) }
    }

    /// Length in milliseconds.
    pub fn span_ms(&self) -> i64 {
        (self.days.clamp(0.0, MAX_DAYS) * DAY_MS as f64) as i64
    }

    /// First instant after the last event.
    pub fn end(&self) -> EventTime {
        self.start.plus_ms(self.span_ms())
    }
}

/// A set of agent types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preset {
    /// Trading, customer data and system administration together.
    Mixed,
    /// Order execution, market research, portfolio reports.
    Trading,
    /// Support, enrichment of customer records, refunds.
    CustomerData,
    /// Patching, incident response, access reviews.
    SystemAdministration,
    /// Code review, repair of tests, care of dependencies.
    SoftwareDevelopment,
    /// Mail, meetings, expenses.
    Office,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 6] = [
        Self::Mixed,
        Self::Trading,
        Self::CustomerData,
        Self::SystemAdministration,
        Self::SoftwareDevelopment,
        Self::Office,
    ];

    /// Name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Trading => "trading",
            Self::CustomerData => "customer-data",
            Self::SystemAdministration => "system-administration",
            Self::SoftwareDevelopment => "software-development",
            Self::Office => "office",
        }
    }
}

/// A law by which an agent's sessions start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RateLaw {
    /// Calm spells and busy ones.
    Spells,
    /// Every session may cause others.
    Cascades,
    /// Gaps between sessions have a heavy tail.
    Gaps,
}

impl RateLaw {
    /// All laws.
    pub const ALL: [Self; 3] = [Self::Spells, Self::Cascades, Self::Gaps];

    /// Name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spells => "spells",
            Self::Cascades => "cascades",
            Self::Gaps => "gaps",
        }
    }
}

/// What an attacked session turns into.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Attack {
    /// An instruction read in a tool result makes the agent send, pay, share, grant or delete.
    HijackedGoal,
    /// Many records are read, then sent to a new destination.
    DataTheft,
    /// Many resources are touched that the agent never used.
    Enumeration,
    /// Administration calls are tried out and refused.
    PrivilegeProbing,
    /// A short cycle of calls repeats hundreds of times.
    RunawayLoop,
    /// Tools are used that the agent's type never used.
    ToolSwap,
}

impl Attack {
    /// All attacks.
    pub const ALL: [Self; 6] = [
        Self::HijackedGoal,
        Self::DataTheft,
        Self::Enumeration,
        Self::PrivilegeProbing,
        Self::RunawayLoop,
        Self::ToolSwap,
    ];

    /// Name on the command line and in the truth.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HijackedGoal => "hijacked-goal",
            Self::DataTheft => "data-theft",
            Self::Enumeration => "enumeration",
            Self::PrivilegeProbing => "privilege-probing",
            Self::RunawayLoop => "runaway-loop",
            Self::ToolSwap => "tool-swap",
        }
    }

    /// Parses `none`, `all` or names separated by commas. Repeated names count once.
    ///
    /// # Errors
    ///
    /// [`UnknownName`] for the first name that is no attack.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, UnknownName> {
        match text.trim() {
            "none" => return Ok(Vec::new()),
            "all" => return Ok(Self::ALL.to_vec()),
            _ => {}
        }
        let mut attacks =
            text.split(',').map(|name| name.trim().parse()).collect::<Result<Vec<Self>, _>>()?;
        attacks.sort_unstable();
        attacks.dedup();
        Ok(attacks)
    }
}

impl FromStr for Preset {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|preset| preset.name() == text);
        found.ok_or_else(|| UnknownName::new("preset", text, Self::ALL.iter().map(|preset| preset.name())))
    }
}

impl FromStr for RateLaw {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|law| law.name() == text);
        found.ok_or_else(|| UnknownName::new("rate law", text, Self::ALL.iter().map(|law| law.name())))
    }
}

impl FromStr for Attack {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|attack| attack.name() == text);
        let names = Self::ALL.iter().map(|attack| attack.name()).chain(["all", "none"]);
        found.ok_or_else(|| UnknownName::new("attack", text, names))
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for RateLaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that stands for nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} \"{name}\"{hint}; use one of: {known}")]
pub struct UnknownName {
    what: &'static str,
    name: String,
    hint: String,
    known: String,
}

impl UnknownName {
    fn new(what: &'static str, name: &str, known: impl Iterator<Item = &'static str> + Clone) -> Self {
        // .6 lets through two slips in a short name and keeps unrelated words apart.
        let near = known
            .clone()
            .map(|candidate| (strsim::jaro_winkler(candidate, &name.to_lowercase()), candidate))
            .filter(|(likeness, _)| *likeness > 0.6)
            // No more than half of the letters may be others: a common letter or two make no two words alike.
            .filter(|(_, candidate)| {
                strsim::damerau_levenshtein(candidate, &name.to_lowercase()) * 2 <= candidate.len()
            })
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = near.map(|(_, candidate)| format!(" (did you mean \"{candidate}\"?)")).unwrap_or_default();
        Self { what, name: name.to_owned(), hint, known: known.collect::<Vec<_>>().join(", ") }
    }
}

/// A setting out of its range.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    setting: &'static str,
    value: String,
    range: String,
}

/// The settings that are out of their range, all of them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", sentence(.faults))]
pub struct ScenarioError {
    /// At least one.
    pub faults: Vec<Fault>,
}

fn sentence(faults: &[Fault]) -> String {
    let one = |fault: &Fault| format!("{} is {}, must be {}", fault.setting, fault.value, fault.range);
    faults.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_attack_is_answered_with_the_nearest() {
        let error = Attack::parse_list("data-theft,hijacked-gaol").unwrap_err();
        assert!(error.to_string().contains("did you mean \"hijacked-goal\""), "{error}");
        assert!("costumer-data".parse::<Preset>().unwrap_err().to_string().contains("\"customer-data\""));
    }

    #[test]
    fn a_list_of_attacks_is_sorted_and_free_of_doubles() {
        assert_eq!(
            Attack::parse_list("tool-swap, data-theft,tool-swap"),
            Ok(vec![Attack::DataTheft, Attack::ToolSwap])
        );
        assert_eq!(Attack::parse_list("none"), Ok(vec![]));
        assert_eq!(Attack::parse_list("all").unwrap().len(), 6);
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let bad = Scenario { agents: 0, days: f64::NAN, strength: 1.5, ..Scenario::default() };
        let text = bad.check().unwrap_err().to_string();
        for setting in ["agents is 0", "days is NaN", "strength is 1.5"] {
            assert!(text.contains(setting), "{text}");
        }
        assert_eq!(Scenario::default().check(), Ok(()));
    }
}
