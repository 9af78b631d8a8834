//! Pages for people: agents at risk with the last alerts, and one agent.
//!
//! Knows how what was read is shown. Must not change anything, and must not trust a name: agents choose their own.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

use super::access::Role;
use super::problem::Problem;
use super::query::Parameters;
use super::{Serving, agents, now_ms};
use crate::alert::{Alert, AlertState};
use crate::kafka::service::lookup::{Found, Wanted};
use crate::risk::{Level, Monitoring};
use crate::time::EventTime;

/// Agents of each level that are shown, and alerts.
const AGENTS: usize = 100;
const ALERTS: usize = 50;
/// Characters of a name that are shown.
const SHOWN_CHARS: usize = 256;
/// How a page looks; part of it, so that it needs nothing else.
const STYLE: &str = include_str!("pages/style.css");
/// Between two looks of an open page. Seconds.
const AGAIN_SECS: u32 = 10;

/// `GET /`
pub(super) async fn front(
    State(serving): State<Arc<Serving>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    serving.access.check_page(&headers, Role::Viewer)?;
    Parameters::read(query.as_deref(), &[])?;
    let mut body = String::new();
    let found = serving.lookup.agents();
    let seen = [Monitoring::Ok, Monitoring::Degraded, Monitoring::Blind];
    let count = |level: Level| seen.iter().map(|seen| found.count(level, *seen)).sum::<usize>();
    let counts: Vec<String> = Level::ALL
        .into_iter()
        .rev()
        .map(|level| format!("<span class=\"level {0}\">{1}</span> {0}", level.name(), count(level)))
        .collect();
    let _ = write!(body, "<p>{}</p>", counts.join(" · "));
    let at_risk: Vec<Found> = [Level::High, Level::Medium, Level::Low]
        .into_iter()
        .flat_map(|level| {
            let wanted = Wanted { level: Some(level), limit: AGENTS, look_at: AGENTS, ..Wanted::default() };
            found.page(&wanted).agents
        })
        .collect();
    drop(found);
    body += "<h2>Agents at risk</h2>";
    if at_risk.is_empty() {
        body += "<p class=\"faint\">None.</p>";
    } else {
        body += "<table><thead><tr><th>Level<th class=\"number\">Score<th>Agent<th>Type<th>Since<th>Seen</tr></thead><tbody>";
        for found in &at_risk {
            row(&mut body, found);
        }
        body += "</tbody></table>";
    }
    body += "<h2>Last alerts</h2>";
    let alerts = serving.lookup.alerts().latest(ALERTS);
    table_of_alerts(&mut body, &alerts, true);
    Ok(page(&serving, "Agents at risk", &body))
}

