//! One open session: makes its calls one after the other and remembers which values it knows from where.
//!
//! Knows times, outcomes, values and their provenance. Must not know the rest of the fleet.

use std::borrow::Cow;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Pareto};

use super::agent::{Agent, log_normal};
use super::grammar::{AgentType, Tool};
use super::kind::{Kind, name};
use super::memory::{Injected, Memory};
use super::plan::{BURST, Plan, Planned, Values};
use super::scenario::Scenario;
use super::stream::{Purpose, Salt, mix, stream, unit};
use super::{AttackSpan, Label, SimulatedEvent, Truth, attack};
use crate::event::{AuditEvent, Outcome, Text};
use crate::time::EventTime;

/// Probability that a failed call is made again.
const RETRY: f64 = 0.6;
/// Probability that the outcome of a call is not known.
const UNKNOWN_OUTCOME: f64 = 0.005;
/// Probability that a result is far larger than usual.
const HUGE_RESULT: f64 = 0.01;
/// Probability that the agent waits for a person between two calls.
const WAITS: f64 = 0.03;
/// Median pause between two hasty calls. Seconds.
const HASTY_SECS: f64 = 0.4;

/// What an attacked session carries besides.
#[derive(Debug)]
struct Hijack {
    rng: ChaCha8Rng,
    span: AttackSpan,
    injected: Injected,
}

/// An open session.
#[derive(Debug)]
pub struct Session {
    rng: ChaCha8Rng,
    id: u64,
    plan: Plan,
    memory: Memory,
    hijack: Option<Box<Hijack>>,
    /// Calls made so far.
    made: u64,
    last_event: Option<u64>,
    agent_id: String,
    session_id: String,
    source_ip: String,
    credential_id: String,
    on_behalf_of: String,
}

