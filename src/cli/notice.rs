//! What commands tell people beside their output, on standard error.
//!
//! Knows that whoever reads along may stop doing so. Must not know what is told.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes `tiltmeter: ` and `what` as one line, or as several, to standard error.
///
/// That it cannot be written, because its reader has gone or its disk is full, is no reason to lose the work that the command
/// is there for: nobody is left who could be told. `eprintln!` would panic then.
pub fn say(what: impl Display) {
    // At once: lines of several processes that share a terminal or a file stay whole.
    let line = format!("tiltmeter: {what}\n");
    let _ = io::stderr().lock().write_all(line.as_bytes());
}
