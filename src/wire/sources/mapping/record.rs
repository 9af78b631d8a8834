//! One pass over a record that finds what a mapping asks for.
//!
//! Knows JSON and the tree of places. Must not know what is made of the values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::path::Tree;
use crate::event::Text;
use crate::wire::audit_event::ARGUMENTS_LIMIT;

/// A value that is neither object, list nor null.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Scalar<'a> {
    Text(Cow<'a, str>),
    Whole(u64),
    Negative(i64),
    Fraction(f64),
    Flag(bool),
}

impl<'a> Scalar<'a> {
    /// As text; numbers as JSON writes them, without a fraction of zero.
    pub fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Whole(number) => Cow::Owned(number.to_string()),
            Self::Negative(number) => Cow::Owned(number.to_string()),
            Self::Fraction(number) => Cow::Owned(number.to_string()),
            Self::Flag(true) => Cow::Borrowed("true"),
            Self::Flag(false) => Cow::Borrowed("false"),
        }
    }

    /// The same, borrowed.
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            other => other.clone().into_text(),
        }
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.trim().is_empty())
    }
}

/// What was found in one record.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// By number of the place.
    pub places: Vec<Option<Scalar<'a>>>,
    /// Scalars of the objects that hold arguments, in their order: node of the object, name and value.
    pub arguments: Vec<(usize, Text<'a>, Scalar<'a>)>,
    /// Arguments beyond [`ARGUMENTS_LIMIT`], which are not kept.
    pub more_arguments: u64,
    /// A place, or an argument, that the record holds twice.
    pub twice: Option<String>,
    seen: Vec<bool>,
}

impl<'a> Found<'a> {
    /// Reads a record.
    pub fn read<'de: 'a, D: Deserializer<'de>>(tree: &Tree, record: D) -> Result<Self, D::Error> {
        let mut found =
            Self { places: vec![None; tree.places()], seen: vec![false; tree.nodes()], ..Self::default() };
        At { tree, node: Some(Tree::ROOT), argument: None, found: &mut found }.deserialize(record)?;
        Ok(found)
    }

    fn add_argument(&mut self, of: usize, name: Text<'a>, value: Scalar<'a>) {
        if self.arguments.iter().any(|(node, known, _)| *node == of && *known == name) {
            self.twice.get_or_insert_with(|| name.to_string());
        } else if self.arguments.len() < ARGUMENTS_LIMIT {
            self.arguments.push((of, name, value));
        } else {
            self.more_arguments += 1;
        }
    }
}

/// A value of the record: the node of the tree that it belongs to, and, if it may be an argument, the node that it is a
/// member of and its name.
struct At<'t, 'f, 'a> {
    tree: &'t Tree,
    node: Option<usize>,
    argument: Option<(usize, Text<'a>)>,
    found: &'f mut Found<'a>,
}

impl<'a> At<'_, '_, 'a> {
    fn take(self, value: Scalar<'a>) {
        let place = self.node.and_then(|node| self.tree.place(node));
        if let Some((of, name)) = self.argument.filter(|_| !value.is_empty()) {
            self.found.add_argument(of, name, value.clone());
        }
        if let Some(place) = place.and_then(|place| self.found.places.get_mut(place)) {
            *place = Some(value);
        }
    }
}

impl<'de: 'a, 'a> DeserializeSeed<'de> for At<'_, '_, 'a> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for At<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.take(Scalar::Flag(value));
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.take(Scalar::Whole(value));
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.take(u64::try_from(value).map_or(Scalar::Negative(value), Scalar::Whole));
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.take(Scalar::Fraction(value));
        Ok(())
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        self.take(Scalar::Text(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.take(Scalar::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some(node) = self.node.filter(|node| self.tree.has_elements(*node)) else {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        for index in 0.. {
            let element = self.tree.element(node, index);
            let at = At { tree: self.tree, node: element, argument: None, found: &mut *self.found };
            let more = match element {
                Some(_) => list.next_element_seed(at)?.is_some(),
                None => list.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some(node) = self.node else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        let has_arguments = self.tree.has_arguments(node);
        while let Some(name) = map.next_key::<Text<'de>>()? {
            let member = self.tree.member(node, &name);
            if let Some(seen) = member.and_then(|member| self.found.seen.get_mut(member))
                && std::mem::replace(seen, true)
            {
                let written = member.map(|member| self.tree.written(member).to_owned());
                self.found.twice = self.found.twice.take().or(written);
            }
            if member.is_none() && !has_arguments {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let argument = has_arguments.then_some((node, name));
            let found = &mut *self.found;
            map.next_value_seed(At { tree: self.tree, node: member, argument, found })?;
        }
        Ok(())
    }
}
