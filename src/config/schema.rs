//! The JSON Schema of the configuration, made from the settings and the fields of rules.
//!
//! Knows how a schema is written. Must not know any setting by name.

use serde_json::{Map, Value, json};

use super::Config;
use super::rules::{CALLS, VALUES, operators};
use super::setting::{Allowed, Setting};
use super::sources::THREADS;
use crate::detect::rules::LONGEST_NAME;
use crate::detect::rules::field::{Field, FieldKind};
use crate::risk::Level;
use crate::wire::outputs::Kind;

/// JSON Schema (draft 2020-12) of the configuration, for editors and for checks before a file is rolled out.
///
/// It refuses unknown names, wrong types and numbers outside their range. What it cannot say, `tiltmeter check`
/// does: whether files exist, names of rules differ, spans and networks are well formed.
pub fn schema() -> Value {
    let mut tables = Map::new();
    for setting in Config::default().all() {
        insert(&mut tables, setting.name, described(setting));
    }
    tables.insert(
        "rules".to_owned(),
        json!({
            "description": "What the operator wants to be told, whether or not it is unusual.",
            "type": "array",
            "items": { "$ref": "#/$defs/rule" }
        }),
    );
    tables.insert(
        "sources".to_owned(),
        json!({
            "description": "Topics whose records are translated to audit events.",
            "type": "array",
            "items": {
                "type": "object", "additionalProperties": false, "required": ["topic", "source"],
                "properties": {
                    "topic": { "description": "Its topic.", "type": "string", "minLength": 1 },
                    "source": {
                        "description": "Its format: native, transcript, cloudtrail, or a mapping file; relative to this file.",
                        "type": "string", "minLength": 1
                    },
                    "threads": {
                        "description": "Consumers of it in this process.",
                        "type": "integer", "minimum": THREADS.start(), "maximum": THREADS.end(), "default": 1
                    }
                }
            }
        }),
    );
    tables.insert(
        "sinks".to_owned(),
        json!({
            "description": "Formats in which alerts and risk updates are told besides our own, in topics of their own.",
            "type": "array",
            "items": {
                "type": "object", "additionalProperties": false, "required": ["format"],
                "properties": {
                    "format": {
                        "description": "cloudevents, cloudevents-binary, ocsf, caep, ecs, cef, graph, sentinel, or an output mapping; relative to this file.",
                        "type": "string", "minLength": 1
                    },
                    "topics": {
                        "description": "What is told: all that the format has records for, or only these.",
                        "type": "array", "minItems": 1, "items": { "enum": Kind::ALL.map(Kind::name) }
                    },
                    "name": {
                        "description": "What the names of its topics end in; by default the name of the format.",
                        "type": "string", "pattern": "^[A-Za-z0-9._-]+$"
                    }
                }
            }
        }),
    );
    tables.insert(
        "webhooks".to_owned(),
        json!({
            "description": "Addresses that alerts and risk updates are sent to.",
            "type": "array",
            "items": {
                "type": "object", "additionalProperties": false, "required": ["name", "url"],
                "properties": {
                    "name": {
                        "description": "Its own name; part of the names of its consumer groups.",
                        "type": "string", "pattern": "^[A-Za-z0-9._-]+$"
                    },
                    "url": {
                        "description": "Where to send: http:// or https://.",
                        "type": "string", "pattern": "^https?://."
                    },
                    "format": {
                        "description": "native, cloudevents, ocsf, caep, ecs, cef, graph, sentinel, or an output mapping; relative to this file.",
                        "type": "string", "minLength": 1, "default": "native"
                    },
                    "topics": {
                        "description": "What is sent: all that the format has records for, or only these.",
                        "type": "array", "minItems": 1, "items": { "enum": Kind::ALL.map(Kind::name) }
                    },
                    "ca_file": {
                        "description": "Certificates that are trusted behind https:// (PEM); without it, those of the operating system.",
                        "type": "string"
                    },
                    "secret": {
                        "description": "Where the secret is kept that signs; without it nothing is signed.",
                        "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
                        "properties": { "file": text(), "env": text() }
                    },
                    "authorization": {
                        "description": "Where the value of the header `authorization` is kept; without it there is no such header.",
                        "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
                        "properties": { "file": text(), "env": text() }
                    }
                }
            }
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:tiltmeter:schema:config:v1",
        "title": "Configuration",
        "description": "The configuration file (TOML) of Tiltmeter. Everything may be left out.",
        "type": "object",
        "additionalProperties": false,
        "properties": tables,
        "$defs": {
            "texts": {
                "description": "Text, or a list of texts of which one is enough.",
                "anyOf": [text(), { "type": "array", "minItems": 1, "items": text() }]
            },
            "numbers": {
                "description": "A number, or a list of numbers of which one is enough.",
                "anyOf": [{ "type": "number" }, { "type": "array", "minItems": 1, "items": { "type": "number" } }]
            },
            "span": {
                "description": "A length of time such as 10m, 36h or 1d 12h; from one second to seven days.",
                "type": "string", "minLength": 2
            },
            "text": test(FieldKind::Text),
            "address": test(FieldKind::Address),
            "number": test(FieldKind::Number),
            "rule": rule(),
        }
    })
}

/// Puts a setting into its tables.
fn insert(tables: &mut Map<String, Value>, name: &str, schema: Value) {
    match name.split_once('.') {
        None => _ = tables.insert(name.to_owned(), schema),
        Some((table, rest)) => {
            let empty = json!({ "type": "object", "additionalProperties": false, "properties": {} });
            let table = tables.entry(table).or_insert(empty);
            if let Some(properties) = table.get_mut("properties").and_then(Value::as_object_mut) {
                insert(properties, rest, schema);
            }
        }
    }
}

fn described(setting: &Setting) -> Value {
    let mut schema = match setting.allowed {
        Allowed::Number { least, most } => json!({ "type": "number", "minimum": least, "maximum": most }),
        Allowed::Whole { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Allowed::Flag => json!({ "type": "boolean" }),
        Allowed::Path => text(),
        Allowed::Patterns => json!({ "type": "array", "items": text() }),
        Allowed::Choices(names) => json!({ "type": "object", "additionalProperties": { "enum": names } }),
        Allowed::Text => text(),
        Allowed::OneOf(names) => json!({ "enum": names }),
        Allowed::Secret => json!({
            "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
            "properties": { "file": text(), "env": text() }
        }),
        Allowed::Properties => {
            json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean", "object"] } })
        }
    };
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), setting.about.into());
        // Every default but an empty table is written alike in TOML and in JSON.
        if let Ok(default) = serde_json::from_str(&setting.default) {
            schema.insert("default".to_owned(), default);
        }
    }
    schema
}

