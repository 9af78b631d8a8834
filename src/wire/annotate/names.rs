//! Flattens a call's arguments and keeps their names free of content.
//!
//! Knows which names belong to an interface and which are data in the place of a name (a map keyed by
//! e-mail address). Must not look at values.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::class::words_of_name;
use crate::wire::sources::node::Node;

/// Most elements of one list that are looked at; the rest adds nothing but length.
pub const MAX_ELEMENTS: usize = 12;
/// Most arguments of one event; the limit of the audit event.
pub const MAX_ARGUMENTS: usize = 64;
/// Deepest nesting of arguments; what lies deeper is left out.
const MAX_DEPTH: usize = 8;
/// Longest name of one level. Bytes.
const MAX_NAME_BYTES: usize = 40;
/// Longest flattened name. Bytes.
const MAX_FLAT_BYTES: usize = 128;
/// A map with more keys than this is a table: its keys are data.
const MAX_KEYS: usize = 24;
/// What stands in the place of a name that may be content.
const GENERAL: &str = "*";

/// One scalar of a call's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf<'a> {
    /// Its flattened name: `to[]`, `filter.owner`, `quota.*`.
    pub name: String,
    /// Its value.
    pub value: &'a str,
}

/// The scalars of `arguments`, in order, without empty ones: at most [`MAX_ELEMENTS`] of each list and
/// [`MAX_ARGUMENTS`] in all.
pub fn flatten(arguments: &Node) -> Vec<Leaf<'_>> {
    let mut leaves = Vec::new();
    match arguments {
        Node::Map(_) | Node::Null => walk(arguments, String::new(), 0, &mut leaves),
        other => walk(other, GENERAL.to_owned(), 1, &mut leaves), // not even a map: the model wrote something odd
    }
    leaves
}

fn walk<'a>(node: &'a Node, name: String, depth: usize, leaves: &mut Vec<Leaf<'a>>) {
    if depth > MAX_DEPTH || leaves.len() >= MAX_ARGUMENTS {
        return;
    }
    match node {
        Node::Map(pairs) => {
            let table = pairs.len() > MAX_KEYS && depth > 0;
            for (key, value) in pairs {
                let known = if depth == 0 { is_parameter(key) } else { !table && is_field(key) };
                let part = if known { key.as_str() } else { GENERAL };
                let mut flat = name.clone();
                if !flat.is_empty() {
                    flat.push('.');
                }
                flat.push_str(part);
                if flat.len() > MAX_FLAT_BYTES {
                    flat = GENERAL.to_owned();
                }
                walk(value, flat, depth + 1, leaves);
            }
        }
        Node::List(items) => {
            let name = if name.len() + 2 > MAX_FLAT_BYTES { GENERAL.to_owned() } else { name + "[]" };
            for item in items.iter().take(MAX_ELEMENTS) {
                walk(item, name.clone(), depth + 1, leaves);
            }
        }
        scalar => {
            if let Some(value) = scalar.scalar().filter(|value| !value.trim().is_empty()) {
                leaves.push(Leaf { name, value });
            }
        }
    }
}

/// The name of a tool, or `unnamed` where it is not shaped like one: a model can be made to "call" text.
pub fn action(function: &str) -> &str {
    let shaped = (1..=128).contains(&function.len())
        && function
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':' | b'/'))
        && !has_long_number(function);
    if shaped { function } else { "unnamed" }
}

/// A name of the first level is a parameter of the tool, chosen by whoever wrote the tool. It is kept
/// when it is shaped like one: letters, short numbers, `_` and `-`.
fn is_parameter(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        && !has_long_number(name)
}

/// Deeper names may be data (a map keyed by person, project, file). Kept only if every word is one that
/// interfaces use for fields.
fn is_field(name: &str) -> bool {
    is_parameter(name) && words_of_name(name).all(|word| FIELD_WORDS.contains(word.as_str()))
}

fn has_long_number(name: &str) -> bool {
    let mut run = 0;
    name.bytes().any(|b| {
        run = if b.is_ascii_digit() { run + 1 } else { 0 };
        run >= 4
    })
}

