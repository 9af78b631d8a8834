//! Sends alerts and risk updates to addresses of HTTP, signed, in a format of choice.
//!
//! Knows requests and answers, and what to do about each. Must not hold up anybody: each webhook reads in a group of its own,
//! on threads of its own. Must not know how a format is written.
//!
//! A message is sent in the order of its key until it is taken or refused for good; an alert also until it is a day old: then
//! it is left out, and that is said. A level is sent however old it is, because it may be the last for long. The position is
//! committed after each message, so that one may be sent again after a crash, under the same id.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::message::{BorrowedMessage, Message};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::forwarded::{Fate, Forwarded};
use super::relay::{Relay, Work};
use super::sinks::formatted;
use super::writer::now_ms;
use crate::kafka::client::{Clients, Severity};
use crate::kafka::failure::Failure;
use crate::kafka::settings::{Topic, Webhook};
use crate::metrics::Metrics;
use crate::partition::Outgoing;
use crate::tls::{self, TlsError};
use crate::wire::outputs::caep::Transmitter;
use crate::wire::outputs::json::{is_hidden, is_markup};
use crate::wire::outputs::mapping::MappingError;
use crate::wire::outputs::signature::{message_id, sign};
use crate::wire::outputs::{Format, Formatter, IdentityTemplate, Rendered};

/// An address that has not answered by then will not.
const ANSWER: Duration = Duration::from_secs(10);
/// Tries of a message before the group is joined anew, and the pause after the first; each is twice the one before. Together
/// with the answers less than the longest time between two polls.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(250);
/// An alert that is older is not sent: nobody wants to be woken by it. Milliseconds.
const TOO_OLD_MS: i64 = 24 * 3_600_000;

/// What is read of why a token is refused. Bytes; and what is shown of each part of it. Characters.
const LONGEST_REFUSAL_BYTES: u64 = 16 << 10;
const SHOWN_CHARS: usize = 200;

/// Errors of RFC 8935 §2.4 that speak of the sender and not of the token: a login that is to be renewed, a right that is to be
/// given, a key that the receiver has not fetched yet. The same token is taken once somebody has seen to that.
const MENDABLE: [&str; 3] = ["authentication_failed", "access_denied", "invalid_key"];

/// A webhook that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Its format cannot be used.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// What it should trust cannot be read.
    #[error("[[webhooks]] {name}: ca_file: {source}")]
    Trust {
        /// Its name.
        name: String,
        /// Why not.
        source: Box<TlsError>,
    },
}

/// Webhooks, at work.
pub struct Webhooks(Relay);

