//! Which values a session knows and from where: the provenance of every argument follows from it.
//!
//! Knows the user's request, fields and texts of results, and guesses of the model.
//! Must not know when calls are made nor how they end.

use rand::Rng;
use smallvec::SmallVec;

use super::agent::{Agent, Value};
use super::grammar::{Effect, Give, Place, Tier, Tool};
use super::kind::Kind;
use super::plan::{Planned, Values};
use super::stream::{Salt, mix};
use crate::event::{Argument, Origin, OriginForm, Text, ValueHash};
use crate::time::EventTime;

/// Probability that an argument that may be left out is.
const LEFT_OUT: f64 = 0.25;
/// Probability that a value in running text shares a word with the request.
const TEXT_ANCHORED: f64 = 0.55;
/// The same where the agent was asked to do what the text says.
const TRUSTED_TEXT_ANCHORED: f64 = 0.2;
/// The same for a value that stands alone in a structured result.
const FIELD_ANCHORED: f64 = 0.25;
/// The same for a value that the model made.
const MADE_ANCHORED: f64 = 0.5;
/// Probability that a call uses a value of a result where the agent could also think of one itself.
const TAKEN_UP: f64 = 0.6;
/// Probability that what a text mentions is there to be used later.
const MENTIONED: f64 = 0.85;
/// Probability that a tool hides what is usually a field in running text: results are not always tidy.
const UNTIDY: f64 = 0.1;
/// Probability that a decision follows the custom of the type.
const CUSTOM: f64 = 0.95;

/// A value and where it came from.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Known {
    kind: Kind,
    value: Value,
    origin: Origin,
    form: Option<OriginForm>,
    anchored: bool,
    /// The event whose result held it, for values from tools.
    event: Option<u64>,
}

/// What the injected instruction names: the attacker's own group of everything, and the event that brought it.
#[derive(Clone, Copy, Debug)]
pub struct Injected {
    /// His host, his domain, his bank.
    pub group: u32,
    /// The event whose result held the injection.
    pub event: Option<u64>,
}

/// What the event says about a call's arguments.
#[derive(Debug, Default)]
pub struct Said {
    /// The arguments.
    pub arguments: SmallVec<[Argument<'static>; 6]>,
    /// The resource.
    pub resource: Option<Text<'static>>,
    /// Decision key and decision.
    pub decision: Option<(Text<'static>, Text<'static>)>,
}

/// The values a session knows; at most one per kind.
#[derive(Debug)]
pub struct Memory {
    /// Key of all hashes of the fleet.
    seed: u64,
    trusting: bool,
    known: SmallVec<[Known; 6]>,
}

impl Memory {
    /// An empty memory. `trusting`: the agent was asked to do what a text says.
    pub fn new(seed: u64, trusting: bool) -> Self {
        Self { seed, trusting, known: SmallVec::new() }
    }

    /// Fills in the arguments of call number `made` of the session.
    pub fn say(
        &mut self,
        agent: &Agent,
        planned: &Planned,
        made: u64,
        injected: Option<Injected>,
        now: EventTime,
        rng: &mut impl Rng,
    ) -> Said {
        let tool = planned.tool;
        let mut said = Said::default();
        if let Place::System(name) = tool.place {
            said.resource = Some(name.into());
        }
        for (position, &(name, kind)) in tool.takes.iter().enumerate() {
            let placed = tool.place == Place::Of(kind);
            if position > 0 && !placed && planned.values != Values::Paging && rng.random_bool(LEFT_OUT) {
                continue;
            }
            let known = self.recall(agent, planned, kind, made, injected, now, rng);
            if placed && said.resource.is_none() {
                said.resource = kind.resource(known.value.group).map(Text::from);
            }
            if !tool.decides.is_empty() && kind == Kind::Choice {
                said.decision = decide(agent, tool, known.value, rng);
            }
            said.arguments.push(self.argument(agent.kind.tier, name, &known));
        }
        said
    }

