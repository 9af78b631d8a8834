//! `tiltmeter simulate`: a labelled synthetic fleet as NDJSON.
//!
//! Knows options, files and line formats. Must not know how events are made.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use jiff::{Span, SpanRelativeTo, Unit};
use serde::Serialize;

use super::files::Files;
use super::output::{Output, OutputError};
use crate::simulate::{Attack, Preset, RateLaw, Scenario, Simulation};
use crate::time::EventTime;

/// Writes the audit events of a simulated fleet of AI agents, some of them under attack, as NDJSON.
///
/// Every line is an audit event with the truth beside it (`label`, `exposed`, `task`, `injection`), which
/// detection ignores. Equal options give equal bytes.
#[derive(Debug, Args)]
pub struct Simulate {
    /// Agent types: mixed (the next three together), trading, customer-data, system-administration,
    /// software-development or office.
    #[arg(long, default_value_t = Scenario::default().preset)]
    preset: Preset,
    /// Number of agents.
    #[arg(long, default_value_t = Scenario::default().agents)]
    agents: u32,
    /// Length in days of event time.
    #[arg(long, default_value_t = Scenario::default().days, allow_negative_numbers = true)]
    days: f64,
    /// First instant, RFC 3339.
    #[arg(long, default_value = "2026-01-05T00:00:00Z", value_parser = parse_start)]
    start: EventTime,
    /// Seed of all randomness.
    #[arg(long, default_value_t = Scenario::default().seed)]
    seed: u64,
    /// Sessions of an average agent on an average day.
    #[arg(long, value_name = "RATE", default_value_t = Scenario::default().sessions_per_day, allow_negative_numbers = true)]
    sessions_per_day: f64,
    /// How sessions start: in calm and busy spells, in cascades (each may cause others), or with heavy-tailed gaps.
    #[arg(long, value_name = "LAW", default_value_t = Scenario::default().rate_law)]
    rate_law: RateLaw,
    /// How much agents of a type differ in pace: standard deviation of its logarithm.
    #[arg(long, value_name = "LOG-SD", default_value_t = Scenario::default().pace_spread, allow_negative_numbers = true)]
    pace_spread: f64,
    /// How much of their type's day and week agents follow, from 0 (the same at every hour) to 1.
    #[arg(long, value_name = "SHARE", default_value_t = Scenario::default().day_night, allow_negative_numbers = true)]
    day_night: f64,
    /// Attacks to choose from: none, all, or names separated by commas (hijacked-goal, data-theft, enumeration,
    /// privilege-probing, runaway-loop, tool-swap).
    #[arg(long, value_name = "NAMES", default_value = "all", value_parser = parse_attacks)]
    attacks: Attacks,
    /// Share of sessions that are attacked, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = Scenario::default().attack_share, allow_negative_numbers = true)]
    attack_share: f64,
    /// How blatant the attacks are: 0 = indistinguishable from normal work, 1 = blatant.
    #[arg(long, default_value_t = Scenario::default().strength, allow_negative_numbers = true)]
    strength: f64,
    /// No attack before this much event time, such as 2d or 36h.
    #[arg(long, value_name = "DURATION", default_value = "2d", value_parser = parse_duration_ms)]
    quiet_until: i64,
    /// File that gets one JSON line per attack: agent, session, scenario, start, end, calls, first exposed call.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Leave the truth out of the events.
    #[arg(long)]
    no_labels: bool,
}

/// The chosen attacks; a type of its own because clap takes a bare `Vec` for a repeated option.
#[derive(Clone, Debug)]
pub(super) struct Attacks(pub Vec<Attack>);

impl Simulate {
    /// Runs the command. A reader that stops reading ends it without complaint.
    ///
    /// # Errors
    ///
    /// Settings out of range; a truth file or standard output that cannot be written.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut simulation = Simulation::new(&self.scenario())?;
        Files::default().written("--truth", self.truth.as_ref()).check()?;
        let mut truth = self.truth.as_deref().map(Output::file).transpose()?;
        let mut out = Output::stdout();
        let written = write_all(&mut simulation, self.no_labels, &mut out, truth.as_mut());
        let written = written.and_then(|()| out.flush());
        // Also where the reader of the events has seen enough.
        if let Some(file) = &mut truth {
            file.flush()?;
        }
        written?;
        Ok(ExitCode::SUCCESS)
    }

    fn scenario(&self) -> Scenario {
        Scenario {
            preset: self.preset,
            agents: self.agents,
            days: self.days,
            start: self.start,
            seed: self.seed,
            sessions_per_day: self.sessions_per_day,
            rate_law: self.rate_law,
            pace_spread: self.pace_spread,
            day_night: self.day_night,
            attacks: self.attacks.0.clone(),
            attack_share: self.attack_share,
            strength: self.strength,
            quiet_ms: self.quiet_until,
        }
    }
}

fn write_all(
    simulation: &mut Simulation,
    no_labels: bool,
    out: &mut Output,
    mut truth: Option<&mut Output>,
) -> Result<(), OutputError> {
    while let Some(simulated) = simulation.next() {
        match no_labels {
            true => plain_line(out, &simulated.event)?,
            false => plain_line(out, &simulated)?,
        }
        for attack in simulation.take_attacks() {
            if let Some(file) = truth.as_deref_mut() {
                plain_line(file, &attack)?;
            }
        }
    }
    Ok(())
}

/// Names in it are ours: nothing has to be escaped.
fn plain_line(out: &mut Output, value: &impl Serialize) -> Result<(), OutputError> {
    out.with(|out| {
        serde_json::to_writer(&mut *out, value)?;
        out.write_all(b"\n")
    })
}

fn parse_start(text: &str) -> anyhow::Result<EventTime> {
    EventTime::parse(text)
        .ok_or_else(|| anyhow!("\"{text}\" is no RFC 3339 time; write it like 2026-01-05T00:00:00Z"))
}

pub(super) fn parse_attacks(text: &str) -> anyhow::Result<Attacks> {
    Ok(Attacks(Attack::parse_list(text)?))
}

/// Parses `2d`, `36h`, `1h 30m`, `0`. Milliseconds; days have 24 hours.
pub(super) fn parse_duration_ms(text: &str) -> anyhow::Result<i64> {
    if text.trim() == "0" {
        return Ok(0);
    }
    let advice = || format!("\"{text}\" is no duration; write it like 60s, 90m, 36h or 2d");
    let span: Span = text.parse().with_context(advice)?;
    let total = span.total((Unit::Millisecond, SpanRelativeTo::days_are_24_hours())).with_context(advice)?;
    Ok(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, hours) in [("2d", 48), ("36h", 36), ("1d 90m", 25), ("0", 0)] {
            let ms = parse_duration_ms(text).unwrap();
            assert_eq!(ms / 3_600_000, hours, "{text}");
        }
        assert!(parse_duration_ms("soon").unwrap_err().to_string().contains("write it like 60s"));
    }

    #[test]
    fn a_start_without_a_zone_is_refused_with_advice() {
        let error = parse_start("2026-01-05").unwrap_err().to_string();
        assert!(error.contains("2026-01-05T00:00:00Z"), "{error}");
    }
}
