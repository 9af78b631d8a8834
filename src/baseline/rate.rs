//! How busy one agent is: counts of five minutes and of an hour, and what is usual for it.
//!
//! Knows one agent's counts and the priors it is handed. Must not know other agents, nor the host's clock: time
//! is *watched time*, from which the caller has taken out what nobody watched.

use serde::{Deserialize, Serialize};

use crate::stats::rate::{NegativeBinomial, Prior, Vote};

mod scale;

pub use scale::{PerScale, Scale};

/// Shortest window. Milliseconds.
const WINDOW_MS: i64 = 300_000;
/// Windows of an hour, and of a day.
const HOUR: i32 = 12;
const DAY: i32 = 288;
/// Half-life of what an agent is used to, at both scales. Two weeks hold ten working days and two week-ends, so
/// that a quiet Sunday is not yet the new normal; a changed task is half learned after as long. Windows.
const HALF_LIFE: f64 = 14.0 * 288.0;
/// Part of the window before that is judged with the running one: a burst across a boundary is not cut in two.
const CARRIED: f64 = 0.5;
/// What a day of windows has faded to by its end. Windows.
const FADED_DAY: f32 = 281.0;
/// Events that must be missing before a silence says something.
const MISSING_EVENTS: f64 = 3.0;
/// Least part of its first day that an agent must have been there to vote. Windows.
const VOTING_WINDOWS: f64 = 12.0;

/// What a new installation believes of an agent in five minutes and in an hour: next to nothing.
///
/// A mean of 100 and of 1,000 calls with a shape of .1: agents between one call a day and a thousand in five
/// minutes surprise nobody (a thousand in the first five minutes cost less than a bit), and one window of an agent's own
/// outweighs it. Windows of one agent differ by as much as their mean, as sessions do.
pub const SHIPPED: PerScale<Prior> = PerScale {
    five_minutes: Prior { shape: 0.1, exposure: 1e-3, dispersion: 1.0 },
    hour: Prior { shape: 0.1, exposure: 1e-4, dispersion: 1.0 },
};

/// The counts of one agent. 48 bytes.
///
/// Windows are cut from watched time, hours and days from windows. Nothing happens while nothing is counted: the
/// next event brings everything up to date, over any number of empty windows, in constant time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The running window. Windows of five minutes of watched time.
    window: i32,
    /// Windows of five minutes that have ended in the agent's life, faded. The hours follow from it.
    exposure: f32,
    counts: PerScale<Counts>,
}

/// The counts of one scale.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
struct Counts {
    /// What was learned of ended windows, faded. Events.
    learned: f32,
    /// Count of the running window, and of the one before.
    running: u32,
    before: u32,
    /// Σ of counts, and of squared counts, over the windows of the day that have ended.
    day_sum: f32,
    day_squares: f32,
}

/// How long an agent has done nothing, and how unusual that is for it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Silence {
    /// Full hours without an event.
    pub hours: u32,
    /// What is usual in so many hours. Events.
    pub expected: f64,
    /// Bits of doing nothing for so long.
    pub bits: f64,
}

impl Rate {
    /// An agent that is seen for the first time at `watched_ms` (milliseconds of watched time).
    pub fn born(watched_ms: i64) -> Self {
        Self { window: window_of(watched_ms), exposure: 0.0, counts: PerScale::default() }
    }

    /// Counts `events` at `watched_ms` and, if they are the first of a new day, returns what the agent has to say
    /// of the day of its last events.
    ///
    /// Events before the running window count into it: late ones are not lost, and change nothing that was
    /// learned. Constant time.
    ///
    /// * `watched_ms`: milliseconds of watched time;
    /// * `priors`: the type's. Of a window that ends at most 3·max(1, μ) + 3 is learned, μ what they made of it.
    pub fn count(
        &mut self,
        watched_ms: i64,
        events: u32,
        priors: &PerScale<Prior>,
    ) -> Option<PerScale<Vote>> {
        if events == 0 {
            return None;
        }
        let vote = self.vote(watched_ms, priors);
        self.advance(window_of(watched_ms), priors);
        for counts in [&mut self.counts.five_minutes, &mut self.counts.hour] {
            counts.running = counts.running.saturating_add(events);
        }
        vote
    }

    /// From now on watched time is counted from another instant: what was at `t` is at `t + by_ms`. To five minutes.
    pub fn shift(&mut self, by_ms: i64) {
        let windows = i32::try_from(by_ms / WINDOW_MS).unwrap_or_default();
        self.window = self.window.saturating_add(windows).max(0);
    }

