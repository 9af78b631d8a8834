//! What one agent did lately that matched a rule: enough to count within spans and to be told once.
//!
//! Knows keys of rules, times and hashes. Must not know fields or conditions.
//!
//! Bounded: at most [`room`] entries a rule, which no other rule can take, at most [`MOST_ENTRIES`] an agent, and no
//! memory before the first match. Times are those of events; an event that comes late is counted in whichever span that
//! contains it holds most.

use serde::{Deserialize, Serialize};
use thin_vec::ThinVec;

use crate::identity::Key;
use crate::time::EventTime;

/// Entries of one agent, all its rules together. At 32 bytes each, 128 KiB. The configuration sees to it that its rules never
/// need more, so that none makes another forget.
pub const MOST_ENTRIES: usize = 4096;
/// A rule that asks for at most so many is counted exactly, to the millisecond. A count of more is taken in steps
/// of this part of its span: a call may be forgotten so much too early, and is never counted too long.
pub const EXACT: u32 = 64;

/// What is remembered of one agent for the sake of rules. Empty, it holds no memory.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RuleState {
    entries: ThinVec<Entry>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Entry {
    /// Key of the rule, not its number: a state outlives the file the rule stood in.
    rule: Key,
    at: EventTime,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// So many calls matched.
    Calls(u64),
    /// A call matched with this value, the last time then.
    Value(Key),
    /// The rule was told.
    Told,
}

impl RuleState {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the rule was told in the hour of `at`.
    pub(super) fn was_told_in_hour(&self, rule: Key, at: EventTime) -> bool {
        self.told(rule).any(|told| told.hour() == at.hour())
    }

    /// Whether the rule was told less than a span before or after `at`.
    pub(super) fn was_told_within(&self, rule: Key, at: EventTime, within_ms: i64) -> bool {
        self.told(rule).any(|told| told.0.abs_diff(at.0) < within_ms.unsigned_abs())
    }

    fn told(&self, rule: Key) -> impl Iterator<Item = EventTime> {
        let of_rule = self.entries.iter().filter(move |entry| entry.rule == rule && entry.what == What::Told);
        of_rule.map(|entry| entry.at)
    }

    /// Records that the rule is told now; counting starts again from nothing.
    pub(super) fn tell(&mut self, rule: Key, at: EventTime, longest_ms: i64) {
        self.entries.retain(|entry| entry.rule != rule);
        self.push(Entry { rule, at, what: What::Told }, 1, longest_ms);
    }

    /// Adds `calls` that matched a rule and returns how many matched within a span around them.
    ///
    /// `at_least`: what the rule asks for; up to [`EXACT`], the answer is exact.
    pub(super) fn count(&mut self, rule: Key, at: EventTime, calls: u64, span: Span) -> u64 {
        self.forget(rule, at, span.within_ms);
        let step_ms = if span.at_least > EXACT { span.within_ms / i64::from(EXACT) } else { 0 };
        let same_step =
            |entry: &Entry| entry.rule == rule && (entry.at..entry.at.plus_ms(step_ms)).contains(&at);
        let open = self
            .entries
            .iter_mut()
            .filter(|entry| same_step(entry))
            .find_map(|entry| if let What::Calls(calls) = &mut entry.what { Some(calls) } else { None });
        match open {
            Some(open) => *open = open.saturating_add(calls),
            None => {
                self.push(Entry { rule, at, what: What::Calls(calls) }, room(span.at_least), span.longest_ms)
            }
        }
        self.most_within(rule, at, span.within_ms)
    }

    /// Adds a value with which a call matched a rule and returns how many different ones were seen within a span
    /// around it. Of a value that is seen again only the later time counts.
    pub(super) fn distinct(&mut self, rule: Key, at: EventTime, value: Key, span: Span) -> u64 {
        self.forget(rule, at, span.within_ms);
        let known = |entry: &&mut Entry| entry.rule == rule && entry.what == What::Value(value);
        match self.entries.iter_mut().find(known) {
            Some(known) => known.at = known.at.max(at),
            None => {
                self.push(Entry { rule, at, what: What::Value(value) }, room(span.at_least), span.longest_ms)
            }
        }
        self.most_within(rule, at, span.within_ms)
    }

    /// Most of what a rule has seen within any span that contains `at`.
    fn most_within(&self, rule: Key, at: EventTime, within_ms: i64) -> u64 {
        let seen = || {
            self.entries.iter().filter(move |entry| entry.rule == rule).filter_map(|entry| match entry.what {
                What::Calls(calls) => Some((entry.at, calls)),
                What::Value(_) => Some((entry.at, 1)),
                What::Told => None,
            })
        };
        let from = |first: EventTime| {
            let span = first..first.plus_ms(within_ms);
            seen().filter(|(at, _)| span.contains(at)).fold(0u64, |sum, (_, seen)| sum.saturating_add(seen))
        };
        // In order, which is usual, the span that ends here holds everything.
        if seen().all(|(other, _)| other <= at) {
            return from(at.plus_ms(1 - within_ms));
        }
        let earliest = at.plus_ms(-within_ms);
        let starts = seen().map(|(first, _)| first).filter(|first| *first > earliest && *first <= at);
        starts.map(from).max().unwrap_or(0)
    }

    /// Forgets what a rule can no longer need at `at`.
    fn forget(&mut self, rule: Key, at: EventTime, within_ms: i64) {
        let oldest = at.plus_ms(-within_ms);
        self.entries.retain(|entry| entry.rule != rule || entry.at > oldest);
    }

    /// Remembers one thing more. At the bound of the rule, what is farthest away in time of it makes room.
    fn push(&mut self, entry: Entry, room: usize, longest_ms: i64) {
        let oldest = entry.at.plus_ms(-longest_ms);
        self.entries.retain(|old| old.at > oldest);
        let of_rule = self.entries.iter().filter(|old| old.rule == entry.rule).count();
        if of_rule >= room {
            self.make_room(entry.at, |old| old.rule == entry.rule);
        } else if self.entries.len() >= MOST_ENTRIES {
            // Rules that are configured no more.
            self.make_room(entry.at, |_| true);
        }
        self.entries.push(entry);
    }

    fn make_room(&mut self, at: EventTime, may_go: impl Fn(&Entry) -> bool) {
        let all = self.entries.iter().enumerate().filter(|(_, old)| may_go(old));
        let farthest = all.max_by_key(|(_, old)| old.at.0.abs_diff(at.0)).map(|(place, _)| place);
        if let Some(farthest) = farthest {
            self.entries.swap_remove(farthest);
        }
    }
}

/// Entries that a rule needs at most: whatever it asks for, once before and once after the call, which may come late.
///
/// * `at_least`: how many it asks for; without a threshold 1.
pub fn room(at_least: u32) -> usize {
    match at_least {
        0 | 1 => 1,
        _ => 2 * at_least.min(EXACT) as usize,
    }
}

/// In what a rule counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// How many it asks for.
    pub at_least: u32,
    /// Its span. Milliseconds, > 0.
    pub within_ms: i64,
    /// The longest span of all rules, at least an hour. Milliseconds.
    pub longest_ms: i64,
}

#[cfg(test)]
mod tests;
