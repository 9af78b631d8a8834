//! The last alerts, each as it was told, packed.
//!
//! Knows how many are kept. Must not know what an alert says, but for whom it is about.

use std::collections::{HashMap, VecDeque};

use serde::Deserialize;

use crate::partition::risk_key;

/// Records that are kept.
pub(super) const KEPT: usize = 100_000;
/// Fast, and a third of the size.
const ZSTD_LEVEL: i32 = 1;

/// The last records of the topic of alerts.
#[derive(Debug)]
pub struct Alerts {
    /// Whom each is about, and the record.
    kept: VecDeque<(Box<str>, Packed)>,
    /// Records that were dropped: the number of the first one kept.
    dropped: u64,
    /// Numbers of the records of each agent, in their order.
    by_agent: HashMap<Box<str>, VecDeque<u64>>,
    most: usize,
}

/// A record, packed.
#[derive(Debug)]
struct Packed {
    /// Its length, unpacked: as much room is made for it, and no more. Bytes.
    length: usize,
    bytes: Box<[u8]>,
}

impl Packed {
    fn text(&self) -> Option<String> {
        String::from_utf8(zstd::bulk::decompress(&self.bytes, self.length).ok()?).ok()
    }
}

/// Whom an alert is about.
#[derive(Deserialize)]
struct About {
    #[serde(default)]
    tenant: Option<String>,
    subject: Subject,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    kind: String,
    id: String,
}

impl Default for Alerts {
    fn default() -> Self {
        Self::at_most(KEPT)
    }
}

impl Alerts {
    /// Keeps the last `most`; at least one.
    pub fn at_most(most: usize) -> Self {
        Self { kept: VecDeque::new(), dropped: 0, by_agent: HashMap::new(), most: most.max(1) }
    }

    /// Takes in a record. Digests, which are about no agent, are passed over.
    pub(super) fn take(&mut self, value: &[u8]) -> Result<(), String> {
        let Ok(About { tenant, subject }) = serde_json::from_slice(value) else { return Ok(()) };
        let key: Box<str> = risk_key(tenant.as_deref(), &subject.id).into();
        let bytes = zstd::bulk::compress(value, ZSTD_LEVEL).map_err(|error| error.to_string())?;
        let packed = Packed { length: value.len(), bytes: bytes.into() };
        let number = self.dropped + self.kept.len() as u64;
        // What many agents of a type do is about none of them, also where one is called like the type.
        if subject.kind != "agent_type" {
            self.by_agent.entry(key.clone()).or_default().push_back(number);
        }
        self.kept.push_back((key, packed));
        if self.kept.len() > self.most
            && let Some((key, _)) = self.kept.pop_front()
        {
            self.dropped += 1;
            if let Some(numbers) = self.by_agent.get_mut(&key) {
                numbers.pop_front_if(|number| *number < self.dropped);
                if numbers.is_empty() {
                    self.by_agent.remove(&key);
                }
            }
        }
        Ok(())
    }

    /// The last alerts of an agent as JSON, the latest first; at most `limit`.
    ///
    /// Each record is told: an alert that opened, became worse and closed is there three times.
    pub fn of(&self, tenant: Option<&str>, agent_id: &str, limit: usize) -> Vec<String> {
        let Some(numbers) = self.by_agent.get(risk_key(tenant, agent_id).as_str()) else { return Vec::new() };
        let unpacked = numbers.iter().rev().filter_map(|number| {
            let place = usize::try_from(number.checked_sub(self.dropped)?).ok()?;
            let (_, packed) = self.kept.get(place)?;
            packed.text()
        });
        unpacked.take(limit).collect()
    }

    /// The last alerts of all agents as JSON, the latest first.
    pub fn latest(&self, limit: usize) -> Vec<String> {
        self.kept.iter().rev().filter_map(|(_, packed)| packed.text()).take(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(tenant: &str, agent: &str, number: usize) -> String {
        format!(
            "{{\"tenant\":{tenant},\"subject\":{{\"kind\":\"agent\",\"id\":\"{agent}\"}},\"n\":{number}}}"
        )
    }

    #[test]
    fn the_last_ones_are_kept_and_told_latest_first() {
        let mut alerts = Alerts::at_most(10);
        for number in 0..25 {
            let (tenant, agent) = if number % 5 == 0 { ("\"acme\"", "b") } else { ("null", "a") };
            alerts.take(alert(tenant, agent, number).as_bytes()).unwrap();
        }
        assert_eq!(alerts.of(Some("acme"), "b", 9), [20, 15].map(|n| alert("\"acme\"", "b", n)));
        assert_eq!(alerts.of(None, "b", 9), [""; 0]);
        assert_eq!(alerts.of(None, "a", 2), [24, 23].map(|n| alert("null", "a", n)));
        assert_eq!(alerts.of(None, "a", 100).len(), 8);
        assert_eq!(alerts.latest(100).len(), 10);
        assert!(alerts.latest(100).iter().all(|told| told.capacity() < 1024), "no more room than it takes");
        assert!(alerts.by_agent.len() == 2 && alerts.kept.len() == 10);
        alerts.take(b"{\"schema\":\"tiltmeter.alert-digest.v1\"}").unwrap();
        assert_eq!(alerts.kept.len(), 10, "a digest is about nobody");
    }

    #[test]
    fn what_is_about_a_type_is_not_about_an_agent_of_the_same_name() {
        let mut alerts = Alerts::at_most(2);
        let of_type = alert("null", "a", 0).replace("\"agent\"", "\"agent_type\"");
        alerts.take(of_type.as_bytes()).unwrap();
        alerts.take(alert("null", "a", 1).as_bytes()).unwrap();
        assert_eq!(alerts.of(None, "a", 9), [alert("null", "a", 1)]);
        assert_eq!(alerts.latest(9), [alert("null", "a", 1), of_type]);
        alerts.take(alert("null", "b", 2).as_bytes()).unwrap();
        assert_eq!(alerts.of(None, "a", 9), [alert("null", "a", 1)], "another one was dropped");
    }
}
