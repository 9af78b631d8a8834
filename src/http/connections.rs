//! Connections: how many there may be, how long each may be silent, and who is cut off when there are too many.
//!
//! Knows sockets and time. Must not know routes, nor who may ask for what.
//!
//! Whoever connects is let in at once. When there are too many, the one is cut off that has been waited for longest: first of
//! those that never asked anything, then of those that asked before. One that is being answered is not cut off, and of these
//! there are fewer than there may be connections ([`Busy`]). So those who hold connections and say nothing, or say it
//! very slowly, keep nobody from an answer.

mod table;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_io_timeout::TimeoutWriter;

pub(super) use self::table::{Busy, Connection};
use self::table::{Place, Table};
use super::encrypted::{Encrypted, Names};
use crate::kafka::client::Severity;
use crate::metrics::Metrics;

/// How much there may be of what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once. Far more than those that are answered at once, and each costs at most 100 KiB.
    pub most: usize,
    /// The head of a request is there within this, counted from the answer before: so long may a connection rest, too. Longer
    /// than those pause who ask every minute: a connection that is closed while they ask is an error to many.
    pub head_within: Duration,
    /// Whoever takes nothing of an answer for so long does not want it.
    pub taken_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { most: 512, head_within: Duration::from_secs(75), taken_within: Duration::from_secs(60) }
    }
}

/// The longest head of a request. Bytes.
const LARGEST_HEAD_BYTES: usize = 32 << 10;
/// After the operating system has given no connection, for want of descriptors most likely.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);
/// That there are too many is said this often.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// Lines that wait for whoever writes the log.
const LINES: usize = 16;

/// Lines for the log that wait until somebody writes them.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<Vec<(Severity, String)>>);

impl News {
    /// Adds a line; where nobody has come for a long time, it is lost.
    pub fn tell(&self, severity: Severity, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < LINES {
            lines.push((severity, line));
        }
    }

    /// What was said since the last time.
    pub fn take(&self) -> Vec<(Severity, String)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What lets connections in.
pub(super) struct Door {
    /// How much there may be.
    pub limits: Limits,
    /// What answers.
    pub routes: Router,
    /// What encrypts; none: nothing is encrypted.
    pub encrypted: Option<Arc<Encrypted>>,
    /// Counts those that were cut off.
    pub metrics: Arc<Metrics>,
    /// Is told that there are too many.
    pub news: Arc<News>,
}

impl Door {
    /// Lets in for ever.
    pub async fn open(self, listener: TcpListener) {
        if let Some(encrypted) = self.encrypted.clone() {
            tokio::spawn(async move { encrypted.keep_looking().await });
        }
        let Limits { most, head_within, taken_within } = self.limits;
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(head_within).max_buf_size(LARGEST_HEAD_BYTES);
        let table = Arc::new(Mutex::new(Table::default()));
        let mut said: Option<Instant> = None;
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(REFUSED_PAUSE).await;
                continue;
            };
            let locked = || table.lock().unwrap_or_else(PoisonError::into_inner);
            let number = locked().enter();
            let place = Arc::new(Place { number, table: Arc::clone(&table) });
            let serving = Serving { place, routes: self.routes.clone(), http: http.clone(), taken_within };
            let task = tokio::spawn(serving.begin(stream, self.encrypted.clone()));
            let spared = {
                let mut table = locked();
                if let Some(known) = table.open.get_mut(&number) {
                    known.ends = Some(task.abort_handle());
                }
                table.spare(most)
            };
            let Some(spared) = spared else { continue };
            spared.ends.inspect(AbortHandle::abort);
            self.metrics.figures.http_cut.with_label_values::<&str>(&[]).inc();
            if said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
                said = Some(Instant::now());
                let line = format!(
                    "[http] more than {most} connections are open: those that say nothing are cut off, the oldest first; look who \
                     connects to this port, and let only those reach it who have to"
                );
                self.news.tell(Severity::Warning, line);
            }
        }
    }
}

/// One connection that is served.
struct Serving {
    place: Arc<Place>,
    routes: Router,
    http: http1::Builder,
    taken_within: Duration,
}

impl Serving {
    /// Shakes hands where there is something that encrypts, and answers until the connection ends.
    async fn begin(self, stream: TcpStream, encrypted: Option<Arc<Encrypted>>) {
        // Answers are written whole: to wait for more would only make them late.
        let _ = stream.set_nodelay(true);
        match encrypted {
            None => self.answer(stream, Names::default()).await,
            Some(encrypted) => {
                if let Some((stream, names)) = encrypted.shake(stream).await {
                    self.answer(stream, names).await;
                }
            }
        }
    }

    async fn answer(self, stream: impl AsyncRead + AsyncWrite, names: Names) {
        let Self { place, routes, http, taken_within } = self;
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(taken_within));
        let routes = TowerToHyperService::new(routes);
        let answers = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(names.clone());
            request.extensions_mut().insert(Connection(Some(Arc::clone(&place))));
            let (answer, place) = (routes.call(request), Arc::clone(&place));
            async move {
                let answer = answer.await;
                place.table(|table| table.asked(place.number));
                answer
            }
        });
        // Whoever is silent, or breaks off, has nothing to be told.
        let _ = http.serve_connection(TokioIo::new(Box::pin(stream)), answers).await;
    }
}

#[cfg(test)]
mod tests;
