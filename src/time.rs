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
    if !(1..=12).contains(&month) || !(1..=28).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None; // the last days of a month and leap seconds go through the full parser
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
        serializer.collect_str(self)
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
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
