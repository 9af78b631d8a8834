//! Which fields a control record of each kind may have.
//!
//! Knows their names. Must not know what they hold.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::cut;
use crate::wire::dead_letter::{Reason, Refusal};
use crate::wire::mapping_file::nearest;

/// What every record may have.
const HEAD: [&str; 5] = ["schema", "time", "id", "by", "kind"];
/// What every record about agents may have.
const SUBJECT: [&str; 3] = ["agent_id", "agent_type", "tenant"];
/// What a scope may have.
const SCOPE: [&str; 3] = ["actions", "resources", "destinations"];

/// What a record of a kind may have besides [`HEAD`]; none for a kind that is not known.
fn of_kind(kind: &str) -> Option<Vec<&'static str>> {
    let (subject, own): (&[&str], &[&str]) = match kind {
        "registration" => (
            &SUBJECT,
            &[
                "purpose",
                "creation",
                "training_data",
                "overseer",
                "owner",
                "version",
                "criticality",
                "scope",
                "networks",
                "state",
                "valid_from",
                "valid_until",
            ],
        ),
        "verdict" => (&["agent_id", "tenant"], &["verdict", "reason"]),
        "declared_change" => (&SUBJECT, &["from_version", "to_version", "from", "until", "reason"]),
        "grant" => (&SUBJECT, &["scope", "networks", "from", "until", "reason"]),
        "maintenance" => (&SUBJECT, &["from", "until", "reason"]),
        "suppression" => (&SUBJECT, &["family", "risk_event_type", "owner", "reason", "until"]),
        "settings" => (&[], &["sha256", "text"]),
        _ => return None,
    };
    Some([subject, own].concat())
}

/// Refuses a record with a field that is not read.
pub(super) fn check(kind: &str, text: &str) -> Result<(), Refusal> {
    let Some(own) = of_kind(kind) else { return Ok(()) };
    // What is no object, or names a field twice, is refused elsewhere.
    let Ok(record) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) else { return Ok(()) };
    let known = [&HEAD, own.as_slice()].concat();
    let about = format!("a record of kind {kind}");
    record.keys().try_for_each(|name| is_known(name, "", &known, &about))?;
    let scope = record.get("scope").filter(|_| known.contains(&"scope"));
    let Some(Ok(scope)) =
        scope.map(|scope| serde_json::from_str::<BTreeMap<String, IgnoredAny>>(scope.get()))
    else {
        return Ok(());
    };
    scope.keys().try_for_each(|name| is_known(name, "scope.", &SCOPE, "a scope"))
}

fn is_known(name: &str, place: &str, known: &[&str], about: &str) -> Result<(), Refusal> {
    if known.contains(&name) {
        return Ok(());
    }
    let remedy = match nearest(name, known) {
        Some(near) => format!("did you mean `{place}{near}`?"),
        None => format!("it has {}", known.join(", ")),
    };
    let shown = cut(name);
    let what =
        format!("field `{place}{shown:.64}` is none of {about}, and would be without effect: {remedy}");
    Err(Refusal::new(Reason::InvalidValue, what))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::control::Control;

    #[test]
    fn the_schema_names_the_same_fields() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../../schemas/agent-control.v1.schema.json")).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        let in_schema: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        let mut known: BTreeSet<&str> = HEAD.into();
        known.extend(Control::NAMES.iter().flat_map(|kind| of_kind(kind).unwrap()));
        assert_eq!(known, in_schema);
        let scope = schema["$defs"]["scope"]["properties"].as_object().unwrap();
        assert_eq!(scope.keys().map(String::as_str).collect::<BTreeSet<_>>(), SCOPE.into());
    }
}
