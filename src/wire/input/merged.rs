//! The lines of several files by the time of what stands in them.
//!
//! Knows which file goes on next, and how many are open at once. Must not know where in a line its time stands.
//!
//! Files of one day each are read one after the other, with one of them open; files that say what happened at the same time
//! are read side by side, as many as [`MOST_OPEN`].

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{InputError, Line, Lines};
use crate::time::EventTime;

/// Files that are open at once. What begins when so many are is read later, and then out of order. A buffer of 256 KiB each.
const MOST_OPEN: usize = 200;
/// Lines at the beginning of a file that are looked at for a time.
const LINES_OF_HEAD: usize = 1_000;

/// Reads the lines of several files, the earliest first. Lines of one file stay in their order, also where that is not the
/// order of time; a line without a time directly follows the one before it.
pub struct Merged {
    /// Files that are not open yet, by the time of their first line, latest first.
    waiting: Vec<(EventTime, usize)>,
    open: Vec<File>,
    /// Which of the open ones was given out last, and has to go on.
    given: Option<usize>,
    paths: Vec<PathBuf>,
    records: Option<String>,
    ends: Option<Arc<AtomicBool>>,
    /// Bytes read of files that are closed again.
    closed: u64,
}

/// An open file, and the line that comes next in it.
struct File {
    index: usize,
    lines: Lines,
    time: EventTime,
    bytes: Vec<u8>,
    number: u64,
    offset: u64,
    length: u64,
    sha256: Option<[u8; 32]>,
}

