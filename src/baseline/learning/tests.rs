//! Versions do not depend on what does not matter, and votes count once.
//!
//! Knows deltas and baselines. Must not judge.

use super::*;
use crate::stats::sequence::History;

const SLICES: u64 = 8;
const TYPES: u64 = 30;

/// What the fleet knows of orders after every slice has learned the same of every type, at a price of its own; the
/// types of each slice come in a turned order.
fn minted(turned: u64) -> String {
    let mut deltas: Vec<(Key, Delta)> = Vec::new();
    for slice in 0..SLICES {
        for place in 0..TYPES {
            let agent_type = 1 + (place + turned * slice) % TYPES;
            let mut delta = Delta::new("a type");
            let contexts = History::of(mix(7, agent_type)).contexts(agent_type);
            let previous = mix(7, agent_type);
            delta.vote(Lesson::Order { contexts, previous }, 9, slice as f64);
            deltas.push((agent_type, delta));
        }
    }
    let mut baselines = Baselines::default();
    assert!(mint(&mut baselines, 0, deltas.iter_mut().map(|(key, delta)| (*key, delta))));
    serde_json::to_string(&baselines.fleet.sequence).unwrap()
}

#[test]
fn the_order_of_types_within_a_slice_does_not_show() {
    let straight = minted(0);
    for turned in [1, 7, 11] {
        assert_eq!(minted(turned), straight, "turned by {turned}");
    }
}

#[test]
fn an_agent_votes_once_for_a_key_that_it_forgot() {
    let mut delta = Delta::new("a type");
    assert!(!delta.has_voted(1, 2));
    delta.note_voter(1, 2);
    assert!(delta.has_voted(1, 2) && !delta.has_voted(1, 3) && !delta.has_voted(2, 2));
    for other in 0..VOTERS as u32 {
        delta.note_voter(9, other);
    }
    assert!(delta.has_voted(1, 2), "it is remembered for at least as many others");
    for other in 0..2 * VOTERS as u32 {
        delta.note_voter(8, other);
    }
    assert!(!delta.has_voted(1, 2) && delta.voters.iter().all(|voters| voters.len() <= VOTERS));
}
