//! Indexers: each reads what has changed and updates its index every few minutes, day and night.
//!
//! Knows how often they do. The attack does ten times as much within minutes; the look-alike does so too, on a
//! morning on which its whole type always does; and one falls silent while its peers go on.

use serde_json::json;
use tiltmeter::finding::RiskEventType;

use super::check;
use super::stream::{CASE_DAY, Stream};

const TYPE: &str = "indexer";
pub const EIGHT: usize = 8 * 60;
const DAY: usize = 24 * 60;

/// A fleet of indexers: how many, and minutes between two sessions of each.
#[derive(Clone, Copy)]
pub struct Indexers {
    agents: usize,
    every: usize,
}

/// Each hour of theirs is like the other.
pub const STEADY: Indexers = Indexers { agents: 10, every: 20 };
/// Busy for some minutes of each morning, all of them.
const BUSY_MORNINGS: Indexers = Indexers { agents: 8, every: 30 };

/// One session: the same two calls, always.
fn index(stream: &mut Stream, agent: usize, day: usize, minute: usize) {
    let mut session = stream.session(TYPE, agent, day, minute);
    for action in ["read_changes", "update_index"] {
        session.call(action, json!({}));
    }
}

impl Indexers {
    /// Ten times as much as an hour has, within a quarter of one.
    pub fn burst(self, stream: &mut Stream, agent: usize, day: usize, minute: usize) {
        for n in 0..10 * 60 / self.every {
            index(stream, agent, day, minute + n / 2);
        }
    }

    /// The rounds of all on a day, from midnight to a minute; `but` leaves one out from a minute on.
    pub fn rounds(self, stream: &mut Stream, day: usize, until: usize, but: Option<(usize, usize)>) {
        for minute in (0..until).step_by(self.every) {
            for agent in 0..self.agents {
                // Now and then a round is left out: nobody is a clock.
                let skipped = (minute / self.every + 7 * agent + day).is_multiple_of(11);
                if !skipped && but.is_none_or(|(silent, from)| agent != silent || minute < from) {
                    index(stream, agent, day, minute + agent);
                }
            }
        }
    }

    pub fn ordinary_days(self) -> Stream {
        let mut stream = Stream::default();
        for day in 0..CASE_DAY {
            self.rounds(&mut stream, day, DAY, None);
        }
        stream
    }
}

#[test]
fn ten_times_as_many_calls_open_an_alert() {
    let mut stream = STEADY.ordinary_days();
    STEADY.rounds(&mut stream, CASE_DAY, EIGHT, None);
    STEADY.burst(&mut stream, 1, CASE_DAY, EIGHT + 5);
    assert_eq!(check("frequency-attack", &stream), [("indexer-1".to_owned(), RiskEventType::RequestSpike)]);
}

#[test]
fn a_busy_morning_that_the_type_has_every_day_opens_none() {
    let mut stream = BUSY_MORNINGS.ordinary_days();
    for (day, agent) in (0..CASE_DAY).flat_map(|day| (0..BUSY_MORNINGS.agents).map(move |agent| (day, agent)))
    {
        BUSY_MORNINGS.burst(&mut stream, agent, day, EIGHT + agent);
    }
    BUSY_MORNINGS.rounds(&mut stream, CASE_DAY, EIGHT, None);
    BUSY_MORNINGS.burst(&mut stream, 1, CASE_DAY, EIGHT + 5);
    assert_eq!(check("frequency-look-alike", &stream), []);
}

#[test]
fn an_agent_that_falls_silent_while_its_peers_go_on_opens_an_alert() {
    let mut stream = STEADY.ordinary_days();
    STEADY.rounds(&mut stream, CASE_DAY, 20 * 60, Some((3, 6 * 60)));
    assert_eq!(check("frequency-silence", &stream), [("indexer-3".to_owned(), RiskEventType::Silence)]);
}