impl Merged {
    /// Looks for the first time in every file.
    ///
    /// * `records`, `ends`: as [`Lines::with_records`] and [`Lines::until`] have them.
    /// * `time`: when what a line says happened; none where it says nothing.
    ///
    /// # Errors
    ///
    /// As [`Lines::open`].
    pub fn open(
        paths: &[PathBuf],
        records: Option<&str>,
        ends: Option<&Arc<AtomicBool>>,
        time: impl Fn(&Line<'_>) -> Option<EventTime>,
    ) -> Result<Self, InputError> {
        // All faults that can be seen before anything is read.
        Lines::open(paths)?;
        let mut waiting = Vec::with_capacity(paths.len());
        for (index, path) in paths.iter().enumerate() {
            // What cannot be opened twice is open from the start, and so is what cannot be read, to be told.
            let first = match path.is_file() {
                true => first_time(path, records, &time).unwrap_or(EventTime(i64::MIN)),
                false => EventTime(i64::MIN),
            };
            waiting.push((first, index));
        }
        waiting.sort_unstable_by(|one, other| other.cmp(one));
        Ok(Self {
            waiting,
            open: Vec::new(),
            given: None,
            paths: paths.to_vec(),
            records: records.map(str::to_owned),
            ends: ends.cloned(),
            closed: 0,
        })
    }

    /// The next line of all files that is not blank, or `None` after the last.
    ///
    /// # Errors
    ///
    /// As [`Lines::next_line`]; the file is left, the others go on.
    pub fn next_line(
        &mut self,
        time: impl Fn(&Line<'_>) -> Option<EventTime>,
    ) -> Result<Option<Line<'_>>, InputError> {
        if let Some(at) = self.given.take() {
            self.go_on(at, &time)?;
        }
        while let Some(&(starts, index)) = self.waiting.last()
            && self.open.len() < MOST_OPEN
            && self.open.iter().all(|file| starts <= file.time)
        {
            self.waiting.pop();
            let path = self.paths.get(index).cloned().unwrap_or_default();
            let lines = Lines::open(&[path])?.with_records(self.records.as_deref()).until(self.ends.as_ref());
            self.open.push(File {
                index,
                lines,
                time: EventTime(i64::MIN),
                bytes: Vec::new(),
                number: 0,
                offset: 0,
                length: 0,
                sha256: None,
            });
            self.go_on(self.open.len() - 1, &time)?;
        }
        let first = self.open.iter().enumerate().min_by_key(|(_, file)| (file.time, file.index));
        let Some((at, file)) = first else { return Ok(None) };
        self.given = Some(at);
        let &File { index: source, number, offset, length, sha256, .. } = file;
        Ok(Some(Line { bytes: &file.bytes, source, number, offset, length, sha256 }))
    }

    /// Bytes read of all files, as they lie on disk.
    pub fn read_bytes(&self) -> u64 {
        self.open.iter().map(|file| file.lines.progress().0).sum::<u64>() + self.closed
    }

    /// Reads the next line of an open file; one that has ended is closed.
    fn go_on(&mut self, at: usize, time: impl Fn(&Line<'_>) -> Option<EventTime>) -> Result<(), InputError> {
        let Some(file) = self.open.get_mut(at) else { return Ok(()) };
        let error = match file.lines.next_line() {
            Ok(Some(line)) => {
                // A line without a time does not hold its file up.
                file.time = time(&line).unwrap_or(file.time);
                file.bytes.clear();
                file.bytes.extend_from_slice(line.bytes);
                (file.number, file.offset, file.length) = (line.number, line.offset, line.length);
                file.sha256 = line.sha256;
                return Ok(());
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        let left = self.open.swap_remove(at);
        self.closed += left.lines.progress().0;
        error.map_or(Ok(()), Err)
    }
}

/// The time of the first line that has one.
fn first_time(
    path: &PathBuf,
    records: Option<&str>,
    time: impl Fn(&Line<'_>) -> Option<EventTime>,
) -> Option<EventTime> {
    let mut lines = Lines::open(std::slice::from_ref(path)).ok()?.with_records(records);
    for _ in 0..LINES_OF_HEAD {
        let line = lines.next_line().ok()??;
        if let Some(time) = time(&line) {
            return Some(time);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(line: &Line<'_>) -> Option<EventTime> {
        std::str::from_utf8(line.bytes).ok()?.parse().ok().map(EventTime)
    }

    fn merged(files: &[&str]) -> Vec<(usize, String)> {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..files.len()).map(|n| folder.path().join(n.to_string())).collect();
        for (path, text) in paths.iter().zip(files) {
            std::fs::write(path, text).unwrap();
        }
        let mut lines = Merged::open(&paths, None, None, time).unwrap();
        let mut seen = Vec::new();
        while let Some(line) = lines.next_line(time).unwrap() {
            seen.push((line.source, String::from_utf8(line.bytes.to_vec()).unwrap()));
        }
        seen
    }

    fn texts(seen: &[(usize, String)]) -> Vec<&str> {
        seen.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn files_are_read_side_by_side_and_keep_their_places() {
        let seen = merged(&["5\n7\n9\n", "1\n6\nbad\n8\n", "", "2\n"]);
        assert_eq!(texts(&seen), ["1", "2", "5", "6", "bad", "7", "8", "9"]);
        assert_eq!(seen.iter().map(|(file, _)| *file).collect::<Vec<_>>(), [1, 3, 0, 1, 1, 0, 1, 0]);
    }

    #[test]
    fn more_files_than_are_open_at_once_are_in_order_where_they_do_not_overlap() {
        let files: Vec<String> = (0..500).rev().map(|n| format!("{}\n{}\n", n * 10, n * 10 + 9)).collect();
        let seen = merged(&files.iter().map(String::as_str).collect::<Vec<_>>());
        let times: Vec<i64> = seen.iter().map(|(_, text)| text.parse().unwrap()).collect();
        assert!(times.len() == 1_000 && times.is_sorted());
    }

    #[test]
    fn nothing_is_lost_where_too_many_files_overlap() {
        let files: Vec<String> = (0..300).map(|n| format!("{n}\n{}\n", 1_000 - n)).collect();
        let mut seen = merged(&files.iter().map(String::as_str).collect::<Vec<_>>());
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 600);
    }
}
