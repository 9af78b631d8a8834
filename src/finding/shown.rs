//! How a name that an agent chose is shown: to a person, or to a language model that reads alerts.
//!
//! Knows characters. Must not know whose name it is.

/// Longest name that is shown whole. Characters.
const SHOWN_CHARS: usize = 80;

/// A name that the agent chose, as a person (or a language model) may see it: quoted, cut, with everything escaped that does
/// not show: control characters, line breaks of every kind, and what is invisible or turns the direction of text.
pub fn shown(name: &str) -> String {
    let mut text = String::from("`");
    for (i, c) in name.chars().enumerate() {
        if i == SHOWN_CHARS {
            text.push('…');
            break;
        }
        let hidden = c == '`' || c.is_control() || is_invisible(c);
        if hidden { text.extend(c.escape_unicode()) } else { text.push(c) }
    }
    text.push('`');
    text
}

/// Whether a character takes no place, or breaks the line or its direction.
///
/// Source: Unicode 16, `Default_Ignorable_Code_Point` (DerivedCoreProperties.txt, with what is reserved for it; the block of
/// tags from U+E0000 on carries whole sentences that only a language model reads), the line and paragraph separators, and
/// interlinear annotation.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_is_shown_escaped_and_cut() {
        assert_eq!(shown("send_email"), "`send_email`");
        assert_eq!(shown("a\u{202e}b\n`"), "`a\\u{202e}b\\u{a}\\u{60}`");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), SHOWN_CHARS + 3);
    }

    #[test]
    fn nothing_is_smuggled_past_the_eye_and_every_script_is_shown() {
        for hidden in [
            '\u{2028}',
            '\u{2029}',
            '\u{61c}',
            '\u{ad}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e007f}',
            '\u{fe0f}',
            '\u{3164}',
        ] {
            assert_eq!(shown(&hidden.to_string()), format!("`\\u{{{:x}}}`", u32::from(hidden)));
        }
        for name in ["bücher", "नमस्ते", "注文", "заказ", "طلب", "e\u{301}", "C:\\share", "it's \"fine\""]
        {
            assert_eq!(shown(name), format!("`{name}`"));
        }
    }
}
