//! Reads the rules, `[[rules]]`, and tells everything that is wrong with them.
//!
//! Knows how a rule is written. Must not know how one is judged. `docs/detectors/rules.md` is the manual.

mod never;

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::reader::{Reader, number, texts, whole};
use super::spelling::{cut, nearest};
use crate::detect::rules::condition::{Condition, Test};
use crate::detect::rules::field::{Field, FieldKind};
use crate::detect::rules::state::{EXACT, MOST_ENTRIES, room};
use crate::detect::rules::{LONGEST_NAME, MOST_RULES, Rule, RuleKind, Threshold};
use crate::network::Network;
use crate::pattern::Patterns;
use crate::risk::Level;
use crate::time::{DAY_MS, parse_span_ms};

/// Spans that a threshold may name. Milliseconds: a second to a week.
pub(super) const SPAN_MS: RangeInclusive<i64> = 1_000..=7 * DAY_MS;
/// Calls that a threshold may ask for. One would be no threshold.
pub(super) const CALLS: RangeInclusive<u32> = 2..=1_000_000;
/// Different values that a threshold may ask for: as many as are remembered.
pub(super) const VALUES: RangeInclusive<u32> = 2..=EXACT;
/// Keys of a rule.
const KEYS: [&str; 7] = ["name", "level", "when", "honeytoken", "sensitive", "count", "distinct"];

/// Every rule of a document; what is wrong goes to the reader.
pub(super) fn read(from: &mut Reader<'_>) -> Vec<Rule> {
    let Some(found) = from.take("rules") else { return Vec::new() };
    let DeValue::Array(list) = found.get_ref() else {
        from.fault(&found.span(), "rules is not allowed like this: write [[rules]] above every rule");
        return Vec::new();
    };
    let mut rules: Vec<Rule> = Vec::new();
    for (number, item) in list.iter().enumerate() {
        let Some(table) = item.get_ref().as_table() else {
            let what = format!(
                "rules = {} is not allowed: write [[rules]] above every rule",
                from.shown(&item.span())
            );
            from.fault(&item.span(), what);
            continue;
        };
        if number == MOST_RULES {
            from.fault(
                &item.span(),
                format!(
                    "[[rules]]: there are {} rules: at most {MOST_RULES} are allowed, join some",
                    list.len()
                ),
            );
        }
        let name = table.get("name").and_then(|name| name.get_ref().as_str()).unwrap_or_default();
        let place =
            if name.is_empty() { format!("number {}", number + 1) } else { format!("\"{}\"", cut(name)) };
        if rules.iter().any(|rule| *rule.name == *name) && !name.is_empty() {
            from.fault(
                &item.span(),
                format!("[[rules]] {place}: another rule has this name: give every rule its own"),
            );
        }
        let rule = One { from: &mut *from, place: place.clone() }.rule(table, &item.span());
        let of = |rule: &Rule| room(rule.threshold.map_or(1, |threshold| threshold.at_least));
        let before: usize = rules.iter().map(of).sum();
        if before <= MOST_ENTRIES && before + of(&rule) > MOST_ENTRIES {
            from.fault(
                &item.span(),
                format!(
                    "[[rules]] {place}: it would have {} things remembered of every agent that matches, together with the rules \
                     before: at most {MOST_ENTRIES} are; each count and distinct takes twice its at_least, up to {}: ask for \
                     less, or leave rules out",
                    before + of(&rule),
                    room(EXACT)
                ),
            );
        }
        rules.push(rule);
    }
    rules
}

/// One rule, being read.
struct One<'r, 't> {
    from: &'r mut Reader<'t>,
    /// Its name, or its number from 1.
    place: String,
}

type Entry<'v, 't> = &'v Spanned<DeValue<'t>>;

