//! Control records: what people tell the detector about agents.
//!
//! Knows the records, one type each, and whom each is about. Must not know what they change, nor how they arrive.
//!
//! A record takes effect before the first event at or after its time. Of several with the same key ([`ControlRecord::key`])
//! the one with the latest time holds, so that records may come twice and in any order.

mod orders;
mod registration;
mod subject;

pub use self::orders::{DeclaredChange, EngineSettings, Grant, Maintenance, Muted, Suppression};
pub use self::registration::{Lifecycle, Registration, Scope};
pub use self::subject::Subject;

use crate::risk::Verdict;
use crate::time::EventTime;

/// Name and version of the schema of control records.
pub const CONTROL_SCHEMA: &str = "tiltmeter.agent-control.v1";

/// One thing that a person told the detector.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlRecord {
    /// It takes effect before the first event at or after this.
    pub time: EventTime,
    /// Its own id; a later record with the same id and kind takes the place of this one. Not empty, but for a verdict.
    pub id: String,
    /// Who says so.
    pub by: String,
    /// What is said.
    pub kind: Control,
}

/// What a control record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// An agent, or a group of them, exists, belongs to somebody and may do some things.
    Registration(Box<Registration>),
    /// What a person decided about an agent. Its `time` and `by` are those of the record.
    Verdict(Verdict),
    /// Agents get another version, which will do other things.
    DeclaredChange(DeclaredChange),
    /// Agents may do more for a while.
    Grant(Grant),
    /// Agents are worked on: what is unusual then is not told.
    Maintenance(Maintenance),
    /// Findings of a kind are not told for a while.
    Suppression(Suppression),
    /// Under which settings the service judges from now on.
    Settings(EngineSettings),
}

impl Control {
    /// The name used in records and documentation.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Registration(_) => "registration",
            Self::Verdict(_) => "verdict",
            Self::DeclaredChange(_) => "declared_change",
            Self::Grant(_) => "grant",
            Self::Maintenance(_) => "maintenance",
            Self::Suppression(_) => "suppression",
            Self::Settings(_) => "settings",
        }
    }

    /// The name of every kind, in order.
    pub const NAMES: [&'static str; 7] =
        ["registration", "verdict", "declared_change", "grant", "maintenance", "suppression", "settings"];
}

impl ControlRecord {
    /// Whom it is about; none for verdicts, which name one agent, and for settings, which name nobody.
    pub fn subject(&self) -> Option<&Subject> {
        match &self.kind {
            Control::Registration(registration) => Some(&registration.subject),
            Control::DeclaredChange(change) => Some(&change.subject),
            Control::Grant(grant) => Some(&grant.subject),
            Control::Maintenance(maintenance) => Some(&maintenance.subject),
            Control::Suppression(suppression) => Some(&suppression.subject),
            Control::Verdict(_) | Control::Settings(_) => None,
        }
    }

    /// Id and tenant of the agent, where the record is about one alone; a verdict always is.
    pub fn one_agent(&self) -> Option<(String, Option<String>)> {
        match &self.kind {
            Control::Verdict(verdict) => Some((verdict.agent_id.clone(), verdict.tenant.clone())),
            _ => self.subject()?.one_agent(),
        }
    }

    /// What a later record of the same kind must share with this one to take its place: whom a registration is about, the
    /// hash of settings, the id of all others.
    pub fn key(&self) -> String {
        match &self.kind {
            Control::Registration(registration) => registration.subject.to_string(),
            Control::Settings(settings) => settings.sha256.clone(),
            _ => self.id.clone(),
        }
    }
}

impl From<Verdict> for ControlRecord {
    fn from(verdict: Verdict) -> Self {
        let (time, by) = (verdict.time, verdict.by.clone());
        Self { time, id: String::new(), by, kind: Control::Verdict(verdict) }
    }
}
