//! Annotates conversations: content in, audit events without content out, with the origin of every
//! argument.
//!
//! Knows one conversation at a time and nothing of the one before. Must not write any text of a
//! conversation into an event, except what `docs/annotate.md` names: ids, tool and parameter names, and
//! the place part of a link, path, repository or address.

pub mod keyed_hash;
pub mod resource;

mod block;
mod class;
mod literal;
mod names;
mod provenance;
mod refused;
mod structure;
mod text_index;
mod value;

use smallvec::SmallVec;

use self::keyed_hash::HashKey;
use self::provenance::Sources;
use self::resource::ResourceForm;
use crate::event::{Argument, AuditEvent, Outcome};
use crate::time::EventTime;
use crate::wire::sources::conversation::{Answer, Call, Conversation, Turn};

pub use self::class::class;
pub use self::refused::Refused;
pub use self::value::normalise;

#[cfg(test)]
mod tests;

/// Turns conversations into audit events. Holds the key, no state between conversations.
#[derive(Clone, Debug)]
pub struct Annotator {
    key: HashKey,
    resources: ResourceForm,
}

impl Annotator {
    /// An annotator that hashes with `key` and writes resources in the given form.
    pub fn new(key: HashKey, resources: ResourceForm) -> Self {
        Self { key, resources }
    }

    /// The audit events of one conversation, one per tool call, in order.
    ///
    /// Needs memory for an index of the conversation's texts, about ten times their size. Time: roughly
    /// linear in the texts, logarithmic per argument and answer.
    pub fn events(&self, conversation: &Conversation) -> Vec<AuditEvent<'static>> {
        let session = match &conversation.session_id {
            Some(session) => session.clone(),
            None => self.made_session(conversation),
        };
        let mut events: Vec<AuditEvent<'static>> = Vec::with_capacity(conversation.calls);
        let mut sources = Sources::default();
        for turn in &conversation.turns {
            match turn {
                Turn::System(text) => sources.add_system(text),
                Turn::User(text) => sources.add_request(text),
                Turn::Answer(answer) => sources.add_answer(answer.call, &answer.text),
                Turn::Calls(calls) => {
                    for call in calls {
                        let event = self.event(conversation, &session, events.len(), call, &mut sources);
                        events.push(event);
                    }
                }
            }
        }
        for turn in &conversation.turns {
            if let Turn::Answer(answer) = turn
                && let Some(event) = answer.call.and_then(|call| events.get_mut(call))
            {
                event.outcome = outcome(answer);
                event.bytes = Some(answer.text.len() as u64);
            }
        }
        events
    }

    fn event(
        &self,
        conversation: &Conversation,
        session: &str,
        number: usize,
        call: &Call,
        sources: &mut Sources,
    ) -> AuditEvent<'static> {
        let mut arguments = SmallVec::new();
        let mut resource = None;
        for leaf in names::flatten(&call.arguments) {
            let class = class::class(&leaf.name, leaf.value);
            if resource.is_none() {
                resource = resource::resource(class, leaf.value, self.resources, &self.key);
            }
            let normal = value::normalise(leaf.value);
            let provenance = sources.judge(leaf.value, class, number);
            arguments.push(Argument {
                name: leaf.name.into(),
                class,
                hash: Some(self.key.value(&normal)),
                length: u32::try_from(normal.chars().count()).ok(),
                origin: Some(provenance.origin),
                origin_form: provenance.form,
                anchored: provenance.anchored,
                origin_event: provenance.call.map(|call| self.event_id(session, call).into()),
            });
        }
        AuditEvent {
            time: time_of(conversation, number, call),
            event_id: Some(self.event_id(session, number).into()),
            tenant: conversation.tenant.clone().map(Into::into),
            agent_id: conversation.agent_id.clone().into(),
            agent_type: conversation.agent_type.clone().map(Into::into),
            agent_version: None,
            instance_id: None,
            session_id: Some(session.to_owned().into()),
            seq: Some(number as u64),
            action: names::action(&call.function).to_owned().into(),
            resource: resource.map(Into::into),
            outcome: Outcome::Unknown,
            bytes: None,
            count: None,
            source_ip: None,
            location: None,
            user_agent: None,
            credential_id: None,
            credential_type: None,
            credential_issued_at: None,
            on_behalf_of: None,
            delegated_by: None,
            decision: None,
            decision_key: None,
            attestation: None,
            arguments,
        }
    }

    /// Id of a call's event: the same conversation annotated twice gives the same ids.
    fn event_id(&self, session: &str, number: usize) -> String {
        self.key.id(&[b"event", session.as_bytes(), number.to_string().as_bytes()])
    }

    /// A session id for a conversation without one, from what it is about and when it began.
    fn made_session(&self, conversation: &Conversation) -> String {
        let started = conversation.started.map_or(0, |time| time.0).to_string();
        let mut parts: Vec<&[u8]> = vec![b"session", conversation.agent_id.as_bytes(), started.as_bytes()];
        parts.extend(conversation.turns.iter().filter_map(|turn| match turn {
            Turn::User(text) => Some(text.as_bytes()),
            _ => None,
        }));
        self.key.id(&parts)
    }
}

/// When a call happened: its own time, or its place on the straight line from start to end.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a transcript has few calls, and a duration of at most 1e9 s is checked when it is read"
)]
fn time_of(conversation: &Conversation, number: usize, call: &Call) -> EventTime {
    call.time.unwrap_or_else(|| {
        let share = number as f64 / conversation.calls.max(1) as f64;
        let passed = (conversation.duration_seconds * 1000.0 * share) as i64;
        conversation.started.unwrap_or_default().plus_ms(passed)
    })
}

/// How a call ended, from what the transcript says beside the answer, else from how the answer begins.
fn outcome(answer: &Answer) -> Outcome {
    const REFUSED: [&str; 8] = [
        "not allowed",
        "permission denied",
        "access denied",
        "forbidden",
        "unauthorized",
        "unauthorised",
        "not authorized",
        "refused",
    ];
    const FAILED: [&str; 5] =
        ["traceback (most recent call last)", "failed", "failure", "invalid tool", "{\"error\""];
    let denied = |text: &str| {
        let text = normalise(text.get(..text.floor_char_boundary(400)).unwrap_or(""));
        REFUSED.iter().any(|mark| text.contains(mark))
    };
    if let Some(error) = &answer.error {
        return if denied(error) { Outcome::Denied } else { Outcome::Error };
    }
    let start = answer.text.trim_start_matches(['<', ' ', '\n', '[']);
    let start = normalise(start.get(..start.floor_char_boundary(160)).unwrap_or(""));
    let first = start.split([' ', ':', ',', '.']).next().unwrap_or("");
    let named = first.len() <= 40 && (first.ends_with("error") || first.ends_with("exception"));
    if answer.failed || named || FAILED.iter().any(|mark| start.starts_with(mark)) {
        return if denied(&answer.text) { Outcome::Denied } else { Outcome::Error };
    }
    if REFUSED.iter().any(|mark| start.starts_with(mark)) { Outcome::Denied } else { Outcome::Ok }
}
