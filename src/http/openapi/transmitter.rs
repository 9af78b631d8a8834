//! What receivers of security event tokens read, as OpenAPI.
//!
//! Knows answers by name. Must not answer.

use serde_json::{Value, json};

use super::{answer, plain, problem};

/// `GET /.well-known/ssf-configuration`
pub(super) fn metadata() -> Value {
    plain(
        "transmitter",
        "The transmitter of security event tokens (Shared Signals Framework 1.0 §7).",
        json!({
            "200": answer("It.", json!({
                "type": "object", "required": ["spec_version", "issuer", "jwks_uri"],
                "properties": {
                    "spec_version": { "type": "string" }, "issuer": { "type": "string", "format": "uri" },
                    "jwks_uri": { "type": "string", "format": "uri" },
                    "delivery_methods_supported": { "type": "array", "items": { "type": "string" } },
                    "default_subjects": { "enum": ["ALL", "NONE"] }
                }
            })),
            "404": problem("No tokens are sent: [caep] is not configured.")
        }),
    )
}

/// `GET /.well-known/jwks.json`
pub(super) fn keys() -> Value {
    plain(
        "keys",
        "The public keys of its signatures (RFC 7517).",
        json!({
            "200": answer("They, the one that signs first.", json!({
                "type": "object", "required": ["keys"],
                "properties": { "keys": { "type": "array", "items": { "type": "object" } } }
            })),
            "404": problem("No tokens are sent: [caep] is not configured.")
        }),
    )
}
