//! Reads settings one by one out of a TOML document and collects everything that is wrong with it.
//!
//! Knows types, ranges, lines and spelling. Must not know what a setting means.
//!
//! Reading by hand instead of with a derived deserialiser has one reason: that one stops at the first fault,
//! and a person wants to see all of them.

use std::fmt;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longest value that a fault shows. Characters.
const SHOWN_CHARS: usize = 64;
/// A name is suggested for one that is at least this similar (Jaro-Winkler, 0 to 1). By trial: a letter left
/// out, doubled or swapped stays above, another word falls below.
const NEAR: f64 = 0.85;

/// One setting: its name, what it may be and what it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Setting {
    /// Tables and key, with dots between them.
    pub name: &'static str,
    /// What it says, in a few words, with its unit.
    pub about: &'static str,
    /// Which values are allowed.
    pub allowed: String,
    /// The value where the file says nothing, as TOML; empty where there is none.
    pub default: String,
    /// The value in force, as TOML; empty where there is none. A secret's place is left out.
    pub value: String,
}

/// One thing that is wrong with a configuration file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong, with table, key, value, what is allowed and what to do.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// A TOML document from which settings are taken.
pub(super) struct Reader<'t> {
    text: &'t str,
    document: DeTable<'t>,
    settings: Vec<Setting>,
    faults: Vec<Fault>,
    is_readable: bool,
}

impl<'t> Reader<'t> {
    pub fn new(text: &'t str) -> Self {
        let (document, errors) = DeTable::parse_recoverable(text);
        let faults = errors.iter().map(|error| Fault {
            line: line_of(text, error.span().unwrap_or_default().start),
            what: format!("{}; this is no valid TOML, see https://toml.io", error.message()),
        });
        Self {
            text,
            document: document.into_inner(),
            settings: Vec::new(),
            faults: faults.collect(),
            is_readable: errors.is_empty(),
        }
    }

    /// A number within a range; whole numbers are numbers too.
    pub fn number(
        &mut self,
        name: &'static str,
        about: &'static str,
        range: RangeInclusive<f64>,
        default: f64,
    ) -> f64 {
        let allowed = format!("a number from {} to {}", range.start(), range.end());
        self.setting(
            name,
            about,
            allowed,
            default,
            |v| number(v).filter(|n| range.contains(n)),
            f64::to_string,
        )
    }

