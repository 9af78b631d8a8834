//! Encrypted connections: what we show, whom we believe, and what a certificate says its holder is called.
//!
//! Knows handshakes and files. Must not know routes, nor what a name may do. TLS 1.2 and 1.3; nothing older is spoken.
//!
//! The files are looked at every ten seconds: connections made after that get the new certificate, those that are open
//! stay as they are. Files that cannot be used change nothing but the log.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use webpki::EndEntityCert;

use crate::config::Encryption;
use crate::kafka::client::Severity;
use crate::tls::{self, TlsError, Watched};

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Who has not finished a handshake by then is cut off.
const SHAKEN_WITHIN: Duration = Duration::from_secs(10);
/// Handshakes at once; more wait. Each costs a signature, and some KiB until it ends.
const HANDSHAKES: usize = 256;
/// After the operating system has given no connection, for want of descriptors most likely.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);
/// Lines that wait for whoever writes the log.
const LINES: usize = 16;

/// What is shown and believed, as the files say it now.
pub(super) struct Encrypted {
    settings: Encryption,
    current: RwLock<Arc<ServerConfig>>,
    watched: Mutex<Watched>,
    /// Whether the files could not be used when they had changed last.
    untried: AtomicBool,
    news: Mutex<Vec<(Severity, String)>>,
}

impl Encrypted {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// When one cannot be used.
    pub fn new(settings: &Encryption) -> Result<Self, TlsError> {
        let Encryption { certificate_file, key_file, client_ca_file } = settings;
        // Watched first: what is exchanged while it is read is read again.
        let files = [certificate_file, key_file].into_iter().chain(client_ca_file);
        let watched = Watched::new(files.cloned().collect());
        Ok(Self {
            settings: settings.clone(),
            current: RwLock::new(read(settings)?),
            watched: Mutex::new(watched),
            untried: AtomicBool::new(false),
            news: Mutex::default(),
        })
    }

    /// What was said since the last time, for the log.
    pub fn news(&self) -> Vec<(Severity, String)> {
        std::mem::take(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner))
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
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if news.len() < LINES {
            news.push((severity, line));
        }
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
#[derive(Clone, Debug)]
pub(super) struct Names(pub Arc<[String]>);

impl Connected<IncomingStream<'_, TcpListener>> for Names {
    fn connect_info(_: IncomingStream<'_, TcpListener>) -> Self {
        Self(Arc::default())
    }
}

impl Connected<IncomingStream<'_, Connections>> for Names {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        let (_, connection) = stream.io().get_ref();
        let shown = connection.peer_certificates().and_then(<[_]>::first);
        let names = shown.and_then(|shown| {
            let shown = EndEntityCert::try_from(shown).ok()?;
            Some(shown.valid_dns_names().chain(shown.valid_uri_names()).map(str::to_owned).collect())
        });
        Self(names.unwrap_or_default())
    }
}

/// Connections whose handshakes are done.
pub(super) struct Connections {
    done: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl Connections {
    /// Takes connections from a listener. To be called on the runtime that serves them: it starts tasks there.
    pub fn new(listener: TcpListener, address: SocketAddr, encrypted: Arc<Encrypted>) -> Self {
        let (give, done) = mpsc::channel(1);
        let own = Arc::clone(&encrypted);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                own.look();
            }
        });
        tokio::spawn(async move {
            let permits = Arc::new(Semaphore::new(HANDSHAKES));
            // Somebody who never says a word must hold up nobody: each handshake has a task of its own.
            while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
                let (stream, from) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(_) => {
                        tokio::time::sleep(REFUSED_PAUSE).await;
                        continue;
                    }
                };
                let (acceptor, give) = (TlsAcceptor::from(encrypted.current()), give.clone());
                tokio::spawn(async move {
                    let shaken = tokio::time::timeout(SHAKEN_WITHIN, acceptor.accept(stream)).await;
                    if let Ok(Ok(stream)) = shaken {
                        // Nobody takes it any more when the process ends.
                        let _ = give.send((stream, from)).await;
                    }
                    drop(permit);
                });
            }
        });
        Self { done, address }
    }
}

impl Listener for Connections {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.done.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
