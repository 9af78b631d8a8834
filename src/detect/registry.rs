//! `registry`: is the agent one that somebody answers for, and does it do what it was granted?
//!
//! Knows one event, the registration of its agent, its grants and what it was seen as last. Must not know baselines, bits,
//! p or budgets: what people registered is certain, and told beside the budget.
//!
//! Everything is about *registered* agents, but for the one question whether an agent is registered at all, which is asked
//! where the configuration says so and somebody has registered anything.

pub mod records;

use self::records::{Dated, Records};
use super::lexicon::Verb;
use crate::control::{DeclaredChange, Grant, Registration, Scope, Subject};
use crate::event::AuditEvent;
use crate::finding::RiskEventType;
use crate::network::Network;
use crate::pattern::Patterns;
use crate::risk::Level;
use crate::time::{DAY_MS, EventTime};

/// What the configuration says of the registry.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RegistrySettings {
    /// Whether an agent that nobody registered is told of.
    pub require: bool,
    /// A registered agent that acts after so long a silence is told of. Days of watched time, > 0; 0: none is.
    pub dormant_days: f64,
}

/// Days of silence after which an agent counts as dormant, where the configuration says nothing: what happens once a month
/// has happened by then.
pub const DORMANT_DAYS: f64 = 35.0;

impl Default for RegistrySettings {
    fn default() -> Self {
        Self { require: false, dormant_days: DORMANT_DAYS }
    }
}

/// What of an agent is not as it was registered. At most one fact of each is told of an agent at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Fact {
    /// It should not be there any more.
    Deprovisioned,
    /// Nobody registered it.
    Unregistered,
    /// It did something that it may not do.
    Action,
    /// It touched a resource that it may not touch.
    Resource,
    /// It sent or paid to where it may not.
    Destination,
    /// It came from a network that it may not come from.
    Network,
    /// It acts after a long silence.
    Dormant,
    /// It runs another version.
    Version,
}

impl Fact {
    /// Every fact, in order.
    pub const ALL: [Self; 8] = [
        Self::Deprovisioned,
        Self::Unregistered,
        Self::Action,
        Self::Resource,
        Self::Destination,
        Self::Network,
        Self::Dormant,
        Self::Version,
    ];

    /// The name by which alerts of one agent are told apart.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deprovisioned => "deprovisioned",
            Self::Unregistered => "unregistered",
            Self::Action => "action",
            Self::Resource => "resource",
            Self::Destination => "destination",
            Self::Network => "network",
            Self::Dormant => "dormant",
            Self::Version => "version",
        }
    }

    /// The kind of risk that it is.
    pub fn kind(self) -> RiskEventType {
        match self {
            Self::Deprovisioned => RiskEventType::DeprovisionedAgent,
            Self::Unregistered => RiskEventType::UnregisteredAgent,
            Self::Action | Self::Resource | Self::Destination | Self::Network => {
                RiskEventType::OutOfScopeAccess
            }
            Self::Dormant => RiskEventType::DormantAgent,
            Self::Version => RiskEventType::ConfigurationDrift,
        }
    }

    /// The level that an agent has at least. What only a person who forgot something would explain as easily is low.
    pub fn level(self) -> Level {
        match self {
            Self::Deprovisioned => Level::High,
            Self::Unregistered | Self::Action | Self::Resource | Self::Destination | Self::Network => {
                Level::Medium
            }
            Self::Dormant | Self::Version => Level::Low,
        }
    }
}

/// What is known of the agent of an event.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'s> {
    /// Its registration; none: nobody registered it.
    pub registration: Option<&'s Registration>,
    /// Whether an agent without a registration is a fact.
    pub is_required: bool,
    /// Since when it has done nothing, in watched time. Milliseconds; none before its first event.
    pub silent_ms: Option<i64>,
    /// The version that it ran last.
    pub version: Option<&'s str>,
    /// Records about this agent, and about groups of agents.
    pub records: [Option<&'s Records>; 2],
}

impl<'s> Standing<'s> {
    /// Everything about the event that is not as it was registered.
    ///
    /// * `at`: the instant of the event, on the stream's clock;
    /// * `verb`: what the action's name says.
    ///
    /// A call of an agent that is not registered, or not any more, is not held against a scope. Allocates nothing unless
    /// there is more than one fact.
    pub fn judge(
        &self,
        event: &AuditEvent<'_>,
        verb: Verb,
        at: EventTime,
        settings: &RegistrySettings,
        found: &mut smallvec::SmallVec<[Fact; 4]>,
    ) {
        let Some(registration) = self.registration.filter(|registration| registration.has_begun(at)) else {
            if self.is_required {
                found.push(Fact::Unregistered);
            }
            return;
        };
        if registration.has_ended(at) {
            found.push(Fact::Deprovisioned);
            return;
        }
        self.judge_scope(registration, event, verb, at, found);
        let dormant_ms = settings.dormant_days * DAY_MS as f64;
        if dormant_ms > 0.0 && self.silent_ms.is_some_and(|silent| silent as f64 >= dormant_ms) {
            found.push(Fact::Dormant);
        }
        if self.has_drifted(registration, event, at) {
            found.push(Fact::Version);
        }
    }

