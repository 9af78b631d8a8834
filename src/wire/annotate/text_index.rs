//! Finds values in one text by their words, without reading the whole text for each value.
//!
//! Knows where each word of a text stands. Must not know what the text is or who wrote it.

use hashbrown::HashSet;
use smallvec::SmallVec;

use super::value::{canonical_number, normalise};

/// A word that occurs more often than this is no help in finding a value; then the text is searched.
const MAX_PLACES: usize = 64;

/// The words of one normalised text. Memory: the text and eight bytes per word.
#[derive(Debug, Default)]
pub struct TextIndex {
    text: String,
    /// (hash of a word, where it begins in `text` in bytes), sorted.
    words: Vec<(u32, u32)>,
    /// Canonical texts of the numbers.
    numbers: HashSet<String>,
}

impl TextIndex {
    /// Indexes a text and its structured values. O(n log n).
    ///
    /// Values whose escapes hide them from a search of the text are appended to it.
    pub fn new(raw: &str, fields: &[String]) -> Self {
        let mut text = normalise(raw);
        let hidden = raw.contains('\\') || raw.contains("''");
        for field in fields.iter().filter(|_| hidden) {
            let normal = normalise(field);
            if normal.contains(|c: char| !c.is_alphanumeric()) {
                text.push('\u{1e}'); // a separator that no value contains
                text.push_str(&normal);
            }
        }
        if fields.is_empty() && hidden {
            text.push('\u{1e}');
            text.push_str(&normalise(&without_escapes(raw)));
        }
        let mut words: Vec<(u32, u32)> =
            words(&text).filter_map(|(at, word)| Some((hash(word), u32::try_from(at).ok()?))).collect();
        words.sort_unstable();
        let numbers = tokens(&text).filter_map(canonical_number).collect();
        Self { text, words, numbers }
    }

    /// Hashes of the text's words, ascending, with repetitions: to ask many texts at once.
    pub fn word_hashes(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().map(|(hash, _)| *hash)
    }

    /// Whether the text contains `normal`, not inside a longer word.
    ///
    /// * `normal`: normalised, not empty.
    ///
    /// Costs one binary search per word of `normal`; where all its words are frequent, one linear search.
    pub fn contains(&self, normal: &str) -> bool {
        let normal = bare(normal);
        let mut rarest: Option<(usize, &[(u32, u32)])> = None;
        let mut seen = 0;
        for (at, word) in words(normal) {
            seen += 1;
            let places = self.places(word);
            if places.is_empty() {
                return false;
            }
            if rarest.is_none_or(|(_, fewest)| places.len() < fewest.len()) {
                rarest = Some((at, places));
            }
            if seen > 64 {
                break; // enough to be sure that the value is not missing altogether
            }
        }
        match rarest {
            Some((at, places)) if places.len() <= MAX_PLACES => places.iter().any(|(_, place)| {
                (*place as usize).checked_sub(at).is_some_and(|start| self.stands_at(start, normal))
            }),
            _ => self.search(normal),
        }
    }

    /// Searches the whole text; every single search is linear whatever the value (two-way search).
    fn search(&self, normal: &str) -> bool {
        /// Places inside longer words that are passed over; more only in a text made for it.
        const MAX_TRIES: usize = 1024;
        let mut from = 0;
        for _ in 0..MAX_TRIES {
            let Some(at) = self.text.get(from..).and_then(|rest| rest.find(normal)) else { return false };
            if self.stands_at(from + at, normal) {
                return true;
            }
            from += at + normal.chars().next().map_or(1, char::len_utf8);
        }
        false
    }

    /// Whether the text contains `normal` as a whole token: numbers by value, anything else between
    /// blanks and punctuation that cannot belong to it. For values too short to be told by their letters.
    pub fn contains_token(&self, normal: &str) -> bool {
        if let Some(number) = canonical_number(normal) {
            return self.numbers.contains(&number);
        }
        let glue =
            |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '+' | '%' | '=');
        let free = |start: usize| {
            let before = self.text.get(..start).and_then(|text| text.chars().next_back());
            let mut after = self.text.get(start + normal.len()..).unwrap_or("").chars();
            let next = after.next();
            // A full stop or a colon at the end of a clause belongs to nobody.
            let clause_ends =
                matches!(next, Some('.' | ':')) && after.next().is_none_or(|c| !c.is_alphanumeric());
            !before.is_some_and(glue) && (clause_ends || !next.is_some_and(glue))
        };
        let Some((at, word)) = words(normal).next() else { return false };
        let places = self.places(word);
        places.iter().take(4096).any(|(_, place)| {
            (*place as usize).checked_sub(at).is_some_and(|start| {
                self.text.get(start..).is_some_and(|t| t.starts_with(normal)) && free(start)
            })
        })
    }

    fn places(&self, word: &str) -> &[(u32, u32)] {
        let hash = hash(word);
        let from = self.words.partition_point(|(other, _)| *other < hash);
        let rest = self.words.get(from..).unwrap_or(&[]);
        rest.get(..rest.partition_point(|(other, _)| *other == hash)).unwrap_or(&[])
    }

    fn stands_at(&self, start: usize, normal: &str) -> bool {
        let Some(rest) = self.text.get(start..).and_then(|rest| rest.strip_prefix(normal)) else {
            return false;
        };
        let before = self.text.get(..start).and_then(|text| text.chars().next_back());
        let joins = |a: Option<char>, b: Option<char>| {
            a.is_some_and(char::is_alphanumeric) && b.is_some_and(char::is_alphanumeric)
        };
        !joins(before, normal.chars().next()) && !joins(normal.chars().next_back(), rest.chars().next())
    }
}

