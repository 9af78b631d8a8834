//! What others wrote, as a page may show it: names that agents chose, sentences, times.
//!
//! Knows markup and characters that cannot be seen. Must not know what a page is about.

use crate::time::EventTime;
use crate::wire::outputs::json::is_hidden;

/// Characters of a name, and of a sentence with several names in it, that are shown.
const NAME_CHARS: usize = 256;
const SENTENCE_CHARS: usize = 2048;

/// A name: no markup, cut, and what cannot be seen is written out.
pub(super) fn escaped(name: &str) -> String {
    // Nothing but spaces could not be seen either, nor clicked on.
    if !name.is_empty() && name.chars().all(char::is_whitespace) {
        return name.chars().take(NAME_CHARS).map(|c| c.escape_unicode().to_string()).collect();
    }
    cut(name, NAME_CHARS)
}

/// A sentence: the same, with what stands between backticks as code. Names in summaries stand between backticks and have none
/// in them.
pub(super) fn sentence(text: &str) -> String {
    let text = cut(text, SENTENCE_CHARS);
    let last = text.matches('`').count();
    let mut shown = String::new();
    for (i, piece) in text.split('`').enumerate() {
        match i % 2 {
            0 => shown += piece,
            // Its end was cut off.
            _ if i == last => shown.extend(["`", piece]),
            _ => shown.extend(["<code>", piece, "</code>"]),
        }
    }
    shown
}

/// What a summary says, without whom it is about: that stands beside it.
pub(super) fn without_subject(summary: &str) -> &str {
    let beyond = || {
        let (_, rest) = summary.strip_prefix('`')?.split_once('`')?;
        // A type, or an agent and its type.
        rest.strip_prefix(": ").or_else(|| Some(rest.strip_prefix(" (`")?.split_once("`): ")?.1))
    };
    beyond().unwrap_or(summary)
}

/// A time to the second, in UTC.
pub(super) fn moment(time: EventTime) -> String {
    let full = time.to_string();
    match full.split_once('T') {
        Some((day, rest)) => {
            let time = rest.split('.').next().unwrap_or_default();
            format!("<time datetime=\"{full}\">{day} {time}</time>")
        }
        None => full,
    }
}

/// A name of ours in camel case that may be broken between its words.
pub(super) fn breakable(name: &str) -> String {
    let mut shown = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            shown += "<wbr>";
        }
        shown.push(c);
    }
    shown
}

fn cut(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().take(most) {
        match c {
            '&' => shown += "&amp;",
            '<' => shown += "&lt;",
            '>' => shown += "&gt;",
            '"' => shown += "&quot;",
            '\'' => shown += "&#39;",
            c if is_unseen(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// Whether a character shows nothing, looks like a space, or turns what stands around it.
fn is_unseen(c: char) -> bool {
    is_hidden(c) || (c.is_whitespace() && c != ' ') || c == '\u{2800}'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hostile_name_is_text() {
        let hostile = "<script>alert('x')</script>\"&\u{202e}\u{1b}[2J";
        let shown = escaped(hostile);
        assert_eq!(shown, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\\u{202e}\\u{1b}[2J");
        assert_eq!(escaped(&"x".repeat(300)), "x".repeat(256) + "…");
        assert_eq!(
            escaped("a\u{ad}b\u{2028}\u{a0}\u{3164}\u{e0041}"),
            "a\\u{ad}b\\u{2028}\\u{a0}\\u{3164}\\u{e0041}"
        );
        assert_eq!(escaped(" "), "\\u{20}");
        assert_eq!(escaped("סוכן é 界"), "סוכן é 界");
    }

    #[test]
    fn what_was_seen_is_told_without_whom_and_with_names_as_code() {
        let seen = |summary: &str| sentence(without_subject(summary));
        assert_eq!(seen("`a` (`t`): `<x>` came from `y`"), "<code>&lt;x&gt;</code> came from <code>y</code>");
        assert_eq!(seen("`t`: many changed"), "many changed");
        assert_eq!(seen("registered: `a` is new"), "registered: <code>a</code> is new");
        assert_eq!(seen("`a"), "`a");
        assert_eq!(seen("`a` `b"), "<code>a</code> `b");
    }

    #[test]
    fn a_time_is_shown_to_the_second_and_meant_exactly() {
        let time = EventTime(1_795_323_097_338);
        assert_eq!(moment(time), format!("<time datetime=\"{time}\">2026-11-22 04:51:37</time>"));
        assert_eq!(breakable("requestSpike"), "request<wbr>Spike");
    }

    proptest! {
        #[test]
        fn no_name_becomes_markup(name in any::<String>()) {
            let shown = escaped(&name);
            prop_assert!(!shown.contains(['<', '>', '"', '\'', '\n', '\0']));
            let shown = sentence(&name).replace("<code>", "").replace("</code>", "");
            prop_assert!(!shown.contains(['<', '>', '"', '\'', '\n', '\0']));
        }
    }
}
