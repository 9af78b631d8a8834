//! What a request says of who sends it, in its headers.
//!
//! Knows the forms of `Authorization`. Must not know which tokens there are.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

fn credentials<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then_some(rest)
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<String> {
    credentials(headers, "bearer").map(str::to_owned)
}

/// The password, whatever the name of the user.
pub(super) fn password(headers: &HeaderMap) -> Option<String> {
    Some(basic(headers)?.1)
}

/// The name that a browser gave beside the password, if any. Nobody checks it.
pub fn user(headers: &HeaderMap) -> Option<String> {
    Some(basic(headers)?.0).filter(|name| !name.trim().is_empty())
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let bytes = BASE64.decode(credentials(headers, "basic")?.trim()).ok()?;
    let (name, password) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}
