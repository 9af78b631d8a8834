//! From a task to a list of calls to make: the grammar, rolled out.
//!
//! Knows repetition, choice and look-alikes. Must not know times, values or outcomes.

use rand::Rng;

use super::agent::{Agent, log_normal};
use super::grammar::{Effect, Step, Task, Tool};
use super::kind::Kind;
use crate::time::EventTime;

/// Longest plan of a normal session. Calls.
const MAX_CALLS: usize = 400;
/// Probability that a session is a look-alike: legitimate, and new in some way.
const LOOK_ALIKE: f64 = 0.006;

/// How a call comes by its values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Values {
    /// As the grammar and the agent's habits have it.
    Usual,
    /// The same as in the last call.
    Same,
    /// The user names a destination that nobody has used before.
    Named,
    /// From groups that are new to the agent, common among its peers.
    Common,
    /// Page after page of one listing.
    Paging,
    /// From groups the agent has no business with.
    Foreign,
    /// Lifted out of the free text of an earlier result.
    Lifted,
}

/// A call to make.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    /// With which tool.
    pub tool: &'static Tool,
    /// The kind of which this call takes another value than the last one.
    pub fresh: Option<Kind>,
    /// How it comes by its values.
    pub values: Values,
    /// Whether it will be refused in any case.
    pub refused: bool,
    /// Whether it follows the last call within a fraction of a second.
    pub hasty: bool,
    /// Whether the attack added it.
    pub added: bool,
    /// Whether the attack had begun before it.
    pub exposed: bool,
}

impl Planned {
    /// An ordinary call.
    pub fn call(tool: &'static Tool) -> Self {
        Self {
            tool,
            fresh: None,
            values: Values::Usual,
            refused: false,
            hasty: false,
            added: false,
            exposed: false,
        }
    }
}

/// What a session is about.
#[derive(Debug)]
pub struct Plan {
    /// Name of the task, or of the look-alike.
    pub task: &'static str,
    /// Whether the agent was asked to do what a text says.
    pub trusting: bool,
    /// Whether the session is a look-alike.
    pub look_alike: bool,
    /// The calls, in order. Never empty.
    pub calls: Vec<Planned>,
}

impl Plan {
    /// Draws what the user asks `agent` for at `now`. `None` only when the type has no task.
    pub fn draw(agent: &Agent, now: EventTime, rng: &mut impl Rng) -> Option<Self> {
        let dice: f64 = rng.random();
        let shape = if dice < LOOK_ALIKE { LookAlike::of(dice / LOOK_ALIKE) } else { LookAlike::No };
        let task = match shape {
            LookAlike::PeersTool => rarest_task(agent, now),
            _ => usual_task(agent, now, rng.random()),
        }?;
        let mut calls = Vec::new();
        roll_out(task.steps, None, rng, &mut calls);
        let (shape, name) = shape.bend(agent, &mut calls, rng);
        if calls.is_empty() {
            // Every step of the task was optional: the agent does the first thing it can.
            calls.extend(agent.kind.tools.first().map(|tool| Planned::call(tool)));
        }
        calls.truncate(MAX_CALLS);
        Some(Self {
            task: name.unwrap_or(task.name),
            trusting: task.trusting,
            look_alike: shape != LookAlike::No,
            calls,
        })
    }
}

/// Task of the sessions in a burst of legitimate work.
pub const BURST: &str = "look-alike/burst-of-work";

/// Legitimate sessions that look like trouble.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LookAlike {
    No,
    /// The first use of a tool that the peers use daily.
    PeersTool,
    /// A new resource that is common among the peers.
    CommonResource,
    /// A brand-new destination that the user names himself.
    NamedDestination,
    /// A long loop over the pages of a listing.
    LongPaging,
}

impl LookAlike {
    fn of(uniform: f64) -> Self {
        match (uniform * 4.0) as u32 {
            0 => Self::PeersTool,
            1 => Self::CommonResource,
            2 => Self::NamedDestination,
            _ => Self::LongPaging,
        }
    }

