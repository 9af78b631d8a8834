//! `tiltmeter state`: what a group in Kafka knows, as a file and back; moved, and taken back.
//!
//! Knows options, files and what people are told. Must not know how a state is split, nor a broker.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::files::Files;
use super::notice::say;
use super::output::Output;
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::checkpoint::CheckpointError;
use crate::kafka::client::{Clients, Severity};
use crate::kafka::service::{Change, Resting, Start};
use crate::kafka::verify::verify;
use crate::wire::state::{self, State as StateFile};

/// Take out what a stopped service knows, put it in, move it to more partitions, or take some of it back.
///
/// The service has to be stopped: nothing is changed while anybody works in its group. Each change is one transaction, and
/// `--dry-run` tells what would be otherwise and changes nothing. The exit codes are those of `tiltmeter topics`.
#[derive(Debug, Args)]
pub struct State {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Export(Export),
    Import(Import),
    Repartition(Repartition),
    Revert(Revert),
}

/// Where the service is.
#[derive(Debug, Args)]
struct Place {
    /// Configuration file; without it every setting has its default.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Tell what would be otherwise, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Write what the service knows to a file, with which `tiltmeter detect --state` goes on.
///
/// What was learned and is in no version yet is added to the baselines in the file.
#[derive(Debug, Args)]
struct Export {
    #[command(flatten)]
    place: Place,

    /// The state file; a file that is there is replaced.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// Give the service the state of a file, as `tiltmeter detect --state` or `state export` wrote it.
///
/// It takes the place of whatever the service knew. Without an option it reads on where the group stands, and from the first
/// record where it never was.
#[derive(Debug, Args)]
struct Import {
    #[command(flatten)]
    place: Place,

    /// The state file.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,

    /// Read on at these offsets: `PARTITION=OFFSET`, with commas between, one for each partition.
    #[arg(long, value_name = "OFFSETS", group = "start", value_parser = offsets)]
    at: Option<Offsets>,

    /// Read from the first record on.
    #[arg(long, group = "start")]
    earliest: bool,

    /// Read only what comes from now on.
    #[arg(long, group = "start")]
    latest: bool,

    /// Where the state has a key of its own (it was made without `[agents] identity_key_file`): write the key to this file
    /// and end, so that the configuration can name it.
    #[arg(long, value_name = "FILE")]
    key_to: Option<PathBuf>,
}

/// Move every agent to the partition on which its events lie by now, after partitions were added.
#[derive(Debug, Args)]
struct Repartition {
    #[command(flatten)]
    place: Place,

    /// Partitions that the topic of audit events has by now.
    #[arg(long, value_name = "N")]
    partitions: u32,
}

/// Make an earlier version of the baselines hold again, or forget what one agent is used to.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("whom").required(true).args(["to_version", "agent"])))]
struct Revert {
    #[command(flatten)]
    place: Place,

    /// The version that is to hold again; the topic of baselines keeps the last 40.
    #[arg(long, value_name = "V")]
    to_version: Option<u64>,

    /// Id of the agent whose own baseline is forgotten. What it taught its type stays.
    #[arg(long, value_name = "ID")]
    agent: Option<String>,

    /// Its tenant, where its events name one.
    #[arg(long, requires = "agent")]
    tenant: Option<String>,
}

/// Offsets by partition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Offsets(BTreeMap<i32, i64>);

fn offsets(text: &str) -> Result<Offsets, String> {
    let place = |place: &str| {
        let (partition, offset) = place.split_once('=')?;
        Some((partition.trim().parse().ok()?, offset.trim().parse().ok()?))
    };
    let places: Option<BTreeMap<i32, i64>> = text.split(',').map(place).collect();
    places.map(Offsets).ok_or_else(|| format!("{text:?} is no list of offsets; write them as 0=120,1=88"))
}

impl State {
    /// Does what was asked for, and writes what is otherwise.
    ///
    /// # Errors
    ///
    /// When somebody works in the group, when the state or the topics cannot be used, when something cannot be written.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Export(command) => command.run(),
            What::Import(command) => command.run(),
            What::Repartition(command) => command.run(),
            What::Revert(command) => command.run(),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Place {
    fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::load(self.config.as_deref())?)
    }

