//! Names that agents of each type used lately, so that people can read a baseline, which holds hashes alone.
//!
//! Knows a few names in memory, as this instance saw them since it began: most come from sampling, and the frequent stay. Must
//! not judge by them, and must not write them anywhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::baseline::agent::KeySpace;
use crate::partition::Incoming;
use crate::wire::audit_event;

/// Types of which names are known, and names of each kind of one.
const MOST_TYPES: usize = 200;
const MOST_NAMES: usize = 64;
/// The longest name that is kept. Bytes.
const LONGEST_BYTES: usize = 256;
/// Events of a batch that are looked at, and after so many events one of so many: it must cost nothing beside judging.
const OF_A_BATCH: usize = 4;
const ALL_OF: u64 = 10_000;
const ONE_OF: i64 = 32;

/// Names with how often they were seen. Where there is no room, the rarest gives way and leaves its count (Metwally et al.,
/// *Efficient Computation of Frequent and Top-k Elements in Data Streams*, ICDT 2005): frequent names stay.
#[derive(Debug, Default)]
struct Frequent(BTreeMap<Box<str>, u64>);

impl Frequent {
    fn see(&mut self, name: &str) {
        if name.is_empty() || name.len() > LONGEST_BYTES {
            return;
        }
        if let Some(count) = self.0.get_mut(name) {
            *count += 1;
            return;
        }
        let mut count = 0;
        if self.0.len() >= MOST_NAMES {
            let rarest = self.0.iter().min_by_key(|(_, count)| **count);
            let Some((rarest, least)) = rarest.map(|(name, count)| (name.clone(), *count)) else { return };
            self.0.remove(&rarest);
            count = least;
        }
        self.0.insert(name.into(), count + 1);
    }
}

/// What agents of one type used.
#[derive(Debug, Default)]
struct Used {
    actions: Frequent,
    resources: Frequent,
}

/// Names of all types.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    types: BTreeMap<Box<str>, Used>,
    /// Events that were looked at.
    events: u64,
}

impl Names {
    /// Looks at some events of a batch.
    pub fn see(&self, records: &[Incoming<'_>]) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { types, events } = &mut *seen;
        let one_of = if *events < ALL_OF { 1 } else { ONE_OF };
        let looked_at = records.iter().filter(|record| record.offset % one_of == 0).take(OF_A_BATCH);
        for event in looked_at.filter_map(|record| audit_event::decode(record.value?).ok()) {
            *events += 1;
            let agent_type = event.agent_type();
            if !types.contains_key(agent_type) {
                if types.len() >= MOST_TYPES || agent_type.len() > LONGEST_BYTES {
                    continue;
                }
                types.insert(agent_type.into(), Used::default());
            }
            if let Some(used) = types.get_mut(agent_type) {
                used.actions.see(&event.action);
                used.resources.see(event.resource.as_deref().unwrap_or_default());
            }
        }
    }

    /// What agents of a type used, by kind of name.
    pub fn of(&self, agent_type: &str) -> Vec<(KeySpace, String)> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Used { actions, resources }) = seen.types.get(agent_type) else { return Vec::new() };
        let of = |space: KeySpace, names: &Frequent| -> Vec<(KeySpace, String)> {
            names.0.keys().map(|name| (space, name.to_string())).collect()
        };
        [of(KeySpace::Action, actions), of(KeySpace::Resource, resources)].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(names: &Names, agent_type: &str, action: &str, resource: &str) {
        let event = format!(
            r#"{{"time":"2026-01-05T09:00:00Z","agent_id":"a","agent_type":"{agent_type}","action":"{action}","resource":"{resource}"}}"#
        );
        names.see(&[Incoming { offset: 7, timestamp_ms: 1, key: None, value: Some(event.as_bytes()) }]);
    }

    #[test]
    fn names_that_are_frequent_stay_whatever_a_stranger_makes_up() {
        let names = Names::default();
        for round in 0..1000 {
            see(&names, "mail", "send_email", "inbox");
            see(&names, "mail", &format!("made_up_{round}"), &format!("thing-{round}"));
            see(&names, &format!("type-{round}"), "x", "y");
        }
        let known = names.of("mail");
        assert!(known.contains(&(KeySpace::Action, "send_email".to_owned())));
        assert!(known.contains(&(KeySpace::Resource, "inbox".to_owned())));
        assert_eq!(known.len(), 2 * MOST_NAMES);
        assert_eq!(names.0.lock().unwrap().types.len(), MOST_TYPES);
        see(&names, "mail", &"x".repeat(LONGEST_BYTES + 1), "inbox");
        assert!(names.of("mail").iter().all(|(_, name)| name.len() <= LONGEST_BYTES));
        assert_eq!(names.of("nobody"), []);
    }

    #[test]
    fn of_a_batch_a_few_events_are_looked_at_and_what_is_no_event_is_passed_over() {
        let names = Names::default();
        let event = |number: usize| {
            format!(
                r#"{{"time":"2026-01-05T09:00:00Z","agent_id":"a","agent_type":"t","action":"act_{number}"}}"#
            )
        };
        let values: Vec<String> =
            (0..100).map(|number| if number % 2 == 0 { event(number) } else { "{".to_owned() }).collect();
        let records: Vec<Incoming<'_>> = values
            .iter()
            .zip(0..)
            .map(|(value, offset)| Incoming {
                offset,
                timestamp_ms: 1,
                key: None,
                value: Some(value.as_bytes()),
            })
            .collect();
        names.see(&records);
        assert!((1..=OF_A_BATCH).contains(&names.of("t").len()), "{:?}", names.of("t"));
        // Later it is one in many.
        names.0.lock().unwrap().events = ALL_OF;
        names.see(&records[1..ONE_OF as usize]);
        assert_eq!(names.0.lock().unwrap().events, ALL_OF);
        names.see(&records);
        assert_eq!(names.0.lock().unwrap().events, ALL_OF + 4, "of 100 the 0th, 32nd, 64th and 96th");
    }
}
