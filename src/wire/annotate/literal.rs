//! JSON-like literals, read with tolerance: JSON, Python's `repr`, and either of them cut short.
//!
//! Knows quotes, escapes, brackets. Must not guess: a text that is neither is refused as a whole.

use crate::wire::sources::node::Node;

/// Deepest nesting that is followed; what lies deeper makes the literal unreadable.
const MAX_DEPTH: usize = 64;

/// Reads a literal at the start of `text`: a list or map with quoted strings (either quote), numbers,
/// `true`/`True`, `false`/`False`, `null`/`None`. A tuple is a list.
///
/// Returns the value and what follows it. A literal that ends before its brackets close is returned as
/// far as it goes, without a string that was cut: half a value is not the value. Linear.
pub fn read(text: &str) -> Option<(Node, &str)> {
    if !text.starts_with(['{', '[', '(']) {
        return None;
    }
    let mut reader = Reader { rest: text, cut: false };
    let node = reader.value(0)?;
    Some((node, reader.rest))
}

/// Reads a quoted string at the start of `text`: its value without escapes, and what follows.
/// `None` where it is not closed.
pub fn quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.char_indices();
    let (_, quote) = chars.next().filter(|(_, c)| matches!(c, '\'' | '"'))?;
    let mut value = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((value, text.get(at + c.len_utf8()..)?)),
            '\\' => {
                let (_, escaped) = chars.next()?;
                unescape(escaped, &mut chars, &mut value);
            }
            c => value.push(c),
        }
    }
    None
}

/// Appends what an escape stands for; `escaped` is the character after the backslash.
pub fn unescape(escaped: char, chars: &mut std::str::CharIndices<'_>, value: &mut String) {
    let digits = match escaped {
        'n' | 'r' | 't' | 'f' | 'b' | '\n' => return value.push(' '), // all white space is alike here
        'x' => 2,
        'u' => 4,
        'U' => 8,
        other => return value.push(other),
    };
    let mut number = |digits: usize| {
        let hex = chars.as_str().get(..digits)?;
        let code = u32::from_str_radix(hex, 16).ok()?;
        (0..digits).for_each(|_| _ = chars.next());
        Some(code)
    };
    let Some(code) = number(digits) else { return value.push(escaped) };
    // A pair of UTF-16 surrogates is one character.
    let code = if (0xd800..0xdc00).contains(&code) && chars.as_str().starts_with("\\u") {
        chars.next();
        chars.next();
        let hex = chars.as_str().get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        if hex.is_some() {
            (0..4).for_each(|_| _ = chars.next());
        }
        hex.filter(|low| (0xdc00..0xe000).contains(low))
            .map_or(0xfffd, |low| 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00))
    } else {
        code
    };
    value.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
}

struct Reader<'a> {
    rest: &'a str,
    /// Whether the text ended too early; then everything open closes.
    cut: bool,
}

impl<'a> Reader<'a> {
    fn skip_blank(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: char) -> bool {
        self.skip_blank();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Node> {
        self.skip_blank();
        if depth > MAX_DEPTH {
            return None;
        }
        match self.rest.chars().next() {
            None => {
                self.cut = true;
                Some(Node::Null)
            }
            Some('{') => self.map(depth),
            Some('[') => self.list(']', depth),
            Some('(') => self.list(')', depth),
            Some('\'' | '"') => Some(self.string().map_or(Node::Null, Node::Text)),
            Some(_) => self.word(),
        }
    }

    fn string(&mut self) -> Option<String> {
        match quoted(self.rest) {
            Some((value, rest)) => {
                self.rest = rest;
                Some(value)
            }
            None => {
                self.rest = "";
                self.cut = true;
                None
            }
        }
    }

    fn list(&mut self, close: char, depth: usize) -> Option<Node> {
        self.rest = self.rest.get(1..)?;
        let mut items = Vec::new();
        while !self.cut && !self.take(close) {
            items.push(self.value(depth + 1)?);
            self.separator(close)?;
        }
        Some(Node::List(items))
    }

    fn map(&mut self, depth: usize) -> Option<Node> {
        self.rest = self.rest.get(1..)?;
        let mut pairs = Vec::new();
        while !self.cut && !self.take('}') {
            let key = match self.value(depth + 1)? {
                Node::List(_) | Node::Map(_) => return None,
                key => key.scalar().unwrap_or("").to_owned(),
            };
            if self.cut {
                break;
            }
            if !self.take(':') {
                if !self.rest.is_empty() {
                    return None;
                }
                self.cut = true;
                break;
            }
            pairs.push((key, self.value(depth + 1)?));
            self.separator('}')?;
        }
        Some(Node::Map(pairs))
    }

    /// After an element: a comma, or the bracket that closes (left for the caller), or the end.
    fn separator(&mut self, close: char) -> Option<()> {
        if self.take(',') || self.rest.starts_with(close) {
            return Some(());
        }
        self.cut |= self.rest.is_empty();
        self.cut.then_some(())
    }

    /// A number or one of the constants; any other bare word means that this is no literal.
    fn word(&mut self) -> Option<Node> {
        let end = self.rest.find([',', ':', ']', '}', ')', ' ', '\n', '\t', '\r']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        match word {
            "true" | "True" => Some(Node::Bool(true)),
            "false" | "False" => Some(Node::Bool(false)),
            "null" | "None" | "nan" | "NaN" | "inf" | "Infinity" => Some(Node::Null),
            _ if rest.is_empty() && "truefalsenullNone".contains(word) => {
                self.cut = true;
                Some(Node::Null)
            }
            _ => {
                word.parse::<f64>().ok()?;
                self.cut |= rest.is_empty(); // the number may go on beyond the cut
                Some(if rest.is_empty() { Node::Null } else { Node::Number(word.to_owned()) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_python_repr_is_read_like_its_json() {
        let python = r#"{'a': 'it\'s', "b": [True, None, 1.5], 'c': ('x', "y\u00e9")} tail"#;
        let json = r#"{"a": "it's", "b": [true, null, 1.5], "c": ["x", "yé"]}"#;
        let (node, rest) = read(python).unwrap();
        assert_eq!(Some(node), Node::from_json(json));
        assert_eq!(rest, " tail");
    }

    #[test]
    fn a_cut_literal_keeps_its_whole_values_only() {
        let (node, rest) = read("[{'name': 'one', 'size': 12}, {'name': 'tw").unwrap();
        let expected = r#"[{"name": "one", "size": 12}, {"name": null}]"#;
        assert_eq!((Some(node), rest), (Node::from_json(expected), ""));
    }

    #[test]
    fn prose_in_brackets_is_no_literal() {
        assert!(read("[INFORMATION] send it to eve@example.com").is_none());
        assert!(read("{please: do this}").is_none());
        assert!(read("plain").is_none());
    }

    #[test]
    fn a_surrogate_pair_is_one_character_and_a_lone_one_none() {
        assert_eq!(quoted(r#""\ud83d\ude00""#).unwrap().0, "😀");
        assert_eq!(quoted(r#""\ud83d""#).unwrap().0, "\u{fffd}");
    }

    proptest! {
        #[test]
        fn nothing_panics_and_the_rest_is_a_suffix(text in "[\\[{('\"\\\\a1:, \\])}u]{0,40}") {
            if let Some((_, rest)) = read(&text) {
                prop_assert!(text.ends_with(rest));
            }
        }
    }
}
