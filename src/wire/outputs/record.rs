//! What a mapping can ask for: our own message, and beside it the words of others for its level, the agent's identity and
//! who we are.
//!
//! Knows the members of our messages. Must not know any format.

use serde::Serialize;
use serde_json::Value;

use super::crosswalk::{self, Row};
use super::{PRODUCT, Told, Unfit, VENDOR, VERSION};

/// A message with what stands beside it.
#[derive(Serialize)]
struct Record<'r, M> {
    #[serde(flatten)]
    message: &'r M,
    crosswalk: Row,
    identity: &'r str,
    product: Product,
}

#[derive(Serialize)]
struct Product {
    vendor: &'static str,
    name: &'static str,
    version: &'static str,
}

/// The record of a message.
///
/// * `identity`: the agent's name elsewhere.
pub(super) fn record(told: &Told<'_>, identity: &str) -> Result<Value, Unfit> {
    let product = Product { vendor: VENDOR, name: PRODUCT, version: VERSION };
    Ok(match told {
        Told::Alert(alert) => serde_json::to_value(Record {
            message: alert.as_ref(),
            crosswalk: crosswalk::of_alert(alert),
            identity,
            product,
        })?,
        Told::Risk(risk) => serde_json::to_value(Record {
            message: risk.as_ref(),
            crosswalk: crosswalk::of_risk(risk),
            identity,
            product,
        })?,
    })
}

/// One message of each kind in which nothing is left out: what paths of mappings are checked against.
pub(super) fn samples() -> [Told<'static>; 2] {
    use std::borrow::Cow;

    use crate::alert::{Alert, Counterfactual, Evidence, Observation, Share};
    use crate::finding::{Detector, Family, RiskEventType};
    use crate::risk::{Cause, Level, Monitoring, RISK_SCHEMA, Reason, RiskUpdate};
    use crate::time::EventTime;

    let family = Family::CallContent;
    let (detector, risk_event_type) = (Detector::Provenance, RiskEventType::UntrustedArgumentOrigin);
    let alert = Alert {
        alert_id: "0123456789abcdef0123456789abcdef".to_owned(),
        tenant: Some("tenant".to_owned()),
        session_id: Some("session".to_owned()),
        agent_type: "type".to_owned(),
        risk_event_type,
        owasp: vec!["ASI01".to_owned()],
        atlas: vec!["AML.T0053".to_owned()],
        shares: vec![Share { family, detector, share: 1.0 }],
        findings: vec![Observation {
            family,
            detector,
            risk_event_type,
            p: 0.001,
            observed: 1.0,
            expected_agent: None,
            expected_type: Some(0.5),
            expected_fleet: Some(0.5),
            unit: "calls".to_owned(),
            sentence: "sentence".to_owned(),
        }],
        counterfactual: Some(Counterfactual { replaced: "field".to_owned(), p: 0.5, still_alerts: false }),
        evidence: vec![Evidence {
            resources: Vec::new(),
            event_id: Some("event".to_owned()),
            time: EventTime::default(),
            action: "action".to_owned(),
            call: 1,
            source: 0,
            line: 1,
            family,
        }],
        ..Alert::empty(family)
    };
    let risk = RiskUpdate {
        schema: RISK_SCHEMA.to_owned(),
        agent_id: "agent".to_owned(),
        tenant: Some("tenant".to_owned()),
        agent_type: "type".to_owned(),
        seq: 1,
        level: Level::Medium,
        previous_level: Level::None,
        level_uncapped: Level::Medium,
        score: 25.0,
        reasons: vec![Reason { detector, risk_event_type: Some(risk_event_type), points: 25.0 }],
        cause: Cause::Finding,
        as_of: EventTime::default(),
        expires_at: Some(EventTime::default()),
        alert_count: 1,
        open_alerts: vec!["0123456789abcdef0123456789abcdef".to_owned()],
        proposed: None,
        monitoring: Monitoring::Ok,
        maturity: "mature".to_owned(),
        baseline: 1,
        config: "0123456789ab".to_owned(),
    };
    [Told::Alert(Cow::Owned(alert)), Told::Risk(Cow::Owned(risk))]
}
