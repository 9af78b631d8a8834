//! The canonical fields that a mapping can fill, and what each may hold.
//!
//! Knows names and forms. Must not know where a value comes from.

use crate::event::{AuditEvent, Text};

/// A field of the audit event that a mapping can fill. Arguments are apart: see `[arguments]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// When it happened.
    Time,
    /// The source's own id of the event.
    EventId,
    /// Customer or organisation.
    Tenant,
    /// The agent.
    AgentId,
    /// The group of agents that share a baseline.
    AgentType,
    /// Version of the agent's definition.
    AgentVersion,
    /// The running copy of the agent.
    InstanceId,
    /// The task or conversation.
    SessionId,
    /// Place within the session.
    Seq,
    /// What was done.
    Action,
    /// What it was done to.
    Resource,
    /// How it ended.
    Outcome,
    /// Bytes moved.
    Bytes,
    /// How many equal events this one stands for.
    Count,
    /// Address the agent came from.
    SourceIp,
    /// Country, region or network.
    Location,
    /// Client software.
    UserAgent,
    /// Id of the credential.
    CredentialId,
    /// Kind of the credential.
    CredentialType,
    /// When the credential was issued.
    CredentialIssuedAt,
    /// Whom the agent acted for.
    OnBehalfOf,
    /// The agent that delegated the work.
    DelegatedBy,
    /// The decision taken.
    Decision,
    /// What the decision was about.
    DecisionKey,
    /// Result of attesting the workload.
    Attestation,
}

/// What a field may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Text that names one thing; never cut, because two cut ids could be one.
    Id,
    /// Other text; cut where it is too long.
    Text,
    /// An instant.
    Time,
    /// A whole number.
    Number,
    /// ok, denied, error or unknown.
    Outcome,
}

impl Field {
    /// Every field with its name in the audit event and its form.
    pub const ALL: [(Self, &'static str, Form); 25] = [
        (Self::Time, "time", Form::Time),
        (Self::EventId, "event_id", Form::Id),
        (Self::Tenant, "tenant", Form::Id),
        (Self::AgentId, "agent_id", Form::Id),
        (Self::AgentType, "agent_type", Form::Text),
        (Self::AgentVersion, "agent_version", Form::Text),
        (Self::InstanceId, "instance_id", Form::Id),
        (Self::SessionId, "session_id", Form::Id),
        (Self::Seq, "seq", Form::Number),
        (Self::Action, "action", Form::Text),
        (Self::Resource, "resource", Form::Text),
        (Self::Outcome, "outcome", Form::Outcome),
        (Self::Bytes, "bytes", Form::Number),
        (Self::Count, "count", Form::Number),
        (Self::SourceIp, "source_ip", Form::Text),
        (Self::Location, "location", Form::Text),
        (Self::UserAgent, "user_agent", Form::Text),
        (Self::CredentialId, "credential_id", Form::Id),
        (Self::CredentialType, "credential_type", Form::Text),
        (Self::CredentialIssuedAt, "credential_issued_at", Form::Time),
        (Self::OnBehalfOf, "on_behalf_of", Form::Text),
        (Self::DelegatedBy, "delegated_by", Form::Id),
        (Self::Decision, "decision", Form::Text),
        (Self::DecisionKey, "decision_key", Form::Text),
        (Self::Attestation, "attestation", Form::Text),
    ];

    /// Fields that every mapping must fill.
    pub const REQUIRED: [Self; 3] = [Self::Time, Self::AgentId, Self::Action];

    /// The field of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == name).map(|(field, _, _)| *field)
    }

    /// Its name in the audit event.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(field, _, _)| *field == self).map_or("", |(_, name, _)| name)
    }

    /// What it may hold.
    pub fn form(self) -> Form {
        Self::ALL.iter().find(|(field, _, _)| *field == self).map_or(Form::Text, |(_, _, form)| *form)
    }
}

/// Where in `event` the text of an optional `field` stands; `None` for fields of another form.
pub(super) fn text<'e, 'a>(event: &'e mut AuditEvent<'a>, field: Field) -> Option<&'e mut Option<Text<'a>>> {
    Some(match field {
        Field::EventId => &mut event.event_id,
        Field::Tenant => &mut event.tenant,
        Field::AgentType => &mut event.agent_type,
        Field::AgentVersion => &mut event.agent_version,
        Field::InstanceId => &mut event.instance_id,
        Field::SessionId => &mut event.session_id,
        Field::Resource => &mut event.resource,
        Field::SourceIp => &mut event.source_ip,
        Field::Location => &mut event.location,
        Field::UserAgent => &mut event.user_agent,
        Field::CredentialId => &mut event.credential_id,
        Field::CredentialType => &mut event.credential_type,
        Field::OnBehalfOf => &mut event.on_behalf_of,
        Field::DelegatedBy => &mut event.delegated_by,
        Field::Decision => &mut event.decision,
        Field::DecisionKey => &mut event.decision_key,
        Field::Attestation => &mut event.attestation,
        Field::Time
        | Field::AgentId
        | Field::Action
        | Field::Outcome
        | Field::Seq
        | Field::Bytes
        | Field::Count
        | Field::CredentialIssuedAt => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_schema_can_be_filled_and_has_one_name() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../../../schemas/agent-audit.v1.schema.json")).unwrap();
        let mut described: Vec<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        described.retain(|name| *name != "arguments");
        described.sort_unstable();
        let mut named: Vec<&str> = Field::ALL.iter().map(|(field, _, _)| field.name()).collect();
        named.sort_unstable();
        assert_eq!(named, described);
        assert!(Field::ALL.iter().all(|(field, name, _)| Field::named(name) == Some(*field)));
    }
}
