//! The audit event: one thing an agent did, without content.
//!
//! Knows the fields, their units and their closed vocabularies.
//! Must not know where events come from nor what is made of them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{MapAccess, SeqAccess};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use crate::time::EventTime;

/// Text borrowed from the input line where it holds no escapes, owned where it does.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

// Written by hand because serde borrows a `Cow` only as a direct field, never inside an `Option`.
impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// One thing an agent did. Only `time`, `agent_id` and `action` are required; a missing field
/// degrades the detectors that need it. Unknown fields are ignored. No prompts, no argument values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent<'a> {
    /// When it happened.
    pub time: EventTime,
    /// The source's own id of this event; repeated ids are dropped.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Text<'a>>,
    /// Customer or organisation the agent belongs to.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Text<'a>>,
    /// The agent. At most 256 bytes.
    #[serde(borrow)]
    pub agent_id: Text<'a>,
    /// The group of agents that share a baseline (an Entra blueprint, for example).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub agent_type: Option<Text<'a>>,
    /// Version of the agent's definition.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<Text<'a>>,
    /// The running copy of the agent.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<Text<'a>>,
    /// The task or conversation; an agent may have many open at once.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Text<'a>>,
    /// Place of the event within its session, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What was done: the tool or operation called.
    #[serde(borrow)]
    pub action: Text<'a>,
    /// What it was done to, generalised (host, folder, owner, domain).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Text<'a>>,
    /// How it ended.
    #[serde(default, deserialize_with = "name_or_default", skip_serializing_if = "Outcome::is_unknown")]
    pub outcome: Outcome,
    /// Bytes moved (for a tool call: size of its result).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many equal events this one stands for; absent means 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Address the agent came from.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<Text<'a>>,
    /// Country, region or network name.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Text<'a>>,
    /// Client software.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Text<'a>>,
    /// Id of the credential used (never the credential).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<Text<'a>>,
    /// Kind of the credential used.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub credential_type: Option<Text<'a>>,
    /// When the credential was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_issued_at: Option<EventTime>,
    /// The person or principal the agent acted for.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<Text<'a>>,
    /// The agent that delegated the work.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub delegated_by: Option<Text<'a>>,
    /// The decision taken, from a small vocabulary of the agent type.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Text<'a>>,
    /// What the decision was about: equal keys ought to be decided alike.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub decision_key: Option<Text<'a>>,
    /// Result of attesting the agent's workload.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Text<'a>>,
    /// The call's arguments: what is known *about* each value, never the value. At most 64.
    #[serde(borrow, default, deserialize_with = "objects", skip_serializing_if = "SmallVec::is_empty")]
    pub arguments: SmallVec<[Argument<'a>; 6]>,
}

/// How an action ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was carried out.
    Ok,
    /// It was refused.
    Denied,
    /// It failed.
    Error,
    /// Not known; the same as an absent field.
    #[default]
    Unknown,
}

impl Outcome {
    /// Whether the outcome is not known.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

/// What is known about one argument of a call: no value, only where it came from and what it looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Argument<'a> {
    /// Name of the argument; nested names are flattened (`to[]`, `filter.owner`).
    #[serde(borrow)]
    pub name: Text<'a>,
    /// What the value looks like.
    #[serde(default, deserialize_with = "name_or_default")]
    pub class: ValueClass,
    /// HMAC-SHA-256 of the normalised value, its first 48 bits, 12 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<ValueHash>,
    /// Length of the normalised value. Characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u32>,
    /// Who named the value first.
    #[serde(default, deserialize_with = "name", skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// For values from a tool result: whether they stood there as a field or inside free text.
    #[serde(default, deserialize_with = "name", skip_serializing_if = "Option::is_none")]
    pub origin_form: Option<OriginForm>,
    /// For values not from the user: whether they share a token with the request or the principal's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchored: Option<bool>,
    /// Id of the event whose result the value came from.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub origin_event: Option<Text<'a>>,
}

/// What an argument's value looks like.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueClass {
    /// One token.
    #[default]
    Word,
    /// A few words.
    Phrase,
    /// Longer text.
    Text,
    /// A number or boolean.
    Num,
    /// A date or time.
    Time,
    /// A path in a file system.
    Path,
    /// A web address.
    Url,
    /// An e-mail address.
    Email,
    /// `owner/name` of a repository.
    Repo,
    /// An international bank account number.
    Iban,
    /// A public key or key fingerprint.
    Key,
    /// A password, token or other secret.
    Secret,
}

/// Who named an argument's value first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It stands in the user's request.
    User,
    /// It stands in an earlier tool result.
    Tool,
    /// The model made it.
    Model,
}

/// Where in a tool result a value stood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OriginForm {
    /// As a whole value of structured data.
    Field,
    /// Inside running text.
    FreeText,
}

/// 48-bit keyed hash of a normalised value; written as 12 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct ValueHash(pub u64);

impl fmt::Display for ValueHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

impl Serialize for ValueHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ValueHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = ValueHash;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("12 hexadecimal digits")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ValueHash, E> {
                let refused = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
                if text.len() != 12 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(refused());
                }
                u64::from_str_radix(text, 16).map(ValueHash).map_err(|_| refused())
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

// serde's derive is wider than the format: it would take `{"ok": null}` for a name, and a list of positional
// fields for an argument. The three functions below take the one form only. `null` means absent.

fn name<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct Visitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name")
        }
        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_str(self)
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            T::deserialize(StrDeserializer::new(text)).map(Some)
        }
    }
    deserializer.deserialize_option(Visitor(PhantomData))
}

fn name_or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    name(deserializer).map(Option::unwrap_or_default)
}

fn objects<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SmallVec<[Argument<'a>; 6]>, D::Error> {
    struct Object<'a>(Argument<'a>);
    impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Argument<'de>;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an argument as an object")
                }
                fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                    Argument::deserialize(MapAccessDeserializer::new(map))
                }
            }
            deserializer.deserialize_map(Visitor).map(Object)
        }
    }
    struct Visitor<'a>(PhantomData<&'a ()>);
    impl<'de: 'a, 'a> serde::de::Visitor<'de> for Visitor<'a> {
        type Value = SmallVec<[Argument<'a>; 6]>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of arguments")
        }
        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(SmallVec::new())
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_seq(self)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut arguments = SmallVec::new();
            while let Some(Object(argument)) = list.next_element()? {
                arguments.push(argument);
            }
            Ok(arguments)
        }
    }
    deserializer.deserialize_option(Visitor(PhantomData))
}

impl AuditEvent<'_> {
    /// The agent type, or `unspecified` where the event names none.
    pub fn agent_type(&self) -> &str {
        self.agent_type.as_deref().unwrap_or("unspecified")
    }
}
