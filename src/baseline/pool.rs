//! What is normal for an agent type and for the fleet, as of one version.
//!
//! Knows votes of many agents. Must not know any single agent, and nothing of the running hour: what is
//! learned waits in a [`super::learning::Delta`] until the next version is minted.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::agent::KeySpace;
use super::failure::{self, FailureMoments, FailurePrior};
use super::rate::{self, PerScale, Scale};
use crate::finding::Family;
use crate::identity::Key;
use crate::stats::category::{PitmanYor, Table};
use crate::stats::decay::{Fade, Votes, as_votes};
use crate::stats::distinct::Distinct;
use crate::stats::quantile::Histogram;
use crate::stats::rate::{Moments, Prior};

/// Length classes of a unit that are told apart: stage 0 holds the first four events, each further one twice as many as the stage before.
pub const STAGES: usize = 12;

/// Half-life of what is known of keys and sequences. Days.
pub const KEYS_HALF_LIFE_DAYS: f64 = 45.0;
/// Half-life of what each type says only once: which actions follow each other, and where arguments come from, anywhere in
/// the fleet. Nobody says it again, so that it must outlive the releases of a year. Days.
pub const FLEET_HALF_LIFE_DAYS: f64 = 365.0;
/// Half-life of the peaks that calibrate. Days.
pub const PEAKS_HALF_LIFE_DAYS: f64 = 14.0;

/// Order of actions: strong discount, as in Kneser–Ney.
pub const SEQUENCE_LAW: PitmanYor = PitmanYor { discount: 0.75, strength: 0.5 };
/// Origins of arguments: few symbols.
pub const ORIGIN_LAW: PitmanYor = PitmanYor { discount: 0.5, strength: 2.0 };
/// Values of destination-like arguments: any number of symbols.
pub const VALUE_LAW: PitmanYor = PitmanYor { discount: 0.5, strength: 1.0 };
/// Resources, actions, destinations: any number of symbols.
pub const ACCESS_LAW: PitmanYor = PitmanYor { discount: 0.5, strength: 1.0 };

/// Cells of one table of a type. 24 to 64 bytes each, and as much again where the table has just grown.
const TYPE_CELLS: usize = 1 << 16;
/// Cells of the orders of actions of a type.
const SEQUENCE_CELLS: usize = 1 << 18;
/// Cells of one table of the fleet.
const FLEET_CELLS: usize = 1 << 18;

/// Peaks of many units: per stage how high they rose, and in which stage units ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeakSketch {
    /// Highest bits within each stage, of the units that reached it.
    pub stages: Vec<Histogram>,
    /// Units that ended in each stage.
    pub ends: [Votes; STAGES],
}

impl PeakSketch {
    /// Adds one unit: the cell of its peak in each stage it reached. An empty slice adds nothing.
    pub fn add(&mut self, peaks: &[u8]) {
        if self.stages.len() < peaks.len() {
            self.stages.resize_with(peaks.len().min(STAGES), Histogram::default);
        }
        for (stage, &cell) in self.stages.iter_mut().zip(peaks) {
            stage.add(cell);
        }
        if let Some(end) = peaks.len().checked_sub(1).and_then(|last| self.ends.get_mut(last)) {
            *end += crate::stats::decay::VOTE;
        }
    }

    /// Adds another sketch.
    pub fn merge(&mut self, other: &Self) {
        if self.stages.len() < other.stages.len() {
            self.stages.resize_with(other.stages.len(), Histogram::default);
        }
        for (to, from) in self.stages.iter_mut().zip(&other.stages) {
            to.merge(from);
        }
        for (to, from) in self.ends.iter_mut().zip(other.ends) {
            *to += from;
        }
    }

    /// Forgets everything but keeps the memory.
    pub fn clear(&mut self) {
        self.stages.clear();
        self.ends = [0; STAGES];
    }

    /// Lets everything fade.
    pub fn fade(&mut self, fade: Fade) {
        self.stages.iter_mut().for_each(|s| s.fade(fade));
        self.ends.iter_mut().for_each(|e| *e = fade.apply(*e));
    }
}

/// Everything that is calibrated of a type: a sketch per family, and the combined evidence of whole units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peaks {
    /// Per family, in the order of [`Family::ALL`].
    pub families: [PeakSketch; Family::COUNT],
    /// Combined evidence at the end of a unit: of the families of sessions, of those of hours, and of both together.
    pub evidence: [Histogram; 3],
}

impl Peaks {
    /// Adds another set of peaks.
    pub fn merge(&mut self, other: &Self) {
        for (to, from) in self.families.iter_mut().zip(&other.families) {
            to.merge(from);
        }
        for (to, from) in self.evidence.iter_mut().zip(&other.evidence) {
            to.merge(from);
        }
    }

    /// Forgets everything but keeps the memory.
    pub fn clear(&mut self) {
        self.families.iter_mut().for_each(PeakSketch::clear);
        self.evidence = Default::default();
    }

