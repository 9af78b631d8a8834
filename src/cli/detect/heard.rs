//! Which control records and verdicts are about an agent of the input.
//!
//! Knows names, patterns and tenants. Must not know what a record does.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::cli::explain::printable;
use crate::control::{Control, ControlRecord, Subject};
use crate::event::AuditEvent;
use crate::pattern::Pattern;

/// Records that are named; the others are counted.
const SHOWN: usize = 5;

/// Records that are about nobody so far, and the agents that were met.
#[derive(Debug, Default)]
pub(super) struct Heard {
    records: usize,
    unheard: Vec<Unheard>,
    /// Hashes of tenant, id and type of agents, so that each is compared once. Empty where there are no records.
    met: HashSet<u64>,
    hash: RandomState,
}

/// A record that was about nobody so far.
#[derive(Debug)]
struct Unheard {
    kind: &'static str,
    subject: Subject,
    /// A tenant of agents that it would be about if it named that.
    tenant: Option<String>,
    /// Whether it would be about agents without a tenant if it named none.
    is_without: bool,
}

impl Heard {
    pub fn new(records: &[ControlRecord]) -> Self {
        let unheard: Vec<Unheard> = records
            .iter()
            .filter_map(|record| {
                let subject = match &record.kind {
                    Control::Verdict(verdict) => {
                        Subject::of_agent(&verdict.agent_id, verdict.tenant.as_deref())
                    }
                    _ => record.subject()?.clone(),
                };
                Some(Unheard { kind: record.kind.name(), subject, tenant: None, is_without: false })
            })
            .collect();
        Self { records: unheard.len(), unheard, ..Self::default() }
    }

    /// Takes in an event.
    pub fn met(&mut self, event: &AuditEvent<'_>) {
        if self.unheard.is_empty() {
            return;
        }
        let (tenant, id, of_type) = (event.tenant.as_deref(), &*event.agent_id, event.agent_type());
        if !self.met.insert(self.hash.hash_one((tenant, id, of_type))) {
            return;
        }
        self.unheard.retain_mut(|record| {
            if record.subject.matches(id, of_type, tenant) {
                return false;
            }
            let of_any_tenant = Subject { tenant: Some(Pattern::new("*")), ..record.subject.clone() };
            if of_any_tenant.matches(id, of_type, tenant) {
                match tenant {
                    Some(tenant) => _ = record.tenant.get_or_insert_with(|| tenant.to_owned()),
                    None => record.is_without = true,
                }
            }
            true
        });
    }

    /// Which records were about nobody, and why that may be; none where all were about somebody.
    pub fn told(&self) -> Option<String> {
        if self.unheard.is_empty() {
            return None;
        }
        let mut shown: Vec<String> = self.unheard.iter().take(SHOWN).map(Unheard::told).collect();
        let left = self.unheard.len() - shown.len();
        if left > 0 {
            shown.push(format!("and {left} more"));
        }
        Some(format!(
            "{} of {} control records and verdicts are about no agent of this input: {}",
            self.unheard.len(),
            self.records,
            shown.join("; ")
        ))
    }
}

impl Unheard {
    fn told(&self) -> String {
        let mut text = format!("{} of {}", self.kind, printable(&self.subject.to_string()));
        match &self.tenant {
            Some(tenant) => {
                text += &format!(" (their events have the tenant {:?}: say `tenant`)", printable(tenant))
            }
            None if self.is_without => text += " (their events have no tenant: leave `tenant` out)",
            None => {}
        }
        text
    }
}
