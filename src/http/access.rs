//! Who may ask for what: bearer tokens, names in certificates, and their roles.
//!
//! Knows hashes of tokens. Must not keep a token, nor show one.
//!
//! Without either, only an instance that listens at a loopback address answers, and only to requests that name one: a page in
//! a browser on the same machine could otherwise ask under a name of its own.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

use super::encrypted::Names;
use super::problem::Problem;
use crate::config::HttpSettings;
pub use crate::config::Role;
use crate::kafka::secret::{SecretError, SecretPlace};
use crate::pattern::Pattern;

/// Tokens are read anew this often, so that one can be changed without a restart.
const READ_EVERY: Duration = Duration::from_secs(10);
/// The shortest token. Bytes; 16 random ones in hexadecimal digits have 32.
const SHORTEST_BYTES: usize = 16;

/// Who asks: what they sent, and what their certificate is for.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The headers of the request.
    pub headers: HeaderMap,
    /// DNS names and URIs of the certificate that was shown; empty where none was.
    names: Arc<[String]>,
}

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let Names(names) = parts.extensions.get::<Names>().cloned().unwrap_or_default();
        Ok(Self { headers: parts.headers.clone(), names })
    }
}

/// Tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// They cannot be read.
    #[error("[http] {role}_tokens: {source}")]
    Read {
        /// Of which role.
        role: &'static str,
        /// Why.
        source: SecretError,
    },
    /// One is too short.
    #[error(
        "[http] {role}_tokens: line {line} has {bytes} bytes; a token has at least {SHORTEST_BYTES}: make one with \
         `openssl rand -hex 16`, one a line"
    )]
    Short {
        /// Of which role.
        role: &'static str,
        /// Which line.
        line: usize,
        /// How long it is. Bytes.
        bytes: usize,
    },
}

type Hash = [u8; 32];

/// Who may ask.
pub struct Access {
    places: Vec<(Role, SecretPlace)>,
    client_roles: Vec<(Pattern, Role)>,
    known: Mutex<(Instant, Vec<(Hash, Role)>)>,
    is_local: bool,
    /// Stands for a token where there are none. Random.
    own: [u64; 2],
}

impl Access {
    /// What the settings say.
    ///
    /// * `address`: where it is listened.
    ///
    /// # Errors
    ///
    /// When tokens cannot be read, or are too short.
    pub fn new(settings: &HttpSettings, address: SocketAddr) -> Result<Self, AccessError> {
        let HttpSettings { viewer_tokens, analyst_tokens, admin_tokens, .. } = settings;
        let places =
            [(Role::Viewer, viewer_tokens), (Role::Analyst, analyst_tokens), (Role::Admin, admin_tokens)];
        let places: Vec<(Role, SecretPlace)> =
            places.into_iter().filter_map(|(role, place)| Some((role, place.clone()?))).collect();
        let known = Mutex::new((Instant::now(), read(&places)?));
        let client_roles = settings.client_roles.clone();
        let own = [0, 1].map(|number: u8| RandomState::new().hash_one(number));
        Ok(Self { places, client_roles, known, is_local: address.ip().is_loopback(), own })
    }

    /// Whether anybody is let in to `/v1`.
    pub fn lets_in(&self) -> bool {
        self.is_local || !self.is_open()
    }

    /// Whether nobody is told apart.
    fn is_open(&self) -> bool {
        self.places.is_empty() && self.client_roles.is_empty()
    }

    /// Whether whoever asks has a role.
    ///
    /// # Errors
    ///
    /// The answer that they get instead.
    pub fn check(&self, asker: &Asker, wanted: Role) -> Result<(), Problem> {
        if self.is_open() {
            return self.check_local(&asker.headers);
        }
        let by_name = self.role_of(&asker.names);
        if by_name >= Some(wanted) {
            return Ok(());
        }
        match bearer(&asker.headers) {
            Some(token) => self.check_token(&token, wanted),
            None => Err(self.nothing_shown(by_name, wanted)),
        }
    }

