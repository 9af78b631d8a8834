//! When an agent's sessions start: a doubly stochastic process, never a plain Poisson one.
//!
//! Knows calm and busy spells and the season. Must not know what happens in a session.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use super::agent::{Agent, log_normal, season, season_peak};
use super::stream::{Purpose, stream};
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

/// The source of one agent's session starts.
#[derive(Debug)]
pub struct Arrivals {
    rng: ChaCha8Rng,
    /// Instant of the last candidate. Milliseconds since 1970.
    now: f64,
    /// End of the present spell. Milliseconds since 1970.
    spell_end: f64,
    /// Present rate relative to the calm one.
    factor: f64,
    /// Whether the present spell is a burst of legitimate work.
    burst: bool,
}

/// The start of a session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// When.
    pub time: EventTime,
    /// Whether it belongs to a burst of legitimate work.
    pub burst: bool,
}

impl Arrivals {
    /// The arrivals of `agent` from its birth on.
    pub fn new(seed: u64, agent: &Agent) -> Self {
        let mut rng = stream(seed, Purpose::Arrivals, agent.index, 0);
        let now = agent.born.0 as f64;
        let spell_end = now + CALM_MS * exponential(&mut rng);
        Self { rng, now, spell_end, factor: 1.0, burst: false }
    }

    /// The next start before `end`; `None` when there is none.
    ///
    /// # Formula
    ///
    /// Thinning: candidates come at the largest rate of the spell and are kept with probability
    /// season/peak. Source: Lewis and Shedler, "Simulation of nonhomogeneous Poisson processes by
    /// thinning", Naval Research Logistics Quarterly 26 (1979).
    pub fn next(&mut self, agent: &Agent, end: EventTime) -> Option<Arrival> {
        let end = end.0 as f64;
        let peak = season_peak(agent.kind.hours);
        let calm = agent.rate / (1.0 - BUSY_SHARE + BUSY_SHARE * agent.busy_factor);
        while self.now < end {
            let candidate = self.now + exponential(&mut self.rng) / (calm * self.factor * peak);
            if candidate >= self.spell_end {
                // Waiting times have no memory: the rest of this one is drawn at the next spell's rate.
                self.now = self.spell_end;
                self.change_spell(agent);
                continue;
            }
            self.now = candidate;
            let time = EventTime(candidate as i64);
            let kept: f64 = self.rng.random();
            if candidate < end && kept * peak < season(agent.kind.hours, time.plus_ms(agent.zone_ms)) {
                return Some(Arrival { time, burst: self.burst });
            }
        }
        None
    }

    fn change_spell(&mut self, agent: &Agent) {
        let calm_now = self.factor > 1.0;
        let length = if calm_now {
            CALM_MS * exponential(&mut self.rng)
        } else {
            log_normal(&mut self.rng, BUSY_MS, 0.8)
        };
        self.burst = !calm_now && self.rng.random_bool(BURST);
        self.factor = match (calm_now, self.burst) {
            (true, _) => 1.0,
            (false, true) => BURST_FACTOR,
            (false, false) => agent.busy_factor,
        };
        self.spell_end = self.now + length;
    }
}

fn exponential(rng: &mut ChaCha8Rng) -> f64 {
    Exp1.sample(rng)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::presets::agent_types;
    use crate::simulate::scenario::{Preset, Scenario};
    use crate::time::DAY_MS;

    fn starts(index: u32) -> (Vec<Arrival>, Agent, Scenario) {
        let scenario = Scenario { days: 200.0, sessions_per_day: 60.0, ..Scenario::default() };
        let agent = Agent::new(&scenario, &agent_types(Preset::Mixed), index).unwrap();
        let mut arrivals = Arrivals::new(scenario.seed, &agent);
        let mut all = Vec::new();
        while let Some(arrival) = arrivals.next(&agent, scenario.end()) {
            all.push(arrival);
        }
        (all, agent, scenario)
    }

    #[test]
    fn the_long_run_rate_is_the_agents_own() {
        for index in 0..9 {
            let (all, agent, scenario) = starts(index);
            let expected = agent.rate * (scenario.end().0 - agent.born.0) as f64;
            let ratio = all.len() as f64 / expected;
            assert!((0.8..1.25).contains(&ratio), "agent {index}: {ratio}");
        }
    }

    #[test]
    fn starts_come_in_bursts() {
        let (all, _, scenario) = starts(7);
        let mut hours = vec![0f64; (scenario.days * 24.0) as usize];
        for arrival in &all {
            hours[((arrival.time.0 - scenario.start.0) / HOUR_MS) as usize] += 1.0;
        }
        let mean = hours.iter().sum::<f64>() / hours.len() as f64;
        let variance = hours.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / hours.len() as f64;
        assert!(
            variance > 2.0 * mean,
            "mean {mean}, variance {variance}: no more than a Poisson process has"
        );
    }

    #[test]
    fn starts_are_in_order_and_end_in_time() {
        let (all, agent, scenario) = starts(1);
        assert!(all.is_sorted_by_key(|arrival| arrival.time));
        assert!(all.iter().all(|arrival| arrival.time >= agent.born && arrival.time < scenario.end()));
        assert!(scenario.span_ms() >= 200 * DAY_MS);
    }
}
