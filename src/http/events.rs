//! What happens, as it happens: `GET /v1/events`, server-sent events.
//!
//! Knows who follows and how far each has come. Must not keep anything for those who fall behind: they are told so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{Stream, unfold};

use super::Serving;
use super::access::{Asker, Role};
use super::connections::{Busy, Connection};
use super::problem::Problem;
use super::query::Parameters;
use crate::kafka::service::lookup::Item;

/// Those who may follow at once.
const AT_ONCE: usize = 100;
/// Between two looks whether there is something new.
const LOOK: Duration = Duration::from_millis(200);
/// Between two looks whether whoever follows still may.
const ACCESS_EVERY: Duration = Duration::from_secs(10);
/// What is told at one look, at most.
const MOST: usize = 500;
/// Names the last event that was seen.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Those who follow.
pub(super) type Following = AtomicUsize;

/// One who follows.
struct Follower {
    serving: Arc<Serving>,
    /// The number of the last event that was told.
    told: u64,
    /// What has been looked up and is to be told.
    waiting: std::vec::IntoIter<Item>,
    /// Whether it has to be told that it missed something.
    missed: bool,
    /// Who follows, and when it was looked last whether they still may.
    asker: Asker,
    looked: Instant,
    _busy: Busy,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.serving.following.fetch_sub(1, Ordering::AcqRel);
    }
}

/// `GET /v1/events`
pub(super) async fn follow(
    State(serving): State<Arc<Serving>>,
    RawQuery(query): RawQuery,
    asker: Asker,
    connection: Connection,
) -> Result<Response, Problem> {
    serving.access.check(&asker, Role::Viewer)?;
    Parameters::read(query.as_deref(), &[])?;
    serving.is_read()?;
    if serving.following.fetch_add(1, Ordering::AcqRel) >= AT_ONCE {
        serving.following.fetch_sub(1, Ordering::AcqRel);
        let detail = format!("{AT_ONCE} follow already; ask another instance, or read the topics");
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-followers", detail));
    }
    let last = serving.lookup.news().last();
    let seen = asker.headers.get(&LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let began = serving.began;
    // Numbers of another instance, or from before a restart, say nothing here.
    let known = seen.and_then(|id| id.split_once('-')).filter(|(of, _)| of.parse() == Ok(began));
    let known = known.and_then(|(_, number)| number.parse().ok()).filter(|number| *number <= last);
    let follower = Follower {
        serving,
        told: known.unwrap_or(last),
        waiting: Vec::new().into_iter(),
        missed: seen.is_some() && known.is_none(),
        asker,
        looked: Instant::now(),
        _busy: connection.busy(),
    };
    let keep = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(events(follower)).keep_alive(keep).into_response())
}

fn events(follower: Follower) -> impl Stream<Item = Result<Event, std::convert::Infallible>> {
    unfold(follower, async |mut follower| {
        loop {
            if std::mem::take(&mut follower.missed) {
                let event =
                    Event::default().event("gap").data("events were missed: ask /v1/agents how things stand");
                return Some((Ok(event), follower));
            }
            if let Some(item) = follower.waiting.next() {
                follower.told = item.number;
                let id = format!("{}-{}", follower.serving.began, item.number);
                // A line end would end the event; in JSON it stands between fields alone.
                let json = item.json.replace(['\r', '\n'], " ");
                return Some((Ok(Event::default().event(item.kind).id(id).data(json)), follower));
            }
            // A token that was taken away is good for nothing from then on.
            if follower.looked.elapsed() >= ACCESS_EVERY {
                follower.looked = Instant::now();
                follower.serving.access.check(&follower.asker, Role::Viewer).ok()?;
            }
            let (items, missed) = follower.serving.lookup.news().after(follower.told, MOST);
            follower.missed = missed;
            if items.is_empty() {
                tokio::time::sleep(LOOK).await;
            }
            follower.waiting = items.into_iter();
        }
    })
}
