//! The metrics that there are, each declared once: name, type, labels, help.
//!
//! Knows names. Must not know where a figure comes from.

use prometheus::core::Collector;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// Bounds of histograms of latency: from what a transaction takes to an hour. Seconds.
const LATENCY: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 120.0, 600.0, 3600.0];
/// Bounds of the histogram of transactions. Seconds.
const TRANSACTION: &[f64] = &[0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name, with its unit at the end.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// What it counts, in a sentence; with a space before it.
    help: &'static str,
    /// Bounds, of a histogram.
    buckets: &'static [f64],
}

impl Row {
    /// What it counts, in a sentence.
    pub fn help(&self) -> &'static str {
        self.help.trim_start()
    }
}

/// A metric of some type, made from its row.
trait Made: Collector + Clone + Sized + 'static {
    const KIND: &'static str;
    fn made(row: &Row) -> prometheus::Result<Self>;
}

impl Made for IntCounterVec {
    const KIND: &'static str = "counter";
    fn made(row: &Row) -> prometheus::Result<Self> {
        Self::new(Opts::new(row.name, row.help()), row.labels)
    }
}

impl Made for GaugeVec {
    const KIND: &'static str = "gauge";
    fn made(row: &Row) -> prometheus::Result<Self> {
        Self::new(Opts::new(row.name, row.help()), row.labels)
    }
}

impl Made for HistogramVec {
    const KIND: &'static str = "histogram";
    fn made(row: &Row) -> prometheus::Result<Self> {
        let opts = HistogramOpts::new(row.name, row.help()).buckets(row.buckets.to_vec());
        Self::new(opts, row.labels)
    }
}

