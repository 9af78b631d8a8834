//! What is wrong with the lines of a file of which every line must be right.
//!
//! Knows lines and how many of them are shown. Must not know what a line should be.

use std::fmt;

/// Lines that are told; the others are counted. A file that is something else altogether is wrong in every line.
const SHOWN_LINES: usize = 20;

/// Faults of lines, in their order: the first of them, and how many there are.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct LineFaults {
    first: Vec<(usize, String)>,
    /// Lines that are wrong and not kept.
    more: usize,
}

impl LineFaults {
    /// Something is wrong with a line.
    ///
    /// * `line`: its number, from 1.
    pub(super) fn add(&mut self, line: usize, what: impl fmt::Display) {
        if self.first.len() < SHOWN_LINES {
            self.first.push((line, what.to_string()));
        } else {
            self.more += 1;
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

/// A line for each, indented, and one for those that are not shown.
impl fmt::Display for LineFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.iter().try_for_each(|(line, what)| write!(f, "\n  line {line}: {what}"))?;
        match self.more {
            0 => Ok(()),
            1 => f.write_str("\n  and 1 more line"),
            more => write!(f, "\n  and {more} more lines"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_faults_is_told_in_a_few_lines() {
        let mut faults = LineFaults::default();
        assert!(faults.is_empty());
        (1..=SHOWN_LINES).for_each(|line| faults.add(line, "wrong"));
        assert_eq!(faults.to_string().lines().count(), 1 + SHOWN_LINES);
        faults.add(40, "wrong");
        assert!(faults.to_string().ends_with("\n  and 1 more line"));
        (41..90).for_each(|line| faults.add(line, "wrong"));
        assert!(faults.to_string().ends_with("  line 20: wrong\n  and 50 more lines"), "{faults}");
    }
}
