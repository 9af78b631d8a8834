//! What is promised about Kafka, held against a real one.
//!
//! Knows the commands and the library as a user does. Must not know how a broker is started: that is the rig's.

mod access;
mod audit;
mod between;
mod breaking;
mod clients;
mod cluster;
mod decisions;
mod demo;
mod deployment;
mod described;
mod exhausted;
mod faults;
mod freshness;
mod frozen;
mod instance;
mod mirror;
mod normalise;
mod overload;
mod pinned;
mod policy;
mod proxy;
mod rig;
#[cfg(feature = "tls")]
mod secure;
mod service;
mod serving;
mod sinks;
mod state;
mod tokens;
mod topics;
mod unreadable;
mod webhooks;
