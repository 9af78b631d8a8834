//! One record of any source in, audit events as JSON out.
//!
//! Knows the formats and the limits of a record. Must not know where records come from, and keeps nothing between them:
//! what is known of a value's origin is known from its own record.

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::format::Format;
use super::mapping::{self, Mapping, MappingError};
use super::transcript;
use crate::event::AuditEvent;
use crate::time::EventTime;
use crate::wire::annotate::Annotator;
use crate::wire::annotate::keyed_hash::HashKey;
use crate::wire::annotate::resource::ResourceForm;
use crate::wire::audit_event;
use crate::wire::dead_letter::{Reason, Refusal};
use crate::wire::input::{LINE_LIMIT_BYTES, Line};

/// Digits of an event id that is made here: 128 bits.
const ID_BYTES: usize = 16;

/// Where a record stood in its topic.
#[derive(Clone, Copy, Debug)]
pub struct RecordPlace<'p> {
    /// Its topic.
    pub topic: &'p str,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// An audit event on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normal {
    /// The agent, by whose id events are partitioned.
    pub agent_id: String,
    /// When it happened.
    pub time: EventTime,
    /// The event as JSON.
    pub json: Vec<u8>,
}

/// A record, or one element of its list, that is no event.
#[derive(Clone, Debug)]
pub struct Unusable<'r> {
    /// Why.
    pub refusal: Refusal,
    /// What it was, as a dead letter shows it.
    pub line: Line<'r>,
}

/// Turns records of one format into audit events.
#[derive(Clone, Debug)]
pub struct Normaliser {
    decoder: Decoder,
}

#[derive(Clone, Debug)]
enum Decoder {
    Native,
    Transcript(Box<Annotator>),
    Mapped(Box<Mapping>, HashKey),
}

/// Why there is no normaliser.
#[derive(Debug, thiserror::Error)]
pub enum NormaliserError {
    /// The mapping cannot be used.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The key is too short.
    #[error("the key of the identity hash is too short; give 32 hexadecimal digits")]
    Key,
}

impl Normaliser {
    /// A normaliser of a format.
    ///
    /// * `key`: of the hashes in events that are made from conversations or foreign records.
    ///
    /// # Errors
    ///
    /// When the mapping cannot be used, or the key is too short.
    pub fn new(format: &Format, key: &[u8]) -> Result<Self, NormaliserError> {
        let key = HashKey::new(key).ok_or(NormaliserError::Key)?;
        let decoder = match (format.mapping()?, format) {
            (Some(mapping), _) => Decoder::Mapped(Box::new(mapping), key),
            (None, Format::Transcript) => {
                Decoder::Transcript(Box::new(Annotator::new(key, ResourceForm::Clear)))
            }
            (None, _) => Decoder::Native,
        };
        Ok(Self { decoder })
    }

    /// Hands on what follows from one record, in its order: events and what is no event.
    ///
    /// An event without an id of its own gets one that follows from its place, so that the record read again gives the
    /// same events.
    pub fn read<'r>(
        &self,
        record: &'r [u8],
        place: RecordPlace<'_>,
        mut each: impl FnMut(Result<Normal, Unusable<'r>>),
    ) {
        let whole = Line {
            bytes: record,
            source: 0,
            number: 1,
            offset: 0,
            length: record.len() as u64,
            sha256: None,
        };
        match &self.decoder {
            Decoder::Native => each(
                audit_event::decode(record)
                    .and_then(|event| normal(event, place, 0))
                    .map_err(|refusal| Unusable { refusal, line: whole }),
            ),
            Decoder::Transcript(annotator) => {
                let unusable = |refusal| Unusable { refusal, line: whole.without_content() };
                let refused = |refusal| Err(unusable(refusal));
                if record.len() > LINE_LIMIT_BYTES {
                    return each(refused(transcript::too_long(record.len() as u64)));
                }
                match transcript::parse(record, None) {
                    Err(error) => each(refused(Refusal::from(error))),
                    Ok(conversation) => {
                        for (event, index) in annotator.events(&conversation).into_iter().zip(0..) {
                            // Held to the limits of what arrives, or the partition would refuse it.
                            let normal = normal(event, place, index).and_then(|normal| {
                                audit_event::decode(&normal.json)?;
                                Ok(normal)
                            });
                            each(normal.map_err(unusable));
                        }
                    }
                }
            }
            Decoder::Mapped(mapping, key) => {
                for (element, index) in elements(record, mapping.records()).into_iter().zip(0..) {
                    let line = Line {
                        bytes: element,
                        number: index + 1,
                        // Both point into the same bytes.
                        offset: (element.as_ptr() as usize).saturating_sub(record.as_ptr() as usize) as u64,
                        length: element.len() as u64,
                        ..whole
                    };
                    let mapped = if element.len() > LINE_LIMIT_BYTES {
                        Err(mapping::too_long(element.len() as u64))
                    } else {
                        mapping.map(element, key).and_then(|mapped| normal(mapped.event, place, index))
                    };
                    each(mapped.map_err(|refusal| Unusable { refusal, line }));
                }
            }
        }
    }
}

