//! Patterns of names: `*` stands for any text, `?` for one character, everything else for itself.
//!
//! Knows how a pattern is matched. Must not know what the names are of.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wildmatch::WildMatch;

/// One pattern.
///
/// `*` matches any text, also none and also across `/`; `?` matches one character. Upper and lower case differ.
/// There is no way to write a literal `*` or `?`. Matching costs at most length of pattern × length of text.
///
/// # Example
///
/// ```
/// use tiltmeter::pattern::Pattern;
///
/// let payroll = Pattern::new("hr/payroll/*");
/// assert!(payroll.matches("hr/payroll/2026/january"));
/// assert!(!payroll.matches("hr/holidays"));
/// ```
#[derive(Clone, PartialEq)]
pub struct Pattern(WildMatch);

impl Pattern {
    /// The pattern written as `text`.
    pub fn new(text: &str) -> Self {
        Self(WildMatch::new(text))
    }

    /// Whether the whole of `name` fits.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }

    /// Whether it fits one name only: itself.
    pub fn is_one_name(&self) -> bool {
        !self.0.pattern_chars().iter().any(|c| matches!(c, '*' | '?'))
    }
}

/// As it is written, `**` as `*`.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As text.
impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

/// As it is written, in quotes; `**`, which says no more than `*`, as `*`.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.to_string())
    }
}

/// Some patterns; a name fits when it fits one of them. None: nothing fits.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Patterns(Vec<Pattern>);

impl Patterns {
    /// Whether the whole of `name` fits one of the patterns.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }

    /// Each pattern.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Pattern> {
        self.0.iter()
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// As a list of the patterns in quotes.
impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl<T: AsRef<str>> FromIterator<T> for Patterns {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        Self(texts.into_iter().map(|text| Pattern::new(text.as_ref())).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The slow twin: every way to split the text, tried one after the other.
    fn fits(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=text.len()).any(|skipped| fits(rest, &text[skipped..])),
            (['?', rest @ ..], [_, text @ ..]) => fits(rest, text),
            ([c, rest @ ..], [d, text @ ..]) => c == d && fits(rest, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_what_trying_every_split_finds(pattern in "[ab/é*?]{0,8}", text in "[ab/é]{0,8}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), fits(&p, &t), "{} {}", pattern, text);
        }
    }

    #[test]
    fn a_pattern_is_written_as_it_is_read_and_knows_whether_it_is_one_name() {
        let patterns: Patterns = serde_json::from_str(r#"["batch-*","probe"]"#).unwrap();
        assert_eq!(serde_json::to_string(&patterns).unwrap(), r#"["batch-*","probe"]"#);
        assert_eq!(patterns.iter().map(Pattern::is_one_name).collect::<Vec<_>>(), [false, true]);
        assert!(!Pattern::new("prob?").is_one_name());
    }

    #[test]
    fn one_of_several_patterns_is_enough_and_none_fits_nothing() {
        let patterns: Patterns = ["batch-*", "probe"].into_iter().collect();
        assert!(patterns.matches("batch-7") && patterns.matches("probe") && !patterns.matches("probes"));
        assert!(Patterns::default().is_empty() && !Patterns::default().matches(""));
    }
}
