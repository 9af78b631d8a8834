//! Output formats as data: a TOML file says what each field of a foreign record is made of.
//!
//! Knows mappings, shipped ones and a user's own, and applies them to one message. Must not know how messages come about.
//! The language is that of source mappings, reversed; `docs/formats.md` describes it.

mod read;
mod rule;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use self::rule::Rule;
use super::{Kind, PRODUCT, Rendered, Unfit, VENDOR, VERSION, cef, json};
use crate::wire::mapping_file::Fault;

/// A mapping that ships with the product.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its name on the command line.
    pub name: &'static str,
    /// The mapping file.
    pub mapping: &'static str,
}

/// Mappings that ship with the product.
pub const SHIPPED: [Shipped; 4] = [
    Shipped { name: "ecs", mapping: include_str!("../../../../schemas/outputs/ecs.toml") },
    Shipped { name: "cef", mapping: include_str!("../../../../schemas/outputs/cef.toml") },
    Shipped { name: "graph", mapping: include_str!("../../../../schemas/outputs/graph.toml") },
    Shipped { name: "sentinel", mapping: include_str!("../../../../schemas/outputs/sentinel.toml") },
];

/// Why there is no mapping.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// There is none of that name.
    #[error("there is no output mapping {0:?} in this build; name a mapping file")]
    Unknown(String),
    /// The file cannot be read.
    #[error("cannot read the output mapping {path:?}: {source}; check the path and its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file says something that cannot be.
    #[error("the output mapping {path:?} cannot be used; mend this:{}", List(faults))]
    Faults {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it, by line; not empty.
        faults: Vec<Fault>,
    },
}

struct List<'f>(&'f [Fault]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

/// What a record is written as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Form {
    /// One JSON object.
    #[default]
    Json,
    /// One line of CEF.
    Cef,
}

impl Form {
    const ALL: [(Self, &'static str); 2] = [(Self::Json, "json"), (Self::Cef, "cef")];

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Cef => "text/plain; charset=UTF-8",
        }
    }
}

/// A field of the foreign record, and what it is made of.
#[derive(Clone, Debug)]
struct Target {
    /// Names of the objects it lies in, and its own; at least one.
    path: Vec<String>,
    rules: Vec<Rule>,
}

/// A checked mapping: turns one message into one foreign record.
#[derive(Clone, Debug)]
pub struct Mapping {
    about: Option<String>,
    form: Form,
    content_type: Option<String>,
    /// In the order of the file.
    alerts: Option<Vec<Target>>,
    risk: Option<Vec<Target>>,
}

/// The folder of the header of CEF among targets: `header.name`.
const HEADER: &str = "header";
/// What the keys of labels end in: `cs1Label` is the label of `cs1`.
const LABEL: &str = "Label";

impl Mapping {
    /// A shipped mapping.
    ///
    /// # Errors
    ///
    /// When there is none of that name. A test reads every shipped mapping.
    pub fn shipped(name: &str) -> Result<Self, MappingError> {
        let shipped = SHIPPED.iter().find(|shipped| shipped.name == name);
        let shipped = shipped.ok_or_else(|| MappingError::Unknown(name.to_owned()))?;
        let path = PathBuf::from(format!("{name}.toml"));
        Self::parse(shipped.mapping).map_err(|faults| MappingError::Faults { path, faults })
    }

    /// The mapping in a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or says something that cannot be. All faults are told at once.
    pub fn load(path: &Path) -> Result<Self, MappingError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| MappingError::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|faults| MappingError::Faults { path: path.to_owned(), faults })
    }

    /// The mapping in a text.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, by line.
    ///
    /// # Example
    ///
    /// ```
    /// use tiltmeter::wire::outputs::mapping::Mapping;
    ///
    /// assert!(Mapping::parse("[alerts]\nid = 'alert_id'\n'agent.name' = 'subject.id'").is_ok());
    /// let faults = Mapping::parse("[alerts]\nid = 'alertid'").unwrap_err();
    /// assert!(faults[0].to_string().contains("did you mean alert_id?"));
    /// ```
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        read::mapping(text)
    }

    /// What the mapping says of itself.
    pub fn about(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// Whether it has records for messages of a kind.
    pub fn knows(&self, kind: Kind) -> bool {
        self.targets(kind).is_some()
    }

    fn targets(&self, kind: Kind) -> Option<&[Target]> {
        match kind {
            Kind::Alerts => self.alerts.as_deref(),
            Kind::Risk => self.risk.as_deref(),
        }
    }

    /// The foreign record of one message.
    ///
    /// # Errors
    ///
    /// When there is no value for what every record must have.
    pub(super) fn map(&self, kind: Kind, record: &Value) -> Result<Rendered, Unfit> {
        let targets = self.targets(kind).unwrap_or_default();
        let values = targets.iter().filter_map(|target| Some((target, rule::first(&target.rules, record)?)));
        let value = match self.form {
            Form::Json => {
                let mut object = Map::new();
                for (target, value) in values {
                    insert(&mut object, &target.path, value);
                }
                json::to_vec(&object)?
            }
            Form::Cef => line(values)?.into_bytes(),
        };
        let content_type = self.content_type.clone();
        let content_type = content_type.unwrap_or_else(|| self.form.content_type().to_owned());
        Ok(Rendered { value, headers: vec![("content-type", content_type)] })
    }
}

/// Puts a value into the objects on its way.
fn insert(object: &mut Map<String, Value>, path: &[String], value: Value) {
    let [name, rest @ ..] = path else { return };
    if rest.is_empty() {
        object.insert(name.clone(), value);
        return;
    }
    let inner = object.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = inner {
        insert(inner, rest, value);
    }
}

fn line<'t>(values: impl Iterator<Item = (&'t Target, Value)>) -> Result<String, Unfit> {
    let (header, pairs): (Vec<_>, Vec<_>) =
        values.partition(|(target, _)| target.path.first().is_some_and(|name| name == HEADER));
    let of = |name: &'static str| {
        let found = header.iter().find(|(target, _)| target.path.get(1).is_some_and(|own| own == name));
        found.map(|(_, value)| rule::text(value)).ok_or(Unfit::Missing(name))
    };
    let (signature, name, severity) = (of("signature")?, of("name")?, of("severity")?);
    let mut line = cef::Line::new(VENDOR, PRODUCT, VERSION, &signature, &name, &severity);
    let there: BTreeSet<&str> =
        pairs.iter().filter_map(|(target, _)| Some(target.path.first()?.as_str())).collect();
    for (target, value) in &pairs {
        let Some(key) = target.path.first() else { continue };
        // The label of a field that is not there labels nothing.
        if key.strip_suffix(LABEL).is_none_or(|labelled| there.contains(labelled)) {
            line.add(key, &rule::text(value));
        }
    }
    Ok(line.finish())
}
