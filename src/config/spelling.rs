//! Names that are nearly right, and how names and values are shown.
//!
//! Knows spelling. Must not know settings.

/// Longest value that a fault shows. Characters.
const SHOWN_CHARS: usize = 64;
/// A name is suggested for one that is at least this similar (Jaro-Winkler, 0 to 1). By trial: a letter left
/// out, doubled or swapped stays above, another word falls below.
const NEAR: f64 = 0.85;

/// `[alerts] per_day` for `alerts.per_day`.
pub(super) fn shown_name(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((table, key)) => format!("[{}] {}", cut(table), cut(key)),
        None => cut(name),
    }
}

/// The beginning of a text on one line, with everything escaped that does not print.
pub(super) fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let mut out: String = chars
        .by_ref()
        .take(SHOWN_CHARS)
        .map(|c| if matches!(c, '"' | '\'' | '\\') { c.to_string() } else { c.escape_debug().to_string() })
        .collect();
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// Whether one word is so much like another that it may be meant: at most two letters in five are others (`kalfa`, `kafka`).
fn is_near(word: &str, known: &str) -> bool {
    let most = (word.chars().count().max(known.chars().count()) * 2 / 5).max(1);
    strsim::damerau_levenshtein(word, known) <= most
}

/// The known name most like `name`, whole or in its last part, if any is like it.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or("").to_owned();
    let tables = |name: &str| name.matches('.').count();
    known
        .iter()
        .map(|known| {
            let parts = strsim::jaro_winkler(&last(name), &last(known));
            (parts.max(strsim::jaro_winkler(name, known)), *known)
        })
        // Names that agree in their tables alone are not alike.
        .filter(|(_, known)| {
            is_near(&last(name), &last(known))
                || (tables(name) != tables(known) && strsim::damerau_levenshtein(name, known) <= 2)
        })
        .filter(|(near, _)| *near >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_nearly_right_are_recognised_and_others_are_not() {
        let known = ["alerts.per_day", "agents.max", "detect.lexicon", "detect.content.value_novelty"];
        assert_eq!(nearest("alerts.perday", &known), Some("alerts.per_day"));
        assert_eq!(nearest("per_day", &known), Some("alerts.per_day"));
        assert_eq!(nearest("detect.content.value_noveltiy", &known), Some("detect.content.value_novelty"));
        assert_eq!(nearest("alert.per_day", &known), Some("alerts.per_day"));
        assert_eq!(nearest("alerts_per_day", &known), Some("alerts.per_day"));
        for other in ["kafka.brokers", "id", "steps", "detect.content.foo", "when"] {
            assert_eq!(nearest(other, &known), None, "{other}");
        }
    }
}
