//! Notices that files which open Kafka to us, or say whom webhooks trust, have been exchanged, and whether the new ones do.
//!
//! Knows files and when to look at them. Must not know what works with the clients.
//!
//! A client of librdkafka reads its files once, when it is made (librdkafka 2.12, issue 2868): whoever wants it to have new
//! ones makes it anew. That costs as much as a restart, and is done only when the broker lets the new ones in and every file
//! can be read.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{LOOK, SAID_EVERY};
use crate::kafka::client::{Clients, Log, Severity};
use crate::kafka::service::Webhooks;
use crate::kafka::verify::{Verified, verify};
use crate::tls::Watched;

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A thread that looks. Told to end when this is dropped; it is not waited for, because a broker may be.
pub(in crate::cli) struct Renewal {
    stop: Arc<AtomicBool>,
    due: Arc<Mutex<Option<Verified>>>,
}

impl Renewal {
    /// Begins to look.
    ///
    /// * `tells`: whether this instance serves webhooks, so that their files have to be there.
    ///
    /// # Errors
    ///
    /// When the operating system starts no thread.
    pub fn start(clients: &Clients, log: &Log, tells: bool) -> io::Result<Self> {
        let renewal = Self { stop: Arc::default(), due: Arc::default() };
        let (stop, due) = (Arc::clone(&renewal.stop), Arc::clone(&renewal.due));
        let (clients, log) = (clients.clone(), Arc::clone(log));
        let mut files = clients.settings().files();
        if tells {
            files.extend(clients.settings().trusted_files());
        }
        let watched = Watched::new(files);
        let tried = move || {
            if tells {
                Webhooks::tried(&clients.settings().webhooks).map_err(|error| error.to_string())?;
            }
            verify(&clients).map_err(|error| error.to_string())
        };
        let look = move || look(tried, &log, watched, &stop, &due);
        thread::Builder::new().name("renewal".to_owned()).spawn(look)?;
        Ok(renewal)
    }

    /// Whether clients are to be made anew: what was found with one that was. Said once.
    pub fn due(&self) -> Option<Verified> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// * `tried`: what is found with clients and files as they are now, or what is wrong with them.
fn look(
    tried: impl Fn() -> Result<Verified, String>,
    log: &Log,
    mut watched: Watched,
    stop: &AtomicBool,
    due: &Mutex<Option<Verified>>,
) {
    let mut untried = None;
    let mut try_at = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let until = Instant::now() + LOOK_EVERY;
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            thread::sleep(LOOK);
        }
        if let Some(changed) = watched.changed() {
            untried = Some(changed.to_owned());
            try_at = Instant::now();
        }
        let Some(file) = untried.as_ref().filter(|_| Instant::now() >= try_at) else { continue };
        match tried() {
            Ok(verified) => {
                log(
                    Severity::Info,
                    &format!("{file:?} has changed and can be used: every client is made anew"),
                );
                *due.lock().unwrap_or_else(PoisonError::into_inner) = Some(verified);
                untried = None;
            }
            Err(error) => {
                let line = format!(
                    "{file:?} has changed and is not used yet: {error}; connections that are open go on, and it is tried again"
                );
                log(Severity::Warning, &line);
                try_at = Instant::now() + SAID_EVERY;
            }
        }
    }
}