    /// The same for a page in a browser, which sends the token as a password.
    ///
    /// # Errors
    ///
    /// The answer that it gets instead.
    pub fn check_page(&self, asker: &Asker, wanted: Role) -> Result<(), Problem> {
        if self.is_open() {
            return self.check_local(&asker.headers);
        }
        if self.role_of(&asker.names) >= Some(wanted) {
            return Ok(());
        }
        let Some(token) = bearer(&asker.headers).or_else(|| password(&asker.headers)) else {
            let detail = "this page is for those with a token: give one of those in [http] as the password";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "no-token", detail).asks_for_password());
        };
        self.check_token(&token, wanted).map_err(Problem::asks_for_password)
    }

    /// The highest role that one of the names has.
    fn role_of(&self, names: &[String]) -> Option<Role> {
        let has = |pattern: &Pattern| names.iter().any(|name| pattern.matches(name));
        self.client_roles.iter().filter(|(pattern, _)| has(pattern)).map(|(_, role)| *role).max()
    }

    /// What is told to whoever shows no token, and no certificate that is enough.
    fn nothing_shown(&self, by_name: Option<Role>, wanted: Role) -> Problem {
        if let Some(role) = by_name {
            let detail = format!("the certificate is of role {}; this wants {}", role.name(), wanted.name());
            return Problem::new(StatusCode::FORBIDDEN, "role-too-low", detail);
        }
        let detail = match (self.places.is_empty(), self.client_roles.is_empty()) {
            (true, _) => {
                "no certificate was shown that is for a name in [http] client_roles; connect with one that is"
            }
            (false, true) => {
                "the request has no bearer token; send `Authorization: Bearer TOKEN` with one of those in [http]"
            }
            (false, false) => {
                "there is neither a bearer token nor a certificate for a name in [http] client_roles; send \
                 `Authorization: Bearer TOKEN` with one of those in [http], or connect with such a certificate"
            }
        };
        Problem::new(StatusCode::UNAUTHORIZED, "no-token", detail)
    }

    /// What a form of a page says, so that it is known to come from a page that was shown to the same person: another page
    /// in the browser makes it send the password, but knows none.
    ///
    /// * `what`: what the form is about.
    ///
    /// Returns 32 hexadecimal digits; the same from every instance, where there are tokens.
    pub fn mark(&self, headers: &HeaderMap, what: &str) -> String {
        let secret = bearer(headers).or_else(|| password(headers));
        let secret = secret.filter(|_| !self.places.is_empty());
        let secret = secret.unwrap_or_else(|| format!("{:?}", self.own));
        let mut digest = Sha256::new();
        digest.update(hash(&secret));
        digest.update(what.as_bytes());
        digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn check_token(&self, token: &str, wanted: Role) -> Result<(), Problem> {
        let Some(role) = self.role(token.trim()) else {
            let detail = "the token is not known; send one of those in [http]";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "unknown-token", detail));
        };
        if role < wanted {
            let detail = format!("the token is of role {}; this wants {}", role.name(), wanted.name());
            return Err(Problem::new(StatusCode::FORBIDDEN, "role-too-low", detail));
        }
        Ok(())
    }

    fn check_local(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let refused = |detail: &str| Err(Problem::new(StatusCode::FORBIDDEN, "no-tokens-configured", detail));
        if !self.is_local {
            return refused(
                "no tokens are configured, and this instance does not listen at a loopback address: set [http] viewer_tokens \
                 (docs/http.md), or listen at 127.0.0.1",
            );
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let name = name.map_or(host, |(name, _)| name).trim_matches(['[', ']']);
        let is_loopback = name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !is_loopback && !name.eq_ignore_ascii_case("localhost") {
            return refused(
                "no tokens are configured, and the request names another host than this one: ask http://127.0.0.1, or set [http] \
                 viewer_tokens (docs/http.md)",
            );
        }
        Ok(())
    }

    fn role(&self, token: &str) -> Option<Role> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0.elapsed() >= READ_EVERY {
            known.0 = Instant::now();
            // What was read before holds while a file is being changed.
            if let Ok(read) = read(&self.places) {
                known.1 = read;
            }
        }
        // Hashes are compared, so that how long it takes says nothing of a token.
        let hash = hash(token);
        known.1.iter().filter(|(of, _)| *of == hash).map(|(_, role)| *role).max()
    }
}

fn credentials<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then_some(rest)
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    credentials(headers, "bearer").map(str::to_owned)
}

/// The password, whatever the name of the user.
fn password(headers: &HeaderMap) -> Option<String> {
    Some(basic(headers)?.1)
}

