//! Indexers again: one morning most of them do ten times as much, within the same hour.
//!
//! Knows how many do. The attack is seven of ten; of three of ten nobody is told but of these three.

use tiltmeter::finding::RiskEventType;

use super::check;
use super::frequency::{EIGHT, STEADY};
use super::stream::{CASE_DAY, Stream};

/// So many burst on the day of the case; returns whom alerts are about.
fn bursts(name: &str, agents: usize) -> Vec<(String, RiskEventType)> {
    let mut stream: Stream = STEADY.ordinary_days();
    STEADY.rounds(&mut stream, CASE_DAY, EIGHT + 130, None);
    for agent in 0..agents {
        STEADY.burst(&mut stream, agent, CASE_DAY, EIGHT + 3 * agent);
    }
    check(name, &stream)
}

#[test]
fn many_that_move_at_once_open_an_alert_about_their_type() {
    let opened = bursts("fleet-attack", 7);
    let shifts =
        opened.iter().filter(|(subject, kind)| *kind == RiskEventType::FleetShift && subject == "indexer");
    assert_eq!(shifts.count(), 1, "{opened:?}");
}

#[test]
fn three_that_move_at_once_are_three_agents() {
    let opened = bursts("fleet-look-alike", 3);
    assert!(
        !opened.is_empty() && opened.iter().all(|(_, kind)| *kind == RiskEventType::RequestSpike),
        "{opened:?}"
    );
}
