//! Encrypted connections: what we show, whom we believe, and what a certificate says its holder is called.
//!
//! Knows handshakes and files. Must not know routes, nor what a name may do. TLS 1.2 and 1.3; nothing older is spoken.
//!
//! The files are looked at every ten seconds: connections made after that get the new certificate, those that are open
//! stay as they are. Files that cannot be used change nothing but the log.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use webpki::EndEntityCert;

use super::connections::News;
use crate::config::Encryption;
use crate::kafka::client::Severity;
use crate::tls::{self, TlsError, Watched};

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Who has not finished a handshake by then is cut off.
const SHAKEN_WITHIN: Duration = Duration::from_secs(3);

/// What is shown and believed, as the files say it now.
pub(super) struct Encrypted {
    settings: Encryption,
    current: RwLock<Arc<ServerConfig>>,
    watched: Mutex<Watched>,
    /// Whether the files could not be used when they had changed last.
    untried: AtomicBool,
    news: Arc<News>,
}

impl Encrypted {
    /// Reads the files.
    ///
    /// * `news`: is told when they change.
    ///
    /// # Errors
    ///
    /// When one cannot be used.
    pub fn new(settings: &Encryption, news: Arc<News>) -> Result<Self, TlsError> {
        let Encryption { certificate_file, key_file, client_ca_file } = settings;
        // Watched first: what is exchanged while it is read is read again.
        let files = [certificate_file, key_file].into_iter().chain(client_ca_file);
        let watched = Watched::new(files.cloned().collect());
        Ok(Self {
            settings: settings.clone(),
            current: RwLock::new(read(settings)?),
            watched: Mutex::new(watched),
            untried: AtomicBool::new(false),
            news,
        })
    }

    /// Shakes hands: the connection, and what whoever asks is called. None if they do not within three seconds, or if they
    /// are not believed.
    pub async fn shake(&self, stream: TcpStream) -> Option<(TlsStream<TcpStream>, Names)> {
        let acceptor = TlsAcceptor::from(self.current());
        let stream = tokio::time::timeout(SHAKEN_WITHIN, acceptor.accept(stream)).await.ok()?.ok()?;
        let names = names(stream.get_ref().1);
        Some((stream, names))
    }

    /// Looks at the files for ever.
    pub async fn keep_looking(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.look();
        }
    }

    fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files anew if one has changed.
    fn look(&self) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = watched.changed().map(Path::to_owned);
        let untried = self.untried.swap(false, Ordering::Relaxed);
        if changed.is_none() && !untried {
            return;
        }
        let (severity, line) = match read(&self.settings) {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                (Severity::Info, "[http] certificates have changed and are used from now on".to_owned())
            }
            // The other half may follow in a moment: then it is read again.
            Err(error) => {
                self.untried.store(true, Ordering::Relaxed);
                if changed.is_none() {
                    return; // it was said
                }
                (Severity::Warning, format!("[http] {error}; what was read before is used until then"))
            }
        };
        self.news.tell(severity, line);
    }
}

fn read(settings: &Encryption) -> Result<Arc<ServerConfig>, TlsError> {
    let Encryption { certificate_file, key_file, client_ca_file } = settings;
    let unusable = |path: &std::path::PathBuf, remedy| {
        let path = path.clone();
        move |source| TlsError::Unusable { path, source, remedy }
    };
    let builder = ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unusable(certificate_file, "please report this"))?;
    let builder = match client_ca_file {
        None => builder.with_no_client_auth(),
        Some(file) => builder.with_client_cert_verifier(believed(file)?),
    };
    let (chain, key) = (tls::certificates(certificate_file)?, tls::key(key_file)?);
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(unusable(certificate_file, "the certificate has to be that of key_file"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if client_ca_file.is_some() {
        // A session that is taken up again would not have its certificate looked at again, though it may be past by then.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

/// Who asks may show a certificate; one that is shown must be vouched for. Without one there are tokens, and the routes that
/// are open to all: those who look whether we live have no certificate.
fn believed(file: &std::path::Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let unusable = |source| TlsError::Unusable {
        path: file.to_owned(),
        source,
        remedy: "give the certificates of those who issue the certificates of clients",
    };
    let mut roots = RootCertStore::empty();
    for certificate in tls::certificates(file)? {
        roots.add(certificate).map_err(unusable)?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider())
        .allow_unauthenticated()
        .build()
        .map_err(|error| unusable(rustls::Error::General(error.to_string())))
}

/// What the certificate of whoever asks says they are called: DNS names and URIs. Nothing where none was shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(pub Arc<[String]>);

/// What the certificate that was shown on a connection says.
fn names(connection: &ServerConnection) -> Names {
    let shown = connection.peer_certificates().and_then(<[_]>::first);
    let names = shown.and_then(|shown| {
        let shown = EndEntityCert::try_from(shown).ok()?;
        Some(shown.valid_dns_names().chain(shown.valid_uri_names()).map(str::to_owned).collect())
    });
    Names(names.unwrap_or_default())
}
