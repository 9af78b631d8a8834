//! Mappings as data: what mapping files of both directions have in common.
//!
//! Knows paths, templates, cases, and how faults of a file are told. Must not know sources nor outputs.

mod case;
pub(in crate::wire) mod path;
mod reader;

pub(in crate::wire) use self::case::Case;
pub use self::reader::Fault;
pub(in crate::wire) use self::reader::{File, Value, nearest, shown};
