//! Certificates and keys in files (PEM) for HTTP, and whether the files have changed.
//!
//! Knows how they are read, and who does the cryptography. Must not know who connects to whom. Connections to Kafka are
//! librdkafka's, which reads its files itself.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use sha2::{Digest, Sha256};

/// Whoever is there answers a handshake within this.
const SHAKEN_WITHIN: Duration = Duration::from_secs(3);

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It cannot be read.
    #[error("cannot read {path:?}: {source}; check the path and its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{path:?} holds no {what}: {source}; it has to be PEM, which begins with -----BEGIN")]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold: `certificate` or `key`.
        what: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// What it holds is of no use.
    #[error("{path:?} cannot be used: {source}; {remedy}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
        /// What a person can do.
        remedy: &'static str,
    },
}

/// Who does the cryptography of every connection over HTTP.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// All certificates in a file, at least one.
///
/// # Errors
///
/// When the file cannot be read, or holds none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let none = |source| TlsError::Content { path: path.to_owned(), what: "certificate", source };
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(none)?;
    if found.is_empty() {
        return Err(none(pem::Error::NoItemsFound));
    }
    Ok(found)
}

/// The first key in a file.
///
/// # Errors
///
/// When the file cannot be read, or holds none that is not encrypted.
pub fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|source| TlsError::Content {
        path: path.to_owned(),
        what: "key without a password",
        source,
    })
}

/// Why somebody's certificate is not believed; none if it is, or if nobody answers. Takes at most some seconds.
///
/// * `address`: `host:port`, as a person writes it.
/// * `ca_file`: who may vouch for it.
///
/// Nothing is sent behind the handshake: this is for whoever was told by another library that it is not believed, and not why.
pub fn why_not_believed(address: &str, ca_file: &Path) -> Option<String> {
    let (host, _) = address.rsplit_once(':')?;
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).ok()?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(ca_file).ok()?);
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    let mut stream =
        TcpStream::connect_timeout(&address.to_socket_addrs().ok()?.next()?, SHAKEN_WITHIN).ok()?;
    stream.set_read_timeout(Some(SHAKEN_WITHIN)).ok()?;
    stream.set_write_timeout(Some(SHAKEN_WITHIN)).ok()?;
    let error = connection.complete_io(&mut stream).err()?;
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    matches!(error, rustls::Error::InvalidCertificate(_)).then(|| error.to_string())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

/// Files that may be exchanged while we work.
#[derive(Clone, Debug)]
pub struct Watched {
    files: Vec<PathBuf>,
    /// Of their contents; of one that cannot be read, none.
    seen: Vec<Option<[u8; 32]>>,
}

impl Watched {
    /// The files as they are now.
    pub fn new(files: Vec<PathBuf>) -> Self {
        let seen = files.iter().map(|file| hash(file)).collect();
        Self { files, seen }
    }

    /// The first of them that holds something else than when it was looked at last. One that cannot be read has not
    /// changed: whoever exchanges files may remove them first.
    pub fn changed(&mut self) -> Option<&Path> {
        let mut first = None;
        for (file, seen) in self.files.iter().zip(&mut self.seen) {
            let now = hash(file);
            if now.is_some() && now != *seen {
                *seen = now;
                first = first.or(Some(file.as_path()));
            }
        }
        first
    }
}

fn hash(file: &Path) -> Option<[u8; 32]> {
    std::fs::read(file).ok().map(|content| Sha256::digest(content).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_changed_once_when_it_holds_something_else_and_not_while_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        std::fs::write(&first, "1").unwrap();
        std::fs::write(&second, "2").unwrap();
        let mut watched = Watched::new(vec![first.clone(), second.clone()]);
        assert_eq!(watched.changed(), None);
        std::fs::remove_file(&second).unwrap();
        assert_eq!(watched.changed(), None);
        std::fs::write(&second, "3").unwrap();
        assert_eq!(watched.changed(), Some(second.as_path()));
        assert_eq!(watched.changed(), None);
        std::fs::write(&first, "1").unwrap();
        assert_eq!(watched.changed(), None, "the same content is no change");
    }

    #[test]
    fn what_is_no_certificate_and_no_key_is_told_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("desk.pem");
        let told = certificates(&file).unwrap_err().to_string();
        assert!(told.contains("desk.pem") && told.contains("check the path"), "{told}");
        std::fs::write(&file, "swordfish").unwrap();
        for told in [certificates(&file).unwrap_err().to_string(), key(&file).unwrap_err().to_string()] {
            assert!(told.contains("desk.pem\" holds no") && !told.contains("swordfish"), "{told}");
        }
    }
}
