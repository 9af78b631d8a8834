//! Where a value came from: who named it first, and whether the request has anything to do with it.
//!
//! Knows the texts of one conversation so far and the values the model has used. Must not know the wire
//! format of events, nor decide whether an origin is suspicious.

use std::collections::HashMap;

use hashbrown::HashSet;
use smallvec::SmallVec;

use super::text_index::{TextIndex, bare, forms, hash, words};
use super::value::{canonical_number, normalise};
use super::{literal, structure};
use crate::event::{Origin, OriginForm, ValueClass};
use crate::wire::sources::node::Node;

/// Fewest characters of a value that may be told by standing in the middle of a text.
const STRONG_CHARS: usize = 4;
/// Fewest letters of a word that ties a value to the request.
const ANCHOR_LETTERS: usize = 4;
/// Most parts of a joined value that are followed one by one.
const MAX_PARTS: usize = 16;

/// What is known about where one value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Who named it first.
    pub origin: Origin,
    /// How it stood in the tool's answer; only when `origin` is the tool.
    pub form: Option<OriginForm>,
    /// Whether the request ties it; only when `origin` is not the user.
    pub anchored: Option<bool>,
    /// Number of the call whose answer named it; `None` also when that answer belongs to no call.
    pub call: Option<usize>,
}

/// The texts of one conversation, as far as it has gone.
#[derive(Debug, Default)]
pub struct Sources {
    requests: Vec<TextIndex>,
    request_words: HashSet<String>,
    systems: Vec<TextIndex>,
    answers: Vec<(Option<usize>, TextIndex)>,
    /// Whole values of structured answers, in every form, and which of `answers` hold them, in order.
    fields: HashMap<String, SmallVec<[u32; 2]>>,
    /// Hashes of all words of all answers: a value with any other word is in none of them.
    answer_words: HashSet<u32>,
    /// How each value was judged when the model first used it, and in which call.
    used: HashMap<String, Find>,
}

/// A value found, or not, without regard to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Find {
    origin: Origin,
    form: Option<OriginForm>,
    call: Option<usize>,
}

impl Find {
    const MODEL: Self = Self { origin: Origin::Model, form: None, call: None };

    /// Order by how much an injected text could have to do with it; for values made of several.
    fn risk(&self) -> u8 {
        match (self.origin, self.form) {
            (Origin::User, _) => 0,
            (Origin::Model, _) => 1,
            (Origin::Tool, Some(OriginForm::Field)) => 2,
            (Origin::Tool, _) => 3,
        }
    }
}

impl Sources {
    /// Instructions of whoever runs the agent. They name the principal (`The user's name is …`).
    pub fn add_system(&mut self, text: &str) {
        self.systems.push(TextIndex::new(text, &[]));
        let names = principal(text);
        let joined: String = names.concat();
        self.request_words.extend(names.into_iter().chain([joined]).filter(|word| anchors(word)));
    }

    /// Words of the principal.
    pub fn add_request(&mut self, text: &str) {
        let normal = normalise(text);
        self.request_words
            .extend(words(&normal).map(|(_, word)| word.to_owned()).filter(|word| anchors(word)));
        self.requests.push(TextIndex::new(text, &[]));
    }

    /// An answer of a tool; `call` is the call it belongs to.
    pub fn add_answer(&mut self, call: Option<usize>, text: &str) {
        if !text.trim().is_empty() {
            let values = structure::values(text);
            let index = TextIndex::new(text, &values);
            let number = u32::try_from(self.answers.len()).unwrap_or(u32::MAX);
            for form in
                values.iter().map(|value| normalise(value)).filter(|v| !v.is_empty()).flat_map(|v| forms(&v))
            {
                let holders = self.fields.entry(form).or_default();
                if holders.last() != Some(&number) {
                    holders.push(number);
                }
            }
            self.answer_words.extend(index.word_hashes());
            self.answers.push((call, index));
        }
    }

    /// Judges a value that call number `call` uses, and remembers the judgement.
    ///
    /// The user's words are asked first and always anew: a person who repeats a value makes it theirs.
    /// Otherwise the judgement of the value's first use stands, because later answers may be echoes of
    /// that use: what a tool stored for the model is not the tool's idea, and an injected value must not
    /// become a clean field by being written and read back.
    pub fn judge(&mut self, raw: &str, class: ValueClass, call: usize) -> Provenance {
        let normal = normalise(raw);
        let find = if self.requested(&normal, class) {
            Find { origin: Origin::User, ..Find::MODEL }
        } else if let Some(find) = self.used.get(&normal) {
            *find
        } else {
            let find = self.find(&normal, class, call, true);
            self.used.insert(normal.clone(), find);
            find
        };
        let anchored = (find.origin != Origin::User).then(|| self.is_anchored(&normal, class));
        Provenance { origin: find.origin, form: find.form, anchored, call: find.call }
    }

    fn requested(&self, normal: &str, class: ValueClass) -> bool {
        self.requests.iter().any(|text| stands_in(text, normal, class))
    }

