//! Numbers that no event has: a rule that asks for them would be silent for ever, and nobody would notice.
//!
//! Knows which numbers a field can be. Must not know how a rule is written.

use std::fmt;

use crate::detect::rules::condition::Test;
use crate::detect::rules::field::{Field, FieldKind, Value};
use crate::wire::audit_event::NUMBER_LIMIT;

/// The numbers that a field can be, ends included.
struct Domain {
    least: f64,
    most: f64,
    is_whole: bool,
    /// How one of them is called.
    noun: &'static str,
}

impl Domain {
    fn of(field: Field) -> Option<Self> {
        let whole = |least, most, noun| Self { least, most, is_whole: true, noun };
        match field {
            Field::HourOfDay => Some(whole(0.0, 23.0, "hour")),
            Field::Count => Some(whole(1.0, NUMBER_LIMIT as f64, "count")),
            Field::Bytes => Some(whole(0.0, NUMBER_LIMIT as f64, "number of bytes")),
            // Negative where the credential is issued later.
            _ if field.kind() == FieldKind::Number => {
                Some(Self { least: f64::MIN, most: f64::MAX, is_whole: false, noun: "number" })
            }
            _ => None,
        }
    }

    fn has(&self, number: f64) -> bool {
        (self.least..=self.most).contains(&number) && (!self.is_whole || number.fract() == 0.0)
    }

    /// Numbers of the domain of which one passes all tests, if any number does: what a test says changes only at a number that
    /// the tests name.
    fn candidates(&self, tests: &[Test]) -> Vec<f64> {
        let mut named = vec![self.least, self.most];
        name(tests, &mut named);
        named.sort_by(f64::total_cmp);
        let between = named.windows(2).filter_map(|pair| Some(f64::midpoint(*pair.first()?, *pair.last()?)));
        let mut all: Vec<f64> = between.collect();
        for number in named {
            all.extend([number, number.floor() - 1.0, number.floor(), number.floor() + 1.0]);
        }
        all.retain(|number| self.has(*number));
        all
    }
}

/// Every number that tests name.
fn name(tests: &[Test], into: &mut Vec<f64>) {
    for test in tests {
        match test {
            Test::OneNumber(numbers) => into.extend(numbers),
            Test::Above(limit) | Test::Below(limit) => into.push(*limit),
            Test::Not(tests) => name(tests, into),
            _ => {}
        }
    }
}

/// Why no event passes all tests of a field, and what to write; none where one may.
pub(super) fn never(field: Field, tests: &[Test]) -> Option<String> {
    let domain = Domain::of(field)?;
    for test in tests {
        if let Test::OneNumber(numbers) = test
            && let Some(number) = numbers.iter().find(|number| !domain.has(**number))
        {
            return Some(format!("no {} is {number}: give {domain}", domain.noun));
        }
        // Before the first and after the last hour is where a span of hours may begin and end.
        if let (Field::HourOfDay, Test::Above(hour) | Test::Below(hour)) = (field, test)
            && !(-1.0..=24.0).contains(hour)
        {
            return Some(format!("there is no hour {hour}: give {domain}"));
        }
    }
    let passes = |number: &f64| tests.iter().all(|test| test.holds(Value::Number(*number)));
    if domain.candidates(tests).iter().any(passes) {
        return None;
    }
    let limits = (
        tests.iter().find_map(|test| if let Test::Above(limit) = test { Some(*limit) } else { None }),
        tests.iter().find_map(|test| if let Test::Below(limit) = test { Some(*limit) } else { None }),
    );
    Some(match limits {
        (Some(above), Some(below)) if field == Field::HourOfDay && above >= below => format!(
            "no hour is above {above} and below {below}: for the hours after {above} and before {below} write \
             hour_of_day = {{ not = {{ above = {}, below = {} }} }}",
            below.ceil() - 1.0,
            above.floor() + 1.0
        ),
        (Some(above), Some(below)) => format!(
            "no {} is above {above} and below {below}: mend one of them, or make two rules of it",
            domain.noun
        ),
        _ => format!("no {} is like this: mend it, or leave the rule out", domain.noun),
    })
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_whole { "whole numbers" } else { "numbers" };
        write!(f, "{kind} from {} to {}", self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(field: Field, tests: &[Test]) -> String {
        never(field, tests).unwrap_or_default()
    }

    #[test]
    fn numbers_that_no_event_has_are_told_with_what_to_write() {
        let night = said(Field::HourOfDay, &[Test::Above(20.0), Test::Below(6.0)]);
        assert!(night.ends_with("write hour_of_day = { not = { above = 5, below = 21 } }"), "{night}");
        for (field, tests) in [
            (Field::HourOfDay, vec![Test::Above(25.0)]),
            (Field::HourOfDay, vec![Test::Above(23.0)]),
            (Field::HourOfDay, vec![Test::OneNumber(vec![0.0, 24.0])]),
            (Field::HourOfDay, vec![Test::OneNumber(vec![5.5])]),
            (Field::HourOfDay, vec![Test::Below(6.0), Test::Not(vec![Test::Below(7.0)])]),
            (Field::Bytes, vec![Test::Above(20.0), Test::Below(6.0)]),
            (Field::Bytes, vec![Test::Above(5.0), Test::Below(6.0)]),
            (Field::Bytes, vec![Test::Below(0.0)]),
            (Field::Count, vec![Test::Below(1.0)]),
            (Field::CredentialAgeDays, vec![Test::Above(2.0), Test::Below(2.0)]),
        ] {
            assert!(!said(field, &tests).is_empty(), "{field:?} {tests:?}");
        }
    }

    #[test]
    fn numbers_that_an_event_may_have_are_left_alone() {
        let outside = |above, below| Test::Not(vec![Test::Above(above), Test::Below(below)]);
        for (field, tests) in [
            (Field::HourOfDay, vec![outside(5.0, 21.0)]),
            (Field::HourOfDay, vec![Test::Above(19.0), Test::Below(24.0)]),
            (Field::HourOfDay, vec![Test::Above(-1.0), Test::Below(1.0)]),
            (Field::HourOfDay, vec![Test::Above(4.5), Test::Below(5.5)]),
            (Field::Bytes, vec![Test::Above(5.0), Test::Below(7.0)]),
            (Field::Bytes, vec![Test::Above(1e9), outside(2e9, 3e9)]),
            (Field::CredentialAgeDays, vec![Test::Above(5.0), Test::Below(5.5)]),
            (Field::CredentialAgeDays, vec![Test::Below(0.0)]),
            (Field::CredentialAgeDays, vec![Test::Not(vec![Test::Below(90.0)])]),
            (Field::Action, vec![Test::Above(1.0)]),
            (Field::Count, vec![]),
        ] {
            assert_eq!(said(field, &tests), "", "{field:?} {tests:?}");
        }
    }
}