/// `GET /agents/{id}`
pub(super) async fn agent(
    State(serving): State<Arc<Serving>>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    serving.access.check_page(&headers, Role::Viewer)?;
    let id = agents::named(id)?;
    let parameters = Parameters::read(query.as_deref(), &["tenant"])?;
    let tenant = parameters.text("tenant");
    let mut body = format!("<h2>{}</h2>", escaped(&id));
    match serving.lookup.agents().of(tenant, &id) {
        None => {
            body += "<p><span class=\"level unknown\">unknown</span>: it has never had a risk level, under this tenant.</p>"
        }
        Some(Found { risk, .. }) => {
            let level = risk.level.name();
            let _ = write!(
                body,
                "<dl><dt>Level<dd class=\"level {level}\">{level}<dt>Score<dd>{:.1}<dt>Type<dd>{}<dt>Tenant<dd>{}<dt>Since<dd>{}\
                 <dt>Falls by itself<dd>{}<dt>Seen<dd>{}, {}<dt>Alerts<dd>{} opened, {} open</dl>",
                risk.score,
                escaped(&risk.agent_type),
                escaped(risk.tenant.as_deref().unwrap_or("–")),
                risk.as_of,
                risk.expires_at.map_or_else(|| "–".to_owned(), |time: EventTime| time.to_string()),
                crate::metrics::monitoring(risk.monitoring),
                escaped(&risk.maturity),
                risk.alert_count,
                risk.open_alerts.len(),
            );
            if !risk.reasons.is_empty() {
                body += "<h2>What the score is made of</h2><table><tbody>";
                for reason in &risk.reasons {
                    let kind = reason.risk_event_type.map_or("–", |kind| kind.name());
                    let name = reason.detector.name();
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
    body += "<h2>Last alerts</h2>";
    let alerts = serving.lookup.alerts().of(tenant, &id, ALERTS);
    table_of_alerts(&mut body, &alerts, false);
    Ok(page(&serving, &escaped(&id), &body))
}

fn row(body: &mut String, Found { risk, .. }: &Found) {
    let level = risk.level.name();
    let _ = write!(
        body,
        "<tr><td class=\"level {level}\">{level}<td class=\"number\">{:.1}<td>{}<td>{}<td class=\"time\">{}<td>{}</tr>",
        risk.score,
        link(risk.tenant.as_deref(), &risk.agent_id),
        escaped(&risk.agent_type),
        risk.as_of,
        crate::metrics::monitoring(risk.monitoring),
    );
}

fn table_of_alerts(body: &mut String, alerts: &[String], with_agent: bool) {
    let alerts: Vec<Alert> = alerts.iter().filter_map(|json| serde_json::from_str(json).ok()).collect();
    if alerts.is_empty() {
        *body += "<p class=\"faint\">None.</p>";
        return;
    }
    *body += "<table><thead><tr><th>Time<th>";
    *body += if with_agent { "Agent<th>" } else { "" };
    *body += "Risk<th>What was seen</tr></thead><tbody>";
    for alert in alerts {
        let state = match alert.state {
            AlertState::Opened => "opened",
            AlertState::Updated => "worse",
            AlertState::Closed => "closed",
        };
        let agent = if with_agent {
            format!("<td>{}", link(alert.tenant.as_deref(), &alert.subject.id))
        } else {
            String::new()
        };
        let _ = write!(
            body,
            "<tr><td class=\"time\">{}<br>{state}{agent}<td>{}<td>{}</tr>",
            alert.time,
            alert.risk_event_type.name(),
            escaped(&alert.summary),
        );
    }
    *body += "</tbody></table>";
}

/// An agent, with the way to its page.
fn link(tenant: Option<&str>, agent_id: &str) -> String {
    let path: String = form_urlencoded::byte_serialize(agent_id.as_bytes()).collect();
    // A plus is a plus in a path.
    let path = path.replace('+', "%20");
    let query = tenant.map(|tenant| {
        let tenant: String = form_urlencoded::byte_serialize(tenant.as_bytes()).collect();
        format!("?tenant={tenant}")
    });
    let of = tenant.map(|tenant| format!(" <span class=\"faint\">{}</span>", escaped(tenant)));
    let (query, of) = (query.unwrap_or_default(), of.unwrap_or_default());
    format!("<a href=\"/agents/{path}{query}\">{}</a>{of}", escaped(agent_id))
}

/// A name as a page may show it: no markup, cut, and what cannot be seen is written out.
fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(SHOWN_CHARS) {
        match c {
            '&' => shown += "&amp;",
            '<' => shown += "&lt;",
            '>' => shown += "&gt;",
            '"' => shown += "&quot;",
            '\'' => shown += "&#39;",
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
                shown.extend(c.escape_unicode());
            }
            c if c.is_control() => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// * `title`, `body`: markup; names in it are escaped by then.
fn page(serving: &Serving, title: &str, body: &str) -> Response {
    let read = if serving.lookup.is_read() {
        let left_secs = (serving.fresh_until().0 - now_ms()) / 1000;
        if left_secs >= 0 {
            "up to date".to_owned()
        } else {
            format!(
                "<span class=\"level medium\">Kafka has not answered for {} seconds: levels may be old</span>",
                -left_secs
            )
        }
    } else {
        "<span class=\"level medium\">levels are being read from Kafka</span>".to_owned()
    };
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"refresh\" content=\"{AGAIN_SECS}\"><title>{title} – Tiltmeter</title><style>{STYLE}</style></head>\
         <body><header><h1><a href=\"/\">Tiltmeter</a></h1><span class=\"faint\">{} · {read}</span></header>{body}</body></html>",
        EventTime(now_ms()),
    );
    let style = BASE64.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hostile_name_is_text() {
        let hostile = "<script>alert('x')</script>\"&\u{202e}\u{1b}[2J";
        let shown = escaped(hostile);
        assert_eq!(shown, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\\u{202e}\\u{1b}[2J");
        assert_eq!(escaped(&"x".repeat(300)), "x".repeat(256) + "…");
        let link = link(Some("a&b\"c"), "../../x y?\">+%");
        assert!(
            link.starts_with("<a href=\"/agents/..%2F..%2Fx%20y%3F%22%3E%2B%25?tenant=a%26b%22c\">"),
            "{link}"
        );
    }

    proptest! {
        #[test]
        fn no_name_becomes_markup(name in any::<String>()) {
            let shown = escaped(&name);
            prop_assert!(!shown.contains(['<', '>', '"', '\'', '\n', '\0']));
        }
    }
}
