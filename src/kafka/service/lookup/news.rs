//! What was taken in lately, in the order in which it was, for those who follow it.
//!
//! Knows numbers and texts. Must not wait for anybody.

use std::collections::VecDeque;
use std::sync::Arc;

/// News that are kept for those who fall behind.
const KEPT: usize = 2000;
/// The same in bytes.
const KEPT_BYTES: usize = 8 << 20;

/// One thing that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its number; they count up by one.
    pub number: u64,
    /// `risk` or `alert`.
    pub kind: &'static str,
    /// The record, as its topic has it.
    pub json: Arc<str>,
}

/// What was taken in lately.
#[derive(Debug)]
pub struct News {
    items: VecDeque<Item>,
    bytes: usize,
    /// The number of the next one.
    next: u64,
}

impl Default for News {
    fn default() -> Self {
        Self { items: VecDeque::new(), bytes: 0, next: 1 }
    }
}

impl News {
    /// Adds a record; what is no text is passed over.
    pub(super) fn add(&mut self, kind: &'static str, value: &[u8]) {
        let Ok(json) = std::str::from_utf8(value) else { return };
        self.bytes += json.len();
        self.items.push_back(Item { number: self.next, kind, json: json.into() });
        self.next += 1;
        while self.items.len() > KEPT || (self.bytes > KEPT_BYTES && self.items.len() > 1) {
            self.bytes -= self.items.pop_front().map_or(0, |item| item.json.len());
        }
    }

    /// The number of the last one; 0 before the first.
    pub fn last(&self) -> u64 {
        self.next - 1
    }

    /// At most `most` after a number, in their order; and whether some between are gone.
    pub fn after(&self, number: u64, most: usize) -> (Vec<Item>, bool) {
        let first = self.next - self.items.len() as u64;
        let missed = number + 1 < first;
        let skip = usize::try_from((number + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        (self.items.iter().skip(skip).take(most).cloned().collect(), missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_falls_behind_is_told_so_and_nobody_else() {
        let mut news = News::default();
        assert_eq!((news.last(), news.after(0, 10)), (0, (Vec::new(), false)));
        for number in 1..=KEPT + 5 {
            news.add("risk", number.to_string().as_bytes());
        }
        let numbers = |after: u64, most| {
            let (items, missed) = news.after(after, most);
            (items.iter().map(|item| item.number).collect::<Vec<_>>(), missed)
        };
        assert_eq!(numbers(5, 2), (vec![6, 7], false));
        assert_eq!(numbers(4, 2), (vec![6, 7], true));
        let last = news.last();
        assert_eq!(numbers(last - 1, 2), (vec![last], false));
        assert_eq!(numbers(last, 2), (Vec::new(), false));
        assert_eq!(numbers(last + 9, 2), (Vec::new(), false));
        news.add("alert", &vec![b'x'; KEPT_BYTES + 1]);
        assert_eq!(news.items.len(), 1, "bytes count as well");
        assert_eq!(news.bytes, KEPT_BYTES + 1);
    }
}
