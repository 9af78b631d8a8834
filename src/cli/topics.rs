//! `tiltmeter topics`: are the topics as they have to be, and if they are missing, make them.
//!
//! Knows options and what people are told. Must not know a broker.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::output::Output;
use crate::config::Config;
use crate::kafka::client::Clients;
use crate::kafka::failure::{Cause, Failure};
use crate::kafka::service::NormaliseError;
use crate::kafka::topics::access;
use crate::kafka::verify::{Verified, VerifyError, create, verify};

/// Check the topics in Kafka, make those that are missing, and list the access that each role needs.
///
/// Tells everything that is wrong at once. What exists is never changed. The exit code is 0 when all is as it has to be,
/// 64 when something has to be mended, 69 when no broker answers, 75 when something else is in the way that may pass, 77
/// when a broker does not let us.
#[derive(Debug, clap::Args)]
pub struct Topics {
    /// Configuration file; without it every setting has its default.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Make the topics that are missing.
    #[arg(long)]
    create: bool,

    /// Partitions of the topic of audit events if it is missing, and of those that follow it. Whoever
    /// adds some later has to move the state: `tiltmeter state repartition`.
    #[arg(long, value_name = "N", default_value_t = 12, requires = "create", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    partitions: u32,

    /// Copies of each topic that is made; without it, as many as the broker makes by default.
    #[arg(long, value_name = "R", requires = "create", value_parser = clap::value_parser!(u32).range(1..=100))]
    replication: Option<u32>,
}

impl Topics {
    /// Looks, makes what is missing if that was asked for, and writes what it found.
    ///
    /// # Errors
    ///
    /// When the configuration cannot be used, the cluster cannot be asked, or topics are not as they have to be.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(self.config.as_deref())?;
        // What librdkafka has to say is in the failure.
        let clients = Clients::new(config.kafka(), Arc::new(|_, _| ()))?;
        let mut out = Output::stdout();
        let found = if self.create {
            let (made, found) = create(&clients, self.partitions, self.replication)?;
            for name in made {
                out.text(&format!("made {name}\n"))?;
            }
            found
        } else {
            verify(&clients)
        };
        if let Ok(verified) = &found {
            out.text(&told(verified))?;
        }
        let is_refused = |failure: &Failure| failure.cause == Cause::Refused;
        if !matches!(&found, Err(VerifyError::Failed(failure)) if !is_refused(failure)) {
            out.text("\naccess that each role needs, where the cluster has an authorizer:\n")?;
            out.text(&access(clients.settings(), &format!("{}-", clients.settings().group)))?;
        }
        out.flush()?;
        found?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What is right, in a line or two.
fn told(verified: &Verified) -> String {
    let Verified { partitions, cluster_id, settings_seen } = verified;
    let mut text = format!("topics: as they have to be; {partitions} partitions, cluster {cluster_id}\n");
    if !settings_seen {
        text += "settings of topics were not looked at: that is not possible with OAUTHBEARER\n";
    }
    text
}

/// Exit status for what went wrong at the broker, if it did.
pub(super) fn exit_code(error: &anyhow::Error) -> Option<u8> {
    let failed = error.downcast_ref().map(VerifyError::exit_code);
    let sources = || error.downcast_ref().map(NormaliseError::exit_code);
    failed.or_else(|| error.downcast_ref().map(Failure::exit_code)).or_else(sources)
}
