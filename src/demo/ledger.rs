//! What truly happened, beside what was told of it.
//!
//! Knows the truth about every simulated event, and which alerts were opened. Must not judge anything, and
//! nothing of it reaches the engine.

use std::collections::HashMap;

use crate::simulate::{Attack, Label, SimulatedEvent};
use crate::time::{EventTime, HOUR_MS};

/// An alert belongs to a session from its beginning until this long after its last call.
pub const AFTERWARDS_MS: i64 = HOUR_MS;
/// What the names of tasks begin with that are legitimate and look like trouble.
const LOOK_ALIKE: &str = "look-alike/";

/// How many there were, and how many of them an alert was opened about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All that began.
    pub total: u64,
    /// Those with an alert.
    pub alerted: u64,
}

/// The score of the whole demonstration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Attacks that had their first hostile call, in the order of [`Attack::ALL`].
    pub attacks: [Count; Attack::ALL.len()],
    /// Legitimate sessions that look like trouble.
    pub look_alikes: Count,
    /// Sessions of any kind. An agent without session ids has none.
    pub sessions: u64,
    /// Alerts that were opened.
    pub alerts: u64,
    /// Those of them that belong to no attack.
    pub unfounded: u64,
}

impl Score {
    /// All attacks together.
    pub fn all_attacks(&self) -> Count {
        self.attacks.iter().fold(Count::default(), |sum, count| Count {
            total: sum.total + count.total,
            alerted: sum.alerted + count.alerted,
        })
    }
}

/// A session that may still be told of.
#[derive(Debug)]
struct Session {
    agent: String,
    /// First call of a look-alike; first hostile call of an attack, none before it. Never in ordinary work.
    began: Option<EventTime>,
    last: EventTime,
    attack: Option<Attack>,
    alerted: bool,
}

/// Keeps the score. Memory: O(sessions that are open or ended less than an hour ago).
#[derive(Debug, Default)]
pub struct Ledger {
    sessions: HashMap<String, Session>,
    score: Score,
}

impl Ledger {
    /// Notes the truth about an event, before or after it was judged.
    pub fn note(&mut self, simulated: &SimulatedEvent) {
        let (event, truth) = (&simulated.event, &simulated.truth);
        let look_alike = truth.label == Label::Normal && truth.task.starts_with(LOOK_ALIKE);
        // Calls of an agent without session ids are told apart by what they are part of.
        let key = match &event.session_id {
            Some(id) => id.to_string(),
            None => {
                let attack = truth.injection.map_or("", Attack::name);
                format!("{}/{}/{attack}", &*event.agent_id, truth.task)
            }
        };
        // Work of the same kind that comes long after is other work, however late the first is forgotten.
        if event.session_id.is_none()
            && self.sessions.get(&key).is_some_and(|before| before.last.plus_ms(AFTERWARDS_MS) < event.time)
            && let Some(before) = self.sessions.remove(&key)
        {
            self.sessions.insert(format!("{key}/{}", before.last.0), before);
        }
        let session = self.sessions.entry(key).or_insert_with(|| {
            self.score.sessions += u64::from(event.session_id.is_some());
            self.score.look_alikes.total += u64::from(look_alike);
            Session {
                agent: event.agent_id.to_string(),
                began: look_alike.then_some(event.time),
                last: event.time,
                attack: truth.injection,
                alerted: false,
            }
        });
        session.last = session.last.max(event.time);
        if truth.exposed
            && session.began.is_none()
            && let Some(count) = session.attack.and_then(|attack| self.score.attacks.get_mut(attack as usize))
        {
            count.total += 1;
            session.began = Some(event.time);
        }
    }

