//! What receivers of security event tokens read: who sends them, and the keys of the signatures.
//!
//! Knows two documents, which anybody may read. Must not know what a token says.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::problem::Problem;
use super::{Serving, json};
use crate::wire::outputs::caep::Transmitter;

/// For so long receivers may keep a document: whoever changes keys publishes the new one for longer before it signs.
const KEPT: &str = "public, max-age=300";

/// `GET /.well-known/ssf-configuration`
pub(super) async fn metadata(State(serving): State<Arc<Serving>>) -> Result<Response, Problem> {
    document(&serving, Transmitter::metadata)
}

/// `GET /.well-known/jwks.json`
pub(super) async fn keys(State(serving): State<Arc<Serving>>) -> Result<Response, Problem> {
    document(&serving, Transmitter::jwks)
}

fn document(serving: &Serving, of: fn(&Transmitter) -> Value) -> Result<Response, Problem> {
    let transmitter = serving.transmitter.as_ref().ok_or_else(|| {
        let detail = "no security event tokens are sent: [caep] is not configured (docs/formats.md)";
        Problem::new(StatusCode::NOT_FOUND, "no-transmitter", detail)
    })?;
    let kept = [(header::CACHE_CONTROL, HeaderValue::from_static(KEPT))];
    Ok((kept, json(StatusCode::OK, &of(transmitter))).into_response())
}
