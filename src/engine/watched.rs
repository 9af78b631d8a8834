//! An agent under watch: what it is used to, its open units and its open alerts.
//!
//! Knows one agent. Must not know baselines of others.

use crate::assess::level::{Hold, Risk};
use crate::baseline::agent::Familiar;
use crate::baseline::failure::FailureHistory;
use crate::baseline::rate::Rate;
use crate::baseline::store::Entry;
use crate::detect::rules::state::RuleState;
use crate::finding::Family;
use crate::identity::Key;
use crate::risk::{Level, Monitoring};
use crate::time::{EventTime, HOUR_MS};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::sync::Arc;
use thin_vec::ThinVec;

use super::kin::Kin;
use super::unit::{Spare, Unit, UnitKind};

/// Sessions of one agent that are kept open at once; the one quiet for longest closes first.
pub const SESSIONS: usize = 8;

/// The maturity of an agent that nobody knows yet.
pub(super) const NEW: &str = "new";

/// After all time. Milliseconds.
pub(super) const NEVER: i64 = i64::MAX;

/// One agent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Watched {
    /// Identity hash.
    pub key: Key,
    /// Its id as the events give it.
    pub id: Box<str>,
    /// Its type and tenant.
    pub kin: Arc<Kin>,
    /// What it is used to.
    pub familiar: Familiar,
    /// How often it acts.
    pub rate: Rate,
    /// How often it is refused, and the day (since 1970) up to which that has faded.
    pub failure: (FailureHistory, i32),
    /// What it did lately that rules of the user count.
    pub rules: RuleState,
    /// Most bits of the running silence, and whether it was told. Bits.
    pub silence: Option<(f32, bool)>,
    /// Open sessions. Most agents have one at a time, which lies here, near the open hour.
    pub sessions: SmallVec<[Unit; 1]>,
    /// The open hour.
    pub hour: Option<Unit>,
    /// Sessions that began in it.
    pub sessions_begun: u16,
    /// Its latest event.
    pub latest: EventTime,
    /// Its events so far.
    pub events: u64,
    /// Alerts opened so far.
    pub alerts_opened: u64,
    /// Alerts that are open.
    pub open: ThinVec<OpenAlert>,
    /// Last half of a day (since 1970) in which a unit of each kind rose above the 98 % quantile.
    pub tail_half_day: [i32; 2],
    /// What is held against it; none while nothing ever was.
    pub risk: Option<Box<Risk>>,
    /// Risk updates told so far.
    pub seq: u64,
    /// How well it is seen.
    pub monitoring: Monitoring,
    /// Whether what it does cannot be seen at present, as of all agents of its partition. Not saved: the partition knows.
    #[serde(skip)]
    pub blind: bool,
    /// When its level is to be looked at next; [`i64::MAX`] for never. Watched milliseconds.
    pub timer: i64,
}

/// An alert that is open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenAlert {
    /// Its id.
    pub id: String,
    /// Its family. Of one family there is at most one open alert, those of rules, the registry and silence apart.
    pub family: Family,
    /// When it was opened.
    pub opened: EventTime,
    /// Tells alerts of one family apart, such as those of two rules; mostly empty.
    pub about: Box<str>,
    /// It closes when it holds less than this.
    pub floor: Level,
    /// The levels that it holds.
    pub hold: Hold,
    /// Unit of that finding.
    pub unit: u64,
    /// Smallest p told so far.
    pub p: f64,
    /// What is told when it closes.
    #[serde(with = "super::checkpoint::as_text")]
    pub told: Box<crate::alert::Alert>,
}

impl Entry for Watched {
    fn id(&self) -> u64 {
        self.key
    }

    fn last_seen(&self) -> i64 {
        self.latest.0
    }
}

impl Watched {
    /// An agent that was just met.
    pub fn new(key: Key, id: &str, kin: Arc<Kin>, watched_ms: i64) -> Self {
        Self {
            key,
            id: id.into(),
            kin,
            familiar: Familiar::default(),
            rate: Rate::born(watched_ms),
            failure: Default::default(),
            rules: RuleState::default(),
            silence: None,
            sessions: SmallVec::new(),
            hour: None,
            sessions_begun: 0,
            latest: EventTime(i64::MIN),
            events: 0,
            alerts_opened: 0,
            open: ThinVec::new(),
            tail_half_day: [i32::MIN; 2],
            risk: None,
            seq: 0,
            monitoring: Monitoring::default(),
            blind: false,
            timer: NEVER,
        }
    }

