//! How worried to be: from bits to p, from p to an alert.
//!
//! Knows how surprising units of a type usually are. Must not know events, agents or time.

pub mod budget;
pub mod calibrate;
pub mod content;
pub mod level;
