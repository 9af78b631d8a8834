//! How an alert is laid out for a terminal of 100 columns.
//!
//! Knows words, figures, bars and line breaks. Must not leave out or add anything that is judged.
//!
//! Most of an alert is chosen by the agent it is about: nothing in it may move the cursor, hide text or turn
//! it around.

use std::fmt::Write;

use crate::alert::{Alert, AlertState, Evidence, Observation, WHOLE_CALL_BITS};
use crate::finding::{Family, shown};
use crate::risk::Decision;
use crate::time::EventTime;

/// Longest line. Characters.
const WIDTH: usize = 100;
/// Length of the bar of a share of one. Characters.
const BAR: usize = 30;
/// Smaller shares are left out: they would be shown as nothing.
const SMALL: f64 = 0.005;
/// Longest word that is shown whole. Characters.
const WORD: usize = 80;
/// Longest name that is written into a command. Characters.
const ARGUMENT: usize = 64;

/// Marks around what is to stand out.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Before what matters most.
    pub bold: &'static str,
    /// Before what matters least.
    pub dim: &'static str,
    /// After either.
    pub end: &'static str,
}

impl Style {
    /// No marks.
    pub const PLAIN: Self = Self { bold: "", dim: "", end: "" };
    /// Marks for a terminal (ECMA-48, SGR).
    pub const TERMINAL: Self = Self { bold: "\x1b[1m", dim: "\x1b[2m", end: "\x1b[0m" };

    /// The marks for an output: none where it is no terminal, or where `NO_COLOR` is set.
    pub fn of(output: &impl std::io::IsTerminal) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if output.is_terminal() && !unwanted { Self::TERMINAL } else { Self::PLAIN }
    }
}

/// The alert as text, with a line end.
///
/// * `updates`: how often it was updated before this state.
pub fn render(alert: &Alert, updates: u64, style: &Style) -> String {
    let mut page = Page { text: String::new(), style: *style };
    page.title(alert, updates);
    page.probability(alert);
    page.findings(alert);
    page.shares(alert);
    page.counterfactual(alert);
    page.known(alert);
    page.evidence(alert);
    page.next(alert);
    page.text
}

struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn title(&mut self, alert: &Alert, updates: u64) {
        let Style { bold, end, .. } = self.style;
        let state = match alert.state {
            AlertState::Opened => String::new(),
            AlertState::Updated => format!(", updated {} ({})", time(alert.time), times(updates)),
            AlertState::Closed => format!(", closed {}", time(alert.time)),
        };
        self.line(&format!("{bold}Alert {}{end}", printable(&alert.alert_id)));
        self.line(&format!("opened {}{state}", time(alert.opened)));
        self.text.push('\n');
        for line in wrap(&alert.summary, WIDTH) {
            self.line(&format!("{bold}{line}{end}"));
        }
        self.text.push('\n');
        self.item("agent", &format!("{}, of type {}", alert.subject.id, alert.agent_type));
        if let Some(tenant) = &alert.tenant {
            self.item("tenant", tenant);
        }
        self.item(
            "where",
            &alert.session_id.as_ref().map_or("over one hour".to_owned(), |id| format!("session {id}")),
        );
        self.item("risk", alert.risk_event_type.name());
        if let Some(level) = alert.level {
            let capped = "held by this alert; settings may publish a lower one";
            self.item("level", &format!("{} ({capped})", level.name()));
        }
        if !alert.owasp.is_empty() {
            self.item("OWASP", &alert.owasp.join(", "));
        }
        if !alert.atlas.is_empty() {
            self.item("ATLAS", &alert.atlas.join(", "));
        }
    }

    fn probability(&mut self, alert: &Alert) {
        if alert.threshold >= 1.0 {
            let certain = "not asked: what a rule, a person or the registry says is certain";
            return self.item("how rare", certain);
        }
        let what = if alert.session_id.is_some() { "sessions" } else { "hours" };
        self.item(
            "how rare",
            &format!(
                "{} {what} of its type look like this (p = {}); alerts open at {}",
                one_in(alert.p),
                figure(alert.p),
                one_in(alert.threshold)
            ),
        );
    }

    fn findings(&mut self, alert: &Alert) {
        if alert.findings.is_empty() {
            return;
        }
        self.heading("What was seen");
        // Families that look at one thing say the same of it: it is told once, with what each makes of it.
        let mut told: Vec<&str> = Vec::new();
        // What is measured with its whole call has the figures of the call: several of one call have the same.
        let mut calls: Vec<String> = Vec::new();
        for finding in &alert.findings {
            let sentence = finding.sentence.as_str();
            if told.contains(&sentence) {
                continue;
            }
            told.push(sentence);
            self.block(&format!("  {}. ", told.len()), sentence);
            let figures = compared(finding);
            if finding.unit != WHOLE_CALL_BITS {
                self.block("     ", &figures);
            } else if !calls.contains(&figures) {
                self.block("     ", &format!("its whole call, all that is odd in it together: {figures}"));
                calls.push(figures);
            } else {
                self.block("     ", "of the call whose figures stand above");
            }
            for same in alert.findings.iter().filter(|other| other.sentence == sentence) {
                let kind = format!(
                    "{} ({}), {}, p = {}",
                    same.detector.name(),
                    same.family.name(),
                    same.risk_event_type.name(),
                    figure(same.p)
                );
                self.faint("     ", &kind);
            }
        }
    }

    fn shares(&mut self, alert: &Alert) {
        if alert.shares.is_empty() {
            return;
        }
        self.heading("What made it an alert");
        let mut shares = alert.shares.clone();
        shares.retain(|share| share.share >= SMALL);
        shares.sort_by(|a, b| b.share.total_cmp(&a.share));
        for share in shares {
            let part = share.share.clamp(0.0, 1.0);
            // What is worth a line is worth a block.
            let full = ((part * BAR as f64).round() as usize).max(1);
            let name = format!("{} ({})", share.detector.name(), share.family.name());
            self.line(&format!(
                "  {name:<26} {:>3.0} %  {}{}",
                part * 100.0,
                "█".repeat(full),
                "░".repeat(BAR - full)
            ));
        }
    }

    fn counterfactual(&mut self, alert: &Alert) {
        let Some(other) = &alert.counterfactual else { return };
        self.heading("What if");
        let (what, rare) = (&other.replaced, one_in(other.p));
        self.block(
            "  ",
            &match other.still_alerts {
                false => format!("Replacing {what} would make it {rare}: no alert."),
                true => format!(
                    "No single thing explains it: replacing {what} changes most, and leaves {rare}, still an alert."
                ),
            },
        );
    }

    fn known(&mut self, alert: &Alert) {
        let maturity = &alert.maturity;
        self.heading("How much is known");
        self.item("agent", &format!("{}, {} events", maturity.agent, figure(maturity.agent_events as f64)));
        self.item(
            "type",
            &format!(
                "{} agents, {} sessions and hours; {} calibration",
                figure(maturity.type_agents),
                figure(maturity.type_units),
                maturity.calibration
            ),
        );
        let under = &alert.judged_under;
        self.item("judged by", &format!("baseline {}, configuration {}", under.baseline, under.config));
    }

    fn evidence(&mut self, alert: &Alert) {
        if alert.evidence.is_empty() {
            return;
        }
        self.heading("Evidence");
        // One event may be evidence of several families; it is told once.
        let place = |event: &Evidence| (event.source, event.line, event.event_id.clone());
        let mut told = Vec::new();
        for event in &alert.evidence {
            if told.contains(&place(event)) {
                continue;
            }
            told.push(place(event));
            let mut of: Vec<String> = Vec::new();
            for same in alert.evidence.iter().filter(|other| place(other) == place(event)) {
                let counted = counted(same, alert).map_or(String::new(), |counted| format!(": {counted}"));
                of.push(format!("{}{counted}", same.family.name()));
            }
            let id = event.event_id.as_ref().map_or(String::new(), |id| format!(", event {id}"));
            self.block(
                "  ",
                &format!(
                    "{}: {} (line {} of input {}{id}; {})",
                    time(event.time),
                    event.action,
                    event.line,
                    event.source,
                    of.join("; ")
                ),
            );
            if !event.resources.is_empty() {
                let names: Vec<String> = event.resources.iter().map(|name| shown(name)).collect();
                self.block("    resources, as the agent named them: ", &names.join(", "));
            }
        }
    }

    /// What to do now.
    fn next(&mut self, alert: &Alert) {
        self.heading("What to do");
        let kind = alert.risk_event_type.name();
        self.block("  ", &format!("Where to look, and innocent causes: docs/response.md, {kind}"));
        if alert.subject.kind != "agent" {
            return;
        }
        let tenant = alert
            .tenant
            .as_deref()
            .map_or(String::new(), |of| format!(" --tenant {}", argument(of, "TENANT")));
        let verdicts = Decision::ALL.map(Decision::name).join("|");
        self.block("  ", "Then say what it was:");
        // One line, however long: a command is copied.
        let agent = argument(&alert.subject.id, "AGENT");
        self.line(&format!("  tiltmeter verdict{tenant} --by YOU {agent} VERDICT --to control.jsonl"));
        self.block("  ", &format!("VERDICT: {verdicts}"));
        self.block(
            "  ",
            "The file is for `tiltmeter detect --control`; --kafka in place of --to tells a running service.",
        );
    }

    fn heading(&mut self, text: &str) {
        let Style { bold, end, .. } = self.style;
        self.line(&format!("\n{bold}{text}{end}"));
    }

    fn item(&mut self, name: &str, text: &str) {
        self.block(&format!("  {name:<10}"), text);
    }

    /// Lines that begin with `first`, or with so many blanks.
    fn block(&mut self, first: &str, text: &str) {
        self.marked(first, text, "", "");
    }

    fn faint(&mut self, first: &str, text: &str) {
        self.marked(first, text, self.style.dim, self.style.end);
    }

    fn marked(&mut self, first: &str, text: &str, start: &str, end: &str) {
        let indent = first.chars().count();
        for (place, line) in wrap(text, WIDTH - indent).into_iter().enumerate() {
            let before = if place == 0 { first.to_owned() } else { " ".repeat(indent) };
            self.line(&format!("{before}{start}{line}{end}"));
        }
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }
}

