//! What an instance says of itself in figures, for Prometheus.
//!
//! Knows the names of metrics and the closed sets that their labels are from. Must not know a broker, nor judge.
//!
//! Names follow <https://prometheus.io/docs/practices/naming/>: a prefix, base units, `_total` on counters. No label takes
//! values without bound: partitions are as many as the topic has, topics as many as the configuration names, types of agents
//! at most [`MOST_TYPES`], agents at most as many as are asked for.

mod latency;
mod table;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use prometheus::{Registry, TextEncoder};

pub use self::latency::Latencies;
pub use self::table::{Figures, Row, TABLE};
use crate::finding::{Family, RiskEventType};
use crate::risk::{Decision, Level, Monitoring};
use crate::wire::dead_letter::Reason;

/// Types of agents that have series of their own; the others are [`OTHER`].
pub const MOST_TYPES: usize = 200;
/// The label of types beyond [`MOST_TYPES`].
pub const OTHER: &str = "other";
/// The longest value of a label that an input chose. Bytes.
const LONGEST_BYTES: usize = 256;

/// All metrics of an instance.
#[derive(Debug)]
pub struct Metrics {
    /// Each of them.
    pub figures: Figures,
    registry: Registry,
    types: Mutex<BTreeSet<String>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics at zero. Series of closed sets are there from the start, so that the first of a kind shows as a rise.
    #[expect(clippy::expect_used, reason = "names and labels are constants, and a test makes them")]
    pub fn new() -> Self {
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("the registry is empty");
        let figures = Figures::new(&registry).expect("names are good and told apart");
        let metrics = Self { figures, registry, types: Mutex::default() };
        metrics.begin();
        metrics
    }

    fn begin(&self) {
        let figures = &self.figures;
        figures.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        for reason in values("reason") {
            figures.dead_letters.with_label_values(&[reason]);
        }
        for family in Family::ALL {
            figures.units.with_label_values(&[family.name()]);
            figures.units_unusual.with_label_values(&[family.name()]);
        }
        let none: [&str; 0] = [];
        for counter in [
            &figures.duplicates,
            &figures.misplaced,
            &figures.digests,
            &figures.evictions,
            &figures.lost_slices,
            &figures.state_saved,
            &figures.restores,
            &figures.http_cut,
        ] {
            counter.with_label_values(&none);
        }
        for (counter, label) in [
            (&figures.held_back, "because_of"),
            (&figures.verdicts, "verdict"),
            (&figures.transactions, "outcome"),
            (&figures.operator_alerts, "kind"),
            (&figures.shed, "how"),
        ] {
            values(label).into_iter().for_each(|value| drop(counter.with_label_values(&[value])));
        }
        for stage in values("stage") {
            figures.latency.with_label_values(&[stage]);
        }
    }

    /// The label of a type of agents: its name, or [`OTHER`] where there are many. The first ones keep theirs.
    pub fn type_label<'n>(&self, name: &'n str) -> &'n str {
        let mut types = self.types.lock().unwrap_or_else(PoisonError::into_inner);
        if types.contains(name) {
            return name;
        }
        if types.len() >= MOST_TYPES || name.len() > LONGEST_BYTES {
            return OTHER;
        }
        types.insert(name.to_owned());
        name
    }

    /// All metrics in the text format of Prometheus.
    ///
    /// # Errors
    ///
    /// When they cannot be written, with why.
    pub fn text(&self) -> Result<String, String> {
        TextEncoder::new().encode_to_string(&self.registry.gather()).map_err(|error| error.to_string())
    }
}

/// The values of a label from a closed set, in order; none where the set is not closed.
pub fn values(label: &str) -> Vec<&'static str> {
    match label {
        "reason" => Reason::ALL.map(Reason::label).to_vec(),
        "family" => Family::TOLD.map(Family::name).to_vec(),
        "risk_event_type" => RiskEventType::ALL.map(RiskEventType::name).to_vec(),
        "level" | "previous_level" => Level::ALL.map(Level::name).to_vec(),
        "monitoring" => [Monitoring::Ok, Monitoring::Degraded, Monitoring::Blind].map(monitoring).to_vec(),
        "verdict" => Decision::ALL.map(Decision::name).to_vec(),
        "because_of" => vec!["maintenance", "suppression", "declared_change"],
        "how" => vec!["repeats", "skip"],
        "stage" => vec!["judged", "committed"],
        "state" => vec!["running", "restoring"],
        "outcome" => vec!["committed", "aborted"],
        "fate" => vec!["sent", "left_out", "failed"],
        "kind" => vec!["coverage_gap", "stalled", "dead_letters", "panic", "blind", "misplaced", "settings"],
        _ => Vec::new(),
    }
}

/// The name of how well an agent is seen.
pub fn monitoring(monitoring: Monitoring) -> &'static str {
    match monitoring {
        Monitoring::Ok => "ok",
        Monitoring::Degraded => "degraded",
        Monitoring::Blind => "blind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_prefix_and_counters_alone_end_in_total() {
        for row in TABLE {
            assert!(row.name.starts_with("tiltmeter_"), "{}", row.name);
            assert_eq!(row.name.ends_with("_total"), row.kind == "counter", "{}", row.name);
            assert!(row.help().ends_with('.'), "{}: {}", row.name, row.help());
        }
    }

    #[test]
    fn there_are_at_most_so_many_types_and_none_is_endless() {
        let metrics = Metrics::new();
        for number in 0..1000 {
            let name = format!("type-{number}");
            let expected = if number < MOST_TYPES { name.as_str() } else { OTHER };
            assert_eq!(metrics.type_label(&name), expected);
        }
        assert_eq!(metrics.type_label("type-7"), "type-7");
        assert_eq!(Metrics::new().type_label(&"a".repeat(LONGEST_BYTES + 1)), OTHER);
    }

    #[test]
    fn what_cannot_have_happened_yet_is_there_at_zero() {
        let text = Metrics::new().text().unwrap();
        for line in [
            "tiltmeter_dead_letters_total{reason=\"not_json\"} 0",
            "tiltmeter_transactions_total{outcome=\"aborted\"} 0",
            "tiltmeter_agent_evictions_total 0",
            "tiltmeter_units_unusual_total{family=\"novelty\"} 0",
            "tiltmeter_latency_seconds_count{stage=\"committed\"} 0",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
    }
}
