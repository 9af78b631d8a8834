//! A TOML file that a person wrote, read by hand: a derived deserialiser stops at the first fault and a person wants to
//! see all of them.
//!
//! Knows TOML, names and spelling. Must not know what a mapping maps.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::case::Case;

/// A name is suggested for one that is at least this similar (Jaro-Winkler, 0 to 1); as for the configuration.
const NEAR: f64 = 0.85;
/// Characters of a wrong value that are shown.
const SHOWN_CHARS: usize = 64;
/// Keys of a case.
const CASE: [&str; 5] = ["equals", "starts_with", "ends_with", "contains", "is"];

/// One thing that is wrong with a mapping file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong, with its place, and what to do.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// A value and where it stands.
pub(in crate::wire) type Value<'t> = Spanned<DeValue<'t>>;

/// A mapping file that is being read: its text, and what is wrong with it so far.
pub(in crate::wire) struct File<'t> {
    pub text: &'t str,
    pub faults: Vec<Fault>,
}

impl<'t> File<'t> {
    /// The document in a text; none where it is no TOML, which is among the faults then.
    pub fn open(text: &'t str) -> (Self, Option<DeTable<'t>>) {
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut file = Self { text, faults: Vec::new() };
        for error in &errors {
            let what = format!("{}; this is no valid TOML, see https://toml.io", error.message());
            file.fault(&error.span().unwrap_or_default(), what);
        }
        // What could be made of a broken document says nothing about the names in it.
        (file, errors.is_empty().then(|| document.into_inner()))
    }

    /// Everything that was found to be wrong, by line.
    pub fn into_faults(mut self) -> Vec<Fault> {
        self.faults.sort_by_key(|fault| fault.line);
        self.faults
    }

    pub fn cases(&mut self, place: &str, value: &Value<'_>) -> Vec<Case> {
        let Some(list) = value.get_ref().as_array() else {
            self.wrong(place, value, "write a list of tables, as in [{ equals = [\"x\"], is = \"ok\" }]");
            return Vec::new();
        };
        let mut cases = Vec::new();
        for item in list {
            let Some(table) = item.get_ref().as_table() else {
                self.wrong(place, item, "write a table, as in { equals = [\"x\"], is = \"ok\" }");
                continue;
            };
            let dotted = format!("{place}.");
            self.unknown(table, &dotted, &CASE);
            let mut texts = |key| -> Vec<String> {
                self.texts_of(table, &dotted, key).into_iter().map(|text| text.0).collect()
            };
            let case = Case {
                equals: texts("equals"),
                starts_with: texts("starts_with"),
                ends_with: texts("ends_with"),
                contains: texts("contains"),
                is: self.text_of(table, &dotted, "is").unwrap_or_default(),
            };
            if !table.contains_key("is") {
                self.fault(&item.span(), format!("{place}: `is` is missing: the value where the case fits"));
            }
            if ![&case.equals, &case.starts_with, &case.ends_with, &case.contains]
                .iter()
                .any(|c| !c.is_empty())
            {
                let what = format!("{place}: never fits: give equals, starts_with, ends_with or contains");
                self.fault(&item.span(), what);
            }
            cases.push(case);
        }
        cases
    }

    /// A choice among names.
    pub fn choice<T: Copy>(
        &mut self,
        table: &DeTable<'_>,
        dotted: &str,
        key: &str,
        names: &[(T, &str)],
    ) -> Option<T> {
        let value = table.get(key)?;
        let chosen = value.get_ref().as_str();
        let found = names.iter().find(|(_, name)| Some(*name) == chosen).map(|(choice, _)| *choice);
        if found.is_none() {
            let known: Vec<&str> = names.iter().map(|(_, name)| *name).collect();
            self.wrong(&format!("{dotted}{key}"), value, &format!("give one of {}", known.join(", ")));
        }
        found
    }

    pub fn text_of(&mut self, table: &DeTable<'_>, dotted: &str, key: &str) -> Option<String> {
        let value = table.get(key)?;
        let text = value.get_ref().as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            self.wrong(&format!("{dotted}{key}"), value, "write text in quotes");
        }
        text.map(str::to_owned)
    }

    pub fn texts_of(&mut self, table: &DeTable<'_>, dotted: &str, key: &str) -> Vec<(String, Range<usize>)> {
        table.get(key).map(|value| self.texts(&format!("{dotted}{key}"), value)).unwrap_or_default()
    }

    /// A text or a list of texts, none of them empty.
    pub fn texts(&mut self, place: &str, value: &Value<'_>) -> Vec<(String, Range<usize>)> {
        let items = match value.get_ref() {
            DeValue::Array(list) => list.iter().collect(),
            _ => vec![value],
        };
        if items.is_empty() {
            self.wrong(place, value, "write at least one text in quotes");
        }
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref().as_str().filter(|text| !text.is_empty()) {
                Some(text) => texts.push((text.to_owned(), item.span())),
                None => self.wrong(place, item, "write text in quotes"),
            }
        }
        texts
    }

    pub fn unknown(&mut self, table: &DeTable<'_>, dotted: &str, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            self.unknown_name(&key.span(), dotted, key.get_ref(), known);
        }
    }

    pub fn unknown_name(&mut self, span: &Range<usize>, dotted: &str, name: &str, known: &[&str]) {
        let nearest = nearest(name, known);
        let then = match nearest {
            Some(near) => format!("did you mean {dotted}{near}?"),
            None => format!("remove it; known here: {}", known.join(", ")),
        };
        self.fault(span, format!("{dotted}{} is unknown: {then}", shown(name).trim_matches('"')));
    }

    pub fn wrong(&mut self, place: &str, value: &Value<'_>, remedy: &str) {
        let written = shown(self.text.get(value.span()).unwrap_or_default());
        let written = written.trim_matches('"');
        self.fault(&value.span(), format!("{place} = {written} is not allowed: {remedy}"));
    }

    pub fn fault(&mut self, span: &Range<usize>, what: String) {
        let line = self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1;
        self.faults.push(Fault { line, what });
    }
}

/// The known name most like `name`, if any is like it.
pub(in crate::wire) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), *known))
        .filter(|(near, _)| *near >= NEAR)
        // Two letters in five may be others: a long common beginning alone makes no two words alike.
        .filter(|(_, known)| {
            let most = (name.chars().count().max(known.chars().count()) * 2 / 5).max(1);
            strsim::damerau_levenshtein(name, known) <= most
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// A value cut off, with everything escaped that does not print or that turns text around.
pub(in crate::wire) fn shown(value: &str) -> String {
    let mut chars = value.chars();
    let mut out = String::from("\"");
    for c in chars.by_ref().take(SHOWN_CHARS) {
        if matches!(c, '"' | '\'') {
            out.push(c);
        } else {
            out.extend(c.escape_debug());
        }
    }
    out.push_str(if chars.next().is_some() { "…\"" } else { "\"" });
    out
}
