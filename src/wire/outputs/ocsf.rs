//! OCSF 1.8.0, class Detection Finding (2004): an alert as a finding with what was seen beside what is usual, a risk update
//! as one finding for each agent that opens, changes and closes with the agent's level.
//!
//! Knows the class and its enumerations. Must not know how a finding came about.
//!
//! Source: Open Cybersecurity Schema Framework 1.8.0, classes `detection_finding`, objects `finding_info`,
//! `anomaly_analysis`, `evidences`.

use serde_json::{Map, Value, json};

use super::crosswalk::{self, Row};
use super::{PRODUCT, Told, VENDOR, VERSION};
use crate::alert::{Alert, AlertState, Observation};
use crate::finding::{Detector, Family, RiskEventType};
use crate::risk::{Level, RiskUpdate};
use crate::time::EventTime;

/// Version of the schema.
const OCSF: &str = "1.8.0";
/// The class: Detection Finding.
const CLASS: u32 = 2004;
/// Version of MITRE ATLAS whose ids are told.
const ATLAS: &str = "5.6.0";

/// What happened to a finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Activity {
    Create = 1,
    Update = 2,
    Close = 3,
}

impl Activity {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Close => "Close",
        }
    }
}

/// The finding that a message is.
///
/// * `identity`: the agent's name elsewhere.
pub(super) fn finding(told: &Told<'_>, identity: &str) -> Value {
    match told {
        Told::Alert(alert) => of_alert(alert, identity),
        Told::Risk(risk) => of_risk(risk, identity),
    }
}

/// What every finding has.
fn base(activity: Activity, row: Row, time: EventTime, tenant: Option<&str>) -> Map<String, Value> {
    let type_uid = CLASS * 100 + activity as u32;
    let closed = activity == Activity::Close;
    let mut finding = object(json!({
        "activity_id": activity as u32,
        "activity_name": activity.name(),
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": type_uid,
        "type_name": format!("Detection Finding: {}", activity.name()),
        "severity_id": row.ocsf_severity,
        "severity": row.ocsf_severity_name,
        "status_id": if closed { 4 } else { 1 },
        "status": if closed { "Resolved" } else { "New" },
        "time": time.0,
        "metadata": {
            "version": OCSF,
            "product": { "vendor_name": VENDOR, "name": PRODUCT, "version": VERSION },
            "original_time": time.to_string(),
        },
    }));
    if let (Some(tenant), Some(Value::Object(metadata))) = (tenant, finding.get_mut("metadata")) {
        metadata.insert("tenant_uid".to_owned(), tenant.into());
    }
    finding
}

fn of_alert(alert: &Alert, identity: &str) -> Value {
    let activity = match alert.state {
        AlertState::Opened => Activity::Create,
        AlertState::Updated => Activity::Update,
        AlertState::Closed => Activity::Close,
    };
    let mut finding = base(activity, crosswalk::of_alert(alert), alert.time, alert.tenant.as_deref());
    let times = || alert.evidence.iter().map(|evidence| evidence.time);
    let mut info = object(json!({
        "uid": alert.alert_id,
        "title": alert.risk_event_type.name(),
        "desc": alert.summary,
        "types": [alert.risk_event_type.name()],
        "created_time": alert.opened.0,
        "modified_time": alert.time.0,
        "first_seen_time": times().min().unwrap_or(alert.opened).0,
        "last_seen_time": times().max().unwrap_or(alert.time).0,
        "analytic": analytic(alert.family, alert.judged_under.baseline),
        "related_events_count": alert.evidence.len(),
    }));
    if !alert.atlas.is_empty() {
        info.insert("attacks".to_owned(), alert.atlas.iter().map(|id| attack(id)).collect());
    }
    if !alert.owasp.is_empty() {
        info.insert("tags".to_owned(), json!([{ "name": "owasp_agentic_2026", "values": alert.owasp }]));
    }
    let related: Vec<Value> = alert
        .evidence
        .iter()
        .filter_map(|evidence| Some(json!({ "uid": evidence.event_id.as_ref()? })))
        .collect();
    if !related.is_empty() {
        info.insert("related_events".to_owned(), related.into());
    }
    finding.insert("finding_info".to_owned(), info.into());
    finding.insert("is_alert".to_owned(), true.into());
    finding.insert("message".to_owned(), alert.summary.clone().into());
    let agent = agent(identity, &alert.subject.id, &alert.agent_type);
    let agent_type = &alert.agent_type;
    if !alert.findings.is_empty() {
        let analyses = alert.findings.iter().map(|seen| analysis(seen, identity, agent_type)).collect();
        finding.insert("anomaly_analyses".to_owned(), Value::Array(analyses));
    }
    let actor = || {
        let mut actor = object(json!({ "user": user(identity, &alert.subject.id, agent_type) }));
        if let Some(session) = &alert.session_id {
            actor.insert("session".to_owned(), json!({ "uid": session }));
        }
        actor
    };
    let evidences = alert.evidence.iter().map(|evidence| {
        let data = json!({
            "call": evidence.call,
            "family": evidence.family,
            "time": evidence.time,
            "source": evidence.source,
            "line": evidence.line,
        });
        let mut seen =
            object(json!({ "actor": actor(), "api": { "operation": evidence.action }, "data": data }));
        if let Some(id) = &evidence.event_id {
            seen.insert("uid".to_owned(), id.clone().into());
        }
        Value::from(seen)
    });
    let evidences: Vec<Value> = evidences.collect();
    if !evidences.is_empty() {
        finding.insert("evidences".to_owned(), evidences.into());
    }
    finding.insert("resources".to_owned(), json!([agent]));
    finding.insert(
        "unmapped".to_owned(),
        json!({
            "p": alert.p,
            "threshold": alert.threshold,
            "bits": alert.bits,
            "shares": alert.shares,
            "counterfactual": alert.counterfactual,
            "maturity": alert.maturity,
            "judged_under": alert.judged_under,
        }),
    );
    finding.into()
}

