//! Chat transcripts: a whole conversation with its content, one per line.
//!
//! Knows two forms, OpenAI-style chat messages and AgentDojo logs, and brings both into one
//! [`Conversation`]. Must not know what provenance is, and must never put content into an error.

use super::conversation::{Answer, Call, Conversation, Turn};
use super::node::Node;
use crate::time::EventTime;
use crate::wire::dead_letter::{Reason, Refusal};
use crate::wire::input::LINE_LIMIT_BYTES;

/// Most calls of one conversation that are read; more is refused, so that memory stays bounded.
pub const MAX_CALLS: usize = 20_000;
/// Longest id that is accepted. Bytes.
pub const MAX_ID_BYTES: usize = 256;

/// Why a line is no usable conversation. Never holds a part of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranscriptError {
    /// The line is not UTF-8.
    #[error("not UTF-8: write one conversation per line, encoded as UTF-8")]
    NotUtf8,
    /// The line is not JSON, or nested deeper than 128.
    #[error("not JSON: write one conversation per line, as one JSON object")]
    NotJson,
    /// A required field is missing or empty.
    #[error("{0} is missing: every conversation needs it")]
    Missing(&'static str),
    /// A field has the wrong type or an impossible value.
    #[error("{0} has the wrong type or an impossible value: see docs/annotate.md for its form")]
    Wrong(&'static str),
    /// More than [`MAX_CALLS`] calls, or an id over [`MAX_ID_BYTES`].
    #[error("{0} is too long: split the conversation or shorten the id")]
    TooLong(&'static str),
    /// There is nothing to take the calls' times from.
    #[error(
        "started is missing, and neither the conversation nor its messages carry a time: add started, or give one to all such conversations with --assume-started"
    )]
    NoTime,
}

impl TranscriptError {
    /// A short constant name, for counting.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::Missing(_) | Self::NoTime => "missing_field",
            Self::Wrong(_) => "wrong_type",
            Self::TooLong(_) => "too_long",
        }
    }
}

impl From<TranscriptError> for Refusal {
    fn from(error: TranscriptError) -> Self {
        let reason = match error {
            TranscriptError::NotUtf8 => Reason::NotUtf8,
            TranscriptError::NotJson => Reason::NotJson,
            TranscriptError::Missing(_) | TranscriptError::NoTime => Reason::MissingField,
            TranscriptError::Wrong(_) => Reason::WrongType,
            TranscriptError::TooLong(_) => Reason::TooLong,
        };
        Self::new(reason, error.to_string())
    }
}

/// The refusal of a conversation of `length` bytes.
pub fn too_long(length: u64) -> Refusal {
    let detail = format!("the conversation has {length} bytes, the limit is {LINE_LIMIT_BYTES}; split it");
    Refusal::new(Reason::TooLong, detail)
}

/// Reads one line. `assume_started` is when a conversation began that does not say so.
///
/// Results are matched to calls by id; without one (or with an unknown one) by order: the first
/// unanswered call before it of the same function, else the first unanswered call before it, else the
/// next call after it (pipelines that run code log results first).
///
/// # Errors
///
/// [`TranscriptError`] says what is missing or wrong, without content.
pub fn parse(line: &[u8], assume_started: Option<EventTime>) -> Result<Conversation, TranscriptError> {
    let line = std::str::from_utf8(line).map_err(|_| TranscriptError::NotUtf8)?;
    let root = Node::from_json(line).ok_or(TranscriptError::NotJson)?;
    let Node::Map(fields) = root else { return Err(TranscriptError::NotJson) };
    let mut conversation = Conversation {
        tenant: None,
        agent_id: String::new(),
        agent_type: None,
        session_id: None,
        started: None,
        duration_seconds: 0.0,
        turns: Vec::new(),
        calls: 0,
        extra: Vec::new(),
    };
    let mut messages = None;
    let mut time = None;
    for (name, value) in fields {
        match name.as_str() {
            "tenant" => conversation.tenant = id("tenant", &value)?,
            "agent_id" => conversation.agent_id = id("agent_id", &value)?.unwrap_or_default(),
            "agent_type" => conversation.agent_type = id("agent_type", &value)?,
            "session_id" => conversation.session_id = id("session_id", &value)?,
            "started" => conversation.started = instant("started", &value)?,
            "time" => time = instant("time", &value)?,
            "duration_seconds" => conversation.duration_seconds = duration(&value)?,
            "messages" => messages = Some(value),
            _ => conversation.extra.push((name, value)),
        }
    }
    if conversation.agent_id.is_empty() {
        return Err(TranscriptError::Missing("agent_id"));
    }
    conversation.started = conversation.started.or(time);
    let Some(Node::List(messages)) = messages else {
        return Err(TranscriptError::Missing("messages"));
    };
    Timeline::default().read(messages, conversation, assume_started)
}