/// Words that public interfaces use to name fields: parts of things, never things.
static FIELD_WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    "access account action active address after age amount and api app args argument assignee at attachment attachments \
     attendee attendees attributes author auth avatar balance base bcc before body bool branch brand bucket by calendar \
     category cc channel city class client code color column columns command comment comments company condition config \
     contact content context count country created credential currency customer cwd data database date datetime day default \
     delete department depth description dest destination device dir directory discount display distance document domain \
     double dry due duration email emails enabled encoding end endpoint env event events exclude expires expression field \
     fields file filename files filter filters first flag folder for force format from full function group groups guest \
     guests hash head header headers height host hour html http icon id ids image in include index input inputs int \
     integer interval is issue item items job key keys kind label labels lang language last lat latitude length level \
     limit line lines link list lng location login lon longitude max member members message metadata method mime min minute \
     mode model month name names new next node note notes number object offset old on op operation operator option options \
     order org organization origin output owner page parameters params parent part participant participants parts password \
     path paths pattern payload percent permission permissions phone picture pin plan port position post prefix price \
     priority private product products profile project properties property provider public quantity query range rate rating \
     read reason recipient recipients record records recursive ref reference region remote repeat replace reply repo \
     repository request required resource response result results role roles row rows rule rules save schedule scope score \
     search second secret select sender sent sep server service session set settings severity sha shape share size sort \
     source space sql stage start state status step street string style subject suffix summary system table tag tags target \
     task team template tenant term text thread time timeout timestamp timezone title to token top topic total transaction \
     type types unit units until update updated uri url urls user username users uuid valid value values vendor verbose \
     version view visibility volume website week weight where width window with workspace write year zip zone"
        .split_whitespace()
        .collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(json: &str) -> Vec<(String, String)> {
        let node = Node::from_json(json).unwrap();
        flatten(&node).into_iter().map(|leaf| (leaf.name, leaf.value.to_owned())).collect()
    }

    fn names(json: &str) -> Vec<String> {
        flat(json).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn nested_arguments_are_flattened_in_order() {
        let json = r#"{"to": ["a", "b"], "files": [{"file_path": "/x", "type": "f"}], "n": 5, "ok": true}"#;
        assert_eq!(names(json), ["to[]", "to[]", "files[].file_path", "files[].type", "n", "ok"]);
        assert_eq!(flat(json)[4], ("n".to_owned(), "5".to_owned()));
    }

    #[test]
    fn empty_values_are_dropped_and_long_lists_cut() {
        assert_eq!(names(r#"{"a": "", "b": null, "c": [], "d": " ", "e": 0}"#), ["e"]);
        let long = format!("{{\"a\": [{}]}}", vec!["1"; 40].join(","));
        assert_eq!(names(&long).len(), MAX_ELEMENTS);
        let many = (0..100).map(|i| format!("\"k{i}\": 1")).collect::<Vec<_>>().join(",");
        assert_eq!(names(&format!("{{{many}}}")).len(), MAX_ARGUMENTS);
    }

    #[test]
    fn names_that_may_be_content_are_generalised() {
        for (json, name) in [
            (r#"{"share": {"eve@x.example": "read"}}"#, "share.*"),
            (r#"{"quota": {"ProjectManhattan": 5}}"#, "quota.*"),
            (r#"{"my secret plan": 5}"#, "*"),
            (r#"{"order_104674": 5}"#, "*"),
            (r#"["loose"]"#, "*[]"),
            (r#""not json at all""#, "*"),
            (r#"{"filter": {"createdAt": 1}}"#, "filter.createdAt"),
        ] {
            assert_eq!(names(json), [name], "{json}");
        }
    }

    #[test]
    fn a_function_that_is_no_name_is_not_shown() {
        assert_eq!(action("send_email"), "send_email");
        for text in ["send the password hunter2", "f(x)", "", "call_5551234", "é"] {
            assert_eq!(action(text), "unnamed");
        }
    }
}
