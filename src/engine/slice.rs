//! One of the 64 parts of the state: agents by identity hash, and what they have taught since the last version.
//!
//! Knows its own agents. Must not know other slices, nor write the version: whoever owns a slice judges its agents.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::Settings;
use super::clock::Now;
use super::fleet_shift::Moved;
use super::forgotten::{Loss, Stub};
use super::kin::{Kin, Kindred};
use super::output::{ClosedCounts, ClosedUnit, Output};
use super::registry::{KnownAgents, Registry};
use super::unit::{Spare, Unit};
use super::version::Version;
use super::watched::{NEVER, Watched};
use crate::assess::budget::Counted;
use crate::baseline::learning::Delta;
use crate::baseline::store::Store;
use crate::detect::Call;
use crate::detect::vocabulary::Vocabulary;
use crate::identity::Key;
use crate::risk::Verdict;
use crate::stats::recent::Recent;
use crate::time::EventTime;

/// Parts of the state.
pub const SLICES: usize = 64;
/// Types that a slice meets before they are in the version; agents of types beyond are of [`OTHERS`]. What is kept of one is some
/// kilobytes, and its name costs whoever makes it up nothing.
const NEW_TYPES: usize = 256;
/// The type of agents whose own is one too many.
const OTHERS: &str = "~others";
/// Events that a slice remembers at least, to know duplicates.
const REMEMBERED_EVENTS: usize = 1 << 14;
/// Verdicts that a slice knows when they are given again.
const REMEMBERED_VERDICTS: usize = 1 << 8;

/// Something said when time passed, with the instant and the agent: what is said together is put in this order.
pub(super) type Said = (EventTime, Key, Output);

/// A part of the state.
#[derive(Debug)]
pub(super) struct Slice {
    pub vocabulary: Vocabulary,
    pub agents: Store<Watched>,
    pub types: HashMap<Key, OfType, RandomState>,
    /// Types and tenants of its agents.
    pub kindred: Kindred,
    /// What is left of agents that made room.
    pub stubs: HashMap<Key, Stub, RandomState>,
    /// Verdicts on agents that were never met.
    pub pending: HashMap<Key, Vec<Verdict>, RandomState>,
    /// What people said of agents, and what those were seen as.
    pub known: KnownAgents,
    /// Agents whose level may fall, by watched time.
    pub timers: BTreeSet<(i64, Key)>,
    /// Events with an id met lately.
    pub met: Recent,
    /// Verdicts that took effect lately: given again, they do nothing.
    pub decided: Recent,
    pub duplicates: u64,
    /// Findings that a person declared safe.
    pub suppressed: u64,
    /// Findings that maintenance, a suppression or a declared change kept quiet.
    pub held_back: u64,
    /// Used while units close, kept for its memory.
    pub ended: Vec<Unit>,
    /// Units that end in an hour's turn, with deadline and agent, kept for its memory.
    pub turning: Vec<(EventTime, Key, Unit)>,
    /// Memory of used units.
    pub spare: Spare,
    /// Units that have closed, where somebody wants to know; none where nobody does.
    pub closed: Option<Vec<ClosedUnit>>,
    /// How many have closed since it was made or put back.
    pub closed_counts: ClosedCounts,
    /// Whether what happens now has happened to it already: it was saved later than the slices beside it.
    pub asleep: bool,
    /// Whether what its agents do cannot be seen at present.
    pub blind: bool,
    /// Whether events are missing at present, so that how many there are says nothing.
    pub misses_events: bool,
    /// What people said of groups of agents; the same in all slices.
    pub registry: Arc<Registry>,
    /// Where agents that are new begin to count alerts and risk updates.
    pub count_from: u64,
    /// Whether agents were lost of which nothing is left.
    pub lost: Loss,
    /// Hash of the configuration under which levels are told.
    pub told_under: String,
}

/// The keys by which an event is placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub agent: Key,
    /// Key of its id, if it has one.
    pub event: Option<Key>,
    /// Key under which the event is known to have been met, if it has an id.
    pub met: Option<Key>,
}

/// What the agents of one type in one slice have done since the last look.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OfType {
    /// Its name, as its events give it.
    pub name: Arc<str>,
    pub delta: Delta,
    pub counted: Counted,
    pub moved: Vec<Moved>,
}

