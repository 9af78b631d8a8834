//! Why a line is no audit event: the slow, thorough look at a line that the fast reader refused.
//!
//! Knows every field of the native format, its form and its limits, and how to say what is wrong.
//! Must not be on the path of good lines.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess};
use serde_json::value::RawValue;

use crate::event::ValueHash;
use crate::time::EventTime;
use crate::wire::audit_event::{
    ARGUMENTS_LIMIT, DEPTH_LIMIT, EVENT_LIMIT_BYTES, ID_LIMIT_BYTES, NUMBER_LIMIT, TEXT_LIMIT_BYTES,
};
use crate::wire::dead_letter::{Reason, Refusal};
use crate::wire::mapping_file::nearest;

/// Characters of a wrong value that are shown.
const SHOWN_CHARS: usize = 64;

/// Form of a field.
#[derive(Clone, Copy)]
enum Form {
    Id,
    Text,
    /// The time of the event itself, which must lie in the accepted range.
    Time,
    OtherTime,
    /// A whole number from `min` to `max`.
    Number {
        min: u64,
        max: u64,
    },
    Flag,
    Hash,
    /// One name of a closed vocabulary.
    Name(&'static [&'static str]),
    Arguments,
}

struct Field {
    name: &'static str,
    form: Form,
    required: bool,
    /// An empty string will do.
    may_be_empty: bool,
}

const fn required(name: &'static str, form: Form) -> Field {
    Field { name, form, required: true, may_be_empty: false }
}

const fn optional(name: &'static str, form: Form) -> Field {
    Field { name, form, required: false, may_be_empty: true }
}

const FROM_ZERO: Form = Form::Number { min: 0, max: NUMBER_LIMIT };
const FROM_ONE: Form = Form::Number { min: 1, max: NUMBER_LIMIT };

const EVENT: &[Field] = &[
    required("time", Form::Time),
    optional("event_id", Form::Id),
    optional("tenant", Form::Id),
    required("agent_id", Form::Id),
    optional("agent_type", Form::Text),
    optional("agent_version", Form::Text),
    optional("instance_id", Form::Id),
    optional("session_id", Form::Id),
    optional("seq", FROM_ZERO),
    required("action", Form::Text),
    optional("resource", Form::Text),
    optional("outcome", Form::Name(&["ok", "denied", "error", "unknown"])),
    optional("bytes", FROM_ZERO),
    optional("count", FROM_ONE),
    optional("source_ip", Form::Text),
    optional("location", Form::Text),
    optional("user_agent", Form::Text),
    optional("credential_id", Form::Id),
    optional("credential_type", Form::Text),
    optional("credential_issued_at", Form::OtherTime),
    optional("on_behalf_of", Form::Text),
    optional("delegated_by", Form::Id),
    optional("decision", Form::Text),
    optional("decision_key", Form::Text),
    optional("attestation", Form::Text),
    optional("arguments", Form::Arguments),
];

const ARGUMENT: &[Field] = &[
    // An argument's name may be empty: JSON keys may.
    Field { name: "name", form: Form::Text, required: true, may_be_empty: true },
    optional(
        "class",
        Form::Name(&[
            "word", "phrase", "text", "num", "time", "path", "url", "email", "repo", "iban", "key", "secret",
        ]),
    ),
    optional("hash", Form::Hash),
    optional("length", Form::Number { min: 0, max: u32::MAX as u64 }),
    optional("origin", Form::Name(&["user", "tool", "model"])),
    optional("origin_form", Form::Name(&["field", "free_text"])),
    optional("anchored", Form::Flag),
    optional("origin_event", Form::Id),
];

/// What is wrong with seconds since 1970.
const NUMBER_AS_TIME: &str = "is a number; write RFC 3339, such as 2026-01-22T18:50:59.000Z, or give a mapping of your own \
    (--source FILE.toml) whose time has the format epoch_seconds";

