//! Answers over HTTP: whether an instance lives and is ready, its metrics, the levels of agents, and what people decide.
//!
//! Knows routes and who may ask. Must not judge, and must not ask a broker for an answer: what is answered was read before,
//! so that an answer takes no longer when a broker is slow. A verdict alone is written while its giver waits.

mod access;
mod agents;
mod baseline;
mod body;
mod connections;
mod encrypted;
mod events;
mod openapi;
mod pages;
mod problem;
mod query;
mod testing;
mod transmitter;
mod verdicts;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use serde::Serialize;

pub use self::access::{Access, AccessError, Asker, Role};
use self::connections::{Door, Limits, News};
use self::encrypted::Encrypted;
pub use self::openapi::document;
use self::problem::Problem;
use crate::baseline::agent::KeySpace;
use crate::config::HttpSettings;
use crate::engine::Version;
use crate::kafka::client::Severity;
use crate::kafka::failure::Failure;
use crate::kafka::service::lookup::Lookup;
use crate::kafka::service::{Decided, Deciding, Tested, Watcher};
use crate::metrics::{Metrics, monitoring};
use crate::risk::{Level, Monitoring, Verdict};
use crate::tls::TlsError;
use crate::wire::outputs::caep::{JWKS_PATH, METADATA_PATH, Transmitter};
use crate::wire::outputs::json::to_vec;

/// What an instance says of itself.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Option<String>>>);

impl Readiness {
    /// Not ready, with the reason in a sentence.
    pub fn not_yet(why: &str) -> Self {
        Self(Arc::new(Mutex::new(Some(why.to_owned()))))
    }

    /// Notes whether it is ready: none, or why it is not.
    pub fn set(&self, why_not: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why_not;
    }

