//! Values that are replaced by others.
//!
//! Knows texts. Must not know where they come from.

/// A text that a value is replaced by, where it looks like this.
#[derive(Clone, Debug, Default)]
pub(in crate::wire) struct Case {
    pub equals: Vec<String>,
    pub starts_with: Vec<String>,
    pub ends_with: Vec<String>,
    pub contains: Vec<String>,
    pub is: String,
}

impl Case {
    /// Whether a value looks like this.
    pub fn fits(&self, value: &str) -> bool {
        self.equals.iter().any(|text| value == text)
            || self.starts_with.iter().any(|text| value.starts_with(text.as_str()))
            || self.ends_with.iter().any(|text| value.ends_with(text.as_str()))
            || self.contains.iter().any(|text| value.contains(text.as_str()))
    }
}