    /// What was learned counts for so much less: the agent is about to change, and its past is only a first guess.
    ///
    /// * `left`: part that stays, in (0, 1].
    pub fn discount(&mut self, left: f32) {
        self.exposure *= left;
        for counts in [&mut self.counts.five_minutes, &mut self.counts.hour] {
            counts.learned *= left;
        }
    }

    /// Ends the day of the agent's last events, if it is over at `watched_ms`, and returns what it has to say of
    /// that day: once. An agent that did nothing all day says nothing, and neither does one that was there for
    /// less than an hour.
    ///
    /// [`Rate::count`] asks by itself. Whoever closes units or lets agents go asks too, so that agents that never
    /// come back are heard.
    pub fn vote(&mut self, watched_ms: i64, priors: &PerScale<Prior>) -> Option<PerScale<Vote>> {
        let today = self.window.div_euclid(DAY);
        let five = &self.counts.five_minutes;
        let active = five.running > 0 || five.day_sum > 0.0;
        if !active || window_of(watched_ms).div_euclid(DAY) <= today {
            return None;
        }
        self.advance((today + 1).saturating_mul(DAY), priors);
        let windows = age(f64::from(self.exposure)).min(f64::from(DAY));
        let say = |scale: Scale| {
            let (windows_each, exposure) = (f64::from(scale.minutes() / 5), self.exposure(scale));
            self.counts.of(scale).day(exposure, (windows / windows_each).max(1.0))
        };
        let votes = PerScale { five_minutes: say(Scale::FiveMinutes), hour: say(Scale::Hour) };
        for counts in [&mut self.counts.five_minutes, &mut self.counts.hour] {
            (counts.day_sum, counts.day_squares) = (0.0, 0.0);
        }
        (windows >= VOTING_WINDOWS).then_some(votes)
    }

    /// What is judged: the running window's count and half of the one before. Events.
    #[inline]
    pub fn observed(&self, scale: Scale) -> f64 {
        let counts = self.counts.of(scale);
        f64::from(counts.running) + CARRIED * f64::from(counts.before)
    }

    /// What is to be expected of [`Rate::observed`], given the agent's own history.
    #[inline]
    pub fn expected(&self, scale: Scale, prior: &Prior) -> NegativeBinomial {
        self.per_window(scale, prior).times(1.0 + CARRIED)
    }

    /// What is to be expected of [`Rate::observed`] for any agent of the type: its own history left out.
    #[inline]
    pub fn expected_of_peers(prior: &Prior) -> NegativeBinomial {
        prior.predict(0.0, 0.0).times(1.0 + CARRIED)
    }

    /// Whether what is observed is no more than expected. No division, no logarithm.
    #[inline]
    pub fn is_usual(&self, scale: Scale, prior: &Prior) -> bool {
        let learned = f64::from(self.counts.of(scale).learned);
        self.observed(scale) * (self.exposure(scale) + prior.exposure)
            <= (1.0 + CARRIED) * (learned + prior.shape)
    }

    /// Law of one window's count.
    pub fn per_window(&self, scale: Scale, prior: &Prior) -> NegativeBinomial {
        prior.predict(f64::from(self.counts.of(scale).learned), self.exposure(scale))
    }

    /// Counts of the running window and of the one before. Events.
    pub fn counts(&self, scale: Scale) -> (u32, u32) {
        let counts = self.counts.of(scale);
        (counts.running, counts.before)
    }

    /// Whether the agent has been watched for less than a day: what it does may still be what it should not.
    #[inline]
    pub fn is_young(&self) -> bool {
        self.exposure < FADED_DAY
    }

    /// How unusual it is that the agent has done nothing since its last event. None before a full hour has
    /// passed, for an agent younger than a day (it may have been meant for one task), and where at most three
    /// events are missing.
    ///
    /// After [`Rate::vote`] has ended its last day, the silence is counted from the end of that day.
    ///
    /// # Formula
    ///
    /// All empty hours together: mean n·μ and the size of one hour, as if all n shared one deviation (a busy
    /// night is followed by busy hours). At a count of 0 the bound of [`NegativeBinomial::lower_bits`] is exact.
    pub fn silence(&self, watched_ms: i64, prior: &Prior) -> Option<Silence> {
        let started = self.window.div_euclid(HOUR) + i32::from(self.counts.hour.running > 0);
        let hours = window_of(watched_ms).div_euclid(HOUR).saturating_sub(started);
        if hours < 1 || self.is_young() {
            return None;
        }
        let law = self.per_window(Scale::Hour, prior).times(f64::from(hours));
        (law.mean() > MISSING_EVENTS).then(|| Silence {
            hours: hours.unsigned_abs(),
            expected: law.mean(),
            bits: law.lower_bits(0.0),
        })
    }

