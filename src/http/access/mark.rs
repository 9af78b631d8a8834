//! The mark of a form: shows that it comes from a page that was shown to whoever sends it.
//!
//! Knows keys and hashes. Must not know who is let in.
//!
//! It is bound to what lets its holder in. A token is a secret that the holder and every instance have: it is the key itself,
//! so that a page of one instance may be sent to another. Names in a certificate are no secret, and neither is being on this
//! machine: there the key is random, and the process's own.

use std::io;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::Holder;

/// Bytes of a mark that are shown.
const BYTES: usize = 16;

/// Makes marks.
pub(super) struct Marks([u8; 32]);

impl Marks {
    /// With a key of its own.
    ///
    /// # Errors
    ///
    /// When the operating system has no random numbers.
    pub fn new() -> io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self(key))
    }

    /// The mark of a form about something, for whoever was let in as this. Hexadecimal digits.
    pub fn of(&self, holder: &Holder, what: &str) -> String {
        let (key, kind, names) = match holder {
            Holder::Token(token) => (token.as_bytes(), "token", &[][..]),
            Holder::Certificate(names) => (&self.0[..], "certificate", &names[..]),
            Holder::Local => (&self.0[..], "local", &[][..]),
        };
        // A key of any length is one to HMAC.
        let Ok(mut hash) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
        // Lengths keep parts apart that run into each other.
        for part in ["tiltmeter form 1", kind, what].into_iter().chain(names.iter().map(String::as_str)) {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().into_bytes().iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect()
    }
}
