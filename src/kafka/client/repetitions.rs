//! Lines of librdkafka that say the same again and again.
//!
//! Knows lines and when they were last passed on. Must not know where they go.
//!
//! While no broker answers, each of the dozen clients of an instance says so every second. Whoever reads the log needs it once
//! a minute, with how often it was said.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A line is passed on again after so long.
const AGAIN: Duration = Duration::from_secs(60);
/// Different lines that are remembered; beyond it those of a minute ago are forgotten, and if there are none, all.
const REMEMBERED: usize = 256;
/// Behind it stands how long something took and what librdkafka left out itself: it differs each time.
const CHANGES: &str = " (after ";

/// Lines of the last minute.
#[derive(Debug, Default)]
pub(super) struct Repetitions {
    /// When a line was passed on, and how often it came since.
    lines: HashMap<String, (Instant, u64)>,
}

impl Repetitions {
    /// The line as it is to be passed on; none where that was done within the last minute.
    pub fn pass(&mut self, line: &str, now: Instant) -> Option<String> {
        let key = line.split(CHANGES).next().unwrap_or(line);
        if let Some((passed, since)) = self.lines.get_mut(key) {
            if now.saturating_duration_since(*passed) < AGAIN {
                *since += 1;
                return None;
            }
            let times = std::mem::take(since);
            *passed = now;
            let again = if times > 0 {
                format!(" ({times} more times since this was last told)")
            } else {
                String::new()
            };
            return Some(format!("{line}{again}"));
        }
        if self.lines.len() >= REMEMBERED {
            self.lines.retain(|_, (passed, _)| now.saturating_duration_since(*passed) < AGAIN);
            if self.lines.len() >= REMEMBERED {
                self.lines.clear();
            }
        }
        self.lines.insert(key.to_owned(), (now, 0));
        Some(line.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_every_second_is_passed_on_once_a_minute_with_how_often() {
        let (mut repetitions, began) = (Repetitions::default(), Instant::now());
        let passed: Vec<String> = (0..130)
            .filter_map(|second| {
                let line = format!("a: connection refused (after {second}ms in state CONNECT)");
                repetitions.pass(&line, began + Duration::from_secs(second))
            })
            .collect();
        assert_eq!(
            passed,
            [
                "a: connection refused (after 0ms in state CONNECT)",
                "a: connection refused (after 60ms in state CONNECT) (59 more times since this was last told)",
                "a: connection refused (after 120ms in state CONNECT) (59 more times since this was last told)",
            ]
        );
    }

    #[test]
    fn another_line_is_passed_on_at_once_and_few_are_remembered() {
        let (mut repetitions, now) = (Repetitions::default(), Instant::now());
        for number in 0..10 * REMEMBERED {
            assert!(repetitions.pass(&format!("broker {number} is down"), now).is_some());
            assert!(repetitions.lines.len() <= REMEMBERED);
        }
        assert_eq!(repetitions.pass(&format!("broker {} is down", 10 * REMEMBERED - 1), now), None);
    }
}
