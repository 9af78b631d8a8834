//! What a finding does to its agent's level, and the updates that tell of it.
//!
//! Knows agents, their open alerts and thresholds. Must not decide what a finding is.

use super::clock::Instant;
use super::output::Output;
use super::version::Version;
use super::watched::Watched;
use crate::alert::{Alert, AlertState};
use crate::assess::level::Risk;
use crate::risk::{Cause, Level, Monitoring, RISK_SCHEMA, RiskUpdate};
use crate::time::EventTime;

impl Watched {
    /// What is held against it, made where nothing was.
    pub(super) fn risk_mut(&mut self) -> &mut Risk {
        self.risk.get_or_insert_default()
    }

    /// Brings its level to what is held against it at an instant, closes the alerts that
    /// hold nothing any more, and tells of both.
    pub(super) fn settle(&mut self, version: &Version, now: Instant, out: &mut Vec<Output>) {
        self.settle_because(Cause::Finding, version, now, out);
    }

    /// The same; `cause` is what would have raised the level.
    pub(super) fn settle_because(
        &mut self,
        cause: Cause,
        version: &Version,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Instant { at, time } = now;
        let Some(risk) = &mut self.risk else { return };
        let before = risk.settle(self.open.iter().map(|alert| &alert.hold), at);
        let keeps_one = risk.level() >= Level::Medium;
        let confirmed = risk.confirmed;
        // Medium and above means that an alert is open: the last one stays as long as the level does.
        let lapsed = |open: &super::watched::OpenAlert| open.hold.level(at) < open.floor.max(Level::Low);
        let last_ones = keeps_one && self.open.iter().all(lapsed);
        if !(confirmed || last_ones) {
            let mut i = 0;
            while let Some(open) = self.open.get(i) {
                if lapsed(open) {
                    let open = self.open.remove(i);
                    out.push(closed(*open.told, time));
                } else {
                    i += 1;
                }
            }
        }
        if let Some(before) = before {
            let cause = if before > self.level() { Cause::Decay } else { cause };
            self.tell_level(version, now, cause, out);
        } else if self.published(version, at) > self.told() {
            self.tell_level(version, now, Cause::Settings, out);
        }
    }

    /// The level to be acted on at an instant (watched milliseconds).
    fn published(&self, version: &Version, at: i64) -> Level {
        // The first days are for findings about agents that nobody knows yet: what a person confirmed is certain.
        let confirmed = self.risk.as_ref().is_some_and(|risk| risk.confirmed);
        let running = if confirmed { i64::MAX } else { version.running_ms(at) };
        version.settings.levels.published(self.level(), &self.id, &self.kin.type_name, running)
    }

    /// The level that was told last.
    fn told(&self) -> Level {
        self.risk.as_ref().map_or(Level::None, |risk| risk.told)
    }

    /// When a higher level than was told may be published because the first days are over. Watched milliseconds.
    pub(super) fn uncapped_at(&self, version: &Version) -> Option<i64> {
        let levels = &version.settings.levels;
        let later = levels.published(self.level(), &self.id, &self.kin.type_name, i64::MAX);
        version.first_days_end().filter(|_| later > self.told())
    }

    /// Tells its level anew if an alert is open: the configuration changed since it was told.
    pub(super) fn tell_again(&mut self, version: &Version, now: Instant, out: &mut Vec<Output>) {
        if self.level() >= Level::Medium {
            self.tell_level(version, now, Cause::Settings, out);
        }
    }

    /// Closes every open alert.
    pub(super) fn close_alerts(&mut self, time: EventTime, out: &mut Vec<Output>) {
        out.extend(self.open.drain(..).map(|open| closed(*open.told, time)));
    }

    /// Tells the level, and the one that was told before.
    pub(super) fn tell_level(
        &mut self,
        version: &Version,
        now: Instant,
        cause: Cause,
        out: &mut Vec<Output>,
    ) {
        self.seq += 1;
        let Instant { at, time } = now;
        let level_uncapped = self.level();
        let (level, previous_level) = (self.published(version, at), self.told());
        if let Some(risk) = &mut self.risk {
            risk.told = level;
        }
        let (score, reasons) = self.risk.as_ref().map(|risk| risk.score(at)).unwrap_or_default();
        out.push(Output::Risk(Box::new(RiskUpdate {
            schema: RISK_SCHEMA.to_owned(),
            agent_id: self.id.to_string(),
            tenant: self.kin.tenant.as_deref().map(str::to_owned),
            agent_type: self.kin.type_name.to_string(),
            seq: self.seq,
            level,
            previous_level,
            level_uncapped,
            score,
            reasons: reasons.into_vec(),
            cause,
            as_of: time,
            // Nobody knows when it falls while nobody sees what happens.
            expires_at: self.due().filter(|_| !self.blind).map(|due| now.event_time(due)),
            alert_count: self.alerts_opened,
            proposed: self
                .risk
                .as_ref()
                .and_then(|risk| risk.proposed.as_deref())
                .filter(|proposed| time < proposed.until)
                .cloned(),
            open_alerts: self.open.iter().map(|open| open.id.clone()).collect(),
            monitoring: if self.blind { Monitoring::Blind } else { self.monitoring },
            maturity: self.maturity().to_owned(),
            baseline: version.baselines.version,
            config: version.settings.config.clone(),
        })));
    }
}

fn closed(told: Alert, time: EventTime) -> Output {
    Output::Alert(Box::new(Alert { state: AlertState::Closed, time, ..told }))
}

#[cfg(test)]
mod tests;
