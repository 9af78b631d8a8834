//! `tiltmeter registry`: who is there, whose they are and what they may do, as control records.
//!
//! Knows options and files. Must not know what a record does.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
#[cfg(feature = "kafka")]
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};

use super::explain::printable;
use super::notice::say;
use super::output::Output;
#[cfg(feature = "kafka")]
use crate::config::Config;
use crate::control::{Control, ControlRecord, Lifecycle, Registration, Scope, Subject};
#[cfg(feature = "kafka")]
use crate::kafka::{client::Clients, decision, settings::Topic};
use crate::network::Network;
use crate::pattern::{Pattern, Patterns};
use crate::risk::Criticality;
use crate::time::EventTime;
use crate::wire::control;

/// Say which agents there are, whose they are and what they may do.
///
/// Control records go to standard output, or to the end of a file, for `tiltmeter detect --control FILE`; with --kafka to a
/// running service. What follows from them: docs/detectors/registry.md.
#[derive(Debug, Args)]
pub struct Registry {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Add(Box<Add>),
    Deprovision(Deprovision),
    Show(Show),
}

/// When it was said, by whom, and where it is written.
#[derive(Debug, Args)]
pub(super) struct Said {
    /// Who says so.
    #[arg(long, value_name = "WHO")]
    pub by: String,

    /// From when on it holds, such as 2026-01-22T18:50:59Z; left out: from now on.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub time: Option<EventTime>,

    /// Write to the end of this file; left out: to standard output.
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,

    #[cfg(feature = "kafka")]
    #[command(flatten)]
    pub kafka: ToKafka,
}

/// To a running service.
#[cfg(feature = "kafka")]
#[derive(Debug, Args)]
pub(super) struct ToKafka {
    /// Write to the control topic in Kafka, for `tiltmeter run`; prints where it stands there.
    #[arg(long, conflicts_with = "to")]
    kafka: bool,

    /// Configuration file that says where Kafka is; without it every setting has its default.
    #[arg(long, short, value_name = "FILE", requires = "kafka")]
    config: Option<PathBuf>,
}

#[cfg(feature = "kafka")]
impl ToKafka {
    fn write(&self, record: &ControlRecord, json: &str) -> anyhow::Result<ExitCode> {
        let config = Config::load(self.config.as_deref())?;
        // What librdkafka has to say is in the failure.
        let clients = Clients::new(config.kafka(), Arc::new(|_, _| ()))?;
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let key = control::topic_key(record, now_ms).context("the record cannot be given a key")?;
        let written = decision::write(&clients, &key, json)?;
        let topic = clients.settings().topics.of(Topic::Control);
        let mut out = Output::stdout();
        out.text(&format!("written to {topic} [{}] at {}\n", written.partition, written.offset))?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Register an agent, or all agents whose id fits a pattern.
///
/// What is left out limits nothing. A registration of the same agents takes the place of an earlier one.
#[derive(Debug, Args)]
struct Add {
    /// Id of the agent, or a pattern: `*` for any text, `?` for one character.
    agent: String,

    /// Their tenant, where their events name one; a pattern.
    #[arg(long)]
    tenant: Option<String>,

    /// Only those whose type fits this pattern.
    #[arg(long = "type", value_name = "TYPE")]
    agent_type: Option<String>,

    /// What they are for.
    #[arg(long)]
    purpose: Option<String>,

    /// Whose they are.
    #[arg(long)]
    owner: Option<String>,

    /// The person who watches over them.
    #[arg(long)]
    overseer: Option<String>,

    /// The version that they run, as their events name it.
    #[arg(long = "agent-version", value_name = "VERSION")]
    version: Option<String>,

    /// Where it is said what they were trained on.
    #[arg(long)]
    training_data: Option<String>,

    /// With what they were made, such as model=m-1; may be given again.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    created_with: Vec<(String, String)>,

    /// How much harm they could do.
    #[arg(long, value_enum, default_value_t = Harm::Normal)]
    criticality: Harm,

    /// Actions that they may do, as a pattern; may be given again. None: any.
    #[arg(long, value_name = "PATTERN")]
    action: Vec<String>,

    /// Resources that they may touch, as a pattern; may be given again. None: any.
    #[arg(long, value_name = "PATTERN")]
    resource: Vec<String>,

    /// Resources that their calls may send or pay to besides, as a pattern; may be given again. None: as --resource says.
    #[arg(long, value_name = "PATTERN")]
    destination: Vec<String>,

    /// Networks that they may come from, such as 10.0.0.0/8; may be given again. None: any.
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    network: Vec<Network>,

    /// They are registered from then on.
    #[arg(long, value_name = "TIME", value_parser = time)]
    valid_from: Option<EventTime>,

    /// From then on they are deprovisioned.
    #[arg(long, value_name = "TIME", value_parser = time)]
    valid_until: Option<EventTime>,

    #[command(flatten)]
    said: Said,
}

/// Say that agents are not to be there any more: what still acts in their name is told, at level high.
#[derive(Debug, Args)]
struct Deprovision {
    /// Id of the agent, or a pattern.
    agent: String,

    /// Their tenant, where their events name one; a pattern.
    #[arg(long)]
    tenant: Option<String>,

    /// File in which they are registered; whose they are and what they were for is kept from there.
    #[arg(long, value_name = "FILE")]
    control: Option<PathBuf>,

    #[command(flatten)]
    said: Said,
}

/// Show the registrations that hold, one JSON object a line.
#[derive(Debug, Args)]
struct Show {
    /// File of control records.
    #[arg(long, value_name = "FILE")]
    control: PathBuf,

    /// Only those that are about this agent.
    agent: Option<String>,

    /// Its tenant, where its events name one.
    #[arg(long)]
    tenant: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Harm {
    Low,
    Normal,
    High,
}

impl Registry {
    /// Writes a record, or shows those that hold.
    ///
    /// # Errors
    ///
    /// When a value breaks a limit, when a file cannot be read or written.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Add(add) => add.run(),
            What::Deprovision(deprovision) => deprovision.run(),
            What::Show(show) => show.run(),
        }
    }
}

impl Said {
    /// When it was said.
    pub fn time(&self) -> anyhow::Result<EventTime> {
        match self.time {
            Some(time) => Ok(time),
            None => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                let since =
                    since.context("this machine's clock stands before 1970; set it, or give --time")?;
                Ok(EventTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
            }
        }
    }

