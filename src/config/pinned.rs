//! The part of a configuration by which is judged, as a text by which other instances judge too.
//!
//! Knows which settings are those of one instance. Must not know who writes the text down, nor who reads it.

#[cfg(feature = "kafka")]
use std::sync::Arc;

use toml::{Table, Value};

use super::Config;
use crate::engine::Settings;
#[cfg(feature = "kafka")]
use crate::kafka::service::OwnSettings;

/// Tables that say where an instance stands and whom it tells, not how it judges.
const OF_ONE_INSTANCE: [&str; 6] = ["kafka", "http", "caep", "sources", "sinks", "webhooks"];
/// The table that has both.
const AGENTS: &str = "agents";
/// What agents are called elsewhere, and where the key lies: a secret, which every instance has from its own place.
const OF_ITS_PLACE: [&str; 2] = ["identity", KEY];
const KEY: &str = "identity_key_file";
/// What the first line begins with; the hash of the settings follows.
const MARK: &str = "# settings ";

impl Config {
    /// What the service is told of this file, and how it reads what others say.
    #[cfg(feature = "kafka")]
    pub fn own_settings(&self) -> OwnSettings {
        let config = self.clone();
        OwnSettings { text: self.pinned(), read: Arc::new(move |text| config.judging_by(text)) }
    }

    /// The part of the configuration by which is judged, TOML; its first line names the hash of the settings. No secrets are in
    /// it.
    pub fn pinned(&self) -> String {
        let mut table: Table = self.text.parse().unwrap_or_default();
        table.retain(|name, _| !OF_ONE_INSTANCE.contains(&name));
        if let Some(Value::Table(agents)) = table.get_mut(AGENTS) {
            agents.retain(|name, _| !OF_ITS_PLACE.contains(&name));
        }
        format!("{MARK}{}\n{table}", self.hash())
    }

    /// What an engine is told by a text that [`Config::pinned`] made, here or elsewhere. The key of the identity hash is that
    /// of this configuration; files that the text names lie where they would lie if it stood in its place.
    ///
    /// # Errors
    ///
    /// When it cannot be judged by here, with why: this version does not know a setting, a file is not here, or what is read
    /// is not what was written.
    pub fn judging_by(&self, text: &str) -> Result<Settings, String> {
        let hash = text.lines().next().and_then(|line| line.strip_prefix(MARK)).unwrap_or_default();
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
        table.retain(|name, _| !OF_ONE_INSTANCE.contains(&name));
        let own: Table = self.text.parse().unwrap_or_default();
        if let Some(key) = own.get(AGENTS).and_then(|agents| agents.get(KEY)) {
            let agents = table.entry(AGENTS).or_insert_with(|| Value::Table(Table::new()));
            if let Some(agents) = agents.as_table_mut() {
                agents.insert(KEY.to_owned(), key.clone());
            }
        }
        let config = Self::parse(&table.to_string(), &self.folder)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        let here = config.hash();
        if here != hash {
            return Err(format!(
                "they are {hash:.64?} where they were written and {here} here: give all instances the same version of \
                 tiltmeter, and a key of the identity hash to all or to none"
            ));
        }
        config.settings().map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("")).unwrap()
    }

    const RULE: &str = "[[rules]]\nname = \"decoys\"\nhoneytoken = [\"secrets/*\"]\n";

    #[test]
    fn what_one_instance_judges_by_another_can_judge_by_and_nothing_else_is_in_it() {
        let written = config(&format!(
            "[alerts]\nper_day = 7\n[agents]\nmax = 99\nidentity = \"x-{{agent_id}}\"\n[levels]\nobserve_first_days = 3\n\
             [kafka]\nbrokers = \"secret-place:9092\"\n[[sinks]]\nformat = \"ocsf\"\n{RULE}"
        ));
        let text = written.pinned();
        for other in ["secret-place", "sinks", "identity"] {
            assert!(!text.contains(other), "{text}");
        }
        let read = config("[alerts]\nper_day = 1000\n[kafka]\ngroup = \"other\"").judging_by(&text).unwrap();
        assert_eq!((read.alerts_per_day, read.max_agents, read.config), (7.0, 99, written.hash()));
        assert_eq!(read.rules.iter().len(), 1);
        // Written and read once more it is the same text.
        assert_eq!(config(text.split_once('\n').unwrap().1).pinned(), text);
    }

    #[test]
    fn what_cannot_be_judged_by_here_is_refused_with_the_reason() {
        let own = Config::default();
        let text = own.pinned();
        assert_eq!(own.judging_by(&text).unwrap().config, own.hash());
        for (text, why) in [
            (text.replace(&own.hash(), "0123456789ab"), "where they were written"),
            (format!("{text}[detect]\nnothing_known = 1\n"), "nothing_known"),
            (format!("{text}[learn]\ncalibration_file = \"not there\"\n"), "not there"),
            ("no toml".to_owned(), "expected"),
        ] {
            let refused = own.judging_by(&text).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
