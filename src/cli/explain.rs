//! `tiltmeter explain`: alerts as text for a person.
//!
//! Knows which alerts are asked for. Must not know how they are laid out.

mod text;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};

pub use self::text::{Style, one_in, printable, render};
use super::notice::say;
use super::output::Output;
use crate::alert::{Alert, SCHEMA};
use crate::engine::output::{DIGEST_SCHEMA, EVICTION_SCHEMA};
use crate::engine::verdicts::VERDICT_SCHEMA;
use crate::risk::RISK_SCHEMA;
use crate::wire::input::Lines;

/// Messages that stand between the alerts and are passed over.
const MESSAGES: [&str; 4] = [RISK_SCHEMA, VERDICT_SCHEMA, DIGEST_SCHEMA, EVICTION_SCHEMA];

/// Show alerts as text: what was seen, what is usual, and why it was told.
///
/// Reads what `tiltmeter detect` writes. Of an alert that was updated or closed the last state is shown.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// Alerts, one JSON object a line; .gz and .zst are unpacked. None or `-`: standard input.
    file: Option<PathBuf>,

    /// Only this alert; the first digits of its id are enough.
    #[arg(long, value_name = "ID")]
    alert: Option<String>,
}

impl Explain {
    /// Reads alerts and shows those that were asked for.
    ///
    /// # Errors
    ///
    /// When the input cannot be read or holds something else, when there is no such alert, when the output
    /// cannot be written.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let files: Vec<PathBuf> = self.file.into_iter().collect();
        let mut lines = Lines::open(&files)?;
        let name = lines.name(0).to_owned();
        let mut told = Told::default();
        while let Some(line) = lines.next_line()? {
            let number = line.number;
            let alert = parse(line.bytes).with_context(|| {
                format!("{name}, line {number}, is no alert; name a file that `tiltmeter detect` has written")
            })?;
            if let Some(alert) = alert {
                told.add(alert);
            }
        }
        let wanted = match &self.alert {
            Some(id) => vec![told.find(id)?],
            None => told.alerts.iter().collect(),
        };
        let style = Style::of(&std::io::stdout());
        let mut out = Output::stdout();
        for (place, (alert, updates)) in wanted.iter().enumerate() {
            if place > 0 {
                out.text("\n")?;
            }
            out.text(&render(alert, *updates, &style))?;
        }
        out.flush()?;
        if told.alerts.is_empty() {
            say(format_args!("there are no alerts in {name}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The alert in a line; none where the line is another message of `tiltmeter detect`.
fn parse(line: &[u8]) -> anyhow::Result<Option<Alert>> {
    /// What every message says of itself.
    #[derive(serde::Deserialize)]
    struct Message {
        schema: String,
    }
    let Message { schema } = serde_json::from_slice(line)?;
    if MESSAGES.contains(&schema.as_str()) {
        return Ok(None);
    }
    if schema != SCHEMA {
        bail!("its schema is {} and not {SCHEMA}", printable(&schema));
    }
    Ok(Some(serde_json::from_slice(line)?))
}

/// The last state of every alert, in the order in which they were opened.
#[derive(Debug, Default)]
struct Told {
    /// Alerts, each with the number of its updates.
    alerts: Vec<(Alert, u64)>,
    places: HashMap<String, usize>,
}

impl Told {
    fn add(&mut self, alert: Alert) {
        let place = self.places.get(&alert.alert_id).copied();
        match place.and_then(|place| self.alerts.get_mut(place)) {
            Some((known, updates)) => {
                *updates += u64::from(alert.state == crate::alert::AlertState::Updated);
                *known = alert;
            }
            None => {
                self.places.insert(alert.alert_id.clone(), self.alerts.len());
                self.alerts.push((alert, 0));
            }
        }
    }

    /// The one alert whose id begins so.
    fn find(&self, id: &str) -> anyhow::Result<&(Alert, u64)> {
        let id = id.to_lowercase();
        if id.is_empty() {
            bail!("--alert is empty; give the id of an alert, or its first digits");
        }
        let found: Vec<_> = self.alerts.iter().filter(|(alert, _)| alert.alert_id.starts_with(&id)).collect();
        match found.as_slice() {
            [one] => Ok(one),
            [] => bail!(self.missing(&id)),
            several => {
                let ids: Vec<String> =
                    several.iter().take(5).map(|(alert, _)| printable(&alert.alert_id)).collect();
                let and = if several.len() > ids.len() { ", …" } else { "" };
                bail!(
                    "{} alerts have an id that begins with {}: {}{and}; give more digits",
                    several.len(),
                    printable(&id),
                    ids.join(", ")
                )
            }
        }
    }

    fn missing(&self, id: &str) -> String {
        // Only as much of an id is compared as was given.
        let like = |alert: &Alert| {
            let start: String = alert.alert_id.chars().take(id.chars().count()).collect();
            strsim::damerau_levenshtein(id, &start)
        };
        let nearest = self.alerts.iter().map(|(alert, _)| alert).min_by_key(|alert| like(alert));
        let most = id.chars().count() / 3;
        match nearest {
            None => format!("there is no alert {}: the input holds no alerts", printable(id)),
            Some(nearest) if like(nearest) > most => format!(
                "there is no alert {} among {}; `tiltmeter explain` without --alert shows them all",
                printable(id),
                self.alerts.len()
            ),
            Some(nearest) => format!(
                "there is no alert {} among {}; the nearest id is {}",
                printable(id),
                self.alerts.len(),
                printable(&nearest.alert_id)
            ),
        }
    }
}
