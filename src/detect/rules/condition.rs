//! One condition of a rule: a field, and what its value must be.
//!
//! Knows tests of one value. Must not know counts nor what was before.
//!
//! Conditions, and everything made of them, are written (`Display`) in one normal form: two rules that say the
//! same are written the same.

use std::fmt;
use std::net::IpAddr;

use super::field::{Field, Value};
use crate::event::AuditEvent;
use crate::network::Network;
use crate::pattern::Patterns;

/// What is asked of one field of an event.
#[derive(Clone, PartialEq, Debug)]
pub enum Condition {
    /// The event does not have the field.
    Absent(Field),
    /// The event has the field, and all tests hold for its value. No tests: any value.
    Value(Field, Vec<Test>),
}

/// A test of one value. A test of text never holds for a number, nor the reverse.
#[derive(Clone, PartialEq, Debug)]
pub enum Test {
    /// It is one of these texts.
    OneOf(Vec<Box<str>>),
    /// It is one of these numbers.
    OneNumber(Vec<f64>),
    /// It begins with one of these.
    Prefix(Vec<Box<str>>),
    /// It fits one of these patterns.
    Glob(Patterns),
    /// It is an address in one of these networks.
    Cidr(Vec<Network>),
    /// It is larger.
    Above(f64),
    /// It is smaller.
    Below(f64),
    /// Not all of these hold.
    Not(Vec<Test>),
}

impl Condition {
    /// Whether it holds for an event. Allocates nothing.
    pub fn holds(&self, event: &AuditEvent<'_>) -> bool {
        match self {
            Self::Absent(field) => field.of(event).is_none(),
            Self::Value(field, tests) => {
                field.of(event).is_some_and(|value| tests.iter().all(|test| test.holds(value)))
            }
        }
    }

    /// The actions of which one is necessary for the condition to hold, if it is that kind of condition.
    pub(super) fn actions(&self) -> Option<&[Box<str>]> {
        let Self::Value(Field::Action, tests) = self else { return None };
        tests
            .iter()
            .find_map(|test| if let Test::OneOf(names) = test { Some(names.as_slice()) } else { None })
    }
}

impl Test {
    /// Whether it holds for a value.
    pub fn holds(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::OneOf(names), Value::Text(text)) => names.iter().any(|name| **name == *text),
            (Self::OneNumber(numbers), Value::Number(number)) => numbers.contains(&number),
            (Self::Prefix(starts), Value::Text(text)) => {
                starts.iter().any(|start| text.starts_with(&**start))
            }
            (Self::Glob(patterns), Value::Text(text)) => patterns.matches(text),
            (Self::Cidr(networks), Value::Text(text)) => text
                .parse()
                .is_ok_and(|address: IpAddr| networks.iter().any(|network| network.contains(address))),
            (Self::Above(limit), Value::Number(number)) => number > *limit,
            (Self::Below(limit), Value::Number(number)) => number < *limit,
            (Self::Not(tests), _) => !tests.iter().all(|test| test.holds(value)),
            _ => false,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(field) => write!(f, "{} absent", field.name()),
            Self::Value(field, tests) if tests.is_empty() => write!(f, "{} present", field.name()),
            Self::Value(field, tests) => write!(f, "{} {}", field.name(), Joined(tests, " and ")),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(names) => write!(f, "is {names:?}"),
            Self::OneNumber(numbers) => write!(f, "is {numbers:?}"),
            Self::Prefix(starts) => write!(f, "prefix {starts:?}"),
            Self::Glob(patterns) => write!(f, "glob {patterns}"),
            Self::Cidr(networks) => write!(f, "cidr [{}]", Joined(networks, ", ")),
            Self::Above(limit) => write!(f, "above {limit}"),
            Self::Below(limit) => write!(f, "below {limit}"),
            Self::Not(tests) => write!(f, "not ({})", Joined(tests, " and ")),
        }
    }
}

/// Things written one after the other, with something between them.
pub(super) struct Joined<'l, T>(pub &'l [T], pub &'static str);

impl<T: fmt::Display> fmt::Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(i, item)| {
            if i > 0 {
                f.write_str(self.1)?;
            }
            item.fmt(f)
        })
    }
}
