//! Integration tests: one binary, because each costs a link.

mod simulate;
