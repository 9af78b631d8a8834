//! `tiltmeter run`: the service on Kafka.
//!
//! Knows options, signals and what is logged. Must not know a broker.

mod patience;
mod renewal;
mod works;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use serde::Serialize;

pub(super) use self::patience::{Patience, reached};
pub(super) use self::renewal::Renewal;
use self::works::{Parts, Works};
use crate::config::Config;
use crate::http::{self, Readiness, Served};
use crate::kafka::client::{Clients, Log, Severity};
use crate::kafka::failure::Next;
use crate::kafka::service::lookup::{Lookup, Reading};
use crate::metrics::Metrics;
use crate::time::EventTime;

/// Between two looks whether the service ends.
pub(super) const LOOK: Duration = Duration::from_millis(50);
/// A sentence about what does not work is said this often.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What is told where `/v1` answers nobody.
const NOBODY_IS_LET_IN: &str = "/v1 answers nobody: no tokens are configured, and this is no loopback address; set [http] \
     viewer_tokens (docs/http.md), or listen at 127.0.0.1";

/// Judge audit events from Kafka, for ever.
///
/// Reads the topic of audit events, keeps the baselines, and writes alerts and the risk of every agent to their topics;
/// what it knows is saved in Kafka as well, so that it goes on wherever it is started next. Start as many as are needed:
/// they share the partitions. Ends with SIGTERM or SIGINT, within ten seconds. The exit code is 0 then, and 64 when
/// something has to be mended before it can start (configuration, secrets, topics). Whatever else is in its way is waited
/// for, with a sentence a minute.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Configuration file; without it every setting has its default.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Answers at this address: `GET /healthz` (it lives), `GET /readyz` (its partitions are at work; 503 and the reason
    /// otherwise), `GET /metrics` (docs/metrics.md), and `/v1` (levels of agents, verdicts; docs/http.md). Without it nothing
    /// is answered.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    listen: Option<SocketAddr>,

    /// Leave the sources of `[[sources]]` to others: to `tiltmeter normalise`.
    #[arg(long)]
    without_sources: bool,

    /// Leave `[[sinks]]` and `[[webhooks]]` to others: to instances that are started without this.
    #[arg(long)]
    without_sinks: bool,

    /// Let the settings of this file hold for the whole group from now on. Without it they hold only where none do yet: an
    /// instance whose file differs judges by those that hold, and says so (docs/configuration.md).
    #[arg(long)]
    activate_config: bool,

    #[command(flatten)]
    log: LogArguments,
}

/// How what happens is told.
#[derive(Debug, clap::Args)]
pub(super) struct LogArguments {
    /// Form of the log on standard error: text on a terminal, JSON otherwise.
    #[arg(long, value_name = "FORM", value_enum)]
    log: Option<LogForm>,
}

impl LogArguments {
    /// Writes to standard error.
    pub fn log(&self) -> Log {
        let form = self.log.unwrap_or(if io::stderr().is_terminal() { LogForm::Text } else { LogForm::Json });
        Arc::new(move |severity, line| write(form, severity, line))
    }
}

/// Where to listen.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "no address to listen at; give an IP address and a port from 1 to 65535, such as 127.0.0.1:9464, [::1]:9464 or, for all \
         interfaces, 0.0.0.0:9464"
            .to_owned()
    })
}

/// Set once the process is told to end.
pub(super) fn told_to_end() -> Result<Arc<AtomicBool>, ctrlc::Error> {
    let ends = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ends);
    ctrlc::set_handler(move || told.store(true, Ordering::Relaxed))?;
    Ok(ends)
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LogForm {
    /// One sentence a line.
    Text,
    /// One JSON object a line: time, level, message.
    Json,
}

/// A line of the log.
#[derive(Serialize)]
struct Line<'l> {
    time: EventTime,
    level: &'static str,
    message: &'l str,
}