/// Declares the struct of all metrics and the table of them; the comment of a metric is its help.
macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $field:ident: $type:ident = $name:literal, [$($label:literal),*] $(, $buckets:ident)?;)+) => {
        /// Every metric there is, in the order in which they are told.
        pub const TABLE: &[Row] = &[$(Row {
            name: $name,
            kind: <$type as Made>::KIND,
            labels: &[$($label),*],
            help: concat!($($help),+),
            buckets: metrics!(@buckets $($buckets)?),
        }),+];

        /// Every metric, to be counted and set.
        #[derive(Clone, Debug)]
        pub struct Figures { $($(#[doc = $help])+ pub $field: $type),+ }

        impl Figures {
            /// Metrics at zero, told by `registry`.
            pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
                let mut rows = TABLE.iter();
                $(let $field: $type = register(registry, rows.next())?;)+
                Ok(Self { $($field),+ })
            }
        }
    };
    (@buckets) => { &[] };
    (@buckets $buckets:ident) => { $buckets };
}

fn register<M: Made>(registry: &Registry, row: Option<&Row>) -> prometheus::Result<M> {
    let row = row.ok_or_else(|| prometheus::Error::Msg("a metric without a row".to_owned()))?;
    let metric = M::made(row)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

metrics! {
    /// Always 1; the label says which version runs.
    build: GaugeVec = "tiltmeter_build_info", ["version"];
    /// 1 if the instance is ready, as `/readyz` says it; otherwise 0.
    ready: GaugeVec = "tiltmeter_ready", [];

    /// Audit events judged by this instance; those repeated while a partition is put back do not count.
    events: IntCounterVec = "tiltmeter_events_judged_total", ["partition"];
    /// Records of the audit topic that could not be used.
    dead_letters: IntCounterVec = "tiltmeter_dead_letters_total", ["reason"];
    /// Audit events that were dropped because one with the same id had been judged.
    duplicates: IntCounterVec = "tiltmeter_events_duplicate_total", [];
    /// Audit events whose key leads to another partition than theirs, or that have no key: one agent may be known as two.
    misplaced: IntCounterVec = "tiltmeter_events_misplaced_total", [];
    /// Records that were not judged because there was too much: calls that repeated others (`repeats`), and what was skipped
    /// (`skip`; a count of offsets).
    shed: IntCounterVec = "tiltmeter_events_shed_total", ["how"];
    /// Time from when a record was written (by the broker's clock) until its event was judged, and until what followed was
    /// committed. The clock of the host is compared with that of the broker.
    latency: HistogramVec = "tiltmeter_latency_seconds", ["stage"], LATENCY;
    /// Records of a partition of this instance that wait to be judged, those of open transactions included; what aborted ones
    /// left is read and does not wait. As of the last look at its end (every 5 s).
    lag_records: GaugeVec = "tiltmeter_lag_records", ["partition"];
    /// How long ago the record was written that was judged last, where others wait; otherwise 0.
    lag_seconds: GaugeVec = "tiltmeter_lag_seconds", ["partition"];
    /// 1 if a partition has stood before an open transaction since the heartbeat before the last; otherwise 0.
    stalled: GaugeVec = "tiltmeter_partition_stalled", ["partition"];
    /// Partitions of this instance that are at work, and that are being put back.
    partitions: GaugeVec = "tiltmeter_partitions", ["state"];

    /// Alerts opened.
    alerts: IntCounterVec = "tiltmeter_alerts_opened_total", ["family", "risk_event_type"];
    /// Alerts opened, by type of agent; beyond 200 types the others are `other`.
    alerts_by_type: IntCounterVec = "tiltmeter_alerts_opened_by_type_total", ["agent_type"];
    /// Findings that were not told because of maintenance, a suppression or a declared change.
    held_back: IntCounterVec = "tiltmeter_findings_held_back_total", ["because_of"];
    /// Updates of a digest: new alerts of one type and minute beyond the cap, told together.
    digests: IntCounterVec = "tiltmeter_alert_digests_total", [];
    /// Changes of the published risk level of an agent.
    level_changes: IntCounterVec = "tiltmeter_level_changes_total", ["previous_level", "level"];
    /// Verdicts of people that took effect.
    verdicts: IntCounterVec = "tiltmeter_verdicts_total", ["verdict"];

    /// Alerts a day that the threshold aims at on average (`alerts.per_day`), over all instances.
    alerts_promised: GaugeVec = "tiltmeter_alerts_per_day_promised", [];
    /// Alerts opened by p over the last 24 hours of event time, over all instances, as of the newest baseline version;
    /// what rules, the registry and people raise is not promised and does not count.
    alerts_achieved: GaugeVec = "tiltmeter_alerts_per_day_achieved", [];
    /// Units (sessions and hours) in which a family said anything, closed.
    units: IntCounterVec = "tiltmeter_units_closed_total", ["family"];
    /// Those of them in which the family's p was at or below .01: where it is calibrated, one in a hundred.
    units_unusual: IntCounterVec = "tiltmeter_units_unusual_total", ["family"];

    /// Agents that ever had a risk level, by their level and by how well they are seen, over all instances.
    agents: GaugeVec = "tiltmeter_agents", ["level", "monitoring"];
    /// Risk score (0–100) of the riskiest agents over all instances, at most as many as `http.riskiest_agents`.
    agent_risk: GaugeVec = "tiltmeter_agent_risk_score", ["agent"];
    /// Agents whose own baseline is in memory.
    agents_resident: GaugeVec = "tiltmeter_agents_resident", ["partition"];
    /// Agents whose own baseline was forgotten to make room for others.
    evictions: IntCounterVec = "tiltmeter_agent_evictions_total", [];
    /// Slices of a state that were lost when a partition was put back: their agents are known less well.
    lost_slices: IntCounterVec = "tiltmeter_state_slices_lost_total", [];
    /// Bytes of state that were saved, packed.
    state_saved: IntCounterVec = "tiltmeter_state_saved_bytes_total", [];
    /// Bytes of the latest saved slices of the partitions of this instance, packed; of slices not saved yet, nothing.
    state_size: GaugeVec = "tiltmeter_state_bytes", ["partition"];
    /// Times that a partition was put back from what was saved.
    restores: IntCounterVec = "tiltmeter_partition_restores_total", [];

    /// Number of the newest version of what is normal.
    baseline: GaugeVec = "tiltmeter_baseline_version", [];
    /// When the newest version was written, by the broker's clock. Seconds since 1970.
    baseline_time: GaugeVec = "tiltmeter_baseline_timestamp_seconds", [];
    /// Number of the version by which a partition judges.
    partition_baseline: GaugeVec = "tiltmeter_partition_baseline_version", ["partition"];
    /// Units (sessions and hours) known of a type, faded; beyond 200 types the others are `other`, added up.
    type_units: GaugeVec = "tiltmeter_baseline_units", ["agent_type"];
    /// When the version was written in which units of a type were learned last (at the start: the newest). Seconds since
    /// 1970; of `other`, the latest.
    type_learned: GaugeVec = "tiltmeter_baseline_learned_timestamp_seconds", ["agent_type"];

    /// Transactions (at least once: writes) by their end; `aborted` means that they were tried again.
    transactions: IntCounterVec = "tiltmeter_transactions_total", ["outcome"];
    /// How long transactions took that were committed.
    transaction_time: HistogramVec = "tiltmeter_transaction_duration_seconds", [], TRANSACTION;
    /// When the broker acknowledged a heartbeat last, by its clock. Seconds since 1970.
    heartbeat: GaugeVec = "tiltmeter_heartbeat_timestamp_seconds", [];
    /// Records for the operator in the topic of status, by what they tell of.
    operator_alerts: IntCounterVec = "tiltmeter_operator_alerts_total", ["kind"];
    /// When the alert about the last made-up event of a partition could be read, by the broker's clock; 0 before the first.
    /// Seconds since 1970; only with `kafka.canary`.
    canary: GaugeVec = "tiltmeter_canary_timestamp_seconds", ["partition"];

    /// Records of a source that were translated, by topic.
    source_records: IntCounterVec = "tiltmeter_source_records_total", ["topic"];
    /// Audit events that followed from them.
    source_events: IntCounterVec = "tiltmeter_source_events_total", ["topic"];
    /// Records of a source, or parts of them, that could not be translated.
    source_refusals: IntCounterVec = "tiltmeter_source_refusals_total", ["topic", "reason"];

    /// Alerts and levels that sinks and webhooks (NAME/TOPIC) told: `sent`, `left_out` (no place in the format, refused, an
    /// alert more than a day old), and what `failed` and is tried again: tries of webhooks, and reading or writing Kafka.
    forwarded: IntCounterVec = "tiltmeter_forwarded_total", ["to", "fate"];
    /// How long ago the record was written that a sink or webhook is at, as of when it was last tried. Seconds.
    forward_lag: GaugeVec = "tiltmeter_forward_lag_seconds", ["to"];

    /// Answers over HTTP, by route and status.
    http_requests: IntCounterVec = "tiltmeter_http_requests_total", ["route", "status"];
    /// Connections over HTTP that were cut off because more than 512 were open and they said nothing.
    http_cut: IntCounterVec = "tiltmeter_http_connections_cut_total", [];
    /// 1 once the topic of risk levels has been read to its end, so that `/v1` answers; otherwise 0.
    risk_read: GaugeVec = "tiltmeter_risk_topic_read", [];
}