impl Webhooks {
    /// Starts a thread for each topic of each webhook; none where there are none.
    ///
    /// * `identity`: what agents are called in other formats.
    /// * `transmitter`: what signs, for the formats that are signed.
    /// * `metrics`: where it counts what it does.
    ///
    /// # Errors
    ///
    /// When a mapping cannot be used, or a file of certificates cannot.
    pub fn start(
        clients: &Clients,
        identity: &IdentityTemplate,
        transmitter: Option<&Arc<Transmitter>>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, WebhookError> {
        let settings = clients.settings();
        let mut webhooks = Self(Relay::new(clients, "a webhook"));
        let ready = |webhook: &Webhook| {
            let formatter = Formatter::new(&webhook.format, identity.clone())?.signed_by(transmitter);
            Ok((formatter, trusted(webhook)?))
        };
        // Whatever may fail comes before the first thread: nobody would end it.
        let ready = settings.webhooks.iter().map(ready).collect::<Result<Vec<_>, WebhookError>>()?;
        for (webhook, (formatter, trusted)) in settings.webhooks.iter().zip(ready) {
            for topic in &webhook.topics {
                let from = settings.topics.of(*topic).to_owned();
                let forwarded = Forwarded::new(metrics, format!("{}/{from}", webhook.name));
                let (own, webhook, formatter) = (clients.clone(), webhook.clone(), formatter.clone());
                let trusted = trusted.clone();
                let group = clients.for_webhook(&webhook.name, &from);
                let work = move || Sending {
                    clients: own.clone(),
                    webhook: webhook.clone(),
                    formatter: formatter.clone(),
                    agent: ureq::Agent::config_builder()
                        .http_status_as_error(false)
                        // A signed message is for who was named, and not for whom that one names.
                        .max_redirects(0)
                        .timeout_global(Some(ANSWER))
                        .tls_config(trusted.clone())
                        .build()
                        .into(),
                    forwarded: forwarded.clone(),
                };
                webhooks.0.spawn(group, 0, from, work);
            }
        }
        Ok(webhooks)
    }

    /// Whether what webhooks are to trust can be read as it is now.
    ///
    /// # Errors
    ///
    /// When it cannot, with the first webhook of which that is so.
    pub fn tried(webhooks: &[Webhook]) -> Result<(), WebhookError> {
        webhooks.iter().try_for_each(|webhook| trusted(webhook).map(drop))
    }

    /// Whether a thread has ended by itself: then this must be ended, and says why.
    pub fn has_failed(&self) -> bool {
        self.0.has_failed()
    }

    /// Ends: what was sent is committed. Within ten seconds, but for an address that is being waited for.
    ///
    /// # Errors
    ///
    /// When a thread ended in a panic.
    pub fn stop(self) -> Result<(), Failure> {
        self.0.stop()
    }
}

/// Whom an address behind `https://` has to be vouched for by.
fn trusted(webhook: &Webhook) -> Result<TlsConfig, WebhookError> {
    let roots = match &webhook.ca_file {
        None => RootCerts::PlatformVerifier,
        Some(file) => {
            let read = tls::certificates(file).map_err(|source| WebhookError::Trust {
                name: webhook.name.clone(),
                source: Box::new(source),
            })?;
            let all: Vec<_> = read.iter().map(|one| Certificate::from_der(one.as_ref()).to_owned()).collect();
            RootCerts::new_with_certs(&all)
        }
    };
    let config = TlsConfig::builder().root_certs(roots);
    Ok(config.unversioned_rustls_crypto_provider(tls::provider()).build())
}

/// One thread of a webhook.
struct Sending {
    clients: Clients,
    webhook: Webhook,
    formatter: Formatter,
    agent: ureq::Agent,
    forwarded: Forwarded,
}

/// What became of one try.
enum Tried {
    Taken,
    /// It is of no use to try it again.
    Refused(String),
    Later(String),
}

impl Work for Sending {
    fn take(&mut self, message: &BorrowedMessage<'_>, _: &mut Vec<Outgoing>) -> Result<(), Failure> {
        let Some(value) = message.payload() else { return Ok(()) };
        let rendered = match formatted(&self.formatter, value) {
            Ok(Some(rendered)) => rendered,
            // Such as digests, of which other formats know nothing.
            Ok(None) => return Ok(()),
            Err(why) => {
                self.leave_out(message, &why);
                return Ok(());
            }
        };
        let written = message.timestamp().to_millis().unwrap_or_default();
        let is_alert = message.topic() == self.clients.settings().topics.of(Topic::Alerts);
        if is_alert && now_ms().saturating_sub(written) > TOO_OLD_MS {
            self.leave_out(message, "the alert is more than a day old");
            return Ok(());
        }
        let mut pause = PAUSE;
        let mut last = String::new();
        for again in 0..TRIES {
            if again > 0 {
                thread::sleep(spread(pause));
                pause *= 2;
            }
            self.forwarded.at(message);
            match self.send(message, &rendered) {
                Tried::Taken => {
                    self.forwarded.count(Fate::Sent, 1);
                    return Ok(());
                }
                Tried::Refused(why) => {
                    self.leave_out(message, &why);
                    return Ok(());
                }
                Tried::Later(why) => {
                    // The last is counted with all that begins anew then.
                    if again + 1 < TRIES {
                        self.forwarded.count(Fate::Failed, 1);
                    }
                    last = why;
                }
            }
        }
        // The address may hold a token: its name says which it is.
        Err(Failure::passing(format!("webhook {} cannot be told: {last}", self.webhook.name)))
    }

    fn failed(&mut self) {
        self.forwarded.count(Fate::Failed, 1);
    }