/// The finding of an agent's level: agents of the same name are others where their tenants are.
fn uid(tenant: Option<&str>, identity: &str) -> String {
    match tenant {
        Some(tenant) => format!("agent-risk@{}/{identity}", tenant.replace('%', "%25").replace('/', "%2F")),
        None => format!("agent-risk/{identity}"),
    }
}

fn of_risk(risk: &RiskUpdate, identity: &str) -> Value {
    let activity = match (risk.previous_level, risk.level) {
        (_, Level::None) => Activity::Close,
        (Level::None, _) => Activity::Create,
        _ => Activity::Update,
    };
    let row = crosswalk::of_risk(risk);
    let mut finding = base(activity, row, risk.as_of, risk.tenant.as_deref());
    let mut kinds: Vec<RiskEventType> =
        risk.reasons.iter().filter_map(|reason| reason.risk_event_type).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let kinds: Vec<&str> = kinds.into_iter().map(RiskEventType::name).collect();
    let because = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) };
    let message = format!(
        "the risk level of the agent is {} and was {}{because}",
        risk.level.name(),
        risk.previous_level.name()
    );
    let mut info = object(json!({
        // One for each agent, so that the level now is the state of one finding.
        "uid": uid(risk.tenant.as_deref(), identity),
        "title": "Risk level of an agent",
        "desc": message,
        "types": kinds,
        "modified_time": risk.as_of.0,
        "analytic": {
            "type_id": 2, "type": "Behavioral", "uid": "tiltmeter/levels", "name": "levels",
            "version": risk.baseline.to_string(),
        },
    }));
    if !risk.open_alerts.is_empty() {
        let alerts = risk.open_alerts.iter().map(|id| json!({ "uid": id, "type_uid": CLASS * 100 + 1 }));
        info.insert("related_events".to_owned(), alerts.collect());
    }
    finding.insert("finding_info".to_owned(), info.into());
    finding.insert("is_alert".to_owned(), false.into());
    finding.insert("message".to_owned(), message.into());
    finding.insert("risk_level_id".to_owned(), row.ocsf_risk.into());
    finding.insert("risk_level".to_owned(), row.ocsf_risk_name.into());
    finding.insert("risk_score".to_owned(), (risk.score.round().clamp(0.0, 100.0) as u8).into());
    finding.insert("resources".to_owned(), json!([agent(identity, &risk.agent_id, &risk.agent_type)]));
    if let Some(Value::Object(metadata)) = finding.get_mut("metadata") {
        metadata.insert("sequence".to_owned(), risk.seq.into());
    }
    finding.insert(
        "unmapped".to_owned(),
        json!({
            "level_uncapped": risk.level_uncapped,
            "cause": risk.cause,
            "reasons": risk.reasons,
            "expires_at": risk.expires_at,
            "alert_count": risk.alert_count,
            "monitoring": risk.monitoring,
            "maturity": risk.maturity,
            "config": risk.config,
        }),
    );
    finding.into()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// The agent as a resource. OCSF has an object for AI agents only from 1.9.
fn agent(identity: &str, agent_id: &str, agent_type: &str) -> Value {
    json!({ "uid": identity, "name": agent_id, "type": "AI Agent", "labels": [format!("agent_type:{agent_type}")] })
}

/// The agent as the user who acts, as the OWASP Agent Observability Standard has it.
fn user(identity: &str, agent_id: &str, agent_type: &str) -> Value {
    json!({
        "uid": identity, "name": agent_id, "type_id": 99, "type": "AI Agent",
        "groups": [{ "name": agent_type, "type": "agent type" }],
    })
}