impl OfType {
    /// A type that has done nothing.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), delta: Delta::new(name), counted: Counted::default(), moved: Vec::new() }
    }

    /// What was learned and counted since it was taken out last, if there is any.
    pub fn take(&mut self) -> Option<Self> {
        let (counted, moved) = (std::mem::take(&mut self.counted), std::mem::take(&mut self.moved));
        let is_changed = self.delta.is_changed() || counted != Counted::default();
        is_changed.then(|| Self { name: Arc::clone(&self.name), delta: self.delta.take(), counted, moved })
    }
}

/// The name of the type under which a call is judged.
pub(super) fn type_name<'e>(vocabulary: &Vocabulary, call: &Call<'e, '_>) -> &'e str {
    let own = call.event.agent_type();
    if call.agent_type == vocabulary.identity().of(own) { own } else { OTHERS }
}

impl OfType {
    /// Whether nothing would be lost with it.
    fn is_bare(&self) -> bool {
        self.delta.is_bare() && self.counted == Counted::default() && self.moved.is_empty()
    }
}

impl Slice {
    /// Forgets types of which nothing is known here, nor in the version, and that no agent here is of, once there are too many.
    pub fn forget_types(&mut self, version: &Version) {
        self.kindred.forget_unused();
        if self.types.len() > NEW_TYPES / 2 {
            let used: HashSet<Key, RandomState> =
                self.agents.iter().map(|watched| watched.kin.agent_type).collect();
            self.types.retain(|key, of_type| {
                used.contains(key) || version.of(*key).is_some() || !of_type.is_bare()
            });
        }
    }

    /// An empty slice.
    pub fn new(settings: &Settings) -> Self {
        Self {
            vocabulary: Vocabulary::new(settings.identity.clone(), settings.lexicon.clone()),
            agents: Store::new(settings.max_agents.div_ceil(SLICES)),
            types: HashMap::default(),
            kindred: Kindred::default(),
            stubs: HashMap::default(),
            pending: HashMap::default(),
            known: HashMap::default(),
            timers: BTreeSet::new(),
            met: Recent::new(REMEMBERED_EVENTS),
            decided: Recent::new(REMEMBERED_VERDICTS),
            duplicates: 0,
            suppressed: 0,
            held_back: 0,
            ended: Vec::new(),
            turning: Vec::new(),
            spare: Spare::default(),
            closed: None,
            closed_counts: ClosedCounts::default(),
            asleep: false,
            blind: false,
            misses_events: false,
            registry: Arc::default(),
            count_from: 0,
            lost: Loss::None,
            told_under: settings.config.clone(),
        }
    }

    /// From now on watched time is counted from another instant: what was at `t` is at `t + by_ms`.
    pub fn shift(&mut self, by_ms: i64) {
        self.timers.clear();
        for watched in self.agents.iter_mut() {
            watched.shift(by_ms);
            if watched.timer != NEVER {
                self.timers.insert((watched.timer, watched.key));
            }
        }
    }

    /// From now on other settings hold.
    pub fn heed(&mut self, settings: &Settings) {
        let (actions, arguments) = self.vocabulary.names();
        self.vocabulary = Vocabulary::new(settings.identity.clone(), settings.lexicon.clone());
        self.vocabulary.learn_names(&actions, &arguments);
        self.agents.set_capacity(settings.max_agents.div_ceil(SLICES));
    }

    /// Finds the agent, or begins to watch it; the agents seen longest ago make room for it.
    pub fn watch(
        &mut self,
        version: &Version,
        now: Now,
        agent: Key,
        call: &Call<'_, '_>,
        out: &mut Vec<Output>,
    ) -> usize {
        let event = call.event;
        let seen = now.believed(event.time);
        if let Some(slot) = self.agents.find(agent) {
            return slot;
        }
        if self.agents.is_full() {
            self.make_room(version, now, out);
        }
        let stub = self.stubs.remove(&agent);
        let name = type_name(&self.vocabulary, call);
        let of_type = self.of_type(call.agent_type, name);
        if !version.frozen {
            of_type.delta.agent(agent, stub.is_none());
        }
        let kin = Kin {
            agent_type: call.agent_type,
            type_name: (*of_type.name).into(),
            tenant: event.tenant.as_deref().map(Into::into),
        };
        let kin = self.kindred.shared(kin);
        let mut watched = Watched::new(agent, &event.agent_id, kin, now.of(seen).at);
        let may_be_lost = self.may_be_lost(now.of(seen).at);
        watched.remember(stub, self.count_from, may_be_lost);
        watched.blind = self.blind;
        if stub.is_some_and(|stub| stub.confirmed) {
            watched.confirm_again(version, now.of(seen), now.time, out);
        }
        let slot = self.agents.insert(watched);
        for verdict in self.pending.remove(&agent).into_iter().flatten() {
            self.apply(version, now, agent, &verdict, out);
        }
        slot
    }

