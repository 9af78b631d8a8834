//! What a JSON Web Token says about itself: whose it is and how long it holds.
//!
//! Knows the middle part of a token (RFC 7519 §4.1). Must not judge whether it is genuine: the broker does.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::client::OAuthToken;
use serde::Deserialize;

use super::secret::Secret;

#[derive(Deserialize)]
struct Claims {
    sub: String,
    /// Seconds since 1970.
    exp: i64,
}

/// A token as librdkafka wants it. None if it is no JSON Web Token with `sub` and `exp`.
pub fn oauth_token(token: &Secret) -> Option<OAuthToken> {
    let middle = token.reveal().split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(middle).ok()?).ok()?;
    Some(OAuthToken {
        token: token.reveal().to_owned(),
        principal_name: claims.sub,
        lifetime_ms: claims.exp.checked_mul(1000)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::secret::SecretPlace;

    fn read(token: &str) -> Option<OAuthToken> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), token).unwrap();
        oauth_token(&SecretPlace::File(file.path().to_owned()).read().unwrap())
    }

    #[test]
    fn a_token_says_whose_it_is_and_until_when() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"tiltmeter","exp":1767225600,"aud":"kafka"}"#);
        let token = read(&format!("head.{claims}.signature")).unwrap();
        assert_eq!((token.principal_name.as_str(), token.lifetime_ms), ("tiltmeter", 1_767_225_600_000));
        assert!(read("no token").is_none() && read("a.%%.b").is_none());
    }
}
