//! The integration tests: one binary, because each costs a link.

mod evaluation_docs;
