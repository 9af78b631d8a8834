//! The state file: an engine between two calls.
//!
//! Knows the frame of the file and how it is replaced. Must not know what an engine holds.
//!
//! # Format 1
//!
//! | bytes | what |
//! |---|---|
//! | 16 | `tiltmeter state\n` |
//! | 1 | version of the format |
//! | 16 | key of the identity hash, where none is configured; otherwise zeros |
//! | 4 | CRC-32C of all that follows, little endian |
//! | rest | the engine ([`Engine::save`](crate::engine::Engine::save)), compressed with zstd |

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::engine::checkpoint::FORMAT;

const MAGIC: &[u8; 16] = b"tiltmeter state\n";
const KEY_BYTES: usize = 16;
const HEAD_BYTES: usize = MAGIC.len() + 1 + KEY_BYTES + 4;
/// Fast, and half the size.
const ZSTD_LEVEL: i32 = 1;
/// No state is larger once unpacked. Bytes.
const LARGEST_BYTES: usize = 64 << 30;

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be read.
    #[error("cannot read the state {path:?}: {source}; check the path and its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It cannot be written; the old one is untouched.
    #[error(
        "cannot write the state {path:?}: {source}; what was there before is untouched: \
         {}, then give the same input again",
        room(source)
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Another process is at work with it.
    #[error(
        "the state {path:?} is in use by another tiltmeter; wait until it has ended, or name another file"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is something else.
    #[error(
        "{path:?} is no state of tiltmeter; name one that tiltmeter wrote (with --state also one that does not exist yet)"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It was written by another version.
    #[error(
        "the state {path:?} has format {found}, this version reads {FORMAT}; use the version that wrote it"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u8,
    },
    /// It is not as it was written.
    #[error("the state {path:?} is damaged: {what}; restore a copy, or begin a new one")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// What to do about a file that cannot be written.
fn room(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "make its folder or name another place",
        io::ErrorKind::PermissionDenied => "get the right to write there or name another place",
        _ => "free space or name another place",
    }
}

/// What a state file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Key of the identity hash, if none was configured.
    pub key: Option<[u8; KEY_BYTES]>,
    /// The engine.
    pub engine: Vec<u8>,
}

/// Holds a state file for one process, until what is returned is dropped, by a lock on an empty file `NAME.lock` beside it,
/// which stays: whoever took it away could take it from under somebody who has just opened it.
///
/// # Errors
///
/// When another process holds it, or the lock cannot be made.
pub fn lock(path: &Path) -> Result<File, StateError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let failed = |source| StateError::Write { path: path.to_owned(), source };
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    let file = options.open(path.with_file_name(name)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StateError::InUse { path: path.to_owned() }),
        // Some file systems know no locks; whoever uses one has to see to it.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Reads a state file; none where there is no file.
///
/// # Errors
///
/// When it cannot be read, is none, or is damaged.
pub fn read(path: &Path) -> Result<Option<State>, StateError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StateError::Read { path: path.to_owned(), source }),
    };
    let damaged = |what: &str| StateError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| StateError::Foreign { path: path.to_owned() })?;
    let cut_off = || damaged("it ends too early");
    let (&format, rest) = rest.split_first().ok_or_else(cut_off)?;
    if format != FORMAT {
        return Err(StateError::Format { path: path.to_owned(), found: format });
    }
    let (key, rest) = rest.split_first_chunk::<KEY_BYTES>().ok_or_else(cut_off)?;
    let (sum, packed) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
    if checksum(key, packed) != u32::from_le_bytes(*sum) {
        return Err(damaged("its checksum does not fit"));
    }
    let engine = zstd::decode_all(packed).map_err(|error| damaged(&error.to_string()))?;
    if engine.len() > LARGEST_BYTES {
        return Err(damaged("it is larger than any state"));
    }
    Ok(Some(State { key: Some(*key).filter(|key| *key != [0; KEY_BYTES]), engine }))
}

/// Replaces a state file: the new one is complete on the disk before it takes the place of the old one. Only its owner
/// may read it, because it may hold a key.
///
/// # Errors
///
/// When it cannot be written; the old one is untouched then.
pub fn write(path: &Path, state: &State) -> Result<(), StateError> {
    let failed = |source| StateError::Write { path: path.to_owned(), source };
    let packed = zstd::encode_all(state.engine.as_slice(), ZSTD_LEVEL).map_err(failed)?;
    let key = state.key.unwrap_or_default();
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(MAGIC);
    head.push(FORMAT);
    head.extend_from_slice(&key);
    head.extend_from_slice(&checksum(&key, &packed).to_le_bytes());
    let new = beside(path);
    let written = (|| {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        file.write_all(&head)?;
        file.write_all(&packed)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        // The folder too, so that the new name survives a loss of power.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    })();
    written.map_err(|source| {
        let _ = fs::remove_file(&new);
        failed(source)
    })
}

/// A random key of the identity hash for a new state.
///
/// # Errors
///
/// When the system has no random numbers.
pub fn fresh_key() -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(key)
}

fn checksum(key: &[u8], packed: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), packed)
}

/// The new file stands in the same folder, so that it can be renamed.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State { key: Some([7; KEY_BYTES]), engine: (0..10_000u32).map(|i| (i % 251) as u8).collect() }
    }

    #[test]
    fn what_is_written_is_read_and_replaces_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.state");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, &State { key: None, engine: vec![1] }).unwrap();
        write(&path, &state()).unwrap();
        assert_eq!(read(&path).unwrap(), Some(state()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_state_is_held_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.state");
        let held = lock(&path).unwrap();
        let text = lock(&path).unwrap_err().to_string();
        assert!(text.contains("in use by another tiltmeter"), "{text}");
        drop(held);
        lock(&path).unwrap();
    }

    #[test]
    fn any_byte_that_is_changed_or_missing_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.state");
        write(&path, &state()).unwrap();
        let good = fs::read(&path).unwrap();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            assert!(read(&path).is_err(), "byte {place}");
            fs::write(&path, &good[..place]).unwrap();
            assert!(read(&path).is_err(), "cut off after {place}");
        }
    }

    #[test]
    fn another_format_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.state");
        write(&path, &state()).unwrap();
        let mut newer = fs::read(&path).unwrap();
        newer[MAGIC.len()] = FORMAT + 1;
        fs::write(&path, newer).unwrap();
        let text = read(&path).unwrap_err().to_string();
        assert!(text.contains("has format 2"), "{text}");
    }

    #[test]
    fn a_state_that_cannot_be_written_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("there is no such folder").join("fleet.state");
        let text = write(&path, &state()).unwrap_err().to_string();
        assert!(text.contains("untouched"), "{text}");
    }
}