    // What was sent is committed before the next is sent: few are sent twice after a crash.
    fn is_full(&self) -> bool {
        true
    }
}

impl Sending {
    fn send(&self, message: &BorrowedMessage<'_>, rendered: &Rendered) -> Tried {
        // A new secret holds from the next message on.
        let secret = match self.webhook.secret.as_ref().map(|place| place.read()).transpose() {
            Ok(secret) => secret,
            Err(error) => return Tried::Later(format!("[[webhooks]] secret: {error}")),
        };
        let id = message_id(message.topic(), message.partition(), message.offset());
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut request = self
            .agent
            .post(&self.webhook.url)
            .header("webhook-id", &id)
            .header("webhook-timestamp", seconds.to_string());
        if let Some(secret) = secret {
            let Some(signature) = sign(secret.reveal(), &id, seconds, &rendered.value) else {
                return Tried::Later("[[webhooks]] secret begins with whsec_ and is no base64".to_owned());
            };
            request = request.header("webhook-signature", signature);
        }
        match self.webhook.authorization.as_ref().map(|place| place.read()).transpose() {
            Ok(None) => {}
            Ok(Some(secret)) => request = request.header("authorization", secret.reveal()),
            Err(error) => return Tried::Later(format!("[[webhooks]] authorization: {error}")),
        }
        for (name, value) in &rendered.headers {
            request = request.header(*name, value);
        }
        let is_push = self.webhook.format == Format::Caep;
        if is_push {
            request = request.header("accept", "application/json");
        }
        let mut answer = match request.send(rendered.value.as_slice()) {
            Ok(answer) => answer,
            Err(error) => return Tried::Later(error.to_string()),
        };
        match answer.status().as_u16() {
            202 => Tried::Taken,
            // Another word than that of RFC 8935 is a stranger's, such as the page of a proxy: nobody has the token.
            status @ 200..=299 if is_push => Tried::Later(format!("it answers {status} instead of 202")),
            200..=299 => Tried::Taken,
            // A login that is refused may be accepted once it is renewed: no message is lost for it.
            status @ (401 | 403 | 408 | 425 | 429 | 500..=599) => {
                Tried::Later(format!("it answers {status}"))
            }
            400 if is_push => refusal(answer.body_mut()),
            status => Tried::Refused(format!("its address answers {status}")),
        }
    }

    /// Counts a message that is not sent, and says so.
    fn leave_out(&self, message: &BorrowedMessage<'_>, why: &str) {
        let count = self.forwarded.count(Fate::LeftOut, 1);
        // A topic full of them must not fill the log.
        if !count.is_power_of_two() {
            return;
        }
        let line = format!(
            "webhook {}: the record at {}/{}/{} is left out: {why}; {count} since the start",
            self.webhook.name,
            message.topic(),
            message.partition(),
            message.offset(),
        );
        self.clients.say(Severity::Warning, &line);
    }
}

/// What a receiver of tokens has against one (RFC 8935 §2.3 and §2.4), as text that is safe in a log.
fn refusal(body: &mut ureq::Body) -> Tried {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Why {
        err: String,
        description: String,
    }
    let text = body.with_config().limit(LONGEST_REFUSAL_BYTES).read_to_vec().unwrap_or_default();
    let Why { err, description } = serde_json::from_slice(&text).unwrap_or_default();
    let shown = |text: &str| -> String {
        text.chars().filter(|c| !is_hidden(*c) && !is_markup(*c)).take(SHOWN_CHARS).collect()
    };
    let why = match (shown(&err), shown(&description)) {
        (err, _) if err.is_empty() => "its address answers 400".to_owned(),
        (err, description) if description.is_empty() => format!("its address answers 400: {err}"),
        (err, description) => format!("its address answers 400: {err}: {description}"),
    };
    if MENDABLE.contains(&err.as_str()) { Tried::Later(why) } else { Tried::Refused(why) }
}

/// A pause of half to one and a half times its length, so that not all come back at once.
fn spread(pause: Duration) -> Duration {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    pause.mul_f64(0.5 + f64::from(clock.subsec_micros() % 1000) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Tried {
        refusal(&mut ureq::Body::builder().data(text))
    }

    #[test]
    fn why_a_token_is_refused_is_said_in_text_that_acts_on_nobody() {
        let why = |text: &str| match told(text) {
            Tried::Refused(why) => why,
            Tried::Taken | Tried::Later(_) => panic!("{text} is refused for good"),
        };
        assert_eq!(
            why(r#"{"err":"invalid_request","description":"no\n<b>such\u001b[31m claim"}"#),
            "its address answers 400: invalid_request: nobsuch[31m claim"
        );
        assert_eq!(why(r#"{"err":"invalid_audience"}"#), "its address answers 400: invalid_audience");
        assert_eq!(why("<html>"), "its address answers 400");
        assert!(why(&format!("{{\"err\":\"{}\"}}", "x".repeat(1000))).len() < 300);
    }

    #[test]
    fn a_token_is_tried_again_where_the_login_or_the_key_is_what_the_receiver_minds() {
        for err in ["authentication_failed", "access_denied", "invalid_key"] {
            let told = told(&format!("{{\"err\":\"{err}\",\"description\":\"expired\"}}"));
            let Tried::Later(why) = told else { panic!("{err} loses the token") };
            assert_eq!(why, format!("its address answers 400: {err}: expired"));
        }
    }
}
