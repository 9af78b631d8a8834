//! A record on its way out.
//!
//! Knows topics by what they are for. Must not know their names, nor who writes to them.

pub use crate::kafka::settings::Topic;

/// A record on its way out. Key and value follow from the input alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// What its topic is for.
    pub topic: Topic,
    /// The name of its topic, where it is not the one that the settings give: that of a sink.
    pub name: Option<String>,
    /// The partition, where it is not chosen by the key.
    pub partition: Option<i32>,
    /// Key.
    pub key: Vec<u8>,
    /// Value; none to delete what stands under the key.
    pub value: Option<Vec<u8>>,
    /// Its time, where it is not that of its writing. Milliseconds since 1970; where the broker says when a record came,
    /// it has no say.
    pub timestamp_ms: Option<i64>,
    /// Names and values of its headers.
    pub headers: Vec<(&'static str, String)>,
}

impl Outgoing {
    /// A record without headers, whose partition is chosen by its key.
    pub fn new(topic: Topic, key: impl Into<Vec<u8>>, value: Vec<u8>) -> Self {
        Self {
            topic,
            name: None,
            partition: None,
            key: key.into(),
            value: Some(value),
            timestamp_ms: None,
            headers: Vec::new(),
        }
    }
}
