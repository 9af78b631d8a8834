//! A test alert: an alert about nobody, by which people see whether alerts arrive where they should.
//!
//! Knows what it looks like. Must not know who asks for it, and judges nothing.

use std::sync::PoisonError;

use sha2::{Digest, Sha256};

use super::deciding::Deciding;
use super::writer::now_ms;
use crate::alert::{Alert, AlertState, Maturity, Observation, Share, Subject};
use crate::finding::{Detector, Family};
use crate::kafka::decision::{self, Written};
use crate::kafka::failure::Failure;
use crate::kafka::settings::Topic;
use crate::risk::{Cause, Level, Monitoring, RISK_SCHEMA, RiskUpdate};
use crate::time::EventTime;
use crate::wire::outputs::json;

/// Whom test alerts are about, and its type. No real agent has this name.
pub const TEST_AGENT: &str = "tiltmeter-test";
/// What every test alert begins with.
pub const TEST_MARK: &str = "TEST, nothing happened: ";
/// Ids of tests that are remembered.
const REMEMBERED: usize = 1024;
/// Risk scores that go with the levels. Points.
const SCORES: [f64; Level::ALL.len()] = [0.0, 10.0, 40.0, 90.0];

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// Id of the alert.
    pub alert_id: String,
    /// Where it was opened; none where this test was told before.
    pub written: Option<Written>,
}

/// Id of the test alert of an idempotency key. 32 hexadecimal digits.
pub fn test_id(key: &str) -> String {
    let digest = Sha256::digest(format!("test-alert\n{key}"));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Deciding {
    /// Writes an alert that opens and closes at once, and where a level is asked for, a risk update of the test agent.
    ///
    /// * `key`: the same key is the same test, and is told once by an instance. Told by two it has one id.
    /// * `level`: the level that the test agent had, and the one that it gets.
    ///
    /// # Errors
    ///
    /// When it is not known to have been written.
    pub fn test_alert(&self, key: &str, level: Option<(Level, Level)>) -> Result<Tested, Failure> {
        let alert_id = test_id(key);
        let mut tests = self.tests.lock().unwrap_or_else(PoisonError::into_inner);
        if tests.contains(&alert_id) {
            return Ok(Tested { alert_id, written: None });
        }
        let opened = self.alert(&alert_id, AlertState::Opened);
        let written = self.tell(Topic::Alerts, &opened)?;
        self.tell(Topic::Alerts, &self.alert(&alert_id, AlertState::Closed))?;
        if let Some((before, after)) = level {
            self.tell(Topic::Risk, &self.risk(before, after))?;
        }
        tests.push_back(alert_id.clone());
        if tests.len() > REMEMBERED {
            tests.pop_front();
        }
        Ok(Tested { alert_id, written: Some(written) })
    }

    fn tell(&self, topic: Topic, message: &impl serde::Serialize) -> Result<Written, Failure> {
        let failed = |why: serde_json::Error| Failure::set_up(format!("the test cannot be written: {why}"));
        let json = json::to_vec(message).map_err(failed)?;
        decision::alone(&self.shared.clients, topic, TEST_AGENT, &String::from_utf8_lossy(&json))
    }

    fn alert(&self, alert_id: &str, state: AlertState) -> Alert {
        let time = EventTime(now_ms());
        let empty = Alert::empty(Family::Rules);
        let mut judged_under = empty.judged_under.clone();
        judged_under.baseline = self.shared.versions.newest().number();
        judged_under.clock = time;
        judged_under.config.clone_from(&self.shared.versions.newest().settings.config);
        Alert {
            alert_id: alert_id.to_owned(),
            state,
            time,
            opened: time,
            subject: Subject { kind: "agent".to_owned(), id: TEST_AGENT.to_owned() },
            agent_type: TEST_AGENT.to_owned(),
            threshold: 1.0,
            summary: format!("{TEST_MARK}an administrator asked for this alert, to see whether it arrives"),
            shares: vec![Share { family: Family::Rules, detector: Detector::Rules, share: 1.0 }],
            findings: vec![Observation {
                family: Family::Rules,
                detector: Detector::Rules,
                risk_event_type: empty.risk_event_type,
                p: 1.0,
                observed: 1.0,
                expected_agent: None,
                expected_type: Some(0.0),
                expected_fleet: None,
                unit: "tests".to_owned(),
                sentence: format!("{TEST_MARK}a test was asked for"),
            }],
            maturity: Maturity {
                agent: "new".to_owned(),
                calibration: "shipped".to_owned(),
                ..Maturity::default()
            },
            judged_under,
            ..empty
        }
    }

    fn risk(&self, previous_level: Level, level: Level) -> RiskUpdate {
        let now = now_ms();
        RiskUpdate {
            schema: RISK_SCHEMA.to_owned(),
            agent_id: TEST_AGENT.to_owned(),
            tenant: None,
            agent_type: TEST_AGENT.to_owned(),
            // Never falls, whatever instance writes it.
            seq: u64::try_from(now).unwrap_or(1),
            level,
            previous_level,
            level_uncapped: level,
            score: SCORES.get(level as usize).copied().unwrap_or_default(),
            reasons: Vec::new(),
            cause: Cause::Rule,
            as_of: EventTime(now),
            expires_at: None,
            alert_count: 1,
            open_alerts: Vec::new(),
            proposed: None,
            monitoring: Monitoring::Ok,
            maturity: "new".to_owned(),
            baseline: self.shared.versions.newest().number(),
            config: self.shared.versions.newest().settings.config.clone(),
        }
    }
}
