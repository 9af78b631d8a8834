//! Whether what agents do can be seen at present, and what follows where it cannot.
//!
//! Knows which agents have a risk that somebody reads. Must not know how blindness is noticed.

use super::clock::Now;
use super::output::Output;
use super::slice::Slice;
use super::version::Version;
use super::{Engine, slice_of};
use crate::event::AuditEvent;
use crate::identity::Key;
use crate::risk::{Blindness, Cause};

impl Engine {
    /// Why what its agents do cannot be seen at present; none where it can.
    pub fn blindness(&self) -> Option<Blindness> {
        self.member.as_ref().and_then(|member| member.blindness)
    }

    /// From now on what its agents do cannot be seen, or can be again: their levels stay, and do not fall while events are
    /// missing. Nothing is told by that; see [`Engine::tell_sight`]. Linear in the agents. For the engine of a partition; of
    /// any other nothing happens.
    pub fn set_blindness(&mut self, blindness: Option<Blindness>) {
        let Some(member) = &mut self.member else { return };
        member.blindness = blindness;
        self.slices.iter_mut().filter(|slice| !slice.asleep).for_each(|slice| slice.see(blindness));
    }

    /// Tells anew of every agent in some slices of which a risk was ever told, in the order of slices and keys: whether it
    /// can be seen has changed.
    ///
    /// * `slices`: one bit each.
    pub fn tell_sight(&mut self, slices: u64, out: &mut Vec<Output>) {
        let now = self.clock.now().unwrap_or_default();
        let these =
            self.slices.iter_mut().zip(0..).filter(|(slice, at)| !slice.asleep && slices >> at & 1 == 1);
        these.for_each(|(slice, _)| slice.tell_sight(&self.version, now, out));
    }

    /// The slice to which the agent of an event belongs.
    pub(crate) fn slice_of(&self, event: &AuditEvent<'_>) -> usize {
        slice_of(self.agent(event.tenant.as_deref(), &event.agent_id))
    }

    /// Agents in a slice.
    pub fn agents_in(&self, slice: usize) -> usize {
        self.slices.get(slice).map_or(0, |slice| slice.agents.len())
    }
}

impl Slice {
    /// Notes whether what its agents do can be seen. Linear in the agents, if that changes.
    pub(super) fn see(&mut self, blindness: Option<Blindness>) {
        self.misses_events = blindness.is_some_and(Blindness::misses_events);
        let blind = blindness.is_some();
        if std::mem::replace(&mut self.blind, blind) == blind {
            return;
        }
        self.agents.iter_mut().for_each(|watched| watched.blind = blind);
    }

    /// Tells of the agents of which a risk was told before, in the order of their keys.
    fn tell_sight(&mut self, version: &Version, now: Now, out: &mut Vec<Output>) {
        let mut told: Vec<Key> =
            self.agents.iter().filter(|watched| watched.seq > 0).map(|watched| watched.key).collect();
        told.sort_unstable();
        for agent in told {
            let Some(watched) = self.agents.find(agent).and_then(|slot| self.agents.get_mut(slot)) else {
                continue;
            };
            watched.tell_level(version, now.of(now.time), Cause::Monitoring, out);
        }
    }
}
