//! The configuration: one TOML file in which everything may be left out.
//!
//! Knows every setting, its range and its default. Must not know what a setting does.
//!
//! A [`Config`] has been checked: whatever holds one need not look again. What is wrong with a file is told
//! all at once. `docs/configuration.md` lists the settings; a test compares it with this file.

mod caep;
mod http;
mod kafka;
mod pinned;
mod reader;
mod rules;
mod schema;
mod setting;
mod sinks;
mod sources;
mod spelling;
mod webhooks;

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use self::caep::{CaepError, CaepSettings};
pub use self::http::{Encryption, HttpSettings, Role};
pub use self::schema::schema;
pub use self::setting::{Allowed, Fault, Setting};

use self::reader::Reader;
use crate::assess::budget::ALERTS_PER_DAY;
use crate::assess::content::ContentSettings;
use crate::baseline::pool::Peaks;
use crate::detect::registry::{DORMANT_DAYS, RegistrySettings};
use crate::detect::rules::{Rule, Rules};
use crate::engine::Settings;
use crate::identity::Identity;
pub use crate::kafka::settings::{KafkaSettings, SourceTopic};
use crate::models::{self, ModelError};
use crate::risk::{Criticality, LevelSettings};
use crate::time::HOUR_MS;
use crate::wire::outputs::IdentityTemplate;
use crate::wire::outputs::caep::Transmitter;

/// Agents watched at most, where the configuration says nothing.
const MAX_AGENTS: u32 = 1_000_000;
/// p of a unit from which its new values are not learned, where the configuration says nothing: that of a
/// finding.
const QUARANTINE_P: f64 = 0.01;
/// First days of an installation in which agents are only observed, where the configuration says nothing. Days; one
/// week, so that every day of it was seen once.
const OBSERVE_FIRST_DAYS: f64 = 7.0;
/// Hours that a verdict waits for a second person, where the configuration says nothing: a shift everywhere has somebody
/// else at work by then.
const SECOND_PERSON_HOURS: f64 = 24.0;
/// Largest weight of one part of the call score. A larger one would only hide the others.
const MAX_WEIGHT: f64 = 100.0;
/// Length of the key of the identity hash. Bytes; that of SipHash.
const KEY_BYTES: usize = 16;
/// Largest configuration. Bytes; a thousand rules with a list of a hundred resources each stay below. It bounds what a wrong
/// file, such as the audit events themselves, costs.
const LARGEST_BYTES: u64 = 4 << 20;
/// Key of the identity hash where none is named.
const NO_KEY: [u8; KEY_BYTES] = *b"tiltmeter: no ke";
/// Verb classes as the configuration names them, in the order of `ContentSettings::verb_weights`.
const VERB_WEIGHTS: [&str; 7] = [
    "detect.content.verb_weights.read",
    "detect.content.verb_weights.other",
    "detect.content.verb_weights.write",
    "detect.content.verb_weights.egress",
    "detect.content.verb_weights.pay",
    "detect.content.verb_weights.privilege",
    "detect.content.verb_weights.destructive",
];

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path:?}: {source}; {}", remedy(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file is larger than any configuration.
    #[error(
        "{path:?} has more than {LARGEST_BYTES} bytes; is this the configuration? at most so many are read"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file says something that cannot be.
    #[error("the configuration {path:?} cannot be used; mend this:{}", List(faults))]
    Faults {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it, by line; not empty.
        faults: Vec<Fault>,
    },
}

/// What to do about a configuration that cannot be read.
fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::InvalidData => "is this the configuration? it is text in UTF-8",
        ErrorKind::IsADirectory => "name a file in it",
        _ => "check the path and its permissions",
    }
}

struct List<'f>(&'f [Fault]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

/// A checked configuration.
#[derive(Clone)]
pub struct Config {
    alerts_per_day: f64,
    max_agents: u32,
    identity_key: Option<[u8; KEY_BYTES]>,
    identity: IdentityTemplate,
    content: ContentSettings,
    lexicon: bool,
    quarantine_p: f64,
    calibration: Option<Peaks>,
    levels: LevelSettings,
    rules: Rules,
    kafka: KafkaSettings,
    sources: Vec<SourceTopic>,
    registry: RegistrySettings,
    http: HttpSettings,
    caep: Option<CaepSettings>,
    settings: Vec<Setting>,
    /// The file as it stands, and the folder in which paths begin.
    text: String,
    folder: PathBuf,
}

