//! A verdict by a form of the page of an agent: for whoever looks at it and may decide.
//!
//! Knows the form and what shows that it was ours. Must not know what a verdict does.
//!
//! A browser sends password and certificate with whatever any page makes it send. So a form bears a mark that follows from
//! what lets its reader in, and a request that says that it comes from elsewhere is refused before the mark is looked at.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::super::access::{Asker, Role, user};
use super::super::connections::Connection;
use super::super::problem::{Problem, shown};
use super::super::query::Parameters;
use super::super::verdicts::{Asked, taken};
use super::super::{Serving, agents, body, now_ms};
use super::address::{View, address, path_of};
use super::text::escaped;
use crate::risk::Decision;

/// How long the page waits for the verdict to take effect.
const WAIT: Duration = Duration::from_secs(2);
/// Where a request comes from, as the browser says.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What can be decided, in the words of a button, and what follows (docs/levels.md).
const BUTTONS: [(Decision, &str, &str); 4] = [
    (Decision::ConfirmCompromised, "It is compromised", "level high, until somebody decides otherwise"),
    (
        Decision::ConfirmSafe,
        "It is safe",
        "level none, alerts close; the same risk about the same thing is not told of it for 30 days",
    ),
    (
        Decision::Dismiss,
        "It does not matter",
        "level none, alerts close; if it does the like again, that is told again",
    ),
    (Decision::Accept, "It is safe, learn it", "as safe, and what it did counts as normal from now on"),
];

/// Adds the form for whoever may decide, where the page holds still: one that looks again would take away what was typed.
pub(super) fn add(
    body: &mut String,
    serving: &Serving,
    asker: &Asker,
    id: &str,
    tenant: Option<&str>,
    view: &View,
) {
    let Ok(mark) = serving.access.mark(asker, Role::Analyst, &about(id, tenant)) else { return };
    *body += "<h2>Verdict</h2>";
    if !view.holds_still {
        let _ = write!(body, "<p><a href=\"{}\">Decide about this agent</a></p>", view.switched());
        return;
    }
    let may_teach = serving.access.check_page(asker, Role::Admin).is_ok();
    let key = now_ms();
    // The Enter key presses the first button of a form: one that does nothing.
    let path = address(&format!("{}/verdict", path_of(id)), tenant, false);
    let _ = write!(
        body,
        "<form method=\"post\" action=\"{path}\"><button disabled hidden></button><input type=\"hidden\" name=\"mark\" value=\"{mark}\">\
         <input type=\"hidden\" name=\"key\" value=\"{key}\"><p><label>Who decides <input name=\"by\" required maxlength=\"200\" value=\"{}\">\
         </label> <label>Why <input name=\"reason\" maxlength=\"1000\"></label></p><p>",
        user(&asker.headers).map_or_else(String::new, |name| escaped(&name)),
    );
    let offered = BUTTONS.iter().filter(|(decision, ..)| *decision != Decision::Accept || may_teach);
    let mut effects = String::new();
    for (decision, text, effect) in offered {
        let _ = write!(body, "<button name=\"verdict\" value=\"{}\">{text}</button> ", decision.name());
        let _ = write!(effects, "<dt>{text}<dd>{effect}");
    }
    let _ = write!(body, "</p></form><dl class=\"faint\">{effects}</dl>");
}

/// `POST /agents/{id}/verdict`
pub(in super::super) async fn decide(
    State(serving): State<Arc<Serving>>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    asker: Asker,
    connection: Connection,
    request: Request,
) -> Result<Response, Problem> {
    serving.access.check_page(&asker, Role::Analyst)?;
    let id = agents::named(id)?;
    let parameters = Parameters::read(query.as_deref(), &["tenant"])?;
    let tenant = parameters.text("tenant");
    is_from_here(&asker.headers)?;
    let text = body::form(request).await?;
    let form = Parameters::read(Some(&text), &["mark", "key", "verdict", "by", "reason"])?;
    let mark = form.text("mark").unwrap_or_default();
    // Hashes are compared, so that how long it takes says nothing of the mark.
    let expected = serving.access.mark(&asker, Role::Analyst, &about(&id, tenant))?;
    if Sha256::digest(mark) != Sha256::digest(expected) {
        let detail = "the form is not one that this page showed you; load the page again and decide there";
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign-form", detail));
    }
    let wanted = form.text("verdict").unwrap_or_default();
    let verdict = Decision::ALL.into_iter().find(|decision| decision.name() == wanted).ok_or_else(|| {
        Problem::bad(
            "invalid-verdict",
            format!("verdict = {} is none; use the buttons of the page", shown(wanted)),
        )
    })?;
    if verdict == Decision::Accept {
        serving.access.check_page(&asker, Role::Admin)?;
    }
    let by = form
        .text("by")
        .filter(|by| !by.trim().is_empty())
        .ok_or_else(|| Problem::bad("invalid-verdict", "nobody is named; say in the form who decides"))?;
    // Sent again by the browser, it is the same verdict.
    let key = form.text("key").map(|key| format!("page {mark} {wanted} {key}"));
    let asked = Asked {
        agent_id: id.clone(),
        tenant: tenant.map(str::to_owned),
        verdict,
        by: by.to_owned(),
        reason: form.text("reason").unwrap_or_default().to_owned(),
        time: None,
    };
    taken(serving, &connection, asked, key, WAIT).await?;
    let back = address(&path_of(&id), tenant, false);
    let place =
        HeaderValue::from_str(&back).map_err(|_| Problem::bad("invalid-agent", "the agent has no page"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response())
}

/// Whether the browser says nothing against it.
fn is_from_here(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text(FETCH_SITE);
    let origin = text(header::ORIGIN).map(|origin| origin.rsplit("://").next().unwrap_or_default());
    // Pages send no referrer, and some browsers then call every origin null.
    let is_foreign = origin.is_some_and(|origin| origin != "null" && Some(origin) != text(header::HOST))
        || site.is_some_and(|site| site != "same-origin");
    if is_foreign {
        let detail = "the request comes from another site; open the page of the agent and decide there";
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign-form", detail));
    }
    Ok(())
}

/// What the form is about.
fn about(id: &str, tenant: Option<&str>) -> String {
    format!("verdict\n{}\n{}\n{id}", tenant.is_some(), tenant.map_or(0, str::len))
        + tenant.unwrap_or_default()
}