/// Where a conversation is being read: which calls and answers were seen, and which belong together.
#[derive(Default)]
struct Timeline {
    /// Per call: its id, its function, the turn it stands in.
    calls: Vec<(Option<String>, String, usize)>,
    /// Per answer: its id, its function where stated, the turn it stands in.
    answers: Vec<(Option<String>, Option<String>, usize)>,
    /// Time of the last message that had one.
    first_time: Option<EventTime>,
}

impl Timeline {
    fn read(
        mut self,
        messages: Vec<Node>,
        mut conversation: Conversation,
        assume_started: Option<EventTime>,
    ) -> Result<Conversation, TranscriptError> {
        for message in messages {
            let role = message.field("role").and_then(Node::as_text).ok_or(TranscriptError::Wrong("role"))?;
            let time = ["time", "timestamp", "created_at"]
                .iter()
                .find_map(|name| message.field(name))
                .map_or(Ok(None), |value| instant("the time of a message", value))?;
            self.first_time = self.first_time.or(time);
            let text = content(&message);
            match role {
                "system" | "developer" => conversation.turns.push(Turn::System(text)),
                "user" if !self.is_of_the_runtime(&message, &text) => {
                    conversation.turns.push(Turn::User(text))
                }
                "user" => {}
                "assistant" => self.read_calls(&message, time, &mut conversation.turns)?,
                "tool" | "function" => self.read_answer(&message, text, &mut conversation.turns),
                _ => return Err(TranscriptError::Wrong("role")),
            }
        }
        self.match_answers(&mut conversation.turns);
        conversation.calls = self.calls.len();
        let untimed = conversation.turns.iter().any(|turn| match turn {
            Turn::Calls(calls) => calls.iter().any(|call| call.time.is_none()),
            _ => false,
        });
        conversation.started = conversation.started.or(self.first_time).or(assume_started);
        if untimed && conversation.started.is_none() {
            return Err(TranscriptError::NoTime);
        }
        Ok(conversation)
    }

    /// Some runtimes report refused calls and failed code in messages of the role `user`. Those are not
    /// the principal's words: they repeat what the model wrote, and would make its values look requested.
    fn is_of_the_runtime(&self, message: &Node, text: &str) -> bool {
        if message.field("error").is_some_and(|error| *error != Node::Null) {
            return true;
        }
        /// Reports begin with what went wrong. Bytes.
        const HEAD: usize = 4096;
        let head = text.get(..text.floor_char_boundary(HEAD)).unwrap_or("");
        let reports =
            ["[CALL ERROR]", "Traceback (most recent call last)", "<function_error>", "</function_error>"];
        if reports.iter().any(|mark| head.contains(mark)) {
            return true;
        }
        ["rror", "xception", "refused", "denied"].iter().any(|mark| head.contains(mark))
            && self.calls.iter().any(|(id, function, _)| {
                id.as_ref().is_some_and(|id| id.len() >= 6 && head.contains(id.as_str()))
                    || (function.contains('_') && head.contains(function.as_str()))
            })
    }

    fn read_calls(
        &mut self,
        message: &Node,
        time: Option<EventTime>,
        turns: &mut Vec<Turn>,
    ) -> Result<(), TranscriptError> {
        let mut calls = Vec::new();
        let legacy = message.field("function_call").filter(|call| **call != Node::Null);
        for call in message.field("tool_calls").map_or(&[][..], Node::elements).iter().chain(legacy) {
            let (function, arguments) = match call.field("function") {
                Some(Node::Text(function)) => (Some(function.as_str()), call.field("args")),
                Some(inner) => (inner.field("name").and_then(Node::as_text), inner.field("arguments")),
                None => (call.field("name").and_then(Node::as_text), call.field("arguments")),
            };
            let function = function.ok_or(TranscriptError::Wrong("the function of a tool call"))?.to_owned();
            let arguments = match arguments {
                // A string of JSON, as OpenAI's API has it; what does not parse stays one value.
                Some(Node::Text(text)) => Node::from_json(text)
                    .filter(|node| matches!(node, Node::Map(_)))
                    .unwrap_or_else(|| Node::Text(text.clone())),
                Some(node) => node.clone(),
                None => Node::Null,
            };
            let id = call.field("id").and_then(Node::scalar).map(str::to_owned);
            if self.calls.len() >= MAX_CALLS {
                return Err(TranscriptError::TooLong("the list of tool calls"));
            }
            self.calls.push((id, function.clone(), turns.len()));
            calls.push(Call { function, arguments, time });
        }
        if !calls.is_empty() {
            turns.push(Turn::Calls(calls));
        }
        Ok(())
    }

