//! What people said of agents, and what the agents do: facts that are told, and findings that are not.
//!
//! Knows control records and one agent at a time. Must not know who said anything, nor how it arrived.
//!
//! Records about one agent lie with what its slice knows of it, those about groups of agents in one small registry that all
//! slices read. An agent that no record is about costs one comparison an event.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use thin_vec::ThinVec;

use super::clock::Instant;
use super::explain::Moment;
use super::held_back::{Held, HeldFinding};
use super::output::{Output, REBASELINED_SCHEMA, Rebaselined};
use super::plain::{FIXED_BITS, Plain};
use super::slice::Slice;
use super::version::Version;
use super::watched::Watched;
use super::{Engine, slice_of};
use crate::alert::Evidence;
use crate::assess::level::Finding;
use crate::control::{Control, ControlRecord, DeclaredChange, Registration};
use crate::detect::Call;
use crate::detect::registry::records::{Dated, Kept, Records};
use crate::detect::registry::{self, Fact, Standing};
use crate::finding::{Detector, Family};
use crate::identity::Key;
use crate::risk::{Cause, Criticality};
use crate::time::{DAY_MS, EventTime};

/// Records of a kind about groups of agents, at most.
const MOST_OF_GROUPS: usize = 4096;
/// Records of a kind about one agent, at most.
const MOST_OF_ONE: usize = 64;
/// A slice keeps records about so many agents at least, and about four times as many as it watches.
const FEWEST_KNOWN: usize = 1024;
/// What stays of an agent's own baseline when it changes: a quarter. It outweighs its peers no longer than a week of the
/// new version does, and is better than nothing until then.
const STAYS: (f32, u16) = (0.25, 4);

/// Records about groups of agents, and whether any agent was ever registered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Registry {
    #[serde(with = "super::checkpoint::as_text")]
    pub records: Records,
    /// Whether anybody registered anything.
    pub is_in_use: bool,
    /// Records for which there was no room.
    pub refused: u64,
    /// Counts changes of the records. Not saved: what depends on it is not either.
    #[serde(skip)]
    changes: u64,
}

/// What a slice knows of one agent beside its behaviour.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Known {
    /// Records about this agent alone.
    #[serde(with = "super::checkpoint::as_text")]
    pub records: Records,
    /// Its latest event. Watched milliseconds.
    seen: Option<i64>,
    /// The version that it ran then.
    version: Option<Box<str>>,
    /// Declared changes that it went through and whose windows are open: their ids, and until when.
    changed: ThinVec<(Box<str>, EventTime)>,
    /// What was held back of it lately.
    pub held: Held,
    /// Its registration, once it was looked up. Not saved: it follows from the rest.
    #[serde(skip)]
    found: Option<Found>,
}

/// A registration that was looked up, or that there is none.
#[derive(Debug)]
struct Found {
    /// As of so many changes of the registry, and for this type.
    under: (u64, Key),
    registration: Option<Arc<Dated<Registration>>>,
}

/// What slices know of agents.
pub(super) type KnownAgents = HashMap<Key, Known, RandomState>;

impl Engine {
    /// Takes in what a person said; the same record given again does nothing. A verdict is applied as
    /// [`Engine::verdict`] does; settings are for whoever runs the engine and change nothing here.
    pub fn control(&mut self, record: &ControlRecord, out: &mut Vec<Output>) {
        if let Control::Verdict(verdict) = &record.kind {
            return self.verdict(verdict, out);
        }
        let Some(subject) = record.subject() else { return };
        let kept = match subject.one_agent() {
            Some((agent_id, tenant)) => {
                let agent = self.agent(tenant.as_deref(), &agent_id);
                // A slice that sleeps was saved with it.
                self.slices.get_mut(slice_of(agent)).map_or(Kept::NoRoom, |slice| match slice.asleep {
                    true => Kept::Yes,
                    false => slice.note(agent, record),
                })
            }
            None => self.change_registry(|registry| registry.note(record)),
        };
        let no_room = kept == Kept::NoRoom;
        let registers = matches!(record.kind, Control::Registration(_)) && !no_room;
        if no_room || registers && !self.registry.is_in_use {
            self.change_registry(|registry| {
                registry.refused += u64::from(no_room);
                registry.is_in_use |= registers;
            });
        }
    }

    /// Takes in a record if it is about a group of agents: what is about one agent is saved with it, but that there is a
    /// registry.
    pub fn control_of_groups(&mut self, record: &ControlRecord) {
        let Some(subject) = record.subject() else { return };
        if subject.one_agent().is_none() {
            self.control(record, &mut Vec::new());
        } else if matches!(record.kind, Control::Registration(_)) && !self.registry.is_in_use {
            self.change_registry(|registry| registry.is_in_use = true);
        }
    }

    /// Control records for which there was no room.
    pub fn refused_records(&self) -> u64 {
        self.registry.refused
    }

    /// Changes the registry, which all slices read.
    fn change_registry<T>(&mut self, change: impl FnOnce(&mut Registry) -> T) -> T {
        // Nobody else holds it then: it is not copied.
        self.slices.iter_mut().for_each(|slice| slice.registry = Arc::default());
        let changed = change(Arc::make_mut(&mut self.registry));
        self.read_registry();
        changed
    }