/// Names of fields in `line` that are not read, each with the one that may be meant: one that is like it, and that the event
/// has not. Empty for a line that is no object.
pub(super) fn misspelt(line: &[u8]) -> Vec<(String, &'static str)> {
    let Ok(fields) = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(line) else { return Vec::new() };
    let absent: Vec<&str> =
        EVENT.iter().map(|field| field.name).filter(|name| !fields.contains_key(*name)).collect();
    let is_unknown = |name: &String| EVENT.iter().all(|field| field.name != name);
    fields
        .into_keys()
        .filter(is_unknown)
        .filter_map(|name| nearest(&name.to_lowercase(), &absent).map(|near| (name, near)))
        .collect()
}

/// The refusal of an event over [`EVENT_LIMIT_BYTES`].
pub(super) fn too_large() -> Refusal {
    Refusal::new(
        Reason::TooLong,
        format!("the event has more than {EVENT_LIMIT_BYTES} bytes; send what was done, not its content"),
    )
}

/// The refusal of an event with too much nesting.
pub(super) fn too_deep() -> Refusal {
    Refusal::new(
        Reason::TooDeep,
        format!("objects and lists are nested deeper than {DEPTH_LIMIT} levels; flatten the ignored fields"),
    )
}

/// Finds out why the fast reader refused `line`. A few microseconds for an ordinary event.
///
/// * `error`: what the parser said, if it was the parser.
#[cold]
pub(super) fn explain(line: &[u8], error: Option<&sonic_rs::Error>) -> Refusal {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let byte = line.get(at).copied().unwrap_or_default();
            return Refusal::new(
                Reason::NotUtf8,
                format!("byte {at} (0x{byte:02x}) is no valid UTF-8; write the line in UTF-8"),
            );
        }
    };
    if text.starts_with('\u{feff}') {
        return not_json("the line begins with a byte order mark; save it as UTF-8 without one");
    }
    let refusal = match serde_json::from_str::<&RawValue>(text) {
        // The first line of an object, or of a list, that goes on in the next one.
        Err(_) if matches!(text.trim(), "{" | "[" | "[{") => {
            let how = if text.trim_start().starts_with('[') { "jq -c '.[]' FILE" } else { "jq -c . FILE" };
            Err(not_json(format!("the JSON goes on in the next line; write one object a line: `{how}`")))
        }
        Err(error) => Err(not_json(format!("{error}; write one complete JSON object per line"))),
        Ok(whole) => check_object(whole, "", EVENT),
    };
    refusal.err().unwrap_or_else(|| {
        let said = error.map_or_else(|| "a limit is broken".to_owned(), ToString::to_string);
        not_json(said.lines().next().unwrap_or_default())
    })
}

fn not_json(detail: impl Into<String>) -> Refusal {
    Refusal::new(Reason::NotJson, detail)
}

/// The members of an object in their order, repeated ones included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn check_object(value: &RawValue, place: &str, fields: &[Field]) -> Result<(), Refusal> {
    let members = match serde_json::from_str::<Members<'_>>(value.get()) {
        Ok(Members(members)) => members,
        Err(error) if value.get().starts_with('{') => return Err(not_json(error.to_string())),
        Err(_) => {
            let what = if place.is_empty() { "the line".to_owned() } else { format!("field `{place}`") };
            let remedy = match (place, value.get().starts_with('[')) {
                ("", true) => "; write one object a line: `jq -c '.[]' FILE`",
                _ => "",
            };
            let detail = format!("{what}: {} is no object{remedy}", shown(value));
            return Err(Refusal::new(Reason::WrongType, detail));
        }
    };
    let mut seen = HashSet::new();
    for (name, value) in &members {
        let Some(field) = fields.iter().find(|field| field.name == *name) else { continue };
        let place = format!("{place}{name}");
        if !seen.insert(field.name) {
            return Err(Refusal::new(
                Reason::DuplicateField,
                format!("field `{place}` is there twice, the second time as {}; keep one", shown(value)),
            ));
        }
        if value.get() == "null" && !field.required {
            continue;
        }
        check_field(value, &place, field)?;
    }
    match fields.iter().find(|field| field.required && !seen.contains(field.name)) {
        Some(missing) => Err(Refusal::new(
            Reason::MissingField,
            format!("field `{place}{}` is missing; every event must have it", missing.name),
        )),
        None => Ok(()),
    }
}

