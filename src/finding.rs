//! What can be found: families of detectors, and the names under which the world knows each finding.
//!
//! Knows names and public threat ids. Must not know how anything is computed.

mod shown;

use serde::{Deserialize, Serialize};

pub use self::shown::shown;

/// A group of detectors whose evidence about one call is added, and which is calibrated as one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// What a call carries that was lifted out of free text and is not anchored in the request.
    CallContent = 0,
    /// What a call carries that came from a tool in any form.
    ToolValues = 1,
    /// What a call carries, where nothing is known about origins.
    BareContent = 2,
    /// The order of actions over a whole unit.
    Order = 3,
    /// Repetition of the same few actions.
    Loops = 4,
    /// Resources, actions and destinations that are new or rare.
    Novelty = 5,
    /// How often the agent acts, and silence.
    Bursts = 6,
    /// Access that was denied.
    Failure = 7,
    /// What a user's rule asked for; not calibrated.
    Rules = 8,
    /// What a person said; not calibrated.
    Verdict = 9,
    /// What the registry says an agent is and may do; not calibrated.
    Registry = 10,
    /// That many agents of a type alert within one hour; not calibrated.
    Fleet = 11,
}

impl Family {
    /// Number of families that are calibrated.
    pub const COUNT: usize = 8;
    /// Every family that is calibrated, in order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::CallContent,
        Self::ToolValues,
        Self::BareContent,
        Self::Order,
        Self::Loops,
        Self::Novelty,
        Self::Bursts,
        Self::Failure,
    ];

    /// Every family that an alert can be of, in order.
    pub const TOLD: [Self; Self::COUNT + 4] = [
        Self::CallContent,
        Self::ToolValues,
        Self::BareContent,
        Self::Order,
        Self::Loops,
        Self::Novelty,
        Self::Bursts,
        Self::Failure,
        Self::Rules,
        Self::Verdict,
        Self::Registry,
        Self::Fleet,
    ];

    /// The name used in configuration, output and documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::CallContent => "call_content",
            Self::ToolValues => "tool_values",
            Self::BareContent => "bare_content",
            Self::Order => "order",
            Self::Loops => "loops",
            Self::Novelty => "novelty",
            Self::Bursts => "bursts",
            Self::Failure => "failure",
            Self::Rules => "rules",
            Self::Verdict => "verdict",
            Self::Registry => "registry",
            Self::Fleet => "fleet",
        }
    }
}

/// A detector: judges one behaviour.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// Where argument values came from.
    Provenance = 0,
    /// The order of actions, and loops.
    Sequence = 1,
    /// New and rare resources, actions and destinations.
    Access = 2,
    /// How often the agent acts, and silence.
    Frequency = 3,
    /// Access that was denied.
    Failure = 4,
    /// Rules of the user, and verdicts.
    Rules = 5,
    /// What the registry says an agent is and may do.
    Registry = 6,
    /// What many agents of a type do at once. It judges types, not agents.
    Fleet = 7,
}

impl Detector {
    /// Number of detectors that judge agents.
    pub const COUNT: usize = 7;
    /// Every detector that judges agents, in order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Provenance,
        Self::Sequence,
        Self::Access,
        Self::Frequency,
        Self::Failure,
        Self::Rules,
        Self::Registry,
    ];

    /// The name used in configuration, output and documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provenance => "provenance",
            Self::Sequence => "sequence",
            Self::Access => "access",
            Self::Frequency => "frequency",
            Self::Failure => "failure",
            Self::Rules => "rules",
            Self::Registry => "registry",
            Self::Fleet => "fleet",
        }
    }
}

/// The kind of risk a finding is reported as.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RiskEventType {
    /// A value lifted out of a tool result's free text went into a consequential call.
    UntrustedArgumentOrigin,
    /// A resource this agent, its type or the fleet hardly ever touch.
    UnfamiliarResourceAccess,
    /// An action this agent, its type or the fleet hardly ever call.
    UnfamiliarToolUse,
    /// A destination that was never sent to.
    UnfamiliarDestination,
    /// Many new resources in a short time.
    MassEnumeration,
    /// Actions in an order that its type does not follow.
    UnusualActionSequence,
    /// The same few actions again and again.
    AgentLoop,
    /// Far more calls in a short time than the agent makes.
    RequestSpike,
    /// An agent that is usually busy does nothing.
    Silence,
    /// Access denied far more often, or to more resources, than usual.
    FailedAccessAttempt,
    /// A user's rule matched.
    RuleMatched,
    /// A resource was touched that nobody has a reason to touch.
    HoneytokenAccess,
    /// A resource from the user's list was touched.
    SensitiveResourceAccess,
    /// A person said that the agent is compromised.
    AdminConfirmedAgentCompromised,
    /// It did what it was not granted, or came from a network it was not granted.
    OutOfScopeAccess,
    /// An agent that nobody registered.
    UnregisteredAgent,
    /// An agent acts that had done nothing for very long.
    DormantAgent,
    /// An agent acts that should not be there any more.
    DeprovisionedAgent,
    /// An agent runs another version, and nobody declared the change.
    ConfigurationDrift,
    /// Many agents of a type alert within one hour.
    FleetShift,
}

