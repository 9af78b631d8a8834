//! What is said at the end of a call.
//!
//! Knows figures. Must not know where they come from.

use std::path::Path;
use std::time::Duration;

use indicatif::HumanCount;

use super::watch::Watch;
use crate::cli::notice::say;
use crate::finding::RiskEventType;
use crate::risk::Level;

impl Watch {
    /// Says on standard error what was seen.
    ///
    /// * `all_read`: whether the input could be read to its end. What was not read is no all-clear.
    pub fn summary(&self, took: Duration, dead_letters: Option<&Path>, all_read: bool) {
        let seconds = took.as_secs_f64();
        say(format_args!(
            "{} in {seconds:.1} s ({} events/s); {} of {}; baseline version {}",
            number(self.events, "event"),
            rate(self.events, seconds),
            number(self.engine.agents() as u64, "agent"),
            number(self.engine.baselines().types.len() as u64, "type"),
            self.engine.baselines().version
        ));
        let opened: u64 = self.opened.iter().sum();
        let kinds = RiskEventType::ALL.iter().zip(self.opened).filter(|(_, n)| *n > 0);
        let kinds: Vec<String> =
            kinds.map(|(kind, n)| format!("{} {}", kind.name(), HumanCount(n))).collect();
        let is_useless = self.events == 0 && self.dead.total() > 0;
        if opened == 0 {
            if all_read && !is_useless {
                say("no alerts");
            }
        } else {
            let updated = number(self.updated, "update");
            say(format_args!("{} opened ({updated}): {}", number(opened, "alert"), kinds.join(", ")));
        }
        let (levels, held) = self.levels();
        let reached: Vec<String> = Level::ALL
            .iter()
            .zip(levels)
            .skip(1)
            .filter(|(_, n)| *n > 0)
            .map(|(level, n)| format!("{} {}", level.name(), HumanCount(n)))
            .collect();
        if !reached.is_empty() {
            say(format_args!("highest risk levels of agents: {}", reached.join(", ")));
        }
        if held > 0 {
            say(format_args!(
                "{} held at a lower level than what was found ([levels] observe_first_days, observe_only, never_block)",
                number(held, "agent")
            ));
        }
        if let Some(told) = self.order.told() {
            say(told);
        }
        if let Some(told) = self.heard.told() {
            say(told);
        }
        if self.engine.duplicates() > 0 {
            say(format_args!(
                "{} dropped: an event with the same event_id was judged before",
                number(self.engine.duplicates(), "event")
            ));
        }
        if self.engine.suppressed() > 0 {
            say(format_args!(
                "{} not told: a verdict declared such activity safe",
                number(self.engine.suppressed(), "finding")
            ));
        }
        if self.engine.held_back() > 0 {
            say(format_args!(
                "{} not told because of maintenance, a suppression or a declared change",
                number(self.engine.held_back(), "finding")
            ));
        }
        if self.engine.refused_records() > 0 {
            say(format_args!(
                "{} had no effect, because there are too many; join some as patterns",
                number(self.engine.refused_records(), "control record")
            ));
        }
        if self.engine.evicted() > 0 {
            say(format_args!(
                "{} forgotten to make room for others; raise [agents] max",
                number(self.engine.evicted(), "agent")
            ));
        }
        if self.cut > 0 {
            say(format_args!(
                "{} had values too long for their fields, which were cut; `tiltmeter check` says which",
                number(self.cut, "event")
            ));
        }
        if self.dead.total() > 0 {
            let reasons: Vec<String> =
                self.dead.counts().map(|(reason, n)| format!("{reason} {}", HumanCount(n))).collect();
            let place = dead_letters.map_or_else(
                || "; --dead-letters FILE keeps them".to_owned(),
                |path| format!("; see {}", path.display()),
            );
            say(format_args!(
                "{} could not be used: {}{place}",
                number(self.dead.total(), "line"),
                reasons.join(", ")
            ));
        }
    }
}

/// `1 event`, `2,345 events`.
fn number(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", HumanCount(n), if n == 1 { "" } else { "s" })
}

fn rate(events: u64, seconds: f64) -> HumanCount {
    HumanCount((events as f64 / seconds.max(1e-3)).round() as u64)
}