    fn fade(&mut self, fade: Fade) {
        self.families.iter_mut().for_each(|f| f.fade(fade));
        self.evidence.iter_mut().for_each(|e| e.fade(fade));
    }
}

/// How often agents act and are refused: what they said of it, and what is to be believed of one more of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Habits {
    /// What they said of how often they act.
    pub rates: PerScale<Moments>,
    /// What they said of refusals.
    pub failures: FailureMoments,
    /// How often one more of them would act, as of this version.
    pub rate_priors: PerScale<Prior>,
    /// How often one more would be refused, as of this version.
    pub failure_prior: FailurePrior,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            rates: PerScale::default(),
            failures: FailureMoments::default(),
            rate_priors: rate::SHIPPED,
            failure_prior: failure::SHIPPED,
        }
    }
}

impl Habits {
    /// Adds what others said. What is to be believed changes with [`Baselines::believe`].
    pub fn merge(&mut self, other: &Self) {
        for scale in Scale::ALL {
            self.rates.of_mut(scale).merge(other.rates.of(scale));
        }
        self.failures.merge(&other.failures);
    }

    fn fade(&mut self, fade: Fade) {
        Scale::ALL.into_iter().for_each(|scale| self.rates.of_mut(scale).fade(fade));
        self.failures.fade(fade);
    }

    /// What is to be believed of one more of `agents` agents, smoothed by what is believed in general.
    fn believe(&mut self, agents: f64, rates: &PerScale<Prior>, failures: &FailurePrior) {
        for scale in Scale::ALL {
            *self.rate_priors.of_mut(scale) = self.rates.of(scale).prior(agents, rates.of(scale));
        }
        self.failure_prior = self.failures.prior(agents, failures);
    }
}

/// What is normal for one agent type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TypeBaseline {
    /// Its name as the events give it.
    pub name: String,
    /// Orders of actions.
    pub sequence: Table,
    /// Origins of arguments by (action, argument).
    pub origins: Table,
    /// Values of destination-like arguments.
    pub values: Table,
    /// Resources, actions and destinations; one vote an agent.
    pub access: Table,
    /// Agents seen.
    pub agents: Distinct,
    /// How many they are, as of this version: counting a sketch takes a microsecond, too long for every key.
    pub agent_count: f64,
    /// Agents that were active lately, faded as their votes for keys are. Votes.
    pub active: Votes,
    /// Calls with arguments: those whose origins were known, and the others. Votes.
    pub provenance: [Votes; 2],
    /// How high units rose.
    pub peaks: Peaks,
    /// How often its agents act, and are refused.
    pub habits: Habits,
}

impl TypeBaseline {
    /// A baseline that knows nothing.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            sequence: Table::new(SEQUENCE_LAW, SEQUENCE_CELLS),
            origins: Table::new(ORIGIN_LAW, TYPE_CELLS),
            values: Table::new(VALUE_LAW, TYPE_CELLS),
            access: Table::new(ACCESS_LAW, TYPE_CELLS),
            agents: Distinct::default(),
            agent_count: 0.0,
            active: 0,
            provenance: [0; 2],
            peaks: Peaks::default(),
            habits: Habits::default(),
        }
    }

    /// Whether calls of this type usually say where their arguments came from.
    pub fn carries_provenance(&self) -> bool {
        let [known, unknown] = self.provenance;
        known > unknown
    }

    /// Sessions and hours learned, faded. Units.
    pub fn units(&self) -> [f64; 2] {
        [0, 1].map(|i| self.peaks.evidence.get(i).map_or(0.0, Histogram::count))
    }

    fn fade(&mut self, keys: Fade, peaks: Fade) {
        self.sequence.fade(keys);
        self.origins.fade(keys);
        self.values.fade(keys);
        self.access.fade(keys);
        self.active = keys.apply(self.active);
        self.provenance = self.provenance.map(|v| keys.apply(v));
        self.peaks.fade(peaks);
        self.habits.fade(keys);
    }
}

/// What is normal for all agents together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fleet {
    /// Which actions, and which pairs of actions, occur: one vote a type.
    pub sequence: Table,
    /// Origins of arguments in general, by verb class, by argument, by action and argument.
    pub origins: Table,
    /// Resources, actions and destinations; one vote an agent.
    pub access: Table,
    /// Agents seen.
    pub agents: Distinct,
    /// How many they are, as of this version: counting a sketch takes a microsecond, too long for every key.
    pub agent_count: f64,
    /// Agents that were active lately, faded as their votes for keys are. Votes.
    pub active: Votes,
    /// How often agents act, and are refused.
    pub habits: Habits,
}

/// A map in the order of its keys, so that equal maps are written alike.
pub(crate) mod sorted {
    use foldhash::fast::RandomState;
    use hashbrown::HashMap;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::identity::Key;

