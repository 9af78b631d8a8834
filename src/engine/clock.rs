//! The stream clock: how far event time has come, without believing any single agent.
//!
//! Knows agents and times. Must not know the host's clock.

use serde::{Deserialize, Serialize};

use crate::identity::Key;
use crate::time::{EventTime, HOUR_MS};

/// The clock stays this far behind, for events that arrive out of order.
const BEHIND_MS: i64 = 60_000;
/// Events in a row of one agent after which it is believed alone: the others may have gone for good.
const ALONE_EVENTS: u32 = 1000;
/// By which it moves the clock at most, an event. Milliseconds.
const ALONE_STEP_MS: i64 = 24 * HOUR_MS;
/// No agent's clock is believed further ahead of the stream's than this.
const AHEAD_MS: i64 = HOUR_MS;
/// Who says that it is so much later than the stream's clock is not believed at once: a host may be set to another year.
/// Beyond a week-end in which nobody works. Milliseconds.
const LEAP_MS: i64 = 3 * 24 * HOUR_MS;
/// Events in a row that all lie beyond a leap after which time has indeed gone on.
const LEAP_EVENTS: u32 = 64;
/// A step of the clock beyond this is a gap: nobody was watched in it.
const GAP_MS: i64 = HOUR_MS;

/// The latest time that events of two agents have reached (of one, while there is only one or no other is heard of for
/// a thousand events), less a minute. A leap of more than three days is believed once 64 events in a row lie beyond it: two
/// agents of a host whose clock is years ahead do not carry the stream along while the others go on as before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamClock {
    leader: Option<(Key, EventTime)>,
    second: Option<EventTime>,
    /// The agent of the last event, and how many in a row were its.
    last: Option<(Key, u32)>,
    now: Option<EventTime>,
    gap_ms: i64,
    /// How many events in a row lay beyond a leap.
    leaping: u32,
}

/// An instant of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Now {
    /// How far event time has come.
    pub time: EventTime,
    /// Length of all gaps so far, in which nobody was watched. Milliseconds.
    pub gap_ms: i64,
}

/// An instant in both times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    /// Watched time: what levels are held by. Milliseconds.
    pub at: i64,
    /// Event time: what is told.
    pub time: EventTime,
}

impl Instant {
    /// The event time of a watched instant before or after, if there are no gaps between.
    pub fn event_time(&self, at: i64) -> EventTime {
        self.time.plus_ms(at.saturating_sub(self.at))
    }
}

impl Now {
    /// The time of an event, or that of the stream where the event's lies beyond a leap.
    pub fn believed(&self, time: EventTime) -> EventTime {
        if time > self.time.plus_ms(LEAP_MS) { self.time } else { time }
    }

    /// An instant of event time as watched time: without the gaps of the whole stream. Milliseconds.
    pub fn watched(&self, time: EventTime) -> i64 {
        time.0.saturating_sub(self.gap_ms)
    }

    /// An instant of watched time, if there was no gap since.
    pub fn instant(&self, watched: i64) -> Instant {
        Instant { at: watched, time: EventTime(watched.saturating_add(self.gap_ms)) }
    }

    /// The instant of an event whose time is [believed](Self::believed).
    pub fn of_event(&self, time: EventTime) -> Instant {
        self.of(self.believed(time))
    }

    /// An instant that a person names, or an event that is believed: not before the stream's, and in watched time not far
    /// ahead of it.
    pub fn of(&self, time: EventTime) -> Instant {
        let time = time.max(self.time);
        Instant { at: self.watched(time.min(self.time.plus_ms(AHEAD_MS))), time }
    }
}