/// The name that a browser gave beside the password, if any. Nobody checks it.
pub fn user(headers: &HeaderMap) -> Option<String> {
    Some(basic(headers)?.0).filter(|name| !name.trim().is_empty())
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let bytes = BASE64.decode(credentials(headers, "basic")?.trim()).ok()?;
    let (name, password) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

fn read(places: &[(Role, SecretPlace)]) -> Result<Vec<(Hash, Role)>, AccessError> {
    let mut known = Vec::new();
    for (role, place) in places {
        let secret = place.read().map_err(|source| AccessError::Read { role: role.name(), source })?;
        for (token, line) in secret.reveal().lines().map(str::trim).zip(1..) {
            if token.len() < SHORTEST_BYTES {
                return Err(AccessError::Short { role: role.name(), line, bytes: token.len() });
            }
            known.push((hash(token), *role));
        }
    }
    Ok(known)
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn settings(viewer: Option<SecretPlace>, admin: Option<SecretPlace>) -> HttpSettings {
        HttpSettings { viewer_tokens: viewer, admin_tokens: admin, ..HttpSettings::default() }
    }

    fn asker(headers: impl IntoIterator<Item = (header::HeaderName, &'static str)>) -> Asker {
        let headers = headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)));
        Asker { headers: headers.collect(), names: Arc::default() }
    }

    const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 9464);

    #[test]
    fn a_token_lets_in_to_what_its_role_may_and_no_other_text_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(SecretPlace::File(path))
        };
        let settings = settings(
            file("viewers", "0123456789abcdef\nfedcba9876543210\n"),
            file("admins", "an-admin-of-this-house"),
        );
        let access = Access::new(&settings, LOCAL.into()).unwrap();
        let may = |value, role| access.check(&asker([(header::AUTHORIZATION, value)]), role).is_ok();
        assert!(may("Bearer 0123456789abcdef", Role::Viewer) && may("bearer fedcba9876543210", Role::Viewer));
        assert!(!may("Bearer 0123456789abcdef", Role::Analyst));
        assert!(
            may("Bearer an-admin-of-this-house", Role::Analyst)
                && may("Bearer an-admin-of-this-house", Role::Admin)
        );
        for wrong in
            ["", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Basic 0123456789abcdef", "0123456789abcdef"]
        {
            assert!(!may(wrong, Role::Viewer), "{wrong}");
        }
        assert!(access.check(&asker([]), Role::Viewer).is_err());
    }

    #[test]
    fn without_tokens_only_this_machine_is_answered() {
        let access = |address: SocketAddr| Access::new(&settings(None, None), address).unwrap();
        let local = access(LOCAL.into());
        for (host, is_let_in) in [
            ("127.0.0.1:9464", true),
            ("localhost", true),
            ("[::1]:9464", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example:9464", false),
            ("", false),
        ] {
            assert_eq!(local.check(&asker([(header::HOST, host)]), Role::Admin).is_ok(), is_let_in, "{host}");
        }
        let open = access(([0, 0, 0, 0], 9464).into());
        assert!(!open.lets_in() && open.check(&asker([(header::HOST, "127.0.0.1")]), Role::Viewer).is_err());
    }

    #[test]
    fn a_certificate_has_the_highest_role_of_its_names_and_a_token_may_have_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admins");
        std::fs::write(&path, "an-admin-of-this-house").unwrap();
        let client_roles =
            vec![(Pattern::new("*.example"), Role::Viewer), (Pattern::new("desk.example"), Role::Analyst)];
        let only = HttpSettings { client_roles, ..HttpSettings::default() };
        let both = HttpSettings { admin_tokens: Some(SecretPlace::File(path)), ..only.clone() };
        let shown = |names: &[&str]| Asker {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..asker([(header::HOST, "127.0.0.1")])
        };
        for settings in [&only, &both] {
            let access = Access::new(settings, LOCAL.into()).unwrap();
            let may = |names: &[&str], role| access.check(&shown(names), role).is_ok();
            assert!(may(&["siem.example"], Role::Viewer) && !may(&["siem.example"], Role::Analyst));
            assert!(may(&["siem.example", "desk.example"], Role::Analyst));
            assert!(!may(&[], Role::Viewer) && !may(&["desk.example.evil"], Role::Viewer));
            let page = access.check_page(&shown(&["siem.example"]), Role::Viewer);
            assert!(page.is_ok());
        }
        let mut admin = asker([(header::AUTHORIZATION, "Bearer an-admin-of-this-house")]);
        admin.names = shown(&["siem.example"]).names;
        assert!(Access::new(&both, LOCAL.into()).unwrap().check(&admin, Role::Admin).is_ok());
    }

    #[test]
    fn a_token_that_can_be_guessed_is_refused_with_its_line_and_without_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        std::fs::write(&path, "0123456789abcdef\nswordfish\n").unwrap();
        let place = Some(SecretPlace::File(path));
        let Err(error) = Access::new(&settings(place, None), LOCAL.into()) else {
            panic!("a short token was taken")
        };
        let error = error.to_string();
        assert!(
            error.contains("viewer_tokens: line 2 has 9 bytes") && !error.contains("swordfish"),
            "{error}"
        );
    }
}