impl One<'_, '_> {
    fn rule(&mut self, table: &DeTable<'_>, span: &Range<usize>) -> Rule {
        let name = self.name(table.get("name"), span);
        let kinds = [RuleKind::Honeytoken, RuleKind::Sensitive];
        let given: Vec<RuleKind> = kinds.into_iter().filter(|kind| table.contains_key(kind.name())).collect();
        if given.len() > 1 {
            self.fault(span, "it is honeytoken and sensitive at once: make two rules of it");
        }
        let kind = given.first().copied().unwrap_or(RuleKind::When);
        let mut conditions = Vec::new();
        if let Some(resources) = table.get(kind.name()).filter(|_| kind != RuleKind::When) {
            let what = "resources, a list of patterns in quotes";
            let patterns = self.take(kind.name(), resources, what, some_texts);
            conditions.push(Condition::Value(Field::Resource, vec![Test::Glob(patterns.iter().collect())]));
        }
        if let Some(when) = table.get("when") {
            self.conditions(when, &mut conditions);
        }
        let threshold = self.threshold(table);
        // Whoever misspelt the one key is told that, and no more.
        if table.keys().all(|key| matches!(key.get_ref().as_ref(), "name" | "level")) {
            self.fault(span, "it says nothing: give it when, honeytoken, sensitive, count or distinct");
        }
        for (key, value) in table {
            if !KEYS.contains(&key.get_ref().as_ref()) {
                self.unknown("", key.get_ref(), &KEYS, &value.span(), &key.span());
            }
        }
        let level = table.get("level").map_or(kind.default_level(), |level| {
            self.take("level", level, "none, low, medium or high", |level| Level::of_name(level.as_str()?))
        });
        Rule { name, level, kind, conditions, threshold }
    }

