//! What went wrong, as `application/problem+json` (RFC 9457): the thing, its value, and what to do.
//!
//! Knows status codes. Must not tell anything that a caller may not know.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use crate::wire::outputs::json::to_vec;

/// Characters of a wrong value that are shown.
const SHOWN_CHARS: usize = 64;

/// What those are asked for who send no token.
const BEARER: &str = "Bearer realm=\"tiltmeter\"";

/// An answer that is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    status: StatusCode,
    name: &'static str,
    detail: String,
    members: Map<String, Value>,
    /// How a browser may ask a person for a token.
    challenge: &'static str,
}

impl Problem {
    /// * `name`: words with hyphens, the end of its `type`.
    /// * `detail`: a sentence for a person.
    pub fn new(status: StatusCode, name: &'static str, detail: impl Into<String>) -> Self {
        Self { status, name, detail: detail.into(), members: Map::new(), challenge: BEARER }
    }

    /// A request that cannot be understood.
    pub fn bad(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, name, detail)
    }

    /// The same for a browser, which asks a person for a password then.
    pub fn asks_for_password(mut self) -> Self {
        self.challenge = "Basic realm=\"tiltmeter\", charset=\"UTF-8\"";
        self
    }

    /// With another member.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }
}

/// A wrong value, short and printable.
pub fn shown(value: &str) -> String {
    let cut: String = value.chars().take(SHOWN_CHARS).collect();
    format!("{cut:?}")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut members = self.members;
        members.insert("type".to_owned(), format!("urn:tiltmeter:problem:{}", self.name).into());
        members.insert("title".to_owned(), self.name.replace('-', " ").into());
        members.insert("status".to_owned(), self.status.as_u16().into());
        members.insert("detail".to_owned(), self.detail.into());
        let mut response = (self.status, to_vec(&Value::Object(members)).unwrap_or_default()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(self.challenge));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
