//! Connections: how many there may be, how long each may be silent, and who is cut off when there are too many.
//!
//! Knows sockets and time. Must not know routes, nor who may ask for what.
//!
//! Whoever connects is let in at once. When there are too many, the one is cut off that has been waited for longest: first of
//! those that never asked anything, then of those that asked before. One that is being answered is not cut off, and of these
//! there are fewer than there may be connections ([`Busy`]). So those who hold connections and say nothing, or say it
//! very slowly, keep nobody from an answer.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_io_timeout::TimeoutWriter;

use super::encrypted::{Encrypted, Names};
use crate::kafka::client::Severity;
use crate::metrics::Metrics;

/// How much there may be of what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once. Far more than those that are answered at once, and each costs at most 100 KiB.
    pub most: usize,
    /// The head of a request is there within this, counted from the answer before: so long may a connection rest, too.
    pub head_within: Duration,
    /// Whoever takes nothing of an answer for so long does not want it.
    pub taken_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { most: 512, head_within: Duration::from_secs(30), taken_within: Duration::from_secs(60) }
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

/// What is known of an open connection.
#[derive(Debug, Default)]
struct Known {
    /// Answers that take time; while there is one, it is not cut off.
    busy: usize,
    /// Whether it ever asked anything.
    asked: bool,
    /// Since when it is waited for: a number that grows.
    since: u64,
    /// Ends it; none before it has begun.
    ends: Option<AbortHandle>,
}

/// All open connections.
#[derive(Debug, Default)]
struct Table {
    open: BTreeMap<u64, Known>,
    next: u64,
}

impl Table {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Takes in one more.
    fn enter(&mut self) -> u64 {
        let number = self.number();
        self.open.insert(number, Known { since: number, ..Known::default() });
        number
    }

    /// Takes out the one that can be spared most, if there are more than `most`.
    fn spare(&mut self, most: usize) -> Option<Known> {
        if self.open.len() <= most {
            return None;
        }
        let waiting = self.open.iter().filter(|(_, known)| known.busy == 0);
        let (number, _) = waiting.min_by_key(|(_, known)| (known.asked, known.since))?;
        let number = *number;
        self.open.remove(&number)
    }

    /// Notes that one asked something and is waited for from now on.
    fn asked(&mut self, number: u64) {
        let since = self.number();
        if let Some(known) = self.open.get_mut(&number) {
            (known.asked, known.since) = (true, since);
        }
    }
}

/// An open connection.
#[derive(Clone)]
pub(super) struct Connection(Option<Arc<Place>>);

struct Place {
    number: u64,
    table: Arc<Mutex<Table>>,
}

impl Place {
    fn table<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        change(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table(|table| table.open.remove(&self.number));
    }
}

impl Connection {
    /// From now on its answer takes time: until this is dropped, it is not cut off. To be asked for only by what limits
    /// itself how many there are at once.
    pub fn busy(&self) -> Busy {
        self.change(|known| known.busy += 1);
        Busy(self.clone())
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        if let Some(place) = &self.0 {
            place.table(|table| table.open.get_mut(&place.number).map(change));
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Connection {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or(Self(None)))
    }
}

/// An answer that takes time.
pub(super) struct Busy(Connection);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.change(|known| known.busy = known.busy.saturating_sub(1));
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
mod tests {
    use std::io::{Read, Write};
    use std::net::SocketAddr;

    use axum::routing::get;

    use super::*;

    /// The numbers of those that are spared, until nobody can be.
    fn spared(table: &mut Table) -> Vec<u64> {
        let mut order = Vec::new();
        loop {
            let before: Vec<u64> = table.open.keys().copied().collect();
            if table.spare(0).is_none() {
                return order;
            }
            order.extend(before.into_iter().filter(|number| !table.open.contains_key(number)));
        }
    }

    #[test]
    fn who_never_asked_is_spared_first_and_who_is_answered_never() {
        let mut table = Table::default();
        let [scraper, silent, follower, late, policy] = [(); 5].map(|()| table.enter());
        for number in [policy, scraper] {
            table.asked(number);
        }
        table.open.get_mut(&follower).unwrap().busy = 1;
        assert!(table.spare(5).is_none(), "there is room");
        assert_eq!(spared(&mut table), [silent, late, policy, scraper]);
        assert_eq!(table.open.keys().copied().collect::<Vec<_>>(), [follower]);
    }

    fn open(limits: Limits) -> (SocketAddr, Arc<Metrics>, Arc<News>) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (metrics, news) = (Arc::new(Metrics::new()), Arc::new(News::default()));
        let large = get(async || "x".repeat(64 << 20));
        let routes = Router::new().route("/", get(async || "lives")).route("/large", large);
        let (told, counted) = (Arc::clone(&news), Arc::clone(&metrics));
        let door = Door { limits, routes, encrypted: None, metrics: counted, news: told };
        std::thread::spawn(move || runtime.block_on(door.open(listener)));
        (address, metrics, news)
    }

    fn ask(stream: &mut std::net::TcpStream, path: &str, more: &str) {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n").unwrap();
    }

    #[test]
    fn who_holds_connections_and_says_nothing_keeps_nobody_from_an_answer() {
        let (address, metrics, news) = open(Limits { most: 8, ..Limits::default() });
        let connect = || std::net::TcpStream::connect(address).unwrap();
        let mut scraper = connect();
        ask(&mut scraper, "/", "");
        let mut buffer = [0; 1024];
        assert!(scraper.read(&mut buffer).unwrap() > 0);
        let mut silent: Vec<_> = (0..20)
            .map(|number| {
                let mut stream = connect();
                if number % 2 == 0 {
                    stream.write_all(b"GET / HTT").unwrap();
                }
                stream
            })
            .collect();
        let mut told = String::new();
        let mut last = connect();
        ask(&mut last, "/", "Connection: close\r\n");
        last.read_to_string(&mut told).unwrap();
        assert!(told.ends_with("lives"), "{told}");
        assert!(matches!(silent[0].read(&mut buffer), Ok(0) | Err(_)), "the oldest silent one is cut off");
        ask(&mut scraper, "/", "");
        assert!(scraper.read(&mut buffer).unwrap() > 0, "who asked before is kept rather than who never did");
        assert!(metrics.figures.http_cut.with_label_values::<&str>(&[]).get() >= 13);
        let lines = news.take();
        assert!(lines.len() == 1 && lines[0].1.contains("more than 8 connections"), "{lines:?}");
    }

    #[test]
    fn a_head_that_does_not_come_to_its_end_is_waited_for_no_longer_than_it_may_take() {
        let head_within = Duration::from_millis(50);
        let (address, ..) = open(Limits { head_within, ..Limits::default() });
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow:").unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        assert!(!told.contains("lives"), "{told}");
    }

    #[test]
    fn who_takes_nothing_of_an_answer_loses_the_connection() {
        let taken_within = Duration::from_millis(50);
        let (address, ..) = open(Limits { taken_within, ..Limits::default() });
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        ask(&mut stream, "/large", "");
        // Until it is cut off what is sent is taken by nobody; then the system says so to whoever writes.
        while stream.write_all(b"GET").is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let table = Arc::new(Mutex::new(Table::default()));
        let number = table.lock().unwrap().enter();
        let place = Arc::new(Place { number, table: Arc::clone(&table) });
        let connection = Connection(Some(place));
        let busy = connection.busy();
        assert!(table.lock().unwrap().spare(0).is_none(), "it is being answered");
        drop(busy);
        assert!(!table.lock().unwrap().open.is_empty());
        drop(connection);
        assert!(table.lock().unwrap().open.is_empty());
    }
}
