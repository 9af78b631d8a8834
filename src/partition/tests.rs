//! Histories of a partition: whatever fails when, what is told is what one run without failures tells.
//!
//! The broker here is a list of records, a map of state and one committed position, all of which change together or not at
//! all. What a real broker does is tested elsewhere.

mod damage;
mod outage;
mod shedding;
mod sight;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as TestConfig, TestRunner};

use super::*;
use crate::config::Config;
use crate::control::{Control, ControlRecord, EngineSettings};
use crate::risk::{Decision, Verdict};
use crate::simulate::{Scenario, SimulatedEvent, Simulation};
use crate::time::EventTime;
use crate::wire::control;

const PACE: Pace = Pace { events: 40, every_ms: i64::MAX };

/// Records, and versions of what is normal that were minted from them before.
struct World {
    values: Vec<(i64, Vec<u8>)>,
    versions: Vec<Arc<Version>>,
    /// The same under other settings.
    others: Vec<Arc<Version>>,
    agent_ids: Vec<String>,
}

impl Common for World {
    fn version(&self, number: u64, control: i64) -> Option<Arc<Version>> {
        let versions = if control > SETTINGS_AT { &self.others } else { &self.versions };
        versions.iter().find(|version| version.number() == number).map(Arc::clone)
    }

    fn control(&self, _: i64) -> Vec<Arc<str>> {
        Vec::new()
    }
}

/// One version and nothing else.
struct Alone(Arc<Version>);

impl Common for Alone {
    fn version(&self, _: u64, _: i64) -> Option<Arc<Version>> {
        Some(Arc::clone(&self.0))
    }

    fn control(&self, _: i64) -> Vec<Arc<str>> {
        Vec::new()
    }
}

/// A partition that has judged nothing yet, by the version that alone there is.
fn begun(settings: PartitionSettings, version: Arc<Version>) -> Partition {
    let alone = Alone(Arc::clone(&version));
    restore(settings, &BTreeMap::new(), None, (0, i64::MAX), &alone, version).partition
}

fn engine_settings() -> Settings {
    Config::parse("[levels]\nobserve_first_days = 0", Path::new("")).unwrap().settings().unwrap()
}

/// Other settings hold for whoever has seen the control record at this offset.
const SETTINGS_AT: i64 = 1000;

fn other_settings() -> Settings {
    let text = "[agents]\nmax = 64\n[alerts]\nper_day = 50\n[levels]\nobserve_first_days = 0\n[[rules]]\nname = \"many calls\"\n\
                level = \"medium\"\ncount = { at_least = 6, within = \"15m\" }";
    Config::parse(text, Path::new("")).unwrap().settings().unwrap()
}

/// That they hold.
fn settings_record() -> String {
    let text = "[alerts]\nper_day = 50".to_owned();
    let sha256 = "8e2ebd248d9037c723d0f6003151f2f69ee04f2a47f84de0118f8b805e665a10".to_owned();
    let record = ControlRecord {
        time: EventTime(1_600_000_000_000),
        id: "settings".to_owned(),
        by: "someone".to_owned(),
        kind: Control::Settings(EngineSettings { sha256, text }),
    };
    control::encode(&record).unwrap()
}

fn settings(copies: Copies) -> PartitionSettings {
    PartitionSettings {
        engine: engine_settings(),
        number: 0,
        partitions: 1,
        topic: "agent-audit".to_owned(),
        copies,
    }
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let scenario = Scenario { agents: 12, days: 1.2, attack_share: 0.2, ..Scenario::default() };
        let simulated: Vec<_> = Simulation::new(&scenario).unwrap().take(1700).collect();
        let mut agent_ids: Vec<String> =
            simulated.iter().map(|simulated| simulated.event.agent_id.to_string()).collect();
        agent_ids.sort();
        agent_ids.dedup();
        let values: Vec<(i64, Vec<u8>)> = simulated.iter().zip(0..).flat_map(with_repeats).collect();
        let mut world = World { values, versions: Vec::new(), others: Vec::new(), agent_ids };
        let mut version = Version::new(engine_settings());
        world.versions.push(Arc::new(Version::new(engine_settings())));
        let mut engine = Engine::member(engine_settings(), Arc::new(Version::new(engine_settings())));
        for (time, value) in &world.values {
            let event = crate::wire::audit_event::decode(value).unwrap();
            engine.judge_records(&[(event, Default::default(), EventTime(*time))], &mut Vec::new());
            for part in engine.take_parts() {
                version.merge(part.boundary, &mut [part]);
                let bytes = version.save().unwrap();
                world.versions.push(Arc::new(Version::restore(engine_settings(), &bytes).unwrap()));
            }
        }
        for version in &world.versions {
            let bytes = version.save().unwrap();
            world.others.push(Arc::new(Version::restore(other_settings(), &bytes).unwrap()));
        }
        assert!(world.versions.len() > 3, "{}", world.versions.len());
        world
    })
}

