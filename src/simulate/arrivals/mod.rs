//! When an agent's sessions start, under one of several laws, none of which is a plain Poisson process.
//!
//! Knows laws and the season. Must not know what happens in a session.

mod cascades;
mod gaps;
mod spells;

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use self::cascades::Cascades;
use self::gaps::Gaps;
use self::spells::Spells;
use super::agent::Agent;
use super::scenario::RateLaw;
use super::stream::{Purpose, stream};
use crate::time::EventTime;

/// The source of one agent's session starts.
#[derive(Debug)]
pub struct Arrivals {
    rng: ChaCha8Rng,
    law: Law,
}

#[derive(Debug)]
enum Law {
    Spells(Spells),
    Cascades(Cascades),
    Gaps(Gaps),
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
    pub fn new(seed: u64, law: RateLaw, agent: &Agent) -> Self {
        let mut rng = stream(seed, Purpose::Arrivals, agent.index, 0);
        let law = match law {
            RateLaw::Spells => Law::Spells(Spells::new(agent, &mut rng)),
            RateLaw::Cascades => Law::Cascades(Cascades::new(agent)),
            RateLaw::Gaps => Law::Gaps(Gaps::new(agent)),
        };
        Self { rng, law }
    }

    /// The next start before `end`; `None` when there is none.
    pub fn next(&mut self, agent: &Agent, end: EventTime) -> Option<Arrival> {
        let plain = |time| Arrival { time, burst: false };
        match &mut self.law {
            Law::Spells(spells) => spells.next(agent, end, &mut self.rng),
            Law::Cascades(cascades) => cascades.next(agent, end, &mut self.rng).map(plain),
            Law::Gaps(gaps) => gaps.next(agent, end, &mut self.rng).map(plain),
        }
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
    use crate::time::{DAY_MS, HOUR_MS};

    fn starts(law: RateLaw, index: u32) -> (Vec<Arrival>, Agent, Scenario) {
        let scenario = Scenario { days: 200.0, sessions_per_day: 60.0, rate_law: law, ..Scenario::default() };
        let agent = Agent::new(&scenario, &agent_types(Preset::Mixed), index).unwrap();
        let mut arrivals = Arrivals::new(scenario.seed, law, &agent);
        let mut all = Vec::new();
        while let Some(arrival) = arrivals.next(&agent, scenario.end()) {
            all.push(arrival);
        }
        (all, agent, scenario)
    }

    #[test]
    fn the_long_run_rate_is_the_agents_own() {
        for law in RateLaw::ALL {
            for index in 0..9 {
                let (all, agent, scenario) = starts(law, index);
                let expected = agent.rate * (scenario.end().0 - agent.born.0) as f64;
                let ratio = all.len() as f64 / expected;
                assert!((0.8..1.25).contains(&ratio), "{law}, agent {index}: {ratio}");
            }
        }
    }

    /// Variance over mean of the counts of an hour; 1 for a Poisson process at constant rate.
    fn overdispersion(law: RateLaw, index: u32) -> f64 {
        let (all, _, scenario) = starts(law, index);
        let mut hours = vec![0f64; (scenario.days * 24.0) as usize];
        for arrival in &all {
            hours[((arrival.time.0 - scenario.start.0) / HOUR_MS) as usize] += 1.0;
        }
        let mean = hours.iter().sum::<f64>() / hours.len() as f64;
        hours.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / hours.len() as f64 / mean
    }

    #[test]
    fn starts_come_in_bursts_under_every_law() {
        for law in RateLaw::ALL {
            assert!(overdispersion(law, 7) > 2.0, "{law}: no more than a Poisson process has");
        }
    }

    #[test]
    fn starts_are_in_order_and_end_in_time() {
        for law in RateLaw::ALL {
            let (all, agent, scenario) = starts(law, 1);
            assert!(all.is_sorted_by_key(|arrival| arrival.time));
            assert!(all.iter().all(|arrival| arrival.time >= agent.born && arrival.time < scenario.end()));
            assert!(scenario.span_ms() >= 200 * DAY_MS);
        }
    }

    #[test]
    fn a_flat_season_works_at_night_too() {
        let at_night = |day_night| {
            let scenario = Scenario { days: 60.0, day_night, ..Scenario::default() };
            let agent = Agent::new(&scenario, &agent_types(Preset::Trading), 0).unwrap();
            let mut arrivals = Arrivals::new(1, RateLaw::Gaps, &agent);
            let mut all = Vec::new();
            while let Some(arrival) = arrivals.next(&agent, scenario.end()) {
                all.push(arrival.time.plus_ms(agent.zone_ms).hour().rem_euclid(24) < 6);
            }
            all.iter().filter(|night| **night).count() as f64 / all.len() as f64
        };
        assert!(at_night(1.0) < 0.05, "office hours: {}", at_night(1.0));
        assert!((0.15..0.35).contains(&at_night(0.0)), "no season: {}", at_night(0.0));
    }
}
