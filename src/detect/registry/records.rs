//! What people said of some agents, as it stands: of several records with the same key the latest.
//!
//! Knows control records. Must not know which agents there are.
//!
//! Bounded, and independent of the order in which records come: of two with the same key the one with the later time
//! stays. At the bound, what is over makes room; what finds no room is counted.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::control::{
    Control, ControlRecord, DeclaredChange, Grant, Maintenance, Registration, Subject, Suppression,
};
use crate::finding::{Family, RiskEventType};
use crate::time::EventTime;

/// A record, and who said it when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dated<T> {
    /// Id of the record.
    pub id: String,
    /// When it was said.
    pub time: EventTime,
    /// Who said it.
    pub by: String,
    /// What was said.
    pub what: T,
}

impl<T> Deref for Dated<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.what
    }
}

/// A record that is about some agents, possibly until some time.
pub trait About {
    /// The agents.
    fn subject(&self) -> &Subject;
    /// After that it means nothing any more; none: it does for ever.
    fn ends(&self) -> Option<EventTime>;
}

impl About for Registration {
    fn subject(&self) -> &Subject {
        &self.subject
    }
    fn ends(&self) -> Option<EventTime> {
        None
    }
}

macro_rules! about_until {
    ($($record:ty),*) => {$(
        impl About for $record {
            fn subject(&self) -> &Subject {
                &self.subject
            }
            fn ends(&self) -> Option<EventTime> {
                Some(self.until)
            }
        }
    )*};
}

about_until!(DeclaredChange, Grant, Maintenance, Suppression);

type Table<T> = BTreeMap<String, Arc<Dated<T>>>;

/// Records about some agents.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Records {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    registrations: Table<Registration>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    changes: Table<DeclaredChange>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    grants: Table<Grant>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    maintenance: Table<Maintenance>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    suppressions: Table<Suppression>,
}

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// It holds now.
    Yes,
    /// A later one with the same key holds, or the same one.
    Older,
    /// There is no room for it.
    NoRoom,
}

/// Why a finding is not told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Excuse<'r> {
    /// `maintenance`, `suppression` or `declared_change`.
    pub what: &'static str,
    /// Id of the record.
    pub id: &'r str,
    /// Who answers for it: the owner of a suppression, otherwise whoever said it.
    pub by: &'r str,
    /// Why.
    pub reason: &'r str,
}

impl Records {
    /// Takes in a record, unless a later one with the same key is known.
    ///
    /// * `most`: records of a kind at most, > 0.
    ///
    /// Verdicts and settings are none of these and are not kept.
    pub fn apply(&mut self, record: &ControlRecord, most: usize) -> Kept {
        match &record.kind {
            Control::Registration(of) => keep(&mut self.registrations, record, Registration::clone(of), most),
            Control::DeclaredChange(of) => keep(&mut self.changes, record, of.clone(), most),
            Control::Grant(of) => keep(&mut self.grants, record, of.clone(), most),
            Control::Maintenance(of) => keep(&mut self.maintenance, record, of.clone(), most),
            Control::Suppression(of) => keep(&mut self.suppressions, record, of.clone(), most),
            Control::Verdict(_) | Control::Settings(_) => Kept::Older,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// Id of the agent, where they are about one alone.
    pub fn one_agent(&self) -> Option<String> {
        fn first<T: About>(table: &Table<T>) -> Option<String> {
            table.values().find_map(|record| record.what.subject().one_agent()).map(|(agent_id, _)| agent_id)
        }
        first(&self.registrations)
            .or_else(|| first(&self.changes))
            .or_else(|| first(&self.grants))
            .or_else(|| first(&self.maintenance))
            .or_else(|| first(&self.suppressions))
    }

    /// Whether any of them asks for something to be remembered of the agents that it is about.
    pub fn follows_agents(&self) -> bool {
        !self.registrations.is_empty() || !self.changes.is_empty()
    }

    /// The registration of an agent: of those that mean it, the one said last.
    pub fn registration(
        &self,
        agent_id: &str,
        agent_type: &str,
        tenant: Option<&str>,
    ) -> Option<&Arc<Dated<Registration>>> {
        let meant = self.registrations.values().filter(|r| r.subject.matches(agent_id, agent_type, tenant));
        meant.max_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)))
    }

    /// Every declared change.
    pub fn changes(&self) -> impl Iterator<Item = &Dated<DeclaredChange>> {
        self.changes.values().map(Arc::as_ref)
    }

    /// Every grant.
    pub fn grants(&self) -> impl Iterator<Item = &Dated<Grant>> {
        self.grants.values().map(Arc::as_ref)
    }

    /// Why a finding about an agent is not told, if anybody said that it should not be.
    pub fn excuse(
        &self,
        (agent_id, agent_type, tenant): (&str, &str, Option<&str>),
        family: Family,
        kind: RiskEventType,
        at: EventTime,
    ) -> Option<Excuse<'_>> {
        let worked_on = self
            .maintenance
            .values()
            .find(|m| m.is_on(at) && m.subject.matches(agent_id, agent_type, tenant))
            .map(|m| Excuse { what: "maintenance", id: &m.id, by: &m.by, reason: &m.reason });
        worked_on.or_else(|| {
            self.suppressions
                .values()
                .find(|s| {
                    at < s.until
                        && s.muted.means(family, kind)
                        && s.subject.matches(agent_id, agent_type, tenant)
                })
                .map(|s| Excuse { what: "suppression", id: &s.id, by: &s.owner, reason: &s.reason })
        })
    }
}

fn keep<T: About>(table: &mut Table<T>, record: &ControlRecord, what: T, most: usize) -> Kept {
    let key = record.key();
    match table.get(&key) {
        Some(known) if (known.time, &known.id) >= (record.time, &record.id) => return Kept::Older,
        None if table.len() >= most => {
            table.retain(|_, known| known.ends().is_none_or(|end| end > record.time));
            if table.len() >= most {
                return Kept::NoRoom;
            }
        }
        _ => {}
    }
    let dated = Dated { id: record.id.clone(), time: record.time, by: record.by.clone(), what };
    table.insert(key, Arc::new(dated));
    Kept::Yes
}
