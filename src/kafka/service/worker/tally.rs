//! Counts what a worker does for those who watch it, at the pace of its commits.
//!
//! Knows counters and which of them were told already. Must not slow down judging: what is counted there is counted in plain
//! numbers, and told to the others only when something was committed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::ClosedCounts;
use crate::finding::Family;
use crate::kafka::service::names::Names;
use crate::kafka::service::writer::now_ms;
use crate::metrics::{Latencies, Metrics};
use crate::partition::{Commit, Counts, Incoming, Partition, Told};
use crate::wire::dead_letter::Reason;

/// What was told of a partition so far.
#[derive(Default)]
struct Published {
    counts: Counts,
    closed: ClosedCounts,
    duplicates: u64,
}

/// The counters of one worker.
pub(super) struct Tally {
    metrics: Arc<Metrics>,
    latencies: Latencies,
    published: BTreeMap<i32, Published>,
    names: Arc<Names>,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(metrics: &Arc<Metrics>, names: &Arc<Names>) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            latencies: Latencies::new(metrics),
            published: BTreeMap::new(),
            names: Arc::clone(names),
        }
    }

    /// A partition was put back: what it says from now on is new.
    pub fn begin(&mut self, partition: &Partition) {
        self.metrics.figures.restores.with_label_values::<&str>(&[]).inc();
        self.latencies.forget(partition.number());
        self.published.insert(
            partition.number(),
            Published {
                counts: Counts::default(),
                closed: partition.closed_counts(),
                duplicates: partition.duplicates(),
            },
        );
    }

    /// A partition is not ours any more, or is put back anew.
    pub fn forget(&mut self, number: i32) {
        self.latencies.forget(number);
        self.published.remove(&number);
    }

    /// A partition repeated what was told before by somebody else, who has counted it.
    pub fn repeated(&mut self, partition: &Partition) {
        if let Some(published) = self.published.get_mut(&partition.number()) {
            (published.closed, published.duplicates) = (partition.closed_counts(), partition.duplicates());
        }
    }

    /// Records of a partition were judged for the first time.
    pub fn judged(&mut self, partition: i32, records: &[Incoming<'_>]) {
        self.latencies.judged(partition, records.iter().map(|record| record.timestamp_ms), now_ms());
        self.names.see(records);
    }

    /// A try to write took so long, and went well or not.
    pub fn wrote(&self, took: Duration, committed: bool) {
        let figures = &self.metrics.figures;
        figures.transactions.with_label_values(&[if committed { "committed" } else { "aborted" }]).inc();
        if committed {
            figures.transaction_time.with_label_values::<&str>(&[]).observe(took.as_secs_f64());
        }
    }

    /// Something was committed: it is told what it was, and what was counted since.
    pub fn committed(&mut self, commit: &Commit, partition: Option<&Partition>) {
        let figures = &self.metrics.figures;
        self.latencies.committed(commit.partition, now_ms());
        self.latencies.publish();
        for told in &commit.told {
            self.tell(told);
        }
        let bytes: usize = commit.state.iter().filter_map(|record| record.value.as_ref()).map(Vec::len).sum();
        figures.state_saved.with_label_values::<&str>(&[]).inc_by(bytes as u64);
        if let (Some(partition), Some(published)) = (partition, self.published.get_mut(&commit.partition)) {
            publish(&self.metrics, published, partition);
        }
    }

    fn tell(&self, told: &Told) {
        let figures = &self.metrics.figures;
        match told {
            Told::Opened { family, risk_event_type, agent_type } => {
                figures.alerts.with_label_values(&[family.name(), risk_event_type.name()]).inc();
                figures.alerts_by_type.with_label_values(&[self.metrics.type_label(agent_type)]).inc();
            }
            Told::Level { previous, level } => {
                // What changed may be the score alone.
                if previous != level {
                    figures.level_changes.with_label_values(&[previous.name(), level.name()]).inc();
                }
            }
            Told::Digest => figures.digests.with_label_values::<&str>(&[]).inc(),
            Told::Verdict(decision) => figures.verdicts.with_label_values(&[decision.name()]).inc(),
            Told::Evicted => figures.evictions.with_label_values::<&str>(&[]).inc(),
            Told::HeldBack(because_of) => figures.held_back.with_label_values(&[because_of]).inc(),
        }
    }
}

fn publish(metrics: &Metrics, published: &mut Published, partition: &Partition) {
    let figures = &metrics.figures;
    let (counts, closed) = (*partition.counts(), partition.closed_counts());
    let before =
        std::mem::replace(published, Published { counts, closed, duplicates: partition.duplicates() });
    let events = counts.events - before.counts.events.min(counts.events);
    figures.events.with_label_values(&[&partition.number().to_string()]).inc_by(events);
    for (reason, (now, then)) in Reason::ALL.iter().zip(counts.reasons.iter().zip(before.counts.reasons)) {
        if *now > then {
            figures.dead_letters.with_label_values(&[reason.label()]).inc_by(now - then);
        }
    }
    let misplaced = counts.misplaced.saturating_sub(before.counts.misplaced);
    figures.misplaced.with_label_values::<&str>(&[]).inc_by(misplaced);
    for (how, now, then) in [
        ("repeats", counts.left_out, before.counts.left_out),
        ("skip", counts.overtaken, before.counts.overtaken),
    ] {
        figures.shed.with_label_values(&[how]).inc_by(now.saturating_sub(then));
    }
    let lost = counts.lost_slices.saturating_sub(before.counts.lost_slices);
    figures.lost_slices.with_label_values::<&str>(&[]).inc_by(lost);
    let duplicates = published.duplicates.saturating_sub(before.duplicates);
    figures.duplicates.with_label_values::<&str>(&[]).inc_by(duplicates);
    for family in Family::ALL {
        let since = |now: &[u64], then: &[u64]| {
            let of = |counts: &[u64]| counts.get(family as usize).copied().unwrap_or_default();
            of(now).saturating_sub(of(then))
        };
        let label = [family.name()];
        figures.units.with_label_values(&label).inc_by(since(&closed.closed, &before.closed.closed));
        figures
            .units_unusual
            .with_label_values(&label)
            .inc_by(since(&closed.unusual, &before.closed.unusual));
    }
}
