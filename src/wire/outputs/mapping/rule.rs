//! What a field of a foreign record is made of: places of our message in order, then what is done to the value found there.
//!
//! Knows rules and one message as JSON. Must not know TOML, nor any format.

use serde_json::Value;

use crate::time::EventTime;
use crate::wire::mapping_file::Case;
use crate::wire::mapping_file::path::{Part, Step};
use crate::wire::outputs::json;

/// Between the elements of a list that becomes text, where the rule says nothing else.
const BETWEEN: &str = ", ";

/// Where a value is looked for, and what it becomes.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule {
    /// Looked at in order; the first that is there counts.
    pub from: Vec<Vec<Part<Vec<Step>>>>,
    /// The value itself, in place of `from`.
    pub constant: Option<Value>,
    /// Looked at in order; of a list, for each element.
    pub cases: Vec<Case>,
    /// The value where no case fits; without it the rule has no value then.
    pub otherwise: Option<String>,
    /// Of times: how they are written.
    pub time: Option<TimeFormat>,
    /// A list becomes text, with this between its elements.
    pub join: Option<String>,
    pub form: Option<Form>,
    /// Longest text. Characters.
    pub at_most: Option<usize>,
}

/// How a time is written that our messages give as in RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TimeFormat {
    /// Seconds since 1970, with a fraction.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMilliseconds,
}

impl TimeFormat {
    pub const ALL: [(Self, &'static str); 2] =
        [(Self::EpochSeconds, "epoch_seconds"), (Self::EpochMilliseconds, "epoch_milliseconds")];
}

/// What a value becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Text.
    Text,
    /// A whole number; nearest.
    Whole,
    /// True or false; of a list, whether one of its elements is true.
    Flag,
    /// Text that holds JSON.
    Json,
    /// A list, if it is none.
    List,
}

impl Form {
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Text, "text"),
        (Self::Whole, "whole"),
        (Self::Flag, "flag"),
        (Self::Json, "json"),
        (Self::List, "list"),
    ];
}

/// The value of the first rule that has one.
pub(super) fn first(rules: &[Rule], record: &Value) -> Option<Value> {
    rules.iter().find_map(|rule| rule.take(record))
}

impl Rule {
    fn take(&self, record: &Value) -> Option<Value> {
        if let Some(constant) = &self.constant {
            return Some(constant.clone());
        }
        let mut value = self.from.iter().find_map(|template| fill(template, record))?;
        if !self.cases.is_empty() {
            value = self.changed(value)?;
        }
        if let Some(format) = self.time {
            value = written(&value, format)?;
        }
        if let (Some(between), Value::Array(list)) = (&self.join, &value) {
            value = joined(list, between).into();
        }
        value = match self.form {
            None => value,
            Some(Form::Text) => text(&value).into(),
            Some(Form::Whole) => whole(&value)?.into(),
            Some(Form::Flag) => is_true(&value).into(),
            Some(Form::Json) => String::from_utf8(json::to_vec(&value).ok()?).ok()?.into(),
            Some(Form::List) if value.is_array() => value,
            Some(Form::List) => Value::Array(vec![value]),
        };
        if let (Some(most), Value::String(text)) = (self.at_most, &mut value)
            && let Some((end, _)) = text.char_indices().nth(most)
        {
            text.truncate(end);
        }
        Some(value)
    }

    fn changed(&self, value: Value) -> Option<Value> {
        if let Value::Array(list) = value {
            let list: Vec<Value> = list.into_iter().filter_map(|value| self.changed(value)).collect();
            return (!list.is_empty()).then_some(Value::Array(list));
        }
        let value = text(&value);
        let case = self.cases.iter().find(|case| case.fits(&value));
        case.map(|case| &case.is).or(self.otherwise.as_ref()).map(|is| is.as_str().into())
    }
}

/// A template with what stands at its places; `None` where one of them is empty.
fn fill(template: &[Part<Vec<Step>>], record: &Value) -> Option<Value> {
    if let [Part::Place(path)] = template {
        return at(path, record).filter(is_something);
    }
    let mut filled = String::new();
    for part in template {
        match part {
            Part::Literal(literal) => filled.push_str(literal),
            Part::Place(path) => filled.push_str(&text(&at(path, record).filter(is_something)?)),
        }
    }
    Some(filled.into())
}

/// What stands at a place. `[*]` makes a list of what stands there in each element that has it.
pub(super) fn at(path: &[Step], value: &Value) -> Option<Value> {
    let Some((step, rest)) = path.split_first() else { return Some(value.clone()) };
    match step {
        Step::Name(name) => at(rest, value.get(name)?),
        Step::Index(index) => at(rest, value.get(index)?),
        Step::Each => {
            let found = value.as_array()?.iter().filter_map(|value| at(rest, value).filter(is_something));
            Some(found.collect())
        }
    }
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// A value as text: of a list its elements, of an object its JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => joined(list, BETWEEN),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn joined(list: &[Value], between: &str) -> String {
    list.iter().map(text).collect::<Vec<_>>().join(between)
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().any(is_true),
        other => text(other) == "true",
    }
}

fn whole(value: &Value) -> Option<i64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        other => other.as_f64()?,
    };
    // Beyond 2^53 it would not be the same number.
    (f64::abs(number) <= 9_007_199_254_740_992.0).then(|| number.round() as i64)
}

fn written(value: &Value, format: TimeFormat) -> Option<Value> {
    let EventTime(ms) = serde_json::from_value(value.clone()).ok()?;
    Some(match format {
        TimeFormat::EpochSeconds => (ms as f64 / 1000.0).into(),
        TimeFormat::EpochMilliseconds => ms.into(),
    })
}