    pub fn serialize<T: Serialize, S: Serializer>(
        map: &HashMap<Key, T, RandomState>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut entries: Vec<(&Key, &T)> = map.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| **key);
        serializer.collect_seq(entries)
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<HashMap<Key, T, RandomState>, D::Error> {
        Ok(Vec::<(Key, T)>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// One version of what is normal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Baselines {
    /// Counts the versions; 0 knows nothing.
    pub version: u64,
    /// Day up to which counts have faded. Days since 1970; none before the first event.
    pub day: Option<i64>,
    /// All agents together.
    pub fleet: Fleet,
    /// Agent types by key.
    #[serde(with = "sorted")]
    pub types: HashMap<Key, TypeBaseline, RandomState>,
}

impl Default for Baselines {
    fn default() -> Self {
        Self {
            version: 0,
            day: None,
            fleet: Fleet {
                sequence: Table::new(SEQUENCE_LAW, FLEET_CELLS),
                origins: Table::new(ORIGIN_LAW, FLEET_CELLS),
                access: Table::new(ACCESS_LAW, FLEET_CELLS),
                agents: Distinct::default(),
                agent_count: 0.0,
                active: 0,
                habits: Habits::default(),
            },
            types: HashMap::default(),
        }
    }
}

impl Baselines {
    /// Lets everything fade up to a day (days since 1970).
    pub fn fade_to(&mut self, day: i64) {
        let days = self.day.map_or(0, |before| day - before);
        self.day = Some(self.day.map_or(day, |before| before.max(day)));
        if days <= 0 {
            return;
        }
        let (keys, peaks) = (Fade::after(days, KEYS_HALF_LIFE_DAYS), Fade::after(days, PEAKS_HALF_LIFE_DAYS));
        let once = Fade::after(days, FLEET_HALF_LIFE_DAYS);
        self.fleet.sequence.fade(once);
        self.fleet.origins.fade(once);
        self.fleet.access.fade(keys);
        self.fleet.active = keys.apply(self.fleet.active);
        self.fleet.habits.fade(keys);
        self.types.values_mut().for_each(|t| t.fade(keys, peaks));
    }

    /// Forgets types beyond the `most`: those of which the fewest units are known, ties by key.
    pub fn forget_types(&mut self, most: usize) {
        let beyond = self.types.len().saturating_sub(most);
        if beyond == 0 {
            return;
        }
        let units = |own: &TypeBaseline| own.units().iter().sum::<f64>();
        let mut known: Vec<(f64, Key)> = self.types.iter().map(|(key, own)| (units(own), *key)).collect();
        known.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (_, key) in known.into_iter().take(beyond) {
            self.types.remove(&key);
        }
    }

    /// Brings what is believed of rates and refusals up to what was said of them.
    pub fn believe(&mut self) {
        let fleet = &mut self.fleet;
        fleet.habits.believe(fleet.agent_count, &rate::SHIPPED, &failure::SHIPPED);
        for own in self.types.values_mut() {
            own.habits.believe(own.agent_count, &fleet.habits.rate_priors, &fleet.habits.failure_prior);
        }
    }

    /// What is believed of the rates and refusals of a type's agents.
    pub fn habits<'b>(&'b self, of: Option<&'b TypeBaseline>) -> &'b Habits {
        of.map_or(&self.fleet.habits, |own| &own.habits)
    }

    /// Share of the agents of a type that use a key, smoothed by the share of the fleet's; and the fleet's. In
    /// (0, 1).
    ///
    /// # Formula
    ///
    /// Beta–Binomial means with a prior worth one agent: s = (c + s_fleet)/(N + 1), s_fleet = (c_fleet + 1/100)/
    /// (N_fleet + 1) (Gelman et al., *Bayesian Data Analysis*, 3rd ed., §2.4). c counts the agents that use the key and N
    /// those that do anything; both fade and are renewed alike, so that neither an agent that is gone nor one that is not
    /// new any more makes a key rare.
    pub fn key_share(&self, of: Option<&TypeBaseline>, space: KeySpace, key: Key) -> (f64, f64) {
        let (own, fleet) = self.key_agents(of, space, key);
        let share = |users: f64, agents: f64, prior: f64| (users.min(agents) + prior) / (agents + 1.0);
        let fleet = share(fleet, as_votes(self.fleet.active), 0.01);
        (of.map_or(fleet, |t| share(own, as_votes(t.active), fleet)), fleet)
    }

    /// Agents of the type, and of the fleet, that used a key. Agents, faded.
    pub fn key_agents(&self, of: Option<&TypeBaseline>, space: KeySpace, key: Key) -> (f64, f64) {
        let own = of.map_or(0.0, |t| as_votes(t.access.votes(space.context(), key)));
        (own, as_votes(self.fleet.access.votes(space.context(), key)))
    }
}