    /// From now on watched time is counted from another instant: what was at `t` is at `t + by_ms`.
    pub(super) fn shift(&mut self, by_ms: i64) {
        self.rate.shift(by_ms);
        self.open.iter_mut().for_each(|open| open.hold.shift(by_ms));
        if let Some(risk) = &mut self.risk {
            risk.shift(by_ms);
        }
        if self.timer != NEVER {
            self.timer = self.timer.saturating_add(by_ms);
        }
    }

    /// Forgets what it is used to, as if it were met now. Its id, its counters, what is held against it and what is open
    /// stay.
    pub(super) fn forget_habits(&mut self, watched_ms: i64) {
        self.familiar = Familiar::default();
        self.rate = Rate::born(watched_ms);
        self.failure = Default::default();
        self.silence = None;
        self.tail_half_day = [i32::MIN; 2];
        self.events = 0;
    }

    /// Reads something of each of its parts, so that they lie near the processor.
    pub(super) fn touch(&self) -> u64 {
        let units = self.hour.iter().chain(&self.sessions);
        units.fold(self.key ^ self.events ^ self.latest.0 as u64, |sum, unit| sum ^ unit.touch())
            ^ self.familiar.touch()
            ^ u64::from(self.rate.is_young())
    }

    /// Reads something of all that it points to and that a call needs.
    pub(super) fn touch_course(&self) -> u64 {
        let parts = self.sessions.first().into_iter().chain(&self.hour).map(Unit::touch_parts);
        parts.fold(self.familiar.touch_keys(), |sum, part| sum ^ part)
    }

    /// The true level now.
    pub fn level(&self) -> Level {
        self.risk.as_ref().map_or(Level::None, |risk| risk.level())
    }

    /// When the first of its open alerts holds nothing any more, after an instant; none where none closes by itself. Watched
    /// milliseconds.
    pub fn next_lapse(&self, at: i64) -> Option<i64> {
        if self.risk.as_ref().is_some_and(|risk| risk.confirmed) {
            return None;
        }
        let lapses = self.open.iter().map(|open| open.hold.until(open.floor.max(Level::Low)));
        // What has lapsed and is open is the last one, which stays as long as the level does.
        lapses.filter(|lapse| *lapse > at).min()
    }

    /// When its level may fall next. Watched milliseconds.
    pub fn due(&self) -> Option<i64> {
        self.risk.as_ref()?.due(self.open.iter().map(|alert| &alert.hold))
    }

    /// How much is known of it, in one word.
    pub fn maturity(&self) -> &'static str {
        match self.events {
            0..50 => NEW,
            50..1000 => "young",
            _ => "mature",
        }
    }

    /// The number of the agent's hour at an instant: hours start at a phase of its own, so that not all
    /// agents close theirs at once.
    pub fn hour_at(&self, time: EventTime) -> i64 {
        let phase = (self.key % HOUR_MS as u64) as i64;
        time.plus_ms(phase).0.div_euclid(HOUR_MS)
    }

    /// Takes out every unit whose time is over at `now`, in the order in which they ended.
    pub fn units_ended_by(&mut self, now: EventTime, ended: &mut Vec<Unit>) {
        let from = ended.len();
        let mut i = 0;
        while let Some(unit) = self.sessions.get(i) {
            if unit.deadline() <= now {
                ended.push(self.sessions.swap_remove(i));
            } else {
                i += 1;
            }
        }
        let hour = self.hour_at(now);
        if let Some(unit) = self.hour.take_if(|unit| (unit.id as i64) < hour) {
            ended.push(unit);
        }
        if let Some(ended) = ended.get_mut(from..) {
            ended.sort_unstable_by_key(|unit| (unit.deadline(), unit.kind as u8, unit.id));
        }
    }

    /// The place of a session among the open ones.
    pub fn session(&self, id: Key) -> Option<usize> {
        self.sessions.iter().position(|unit| unit.id == id)
    }

    /// Makes room for one more session; returns the one that has to close for it.
    pub fn room_for_session(&mut self) -> Option<Unit> {
        if self.sessions.len() < SESSIONS {
            return None;
        }
        let quietest = (0..self.sessions.len())
            .min_by_key(|&i| self.sessions.get(i).map(|unit| (unit.last(), unit.id)))?;
        Some(self.sessions.swap_remove(quietest))
    }

    /// A new unit of this agent.
    pub(super) fn new_unit(&self, spare: &mut Spare, kind: UnitKind, id: u64, time: EventTime) -> Unit {
        // A rule or a record of the registry may keep an alert open for ever, and says nothing of what is usual.
        let under_alert = self.open.iter().any(|open| Family::ALL.contains(&open.family));
        spare.unit(kind, id, time, under_alert)
    }
}
