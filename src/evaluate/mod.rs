//! Labelled data in, detection report out.
//!
//! Knows labels, and keeps them away from the engine: what is judged is decoded without them.
//! Must not judge anything itself: it calls the engine that `detect` calls.

pub mod measures;
pub mod report;

use std::collections::HashMap;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::assess::content::is_sensitive;
use crate::detect::lexicon::Lexicon;
use crate::engine::unit::Position;
use crate::engine::{Engine, Judgement, Output};
use crate::event::{AuditEvent, Origin, OriginForm, Outcome};
use crate::finding::Family;
use crate::time::{EventTime, HOUR_MS};
use crate::wire::audit_event;
use crate::wire::dead_letter::Refusal;

/// The keys beside the event that exist for evaluation alone.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Truth {
    /// What the session is.
    pub label: String,
    /// Whether an injection was visible before this call.
    pub exposed: bool,
    /// What the agent was asked to do.
    pub task: String,
}

/// One line of labelled data.
#[derive(Debug)]
pub struct Labelled {
    line: Vec<u8>,
    time: EventTime,
    truth: Truth,
}

impl Labelled {
    /// Decodes a line to see that it is an event, and reads its labels.
    ///
    /// # Errors
    ///
    /// What the decoder refuses, for the reason it gives.
    pub fn read(line: &[u8]) -> Result<Self, Refusal> {
        let time = audit_event::decode(line)?.time;
        Ok(Self { line: line.to_vec(), time, truth: truth(line) })
    }

    /// An event that was made from a record of another format, with the labels of that record.
    ///
    /// # Errors
    ///
    /// When the event cannot be written as JSON, which no event read from JSON is known to do.
    pub fn mapped(event: &AuditEvent<'_>, record: &[u8]) -> serde_json::Result<Self> {
        Ok(Self { line: serde_json::to_vec(event)?, time: event.time, truth: truth(record) })
    }
}

impl Plan {
    /// Whether a line of the first side is learned.
    pub fn learns(&self, line: &Labelled) -> bool {
        self.learn.is_match(&line.truth.label)
    }
}

/// Labels that are not there, or are of another shape, are no labels.
fn truth(line: &[u8]) -> Truth {
    sonic_rs::from_slice(line).unwrap_or_default()
}

/// Which provenance fields are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TierKept {
    /// All.
    Full,
    /// Origin, without form and anchoring.
    Origin,
    /// Nothing of where arguments came from.
    None,
}

/// What is a unit of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportUnit {
    /// One session; events without a session id are left out.
    Session,
    /// One hour of an agent.
    Hour,
}

/// How labelled data is evaluated.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Labels that are learned.
    pub learn: Regex,
    /// Labels that count as normal.
    pub normal: Regex,
    /// Labels that count as positive.
    pub positive: Regex,
    /// Unit of the report.
    pub unit: ReportUnit,
    /// Provenance fields that are kept, on both sides.
    pub tier: TierKept,
    /// Whether to go on learning while judging.
    pub continues: bool,
}

/// One unit of the report.
#[derive(Clone, Debug, Serialize)]
pub struct UnitRow {
    /// The session id, or agent and hour.
    pub id: String,
    /// The agent.
    pub agent_id: String,
    /// Its label.
    pub label: String,
    /// What the agent was asked to do.
    pub task: String,
    /// Provenance fields that were kept.
    pub tier: TierKept,
    /// Agent type.
    #[serde(rename = "type")]
    pub agent_type: String,
    /// Its calls.
    pub calls: u32,
    /// First call that saw an injection, from 0.
    pub first_exposed_call: Option<u32>,
    /// First call at which the score exceeded the report's 5 % threshold, from 0.
    pub alarm_call: Option<u32>,
    /// Combined evidence. Bits.
    pub score: f64,
    /// Calibrated p.
    pub p: f64,
    /// p of each family.
    pub families: [f64; Family::COUNT],
    /// What trivial rules say of it.
    pub controls: Controls,
    /// (call, score) wherever the score rose.
    pub trajectory: Vec<(u32, f64)>,
}

/// Trivial rules that any detector must beat.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Controls {
    /// Calls of the unit.
    pub session_length: f64,
    /// 1 where a sensitive call had an argument from free text that is not anchored.
    pub sensitive_unanchored: f64,
    /// Share of calls that were denied or failed.
    pub failures: f64,
}

