//! `POST /v1/test-alert`: an alert about nobody, to see whether alerts arrive.
//!
//! Knows the form of the request. Must not know what a test alert looks like.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::access::{Asker, Role};
use super::connections::Connection;
use super::problem::Problem;
use super::query::Parameters;
use super::verdicts::{Seat, key};
use super::{Serving, body, json, now_ms};
use crate::kafka::service::{TEST_AGENT, Tested, test_id};
use crate::risk::Level;

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Asked {
    #[serde(default)]
    level: Option<Level>,
}

/// What became of it.
#[derive(Serialize)]
struct Told {
    alert_id: String,
    agent_id: &'static str,
    /// Whether it was written now; false where this test had been told before.
    written: bool,
    topic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<Level>,
}

/// `POST /v1/test-alert`
pub(super) async fn test(
    State(serving): State<Arc<Serving>>,
    RawQuery(query): RawQuery,
    asker: Asker,
    connection: Connection,
    request: Request,
) -> Result<Response, Problem> {
    serving.access.check(&asker, Role::Admin)?;
    Parameters::read(query.as_deref(), &[])?;
    let key = key(&asker.headers)?;
    let body = body::json(request, "a test").await?;
    let Asked { level } = serde_json::from_slice(&body).map_err(|error| {
        let error: String = error.to_string().chars().take(200).collect();
        let detail = format!(
            "the body is no test: {error}; it is {{}} or {{\"level\": \"none | low | medium | high\"}}"
        );
        Problem::bad("invalid-test", detail)
    })?;
    let key = key.unwrap_or_else(|| format!("at {} ms", now_ms()));
    let unavailable = |detail: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-written", detail);
    let seat = Seat::take(serving, &connection)?;
    let done = tokio::task::spawn_blocking(move || {
        let serving = &seat.serving;
        let behind = serving
            .behind()
            .ok_or_else(|| unavailable("the broker is waited for; try again in a moment".to_owned()))?;
        let alert_id = test_id(&key);
        // Another instance may have told it.
        let alerts = serving.lookup.alerts().of(None, TEST_AGENT, usize::MAX);
        let tested = if alerts.iter().any(|alert| alert.contains(&alert_id)) {
            Tested { alert_id, written: None }
        } else {
            let known = serving.lookup.agents().of(None, TEST_AGENT);
            let before = known.map_or(Level::None, |found| found.risk.level);
            behind.test(&key, level.map(|level| (before, level))).map_err(|failure| {
                unavailable(format!(
                    "the test is not known to be written: {failure}; send it again with the same Idempotency-Key"
                ))
            })?
        };
        let told = Told {
            alert_id: tested.alert_id,
            agent_id: TEST_AGENT,
            written: tested.written.is_some(),
            topic: behind.alerts_topic().to_owned(),
            partition: tested.written.map(|written| written.partition),
            offset: tested.written.map(|written| written.offset),
            level,
        };
        Ok(json(StatusCode::ACCEPTED, &told))
    });
    done.await.unwrap_or_else(|_| {
        let detail = "writing the test ended in a panic; please report what was printed";
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-written", detail))
    })
}
