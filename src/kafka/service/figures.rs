//! Figures that are as of now, brought up to date when somebody asks.
//!
//! Knows what the threads of the service have noted. Must not wait for any of them, nor for a broker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Shared;
use super::writer::now_ms;
use crate::engine::Version;

/// Brings the figures of a service up to date.
pub struct Watcher {
    shared: Arc<Shared>,
    learned: Mutex<Learned>,
}

/// When units of each type were learned last.
#[derive(Default)]
struct Learned {
    /// The version that was looked at, and when it was written. Seconds since 1970.
    version: Option<u64>,
    by_type: BTreeMap<String, OfType>,
}

struct OfType {
    units: f64,
    /// Seconds since 1970; none where nothing was learned yet.
    learned: Option<f64>,
}

impl Watcher {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), learned: Mutex::default() }
    }

    /// Sets every figure of the service that is as of now. Linear in partitions and types.
    pub fn refresh(&self) {
        self.partitions();
        let (version, written_ms) = self.shared.versions.newest_written();
        let figures = &self.shared.metrics.figures;
        figures.baseline.with_label_values::<&str>(&[]).set(version.number() as f64);
        figures.alerts_promised.with_label_values::<&str>(&[]).set(version.budget.promised());
        figures.alerts_achieved.with_label_values::<&str>(&[]).set(version.budget.achieved() as f64);
        let written = written_ms.map(|written| written as f64 / 1000.0);
        if let Some(written) = written {
            figures.baseline_time.with_label_values::<&str>(&[]).set(written);
        }
        self.types(&version, written);
    }

    fn partitions(&self) {
        let figures = &self.shared.metrics.figures;
        let (partitions, seen) = (self.shared.partitions(), self.shared.pulse.seen());
        // What we do not have any more is not told any more.
        for gauge in [
            &figures.lag_records,
            &figures.lag_seconds,
            &figures.stalled,
            &figures.agents_resident,
            &figures.state_size,
            &figures.partition_baseline,
        ] {
            gauge.reset();
        }
        let restoring = partitions.values().filter(|partition| partition.restoring).count();
        figures.partitions.with_label_values(&["restoring"]).set(restoring as f64);
        figures.partitions.with_label_values(&["running"]).set((partitions.len() - restoring) as f64);
        for (number, status) in &partitions {
            let label = [number.to_string()];
            let seen = seen.get(number).copied().unwrap_or_default();
            figures.stalled.with_label_values(&label).set(f64::from(u8::from(seen.stalled)));
            figures.agents_resident.with_label_values(&label).set(status.agents as f64);
            figures.state_size.with_label_values(&label).set(status.state_bytes as f64);
            figures.partition_baseline.with_label_values(&label).set(status.version as f64);
            // One that is just being put back does not know yet where it stands.
            if status.restoring && status.offset == 0 {
                continue;
            }
            let waiting = seen.end.saturating_sub(status.read_to).max(0);
            let waits = waiting > 0;
            let age = status.latest_record.filter(|_| waits).map_or(0, |latest| now_ms() - latest);
            figures.lag_records.with_label_values(&label).set(waiting as f64);
            figures.lag_seconds.with_label_values(&label).set(age.max(0) as f64 / 1000.0);
        }
    }

    /// * `written`: when the version was written. Seconds since 1970.
    fn types(&self, version: &Version, written: Option<f64>) {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if learned.version == Some(version.number()) {
            return;
        }
        let figures = &self.shared.metrics.figures;
        figures.type_units.reset();
        figures.type_learned.reset();
        // In the order of their names, so that the same ones have series of their own everywhere.
        let mut types: Vec<(&str, f64)> = version
            .baselines
            .types
            .values()
            .map(|own| (own.name.as_str(), own.units().iter().sum()))
            .collect();
        types.sort_unstable_by_key(|(name, _)| *name);
        learned
            .by_type
            .retain(|name, _| types.binary_search_by_key(&name.as_str(), |(name, _)| name).is_ok());
        for (name, units) in types {
            let before = learned.by_type.get(name);
            let at = match before {
                // It fades; what rises was learned.
                Some(before) if units <= before.units => before.learned,
                _ => written,
            };
            learned.by_type.insert(name.to_owned(), OfType { units, learned: at });
            let label = [self.shared.metrics.type_label(name)];
            figures.type_units.with_label_values(&label).add(units);
            if let Some(at) = at {
                let gauge = figures.type_learned.with_label_values(&label);
                gauge.set(gauge.get().max(at));
            }
        }
        learned.version = Some(version.number());
    }
}
