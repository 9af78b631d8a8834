//! `tiltmeter verdict`: what a person decided about an agent, as a control record.
//!
//! Knows options. Must not know what a verdict does.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;

use super::notice::say;
use super::registry::Said;
use crate::control::Control;
use crate::risk::{Decision, Verdict};

/// Say what you decided about an agent.
///
/// Writes a control record on standard output, one line of JSON, for `tiltmeter detect --control FILE`; with --kafka to a
/// running service. What each verdict does: docs/levels.md.
#[derive(Debug, clap::Args)]
pub struct Give {
    /// Id of the agent.
    agent: String,

    /// The verdict.
    #[arg(value_parser = PossibleValuesParser::new(Decision::ALL.map(Decision::name)))]
    verdict: String,

    /// Its tenant, where its events name one.
    #[arg(long)]
    tenant: Option<String>,

    /// Why.
    #[arg(long, default_value = "")]
    reason: String,

    #[command(flatten)]
    said: Said,
}

impl Give {
    /// Writes the record.
    ///
    /// # Errors
    ///
    /// When a value breaks a limit, and when the record cannot be written.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let (time, by) = (self.said.time()?, self.said.by.clone());
        let Some(verdict) = Decision::ALL.into_iter().find(|decision| decision.name() == self.verdict) else {
            anyhow::bail!("{:?} is no verdict; give one of those in --help", self.verdict);
        };
        if self.agent.contains(['*', '?']) {
            say(format_args!(
                "a verdict is about one agent, the one whose id is {:?}: `*` and `?` are no pattern here",
                self.agent
            ));
        }
        let Self { agent: agent_id, tenant, reason, said, .. } = self;
        said.write(Control::Verdict(Verdict { time, agent_id, tenant, verdict, by, reason }), time)
    }
}
