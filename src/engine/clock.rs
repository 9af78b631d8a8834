//! The stream clock: how far event time has come, without believing any single agent.
//!
//! Knows agents and times. Must not know the host's clock.

use crate::identity::Key;
use crate::time::EventTime;

/// The clock stays this far behind, for events that arrive out of order.
const BEHIND_MS: i64 = 60_000;

/// The latest time that events of two agents have reached (of one, while there is only one), less a minute.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamClock {
    leader: Option<(Key, EventTime)>,
    second: Option<EventTime>,
}

impl StreamClock {
    /// Notes an event of an agent.
    pub fn see(&mut self, agent: Key, time: EventTime) {
        match self.leader {
            None => self.leader = Some((agent, time)),
            Some((leader, latest)) if leader == agent => self.leader = Some((agent, latest.max(time))),
            Some((_, latest)) if time > latest => {
                self.second = Some(self.second.map_or(latest, |s| s.max(latest)));
                self.leader = Some((agent, time));
            }
            Some(_) => self.second = Some(self.second.map_or(time, |s| s.max(time))),
        }
    }

    /// The clock; none before the first event.
    pub fn now(&self) -> Option<EventTime> {
        let time = self.second.or(self.leader.map(|(_, time)| time))?;
        Some(time.plus_ms(-BEHIND_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_agents_bad_clock_does_not_move_the_stream() {
        let mut clock = StreamClock::default();
        clock.see(1, EventTime(1_000_000));
        clock.see(2, EventTime(1_000_500));
        clock.see(3, EventTime(9_000_000_000));
        clock.see(3, EventTime(9_000_000_001));
        assert_eq!(clock.now(), Some(EventTime(940_500)));
        clock.see(1, EventTime(2_000_000));
        assert_eq!(clock.now(), Some(EventTime(1_940_000)));
    }
}
