//! Source formats as data: a TOML file says where each field of the audit event comes from.
//!
//! Knows mappings, shipped ones and a user's own, and applies them to one record. Must not know files of records, nor
//! what is done with an event. The language is described in `docs/sources.md`.

mod event;
mod field;
mod general;
mod path;
mod read;
mod record;
mod rule;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

pub use self::field::{Field, Form};
pub use crate::wire::mapping_file::Fault;

use self::path::Tree;
use self::record::Found;
use self::rule::Rule;
use crate::event::AuditEvent;
use crate::wire::annotate::keyed_hash::HashKey;
use crate::wire::audit_event;
use crate::wire::dead_letter::{Reason, Refusal};
use crate::wire::input::LINE_LIMIT_BYTES;

/// Deepest nesting of a record, ignored fields included. Foreign formats nest more than ours.
pub const DEPTH_LIMIT: usize = 128;

/// A mapping that ships with the product.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its name on the command line.
    pub name: &'static str,
    /// The mapping file.
    pub mapping: &'static str,
    /// A record that it can read, for `tiltmeter check`.
    pub example: &'static str,
}

/// Mappings that ship with the product.
pub const SHIPPED: [Shipped; 1] = [Shipped {
    name: "cloudtrail",
    mapping: include_str!("../../../../schemas/sources/cloudtrail.toml"),
    example: include_str!("../../../../schemas/examples/sources/cloudtrail.json"),
}];

/// Why there is no mapping.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The file cannot be read.
    #[error("cannot read the source mapping {path:?}: {source}; check the path and its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file says something that cannot be.
    #[error("the source mapping {path:?} cannot be used; mend this:{}", List(faults))]
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

/// A checked mapping: turns one foreign record into one audit event.
#[derive(Clone, Debug)]
pub struct Mapping {
    tree: Tree,
    fields: Vec<(Field, Vec<Rule>)>,
    records: Option<String>,
    about: Option<String>,
}

/// What became of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped<'a> {
    /// The event.
    pub event: AuditEvent<'a>,
    /// Names of fields whose text was longer than [`audit_event::TEXT_LIMIT_BYTES`] and was cut there; `arguments`
    /// for an argument's name, or for arguments beyond [`audit_event::ARGUMENTS_LIMIT`].
    pub cut: Vec<&'static str>,
}

/// What a mapping makes of one field of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// Name of the canonical field; `arguments.NAME` for an argument.
    pub field: String,
    /// The value in the event; `None` where the record has none. For an argument class, hash and length.
    pub value: Option<String>,
    /// The path or template it came from; `None` for a constant.
    pub from: Option<String>,
}

impl Mapping {
    /// A shipped mapping; `None` for any other name.
    ///
    /// # Errors
    ///
    /// Never in a released version: a test reads every shipped mapping.
    pub fn shipped(name: &str) -> Option<Result<Self, MappingError>> {
        let shipped = SHIPPED.iter().find(|shipped| shipped.name == name)?;
        let path = PathBuf::from(format!("{name}.toml"));
        Some(Self::parse(shipped.mapping).map_err(|faults| MappingError::Faults { path, faults }))
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
    /// use tiltmeter::wire::annotate::keyed_hash::HashKey;
    /// use tiltmeter::wire::sources::mapping::Mapping;
    ///
    /// let mapping = Mapping::parse("[fields]\ntime = 'at'\nagent_id = ['bot.id', 'bot.name']\naction = '{app}:{verb}'");
    /// let record = br#"{"at": "2026-01-22T18:50:59Z", "bot": {"name": "mail-1"}, "app": "mail", "verb": "send"}"#;
    /// let key = HashKey::new(b"sixteen bytes...").unwrap();
    /// let mapping = mapping.unwrap();
    /// let mapped = mapping.map(record, &key)?;
    /// assert_eq!((&*mapped.event.agent_id, &*mapped.event.action), ("mail-1", "mail:send"));
    /// # Ok::<(), tiltmeter::wire::dead_letter::Refusal>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        read::mapping(text)
    }

    /// Name of the member that holds the list of records, for files that are one object around them.
    pub fn records(&self) -> Option<&str> {
        self.records.as_deref()
    }

