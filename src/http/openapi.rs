//! What is answered, as OpenAPI 3.1.
//!
//! Knows routes, parameters and answers by name; a test compares it with the routes there are. Must not answer.

mod baseline;
mod decisions;
mod transmitter;

use serde_json::{Value, json};

use crate::risk::{Decision, Level};

/// The description of the interface.
pub fn document() -> Value {
    let tenant = parameter(
        "tenant",
        "query",
        "Tenant of the agent, where its events name one.",
        json!({ "type": "string" }),
    );
    let id = parameter(
        "id",
        "path",
        "Id of the agent, percent-encoded: `/` is `%2F`.",
        json!({ "type": "string" }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tiltmeter",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Risk levels of AI agents for an access policy, alerts, and verdicts of people. Any instance answers for all agents.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
        },
        "servers": [{ "url": "/", "description": "The instance that is asked." }],
        "security": [{ "bearer": [] }, { "certificate": [] }],
        "paths": {
            "/": { "get": page("front", "Agents at risk and the last alerts, for people.", &[]) },
            "/agents/{id}": { "get": page("agentPage", "One agent, for people.", &[&id, &tenant]) },
            "/healthz": { "get": plain("lives", "Whether the instance lives.", json!({ "200": text("It lives.") })) },
            "/readyz": { "get": plain("ready", "Whether its partitions are at work.", json!({
                "200": text("It is ready."), "503": text("It is not, and why.")
            })) },
            "/metrics": { "get": plain("metrics", "Metrics in the text format of Prometheus.", json!({ "200": text("The metrics.") })) },
            "/v1/openapi.json": { "get": plain("describe", "This document.", json!({
                "200": { "description": "This document.", "content": { "application/json": { "schema": { "type": "object" } } } }
            })) },
            "/.well-known/ssf-configuration": { "get": transmitter::metadata() },
            "/.well-known/jwks.json": { "get": transmitter::keys() },
            "/v1/agents/{id}/risk": { "get": {
                "operationId": "agentRisk",
                "summary": "The risk level of an agent. Role viewer.",
                "parameters": [id, tenant, parameter("If-None-Match", "header", "The ETag of the answer before.", json!({ "type": "string" }))],
                "responses": {
                    "200": {
                        "description": "Its latest risk update.",
                        "headers": {
                            "ETag": { "description": "Stands for the risk update.", "schema": { "type": "string" } },
                            "Cache-Control": { "description": "`max-age`: for how long the answer may be believed.", "schema": { "type": "string" } },
                            "Fresh-Until": { "description": "The same as a time, as in the body; also with 304.", "schema": { "type": "string", "format": "date-time" } }
                        },
                        "content": { "application/json": { "schema": reference("AgentRisk") } }
                    },
                    "304": { "description": "As the ETag says; nothing has changed." },
                    "400": problem("The request cannot be understood."),
                    "401": problem("No token, or an unknown one."),
                    "403": problem("The token's role is too low, or no tokens are configured."),
                    "404": problem("The agent is not known; `level` is `unknown`."),
                    "503": problem("The levels are still being read; `level` is `unknown`.")
                }
            } },
            "/v1/agents": { "get": {
                "operationId": "agents",
                "summary": "Agents, the highest levels first. Role viewer.",
                "description": "A page may be shorter than `limit`, even empty: go on as long as there is `next_cursor`. An agent whose level changes meanwhile may be missed or told twice.",
                "parameters": [
                    parameter("level", "query", "Those of this level.", json!({ "enum": Level::ALL.map(Level::name) })),
                    parameter("type", "query", "Those of this type.", json!({ "type": "string" })),
                    parameter("cursor", "query", "`next_cursor` of the page before.", json!({ "type": "string" })),
                    parameter("limit", "query", "At most so many.", json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }))
                ],
                "responses": {
                    "200": answer("Some of them.", json!({
                        "type": "object",
                        "required": ["agents", "fresh_until"],
                        "properties": {
                            "agents": { "type": "array", "items": reference("RiskUpdate") },
                            "next_cursor": { "type": "string" },
                            "fresh_until": { "type": "string", "format": "date-time" }
                        }
                    })),
                    "400": problem("The request cannot be understood."),
                    "401": problem("No token, or an unknown one."),
                    "403": problem("The token's role is too low, or no tokens are configured."),
                    "503": problem("The levels are still being read.")
                }
            } },
            "/v1/agents/{id}/alerts": { "get": {
                "operationId": "agentAlerts",
                "summary": "The last alerts of an agent, the latest first. Role viewer.",
                "description": "Each record of the topic of alerts: one that opened, became worse and closed is there three times. An instance keeps the last 100,000 of all agents.",
                "parameters": [id, tenant, parameter("limit", "query", "At most so many.", json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }))],
                "responses": {
                    "200": answer("They; none where none is known.", json!({
                        "type": "object",
                        "required": ["alerts"],
                        "properties": { "alerts": { "type": "array", "items": { "type": "object", "description": "schemas/agent-alert.v1.schema.json" } } }
                    })),
                    "400": problem("The request cannot be understood."),
                    "401": problem("No token, or an unknown one."),
                    "403": problem("The token's role is too low, or no tokens are configured."),
                    "503": problem("The alerts are still being read.")
                }
            } },
            "/v1/events": { "get": {
                "operationId": "events",
                "summary": "Risk updates and alerts as they happen. Role viewer.",
                "description": "Server-sent events: `risk` and `alert` with the record of the topic as data, `gap` where some were missed.",
                "parameters": [parameter("Last-Event-ID", "header", "The last event that was seen.", json!({ "type": "string" }))],
                "responses": {
                    "200": { "description": "They, without end.", "content": { "text/event-stream": { "schema": { "type": "string" } } } },
                    "400": problem("The request cannot be understood."),
                    "401": problem("No token, or an unknown one."),
                    "403": problem("The token's role is too low, or no tokens are configured."),
                    "429": problem("Many follow already."),
                    "503": problem("The levels are still being read.")
                }
            } },
            "/agents/{id}/verdict": { "post": decisions::form() },
            "/v1/agent-types/{type}/baseline": { "get": baseline::of_type() },
            "/v1/verdicts": { "post": decisions::verdict() },
            "/v1/test-alert": { "post": decisions::test() }
        },
        "components": {
            "securitySchemes": { "password": { "type": "http", "scheme": "basic", "description": "A token as the password; the name of the user does not matter." }, "bearer": { "type": "http", "scheme": "bearer", "description": "A token of [http] in the configuration. Where none is configured, only this machine is answered, without one." }, "certificate": { "type": "mutualTLS", "description": "A certificate for a name in [http] client_roles, where the interface is encrypted." } },
            "schemas": {
                "RiskUpdate": {
                    "description": "schemas/agent-risk.v1.schema.json, as the topic of risk has it.",
                    "type": "object",
                    "required": ["schema", "agent_id", "agent_type", "seq", "level", "score", "as_of", "monitoring"],
                    "properties": {
                        "schema": { "type": "string" }, "agent_id": { "type": "string" }, "tenant": { "type": "string" },
                        "agent_type": { "type": "string" }, "seq": { "type": "integer" },
                        "level": { "enum": Level::ALL.map(Level::name) }, "score": { "type": "number", "minimum": 0, "maximum": 100 },
                        "as_of": { "type": "string", "format": "date-time" },
                        "expires_at": { "type": "string", "format": "date-time" },
                        "proposed": reference("Proposal"),
                        "monitoring": { "enum": ["ok", "degraded", "blind"] }
                    }
                },
                "Proposal": {
                    "description": "A verdict that waits for a second person.",
                    "type": "object",
                    "required": ["verdict", "by", "until"],
                    "properties": {
                        "verdict": { "enum": Decision::ALL.map(Decision::name) }, "by": { "type": "string" },
                        "until": { "type": "string", "format": "date-time" }
                    }
                },
                "AgentRisk": {
                    "description": "A risk update, and until when it may be believed.",
                    "allOf": [reference("RiskUpdate")],
                    "required": ["fresh_until"],
                    "properties": { "fresh_until": { "type": "string", "format": "date-time" } }
                },
                "Problem": {
                    "description": "RFC 9457.",
                    "type": "object",
                    "required": ["type", "title", "status", "detail"],
                    "properties": {
                        "type": { "type": "string" }, "title": { "type": "string" }, "status": { "type": "integer" },
                        "detail": { "description": "The thing, its value, and what to do.", "type": "string" },
                        "level": { "const": "unknown" }
                    }
                }
            }
        }
    })
}