impl StreamClock {
    /// Notes an event of an agent.
    pub fn see(&mut self, agent: Key, time: EventTime) {
        let had_no_second = self.second.is_none();
        match self.now {
            Some(now) if !had_no_second && time > now.plus_ms(LEAP_MS) => {
                self.leaping = self.leaping.saturating_add(1);
                if self.leaping < LEAP_EVENTS {
                    return;
                }
            }
            _ => self.leaping = 0,
        }
        let alone = match self.last {
            Some((last, n)) if last == agent => n.saturating_add(1),
            _ => 1,
        };
        self.last = Some((agent, alone));
        match self.leader {
            None => self.leader = Some((agent, time)),
            Some((leader, latest)) if leader == agent => self.leader = Some((agent, latest.max(time))),
            Some((_, latest)) if time > latest => {
                self.second = Some(self.second.map_or(latest, |s| s.max(latest)));
                self.leader = Some((agent, time));
            }
            Some(_) => self.second = Some(self.second.map_or(time, |s| s.max(time))),
        }
        let leading = self.leader.map_or(time, |(_, time)| time).plus_ms(-BEHIND_MS);
        let believed = match self.second {
            // Nobody else was ever heard of.
            None => leading,
            Some(second) => second.plus_ms(-BEHIND_MS),
        };
        let Some(now) = self.now else {
            self.now = Some(believed);
            return;
        };
        // The first clock that was believed may have been a bad one.
        let corrected = had_no_second && self.second.is_some();
        let alone = alone >= ALONE_EVENTS && self.leader.is_some_and(|(leader, _)| leader == agent);
        let reached = if alone { believed.max(leading.min(now.plus_ms(ALONE_STEP_MS))) } else { believed };
        self.step(now, reached);
        if corrected {
            self.now = Some(reached);
        }
    }

    /// Notes when a record was written, by a clock that is believed: that of a partition of a log.
    pub fn record(&mut self, time: EventTime) {
        let reached = time.plus_ms(-BEHIND_MS);
        match self.now {
            None => self.now = Some(reached),
            Some(now) => self.step(now, reached),
        }
    }

    /// The same while nobody is watched: the time in between is a gap, however short.
    pub fn record_unwatched(&mut self, time: EventTime) {
        let (before, gap_ms) = (self.now, self.gap_ms);
        self.record(time);
        if let (Some(before), Some(now)) = (before, self.now) {
            self.gap_ms = gap_ms + (now.0 - before.0).max(0);
        }
    }

    /// One clock for several streams that go on as one: that of the stream which has come furthest.
    pub fn joined(clocks: impl IntoIterator<Item = Self>) -> Self {
        let furthest = clocks.into_iter().max_by_key(|clock| clock.now).unwrap_or_default();
        // Whoever led was the leader of one stream. That there was a second keeps the clock from going back.
        let second = furthest.now.map(|now| now.plus_ms(BEHIND_MS));
        Self { leader: None, second, last: None, ..furthest }
    }

    /// The end of the input: nobody else will speak, so that the leader is believed.
    pub fn end(&mut self) {
        if let (Some((_, time)), Some(now)) = (self.leader, self.now) {
            self.step(now, time.plus_ms(-BEHIND_MS));
        }
    }

    fn step(&mut self, now: EventTime, reached: EventTime) {
        if reached > now {
            let step = reached.0 - now.0;
            if step > GAP_MS {
                self.gap_ms += step;
            }
            self.now = Some(reached);
        }
    }

