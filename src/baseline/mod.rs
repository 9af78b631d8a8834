//! What is normal: for one agent, for its type, for the fleet.
//!
//! Knows votes, tables and versions. Must not know how worried anyone should be.

pub mod agent;
pub mod failure;
pub mod learning;
pub mod pool;
pub mod rate;
pub mod store;
