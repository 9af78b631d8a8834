//! What a control record must hold besides its types: limits, windows, and that it says something.
//!
//! Knows the fields of each kind. Must not know how they are written.

use sha2::{Digest, Sha256};

use crate::control::{Control, ControlRecord, Registration, Scope, Subject};
use crate::finding::{Family, RiskEventType};
use crate::time::EventTime;
use crate::wire::audit_event::{ID_LIMIT_BYTES, TEXT_LIMIT_BYTES};
use crate::wire::dead_letter::{Reason, Refusal};

/// Most patterns, or networks, in one list.
pub const LIST_LIMIT: usize = 256;
/// Most creation parameters.
pub const PARAMETERS_LIMIT: usize = 64;

/// Holds a record to what its types do not say.
pub(super) fn check(record: &ControlRecord, text: &str) -> Result<(), Refusal> {
    limit_time("time", record.time)?;
    limit("by", &record.by, TEXT_LIMIT_BYTES)?;
    limit("id", &record.id, ID_LIMIT_BYTES)?;
    let needs_id =
        !matches!(record.kind, Control::Verdict(_) | Control::Registration(_) | Control::Settings(_));
    if needs_id && record.id.is_empty() {
        let what =
            "field `id` is missing or empty; give the record one, so that a later one can take its place";
        return Err(Refusal::new(Reason::MissingField, what));
    }
    match &record.kind {
        Control::Registration(of) => check_registration(of),
        Control::Verdict(verdict) => {
            filled("agent_id", &verdict.agent_id)?;
            limit("agent_id", &verdict.agent_id, ID_LIMIT_BYTES)?;
            limit("tenant", verdict.tenant.as_deref().unwrap_or_default(), ID_LIMIT_BYTES)?;
            limit("reason", &verdict.reason, TEXT_LIMIT_BYTES)
        }
        Control::DeclaredChange(change) => {
            check_subject(&change.subject)?;
            filled("to_version", &change.to_version)?;
            limit("to_version", &change.to_version, TEXT_LIMIT_BYTES)?;
            limit("from_version", change.from_version.as_deref().unwrap_or_default(), TEXT_LIMIT_BYTES)?;
            limit("reason", &change.reason, TEXT_LIMIT_BYTES)?;
            span(change.from, change.until)
        }
        Control::Grant(grant) => {
            check_subject(&grant.subject)?;
            check_scope(&grant.scope)?;
            few("networks", grant.networks.as_deref().map_or(0, <[_]>::len), LIST_LIMIT)?;
            limit("reason", &grant.reason, TEXT_LIMIT_BYTES)?;
            if grant.scope.is_unlimited() && grant.networks.is_none() {
                return Err(Refusal::new(
                    Reason::MissingField,
                    "field `scope` or `networks` is missing; say what is granted",
                ));
            }
            span(grant.from.unwrap_or(EventTime::EARLIEST), grant.until)
        }
        Control::Maintenance(maintenance) => {
            check_subject(&maintenance.subject)?;
            limit("reason", &maintenance.reason, TEXT_LIMIT_BYTES)?;
            span(maintenance.from, maintenance.until)
        }
        Control::Suppression(suppression) => {
            check_subject(&suppression.subject)?;
            for (name, text) in [("owner", &suppression.owner), ("reason", &suppression.reason)] {
                filled(name, text)?;
                limit(name, text, TEXT_LIMIT_BYTES)?;
            }
            if ["family", "risk_event_type"].iter().all(|name| has_field(text, name)) {
                return Err(super::invalid(
                    "fields `family` and `risk_event_type` are both there; make two suppressions of them"
                        .to_owned(),
                ));
            }
            if suppression.muted.means(Family::Fleet, RiskEventType::FleetShift) {
                return Err(super::invalid(
                    "a suppression is about agents, and `fleetShift` is about a type; declare a change or a maintenance \
                     window of the type instead"
                        .to_owned(),
                ));
            }
            limit_time("until", suppression.until)
        }
        Control::Settings(settings) => {
            let digest: String =
                Sha256::digest(settings.text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            if digest == settings.sha256 {
                return Ok(());
            }
            Err(super::invalid(format!(
                "field `sha256`: {:.64?} is not the hash of `text`, which is {digest}; write both anew",
                settings.sha256
            )))
        }
    }
}

/// Whether the record has a field that is not null.
fn has_field(text: &str, name: &str) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_str(text).ok();
    value.and_then(|value| value.get(name).map(|field| !field.is_null())).unwrap_or_default()
}

