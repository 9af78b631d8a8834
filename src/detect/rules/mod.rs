//! `rules`: what the operator wants to be told, whether or not it is unusual.
//!
//! Knows one event, the rules and what the agent did lately that matched one. Must not know baselines, bits, p or
//! budgets: rules are certain, they are told beside the budget.
//!
//! Without rules an event costs one comparison. A rule that names its actions is looked at only for these.

pub mod condition;
pub mod field;
pub mod state;

use std::fmt;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use self::condition::{Condition, Joined};
use self::field::{Field, Value};
use self::state::{RuleState, Span};
use crate::event::AuditEvent;
use crate::finding::shown;
use crate::identity::{Identity, Key};
use crate::risk::Level;
use crate::time::HOUR_MS;

/// Rules at most.
pub const MOST_RULES: usize = 1_000;
/// Longest name of a rule. Characters.
pub const LONGEST_NAME: usize = 64;

/// What a rule is for: it decides how it is reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum RuleKind {
    /// What its conditions say.
    When,
    /// A resource that nobody has any business with was touched.
    Honeytoken,
    /// A resource was touched that is watched more closely.
    Sensitive,
}

impl RuleKind {
    /// The name used in configuration, output and documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::When => "when",
            Self::Honeytoken => "honeytoken",
            Self::Sensitive => "sensitive",
        }
    }

    /// The level where a rule of this kind names none.
    pub fn default_level(self) -> Level {
        if self == Self::Honeytoken { Level::High } else { Level::Low }
    }
}

/// One rule.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// Its name: unique, at most [`LONGEST_NAME`] characters.
    pub name: Box<str>,
    /// The level an agent has at least when the rule holds.
    pub level: Level,
    /// What it is for.
    pub kind: RuleKind,
    /// What must hold for one call; all of it.
    pub conditions: Vec<Condition>,
    /// How many such calls there must be. None: one is enough.
    pub threshold: Option<Threshold>,
}

/// How many calls, or different values, make a rule hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Threshold {
    /// The field whose different values are counted; none: calls are counted.
    pub distinct: Option<Field>,
    /// How many. ≥ 2; for different values at most [`state::EXACT`].
    pub at_least: u32,
    /// Within this span: two that are a whole span apart are not in one. Milliseconds, > 0.
    pub within_ms: i64,
}

/// A rule that held.
#[derive(Clone, PartialEq, Debug)]
pub struct Hit {
    /// Number of the rule, from 0.
    pub rule: usize,
    /// What the rule is for.
    pub kind: RuleKind,
    /// The level the agent has at least.
    pub level: Level,
    /// Calls or different values that were seen; 1 without a threshold.
    pub observed: f64,
    /// How many the rule asks for; 1 without a threshold.
    pub limit: f64,
    /// One sentence for a person.
    pub sentence: String,
}

/// All rules, ready to judge.
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Vec<(Key, Rule)>,
    /// Rules that can hold only for certain actions, by action. Never iterated.
    by_action: HashMap<Box<str>, Vec<usize>, RandomState>,
    others: Vec<usize>,
    longest_ms: i64,
    identity: Identity,
}

impl Default for Rules {
    /// No rules.
    fn default() -> Self {
        Self::compile(Vec::new(), Identity::new([0; 16]))
    }
}

impl Rules {
    /// The same rules under another key of the identity hash.
    pub fn under(self, identity: Identity) -> Self {
        Self::compile(self.rules.into_iter().map(|(_, rule)| rule).collect(), identity)
    }

    /// Makes rules ready. `identity` hashes the values that are counted apart.
    ///
    /// Precondition: names differ, and there are at most [`MOST_RULES`]; the configuration sees to both.
    pub fn compile(rules: Vec<Rule>, identity: Identity) -> Self {
        let mut by_action: HashMap<Box<str>, Vec<usize>, RandomState> = HashMap::default();
        let mut others = Vec::new();
        for (number, rule) in rules.iter().enumerate() {
            match rule.conditions.iter().find_map(Condition::actions) {
                Some(actions) => {
                    for action in actions {
                        let rules = by_action.entry(action.clone()).or_default();
                        if rules.last() != Some(&number) {
                            rules.push(number);
                        }
                    }
                }
                None => others.push(number),
            }
        }
        let spans = rules.iter().filter_map(|rule| rule.threshold).map(|threshold| threshold.within_ms);
        let longest_ms = spans.max().unwrap_or(0).max(HOUR_MS);
        let rules = rules.into_iter().map(|rule| (identity.of(&rule.to_string()), rule)).collect();
        Self { rules, by_action, others, longest_ms, identity }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Every rule, in the order of the configuration: a [`Hit`] names its rule by the place here.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.iter().map(|(_, rule)| rule)
    }