    fn read_answer(&mut self, message: &Node, text: String, turns: &mut Vec<Turn>) {
        let call = message.field("tool_call");
        let id = message
            .field("tool_call_id")
            .and_then(Node::scalar)
            .or_else(|| call.and_then(|call| call.field("id")).and_then(Node::scalar))
            .map(str::to_owned);
        let function = call
            .and_then(|call| call.field("function"))
            .or_else(|| message.field("name"))
            .and_then(|name| name.as_text().or_else(|| name.field("name").and_then(Node::as_text)))
            .map(str::to_owned);
        let error =
            message.field("error").and_then(Node::scalar).filter(|text| !text.is_empty()).map(str::to_owned);
        let failed = matches!(message.field("is_error"), Some(Node::Bool(true)));
        self.answers.push((id, function, turns.len()));
        turns.push(Turn::Answer(Answer { call: None, text, error, failed }));
    }

    /// Finds for each answer the call it belongs to, ids first, so that an answer without an id
    /// cannot take the place of one with.
    fn match_answers(&mut self, turns: &mut [Turn]) {
        let mut by_id = std::collections::HashMap::<&str, Vec<usize>>::new();
        for (number, (id, ..)) in self.calls.iter().enumerate().rev() {
            if let Some(id) = id {
                by_id.entry(id).or_default().push(number); // popped in order of the calls
            }
        }
        let mut found: Vec<Option<usize>> = self
            .answers
            .iter()
            .map(|(id, ..)| id.as_deref().and_then(|id| by_id.get_mut(id)).and_then(Vec::pop))
            .collect();
        let mut open: std::collections::VecDeque<usize> = {
            let taken: std::collections::HashSet<usize> = found.iter().flatten().copied().collect();
            (0..self.calls.len()).filter(|number| !taken.contains(number)).collect()
        };
        /// How many unanswered calls an answer without an id is compared with.
        const LOOK_AHEAD: usize = 64;
        for ((_, function, turn), found) in self.answers.iter().zip(&mut found) {
            if found.is_some() {
                continue;
            }
            let before = |number: &usize| self.calls.get(*number).is_some_and(|call| call.2 < *turn);
            let same = |number: &usize| {
                function
                    .as_ref()
                    .is_none_or(|function| self.calls.get(*number).is_some_and(|call| call.1 == *function))
            };
            let near = || open.iter().take(LOOK_AHEAD);
            let place = near()
                .position(|n| before(n) && same(n))
                .or_else(|| near().position(|n| before(n) && function.is_none()))
                .or_else(|| near().position(same));
            *found = place.and_then(|place| open.remove(place));
        }
        for ((_, _, turn), call) in self.answers.iter().zip(found) {
            if let Some(Turn::Answer(answer)) = turns.get_mut(*turn) {
                answer.call = call;
            }
        }
    }
}

/// The text of a message: a string, or the text parts of a list, whatever their text is called.
fn content(message: &Node) -> String {
    match message.field("content") {
        Some(Node::Text(text)) => text.clone(),
        Some(Node::List(parts)) => {
            let mut text = String::new();
            for part in parts {
                let part = part.as_text().or_else(|| {
                    ["text", "content"].iter().find_map(|name| part.field(name).and_then(Node::as_text))
                });
                if let Some(part) = part {
                    if !text.is_empty() {
                        text.push('\n');
                    }
                    text.push_str(part);
                }
            }
            text
        }
        _ => String::new(),
    }
}

fn id(name: &'static str, value: &Node) -> Result<Option<String>, TranscriptError> {
    match value {
        Node::Null => Ok(None),
        Node::Text(text) | Node::Number(text) if text.len() <= MAX_ID_BYTES => {
            Ok(Some(text.clone()).filter(|text| !text.is_empty()))
        }
        Node::Text(_) | Node::Number(_) => Err(TranscriptError::TooLong(name)),
        _ => Err(TranscriptError::Wrong(name)),
    }
}

fn duration(value: &Node) -> Result<f64, TranscriptError> {
    match value {
        Node::Null => Ok(0.0),
        Node::Number(text) => text
            .parse()
            .ok()
            .filter(|seconds: &f64| seconds.is_finite() && (0.0..=1e9).contains(seconds))
            .ok_or(TranscriptError::Wrong("duration_seconds")),
        _ => Err(TranscriptError::Wrong("duration_seconds")),
    }
}

/// An instant: RFC 3339, `YYYY-MM-DD hh:mm:ss` without zone (taken as UTC), or seconds since 1970.
fn instant(name: &'static str, value: &Node) -> Result<Option<EventTime>, TranscriptError> {
    let time = match value {
        Node::Null => return Ok(None),
        Node::Text(text) => {
            let text = text.trim().replacen(' ', "T", 1);
            EventTime::parse(&text).or_else(|| EventTime::parse(&format!("{text}Z")))
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float cast saturates, and the range is checked below"
        )]
        Node::Number(text) => text.parse::<f64>().ok().map(|seconds| EventTime((seconds * 1000.0) as i64)),
        _ => None,
    };
    time.filter(|time| time.is_plausible()).map(Some).ok_or(TranscriptError::Wrong(name))
}
