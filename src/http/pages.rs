//! Pages for people: agents at risk with the last alerts, and one agent.
//!
//! Knows how what was read is shown. Must not change anything but by a verdict, and must not trust a name: agents choose their own.

mod address;
mod form;
mod text;
mod timeline;

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

pub(super) use self::form::decide;

use self::address::{View, address, link, path_of};
use self::text::{breakable, escaped, moment, sentence, without_subject};
use super::access::{Asker, Role};
use super::problem::Problem;
use super::query::Parameters;
use super::{Serving, agents, now_ms};
use crate::alert::{Alert, AlertState};
use crate::kafka::service::lookup::{Found, Wanted};
use crate::metrics::monitoring;
use crate::risk::{Level, Monitoring};
use crate::time::EventTime;

/// Agents of each level that are shown, and alerts.
const AGENTS: usize = 100;
const ALERTS: usize = 50;
/// Agents of each level among which those with the highest scores are shown.
const LOOK_AT: usize = 1000;
/// How a page looks; part of it, so that it needs nothing else.
const STYLE: &str = include_str!("pages/style.css");
/// Between two looks of an open page. Seconds.
const AGAIN_SECS: u32 = 10;

/// `GET /`
pub(super) async fn front(
    State(serving): State<Arc<Serving>>,
    RawQuery(query): RawQuery,
    asker: Asker,
) -> Result<Response, Problem> {
    serving.access.check_page(&asker, Role::Viewer)?;
    let view = View::new("/", None, &Parameters::read(query.as_deref(), &["refresh"])?)?;
    let mut body = String::new();
    let found = serving.lookup.agents();
    let seen = [Monitoring::Ok, Monitoring::Degraded, Monitoring::Blind];
    let count = |level: Level| seen.iter().map(|seen| found.count(level, *seen)).sum::<usize>();
    let counts = Level::ALL.map(|level| (level, count(level)));
    let at_risk = [Level::High, Level::Medium, Level::Low].map(|level| {
        let wanted = Wanted { level: Some(level), limit: LOOK_AT, look_at: LOOK_AT, ..Wanted::default() };
        found.page(&wanted).agents
    });
    drop(found);
    body += "<ul class=\"counts\">";
    for (level, count) in counts.iter().rev() {
        let _ = write!(body, "<li><span class=\"level {0}\">{count}</span> {0}", level.name());
    }
    body += "</ul><h2>Agents at risk</h2>";
    if at_risk.iter().all(Vec::is_empty) {
        body += nothing(&serving);
    } else {
        body += "<table class=\"agents\"><thead><tr><th scope=\"col\">Level<th scope=\"col\" class=\"number\">Score\
                 <th scope=\"col\">Agent<th scope=\"col\">Type<th scope=\"col\">Since<th scope=\"col\">Monitoring</tr></thead><tbody>";
        for mut agents in at_risk {
            agents.sort_by(|a, b| b.risk.score.total_cmp(&a.risk.score));
            agents.iter().take(AGENTS).for_each(|found| row(&mut body, found, &view));
        }
        body += "</tbody></table>";
        for (level, count) in
            counts.iter().rev().filter(|(level, count)| *level > Level::None && *count > AGENTS)
        {
            let level = level.name();
            let _ = write!(
                body,
                "<p class=\"faint\">{AGENTS} of {count} with level {level}; <code>/v1/agents?level={level}</code> lists all.</p>"
            );
        }
    }
    body += "<h2>Last alerts</h2>";
    let alerts = serving.lookup.alerts().latest(ALERTS);
    table_of_alerts(&mut body, &serving, &alerts, &view);
    let [_, _, (_, medium), (_, high)] = counts;
    Ok(page(&serving, &view, &format!("{high} high, {medium} medium"), &body))
}

/// `GET /agents/{id}`
pub(super) async fn agent(
    State(serving): State<Arc<Serving>>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    asker: Asker,
) -> Result<Response, Problem> {
    serving.access.check_page(&asker, Role::Viewer)?;
    let id = agents::named(id)?;
    let parameters = Parameters::read(query.as_deref(), &["tenant", "refresh"])?;
    let tenant = parameters.text("tenant");
    let view = View::new(&path_of(&id), tenant, &parameters)?;
    let mut body = format!("<h2>{}</h2>", escaped(&id));
    match serving.lookup.agents().of(tenant, &id) {
        None if !serving.lookup.is_read() => body += nothing(&serving),
        None => {
            body += "<p><span class=\"level unknown\">unknown</span>: it has never had a risk level. Where events name a tenant, the \
                     address has to name it too: <code>?tenant=…</code></p>"
        }
        Some(Found { risk, .. }) => {
            let level = risk.level.name();
            let uncapped = if risk.level_uncapped == risk.level {
                String::new()
            } else {
                format!(
                    " <span class=\"faint\">(only observed; it would be {})</span>",
                    risk.level_uncapped.name()
                )
            };
            let _ = write!(
                body,
                "<dl><dt>Level<dd class=\"level {level}\">{level}{uncapped}<dt>Score<dd>{:.1} of 100 \
                 <span class=\"faint\">(sorts agents; no level follows from it)</span><dt>Type<dd>{}<dt>Tenant<dd>{}<dt>Since<dd>{}\
                 <dt>May fall<dd>{}<dt>Monitoring<dd class=\"{seen}\">{seen}<dt>Maturity<dd>{}<dt>Alerts<dd>{} opened, {} open</dl>",
                risk.score,
                escaped(&risk.agent_type),
                risk.tenant.as_deref().map_or_else(|| "–".to_owned(), escaped),
                moment(risk.as_of),
                risk.expires_at.map_or_else(|| "–".to_owned(), moment),
                escaped(&risk.maturity),
                risk.alert_count,
                risk.open_alerts.len(),
                seen = monitoring(risk.monitoring),
            );
            if let Some(proposed) = &risk.proposed {
                let _ = write!(
                    body,
                    "<p class=\"proposed\">{} proposed <strong>{}</strong>: a different person may complete it before {}.</p>",
                    escaped(&proposed.by),
                    proposed.verdict.name(),
                    moment(proposed.until),
                );
            }
            if !risk.reasons.is_empty() {
                body += "<h2>What the score is made of</h2><table class=\"reasons\"><thead><tr><th scope=\"col\" class=\"number\">Points\
                         <th scope=\"col\">Detector<th scope=\"col\">Risk</tr></thead><tbody>";
                let mut reasons = risk.reasons;
                reasons.sort_by(|a, b| b.points.total_cmp(&a.points));
                for reason in &reasons {
                    let kind = reason.risk_event_type.map_or("–", |kind| kind.name());
                    let (name, kind) = (reason.detector.name(), breakable(kind));
                    let _ = write!(
                        body,
                        "<tr><td class=\"number\">{:.1}<td>{name}<td>{kind}</tr>",
                        reason.points
                    );
                }
                body += "</tbody></table>";
            }
        }
    }
    form::add(&mut body, &serving, &asker, &id, tenant, &view);
    timeline::add(&mut body, &serving, &id, tenant);
    Ok(page(&serving, &view, &escaped(&id), &body))
}

