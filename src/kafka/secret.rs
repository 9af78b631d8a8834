//! Passwords and tokens: where they are kept, and reading them.
//!
//! Knows files and environment variables. Must not know what a secret opens. A configuration never holds a secret
//! itself, only its place; what was read is shown nowhere.

use std::fmt;
use std::path::PathBuf;

/// Longest secret that is read. Bytes; far longer than any password, token or key of use.
const LONGEST_BYTES: usize = 64 << 10;

/// Where a secret is kept. Equal places are equal secrets, whatever they hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretPlace {
    /// `{ file = "…" }`: the content of a file, without the line end after it.
    File(PathBuf),
    /// `{ env = "…" }`: the value of an environment variable.
    Environment(String),
}

/// A secret that was read. Neither `Debug` nor `Display` tells it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why a secret cannot be had. Its text names the place and never the content.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read, or is no text.
    #[error("cannot read the secret in the file {path:?}: {source}; check the path and its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The variable is not set, or is no text.
    #[error("the environment variable {name:?} holds no secret: {source}; set it where tiltmeter is started")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with it.
        source: std::env::VarError,
    },
    /// There is nothing in it, or too much.
    #[error(
        "{place} holds {bytes} bytes; a secret has 1 to {LONGEST_BYTES} and no zero byte: write it there anew"
    )]
    Size {
        /// The place, as a person says it.
        place: String,
        /// How much there is. Bytes.
        bytes: usize,
    },
}

impl SecretPlace {
    /// Reads the secret as it is now: whoever changes the file need not restart what asks each time.
    ///
    /// # Errors
    ///
    /// When there is none, or nothing in it.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let (text, place) = match self {
            Self::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| SecretError::Read { path: path.clone(), source })?;
                (text, format!("the file {path:?}"))
            }
            Self::Environment(name) => {
                let text = std::env::var(name)
                    .map_err(|source| SecretError::Variable { name: name.clone(), source })?;
                (text, format!("the environment variable {name:?}"))
            }
        };
        // Editors and `echo` end a file with a line end that is no part of a password; spaces may be.
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() || secret.len() > LONGEST_BYTES || secret.contains('\0') {
            return Err(SecretError::Size { place, bytes: secret.len() });
        }
        Ok(Secret(secret.to_owned()))
    }
}

impl Secret {
    /// The secret itself, for whoever must hand it on.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_anew_each_time_and_told_to_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let place = SecretPlace::File(path.clone());
        for (content, secret) in [("old horse\n", "old horse"), (" new horse\r\n", " new horse")] {
            std::fs::write(&path, content).unwrap();
            let read = place.read().unwrap();
            assert_eq!(read.reveal(), secret);
            assert!(!format!("{read:?}{place:?}").contains("horse"));
        }
    }

    #[test]
    fn what_is_no_secret_is_named_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let told = || SecretPlace::File(path.clone()).read().unwrap_err().to_string();
        assert!(told().contains("password\": No such file"), "{}", told());
        for wrong in ["", "\n", "a\0b"] {
            std::fs::write(&path, wrong).unwrap();
            assert!(told().contains("a secret has 1 to 65536"), "{}", told());
        }
        let unset = SecretPlace::Environment("TILTMETER_NO_SUCH_SECRET".to_owned()).read().unwrap_err();
        assert!(unset.to_string().contains("\"TILTMETER_NO_SUCH_SECRET\" holds no secret"), "{unset}");
    }
}
