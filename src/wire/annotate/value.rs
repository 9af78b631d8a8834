//! What makes two values the same value: normal form, and canonical text of numbers.
//!
//! Must not know where a value came from.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The normal form of a value: Unicode NFC, lower case, trimmed, every run of white space one blank.
///
/// Two values are the same value to Tiltmeter exactly if their normal forms are equal. Idempotent.
/// Linear in the length.
pub fn normalise(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    let mut gap = false;
    let mut push = |c: char| {
        if c.is_whitespace() {
            gap = true;
        } else {
            if gap && !normal.is_empty() {
                normal.push(' ');
            }
            gap = false;
            normal.push(c);
        }
    };
    if text.is_ascii() {
        text.chars().map(|c| c.to_ascii_lowercase()).for_each(&mut push);
        return normal;
    }
    // Lower case may take a text out of NFC, and NFC may offer a new letter to lower: composed first
    // and last, the result no longer changes.
    text.nfc().flat_map(char::to_lowercase).nfc().for_each(&mut push);
    if is_nfc_quick(normal.chars()) != IsNormalized::Yes {
        normal = normal.nfc().collect();
    }
    normal
}

/// The canonical text of a number, so that `10`, `10.0`, `$10` and `1,000`/`1000` can be compared;
/// `None` for what is no number. A leading zero is kept as it is: `074791` is a code, not a quantity.
pub fn canonical_number(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches(['$', '€', '£', '¥']).trim_end_matches(['%', '€', '$']).trim();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || digits.len() > 40 {
        return None;
    }
    if !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b',') {
        return None;
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or("");
    let mut grouped = first.to_owned();
    for group in groups {
        if group.len() != 3 || first.len() > 3 {
            return None;
        }
        grouped.push_str(group);
    }
    if fraction.contains(['.', ',']) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    Some(if fraction.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_numbers_have_one_canonical_text() {
        for (a, b) in [("10", "10.0"), ("$1,500", "1500"), ("1810.0", "1810"), ("90.0%", "90")] {
            assert_eq!(canonical_number(a), canonical_number(b), "{a} {b}");
        }
        for text in ["074,79", "1.2.3", "2024-05-19", "a1", "", "-", "1,23,456"] {
            assert_eq!(canonical_number(text), None, "{text}");
        }
        assert_ne!(canonical_number("074791"), canonical_number("74791"));
    }

    proptest! {
        #[test]
        fn the_normal_form_is_a_fixed_point(text in "\\PC{0,40}") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }

        #[test]
        fn white_space_and_case_do_not_matter(words in proptest::collection::vec("[a-zA-Z]{1,8}", 1..6)) {
            let spread = format!("\n {}\t", words.join(" \n\t "));
            prop_assert_eq!(normalise(&spread), words.join(" ").to_lowercase());
        }

        #[test]
        fn no_text_breaks_the_number_reader(text in "\\PC{0,60}") {
            let number = canonical_number(&text);
            prop_assert_eq!(number.as_deref().and_then(canonical_number), number.clone());
        }
    }
}
