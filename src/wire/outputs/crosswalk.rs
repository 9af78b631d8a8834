//! One table of levels: what each of ours is called by others.
//!
//! Knows names and numbers of severities. Must not know how a level is reached.

use serde::Serialize;

use crate::alert::Alert;
use crate::finding::Family;
use crate::risk::{Level, Monitoring, RiskUpdate};

/// A family says so with at least this part of the evidence; as for levels.
const SAYS_SO: f64 = 0.25;
/// An alert is high where p is at most this part of its threshold; as for levels of agents of normal criticality.
const FAR_BELOW: f64 = 30.0;
/// Bits that a rule of level medium, or high, has.
const RULE_BITS: (f64, f64) = (14.0, 40.0);

/// One of our levels in the words of others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Row {
    /// Ours; `unknown` for an agent that cannot be seen and has no level.
    pub level: &'static str,
    /// `riskLevel` of Microsoft Graph.
    pub entra: &'static str,
    /// `current_level` of a CAEP risk-level-change event, which has no word for none; nothing is sent for unknown.
    pub caep: &'static str,
    /// `risk_level_id` of OCSF.
    pub ocsf_risk: u8,
    /// Its caption.
    pub ocsf_risk_name: &'static str,
    /// `severity_id` of OCSF.
    pub ocsf_severity: u8,
    /// Its caption.
    pub ocsf_severity_name: &'static str,
    /// Severity of CEF, 0–10.
    pub cef: u8,
    /// Risk level as Elastic calls it.
    pub elastic: &'static str,
    /// Severity of an alert in Kibana, 0–100.
    pub kibana: u8,
    /// Investigation priority of Sentinel, 0–10.
    pub sentinel: u8,
}

/// The table, from unknown upwards.
pub const TABLE: [Row; 5] = [
    Row {
        level: "unknown",
        entra: "hidden",
        caep: "",
        ocsf_risk: 99,
        ocsf_risk_name: "Unknown",
        ocsf_severity: 0,
        ocsf_severity_name: "Unknown",
        cef: 0,
        elastic: "Unknown",
        kibana: 0,
        sentinel: 0,
    },
    Row {
        level: "none",
        entra: "none",
        caep: "LOW",
        ocsf_risk: 0,
        ocsf_risk_name: "Info",
        ocsf_severity: 1,
        ocsf_severity_name: "Informational",
        cef: 1,
        elastic: "Unknown",
        kibana: 0,
        sentinel: 0,
    },
    Row {
        level: "low",
        entra: "low",
        caep: "LOW",
        ocsf_risk: 1,
        ocsf_risk_name: "Low",
        ocsf_severity: 2,
        ocsf_severity_name: "Low",
        cef: 3,
        elastic: "Low",
        kibana: 21,
        sentinel: 2,
    },
    Row {
        level: "medium",
        entra: "medium",
        caep: "MEDIUM",
        ocsf_risk: 2,
        ocsf_risk_name: "Medium",
        ocsf_severity: 3,
        ocsf_severity_name: "Medium",
        cef: 6,
        elastic: "Moderate",
        kibana: 47,
        sentinel: 5,
    },
    Row {
        level: "high",
        entra: "high",
        caep: "HIGH",
        ocsf_risk: 3,
        ocsf_risk_name: "High",
        ocsf_severity: 4,
        ocsf_severity_name: "High",
        cef: 9,
        elastic: "High",
        kibana: 73,
        sentinel: 9,
    },
];

/// The row of a level.
///
/// * `monitoring`: an agent that is blind and has no level is unknown: that nothing is seen of it says nothing. One that
///   has a level keeps it.
pub fn row(level: Level, monitoring: Monitoring) -> Row {
    let [unknown, none, low, medium, high] = TABLE;
    match (level, monitoring) {
        (Level::None, Monitoring::Blind) => unknown,
        (Level::None, _) => none,
        (Level::Low, _) => low,
        (Level::Medium, _) => medium,
        (Level::High, _) => high,
    }
}

/// The row of a risk update: of the level to act on.
pub fn of_risk(risk: &RiskUpdate) -> Row {
    row(risk.level, risk.monitoring)
}

/// The row of an alert: how serious it is by itself, whoever it is about. What to do about the agent is said by the agent's
/// level, which knows its other alerts and whom levels may trouble.
pub fn of_alert(alert: &Alert) -> Row {
    let level = match alert.family {
        Family::Rules | Family::Verdict | Family::Registry => match alert.bits {
            bits if bits >= RULE_BITS.1 => Level::High,
            bits if bits >= RULE_BITS.0 => Level::Medium,
            _ => Level::Low,
        },
        _ => {
            let of_family = |family| -> f64 {
                alert.shares.iter().filter(|share| share.family == family).map(|share| share.share).sum()
            };
            let agreeing = Family::ALL.into_iter().filter(|family| of_family(*family) >= SAYS_SO).count();
            let high = alert.p <= alert.threshold / FAR_BELOW || agreeing >= 2;
            if high { Level::High } else { Level::Medium }
        }
    };
    row(level, Monitoring::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Share;
    use crate::finding::Detector;

    #[test]
    fn every_level_has_its_row_and_numbers_grow_with_levels() {
        for level in Level::ALL {
            assert_eq!(row(level, Monitoring::Ok).level, level.name());
            assert_eq!(row(level, Monitoring::Degraded), row(level, Monitoring::Ok));
        }
        let levels = Level::ALL.map(|level| row(level, Monitoring::Ok));
        assert!(levels.is_sorted_by_key(|row| (row.ocsf_risk, row.ocsf_severity, row.cef)));
        assert!(levels.is_sorted_by_key(|row| (row.kibana, row.sentinel)));
    }

    #[test]
    fn a_blind_agent_is_unknown_but_keeps_a_level_that_it_has() {
        assert_eq!(row(Level::None, Monitoring::Blind).level, "unknown");
        assert_eq!(row(Level::High, Monitoring::Blind).level, "high");
    }

    #[test]
    fn an_alert_is_as_serious_as_its_p_or_its_rule_says() {
        let share = |family, share| Share { family, detector: Detector::Access, share };
        let alert = |family, p, bits, shares: &[Share]| {
            let empty = Alert::empty(family);
            of_alert(&Alert { p, threshold: 3e-4, bits, shares: shares.to_vec(), ..empty }).level
        };
        assert_eq!(alert(Family::Novelty, 2e-4, 0.0, &[share(Family::Novelty, 1.0)]), "medium");
        assert_eq!(alert(Family::Novelty, 9e-6, 0.0, &[share(Family::Novelty, 1.0)]), "high");
        let two = [share(Family::Novelty, 0.7), share(Family::Order, 0.3)];
        assert_eq!(alert(Family::Novelty, 2e-4, 0.0, &two), "high");
        let rule = [7.0, 14.0, 40.0].map(|bits| alert(Family::Rules, 1.0, bits, &[]));
        assert_eq!(rule, ["low", "medium", "high"]);
    }
}