    /// Windows that have ended, faded.
    ///
    /// Hours are the five minutes of ended hours by twelve. What fades within the hour is left out of this: .1 %.
    #[inline]
    fn exposure(&self, scale: Scale) -> f64 {
        let ended = f64::from(self.exposure);
        match scale {
            Scale::FiveMinutes => ended,
            Scale::Hour => hours_at(ended, self.window.rem_euclid(HOUR)),
        }
    }

    /// Ends all windows before `to`.
    fn advance(&mut self, to: i32, priors: &PerScale<Prior>) {
        let steps = to.saturating_sub(self.window);
        if steps <= 0 {
            return;
        }
        let ended = f64::from(self.exposure);
        let five = &mut self.counts.five_minutes;
        let usual = priors.five_minutes.predict(f64::from(five.learned), ended).mean();
        five.end(steps, usual, HALF_LIFE);

        let hours = to.div_euclid(HOUR) - self.window.div_euclid(HOUR);
        if hours > 0 {
            // As of the hour's last window, whenever the advance comes: two short ones are one long one.
            let last = HOUR - 1;
            let exposure = hours_at(ended_after(ended, last - self.window.rem_euclid(HOUR)), last);
            let hour = &mut self.counts.hour;
            let usual = priors.hour.predict(f64::from(hour.learned), exposure).mean();
            hour.end(hours, usual, HALF_LIFE / f64::from(HOUR));
        }
        self.exposure = ended_after(ended, steps) as f32;
        self.window = to;
    }
}

impl Counts {
    /// Ends the running window and the `steps` − 1 empty ones after it.
    ///
    /// Learned is at most 3·max(1, μ) + 3 of a window, μ what was `usual`: one burst must not become normal. For
    /// the spread of counts ten times instead of three, or a spread would never be seen to be wide.
    fn end(&mut self, steps: i32, usual: f64, half_life: f64) {
        let (count, usual) = (f64::from(self.running), usual.max(1.0));
        let left = share_left(1, half_life);
        let learned = f64::from(self.learned) * left + count.min(3.0 * usual + 3.0);
        self.learned = (learned * share_left(steps - 1, half_life)) as f32;
        let spread = count.min(10.0 * usual + 10.0);
        self.day_sum += spread as f32;
        self.day_squares += (spread * spread) as f32;
        self.before = if steps == 1 { self.running } else { 0 };
        self.running = 0;
    }

    /// What the day says, given the exposure of all days and the number of the day's windows.
    fn day(&self, exposure: f64, windows: f64) -> Vote {
        Vote {
            rate: if exposure > 0.0 { f64::from(self.learned) / exposure } else { 0.0 },
            exposure,
            windows,
            sum: f64::from(self.day_sum),
            squares: f64::from(self.day_squares),
        }
    }
}

/// Number of the window that holds a time. Times before 0 are in window 0.
fn window_of(watched_ms: i64) -> i32 {
    i32::try_from(watched_ms.max(0) / WINDOW_MS).unwrap_or(i32::MAX)
}

/// Ended hours, given ended windows and how many of them lie in the running hour.
#[inline]
fn hours_at(ended: f64, in_running_hour: i32) -> f64 {
    (ended - f64::from(in_running_hour)).max(0.0) / f64::from(HOUR)
}

/// Share left after some windows.
fn share_left(windows: i32, half_life: f64) -> f64 {
    (-f64::from(windows) / half_life).exp2()
}

/// Ended windows, faded, after some more: E·ρⁿ + (1 − ρⁿ)/(1 − ρ), the geometric series.
fn ended_after(ended: f64, windows: i32) -> f64 {
    let left = share_left(windows, HALF_LIFE);
    ended * left + (1.0 - left) / (1.0 - share_left(1, HALF_LIFE))
}

/// Number of windows whose faded sum is `ended`: the inverse of [`ended_after`] from 0.
fn age(ended: f64) -> f64 {
    let left = 1.0 - ended * (1.0 - share_left(1, HALF_LIFE));
    -left.max(1e-9).log2() * HALF_LIFE
}

#[cfg(test)]
mod tests;
