//! Tells alerts and risk updates in other formats: records of our topics in, records of topics of their own out.
//!
//! Knows formats, and counts what has no place in one. Must not know how a format is written, nor hold up anybody: each
//! sink reads in a group of its own, on threads of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::message::{BorrowedMessage, Headers, Message};

use super::forwarded::{Fate, Forwarded};
use super::relay::{Relay, Work};
use crate::kafka::client::{Clients, Severity};
use crate::kafka::failure::Failure;
use crate::kafka::settings::SinkTopic;
use crate::metrics::Metrics;
use crate::partition::Outgoing;
use crate::wire::outputs::caep::Transmitter;
use crate::wire::outputs::mapping::MappingError;
use crate::wire::outputs::{Formatter, IdentityTemplate, Rendered, Told};

/// Between two lines about records that have no place in a format: a topic full of them must not fill the log.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Telling in other formats, at work.
pub struct Sinks(Relay);

impl Sinks {
    /// Starts a thread for each sink; none where there are none.
    ///
    /// * `identity`: what agents are called in other formats.
    /// * `transmitter`: what signs, for the formats that are signed.
    /// * `metrics`: where it counts what it does.
    ///
    /// # Errors
    ///
    /// When a mapping cannot be used.
    pub fn start(
        clients: &Clients,
        identity: &IdentityTemplate,
        transmitter: Option<&Arc<Transmitter>>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, MappingError> {
        let settings = clients.settings();
        let mut sinks = Self(Relay::new(clients, "a sink"));
        let formatter = |sink: &SinkTopic| {
            Formatter::new(&sink.format, identity.clone()).map(|formatter| formatter.signed_by(transmitter))
        };
        let formatters = settings.sinks.iter().map(formatter);
        let formatters = formatters.collect::<Result<Vec<_>, MappingError>>()?;
        for (sink, formatter) in settings.sinks.iter().zip(formatters) {
            let forwarded = Forwarded::new(metrics, sink.name.clone());
            let (sink, own) = (sink.clone(), clients.clone());
            let from = settings.topics.of(sink.topic).to_owned();
            let group = clients.for_sink(&sink.name);
            let work = move || Telling {
                clients: own.clone(),
                sink: sink.clone(),
                formatter: formatter.clone(),
                forwarded: forwarded.clone(),
                refused: 0,
                said: None,
            };
            sinks.0.spawn(group, 0, from, work);
        }
        Ok(sinks)
    }

    /// Whether a thread has ended by itself: then this must be ended, and says why.
    pub fn has_failed(&self) -> bool {
        self.0.has_failed()
    }

    /// Ends: what was taken is written, partitions are given up. Within ten seconds.
    ///
    /// # Errors
    ///
    /// When a thread ended in a panic.
    pub fn stop(self) -> Result<(), Failure> {
        self.0.stop()
    }
}

/// One thread of a sink.
struct Telling {
    clients: Clients,
    sink: SinkTopic,
    formatter: Formatter,
    forwarded: Forwarded,
    /// Records without a place in the format that are taken and not yet passed by.
    refused: u64,
    /// When it was last said that a record had no place.
    said: Option<Instant>,
}

impl Work for Telling {
    fn take(&mut self, message: &BorrowedMessage<'_>, outputs: &mut Vec<Outgoing>) -> Result<(), Failure> {
        self.forwarded.at(message);
        let record = |value, headers| Outgoing {
            value,
            headers,
            name: Some(self.sink.name.clone()),
            ..Outgoing::new(self.sink.topic, message.key().unwrap_or_default(), Vec::new())
        };
        let Some(value) = message.payload() else {
            // What is deleted from a compacted topic is deleted in every format.
            outputs.push(record(None, Vec::new()));
            return Ok(());
        };
        match formatted(&self.formatter, value) {
            Ok(Some(Rendered { value, mut headers })) => {
                headers.extend(decided(message).map(|decided| ("decided", decided)));
                outputs.push(record(Some(value), headers));
            }
            // Such as digests, of which other formats know nothing.
            Ok(None) => {}
            Err(why) => self.refuse(message, &why),
        }
        Ok(())
    }

    fn failed(&mut self) {
        self.forwarded.count(Fate::Failed, 1);
    }

    fn written(&mut self, _: usize, outputs: &[Outgoing]) {
        self.forwarded.count(Fate::Sent, outputs.len() as u64);
        self.forwarded.count(Fate::LeftOut, std::mem::take(&mut self.refused));
    }
}

impl Telling {
    /// Counts a record that is not told in this format, and says so now and then.
    fn refuse(&mut self, message: &BorrowedMessage<'_>, why: &str) {
        self.refused += 1;
        if self.said.is_some_and(|said| said.elapsed() < SAID_EVERY) {
            return;
        }
        self.said = Some(Instant::now());
        let line = format!(
            "{}: the record at {}/{}/{} is left out: {why}; {} since the start",
            self.sink.name,
            message.topic(),
            message.partition(),
            message.offset(),
            self.forwarded.count(Fate::LeftOut, 0) + self.refused,
        );
        self.clients.say(Severity::Warning, &line);
    }
}

/// The record of what stands in one of our topics; none where the format has none for it. Otherwise why there is none.
pub(super) fn formatted(formatter: &Formatter, value: &[u8]) -> Result<Option<Rendered>, String> {
    // What breaks the formatter must not stop all that stands behind it.
    let made = catch_unwind(AssertUnwindSafe(|| match Told::read(value)? {
        Some(told) => formatter.render(&told),
        None => Ok(None),
    }));
    match made {
        Ok(made) => made.map_err(|unfit| unfit.to_string()),
        Err(_) => Err("formatting it ended in a panic; please report what was printed".to_owned()),
    }
}

/// When the message was decided, as the header of the record says.
fn decided(message: &BorrowedMessage<'_>) -> Option<String> {
    let headers = message.headers()?;
    let found = headers.iter().find(|header| header.key == "decided")?;
    std::str::from_utf8(found.value?).ok().map(str::to_owned)
}
