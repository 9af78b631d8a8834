//! Just enough of Rust's text to find the paths that code uses.
//!
//! Knows comments, strings, test modules and paths with groups.
//! Must not know which paths are allowed.

use std::path::PathBuf;

/// A path that code uses, groups taken apart: `use a::{b, c::d}` gives `a::b` and `a::c::d`.
#[derive(Debug, PartialEq, Eq)]
pub struct PathUse {
    /// Line of the last segment, from 1.
    pub line: usize,
    /// At least two.
    pub segments: Vec<String>,
}

/// The text with comments, strings and character literals blanked; line breaks stay.
pub fn without_comments_and_strings(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let end = literal_end(&chars, i);
        if end == i {
            out.push(chars[i]);
            i += 1;
        } else {
            out.extend(chars[i..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    out
}

/// End of the comment or literal that begins at `start`, or `start` if none does.
fn literal_end(chars: &[char], start: usize) -> usize {
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let find = |from: usize, what: &dyn Fn(usize) -> bool| (from..chars.len()).find(|i| what(*i));
    match (at(start), at(start + 1)) {
        ('/', '/') => find(start, &|i| at(i) == '\n').unwrap_or(chars.len()),
        ('/', '*') => {
            let (mut depth, mut i) = (1, start + 2);
            while depth > 0 && i < chars.len() {
                let step = match (at(i), at(i + 1)) {
                    ('/', '*') => 1,
                    ('*', '/') => -1,
                    _ => 0,
                };
                depth += step;
                i += if step == 0 { 1 } else { 2 };
            }
            i.min(chars.len())
        }
        ('"', _) => quoted_end(chars, start + 1, '"'),
        // A lifetime has no closing quote right behind its first character.
        ('\'', '\\') => quoted_end(chars, start + 1, '\''),
        ('\'', _) if at(start + 2) == '\'' => start + 3,
        ('r', '"' | '#') if start == 0 || !is_name(at(start - 1)) || at(start - 1) == 'b' => {
            let hashes = (start + 1..).take_while(|i| at(*i) == '#').count();
            if at(start + 1 + hashes) != '"' {
                return start; // a raw identifier
            }
            let closes = |i: usize| at(i) == '"' && (1..=hashes).all(|k| at(i + k) == '#');
            find(start + 2 + hashes, &closes).map_or(chars.len(), |i| i + 1 + hashes)
        }
        _ => start,
    }
}

fn quoted_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut i = from;
    while i < chars.len() && chars[i] != quote {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Stripped code with every item under `#[cfg(test)]` blanked; line breaks stay.
pub fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        let (before, item) = rest.split_at(at);
        out.push_str(before);
        let end = item_end(item);
        out.extend(item[..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &item[end..];
    }
    out + rest
}

/// End of the item at the start: its `;`, or the brace that closes its first one.
fn item_end(item: &str) -> usize {
    let mut depth = 0usize;
    for (i, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return i + 1,
            '}' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => return i + 1,
            _ => {}
        }
    }
    item.len()
}

/// Files that hold test modules of `file` (`#[cfg(test)] mod NAME;`).
pub fn tests_in_files(file: &str, text: &str) -> Vec<PathBuf> {
    let code = without_comments_and_strings(text);
    let folder = file.trim_end_matches(".rs").trim_end_matches("/mod").trim_end_matches("/lib");
    code.split("#[cfg(test)]")
        .skip(1)
        .filter_map(|item| item.trim_start().strip_prefix("mod ")?.split_once(';'))
        .filter(|(name, _)| name.chars().all(is_name))
        .map(|(name, _)| PathBuf::from(format!("{folder}/{name}.rs")))
        .collect()
}

/// All paths of two or more segments in stripped code.
pub fn paths(code: &str) -> Vec<PathUse> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let starts = tokens[i].is_name() && tokens.get(i + 1).is_some_and(|next| next.text == "::");
        if starts && (i == 0 || tokens[i - 1].text != ".") {
            i = follow(&tokens, i, &[], &mut found);
        } else {
            i += 1;
        }
    }
    found
}

/// Takes the path at `i` apart, behind what stands before it; returns where it ends.
fn follow(tokens: &[Token], mut i: usize, before: &[String], found: &mut Vec<PathUse>) -> usize {
    let mut segments = before.to_vec();
    let mut line = 0;
    while let Some(token) = tokens.get(i) {
        if token.text == "{" {
            i += 1;
            while tokens.get(i).is_some_and(|token| token.text != "}") {
                let next = follow(tokens, i, &segments, found);
                i = next.max(i + 1);
            }
            return i + 1;
        }
        if !token.is_name() && token.text != "*" {
            break;
        }
        segments.push(token.text.clone());
        line = token.line;
        i += 1;
        if tokens.get(i).is_none_or(|token| token.text != "::") {
            break;
        }
        i += 1;
    }
    if line > 0 && segments.len() > 1 {
        found.push(PathUse { line, segments });
    }
    i
}

struct Token {
    line: usize,
    text: String,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text.starts_with(is_name)
    }
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut line, mut chars) = (1, code.chars().peekable());
    while let Some(c) = chars.next() {
        let mut text = c.to_string();
        if c == '\n' {
            line += 1;
        }
        if c.is_whitespace() {
            continue;
        }
        if is_name(c) {
            while let Some(c) = chars.next_if(|c| is_name(*c)) {
                text.push(c);
            }
        } else if c == ':' {
            text.extend(chars.next_if_eq(&':'));
        }
        tokens.push(Token { line, text });
    }
    tokens
}