impl Controls {
    /// Name and value of each.
    pub fn named(&self) -> [(&'static str, f64); 3] {
        [
            ("session_length", self.session_length),
            ("sensitive_unanchored", self.sensitive_unanchored),
            ("failures", self.failures),
        ]
    }
}

/// Learns one side and judges the other; returns a row per unit of the judged side, in the order of their first
/// events.
///
/// Both sides are taken in the order of time (lines of equal time in the order given). Between them every unit
/// closes, a version is minted and the clock starts again.
pub fn run(
    engine: &mut Engine,
    lexicon: Option<&Lexicon>,
    plan: &Plan,
    mut baseline: Vec<Labelled>,
    mut test: Vec<Labelled>,
) -> Vec<UnitRow> {
    let mut told: Vec<Output> = Vec::new();
    baseline.retain(|line| plan.learns(line));
    baseline.sort_by_key(|l| l.time);
    test.sort_by_key(|l| l.time);
    for (line, labelled) in baseline.iter().enumerate() {
        let Ok(mut event) = audit_event::decode(&labelled.line) else { continue };
        strip(&mut event, plan.tier);
        engine.judge(&event, Position { source: 0, line: line as u64 + 1 }, &mut told);
        told.clear();
    }
    engine.finish(&mut told);
    told.clear();
    if !plan.continues {
        engine.freeze();
    }
    engine.restart_clock();
    let mut rows = Rows::default();
    for (line, labelled) in test.iter().enumerate() {
        let Ok(mut event) = audit_event::decode(&labelled.line) else { continue };
        strip(&mut event, plan.tier);
        let judgement = engine.judge(&event, Position { source: 1, line: line as u64 + 1 }, &mut told);
        told.clear();
        rows.add(plan, lexicon, &labelled.truth, &event, &judgement);
    }
    rows.rows
}

/// Takes away the provenance fields that a tier does not have.
pub fn strip(event: &mut AuditEvent<'_>, tier: TierKept) {
    for argument in &mut event.arguments {
        if tier != TierKept::Full {
            argument.origin_form = None;
            argument.anchored = None;
        }
        if tier == TierKept::None {
            argument.origin = None;
            argument.origin_event = None;
        }
    }
}

#[derive(Default)]
struct Rows {
    rows: Vec<UnitRow>,
    places: HashMap<String, usize>,
}

impl Rows {
    fn add(
        &mut self,
        plan: &Plan,
        lexicon: Option<&Lexicon>,
        truth: &Truth,
        event: &AuditEvent<'_>,
        judgement: &Judgement,
    ) {
        let (id, score, p) = match plan.unit {
            ReportUnit::Session => match &event.session_id {
                Some(id) => (id.to_string(), judgement.bits, judgement.p),
                None => return,
            },
            ReportUnit::Hour => {
                let hour = event.time.0.div_euclid(HOUR_MS) * HOUR_MS;
                (format!("{} {}", &*event.agent_id, EventTime(hour)), judgement.hour_bits, judgement.hour_p)
            }
        };
        let place = *self.places.entry(id.clone()).or_insert_with(|| {
            self.rows.push(UnitRow {
                id,
                agent_id: event.agent_id.to_string(),
                label: truth.label.clone(),
                task: truth.task.clone(),
                tier: plan.tier,
                agent_type: event.agent_type().to_owned(),
                calls: 0,
                first_exposed_call: None,
                alarm_call: None,
                score: 0.0,
                p: 1.0,
                families: [1.0; Family::COUNT],
                controls: Controls::default(),
                trajectory: Vec::new(),
            });
            self.rows.len() - 1
        });
        let Some(row) = self.rows.get_mut(place) else { return };
        let call = row.calls;
        row.calls += 1;
        if plan.positive.is_match(&truth.label) {
            row.label.clone_from(&truth.label); // an hour with one positive session is positive
        }
        if truth.exposed && row.first_exposed_call.is_none() {
            row.first_exposed_call = Some(call);
        }
        if score > row.score || row.trajectory.is_empty() {
            row.trajectory.push((call, score));
        }
        row.score = row.score.max(score);
        row.p = row.p.min(p);
        for (to, from) in row.families.iter_mut().zip(judgement.families) {
            *to = to.min(from);
        }
        let sensitive = lexicon.is_some_and(|l| is_sensitive(l.verb(&event.action)));
        let lifted = event.arguments.iter().any(|a| {
            a.origin == Some(Origin::Tool)
                && a.origin_form == Some(OriginForm::FreeText)
                && a.anchored == Some(false)
        });
        let failed = matches!(event.outcome, Outcome::Denied | Outcome::Error);
        let calls = f64::from(row.calls);
        row.controls.session_length = calls;
        row.controls.failures += (f64::from(u8::from(failed)) - row.controls.failures) / calls;
        if sensitive && lifted {
            row.controls.sensitive_unanchored = 1.0;
        }
    }
}