impl RiskEventType {
    /// Every kind, in order.
    pub const ALL: [Self; 20] = [
        Self::UntrustedArgumentOrigin,
        Self::UnfamiliarResourceAccess,
        Self::UnfamiliarToolUse,
        Self::UnfamiliarDestination,
        Self::MassEnumeration,
        Self::UnusualActionSequence,
        Self::AgentLoop,
        Self::RequestSpike,
        Self::Silence,
        Self::FailedAccessAttempt,
        Self::RuleMatched,
        Self::HoneytokenAccess,
        Self::SensitiveResourceAccess,
        Self::AdminConfirmedAgentCompromised,
        Self::OutOfScopeAccess,
        Self::UnregisteredAgent,
        Self::DormantAgent,
        Self::DeprovisionedAgent,
        Self::ConfigurationDrift,
        Self::FleetShift,
    ];

    /// The name used in output and documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::UntrustedArgumentOrigin => "untrustedArgumentOrigin",
            Self::UnfamiliarResourceAccess => "unfamiliarResourceAccess",
            Self::UnfamiliarToolUse => "unfamiliarToolUse",
            Self::UnfamiliarDestination => "unfamiliarDestination",
            Self::MassEnumeration => "massEnumeration",
            Self::UnusualActionSequence => "unusualActionSequence",
            Self::AgentLoop => "agentLoop",
            Self::RequestSpike => "requestSpike",
            Self::Silence => "silence",
            Self::FailedAccessAttempt => "failedAccessAttempt",
            Self::RuleMatched => "ruleMatched",
            Self::HoneytokenAccess => "honeytokenAccess",
            Self::SensitiveResourceAccess => "sensitiveResourceAccess",
            Self::AdminConfirmedAgentCompromised => "adminConfirmedAgentCompromised",
            Self::OutOfScopeAccess => "outOfScopeAccess",
            Self::UnregisteredAgent => "unregisteredAgent",
            Self::DormantAgent => "dormantAgent",
            Self::DeprovisionedAgent => "deprovisionedAgent",
            Self::ConfigurationDrift => "configurationDrift",
            Self::FleetShift => "fleetShift",
        }
    }

    /// Ids of the OWASP Top 10 for Agentic Applications 2026. The mapping is our judgement.
    pub fn owasp(self) -> &'static [&'static str] {
        match self {
            Self::UntrustedArgumentOrigin => &["ASI01"],
            Self::UnfamiliarResourceAccess => &["ASI02", "ASI03"],
            Self::UnfamiliarToolUse => &["ASI02", "ASI05"],
            Self::UnfamiliarDestination | Self::MassEnumeration => &["ASI02"],
            Self::UnusualActionSequence => &["ASI01"],
            Self::AgentLoop => &["ASI08"],
            Self::RequestSpike => &["ASI02", "ASI08"],
            Self::Silence => &["ASI10"],
            Self::FailedAccessAttempt => &["ASI03"],
            Self::RuleMatched
            | Self::HoneytokenAccess
            | Self::SensitiveResourceAccess
            | Self::OutOfScopeAccess
            | Self::UnregisteredAgent
            | Self::DormantAgent
            | Self::DeprovisionedAgent => &["ASI03", "ASI10"],
            Self::ConfigurationDrift => &["ASI04", "ASI06"],
            Self::FleetShift => &["ASI04", "ASI08"],
            Self::AdminConfirmedAgentCompromised => &[],
        }
    }

    /// Technique ids of MITRE ATLAS 5.6.0. The mapping is our judgement.
    pub fn atlas(self) -> &'static [&'static str] {
        match self {
            Self::UntrustedArgumentOrigin => &["AML.T0051.001", "AML.T0053"],
            Self::UnfamiliarResourceAccess => &["AML.T0085.001", "AML.T0036", "AML.T0012"],
            Self::UnfamiliarToolUse => &["AML.T0053", "AML.T0011.002"],
            Self::UnfamiliarDestination => &["AML.T0086", "AML.T0025", "AML.T0057"],
            Self::MassEnumeration => &["AML.T0085", "AML.T0075", "AML.T0035"],
            Self::UnusualActionSequence => &["AML.T0051.001", "AML.T0051.002", "AML.T0094"],
            Self::AgentLoop => &["AML.T0034.002"],
            Self::RequestSpike => &["AML.T0034.000", "AML.T0029", "AML.T0053"],
            Self::FailedAccessAttempt => &["AML.T0091.000", "AML.T0012", "AML.T0084"],
            Self::RuleMatched
            | Self::HoneytokenAccess
            | Self::SensitiveResourceAccess
            | Self::OutOfScopeAccess
            | Self::UnregisteredAgent
            | Self::DormantAgent
            | Self::DeprovisionedAgent => &["AML.T0012"],
            Self::ConfigurationDrift => &["AML.T0081", "AML.T0109", "AML.T0110", "AML.T0104"],
            Self::FleetShift => &["AML.T0109", "AML.T0110"],
            Self::Silence | Self::AdminConfirmedAgentCompromised => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_risk_is_called_the_same_everywhere() {
        for (place, kind) in RiskEventType::ALL.into_iter().enumerate() {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(kind as usize, place);
        }
    }
}
