//! What is said at the end: what was found, what was not, and what to try next.
//!
//! Knows words and commands. Must not know how anything was judged.

use std::fmt::Write;
use std::path::Path;

use indicatif::HumanCount;

use super::board::clock;
use crate::cli::explain::{Style, render};
use crate::demo::Watched;
use crate::simulate::{Attack, Scenario};
use crate::time::HOUR_MS;

/// The summary of a demonstration.
///
/// * `is_over`: whether the scenario came to its end.
/// * `command`: what gives the same alerts by hand.
/// * `alerts`: the file that holds the alerts, if any.
pub fn summary(demo: &Watched, is_over: bool, command: &str, alerts: Option<&Path>, style: &Style) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    _ = write(&mut text, demo, is_over, command, alerts, style);
    text
}

fn write(
    out: &mut String,
    demo: &Watched,
    is_over: bool,
    command: &str,
    alerts: Option<&Path>,
    style: &Style,
) -> std::fmt::Result {
    let Style { bold, end, .. } = *style;
    let (figures, score, scenario) = (demo.figures(), demo.score(), demo.scenario());
    writeln!(
        out,
        "{bold}{} events of {} agents of {} types, in {} sessions over {}{end}",
        HumanCount(figures.events),
        HumanCount(figures.agents as u64),
        figures.types,
        HumanCount(score.sessions),
        if is_over {
            format!("{} days", scenario.days)
        } else {
            format!("the time until {}, when it was ended", clock(scenario, demo.time()))
        },
    )?;
    writeln!(out, "\n{bold}{:<22}planted   found{end}", "Attacks")?;
    let attacks = score.all_attacks();
    for (attack, count) in Attack::ALL.iter().zip(&score.attacks).filter(|(_, count)| count.total > 0) {
        writeln!(out, "  {:<20}{:>7} {:>7}", attack.name(), count.total, count.alerted)?;
    }
    writeln!(out, "  {:<20}{:>7} {:>7}", "all", attacks.total, attacks.alerted)?;
    writeln!(
        out,
        "  found: an alert was opened on the agent between the first hostile call and an hour after the last"
    )?;
    let quiet = score.look_alikes.total - score.look_alikes.alerted;
    writeln!(
        out,
        "\n{bold}Alerts{end}         {} opened, {} of them about no attack",
        score.alerts, score.unfounded
    )?;
    writeln!(
        out,
        "{bold}Look-alikes{end}    {} legitimate sessions looked like trouble; {quiet} stayed quiet",
        score.look_alikes.total
    )?;
    if let Some(judging) = figures.judging {
        let seconds = judging.as_secs_f64();
        writeln!(
            out,
            "{bold}Speed{end}          {} events/s: one thread judged them all in {seconds:.2} s",
            HumanCount((figures.events as f64 / seconds.max(1e-6)).round() as u64)
        )?;
    }
    if let Some(lag) = figures.lag {
        writeln!(out, "{bold}Kafka{end}          {} events were left at the broker", HumanCount(lag))?;
    }
    if let Some(told) = demo.striking() {
        let truth = told.attack.map_or("about no attack: a false alert", Attack::name);
        writeln!(out, "\n{bold}The most striking alert{end} (in truth: {truth})\n")?;
        for line in render(&told.alert, told.updates, style).lines() {
            writeln!(out, "{}{line}", if line.is_empty() { "" } else { "  " })?;
        }
    }
    writeln!(out, "\n{bold}What to try next{end}")?;
    let mut step = |what: &str, command: &str| writeln!(out, "  {what}\n    {command}");
    match figures.lag {
        None => step("the same alerts, from events on standard input:", command)?,
        // Over a broker, baselines come into force a moment later, and not at the same event each time.
        Some(_) => step("the same fleet from standard input, which may differ by an alert or two:", command)?,
    }
    match alerts {
        Some(path) => {
            let file = quoted(path);
            step("every alert explained:", &format!("tiltmeter explain {file}"))?;
        }
        None => step("every alert explained:", &format!("{command} | tiltmeter explain"))?,
    }
    if !scenario.attacks.is_empty() {
        step("the same fleet without attacks:", "tiltmeter demo --attacks none")?;
    }
    step("what events of your own carry; then `detect` judges them:", "tiltmeter check events.jsonl")
}

/// The commands that give the same alerts by hand: `simulate` with the options that are not its defaults.
pub fn same_by_hand(scenario: &Scenario, config: Option<&Path>) -> String {
    let Scenario { preset, agents, days, start, seed, sessions_per_day, attack_share, strength, .. } =
        scenario;
    let attacks = match scenario.attacks.as_slice() {
        [] => "none".to_owned(),
        all if all == Attack::ALL => "all".to_owned(),
        some => some.iter().map(|attack| attack.name()).collect::<Vec<_>>().join(","),
    };
    let usual = Scenario::default();
    let options = [
        (true, "seed", seed.to_string()),
        (*preset != usual.preset, "preset", preset.to_string()),
        (*agents != usual.agents, "agents", agents.to_string()),
        (*days != usual.days, "days", days.to_string()),
        (*start != usual.start, "start", start.to_string()),
        (*sessions_per_day != usual.sessions_per_day, "sessions-per-day", sessions_per_day.to_string()),
        (scenario.attacks != usual.attacks, "attacks", attacks),
        (*attack_share != usual.attack_share, "attack-share", attack_share.to_string()),
        (*strength != usual.strength, "strength", strength.to_string()),
        (scenario.quiet_ms != usual.quiet_ms, "quiet-until", format!("{}h", scenario.quiet_ms / HOUR_MS)),
    ];
    let mut text = String::from("tiltmeter simulate");
    for (_, option, value) in options.iter().filter(|(differs, ..)| *differs) {
        _ = write!(text, " --{option} {value}");
    }
    text.push_str(" | tiltmeter detect");
    if let Some(path) = config {
        _ = write!(text, " --config {}", quoted(path));
    }
    text
}

/// A path as a shell reads it back.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_blanks_and_quotes_stays_one_word() {
        assert_eq!(quoted(Path::new("a/b-1.toml")), "a/b-1.toml");
        assert_eq!(quoted(Path::new("it's here.toml")), "'it'\\''s here.toml'");
    }
}