/// An event, and after every fourth the same call by one of twelve agents that do nothing else.
fn with_repeats((simulated, number): (&SimulatedEvent, usize)) -> Vec<(i64, Vec<u8>)> {
    let time = simulated.event.time;
    let mut values = vec![(time.0, serde_json::to_vec(&simulated.event).unwrap())];
    if number % 4 == 1 {
        let agent_id = format!("poller-{}", number / 4 % 12);
        let poll = serde_json::json!({"schema": "tiltmeter.audit-event.v1", "time": time.to_string(),
            "event_id": format!("poll-{number}"), "agent_id": agent_id, "agent_type": "poller", "action": "poll"});
        values.push((time.0, serde_json::to_vec(&poll).unwrap()));
    }
    values
}

/// One thing that happens to the service.
#[derive(Clone, Debug)]
enum Step {
    Take(usize),
    Version(usize),
    Verdict(usize),
    /// Other settings hold from now on.
    Settings,
    Clock,
    Sight(Option<Blindness>),
    /// Of some agents it is told that they cannot be seen any more, or can be again.
    TellSight,
    /// There is too much: of repeats one in so many is judged; or no more, with 0.
    Repeats(u32),
    /// There is far too much: so many records are left out.
    Overtake(i64),
    Commit,
    /// The commit is not written, and it is noticed.
    CommitFails,
    /// The commit is written, but nobody hears of it.
    CommitUnheard,
    /// It is given up in peace: all is saved.
    HandOver,
    /// The process ends.
    Crash,
    /// The process ends after the commit was written.
    CrashUnheard,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1usize..160).prop_map(Step::Take),
        1 => (0usize..100).prop_map(Step::Version),
        1 => (0usize..100).prop_map(Step::Verdict),
        1 => Just(Step::Settings),
        1 => Just(Step::Clock),
        1 => proptest::option::of(proptest::sample::select(&Blindness::ALL[..])).prop_map(Step::Sight),
        1 => Just(Step::TellSight),
        2 => prop_oneof![2 => 2u32..12, 1 => Just(0)].prop_map(Step::Repeats),
        1 => (0i64..90).prop_map(Step::Overtake),
        4 => Just(Step::Commit),
        1 => Just(Step::CommitFails),
        1 => Just(Step::CommitUnheard),
        1 => Just(Step::HandOver),
        2 => Just(Step::Crash),
        1 => Just(Step::CrashUnheard),
    ];
    proptest::collection::vec(step, 10..60)
}

/// What is left out of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flaw {
    None,
    /// A slice is given what had happened to it when it was saved.
    NobodySleeps,
    /// What could not be written is not written again.
    NotWrittenAgain,
    /// Pins are decided but not written down.
    PinsIgnored,
    /// What was learned is handed over though the commit with it failed.
    PartsApart,
    /// What repeats what is forgotten at a restart.
    RepeatsForgotten,
    /// The state is read before the last commit in it can be seen.
    RestoredTooEarly,
}

/// The broker.
#[derive(Default)]
struct Broker {
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    before: BTreeMap<Vec<u8>, Vec<u8>>,
    committed: Option<Position>,
    told: Vec<Outgoing>,
    /// How often it was restored from.
    restores: Cell<usize>,
}

impl Broker {
    fn write(&mut self, commit: &Commit) {
        self.before = self.state.clone();
        for record in &commit.state {
            match &record.value {
                Some(value) => self.state.insert(record.key.clone(), value.clone()),
                None => self.state.remove(&record.key),
            };
        }
        self.told.extend(commit.outputs.iter().cloned());
        self.committed = Some(commit.position);
    }