    fn why_not(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Nothing can be answered.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be had.
    #[error("cannot listen at {address}: {source}; name another address with --listen")]
    Address {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// Nobody could be let in.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Nothing could be encrypted.
    #[error("[http] {0}")]
    Encryption(#[from] TlsError),
}

/// What stands behind the answers once the broker was reached.
pub trait Behind: Send + Sync {
    /// Brings the figures that are as of now up to date.
    fn refresh(&self);

    /// The topic that verdicts are written to.
    fn topic(&self) -> &str;

    /// Writes a verdict, once for each idempotency key.
    ///
    /// # Errors
    ///
    /// When it is not known to have been written.
    fn decide(&self, verdict: Verdict, key: Option<&str>) -> Result<Decided, Failure>;

    /// The topic that alerts are written to.
    fn alerts_topic(&self) -> &str;

    /// Writes a test alert, once for each key, and a level of the test agent where one is asked for: that before, and that
    /// after.
    ///
    /// # Errors
    ///
    /// When it is not known to have been written.
    fn test(&self, key: &str, level: Option<(Level, Level)>) -> Result<Tested, Failure>;

    /// The newest version of what is normal, and when it was written, by the broker's clock; none for what is shipped.
    /// Milliseconds since 1970.
    fn newest(&self) -> (Arc<Version>, Option<i64>);

    /// Names that agents of a type used lately, as far as this instance saw them, by their kind.
    fn names(&self, agent_type: &str) -> Vec<(KeySpace, String)>;
}

impl Behind for (Watcher, Deciding) {
    fn refresh(&self) {
        self.0.refresh();
    }

    fn topic(&self) -> &str {
        self.1.topic()
    }

    fn decide(&self, verdict: Verdict, key: Option<&str>) -> Result<Decided, Failure> {
        self.1.verdict(verdict, key)
    }

    fn alerts_topic(&self) -> &str {
        self.1.alerts_topic()
    }

    fn test(&self, key: &str, level: Option<(Level, Level)>) -> Result<Tested, Failure> {
        self.1.test_alert(key, level)
    }

    fn newest(&self) -> (Arc<Version>, Option<i64>) {
        self.1.newest()
    }

    fn names(&self, agent_type: &str) -> Vec<(KeySpace, String)> {
        self.1.names(agent_type)
    }
}

/// What is answered from.
pub struct Serving {
    readiness: Readiness,
    metrics: Arc<Metrics>,
    lookup: Arc<Lookup>,
    riskiest_agents: usize,
    transmitter: Option<Arc<Transmitter>>,
    access: Access,
    behind: RwLock<Option<Arc<dyn Behind>>>,
    deciding: verdicts::Deciding,
    following: events::Following,
    /// When it began to answer, by the host's clock: tells its events from those of others. Milliseconds since 1970.
    began: i64,
}

impl Serving {
    /// The service, once there is one.
    fn behind(&self) -> Option<Arc<dyn Behind>> {
        self.behind.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An interface that answers.
pub struct Served {
    /// Where it listens, with the port that was chosen if none was named.
    pub address: SocketAddr,
    serving: Arc<Serving>,
    is_encrypted: bool,
    news: Arc<News>,
}

impl Served {
    /// From now on this service is behind it.
    pub fn stand_behind(&self, behind: impl Behind + 'static) {
        *self.serving.behind.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(behind));
    }

    /// From now on there is none, until the next.
    pub fn stand_alone(&self) {
        *self.serving.behind.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// `http`, or `https` where it is encrypted.
    pub fn scheme(&self) -> &'static str {
        if self.is_encrypted { "https" } else { "http" }
    }

    /// What there is to say of certificates and connections since the last time, for the log.
    pub fn news(&self) -> Vec<(Severity, String)> {
        self.news.take()
    }

    /// Whether anybody is let in to `/v1`: there are tokens, or it listens at a loopback address.
    pub fn lets_in(&self) -> bool {
        self.serving.access.lets_in()
    }
}

/// Answers until the process ends, in a thread of its own.
///
/// * `transmitter`: what signs security event tokens, whose receivers look for its keys here; none: it is not configured.
///
/// # Errors
///
/// When it cannot listen there, or tokens or certificates cannot be used.
pub fn serve(
    address: SocketAddr,
    settings: &HttpSettings,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    lookup: Arc<Lookup>,
    transmitter: Option<Arc<Transmitter>>,
) -> Result<Served, ListenError> {
    let failed = |source| ListenError::Address { address, source };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let serving = Arc::new(Serving {
        readiness,
        metrics,
        lookup,
        riskiest_agents: settings.riskiest_agents,
        transmitter,
        access: Access::new(settings, bound)?,
        behind: RwLock::default(),
        deciding: verdicts::Deciding::new(0),
        following: events::Following::new(0),
        began: now_ms(),
    });
    let news = Arc::new(News::default());
    let encrypted = settings.encryption.as_ref();
    let encrypted = encrypted.map(|encryption| Encrypted::new(encryption, Arc::clone(&news))).transpose()?;
    let is_encrypted = encrypted.is_some();
    let door = Door {
        limits: Limits::default(),
        routes: router(&serving),
        encrypted: encrypted.map(Arc::new),
        metrics: Arc::clone(&serving.metrics),
        news: Arc::clone(&news),
    };
    let lets_in = move || runtime.block_on(door.open(listener));
    thread::Builder::new().name("http".to_owned()).spawn(lets_in).map_err(failed)?;
    Ok(Served { address: bound, serving, is_encrypted, news })
}

/// Every route: method, path, and who answers.
fn routes() -> Vec<(Method, &'static str, MethodRouter<Arc<Serving>>)> {
    vec![
        (Method::GET, "/", get(pages::front)),
        (Method::GET, "/agents/{id}", get(pages::agent)),
        (Method::POST, "/agents/{id}/verdict", post(pages::decide)),
        (Method::GET, "/healthz", get(async || "lives\n")),
        (Method::GET, "/readyz", get(ready)),
        (Method::GET, "/metrics", get(told)),
        (Method::GET, "/v1/agents", get(agents::list)),
        (Method::GET, "/v1/agents/{id}/risk", get(agents::risk)),
        (Method::GET, "/v1/agents/{id}/alerts", get(agents::alerts)),
        (Method::GET, "/v1/events", get(events::follow)),
        (Method::GET, "/v1/agent-types/{type}/baseline", get(baseline::of_type)),
        (Method::POST, "/v1/verdicts", post(verdicts::give)),
        (Method::POST, "/v1/test-alert", post(testing::test)),
        (Method::GET, "/v1/openapi.json", get(described)),
        (Method::GET, METADATA_PATH, get(transmitter::metadata)),
        (Method::GET, JWKS_PATH, get(transmitter::keys)),
    ]
}

/// Method and path of every route there is, paths as OpenAPI writes them.
pub fn route_names() -> Vec<(Method, &'static str)> {
    routes().into_iter().map(|(method, path, _)| (method, path)).collect()
}

fn router(serving: &Arc<Serving>) -> Router {
    let mut router = Router::new();
    for (_, path, answer) in routes() {
        router = router.route(path, answer);
    }
    router
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(body::LARGEST_BYTES))
        .layer(from_fn_with_state(Arc::clone(serving), counted))
        .with_state(Arc::clone(serving))
}

/// Counts the answers, and says what no browser may do with any of them.
async fn counted(State(serving): State<Arc<Serving>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let mut response = next.run(request).await;
    let route = route.as_deref().unwrap_or("other");
    let status = response.status().as_u16().to_string();
    serving.metrics.figures.http_requests.with_label_values(&[route, &status]).inc();
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn ready(State(serving): State<Arc<Serving>>) -> (StatusCode, String) {
    match serving.readiness.why_not() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

/// `GET /metrics`
async fn told(State(serving): State<Arc<Serving>>) -> Result<Response, Problem> {
    let figures = &serving.metrics.figures;
    figures
        .ready
        .with_label_values::<&str>(&[])
        .set(f64::from(u8::from(serving.readiness.why_not().is_none())));
    figures.risk_read.with_label_values::<&str>(&[]).set(f64::from(u8::from(serving.lookup.is_read())));
    if let Some(behind) = serving.behind() {
        behind.refresh();
    }
    {
        let agents = serving.lookup.agents();
        for level in Level::ALL {
            for seen in [Monitoring::Ok, Monitoring::Degraded, Monitoring::Blind] {
                let count = agents.count(level, seen) as f64;
                figures.agents.with_label_values(&[level.name(), monitoring(seen)]).set(count);
            }
        }
        figures.agent_risk.reset();
        for (agent, score) in agents.riskiest(serving.riskiest_agents) {
            figures.agent_risk.with_label_values(&[agent]).set(score);
        }
    }
    let text = serving.metrics.text().map_err(|why| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "no-metrics",
            format!("the metrics cannot be written: {why}"),
        )
    })?;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// `GET /v1/openapi.json`
async fn described() -> Response {
    json(StatusCode::OK, &document())
}

async fn nothing_here(request: Request) -> Problem {
    let path = problem::shown(request.uri().path());
    let detail = format!("{path} is no route; /v1/openapi.json lists those there are");
    Problem::new(StatusCode::NOT_FOUND, "no-route", detail)
}

async fn wrong_method(request: Request) -> Problem {
    let detail = format!(
        "{} is not answered here; /v1/openapi.json lists what is",
        problem::shown(request.method().as_str())
    );
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", detail)
}

/// An answer in JSON, in which no name acts on whoever looks at its bytes.
fn json(status: StatusCode, answer: &impl Serialize) -> Response {
    match to_vec(answer) {
        Ok(body) => {
            let kind = HeaderValue::from_static("application/json");
            let keep = HeaderValue::from_static("private, no-cache");
            (status, [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)], body).into_response()
        }
        Err(error) => {
            let detail = format!("the answer cannot be written: {error}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no-answer", detail).into_response()
        }
    }
}

/// The host's clock. Milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
