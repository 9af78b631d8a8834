//! The latest risk update of each agent, in little memory.
//!
//! Knows risk updates. Must not know where they come from. About 200 bytes an agent whose level is none; a test holds the
//! bound.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::partition::{agent_of, risk_key};
use crate::risk::{Cause, Level, Monitoring, Proposal, RISK_SCHEMA, Reason, RiskUpdate};
use crate::time::EventTime;

/// Words that one agent uses at most: its type, its tenant, the configuration, how well it is known.
const WORDS_AN_AGENT: usize = 4;
/// Words beyond what all agents can use that are kept before they are gone through.
const WORDS: usize = 4096;
/// Ways in which an agent can be seen.
const MONITORINGS: usize = 3;

/// The agents by level, those of each by their key.
#[derive(Debug, Default)]
pub struct Agents {
    by_level: [BTreeMap<Box<str>, Known>; Level::ALL.len()],
    counts: [[usize; MONITORINGS]; Level::ALL.len()],
    words: Words,
}

/// An agent as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its latest risk update.
    pub risk: RiskUpdate,
    /// Where that stands in its topic: partition and offset.
    pub place: (i32, i64),
}

/// Which agents are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Those of this published level; none: of any, the riskiest first.
    pub level: Option<Level>,
    /// Those of this type; none: of any.
    pub agent_type: Option<String>,
    /// Those behind this place.
    pub after: Option<Start>,
    /// At most so many.
    pub limit: usize,
    /// Of at most so many agents it is looked whether they are wanted.
    pub look_at: usize,
}

/// A place in the order of agents: by level, the highest first, and by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The level.
    pub level: Level,
    /// The key.
    pub key: String,
}

/// Some of the agents.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// They.
    pub agents: Vec<Found>,
    /// Where to go on; none where there are no others.
    pub next: Option<Start>,
}

/// What is kept of a risk update.
#[derive(Debug)]
struct Known {
    seq: u64,
    score: f64,
    as_of: EventTime,
    expires_at: Option<EventTime>,
    alert_count: u64,
    baseline: u64,
    offset: i64,
    details: Option<Box<Details>>,
    partition: i32,
    agent_type: u32,
    tenant: u32,
    config: u32,
    maturity: u32,
    previous_level: Level,
    level_uncapped: Level,
    cause: Cause,
    monitoring: Monitoring,
}

/// What most agents do not have.
#[derive(Debug)]
struct Details {
    reasons: Vec<Reason>,
    open_alerts: Vec<String>,
    proposed: Option<Proposal>,
}

/// Words that many agents have in common, each kept once.
#[derive(Debug, Default)]
struct Words {
    by_number: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Words {
    /// The number of a word; 0 for none.
    fn number(&mut self, word: Option<&str>) -> u32 {
        let Some(word) = word else { return 0 };
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let word: Arc<str> = word.into();
        self.by_number.push(Arc::clone(&word));
        let number = u32::try_from(self.by_number.len()).unwrap_or(u32::MAX);
        self.numbers.insert(word, number);
        number
    }

    fn word(&self, number: u32) -> Option<&str> {
        self.by_number.get((number as usize).checked_sub(1)?).map(|word| &**word)
    }
}

impl Agents {
    /// Takes in a record: the latest update of its agent, or that there is none any more.
    pub(super) fn take(&mut self, place: (i32, i64), key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        let key = std::str::from_utf8(key).map_err(|_| "a key that is no UTF-8".to_owned())?;
        let Some(value) = value else {
            self.remove(key);
            return Ok(());
        };
        self.forget_words();
        let risk: RiskUpdate = serde_json::from_slice(value).map_err(|error| error.to_string())?;
        if risk.schema != RISK_SCHEMA {
            return Err(format!("schema {:.64?} is not {RISK_SCHEMA}", risk.schema));
        }
        self.put(place, risk);
        Ok(())
    }

    fn put(&mut self, (partition, offset): (i32, i64), risk: RiskUpdate) {
        let key = risk_key(risk.tenant.as_deref(), &risk.agent_id);
        self.remove(&key);
        let RiskUpdate { reasons, open_alerts, proposed, .. } = risk;
        let details = (!reasons.is_empty() || !open_alerts.is_empty() || proposed.is_some())
            .then(|| Box::new(Details { reasons, open_alerts, proposed }));
        let known = Known {
            seq: risk.seq,
            score: risk.score,
            as_of: risk.as_of,
            expires_at: risk.expires_at,
            alert_count: risk.alert_count,
            baseline: risk.baseline,
            offset,
            details,
            partition,
            agent_type: self.words.number(Some(&risk.agent_type)),
            tenant: self.words.number(risk.tenant.as_deref()),
            config: self.words.number(Some(&risk.config)),
            maturity: self.words.number(Some(&risk.maturity)),
            previous_level: risk.previous_level,
            level_uncapped: risk.level_uncapped,
            cause: risk.cause,
            monitoring: risk.monitoring,
        };
        if let Some(count) = self.count_mut(risk.level, risk.monitoring) {
            *count += 1;
        }
        if let Some(agents) = self.by_level.get_mut(risk.level as usize) {
            agents.insert(key.into_boxed_str(), known);
        }
    }