impl Session {
    /// Starts session `number` of `agent` at `now`; `burst` marks it as part of a burst of legitimate work.
    /// `None` only when the agent's type has no task.
    pub fn start(
        scenario: &Scenario,
        fleet: &[&'static AgentType],
        agent: &Agent,
        number: u32,
        now: EventTime,
        burst: bool,
    ) -> Option<Self> {
        let mut rng = stream(scenario.seed, Purpose::Session, agent.index, number);
        let mut plan = Plan::draw(agent, now, &mut rng)?;
        if burst {
            plan.task = BURST;
            plan.look_alike = true;
        }
        let id = mix(scenario.seed, Salt::Session, u64::from(agent.index), u64::from(number));
        let person =
            mix(scenario.seed, Salt::Person, u64::from(agent.index), rng.random_range(0..8)) as u32 % 4_096;
        let agent_id = format!("{}-{:04}", agent.kind.name, agent.index);
        let session_id = format!("{:012x}", id >> 16);
        let mut session = Self {
            hijack: None,
            rng,
            id,
            memory: Memory::new(scenario.seed, plan.trusting),
            made: 0,
            last_event: None,
            source_ip: format!(
                "10.{}.{}.{}",
                16 + agent.type_index % 200,
                agent.index / 250 % 250,
                agent.index % 250
            ),
            credential_id: format!(
                "credential-{:06x}",
                mix(scenario.seed, Salt::Credential, u64::from(agent.index), 0) >> 40
            ),
            on_behalf_of: format!("{}.{}", name(person), person / 64),
            agent_id,
            session_id,
            plan,
        };
        if !session.plan.look_alike {
            session.attack(scenario, fleet, agent, number, now);
        }
        // Calls are taken from the end.
        session.plan.calls.reverse();
        Some(session)
    }

    fn attack(
        &mut self,
        scenario: &Scenario,
        fleet: &[&'static AgentType],
        agent: &Agent,
        number: u32,
        now: EventTime,
    ) {
        let dice = unit(mix(scenario.seed, Salt::Dice, u64::from(agent.index), u64::from(number)));
        if now < scenario.start.plus_ms(scenario.quiet_ms) || dice >= scenario.attack_share {
            return;
        }
        let mut rng = stream(scenario.seed, Purpose::Attack, agent.index, number);
        let chosen = rng.random_range(0..scenario.attacks.len().max(1));
        let Some(&attack) = scenario.attacks.get(chosen) else { return };
        let group = Agent::unheard_of(Kind::Url, &mut rng).group;
        let calls = std::mem::take(&mut self.plan.calls);
        self.plan.calls = attack::weave(attack, scenario.strength, agent.kind, fleet, calls, &mut rng);
        let span = AttackSpan {
            agent_id: self.agent_id.clone(),
            session_id: agent.kind.sessions.then(|| self.session_id.clone()),
            scenario: attack,
            started: now,
            ended: now,
            calls: 0,
            first_exposed_call: None,
            exposed_at: None,
        };
        self.hijack = Some(Box::new(Hijack { rng, span, injected: Injected { group, event: None } }));
    }

    /// Makes the next call at `now`. Returns its event and the pause before the one after it, in milliseconds;
    /// `None` where there is none. `None` altogether when no call is left.
    pub fn call(&mut self, agent: &Agent, now: EventTime) -> Option<(SimulatedEvent, Option<i64>)> {
        let planned = self.plan.calls.pop()?;
        let event_id = mix(self.id, Salt::Event, self.made, 0);
        self.note_exposure(&planned, now);

        // What the attack added is drawn from the attack's stream, so that the rest stays what it would have been.
        let injected = self.hijack.as_ref().map(|hijack| hijack.injected);
        let rng = match &mut self.hijack {
            Some(hijack) if planned.added => &mut hijack.rng,
            _ => &mut self.rng,
        };
        let said = self.memory.say(agent, &planned, self.made, injected, now, rng);
        let outcome = outcome(planned.tool, planned.refused, agent.clumsiness, rng);
        let bytes = bytes(planned.tool, outcome, rng);
        match outcome {
            // An agent caught in a loop takes no notice of what it gets.
            Outcome::Ok if planned.added && planned.values == Values::Same => {}
            Outcome::Ok => self.memory.learn(agent, planned.tool, event_id, now, rng),
            Outcome::Error if !planned.added && rng.random_bool(RETRY) => {
                self.plan.calls.push(Planned { values: Values::Same, fresh: None, ..planned });
            }
            _ => {}
        }
        let (decision_key, decision) = said.decision.unzip();
        let sessions = agent.kind.sessions;
        let event = AuditEvent {
            time: now,
            event_id: Some(format!("{event_id:016x}").into()),
            tenant: Some(Text(Cow::Borrowed("example"))),
            agent_id: self.agent_id.clone().into(),
            agent_type: Some(agent.kind.name.into()),
            agent_version: Some(if now < agent.upgraded { "1.4" } else { "1.5" }.into()),
            instance_id: None,
            session_id: sessions.then(|| self.session_id.clone().into()),
            seq: sessions.then_some(self.made),
            action: planned.tool.name.into(),
            resource: said.resource,
            outcome,
            bytes: Some(bytes),
            count: None,
            source_ip: Some(self.source_ip.clone().into()),
            location: Some(agent.site.into()),
            user_agent: None,
            credential_id: Some(self.credential_id.clone().into()),
            credential_type: None,
            credential_issued_at: None,
            on_behalf_of: Some(self.on_behalf_of.clone().into()),
            delegated_by: None,
            decision,
            decision_key,
            attestation: None,
            arguments: said.arguments,
        };
        let truth = Truth {
            label: if self.hijack.is_some() { Label::Attack } else { Label::Normal },
            exposed: planned.exposed,
            task: self.plan.task,
            injection: self.hijack.as_ref().map(|hijack| hijack.span.scenario),
        };
        self.made += 1;
        self.last_event = Some(event_id);
        let pause = self.pause_ms(agent);
        Some((SimulatedEvent { event, truth }, pause))
    }

    /// What the truth says of the attack; `None` for a normal session or one that made no call.
    pub fn into_attack(self) -> Option<AttackSpan> {
        self.hijack.map(|hijack| hijack.span).filter(|span| span.calls > 0)
    }

    /// Pause before the next call. Milliseconds, ≥ 1; `None` when no call is left.
    fn pause_ms(&mut self, agent: &Agent) -> Option<i64> {
        let next = self.plan.calls.last()?;
        let rng = match &mut self.hijack {
            Some(hijack) if next.added => &mut hijack.rng,
            _ => &mut self.rng,
        };
        let median = if next.hasty { HASTY_SECS } else { agent.kind.pause_secs };
        let mut secs = log_normal(rng, median, 0.8);
        if !next.hasty && rng.random_bool(WAITS) {
            secs += rng.random_range(30.0..480.0);
        }
        Some((secs * 1e3).clamp(1.0, 900_000.0) as i64)
    }

    fn note_exposure(&mut self, planned: &Planned, now: EventTime) {
        let Some(hijack) = &mut self.hijack else { return };
        hijack.span.calls += 1;
        hijack.span.ended = now;
        if planned.exposed && hijack.span.first_exposed_call.is_none() {
            hijack.span.first_exposed_call = Some(self.made);
            hijack.span.exposed_at = Some(now);
            hijack.injected.event = self.last_event;
        }
    }
}

fn outcome(tool: &Tool, refused: bool, clumsiness: f64, rng: &mut impl Rng) -> Outcome {
    let dice: f64 = rng.random();
    let denied = (tool.denied * clumsiness).min(0.95);
    let error = (tool.error * clumsiness).min(0.5);
    if refused || dice < denied {
        Outcome::Denied
    } else if dice < denied + error {
        Outcome::Error
    } else if dice > 1.0 - UNKNOWN_OUTCOME {
        Outcome::Unknown
    } else {
        Outcome::Ok
    }
}

/// Size of the result: log-normal with a Pareto tail; a refusal or an error is a short message.
fn bytes(tool: &Tool, outcome: Outcome, rng: &mut impl Rng) -> u64 {
    let plain = match outcome {
        Outcome::Ok | Outcome::Unknown => log_normal(rng, tool.bytes, 0.9),
        Outcome::Denied | Outcome::Error => log_normal(rng, 90.0, 0.3),
    };
    let tail = match Pareto::new(1.0, 1.3) {
        Ok(law) if rng.random_bool(HUGE_RESULT) => law.sample(rng),
        _ => 1.0,
    };
    (plain * tail).clamp(0.0, 1e11) as u64
}
