//! The tokens that are known, as hashes, and their roles.
//!
//! Knows where they stand, and reads them anew. Must not keep a token, nor show one.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::config::Role;
use crate::kafka::secret::{SecretError, SecretPlace};

/// Tokens are read anew this often, so that one can be changed without a restart.
const READ_EVERY: Duration = Duration::from_secs(10);
/// The shortest token. Bytes; 16 random ones in hexadecimal digits have 32.
const SHORTEST_BYTES: usize = 16;

/// Tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// They cannot be read.
    #[error("[http] {role}_tokens: {source}")]
    Read {
        /// Of which role.
        role: &'static str,
        /// Why.
        source: SecretError,
    },
    /// One is too short.
    #[error(
        "[http] {role}_tokens: line {line} has {bytes} bytes; a token has at least {SHORTEST_BYTES}: make one with \
         `openssl rand -hex 16`, one a line"
    )]
    Short {
        /// Of which role.
        role: &'static str,
        /// Which line.
        line: usize,
        /// How long it is. Bytes.
        bytes: usize,
    },
    /// No mark could be made that nobody guesses.
    #[error("the operating system has no random numbers: {0}; look at /dev/urandom")]
    Random(std::io::Error),
}

type Hash = [u8; 32];

/// Tokens, as they stand in their places now.
pub(super) struct Tokens {
    places: Vec<(Role, SecretPlace)>,
    known: Mutex<(Instant, Vec<(Hash, Role)>)>,
}

impl Tokens {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or are too short.
    pub fn new(places: Vec<(Role, SecretPlace)>) -> Result<Self, AccessError> {
        let known = Mutex::new((Instant::now(), read(&places)?));
        Ok(Self { places, known })
    }

    /// Whether there is no place for any.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The highest role of a token; none where it is not known.
    pub fn role(&self, token: &str) -> Option<Role> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0.elapsed() >= READ_EVERY {
            known.0 = Instant::now();
            // What was read before holds while a file is being changed.
            if let Ok(read) = read(&self.places) {
                known.1 = read;
            }
        }
        // Hashes are compared, so that how long it takes says nothing of a token.
        let hash = hash(token);
        known.1.iter().filter(|(of, _)| *of == hash).map(|(_, role)| *role).max()
    }
}

fn read(places: &[(Role, SecretPlace)]) -> Result<Vec<(Hash, Role)>, AccessError> {
    let mut known = Vec::new();
    for (role, place) in places {
        let secret = place.read().map_err(|source| AccessError::Read { role: role.name(), source })?;
        for (token, line) in secret.reveal().lines().map(str::trim).zip(1..) {
            if token.len() < SHORTEST_BYTES {
                return Err(AccessError::Short { role: role.name(), line, bytes: token.len() });
            }
            known.push((hash(token), *role));
        }
    }
    Ok(known)
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}