fn check_field(value: &RawValue, place: &str, field: &Field) -> Result<(), Refusal> {
    let refuse = |reason, why: &str| Err(refused(value, place, reason, why));
    match field.form {
        Form::Id | Form::Text => {
            let text = string(value, place)?;
            let limit = if matches!(field.form, Form::Id) { ID_LIMIT_BYTES } else { TEXT_LIMIT_BYTES };
            if text.len() > limit {
                let why = format!("has {} bytes; at most {limit} are read; shorten it", text.len());
                return refuse(Reason::TooLong, &why);
            }
            if text.is_empty() && !field.may_be_empty {
                return refuse(Reason::EmptyField, "is empty; say which it is");
            }
            Ok(())
        }
        Form::Time | Form::OtherTime => {
            if value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
                return refuse(Reason::WrongType, NUMBER_AS_TIME);
            }
            let text = string(value, place)?;
            if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
                return refuse(Reason::InvalidValue, NUMBER_AS_TIME);
            }
            match EventTime::parse(&text) {
                None if !is_time_of_another_year(&text) => {
                    refuse(Reason::InvalidValue, "is no RFC 3339 time; write 2026-01-22T18:50:59.000Z")
                }
                Some(time) if matches!(field.form, Form::OtherTime) || time.is_plausible() => Ok(()),
                _ => {
                    refuse(Reason::OutOfRange, "lies outside the years 2000 to 2100; mend the sender's clock")
                }
            }
        }
        Form::Number { min, max } => check_number(value, place, min, max),
        Form::Flag if matches!(value.get(), "true" | "false") => Ok(()),
        Form::Flag => refuse(Reason::WrongType, "is neither true nor false; write one of them"),
        Form::Hash => match serde_json::from_str::<ValueHash>(value.get()) {
            Ok(_) => Ok(()),
            Err(_) => {
                string(value, place)?;
                refuse(
                    Reason::InvalidValue,
                    "is not 12 hexadecimal digits; write the first 48 bits of the hash",
                )
            }
        },
        Form::Name(names) if names.contains(&&*string(value, place)?) => Ok(()),
        Form::Name(names) => {
            refuse(Reason::InvalidValue, &format!("is none of {}; use one of them", names.join(", ")))
        }
        Form::Arguments => {
            let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
                return refuse(Reason::WrongType, "is no list; write a list of objects");
            };
            if list.len() > ARGUMENTS_LIMIT {
                let why =
                    format!("has {} entries; at most {ARGUMENTS_LIMIT} are read; leave some out", list.len());
                return refuse(Reason::TooMany, &why);
            }
            list.iter()
                .enumerate()
                .try_for_each(|(i, argument)| check_object(argument, &format!("{place}[{i}]."), ARGUMENT))
        }
    }
}

fn check_number(value: &RawValue, place: &str, min: u64, max: u64) -> Result<(), Refusal> {
    let refuse = |reason, why: &str| Err(refused(value, place, reason, why));
    let text = value.get();
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return refuse(Reason::WrongType, "is no number; write a whole number without quotes");
    }
    let whole = !text.contains(['.', 'e', 'E']);
    match text.parse::<u64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(()),
        // A number beyond every floating-point number is out of range however it is written.
        Err(_) if !whole && text.parse::<f64>().is_ok_and(f64::is_finite) => {
            refuse(Reason::WrongType, "is no whole number; round it and write it without point or exponent")
        }
        _ => refuse(Reason::OutOfRange, &format!("does not lie between {min} and {max}; mend the sender")),
    }
}

