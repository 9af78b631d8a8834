//! CEF, the Common Event Format: one line of a header and `key=value` pairs.
//!
//! Knows what must be escaped where. Must not know what is written.
//!
//! Source: ArcSight Common Event Format, version 0. CEF has escapes for its own separators and for line ends, and none for
//! other characters: what is hidden, markup, and what would begin a formula, is written as JSON escapes it (`\u202e`), with
//! the backslash escaped as CEF wants it.

use super::json::{begins_formula, escape, is_hidden, is_markup};

/// A line in the making.
pub(super) struct Line {
    text: String,
    /// Whether it has pairs.
    pairs: bool,
}

impl Line {
    /// The header.
    pub fn new(
        vendor: &str,
        product: &str,
        version: &str,
        signature: &str,
        name: &str,
        severity: &str,
    ) -> Self {
        let mut line = "CEF:0".to_owned();
        for field in [vendor, product, version, signature, name, severity] {
            line.push('|');
            push(&mut line, field, |c| matches!(c, '|' | '\\').then_some(c));
        }
        line.push('|');
        Self { text: line, pairs: false }
    }

    /// Adds a pair.
    ///
    /// * `key`: letters, digits and `_`.
    pub fn add(&mut self, key: &str, value: &str) {
        let line = &mut self.text;
        if std::mem::replace(&mut self.pairs, true) {
            line.push(' ');
        }
        line.push_str(key);
        line.push('=');
        push(line, value, |c| match c {
            '=' | '\\' => Some(c),
            '\n' => Some('n'),
            '\r' => Some('r'),
            _ => None,
        });
    }

    /// The line, without its end.
    pub fn finish(self) -> String {
        self.text
    }
}

/// Adds text; `escaped` gives what stands after a backslash in place of a character.
fn push(line: &mut String, text: &str, escaped: impl Fn(char) -> Option<char>) {
    for (at, c) in text.char_indices() {
        if let Some(c) = escaped(c) {
            line.push('\\');
            line.push(c);
        } else if is_hidden(c) || is_markup(c) || (at == 0 && begins_formula(c)) {
            line.push('\\');
            escape(c, line);
        } else {
            line.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_escaped_where_they_separate() {
        let mut line = Line::new("a|b", "c\\d", "1", "s\n=", "n=m|", "9");
        line.add("k", "a|b=c\\d\ne\r");
        line.add("m", "<x>\u{202e}");
        line.add("f", "-1+1");
        line.add("g", "=1");
        assert_eq!(
            line.finish(),
            r"CEF:0|a\|b|c\\d|1|s\\u000a=|n=m\||9|k=a|b\=c\\d\ne\r m=\\u003cx\\u003e\\u202e f=\\u002d1+1 g=\=1"
        );
    }
}
