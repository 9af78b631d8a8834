//! Cascades: every session may cause others soon after it, as one incident causes a dozen tickets.
//!
//! Knows causes and the season. Must not know what happens in a session.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson};

use super::exponential;
use crate::simulate::agent::{Agent, log_normal};
use crate::time::EventTime;

/// Mean number of sessions that one causes directly. A cascade has 1/(1 − .65) ≈ 2.9 of them on average, one in a
/// hundred has more than thirty.
const CAUSED: f64 = 0.65;
/// Median time from a session to one that it causes. Milliseconds.
const DELAY_MS: f64 = 8.0 * 60_000.0;
/// Log-sd of that time: most come at once, some hours later.
const DELAY_LOG_SD: f64 = 1.3;
/// Caused sessions that wait at once; further ones are not caused.
const WAITING: usize = 4_096;

/// A self-exciting process, drawn as a branching process.
///
/// # Formula
///
/// First causes follow the season at (1 − n) of the agent's rate; each session causes Poisson(n) others. Source: Hawkes
/// and Oakes, "A cluster process representation of a self-exciting process", Journal of Applied Probability 11 (1974).
#[derive(Debug)]
pub struct Cascades {
    /// Instant of the last candidate of a first cause. Milliseconds since 1970.
    now: f64,
    /// The next first cause. Milliseconds since 1970.
    cause: Option<i64>,
    /// Sessions that were caused and have not started. Milliseconds since 1970.
    waiting: BinaryHeap<Reverse<i64>>,
}

impl Cascades {
    /// The cascades of `agent` from its birth on.
    pub fn new(agent: &Agent) -> Self {
        Self { now: agent.born.0 as f64, cause: None, waiting: BinaryHeap::new() }
    }

    /// The next start before `end`; `None` when there is none.
    pub fn next(&mut self, agent: &Agent, end: EventTime, rng: &mut ChaCha8Rng) -> Option<EventTime> {
        if self.cause.is_none() {
            self.cause = self.next_cause(agent, end, rng);
        }
        let caused = self.waiting.peek().map(|Reverse(time)| *time);
        let time = match (self.cause, caused) {
            (Some(cause), Some(caused)) if caused <= cause => caused,
            (None, Some(caused)) => caused,
            (Some(cause), _) => cause,
            (None, None) => return None,
        };
        if caused == Some(time) {
            self.waiting.pop();
        } else {
            self.cause = None;
        }
        for _ in 0..Poisson::new(CAUSED).map_or(0, |law| law.sample(rng) as usize) {
            let later = time + log_normal(rng, DELAY_MS, DELAY_LOG_SD) as i64;
            if later < end.0 && self.waiting.len() < WAITING {
                self.waiting.push(Reverse(later));
            }
        }
        Some(EventTime(time))
    }

    /// Thinning, as in [`super::spells`].
    fn next_cause(&mut self, agent: &Agent, end: EventTime, rng: &mut ChaCha8Rng) -> Option<i64> {
        let peak = agent.season_peak();
        while self.now < end.0 as f64 {
            self.now += exponential(rng) / (agent.rate * (1.0 - CAUSED) * peak);
            let time = EventTime(self.now as i64);
            let kept: f64 = rng.random();
            if time < end && kept * peak < agent.season(time) {
                return Some(time.0);
            }
        }
        None
    }
}
