//! Waiting for what is in the way: longer each time, with a sentence a minute.
//!
//! Knows time and the log. Must not know what is waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{LOOK, SAID_EVERY};
use crate::kafka::client::{Clients, Log, Severity};
use crate::kafka::failure::Next;
use crate::kafka::verify::{Verified, VerifyError, verify};

/// Between two tries, at first and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How long it was waited until now.
pub(in crate::cli) struct Patience {
    wait: Duration,
    said: Option<Instant>,
}

impl Patience {
    /// Nothing has been waited for.
    pub fn new() -> Self {
        Self { wait: BACK_OFF.0, said: None }
    }

    /// Says what is in the way, unless that was said within the last minute, and waits; less long once `ends`.
    ///
    /// * `meanwhile`: done again and again.
    pub fn wait(&mut self, line: &str, log: &Log, ends: &AtomicBool, meanwhile: &dyn Fn()) {
        if self.said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            log(Severity::Warning, line);
            self.said = Some(Instant::now());
        }
        let until = Instant::now() + self.wait;
        while Instant::now() < until && !ends.load(Ordering::Relaxed) {
            meanwhile();
            thread::sleep(LOOK);
        }
        self.wait = (self.wait * 2).min(BACK_OFF.1);
    }
}

/// Waits for a broker and looks at the topics; none if it was told to end before.
///
/// * `meanwhile`: done again and again while it waits.
pub(in crate::cli) fn reached(
    clients: &Clients,
    log: &Log,
    ends: &AtomicBool,
    meanwhile: &dyn Fn(),
) -> Result<Option<Verified>, VerifyError> {
    let mut patience = Patience::new();
    while !ends.load(Ordering::Relaxed) {
        match verify(clients) {
            Ok(verified) => return Ok(Some(verified)),
            Err(VerifyError::Failed(failure)) if failure.next != Next::Mend => {
                patience.wait(&format!("{failure}; it is tried again"), log, ends, meanwhile);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