/// A value without what does not change it: quotes around it, a web scheme, a slash at its end.
pub fn bare(normal: &str) -> &str {
    let mut text = normal;
    for quote in ['"', '\'', '`'] {
        text = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)).unwrap_or(text);
    }
    for scheme in ["https://", "http://"] {
        text = text.strip_prefix(scheme).unwrap_or(text);
    }
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() { normal } else { text }
}

/// The forms under which a whole value is known: as it is, without what does not change it, as a number.
pub fn forms(normal: &str) -> SmallVec<[String; 3]> {
    let mut forms: SmallVec<[String; 3]> = SmallVec::new();
    forms.push(normal.to_owned());
    let bare = bare(normal);
    if bare != normal {
        forms.push(bare.to_owned());
    }
    forms.extend(canonical_number(normal).filter(|number| number != normal));
    forms
}

/// The words of a text with their places: runs of letters and digits.
pub fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(move |word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

/// The tokens of a text: what stands between blanks, without brackets, quotes and punctuation around it.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '\u{1e}' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | '\'' | '<' | '>' | '=' | ';' | '|'
            )
    })
    .map(|token| token.trim_matches([',', '.', ':', '!', '?', '\'', '`']))
    .filter(|token| !token.is_empty())
}

/// 32-bit FNV-1a; a collision costs one comparison, never a wrong answer.
pub fn hash(word: &str) -> u32 {
    word.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The text with backslash escapes resolved, for answers that show a literal inside prose.
fn without_escapes(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.char_indices();
    while let Some((_, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, escaped)) => super::literal::unescape(escaped, &mut chars, &mut text),
                None => text.push('\\'),
            },
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_found_at_word_boundaries_only() {
        let index =
            TextIndex::new("Write to  Emma.Johnson@b.example, or\nvisit https://www.a.example/x.", &[]);
        for value in
            ["emma.johnson@b.example", "emma", "johnson@b.example", "www.a.example", "http://www.a.example/x"]
        {
            assert!(index.contains(value), "{value}");
        }
        for value in ["emm", "hnson", "a.exam", "emma.johnson@b.example.org", "visit johnson"] {
            assert!(!index.contains(value), "{value}");
        }
    }

    #[test]
    fn short_values_need_a_whole_token() {
        let index = TextIndex::new("Pay $10.50 for item 4, on 2024-05-19 at 5. No_7 a-1", &[]);
        for value in ["10.5", "4", "5", "on"] {
            assert!(index.contains_token(value), "{value}");
        }
        for value in ["10", "50", "19", "2024", "7", "1", "no", "a"] {
            assert!(!index.contains_token(value), "{value}");
        }
    }

    #[test]
    fn escapes_and_folds_do_not_hide_a_value() {
        let raw =
            r#"{"body": "write to\n\"bob\u0065@x.example\" and to the long\tdestination eve@y.example"}"#;
        let fields = super::super::structure::values(raw);
        let index = TextIndex::new(raw, &fields);
        assert!(index.contains("bobe@x.example") && index.contains("long destination eve@y.example"));
        assert!(TextIndex::new(r"said: a\nb\u0040c.example", &[]).contains("b@c.example"));
    }

    proptest! {
        /// The slow twin: look at every place of the text.
        #[test]
        fn it_agrees_with_the_obvious_search(text in "[ab ./é]{0,40}", value in "[abé][ab ./é]{0,4}") {
            let (text, value) = (normalise(&text), normalise(&value));
            prop_assume!(bare(&value) == value && !value.is_empty());
            let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let expected = text.char_indices().any(|(at, _)| {
                text[at..].starts_with(value.as_str())
                    && !(letter(text[..at].chars().next_back()) && letter(value.chars().next()))
                    && !(letter(value.chars().next_back()) && letter(text[at + value.len()..].chars().next()))
            });
            prop_assert_eq!(TextIndex::new(&text, &[]).contains(&value), expected);
        }
    }
}
