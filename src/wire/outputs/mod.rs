//! What is told, in the words of others: alerts and risk updates as records that a SIEM already parses.
//!
//! Knows formats by name and what each makes of one message. Must not know how a message came about, nor who is sent it.
//!
//! CloudEvents and OCSF are code, because their records nest, and so is CAEP, whose records are signed; ECS, CEF, Microsoft Graph and Sentinel are mappings, which
//! are data (`schemas/outputs/`), and so is a user's own. `docs/formats.md` says what becomes of what.

pub mod caep;
mod cef;
mod cloudevents;
pub mod crosswalk;
mod format;
pub mod identity;
pub mod json;
pub mod mapping;
mod ocsf;
mod record;
pub mod signature;

use std::borrow::Cow;
use std::sync::Arc;

pub use self::format::Format;
pub use self::identity::IdentityTemplate;

use self::caep::Transmitter;
use self::mapping::{Mapping, MappingError};
use crate::alert::{self, Alert};
use crate::risk::{RISK_SCHEMA, RiskUpdate};

/// Who makes the records, as every format is told.
const VENDOR: &str = "Tiltmeter";
/// What makes the records.
const PRODUCT: &str = "Tiltmeter";
/// Its version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A message that can be told in other formats.
#[expect(clippy::large_enum_variant, reason = "there are few at a time, and most are borrowed")]
#[derive(Clone, Debug, PartialEq)]
pub enum Told<'m> {
    /// An alert, in any state.
    Alert(Cow<'m, Alert>),
    /// A risk update.
    Risk(Cow<'m, RiskUpdate>),
}

/// The two kinds of messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Alerts.
    Alerts,
    /// Risk updates.
    Risk,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Alerts, Self::Risk];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Risk => "risk",
        }
    }
}

/// Why there is no record of a message.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// What was read is no message of ours.
    #[error(
        "it is no alert and no risk update of this version: {0}; another program writes to this topic, or a newer version"
    )]
    NotOurs(serde_json::Error),
    /// It cannot be written as JSON.
    #[error("it cannot be written as JSON: {0}; please report it")]
    NotWritten(#[from] serde_json::Error),
    /// The mapping finds nothing where the format must have something.
    #[error(
        "the mapping has no value for {0}, which every record of this format must have; add a rule with `constant`"
    )]
    Missing(&'static str),
    /// It has to be signed and could not be.
    #[error(transparent)]
    Unsigned(caep::keys::SignError),
    /// It has to be signed and there is nothing to sign with.
    #[error("nothing is configured to sign it with: set issuer, audience and keys in [caep]")]
    NoTransmitter,
}

/// A record in some format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The record; one line without its end.
    pub value: Vec<u8>,
    /// Headers of the Kafka record: names and values.
    pub headers: Vec<(&'static str, String)>,
}

impl<'m> Told<'m> {
    /// Reads what stands in the topic of alerts or of risk updates; none for what is neither, such as a digest.
    ///
    /// # Errors
    ///
    /// [`Unfit::NotOurs`].
    pub fn read(value: &[u8]) -> Result<Option<Self>, Unfit> {
        #[derive(serde::Deserialize)]
        struct Schema<'s> {
            #[serde(borrow)]
            schema: Cow<'s, str>,
        }
        let Schema { schema } = serde_json::from_slice(value).map_err(Unfit::NotOurs)?;
        match &*schema {
            alert::SCHEMA => serde_json::from_slice(value).map(|alert| Some(Self::Alert(Cow::Owned(alert)))),
            RISK_SCHEMA => serde_json::from_slice(value).map(|risk| Some(Self::Risk(Cow::Owned(risk)))),
            _ => return Ok(None),
        }
        .map_err(Unfit::NotOurs)
    }

    /// Which of the two it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Alert(_) => Kind::Alerts,
            Self::Risk(_) => Kind::Risk,
        }
    }

    /// The message itself as JSON, with everything escaped that could mislead a reader.
    fn json(&self) -> Result<Vec<u8>, Unfit> {
        Ok(match self {
            Self::Alert(alert) => json::to_vec(alert.as_ref())?,
            Self::Risk(risk) => json::to_vec(risk.as_ref())?,
        })
    }

    /// The type that it is about, where it is about no single agent.
    fn type_meant(&self) -> Option<&str> {
        match self {
            Self::Alert(alert) => (alert.subject.kind == "agent_type").then_some(&alert.subject.id),
            Self::Risk(_) => None,
        }
    }

    fn agent(&self) -> identity::Names<'_> {
        match self {
            Self::Alert(alert) => identity::Names {
                agent_id: &alert.subject.id,
                agent_type: &alert.agent_type,
                tenant: alert.tenant.as_deref(),
            },
            Self::Risk(risk) => identity::Names {
                agent_id: &risk.agent_id,
                agent_type: &risk.agent_type,
                tenant: risk.tenant.as_deref(),
            },
        }
    }
}

