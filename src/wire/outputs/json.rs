//! JSON that is harmless wherever its bytes end up: in a terminal, a log, a page, a spreadsheet.
//!
//! Knows JSON and characters that mislead. Must not know what is written.
//!
//! Names that an agent chose stand in our messages. Whatever in them could act on a reader is written as `\uXXXX`, so that
//! whoever decodes the JSON gets exactly the name, and whoever only looks at the bytes gets nothing but text.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

/// Whether a character is not seen, or changes how others are seen: controls (C0, C1), line separators, and
/// Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties.txt): zero-width characters, controls of the direction of
/// text, fillers, tags, and selectors of variants, in which whole messages can be hidden.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a character means something to a browser.
pub fn is_markup(c: char) -> bool {
    matches!(c, '<' | '>' | '&')
}

/// Whether a spreadsheet takes text that begins so for a formula.
pub fn begins_formula(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@')
}

/// A character as JSON escapes it: one `\uXXXX`, or two for what lies beyond the first plane.
pub fn escape(c: char, into: &mut String) {
    let mut units = [0; 2];
    for unit in c.encode_utf16(&mut units) {
        into.push_str(&format!("\\u{unit:04x}"));
    }
}

/// A value as one line of JSON. It decodes to the same as what `serde_json` writes.
///
/// # Errors
///
/// When the value cannot be written as JSON: a map whose keys are no text.
pub fn to_vec(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write(&mut bytes, value)?;
    Ok(bytes)
}

/// The same, to a writer.
///
/// # Errors
///
/// When it cannot be written.
pub fn write(to: impl Write, value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(to, Harmless::default()))
}

/// Writes strings so that they act on nobody.
#[derive(Default)]
struct Harmless {
    /// Whether nothing of the string has been written.
    begins: bool,
}

impl Formatter for Harmless {
    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begins = true;
        writer.write_all(b"\"")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        let mut written = 0;
        for (at, c) in text.char_indices() {
            let formula = std::mem::take(&mut self.begins) && begins_formula(c);
            if formula || is_hidden(c) || is_markup(c) {
                let mut escaped = String::new();
                escape(c, &mut escaped);
                writer.write_all(text.get(written..at).unwrap_or_default().as_bytes())?;
                writer.write_all(escaped.as_bytes())?;
                written = at + c.len_utf8();
            }
        }
        writer.write_all(text.get(written..).unwrap_or_default().as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: serde_json::ser::CharEscape,
    ) -> io::Result<()> {
        self.begins = false;
        serde_json::ser::CompactFormatter.write_char_escape(writer, escape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misleads_is_escaped_and_decodes_to_itself() {
        let text = "=1+1 <b>&amp; \u{202e}x\u{200b}\u{9b}2J\u{e0041} \"q\" \\ \n é 漢 🙂 -";
        let bytes = to_vec(&[text, "-x", "a-b", ""]).unwrap();
        let written = String::from_utf8(bytes.clone()).unwrap();
        assert!(
            written.starts_with(r#"["\u003d1+1 \u003cb\u003e\u0026amp; \u202ex\u200b\u009b2J\udb40\udc41 "#)
        );
        assert!(written.ends_with(r#"\n é 漢 🙂 -","\u002dx","a-b",""]"#), "{written}");
        assert!(!written.chars().any(|c| is_hidden(c) || is_markup(c)));
        assert_eq!(serde_json::from_slice::<Vec<String>>(&bytes).unwrap(), [text, "-x", "a-b", ""]);
    }

    #[test]
    fn what_is_hidden_in_selectors_of_variants_and_fillers_is_written_out() {
        let text = "a\u{fe0f}\u{e0101}\u{3164}\u{34f}";
        let written = String::from_utf8(to_vec(&text).unwrap()).unwrap();
        assert_eq!(written, r#""a\ufe0f\udb40\udd01\u3164\u034f""#);
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }

    #[test]
    fn harmless_text_is_written_as_always() {
        let value = serde_json::json!({"a": [1, 2.5, null, true], "b": {"c": "send_email", "d": "x\"y"}});
        assert_eq!(to_vec(&value).unwrap(), serde_json::to_vec(&value).unwrap());
    }
}
