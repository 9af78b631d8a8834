//! One agent: what makes it different from its peers.
//!
//! Knows its pace, habits, haunts and moods. Must not know sessions or attacks.

use rand::Rng;
use rand_distr::{Distribution, Gamma, LogNormal};

use super::grammar::{AgentType, Hours};
use super::kind::Kind;
use super::scenario::Scenario;
use super::stream::{Purpose, Salt, mix, stream, unit, zipf_rank};
use crate::time::{DAY_MS, EventTime, HOUR_MS};

/// Concentration of the Dirichlet distribution of an agent's task mix: small = specialists.
const MIX_CONCENTRATION: f64 = 1.2;
/// Share of agents that are born during the run.
const BORN_LATER: f64 = 0.1;
/// Probability that a value lies outside the agent's own groups, anywhere in its type's.
const STRAY: f64 = 0.02;
/// Probability that a value belongs to a group nobody has used yet.
const UNHEARD_OF: f64 = 0.001;
/// Groups from here on are new to everybody.
const FIRST_NEW_GROUP: u32 = 1_000_000;
/// The fleet's sites: country and hours from UTC.
const SITES: [(&str, i64); 5] = [("IE", 0), ("DE", 1), ("SG", 8), ("JP", 9), ("US", -5)];

/// One value: which of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Value {
    /// Host, folder, owner, domain, segment.
    pub group: u32,
    /// Which one within the group.
    pub item: u32,
}

/// The traits of one agent. About 150 bytes with its task mix.
#[derive(Debug)]
pub struct Agent {
    /// Its number in the fleet.
    pub index: u32,
    /// What it is.
    pub kind: &'static AgentType,
    /// The type's number, for everything peers share.
    pub type_index: u32,
    /// Mean number of sessions per millisecond over a week.
    pub rate: f64,
    /// Country it works from.
    pub site: &'static str,
    /// Distance of its clock from UTC. Milliseconds.
    pub zone_ms: i64,
    /// First instant at which it can work.
    pub born: EventTime,
    /// From when on it runs the release that knows the new tool.
    pub upgraded: EventTime,
    /// Factor on the tools' own error and refusal rates.
    pub clumsiness: f64,
    /// Weight of each task of its type, in order.
    pub task_mix: Vec<f64>,
    /// How much stronger than its calm a busy spell is. Factor ≥ 1.
    pub busy_factor: f64,
    /// How much of its type's day and week it follows. 0 to 1.
    day_night: f64,
    /// Number of own groups per kind.
    breadth: u32,
    /// Key of the habits.
    salt: u64,
}