/// Whether `text` would be a time in another year: the last hours of 9999, a favourite for "never", are
/// beyond what the time library can hold.
fn is_time_of_another_year(text: &str) -> bool {
    text.get(..4).is_some_and(|year| year.bytes().all(|digit| digit.is_ascii_digit()))
        && text.get(4..).is_some_and(|rest| EventTime::parse(&format!("2000{rest}")).is_some())
}

fn string<'a>(value: &'a RawValue, place: &str) -> Result<Cow<'a, str>, Refusal> {
    if !value.get().starts_with('"') {
        return Err(refused(value, place, Reason::WrongType, "is no string; write it in quotes"));
    }
    serde_json::from_str(value.get())
        .map_err(|error| refused(value, place, Reason::NotJson, &format!("is no valid string: {error}")))
}

fn refused(value: &RawValue, place: &str, reason: Reason, why: &str) -> Refusal {
    Refusal::new(reason, format!("field `{place}`: {} {why}", shown(value)))
}

/// The value as it stands in the line, cut off, with everything that does not print or that turns text
/// around escaped: a person or a program may read it in a terminal.
fn shown(value: &RawValue) -> String {
    let mut chars = value.get().chars();
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn check_against_schema(fields: &[Field], schema: &Value) {
        let properties = schema["properties"].as_object().unwrap();
        let mut names: Vec<_> = fields.iter().map(|field| field.name).collect();
        names.sort_unstable();
        let mut described: Vec<_> = properties.keys().map(String::as_str).collect();
        described.sort_unstable();
        assert_eq!(names, described);
        for field in fields {
            let (name, property) = (field.name, &properties[field.name]);
            let required = schema["required"].as_array().unwrap().iter().any(|required| required == name);
            assert_eq!(field.required, required, "{name}");
            match field.form {
                Form::Id => assert_eq!(property["maxLength"], ID_LIMIT_BYTES, "{name}"),
                Form::Text => assert_eq!(property["maxLength"], TEXT_LIMIT_BYTES, "{name}"),
                Form::Number { min, max } => {
                    assert_eq!(
                        (&property["minimum"], &property["maximum"]),
                        (&min.into(), &max.into()),
                        "{name}"
                    );
                }
                Form::Name(names) => {
                    let mut allowed: Vec<Value> = names.iter().map(|name| (*name).into()).collect();
                    allowed.push(Value::Null);
                    assert_eq!(property["enum"], Value::Array(allowed), "{name}");
                }
                Form::Arguments => assert_eq!(property["maxItems"], ARGUMENTS_LIMIT, "{name}"),
                Form::Time | Form::OtherTime | Form::Flag | Form::Hash => {}
            }
            assert_eq!(
                property["minLength"] == 1,
                !field.may_be_empty && matches!(field.form, Form::Id | Form::Text),
                "{name}"
            );
            assert!(property["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
        }
    }

    #[test]
    fn the_schema_and_the_checks_name_the_same_fields_and_limits() {
        let schema: Value =
            serde_json::from_str(include_str!("../../schemas/agent-audit.v1.schema.json")).unwrap();
        check_against_schema(EVENT, &schema);
        check_against_schema(ARGUMENT, &schema["$defs"]["argument"]);
    }

    #[test]
    fn a_wrong_value_is_shown_cut_and_without_anything_that_turns_text_around() {
        let line = format!(r#"{{"time": "{}\u{}{}"}}"#, "\u{202e}", "0041", "x".repeat(200));
        let refusal = explain(line.as_bytes(), None);
        assert_eq!(refusal.reason, Reason::InvalidValue);
        let (shown, remedy) = refusal.detail.split_once(" is no RFC 3339 time").unwrap();
        assert!(shown.contains(r"\u{202e}") && !shown.contains('\u{202e}'), "{shown}");
        assert!(shown.ends_with('…') && shown.chars().count() < 100, "{shown}");
        assert!(remedy.contains("write 2026"));
    }
}
