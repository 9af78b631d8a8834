//! What happened to one agent: its alerts, each with what was seen and what is usual, and the changes of its level.
//!
//! Knows how they are shown. Must not know how anything is judged, and must not trust a name.

use std::cmp::Reverse;
use std::fmt::Write as _;

use super::super::Serving;
use super::text::{breakable, escaped, moment, sentence, without_subject};
use super::{ALERTS, nothing, state_of};
use crate::alert::Alert;
use crate::risk::RiskUpdate;
use crate::time::EventTime;

/// News in which changes of the level are looked for: all that are kept.
const NEWS: usize = usize::MAX;

/// A row: when, and what stands in it behind the time.
type Row = (EventTime, String);

/// Adds the table.
pub(super) fn add(body: &mut String, serving: &Serving, id: &str, tenant: Option<&str>) {
    *body += "<h2>Timeline</h2>";
    let alerts = serving.lookup.alerts().of(tenant, id, ALERTS);
    let alerts = alerts.iter().filter_map(|json| serde_json::from_str(json).ok());
    let mut rows: Vec<Row> = alerts.map(|alert: Alert| (alert.time, of_alert(&alert))).collect();
    let (news, _) = serving.lookup.news().after(0, NEWS);
    let updates = news.iter().filter(|item| item.kind == "risk");
    let updates = updates.filter_map(|item| serde_json::from_str(&item.json).ok());
    let own = |risk: &RiskUpdate| risk.agent_id == id && risk.tenant.as_deref() == tenant;
    let mut updates: Vec<RiskUpdate> = updates.filter(own).collect();
    // What was told before this instance began is known by its last update alone.
    let last = serving.lookup.agents().of(tenant, id).map(|found| found.risk);
    updates.extend(last.filter(|last| updates.iter().all(|update| update.seq != last.seq)));
    rows.extend(updates.iter().map(|risk| (risk.as_of, of_level(risk))));
    if rows.is_empty() {
        *body += nothing(serving);
        return;
    }
    // Topics are read side by side, those with a backlog in large pieces.
    rows.sort_by_key(|(time, _)| Reverse(*time));
    *body += "<table class=\"alerts\"><thead><tr><th scope=\"col\">Time<th scope=\"col\">State<th scope=\"col\">Risk\
              <th scope=\"col\">What was seen<th scope=\"col\" class=\"number\">Seen<th scope=\"col\" class=\"number\">Usual</tr></thead><tbody>";
    for (time, row) in rows.iter().take(ALERTS) {
        let _ = write!(body, "<tr><td class=\"time\">{}{row}</tr>", moment(*time));
    }
    *body += "</tbody></table>";
}

fn of_alert(alert: &Alert) -> String {
    let state = state_of(alert);
    let (seen, usual) = alert.findings.first().map_or_else(
        || ("–".to_owned(), "–".to_owned()),
        |finding| {
            let seen = format!("{} {}", figure(finding.observed), escaped(&finding.unit));
            (seen, finding.expected_type.map_or_else(|| "–".to_owned(), figure))
        },
    );
    format!(
        "<td class=\"state {state}\">{state}<td class=\"risk\">{}<td class=\"what\">{}<td class=\"number observed\">{seen}\
         <td class=\"number usual\">{usual}",
        breakable(alert.risk_event_type.name()),
        sentence(without_subject(&alert.summary)),
    )
}

fn of_level(risk: &RiskUpdate) -> String {
    let (level, before) = (risk.level.name(), risk.previous_level.name());
    format!(
        "<td class=\"state\">level<td class=\"risk\"><span class=\"level {level}\">{level}</span>\
         <td class=\"what\">before that <span class=\"level {before}\">{before}</span>, score {:.1}<td class=\"number\"><td class=\"number\">",
        risk.score,
    )
}

/// A figure with three digits that count.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        size if size >= 1e-3 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_count() {
        let shown = [1234.56, 12.34, 1.0, 0.1234, 0.0, 0.00001234].map(figure);
        assert_eq!(shown, ["1235", "12.3", "1.0", "0.123", "0", "1.2e-5"]);
    }
}
