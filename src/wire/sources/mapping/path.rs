//! Places inside a record: paths, templates made of paths, and the tree of all places a mapping asks for.
//!
//! Knows their written form. Must not know any record.

use std::collections::BTreeMap;

/// Places that one mapping asks for at most; more is a mistake, and the tree is made before any limit on records.
pub const PLACES_LIMIT: usize = 1_000;
/// Longest list whose elements can be asked for by number, plus one.
const INDEX_LIMIT: usize = 1_000;

/// One step of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    /// Into a member of an object.
    Name(String),
    /// To an element of a list, from 0.
    Index(usize),
}

/// One part of a template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// Text as it is.
    Literal(String),
    /// What stands at a place: its number in the tree.
    Place(usize),
}

/// Where a value comes from: one place, or text with places in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Template {
    /// As it was written.
    pub written: String,
    /// In order; at least one place among them.
    pub parts: Vec<Part>,
}

/// All places of a mapping, so that one pass over a record finds them all.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    places: usize,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// As it was first written, for messages.
    written: String,
    names: BTreeMap<String, usize>,
    indices: Vec<(usize, usize)>,
    place: Option<usize>,
    has_arguments: bool,
}

impl Tree {
    /// The root of every record.
    pub const ROOT: usize = 0;

    pub fn new() -> Self {
        Self { nodes: vec![Node::default()], places: 0 }
    }

    /// Number of places.
    pub fn places(&self) -> usize {
        self.places
    }

    /// Number of nodes; a node is a place or lies on the way to one.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    pub fn place(&self, node: usize) -> Option<usize> {
        self.nodes.get(node)?.place
    }

    /// Whether the scalars directly below are arguments of the call.
    pub fn has_arguments(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.has_arguments)
    }

    pub fn has_elements(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| !node.indices.is_empty())
    }

    pub fn member(&self, node: usize, name: &str) -> Option<usize> {
        self.nodes.get(node)?.names.get(name).copied()
    }

    pub fn element(&self, node: usize, index: usize) -> Option<usize> {
        self.nodes.get(node)?.indices.iter().find(|(known, _)| *known == index).map(|(_, node)| *node)
    }

    pub fn written(&self, node: usize) -> &str {
        self.nodes.get(node).map_or("", |node| &node.written)
    }

    /// Takes in a path, or a text with paths in braces.
    pub fn add_template(&mut self, text: &str) -> Result<Template, String> {
        let parts = if text.contains(['{', '}']) {
            self.parts(text)?
        } else {
            vec![Part::Place(self.add_place(text)?)]
        };
        if !parts.iter().any(|part| matches!(part, Part::Place(_))) {
            return Err("names no path; write a path in braces, or `constant`".to_owned());
        }
        Ok(Template { written: text.to_owned(), parts })
    }

    /// Takes in a path to an object whose scalars are arguments.
    pub fn add_arguments(&mut self, path: &str) -> Result<(), String> {
        let node = self.add(path)?;
        if let Some(node) = self.nodes.get_mut(node) {
            node.has_arguments = true;
        }
        Ok(())
    }

    fn parts(&mut self, text: &str) -> Result<Vec<Part>, String> {
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
                    "has a brace that is not closed or not opened; write {{ or }} for a brace itself"
                        .to_owned(),
                );
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Place(self.add_place(path)?));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(parts)
    }

    fn add_place(&mut self, path: &str) -> Result<usize, String> {
        let node = self.add(path)?;
        let next = self.places;
        let Some(node) = self.nodes.get_mut(node) else { return Ok(next) };
        let place = *node.place.get_or_insert(next);
        self.places += usize::from(place == next);
        Ok(place)
    }

    fn add(&mut self, path: &str) -> Result<usize, String> {
        let mut at = Self::ROOT;
        for step in steps(path)? {
            let next = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { break };
            let written = match &step {
                Step::Name(name) if node.written.is_empty() => name.clone(),
                Step::Name(name) => format!("{}.{name}", node.written),
                Step::Index(index) => format!("{}[{index}]", node.written),
            };
            at = match step {
                Step::Name(name) => *node.names.entry(name).or_insert(next),
                Step::Index(index) => match node.indices.iter().find(|(known, _)| *known == index) {
                    Some((_, node)) => *node,
                    None => {
                        node.indices.push((index, next));
                        next
                    }
                },
            };
            if at == next {
                if next > PLACES_LIMIT {
                    return Err(format!("is one place too many; a mapping asks for at most {PLACES_LIMIT}"));
                }
                self.nodes.push(Node { written, ..Node::default() });
            }
        }
        Ok(at)
    }
}

/// The steps of a path such as `a.b[0]."c.d"`.
fn steps(path: &str) -> Result<Vec<Step>, String> {
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
            let index = index.parse().ok().filter(|index| *index < INDEX_LIMIT);
            let Some(index) = index else {
                return Err(format!("is no path: give a number from 0 to {} in [ ]", INDEX_LIMIT - 1));
            };
            steps.push(Step::Index(index));
            rest = after;
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
            steps(r#"a."gen_ai.agent.id"[2].b c"#).unwrap(),
            [name("a"), name("gen_ai.agent.id"), Step::Index(2), name("b c")]
        );
        for wrong in ["", "a.", ".a", "a..b", "a[x]", "a[1000]", "a[0", "\"a", "a]b", "a\"b\""] {
            assert!(steps(wrong).unwrap_err().contains("no path"), "{wrong}");
        }
    }

    #[test]
    fn templates_hold_text_and_places_and_one_place_has_one_number() {
        let mut tree = Tree::new();
        let template = tree.add_template("{{{a.b}}}:{c}").unwrap();
        assert_eq!(
            template.parts,
            [Part::Literal("{".to_owned()), Part::Place(0), Part::Literal("}:".to_owned()), Part::Place(1)]
        );
        assert_eq!(tree.add_template("a.b").unwrap().parts, [Part::Place(0)]);
        assert_eq!(tree.places(), 2);
        for wrong in ["{a", "a}", "{}", "{{only text}}"] {
            assert!(tree.add_template(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mapping_cannot_ask_for_places_without_end() {
        let mut tree = Tree::new();
        let refused = (0..=PLACES_LIMIT).find_map(|i| tree.add_template(&format!("a{i}")).err());
        assert!(refused.unwrap().contains("too many"));
    }
}
