//! A parsed value that keeps its order: what JSON and JSON-like text have in common.
//!
//! Knows scalars, lists and maps in document order. Must not know where a value came from.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A parsed value. Maps keep the order of their keys, because the order of a call's arguments matters.
/// Numbers are kept as text; JSON's `10` and `10.0` both read as `10`.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Nothing: `null`, `None`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as text.
    Number(String),
    /// A string without its quotes and escapes.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Names and values, in order; a name may occur twice.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Parses strict JSON. Returns `None` for anything else, also for nesting deeper than 128.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The first value under `name`; `None` where there is none or this is no map.
    pub fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(pairs) => pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a string; `None` for everything else.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a scalar; `None` for null, lists and maps.
    pub fn scalar(&self) -> Option<&str> {
        match self {
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Number(text) | Self::Text(text) => Some(text),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The elements of a list; empty for everything else.
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Number(value.to_string()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Number(value.to_string()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Number(value.to_string()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Text(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Node, E> {
                Ok(Node::Text(text))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Node::List(items))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Node::Map(pairs))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_equal_numbers_read_alike() {
        let node = Node::from_json(r#"{"z": 10, "a": [true, null, "x\ny"], "z": 10.0}"#).unwrap();
        assert_eq!(node.field("z").unwrap().scalar(), Some("10"));
        assert_eq!(node.field("a").unwrap().elements()[2].as_text(), Some("x\ny"));
        assert!(matches!(node, Node::Map(pairs) if pairs[0] == pairs[2] && pairs[0].0 == "z"));
    }

    #[test]
    fn nesting_without_end_is_refused_instead_of_overflowing_the_stack() {
        assert_eq!(Node::from_json(&"[".repeat(100_000)), None);
    }
}
