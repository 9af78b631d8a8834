//! `docs/metrics.md` lists exactly the metrics there are, and what their labels may be; the text that is told of them is
//! what Prometheus calls good.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use expect_test::expect_file;
use tiltmeter::metrics::{Metrics, TABLE, values};

/// Labels whose values come from the input or the configuration, and what bounds them.
const OPEN: &[(&str, &str)] = &[
    ("agent", "`[TENANT/]AGENT` of the riskiest, at most `http.riskiest_agents`"),
    ("agent_type", "types of agents, at most 200, and `other`"),
    ("partition", "numbers of the partitions of the audit topic"),
    ("route", "routes of the interface as [http.md](http.md) writes them, and `other`"),
    ("status", "status codes of HTTP"),
    ("to", "topics of `[[sinks]]`, and NAME/TOPIC of `[[webhooks]]`"),
    ("topic", "topics of `[[sources]]`"),
    ("version", "the version that runs"),
];

fn page() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")
}

/// The part of the page that follows from the code.
fn made() -> String {
    let mut text = String::from("| metric | type | labels | |\n|---|---|---|---|\n");
    for row in TABLE {
        let labels: Vec<String> = row.labels.iter().map(|label| format!("`{label}`")).collect();
        text += &format!("| `{}` | {} | {} | {} |\n", row.name, row.kind, labels.join(" "), row.help());
    }
    text += "\n## Labels\n\n| label | values |\n|---|---|\n";
    let mut labels: Vec<&str> = TABLE.iter().flat_map(|row| row.labels).copied().collect();
    labels.sort_unstable();
    labels.dedup();
    for label in labels {
        let known: Vec<String> = values(label).iter().map(|value| format!("`{value}`")).collect();
        let open = OPEN.iter().find(|(name, _)| *name == label).map(|(_, bound)| (*bound).to_owned());
        assert_eq!(known.is_empty(), open.is_some(), "say of `{label}` what bounds it");
        text += &format!("| `{label}` | {} |\n", open.unwrap_or_else(|| known.join(" ")));
    }
    text
}

#[test]
fn the_page_of_metrics_lists_exactly_those_there_are() {
    let page_now = std::fs::read_to_string(page()).unwrap();
    let (before, rest) = page_now.split_once("<!-- from the code: begin -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- from the code: end -->\n").unwrap();
    let made = made();
    expect_file![page()].assert_eq(&format!(
        "{before}<!-- from the code: begin -->\n{made}<!-- from the code: end -->\n{after}"
    ));
}

/// Gives a text to `promtool check metrics`; none where there is no promtool.
pub fn promtool(text: &str) -> Option<Result<(), String>> {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = started else {
        println!("left out: promtool check metrics: no promtool at hand; Debian: apt-get install prometheus");
        return None;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let done = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    Some(if done.status.success() && said.trim().is_empty() { Ok(()) } else { Err(said) })
}

#[test]
fn what_is_told_is_what_prometheus_calls_good() {
    let text = Metrics::new().text().unwrap();
    let ours: String =
        text.lines().filter(|line| line.contains("tiltmeter_")).map(|line| format!("{line}\n")).collect();
    assert_eq!(promtool(&ours).unwrap_or(Ok(())), Ok(()));
    // It would have told.
    if let Some(told) = promtool("# TYPE tiltmeter_bad_total gauge\ntiltmeter_bad_total 1\n") {
        assert!(told.is_err());
    }
}
