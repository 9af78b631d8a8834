//! Answers over HTTP whether an instance lives and whether it is ready.
//!
//! Knows what it was told last. Must not ask anybody: an answer takes no longer when a broker is slow.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

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
#[error("cannot listen at {address}: {source}; name another address with --listen")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// What the operating system says.
    pub source: io::Error,
}

/// Answers until the process ends, in a thread of its own: `GET /healthz` with 200, `GET /readyz` with 200 or with 503 and the
/// reason. Returns the address at which it listens, with the port that was chosen if none was named.
///
/// # Errors
///
/// When it cannot listen there.
pub fn serve(address: SocketAddr, readiness: Readiness) -> Result<SocketAddr, ListenError> {
    let failed = |source| ListenError { address, source };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let routes = Router::new()
        .route("/healthz", get(async || "lives\n"))
        .route("/readyz", get(ready))
        .with_state(readiness);
    let answers = move || runtime.block_on(async { axum::serve(listener, routes).await });
    thread::Builder::new().name("http".to_owned()).spawn(answers).map_err(failed)?;
    Ok(bound)
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, String) {
    match readiness.why_not() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn it_is_ready_when_it_was_told_so_and_says_why_it_is_not() {
        let readiness = Readiness::not_yet("the broker is waited for");
        let address = serve(([127, 0, 0, 1], 0).into(), readiness.clone()).unwrap();
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200"));
        let answer = get(address, "/readyz");
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.ends_with("the broker is waited for\n"),
            "{answer}"
        );
        readiness.set(None);
        assert!(get(address, "/readyz").starts_with("HTTP/1.1 200"));
        assert!(get(address, "/v1/agents").starts_with("HTTP/1.1 404"));
        let taken = serve(address, Readiness::default()).unwrap_err().to_string();
        assert!(taken.contains("name another address"), "{taken}");
    }
}
