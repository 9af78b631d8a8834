//! The traffic of the benchmark: one seeded generator of audit events as a busy fleet would send them.
//!
//! Knows the audit event and random numbers. Must not know what is measured.

use std::collections::HashMap;

use memchr::memmem;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Zipf};
use tiltmeter::event::{Argument, AuditEvent, Origin, OriginForm, Outcome, Text, ValueClass, ValueHash};
use tiltmeter::time::{EventTime, HOUR_MS};

/// How unequal agents are: the share of the r-th busiest falls as r^−1.1.
const ZIPF: f64 = 1.1;
/// Agent types.
const TYPES: usize = AREAS.len() * ROLES.len();
const AREAS: [&str; 6] = ["ledger", "ticket", "deploy", "claim", "mailbox", "catalogue"];
const ROLES: [&str; 5] = ["helper", "reviewer", "operator", "planner", "auditor"];
const VERBS: [&str; 12] = [
    "get", "search", "read", "update", "list", "create", "send", "query", "pay", "export", "grant", "delete",
];
const ARGUMENTS: [(&str, ValueClass); 6] = [
    ("recipient", ValueClass::Email),
    ("account", ValueClass::Iban),
    ("url", ValueClass::Url),
    ("query", ValueClass::Phrase),
    ("body", ValueClass::Text),
    ("limit", ValueClass::Num),
];
/// Resources of one agent, out of those of its type.
const RESOURCES: u64 = 24;
const TYPE_RESOURCES: u64 = 600;
/// Destinations of one agent.
const DESTINATIONS: u64 = 12;
/// Mean events of a session.
const SESSION_EVENTS: f64 = 8.0;
/// Agents busier than this rank have several sessions open at once.
const PARALLEL_RANK: u64 = 100;
/// Where the text of the time stands in a line: `{"time":"` before it.
const TIME_AT: usize = 9;
/// 2026-01-05T08:00:00Z.
const START: EventTime = EventTime(1_767_600_000_000);
/// Events in an hour of event time, whatever the number of agents.
const EVENTS_PER_HOUR: i64 = 1_000_000;

/// What stands before the ids of events in a line.
const BEFORE_IDS: [&str; 2] = ["\"event_id\":\"", "\"origin_event\":\""];
/// Digits of the repetition at the start of every id of an event.
const REPETITION_DIGITS: usize = 4;

/// Lines of JSON, one audit event each, in order of time.
pub struct Traffic {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Where the ids of events begin in `bytes`.
    ids: Vec<usize>,
}

#[derive(Default)]
struct Session {
    id: u64,
    seq: u64,
    left: u32,
    action: usize,
}

