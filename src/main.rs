//! The `tiltmeter` binary: parses the command line and runs one command.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tiltmeter::cli::Cli::parse().run()
}
