//! Apache Kafka: how a broker is reached, which topics there are, and what is done when something fails.
//!
//! Knows clients, topics and librdkafka's errors. Must not know what an event means, or what is judged.
//!
//! Settings and secrets are read in every build, so that one configuration file serves all; what talks to a broker
//! needs the feature `kafka`.

#[cfg(feature = "kafka")]
pub mod audit;
pub mod chain;
#[cfg(feature = "kafka")]
pub mod client;
#[cfg(feature = "kafka")]
pub mod decision;
#[cfg(feature = "kafka")]
pub mod failure;
pub mod properties;
pub mod secret;
#[cfg(feature = "kafka")]
pub mod service;
pub mod settings;
#[cfg(feature = "kafka")]
pub mod status;
#[cfg(feature = "kafka")]
mod token;
pub mod topics;
#[cfg(feature = "kafka")]
mod unreadable;
#[cfg(feature = "kafka")]
pub mod verify;

#[cfg(all(test, feature = "kafka"))]
mod tests {
    /// Much of what this folder does it does because of what one version of librdkafka does: that it knows no
    /// KIP-890, that the new group protocol has a fatal fault in it, that errors of incremental assignment are lost.
    /// After a change of version: read its change log against `docs/kafka.md`, then change this test.
    #[test]
    fn the_librdkafka_inside_is_the_one_whose_faults_we_know() {
        assert_eq!(rdkafka::util::get_rdkafka_version().1, "2.12.1");
    }
}
