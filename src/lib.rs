//! Tiltmeter: a streaming behavioural anomaly detector for AI agents.
//!
//! Floors (a module imports only from lower ones; `tests/it/floors.rs` enforces it):
//!
//! 1. `event`, `time`, `finding`, `risk`, `control`, `pattern`, `network`, `stats`
//! 2. `baseline`
//! 3. `detect`
//! 4. `assess`
//! 5. `engine`
//! 6. `wire`, `models`, `metrics`, `simulate`, `kafka`
//! 7. `config`, `evaluate`, `train`, `demo`, `http`, `cli`

pub mod alert;
pub mod assess;
pub mod baseline;
pub mod cli;
pub mod config;
pub mod control;
pub mod demo;
pub mod detect;
pub mod engine;
pub mod evaluate;
pub mod event;
pub mod finding;
#[cfg(feature = "kafka")]
pub mod http;
pub mod identity;
pub mod kafka;
#[cfg(feature = "kafka")]
pub mod metrics;
pub mod models;
pub mod network;
pub mod partition;
pub mod pattern;
pub mod risk;
pub mod simulate;
pub mod stats;
pub mod time;
#[cfg(feature = "kafka")]
pub mod tls;
pub mod train;
pub mod wire;
