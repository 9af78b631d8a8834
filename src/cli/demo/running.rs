//! Who judges what is watched: the engine in this process, or the service on a broker made of memory.
//!
//! Knows both by what they have in common. Must not know the terminal.

#[cfg(feature = "kafka")]
use std::sync::{Arc, Mutex, PoisonError};
#[cfg(feature = "kafka")]
use std::time::Duration;

use crate::alert::Alert;
use crate::config::Config;
#[cfg(feature = "kafka")]
use crate::demo::live::{EVENTS_PER_SECOND, Live, PARTITIONS};
use crate::demo::{Demo, Progress, Watched};
#[cfg(feature = "kafka")]
use crate::kafka::client::{Log, Severity};
#[cfg(feature = "kafka")]
use crate::kafka::settings::Topic;
use crate::simulate::Scenario;
use crate::time::EventTime;

/// Lines of the service that are kept until the board is gone.
#[cfg(feature = "kafka")]
const KEPT_LINES: usize = 20;
/// Between two looks at the broker: what is told there is shown soon.
#[cfg(feature = "kafka")]
const LOOK: Duration = Duration::from_millis(10);

/// A demonstration that is running.
pub enum Running {
    /// The engine alone.
    Direct(Box<Demo>),
    /// Over Kafka.
    #[cfg(feature = "kafka")]
    Live {
        /// Broker and service.
        live: Box<Live>,
        /// What it is and where it is reached.
        banner: String,
        /// What went wrong so far.
        lines: Arc<Mutex<Vec<String>>>,
    },
}

impl Running {
    /// The engine in this process.
    ///
    /// # Errors
    ///
    /// Settings out of range.
    pub fn direct(scenario: &Scenario, config: &Config) -> anyhow::Result<Self> {
        Ok(Self::Direct(Box::new(Demo::new(scenario, config.settings()?)?)))
    }

    /// The service on a broker made of memory.
    ///
    /// # Errors
    ///
    /// Settings out of range; a host on which no port can be opened.
    #[cfg(feature = "kafka")]
    pub fn live(scenario: &Scenario, config: &Config) -> anyhow::Result<Self> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let log: Log = Arc::new(move |severity, line| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if severity >= Severity::Warning && kept.len() < KEPT_LINES {
                kept.push(line.to_owned());
            }
        });
        let live = Live::new(scenario, config, log)?;
        let topics = &config.kafka().topics;
        let banner = format!(
            "Kafka at {} for any client, topics {}, {}, {}; in this process and gone at its end: {PARTITIONS} partitions, \
             at least once, at most {EVENTS_PER_SECOND} events/s and 5 MiB a partition",
            live.brokers(),
            topics.of(Topic::Audit),
            topics.of(Topic::Alerts),
            topics.of(Topic::Risk),
        );
        Ok(Self::Live { live: Box::new(live), banner, lines })
    }

    /// What a person should know who might want to look into it; none without a broker.
    pub fn banner(&self) -> Option<&str> {
        match self {
            Self::Direct(_) => None,
            #[cfg(feature = "kafka")]
            Self::Live { banner, .. } => Some(banner),
        }
    }

    /// Whether events would be judged now.
    pub fn is_ready(&self) -> bool {
        match self {
            Self::Direct(_) => true,
            #[cfg(feature = "kafka")]
            Self::Live { live, .. } => live.is_ready(),
        }
    }

    /// Hands over events before `until`, some at least; what was told meanwhile is pushed to `out`.
    ///
    /// # Errors
    ///
    /// Trouble with the broker.
    pub fn advance(&mut self, until: EventTime, out: &mut Vec<Alert>) -> anyhow::Result<Progress> {
        match self {
            Self::Direct(demo) => Ok(demo.advance(until, out)),
            #[cfg(feature = "kafka")]
            Self::Live { live, .. } => {
                let progress = live.advance(until, out)?;
                if progress == Progress::Waiting {
                    std::thread::park_timeout(LOOK);
                }
                Ok(progress)
            }
        }
    }

    /// The end.
    ///
    /// # Errors
    ///
    /// Trouble with the broker.
    pub fn finish(&mut self, out: &mut Vec<Alert>) -> anyhow::Result<()> {
        match self {
            Self::Direct(demo) => demo.finish(out),
            #[cfg(feature = "kafka")]
            Self::Live { live, .. } => live.finish(out)?,
        }
        Ok(())
    }

    /// What is watched.
    pub fn watched(&self) -> &Watched {
        match self {
            Self::Direct(demo) => demo.watched(),
            #[cfg(feature = "kafka")]
            Self::Live { live, .. } => live.watched(),
        }
    }

    /// Takes out what went wrong so far, a sentence each.
    pub fn take_trouble(&self) -> Vec<String> {
        match self {
            Self::Direct(_) => Vec::new(),
            #[cfg(feature = "kafka")]
            Self::Live { lines, .. } => {
                std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }
}
