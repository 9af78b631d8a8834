//! Sources: foreign formats in, one small internal form each.
//!
//! Knows what foreign records look like. Must not know what is made of them.

pub mod conversation;
pub mod format;
pub mod mapping;
pub mod node;
pub mod normaliser;
pub mod transcript;