/// A route that anybody may ask.
fn plain(id: &str, summary: &str, responses: Value) -> Value {
    json!({ "operationId": id, "summary": summary, "security": [], "responses": responses })
}

/// A page for people.
///
/// * `parameters`: beside the one that all pages have.
fn page(id: &str, summary: &str, parameters: &[&Value]) -> Value {
    let still = parameter(
        "refresh",
        "query",
        "`off`: the page does not look again by itself.",
        json!({ "const": "off" }),
    );
    let parameters: Vec<&Value> = parameters.iter().copied().chain([&still]).collect();
    let html =
        json!({ "description": "The page.", "content": { "text/html": { "schema": { "type": "string" } } } });
    json!({
        "operationId": id,
        "summary": summary,
        "security": [{ "bearer": [] }, { "password": [] }, { "certificate": [] }],
        "parameters": parameters,
        "responses": { "200": html, "400": problem("The request cannot be understood."), "401": problem("No token, or an unknown one."), "403": problem("No tokens are configured.") }
    })
}

fn parameter(name: &str, place: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": place, "required": place == "path", "description": description, "schema": schema })
}

fn text(description: &str) -> Value {
    json!({ "description": description, "content": { "text/plain": { "schema": { "type": "string" } } } })
}

fn answer(description: &str, schema: Value) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

fn problem(description: &str) -> Value {
    json!({ "description": description, "content": { "application/problem+json": { "schema": reference("Problem") } } })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
