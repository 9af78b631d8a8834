//! Calm and busy spells: a doubly stochastic process.
//!
//! Knows spells and the season. Must not know what happens in a session.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Arrival, exponential};
use crate::simulate::agent::{Agent, log_normal};
use crate::time::{EventTime, HOUR_MS};

/// Mean length of a calm spell. Milliseconds.
const CALM_MS: f64 = 7.0 * HOUR_MS as f64;
/// Median length of a busy spell. Milliseconds.
const BUSY_MS: f64 = 0.6 * HOUR_MS as f64;
/// Mean share of busy time that follows from the two and from the spread of busy spells (log-sd .8).
const BUSY_SHARE: f64 = 0.106;
/// Probability that a busy spell is a burst of legitimate work: a look-alike of a runaway agent.
const BURST: f64 = 0.01;
/// How much busier than its calm an agent is in such a burst.
const BURST_FACTOR: f64 = 25.0;

/// Calm spells, and busy ones in which sessions start several times as often.
#[derive(Debug)]
pub struct Spells {
    /// Instant of the last candidate. Milliseconds since 1970.
    now: f64,
    /// End of the present spell. Milliseconds since 1970.
    spell_end: f64,
    /// Present rate relative to the calm one.
    factor: f64,
    /// Whether the present spell is a burst of legitimate work.
    burst: bool,
}

impl Spells {
    /// The spells of `agent` from its birth on.
    pub fn new(agent: &Agent, rng: &mut ChaCha8Rng) -> Self {
        let now = agent.born.0 as f64;
        let spell_end = now + CALM_MS * exponential(rng);
        Self { now, spell_end, factor: 1.0, burst: false }
    }

    /// The next start before `end`; `None` when there is none.
    ///
    /// # Formula
    ///
    /// Thinning: candidates come at the largest rate of the spell and are kept with probability
    /// season/peak. Source: Lewis and Shedler, "Simulation of nonhomogeneous Poisson processes by
    /// thinning", Naval Research Logistics Quarterly 26 (1979).
    pub fn next(&mut self, agent: &Agent, end: EventTime, rng: &mut ChaCha8Rng) -> Option<Arrival> {
        let end = end.0 as f64;
        let peak = agent.season_peak();
        let calm = agent.rate / (1.0 - BUSY_SHARE + BUSY_SHARE * agent.busy_factor);
        while self.now < end {
            let candidate = self.now + exponential(rng) / (calm * self.factor * peak);
            if candidate >= self.spell_end {
                // Waiting times have no memory: the rest of this one is drawn at the next spell's rate.
                self.now = self.spell_end;
                self.change_spell(agent, rng);
                continue;
            }
            self.now = candidate;
            let time = EventTime(candidate as i64);
            let kept: f64 = rng.random();
            if candidate < end && kept * peak < agent.season(time) {
                return Some(Arrival { time, burst: self.burst });
            }
        }
        None
    }

    fn change_spell(&mut self, agent: &Agent, rng: &mut ChaCha8Rng) {
        let calm_now = self.factor > 1.0;
        let length = if calm_now { CALM_MS * exponential(rng) } else { log_normal(rng, BUSY_MS, 0.8) };
        self.burst = !calm_now && rng.random_bool(BURST);
        self.factor = match (calm_now, self.burst) {
            (true, _) => 1.0,
            (false, true) => BURST_FACTOR,
            (false, false) => agent.busy_factor,
        };
        self.spell_end = self.now + length;
    }
}
