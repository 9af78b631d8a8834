//! The command line: one file per command, nothing but wiring.
//!
//! Knows every other module. Must not hold logic that a library user would miss.

mod evaluate;
mod simulate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Streaming behavioural anomaly detector for AI agents.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Evaluate(evaluate::Evaluate),
    Simulate(simulate::Simulate),
}

impl Cli {
    /// Runs the command; a failure is printed on stderr with its causes and a remedy.
    pub fn run(self) -> ExitCode {
        let result: anyhow::Result<ExitCode> = match self.command {
            Command::Evaluate(command) => command.run(),
            Command::Simulate(command) => command.run(),
        };
        match result {
            Ok(code) => code,
            Err(error) => {
                eprintln!("tiltmeter: {error:#}");
                ExitCode::from(64)
            }
        }
    }
}
