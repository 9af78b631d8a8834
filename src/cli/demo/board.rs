//! The board: how far the demonstration came, which alerts are open, what was told last.
//!
//! Knows words, columns and cuts. Must not know the terminal, and leaves no line longer than it is wide.

use console::{Alignment, pad_str, truncate_str};
use indicatif::HumanCount;

use crate::alert::{Alert, AlertState};
use crate::cli::explain::{Style, one_in, printable};
use crate::demo::pace::Pace;
use crate::demo::{Told, Watched};
use crate::risk::Level;
use crate::simulate::Scenario;
use crate::time::{DAY_MS, EventTime};

/// Columns of the table: agent, agent type, how rare. The rest is shared by risk and reason.
const AGENT: usize = 24;
const TYPE: usize = 20;
const RARE: usize = 13;
const RISK: usize = 25;
/// Narrower boards leave the type out (an agent's id usually tells it), then the risk.
const WITH_TYPE: usize = 130;
const WITH_RISK: usize = 90;
/// Rows that are not open alerts: the head, the headings and the alerts told last.
const OTHER_ROWS: usize = 17;
/// Alerts told last that are shown.
const LATEST: usize = 5;
/// Length of the bar of progress.
const BAR: usize = 30;

/// The board, `columns` wide and at most `rows` high.
///
/// * `rate`: events a second of late.
/// * `banner`: what a person should know all the time.
pub fn lines(
    demo: &Watched,
    pace: &Pace,
    rate: f64,
    banner: Option<&str>,
    (columns, rows): (usize, usize),
) -> Vec<String> {
    let Style { bold, dim, end } = Style::TERMINAL;
    let scenario = demo.scenario();
    let mut all = vec![
        format!("{bold}tiltmeter demo{end}  {}", clock(scenario, demo.time())),
        banner.map_or_else(String::new, |banner| format!("{dim}{banner}{end}")),
        format!("{}  {}", bar(scenario, demo.time()), phase(demo, pace)),
        String::new(),
        figures(demo, rate),
        score(demo),
        String::new(),
    ];
    let open = demo.open();
    all.push(format!("{bold}Open alerts{end}"));
    if open.is_empty() {
        all.push(format!("{dim}  none{end}"));
    } else {
        all.push(format!("{dim}{}{end}", row(["agent", "type", "how rare", "risk", "why"], columns)));
    }
    let room = rows.saturating_sub(OTHER_ROWS).max(1);
    all.extend(open.iter().take(room).map(|told| {
        let alert = &told.alert;
        let cells = [
            &printable(&alert.subject.id),
            &printable(&alert.agent_type),
            &one_in(alert.p),
            alert.risk_event_type.name(),
            &why(alert),
        ];
        row(cells, columns)
    }));
    if open.len() > room {
        all.push(format!("{dim}  and {} more{end}", open.len() - room));
    }
    all.push(String::new());
    all.push(format!("{bold}Told last{end}"));
    all.extend(demo.recent().rev().take(LATEST).map(|told| latest(scenario, told)));
    all.push(String::new());
    all.push(format!("{dim}Ctrl-C ends it and sums up{end}"));
    all.truncate(rows);
    all.iter().map(|line| truncate_str(line, columns, "…").into_owned()).collect()
}

/// One line that says how far it came.
pub fn progress(demo: &Watched, rate: f64) -> String {
    let learning = if demo.is_quiet() { "; learning, no attacks yet" } else { "" };
    format!("{}: {}{learning}", clock(demo.scenario(), demo.time()), figures(demo, rate))
}

/// One line that tells of an alert.
pub fn alert(scenario: &Scenario, alert: &Alert) -> String {
    format!(
        "{}: alert {}: {}, {}, {}: {}",
        clock(scenario, alert.time),
        alert.alert_id,
        printable(&alert.subject.id),
        one_in(alert.p),
        alert.risk_event_type.name(),
        why(alert)
    )
}

