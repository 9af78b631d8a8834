//! A storm of alerts: what is beyond the cap is told together.
//!
//! Knows alerts in the order in which they leave. Must not know agents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::output::{DIGEST_SCHEMA, Digest, Output};
use crate::alert::AlertState;
use crate::identity::{Identity, Key};
use crate::time::EventTime;

/// New alerts of one type and minute of the stream's clock that are told one by one. What one agent calls the time does not
/// matter: it could call it otherwise with each event.
const CAP: u32 = 20;
/// Alerts held back that are remembered, to be told when there is more to tell; beyond it the older half is let go. With
/// [`TYPES`], what is saved of a storm stays below 400 kB: it goes into one record.
const REMEMBERED: usize = 1 << 14;
/// Types that are counted apart in a minute; those beyond share a cap.
const TYPES: usize = 1 << 12;
const MINUTE_MS: i64 = 60_000;
/// Names and ids are remembered by a hash: no secret is needed, ids are not chosen and a type that shares the cap of another has
/// nothing of it.
const HASH: Identity = Identity::new([0; 16]);

/// Counts new alerts by type and minute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Storm {
    /// The running minute.
    minute: i64,
    /// Alerts of each type in it.
    types: BTreeMap<Key, u32>,
    /// Alerts that were never told: their ids, and the number of each.
    held_back: BTreeMap<Key, u64>,
    /// Alerts ever held back.
    numbered: u64,
}

impl Storm {
    /// Holds back new alerts beyond the cap among the outputs from `from` on. The first that is held back, and each
    /// further hundredth, leaves a digest in its place.
    pub fn tell(&mut self, out: &mut Vec<Output>, from: usize) {
        self.tell_at_most(CAP, out, from);
    }

    /// Takes in what another stream of outputs counted and held back.
    pub fn join(&mut self, other: Self) {
        if other.minute > self.minute {
            self.minute = other.minute;
            self.types.clear();
        }
        if other.minute == self.minute {
            for (agent_type, count) in other.types {
                let own = self.types.entry(agent_type).or_default();
                *own = (*own).max(count);
            }
        }
        let before = self.numbered;
        self.numbered += other.numbered;
        self.held_back.extend(other.held_back.into_iter().map(|(id, number)| (id, before + number)));
    }

    /// Remembers an alert that is not told.
    fn hold_back(&mut self, alert_id: &str) {
        if self.held_back.len() >= REMEMBERED {
            let half = self.numbered.saturating_sub(REMEMBERED as u64 / 2);
            self.held_back.retain(|_, number| *number >= half);
        }
        self.held_back.insert(HASH.of(alert_id), self.numbered);
        self.numbered += 1;
    }

    /// Counts an alert of a type; returns how many there are in this minute.
    fn count(&mut self, agent_type: &str, minute: i64) -> u32 {
        if minute != self.minute {
            self.minute = minute;
            self.types.clear();
        }
        let mut key = HASH.of(agent_type);
        if self.types.len() >= TYPES && !self.types.contains_key(&key) {
            key = 0;
        }
        let count = self.types.entry(key).or_default();
        *count = count.saturating_add(1);
        *count
    }

