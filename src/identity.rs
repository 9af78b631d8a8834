//! Keyed hashing of names: agents, sessions, actions, resources become 64-bit keys.
//!
//! Knows one secret key, so that nobody who chooses ids can aim at a table slot or a tie.
//! Must not know what the names mean.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// A name as the engine handles it: 64 bits, keyed.
pub type Key = u64;

/// Hashes names with SipHash-1-3 under one secret key. The same key gives the same hashes on every
/// machine and in every run; it comes from the configuration.
#[derive(Clone)]
pub struct Identity {
    key: [u8; 16],
}

// The key must not appear.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Identity {
    /// An identity hash with this key.
    pub const fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// What hashes more than a name, under the same secret key.
    pub fn hasher(&self) -> impl Hasher + use<> {
        SipHasher13::new_with_key(&self.key)
    }

    /// The 64-bit key of a name. Equal names give equal keys.
    pub fn of(&self, name: &str) -> Key {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(name.as_bytes());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_key_gives_another_hash() {
        let (a, b) = (Identity::new([0; 16]), Identity::new([1; 16]));
        assert_eq!(a.of("agent-7"), a.of("agent-7"));
        assert_ne!(a.of("agent-7"), b.of("agent-7"));
    }
}