    /// Takes in the result of a call.
    pub fn learn(&mut self, agent: &Agent, tool: &Tool, event: u64, now: EventTime, rng: &mut impl Rng) {
        for give in tool.gives {
            let (kind, form, offered) = match *give {
                Give::Field(kind) if rng.random_bool(UNTIDY) => (kind, OriginForm::FreeText, 1.0),
                Give::Field(kind) => (kind, OriginForm::Field, 1.0),
                Give::Text(kind) => (kind, OriginForm::FreeText, MENTIONED),
            };
            let asked = self.find(kind).is_some_and(|known| known.origin == Origin::User && kind.is_placed());
            // What the user named himself stays named by him.
            if asked || !rng.random_bool(offered) {
                continue;
            }
            let value = agent.usual(kind, now, rng);
            let anchored = rng.random_bool(self.anchoring(Some(form)));
            self.keep(Known {
                kind,
                value,
                origin: Origin::Tool,
                form: Some(form),
                anchored,
                event: Some(event),
            });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one private call; a struct would only rename the list")]
    fn recall(
        &mut self,
        agent: &Agent,
        planned: &Planned,
        kind: Kind,
        made: u64,
        injected: Option<Injected>,
        now: EventTime,
        rng: &mut impl Rng,
    ) -> Known {
        let traits = kind.traits();
        let before = self.find(kind);
        let fresh = planned.fresh == Some(kind);
        match planned.values {
            Values::Same => {
                if let Some(known) = before {
                    return known;
                }
            }
            Values::Paging if kind == Kind::Page => {
                let value = Value { group: 0, item: made as u32 };
                return self.keep(Known {
                    kind,
                    value,
                    origin: Origin::Model,
                    form: None,
                    anchored: false,
                    event: None,
                });
            }
            Values::Lifted if kind.is_placed() => {
                if let Some(injected) = injected {
                    // Not kept: the user's own work goes on with its own values.
                    return Known {
                        kind,
                        value: Value { group: injected.group, item: 0 },
                        origin: Origin::Tool,
                        form: Some(OriginForm::FreeText),
                        anchored: false,
                        event: injected.event,
                    };
                }
            }
            Values::Foreign if kind.is_placed() => {
                let value = if rng.random_bool(0.5) {
                    Agent::anywhere(kind, rng)
                } else {
                    Agent::unheard_of(kind, rng)
                };
                let made_up =
                    Known { kind, value, origin: Origin::Model, form: None, anchored: false, event: None };
                return before.map_or(made_up, |known| Known { value, ..known });
            }
            Values::Named if kind.is_placed() && planned.tool.effect == Effect::Commit => {
                let value = Agent::unheard_of(kind, rng);
                return self.keep(Known {
                    kind,
                    value,
                    origin: Origin::User,
                    form: None,
                    anchored: false,
                    event: None,
                });
            }
            Values::Common if kind.is_placed() && before.is_none() => {
                let value = agent.common(kind, rng);
                return self.keep(Known {
                    kind,
                    value,
                    origin: Origin::User,
                    form: None,
                    anchored: false,
                    event: None,
                });
            }
            _ => {}
        }
        if let Some(known) = before
            && !fresh
            && (traits.lasting || (known.origin == Origin::Tool && rng.random_bool(TAKEN_UP)))
        {
            return known;
        }
        let value = agent.usual(kind, now, rng);
        if let Some(known) = before
            && known.origin == Origin::Tool
            && fresh
        {
            // The next entry of the same list.
            let anchored = rng.random_bool(self.anchoring(known.form));
            return self.keep(Known { value, anchored, ..known });
        }
        // What an attack asks for, no user has named.
        let named = rng.random_bool(traits.named) && !planned.added;
        let origin = if named { Origin::User } else { Origin::Model };
        let anchored = rng.random_bool(MADE_ANCHORED);
        self.keep(Known { kind, value, origin, form: None, anchored, event: None })
    }

    fn find(&self, kind: Kind) -> Option<Known> {
        self.known.iter().find(|known| known.kind == kind).copied()
    }

    fn keep(&mut self, known: Known) -> Known {
        match self.known.iter_mut().find(|old| old.kind == known.kind) {
            Some(old) => *old = known,
            None => self.known.push(known),
        }
        known
    }

    fn anchoring(&self, form: Option<OriginForm>) -> f64 {
        match form {
            Some(OriginForm::FreeText) if self.trusting => TRUSTED_TEXT_ANCHORED,
            Some(OriginForm::FreeText) => TEXT_ANCHORED,
            Some(OriginForm::Field) => FIELD_ANCHORED,
            None => MADE_ANCHORED,
        }
    }

    fn argument(&self, tier: Tier, name: &'static str, known: &Known) -> Argument<'static> {
        let traits = known.kind.traits();
        let value = u64::from(known.value.group) << 32 | u64::from(known.value.item);
        let hash = mix(self.seed, Salt::Value, known.kind as u64, value);
        let (least, most) = traits.length;
        let full = tier == Tier::Full;
        Argument {
            name: name.into(),
            class: traits.class,
            hash: Some(ValueHash(hash >> 16)),
            // The length is a property of the value, so it comes from its hash.
            length: Some(least + (hash as u32 & 0xffff) % (most - least + 1)),
            origin: (tier != Tier::None).then_some(known.origin),
            origin_form: known.form.filter(|_| full),
            anchored: (full && known.origin != Origin::User).then_some(known.anchored),
            origin_event: known.event.filter(|_| full).map(|event| format!("{event:016x}").into()),
        }
    }
}

/// What the agent decides about a case: mostly the custom of its type for such a case.
fn decide(
    agent: &Agent,
    tool: &Tool,
    case: Value,
    rng: &mut impl Rng,
) -> Option<(Text<'static>, Text<'static>)> {
    let custom = mix(u64::from(agent.type_index), Salt::Custom, u64::from(case.item), 0) as usize;
    let choice =
        if rng.random_bool(CUSTOM) { custom } else { rng.random_range(0..tool.decides.len().max(1)) };
    let decision = tool.decides.get(choice % tool.decides.len().max(1))?;
    Some((format!("reason-{}", case.item).into(), Text::from(*decision)))
}