    /// What the mapping says of itself.
    pub fn about(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// The audit event of one record. Linear in the record; borrows every string that it does not change.
    ///
    /// * `record`: one JSON object, at most [`LINE_LIMIT_BYTES`].
    /// * `key`: of the hashes of arguments' values.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] when the record is no such object, has no value for a required field, holds a mapped member
    /// twice, or when a value breaks a limit of its field.
    pub fn map<'a>(&'a self, record: &'a [u8], key: &HashKey) -> Result<Mapped<'a>, Refusal> {
        let mut found = self.find(record)?;
        let mut mapped = Mapped { event: event::blank(), cut: Vec::new() };
        for (field, rules) in &self.fields {
            let Some(taken) = rule::first(rules, &found.places, key) else {
                if Field::REQUIRED.contains(field) {
                    return Err(missing(*field, rules));
                }
                continue;
            };
            if event::set(&mut mapped.event, *field, taken)? {
                mapped.cut.push(field.name());
            }
        }
        let mut is_cut = found.more_arguments > 0;
        for (_, name, value) in found.arguments.drain(..) {
            let (argument, is_name_cut) = event::argument(name, value, key);
            is_cut |= is_name_cut;
            mapped.event.arguments.push(argument);
        }
        if is_cut {
            mapped.cut.push("arguments");
        }
        Ok(mapped)
    }

    /// What the mapping makes of each of its fields in one record, for a person who writes a mapping.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] when the record cannot be read. A value that breaks a limit is shown all the same.
    pub fn extract(&self, record: &[u8], key: &HashKey) -> Result<Vec<Extracted>, Refusal> {
        let found = self.find(record)?;
        let mut all: Vec<Extracted> = self
            .fields
            .iter()
            .map(|(field, rules)| {
                let taken = rule::first(rules, &found.places, key);
                Extracted {
                    field: field.name().to_owned(),
                    from: taken.as_ref().and_then(|taken| taken.from).map(str::to_owned),
                    value: taken.map(|taken| taken.value.into_text().into_owned()),
                }
            })
            .collect();
        for (_, name, value) in found.arguments {
            let (argument, _) = event::argument(name, value, key);
            let class = serde_json::to_value(argument.class).unwrap_or_default();
            let value = format!(
                "{} {} length {}",
                class.as_str().unwrap_or_default(),
                argument.hash.map(|hash| hash.to_string()).unwrap_or_default(),
                argument.length.unwrap_or_default()
            );
            all.push(Extracted {
                field: format!("arguments.{}", &*argument.name),
                value: Some(value),
                from: None,
            });
        }
        Ok(all)
    }

    fn find<'a>(&self, record: &'a [u8]) -> Result<Found<'a>, Refusal> {
        if record.len() > LINE_LIMIT_BYTES {
            return Err(too_long(record.len() as u64));
        }
        let text = match std::str::from_utf8(record) {
            Ok(text) => text,
            Err(error) => {
                let at = error.valid_up_to();
                let detail = format!("byte {at} of the record is no valid UTF-8; write records in UTF-8");
                return Err(Refusal::new(Reason::NotUtf8, detail));
            }
        };
        // The parser recurses into ignored members: look before it does.
        if audit_event::is_deeper_than(record, DEPTH_LIMIT) {
            let detail =
                format!("objects and lists are nested deeper than {DEPTH_LIMIT} levels; split the record");
            return Err(Refusal::new(Reason::TooDeep, detail));
        }
        if !record.trim_ascii_start().starts_with(b"{") {
            return Err(no_object(text));
        }
        let mut deserializer = sonic_rs::Deserializer::from_str(text);
        let found = Found::read(&self.tree, &mut deserializer)
            .and_then(|found| deserializer.end().map(|()| found))
            .map_err(|error| self.explain(text, &error))?;
        match &found.twice {
            Some(place) => Err(Refusal::new(
                Reason::DuplicateField,
                format!("member {} is there twice; keep one", event::shown(place)),
            )),
            None => Ok(found),
        }
    }

    /// Why a record was not read.
    #[cold]
    fn explain(&self, text: &str, error: &sonic_rs::Error) -> Refusal {
        if let Err(error) = serde_json::from_str::<&RawValue>(text) {
            return not_json(&error.to_string());
        }
        // Grammar and nesting are right: a number that no float can hold, or half a surrogate pair. Only the other
        // parser says which in a form that can be told apart.
        let again = Found::read(&self.tree, &mut serde_json::Deserializer::from_str(text));
        match again.err().map(|error| error.to_string()) {
            Some(said) if said.starts_with("number out of range") => {
                Refusal::new(Reason::OutOfRange, format!("{said}: no number is that large; mend the sender"))
            }
            Some(said) => not_json(&said),
            None => not_json(error.to_string().lines().next().unwrap_or_default()),
        }
    }
}

/// The refusal of a record of `length` bytes.
pub fn too_long(length: u64) -> Refusal {
    Refusal::new(
        Reason::TooLong,
        format!("the record has {length} bytes, the limit is {LINE_LIMIT_BYTES}; leave contents out of it"),
    )
}

fn not_json(said: &str) -> Refusal {
    Refusal::new(Reason::NotJson, format!("{said}; write one complete JSON object per record"))
}

fn no_object(text: &str) -> Refusal {
    match serde_json::from_str::<&RawValue>(text) {
        Err(error) => not_json(&error.to_string()),
        Ok(value) => Refusal::new(
            Reason::WrongType,
            format!(
                "the record {} is no object; write one JSON object per record",
                event::shown(value.get())
            ),
        ),
    }
}

fn missing(field: Field, rules: &[Rule]) -> Refusal {
    let looked: Vec<&str> =
        rules.iter().flat_map(|rule| &rule.from).map(|template| template.written.as_str()).collect();
    Refusal::new(
        Reason::MissingField,
        format!("field `{}` has no value: the record has nothing at {}", field.name(), looked.join(", ")),
    )
}

#[cfg(test)]
mod tests;
