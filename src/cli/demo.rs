//! `tiltmeter demo`: a simulated fleet under attack, watched in the terminal, without any set-up.
//!
//! Knows options, files, the pace and when to stop. Must not judge anything, nor lay anything out.

mod board;
mod running;
mod screen;
mod summary;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use self::running::Running;
use self::screen::View;
use super::explain::Style;
use super::files::Files;
use super::notice::say;
use super::output::Output;
use super::simulate::{Attacks, parse_attacks, parse_duration_ms};
use crate::alert::Alert;
use crate::config::Config;
use crate::demo::pace::Pace;
use crate::demo::{Progress, scenario};
use crate::simulate::Scenario;

/// How long it is waited for the service to be ready, and between two looks.
const READY_WITHIN: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);

/// Watch a simulated fleet come under attack.
///
/// Four days of event time pass in a minute: two quiet ones in which the engine learns what is normal, then two
/// with attacks. Events go through Kafka, by a broker inside of this process to which any client can attach while it
/// runs. A board shows what happens; without a terminal each alert is a line on standard error. At the end standard output says how many attacks were found and what an alert looks like. Ctrl-C ends it early.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// How long it takes, such as 60s or 5m; 0s is as fast as possible.
    #[arg(long = "for", value_name = "DURATION", default_value = "60s", value_parser = parse_length, allow_negative_numbers = true)]
    length: Duration,
    /// Seed of all randomness: another seed is another fleet.
    #[arg(long, default_value_t = scenario().seed)]
    seed: u64,
    /// Number of agents.
    #[arg(long, default_value_t = scenario().agents)]
    agents: u32,
    /// Attacks to choose from: none, all, or names separated by commas (hijacked-goal, data-theft, enumeration,
    /// privilege-probing, runaway-loop, tool-swap).
    #[arg(long, value_name = "NAMES", default_value = "all", value_parser = parse_attacks)]
    attacks: Attacks,
    /// Configuration file; without it every setting has its default.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write lines instead of a board.
    #[arg(long)]
    plain: bool,
    /// Leave Kafka out: the engine judges in this process, and the same options give the same alerts each time.
    #[cfg(feature = "kafka")]
    #[arg(long)]
    direct: bool,
    /// Where the alerts are written, one JSON object a line, for `tiltmeter explain`.
    #[arg(long, value_name = "FILE")]
    alerts: Option<PathBuf>,
}

impl Demo {
    /// Runs the demonstration and says how it went. Alerts are no failure.
    ///
    /// # Errors
    ///
    /// Settings out of range, a configuration that cannot be used, output that cannot be written.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(self.config.as_deref())?;
        let mut demo = self.start(&config)?;
        Files::default()
            .read("the configuration", &self.config)
            .read("a file that the configuration names", &config.files())
            .written("--alerts", self.alerts.as_ref())
            .check()?;
        let mut file = self.alerts.as_deref().map(Output::file).transpose()?;
        let watched = self.watch(&mut demo, file.as_mut());
        for sentence in demo.take_trouble() {
            say(sentence);
        }
        let is_over = watched?;
        if let Some(mut file) = file {
            file.flush()?;
        }
        let mut out = Output::stdout();
        let command = summary::same_by_hand(demo.watched().scenario(), self.config.as_deref());
        let style = Style::of(&std::io::stdout());
        out.text(&summary::summary(demo.watched(), is_over, &command, self.alerts.as_deref(), &style))?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    fn start(&self, config: &Config) -> anyhow::Result<Running> {
        #[cfg(feature = "kafka")]
        if !self.direct {
            return Running::live(&self.scenario(), config);
        }
        Running::direct(&self.scenario(), config)
    }

    /// Shows the scenario from its start to its end; false where someone ended it early.
    fn watch(&self, demo: &mut Running, mut file: Option<&mut Output>) -> anyhow::Result<bool> {
        let stopped = stop_on_request()?;
        let pace = Pace::new(demo.watched().scenario(), self.length);
        let mut view = View::new(self.plain, demo.banner())?;
        let mut alerts = Vec::new();
        // Joining a group takes a few seconds, in which no event has to wait.
        let asked = Instant::now();
        while !demo.is_ready() && asked.elapsed() < READY_WITHIN && !stopped.load(Ordering::Relaxed) {
            view.show(demo.watched(), &pace, Duration::ZERO, &[])?;
            std::thread::park_timeout(LOOK);
        }
        let began = Instant::now();
        let mut progress = Progress::Busy;
        while progress != Progress::Over && !stopped.load(Ordering::Relaxed) {
            let watched = began.elapsed();
            progress = demo.advance(pace.reached(watched), &mut alerts)?;
            view.show(demo.watched(), &pace, watched, &alerts)?;
            write(&mut alerts, file.as_deref_mut())?;
            if progress == Progress::Waiting && demo.banner().is_none() {
                std::thread::park_timeout(view.next_frame(began.elapsed()));
            }
        }
        demo.finish(&mut alerts)?;
        view.tell(demo.watched(), &alerts);
        write(&mut alerts, file)?;
        Ok(progress == Progress::Over)
    }

    fn scenario(&self) -> Scenario {
        Scenario { seed: self.seed, agents: self.agents, attacks: self.attacks.0.clone(), ..scenario() }
    }
}

/// A sign that is set when a person (Ctrl-C) or the system asks to stop; the waiting thread is woken.
fn stop_on_request() -> anyhow::Result<Arc<AtomicBool>> {
    let stopped = Arc::new(AtomicBool::new(false));
    let (sign, watching) = (Arc::clone(&stopped), std::thread::current());
    ctrlc::set_handler(move || {
        sign.store(true, Ordering::Relaxed);
        watching.unpark();
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stopped)
}

fn write(alerts: &mut Vec<Alert>, file: Option<&mut Output>) -> anyhow::Result<()> {
    if let Some(file) = file {
        alerts.iter().try_for_each(|alert| file.json_line(alert))?;
    }
    alerts.clear();
    Ok(())
}

fn parse_length(text: &str) -> anyhow::Result<Duration> {
    match u64::try_from(parse_duration_ms(text)?) {
        Ok(ms) => Ok(Duration::from_millis(ms)),
        Err(_) => {
            bail!("\"{text}\" is less than nothing; write it like 60s, or 0s to go as fast as possible")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_a_unit_and_is_not_negative() {
        assert_eq!(parse_length("1m 30s").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_length("0s").unwrap(), Duration::ZERO);
        assert!(parse_length("-3s").unwrap_err().to_string().contains("write it like 60s"));
        assert!(parse_length("60").is_err());
    }
}
