//! `tiltmeter status`: who is at work, how far they are, what is in their way.
//!
//! Knows options and how a table looks. Must not know a broker.

mod audit;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::output::Output;
use crate::config::Config;
use crate::kafka::client::Clients;
use crate::kafka::status::{Heartbeat, Standing, Status as Found, status};

/// Exit status when nobody is there, or somebody falls behind.
const UNWELL: u8 = 1;

/// Show how the service is doing, from what Kafka tells anybody: heartbeats, lag, open transactions.
///
/// Looks twice, a few seconds apart, because what falls behind shows only over time. The exit code is 0 when somebody is
/// there and nobody falls behind, 1 otherwise; 64 when something has to be mended, 69 when no broker answers, 75 when
/// something else is in the way that may pass, 77 when a broker does not let us.
#[derive(Debug, clap::Args)]
pub struct Status {
    /// Configuration file; without it every setting has its default.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Write one JSON object.
    #[arg(long)]
    json: bool,

    /// Show what people decided instead: every control record, in its order, and whether the chain through them is whole. The
    /// exit code is 1 where it is not.
    #[arg(long, conflicts_with = "between")]
    audit: bool,

    /// Seconds between the two looks.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=600))]
    between: u64,
}

impl Status {
    /// Asks, and writes what was found.
    ///
    /// # Errors
    ///
    /// When the configuration cannot be used or the cluster cannot be asked.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(self.config.as_deref())?;
        // What librdkafka has to say is in the failure.
        let clients = Clients::new(config.kafka(), Arc::new(|_, _| ()))?;
        if self.audit {
            return audit::run(&clients, self.json);
        }
        let found = status(&clients, config.sources(), Duration::from_secs(self.between))?;
        let mut out = Output::stdout();
        if self.json {
            out.text(&(serde_json::to_string(&found)? + "\n"))?;
        } else {
            out.text(&shown(&found))?;
        }
        out.flush()?;
        Ok(if found.is_healthy() { ExitCode::SUCCESS } else { ExitCode::from(UNWELL) })
    }
}

/// Tables for a person.
fn shown(found: &Found) -> String {
    let mut text = format!("group {} at {}\n\n", found.group, found.time);
    let mut rows = vec![
        ["instance", "version", "seen", "partitions", "restoring", "agents", "baseline"].map(str::to_owned),
    ];
    for Heartbeat { instance, version, time, partitions } in &found.instances {
        let restoring = partitions.iter().filter(|beat| beat.restoring).count();
        rows.push([
            instance.clone(),
            version.clone(),
            format!("{} s ago", (found.time.0 - time.0).max(0) / 1000),
            partitions.len().to_string(),
            restoring.to_string(),
            partitions.iter().map(|beat| beat.agents).sum::<usize>().to_string(),
            partitions.iter().map(|beat| beat.baseline).max().unwrap_or_default().to_string(),
        ]);
    }
    text += &table(&rows);
    for (title, standings) in [("audit events", &found.partitions), ("sources", &found.sources)] {
        if standings.is_empty() {
            continue;
        }
        let mut rows = vec![[title, "partition", "stands at", "end", "lag", "open"].map(str::to_owned)];
        for Standing { topic, partition, committed, end, lag, open, .. } in standings {
            rows.push([
                topic.clone(),
                partition.to_string(),
                committed.map_or_else(|| "-".to_owned(), |offset| offset.to_string()),
                end.to_string(),
                lag.to_string(),
                open.to_string(),
            ]);
        }
        text += &format!("\n{}", table(&rows));
    }
    let troubles = found.troubles();
    text += if troubles.is_empty() { "\nall is well\n" } else { "\n" };
    for trouble in troubles {
        let _ = writeln!(text, "! {trouble}");
    }
    text
}

/// Rows under one another; what comes from outside is escaped, so that it moves no cursor.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let printable = |cell: &String| cell.chars().flat_map(char::escape_debug).collect::<String>();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(printable).collect()).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, column) in row.iter().zip(0..) {
            let widths = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            let _ = write!(line, "{cell:<width$}  ", width = widths.max().unwrap_or_default());
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