    /// Every slice reads the registry.
    pub(super) fn read_registry(&mut self) {
        self.slices.iter_mut().for_each(|slice| slice.registry = Arc::clone(&self.registry));
    }

    /// Findings that were not told because of maintenance, a suppression or a declared change.
    pub fn held_back(&self) -> u64 {
        self.slices.iter().map(|slice| slice.held_back).sum()
    }
}

impl Registry {
    fn note(&mut self, record: &ControlRecord) -> Kept {
        let kept = self.records.apply(record, MOST_OF_GROUPS);
        self.changes += u64::from(kept == Kept::Yes);
        kept
    }
}

impl Slice {
    /// Notes a record about one agent of the slice.
    fn note(&mut self, agent: Key, record: &ControlRecord) -> Kept {
        let most = 4 * self.agents.capacity().max(FEWEST_KNOWN);
        if self.known.len() >= most && !self.known.contains_key(&agent) {
            return Kept::NoRoom;
        }
        let known = self.known.entry(agent).or_default();
        known.found = None;
        known.records.apply(record, MOST_OF_ONE)
    }
}

/// What is known of the agent of a call, brought up to date; none where no record can be about it.
pub(super) fn look_up<'k>(
    version: &Version,
    registry: &Registry,
    known: &'k mut KnownAgents,
    watched: &Watched,
    call: &Call<'_, '_>,
) -> Option<&'k mut Known> {
    let groups = registry.records.follows_agents() || registry.is_in_use && version.settings.registry.require;
    let known = match groups {
        true => known.entry(watched.key).or_default(),
        false if known.is_empty() => return None,
        false => known.get_mut(&watched.key)?,
    };
    let under = (registry.changes, call.agent_type);
    if known.found.as_ref().is_none_or(|found| found.under != under) {
        let event = call.event;
        let (agent_id, agent_type, tenant) = (&*event.agent_id, event.agent_type(), event.tenant.as_deref());
        let own = known.records.registration(agent_id, agent_type, tenant);
        let registration = own.or_else(|| registry.records.registration(agent_id, agent_type, tenant));
        known.found = Some(Found { under, registration: registration.cloned() });
    }
    Some(known)
}

impl Known {
    /// From now on watched time is counted from another instant: what was at `t` is at `t + by_ms`.
    pub fn shift(&mut self, by_ms: i64) {
        self.seen = self.seen.map(|seen| seen.saturating_add(by_ms));
        self.found = None;
    }

    /// Whether the agent was ever seen here.
    #[cfg(test)]
    pub fn was_seen(&self) -> bool {
        self.seen.is_some()
    }

    /// Whether the agent was seen here later than by `other`. In watched time of one clock.
    pub fn saw_later_than(&self, other: &Self) -> bool {
        self.seen > other.seen
    }

    /// What the detector is told of the agent.
    ///
    /// * `at`: the instant of the call. Watched milliseconds.
    pub fn standing<'s>(&'s self, version: &Version, registry: &'s Registry, at: i64) -> Standing<'s> {
        Standing {
            registration: self.registration(),
            is_required: registry.is_in_use && version.settings.registry.require,
            silent_ms: self.seen.map(|seen| at.saturating_sub(seen)),
            version: self.version.as_deref(),
            records: [Some(&self.records), Some(&registry.records)],
        }
    }

    /// The agent's registration, as of its latest event.
    pub fn registration(&self) -> Option<&Registration> {
        self.found.as_ref()?.registration.as_deref().map(|dated| &dated.what)
    }

    /// Begins the agent's own baseline anew when it acts under a declared change for the first time.
    pub fn change(
        &mut self,
        version: &Version,
        registry: &Registry,
        watched: &mut Watched,
        call: &Call<'_, '_>,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let standing = self.standing(version, registry, now.at);
        let Some(change) = standing.change(call.event, now.time) else { return };
        let known = self.changed.iter().position(|(id, _)| **id == *change.id);
        let (id, ends) = (change.id.as_str().into(), change.until);
        if let Some(place) = known {
            if let Some((_, until)) = self.changed.get_mut(place) {
                *until = ends;
            }
            return;
        }
        let told = rebaselined(change, standing.expected_version(), watched, call);
        self.changed.retain(|(_, until)| now.time < *until);
        if self.changed.len() >= MOST_OF_ONE {
            self.changed.remove(0);
        }
        self.changed.push((id, ends));
        // Who has no past yet has nothing to put behind it.
        if watched.events > 0 {
            let (left, by) = STAYS;
            watched.familiar.discount(by);
            watched.rate.discount(left);
            watched.failure.0.discount(left);
            out.push(told);
        }
    }

    /// Notes what the agent was seen as.
    pub fn see(&mut self, call: &Call<'_, '_>, at: i64) {
        self.seen = Some(self.seen.map_or(at, |seen| seen.max(at)));
        if let Some(version) = call.event.agent_version.as_deref()
            && self.version.as_deref() != Some(version)
        {
            self.version = Some(version.into());
        }
    }
}

