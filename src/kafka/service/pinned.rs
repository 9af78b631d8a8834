//! The settings by which the whole group judges: those that the control topic says, whatever stands in the file of an
//! instance.
//!
//! Knows when settings begin to hold, and who says so. Must not know what a setting does, nor how a file is read.
//!
//! They begin to hold at a control record of kind `settings`, which every partition pins where it stands, as any other. So
//! all instances judge every record of a partition by the same settings, whoever has it, and again by them when it is put
//! back.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::Shared;
use super::control::Tail;
use super::pulse::AlarmKind;
use super::writer::now_ms;
use crate::control::{Control, EngineSettings};
use crate::engine::Settings;
use crate::kafka::client::Severity;
use crate::kafka::decision;
use crate::kafka::failure::Failure;
use crate::time::EventTime;
use crate::wire::control;

/// What was written is read within this.
const ANSWER: Duration = Duration::from_secs(30);

/// Reads a text by which is judged; where that cannot be done here, why.
pub type ReadSettings = Arc<dyn Fn(&str) -> Result<Settings, String> + Send + Sync>;

/// What the file of an instance says.
#[derive(Clone)]
pub struct OwnSettings {
    /// The part of it by which is judged, TOML.
    pub text: String,
    /// Reads such a text of whatever instance.
    pub read: ReadSettings,
}

impl OwnSettings {
    /// Of whoever judges alone: nothing is agreed on.
    pub fn alone(settings: Settings) -> Self {
        let read = move |_: &str| Ok(settings.clone());
        Self { text: String::new(), read: Arc::new(read) }
    }

    fn is_alone(&self) -> bool {
        self.text.is_empty()
    }
}

/// What holds, as far as the control topic was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// The hash of the settings, and who said so; or why they cannot be judged by here. None where nobody has said anything.
    pub last: Option<Result<(String, String), String>>,
}

/// Notes a control record, if it is about settings.
pub(super) fn heed(shared: &Shared, offset: i64, json: &[u8]) {
    let Ok(record) = control::decode(json) else { return };
    let Control::Settings(EngineSettings { text, .. }) = &record.kind else { return };
    let partitions = shared.verified.partitions.max(1) as usize;
    let read = (shared.own.read)(text);
    let share = |settings: &Settings| {
        let max_agents = settings.max_agents.div_ceil(partitions);
        Settings { max_agents, ..settings.clone() }
    };
    shared.versions.heed(offset, read.as_ref().ok().map(share));
    let read = read.map(|settings| (settings.config, record.by.clone()));
    shared.held.lock().unwrap_or_else(PoisonError::into_inner).last = Some(read);
}

/// The hash of the settings that hold; none where nobody has said which.
fn held(shared: &Shared) -> Result<Option<(String, String)>, Failure> {
    let last = shared.held.lock().unwrap_or_else(PoisonError::into_inner).last.clone();
    last.transpose().map_err(|why| {
        Failure::set_up(format!(
            "the settings that hold for group {} cannot be judged by here: {why}; or let those of this instance hold for all: \
             `tiltmeter run --activate-config`",
            shared.clients.settings().group
        ))
    })
}

/// Looks which settings hold. Where nobody has said so, or a person wants it, those of this instance do from now on, for all.
///
/// * `activates`: whether a person wants it.
///
/// # Errors
///
/// When the settings that hold cannot be judged by here, or ours cannot be written.
pub(super) fn agree(shared: &Shared, tail: &Tail, activates: bool) -> Result<(), Failure> {
    let ours = &shared.engine.config;
    if shared.own.is_alone() {
        return Ok(());
    }
    let before = held(shared);
    let holds = match &before {
        Ok(None) => false,
        Ok(Some((config, _))) => !activates || config == ours,
        Err(_) => !activates,
    };
    if !holds {
        activate(shared, tail)?;
        if held(shared)?.is_none() {
            return Err(Failure::set_up(
                "the settings of this file do not fit into a control record: make rules and lists shorter"
                    .to_owned(),
            ));
        }
        shared.say(Severity::Info, &format!("settings {ours} hold for the group from now on"));
        return Ok(());
    }
    before?;
    tell(shared);
    Ok(())
}

/// Says so where this instance does not judge by its own file.
fn tell(shared: &Shared) {
    let ours = &shared.engine.config;
    if let Ok(Some((config, by))) = held(shared)
        && config != *ours
    {
        let sentence = format!(
            "judges by settings {config}, as {by} wants for the whole group, and not by its own file ({ours}): mend the file, or \
             let it hold for all with `tiltmeter run --activate-config`"
        );
        shared.alarm(AlarmKind::Settings, None, &sentence);
    }
}

/// Settings that came while the service was at work.
///
/// # Errors
///
/// When they cannot be judged by here: this instance must not judge by others.
pub(super) fn came(shared: &Shared, before: &Held) -> Result<(), Failure> {
    let now = shared.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if now.last == before.last {
        return Ok(());
    }
    if let Some((config, by)) = held(shared)? {
        shared
            .say(Severity::Info, &format!("settings {config} hold for the group from now on, as {by} wants"));
    }
    tell(shared);
    Ok(())
}

/// Writes our settings to the control topic, and reads it until there.
fn activate(shared: &Shared, tail: &Tail) -> Result<(), Failure> {
    let failed = |why: String| Failure::set_up(format!("the settings cannot be written: {why}"));
    let text = shared.own.text.clone();
    let sha256 = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let by = format!("instance {}", shared.clients.instance());
    let said = Control::Settings(EngineSettings { sha256, text });
    let now = now_ms();
    let record = control::record(EventTime(now), &by, said).map_err(|refusal| failed(refusal.detail))?;
    let json = control::encode(&record).map_err(|error| failed(error.to_string()))?;
    let key = control::topic_key(&record, u64::try_from(now).unwrap_or_default())
        .map_err(|error| failed(error.to_string()))?;
    let written = decision::write(&shared.clients, &key, &json)?;
    let until = Instant::now() + ANSWER;
    while shared.control.from(written.offset).is_none() {
        if Instant::now() > until || shared.stops() {
            return Err(Failure::passing(format!(
                "the settings were written at offset {} of the control topic and cannot be read there; it is tried again",
                written.offset
            )));
        }
        tail.read(shared)?;
    }
    Ok(())
}
