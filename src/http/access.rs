//! Who may ask for what: bearer tokens, names in certificates, and their roles.
//!
//! Knows who is let in, and as what. Must not know where tokens stand, nor what a route does.
//!
//! Without either, only an instance that listens at a loopback address answers, and only to requests that name one: a page in
//! a browser on the same machine could otherwise ask under a name of its own.

mod credentials;
mod mark;
mod tokens;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};

pub use self::credentials::user;
use self::credentials::{bearer, password};
use self::mark::Marks;
pub use self::tokens::AccessError;
use self::tokens::Tokens;
use super::encrypted::Names;
use super::problem::Problem;
use crate::config::HttpSettings;
pub use crate::config::Role;
use crate::pattern::Pattern;

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

/// As whom somebody was let in.
enum Holder {
    /// Who has a token.
    Token(String),
    /// Who showed a certificate for these names.
    Certificate(Arc<[String]>),
    /// Whoever is on this machine.
    Local,
}

/// Who may ask.
pub struct Access {
    tokens: Tokens,
    client_roles: Vec<(Pattern, Role)>,
    is_local: bool,
    marks: Marks,
}

impl Access {
    /// What the settings say.
    ///
    /// * `address`: where it is listened.
    ///
    /// # Errors
    ///
    /// When tokens cannot be read, or are too short, or the system has no random numbers.
    pub fn new(settings: &HttpSettings, address: SocketAddr) -> Result<Self, AccessError> {
        let HttpSettings { viewer_tokens, analyst_tokens, admin_tokens, .. } = settings;
        let places =
            [(Role::Viewer, viewer_tokens), (Role::Analyst, analyst_tokens), (Role::Admin, admin_tokens)];
        let places = places.into_iter().filter_map(|(role, place)| Some((role, place.clone()?)));
        Ok(Self {
            tokens: Tokens::new(places.collect())?,
            client_roles: settings.client_roles.clone(),
            is_local: address.ip().is_loopback(),
            marks: Marks::new().map_err(AccessError::Random)?,
        })
    }

    /// Whether anybody is let in to `/v1`.
    pub fn lets_in(&self) -> bool {
        self.is_local || !self.is_open()
    }

    /// Whether nobody is told apart.
    fn is_open(&self) -> bool {
        self.tokens.is_empty() && self.client_roles.is_empty()
    }

    /// Whether whoever asks has a role.
    ///
    /// # Errors
    ///
    /// The answer that they get instead.
    pub fn check(&self, asker: &Asker, wanted: Role) -> Result<(), Problem> {
        self.holder(asker, bearer(&asker.headers), wanted).map(drop)
    }

    /// The same for a page in a browser, which sends the token as a password.
    ///
    /// # Errors
    ///
    /// The answer that it gets instead.
    pub fn check_page(&self, asker: &Asker, wanted: Role) -> Result<(), Problem> {
        self.holder_of_page(asker, wanted).map(drop)
    }

    fn holder_of_page(&self, asker: &Asker, wanted: Role) -> Result<Holder, Problem> {
        let token = bearer(&asker.headers).or_else(|| password(&asker.headers));
        let is_shown = token.is_some();
        let holder = self.holder(asker, token, wanted);
        // Where there are no tokens a person has none to give.
        if self.tokens.is_empty() {
            return holder;
        }
        holder.map_err(|problem| {
            if is_shown {
                return problem.asks_for_password();
            }
            let detail = "this page is for those with a token: give one of those in [http] as the password";
            Problem::new(StatusCode::UNAUTHORIZED, "no-token", detail).asks_for_password()
        })
    }

    /// As whom somebody has a role.
    fn holder(&self, asker: &Asker, token: Option<String>, wanted: Role) -> Result<Holder, Problem> {
        if self.is_open() {
            return self.check_local(&asker.headers).map(|()| Holder::Local);
        }
        let by_name = self.role_of(&asker.names);
        if by_name >= Some(wanted) {
            return Ok(Holder::Certificate(Arc::clone(&asker.names)));
        }
        let token = token.ok_or_else(|| self.nothing_shown(by_name, wanted))?.trim().to_owned();
        let Some(role) = self.tokens.role(&token) else {
            let detail = "the token is not known; send one of those in [http]";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "unknown-token", detail));
        };
        if role < wanted {
            let detail = format!("the token is of role {}; this wants {}", role.name(), wanted.name());
            return Err(Problem::new(StatusCode::FORBIDDEN, "role-too-low", detail));
        }
        Ok(Holder::Token(token))
    }

    /// What a form of a page says, so that it is known to come from a page that was shown to the same person: another page
    /// in the browser makes it send password and certificate, but knows no mark.
    ///
    /// * `wanted`: the role that the form wants.
    /// * `what`: what the form is about.
    ///
    /// Returns 32 hexadecimal digits. For a holder of a token they are the same from every instance; otherwise they are this
    /// process's alone.
    ///
    /// # Errors
    ///
    /// When whoever asks does not have the role.
    pub fn mark(&self, asker: &Asker, wanted: Role, what: &str) -> Result<String, Problem> {
        Ok(self.marks.of(&self.holder_of_page(asker, wanted)?, what))
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
        let detail = match (self.tokens.is_empty(), self.client_roles.is_empty()) {
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
}

#[cfg(test)]
mod tests;
