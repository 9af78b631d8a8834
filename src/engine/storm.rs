//! A storm of alerts: what is beyond the cap is told together.
//!
//! Knows alerts in the order in which they leave. Must not know agents.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::output::{DIGEST_SCHEMA, Digest, Output};
use crate::alert::AlertState;
use crate::time::EventTime;

/// New alerts of one type and minute of event time that are told one by one.
const CAP: u32 = 20;
/// Alerts held back that are remembered, to be told when there is more to tell; beyond it the oldest ids are let go.
const REMEMBERED: usize = 1 << 16;
const MINUTE_MS: i64 = 60_000;

/// Counts new alerts by type and minute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Storm {
    /// Minute and count of each type.
    types: BTreeMap<String, (i64, u32)>,
    /// Ids of alerts that were never told.
    held_back: BTreeSet<String>,
}

impl Storm {
    /// Holds back new alerts beyond the cap among the outputs from `from` on. The first that is held back, and each
    /// further hundredth, leaves a digest in its place.
    pub fn tell(&mut self, out: &mut Vec<Output>, from: usize) {
        if out.len() == from {
            return;
        }
        let mut place = from;
        while let Some(output) = out.get_mut(place) {
            let Output::Alert(alert) = output else {
                place += 1;
                continue;
            };
            match alert.state {
                AlertState::Opened => {
                    let minute = alert.time.0.div_euclid(MINUTE_MS);
                    let count = match self.types.get_mut(&alert.agent_type) {
                        Some(count) => count,
                        None => self.types.entry(alert.agent_type.clone()).or_default(),
                    };
                    if count.0 != minute {
                        *count = (minute, 0);
                    }
                    count.1 = count.1.saturating_add(1);
                    if count.1 > CAP {
                        let held_back = u64::from(count.1 - CAP);
                        if self.held_back.len() >= REMEMBERED {
                            self.held_back.pop_first();
                        }
                        self.held_back.insert(alert.alert_id.clone());
                        if held_back == 1 || held_back.is_multiple_of(100) {
                            *output = Output::Digest(Box::new(Digest {
                                schema: DIGEST_SCHEMA.to_owned(),
                                agent_type: alert.agent_type.clone(),
                                minute: EventTime(minute * MINUTE_MS),
                                held_back,
                                last_agent: alert.subject.id.clone(),
                                last_alert_id: alert.alert_id.clone(),
                            }));
                        } else {
                            out.remove(place);
                            continue;
                        }
                    }
                }
                AlertState::Updated => {
                    if self.held_back.remove(&alert.alert_id) {
                        alert.state = AlertState::Opened;
                    }
                }
                AlertState::Closed => {
                    if self.held_back.remove(&alert.alert_id) {
                        out.remove(place);
                        continue;
                    }
                }
            }
            place += 1;
        }
    }
}
