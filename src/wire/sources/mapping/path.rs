//! The tree of all places that a mapping asks for, so that one pass over a record finds them.
//!
//! Knows paths and templates. Must not know any record.

use std::collections::BTreeMap;

use crate::wire::mapping_file::path::{self, Part, Step, steps};

/// Places that one mapping asks for at most; more is a mistake, and the tree is made before any limit on records.
pub const PLACES_LIMIT: usize = 1_000;
/// Where a value comes from: one place, or text with places in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Template {
    /// As it was written.
    pub written: String,
    /// In order; at least one place among them.
    pub parts: Vec<Part<usize>>,
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
        let parts = path::parts(text, |path| self.add_place(path))?;
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
                Step::Each => {
                    return Err("is no path to one value: give a number in [ ]".to_owned());
                }
                Step::Name(name) if node.written.is_empty() => name.clone(),
                Step::Name(name) => format!("{}.{name}", node.written),
                Step::Index(index) => format!("{}[{index}]", node.written),
            };
            at = match step {
                Step::Each => next,
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

#[cfg(test)]
mod tests {
    use super::*;

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
        for wrong in ["{a", "a}", "{}", "{{only text}}", "a[*]"] {
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