// The key must not appear.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.settings.iter().map(|setting| (setting.name, &setting.value))).finish()
    }
}

impl Default for Config {
    /// What an empty file says.
    fn default() -> Self {
        let mut reader = Reader::new("");
        let config = Self::read(&mut reader, Path::new(""));
        config.with_settings(reader.finish().unwrap_or_default())
    }
}

impl Config {
    /// The configuration in a file, or that of an empty one.
    ///
    /// # Errors
    ///
    /// When the file, or a file that it names, cannot be read; when it says something that cannot be. All
    /// faults are told at once.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let unreadable = |source| ConfigError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LARGEST_BYTES + 1).read_to_end(&mut bytes));
        if read.map_err(unreadable)? as u64 > LARGEST_BYTES {
            return Err(ConfigError::TooLarge { path: path.to_owned() });
        }
        let text = String::from_utf8(bytes)
            .map_err(|error| unreadable(std::io::Error::new(ErrorKind::InvalidData, error.utf8_error())))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).map_err(|faults| ConfigError::Faults { path: path.to_owned(), faults })
    }

    /// The configuration in a text. Paths in it that are not absolute begin in `folder`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    ///
    /// # Example
    ///
    /// ```
    /// use std::path::Path;
    /// use tiltmeter::config::Config;
    ///
    /// let config = Config::parse("[alerts]\nper_day = 2", Path::new("")).unwrap();
    /// assert_eq!(config.changed().map(|setting| setting.name).collect::<Vec<_>>(), ["alerts.per_day"]);
    /// assert!(Config::parse("[alert]\nper_day = 2", Path::new("")).is_err());
    /// ```
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Vec<Fault>> {
        let mut reader = Reader::new(text);
        let config = Self::read(&mut reader, folder);
        let (text, folder) = (text.to_owned(), folder.to_owned());
        reader.finish().map(|settings| Self { text, folder, ..config.with_settings(settings) })
    }

    /// The files that it names, as far as they are there: keys, certificates, mappings.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut left: Vec<toml::Value> =
            self.text.parse::<toml::Table>().map(toml::Value::Table).into_iter().collect();
        while let Some(value) = left.pop() {
            match value {
                toml::Value::String(text) => files.push(self.folder.join(text)),
                toml::Value::Array(values) => left.extend(values),
                toml::Value::Table(table) => left.extend(table.into_iter().map(|(_, value)| value)),
                _ => {}
            }
        }
        // Most texts are no names of files.
        files.retain(|file| file.is_file());
        files
    }

    /// Every setting: where it stands, its range, its default, and what it is here.
    pub fn all(&self) -> &[Setting] {
        &self.settings
    }

    /// The settings that are not what they are in an empty file.
    pub fn changed(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter().filter(|setting| setting.value != setting.default)
    }

    /// Whether the identity hash has a key of its own. Without one, whoever knows this program can choose ids
    /// that collide.
    pub fn has_identity_key(&self) -> bool {
        self.identity_key.is_some()
    }

    /// The key of the identity hash: the one configured, or the fixed one.
    pub fn identity_key(&self) -> [u8; KEY_BYTES] {
        self.identity_key.unwrap_or(NO_KEY)
    }

    /// What agents are called in other formats.
    pub fn identity(&self) -> &IdentityTemplate {
        &self.identity
    }

    /// Whom levels may trouble.
    pub fn levels(&self) -> &LevelSettings {
        &self.levels
    }

    /// The rules of the operator, ready to judge.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Where events come from and what is told goes to.
    pub fn kafka(&self) -> &KafkaSettings {
        &self.kafka
    }

    /// What is answered over HTTP, and to whom.
    pub fn http(&self) -> &HttpSettings {
        &self.http
    }

    /// Who sends security event tokens, and to whom; none where that is not configured.
    pub fn caep(&self) -> Option<&CaepSettings> {
        self.caep.as_ref()
    }

    /// What signs security event tokens, with the keys as they are now; none where that is not configured.
    ///
    /// # Errors
    ///
    /// When the keys cannot be read or used.
    pub fn transmitter(&self) -> Result<Option<Arc<Transmitter>>, CaepError> {
        self.caep.as_ref().map(|caep| caep.transmitter().map(Arc::new)).transpose()
    }

    /// Topics whose records are translated to audit events.
    pub fn sources(&self) -> &[SourceTopic] {
        &self.sources
    }

    /// First 12 hexadecimal digits of SHA-256 over all settings in force but those of `[kafka]`, `[http]`, `[caep]` and what agents are called elsewhere, one `name = value` a
    /// line, and all rules, in their order. Two configurations that judge alike have the same hash, however they are
    /// written and whatever their instance is called.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        let is_apart = |name: &str| {
            let told = ["kafka.", "http.", "caep."].iter().any(|table| name.starts_with(table));
            told || name == "agents.identity"
        };
        let judging = self.settings.iter().filter(|setting| !is_apart(setting.name));
        for Setting { name, value, .. } in judging {
            hash.update(format!("{name} = {value}\n"));
        }
        for rule in self.rules.iter() {
            hash.update(format!("{rule}\n"));
        }
        hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    /// What the engine is told, with the models that ship with the product.
    ///
    /// # Errors
    ///
    /// When a model cannot be read.
    pub fn settings(&self) -> Result<Settings, ModelError> {
        Ok(Settings {
            alerts_per_day: self.alerts_per_day,
            max_agents: self.max_agents as usize,
            identity: Identity::new(self.identity_key()),
            content: self.content.clone(),
            lexicon: if self.lexicon { Some(models::lexicon()?) } else { None },
            shipped: match &self.calibration {
                Some(peaks) => peaks.clone(),
                None => models::calibration()?,
            },
            quarantine_p: self.quarantine_p,
            levels: self.levels.clone(),
            rules: self.rules.clone(),
            registry: self.registry,
            config: self.hash(),
        })
    }

    /// Asks for every setting. The order is that of `docs/configuration.md` and of the hash.
    fn read(from: &mut Reader<'_>, folder: &Path) -> Self {
        Self {
            alerts_per_day: from.number(
                "alerts.per_day",
                "alerts a day that a person can read: the average that the threshold aims at; not filled up when less happens",
                0.1..=1e6,
                ALERTS_PER_DAY,
            ),
            max_agents: from.whole(
                "agents.max",
                "agents watched at once; the one unseen for longest makes room",
                1..=100_000_000,
                MAX_AGENTS,
            ),
            identity_key: from.secret(
                "agents.identity_key_file",
                "file with the key of the identity hash, 32 hexadecimal digits; relative to this file",
                |path| read_key(&folder.join(path)),
            ),
            identity: from.template(
                "agents.identity",
                "what other formats call an agent: text with {agent_id}, and {agent_type} or {tenant} where wanted",
            ),
            lexicon: from.flag("detect.lexicon", "judge actions by what the words of their names say", true),
            content: read_content(from),
            quarantine_p: from.number(
                "learn.quarantine_p",
                "new values in a unit with p at or below this are not learned",
                0.0..=1.0,
                QUARANTINE_P,
            ),
            calibration: from.file(
                "learn.calibration_file",
                "first-day calibration in place of the shipped one, as `tiltmeter train calibration` makes it; relative to this file",
                |path| {
                    let text = std::fs::read_to_string(folder.join(path))
                        .map_err(|error| format!("cannot read it: {error}; check the path and its permissions"))?;
                    models::calibration_in(&text).map_err(|error| error.to_string())
                },
            ),
            levels: read_levels(from),
            rules: Rules::default(),
            kafka: kafka::read(from, folder),
            sources: Vec::new(),
            registry: RegistrySettings {
                require: from.flag(
                    "registry.require",
                    "tell of agents that nobody registered, once anybody has registered any",
                    false,
                ),
                dormant_days: from.number(
                    "registry.dormant_days",
                    "days of silence after which a registered agent that acts again is told of; 0: never",
                    0.0..=3650.0,
                    DORMANT_DAYS,
                ),
            },
            http: http::read(from, folder),
            caep: caep::read(from, folder),
            settings: Vec::new(),
            text: String::new(),
            folder: PathBuf::new(),
        }
        .with_sources(from, folder)
        .with_rules(rules::read(from))
    }

    /// The topics of sources must not be ours, whose names have to be known by then; those of sinks begin with them.
    fn with_sources(self, from: &mut Reader<'_>, folder: &Path) -> Self {
        let sources = sources::read(from, &self.kafka, folder);
        let sinks = sinks::read(from, &self.kafka, folder);
        let webhooks = webhooks::read(from, folder);
        let formats = sinks.iter().map(|sink| &sink.format).chain(webhooks.iter().map(|hook| &hook.format));
        caep::see_that_it_is_there(from, self.caep.as_ref(), formats);
        let kafka = KafkaSettings { sinks, webhooks, ..self.kafka };
        Self { sources, kafka, ..self }
    }

    /// Rules hash values under the identity hash, whose key has to be known by then.
    fn with_rules(self, rules: Vec<Rule>) -> Self {
        Self { rules: Rules::compile(rules, Identity::new(self.identity_key())), ..self }
    }

    fn with_settings(self, settings: Vec<Setting>) -> Self {
        Self { settings, ..self }
    }
}

