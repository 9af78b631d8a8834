//! What is promised about Kafka, held against a real one.
//!
//! Knows the commands and the library as a user does. Must not know how a broker is started: that is the rig's.

mod audit;
mod breaking;
mod clients;
mod cluster;
mod decisions;
mod demo;
mod deployment;
mod described;
mod faults;
mod normalise;
mod rig;
mod service;
mod serving;
mod sinks;
mod state;
mod tokens;
mod topics;
mod webhooks;
