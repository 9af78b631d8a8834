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
    normalising: Option<Normalising>,
    sinks: Option<Sinks>,
    webhooks: Option<Webhooks>,
}

impl Works {
    /// Starts them.
    ///
    /// * `activates`: whether the settings of this file are to hold for the whole group.
    ///
    /// # Errors
    ///
    /// When one cannot start.
    pub fn start(
        clients: &Clients,
        config: &Config,
        engine: &Settings,
        activates: bool,
        verified: Verified,
        metrics: &Arc<Metrics>,
        parts: Parts<'_>,
    ) -> anyhow::Result<Self> {
        let Parts { sources, tells, signs } = parts;
        let normalising = match sources {
            [] => None,
            sources => {
                let key = config.identity_key();
                Some(Normalising::start(clients, sources, verified.partitions, &key, metrics)?)
            }
        };
        let identity = config.identity();
        let sinks = tells.then(|| Sinks::start(clients, identity, signs)).transpose()?;
        let webhooks = tells.then(|| Webhooks::start(clients, identity, signs)).transpose()?;
        let service = Service::start(
            clients.clone(),
            engine.clone(),
            (config.own_settings(), activates),
            verified,
            Arc::clone(metrics),
        )?;
        Ok(Self { service, normalising, sinks, webhooks })
    }

    /// Whether one has ended by itself: then all must be ended, and the one says why.
    pub fn has_failed(&self) -> bool {
        self.service.has_failed()
            || self.normalising.as_ref().is_some_and(Normalising::has_failed)
            || self.sinks.as_ref().is_some_and(Sinks::has_failed)
            || self.webhooks.as_ref().is_some_and(Webhooks::has_failed)
    }

    /// Ends them: what was taken is written, partitions are given up. Within ten seconds.
    ///
    /// # Errors
    ///
    /// The first failure of one.
    pub fn stop(self) -> Result<(), Failure> {
        let Self { service, normalising, sinks, webhooks } = self;
        // One after the other would take several times what a stop may take.
        thread::scope(|scope| {
            let translated = scope.spawn(|| normalising.map_or(Ok(()), Normalising::stop));
            let told = scope.spawn(|| sinks.map_or(Ok(()), Sinks::stop));
            let sent = scope.spawn(|| webhooks.map_or(Ok(()), Webhooks::stop));
            let stopped = service.stop();
            let others = [translated, told, sent].map(|ended| ended.join().unwrap_or(Ok(())));
            others.into_iter().fold(stopped, Result::and)
        })
    }
}