fn analytic(family: Family, baseline: u64) -> Value {
    let (type_id, kind) = match family {
        Family::Rules | Family::Registry => (1, "Rule"),
        Family::Verdict => (99, "Verdict"),
        _ => (2, "Behavioral"),
    };
    json!({
        "type_id": type_id, "type": kind, "uid": format!("tiltmeter/{}", family.name()), "name": family.name(),
        "version": baseline.to_string(),
    })
}

/// A technique of MITRE ATLAS: `AML.T0051`, or with a sub-technique `AML.T0051.001`.
fn attack(id: &str) -> Value {
    let sub = id.match_indices('.').nth(1).and_then(|(at, _)| id.get(..at));
    match sub {
        Some(technique) => {
            json!({ "version": ATLAS, "technique": { "uid": technique }, "sub_technique": { "uid": id } })
        }
        None => json!({ "version": ATLAS, "technique": { "uid": id } }),
    }
}

/// What was seen beside what is usual.
fn analysis(seen: &Observation, identity: &str, agent_type: &str) -> Value {
    let (kind, pattern) = (observation_type(seen.detector), pattern(seen.risk_event_type));
    let of = |observations: Value| {
        json!({
            "observation_parameter": seen.unit, "observation_type": kind, "observed_pattern": pattern,
            "observations": observations,
        })
    };
    let of_type = seen.expected_type.map_or_else(|| "unknown".to_owned(), |usual| usual.to_string());
    let mut usual = vec![json!({ "value": of_type })];
    usual.extend(seen.expected_fleet.map(|fleet| json!({ "value": fleet.to_string() })));
    let mut usual = of(usual.into());
    // What is usual is no pattern that was observed.
    if let Value::Object(usual) = &mut usual {
        usual.remove("observed_pattern");
    }
    json!({
        "analysis_targets": [
            { "name": identity, "type": "AI Agent" },
            { "name": agent_type, "type": "Agent type" },
        ],
        "anomalies": [of(json!([{ "value": seen.observed.to_string() }]))],
        "baselines": [usual],
    })
}

fn observation_type(detector: Detector) -> &'static str {
    match detector {
        Detector::Frequency | Detector::Failure | Detector::Fleet => "Frequency Analysis",
        Detector::Sequence => "Sequence Analysis",
        Detector::Provenance | Detector::Access => "Distribution Analysis",
        Detector::Rules | Detector::Registry => "Rule",
    }
}

fn pattern(kind: RiskEventType) -> &'static str {
    match kind {
        RiskEventType::UnfamiliarResourceAccess
        | RiskEventType::UnfamiliarToolUse
        | RiskEventType::UnfamiliarDestination => "UNSEEN",
        RiskEventType::UnusualActionSequence | RiskEventType::UntrustedArgumentOrigin => "RARE",
        RiskEventType::MassEnumeration | RiskEventType::AgentLoop => "HIGH_VOLUME",
        RiskEventType::RequestSpike | RiskEventType::FailedAccessAttempt => "SURGE",
        RiskEventType::Silence => "LOW_VOLUME",
        _ => "MATCHED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::outputs::record::samples;

    #[test]
    fn a_finding_opens_changes_and_closes_under_one_id() {
        let [Told::Alert(alert), Told::Risk(risk)] = samples() else { panic!() };
        let states = [AlertState::Opened, AlertState::Updated, AlertState::Closed];
        let told = states.map(|state| of_alert(&Alert { state, ..alert.clone().into_owned() }, "a"));
        assert_eq!(told.clone().map(|finding| finding["type_uid"].clone()), [200_401, 200_402, 200_403]);
        assert_eq!(told.map(|finding| finding["status_id"].clone()), [1, 1, 4]);
        let level = |previous_level, level| {
            let risk = RiskUpdate { previous_level, level, ..risk.clone().into_owned() };
            of_risk(&risk, "a")["activity_id"].clone()
        };
        assert_eq!(level(Level::None, Level::Low), 1);
        assert_eq!(level(Level::Low, Level::High), 2);
        assert_eq!(level(Level::High, Level::None), 3);
    }

    #[test]
    fn a_sub_technique_names_its_technique() {
        assert_eq!(attack("AML.T0051.001")["technique"]["uid"], "AML.T0051");
        assert_eq!(attack("AML.T0053"), json!({ "version": ATLAS, "technique": { "uid": "AML.T0053" } }));
    }

    #[test]
    fn agents_of_two_tenants_never_share_a_finding() {
        let all = [(None, "a/b"), (Some("a"), "b"), (Some("a/b"), "c"), (Some("a"), "b/c"), (None, "b")];
        let uids: std::collections::BTreeSet<String> =
            all.iter().map(|(tenant, id)| uid(*tenant, id)).collect();
        assert_eq!(uids.len(), all.len(), "{uids:?}");
    }
}
