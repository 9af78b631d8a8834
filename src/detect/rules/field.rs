//! Fields of an audit event that a rule can ask about.
//!
//! Knows their names, kinds and where they stand. Must not know what is asked.

use crate::event::{AuditEvent, Outcome};
use crate::time::DAY_MS;

/// A field of an audit event, or something that follows from one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Field {
    /// Customer or organisation.
    Tenant,
    /// The agent.
    AgentId,
    /// Its type; `unspecified` where the event names none.
    AgentType,
    /// Version of its definition.
    AgentVersion,
    /// The running copy.
    InstanceId,
    /// The task or conversation.
    SessionId,
    /// What was done.
    Action,
    /// What it was done to.
    Resource,
    /// How it ended; absent where that is not known.
    Outcome,
    /// Bytes moved.
    Bytes,
    /// Equal events this one stands for; 1 where the event does not say.
    Count,
    /// Address the agent came from.
    SourceIp,
    /// Country, region or network name.
    Location,
    /// Client software.
    UserAgent,
    /// Id of the credential.
    CredentialId,
    /// Kind of the credential.
    CredentialType,
    /// Time from the credential's issue to the event. Days, with fractions; negative when it lies ahead.
    CredentialAgeDays,
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
    /// Hour of the day, UTC. 0 to 23.
    HourOfDay,
}

/// What kind of value a field has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldKind {
    /// Any text.
    Text,
    /// One of a few names.
    Name(&'static [&'static str]),
    /// An IP address.
    Address,
    /// A number.
    Number,
}

/// The value of a field in one event.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Value<'e> {
    /// Text, never empty.
    Text(&'e str),
    /// A number, never NaN.
    Number(f64),
}

impl Field {
    /// Every field, in the order of the audit event.
    pub const ALL: [Self; 23] = [
        Self::Tenant,
        Self::AgentId,
        Self::AgentType,
        Self::AgentVersion,
        Self::InstanceId,
        Self::SessionId,
        Self::Action,
        Self::Resource,
        Self::Outcome,
        Self::Bytes,
        Self::Count,
        Self::SourceIp,
        Self::Location,
        Self::UserAgent,
        Self::CredentialId,
        Self::CredentialType,
        Self::CredentialAgeDays,
        Self::OnBehalfOf,
        Self::DelegatedBy,
        Self::Decision,
        Self::DecisionKey,
        Self::Attestation,
        Self::HourOfDay,
    ];

    /// The name used in rules: that of the audit event.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::AgentId => "agent_id",
            Self::AgentType => "agent_type",
            Self::AgentVersion => "agent_version",
            Self::InstanceId => "instance_id",
            Self::SessionId => "session_id",
            Self::Action => "action",
            Self::Resource => "resource",
            Self::Outcome => "outcome",
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::SourceIp => "source_ip",
            Self::Location => "location",
            Self::UserAgent => "user_agent",
            Self::CredentialId => "credential_id",
            Self::CredentialType => "credential_type",
            Self::CredentialAgeDays => "credential_age_days",
            Self::OnBehalfOf => "on_behalf_of",
            Self::DelegatedBy => "delegated_by",
            Self::Decision => "decision",
            Self::DecisionKey => "decision_key",
            Self::Attestation => "attestation",
            Self::HourOfDay => "hour_of_day",
        }
    }

    /// The field of this name, if there is one.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// What kind of value it has.
    pub fn kind(self) -> FieldKind {
        match self {
            Self::Bytes | Self::Count | Self::CredentialAgeDays | Self::HourOfDay => FieldKind::Number,
            Self::Outcome => FieldKind::Name(&["ok", "denied", "error"]),
            Self::SourceIp => FieldKind::Address,
            _ => FieldKind::Text,
        }
    }

    /// Its value in an event, if the event has one.
    pub fn of<'e>(self, event: &'e AuditEvent<'_>) -> Option<Value<'e>> {
        let text = match self {
            Self::Tenant => event.tenant.as_deref(),
            Self::AgentId => Some(event.agent_id.as_str()),
            Self::AgentType => Some(event.agent_type()),
            Self::AgentVersion => event.agent_version.as_deref(),
            Self::InstanceId => event.instance_id.as_deref(),
            Self::SessionId => event.session_id.as_deref(),
            Self::Action => Some(event.action.as_str()),
            Self::Resource => event.resource.as_deref(),
            Self::Outcome => match event.outcome {
                Outcome::Ok => Some("ok"),
                Outcome::Denied => Some("denied"),
                Outcome::Error => Some("error"),
                Outcome::Unknown => None,
            },
            Self::SourceIp => event.source_ip.as_deref(),
            Self::Location => event.location.as_deref(),
            Self::UserAgent => event.user_agent.as_deref(),
            Self::CredentialId => event.credential_id.as_deref(),
            Self::CredentialType => event.credential_type.as_deref(),
            Self::OnBehalfOf => event.on_behalf_of.as_deref(),
            Self::DelegatedBy => event.delegated_by.as_deref(),
            Self::Decision => event.decision.as_deref(),
            Self::DecisionKey => event.decision_key.as_deref(),
            Self::Attestation => event.attestation.as_deref(),
            Self::Bytes => return event.bytes.map(|bytes| Value::Number(bytes as f64)),
            Self::Count => return Some(Value::Number(event.count.unwrap_or(1) as f64)),
            Self::CredentialAgeDays => {
                let age_ms = event.time.0.saturating_sub(event.credential_issued_at?.0);
                return Some(Value::Number(age_ms as f64 / DAY_MS as f64));
            }
            Self::HourOfDay => return Some(Value::Number(event.time.hour().rem_euclid(24) as f64)),
        };
        text.filter(|text| !text.is_empty()).map(Value::Text)
    }
}