    fn find(&self, normal: &str, class: ValueClass, call: usize, divide: bool) -> Find {
        if self.requested(normal, class) {
            return Find { origin: Origin::User, ..Find::MODEL };
        }
        if matches!(normal, "true" | "false") {
            return Find::MODEL; // a decision of one bit has no traceable origin
        }
        let visible = |answer: &&(Option<usize>, TextIndex)| answer.0.is_none_or(|of| of < call);
        // A field in any answer before running text in any: the value could be had without obeying a text.
        // Among equals the first, because it named the value.
        let holders = forms(normal).into_iter().filter_map(|form| self.fields.get(&form)).flatten();
        let field = holders
            .filter_map(|n| self.answers.get(*n as usize).filter(visible).map(|a| (*n, a)))
            .min_by_key(|(n, _)| *n);
        let found = field.map(|(_, answer)| (answer, OriginForm::Field)).or_else(|| {
            let known = words(bare(normal)).all(|(_, word)| self.answer_words.contains(&hash(word)));
            let mut texts = self.answers.iter().filter(|_| known || canonical_number(normal).is_some());
            let answer = texts.find(|answer| visible(answer) && stands_in(&answer.1, normal, class))?;
            Some((answer, OriginForm::FreeText))
        });
        if let Some(((of, _), form)) = found {
            return Find { origin: Origin::Tool, form: Some(form), call: *of };
        }
        if !divide {
            return Find::MODEL;
        }
        self.find_parts(normal, class, call).unwrap_or(Find::MODEL)
    }

    /// A value made of several (`a, b`; `['a', 'b']`; folder and file) is as risky as its riskiest part,
    /// if every part can be found. Otherwise the model made it.
    fn find_parts(&self, normal: &str, class: ValueClass, call: usize) -> Option<Find> {
        let parts = parts(normal, class);
        if !(2..=MAX_PARTS).contains(&parts.len()) {
            return None;
        }
        let mut worst: Option<Find> = None;
        for part in parts {
            let find = self.find(&part, ValueClass::Word, call, false);
            if find.origin == Origin::Model {
                return None;
            }
            if worst.is_none_or(|worst| find.risk() > worst.risk()) {
                worst = Some(find);
            }
        }
        worst
    }

    fn is_anchored(&self, normal: &str, class: ValueClass) -> bool {
        words(normal).any(|(_, word)| self.request_words.contains(word))
            || self.systems.iter().any(|text| stands_in(text, normal, class))
    }
}

/// Whether a value stands in running text: long ones at word boundaries, short ones and numbers as a token.
fn stands_in(text: &TextIndex, normal: &str, class: ValueClass) -> bool {
    let letters = normal.chars().count();
    if class == ValueClass::Num || letters < STRONG_CHARS || canonical_number(normal).is_some() {
        text.contains_token(normal)
    } else {
        text.contains(normal)
    }
}

/// The parts a value was put together from.
fn parts(normal: &str, class: ValueClass) -> Vec<String> {
    let clean = |parts: Vec<&str>| {
        parts
            .into_iter()
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    if normal.starts_with(['[', '(', '{'])
        && let Some((node, "")) = literal::read(normal)
    {
        let mut found = Vec::new();
        scalars(&node, &mut found);
        return found;
    }
    match class {
        ValueClass::Path | ValueClass::Url => {
            let whole = bare(normal);
            let Some((folder, file)) = whole.rsplit_once('/') else { return Vec::new() };
            let enough = |part: &str| part.chars().count() >= STRONG_CHARS;
            // `…/download` is a guess; only a name that nobody writes by chance shows where it is from.
            let telling = file.contains(|c: char| c.is_ascii_digit() || matches!(c, '.' | '_' | '-'));
            if enough(folder) && enough(file) && telling { clean(vec![folder, file]) } else { Vec::new() }
        }
        // Digits and blanks of a time are everywhere; it is looked for whole, or by day and clock.
        ValueClass::Time => clean(normal.split([' ', 't']).collect()),
        ValueClass::Num | ValueClass::Key | ValueClass::Secret => Vec::new(),
        _ => {
            let parts: Vec<&str> = normal.split([',', ';']).flat_map(|part| part.split(" and ")).collect();
            clean(parts)
        }
    }
}

fn scalars(node: &Node, found: &mut Vec<String>) {
    match node {
        Node::List(items) => items.iter().for_each(|item| scalars(item, found)),
        Node::Map(pairs) => pairs.iter().for_each(|(_, value)| scalars(value, found)),
        scalar => found.extend(scalar.scalar().map(normalise)),
    }
}

/// The words of the principal's name in a system prompt: the capitalised words after `name is`.
fn principal(system: &str) -> Vec<String> {
    let after =
        ["user's name is ", "user\u{2019}s name is ", "user name is ", "principal is ", "on behalf of "]
            .iter()
            .find_map(|mark| system.find(mark).and_then(|at| system.get(at + mark.len()..)));
    let Some(after) = after else { return Vec::new() };
    after
        .split(' ')
        .take(4)
        .scan(false, |ended, word| {
            let name = word.trim_end_matches(['.', ',', ';', ':', '!', '\n']);
            let take = !*ended && name.starts_with(char::is_uppercase);
            *ended = !take || name.len() < word.len();
            take.then(|| normalise(name))
        })
        .collect()
}

/// Whether a word can tie a value to the request: four letters or more, and not one that ties nothing.
fn anchors(word: &str) -> bool {
    const FILLER: &str = " about above after again also another around asked back because been before being below \
        both came come could details does doing done down during each either else ensure even every find first following \
        from full further give given have having help here into just keep know last latest least like list look made make \
        many mine more most much must need next none once only other over please provide same send sent should show \
        since some soon still such sure take tell than thank thanks that their them then there these they thing this those \
        through time today under until upon used user using very want well were what when where whether which while will \
        with within without would yesterday your yours \
        http https html mailto gmail outlook hotmail yahoo icloud proton mail email emails file files ";
    word.chars().filter(|c| c.is_alphabetic()).count() >= ANCHOR_LETTERS
        && !FILLER.contains(&format!(" {word} "))
}

#[cfg(test)]
mod tests;
