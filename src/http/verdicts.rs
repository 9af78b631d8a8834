//! What people decide: `POST /v1/verdicts`.
//!
//! Knows the form of the request. Must not know what a verdict does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::access::{Asker, Role};
use super::agents::Told;
use super::connections::{Busy, Connection};
use super::problem::{Problem, shown};
use super::query::Parameters;
use super::{Serving, body, json, now_ms};
use crate::kafka::service::Decided;
use crate::risk::{Cause, Decision, Proposal, Verdict};
use crate::time::EventTime;

/// A verdict may be so far ahead of the clock of the host: clocks differ. Milliseconds.
const AHEAD_MS: i64 = 5 * 60_000;
/// Verdicts that are written, or waited for, at once.
const AT_ONCE: usize = 64;
/// The longest that an effect is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest idempotency key. Bytes.
const LONGEST_KEY_BYTES: usize = 255;
/// The header with the idempotency key.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct Asked {
    pub agent_id: String,
    #[serde(default)]
    pub tenant: Option<String>,
    pub verdict: Decision,
    pub by: String,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub time: Option<EventTime>,
}

/// What became of it.
#[derive(Serialize)]
struct Taken {
    id: String,
    topic: String,
    partition: i32,
    offset: i64,
    /// Whether the level changed because of it while it was waited.
    took_effect: bool,
    /// What waits for a second person now.
    #[serde(skip_serializing_if = "Option::is_none")]
    proposed: Option<Proposal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk: Option<Told>,
}

/// One of those that are written at once; free again when it is dropped.
pub(super) struct Seat {
    pub serving: Arc<Serving>,
    _busy: Busy,
}

