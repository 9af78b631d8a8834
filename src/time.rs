//! Event time: milliseconds since 1970-01-01 UTC, as the audit event states it.
//!
//! Knows the textual form (RFC 3339) and the hour and day an instant falls into.
//! Must not know the host's clock: the engine has none.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds in one hour of event time.
pub const HOUR_MS: i64 = 3_600_000;
/// Milliseconds in one day of event time.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// An instant of event time. Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default)]
pub struct EventTime(pub i64);

impl EventTime {
    /// First instant accepted in an audit event: 2000-01-01T00:00:00Z.
    pub const EARLIEST: Self = Self(946_684_800_000);
    /// First instant after the accepted range: 2101-01-01T00:00:00Z.
    pub const LATEST: Self = Self(4_133_980_800_000);

    /// Parses an RFC 3339 time such as `2026-01-22T18:50:59.000Z`.
    ///
    /// Returns `None` when the text is no RFC 3339 time. Precision below a millisecond is cut off.
    pub fn parse(text: &str) -> Option<Self> {
        parse_utc(text.as_bytes())
            .or_else(|| text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond))
            .map(Self)
    }

    /// Whether the instant lies in the accepted range, years 2000 to 2100.
    pub fn is_plausible(self) -> bool {
        (Self::EARLIEST..Self::LATEST).contains(&self)
    }

    /// The number of whole hours since 1970. Floors towards the past.
    pub fn hour(self) -> i64 {
        self.0.div_euclid(HOUR_MS)
    }

    /// The number of whole days (UTC) since 1970. Floors towards the past.
    pub fn day(self) -> i64 {
        self.0.div_euclid(DAY_MS)
    }

    /// This instant, `ms` milliseconds later (earlier when negative). Saturates.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// Reads a length of time such as `10m`, `36h` or `1d 12h`. Milliseconds; days have 24 hours.
///
/// Returns `None` for anything else, and for months and years: they have no one length.
pub fn parse_span_ms(text: &str) -> Option<i64> {
    let span: jiff::Span = text.parse().ok()?;
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    span.total((jiff::Unit::Millisecond, days)).ok().map(|ms| ms as i64)
}

/// The common form `YYYY-MM-DDThh:mm:ss[.f…]Z`, without the generality (and the cost) of a full parser.
/// Anything unusual returns `None` and is left to the full parser.
fn parse_utc(text: &[u8]) -> Option<i64> {
    let digits = |from: usize, len: usize| -> Option<i64> {
        text.get(from..from + len)?
            .iter()
            .try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    let at = |i: usize| text.get(i).copied();
    if at(4)? != b'-' || at(7)? != b'-' || at(10)? != b'T' || at(13)? != b':' || at(16)? != b':' {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 2)?, digits(8, 2)?);
    let (hour, minute, second) = (digits(11, 2)?, digits(14, 2)?, digits(17, 2)?);
    let last = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=12).contains(&month) || !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None; // leap seconds go through the full parser
    }
    let mut ms = 0;
    let mut i = 19;
    if at(i)? == b'.' {
        i += 1;
        let mut scale = 100;
        while let Some(b) = at(i).filter(u8::is_ascii_digit) {
            ms += i64::from(b - b'0') * scale;
            scale /= 10;
            i += 1;
        }
        if i == 20 {
            return None;
        }
    }
    if at(i)? != b'Z' || text.len() != i + 1 {
        return None;
    }
    // Days from civil date; source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    let days = era * 146_097 + doe - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms)
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for EventTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for EventTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = EventTime;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time such as \"2026-01-22T18:50:59.000Z\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<EventTime, E> {
                EventTime::parse(text)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Visitor)
        } else {
            i64::deserialize(deserializer).map(EventTime)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plausible() -> impl Strategy<Value = EventTime> {
        (EventTime::EARLIEST.0..EventTime::LATEST.0).prop_map(EventTime)
    }

    proptest! {
        #[test]
        fn any_time_is_read_as_it_was_written(time in plausible()) {
            prop_assert_eq!(EventTime::parse(&time.to_string()), Some(time));
            let json = serde_json::to_string(&time).unwrap();
            prop_assert_eq!(serde_json::from_str::<EventTime>(&json).unwrap(), time);
        }

        #[test]
        fn any_number_of_digits_is_cut_off_below_a_millisecond(time in plausible(), digits in "[0-9]{0,17}") {
            let text = time.to_string().replace('Z', &format!("{digits}Z"));
            prop_assert_eq!(EventTime::parse(&text), Some(time), "{}", text);
        }

        #[test]
        fn an_offset_names_the_same_instant(time in plausible(), minutes in -14 * 60..=14 * 60i64) {
            let local = time.plus_ms(minutes * 60_000).to_string();
            let sign = if minutes < 0 { '-' } else { '+' };
            let offset = format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
            prop_assert_eq!(EventTime::parse(&local.replace('Z', &offset)), Some(time));
        }

        #[test]
        fn the_short_parser_accepts_nothing_that_the_full_one_reads_otherwise(
            text in "[12][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,9})?Z?",
        ) {
            if let Some(short) = parse_utc(text.as_bytes()) && short >= 0 {
                let full = text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
                prop_assert_eq!(full.ok(), Some(short), "{}", text);
            }
        }

        #[test]
        fn no_text_is_too_bad(text in any::<String>(), ms in any::<i64>(), by in any::<i64>()) {
            prop_assert_eq!(EventTime::parse(&text), None);
            let time = EventTime(ms).plus_ms(by);
            prop_assert_eq!(time.hour().div_euclid(24), time.day());
            prop_assert!(!time.to_string().is_empty());
        }

        #[test]
        fn days_and_hours_are_those_of_the_calendar(time in plausible()) {
            let text = time.to_string();
            let midnight = EventTime::parse(&format!("{}T00:00:00Z", &text[..10])).unwrap();
            prop_assert_eq!(time.day() * DAY_MS, midnight.0);
            prop_assert_eq!(time.hour().rem_euclid(24), text[11..13].parse::<i64>().unwrap());
        }
    }

    #[test]
    fn a_length_of_time_is_read_with_its_unit_and_only_where_it_has_one_length() {
        assert_eq!(parse_span_ms("10m"), Some(600_000));
        assert_eq!(parse_span_ms("1d 12h"), Some(36 * HOUR_MS));
        for text in ["", "10", "soon", "1 month", "2y"] {
            assert_eq!(parse_span_ms(text), None, "{text}");
        }
    }

    #[test]
    fn hours_before_1970_floor_towards_the_past() {
        assert_eq!((EventTime(-1).hour(), EventTime(-1).day()), (-1, -1));
        assert_eq!((EventTime(0).hour(), EventTime(0).day()), (0, 0));
        assert!(EventTime::EARLIEST.is_plausible() && !EventTime::LATEST.is_plausible());
    }

    #[test]
    fn the_short_parser_agrees_with_the_full_one() {
        for text in [
            "2026-01-22T18:50:59.000Z",
            "2000-02-29T00:00:00Z",
            "2025-12-31T23:59:59.999999Z",
            "2024-03-01T12:00:00.5Z",
            "2100-01-01T00:00:00+02:00",
        ] {
            let full = text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
            assert_eq!(EventTime::parse(text), Some(EventTime(full)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2026-13-01T00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-02-30T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
        ] {
            assert_eq!(EventTime::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_written_as_it_was_read() {
        let text = "2026-01-22T18:50:59.040Z";
        assert_eq!(EventTime::parse(text).unwrap().to_string(), text);
    }
}
