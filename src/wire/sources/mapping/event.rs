//! Values of one record become an audit event, within the limits of one.
//!
//! Knows fields, their limits and how a value is refused. Must not know where values stand in a record, nor let an
//! argument's value through.

use std::borrow::Cow;

use super::field::{self, Field, Form};
use super::record::Scalar;
use super::rule::{Taken, TimeFormat};
use crate::event::{Argument, AuditEvent, Outcome, Text};
use crate::time::EventTime;
use crate::wire::annotate::keyed_hash::HashKey;
use crate::wire::annotate::{class, normalise};
use crate::wire::audit_event::{ID_LIMIT_BYTES, NUMBER_LIMIT, TEXT_LIMIT_BYTES};
use crate::wire::dead_letter::{Reason, Refusal};
pub(super) use crate::wire::mapping_file::shown;

/// An event without any value.
pub(super) fn blank<'a>() -> AuditEvent<'a> {
    AuditEvent {
        time: EventTime::default(),
        event_id: None,
        tenant: None,
        agent_id: Text::default(),
        agent_type: None,
        agent_version: None,
        instance_id: None,
        session_id: None,
        seq: None,
        action: Text::default(),
        resource: None,
        outcome: Outcome::Unknown,
        bytes: None,
        count: None,
        source_ip: None,
        location: None,
        user_agent: None,
        credential_id: None,
        credential_type: None,
        credential_issued_at: None,
        on_behalf_of: None,
        delegated_by: None,
        decision: None,
        decision_key: None,
        attestation: None,
        arguments: smallvec::SmallVec::new(),
    }
}

/// Puts a value into its field. Returns whether it was cut.
pub(super) fn set<'a>(event: &mut AuditEvent<'a>, field: Field, taken: Taken<'a>) -> Result<bool, Refusal> {
    let Taken { value, from, time: format } = taken;
    let refuse = |reason, value: &str, why: &str| {
        let from = from.map_or_else(|| "a constant".to_owned(), |from| format!("`{from}`"));
        Refusal::new(reason, format!("field `{}` from {from}: {} {why}", field.name(), shown(value)))
    };
    match field.form() {
        Form::Id | Form::Text => {
            let text = value.into_text();
            let is_id = field.form() == Form::Id;
            if is_id && text.len() > ID_LIMIT_BYTES {
                let length = text.len();
                let why =
                    format!("has {length} bytes; an id has at most {ID_LIMIT_BYTES}; map a shorter one");
                return Err(refuse(Reason::TooLong, &text, &why));
            }
            let (text, is_cut) = if is_id { (text, false) } else { cut(text) };
            match field {
                Field::AgentId => event.agent_id = Text(text),
                Field::Action => event.action = Text(text),
                _ => {
                    if let Some(place) = field::text(event, field) {
                        *place = Some(Text(text));
                    }
                }
            }
            return Ok(is_cut);
        }
        Form::Time => {
            let time = time_of(&value, format, field == Field::Time)
                .map_err(|(reason, why)| refuse(reason, &value.as_text(), why))?;
            match field {
                Field::Time => event.time = time,
                _ => event.credential_issued_at = Some(time),
            }
        }
        Form::Number => {
            let number = Some(
                number_of(&value, u64::from(field == Field::Count))
                    .map_err(|(reason, why)| refuse(reason, &value.as_text(), why))?,
            );
            match field {
                Field::Seq => event.seq = number,
                Field::Bytes => event.bytes = number,
                _ => event.count = number,
            }
        }
        Form::Outcome => {
            event.outcome = match &*value.as_text() {
                "ok" => Outcome::Ok,
                "denied" => Outcome::Denied,
                "error" => Outcome::Error,
                "unknown" => Outcome::Unknown,
                other => {
                    let why = "is none of ok, denied, error, unknown; give the field `cases` and `otherwise`";
                    return Err(refuse(Reason::InvalidValue, other, why));
                }
            }
        }
    }
    Ok(false)
}

