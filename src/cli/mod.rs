//! The command line: one file per command, nothing but wiring.
//!
//! Knows every other module. Must not hold logic that a library user would miss.

mod annotate;
mod check;
mod demo;
mod detect;
mod evaluate;
mod explain;
mod files;
#[cfg(feature = "kafka")]
mod normalise;
mod notice;
mod output;
mod registry;
#[cfg(feature = "kafka")]
mod run;
mod simulate;
mod source;
#[cfg(feature = "kafka")]
mod state;
#[cfg(feature = "kafka")]
mod status;
#[cfg(feature = "kafka")]
mod topics;
mod train;
mod verdict;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::notice::say;
use self::output::OutputError;
use crate::wire::dead_letter::DeadLetterError;
use crate::wire::state::StateError;

/// Exit status when a person must mend something first (EX_USAGE of sysexits.h).
const TO_BE_MENDED: u8 = 64;
/// Exit status when nothing of the input could be used (EX_DATAERR of sysexits.h).
const NOTHING_USABLE: u8 = 65;
/// Exit status when output could not be written (EX_IOERR of sysexits.h).
const NOT_WRITTEN: u8 = 74;

/// Streaming behavioural anomaly detector for AI agents.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Annotate(annotate::Annotate),
    Check(check::Check),
    Demo(demo::Demo),
    Detect(detect::Detect),
    Evaluate(evaluate::Evaluate),
    Explain(explain::Explain),
    #[cfg(feature = "kafka")]
    Normalise(normalise::Normalise),
    #[cfg(feature = "kafka")]
    Run(run::Run),
    Registry(registry::Registry),
    Simulate(simulate::Simulate),
    #[cfg(feature = "kafka")]
    State(state::State),
    #[cfg(feature = "kafka")]
    Status(status::Status),
    #[cfg(feature = "kafka")]
    Topics(topics::Topics),
    Train(train::Train),
    Verdict(verdict::Give),
}

impl Cli {
    /// Runs the command; a failure is printed on stderr with its causes and a remedy.
    pub fn run(self) -> ExitCode {
        let result: anyhow::Result<ExitCode> = match self.command {
            Command::Annotate(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Demo(command) => command.run(),
            Command::Detect(command) => command.run(),
            Command::Evaluate(command) => command.run(),
            Command::Explain(command) => command.run(),
            #[cfg(feature = "kafka")]
            Command::Normalise(command) => command.run(),
            #[cfg(feature = "kafka")]
            Command::Run(command) => command.run(),
            Command::Registry(command) => command.run(),
            Command::Simulate(command) => command.run(),
            #[cfg(feature = "kafka")]
            Command::State(command) => command.run(),
            #[cfg(feature = "kafka")]
            Command::Status(command) => command.run(),
            #[cfg(feature = "kafka")]
            Command::Topics(command) => command.run(),
            Command::Train(command) => command.run(),
            Command::Verdict(command) => command.run(),
        };
        match result {
            Ok(code) => code,
            Err(error) => failure(&error),
        }
    }
}

fn failure(error: &anyhow::Error) -> ExitCode {
    // Whoever read the output has seen enough (`| head`): no failure, and nothing to say.
    let is_closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    if error.chain().filter_map(|cause| cause.downcast_ref()).any(is_closed) {
        return ExitCode::SUCCESS;
    }
    say(told(error));
    #[cfg(feature = "kafka")]
    if let Some(code) = topics::exit_code(error) {
        return ExitCode::from(code);
    }
    ExitCode::from(if error.chain().any(is_not_written) { NOT_WRITTEN } else { TO_BE_MENDED })
}

/// Whether output could not be written.
fn is_not_written(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<OutputError>()
        || cause.is::<DeadLetterError>()
        || matches!(cause.downcast_ref(), Some(StateError::Write { .. }))
}

/// An error and its causes; a cause that the error quotes already is not said again.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
