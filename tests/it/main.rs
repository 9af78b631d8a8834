//! The integration tests, in one binary because each binary costs a link.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly: that is their job"
)]

mod alerts;
mod annotate;
#[cfg(feature = "kafka")]
mod authority;
mod bad_input;
mod cli;
mod configuration_docs;
mod control;
mod demo;
mod determinism;
mod ends;
mod endurance;
mod evaluation_docs;
mod floors;
mod formats;
mod guards;
#[cfg(feature = "kafka")]
mod https;
#[cfg(feature = "kafka")]
mod kafka;
mod levels;
mod manual;
#[cfg(feature = "kafka")]
mod metrics_docs;
mod outputs;
mod scenarios;
mod simulate;
mod source_commands;
mod sources;
mod state;
mod wire;