fn rebaselined(
    change: &Dated<DeclaredChange>,
    before: Option<&str>,
    watched: &Watched,
    call: &Call<'_, '_>,
) -> Output {
    let before = change.from_version.as_deref().or(before).filter(|before| *before != change.to_version);
    Output::Rebaselined(Box::new(Rebaselined {
        schema: REBASELINED_SCHEMA.to_owned(),
        agent_id: watched.id.to_string(),
        tenant: watched.kin.tenant.as_deref().map(str::to_owned),
        agent_type: call.event.agent_type().to_owned(),
        time: call.event.time,
        from_version: before.map(str::to_owned),
        to_version: change.to_version.clone(),
        until: change.until,
        control_id: change.id.clone(),
        by: change.by.clone(),
        reason: change.reason.clone(),
    }))
}

/// How much harm an agent could do, as it was registered; none: nobody registered it.
pub(super) fn registered_criticality(
    known: &KnownAgents,
    registry: &Registry,
    watched: &Watched,
) -> Option<Criticality> {
    let (id, name, tenant) = (&*watched.id, &*watched.kin.type_name, watched.kin.tenant.as_deref());
    // Looked up anew: the agent may have done nothing since it was registered, or since a restart.
    let own = known.get(&watched.key).and_then(|known| known.records.registration(id, name, tenant));
    let found = own.or_else(|| registry.records.registration(id, name, tenant));
    found.map(|registration| registration.what.criticality)
}

/// Whether the registration of an agent says that it can do great harm.
pub(super) fn is_critical(known: &KnownAgents, registry: &Registry, watched: &Watched) -> bool {
    registered_criticality(known, registry, watched) == Some(Criticality::High)
}

/// Forgets an agent that made room for others, but for what people said of it.
pub(super) fn forget(known: &mut KnownAgents, agent: Key) {
    if known.get(&agent).is_some_and(|known| known.records.is_empty()) {
        known.remove(&agent);
    }
}

impl Moment<'_, '_> {
    /// Holds the call against what was registered; facts are told beside the budget.
    pub fn judge_registry(
        &self,
        watched: &mut Watched,
        held: &mut SmallVec<[HeldFinding; 1]>,
        out: &mut Vec<Output>,
    ) {
        let Some(standing) = &self.standing else { return };
        let now = self.now.of_event(self.call.event.time);
        let mut facts = SmallVec::new();
        let settings = &self.version.settings.registry;
        standing.judge(self.call.event, self.call.verb, now.time, settings, &mut facts);
        if facts.is_empty() {
            return;
        }
        for fact in facts {
            match self.excuse(Family::Registry, fact.kind(), now.time) {
                Some(excuse) => {
                    held.push(self.held_fact(Family::Registry, fact.kind(), fact.name(), &excuse));
                }
                None => self.tell_fact(watched, standing, fact, now, out),
            }
        }
        watched.settle_because(Cause::Registry, self.version, now, out);
    }

    fn tell_fact(
        &self,
        watched: &mut Watched,
        standing: &Standing<'_>,
        fact: Fact,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let (kind, level) = (fact.kind(), fact.level());
        let bits = FIXED_BITS.get(level as usize).copied().unwrap_or(0.0);
        let mut parts = [0.0; Detector::COUNT];
        if let Some(part) = parts.get_mut(Detector::Registry as usize) {
            *part = 1.0;
        }
        let unit = self.vocabulary.identity().of(fact.name());
        watched.risk_mut().add(&Finding { unit, p: (-bits).exp2(), parts, kind, key: unit }, now.at);
        let is_told = |open: &&mut super::watched::OpenAlert| {
            open.family == Family::Registry && &*open.about == fact.name()
        };
        // The same fact, call after call: the alert stays open, and nothing is written.
        if let Some(open) = watched.open.iter_mut().find(is_told) {
            open.hold.touch(level, now.at);
            return;
        }
        let days = |ms: i64| ms as f64 / DAY_MS as f64;
        let (observed, expected, in_units) = match fact {
            Fact::Dormant => (
                days(standing.silent_ms.unwrap_or_default()),
                self.version.settings.registry.dormant_days,
                "days in which it did nothing",
            ),
            _ => (1.0, 0.0, "calls that were not registered"),
        };
        let call = self.call.event;
        let plain = Plain {
            family: Family::Registry,
            detector: Detector::Registry,
            kind,
            about: fact.name(),
            level,
            p: (1.0, 1.0),
            bits,
            observed,
            expected,
            unit: in_units,
            sentence: registry::sentence(fact, call, standing, super::explain::shown),
            evidence: Some(Evidence {
                event_id: call.event_id.as_deref().map(str::to_owned),
                time: call.time,
                action: call.action.to_string(),
                resources: call.resource.iter().map(|resource| resource.to_string()).collect(),
                call: 1,
                source: self.position.source,
                line: self.position.line,
                family: Family::Registry,
            }),
        };
        watched.tell_plain(self.version, now, self.now.time, plain, out);
    }
}