    /// Notes an alert that was opened about an agent; tells the attack it belongs to.
    pub fn opened(&mut self, agent: &str, time: EventTime) -> Option<Attack> {
        let concerned = |session: &&mut Session| {
            session.agent == agent
                && session.began.is_some_and(|began| began <= time)
                && time <= session.last.plus_ms(AFTERWARDS_MS)
        };
        let mut found = None;
        for session in self.sessions.values_mut().filter(concerned) {
            // What has begun is either an attack or a look-alike.
            let count = match session.attack {
                Some(attack) => self.score.attacks.get_mut(attack as usize),
                None => Some(&mut self.score.look_alikes),
            };
            found = found.max(session.attack);
            if let (false, Some(count)) = (session.alerted, count) {
                count.alerted += 1;
            }
            session.alerted = true;
        }
        self.score.alerts += 1;
        self.score.unfounded += u64::from(found.is_none());
        found
    }

    /// Forgets the sessions that no alert at `now` or later can belong to.
    pub fn forget(&mut self, now: EventTime) {
        self.sessions.retain(|_, session| session.last.plus_ms(AFTERWARDS_MS) >= now);
    }

    /// The score so far.
    pub fn score(&self) -> &Score {
        &self.score
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{Scenario, Simulation};

    /// A call at a minute, for the ledger of its own making.
    fn call(session: &str, minute: i64, task: &'static str, attack: Option<Attack>) -> SimulatedEvent {
        let mut simulated = Simulation::new(&Scenario::default()).unwrap().next().unwrap();
        simulated.event.time = at(minute);
        simulated.event.agent_id = "a".into();
        simulated.event.session_id = Some(session.to_owned().into());
        simulated.truth.task = task;
        simulated.truth.injection = attack;
        simulated.truth.label = if attack.is_some() { Label::Attack } else { Label::Normal };
        simulated.truth.exposed = attack.is_some();
        simulated
    }

    fn at(minute: i64) -> EventTime {
        EventTime(minute * 60_000)
    }

    #[test]
    fn an_attack_is_found_from_its_first_hostile_call_until_an_hour_after_its_end() {
        let attacked = Some(Attack::DataTheft);
        for (minute, found) in [(99, false), (100, true), (105, true), (170, true), (171, false)] {
            let mut ledger = Ledger::default();
            let mut before = call("s", 90, "task", attacked);
            before.truth.exposed = false;
            for simulated in [before, call("s", 100, "task", attacked), call("s", 110, "task", attacked)] {
                ledger.note(&simulated);
            }
            assert_eq!(ledger.opened("b", at(105)), None, "another agent");
            assert_eq!(ledger.opened("a", at(minute)), attacked.filter(|_| found), "minute {minute}");
            let count = Count { total: 1, alerted: u64::from(found) };
            assert_eq!(ledger.score().all_attacks(), count, "minute {minute}");
            assert_eq!(ledger.score().unfounded, 2 - u64::from(found));
        }
    }

    #[test]
    fn a_second_alert_finds_nothing_twice() {
        let mut ledger = Ledger::default();
        ledger.note(&call("s", 100, "task", Some(Attack::ToolSwap)));
        assert!(ledger.opened("a", at(101)).is_some() && ledger.opened("a", at(102)).is_some());
        assert_eq!(ledger.score().all_attacks(), Count { total: 1, alerted: 1 });
        assert_eq!((ledger.score().alerts, ledger.score().unfounded), (2, 0));
    }

    #[test]
    fn an_alert_about_a_look_alike_belongs_to_no_attack() {
        let mut ledger = Ledger::default();
        ledger.note(&call("s", 100, "look-alike/long-paging", None));
        ledger.note(&call("t", 100, "look-alike/peers-tool", Some(Attack::ToolSwap)));
        ledger.note(&call("u", 300, "look-alike/long-paging", None));
        ledger.note(&call("v", 300, "task", None));
        assert_eq!(ledger.opened("a", at(301)), None);
        assert_eq!(ledger.score().look_alikes, Count { total: 2, alerted: 1 });
        assert_eq!((ledger.score().unfounded, ledger.score().sessions), (1, 4));
    }

    #[test]
    fn what_is_forgotten_no_alert_could_belong_to() {
        let mut ledger = Ledger::default();
        ledger.note(&call("s", 100, "task", Some(Attack::ToolSwap)));
        ledger.forget(at(160));
        assert_eq!(ledger.sessions.len(), 1);
        ledger.forget(at(161));
        assert!(ledger.sessions.is_empty());
    }
}
