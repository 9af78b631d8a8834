//! Heavy-tailed gaps: many sessions close together, then nothing for long.
//!
//! Knows gaps and the season. Must not know what happens in a session.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::simulate::agent::Agent;
use crate::time::{EventTime, HOUR_MS};

/// Index of the tail of gaps. Below 2 their variance is infinite.
const TAIL: f64 = 1.7;

/// A renewal process with Pareto gaps, run at the pace of the season.
#[derive(Debug)]
pub struct Gaps {
    /// The last start. Milliseconds since 1970.
    now: f64,
}

impl Gaps {
    /// The gaps of `agent` from its birth on.
    pub fn new(agent: &Agent) -> Self {
        Self { now: agent.born.0 as f64 }
    }

    /// The next start before `end`; `None` when there is none.
    ///
    /// # Formula
    ///
    /// Gap = σ(U^(−1/α) − 1), a Pareto distribution of the second kind with mean σ/(α − 1) = 1/rate (Arnold, *Pareto
    /// Distributions*, 2nd ed., §1.2), measured in seasonal time: an hour of season s is s hours long.
    pub fn next(&mut self, agent: &Agent, end: EventTime, rng: &mut ChaCha8Rng) -> Option<EventTime> {
        let scale = (TAIL - 1.0) / agent.rate;
        let uniform: f64 = 1.0 - rng.random::<f64>();
        let mut left = scale * (uniform.powf(-1.0 / TAIL) - 1.0);
        while self.now < end.0 as f64 {
            let pace = agent.season(EventTime(self.now as i64));
            let hour_end = ((EventTime(self.now as i64).hour() + 1) * HOUR_MS) as f64;
            let most = (hour_end - self.now) * pace;
            if left <= most {
                self.now += left / pace;
                let time = EventTime(self.now as i64);
                return (time < end).then_some(time);
            }
            left -= most;
            self.now = hour_end;
        }
        None
    }
}