    fn restore(&self, flaw: Flaw) -> Partition {
        let mut state = if flaw == Flaw::RestoredTooEarly { self.before.clone() } else { self.state.clone() };
        if flaw == Flaw::PinsIgnored {
            state.retain(|key, _| !key.starts_with(b"pin"));
        }
        // Others go on meanwhile, and what they learn makes new versions.
        let newest = Arc::clone(&world().versions[self.restores.get() % world().versions.len()]);
        self.restores.set(self.restores.get() + 1);
        let end = world().values.len() as i64;
        let Restored { mut partition, .. } =
            restore(settings(Copies::One), &state, self.committed, (0, end), world(), newest);
        if flaw == Flaw::NobodySleeps {
            let oldest = partition.position;
            partition.saved.iter_mut().for_each(|saved| saved.as_of = oldest);
        }
        if flaw == Flaw::RepeatsForgotten {
            partition.repeats.iter_mut().for_each(|repeats| *repeats = Repeats::default());
        }
        partition
    }
}

fn take(partition: &mut Partition, count: usize) {
    let from = partition.next_offset();
    // Offsets of some records are missing, as where a transaction ended.
    let records: Vec<Incoming<'_>> = world()
        .values
        .iter()
        .zip(0i64..)
        .filter(|(_, offset)| *offset >= from && offset % 97 != 13)
        .take(count)
        .map(|((time, value), offset)| Incoming {
            offset,
            timestamp_ms: *time,
            key: None,
            value: (offset % 211 != 5).then_some(value.as_slice()),
        })
        .collect();
    partition.take(&records, world()).unwrap();
}

/// To the last record, wherever the takes before have ended.
fn take_the_rest(partition: &mut Partition) {
    let mut before = -1;
    while partition.next_offset() > before {
        before = partition.next_offset();
        take(partition, 300);
    }
}

fn verdict(number: usize, at: i64) -> Pin {
    let decisions =
        [Decision::ConfirmCompromised, Decision::ConfirmSafe, Decision::Dismiss, Decision::Accept];
    let verdict = Verdict {
        time: EventTime(1_600_000_000_000),
        agent_id: world().agent_ids[number % world().agent_ids.len()].clone(),
        tenant: None,
        verdict: decisions[number % 4],
        by: "someone".to_owned(),
        reason: number.to_string(),
    };
    let record = ControlRecord {
        time: verdict.time,
        id: number.to_string(),
        by: verdict.by.clone(),
        kind: Control::Verdict(verdict),
    };
    let json = control::encode(&record).unwrap();
    assert!(control::decode(json.as_bytes()).is_ok(), "{json}");
    Pin::Control { at, json }
}

