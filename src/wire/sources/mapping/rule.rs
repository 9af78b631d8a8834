//! How one canonical field gets its value: places in order, then what is done to the text found there.
//!
//! Knows rules and the values of one record. Must not know TOML, nor the limits of a field.

use std::borrow::Cow;

use super::general::General;
use super::path::Template;
use super::record::Scalar;
use crate::wire::annotate::keyed_hash::HashKey;
use crate::wire::mapping_file::Case;
use crate::wire::mapping_file::path::Part;

/// Where a value is looked for, and what it becomes.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule {
    /// Looked at in order; the first that is there, not null and not empty, counts.
    pub from: Vec<Template>,
    /// The value itself, in place of `from`.
    pub constant: Option<String>,
    /// Only what follows the last of these is kept.
    pub after_last: Option<String>,
    /// Endings that are taken off every value that enters; the first that fits.
    pub strip_suffixes: Vec<String>,
    /// Looked at in order.
    pub cases: Vec<Case>,
    /// The value where no case fits; without it the rule has no value then.
    pub otherwise: Option<String>,
    pub generalise: Option<General>,
    pub time: TimeFormat,
}

/// How a time is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum TimeFormat {
    /// Text as in RFC 3339.
    #[default]
    Rfc3339,
    /// Seconds since 1970, with or without a fraction.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMilliseconds,
}

impl TimeFormat {
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Rfc3339, "rfc3339"),
        (Self::EpochSeconds, "epoch_seconds"),
        (Self::EpochMilliseconds, "epoch_milliseconds"),
    ];
}

/// A value, where it came from and how its time is written.
#[derive(Clone, Debug)]
pub(super) struct Taken<'a> {
    pub value: Scalar<'a>,
    /// The path or template as it was written; `None` for a constant.
    pub from: Option<&'a str>,
    pub time: TimeFormat,
}

/// The value of the first rule that has one.
pub(super) fn first<'a>(
    rules: &'a [Rule],
    places: &[Option<Scalar<'a>>],
    key: &HashKey,
) -> Option<Taken<'a>> {
    rules.iter().find_map(|rule| rule.take(places, key))
}

impl Rule {
    fn take<'a>(&'a self, places: &[Option<Scalar<'a>>], key: &HashKey) -> Option<Taken<'a>> {
        if let Some(constant) = &self.constant {
            let value = Scalar::Text(Cow::Borrowed(constant));
            return Some(Taken { value, from: None, time: self.time });
        }
        let (value, from) = self.from.iter().find_map(|template| {
            let value = self.fill(template, places)?;
            (!value.is_empty()).then_some((value, template.written.as_str()))
        })?;
        let value = if self.cases.is_empty() && self.generalise.is_none() {
            value
        } else {
            Scalar::Text(self.changed(value.into_text(), key)?)
        };
        Some(Taken { value, from: Some(from), time: self.time })
    }

    /// A template with what stands at its places; `None` where one of them is empty.
    fn fill<'a>(&'a self, template: &'a Template, places: &[Option<Scalar<'a>>]) -> Option<Scalar<'a>> {
        let at = |place: usize| places.get(place)?.as_ref().filter(|value| !value.is_empty());
        if let [Part::Place(place)] = template.parts.as_slice() {
            return at(*place).map(|value| self.trimmed(value.clone()));
        }
        let mut text = String::new();
        for part in &template.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Place(place) => text.push_str(&self.trimmed(at(*place)?.clone()).into_text()),
            }
        }
        Some(Scalar::Text(Cow::Owned(text)))
    }

    /// A value that enters, without what `after_last` and `strip_suffixes` take away.
    fn trimmed<'a>(&self, value: Scalar<'a>) -> Scalar<'a> {
        let Scalar::Text(text) = value else { return value };
        let mut kept = 0..text.len();
        if let Some(at) = self.after_last.as_deref().and_then(|mark| Some(text.rfind(mark)? + mark.len())) {
            kept.start = at;
        }
        let rest = text.get(kept.clone()).unwrap_or_default();
        if let Some(suffix) = self.strip_suffixes.iter().find(|suffix| rest.ends_with(suffix.as_str())) {
            kept.end -= suffix.len();
        }
        Scalar::Text(match text {
            _ if kept == (0..text.len()) => text,
            Cow::Borrowed(text) => Cow::Borrowed(text.get(kept).unwrap_or_default()),
            Cow::Owned(text) => Cow::Owned(text.get(kept).unwrap_or_default().to_owned()),
        })
    }

    /// What cases and generalisation make of a value; `None` where they leave nothing.
    fn changed<'a>(&'a self, value: Cow<'a, str>, key: &HashKey) -> Option<Cow<'a, str>> {
        let value = if self.cases.is_empty() {
            value
        } else {
            let case = self.cases.iter().find(|case| case.fits(&value));
            Cow::Borrowed(case.map(|case| &case.is).or(self.otherwise.as_ref())?.as_str())
        };
        match self.generalise {
            Some(general) => general.of(value, key),
            None => Some(value),
        }
    }
}