fn check_registration(of: &Registration) -> Result<(), Refusal> {
    if of.subject.agent_id.is_none() {
        return Err(Refusal::new(
            Reason::MissingField,
            "field `agent_id` is missing; say which agents are registered",
        ));
    }
    check_subject(&of.subject)?;
    check_scope(&of.scope)?;
    few("networks", of.networks.as_deref().map_or(0, <[_]>::len), LIST_LIMIT)?;
    few("creation", of.creation.len(), PARAMETERS_LIMIT)?;
    let texts = [&of.purpose, &of.training_data, &of.overseer, &of.owner, &of.version];
    let names = ["purpose", "training_data", "overseer", "owner", "version"];
    for (name, text) in names.into_iter().zip(texts) {
        limit(name, text.as_deref().unwrap_or_default(), TEXT_LIMIT_BYTES)?;
    }
    for (name, text) in &of.creation {
        limit("creation", name, TEXT_LIMIT_BYTES)?;
        limit("creation", text, TEXT_LIMIT_BYTES)?;
    }
    span(
        of.valid_from.unwrap_or(EventTime::EARLIEST),
        of.valid_until.unwrap_or(EventTime::LATEST.plus_ms(-1)),
    )
}

fn check_subject(subject: &Subject) -> Result<(), Refusal> {
    if subject.is_empty() {
        return Err(Refusal::new(
            Reason::MissingField,
            "field `agent_id` or `agent_type` is missing; say whom it is about, \"*\" for all",
        ));
    }
    let fields =
        [("agent_id", &subject.agent_id), ("agent_type", &subject.agent_type), ("tenant", &subject.tenant)];
    for (name, pattern) in fields {
        if let Some(pattern) = pattern.as_ref().map(ToString::to_string) {
            filled(name, &pattern)?;
            limit(name, &pattern, ID_LIMIT_BYTES)?;
        }
    }
    Ok(())
}

fn check_scope(scope: &Scope) -> Result<(), Refusal> {
    let lists =
        [("actions", &scope.actions), ("resources", &scope.resources), ("destinations", &scope.destinations)];
    for (name, patterns) in lists {
        let Some(patterns) = patterns else { continue };
        few(name, patterns.iter().len(), LIST_LIMIT)?;
        for pattern in patterns.iter() {
            limit(name, &pattern.to_string(), TEXT_LIMIT_BYTES)?;
        }
    }
    Ok(())
}

fn filled(name: &str, text: &str) -> Result<(), Refusal> {
    match text {
        "" => Err(Refusal::new(Reason::EmptyField, format!("field `{name}` is empty; say which it is"))),
        _ => Ok(()),
    }
}

fn limit(name: &str, text: &str, most: usize) -> Result<(), Refusal> {
    let bytes = text.len();
    if bytes <= most {
        return Ok(());
    }
    let what = format!("field `{name}` has a text of {bytes} bytes; at most {most} are read; shorten it");
    Err(Refusal::new(Reason::TooLong, what))
}

fn few(name: &str, entries: usize, most: usize) -> Result<(), Refusal> {
    if entries <= most {
        return Ok(());
    }
    let what =
        format!("field `{name}` has {entries} entries; at most {most} are read; join some as patterns");
    Err(Refusal::new(Reason::TooMany, what))
}

fn limit_time(name: &str, time: EventTime) -> Result<(), Refusal> {
    if time.is_plausible() {
        return Ok(());
    }
    let what = format!("field `{name}`: {time} lies outside the years 2000 to 2100; mend it");
    Err(Refusal::new(Reason::OutOfRange, what))
}

fn span(from: EventTime, until: EventTime) -> Result<(), Refusal> {
    limit_time("from", from)?;
    limit_time("until", until)?;
    if from < until {
        return Ok(());
    }
    Err(super::invalid(format!(
        "it ends at {until}, which is not after its beginning at {from}; mend one of them"
    )))
}
