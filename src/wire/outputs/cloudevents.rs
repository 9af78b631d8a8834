//! CloudEvents 1.0 with its binding to Kafka: an envelope that says what a message is.
//!
//! Knows attributes and headers. Must not know what a message means.
//!
//! Source: CloudEvents specification 1.0.2, and its Kafka protocol binding.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Rendered, Told, Unfit, json};

/// Who tells.
const SOURCE: &str = "urn:tiltmeter";
/// What the data are.
const DATA: &str = "application/json";

/// Where the attributes stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Beside the data, in the value.
    Structured,
    /// In headers of the record; the value is the data.
    Binary,
}

/// A message in its envelope.
///
/// The id is a hash of the message, so that one that is told again has the same one.
pub(super) fn event(told: &Told<'_>, identity: &str, mode: Mode) -> Result<Rendered, Unfit> {
    let data = told.json()?;
    let hash = Sha256::digest(&data);
    let id: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let (kind, schema, time, sequence) = match told {
        Told::Alert(alert) => {
            ("io.tiltmeter.agent.risk.detection.v1", "urn:tiltmeter:schema:agent-alerts:v1", alert.time, None)
        }
        Told::Risk(risk) => (
            "io.tiltmeter.agent.risk.changed.v1",
            "urn:tiltmeter:schema:agent-risk:v1",
            risk.as_of,
            // Text that sorts as the numbers do, as the extension `sequence` asks.
            Some(format!("{:020}", risk.seq)),
        ),
    };
    let mut attributes = vec![
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", id),
        ("ce_source", SOURCE.to_owned()),
        ("ce_type", kind.to_owned()),
        ("ce_subject", subject(identity)),
        ("ce_time", time.to_string()),
        ("ce_dataschema", schema.to_owned()),
    ];
    attributes.extend(sequence.map(|sequence| ("ce_sequence", sequence)));
    if mode == Mode::Binary {
        attributes.insert(0, ("content-type", DATA.to_owned()));
        return Ok(Rendered { value: data, headers: attributes });
    }
    let mut event: Map<String, Value> = attributes
        .into_iter()
        .map(|(name, value)| (name.trim_start_matches("ce_").to_owned(), value.into()))
        .collect();
    event.insert("datacontenttype".to_owned(), DATA.into());
    #[derive(serde::Serialize)]
    struct Structured<'e> {
        #[serde(flatten)]
        attributes: Map<String, Value>,
        data: &'e RawValue,
    }
    let data: &RawValue = serde_json::from_slice(&data)?;
    let value = json::to_vec(&Structured { attributes: event, data })?;
    let headers = vec![("content-type", "application/cloudevents+json; charset=UTF-8".to_owned())];
    Ok(Rendered { value, headers })
}

/// A name as an attribute, in which control characters must not be: what is hidden is percent-encoded, and so is `%`. Never
/// empty.
fn subject(identity: &str) -> String {
    let mut text = String::with_capacity(identity.len());
    for c in identity.chars() {
        if c == '%' || json::is_hidden(c) {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                text.push_str(&format!("%{byte:02X}"));
            }
        } else {
            text.push(c);
        }
    }
    if text.is_empty() { "unknown".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::outputs::record::samples;

    #[test]
    fn a_message_told_again_has_its_id_and_another_has_another() {
        let ids: Vec<String> = samples()
            .iter()
            .chain(&samples())
            .map(|told| {
                let binary = event(told, "a", Mode::Binary).unwrap();
                binary.headers.into_iter().find(|(name, _)| *name == "ce_id").unwrap().1
            })
            .collect();
        assert_eq!((&ids[0], &ids[1]), (&ids[2], &ids[3]));
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn both_modes_say_the_same() {
        for told in samples() {
            let structured = event(&told, "a\n%", Mode::Structured).unwrap();
            let binary = event(&told, "a\n%", Mode::Binary).unwrap();
            let value: Value = serde_json::from_slice(&structured.value).unwrap();
            for (name, header) in &binary.headers {
                let name = if *name == "content-type" { "datacontenttype" } else { name };
                assert_eq!(value[name.trim_start_matches("ce_")], **header, "{name}");
            }
            assert_eq!(value["subject"], "a%0A%25");
            assert_eq!(value["data"], serde_json::from_slice::<Value>(&binary.value).unwrap());
        }
    }
}