/// A history; returns what was told, where it ended, and all pins.
fn run(steps: &[Step], flaw: Flaw) -> (Broker, Vec<(Position, Pin)>, Partition) {
    let mut broker = Broker::default();
    let mut partition = broker.restore(flaw);
    let mut pins: Vec<(Position, Pin)> = Vec::new();
    for step in steps {
        // Nobody decides anything before what was told is reached again.
        while partition.is_muted() {
            let before = partition.position();
            take(&mut partition, 500);
            if partition.position() == before {
                break;
            }
        }
        let mut decide = |partition: &mut Partition, pin: Pin| {
            pins.push((partition.position(), pin.clone()));
            partition.pin(pin, world()).unwrap();
        };
        match step {
            Step::Take(count) => take(&mut partition, *count),
            Step::Version(number) => {
                let version = &world().versions[number % world().versions.len()];
                decide(&mut partition, Pin::Version(version.number()));
            }
            Step::Verdict(number) => {
                let at = partition.next_control();
                decide(&mut partition, verdict(*number, at));
            }
            Step::Settings => {
                let at = partition.next_control().max(SETTINGS_AT);
                decide(&mut partition, Pin::Control { at, json: settings_record() });
            }
            Step::Clock => {
                let latest = partition.latest_record().unwrap_or_default();
                decide(&mut partition, Pin::Clock(EventTime(latest + 400_000)));
            }
            Step::Sight(blindness) => decide(&mut partition, Pin::Sight(*blindness)),
            Step::Repeats(one_in) => decide(&mut partition, Pin::Repeats(*one_in)),
            Step::Overtake(records) => {
                let end = world().values.len() as i64;
                let until = (partition.next_offset() + records).min(end);
                decide(&mut partition, Pin::Overtake(until));
            }
            Step::TellSight => {
                let (before, at) = (partition.pins.len(), partition.position());
                partition.tell_sight(2, world()).unwrap();
                pins.extend(partition.pins.iter().skip(before).map(|(_, pin)| (at, pin.clone())));
            }
            Step::Commit => {
                if let Some(commit) = partition.commit(PACE, 0, false).unwrap() {
                    broker.write(&commit);
                }
            }
            Step::CommitFails => {
                if let Some(commit) = partition.commit(PACE, 0, false).unwrap() {
                    if flaw == Flaw::PartsApart {
                        let parts =
                            commit.outputs.iter().filter(|output| output.topic == Topic::BaselineParts);
                        broker.told.extend(parts.cloned());
                    }
                    if flaw != Flaw::NotWrittenAgain {
                        broker.write(&commit);
                    }
                }
            }
            Step::CommitUnheard => {
                if let Some(commit) = partition.commit(PACE, 0, false).unwrap() {
                    broker.write(&commit);
                    assert_eq!(broker.committed, Some(commit.position), "it is found that it was written");
                }
            }
            Step::HandOver => {
                if let Some(commit) = partition.commit(PACE, 0, true).unwrap() {
                    broker.write(&commit);
                }
                partition = broker.restore(flaw);
            }
            Step::Crash | Step::CrashUnheard => {
                if let (Step::CrashUnheard, Some(commit)) = (step, partition.commit(PACE, 0, false).unwrap())
                {
                    broker.write(&commit);
                }
                let stands = broker.committed.unwrap_or_default();
                pins.retain(|(position, _)| *position < stands);
                partition = broker.restore(flaw);
            }
        }
    }
    take_the_rest(&mut partition);
    if let Some(commit) = partition.commit(PACE, 0, true).unwrap() {
        broker.write(&commit);
    }
    (broker, pins, partition)
}

/// The same pins at the same places, in one run without failures.
fn undisturbed(pins: &[(Position, Pin)]) -> (Vec<Outgoing>, Partition) {
    let mut partition = Broker::default().restore(Flaw::None);
    partition.pins = pins.iter().cloned().collect();
    take_the_rest(&mut partition);
    let commit = partition.commit(PACE, 0, true).unwrap().unwrap();
    (commit.outputs, partition)
}

fn differs(steps: &[Step], flaw: Flaw) -> Option<String> {
    let (mut broker, pins, partition) = run(steps, flaw);
    let (mut expected, reference) = undisturbed(&pins);
    // Topics are apart: what is told first on two of them depends on how many records were taken at once.
    broker.told.sort_by_key(|record| record.topic);
    expected.sort_by_key(|record| record.topic);
    if broker.told != expected {
        let differing = broker.told.iter().zip(&expected).position(|(told, expected)| told != expected);
        let text = |told: &[Outgoing]| {
            let record = differing.and_then(|at| told.get(at));
            record.map(|r| {
                (r.topic, String::from_utf8_lossy(r.value.as_deref().unwrap_or_default()).into_owned())
            })
        };
        return Some(format!(
            "{} instead of {} records were told, from {differing:?} on others: {:?} instead of {:?}",
            broker.told.len(),
            expected.len(),
            text(&broker.told),
            text(&expected)
        ));
    }
    (0..SLICES)
        .find(|slice| {
            partition.engine.save_slice(*slice).unwrap() != reference.engine.save_slice(*slice).unwrap()
        })
        .map(|slice| format!("slice {slice} is another"))
}

proptest! {
    #![proptest_config(TestConfig { cases: 24, failure_persistence: None, ..TestConfig::default() })]
    #[test]
    fn whatever_fails_when_the_same_is_told_and_the_same_is_known(steps in steps()) {
        prop_assert_eq!(differs(&steps, Flaw::None), None);
    }
}

#[test]
fn without_any_one_part_of_the_protocol_histories_end_otherwise() {
    for flaw in [
        Flaw::NobodySleeps,
        Flaw::NotWrittenAgain,
        Flaw::PinsIgnored,
        Flaw::PartsApart,
        Flaw::RestoredTooEarly,
        Flaw::RepeatsForgotten,
    ] {
        let mut runner = TestRunner::deterministic();
        let found = (0..40).any(|_| {
            let steps = steps().new_tree(&mut runner).unwrap().current();
            let ended = std::panic::catch_unwind(|| differs(&steps, flaw));
            ended.map_or(true, |differs| differs.is_some())
        });
        assert!(found, "{flaw:?} is never noticed");
    }
}

