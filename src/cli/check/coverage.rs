//! Which fields events carry, and what each detector has to do without.
//!
//! Knows what every detector needs. Must not know where events come from.

use indicatif::HumanCount;

use crate::detect::lexicon::Verb;
use crate::detect::{Call, Tier};

/// How many events carry what.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Coverage {
    events: u64,
    agent_type: u64,
    session_id: u64,
    outcome: u64,
    resource: u64,
    known_verb: u64,
    event_id: u64,
    with_arguments: u64,
    full: u64,
    origin: u64,
    destinations: u64,
    hashed_destinations: u64,
}

impl Coverage {
    /// Counts one event.
    pub fn add(&mut self, call: &Call<'_, '_>) {
        let event = call.event;
        let destinations = || call.arguments.iter().filter(|argument| argument.is_destination);
        for (count, is_there) in [
            (&mut self.events, true),
            (&mut self.agent_type, event.agent_type.is_some()),
            (&mut self.session_id, event.session_id.is_some()),
            (&mut self.outcome, !event.outcome.is_unknown()),
            (&mut self.resource, event.resource.is_some()),
            (&mut self.known_verb, call.verb != Verb::Other),
            (&mut self.event_id, event.event_id.is_some()),
            (&mut self.with_arguments, call.tier != Tier::NoArguments),
            (&mut self.full, call.tier == Tier::Full),
            (&mut self.origin, call.tier == Tier::Origin),
            (&mut self.destinations, destinations().next().is_some()),
            (&mut self.hashed_destinations, destinations().any(|argument| argument.value.is_some())),
        ] {
            *count += u64::from(is_there);
        }
    }

    /// What was counted, and what follows, one line for each thing a detector needs.
    ///
    /// * `refused`: lines that were no events.
    pub fn told(&self, refused: u64) -> String {
        let lines = self.events + refused;
        let mut text =
            format!("events: {} of {} lines can be used\n", HumanCount(self.events), HumanCount(lines));
        if self.events == 0 {
            return text;
        }
        let calls = self.with_arguments;
        let rows: [(&str, &str, u64, u64, &str); 10] = [
            (
                "all",
                "agent_type",
                self.agent_type,
                self.events,
                "agents without one share the type `unspecified`",
            ),
            ("all", "event_id", self.event_id, self.events, "alerts name such events by their line only"),
            (
                "provenance",
                "arguments",
                calls,
                self.events,
                "such calls are judged by their order and what is new in them",
            ),
            (
                "provenance",
                "origin",
                self.full + self.origin,
                calls,
                "tier none: where values came from is not judged",
            ),
            (
                "provenance",
                "origin_form, anchored",
                self.full,
                calls,
                "tier origin: free text is not told from fields",
            ),
            ("sequence", "session_id", self.session_id, self.events, "such sequences are judged by hour"),
            (
                "sequence",
                "outcome",
                self.outcome,
                self.events,
                "refused and failed actions are not told from others",
            ),
            ("access", "resource", self.resource, self.events, "what was touched is not judged"),
            (
                "access",
                "hash of a destination",
                self.hashed_destinations,
                self.destinations,
                "new destinations are not recognised",
            ),
            (
                "all",
                "verb in the action's name",
                self.known_verb,
                self.events,
                "such actions weigh as `other`",
            ),
        ];
        for (detector, field, there, of, without) in rows {
            if of == 0 {
                text += &format!("  {detector:<11}no {field}: there is nothing that could carry it\n");
            } else if there == 0 {
                text += &format!("  {detector:<11}no {field}: {without}\n");
            } else if there < of {
                text += &format!(
                    "  {detector:<11}{field} in {} of {}; elsewhere {without}\n",
                    HumanCount(there),
                    HumanCount(of)
                );
            } else {
                text += &format!("  {detector:<11}{field} in all {}\n", HumanCount(of));
            }
        }
        text
    }
}