/// `day 3 of 7, 14:05`.
pub fn clock(scenario: &Scenario, time: EventTime) -> String {
    let since = (time.0 - scenario.start.0).max(0);
    let minutes = since % DAY_MS / 60_000;
    format!(
        "day {} of {}, {:02}:{:02}",
        since / DAY_MS + 1,
        (scenario.span_ms() + DAY_MS - 1) / DAY_MS,
        minutes / 60,
        minutes % 60
    )
}

fn bar(scenario: &Scenario, time: EventTime) -> String {
    let share = (time.0 - scenario.start.0) as f64 / scenario.span_ms().max(1) as f64;
    let full = (share.clamp(0.0, 1.0) * BAR as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

fn phase(demo: &Watched, pace: &Pace) -> String {
    let scenario = demo.scenario();
    if scenario.attacks.is_empty() {
        return "no attacks in this run: whatever is told is a false alert".to_owned();
    }
    if !demo.is_quiet() {
        return "under attack".to_owned();
    }
    let wait = pace.wait_for(demo.attacks_begin()).saturating_sub(pace.wait_for(demo.time()));
    format!(
        "learning what is normal for {} agents of {} types; no attacks yet, they begin in {:.0} s",
        HumanCount(demo.figures().agents as u64),
        demo.figures().types,
        wait.as_secs_f64()
    )
}

fn figures(demo: &Watched, rate: f64) -> String {
    let figures = demo.figures();
    let at_risk = |level| demo.at_risk().values().filter(|of| **of >= level).count();
    let mut line = format!(
        "{} events ({}/s)   {} agents   {} at risk, {} of them high   {} sessions   baseline version {}   {} open",
        HumanCount(figures.events),
        HumanCount(rate.round() as u64),
        HumanCount(figures.agents as u64),
        at_risk(Level::Low),
        at_risk(Level::High),
        HumanCount(demo.score().sessions),
        figures.version,
        match demo.open().len() {
            1 => "1 alert".to_owned(),
            n => format!("{n} alerts"),
        }
    );
    if let Some(lag) = figures.lag {
        line.push_str(&format!("   lag {}", HumanCount(lag)));
    }
    line
}

/// What is known to the simulation alone.
fn score(demo: &Watched) -> String {
    let (score, attacks) = (demo.score(), demo.score().all_attacks());
    format!(
        "the truth: {} attacks so far, {} found; {} look-alikes, {} stayed quiet; {} alerts, {} of them false",
        attacks.total,
        attacks.alerted,
        score.look_alikes.total,
        score.look_alikes.total - score.look_alikes.alerted,
        score.alerts,
        score.unfounded
    )
}

fn latest(scenario: &Scenario, told: &Told) -> String {
    let Style { dim, end, .. } = Style::TERMINAL;
    let alert = &told.alert;
    let state = match alert.state {
        AlertState::Opened => "alert ",
        AlertState::Updated => "worse ",
        AlertState::Closed => "closed",
    };
    let truth = told.attack.map_or("no attack", |attack| attack.name());
    format!(
        "  {dim}{}{end}  {state}  {}  {}  {dim}(truth: {truth}){end}  {}",
        clock(scenario, alert.time),
        printable(&alert.subject.id),
        alert.risk_event_type.name(),
        why(alert)
    )
}

/// The strongest finding of the family that says most, in words.
fn why(alert: &Alert) -> String {
    let strongest = alert.findings.iter().find(|finding| finding.family == alert.family);
    printable(strongest.map_or(&alert.summary, |finding| &finding.sentence))
}

/// A row of the table. Each cell is cut to its column and the last to what is left.
fn row(cells: [&str; 5], columns: usize) -> String {
    let widths = [
        AGENT,
        if columns >= WITH_TYPE { TYPE } else { 0 },
        RARE,
        if columns >= WITH_RISK { RISK } else { 0 },
        columns,
    ];
    let mut line = String::from("  ");
    for (cell, width) in cells.into_iter().zip(widths).filter(|(_, width)| *width > 0) {
        line.push_str(&pad_str(&truncate_str(cell, width, "…"), width, Alignment::Left, None));
        line.push_str("  ");
    }
    truncate_str(line.trim_end(), columns, "…").into_owned()
}

#[cfg(test)]
mod tests;