    /// Changes the calls; returns what the session now is (an agent without listings cannot page) and its name.
    fn bend(
        self,
        agent: &Agent,
        calls: &mut Vec<Planned>,
        rng: &mut impl Rng,
    ) -> (Self, Option<&'static str>) {
        match self {
            Self::No => (self, None),
            Self::PeersTool => (self, Some("look-alike/peers-tool")),
            Self::CommonResource => {
                calls.iter_mut().for_each(|call| call.values = Values::Common);
                (self, Some("look-alike/common-resource"))
            }
            Self::NamedDestination => {
                let commits = calls.iter_mut().filter(|call| call.tool.effect == Effect::Commit);
                commits.for_each(|call| call.values = Values::Named);
                (self, Some("look-alike/named-destination"))
            }
            Self::LongPaging => {
                let listing = |tool: &&&Tool| {
                    tool.takes.iter().any(|(_, kind)| *kind == Kind::Page) && tool.effect == Effect::Read
                };
                let Some(tool) = agent.kind.tools.iter().find(listing) else { return (Self::No, None) };
                calls.clear();
                let page = Planned { values: Values::Paging, hasty: true, ..Planned::call(tool) };
                calls.extend(std::iter::repeat_n(page, rng.random_range(60..200)));
                (self, Some("look-alike/long-paging"))
            }
        }
    }
}

/// The tasks the agent knows at `now`, with their weights.
fn known_tasks(agent: &Agent, now: EventTime) -> impl Iterator<Item = (&'static Task, f64)> {
    let upgraded = now >= agent.upgraded;
    agent
        .kind
        .tasks
        .iter()
        .zip(agent.task_mix.iter().copied())
        .filter(move |(task, _)| upgraded || !task.released)
}

fn usual_task(agent: &Agent, now: EventTime, uniform: f64) -> Option<&'static Task> {
    let total: f64 = known_tasks(agent, now).map(|(_, weight)| weight).sum();
    let mut left = uniform * total;
    let mut last = None;
    for (task, weight) in known_tasks(agent, now) {
        last = Some(task);
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    last
}

fn rarest_task(agent: &Agent, now: EventTime) -> Option<&'static Task> {
    known_tasks(agent, now).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(task, _)| task)
}

fn roll_out(steps: &'static [Step], fresh: Option<Kind>, rng: &mut impl Rng, out: &mut Vec<Planned>) {
    for step in steps {
        if out.len() >= MAX_CALLS {
            return;
        }
        match *step {
            Step::Call(tool) => {
                // Each further value is taken up by the first call of its round that has a place for it.
                let first = fresh.filter(|kind| tool.takes.iter().any(|(_, k)| k == kind));
                let taken = first.is_some() && out.last().is_some_and(|call| call.fresh == first);
                let fresh = if taken && rng.random_bool(0.9) { None } else { first };
                out.push(Planned { fresh, ..Planned::call(tool) });
            }
            Step::Maybe(probability, inner) => {
                if rng.random_bool(probability.clamp(0.0, 1.0)) {
                    roll_out(inner, fresh, rng, out);
                }
            }
            Step::Some(mean, inner) => {
                roll_out(inner, fresh, rng, out);
                let again = (1.0 - 1.0 / mean.max(1.0)).clamp(0.0, 1.0);
                while out.len() < MAX_CALLS && rng.random_bool(again) {
                    roll_out(inner, fresh, rng, out);
                }
            }
            Step::Each(kind, median, inner) => {
                let rounds = log_normal(rng, median, 1.0).round().clamp(1.0, MAX_CALLS as f64) as usize;
                for _ in 0..rounds {
                    roll_out(inner, Some(kind), rng, out);
                }
            }
            Step::OneOf(arms) => {
                let total: f64 = arms.iter().map(|(weight, _)| weight).sum();
                let mut left = rng.random::<f64>() * total;
                let arm = arms.iter().find(|(weight, _)| {
                    left -= weight;
                    left < 0.0
                });
                if let Some((_, inner)) = arm.or(arms.last()) {
                    roll_out(inner, fresh, rng, out);
                }
            }
        }
    }
}
