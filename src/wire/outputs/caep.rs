//! Risk updates as signed security event tokens: `risk-level-change` of CAEP, which identity providers act on.
//!
//! Knows the claims. Must not know where keys are kept, nor who is sent a token.
//!
//! A token is made of nothing but its risk update and the keys, so that one that is made again has the same bytes.
//!
//! Source: OpenID CAEP 1.0 §3.8 and Shared Signals Framework 1.0, both of 29 August 2025; RFC 8417 (tokens), RFC 9493
//! (subjects), RFC 8935 (push).

pub mod keys;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use self::keys::{Keys, SignError};
use super::{Rendered, Unfit, crosswalk, json};
use crate::risk::{Cause, Level, Monitoring, RiskUpdate};

/// Media type of a token.
pub const CONTENT_TYPE: &str = "application/secevent+jwt";
/// `typ` in its header.
const TYP: &str = "secevent+jwt";
/// The event.
const EVENT: &str = "https://schemas.openid.net/secevent/caep/event-type/risk-level-change";
/// What CAEP has no level for is said in words.
const NO_RISK: &str = "NO_RISK";

/// Where a receiver finds what it must know of us, below the issuer.
pub const METADATA_PATH: &str = "/.well-known/ssf-configuration";
/// Where it finds the keys.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";

/// Who sends tokens, to whom, and what they are called there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parties {
    /// Our name: `https://HOST`, without a slash at its end.
    pub issuer: String,
    /// Name of the receiver.
    pub audience: String,
    /// What our agents are to the receiver, such as `APPLICATION`.
    pub principal: String,
    /// Who gave agents the names that the receiver knows, as its tokens say in `iss`; none: names are opaque.
    pub subject_issuer: Option<String>,
}

/// Sends tokens.
#[derive(Debug)]
pub struct Transmitter {
    parties: Parties,
    keys: Keys,
}

impl Transmitter {
    /// A transmitter that signs with the first key.
    pub fn new(parties: Parties, keys: Keys) -> Self {
        Self { parties, keys }
    }

    /// What a receiver reads at [`METADATA_PATH`].
    pub fn metadata(&self) -> Value {
        let issuer = &self.parties.issuer;
        json!({
            "spec_version": "1_0",
            "issuer": issuer,
            "jwks_uri": format!("{issuer}{JWKS_PATH}"),
            "delivery_methods_supported": ["urn:ietf:rfc:8935"],
            "default_subjects": "ALL"
        })
    }

    /// What it reads at [`JWKS_PATH`]: every public key.
    pub fn jwks(&self) -> Value {
        self.keys.public()
    }

    /// The token of a risk update; none where it is no change to a receiver, to whom none and low are one level.
    ///
    /// * `identity`: the agent's name elsewhere.
    pub(super) fn token(&self, risk: &RiskUpdate, identity: &str) -> Result<Option<Rendered>, Unfit> {
        // That of an agent held low by the configuration is told: a receiver may believe more from before it was.
        let is_low =
            [risk.level, risk.previous_level, risk.level_uncapped].iter().all(|level| *level <= Level::Low);
        // That an agent cannot be seen is no change of its level. One that falls due just then is.
        let is_sight = risk.cause == Cause::Monitoring && risk.level == risk.previous_level;
        if is_low || is_sight {
            return Ok(None);
        }
        let token = self.keys.sign(TYP, &json::to_vec(&self.claims(risk, identity))?)?;
        let headers = vec![("content-type", CONTENT_TYPE.to_owned())];
        Ok(Some(Rendered { value: token.into_bytes(), headers }))
    }

    fn claims(&self, risk: &RiskUpdate, identity: &str) -> Value {
        let Parties { issuer, audience, .. } = &self.parties;
        let seconds = risk.as_of.0.div_euclid(1000);
        let seq = risk.seq.to_string();
        let at = risk.as_of.0.to_string();
        let id = hash(&[risk.tenant.as_deref().unwrap_or_default(), &risk.agent_id, &seq, &at]);
        json!({
            "iss": issuer,
            "jti": id,
            "iat": seconds,
            "aud": audience,
            // Updates about one alert have one cause.
            "txn": risk.open_alerts.last().unwrap_or(&id),
            "sub_id": self.subject(risk.tenant.as_deref(), identity),
            "events": { EVENT: self.event(risk, seconds) },
        })
    }

    /// The agent as the receiver knows it: a simple subject (RFC 9493), or with its tenant a complex one.
    fn subject(&self, tenant: Option<&str>, identity: &str) -> Value {
        let agent = match &self.parties.subject_issuer {
            Some(issuer) => json!({ "format": "iss_sub", "iss": issuer, "sub": identity }),
            None => json!({ "format": "opaque", "id": identity }),
        };
        match tenant {
            None => agent,
            // Two tenants may have agents of one name.
            Some(tenant) => json!({
                "format": "complex",
                "application": agent,
                "tenant": { "format": "opaque", "id": tenant }
            }),
        }
    }

    fn event(&self, risk: &RiskUpdate, seconds: i64) -> Value {
        let word = |level| crosswalk::row(level, Monitoring::Ok).caep;
        let (current, previous) = (word(risk.level), word(risk.previous_level));
        let mut event = Map::new();
        event.insert("principal".to_owned(), self.parties.principal.as_str().into());
        event.insert("current_level".to_owned(), current.into());
        // Where both are one, what the receiver was told last is not known.
        if previous != current {
            event.insert("previous_level".to_owned(), previous.into());
        }
        event.insert("event_timestamp".to_owned(), seconds.into());
        event.insert("initiating_entity".to_owned(), initiator(risk.cause).into());
        event.insert("risk_reason".to_owned(), reason(risk).into());
        let sentence = format!(
            "level {} since {}, before that {}; cause: {}; score {:.0} of 100; {} alerts open",
            risk.level.name(),
            risk.as_of,
            risk.previous_level.name(),
            cause(risk.cause),
            risk.score,
            risk.open_alerts.len(),
        );
        event.insert("reason_admin".to_owned(), json!({ "en": sentence }));
        event.into()
    }
}

fn initiator(cause: Cause) -> &'static str {
    match cause {
        Cause::Finding | Cause::Decay | Cause::Monitoring | Cause::Eviction => "system",
        Cause::Rule | Cause::Registry | Cause::Settings => "policy",
        Cause::Verdict => "admin",
    }
}

fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Finding => "finding",
        Cause::Rule => "rule",
        Cause::Registry => "registry",
        Cause::Decay => "decay",
        Cause::Verdict => "verdict",
        Cause::Monitoring => "monitoring",
        Cause::Eviction => "eviction",
        Cause::Settings => "settings",
    }
}

/// The kinds of risk, the heaviest first, each once.
fn reason(risk: &RiskUpdate) -> String {
    if risk.level == Level::None {
        return NO_RISK.to_owned();
    }
    let mut reasons: Vec<_> = risk.reasons.iter().collect();
    reasons.sort_by(|a, b| b.points.total_cmp(&a.points));
    let mut names: Vec<&str> = Vec::new();
    for name in reasons.iter().filter_map(|reason| Some(reason.risk_event_type?.name())) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { cause(risk.cause).to_owned() } else { names.join(",") }
}

/// 32 hexadecimal digits of SHA-256 over texts, each behind its length.
fn hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl From<SignError> for Unfit {
    fn from(error: SignError) -> Self {
        Self::Unsigned(error)
    }
}

#[cfg(test)]
mod tests;