fn row(body: &mut String, Found { risk, .. }: &Found, view: &View) {
    let level = risk.level.name();
    let _ = write!(
        body,
        "<tr><td class=\"level {level}\">{level}<td class=\"number\">{:.1}<td class=\"name\">{}<td class=\"type\">{}\
         <td class=\"time\">{}<td class=\"seen {seen}\">{seen}</tr>",
        risk.score,
        link(risk.tenant.as_deref(), &risk.agent_id, view),
        escaped(&risk.agent_type),
        moment(risk.as_of),
        seen = monitoring(risk.monitoring),
    );
}

fn table_of_alerts(body: &mut String, serving: &Serving, alerts: &[String], view: &View) {
    let mut alerts: Vec<Alert> = alerts.iter().filter_map(|json| serde_json::from_str(json).ok()).collect();
    if alerts.is_empty() {
        *body += nothing(serving);
        return;
    }
    // Partitions are read side by side, those with a backlog in large pieces.
    alerts.sort_by_key(|alert| Reverse(alert.time));
    *body += "<table class=\"alerts\"><thead><tr><th scope=\"col\">Time<th scope=\"col\">State<th scope=\"col\">Agent\
              <th scope=\"col\">Risk<th scope=\"col\">What was seen</tr></thead><tbody>";
    for alert in alerts {
        let state = state_of(&alert);
        let _ =
            write!(body, "<tr><td class=\"time\">{}<td class=\"state {state}\">{state}", moment(alert.time));
        let (tenant, id) = (alert.tenant.as_deref(), &alert.subject.id);
        let is_agent = alert.subject.kind == "agent";
        let of = if is_agent { link(tenant, id, view) } else { format!("all of {}", escaped(id)) };
        let _ = write!(body, "<td class=\"name\">{of}");
        let _ = write!(
            body,
            "<td class=\"risk\">{}<td class=\"what\">{}</tr>",
            breakable(alert.risk_event_type.name()),
            sentence(without_subject(&alert.summary)),
        );
    }
    *body += "</tbody></table>";
}

fn state_of(alert: &Alert) -> &'static str {
    match alert.state {
        AlertState::Opened => "opened",
        AlertState::Updated => "worse",
        AlertState::Closed => "closed",
    }
}

/// What stands where nothing was found.
fn nothing(serving: &Serving) -> &'static str {
    if serving.lookup.is_read() {
        "<p class=\"faint\">None.</p>"
    } else {
        "<p class=\"faint\">Not read yet.</p>"
    }
}

/// * `title`, `body`: markup; names in it are escaped by then.
fn page(serving: &Serving, view: &View, title: &str, body: &str) -> Response {
    let read = if !serving.lookup.is_read() {
        "<strong class=\"medium\">levels are being read from Kafka</strong>".to_owned()
    } else if serving.fresh_until().0 < now_ms() {
        let silent_secs = (now_ms() - serving.lookup.current_ms()) / 1000;
        format!(
            "<strong class=\"medium\">Kafka has not answered for {silent_secs} seconds: levels may be old</strong>"
        )
    } else {
        "up to date".to_owned()
    };
    let (again, switch) = if view.holds_still {
        (String::new(), format!("look again every {AGAIN_SECS} s"))
    } else {
        (format!("<meta http-equiv=\"refresh\" content=\"{AGAIN_SECS}\">"), "hold still".to_owned())
    };
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">{again}<title>{title} – Tiltmeter</title>\
         <style>{STYLE}</style></head><body><header><h1><a href=\"{home}\">Tiltmeter</a></h1><p class=\"faint\">{now} UTC · {read} · \
         <a href=\"{other}\">{switch}</a></p></header><main>{body}</main></body></html>",
        home = address("/", None, view.holds_still),
        now = moment(EventTime(now_ms())),
        other = view.switched(),
    );
    let style = BASE64.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    let mut response = (StatusCode::OK, text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
