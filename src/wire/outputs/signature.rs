//! Signs what is sent to a webhook, so that its receiver knows that it is ours, whole, and not sent again by somebody else.
//!
//! Knows the scheme. Must not know where a secret is kept, nor how anything is sent.
//!
//! Source: Standard Webhooks 1.0.0: HMAC-SHA-256 over id, time and body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// A secret that begins so is followed by its bytes in base64.
const PREFIX: &str = "whsec_";

/// The id of a message: of a record the same whenever it is sent. 32 hexadecimal digits.
pub fn message_id(topic: &str, partition: i32, offset: i64) -> String {
    let place = format!("{topic}/{partition}/{offset}");
    Sha256::digest(place.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The value of the header `webhook-signature`; none where a secret that should be base64 is not.
///
/// * `id`: of the message, the same whenever it is sent; without a dot.
/// * `seconds`: when it is sent. Since 1970.
pub fn sign(secret: &str, id: &str, seconds: u64, body: &[u8]) -> Option<String> {
    let key = match secret.strip_prefix(PREFIX) {
        Some(encoded) => STANDARD.decode(encoded).ok()?,
        None => secret.as_bytes().to_vec(),
    };
    let mut hash = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    hash.update(format!("{id}.{seconds}.").as_bytes());
    hash.update(body);
    Some(format!("v1,{}", STANDARD.encode(hash.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_that_the_scheme_publishes() {
        // The example of the reference implementations.
        let signature = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(sign("whsec_no base64", "id", 0, b""), None);
    }
}