    fn remove(&mut self, key: &str) {
        for level in Level::ALL {
            let removed = self.by_level.get_mut(level as usize).and_then(|agents| agents.remove(key));
            if let Some(known) = removed
                && let Some(count) = self.count_mut(level, known.monitoring)
            {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// Begins the words anew where most are used by nobody any more: whoever makes up types fills no memory for good.
    fn forget_words(&mut self) {
        let agents: usize = self.by_level.iter().map(BTreeMap::len).sum();
        if self.words.by_number.len() <= WORDS + WORDS_AN_AGENT * agents {
            return;
        }
        let old = std::mem::take(&mut self.words);
        for known in self.by_level.iter_mut().flat_map(BTreeMap::values_mut) {
            for number in [&mut known.agent_type, &mut known.tenant, &mut known.config, &mut known.maturity] {
                *number = self.words.number(old.word(*number));
            }
        }
    }

    fn count_mut(&mut self, level: Level, monitoring: Monitoring) -> Option<&mut usize> {
        self.counts.get_mut(level as usize)?.get_mut(monitoring as usize)
    }

    /// How many agents are at a level and seen so well.
    pub fn count(&self, level: Level, monitoring: Monitoring) -> usize {
        self.counts
            .get(level as usize)
            .and_then(|of| of.get(monitoring as usize))
            .copied()
            .unwrap_or_default()
    }

    /// An agent.
    pub fn of(&self, tenant: Option<&str>, agent_id: &str) -> Option<Found> {
        let key = risk_key(tenant, agent_id);
        Level::ALL.into_iter().find_map(|level| {
            Some(self.found(level, &key, self.by_level.get(level as usize)?.get(key.as_str())?))
        })
    }

    fn found(&self, level: Level, key: &str, known: &Known) -> Found {
        let tenant = self.words.word(known.tenant);
        let word = |number| self.words.word(number).unwrap_or_default().to_owned();
        let details = known.details.as_deref();
        let risk = RiskUpdate {
            schema: RISK_SCHEMA.to_owned(),
            agent_id: agent_of(tenant, key).to_owned(),
            tenant: tenant.map(str::to_owned),
            agent_type: word(known.agent_type),
            seq: known.seq,
            level,
            previous_level: known.previous_level,
            level_uncapped: known.level_uncapped,
            score: known.score,
            reasons: details.map(|details| details.reasons.clone()).unwrap_or_default(),
            cause: known.cause,
            as_of: known.as_of,
            expires_at: known.expires_at,
            alert_count: known.alert_count,
            open_alerts: details.map(|details| details.open_alerts.clone()).unwrap_or_default(),
            proposed: details.and_then(|details| details.proposed.clone()),
            monitoring: known.monitoring,
            maturity: word(known.maturity),
            baseline: known.baseline,
            config: word(known.config),
        };
        Found { risk, place: (known.partition, known.offset) }
    }

    /// Some of the agents, the riskiest levels first. Linear in `look_at` at most.
    pub fn page(&self, wanted: &Wanted) -> Page {
        let mut page = Page::default();
        let of_type = match wanted.agent_type.as_deref().map(|name| self.words.numbers.get(name)) {
            // A type that nobody has.
            Some(None) => return page,
            Some(Some(number)) => Some(*number),
            None => None,
        };
        let mut looked = 0;
        let levels = Level::ALL.into_iter().rev().filter(|level| wanted.level.is_none_or(|of| of == *level));
        for level in levels {
            let begin = match &wanted.after {
                Some(after) if level > after.level => continue,
                Some(after) if level == after.level => Bound::Excluded(after.key.as_str()),
                _ => Bound::Unbounded,
            };
            let Some(agents) = self.by_level.get(level as usize) else { continue };
            for (key, known) in agents.range::<str, _>((begin, Bound::Unbounded)) {
                if page.agents.len() >= wanted.limit || looked >= wanted.look_at {
                    return page;
                }
                looked += 1;
                page.next = Some(Start { level, key: key.to_string() });
                if of_type.is_none_or(|of| of == known.agent_type) {
                    page.agents.push(self.found(level, key, known));
                }
            }
        }
        page.next = None;
        page
    }

    /// Keys and scores of the riskiest agents: by level, then by score. Linear in the agents of the levels that are looked
    /// at; none is never looked at.
    pub fn riskiest(&self, most: usize) -> Vec<(String, f64)> {
        let mut riskiest = Vec::new();
        for level in Level::ALL.into_iter().rev().filter(|level| *level != Level::None) {
            let left = most - riskiest.len().min(most);
            if left == 0 {
                break;
            }
            // The least of those kept stands on top. Scores are no NaN, and their bits are in their order.
            let mut kept: BinaryHeap<Reverse<(u64, Reverse<&str>)>> = BinaryHeap::new();
            for (key, known) in self.by_level.get(level as usize).into_iter().flatten() {
                kept.push(Reverse((known.score.max(0.0).to_bits(), Reverse(key))));
                if kept.len() > left {
                    kept.pop();
                }
            }
            riskiest.extend(
                kept.into_sorted_vec()
                    .into_iter()
                    .map(|Reverse((score, Reverse(key)))| (key.to_owned(), f64::from_bits(score))),
            );
        }
        riskiest
    }
}

#[cfg(test)]
mod tests;