    /// A whole number within a range.
    pub fn whole(
        &mut self,
        name: &'static str,
        about: &'static str,
        range: RangeInclusive<u32>,
        default: u32,
    ) -> u32 {
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        let read = |value: &DeValue<'_>| {
            let number = value.as_integer()?;
            u32::from_str_radix(number.as_str(), number.radix()).ok().filter(|n| range.contains(n))
        };
        self.setting(name, about, allowed, default, read, u32::to_string)
    }

    /// Yes or no.
    pub fn flag(&mut self, name: &'static str, about: &'static str, default: bool) -> bool {
        self.setting(name, about, "true or false".to_owned(), default, |v| v.as_bool(), bool::to_string)
    }

    /// A file that holds a secret; `read` turns its path into the secret or says what is wrong. Whether there
    /// is one is recorded, its place is not.
    pub fn secret<T>(
        &mut self,
        name: &'static str,
        about: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let allowed = "the path of a file, in quotes".to_owned();
        let text =
            |value: &DeValue<'_>| value.as_str().filter(|path| !path.is_empty()).map(|p| Some(p.to_owned()));
        let path = self.setting(name, about, allowed, None, text, |path: &Option<String>| {
            path.as_ref().map_or_else(String::new, |_| "\"…\"".to_owned())
        })?;
        match read(&path) {
            Ok(secret) => Some(secret),
            Err(why) => {
                let line = self.find(name).map_or(1, |value| line_of(self.text, value.span().start));
                self.faults
                    .push(Fault { line, what: format!("{} = {:?}: {why}", shown_name(name), cut(&path)) });
                None
            }
        }
    }

    /// Every setting that was asked for, or everything that is wrong, by line.
    pub fn finish(mut self) -> Result<Vec<Setting>, Vec<Fault>> {
        // What could be made of a broken document says nothing about the names in it.
        if self.is_readable {
            let document = std::mem::take(&mut self.document);
            self.find_unknown("", &document);
        }
        if self.faults.is_empty() {
            return Ok(self.settings);
        }
        self.faults.sort_by_key(|fault| fault.line);
        Err(self.faults)
    }

    fn setting<T>(
        &mut self,
        name: &'static str,
        about: &'static str,
        allowed: String,
        default: T,
        read: impl FnOnce(&DeValue<'_>) -> Option<T>,
        write: impl Fn(&T) -> String,
    ) -> T {
        let default_text = write(&default);
        let mut value = default;
        if let Some(found) = self.find(name).filter(|found| !found.get_ref().is_table()) {
            let span = found.span();
            match read(found.get_ref()) {
                Some(read) => value = read,
                None => {
                    let otherwise = if default_text.is_empty() { "nothing" } else { &default_text };
                    let what = format!(
                        "{} = {} is not allowed: give {allowed} ({about}), or leave it out for {otherwise}",
                        shown_name(name),
                        self.shown(&span),
                    );
                    self.faults.push(Fault { line: line_of(self.text, span.start), what });
                }
            }
        }
        self.settings.push(Setting { name, about, allowed, default: default_text, value: write(&value) });
        value
    }

    fn find(&self, name: &str) -> Option<&Spanned<DeValue<'t>>> {
        let (tables, key) = name.rsplit_once('.').unwrap_or(("", name));
        let mut table = &self.document;
        for part in tables.split('.').filter(|part| !part.is_empty()) {
            table = table.get(part)?.get_ref().as_table()?;
        }
        table.get(key)
    }

    /// Names of a table that nobody asked for.
    fn find_unknown(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let below = format!("{name}.");
            let is_setting = self.settings.iter().any(|setting| setting.name == name);
            let is_table = self.settings.iter().any(|setting| setting.name.starts_with(&below));
            let line = line_of(self.text, key.span().start);
            match value.get_ref().as_table() {
                Some(table) if is_table => self.find_unknown(&below, table),
                None if is_setting => {}
                None if is_table => {
                    let what = format!(
                        "{} = {} is not allowed: it is a table; write [{name}] and its settings below",
                        shown_name(&name),
                        self.shown(&value.span())
                    );
                    self.faults.push(Fault { line, what });
                }
                Some(_) if is_setting => {
                    let what = format!(
                        "[{name}] is not allowed: it is a setting, not a table; write {} = VALUE",
                        shown_name(&name)
                    );
                    self.faults.push(Fault { line, what });
                }
                table => {
                    let what = self.unknown(&name, prefix, table.is_some(), &value.span());
                    self.faults.push(Fault { line, what });
                }
            }
        }
    }

    fn unknown(&self, name: &str, prefix: &str, is_table: bool, span: &Range<usize>) -> String {
        let told = if is_table {
            format!("[{}] is unknown", cut(name))
        } else {
            format!("{} = {} is unknown", shown_name(name), self.shown(span))
        };
        let tables = self.settings.iter().filter_map(|setting| setting.name.rsplit_once('.')).map(|(t, _)| t);
        let known: Vec<&str> = if is_table {
            tables.collect()
        } else {
            self.settings.iter().map(|setting| setting.name).collect()
        };
        match nearest(name, &known) {
            Some(near) if is_table => format!("{told}: did you mean [{near}]?"),
            Some(near) => format!("{told}: did you mean {}?", shown_name(near)),
            None => {
                let mut here: Vec<&str> = known
                    .iter()
                    .filter_map(|known| known.strip_prefix(prefix))
                    .filter_map(|rest| rest.split('.').next())
                    .collect();
                here.dedup();
                format!("{told}: remove it; known here: {}", here.join(", "))
            }
        }
    }

    /// The value as it stands in the file, cut off.
    fn shown(&self, span: &Range<usize>) -> String {
        cut(self.text.get(span.clone()).unwrap_or(""))
    }
}

/// `[alerts] per_day` for `alerts.per_day`.
pub(super) fn shown_name(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((table, key)) => format!("[{}] {}", cut(table), cut(key)),
        None => cut(name),
    }
}

fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let mut out: String = chars
        .by_ref()
        .take(SHOWN_CHARS)
        .map(|c| if matches!(c, '"' | '\'' | '\\') { c.to_string() } else { c.escape_debug().to_string() })
        .collect();
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// The known name most like `name`, whole or in its last part, if any is like it.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or("").to_owned();
    known
        .iter()
        .map(|known| {
            let parts = strsim::jaro_winkler(&last(name), &last(known));
            (parts.max(strsim::jaro_winkler(name, known)), *known)
        })
        .filter(|(near, _)| *near >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        // A number that an i32 cannot hold lies outside every range we have.
        DeValue::Integer(number) => i32::from_str_radix(number.as_str(), number.radix()).ok().map(f64::from),
        _ => None,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_nearly_right_are_recognised_and_others_are_not() {
        let known = ["alerts.per_day", "agents.max", "detect.lexicon", "detect.content.value_novelty"];
        assert_eq!(nearest("alerts.perday", &known), Some("alerts.per_day"));
        assert_eq!(nearest("per_day", &known), Some("alerts.per_day"));
        assert_eq!(nearest("detect.content.value_noveltiy", &known), Some("detect.content.value_novelty"));
        assert_eq!(nearest("alert.per_day", &known), Some("alerts.per_day"));
        assert_eq!(nearest("kafka.brokers", &known), None);
    }

    #[test]
    fn lines_are_counted_from_one() {
        assert_eq!(line_of("a\nb\nc", 0), 1);
        assert_eq!(line_of("a\nb\nc", 2), 2);
        assert_eq!(line_of("a\nb\nc", 99), 3);
    }
}
