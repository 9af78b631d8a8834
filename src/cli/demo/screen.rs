//! Where the demonstration is shown: a board in a terminal, or lines.
//!
//! Knows the terminal and how often it is drawn anew. Must not know what stands on the board.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use console::Term;

use super::board;
use crate::alert::{Alert, AlertState};
use crate::cli::explain::Style;
use crate::cli::notice::say;
use crate::demo::Watched;
use crate::demo::pace::Pace;

/// Time between two frames of the board.
const FRAME: Duration = Duration::from_millis(200);
/// Time between two lines of progress.
const LINE: Duration = Duration::from_secs(5);
/// Other screen, no cursor (xterm control sequences, DECSET 1049 and 25).
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
/// The old screen with its cursor.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Rows and columns where the terminal does not tell.
const SIZE: (u16, u16) = (24, 80);

/// Shows the demonstration on standard error; standard output is for the summary.
pub struct View {
    terminal: Option<Terminal>,
    banner: Option<String>,
    /// Watched time of the next frame or line.
    due: Duration,
    /// Events and watched time of the frames before, oldest first: the rate of about a second.
    past: VecDeque<(Duration, u64)>,
}

impl View {
    /// Takes hold of the terminal, if there is one and `plain` does not forbid it.
    ///
    /// * `banner`: what a person should know all the time.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be written.
    pub fn new(plain: bool, banner: Option<&str>) -> io::Result<Self> {
        let term = Term::stderr();
        let terminal = if plain || !term.is_term() { None } else { Some(Terminal::enter(term)?) };
        if let (None, Some(banner)) = (&terminal, banner) {
            say(banner);
        }
        let banner = banner.map(str::to_owned);
        Ok(Self { terminal, banner, due: Duration::ZERO, past: VecDeque::new() })
    }

    /// Shows how far it came, if it is time for it. As lines, `alerts` are told at once.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be written.
    pub fn show(
        &mut self,
        demo: &Watched,
        pace: &Pace,
        watched: Duration,
        alerts: &[Alert],
    ) -> io::Result<()> {
        self.tell(demo, alerts);
        if watched < self.due {
            return Ok(());
        }
        let rate = self.rate(watched, demo.figures().events);
        match &self.terminal {
            Some(terminal) => {
                let (rows, columns) = terminal.size();
                let lines = board::lines(
                    demo,
                    pace,
                    rate,
                    self.banner.as_deref(),
                    (usize::from(columns), usize::from(rows)),
                );
                terminal.draw(&lines)?;
                self.due = watched + FRAME;
            }
            None => {
                if self.due > Duration::ZERO {
                    say(board::progress(demo, rate));
                }
                self.due = watched + LINE;
            }
        }
        Ok(())
    }

    /// As lines, tells of alerts that were opened.
    pub fn tell(&self, demo: &Watched, alerts: &[Alert]) {
        if self.terminal.is_none() {
            let opened = alerts.iter().filter(|alert| alert.state == AlertState::Opened);
            opened.for_each(|alert| say(board::alert(demo.scenario(), alert)));
        }
    }

    /// Time until there is something to do again.
    pub fn next_frame(&self, watched: Duration) -> Duration {
        self.due.saturating_sub(watched).min(FRAME)
    }

    /// Events a second, over about the last second.
    fn rate(&mut self, watched: Duration, events: u64) -> f64 {
        self.past.push_back((watched, events));
        while self.past.len() > 6 {
            self.past.pop_front();
        }
        self.past.front().map_or(0.0, |(then, before)| {
            let seconds = (watched - *then).as_secs_f64();
            if seconds > 0.0 { (events - before) as f64 / seconds } else { 0.0 }
        })
    }
}

/// A terminal that shows its old screen again when it is let go, however that comes.
struct Terminal(Term);

impl Terminal {
    fn enter(term: Term) -> io::Result<Self> {
        let terminal = Self(term);
        terminal.0.write_str(ENTER)?;
        Ok(terminal)
    }

    /// Rows and columns.
    fn size(&self) -> (u16, u16) {
        self.0.size_checked().unwrap_or(SIZE)
    }

    /// Draws a frame in one piece, so that it does not flicker.
    fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut frame = String::from("\x1b[H");
        for (place, line) in lines.iter().enumerate() {
            frame.push_str(if place == 0 { "" } else { "\r\n" });
            frame.push_str(line);
            frame.push_str(Style::TERMINAL.end);
            frame.push_str("\x1b[K");
        }
        frame.push_str("\x1b[J");
        self.0.write_str(&frame)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nobody is left who could be told of a terminal that is gone.
        _ = self.0.write_str(LEAVE);
    }
}
