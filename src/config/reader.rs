//! Reads settings one by one out of a TOML document and collects everything that is wrong with it.
//!
//! Knows types, ranges, lines and spelling. Must not know what a setting means.
//!
//! Reading by hand instead of with a derived deserialiser has one reason: that one stops at the first fault,
//! and a person wants to see all of them.

mod typed;

pub(super) use self::typed::place_of_secret;

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::setting::{Allowed, Fault, Setting};
use super::spelling::{cut, nearest, shown_name};
use crate::pattern::{Pattern, Patterns};

/// Places that are no TOML that are told; the others are counted. Another file altogether has one in every line.
const SHOWN_TOML_FAULTS: usize = 20;

/// A TOML document from which settings are taken.
pub(super) struct Reader<'t> {
    text: &'t str,
    /// Where each line but the first begins. Bytes, ascending.
    lines: Vec<usize>,
    document: DeTable<'t>,
    settings: Vec<Setting>,
    /// Tables that were taken as a whole.
    taken: Vec<&'static str>,
    faults: Vec<Fault>,
    is_readable: bool,
}

impl<'t> Reader<'t> {
    pub fn new(text: &'t str) -> Self {
        let (document, errors) = DeTable::parse_recoverable(text);
        let lines: Vec<usize> = text.match_indices('\n').map(|(end, _)| end + 1).collect();
        let line = |error: &toml::de::Error| line_of(&lines, error.span().unwrap_or_default().start);
        let shown = errors.iter().take(SHOWN_TOML_FAULTS).map(|error| Fault {
            line: line(error),
            what: format!("{}; this is no valid TOML, see https://toml.io", error.message()),
        });
        let left = errors.get(SHOWN_TOML_FAULTS).map(|error| Fault {
            line: line(error),
            what: format!(
                "from here on {} more faults; is this a configuration?",
                errors.len() - SHOWN_TOML_FAULTS
            ),
        });
        let faults = shown.chain(left).collect();
        Self {
            text,
            lines,
            document: document.into_inner(),
            settings: Vec::new(),
            taken: Vec::new(),
            faults,
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
        let allowed = Allowed::Number { least: *range.start(), most: *range.end() };
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
        let allowed = Allowed::Whole { least: *range.start(), most: *range.end() };
        let read =
            |value: &DeValue<'_>| u32::try_from(whole(value)?).ok().filter(|number| range.contains(number));
        self.setting(name, about, allowed, default, read, u32::to_string)
    }

    /// Yes or no.
    pub fn flag(&mut self, name: &'static str, about: &'static str, default: bool) -> bool {
        self.setting(name, about, Allowed::Flag, default, |v| v.as_bool(), bool::to_string)
    }

    /// Patterns of names; none where nothing is said.
    pub fn patterns(&mut self, name: &'static str, about: &'static str) -> Patterns {
        let read = |value: &DeValue<'_>| Some(texts(value)?.iter().collect());
        self.setting(name, about, Allowed::Patterns, Patterns::default(), read, Patterns::to_string)
    }

    /// A table from patterns of names to one of a few choices; empty where nothing is said.
    ///
    /// * `names`: names of all choices; `of_name` knows each.
    pub fn choices<T: Copy>(
        &mut self,
        name: &'static str,
        about: &'static str,
        names: &'static [&'static str],
        of_name: impl Fn(&str) -> Option<T>,
        name_of: impl Fn(T) -> &'static str,
    ) -> Vec<(Pattern, T)> {
        let mut wrong = Vec::new();
        let read = |value: &DeValue<'_>| {
            let choices = value.as_table()?.iter().filter_map(|(pattern, choice)| {
                let known = choice.get_ref().as_str().and_then(&of_name);
                if known.is_none() {
                    wrong.push((pattern.get_ref().to_string(), choice.span()));
                }
                Some((Pattern::new(pattern.get_ref()), known?))
            });
            Some(choices.collect())
        };
        let write = |choices: &Vec<(Pattern, T)>| {
            let one = |(pattern, choice): &(Pattern, T)| format!("{pattern:?} = {:?}", name_of(*choice));
            let all = choices.iter().map(one).collect::<Vec<_>>().join(", ");
            if all.is_empty() { "{}".to_owned() } else { format!("{{ {all} }}") }
        };
        let choices = self.setting(name, about, Allowed::Choices(names), Vec::new(), read, write);
        for (pattern, span) in wrong {
            let what = format!(
                "[{name}] \"{}\" = {} is not allowed: give one of {names:?} ({about})",
                cut(&pattern),
                self.shown(&span)
            );
            self.fault(&span, what);
        }
        choices
    }

    /// A file that holds a secret; `read` turns its path into the secret or says what is wrong. Whether there
    /// is one is recorded, its place is not.
    pub fn secret<T>(
        &mut self,
        name: &'static str,
        about: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.named_file(name, about, |_| "\"…\"".to_owned(), read)
    }

    /// What a file holds whose path is no secret. None where it is not named, and where it cannot be used.
    pub fn file<T>(
        &mut self,
        name: &'static str,
        about: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.named_file(name, about, |path| format!("{path:?}"), read)
    }

    fn named_file<T>(
        &mut self,
        name: &'static str,
        about: &'static str,
        shown: impl Fn(&str) -> String,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text =
            |value: &DeValue<'_>| value.as_str().filter(|path| !path.is_empty()).map(|p| Some(p.to_owned()));
        let path = self.setting(name, about, Allowed::Path, None, text, |path: &Option<String>| {
            path.as_deref().map_or_else(String::new, &shown)
        })?;
        match read(&path) {
            Ok(content) => Some(content),
            Err(why) => {
                let line = self.find(name).map_or(1, |value| line_of(&self.lines, value.span().start));
                self.faults
                    .push(Fault { line, what: format!("{} = {:?}: {why}", shown_name(name), cut(&path)) });
                None
            }
        }
    }

    /// Takes a table, or a list of them, out of the document as a whole: whoever takes it tells what is wrong
    /// in it.
    pub fn take(&mut self, name: &'static str) -> Option<Spanned<DeValue<'t>>> {
        self.taken.push(name);
        self.document.remove(name)
    }

    /// Something is wrong at this place.
    pub fn fault(&mut self, span: &Range<usize>, what: impl Display) {
        self.faults.push(Fault { line: line_of(&self.lines, span.start), what: what.to_string() });
    }

    /// Notes every key of a table in a list that is not among `known`, with the nearest of these.
    ///
    /// * `place`: how the table is called in what is told, such as `[[sinks]] number 2`.
    pub fn refuse_unknown(&mut self, place: &str, table: &DeTable<'_>, known: &[&str]) {
        for (key, _) in table {
            let name = key.get_ref();
            if known.contains(&name.as_ref()) {
                continue;
            }
            let then = match nearest(name, known) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("remove it; known here: {}", known.join(", ")),
            };
            self.fault(&key.span(), format!("{place}: {} is unknown: {then}", cut(name)));
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
        allowed: Allowed,
        default: T,
        read: impl FnOnce(&DeValue<'_>) -> Option<T>,
        write: impl Fn(&T) -> String,
    ) -> T {
        let default_text = write(&default);
        let mut value = default;
        if let Some(found) = self.find(name).filter(|found| allowed.is_table() || !found.get_ref().is_table())
        {
            let span = found.span();
            match read(found.get_ref()) {
                Some(read) => value = read,
                None => {
                    let otherwise =
                        if matches!(&*default_text, "" | "[]" | "{}") { "nothing" } else { &default_text };
                    let shown = if allowed == Allowed::Secret { "…".to_owned() } else { self.shown(&span) };
                    let what = format!(
                        "{} = {shown} is not allowed: give {allowed} ({about}), or leave it out for {otherwise}",
                        shown_name(name),
                    );
                    self.faults.push(Fault { line: line_of(&self.lines, span.start), what });
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
            let setting = self.settings.iter().find(|setting| setting.name == name);
            let is_setting = setting.is_some();
            let is_open = setting.is_some_and(|setting| setting.allowed.is_table());
            let is_table = self.settings.iter().any(|setting| setting.name.starts_with(&below));
            let line = line_of(&self.lines, key.span().start);
            match value.get_ref().as_table() {
                Some(table) if is_table => self.find_unknown(&below, table),
                None if is_setting => {}
                Some(_) if is_open => {}
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
        } else if self.holds_secrets(prefix) {
            format!("{} is unknown", shown_name(name))
        } else {
            format!("{} = {} is unknown", shown_name(name), self.shown(span))
        };
        let tables = self.settings.iter().filter_map(|setting| setting.name.rsplit_once('.')).map(|(t, _)| t);
        let known: Vec<&str> = if is_table {
            tables.chain(self.open_tables()).collect()
        } else {
            self.settings.iter().map(|setting| setting.name).chain(self.taken.iter().copied()).collect()
        };
        match nearest(name, &known) {
            Some(near) if self.taken.contains(&near) => format!("{told}: did you mean [[{near}]]?"),
            Some(near) if is_table => format!("{told}: did you mean [{near}]?"),
            Some(near) => format!("{told}: did you mean {}?", shown_name(near)),
            None => {
                let mut here: Vec<&str> = Vec::new();
                let below = known.iter().filter_map(|known| known.strip_prefix(prefix));
                for name in below.filter_map(|rest| rest.split('.').next()) {
                    if !here.contains(&name) {
                        here.push(name);
                    }
                }
                format!("{told}: remove it; known here: {}", here.join(", "))
            }
        }
    }

    /// Whether a secret may stand in this table: what is misspelt there may be one, and is not shown.
    fn holds_secrets(&self, prefix: &str) -> bool {
        let secrets = self.settings.iter().filter(|setting| setting.allowed == Allowed::Secret);
        secrets
            .filter_map(|setting| setting.name.rsplit_once('.'))
            .any(|(table, _)| prefix == format!("{table}."))
    }

    /// Names of tables that are a setting, or are taken, as a whole.
    fn open_tables(&self) -> impl Iterator<Item = &'static str> {
        let open = self.settings.iter().filter(|setting| setting.allowed.is_table());
        open.map(|setting| setting.name).chain(self.taken.iter().copied())
    }

    /// The value as it stands in the file, cut off.
    pub fn shown(&self, span: &Range<usize>) -> String {
        cut(self.text.get(span.clone()).unwrap_or(""))
    }
}

/// A number, whole or not; finite.
pub(super) fn number(value: &DeValue<'_>) -> Option<f64> {
    let number = match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::Integer(_) => whole(value).map(|number| number as f64),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// A whole number.
pub(super) fn whole(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Texts in a list, none of them empty.
pub(super) fn texts(value: &DeValue<'_>) -> Option<Vec<Box<str>>> {
    let text = |value: &Spanned<DeValue<'_>>| {
        value.get_ref().as_str().filter(|text| !text.is_empty()).map(Box::from)
    };
    value.as_array()?.iter().map(text).collect()
}

/// The line of a place, from 1.
///
/// * `lines`: where each line but the first begins, ascending.
fn line_of(lines: &[usize], offset: usize) -> usize {
    lines.partition_point(|begin| *begin <= offset) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one() {
        let reader = Reader::new("a\nb\nc");
        for (offset, line) in [(0, 1), (1, 1), (2, 2), (99, 3)] {
            assert_eq!(line_of(&reader.lines, offset), line, "{offset}");
        }
    }
}