    /// Writes what was said as a record.
    pub fn write(&self, kind: Control, time: EventTime) -> anyhow::Result<ExitCode> {
        anyhow::ensure!(!self.by.trim().is_empty(), "empty_field: --by is empty; say who answers for this");
        let record = control::record(time, &self.by, kind).context("this cannot be said")?;
        let line = control::encode(&record)?;
        #[cfg(feature = "kafka")]
        if self.kafka.kafka {
            return self.kafka.write(&record, &line);
        }
        let line = line + "\n";
        match &self.to {
            None => {
                let mut out = Output::stdout();
                out.text(&line)?;
                out.flush()?;
                // Somebody who typed it may believe that it was done.
                if std::io::stdout().is_terminal() {
                    say(
                        "nobody has been told yet: keep this line with --to FILE for `tiltmeter detect --control FILE`, or send it \
                         to a running service with --kafka",
                    );
                }
            }
            Some(path) => {
                let mut out = Output::end_of(path)?;
                out.text(&line)?;
                out.flush()?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Add {
    fn run(self) -> anyhow::Result<ExitCode> {
        let list = |patterns: Vec<String>| -> Option<Patterns> {
            (!patterns.is_empty()).then(|| patterns.into_iter().collect())
        };
        let registration = Registration {
            subject: Subject {
                agent_type: self.agent_type.as_deref().map(Pattern::new),
                ..Subject::of_agent(&self.agent, self.tenant.as_deref())
            },
            purpose: self.purpose,
            creation: self.created_with.into_iter().collect::<BTreeMap<_, _>>(),
            training_data: self.training_data,
            overseer: self.overseer,
            owner: self.owner,
            version: self.version,
            criticality: match self.criticality {
                Harm::Low => Criticality::Low,
                Harm::Normal => Criticality::Normal,
                Harm::High => Criticality::High,
            },
            scope: Scope {
                actions: list(self.action),
                resources: list(self.resource),
                destinations: list(self.destination),
            },
            networks: (!self.network.is_empty()).then_some(self.network),
            state: Lifecycle::Active,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
        };
        let time = self.said.time()?;
        self.said.write(Control::Registration(Box::new(registration)), time)
    }
}

impl Deprovision {
    fn run(self) -> anyhow::Result<ExitCode> {
        let subject = Subject::of_agent(&self.agent, self.tenant.as_deref());
        let mut held = match &self.control {
            Some(path) => holding(control::read(path)?),
            None => BTreeMap::new(),
        };
        // A registration of these agents, or else the latest whose pattern they fit.
        let registered = held.remove(&subject.to_string()).or_else(|| {
            let about = held.into_values().filter(|record| {
                record.subject().is_some_and(|of| about(of, &self.agent, self.tenant.as_deref()))
            });
            about.max_by_key(|record| record.time)
        });
        let registration = match registered.map(|record| record.kind) {
            Some(Control::Registration(registration)) => *registration,
            _ => {
                if let Some(path) = &self.control {
                    say(format_args!(
                        "{path:?} registers no {}: is the id right, and --tenant? What is misspelt stays active",
                        printable(&subject.to_string())
                    ));
                }
                Registration::of(subject.clone())
            }
        };
        let registration = Registration { subject, state: Lifecycle::Deprovisioned, ..registration };
        let time = self.said.time()?;
        self.said.write(Control::Registration(Box::new(registration)), time)
    }
}

impl Show {
    fn run(self) -> anyhow::Result<ExitCode> {
        let mut out = Output::stdout();
        for record in holding(control::read(&self.control)?).into_values() {
            let Control::Registration(registration) = &record.kind else { continue };
            let is_about = |agent| about(&registration.subject, agent, self.tenant.as_deref());
            if self.agent.as_deref().is_none_or(is_about) {
                out.text(&(control::encode(&record)? + "\n"))?;
            }
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether an agent is meant, whatever its type, which is not known here.
fn about(subject: &Subject, agent: &str, tenant: Option<&str>) -> bool {
    Subject { agent_type: None, ..subject.clone() }.matches(agent, "", tenant)
}

/// The registrations that hold, by whom they are about: of each the latest.
fn holding(records: Vec<ControlRecord>) -> BTreeMap<String, ControlRecord> {
    let registrations = records.into_iter().filter(|record| matches!(record.kind, Control::Registration(_)));
    registrations.map(|record| (record.key(), record)).collect()
}

fn time(text: &str) -> Result<EventTime, String> {
    EventTime::parse(text).ok_or_else(|| "no RFC 3339 time; write 2026-01-22T18:50:59Z".to_owned())
}

fn network(text: &str) -> Result<Network, String> {
    Network::parse(text).ok_or_else(|| "no network; write 10.0.0.0/8, 2001:db8::/32 or an address".to_owned())
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("no parameter; write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