impl Traffic {
    /// Makes `events` events of `agents` agents.
    pub fn new(agents: u32, events: usize, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let ranks = Zipf::new(f64::from(agents), ZIPF).expect("both are positive");
        let mut sessions: HashMap<(u64, u64), Session> = HashMap::new();
        let mut traffic = Self {
            bytes: Vec::with_capacity(events * 500),
            ends: Vec::with_capacity(events),
            ids: Vec::new(),
        };
        for number in 0..events {
            let agent = ranks.sample(&mut random) as u64 - 1;
            let lane = if agent < PARALLEL_RANK { random.random_range(0..6) } else { 0 };
            let session = sessions.entry((agent, lane)).or_default();
            if session.left == 0 {
                let left = 1 + (-SESSION_EVENTS * (1.0 - random.random::<f64>()).ln()) as u32;
                *session = Session { id: random.random(), left, ..Session::default() };
            }
            session.action = next_action(session.action, &mut random);
            let event = event(number, agent, session, &mut random);
            serde_json::to_writer(&mut traffic.bytes, &event).expect("memory takes everything");
            traffic.ends.push(traffic.bytes.len());
            traffic.note_ids();
            session.left -= 1;
            session.seq += 1;
        }
        traffic
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Mean length of an event. Bytes.
    pub fn mean_bytes(&self) -> f64 {
        self.bytes.len() as f64 / self.len() as f64
    }

    /// The lines from one place to another.
    pub fn lines(&self, from: usize, to: usize) -> impl Iterator<Item = &[u8]> {
        (from..to.min(self.len())).map(|i| &self.bytes[self.start(i)..self.ends[i]])
    }

    /// Notes where the last line names events.
    fn note_ids(&mut self) {
        let start = self.start(self.len() - 1);
        let line = &self.bytes[start..];
        for before in BEFORE_IDS {
            self.ids.extend(memmem::find_iter(line, before).map(|at| start + at + before.len()));
        }
    }

    /// Moves all times on, as if the same things happened again right after the last of them. The events have ids of
    /// their own in each repetition, or they would be dropped as known.
    pub fn repeat_later(&mut self, times: i64) {
        let span = self.len() as i64 * HOUR_MS / EVENTS_PER_HOUR + 1;
        for i in 0..self.len() {
            let time = time_of(i).plus_ms(times * span).to_string();
            let at = self.start(i) + TIME_AT;
            self.bytes[at..at + time.len()].copy_from_slice(time.as_bytes());
        }
        let repetition = format!("{times:0REPETITION_DIGITS$}");
        for &at in &self.ids {
            self.bytes[at..at + REPETITION_DIGITS].copy_from_slice(repetition.as_bytes());
        }
    }

    fn start(&self, i: usize) -> usize {
        if i == 0 { 0 } else { self.ends[i - 1] }
    }
}

fn time_of(number: usize) -> EventTime {
    START.plus_ms(number as i64 * HOUR_MS / EVENTS_PER_HOUR)
}

/// Most actions follow the one before, the others are chosen freely.
fn next_action(before: usize, random: &mut ChaCha8Rng) -> usize {
    if random.random_bool(0.7) { (before + 1) % VERBS.len() } else { random.random_range(0..VERBS.len()) }
}

fn event(number: usize, agent: u64, session: &Session, random: &mut ChaCha8Rng) -> AuditEvent<'static> {
    let kind = (agent % TYPES as u64) as usize;
    let (area, role) = (AREAS[kind % AREAS.len()], ROLES[kind / AREAS.len()]);
    let resource = spread(agent, random.random_range(0..RESOURCES)) % TYPE_RESOURCES;
    let text = |text: String| Some(Text::from(text));
    let arguments = if random.random_bool(1.0 / 3.0) {
        (0..random.random_range(1..=4)).map(|_| argument(agent, session, random)).collect()
    } else {
        Default::default()
    };
    AuditEvent {
        time: time_of(number),
        event_id: Some(event_id(session, session.seq)),
        tenant: text("northwind-trading".to_owned()),
        agent_id: Text::from(format!("{area}-{role}-{agent:07}")),
        agent_type: text(format!("{area}-{role}")),
        agent_version: None,
        instance_id: None,
        session_id: text(format!("{:016x}", session.id)),
        seq: Some(session.seq),
        action: Text::from(format!("{}_{area}", VERBS[session.action])),
        resource: text(format!("{area}.northwind.example/records/{resource:04}")),
        outcome: if random.random_bool(0.97) { Outcome::Ok } else { Outcome::Denied },
        bytes: Some(random.random_range(40..60_000)),
        count: None,
        source_ip: text(format!("10.{}.{}.{}", agent >> 16 & 255, agent >> 8 & 255, agent & 255)),
        location: text("DE".to_owned()),
        user_agent: None,
        credential_id: text(format!("credential-{:08x}", spread(agent, 0) as u32)),
        credential_type: None,
        credential_issued_at: None,
        on_behalf_of: None,
        delegated_by: None,
        decision: None,
        decision_key: None,
        attestation: None,
        arguments,
    }
}

/// The id of an event in the first of all repetitions.
fn event_id(session: &Session, seq: u64) -> Text<'static> {
    Text::from(format!("{:0REPETITION_DIGITS$}{:012x}-{seq:06}", 0, session.id >> 16))
}

fn argument(agent: u64, session: &Session, random: &mut ChaCha8Rng) -> Argument<'static> {
    let (name, class) = ARGUMENTS[random.random_range(0..ARGUMENTS.len())];
    let destination = matches!(class, ValueClass::Email | ValueClass::Iban | ValueClass::Url);
    let value =
        if destination { spread(agent, 99 + random.random_range(0..DESTINATIONS)) } else { random.random() };
    let (origin, form, anchored) = match random.random_range(0..20) {
        0..9 => (Origin::User, None, None),
        9..13 => (Origin::Tool, Some(OriginForm::Field), Some(true)),
        13..16 => (Origin::Tool, Some(OriginForm::FreeText), Some(true)),
        16 => (Origin::Tool, Some(OriginForm::FreeText), Some(false)),
        _ => (Origin::Model, None, Some(true)),
    };
    let from = (origin == Origin::Tool && session.seq > 0).then(|| random.random_range(0..session.seq));
    Argument {
        name: Text::from(name),
        class,
        hash: Some(ValueHash(value & 0xFFFF_FFFF_FFFF)),
        length: Some(random.random_range(3..200)),
        origin: Some(origin),
        origin_form: form,
        anchored,
        origin_event: from.map(|seq| event_id(session, seq)),
    }
}

/// A number that two numbers always give, and that looks like chance (the finaliser of `SplitMix64`).
fn spread(a: u64, b: u64) -> u64 {
    let mut x = a.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(b.wrapping_mul(0xD1B5_4A32_D192_ED03));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