fn read_levels(from: &mut Reader<'_>) -> LevelSettings {
    LevelSettings {
        observe_only: from.patterns(
            "levels.observe_only",
            "agent types that are only observed: their published level is at most low",
        ),
        observe_first_days: from.number(
            "levels.observe_first_days",
            "first days of a new installation in which all agents are only observed, except agents that a person confirmed as compromised; 0 switches this off",
            0.0..=365.0,
            OBSERVE_FIRST_DAYS,
        ),
        never_block: from.patterns("levels.never_block", "ids of agents that must never be blocked"),
        criticality: from.choices(
            "levels.criticality",
            "how much harm agents of a type could do; normal where nothing is said, the highest of all that fit",
            &["low", "normal", "high"],
            Criticality::of_name,
            Criticality::name,
        ),
        second_person_ms: {
            let wanted = from.flag(
                "verdicts.second_person",
                "verdicts that take away the level of an agent that is registered with high criticality need two people",
                false,
            );
            let hours = from.number(
                "verdicts.second_person_hours",
                "how long the first of them waits for the second",
                0.1..=720.0,
                SECOND_PERSON_HOURS,
            );
            wanted.then_some((hours * HOUR_MS as f64) as i64)
        },
    }
}

fn read_content(from: &mut Reader<'_>) -> ContentSettings {
    let default = ContentSettings::default();
    let fine = from.flag(
        "detect.content.fine",
        "judge six kinds of origin: with form, and anchored in the request or not",
        default.fine,
    );
    let coarse =
        from.flag("detect.content.coarse", "judge three kinds of origin: user, tool, model", default.coarse);
    let mut weight = |name, about, default| from.number(name, about, 0.0..=MAX_WEIGHT, default);
    ContentSettings {
        fine,
        coarse,
        value_novelty: weight(
            "detect.content.value_novelty",
            "weight of new destinations beside a suspicious origin",
            default.value_novelty,
        ),
        order_excess: weight(
            "detect.content.order_excess",
            "weight of an unusual order beside a suspicious origin",
            default.order_excess,
        ),
        key_novelty: weight(
            "detect.content.key_novelty",
            "weight of what is new to the agent, beside a suspicious origin and where none is known",
            default.key_novelty,
        ),
        bare_value_novelty: weight(
            "detect.content.bare_value_novelty",
            "weight of new destinations where no origin is known",
            default.bare_value_novelty,
        ),
        bare_order_excess: weight(
            "detect.content.bare_order_excess",
            "weight of an unusual order where no origin is known",
            default.bare_order_excess,
        ),
        verb_weights: {
            let mut weights = default.verb_weights;
            for (name, value) in VERB_WEIGHTS.into_iter().zip(&mut weights) {
                *value = weight(name, "weight of calls of this class", *value);
            }
            weights
        },
    }
}

fn read_key(path: &Path) -> Result<[u8; KEY_BYTES], String> {
    const REMEDY: &str = "make one with `openssl rand -hex 16`";
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read it: {error}; check its permissions, or {REMEDY}"))?;
    let digits = text.trim();
    // The content is a secret: only its length is told.
    let wrong =
        || format!("it does not hold 32 hexadecimal digits but {} characters; {REMEDY}", digits.len());
    if digits.len() != 2 * KEY_BYTES || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    u128::from_str_radix(digits, 16).map(u128::to_be_bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests;