    fn name(&mut self, name: Option<Entry<'_, '_>>, span: &Range<usize>) -> Box<str> {
        let Some(name) = name else {
            self.fault(span, "it has no name: give every rule a name of its own");
            return Box::default();
        };
        let what = format!("a name of 1 to {LONGEST_NAME} characters that all print, in quotes");
        let is_fine = |name: &&str| {
            (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.contains(char::is_control)
        };
        self.take("name", name, &what, |name| name.as_str().filter(is_fine).map(Box::from))
    }

    fn conditions(&mut self, when: Entry<'_, '_>, conditions: &mut Vec<Condition>) {
        let Some(table) = when.get_ref().as_table() else {
            return self.refuse(
                "when",
                when,
                "a table of fields and what they must be: { action = \"delete\" }",
            );
        };
        if table.is_empty() {
            self.refuse("when", when, "at least one field, or leave it out for every call");
        }
        let names = Field::ALL.map(Field::name);
        for (name, value) in table {
            match Field::of_name(name.get_ref()) {
                Some(field) => conditions.push(self.condition(field, value)),
                None => self.unknown("when.", name.get_ref(), &names, &value.span(), &name.span()),
            }
        }
    }

    fn condition(&mut self, field: Field, value: Entry<'_, '_>) -> Condition {
        let place = format!("when.{}", field.name());
        if let Some((absent, tests)) =
            value.get_ref().as_table().and_then(|table| Some((table.get("absent")?, table.len() - 1)))
        {
            let is_absent =
                self.take(&format!("{place}.absent"), absent, "true or false", |value| value.as_bool());
            if tests > 0 {
                self.refuse(&place, value, "absent alone, or only what the value must be");
            }
            return if is_absent { Condition::Absent(field) } else { Condition::Value(field, Vec::new()) };
        }
        Condition::Value(field, self.tests(field, &place, value, false))
    }

    /// A value, a list of them, or a table of operators.
    fn tests(&mut self, field: Field, place: &str, value: Entry<'_, '_>, is_negated: bool) -> Vec<Test> {
        let operators = operators(field.kind());
        let Some(table) = value.get_ref().as_table() else {
            let what = format!(
                "{}, a list of them, or a table with {}",
                described(field.kind()),
                listed(&operators)
            );
            let tests = vec![self.take_test(place, value, &what, |value| equal(field.kind(), value))];
            return self.that_may_hold(field, place, value, tests);
        };
        if table.is_empty() {
            self.refuse(place, value, &format!("at least one of {}", listed(&operators)));
        }
        let mut tests = Vec::new();
        for (key, value) in table {
            let place = format!("{place}.{}", key.get_ref());
            if !operators.contains(&key.get_ref().as_ref()) {
                let prefix = place.trim_end_matches(key.get_ref().as_ref()).to_owned();
                self.unknown(&prefix, key.get_ref(), &operators, &value.span(), &key.span());
                continue;
            }
            let test = match key.get_ref().as_ref() {
                "not" if is_negated => {
                    self.refuse(&place, value, "what it must be without the second not");
                    continue;
                }
                "absent" => {
                    self.refuse(&place, value, "absent beside the field itself: { absent = false }");
                    continue;
                }
                "not" => Test::Not(self.tests(field, &place, value, true)),
                "prefix" => self.take_test(&place, value, "text in quotes, or a list of texts", |value| {
                    some_texts(value).map(Test::Prefix)
                }),
                "glob" => {
                    self.take_test(&place, value, "a pattern in quotes, or a list of patterns", |value| {
                        Some(Test::Glob(some_texts(value)?.iter().collect::<Patterns>()))
                    })
                }
                "cidr" => {
                    let what = "a network like \"10.0.0.0/8\", or a list of networks";
                    self.take_test(&place, value, what, |value| {
                        some_texts(value)?
                            .iter()
                            .map(|text| Network::parse(text))
                            .collect::<Option<_>>()
                            .map(Test::Cidr)
                    })
                }
                "above" => self.take_test(&place, value, "a number", |value| number(value).map(Test::Above)),
                _ => self.take_test(&place, value, "a number", |value| number(value).map(Test::Below)),
            };
            tests.push(test);
        }
        self.that_may_hold(field, place, value, tests)
    }

    /// The same tests; it is a fault if they never hold together, which nobody means.
    fn that_may_hold(
        &mut self,
        field: Field,
        place: &str,
        value: Entry<'_, '_>,
        tests: Vec<Test>,
    ) -> Vec<Test> {
        // What stands for a test that cannot be read never holds either, and is told already.
        let is_read = !tests.iter().any(|test| matches!(test, Test::OneOf(names) if names.is_empty()));
        if let Some(why) = never::never(field, &tests).filter(|_| is_read) {
            self.fault(&value.span(), format!("{place} never holds: {why}"));
        }
        tests
    }

    fn threshold(&mut self, table: &DeTable<'_>) -> Option<Threshold> {
        let (count, distinct) = (table.get("count"), table.get("distinct"));
        if let (Some(_), Some(distinct)) = (count, distinct) {
            self.fault(&distinct.span(), "it has count and distinct: make two rules of it");
        }
        // Where there are both, what is wrong with either is told.
        let count = count.and_then(|value| self.threshold_of("count", value, CALLS));
        distinct.and_then(|value| self.threshold_of("distinct", value, VALUES)).or(count)
    }

    /// `count` or `distinct`.
    fn threshold_of(
        &mut self,
        key: &'static str,
        value: Entry<'_, '_>,
        limits: RangeInclusive<u32>,
    ) -> Option<Threshold> {
        let keys: &[&str] =
            if key == "count" { &["at_least", "within"] } else { &["of", "at_least", "within"] };
        let Some(parts) = value.get_ref().as_table() else {
            self.refuse(key, value, &format!("a table with {}", listed(keys)));
            return None;
        };
        for (part, value) in parts {
            if !keys.contains(&part.get_ref().as_ref()) {
                self.unknown(&format!("{key}."), part.get_ref(), keys, &value.span(), &part.span());
            }
        }
        for missing in keys.iter().filter(|part| !parts.contains_key(**part)) {
            self.fault(&value.span(), format!("{key}.{missing} is missing: {key} needs {}", listed(keys)));
        }
        let in_limits = |n: &u32| limits.contains(n);
        let at_least = parts.get("at_least").map(|value| {
            let what = format!("a whole number from {} to {}", limits.start(), limits.end());
            self.take(&format!("{key}.at_least"), value, &what, |value| {
                u32::try_from(whole(value)?).ok().filter(in_limits)
            })
        });
        let within_ms = parts.get("within").map(|value| {
            self.take(
                &format!("{key}.within"),
                value,
                "a span from \"1s\" to \"7d\", like \"10m\"",
                |value| parse_span_ms(value.as_str()?).filter(|ms| SPAN_MS.contains(ms)),
            )
        });
        let distinct = parts.get("of").filter(|_| key == "distinct").and_then(|value| {
            let what = format!("one field: {}", Field::ALL.map(Field::name).join(", "));
            self.take("distinct.of", value, &what, |value| Field::of_name(value.as_str()?).map(Some))
        });
        Some(Threshold { distinct, at_least: at_least?, within_ms: within_ms? })
    }

    /// The value of a key, or its default with a fault: then nobody will see the default.
    fn take<T: Default>(
        &mut self,
        key: &str,
        value: Entry<'_, '_>,
        allowed: &str,
        read: impl FnOnce(&DeValue<'_>) -> Option<T>,
    ) -> T {
        read(value.get_ref()).unwrap_or_else(|| {
            self.refuse(key, value, allowed);
            T::default()
        })
    }

    fn take_test(
        &mut self,
        key: &str,
        value: Entry<'_, '_>,
        allowed: &str,
        read: impl FnOnce(&DeValue<'_>) -> Option<Test>,
    ) -> Test {
        self.take(key, value, allowed, |value| read(value).map(Some)).unwrap_or(Test::OneOf(Vec::new()))
    }

    fn refuse(&mut self, key: &str, value: Entry<'_, '_>, allowed: &str) {
        let shown = self.from.shown(&value.span());
        self.fault(&value.span(), format!("{key} = {shown} is not allowed: give {allowed}"));
    }

    fn unknown(
        &mut self,
        prefix: &str,
        key: &str,
        known: &[&'static str],
        value: &Range<usize>,
        at: &Range<usize>,
    ) {
        let shown = self.from.shown(value);
        let advice = match nearest(key, known) {
            Some(near) => format!("did you mean {prefix}{near}?"),
            None => format!("remove it; known here: {}", known.join(", ")),
        };
        self.fault(at, format!("{prefix}{} = {shown} is unknown: {advice}", cut(key)));
    }

    fn fault(&mut self, span: &Range<usize>, what: impl Display) {
        self.from.fault(span, format!("[[rules]] {}: {what}", self.place));
    }
}

/// Operators that a table may hold for a field of this kind.
pub(super) fn operators(kind: FieldKind) -> Vec<&'static str> {
    let own: &[&str] = match kind {
        FieldKind::Text => &["prefix", "glob"],
        FieldKind::Address => &["cidr", "prefix", "glob"],
        FieldKind::Number => &["above", "below"],
        FieldKind::Name(_) => &[],
    };
    own.iter().copied().chain(["not", "absent"]).collect()
}

/// What a value of this kind looks like.
fn described(kind: FieldKind) -> String {
    match kind {
        FieldKind::Text | FieldKind::Address => "text in quotes".to_owned(),
        FieldKind::Number => "a number".to_owned(),
        FieldKind::Name(names) => format!("one of {names:?}"),
    }
}

fn listed(names: &[&str]) -> String {
    names.join(", ")
}

/// A value itself, or a list of values, of which it must be one.
fn equal(kind: FieldKind, value: &DeValue<'_>) -> Option<Test> {
    match kind {
        FieldKind::Text | FieldKind::Address => some_texts(value).map(Test::OneOf),
        FieldKind::Name(names) => some_texts(value)
            .filter(|texts| texts.iter().all(|text| names.contains(&&**text)))
            .map(Test::OneOf),
        FieldKind::Number => match value {
            DeValue::Array(list) => some_numbers(list).map(Test::OneNumber),
            one => number(one).map(|number| Test::OneNumber(vec![number])),
        },
    }
}

/// One text or a list of texts; at least one, none empty.
fn some_texts(value: &DeValue<'_>) -> Option<Vec<Box<str>>> {
    match value.as_str() {
        Some(text) => Some(vec![text.into()]).filter(|_| !text.is_empty()),
        None => texts(value).filter(|texts| !texts.is_empty()),
    }
}

fn some_numbers(list: &DeArray<'_>) -> Option<Vec<f64>> {
    list.iter()
        .map(|value| number(value.get_ref()))
        .collect::<Option<_>>()
        .filter(|list: &Vec<f64>| !list.is_empty())
}

#[cfg(test)]
mod tests;
