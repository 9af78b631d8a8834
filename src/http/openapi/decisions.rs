//! What people with a role ask for, as OpenAPI: verdicts, and test alerts.
//!
//! Knows parameters and answers by name. Must not answer.

use serde_json::{Value, json};

use super::{answer, parameter, problem, reference};
use crate::risk::{Decision, Level};

/// `POST /v1/verdicts`
pub(super) fn verdict() -> Value {
    json!({
        "operationId": "giveVerdict",
        "summary": "Gives a verdict on an agent. Role analyst; admin for `accept`.",
        "parameters": [
            parameter("wait", "query", "Waits for so long until the level has changed because of it: `2s`, `500ms`, at most `30s`.", json!({ "type": "string", "pattern": "^(([0-9]|[12][0-9]|30)s|([0-9]{1,4}|[12][0-9]{4}|30000)ms)$" })),
            idempotency_key()
        ],
        "requestBody": { "required": true, "content": { "application/json": { "schema": {
            "type": "object", "additionalProperties": false, "required": ["agent_id", "verdict", "by"],
            "properties": {
                "agent_id": { "type": "string", "minLength": 1, "maxLength": 256 },
                "tenant": { "type": ["string", "null"], "maxLength": 256 },
                "verdict": { "enum": Decision::ALL.map(Decision::name) },
                "by": { "description": "Who decided; not only spaces.", "type": "string", "minLength": 1, "maxLength": 1024, "pattern": "[^\\s]" },
                "reason": { "type": "string", "maxLength": 1024 },
                "time": { "description": "From when on it holds, from 2000 to 2100; left out: from now on.", "type": ["string", "null"], "format": "date-time" }
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
            "408": problem("The body was not sent within 15 s."),
            "409": problem("Another verdict was given with this key, or the one who proposed it cannot complete it."),
            "413": problem("The body is larger than 64 KiB."),
            "415": problem("The body is not called JSON."),
            "422": problem("The verdict breaks a limit."),
            "429": problem("Many verdicts are being written."),
            "503": problem("It is not known to be written: give it again with the same key.")
        }
    })
}

/// `POST /v1/test-alert`
pub(super) fn test() -> Value {
    json!({
        "operationId": "testAlert",
        "summary": "Writes an alert that is marked as a test and closes at once. Role admin.",
        "description": "It goes where every alert goes: topics, formats, webhooks. It is about the agent `tiltmeter-test`, whose level changes only where one is asked for.",
        "parameters": [idempotency_key()],
        "requestBody": { "required": true, "content": { "application/json": { "schema": {
            "type": "object", "additionalProperties": false,
            "properties": { "level": { "description": "The level that the test agent gets, and keeps until another test.", "enum": Level::ALL.map(Level::name) } }
        } } } },
        "responses": {
            "202": answer("It is written, in all replicas; or was before.", json!({
                "type": "object",
                "required": ["alert_id", "agent_id", "written", "topic"],
                "properties": {
                    "alert_id": { "type": "string" }, "agent_id": { "const": "tiltmeter-test" },
                    "written": { "description": "Whether it was written now; false where this test had been told before.", "type": "boolean" },
                    "topic": { "type": "string" }, "partition": { "type": "integer" }, "offset": { "type": "integer" },
                    "level": { "enum": Level::ALL.map(Level::name) }
                }
            })),
            "400": problem("The request cannot be understood."),
            "401": problem("No token, or an unknown one."),
            "403": problem("The token's role is too low, or no tokens are configured."),
            "408": problem("The body was not sent within 15 s."),
            "413": problem("The body is larger than 64 KiB."),
            "415": problem("The body is not called JSON."),
            "429": problem("Many verdicts and tests are being written."),
            "503": problem("It is not known to be written: send it again with the same key.")
        }
    })
}

/// `POST /agents/{id}/verdict`
pub(super) fn form() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "operationId": "decideOnPage",
        "summary": "The form of an agent's page. Role analyst; admin for `accept`. Programs use /v1/verdicts.",
        "security": [{ "bearer": [] }, { "password": [] }],
        "parameters": [
            parameter("id", "path", "Id of the agent, percent-encoded.", text.clone()),
            parameter("tenant", "query", "Tenant of the agent, where its events name one.", text.clone())
        ],
        "requestBody": { "required": true, "content": { "application/x-www-form-urlencoded": { "schema": {
            "type": "object", "additionalProperties": false, "required": ["mark", "verdict", "by"],
            "properties": {
                "mark": { "description": "Shows that the form is one of ours.", "type": "string" },
                "key": text.clone(), "verdict": { "enum": Decision::ALL.map(Decision::name) }, "by": text.clone(), "reason": text
            }
        } } } },
        "responses": {
            "303": { "description": "It is written; back to the page.", "headers": { "Location": { "description": "The page.", "schema": { "type": "string" } } } },
            "400": problem("The request cannot be understood."),
            "401": problem("No token, or an unknown one."),
            "403": problem("The form is not one that the page showed, the token's role is too low, or no tokens are configured."),
            "408": problem("The form was not sent within 15 s."),
            "409": problem("The one who proposed it cannot complete it."),
            "413": problem("The body is larger than 64 KiB."),
            "415": problem("The body is no form."),
            "422": problem("The verdict breaks a limit."),
            "429": problem("Many verdicts are being written."),
            "503": problem("It is not known to be written: send the form again.")
        }
    })
}

fn idempotency_key() -> Value {
    let about = "Given again with the same key, it is written once.";
    parameter(
        "Idempotency-Key",
        "header",
        about,
        json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
    )
}