/// The event as JSON, with an id.
fn normal(mut event: AuditEvent<'_>, place: RecordPlace<'_>, index: u64) -> Result<Normal, Refusal> {
    if event.event_id.is_none() {
        let RecordPlace { topic, partition, offset } = place;
        let digest = Sha256::digest(format!("{topic}\n{partition}\n{offset}\n{index}"));
        let id: String = digest.iter().take(ID_BYTES).map(|byte| format!("{byte:02x}")).collect();
        event.event_id = Some(id.into());
    }
    let json = serde_json::to_vec(&event).map_err(|error| {
        Refusal::new(Reason::InvalidValue, format!("the event cannot be written: {error}"))
    })?;
    Ok(Normal { agent_id: event.agent_id.to_string(), time: event.time, json })
}

/// The elements of the list under `name`, or the record itself where it has none.
fn elements<'r>(record: &'r [u8], name: Option<&str>) -> Vec<&'r [u8]> {
    let list = name.and_then(|name| {
        // Most records are no lists: look before reading them twice.
        let text = std::str::from_utf8(record).ok().filter(|text| text.contains(name))?;
        let members: std::collections::BTreeMap<String, &'r RawValue> = serde_json::from_str(text).ok()?;
        let list: Vec<&'r RawValue> = serde_json::from_str(members.get(name)?.get()).ok()?;
        Some(list.into_iter().map(|element| element.get().as_bytes()).collect())
    });
    list.unwrap_or_else(|| vec![record])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: RecordPlace<'static> = RecordPlace { topic: "t", partition: 1, offset: 7 };

    fn read(format: &Format, record: &[u8]) -> Vec<Result<String, (Reason, u64, usize)>> {
        let mut all = Vec::new();
        Normaliser::new(format, &[1; 16]).unwrap().read(record, PLACE, |one| {
            all.push(
                one.map(|normal| String::from_utf8(normal.json).unwrap())
                    .map_err(|no| (no.refusal.reason, no.line.number, no.line.bytes.len())),
            );
        });
        all
    }

    fn id(json: &str) -> String {
        audit_event::decode(json.as_bytes()).unwrap().event_id.unwrap().to_string()
    }

    #[test]
    fn an_event_without_an_id_gets_one_that_follows_from_its_place() {
        let record = br#"{"time": "2026-01-22T18:50:59Z", "agent_id": "a", "action": "b", "new": 1}"#;
        let one = read(&Format::Native, record)[0].clone().unwrap();
        assert_eq!((id(&one).len(), &one), (32, read(&Format::Native, record)[0].as_ref().unwrap()));
        let mut other = String::new();
        Normaliser::new(&Format::Native, &[1; 16]).unwrap().read(
            record,
            RecordPlace { offset: 8, ..PLACE },
            |one| other = String::from_utf8(one.unwrap().json).unwrap(),
        );
        assert_ne!(id(&one), id(&other));
        let named = br#"{"time": "2026-01-22T18:50:59Z", "agent_id": "a", "action": "b", "event_id": "e"}"#;
        assert_eq!(id(read(&Format::Native, named)[0].as_ref().unwrap()), "e");
    }

    #[test]
    fn elements_of_a_list_stand_and_fall_alone() {
        let good = include_str!("../../../schemas/examples/sources/cloudtrail.json");
        let list = format!("{{\"Records\": [{good}, {{\"eventName\": 3}}, {good}]}}");
        let all = read(&Format::Shipped("cloudtrail"), list.as_bytes());
        assert_eq!(all.len(), 3);
        assert_eq!(all[1], Err((Reason::MissingField, 2, "{\"eventName\": 3}".len())));
        assert_eq!(all[0], read(&Format::Shipped("cloudtrail"), good.as_bytes())[0]);
        assert!(all[0].is_ok() && all[2].is_ok());
        assert!(matches!(read(&Format::Shipped("cloudtrail"), b"{\"Records\": [")[..], [Err(_)]));
        assert!(read(&Format::Shipped("cloudtrail"), b"{\"Records\": []}").is_empty());
    }

    #[test]
    fn a_conversation_becomes_its_calls_and_a_broken_one_shows_nothing_of_itself() {
        let good = include_str!("../../../schemas/examples/transcripts/valid-openai-chat.json");
        let all = read(&Format::Transcript, good.as_bytes());
        assert!(!all.is_empty() && all.iter().all(Result::is_ok), "{all:?}");
        let broken = read(&Format::Transcript, b"{\"agent_id\": \"a\", \"messages\": 3, \"secret\": 1}");
        assert!(matches!(broken[..], [Err((_, 1, 0))]), "{broken:?}");
        let long = format!("{{\"x\": \"{}\"}}", "y".repeat(LINE_LIMIT_BYTES));
        assert_eq!(read(&Format::Transcript, long.as_bytes()), [Err((Reason::TooLong, 1, 0))]);
    }
}
