//! What is known of every agent, as the topics of risk and of alerts say it, for whoever asks an instance.
//!
//! Knows the latest risk update of each agent and the last alerts. Must not know who judges what: every instance answers for
//! all agents.

mod agents;
mod alerts;
mod news;
mod reader;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

pub use self::agents::{Agents, Found, Page, Start, Wanted};
pub use self::alerts::Alerts;
pub use self::news::{Item, News};
pub use self::reader::Reading;

/// What was read so far.
#[derive(Debug, Default)]
pub struct Lookup {
    agents: RwLock<Agents>,
    alerts: RwLock<Alerts>,
    /// What came after the topics were read to their ends.
    news: RwLock<News>,
    /// Whether the topics were read to their ends.
    is_read: AtomicBool,
    /// Until when nothing is missing. Milliseconds since 1970; 0 before anything is known.
    current_ms: AtomicI64,
    /// Counts what was taken in.
    changes: Mutex<u64>,
    changed: Condvar,
}

impl Lookup {
    /// The agents.
    pub fn agents(&self) -> RwLockReadGuard<'_, Agents> {
        self.agents.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The alerts.
    pub fn alerts(&self) -> RwLockReadGuard<'_, Alerts> {
        self.alerts.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was taken in lately, but for what was there before.
    pub fn news(&self) -> RwLockReadGuard<'_, News> {
        self.news.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_news(&self, kind: &'static str, value: Option<&[u8]>) {
        if let (true, Some(value)) = (self.is_read(), value) {
            self.news.write().unwrap_or_else(PoisonError::into_inner).add(kind, value);
        }
    }

    fn agents_mut(&self) -> RwLockWriteGuard<'_, Agents> {
        self.agents.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the topics were read to their ends, so that an agent that is not found is unknown.
    pub fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Acquire)
    }

    /// Until when nothing is missing, by the host's clock. Milliseconds since 1970; 0 before anything is known.
    pub fn current_ms(&self) -> i64 {
        self.current_ms.load(Ordering::Acquire)
    }

    /// Takes in a record of the topic of risk; says what is wrong with it.
    ///
    /// * `place`: partition and offset.
    ///
    /// # Errors
    ///
    /// When it is no risk update.
    pub fn take_risk(&self, place: (i32, i64), key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        self.agents_mut().take(place, key, value)?;
        self.add_news("risk", value);
        self.tell();
        Ok(())
    }

    /// Takes in a record of the topic of alerts; says what is wrong with it.
    ///
    /// # Errors
    ///
    /// When it cannot be kept.
    pub fn take_alert(&self, value: &[u8]) -> Result<(), String> {
        self.alerts.write().unwrap_or_else(PoisonError::into_inner).take(value)?;
        self.add_news("alert", Some(value));
        self.tell();
        Ok(())
    }

    /// Everything was read up to an instant of the host's clock. Milliseconds since 1970.
    pub fn read_until(&self, now_ms: i64) {
        self.current_ms.fetch_max(now_ms, Ordering::AcqRel);
        self.is_read.store(true, Ordering::Release);
        self.tell();
    }

    fn tell(&self) {
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// Waits until something holds of what was taken in, or it is too late; returns whether it holds.
    pub fn wait_until(&self, deadline: Instant, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let mut seen = *self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if holds(self) {
                return true;
            }
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            while *changes == seen {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return false;
                }
                changes = self.changed.wait_timeout(changes, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            seen = *changes;
        }
    }
}