impl Agent {
    /// The agent with this number: a function of the seed and the number, not of the size of the fleet.
    pub fn new(scenario: &Scenario, types: &[&'static AgentType], index: u32) -> Option<Self> {
        let type_index = index % u32::try_from(types.len()).ok()?.max(1);
        let kind = types.get(type_index as usize)?;
        let mut rng = stream(scenario.seed, Purpose::Agent, index, 0);
        // Mean 1 whatever the spread: exp(μ + σ²/2) = 1.
        let spread = scenario.pace_spread;
        let pace = log_normal(&mut rng, (-spread * spread / 2.0).exp(), spread);
        let (site, zone) = SITES.get(rng.random_range(0..SITES.len())).copied().unwrap_or(("IE", 0));
        let span = scenario.span_ms() as f64;
        let born_later = rng.random_bool(BORN_LATER);
        let born_at = rng.random_range(0.1..0.9) * span;
        let released = {
            let mut of_type = stream(scenario.seed, Purpose::Type, type_index, 0);
            of_type.random_range(0.4..0.8) * span
        };
        // A release reaches the agents of a type one by one, within a day at most.
        let delay = rng.random::<f64>() * (0.1 * span).min(DAY_MS as f64);
        let task_mix = kind
            .tasks
            .iter()
            .map(|task| task.weight * gamma(&mut rng, MIX_CONCENTRATION) / MIX_CONCENTRATION)
            .collect();
        Some(Self {
            index,
            kind,
            type_index,
            rate: scenario.sessions_per_day * kind.pace * pace / DAY_MS as f64,
            site,
            zone_ms: zone * HOUR_MS,
            born: if born_later { scenario.start.plus_ms(born_at as i64) } else { scenario.start },
            upgraded: scenario.start.plus_ms((released + delay) as i64),
            clumsiness: log_normal(&mut rng, 1.0, 0.5).min(8.0),
            task_mix,
            busy_factor: 1.0 + log_normal(&mut rng, 3.0, 0.5).min(20.0),
            day_night: scenario.day_night,
            breadth: rng.random_range(2..=9),
            salt: mix(scenario.seed, Salt::Habits, u64::from(index), 0),
        })
    }

    /// How busy it is at an instant. Factor with mean about 1 over a week.
    pub fn season(&self, now: EventTime) -> f64 {
        season(self.kind.hours, now.plus_ms(self.zone_ms)) * self.day_night + (1.0 - self.day_night)
    }

    /// The largest value of [`Agent::season`].
    pub fn season_peak(&self) -> f64 {
        season_peak(self.kind.hours) * self.day_night + (1.0 - self.day_night)
    }

    /// A value of `kind` as the agent usually meets them at `now`.
    pub fn usual(&self, kind: Kind, now: EventTime, rng: &mut impl Rng) -> Value {
        let traits = kind.traits();
        let item = zipf_rank(traits.items, rng.random());
        if traits.groups <= 1 {
            return Value { group: 0, item };
        }
        let luck: f64 = rng.random();
        let group = if luck < UNHEARD_OF {
            new_group(rng)
        } else if luck < UNHEARD_OF + STRAY {
            self.peers_group(kind, rng.random())
        } else {
            let slot = zipf_rank(self.breadth.min(traits.groups), rng.random());
            self.own_group(kind, slot, now)
        };
        Value { group, item }
    }

    /// A value of a group that is common among the peers, whether or not the agent ever used it.
    pub fn common(&self, kind: Kind, rng: &mut impl Rng) -> Value {
        let traits = kind.traits();
        Value {
            group: self.peers_group(kind, rng.random::<f64>() * 0.3),
            item: zipf_rank(traits.items, rng.random()),
        }
    }

    /// A value of a group that nobody in the fleet has used.
    pub fn unheard_of(kind: Kind, rng: &mut impl Rng) -> Value {
        Value { group: new_group(rng), item: rng.random_range(0..kind.traits().items) }
    }

    /// A value of any group there is, each as likely as the other.
    pub fn anywhere(kind: Kind, rng: &mut impl Rng) -> Value {
        let traits = kind.traits();
        Value { group: rng.random_range(0..traits.groups), item: rng.random_range(0..traits.items) }
    }

    /// One of the agent's own groups. Each place in its habits is taken anew every 20 to 60 days: slow drift
    /// without state.
    fn own_group(&self, kind: Kind, slot: u32, now: EventTime) -> u32 {
        let place = (kind as u64) << 32 | u64::from(slot);
        let habit = mix(self.salt, Salt::Place, place, 0);
        let life_ms = (20.0 + 40.0 * unit(habit)) * DAY_MS as f64;
        let epoch = (now.0 as f64 / life_ms + unit(habit.rotate_left(32))).floor();
        self.peers_group(kind, unit(mix(self.salt, Salt::Favourite, place, epoch as u64)))
    }

    /// A group by its popularity among the peers: each type has favourites of its own.
    fn peers_group(&self, kind: Kind, uniform: f64) -> u32 {
        let groups = kind.traits().groups.max(1);
        (zipf_rank(groups, uniform) + self.type_index * 37) % groups
    }
}

fn new_group(rng: &mut impl Rng) -> u32 {
    FIRST_NEW_GROUP + rng.random_range(0..1_000_000_000)
}

/// A log-normal number with this median; the median itself when the parameters make no distribution.
pub fn log_normal(rng: &mut impl Rng, median: f64, log_sd: f64) -> f64 {
    LogNormal::new(median.ln(), log_sd).map_or(median, |law| law.sample(rng))
}

fn gamma(rng: &mut impl Rng, shape: f64) -> f64 {
    Gamma::new(shape, 1.0).map_or(shape, |law| law.sample(rng))
}

/// How busy `hours` are at the local instant. Factor with mean about 1 over a week.
fn season(hours: Hours, local: EventTime) -> f64 {
    let hour = local.hour().rem_euclid(24);
    // 1970-01-01 was a Thursday: day 0 of the week is Monday.
    let weekend = (local.day() + 3).rem_euclid(7) >= 5;
    match hours {
        Hours::Always => 1.0,
        Hours::Office => match (weekend, hour) {
            (false, 9..=11 | 14..=16) => 3.4,
            (false, 8 | 12 | 13 | 17) => 2.4,
            (false, 7 | 18 | 19) => 0.8,
            (false, _) | (true, 9..=17) => 0.08,
            (true, _) => 0.03,
        },
        Hours::Service => match (weekend, hour) {
            (false, 8..=20) => 1.8,
            (false, _) => 0.25,
            (true, 9..=20) => 1.0,
            (true, _) => 0.15,
        },
        Hours::Night => match hour {
            0..=4 => 3.2,
            5 | 22 | 23 => 1.6,
            _ => 0.2,
        },
    }
}

/// The largest value of [`season`] for `hours`.
const fn season_peak(hours: Hours) -> f64 {
    match hours {
        Hours::Always => 1.0,
        Hours::Office => 3.4,
        Hours::Service => 1.8,
        Hours::Night => 3.2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::presets::agent_types;

    #[test]
    fn a_week_of_every_season_averages_to_about_one() {
        for hours in [Hours::Always, Hours::Office, Hours::Service, Hours::Night] {
            let week = (0..168).map(|h| season(hours, EventTime(h * HOUR_MS)));
            let mean = week.clone().sum::<f64>() / 168.0;
            assert!((mean - 1.0).abs() < 0.1, "{hours:?} {mean}");
            assert!(week.fold(0.0, f64::max) <= season_peak(hours), "{hours:?}");
        }
    }

    #[test]
    fn an_agent_does_not_depend_on_the_size_of_the_fleet() {
        let types = agent_types(super::super::scenario::Preset::Mixed);
        let small = Scenario { agents: 3, ..Scenario::default() };
        let large = Scenario { agents: 3_000, ..Scenario::default() };
        let (a, b) = (Agent::new(&small, &types, 2).unwrap(), Agent::new(&large, &types, 2).unwrap());
        assert_eq!(format!("{a:?}"), format!("{b:?}"));
    }

    #[test]
    fn habits_drift_slowly_and_do_drift() {
        let types = agent_types(super::super::scenario::Preset::Mixed);
        let scenario = Scenario::default();
        let moved = |days: i64| {
            (0..200)
                .filter_map(|i| Agent::new(&scenario, &types, i))
                .filter(|a| {
                    a.own_group(Kind::Url, 1, scenario.start)
                        != a.own_group(Kind::Url, 1, scenario.start.plus_ms(days * DAY_MS))
                })
                .count()
        };
        assert!(moved(1) < 20, "{} of 200 in a day", moved(1));
        assert!(moved(60) > 120, "{} of 200 in 60 days", moved(60));
    }
}
