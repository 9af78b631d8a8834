//! When a partition does not see what its agents do.
//!
//! Knows how late a partition is, how many of its records are of no use, and who translates sources into it. Must not know
//! what follows for agents: that is the engine's, from the pin that is decided here.

use super::pulse::Seen;
use crate::kafka::settings::RecordTime;
use crate::partition::Partition;
use crate::risk::Blindness;
use crate::time::EventTime;

/// What waits for longer than this for so many looks makes blind; what waits for no longer than that does not any more.
/// Between the two it stays as it is, so that agents are not told of again and again. Milliseconds.
const BEHIND_MS: (i64, i64) = (120_000, 30_000);
/// Looks (of five seconds) in a row: whoever comes back after a break and catches up at once is not blind.
const LOOKS: u32 = 6;
/// Somebody who translates a source is late beyond this. Milliseconds; six of his reports.
const SOURCE_LATE_MS: i64 = 60_000;
/// Whether a partition is behind, as of several looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lateness {
    /// Looks in a row at which it was too late.
    looks: u32,
    /// Whether it is behind.
    pub is_behind: bool,
}

impl Lateness {
    /// As it was when somebody else looked last: what is behind stays so until it has caught up.
    pub fn as_of(is_behind: bool) -> Self {
        Self { looks: 0, is_behind }
    }

    /// Notes a look.
    ///
    /// * `late_ms`: age of the latest record that was judged, if others wait; else 0.
    pub fn look(&mut self, late_ms: i64) {
        let (from, until) = BEHIND_MS;
        self.looks = if late_ms > from { self.looks.saturating_add(1) } else { 0 };
        self.is_behind = self.looks >= LOOKS || (self.is_behind && late_ms > until);
    }
}

/// Why the agents of a partition cannot be seen now, with a sentence for the operator.
///
/// * `waits`: whether there is anything that it has not read.
/// * `now_ms`: the host's clock. Milliseconds since 1970. How late something is can be said only where the broker says when
///   records came.
pub(super) fn blindness(
    partition: &Partition,
    waits: bool,
    seen: Seen,
    record_time: RecordTime,
    now_ms: i64,
) -> Option<(Blindness, String)> {
    if seen.dead_letters {
        return Some((
            Blindness::DeadLetters,
            "too many of its records could not be used for a minute: look into the dead letters".to_owned(),
        ));
    }
    if seen.load.has_skipped {
        return Some((
            Blindness::Skipped,
            "there was too much, and records were left out: add instances, or find out who writes so much"
                .to_owned(),
        ));
    }
    if seen.load.sheds {
        return Some((
            Blindness::Repeats,
            "there is too much, and of calls that repeat each other not every one is judged: add instances, or find out who \
             writes so much"
                .to_owned(),
        ));
    }
    if record_time != RecordTime::Broker {
        return None;
    }
    if seen.lateness.is_behind {
        return Some((
            Blindness::Behind,
            "what it has not judged yet has waited for minutes: add instances, or look what is in the way"
                .to_owned(),
        ));
    }
    // While it reads what waits, those who translate have not been heard of for as long as it is behind.
    let now = if waits { partition.latest_record().unwrap_or(now_ms) } else { now_ms };
    let (topic, number, late) = partition.sources().late(EventTime(now), SOURCE_LATE_MS)?;
    let seconds = late / 1000;
    Some((
        Blindness::Sources,
        format!(
            "{topic} [{number}] was translated {seconds} seconds ago at last: look at `tiltmeter normalise`"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_behind_when_it_stays_late_and_until_it_has_caught_up() {
        let mut lateness = Lateness::default();
        let mut look = |late_ms| {
            lateness.look(late_ms);
            lateness.is_behind
        };
        for _ in 1..LOOKS {
            assert!(!look(BEHIND_MS.0 + 1));
        }
        assert!(!look(BEHIND_MS.0), "it has caught up for a moment");
        for _ in 1..LOOKS {
            assert!(!look(BEHIND_MS.0 + 1));
        }
        assert!(look(BEHIND_MS.0 + 1));
        assert!(look(BEHIND_MS.1 + 1), "it goes on being behind until little waits");
        assert!(!look(BEHIND_MS.1));
    }
}