/// `seen 1; usual for its type 0.021, in the fleet 0.034 (unit)`.
fn compared(finding: &Observation) -> String {
    let fleet =
        finding.expected_fleet.map_or(String::new(), |fleet| format!(", in the fleet {}", figure(fleet)));
    let agent = finding.expected_agent.map_or(String::new(), |agent| format!("for it {}, ", figure(agent)));
    format!(
        "seen {}; usual {agent}for its type {}{fleet} ({})",
        figure(finding.observed),
        finding.expected_type.map_or_else(|| "not known yet".to_owned(), figure),
        finding.unit
    )
}

/// Which count an event's place belongs to; none where it has none.
fn counted(event: &Evidence, alert: &Alert) -> Option<String> {
    let of = match event.family {
        Family::Rules | Family::Verdict | Family::Registry | Family::Fleet => return None,
        Family::Novelty | Family::Bursts | Family::Failure => "hour",
        _ if alert.session_id.is_none() => "hour",
        _ => "session",
    };
    Some(format!("call {} of its {of}", event.call))
}

/// A name as an argument of a command, whatever it holds; `placeholder` where it cannot be written in a line.
fn argument(name: &str, placeholder: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._:@/+=-".contains(c);
    let shows = printable(name) == name && !name.contains('\'') && !name.starts_with('-');
    match name.chars().count() {
        1..=ARGUMENT if name.chars().all(is_plain) && shows => name.to_owned(),
        // Nothing is special between these quotes, in any shell of POSIX.
        1..=ARGUMENT if shows => format!("'{name}'"),
        _ => placeholder.to_owned(),
    }
}

fn times(n: u64) -> String {
    if n == 1 { "once".to_owned() } else { format!("{n} times") }
}

fn time(time: EventTime) -> String {
    time.to_string().replace('T', " ").replace('Z', " UTC")
}

/// `1 in 4,300` for .00023: to two digits, more would pretend.
pub fn one_in(p: f64) -> String {
    if p.is_nan() || p <= 0.0 {
        return "fewer than 1 in 1,000,000,000,000".to_owned();
    }
    let n = 1.0 / p.min(1.0);
    let unit = 10f64.powf((n.log10().floor() - 1.0).max(0.0));
    format!("1 in {}", grouped((n / unit).round() * unit))
}

/// A figure with two or three digits that count.
fn figure(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 {
        "0".to_owned()
    } else if size >= 100.0 || (size >= 1.0 && x.fract() == 0.0) {
        grouped(x.round())
    } else if size >= 1.0 {
        format!("{x:.1}")
    } else if size >= 1e-4 {
        let digits = (1.0 - size.log10().floor()) as usize;
        let text = format!("{x:.digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{x:.1e}")
    }
}

/// A whole number with a comma before every three digits.
fn grouped(x: f64) -> String {
    let digits = format!("{:.0}", x.abs());
    let mut text = if x < 0.0 { "-".to_owned() } else { String::new() };
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Text that can neither move the cursor nor hide or turn around what stands beside it.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if hidden {
            // Writing to a string does not fail.
            _ = write!(safe, "{}", c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Breaks text between words into printable lines of at most `width` characters. Longer words are cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in printable(text).split(' ').filter(|word| !word.is_empty()) {
        let mut word: String = word.to_owned();
        let limit = WORD.min(width);
        if word.chars().count() > limit {
            word = word.chars().take(limit - 1).chain(['…']).collect();
        }
        if let Some(line) = lines.last_mut()
            && (line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width)
        {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        } else {
            lines.push(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests;
