//! Keyed hashes: equal values can be recognised, the values cannot be read.
//!
//! Knows the key and how it is kept in a file. Must not know what is hashed, nor print the key.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::event::ValueHash;

/// Shortest key accepted. Bytes; half of SHA-256's output, so that guessing the key is out of reach.
pub const MIN_KEY_BYTES: usize = 16;
/// Longest key file that is read. Bytes.
const MAX_KEY_BYTES: u64 = 4096;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error(
        "key file {path} cannot be read: name an existing file of at least 16 random bytes, or make it: `openssl rand -hex 32 > FILE`"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds too little, or far too much.
    #[error(
        "key file {path} holds {bytes} bytes: a key has 16 to 4096, random, for example from `openssl rand -hex 32`"
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length without white space at the ends. Bytes.
        bytes: usize,
    },
    /// The fresh key cannot be written.
    #[error("a fresh key cannot be written to {path}: name a key file with --key-file")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system has no random numbers.
    #[error("the system gives no random numbers for a fresh key: name a key file with --key-file")]
    Random,
}

/// The key of all hashes of one installation. Whoever has it can test guesses of values against hashes;
/// sensors that share it give equal values equal hashes.
#[derive(Clone)]
pub struct HashKey(Hmac<Sha256>);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(…)")
    }
}

impl HashKey {
    /// A key from its bytes; `None` when they are fewer than [`MIN_KEY_BYTES`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < MIN_KEY_BYTES {
            return None;
        }
        Hmac::new_from_slice(bytes).ok().map(Self)
    }

    /// Reads a key from a file; white space at its ends is not part of the key.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or its length is not 16 to 4096 bytes.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let unreadable = |source| KeyError::Read { path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > MAX_KEY_BYTES {
            return Err(KeyError::Length {
                path: path.to_owned(),
                bytes: usize::try_from(length).unwrap_or(usize::MAX),
            });
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let key = bytes.trim_ascii();
        Self::new(key).ok_or_else(|| KeyError::Length { path: path.to_owned(), bytes: key.len() })
    }

    /// Makes a random key and writes it, as 64 hexadecimal digits, to a new file that only its owner
    /// can read (mode 0600).
    ///
    /// # Errors
    ///
    /// When the file exists or cannot be written, or the system has no random numbers.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let mut random = [0u8; 32];
        getrandom::fill(&mut random).map_err(|_| KeyError::Random)?;
        let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .open(path)
            .and_then(|mut file| writeln!(file, "{text}").and_then(|()| file.sync_all()))
            .map_err(|source| KeyError::Write { path: path.to_owned(), source })?;
        Self::new(text.as_bytes()).ok_or(KeyError::Random)
    }

    /// Hash of a normalised value: the first 48 bits of its HMAC-SHA-256.
    pub fn value(&self, normal: &str) -> ValueHash {
        ValueHash(self.first_64_bits(&[normal.as_bytes()]) >> 16)
    }

    /// An id made of parts: the first 64 bits of the HMAC of all parts, as 16 hexadecimal digits.
    ///
    /// Parts are separated by a zero byte, which no part of ours contains, so that `ab`,`c` is not `a`,`bc`.
    pub fn id(&self, parts: &[&[u8]]) -> String {
        format!("{:016x}", self.first_64_bits(parts))
    }

    fn first_64_bits(&self, parts: &[&[u8]]) -> u64 {
        let mut mac = self.0.clone();
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                mac.update(&[0]);
            }
            mac.update(part);
        }
        mac.finalize().into_bytes().iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_start_of_the_published_hmac() {
        // RFC 4231, test case 2 has a 4-byte key; test case 1 has 20 bytes of 0x0b and "Hi There".
        let key = HashKey::new(&[0x0b; 20]).unwrap();
        assert_eq!(key.value("Hi There").to_string(), "b0344c61d8db");
        assert_eq!(key.id(&[b"Hi There"]), "b0344c61d8db3853");
        assert_ne!(key.id(&[b"ab", b"c"]), key.id(&[b"a", b"bc"]));
    }

    #[test]
    fn a_fresh_key_is_private_and_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let fresh = HashKey::create(&path).unwrap();
        assert_eq!(fresh.value("x"), HashKey::read(&path).unwrap().value("x"));
        assert!(matches!(HashKey::create(&path), Err(KeyError::Write { .. })), "a key is never overwritten");
        #[cfg(unix)]
        {
            let mode =
                std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_short_key_is_refused_and_no_key_is_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "short \n").unwrap();
        assert!(matches!(HashKey::read(&path), Err(KeyError::Length { bytes: 5, .. })));
        assert_eq!(format!("{:?}", HashKey::new(&[7; 16])), "Some(HashKey(…))");
    }
}
