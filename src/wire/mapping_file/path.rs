//! Places inside a record, as a mapping file writes them: paths, and templates made of paths.
//!
//! Knows their written form. Must not know any record, nor what a path is turned into.

/// Longest list whose elements can be asked for by number, plus one.
const INDEX_LIMIT: usize = 1_000;

/// One step of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::wire) enum Step {
    /// Into a member of an object.
    Name(String),
    /// To an element of a list, from 0.
    Index(usize),
    /// To all elements of a list: `[*]`.
    Each,
}

/// One part of a template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::wire) enum Part<P> {
    /// Text as it is.
    Literal(String),
    /// What stands at a place.
    Place(P),
}

/// The parts of a path, or of a text with paths in braces; at least one place among them.
///
/// * `place`: what a path is turned into.
pub(in crate::wire) fn parts<P>(
    text: &str,
    mut place: impl FnMut(&str) -> Result<P, String>,
) -> Result<Vec<Part<P>>, String> {
    if !text.contains(['{', '}']) {
        return Ok(vec![Part::Place(place(text)?)]);
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        literal.push_str(before);
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            literal.push_str(from.get(..1).unwrap_or_default());
            rest = after;
            continue;
        }
        let Some((path, after)) = from.strip_prefix('{').and_then(|from| from.split_once('}')) else {
            return Err(
                "has a brace that is not closed or not opened; write {{ or }} for a brace itself".to_owned()
            );
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(Part::Place(place(path)?));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    if !parts.iter().any(|part| matches!(part, Part::Place(_))) {
        return Err("names no path; write a path in braces, or `constant`".to_owned());
    }
    Ok(parts)
}

/// The steps of a path such as `a.b[0]."c.d"`.
pub(in crate::wire) fn steps(path: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = path.trim();
    loop {
        let name = if let Some(quoted) = rest.strip_prefix('"') {
            let Some((name, after)) = quoted.split_once('"') else {
                return Err(format!("is no path: the quote before {quoted:?} is not closed"));
            };
            rest = after;
            name
        } else {
            let (name, after) = rest.split_at(rest.find(['.', '[', '"', ']']).unwrap_or(rest.len()));
            rest = after;
            name
        };
        if name.is_empty() {
            return Err(
                "is no path: a name is missing; write names with dots between them, as in a.b[0].c, \
                        and quotes around a name with dots in it"
                    .to_owned(),
            );
        }
        steps.push(Step::Name(name.to_owned()));
        while let Some((index, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            rest = after;
            if index == "*" {
                steps.push(Step::Each);
                continue;
            }
            let index = index.parse().ok().filter(|index| *index < INDEX_LIMIT);
            let Some(index) = index else {
                return Err(format!("is no path: give a number from 0 to {} in [ ]", INDEX_LIMIT - 1));
            };
            steps.push(Step::Index(index));
        }
        if rest.is_empty() {
            return Ok(steps);
        }
        let Some(after) = rest.strip_prefix('.') else {
            return Err(format!("is no path: a dot or [number] is wanted before {rest:?}"));
        };
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Step {
        Step::Name(text.to_owned())
    }

    #[test]
    fn paths_name_members_elements_and_names_with_dots() {
        assert_eq!(
            steps(r#"a."gen_ai.agent.id"[2].b c[*]"#).unwrap(),
            [name("a"), name("gen_ai.agent.id"), Step::Index(2), name("b c"), Step::Each]
        );
        for wrong in ["", "a.", ".a", "a..b", "a[x]", "a[1000]", "a[0", "\"a", "a]b", "a\"b\""] {
            assert!(steps(wrong).unwrap_err().contains("no path"), "{wrong}");
        }
    }

    #[test]
    fn templates_hold_text_and_places() {
        let parts = |text| parts(text, |path| Ok(path.to_owned()));
        let place = |path: &str| Part::Place(path.to_owned());
        let literal = |text: &str| Part::Literal(text.to_owned());
        assert_eq!(parts("{{{a.b}}}:{c}").unwrap(), [literal("{"), place("a.b"), literal("}:"), place("c")]);
        assert_eq!(parts("a.b").unwrap(), [place("a.b")]);
        for wrong in ["{a", "a}", "{{only text}}"] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }
}