    /// A call is judged under its agent's type, where that is known or can still be learned.
    pub fn place(&self, version: &Version, call: &mut Call<'_, '_>) {
        let is_known = || self.types.contains_key(&call.agent_type) || version.of(call.agent_type).is_some();
        if self.types.len() >= NEW_TYPES && !is_known() {
            call.agent_type = self.vocabulary.identity().of(OTHERS);
        }
    }

    /// What the slice keeps of a type.
    pub fn of_type(&mut self, agent_type: Key, name: &str) -> &mut OfType {
        self.types.entry(agent_type).or_insert_with(|| OfType::new(name))
    }

    /// Whether this event was judged already; remembers it.
    pub fn is_duplicate(&mut self, arrival: Arrival) -> bool {
        let duplicate = arrival.met.is_some_and(|key| !self.met.insert(key));
        self.duplicates += u64::from(duplicate);
        duplicate
    }

    /// Fetches where the agent of an event lies, and whether the event was met.
    pub fn fetch_index(&self, arrival: Arrival) {
        self.met.fetch(arrival.met.into_iter());
        self.agents.fetch(arrival.agent);
    }

    /// Fetches the agent of an event. Its index should be near.
    pub fn fetch_agent(&self, arrival: Arrival) {
        std::hint::black_box(self.watched(arrival.agent).map(Watched::touch));
    }

    /// Fetches what the agent of an event points to. The agent should be near.
    pub fn fetch_course(&self, arrival: Arrival) {
        std::hint::black_box(self.watched(arrival.agent).map(Watched::touch_course));
    }

    fn watched(&self, agent: Key) -> Option<&Watched> {
        self.agents.get(self.agents.find(agent)?)
    }

    /// When the next level may fall. Watched milliseconds.
    pub fn next_timer(&self) -> Option<i64> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Lets levels fall whose time has come.
    pub fn fire_timers(&mut self, version: &Version, now: Now, said: &mut Vec<Said>) {
        self.tell_again(version, now, said);
        let until = now.watched(now.time);
        // A loss is a week old when a week has passed, whether or not anybody was met.
        self.may_be_lost(until);
        while let Some((due, agent)) = self.timers.first().copied().filter(|(due, _)| *due <= until) {
            self.timers.remove(&(due, agent));
            let Some(watched) = self.agents.find(agent).and_then(|slot| self.agents.get_mut(slot)) else {
                continue;
            };
            watched.timer = NEVER;
            let mut out = Vec::new();
            let then = now.instant(due);
            watched.settle(version, then, &mut out);
            Self::set_timer(&mut self.timers, version, watched, then.at);
            said.extend(out.into_iter().map(|output| (then.time, agent, output)));
        }
    }

    /// Tells the levels anew that hold an alert open, if the configuration under which they were told is another by now.
    fn tell_again(&mut self, version: &Version, now: Now, said: &mut Vec<Said>) {
        if self.told_under == version.settings.config {
            return;
        }
        self.told_under.clone_from(&version.settings.config);
        let (mut out, then) = (Vec::new(), now.of(now.time));
        for watched in self.agents.iter_mut() {
            watched.tell_again(version, then, &mut out);
            let agent = watched.key;
            Self::set_timer(&mut self.timers, version, watched, then.at);
            said.extend(out.drain(..).map(|output| (then.time, agent, output)));
        }
    }

    /// Looks at the level of an agent when it may fall next, when an alert may close, or when a higher level may be told.
    ///
    /// * `at`: the instant. Watched milliseconds.
    pub fn set_timer(timers: &mut BTreeSet<(i64, Key)>, version: &Version, watched: &mut Watched, at: i64) {
        let next = [watched.due(), watched.next_lapse(at), watched.uncapped_at(version)];
        let due = next.into_iter().flatten().min().unwrap_or(NEVER);
        if due == watched.timer {
            return;
        }
        timers.remove(&(watched.timer, watched.key));
        watched.timer = due;
        if due != NEVER {
            timers.insert((due, watched.key));
        }
    }
}
