//! The edge to the outside: bytes become audit events, judgements become bytes.
//!
//! Knows the wire formats, their limits and what to do with input that breaks them.
//! Must not know what is done with an event, nor how a finding came about.

pub mod annotate;
pub mod audit_event;
pub mod control;
pub mod dead_letter;
pub mod input;
pub mod line_faults;
pub mod mapping_file;
pub mod outputs;
pub mod progress;
pub mod sources;
pub mod state;
pub mod verdict;

mod refusal;
