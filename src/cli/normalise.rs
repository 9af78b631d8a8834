//! `tiltmeter normalise`: sources from Kafka in, audit events to Kafka out.
//!
//! Knows options, signals and what is logged. Must not know a broker, nor a format.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use super::run::{LOOK, LogArguments, Patience, Renewal, reached, told_to_end};
use crate::config::Config;
use crate::kafka::client::{Clients, Severity};
use crate::kafka::failure::Next;
use crate::kafka::service::{NormaliseError, Normalising};

/// Translate the sources of [[sources]] to audit events, for ever.
///
/// Reads their topics and writes audit events to the topic of audit events, in one transaction with the offsets: what is
/// read once is written once. What cannot be translated goes to the topic of dead letters. `tiltmeter run` does the same
/// beside judging; this is for whoever wants it in a process of its own, with `tiltmeter run --without-sources` beside it.
/// Start as many as are needed. Ends with SIGTERM or SIGINT, within ten seconds; the exit code is 0 then, and 64 when
/// something has to be mended before it can start.
#[derive(Debug, clap::Args)]
pub struct Normalise {
    /// Configuration file with the sources.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,

    #[command(flatten)]
    log: LogArguments,
}

impl Normalise {
    /// Translates until it is told to end.
    ///
    /// # Errors
    ///
    /// When a person must mend something, or a thread ended by itself.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(Some(&self.config))?;
        let log = self.log.log();
        let sources = config.sources();
        if sources.is_empty() {
            return Err(NormaliseError::NoSources.into());
        }
        let clients = Clients::new(config.kafka(), Arc::clone(&log))?;
        let ends = told_to_end()?;
        let Some(verified) = reached(&clients, &log, &ends, &|| ())? else { return Ok(ExitCode::SUCCESS) };
        let names: Vec<&str> = sources.iter().map(|source| source.topic.as_str()).collect();
        let line = format!(
            "tiltmeter {} translates {} in group {}-normalise as {}; {}",
            env!("CARGO_PKG_VERSION"),
            names.join(", "),
            config.kafka().group,
            clients.instance(),
            config.kafka().delivery.name(),
        );
        log(Severity::Info, &line);
        let renewal = Renewal::start(&clients, &log, false)?;
        let mut verified = verified;
        // At the first start somebody looks on, who mends what is wrong; later it goes on by itself.
        let mut again: Option<Patience> = None;
        loop {
            let (partitions, key) = (verified.partitions, config.identity_key());
            let normalising = match Normalising::start(&clients, sources, partitions, &key, &Arc::default()) {
                Ok(normalising) => normalising,
                Err(error) => {
                    let Some(patience) = &mut again else { return Err(error.into()) };
                    if ends.load(Ordering::Relaxed) {
                        return Ok(ExitCode::SUCCESS);
                    }
                    let line = format!("nothing is translated: {error}; it is started anew until it does");
                    patience.wait(&line, &log, &ends, &|| ());
                    verified = renewal.due().unwrap_or(verified);
                    continue;
                }
            };
            let renewed = loop {
                if ends.load(Ordering::Relaxed) || normalising.has_failed() {
                    break None;
                }
                if let Some(verified) = renewal.due() {
                    break Some(verified);
                }
                thread::sleep(LOOK);
            };
            if renewed.is_none() {
                log(Severity::Info, "ends: what was taken is written, partitions are given up");
            }
            let stopped = normalising.stop();
            let Some(found) = renewed else { return stopped.map(|()| ExitCode::SUCCESS).map_err(Into::into) };
            match stopped {
                Err(failure) if failure.next == Next::Mend => return Err(failure.into()),
                Err(failure) => {
                    log(Severity::Warning, &format!("{failure}; what was not written is translated again"));
                }
                Ok(()) => {}
            }
            verified = found;
            again = Some(Patience::new());
        }
    }
}
