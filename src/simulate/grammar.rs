//! The words in which agent types are described: tools, steps, tasks.
//!
//! Knows only the shape of a description, so that a preset reads like a job description.
//! Must not know how sessions are drawn from it.

use super::kind::Kind;

/// What a tool does to the world.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Effect {
    /// Looks something up.
    Read,
    /// Creates or changes something.
    Write,
    /// Sends, pays, grants or deletes: what an attacker is after.
    Commit,
}

/// What a tool acts on, as far as the audit event says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The event carries no resource.
    Nothing,
    /// Always this one system.
    System(&'static str),
    /// The resource of the argument of this kind.
    Of(Kind),
}

/// What a tool's result holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Give {
    /// A value that stands alone in a structured result.
    Field(Kind),
    /// A value inside running text: a mail, a page, a ticket.
    Text(Kind),
}

/// One tool: the name and shape of a call.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Name of the action in the audit event.
    pub name: &'static str,
    /// What it does.
    pub effect: Effect,
    /// What it acts on.
    pub place: Place,
    /// Arguments: name and kind of value. The second and later arguments may be left out of a call.
    pub takes: &'static [(&'static str, Kind)],
    /// What later calls can use of its result.
    pub gives: &'static [Give],
    /// Median size of the result. Bytes; > 0.
    pub bytes: f64,
    /// Probability of an error, before the agent's own factor. 0 to 1.
    pub error: f64,
    /// Probability of a refusal, before the agent's own factor. 0 to 1.
    pub denied: f64,
    /// Decisions the call can carry; empty for tools that decide nothing.
    pub decides: &'static [&'static str],
}

impl Tool {
    /// A tool that looks something up.
    pub const fn read(name: &'static str) -> Self {
        Self {
            name,
            effect: Effect::Read,
            place: Place::Nothing,
            takes: &[],
            gives: &[],
            bytes: 1_500.0,
            error: 0.02,
            denied: 0.004,
            decides: &[],
        }
    }

    /// A tool that creates or changes something.
    pub const fn write(name: &'static str) -> Self {
        Self { effect: Effect::Write, bytes: 220.0, denied: 0.008, ..Self::read(name) }
    }

    /// A tool that sends, pays, grants or deletes.
    pub const fn commit(name: &'static str) -> Self {
        Self { effect: Effect::Commit, bytes: 160.0, denied: 0.012, ..Self::read(name) }
    }

    /// The arguments.
    pub const fn takes(mut self, takes: &'static [(&'static str, Kind)]) -> Self {
        self.takes = takes;
        self
    }

    /// What the result holds.
    pub const fn gives(mut self, gives: &'static [Give]) -> Self {
        self.gives = gives;
        self
    }

    /// The resource is the one of the argument of this kind.
    pub const fn of(mut self, kind: Kind) -> Self {
        self.place = Place::Of(kind);
        self
    }

    /// The resource is always this system.
    pub const fn system(mut self, name: &'static str) -> Self {
        self.place = Place::System(name);
        self
    }

    /// Median size of the result. Bytes.
    pub const fn bytes(mut self, bytes: f64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Probability of an error and of a refusal.
    pub const fn fails(mut self, error: f64, denied: f64) -> Self {
        self.error = error;
        self.denied = denied;
        self
    }

    /// The decisions a call can carry.
    pub const fn decides(mut self, decides: &'static [&'static str]) -> Self {
        self.decides = decides;
        self
    }
}

/// One step of a task.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Call the tool once.
    Call(&'static Tool),
    /// Do the steps with this probability.
    Maybe(f64, &'static [Step]),
    /// Do the steps once or more; mean number of times, geometric.
    Some(f64, &'static [Step]),
    /// Do the steps for each of the values known of a kind; median number, heavy-tailed (log-normal, sd 1).
    Each(Kind, f64, &'static [Step]),
    /// Do exactly one of the alternatives, drawn by weight.
    OneOf(&'static [(f64, &'static [Step])]),
}

/// One thing users ask an agent type to do.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Name, as the truth states it.
    pub name: &'static str,
    /// How common it is in the type. > 0.
    pub weight: f64,
    /// Whether the agent is asked to do what a text says, so that unanchored values are its daily bread.
    pub trusting: bool,
    /// Whether the task exists only after the type's release.
    pub released: bool,
    /// The calls.
    pub steps: &'static [Step],
}

impl Task {
    /// A task of the type's first day.
    pub const fn new(name: &'static str, weight: f64, steps: &'static [Step]) -> Self {
        Self { name, weight, trusting: false, released: false, steps }
    }

    /// The user asks the agent to do what a text says.
    pub const fn trusting(mut self) -> Self {
        self.trusting = true;
        self
    }

    /// The task comes with the type's release.
    pub const fn released(mut self) -> Self {
        self.released = true;
        self
    }
}

/// How much of the provenance the sensor of an agent type reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tier {
    /// Origin, form and anchoring.
    Full,
    /// Origin alone.
    Origin,
    /// Nothing.
    None,
}

/// When the agents of a type work, in their own time zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hours {
    /// Working days, 8 to 18.
    Office,
    /// Extended days, weekends too.
    Service,
    /// Mostly at night, in maintenance windows.
    Night,
    /// Around the clock.
    Always,
}

/// An agent type: a group of agents that share their tasks.
#[derive(Clone, Copy, Debug)]
pub struct AgentType {
    /// Name in the audit event.
    pub name: &'static str,
    /// When its agents work.
    pub hours: Hours,
    /// Sessions per day, relative to the scenario's figure. > 0.
    pub pace: f64,
    /// Median pause between two calls. Seconds; > 0.
    pub pause_secs: f64,
    /// Whether its events carry session ids.
    pub sessions: bool,
    /// What its events say about the origin of values.
    pub tier: Tier,
    /// What it does.
    pub tasks: &'static [Task],
    /// Its tools of the first day; the one that its release brings stands only in the released task.
    pub tools: &'static [&'static Tool],
}
