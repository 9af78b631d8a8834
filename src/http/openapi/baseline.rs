//! What is normal for a type, as OpenAPI.
//!
//! Knows parameters and answers by name. Must not answer.

use serde_json::{Value, json};

use super::{answer, parameter, problem};

/// `GET /v1/agent-types/{type}/baseline`
pub(super) fn of_type() -> Value {
    let (text, number) = (json!({ "type": "string" }), json!({ "type": "number", "minimum": 0 }));
    let whole = json!({ "type": "integer", "minimum": 0 });
    json!({
        "operationId": "baseline",
        "summary": "What is normal for the agents of a type. Role viewer.",
        "description": "Names are kept as hashes: those that are asked for are looked up, those that this instance saw in events of the type since it began, and those in the last alerts of the type.",
        "parameters": [
            parameter("type", "path", "The type, percent-encoded.", text.clone()),
            parameter("action", "query", "How usual is this action?", text.clone()),
            parameter("resource", "query", "How usual is this resource?", text.clone())
        ],
        "responses": {
            "200": answer("It, as of the newest version.", json!({
                "type": "object",
                "required": ["agent_type", "version", "agents", "sessions", "hours", "rates", "refused_share", "carries_provenance", "size", "names"],
                "properties": {
                    "agent_type": text, "version": whole,
                    "written": { "type": "string", "format": "date-time" }, "age_secs": whole,
                    "agents": number, "sessions": number, "hours": number,
                    "rates": { "type": "array", "items": {
                        "type": "object", "required": ["window_minutes", "events"],
                        "properties": { "window_minutes": { "enum": [5, 60] }, "events": number }
                    } },
                    "refused_share": { "type": "number", "minimum": 0, "maximum": 1 },
                    "carries_provenance": { "type": "boolean" },
                    "size": {
                        "description": "Cells of what is kept.", "type": "object",
                        "required": ["keys", "transitions", "origins", "values"],
                        "properties": { "keys": whole, "transitions": whole, "origins": whole, "values": whole }
                    },
                    "names": { "description": "The most usual first.", "type": "array", "items": {
                        "type": "object", "required": ["kind", "name", "agents", "share", "share_of_fleet"],
                        "properties": {
                            "kind": { "enum": ["action", "resource"] }, "name": { "type": "string" },
                            "agents": { "description": "Agents of the type that used it, faded.", "type": "number", "minimum": 0 },
                            "share": { "description": "Share of the agents of the type that use it.", "type": "number", "minimum": 0, "maximum": 1 },
                            "share_of_fleet": { "type": "number", "minimum": 0, "maximum": 1 }
                        }
                    } }
                }
            })),
            "400": problem("The request cannot be understood."),
            "401": problem("No token, or an unknown one."),
            "403": problem("The token's role is too low, or no tokens are configured."),
            "404": problem("Nothing was learned of the type yet."),
            "503": problem("The baselines are still being read.")
        }
    })
}