    fn tell_at_most(&mut self, cap: u32, out: &mut Vec<Output>, from: usize) {
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
                    let minute = alert.judged_under.clock.0.div_euclid(MINUTE_MS);
                    let count = self.count(&alert.agent_type, minute);
                    if count > cap {
                        let held_back = u64::from(count - cap);
                        let alert_id = alert.alert_id.clone();
                        let agent_type = alert.agent_type.clone();
                        let last_agent = alert.subject.id.clone();
                        self.hold_back(&alert_id);
                        if held_back == 1 || held_back.is_multiple_of(100) {
                            *output = Output::Digest(Box::new(Digest {
                                schema: DIGEST_SCHEMA.to_owned(),
                                agent_type,
                                minute: EventTime(minute * MINUTE_MS),
                                held_back,
                                last_agent,
                                last_alert_id: alert_id,
                            }));
                        } else {
                            out.remove(place);
                            continue;
                        }
                    }
                }
                AlertState::Updated => {
                    if self.held_back.remove(&HASH.of(&alert.alert_id)).is_some() {
                        alert.state = AlertState::Opened;
                    }
                }
                AlertState::Closed => {
                    if self.held_back.remove(&HASH.of(&alert.alert_id)).is_some() {
                        out.remove(place);
                        continue;
                    }
                }
            }
            place += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Alert, JudgedUnder};
    use crate::finding::Family;

    fn alert(number: u32, state: AlertState, second: i64) -> Output {
        Output::Alert(Box::new(Alert {
            alert_id: format!("{number:032x}"),
            agent_type: "t".to_owned(),
            state,
            time: EventTime(i64::from(number % 2) * MINUTE_MS),
            judged_under: JudgedUnder { baseline: 0, clock: EventTime(second * 1000), config: String::new() },
            ..Alert::empty(Family::Rules)
        }))
    }

    /// Two hundred alerts within a minute; returns how many of them, and how many digests, are told.
    fn told(storm: &mut Storm, cap: u32) -> (usize, usize) {
        let mut out: Vec<Output> = (0..200).map(|n| alert(n, AlertState::Opened, 1)).collect();
        storm.tell_at_most(cap, &mut out, 0);
        let alerts = out.iter().filter(|output| output.alert().is_some()).count();
        (alerts, out.len() - alerts)
    }

    #[test]
    fn of_two_hundred_alerts_twenty_are_told_and_without_a_cap_all() {
        assert_eq!(told(&mut Storm::default(), CAP), (20, 2));
        assert_eq!(told(&mut Storm::default(), u32::MAX), (200, 0));
    }

    #[test]
    fn what_was_held_back_is_told_when_it_gets_worse_and_never_closes_unheard() {
        let mut storm = Storm::default();
        told(&mut storm, CAP);
        let mut out = vec![
            alert(150, AlertState::Updated, 70),
            alert(150, AlertState::Closed, 80),
            alert(151, AlertState::Closed, 80),
            alert(3, AlertState::Closed, 80),
        ];
        storm.tell(&mut out, 0);
        let states: Vec<_> = out.iter().filter_map(Output::alert).map(|alert| alert.state).collect();
        assert_eq!(states, [AlertState::Opened, AlertState::Closed, AlertState::Closed]);
    }

    #[test]
    fn what_two_have_held_back_is_told_when_it_gets_worse() {
        let (mut one, mut other) = (Storm::default(), Storm::default());
        told(&mut one, CAP);
        let mut out: Vec<Output> = (500..530).map(|n| alert(n, AlertState::Opened, 1)).collect();
        other.tell(&mut out, 0);
        one.join(other);
        let mut out = vec![alert(150, AlertState::Updated, 70), alert(525, AlertState::Updated, 70)];
        one.tell(&mut out, 0);
        assert!(out.iter().filter_map(Output::alert).all(|alert| alert.state == AlertState::Opened));
    }

    #[test]
    fn of_too_many_the_latest_are_remembered() {
        let mut storm = Storm::default();
        let ids: Vec<String> = (0..=REMEMBERED).rev().map(|number| format!("{number:032x}")).collect();
        ids.iter().for_each(|id| storm.hold_back(id));
        assert!(storm.held_back.len() <= REMEMBERED);
        assert!(ids.iter().rev().take(REMEMBERED / 2).all(|id| storm.held_back.contains_key(&HASH.of(id))));
        assert!(!storm.held_back.contains_key(&HASH.of(&ids[0])));
    }

    #[test]
    fn whatever_storms_it_fits_into_one_record() {
        let mut storm = Storm::default();
        for number in 0..120_000 {
            let mut opened = alert(number, AlertState::Opened, 1);
            if let Output::Alert(alert) = &mut opened {
                alert.agent_type = format!("{:0>1000}", number % 6000);
            }
            storm.tell_at_most(1, &mut vec![opened], 0);
        }
        assert!(storm.types.len() > TYPES / 2 && storm.held_back.len() > REMEMBERED / 2);
        let bytes = postcard::to_allocvec(&storm).unwrap().len();
        assert!(bytes < 400_000, "{bytes} bytes");
    }

    #[test]
    fn the_next_minute_has_a_cap_of_its_own() {
        let mut storm = Storm::default();
        told(&mut storm, CAP);
        let mut out = vec![alert(300, AlertState::Opened, 61)];
        storm.tell(&mut out, 0);
        assert_eq!(out.iter().filter_map(Output::alert).count(), 1);
    }
}