/// A time in its format, for the event itself within the accepted years.
fn time_of(
    value: &Scalar<'_>,
    format: TimeFormat,
    must_be_plausible: bool,
) -> Result<EventTime, (Reason, &'static str)> {
    const OTHER_YEAR: &str = "lies outside the years 2000 to 2100; mend the sender's clock, or `format`";
    match time(value, format) {
        Some(time) if time.is_plausible() || !must_be_plausible => Ok(time),
        Some(_) => Err((Reason::OutOfRange, OTHER_YEAR)),
        // The last hours of 9999, a favourite for "never", are beyond what the time library can hold.
        None if value.as_text().starts_with("9999-") => Err((Reason::OutOfRange, OTHER_YEAR)),
        None => Err((Reason::InvalidValue, "is no time in the `format` of the field; see docs/sources.md")),
    }
}

/// A whole number, at least `least`.
fn number_of(value: &Scalar<'_>, least: u64) -> Result<u64, (Reason, &'static str)> {
    match whole(value) {
        Some(number) if (least..=NUMBER_LIMIT).contains(&number) => Ok(number),
        None if matches!(value, Scalar::Text(_) | Scalar::Flag(_)) => {
            Err((Reason::WrongType, "is no whole number; map another field"))
        }
        _ => Err((Reason::OutOfRange, "is negative, zero or over 2^53 - 1; mend the sender")),
    }
}

/// What is known about an argument: its name, and class, hash and length of its value. Also whether the name was cut.
pub(super) fn argument<'a>(name: Text<'a>, value: Scalar<'a>, key: &HashKey) -> (Argument<'a>, bool) {
    let value = value.into_text();
    let normal = normalise(&value);
    let class = class(&name, &value);
    let (name, is_cut) = cut(name.0);
    let argument = Argument {
        name: Text(name),
        class,
        hash: Some(key.value(&normal)),
        length: u32::try_from(normal.chars().count()).ok(),
        origin: None,
        origin_form: None,
        anchored: None,
        origin_event: None,
    };
    (argument, is_cut)
}

fn cut(text: Cow<'_, str>) -> (Cow<'_, str>, bool) {
    if text.len() <= TEXT_LIMIT_BYTES {
        return (text, false);
    }
    let end = text.floor_char_boundary(TEXT_LIMIT_BYTES);
    let kept = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(..end).unwrap_or_default().to_owned()),
    };
    (kept, true)
}

fn time(value: &Scalar<'_>, format: TimeFormat) -> Option<EventTime> {
    let scale = match format {
        TimeFormat::Rfc3339 => {
            let Scalar::Text(text) = value else { return None };
            return EventTime::parse(text);
        }
        TimeFormat::EpochSeconds => 1_000,
        TimeFormat::EpochMilliseconds => 1,
    };
    let number = match value {
        Scalar::Whole(number) => {
            return Some(EventTime(i64::try_from(*number).unwrap_or(i64::MAX).saturating_mul(scale)));
        }
        Scalar::Negative(number) => return Some(EventTime(number.saturating_mul(scale))),
        Scalar::Fraction(number) => *number,
        Scalar::Text(text) => match text.trim().parse::<i64>() {
            Ok(number) => return Some(EventTime(number.saturating_mul(scale))),
            Err(_) => text.trim().parse::<f64>().ok().filter(|number| number.is_finite())?,
        },
        Scalar::Flag(_) => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a cast from float saturates, and what saturates lies outside the accepted years"
    )]
    let ms = (number * scale as f64).floor() as i64;
    Some(EventTime(ms))
}

/// A whole number; a fraction is cut off, because some sources write every number with one.
fn whole(value: &Scalar<'_>) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be positive and below 2^53"
    )]
    let of = |number: f64| (0.0..9_007_199_254_740_992.0).contains(&number).then_some(number as u64);
    match value {
        Scalar::Whole(number) => Some(*number),
        Scalar::Fraction(number) => of(*number),
        Scalar::Text(text) => text.trim().parse().ok(),
        Scalar::Negative(_) | Scalar::Flag(_) => None,
    }
}
