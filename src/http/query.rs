//! The parameters of a request, each at most once and each known.
//!
//! Knows names and texts. Must not know what a parameter means.

use std::collections::BTreeMap;

use super::problem::{Problem, shown};

/// Parameters by their name.
#[derive(Debug)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// The parameters of a request.
    ///
    /// * `query`: what stands behind `?`.
    /// * `known`: the names there are.
    ///
    /// # Errors
    ///
    /// When one is not known, or is there twice: a filter that is not applied is worse than none.
    pub fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut read = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let known = if known.is_empty() {
                    "this route has none".to_owned()
                } else {
                    format!("those of this route are: {}", known.join(", "))
                };
                let detail = format!("the parameter {} is not known; {known}", shown(&name));
                return Err(Problem::bad("unknown-parameter", detail));
            }
            if read.insert(name.to_string(), value.into_owned()).is_some() {
                let detail = format!("the parameter {} is there twice; give it once", shown(&name));
                return Err(Problem::bad("duplicate-parameter", detail));
            }
        }
        Ok(Self(read))
    }

    /// The text of a parameter; none where it is left out or empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A whole number from 1 to `most`.
    pub fn number(&self, name: &str, most: usize, default: usize) -> Result<usize, Problem> {
        let Some(text) = self.text(name) else { return Ok(default.min(most)) };
        text.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| {
            let text = shown(text);
            Problem::bad(
                "invalid-parameter",
                format!("{name} = {text} is not allowed: give a number from 1 to {most}"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_or_there_twice_is_refused() {
        let known = ["level", "limit"];
        let read = Parameters::read(Some("level=a%2Fb&limit=7"), &known).unwrap();
        assert_eq!((read.text("level"), read.number("limit", 10, 5)), (Some("a/b"), Ok(7)));
        assert_eq!(Parameters::read(None, &known).unwrap().number("limit", 10, 5), Ok(5));
        for query in ["levl=a", "level=a&level=b", "=", "%00=1"] {
            assert!(Parameters::read(Some(query), &known).is_err(), "{query}");
        }
        for limit in ["0", "11", "-1", "x", "99999999999999999999999"] {
            let read = Parameters::read(Some(&format!("limit={limit}")), &known).unwrap();
            assert!(read.number("limit", 10, 5).is_err(), "{limit}");
        }
    }
}