    /// Judges an event: rules that hold now are pushed to `out`, in the order of the configuration.
    ///
    /// * `state`: what is remembered of the event's agent.
    ///
    /// A rule with a threshold is told once per span and agent, another once per hour (UTC) and agent. Allocates
    /// only where a rule matches.
    pub fn judge(&self, event: &AuditEvent<'_>, state: &mut RuleState, out: &mut SmallVec<[Hit; 2]>) {
        if self.is_empty() {
            return;
        }
        let first = out.len();
        let named = self.by_action.get(event.action.as_str()).map_or(&[][..], Vec::as_slice);
        for number in named.iter().chain(&self.others).copied() {
            let Some((key, rule)) = self.rules.get(number) else { continue };
            if rule.conditions.iter().all(|condition| condition.holds(event))
                && let Some(observed) = self.reached(*key, rule, event, state)
            {
                out.push(rule.hit(number, observed, event));
            }
        }
        if let Some(new) = out.get_mut(first..) {
            new.sort_unstable_by_key(|hit| hit.rule);
        }
    }

    /// How much was seen of a rule whose conditions hold, if that is enough and was not told yet.
    fn reached(&self, key: Key, rule: &Rule, event: &AuditEvent<'_>, state: &mut RuleState) -> Option<u64> {
        let at = event.time;
        let observed = match rule.threshold {
            None if state.was_told_in_hour(key, at) => return None,
            None => 1,
            Some(threshold) if state.was_told_within(key, at, threshold.within_ms) => return None,
            Some(Threshold { distinct, at_least, within_ms }) => {
                let span = Span { at_least, within_ms, longest_ms: self.longest_ms };
                let seen = match distinct {
                    Some(field) => state.distinct(key, at, self.value(field, event)?, span),
                    None => state.count(key, at, event.count.unwrap_or(1), span),
                };
                (seen >= u64::from(at_least)).then_some(seen)?
            }
        };
        state.tell(key, at, self.longest_ms);
        Some(observed)
    }

    fn value(&self, field: Field, event: &AuditEvent<'_>) -> Option<Key> {
        Some(match field.of(event)? {
            Value::Text(text) => self.identity.of(text),
            Value::Number(number) => number.to_bits(),
        })
    }
}

impl Rule {
    /// The rule as a person reads it: as it is written (`Display`), with spans in minutes and hours.
    pub fn shown(&self) -> String {
        let Self { name, level, kind, conditions, threshold } = self;
        let calls = match conditions.as_slice() {
            [] => "every call".to_owned(),
            conditions => Joined(conditions, ", ").to_string(),
        };
        let counted = match threshold {
            None => String::new(),
            Some(Threshold { distinct, at_least, within_ms }) => {
                let what = distinct.map_or("count".to_owned(), |field| format!("distinct {}", field.name()));
                format!("; {what} {at_least} within {}", shown_span(*within_ms))
            }
        };
        format!("{} {name:?} {}: {calls}{counted}", kind.name(), level.name())
    }

    fn hit(&self, number: usize, observed: u64, event: &AuditEvent<'_>) -> Hit {
        let name = &self.name;
        let limit = self.threshold.map_or(1, |threshold| threshold.at_least);
        let what = match (self.threshold, self.kind) {
            (Some(Threshold { distinct, at_least, within_ms }), _) => {
                let what = distinct.map_or("matching calls".to_owned(), |field| {
                    format!("different values of {} in matching calls", field.name())
                });
                format!("{observed} {what} within {}, the limit is {at_least}", shown_span(within_ms))
            }
            (None, RuleKind::When) => format!("a call matched ({})", Joined(&self.conditions, ", ")),
            (None, kind) => {
                let resource = event.resource.as_deref().unwrap_or_default();
                format!("the {} resource {} was touched", kind.name(), shown(resource))
            }
        };
        Hit {
            rule: number,
            kind: self.kind,
            level: self.level,
            observed: observed as f64,
            limit: f64::from(limit),
            sentence: format!("rule `{name}`: {what}"),
        }
    }
}

/// In normal form: what the hash of the configuration and the key of the rule are made of.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, level, kind, conditions, threshold } = self;
        write!(f, "{} {name:?} {}: {}", kind.name(), level.name(), Joined(conditions, ", "))?;
        match threshold {
            None => Ok(()),
            Some(Threshold { distinct: None, at_least, within_ms }) => {
                write!(f, "; count {at_least} within {within_ms} ms")
            }
            Some(Threshold { distinct: Some(field), at_least, within_ms }) => {
                write!(f, "; distinct {} {at_least} within {within_ms} ms", field.name())
            }
        }
    }
}

/// A span in days, hours, minutes and seconds.
fn shown_span(ms: i64) -> String {
    let seconds = ms / 1_000;
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (unit, name) in units {
        if left >= unit {
            parts.push(format!("{} {name}", left / unit));
            left %= unit;
        }
    }
    if parts.is_empty() { format!("{ms} ms") } else { parts.join(" ") }
}

#[cfg(test)]
mod tests;
