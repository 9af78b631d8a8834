//! Bodies of requests: read once it is known that whoever sends them may, and for so long.
//!
//! Knows sizes, kinds and time. Must not know what a body says.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};

use super::problem::{Problem, shown};

/// The largest body. Bytes.
pub(super) const LARGEST_BYTES: usize = 64 << 10;
/// The whole of it is there within this.
const SENT_WITHIN: Duration = Duration::from_secs(15);

/// A body that is called JSON and may be a JSON object.
///
/// * `what`: what it should be, for messages: `a verdict`.
///
/// # Errors
///
/// When it is called otherwise, is too large or too slow, or is no object.
pub(super) async fn json(request: Request, what: &str) -> Result<Bytes, Problem> {
    let kind = kind(request.headers());
    // A form in a page of somebody else cannot say this.
    if !kind.eq_ignore_ascii_case("application/json") {
        let detail = format!("Content-Type is {}; send application/json", shown(kind));
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "no-json", detail));
    }
    let body = read(request, what).await?;
    // Fields in a list would be taken in their order: whoever sends one means something else.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::bad("no-object", format!("the body is no JSON object, which {what} is")));
    }
    Ok(body)
}

/// The body of a form.
///
/// # Errors
///
/// When it is called otherwise, is too large or too slow, or is no UTF-8.
pub(super) async fn form(request: Request) -> Result<String, Problem> {
    let kind = kind(request.headers());
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let detail = format!(
            "Content-Type is {}; this route is for the form of the page, POST /v1/verdicts for programs",
            shown(kind)
        );
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "no-form", detail));
    }
    let body = read(request, "a form").await?;
    String::from_utf8(body.into()).map_err(|_| Problem::bad("invalid-form", "the form is no UTF-8"))
}

async fn read(request: Request, what: &str) -> Result<Bytes, Problem> {
    match tokio::time::timeout(SENT_WITHIN, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) => {
            let detail = format!("{rejection}; {what} has at most 64 KiB");
            Err(Problem::new(rejection.status(), "unreadable-body", detail))
        }
        Err(_) => {
            let detail =
                format!("the body was not there within {} s; send it at once", SENT_WITHIN.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", detail))
        }
    }
}

/// What a body is called, without its parameters.
fn kind(headers: &HeaderMap) -> &str {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}