/// Makes records of one format.
#[derive(Clone, Debug)]
pub struct Formatter {
    how: How,
    identity: IdentityTemplate,
}

#[derive(Clone, Debug)]
enum How {
    Native,
    CloudEvents(cloudevents::Mode),
    Ocsf,
    Caep(Option<Arc<Transmitter>>),
    Mapping(Box<Mapping>),
}

impl Formatter {
    /// A formatter that names agents as `identity` says.
    ///
    /// # Errors
    ///
    /// When a mapping cannot be read or used; all its faults are told at once.
    ///
    /// # Example
    ///
    /// ```
    /// use std::borrow::Cow;
    /// use tiltmeter::alert::Alert;
    /// use tiltmeter::finding::Family;
    /// use tiltmeter::wire::outputs::{Format, Formatter, IdentityTemplate, Told};
    ///
    /// let cef = Formatter::new(&Format::named("cef").unwrap(), IdentityTemplate::default()).unwrap();
    /// let alert = Alert::empty(Family::Rules);
    /// let record = cef.render(&Told::Alert(Cow::Borrowed(&alert))).unwrap().unwrap();
    /// assert!(record.value.starts_with(b"CEF:0|Tiltmeter|Tiltmeter|"));
    /// ```
    pub fn new(format: &Format, identity: IdentityTemplate) -> Result<Self, MappingError> {
        let how = match format {
            Format::Native => How::Native,
            Format::CloudEvents => How::CloudEvents(cloudevents::Mode::Structured),
            Format::CloudEventsBinary => How::CloudEvents(cloudevents::Mode::Binary),
            Format::Ocsf => How::Ocsf,
            Format::Caep => How::Caep(None),
            Format::Shipped(name) => How::Mapping(Box::new(Mapping::shipped(name)?)),
            Format::File(path) => How::Mapping(Box::new(Mapping::load(path)?)),
        };
        Ok(Self { how, identity })
    }

    /// The same with what signs, for a format that is signed; others do without.
    pub fn signed_by(self, transmitter: Option<&Arc<Transmitter>>) -> Self {
        let how = match self.how {
            How::Caep(_) => How::Caep(transmitter.cloned()),
            how => how,
        };
        Self { how, ..self }
    }

    /// Whether it has records for messages of a kind.
    pub fn knows(&self, kind: Kind) -> bool {
        match &self.how {
            How::Native | How::CloudEvents(_) | How::Ocsf => true,
            How::Caep(_) => kind == Kind::Risk,
            How::Mapping(mapping) => mapping.knows(kind),
        }
    }

    /// The record of a message; none where the format has none for its kind. Linear in the message.
    ///
    /// # Errors
    ///
    /// [`Unfit`]: never for the formats that ship, but for one that is signed by nothing.
    pub fn render(&self, told: &Told<'_>) -> Result<Option<Rendered>, Unfit> {
        let identity = match told.type_meant() {
            // What is about a type must not be taken for what is about an agent of that name.
            Some(name) => format!("agent_type:{name}"),
            None => self.identity.of(told.agent()),
        };
        match &self.how {
            How::Native => {
                let headers = vec![("content-type", "application/json".to_owned())];
                Ok(Some(Rendered { value: told.json()?, headers }))
            }
            How::CloudEvents(mode) => cloudevents::event(told, &identity, *mode).map(Some),
            How::Ocsf => {
                let headers = vec![("content-type", "application/json".to_owned())];
                Ok(Some(Rendered { value: json::to_vec(&ocsf::finding(told, &identity))?, headers }))
            }
            How::Caep(transmitter) => match told {
                Told::Alert(_) => Ok(None),
                Told::Risk(risk) => transmitter.as_ref().ok_or(Unfit::NoTransmitter)?.token(risk, &identity),
            },
            How::Mapping(mapping) => {
                if !mapping.knows(told.kind()) {
                    return Ok(None);
                }
                mapping.map(told.kind(), &record::record(told, &identity)?).map(Some)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_alerts_is_passed_over_and_what_is_nobodys_is_refused() {
        let digest = br#"{"schema":"tiltmeter.alert-digest.v1","agent_type":"t"}"#;
        assert_eq!(Told::read(digest).unwrap(), None);
        for wrong in [&b"{}"[..], b"x", br#"{"schema":"tiltmeter.agent-risk.v1"}"#] {
            assert!(matches!(Told::read(wrong), Err(Unfit::NotOurs(_))), "{wrong:?}");
        }
    }

    #[test]
    fn a_message_that_was_read_is_the_message_that_was_written() {
        for told in record::samples() {
            assert_eq!(Told::read(&told.json().unwrap()).unwrap().unwrap(), told);
        }
    }
}
