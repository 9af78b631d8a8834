//! Estimators: small, mergeable, deterministic, bounded.
//!
//! Know numbers and keys. Must not know agents, events or configuration; must not fail, must not do I/O.
//!
//! Everything that is learned is counted in fixed point ([`decay::Votes`]), so that sums are exact and do not
//! depend on the order in which they were taken: the same observations give the same bytes, on one thread or
//! many, in whatever order they were merged.

pub mod category;
pub mod combine;
pub mod decay;
pub mod distinct;
pub mod fixed;
pub mod flat;
pub mod key;
pub mod quantile;
pub mod rate;
pub mod recent;
pub mod sequence;
pub mod share;
pub mod tail;
