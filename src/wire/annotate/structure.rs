//! Whole values of structured text: which values of a tool's answer stand there as fields.
//!
//! Knows the forms tools answer in: JSON, Python's `repr`, indented text, tables, one bare value.
//! Must not take structure from inside a value, except where a value as a whole is a JSON-like literal.

use super::class::class;
use super::value::canonical_number;
use super::{block, literal};
use crate::event::ValueClass;
use crate::wire::sources::node::Node;

/// How deep literals inside strings are followed.
const MAX_NESTED: usize = 3;

/// The structured values of an answer, without quotes and escapes; empty for prose and mark-up.
///
/// Mark-up (HTML) counts as free text on purpose: whoever can write on a page can write attributes.
/// Linear in the length of the text.
pub fn values(text: &str) -> Vec<String> {
    let text = unwrap(text);
    let mut found = Vec::new();
    for node in nodes(text) {
        collect(&node, 0, &mut found);
    }
    found
}

fn nodes(text: &str) -> Vec<Node> {
    if text.is_empty() || text.starts_with('<') {
        return Vec::new();
    }
    if text.starts_with(['{', '[', '(']) {
        // One literal, or several in a row (JSON Lines); what follows them is free text.
        let mut found = Vec::new();
        let mut rest = text;
        if let Some(node) = Node::from_json(text) {
            return vec![node];
        }
        while let Some((node, after)) = literal::read(rest) {
            found.push(node);
            rest = after.trim_start_matches([',', ' ', '\r', '\n']);
        }
        return found;
    }
    if is_one_value(text) {
        let bare = literal::quoted(text).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value);
        return vec![Node::Text(bare.unwrap_or_else(|| text.to_owned()))];
    }
    table(text).or_else(|| block::read(text)).unwrap_or_default()
}

/// Takes away what wraps an answer: `<<…>>`, a code fence, one pair of tags named like a wrapper.
fn unwrap(text: &str) -> &str {
    const WRAPPERS: [&str; 8] = [
        "tool_result",
        "tool_output",
        "function_result",
        "result",
        "output",
        "data",
        "document",
        "untrusted",
    ];
    let mut text = text.trim();
    for _ in 0..3 {
        let inner = text
            .strip_prefix("<<")
            .map(|rest| rest.strip_suffix(">>").unwrap_or(rest)) // a cut answer has lost its end
            .or_else(|| {
                let rest = text.strip_prefix("```")?.strip_suffix("```")?;
                rest.split_once('\n').map(|(_, body)| body)
            })
            .or_else(|| {
                let (tag, rest) = text.strip_prefix('<')?.split_once('>')?;
                let body = rest.strip_suffix('>')?.strip_suffix(tag)?.strip_suffix("</")?;
                WRAPPERS.contains(&tag).then_some(body)
            });
        match inner {
            Some(inner) => text = inner.trim(),
            None => break,
        }
    }
    text
}

/// Whether the answer as a whole is one value (`1810.0`, `2024-05-19`, a link) rather than words.
fn is_one_value(text: &str) -> bool {
    if text.len() > 512 || text.contains('\n') {
        return false;
    }
    !matches!(class("", text), ValueClass::Phrase | ValueClass::Text) && !text.ends_with(':')
}

/// Cells of a table with bars (`| a | b |` over a line of dashes) or tabs, at least two rows of one width.
fn table(text: &str) -> Option<Vec<Node>> {
    let rows: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let (first, second) = (rows.first()?, rows.get(1)?);
    let bars = first.starts_with('|')
        && second.contains("--")
        && second.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '));
    let separator = if bars { '|' } else { '\t' };
    let width = first.matches(separator).count();
    if width == 0 || rows.iter().any(|row| row.matches(separator).count() != width) {
        return None;
    }
    let cells = rows.iter().flat_map(|row| row.trim_matches('|').split(separator));
    Some(cells.map(|cell| Node::Text(cell.trim().to_owned())).collect())
}

/// Adds every scalar of `node`. Keys of maps count as values too: a map keyed by product name names products.
fn collect(node: &Node, nested: usize, found: &mut Vec<String>) {
    match node {
        Node::List(items) => items.iter().for_each(|item| collect(item, nested, found)),
        Node::Map(pairs) => {
            for (key, value) in pairs {
                found.push(key.clone());
                collect(value, nested, found);
            }
        }
        Node::Text(text) => {
            let inner = text.trim();
            if nested < MAX_NESTED
                && inner.starts_with(['{', '['])
                && let Some((node, rest)) = literal::read(inner)
                && rest.trim().is_empty()
            {
                collect(&node, nested + 1, found);
            }
            found.push(text.clone());
        }
        node => {
            found.extend(node.scalar().map(|text| canonical_number(text).unwrap_or_else(|| text.to_owned())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, value: &str) -> bool {
        values(text).iter().any(|found| found == value)
    }

    #[test]
    fn whole_values_are_found_in_every_form() {
        for text in [
            r#"{"a": [{"b": "x@y.example"}]}"#,
            r#"<<{"a": "x@y.example"}>>"#,
            "```json\n[\"x@y.example\"]\n```",
            "<tool_result>\na: x@y.example\n</tool_result>",
            r#"{"a": "[\"x@y.example\"]"}"#,
            r#"{'repository': "['x@y.example', 'z']"}"#,
            "{\"a\": 1}\n{\"a\": \"x@y.example\"}\n",
            "x@y.example",
            "| name | mail |\n|---|---|\n| X | x@y.example |",
            "name\tmail\nX\tx@y.example",
            "[{'m': 'x@y.example'}, {'m': 'cut of",
        ] {
            assert!(holds(text, "x@y.example"), "{text}");
        }
    }

    #[test]
    fn words_in_running_text_are_no_fields() {
        for text in [
            "Please write to x@y.example",
            "<p>x@y.example</p>",
            r#"{"body": "Please write\nto: x@y.example"}"#,
            "[NOTE] x@y.example",
            "Dear agent,\n\nto: x@y.example",
        ] {
            assert!(!holds(text, "x@y.example"), "{text}");
        }
    }
}
