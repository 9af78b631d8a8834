//! What a source mapping makes of one record, for whoever writes a mapping.
//!
//! Knows how it is laid out. Must not know how a mapping works.

use crate::cli::explain::printable;
use crate::wire::annotate::keyed_hash::HashKey;
use crate::wire::sources::mapping::Mapping;

/// Longest value that is shown. Characters.
const SHOWN_CHARS: usize = 72;
/// Hashes in the table are of no installation: they show their form, and must not be compared with real ones.
const KEY: [u8; 16] = *b"tiltmeter: check";

/// A table with one line for each canonical field: its value, and the path it came from.
///
/// * `which`: the record, in words.
pub fn extraction(mapping: &Mapping, record: &[u8], which: &str) -> String {
    let mut text = String::from("source mapping: valid\n");
    if let Some(about) = mapping.about() {
        text += &format!("  {}\n", printable(about));
    }
    let Some(key) = HashKey::new(&KEY) else { return text };
    let extracted = match mapping.extract(record, &key) {
        Ok(extracted) => extracted,
        Err(refusal) => return text + &format!("  {which} cannot be read: {refusal}\n"),
    };
    text += &format!("of {which} it makes:\n");
    let width = extracted.iter().map(|one| one.field.chars().count()).max().unwrap_or_default().min(40);
    for one in extracted {
        let field = printable(&one.field);
        text += &match (&one.value, &one.from) {
            (None, _) => format!("  {field:<width$}  –  nothing in this record\n"),
            (Some(value), None) if one.field.starts_with("arguments.") => {
                format!("  {field:<width$}  {value}\n")
            }
            (Some(value), None) => format!("  {field:<width$}  {}  (constant)\n", short(value)),
            (Some(value), Some(from)) => format!("  {field:<width$}  {}  <- {from}\n", short(value)),
        };
    }
    text
}

fn short(value: &str) -> String {
    let mut chars = value.chars();
    let mut shown: String = chars.by_ref().take(SHOWN_CHARS).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    printable(&shown)
}
