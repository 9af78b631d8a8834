//! Reads the table `[caep]`: who sends security event tokens, to whom, and with which keys.
//!
//! Knows how each setting is written. Must not know what a token says. `docs/formats.md` is the manual.

use std::path::Path;

use super::reader::Reader;
use crate::kafka::secret::{SecretError, SecretPlace};
use crate::wire::outputs::Format;
use crate::wire::outputs::caep::keys::{KeyError, Keys};
use crate::wire::outputs::caep::{Parties, Transmitter};

/// What an agent is to a receiver, where the configuration says nothing: the Shared Signals Framework has no word for agents,
/// and calls what acts by itself an application.
const PRINCIPAL: &str = "APPLICATION";

/// Who sends tokens, to whom, and where the keys are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaepSettings {
    /// Both sides.
    pub parties: Parties,
    /// Private keys (PEM); the first signs.
    pub keys: SecretPlace,
}

/// Nothing can be signed.
#[derive(Debug, thiserror::Error)]
pub enum CaepError {
    /// The keys cannot be read.
    #[error("[caep] keys: {0}")]
    Read(#[from] SecretError),
    /// They cannot be used.
    #[error("[caep] keys: {0}")]
    Keys(#[from] KeyError),
}

impl CaepSettings {
    /// What signs, with the keys as they are now.
    ///
    /// # Errors
    ///
    /// When the keys cannot be read or used.
    pub fn transmitter(&self) -> Result<Transmitter, CaepError> {
        let keys = Keys::from_pem(self.keys.read()?.reveal())?;
        Ok(Transmitter::new(self.parties.clone(), keys))
    }
}

/// Everything in `[caep]`; none where nothing is set. Paths that are not absolute begin in `folder`.
pub(super) fn read(from: &mut Reader<'_>, folder: &Path) -> Option<CaepSettings> {
    let issuer = from.optional_text(
        "caep.issuer",
        "name under which security event tokens are sent: https:// and a host, below which an instance answers",
    );
    let audience = from.optional_text("caep.audience", "name of their receiver, as it wants it in `aud`");
    let keys = from.secret_place(
        "caep.keys",
        "private RSA keys (PEM), one after the other: the first signs, all are published",
        folder,
    );
    let principal = from.text("caep.principal", "what an agent is to the receiver", PRINCIPAL);
    let subject_issuer = from.optional_text(
        "caep.subject_issuer",
        "who gave agents the names that the receiver knows, as its tokens say in `iss`",
    );
    if let Some(wrong) = issuer.as_deref().filter(|issuer| !is_issuer(issuer)) {
        let what = format!(
            "[caep] issuer = {:?} is not allowed: give https:// and a host, without path, query or slash at its end",
            super::spelling::cut(wrong)
        );
        from.fault_at("caep.issuer", what);
    }
    match (issuer, audience, keys) {
        (Some(issuer), Some(audience), Some(keys)) => {
            let parties = Parties { issuer, audience, principal, subject_issuer };
            Some(CaepSettings { parties, keys })
        }
        (None, None, None) => None,
        _ => {
            let what = "[caep] needs issuer, audience and keys: set all three, or none".to_owned();
            from.fault_at("caep.issuer", what);
            None
        }
    }
}

/// Finds fault with formats that are signed where nothing signs.
pub(super) fn see_that_it_is_there<'f>(
    from: &mut Reader<'_>,
    caep: Option<&CaepSettings>,
    mut formats: impl Iterator<Item = &'f Format>,
) {
    if caep.is_none() && formats.any(|format| *format == Format::Caep) {
        let what = "format = \"caep\" needs to know who signs: set issuer, audience and keys in [caep]";
        from.fault_at("caep.issuer", what.to_owned());
    }
}

fn is_issuer(text: &str) -> bool {
    let host = text.strip_prefix("https://").unwrap_or_default();
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    !host.is_empty() && host.chars().all(is_legal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const WHOLE: &str = "[caep]\nissuer = \"https://t.example\"\naudience = \"https://idp.example\"\n\
                         keys = { file = \"keys.pem\" }\n";

    #[test]
    fn who_signs_is_said_whole_or_not_at_all() {
        let config = Config::parse(WHOLE, Path::new("/nowhere")).unwrap();
        let caep = config.caep().unwrap();
        assert_eq!(caep.parties.principal, PRINCIPAL);
        assert_eq!(caep.keys, SecretPlace::File("/nowhere/keys.pem".into()));
        let told = caep.transmitter().unwrap_err().to_string();
        assert!(told.contains("[caep] keys: cannot read the secret in the file"), "{told}");
        assert_eq!(config.hash(), Config::default().hash(), "how it is told judges nothing");
        assert!(Config::default().caep().is_none());
    }

    #[test]
    fn what_is_missing_or_wrong_is_told() {
        for (text, part) in [
            ("[caep]\nissuer = \"https://t.example\"", "needs issuer, audience and keys"),
            ("[[sinks]]\nformat = \"caep\"", "format = \"caep\" needs to know who signs"),
            (&WHOLE.replace("https://t.example", "http://t.example"), "give https:// and a host"),
            (&WHOLE.replace("https://t.example", "https://t.example/"), "give https:// and a host"),
            (&WHOLE.replace("{ file = \"keys.pem\" }", "\"hunter2\""), "never the secret itself"),
            (&format!("{WHOLE}[[sinks]]\nformat = \"caep\"\ntopics = [\"alerts\"]"), "no records for alerts"),
        ] {
            let told = Config::parse(text, Path::new("")).unwrap_err();
            let told = told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert!(told.contains(part) && !told.contains("hunter2"), "{part} is not in\n{told}");
        }
    }
}
