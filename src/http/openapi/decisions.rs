//! What is asked of people with a role, as OpenAPI: verdicts.
//!
//! Knows parameters and answers by name. Must not answer.

use serde_json::{Value, json};

use super::{answer, parameter, problem, reference};
use crate::risk::Decision;

/// `POST /v1/verdicts`
pub(super) fn verdict() -> Value {
    json!({
        "operationId": "giveVerdict",
        "summary": "Gives a verdict on an agent. Role analyst; admin for `accept`.",
        "parameters": [
            parameter("wait", "query", "Waits for so long until the level has changed because of it: `2s`, `500ms`, at most `30s`.", json!({ "type": "string", "pattern": "^[0-9]+(s|ms)$" })),
            parameter("Idempotency-Key", "header", "Given again with the same key, the verdict is written once.", json!({ "type": "string", "minLength": 1, "maxLength": 255 }))
        ],
        "requestBody": { "required": true, "content": { "application/json": { "schema": {
            "type": "object", "additionalProperties": false, "required": ["agent_id", "verdict", "by"],
            "properties": {
                "agent_id": { "type": "string" },
                "tenant": { "type": ["string", "null"] },
                "verdict": { "enum": Decision::ALL.map(Decision::name) },
                "by": { "description": "Who decided.", "type": "string", "minLength": 1 },
                "reason": { "type": "string" },
                "time": { "description": "From when on it holds; left out: from now on.", "type": ["string", "null"], "format": "date-time" }
            }
        } } } },
        "responses": {
            "202": answer("It is written to the control topic, in all replicas.", json!({
                "type": "object",
                "required": ["id", "topic", "partition", "offset", "took_effect"],
                "properties": {
                    "id": { "type": "string" }, "topic": { "type": "string" },
                    "partition": { "type": "integer" }, "offset": { "type": "integer" },
                    "took_effect": { "description": "Whether the level changed because of it meanwhile.", "type": "boolean" },
                    "proposed": reference("Proposal"),
                    "risk": reference("AgentRisk")
                }
            })),
            "400": problem("The request cannot be understood."),
            "401": problem("No token, or an unknown one."),
            "403": problem("The token's role is too low, or no tokens are configured."),
            "409": problem("Another verdict was given with this key, or the one who proposed it cannot complete it."),
            "413": problem("The body is larger than 64 KiB."),
            "415": problem("The body is not called JSON."),
            "422": problem("The verdict breaks a limit."),
            "429": problem("Many verdicts are being written."),
            "503": problem("It is not known to be written: give it again with the same key.")
        }
    })
}
