//! The board is as wide as the terminal, and tells what happens.

use std::time::Duration;

use console::measure_text_width;

use super::*;
use crate::config::Config;
use crate::demo::{Demo, Progress, scenario};

fn pace() -> Pace {
    Pace::new(&scenario(), Duration::from_secs(60))
}

/// The default demonstration, until it has told of an alert.
fn with_an_alert() -> Demo {
    let mut demo = Demo::new(&scenario(), Config::default().settings().unwrap()).unwrap();
    let mut alerts = Vec::new();
    while demo.watched().open().is_empty() {
        assert_ne!(demo.advance(scenario().end(), &mut alerts), Progress::Over, "no alert was ever open");
    }
    demo
}

#[test]
fn no_line_is_wider_and_no_board_higher_than_the_terminal() {
    let demo = with_an_alert();
    for (columns, rows) in [(200, 50), (129, 30), (80, 24), (40, 10), (1, 1)] {
        let lines = lines(demo.watched(), &pace(), 1234.0, None, (columns, rows));
        assert!(lines.len() <= rows, "{columns}×{rows}");
        for line in lines {
            assert!(measure_text_width(&line) <= columns, "{columns}×{rows}: {line:?}");
        }
    }
}

#[test]
fn an_open_alert_stands_on_the_board_with_its_reason() {
    let demo = with_an_alert();
    let alert = &demo.watched().open()[0].alert;
    let board = lines(demo.watched(), &pace(), 0.0, None, (300, 40)).join("\n");
    for part in [&alert.subject.id, &one_in(alert.p), alert.risk_event_type.name(), &why(alert)] {
        assert!(board.contains(part), "{part}\n{board}");
    }
}

#[test]
fn the_first_board_says_that_it_is_learning_and_when_attacks_begin() {
    let mut demo = Demo::new(&scenario(), Config::default().settings().unwrap()).unwrap();
    demo.advance(pace().reached(Duration::from_secs(1)), &mut Vec::new());
    assert!(demo.watched().figures().events > 100, "{:?}", demo.watched().figures());
    let board = lines(demo.watched(), &pace(), 0.0, None, (200, 40)).join("\n");
    assert!(board.contains("learning what is normal"), "{board}");
    assert!(board.contains("no attacks yet, they begin in 29 s"), "{board}");
}

#[test]
fn the_clock_counts_days_from_the_start() {
    let scenario = scenario();
    assert_eq!(clock(&scenario, scenario.start), "day 1 of 4, 00:00");
    assert_eq!(clock(&scenario, scenario.end().plus_ms(-1)), "day 4 of 4, 23:59");
}
