//! The fleet: merges the sessions of all agents into one stream in event-time order.
//!
//! Knows who acts next. Must not know what they do.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::agent::Agent;
use super::arrivals::{Arrival, Arrivals};
use super::grammar::AgentType;
use super::presets::agent_types;
use super::scenario::{Scenario, ScenarioError};
use super::session::Session;
use super::{AttackSpan, SimulatedEvent};
use crate::time::EventTime;

/// A running simulation: an iterator over labelled events in event-time order.
///
/// The same scenario gives the same events, byte for byte, on every run and machine of the same kind.
/// Every agent and every session has a random stream of its own, so more agents or attacks leave the rest
/// as it was. Memory: O(agents + open sessions + attacks not yet taken). O(log(agents + open sessions)) per event.
#[derive(Debug)]
pub struct Simulation {
    scenario: Scenario,
    types: Vec<&'static AgentType>,
    agents: Vec<(Agent, Arrivals)>,
    queue: BinaryHeap<Turn>,
    attacks: Vec<AttackSpan>,
}

impl Simulation {
    /// Sets the fleet up; cheap: about a microsecond per agent.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] with every setting that is out of its range.
    pub fn new(scenario: &Scenario) -> Result<Self, ScenarioError> {
        scenario.check()?;
        let types = agent_types(scenario.preset);
        let mut simulation = Self {
            scenario: scenario.clone(),
            agents: Vec::with_capacity(scenario.agents as usize),
            queue: BinaryHeap::with_capacity(scenario.agents as usize),
            types,
            attacks: Vec::new(),
        };
        for index in 0..scenario.agents {
            if let Some(agent) = Agent::new(scenario, &simulation.types, index) {
                let arrivals = Arrivals::new(scenario.seed, scenario.rate_law, &agent);
                simulation.agents.push((agent, arrivals));
                simulation.await_session(index, 0);
            }
        }
        Ok(simulation)
    }

    /// Takes the attacks that have ended since the last call, in the order of their ends.
    pub fn take_attacks(&mut self) -> Vec<AttackSpan> {
        std::mem::take(&mut self.attacks)
    }

    /// Queues the next session of an agent, number `session` of its life.
    fn await_session(&mut self, agent: u32, session: u32) {
        let end = self.scenario.end();
        if let Some((traits, arrivals)) = self.agents.get_mut(agent as usize)
            && let Some(arrival) = arrivals.next(traits, end)
        {
            self.queue.push(Turn { time: arrival.time, agent, session, what: What::Start(arrival) });
        }
    }

    fn start(&mut self, time: EventTime, agent: u32, session: u32, arrival: Arrival) {
        self.await_session(agent, session.saturating_add(1));
        if let Some((traits, _)) = self.agents.get(agent as usize)
            && let Some(open) =
                Session::start(&self.scenario, &self.types, traits, session, time, arrival.burst)
        {
            self.queue.push(Turn { time, agent, session, what: What::Call(Box::new(open)) });
        }
    }
}

impl Iterator for Simulation {
    type Item = SimulatedEvent;

    fn next(&mut self) -> Option<SimulatedEvent> {
        loop {
            let turn = self.queue.pop()?;
            let (time, agent, session) = (turn.time, turn.agent, turn.session);
            let mut open = match turn.what {
                What::Start(arrival) => {
                    self.start(time, agent, session, arrival);
                    continue;
                }
                What::Call(open) => open,
            };
            let Some((traits, _)) = self.agents.get(agent as usize) else { continue };
            let Some((simulated, pause)) = open.call(traits, time) else { continue };
            match pause.map(|ms| time.plus_ms(ms)).filter(|next| *next < self.scenario.end()) {
                Some(time) => self.queue.push(Turn { time, agent, session, what: What::Call(open) }),
                None => self.attacks.extend(open.into_attack()),
            }
            return Some(simulated);
        }
    }
}

/// Whose turn it is, when.
#[derive(Debug)]
struct Turn {
    time: EventTime,
    agent: u32,
    session: u32,
    what: What,
}

#[derive(Debug)]
enum What {
    /// The session starts.
    Start(Arrival),
    /// The open session makes its next call.
    Call(Box<Session>),
}

impl Turn {
    /// Time first; agent and session make the order of simultaneous turns the same on every run.
    fn key(&self) -> (EventTime, u32, u32) {
        (self.time, self.agent, self.session)
    }
}

impl Ord for Turn {
    /// Reversed, because the heap hands out its greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Turn {}