impl Seat {
    /// Takes one.
    ///
    /// # Errors
    ///
    /// When all are taken.
    pub fn take(serving: Arc<Serving>, connection: &Connection) -> Result<Self, Problem> {
        if serving.deciding.fetch_add(1, Ordering::AcqRel) >= AT_ONCE {
            serving.deciding.fetch_sub(1, Ordering::AcqRel);
            let detail = format!("{AT_ONCE} verdicts and tests are being written; try again in a moment");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-verdicts", detail));
        }
        Ok(Self { serving, _busy: connection.busy() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.serving.deciding.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Verdicts that are being written.
pub(super) type Deciding = AtomicUsize;

/// `POST /v1/verdicts`
pub(super) async fn give(
    State(serving): State<Arc<Serving>>,
    RawQuery(query): RawQuery,
    asker: Asker,
    connection: Connection,
    request: Request,
) -> Result<Response, Problem> {
    serving.access.check(&asker, Role::Analyst)?;
    let wait = waited(&Parameters::read(query.as_deref(), &["wait"])?)?;
    let key = key(&asker.headers)?;
    let asked = asked(&body::json(request, "a verdict").await?)?;
    if asked.verdict == Decision::Accept {
        // It teaches what is normal.
        serving.access.check(&asker, Role::Admin)?;
    }
    taken(serving, &connection, asked, key, wait).await
}

/// Writes a verdict for whoever may give it, and waits until it took effect, or for so long.
pub(super) async fn taken(
    serving: Arc<Serving>,
    connection: &Connection,
    asked: Asked,
    key: Option<String>,
    wait: Duration,
) -> Result<Response, Problem> {
    let seat = Seat::take(serving, connection)?;
    let done = tokio::task::spawn_blocking(move || decide(&seat.serving, asked, key.as_deref(), wait)).await;
    done.unwrap_or_else(|_| {
        let detail = "writing the verdict ended in a panic; please report what was printed";
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-written", detail))
    })
}

fn decide(serving: &Serving, asked: Asked, key: Option<&str>, wait: Duration) -> Result<Response, Problem> {
    let unavailable = |detail: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-written", detail);
    let behind = serving
        .behind()
        .ok_or_else(|| unavailable("the broker is waited for; try again in a moment".to_owned()))?;
    let Asked { agent_id, tenant, verdict, by, reason, time } = asked;
    let tenant = tenant.filter(|tenant| !tenant.is_empty());
    let of = |serving: &Serving| serving.lookup.agents().of(tenant.as_deref(), &agent_id);
    let known = of(serving);
    let before = known.as_ref().map_or(0, |found| found.risk.seq);
    let now = EventTime(now_ms());
    let time = time.unwrap_or(now);
    if time > now.plus_ms(AHEAD_MS) {
        let detail =
            format!("time = {time} has not come yet; leave it out for now, or give one that has passed");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-verdict", detail));
    }
    // Whoever judges refuses it as well. With a key it may be the proposal itself, sent again.
    if let Some(waiting) = known.and_then(|found| found.risk.proposed)
        && key.is_none()
        && (waiting.verdict, waiting.is_by(&by), time < waiting.until) == (verdict, true, true)
    {
        let detail = format!(
            "{} proposed {} already, and a different person has to complete it, before {}",
            shown(&waiting.by),
            verdict.name(),
            waiting.until
        );
        return Err(Problem::new(StatusCode::CONFLICT, "same-person", detail));
    }
    let (given_to, in_tenant) = (agent_id.clone(), tenant.clone());
    let verdict = Verdict { time, agent_id: given_to, tenant: in_tenant, verdict, by, reason };
    let (written, id) = match behind.decide(verdict, key) {
        Ok(Decided::At(written, id)) => (written, id),
        Ok(Decided::Differs) => {
            let detail =
                "another verdict was given with this idempotency key; give this one a key of its own";
            return Err(Problem::new(StatusCode::CONFLICT, "key-of-another", detail));
        }
        Ok(Decided::Refused(refusal)) => {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-verdict", refusal.detail));
        }
        Err(failure) => {
            return Err(unavailable(format!(
                "the verdict is not known to be written: {failure}; give it again with the same idempotency key"
            )));
        }
    };
    let was_taken = |found: &crate::kafka::service::lookup::Found| {
        found.risk.cause == Cause::Verdict && found.risk.seq > before
    };
    if !wait.is_zero() {
        serving.lookup.wait_until(Instant::now() + wait, |_| of(serving).as_ref().is_some_and(was_taken));
    }
    let found = of(serving).filter(was_taken);
    let proposed = found.as_ref().and_then(|found| found.risk.proposed.clone());
    let taken = Taken {
        id,
        topic: behind.topic().to_owned(),
        partition: written.partition,
        offset: written.offset,
        took_effect: found.is_some() && proposed.is_none(),
        proposed,
        risk: found.map(|found| Told::new(found, serving.fresh_until())),
    };
    Ok(json(StatusCode::ACCEPTED, &taken))
}

fn asked(body: &[u8]) -> Result<Asked, Problem> {
    let refused = |error: &str| {
        let error: String = error.chars().take(200).collect();
        let detail = format!(
            "the body is no verdict: {error}; it is {{\"agent_id\": …, \"verdict\": \"confirm_compromised | confirm_safe | dismiss \
             | accept\", \"by\": …, \"reason\": …}}"
        );
        Problem::bad("invalid-verdict", detail)
    };
    let asked: Asked = serde_json::from_slice(body).map_err(|error| refused(&error.to_string()))?;
    match asked.by.trim() {
        "" => Err(refused("`by` is empty, and must say who decides")),
        _ => Ok(asked),
    }
}

pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get(&IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=LONGEST_KEY_BYTES).contains(&key.len()));
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        let detail = format!(
            "Idempotency-Key has 1 to {LONGEST_KEY_BYTES} characters of ASCII; send such a one, or none"
        );
        Problem::bad("invalid-key", detail)
    })
}

/// How long the effect is waited for: `2s`, `500ms`.
fn waited(parameters: &Parameters) -> Result<Duration, Problem> {
    let Some(text) = parameters.text("wait") else { return Ok(Duration::ZERO) };
    let span = match text.strip_suffix("ms") {
        Some(number) => number.parse().map(Duration::from_millis).ok(),
        None => text.strip_suffix('s').and_then(|number| number.parse().map(Duration::from_secs).ok()),
    };
    span.filter(|span| *span <= LONGEST_WAIT).ok_or_else(|| {
        let most = LONGEST_WAIT.as_secs();
        let detail = format!(
            "wait = {} is not allowed: give a span such as 2s or 500ms, at most {most}s",
            shown(text)
        );
        Problem::bad("invalid-parameter", detail)
    })
}
