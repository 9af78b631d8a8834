//! Reads the table `[http]`.
//!
//! Knows how each setting is written, and its range. Must not know what is answered. `docs/http.md` is the manual.

use std::path::{Path, PathBuf};

use super::reader::Reader;
use crate::kafka::secret::SecretPlace;
use crate::pattern::Pattern;

/// Agents whose risk score is a metric, where the configuration says nothing.
const RISKIEST_AGENTS: u32 = 20;
/// Most of them: each is a series of its own.
const MOST_RISKIEST_AGENTS: u32 = 1000;

/// What the interface over HTTP is told. [`Default`] is an empty table.
#[derive(Clone, PartialEq, Debug)]
pub struct HttpSettings {
    /// Tokens that may read, one a line.
    pub viewer_tokens: Option<SecretPlace>,
    /// Tokens that may read and give verdicts, one a line.
    pub analyst_tokens: Option<SecretPlace>,
    /// Tokens that may do everything, one a line.
    pub admin_tokens: Option<SecretPlace>,
    /// Agents whose risk score is a metric; 0: none.
    pub riskiest_agents: usize,
    /// Certificate and key; none: nothing is encrypted.
    pub encryption: Option<Encryption>,
    /// What those may whose certificates are for such names; empty where none are asked for.
    pub client_roles: Vec<(Pattern, Role)>,
}

/// Files (PEM) that encrypt the interface over HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encryption {
    /// Certificate that is shown, with those that lead to its authority.
    pub certificate_file: PathBuf,
    /// Its key, without a password.
    pub key_file: PathBuf,
    /// Certificates of those who issue the certificates of clients; none: nobody is asked for one.
    pub client_ca_file: Option<PathBuf>,
}

/// What a token or a certificate lets its bearer do; each role everything that those before it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Gives verdicts.
    Analyst,
    /// Gives verdicts that teach.
    Admin,
}

impl Role {
    /// Names of all.
    pub const NAMES: &'static [&'static str] = &["viewer", "analyst", "admin"];

    /// The one with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Analyst, Self::Admin].into_iter().find(|role| role.name() == name)
    }

    /// The name used in configuration and documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Admin => "admin",
        }
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            viewer_tokens: None,
            analyst_tokens: None,
            admin_tokens: None,
            riskiest_agents: RISKIEST_AGENTS as usize,
            encryption: None,
            client_roles: Vec::new(),
        }
    }
}

/// Everything in `[http]`. Paths that are not absolute begin in `folder`.
pub(super) fn read(from: &mut Reader<'_>, folder: &Path) -> HttpSettings {
    let viewer_tokens =
        from.secret_place("http.viewer_tokens", "bearer tokens that may read `/v1`, one a line", folder);
    let analyst_tokens = from.secret_place(
        "http.analyst_tokens",
        "bearer tokens that may also give verdicts, but for `accept`",
        folder,
    );
    let admin_tokens = from.secret_place("http.admin_tokens", "bearer tokens that may do everything", folder);
    let riskiest_agents = from.whole(
        "http.riskiest_agents",
        "agents whose risk score is a metric, the riskiest ones; 0: none",
        0..=MOST_RISKIEST_AGENTS,
        RISKIEST_AGENTS,
    ) as usize;
    let (encryption, client_roles) = encryption(from, folder);
    HttpSettings { viewer_tokens, analyst_tokens, admin_tokens, riskiest_agents, encryption, client_roles }
}

fn encryption(from: &mut Reader<'_>, folder: &Path) -> (Option<Encryption>, Vec<(Pattern, Role)>) {
    let certificate = from.path(
        "http.certificate_file",
        "certificate of this interface, with those that lead to its authority (PEM); none: nothing is encrypted",
        folder,
    );
    let key = from.path("http.key_file", "key of that certificate (PEM), without a password", folder);
    let client_ca = from.path(
        "http.client_ca_file",
        "certificates of those who issue the certificates of clients (PEM); none: nobody is asked for one",
        folder,
    );
    let roles = from.choices(
        "http.client_roles",
        "role of clients whose certificate names this DNS name or URI",
        Role::NAMES,
        Role::of_name,
        Role::name,
    );
    for (is_wrong, setting, why) in [
        (
            certificate.is_some() != key.is_some(),
            "certificate_file",
            "and key_file belong together: name both or neither",
        ),
        (
            client_ca.is_some() && certificate.is_none(),
            "client_ca_file",
            "has no use without encryption: name certificate_file and key_file",
        ),
        (
            !roles.is_empty() && client_ca.is_none(),
            "client_roles",
            "has no use where nobody is asked for a certificate: name client_ca_file",
        ),
    ] {
        if is_wrong {
            from.fault_at(&format!("http.{setting}"), format!("[http] {setting} {why}"));
        }
    }
    let encryption = certificate.zip(key).map(|(certificate_file, key_file)| Encryption {
        certificate_file,
        key_file,
        client_ca_file: client_ca,
    });
    (encryption, roles)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn certificates_give_roles_by_their_names() {
        let text = "[http]\ncertificate_file = \"tls.crt\"\nkey_file = \"tls.key\"\nclient_ca_file = \"/ca.crt\"\n\
                    client_roles = { \"*.siem.example\" = \"viewer\", \"spiffe://example/desk\" = \"admin\" }";
        let config = Config::parse(text, Path::new("/etc/x")).unwrap();
        let HttpSettings { encryption: Some(files), client_roles, .. } = config.http() else { panic!() };
        assert_eq!(files.certificate_file, Path::new("/etc/x/tls.crt"));
        assert_eq!(files.client_ca_file.as_deref(), Some(Path::new("/ca.crt")));
        let of = |name: &str| client_roles.iter().find(|(of, _)| of.matches(name)).map(|(_, role)| *role);
        assert_eq!(
            [of("a.siem.example"), of("spiffe://example/desk"), of("spiffe://example/desk/2")],
            [Some(Role::Viewer), Some(Role::Admin), None]
        );
    }

    #[test]
    fn half_of_an_encryption_is_refused() {
        for (text, part) in [
            ("certificate_file = \"a\"", "[http] certificate_file and key_file belong together"),
            ("client_ca_file = \"a\"", "[http] client_ca_file has no use without encryption"),
            ("client_roles = { a = \"viewer\" }", "[http] client_roles has no use where nobody"),
            ("client_roles = { a = \"root\" }", "give one of [\"viewer\", \"analyst\", \"admin\"]"),
        ] {
            let told = Config::parse(&format!("[http]\n{text}"), Path::new("")).unwrap_err();
            let told = told.iter().map(ToString::to_string).collect::<String>();
            assert!(told.contains(part), "{part} is not in {told}");
        }
    }
}