    /// The clock; none before the first event. It goes back only once, if the second agent says that the first one's clock
    /// was ahead.
    pub fn now(&self) -> Option<Now> {
        self.now.map(|time| Now { time, gap_ms: self.gap_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(clock: &StreamClock) -> i64 {
        clock.now().unwrap().time.0
    }

    #[test]
    fn one_agents_bad_clock_does_not_move_the_stream() {
        let mut clock = StreamClock::default();
        clock.see(1, EventTime(1_000_000));
        clock.see(2, EventTime(1_000_500));
        clock.see(3, EventTime(200_000_000));
        clock.see(3, EventTime(200_000_001));
        assert_eq!(time(&clock), 940_500);
        clock.see(1, EventTime(2_000_000));
        assert_eq!(time(&clock), 1_940_000);
    }

    #[test]
    fn a_host_of_many_agents_that_is_years_ahead_does_not_carry_the_stream_along() {
        let mut clock = StreamClock::default();
        let years = EventTime(10 * 365 * 24 * HOUR_MS);
        clock.see(1, EventTime(HOUR_MS));
        for i in 0..1000 {
            clock.see(1 + i % 3, EventTime(HOUR_MS + i as i64));
            clock.see(2 + i % 3, EventTime(HOUR_MS + i as i64));
            clock.see(7, years);
            clock.see(8, years.plus_ms(i as i64));
        }
        assert_eq!(time(&clock), HOUR_MS + 999 - BEHIND_MS);
        let now = clock.now().unwrap();
        assert_eq!((now.believed(years), now.gap_ms), (now.time, 0));
        assert_eq!(now.believed(EventTime(2 * HOUR_MS)), EventTime(2 * HOUR_MS));
        assert_eq!(now.of_event(years).time, now.time);
        assert_eq!(now.of(years).time, years, "a verdict long after the last event is of when it was given");
    }

    #[test]
    fn after_a_long_holiday_everybody_says_so_and_is_believed() {
        let mut clock = StreamClock::default();
        clock.see(1, EventTime(HOUR_MS));
        clock.see(2, EventTime(HOUR_MS));
        let back = EventTime(20 * 24 * HOUR_MS);
        for i in 0..LEAP_EVENTS {
            assert!(time(&clock) < HOUR_MS, "event {i}");
            clock.see(u64::from(1 + i % 2), back);
        }
        clock.see(1, back);
        assert_eq!(time(&clock), back.0 - BEHIND_MS);
    }

    #[test]
    fn joined_clocks_go_on_from_the_furthest_and_not_back() {
        let (mut one, mut other) = (StreamClock::default(), StreamClock::default());
        one.record(EventTime(1_000_000));
        other.record(EventTime(3_000_000));
        let mut joined = StreamClock::joined([one, other]);
        assert_eq!(time(&joined), 2_940_000);
        joined.see(7, EventTime(2_000_000));
        joined.see(8, EventTime(2_100_000));
        assert_eq!(time(&joined), 2_940_000, "the first two agents are late");
        joined.see(7, EventTime(4_000_000));
        joined.see(8, EventTime(4_000_500));
        assert_eq!(time(&joined), 3_940_000);
    }

    #[test]
    fn an_agent_whose_peers_have_gone_is_believed_after_a_while() {
        let mut clock = StreamClock::default();
        clock.see(1, EventTime(1_000_000));
        clock.see(2, EventTime(1_000_500));
        for i in 0..2000 {
            clock.see(1, EventTime(2_000_000 + i));
        }
        assert_eq!(time(&clock), 2_001_999 - BEHIND_MS);
    }

    #[test]
    fn a_bad_clock_that_came_first_is_corrected_and_one_that_shouts_gets_nowhere() {
        let mut clock = StreamClock::default();
        clock.see(1, EventTime(1000 * 24 * HOUR_MS));
        clock.see(2, EventTime(1_000_000));
        assert_eq!(time(&clock), 1_000_000 - BEHIND_MS);
        for _ in 0..1010 {
            clock.see(1, EventTime(1000 * 24 * HOUR_MS));
        }
        assert!(time(&clock) < 13 * 24 * HOUR_MS, "at most a day an event, from the thousandth on");
        clock.see(2, EventTime(1_000_500));
        clock.see(1, EventTime(1000 * 24 * HOUR_MS));
        assert!(time(&clock) < 13 * 24 * HOUR_MS);
    }

    #[test]
    fn time_in_which_nobody_is_watched_is_a_gap_of_its_length() {
        let mut clock = StreamClock::default();
        clock.record(EventTime(HOUR_MS));
        clock.record_unwatched(EventTime(HOUR_MS + 500));
        clock.record_unwatched(EventTime(HOUR_MS + 200));
        clock.record_unwatched(EventTime(4 * HOUR_MS));
        assert_eq!(clock.now().unwrap().gap_ms, 3 * HOUR_MS);
        clock.record(EventTime(4 * HOUR_MS + 700));
        assert_eq!(clock.now().unwrap().gap_ms, 3 * HOUR_MS);
    }

    #[test]
    fn a_silent_stream_is_a_gap_and_a_slow_one_is_not() {
        let mut clock = StreamClock::default();
        for hour in [0, 1, 2, 12, 13] {
            clock.see(1, EventTime(hour * HOUR_MS));
        }
        assert_eq!(clock.now().unwrap().gap_ms, 10 * HOUR_MS);
        let now = clock.now().unwrap();
        assert_eq!(now.watched(EventTime(13 * HOUR_MS)), 3 * HOUR_MS);
        assert_eq!(now.instant(3 * HOUR_MS).time, EventTime(13 * HOUR_MS));
    }
}