fn rule() -> Value {
    let fields: Map<String, Value> =
        Field::ALL.into_iter().map(|field| (field.name().to_owned(), of_field(field))).collect();
    let names: Vec<&str> = Field::ALL.map(Field::name).to_vec();
    let says =
        ["when", "honeytoken", "sensitive", "count", "distinct"].map(|key| json!({ "required": [key] }));
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["name"],
        "anyOf": says,
        "not": { "anyOf": [{ "required": ["count", "distinct"] }, { "required": ["honeytoken", "sensitive"] }] },
        "properties": {
            "name": { "description": "Its own name.", "type": "string", "minLength": 1, "maxLength": LONGEST_NAME },
            "level": {
                "description": "Level of an agent for which the rule holds: high for honeytoken, otherwise low.",
                "enum": Level::ALL.map(Level::name)
            },
            "when": {
                "description": "Fields of the event and what each must be; all of them.",
                "type": "object", "additionalProperties": false, "minProperties": 1, "properties": fields
            },
            "honeytoken": {
                "description": "Patterns of resources that nobody has any business with.",
                "$ref": "#/$defs/texts"
            },
            "sensitive": { "description": "Patterns of resources that are watched.", "$ref": "#/$defs/texts" },
            "count": {
                "description": "At least so many such calls of one agent within the span.",
                "type": "object", "additionalProperties": false, "required": ["at_least", "within"],
                "properties": {
                    "at_least": { "type": "integer", "minimum": CALLS.start(), "maximum": CALLS.end() },
                    "within": { "$ref": "#/$defs/span" }
                }
            },
            "distinct": {
                "description": "At least so many different values of a field in such calls of one agent within the span.",
                "type": "object", "additionalProperties": false, "required": ["of", "at_least", "within"],
                "properties": {
                    "of": { "enum": names },
                    "at_least": { "type": "integer", "minimum": VALUES.start(), "maximum": VALUES.end() },
                    "within": { "$ref": "#/$defs/span" }
                }
            }
        }
    })
}

fn of_field(field: Field) -> Value {
    match field.kind() {
        FieldKind::Text => json!({ "$ref": "#/$defs/text" }),
        FieldKind::Address => json!({ "$ref": "#/$defs/address" }),
        FieldKind::Number => json!({ "$ref": "#/$defs/number" }),
        kind @ FieldKind::Name(_) => test(kind),
    }
}

/// What may be asked of a field: a value, a list of them, or a table of operators.
fn test(kind: FieldKind) -> Value {
    let value = match kind {
        FieldKind::Text | FieldKind::Address => json!({ "$ref": "#/$defs/texts" }),
        FieldKind::Number => json!({ "$ref": "#/$defs/numbers" }),
        FieldKind::Name(names) => {
            let name = json!({ "enum": names });
            json!({ "anyOf": [name, { "type": "array", "minItems": 1, "items": name }] })
        }
    };
    let own = operators(kind).into_iter().filter(|operator| !matches!(*operator, "not" | "absent"));
    let mut properties: Map<String, Value> =
        own.map(|operator| (operator.to_owned(), operand(operator))).collect();
    let plain = json!({
        "type": "object", "additionalProperties": false, "minProperties": 1, "properties": properties
    });
    let not = json!({ "description": "Not this, or not all of these.", "anyOf": [value, plain] });
    properties.insert("not".to_owned(), not);
    let absent = json!({
        "type": "object", "additionalProperties": false, "required": ["absent"],
        "properties": { "absent": { "description": "The event does not have the field.", "type": "boolean" } }
    });
    let all = json!({
        "type": "object", "additionalProperties": false, "minProperties": 1, "properties": properties
    });
    json!({ "anyOf": [value, all, absent] })
}

fn operand(operator: &str) -> Value {
    match operator {
        "above" | "below" => json!({ "type": "number" }),
        _ => json!({ "$ref": "#/$defs/texts" }),
    }
}

fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}
