//! Everything of an instance that has clients of Kafka, started and ended together.
//!
//! Knows which parts there are. Must not know why they end.

use std::sync::Arc;
use std::thread;

use crate::config::{Config, SourceTopic};
use crate::engine::Settings;
use crate::kafka::client::Clients;
use crate::kafka::failure::Failure;
use crate::kafka::service::{Normalising, Service, Sinks, Webhooks};
use crate::kafka::verify::Verified;
use crate::metrics::Metrics;
use crate::wire::outputs::caep::Transmitter;

/// Which parts there are to be.
pub(super) struct Parts<'p> {
    /// What this instance translates; empty: nothing.
    pub sources: &'p [SourceTopic],
    /// Whether it serves sinks and webhooks.
    pub tells: bool,
    /// What signs security event tokens; none: it is not configured.
    pub signs: Option<&'p Arc<Transmitter>>,
}

/// What of an instance is at work.
pub(super) struct Works {
    pub service: Service,
    beside: Beside,
}

/// What works beside what judges.
#[derive(Default)]
struct Beside {
    normalising: Option<Normalising>,
    sinks: Option<Sinks>,
    webhooks: Option<Webhooks>,
}

impl Works {
    /// Starts them, all or none.
    ///
    /// * `activates`: whether the settings of this file are to hold for the whole group.
    ///
    /// # Errors
    ///
    /// When one cannot start; those that had are ended by then.
    pub fn start(
        clients: &Clients,
        config: &Config,
        engine: &Settings,
        activates: bool,
        verified: Verified,
        metrics: &Arc<Metrics>,
        parts: Parts<'_>,
    ) -> anyhow::Result<Self> {
        let mut beside = Beside::default();
        let partitions = verified.partitions;
        let started = beside.start(clients, config, partitions, metrics, parts).and_then(|()| {
            let settings = (config.own_settings(), activates);
            Ok(Service::start(clients.clone(), engine.clone(), settings, verified, Arc::clone(metrics))?)
        });
        match started {
            Ok(service) => Ok(Self { service, beside }),
            Err(error) => {
                // Why it was not started is what has to be told.
                let _ = beside.stop();
                Err(error)
            }
        }
    }

    /// Whether one has ended by itself: then all must be ended, and the one says why.
    pub fn has_failed(&self) -> bool {
        self.service.has_failed() || self.beside.has_failed()
    }

    /// Ends them: what was taken is written, partitions are given up. Within ten seconds.
    ///
    /// # Errors
    ///
    /// The first failure of one; none asks for a person alone, because all had begun.
    pub fn stop(self) -> Result<(), Failure> {
        let Self { service, beside } = self;
        // One after the other would take several times what a stop may take.
        thread::scope(|scope| {
            let others = scope.spawn(|| beside.stop());
            let stopped = service.stop();
            stopped.and(others.join().unwrap_or(Ok(()))).map_err(Failure::after_start)
        })
    }
}

impl Beside {
    fn start(
        &mut self,
        clients: &Clients,
        config: &Config,
        partitions: u32,
        metrics: &Arc<Metrics>,
        Parts { sources, tells, signs }: Parts<'_>,
    ) -> anyhow::Result<()> {
        if !sources.is_empty() {
            let key = config.identity_key();
            self.normalising = Some(Normalising::start(clients, sources, partitions, &key, metrics)?);
        }
        if tells {
            let identity = config.identity();
            self.sinks = Some(Sinks::start(clients, identity, signs, metrics)?);
            self.webhooks = Some(Webhooks::start(clients, identity, signs, metrics)?);
        }
        Ok(())
    }

    fn has_failed(&self) -> bool {
        self.normalising.as_ref().is_some_and(Normalising::has_failed)
            || self.sinks.as_ref().is_some_and(Sinks::has_failed)
            || self.webhooks.as_ref().is_some_and(Webhooks::has_failed)
    }

    fn stop(self) -> Result<(), Failure> {
        let Self { normalising, sinks, webhooks } = self;
        thread::scope(|scope| {
            let translated = scope.spawn(|| normalising.map_or(Ok(()), Normalising::stop));
            let told = scope.spawn(|| sinks.map_or(Ok(()), Sinks::stop));
            let sent = webhooks.map_or(Ok(()), Webhooks::stop);
            let others = [translated, told].map(|ended| ended.join().unwrap_or(Ok(())));
            others.into_iter().fold(sent, Result::and)
        })
    }
}