#[test]
fn a_history_that_comes_to_the_last_record_in_another_step_ends_as_any_other() {
    use Step::{Commit, Crash, CrashUnheard, Take, Version};
    let steps =
        [Take(1), CrashUnheard, Take(1), Commit, Crash, Take(1), Commit, Crash, Version(0), Take(125)];
    assert_eq!(differs(&steps, Flaw::None), None);
}

#[test]
fn settings_hold_from_the_pin_on_also_when_it_is_repeated_and_after_it_was_deleted() {
    use Step::{Commit, Crash, Settings, Take};
    let mut all = vec![Take(300), Commit, Take(100), Settings, Take(200), Commit, Crash, Take(150), Commit];
    all.extend((0..40).flat_map(|_| [Take(41), Commit]));
    all.extend([Crash, Take(100), Commit]);
    assert_eq!(differs(&all, Flaw::None), None);
    let (broker, pins, partition) = run(&all, Flaw::None);
    assert_eq!(partition.config(), other_settings().config);
    assert!(pins.iter().any(|(_, pin)| matches!(pin, Pin::Control { .. })));
    let rule = |told: &Outgoing| {
        told.topic == Topic::Alerts
            && String::from_utf8_lossy(told.value.as_ref().unwrap()).contains("many calls")
    };
    assert!(broker.told.iter().any(rule), "nothing was judged by the new rule");
}

#[test]
fn a_verdict_right_after_a_restart_reaches_the_slices_that_were_saved_last() {
    use Step::{Commit, CommitUnheard, Crash, CrashUnheard, Take, Verdict};
    let saved = [Take(41), Commit, Take(40), Commit, Take(40), Commit, Take(57), Commit];
    let restarted = [Crash, CrashUnheard, Verdict(50), CommitUnheard];
    assert_eq!(differs(&[saved.to_vec(), restarted.to_vec()].concat(), Flaw::None), None);
}

#[test]
fn a_made_up_event_is_told_to_the_operator_and_to_nobody_else() {
    let mut partition = Broker::default().restore(Flaw::None);
    let made_up = |offset: i64, timestamp_ms: i64| (offset, timestamp_ms, canary(EventTime(timestamp_ms)));
    let all = [made_up(0, 1_000_000_000_000), made_up(1, 1_000_000_001_000), made_up(2, 1_000_003_600_000)];
    let records: Vec<Incoming<'_>> = all
        .iter()
        .map(|(offset, timestamp_ms, value)| Incoming {
            offset: *offset,
            timestamp_ms: *timestamp_ms,
            key: None,
            value: Some(value.as_bytes()),
        })
        .collect();
    partition.take(&records, world()).unwrap();
    let outputs = partition.commit(PACE, 0, false).unwrap().unwrap().outputs;
    assert_eq!(outputs.len(), 2, "one that comes at once after another is not told of: {outputs:?}");
    for output in outputs {
        assert_eq!((output.topic, output.key), (Topic::Status, canary_key(0).into_bytes()));
        let alert: crate::alert::Alert = serde_json::from_slice(&output.value.unwrap()).unwrap();
        assert_eq!((&*alert.agent_type, &*alert.subject.id), (CANARY, CANARY));
    }
    assert_eq!((partition.agents(), partition.counts().events), (0, 0));
}

#[test]
fn what_is_said_of_one_agent_waits_in_its_own_partition_alone() {
    let waiting = |number: i32| {
        let mut settings = settings(Copies::Two);
        (settings.number, settings.partitions) = (number, 4);
        let mut partition = begun(settings, Arc::clone(&world().versions[0]));
        for at in 0..8 {
            partition.pin(verdict(at, at as i64), world()).unwrap();
        }
        assert_eq!(partition.next_control, 8);
        partition.engine.waiting_verdicts()
    };
    let met: std::collections::BTreeSet<&String> =
        (0..8).map(|n| &world().agent_ids[n % world().agent_ids.len()]).collect();
    let waiting: Vec<usize> = (0..4).map(waiting).collect();
    assert_eq!(waiting.iter().sum::<usize>(), met.len(), "{waiting:?}");
}
