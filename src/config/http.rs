//! Reads the table `[http]`.
//!
//! Knows how each setting is written, and its range. Must not know what is answered. `docs/http.md` is the manual.

use std::path::Path;

use super::reader::Reader;
use crate::kafka::secret::SecretPlace;

/// Agents whose risk score is a metric, where the configuration says nothing.
const RISKIEST_AGENTS: u32 = 20;
/// Most of them: each is a series of its own.
const MOST_RISKIEST_AGENTS: u32 = 1000;

/// What the interface over HTTP is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpSettings {
    /// Tokens that may read, one a line.
    pub viewer_tokens: Option<SecretPlace>,
    /// Tokens that may read and give verdicts, one a line.
    pub analyst_tokens: Option<SecretPlace>,
    /// Tokens that may do everything, one a line.
    pub admin_tokens: Option<SecretPlace>,
    /// Agents whose risk score is a metric; 0: none.
    pub riskiest_agents: usize,
}

/// Everything in `[http]`. Paths that are not absolute begin in `folder`.
pub(super) fn read(from: &mut Reader<'_>, folder: &Path) -> HttpSettings {
    HttpSettings {
        viewer_tokens: from.secret_place(
            "http.viewer_tokens",
            "bearer tokens that may read `/v1`, one a line",
            folder,
        ),
        analyst_tokens: from.secret_place(
            "http.analyst_tokens",
            "bearer tokens that may also give verdicts, but for `accept`",
            folder,
        ),
        admin_tokens: from.secret_place("http.admin_tokens", "bearer tokens that may do everything", folder),
        riskiest_agents: from.whole(
            "http.riskiest_agents",
            "agents whose risk score is a metric, the riskiest ones; 0: none",
            0..=MOST_RISKIEST_AGENTS,
            RISKIEST_AGENTS,
        ) as usize,
    }
}