    fn open(&self, config: &Config) -> anyhow::Result<Resting> {
        let log = |severity, line: &str| {
            if severity >= Severity::Warning && !line.starts_with("librdkafka") {
                say(line);
            }
        };
        let clients = Clients::new(config.kafka(), Arc::new(log))?;
        let verified = verify(&clients)?;
        Ok(Resting::open(clients, config.settings()?, config.own_settings(), verified)?)
    }
}

impl Export {
    fn run(self) -> anyhow::Result<()> {
        let config = self.place.config()?;
        Files::default()
            .read("the configuration", &self.place.config)
            .read("a file that the configuration names", &config.files())
            .written("--to", Some(&self.to))
            .check()?;
        let _held = (!self.place.dry_run).then(|| state::lock(&self.to)).transpose()?;
        let (engine, change) = self.place.open(&config)?.export()?;
        if !self.place.dry_run {
            // A configured key stands in its own file.
            state::write(&self.to, &StateFile { key: None, engine: engine.save()? })?;
        }
        tell(&change, self.place.dry_run)
    }
}

impl Import {
    fn run(self) -> anyhow::Result<()> {
        let config = self.place.config()?;
        let Some(file) = state::read(&self.from)? else {
            bail!(
                "there is no state {:?}; name the file that `detect --state` or `state export` wrote",
                self.from
            )
        };
        if let Some(path) = &self.key_to {
            return write_key(path, &file);
        }
        let engine = match Engine::restore(config.settings()?, &file.engine) {
            Err(CheckpointError::Key) if file.key.is_some() && !config.has_identity_key() => bail!(
                "the state {:?} has a key of its own for the identity hash: write it to a file with `--key-to FILE`, name \
                 that in [agents] identity_key_file for the service too, and import again",
                self.from
            ),
            restored => restored.with_context(|| format!("cannot import {:?}", self.from))?,
        };
        let start = match &self.at {
            Some(Offsets(offsets)) => Start::At(offsets.clone()),
            None if self.earliest => Start::Earliest,
            None if self.latest => Start::Latest,
            None => Start::Stands,
        };
        let change = self.place.open(&config)?.import(engine, &start, self.place.dry_run)?;
        tell(&change, self.place.dry_run)
    }
}

/// Only its owner may read it.
fn write_key(path: &Path, file: &StateFile) -> anyhow::Result<()> {
    let Some(key) = file.key else {
        bail!("the state has no key of its own: it was made under [agents] identity_key_file; name that file")
    };
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    options
        .open(path)
        .and_then(|mut file| file.write_all(format!("{text}\n").as_bytes()))
        .with_context(|| format!("cannot write the key to {path:?}; name a file that does not exist yet"))
}

impl Repartition {
    fn run(self) -> anyhow::Result<()> {
        let config = self.place.config()?;
        let clients = Clients::new(config.kafka(), Arc::new(|_, _: &str| ()))?;
        let found = verify(&clients)?.partitions;
        if found != self.partitions {
            bail!(
                "the topics have {found} partitions, not {}: add partitions to the topics of audit events, checkpoints and \
                 the journal first, or say --partitions {found}",
                self.partitions
            );
        }
        let change = self.place.open(&config)?.repartition(self.place.dry_run)?;
        tell(&change, self.place.dry_run)
    }
}

impl Revert {
    fn run(self) -> anyhow::Result<()> {
        let config = self.place.config()?;
        let resting = self.place.open(&config)?;
        let change = match (&self.agent, self.to_version) {
            (Some(agent), _) => resting.revert_agent(self.tenant.as_deref(), agent, self.place.dry_run)?,
            (None, Some(version)) => resting.revert_version(version, self.place.dry_run)?,
            (None, None) => bail!("say what is taken back: --to-version V, or --agent ID"),
        };
        tell(&change, self.place.dry_run)
    }
}

fn tell(change: &Change, dry_run: bool) -> anyhow::Result<()> {
    let mut out = Output::stdout();
    out.text(&told(change, dry_run))?;
    Ok(out.flush()?)
}

/// What is otherwise, a line each.
fn told(change: &Change, dry_run: bool) -> String {
    let Change { before, after, agents, offsets, notes } = change;
    let mut text = String::new();
    let mut row = |name: &str, before: u64, after: u64| {
        text += &format!("{name:<10} {before:>12} {after:>12}\n");
    };
    row("agents", before.agents as u64, after.agents as u64);
    row("events", before.events, after.events);
    row("alerts", before.alerts, after.alerts);
    row("types", before.types as u64, after.types as u64);
    row("version", before.version, after.version);
    text.insert_str(0, &format!("{:<10} {:>12} {:>12}\n", "", "before", "after"));
    for (partition, offset) in offsets {
        let held = agents.get(partition).map(|agents| format!("{agents} agents, ")).unwrap_or_default();
        text += &format!("partition {partition}: {held}reads on at {offset}\n");
    }
    for note in notes {
        text += &format!("note: {note}\n");
    }
    text += if dry_run { "nothing was changed (--dry-run)\n" } else { "done\n" };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Holdings;

    #[test]
    fn offsets_are_named_by_partition() {
        assert_eq!(offsets("0=12, 1=7"), Ok(Offsets(BTreeMap::from([(0, 12), (1, 7)]))));
        assert!(offsets("12").unwrap_err().contains("0=120,1=88"));
    }

    #[test]
    fn what_is_otherwise_is_told_line_by_line() {
        let change = Change {
            before: Holdings { agents: 3, version: 7, ..Holdings::default() },
            after: Holdings { agents: 40, events: 900, alerts: 2, types: 2, version: 8 },
            agents: BTreeMap::from([(0, 40)]),
            offsets: BTreeMap::from([(0, 17)]),
            notes: vec!["something is worth knowing".to_owned()],
        };
        assert_eq!(
            told(&change, true),
            "                 before        after\n\
             agents                3           40\n\
             events                0          900\n\
             alerts                0            2\n\
             types                 0            2\n\
             version               7            8\n\
             partition 0: 40 agents, reads on at 17\n\
             note: something is worth knowing\n\
             nothing was changed (--dry-run)\n"
        );
    }
}