impl Run {
    /// Runs until it is told to end.
    ///
    /// # Errors
    ///
    /// When a person must mend something, or the service ended by itself.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(self.config.as_deref())?;
        let engine = config.settings()?;
        let log = self.log.log();
        let clients = Clients::new(config.kafka(), Arc::clone(&log))?;
        let transmitter = config.transmitter()?;
        let readiness = Readiness::not_yet("the broker is waited for");
        let (metrics, lookup) = (Arc::new(Metrics::new()), Arc::new(Lookup::default()));
        let served = match self.listen {
            None => None,
            Some(address) => {
                let (metrics, lookup) = (Arc::clone(&metrics), Arc::clone(&lookup));
                let served = http::serve(
                    address,
                    config.http(),
                    readiness.clone(),
                    metrics,
                    lookup,
                    transmitter.clone(),
                )?;
                log(Severity::Info, &format!("answers at {}://{}/readyz", served.scheme(), served.address));
                if !served.lets_in() {
                    log(Severity::Warning, NOBODY_IS_LET_IN);
                }
                Some(served)
            }
        };
        let ends = told_to_end()?;
        let tell_news = || {
            for (severity, line) in served.iter().flat_map(Served::news) {
                log(severity, &line);
            }
        };
        let Some(verified) = reached(&clients, &log, &ends, &tell_news)? else {
            return Ok(ExitCode::SUCCESS);
        };
        let kafka = clients.settings();
        log(
            Severity::Info,
            &format!(
                "tiltmeter {} joins group {} as {} with {} threads; {} partitions, {}, record time of the {}",
                env!("CARGO_PKG_VERSION"),
                kafka.group,
                clients.instance(),
                kafka.threads,
                verified.partitions,
                kafka.delivery.name(),
                kafka.record_time.name(),
            ),
        );
        let sources = if self.without_sources { &[] } else { config.sources() };
        let reading = match served {
            Some(_) => Some(Reading::start(clients.clone(), lookup)?),
            None => None,
        };
        let tells = !self.without_sinks;
        let renewal = Renewal::start(&clients, &log, tells)?;
        let (mut verified, mut activates) = (verified, self.activate_config);
        // At the first start somebody looks on, who mends what is wrong; later it goes on by itself.
        let mut again: Option<Patience> = None;
        loop {
            let parts = Parts { sources, tells, signs: transmitter.as_ref() };
            let started =
                Works::start(&clients, &config, &engine, activates, verified.clone(), &metrics, parts);
            let works = match started {
                Ok(works) => works,
                Err(error) => {
                    let Some(patience) = &mut again else { return Err(error) };
                    if ends.load(Ordering::Relaxed) {
                        return Ok(ExitCode::SUCCESS);
                    }
                    readiness.set(Some(format!("it cannot be started anew: {error}")));
                    let line = format!("nothing works: {error:#}; it is started anew until it does");
                    patience.wait(&line, &log, &ends, &tell_news);
                    verified = renewal.due().unwrap_or(verified);
                    continue;
                }
            };
            // Once: whatever holds after that was said later.
            activates = false;
            if let Some(served) = &served {
                served.stand_behind((works.service.watcher(), works.service.deciding()));
            }
            let renewed = loop {
                if ends.load(Ordering::Relaxed) || works.has_failed() {
                    break None;
                }
                if let Some(verified) = renewal.due() {
                    break Some(verified);
                }
                readiness.set(works.service.why_not_ready());
                tell_news();
                thread::sleep(LOOK);
            };
            let Some(found) = renewed else {
                readiness.set(Some("it ends".to_owned()));
                log(Severity::Info, "ends: what was taken is written, partitions are given up");
                works.stop()?;
                return Ok(ExitCode::SUCCESS);
            };
            readiness.set(Some("its clients of Kafka are made anew".to_owned()));
            if let Some(served) = &served {
                served.stand_alone();
            }
            match works.stop() {
                Err(failure) if failure.next == Next::Mend => return Err(failure.into()),
                Err(failure) => {
                    log(Severity::Warning, &format!("{failure}; what was not written is judged again"))
                }
                Ok(()) => {}
            }
            if let Some(reading) = &reading {
                reading.renew();
            }
            verified = found;
            again = Some(Patience::new());
        }
    }
}

fn write(form: LogForm, severity: Severity, message: &str) {
    let level = match severity {
        Severity::Debug => "debug",
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let line = match form {
        LogForm::Text => format!("tiltmeter: {level}: {message}"),
        LogForm::Json => {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let time = EventTime(i64::try_from(since.as_millis()).unwrap_or_default());
            serde_json::to_string(&Line { time, level, message }).unwrap_or_default()
        }
    };
    // Whoever closed the log does not want it.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
