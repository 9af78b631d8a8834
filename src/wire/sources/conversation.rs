//! A conversation as every transcript source delivers it.
//!
//! Knows turns, calls and answers. Must not know any outside format, nor what provenance is.

use super::node::Node;
use crate::time::EventTime;

/// One conversation between a principal, an agent and its tools, in the order it happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// Customer or organisation the agent belongs to.
    pub tenant: Option<String>,
    /// The agent.
    pub agent_id: String,
    /// The group of agents it belongs to.
    pub agent_type: Option<String>,
    /// The conversation's own id.
    pub session_id: Option<String>,
    /// When it began.
    pub started: Option<EventTime>,
    /// How long it took. Seconds; finite, ≥ 0.
    pub duration_seconds: f64,
    /// What was said and done, in order.
    pub turns: Vec<Turn>,
    /// Number of calls in `turns`; they are numbered from 0 in order of appearance.
    pub calls: usize,
    /// The line's other fields, for whoever wants to carry one through.
    pub extra: Vec<(String, Node)>,
}

/// One step of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// Instructions of whoever runs the agent.
    System(String),
    /// Words of the principal.
    User(String),
    /// The model calls tools; all calls of one message happen before any of their results.
    Calls(Vec<Call>),
    /// A tool answers.
    Answer(Answer),
}

/// One call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The tool's name, as the model wrote it.
    pub function: String,
    /// The arguments; a map unless the model wrote something else.
    pub arguments: Node,
    /// When it happened, where the transcript says so.
    pub time: Option<EventTime>,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Number of the call it answers; `None` when no call fits.
    pub call: Option<usize>,
    /// What the tool said.
    pub text: String,
    /// The error the transcript states beside the text.
    pub error: Option<String>,
    /// Whether the transcript flags the result as an error (`is_error`).
    pub failed: bool,
}
