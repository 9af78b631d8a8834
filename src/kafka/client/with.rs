//! What a client keeps of its own beside what every client keeps.
//!
//! Knows what librdkafka asks of every client, and answers it in one place. Must not know what is kept beside it.

use std::ops::Deref;

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::{Context, Hears};

/// The context of a client that keeps something of its own: lines, errors and tokens are the [`Context`]'s, what else it
/// hears is for `T`.
pub struct With<T> {
    context: Context,
    own: T,
}

impl<T: Default> With<T> {
    /// Nothing was heard yet.
    pub fn new(context: Context) -> Self {
        Self { context, own: T::default() }
    }
}

impl<T> Deref for With<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.own
    }
}

impl<T> Hears for With<T> {
    fn context(&self) -> &Context {
        &self.context
    }
}

impl<T: Send + Sync> ClientContext for With<T> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.context.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.context.generate_oauth_token(config)
    }
}