    fn judge_scope(
        &self,
        registration: &Registration,
        event: &AuditEvent<'_>,
        verb: Verb,
        at: EventTime,
        found: &mut smallvec::SmallVec<[Fact; 4]>,
    ) {
        let scope = &registration.scope;
        let refuses = |patterns: &Option<Patterns>, name: &str| {
            patterns.as_ref().is_some_and(|patterns| !patterns.matches(name))
        };
        let grants = || self.grants(event, at);
        let granted = |patterns: &Option<Patterns>, name: &str| {
            patterns.as_ref().is_some_and(|patterns| patterns.matches(name))
        };
        let action = event.action.as_str();
        if refuses(&scope.actions, action) && !grants().any(|grant| granted(&grant.scope.actions, action)) {
            found.push(Fact::Action);
        }
        if let Some(resource) = event.resource.as_deref() {
            // What is sent may also stay where the agent is at home: an export into its own folder.
            let sends = matches!(verb, Verb::Egress | Verb::Pay) && scope.destinations.is_some();
            let more = |scope: &Scope| {
                granted(&scope.resources, resource) || sends && granted(&scope.destinations, resource)
            };
            let is_limited = sends || scope.resources.is_some();
            if is_limited && !more(scope) && !grants().any(|grant| more(&grant.scope)) {
                found.push(if sends { Fact::Destination } else { Fact::Resource });
            }
        }
        if let (Some(networks), Some(address)) = (&registration.networks, event.source_ip.as_deref()) {
            let holds = |networks: &[Network]| networks.iter().any(|network| network.holds(address));
            if !holds(networks) && !grants().any(|grant| grant.networks.as_deref().is_some_and(holds)) {
                found.push(Fact::Network);
            }
        }
    }

    /// Whether the agent runs another version than last time (or, the first time, than it is registered with), and nobody
    /// declared that it would.
    fn has_drifted(&self, registration: &Registration, event: &AuditEvent<'_>, at: EventTime) -> bool {
        let before = self.version.or(registration.version.as_deref());
        let (Some(version), Some(before)) = (event.agent_version.as_deref(), before) else { return false };
        version != before
            && registration.version.as_deref() != Some(version)
            && !self.changes().any(|change| {
                // Old and new copies may run side by side while the change is on.
                let goes_back = change.is_on(at) && change.from_version.as_deref() == Some(version);
                change.from <= at
                    && (change.to_version == version || goes_back)
                    && means(&change.subject, event)
            })
    }

    /// The version that the agent should run or ran.
    pub fn expected_version(&self) -> Option<&'s str> {
        self.version.or_else(|| self.registration.and_then(|registration| registration.version.as_deref()))
    }

    /// The declared change that the agent goes through with this event: its window is open, and the event names the new
    /// version or none.
    pub fn change(&self, event: &AuditEvent<'_>, at: EventTime) -> Option<&'s Dated<DeclaredChange>> {
        // Most are over: whom they mean is a matter of patterns, and asked last.
        self.changes().find(|change| {
            change.is_on(at)
                && event.agent_version.as_deref().is_none_or(|version| version == change.to_version)
                && means(&change.subject, event)
        })
    }

    fn changes(&self) -> impl Iterator<Item = &'s Dated<DeclaredChange>> + use<'s> {
        self.records.into_iter().flatten().flat_map(Records::changes)
    }

    fn grants(&self, event: &AuditEvent<'_>, at: EventTime) -> impl Iterator<Item = &'s Dated<Grant>> {
        let all = self.records.into_iter().flatten().flat_map(Records::grants);
        all.filter(move |grant| grant.is_on(at) && means(&grant.subject, event))
    }
}

fn means(subject: &Subject, event: &AuditEvent<'_>) -> bool {
    subject.matches(&event.agent_id, event.agent_type(), event.tenant.as_deref())
}

/// One sentence for a person.
///
/// * `shown`: how a name that an agent chose is shown.
pub fn sentence(
    fact: Fact,
    event: &AuditEvent<'_>,
    standing: &Standing<'_>,
    shown: impl Fn(&str) -> String,
) -> String {
    let resource = || shown(event.resource.as_deref().unwrap_or_default());
    let owner = standing
        .registration
        .and_then(|registration| registration.owner.as_deref())
        .map_or_else(String::new, |owner| format!("; its owner is {}", shown(owner)));
    match fact {
        Fact::Deprovisioned => format!("it acts, but it was deprovisioned{owner}"),
        Fact::Unregistered => "it acts, but nobody registered it".to_owned(),
        Fact::Action => format!("the action {} was not granted to it{owner}", shown(&event.action)),
        Fact::Resource => format!("the resource {} was not granted to it{owner}", resource()),
        Fact::Destination => format!("sending to {} was not granted to it{owner}", resource()),
        Fact::Network => {
            let address = event.source_ip.as_deref().unwrap_or_default();
            format!("it came from {}, outside the networks that it is registered with{owner}", shown(address))
        }
        Fact::Dormant => {
            let days = standing.silent_ms.unwrap_or_default() / DAY_MS;
            format!("it acts after {days} days in which it did nothing{owner}")
        }
        Fact::Version => {
            let version = event.agent_version.as_deref().unwrap_or_default();
            let before = standing.expected_version().unwrap_or_default();
            format!(
                "it runs version {} instead of {}, and nobody declared the change{owner}",
                shown(version),
                shown(before)
            )
        }
    }
}

#[cfg(test)]
mod tests;
