//! A mapping file becomes a mapping, or everything that is wrong with it.
//!
//! Knows TOML, names and spelling. Must not know any record.
//!
//! Read by hand, because a derived deserialiser stops at the first fault and a person wants to see all of them.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Mapping;
use super::event;
use super::field::{Field, Form};
use super::general::General;
use super::path::{Template, Tree};
use super::record::Scalar;
use super::rule::{Case, Rule, Taken, TimeFormat};

/// What `schema` must say where a mapping says it.
const SCHEMA: &str = "tiltmeter.source-mapping.v1";
/// A name is suggested for one that is at least this similar (Jaro-Winkler, 0 to 1); as for the configuration.
const NEAR: f64 = 0.85;
/// Names of the tables and keys of a mapping, for suggestions and for the schema's test.
const TOP: [&str; 5] = ["schema", "about", "records", "fields", "arguments"];
const RULE: [&str; 8] =
    ["from", "constant", "after_last", "strip_suffixes", "cases", "otherwise", "generalise", "format"];
const CASE: [&str; 5] = ["equals", "starts_with", "ends_with", "contains", "is"];
const ARGUMENTS: [&str; 1] = ["from"];

/// One thing that is wrong with a mapping file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong, with its place, and what to do.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

type Value<'t> = Spanned<DeValue<'t>>;

/// Reads a mapping file.
pub(super) fn mapping(text: &str) -> Result<Mapping, Vec<Fault>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, tree: Tree::new(), faults: Vec::new() };
    for error in &errors {
        let what = format!("{}; this is no valid TOML, see https://toml.io", error.message());
        reader.fault(&error.span().unwrap_or_default(), what);
    }
    // What could be made of a broken document says nothing about the names in it.
    let mapping = if errors.is_empty() { reader.mapping(document.get_ref()) } else { None };
    match mapping {
        Some(mapping) if reader.faults.is_empty() => Ok(Mapping { tree: reader.tree, ..mapping }),
        _ => {
            reader.faults.sort_by_key(|fault| fault.line);
            Err(reader.faults)
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    tree: Tree,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn mapping(&mut self, document: &DeTable<'_>) -> Option<Mapping> {
        self.unknown(document, "", &TOP);
        if let Some(schema) = document.get("schema")
            && schema.get_ref().as_str() != Some(SCHEMA)
        {
            self.wrong("schema", schema, &format!("write \"{SCHEMA}\", or leave it out"));
        }
        let about = self.text_of(document, "", "about");
        let records = self.text_of(document, "", "records");
        let mut fields = Vec::new();
        let table = document.get("fields").and_then(|fields| fields.get_ref().as_table());
        if table.is_none() {
            let span = document.get("fields").map_or(0..0, Spanned::span);
            self.fault(
                &span,
                "[fields] is missing: say there where time, agent_id and action come from".into(),
            );
        }
        for (key, value) in table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            match Field::named(name) {
                Some(field) => fields.push((field, self.rules(field, value))),
                None => {
                    let known: Vec<&str> = Field::ALL.iter().map(|(_, name, _)| *name).collect();
                    self.unknown_name(&key.span(), "fields.", name, &known);
                }
            }
        }
        if table.is_some() {
            for field in Field::REQUIRED {
                if !fields.iter().any(|(there, _)| *there == field) {
                    let span = document.get("fields").map_or(0..0, Spanned::span);
                    self.fault(
                        &span,
                        format!("fields.{} is missing: every event must have it", field.name()),
                    );
                }
            }
        }
        self.arguments(document);
        // In the order of the event, whatever that of the file is: so are refusals and what `check` shows.
        fields.sort_by_key(|(field, _)| Field::ALL.iter().position(|(known, _, _)| known == field));
        Some(Mapping { tree: Tree::new(), fields, records, about })
    }

    fn arguments(&mut self, document: &DeTable<'_>) {
        let Some(arguments) = document.get("arguments") else { return };
        let Some(table) = arguments.get_ref().as_table() else {
            return self.wrong("arguments", arguments, "write [arguments] and from = [\"PATH\"] below");
        };
        self.unknown(table, "arguments.", &ARGUMENTS);
        if !table.contains_key("from") {
            let what = "arguments.from is missing: give the path of an object whose members are arguments";
            self.fault(&arguments.span(), what.to_owned());
        }
        for (path, span) in self.texts_of(table, "arguments.", "from") {
            if let Err(why) = self.tree.add_arguments(&path) {
                self.fault(&span, format!("arguments.from: {} {why}", event::shown(&path)));
            }
        }
    }

    /// The rules of a field: a path, a list of paths, a rule or a list of rules.
    fn rules(&mut self, field: Field, value: &Value<'_>) -> Vec<Rule> {
        let place = format!("fields.{}", field.name());
        match value.get_ref() {
            DeValue::Table(table) => vec![self.rule(field, &place, table, &value.span())],
            DeValue::Array(list) if list.iter().any(|item| item.get_ref().is_table()) => {
                let mut rules = Vec::new();
                for item in list {
                    match item.get_ref().as_table() {
                        Some(table) => rules.push(self.rule(field, &place, table, &item.span())),
                        None => self.wrong(&place, item, "write all rules of a field as tables, or none"),
                    }
                }
                rules
            }
            DeValue::Array(_) | DeValue::String(_) => {
                let from = self.templates(&place, value);
                vec![Rule { from, ..Rule::default() }]
            }
            _ => {
                self.wrong(&place, value, "write a path, a list of paths, or a table with `from`");
                Vec::new()
            }
        }
    }

    fn rule(&mut self, field: Field, place: &str, table: &DeTable<'_>, span: &Range<usize>) -> Rule {
        let dotted = format!("{place}.");
        self.unknown(table, &dotted, &RULE);
        let mut rule = Rule {
            constant: self.text_of(table, &dotted, "constant"),
            after_last: self.text_of(table, &dotted, "after_last"),
            strip_suffixes: self
                .texts_of(table, &dotted, "strip_suffixes")
                .into_iter()
                .map(|t| t.0)
                .collect(),
            otherwise: self.text_of(table, &dotted, "otherwise"),
            ..Rule::default()
        };
        if let Some(from) = table.get("from") {
            rule.from = self.templates(&format!("{dotted}from"), from);
        }
        if table.contains_key("from") == table.contains_key("constant") {
            self.fault(span, format!("{place}: give either `from` or `constant`"));
        }
        if let Some(cases) = table.get("cases") {
            rule.cases = self.cases(&format!("{dotted}cases"), cases);
        } else if rule.otherwise.is_some() {
            self.fault(
                span,
                format!("{place}.otherwise: is the value where no case fits; there are no `cases`"),
            );
        }
        rule.generalise = self.choice(table, &dotted, "generalise", &General::ALL);
        if let Some(format) = table.get("format")
            && field.form() != Form::Time
        {
            self.wrong(&format!("{dotted}format"), format, "only times have a format; remove it");
        }
        rule.time = self.choice(table, &dotted, "format", &TimeFormat::ALL).unwrap_or_default();
        let results = rule.cases.iter().map(|case| &case.is).chain(&rule.otherwise).chain(&rule.constant);
        // One that is empty is missing, and that is told already.
        let results: Vec<String> = results.filter(|result| !result.is_empty()).cloned().collect();
        for result in results {
            self.result(field, place, result, span);
        }
        rule
    }

    /// Whether a value that the mapping itself states may stand in the field.
    fn result(&mut self, field: Field, place: &str, result: String, span: &Range<usize>) {
        let shown = event::shown(&result);
        let taken = Taken { value: Scalar::Text(result.into()), from: None, time: TimeFormat::default() };
        match event::set(&mut event::blank(), field, taken) {
            Err(refusal) => self.fault(span, format!("{place}: {}", refusal.detail)),
            Ok(true) => self.fault(span, format!("{place}: {shown} is too long")),
            Ok(false) => {}
        }
    }

    fn cases(&mut self, place: &str, value: &Value<'_>) -> Vec<Case> {
        let Some(list) = value.get_ref().as_array() else {
            self.wrong(place, value, "write a list of tables, as in [{ equals = [\"x\"], is = \"ok\" }]");
            return Vec::new();
        };
        let mut cases = Vec::new();
        for item in list {
            let Some(table) = item.get_ref().as_table() else {
                self.wrong(place, item, "write a table, as in { equals = [\"x\"], is = \"ok\" }");
                continue;
            };
            let dotted = format!("{place}.");
            self.unknown(table, &dotted, &CASE);
            let mut texts = |key| -> Vec<String> {
                self.texts_of(table, &dotted, key).into_iter().map(|text| text.0).collect()
            };
            let case = Case {
                equals: texts("equals"),
                starts_with: texts("starts_with"),
                ends_with: texts("ends_with"),
                contains: texts("contains"),
                is: self.text_of(table, &dotted, "is").unwrap_or_default(),
            };
            if !table.contains_key("is") {
                self.fault(&item.span(), format!("{place}: `is` is missing: the value where the case fits"));
            }
            if ![&case.equals, &case.starts_with, &case.ends_with, &case.contains]
                .iter()
                .any(|c| !c.is_empty())
            {
                let what = format!("{place}: never fits: give equals, starts_with, ends_with or contains");
                self.fault(&item.span(), what);
            }
            cases.push(case);
        }
        cases
    }

    fn templates(&mut self, place: &str, value: &Value<'_>) -> Vec<Template> {
        let mut templates = Vec::new();
        for (text, span) in self.texts(place, value) {
            match self.tree.add_template(&text) {
                Ok(template) => templates.push(template),
                Err(why) => self.fault(&span, format!("{place}: {} {why}", event::shown(&text))),
            }
        }
        templates
    }

    /// A choice among names.
    fn choice<T: Copy>(
        &mut self,
        table: &DeTable<'_>,
        dotted: &str,
        key: &str,
        names: &[(T, &str)],
    ) -> Option<T> {
        let value = table.get(key)?;
        let chosen = value.get_ref().as_str();
        let found = names.iter().find(|(_, name)| Some(*name) == chosen).map(|(choice, _)| *choice);
        if found.is_none() {
            let known: Vec<&str> = names.iter().map(|(_, name)| *name).collect();
            self.wrong(&format!("{dotted}{key}"), value, &format!("give one of {}", known.join(", ")));
        }
        found
    }

    fn text_of(&mut self, table: &DeTable<'_>, dotted: &str, key: &str) -> Option<String> {
        let value = table.get(key)?;
        let text = value.get_ref().as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            self.wrong(&format!("{dotted}{key}"), value, "write text in quotes");
        }
        text.map(str::to_owned)
    }

    fn texts_of(&mut self, table: &DeTable<'_>, dotted: &str, key: &str) -> Vec<(String, Range<usize>)> {
        table.get(key).map(|value| self.texts(&format!("{dotted}{key}"), value)).unwrap_or_default()
    }

    /// A text or a list of texts, none of them empty.
    fn texts(&mut self, place: &str, value: &Value<'_>) -> Vec<(String, Range<usize>)> {
        let items = match value.get_ref() {
            DeValue::Array(list) => list.iter().collect(),
            _ => vec![value],
        };
        if items.is_empty() {
            self.wrong(place, value, "write at least one text in quotes");
        }
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref().as_str().filter(|text| !text.is_empty()) {
                Some(text) => texts.push((text.to_owned(), item.span())),
                None => self.wrong(place, item, "write text in quotes"),
            }
        }
        texts
    }

    fn unknown(&mut self, table: &DeTable<'_>, dotted: &str, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            self.unknown_name(&key.span(), dotted, key.get_ref(), known);
        }
    }

    fn unknown_name(&mut self, span: &Range<usize>, dotted: &str, name: &str, known: &[&str]) {
        let nearest = known
            .iter()
            .map(|known| (strsim::jaro_winkler(name, known), *known))
            .filter(|(near, _)| *near >= NEAR)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let then = match nearest {
            Some((_, near)) => format!("did you mean {dotted}{near}?"),
            None => format!("remove it; known here: {}", known.join(", ")),
        };
        self.fault(span, format!("{dotted}{} is unknown: {then}", event::shown(name).trim_matches('"')));
    }

    fn wrong(&mut self, place: &str, value: &Value<'_>, remedy: &str) {
        let written = event::shown(self.text.get(value.span()).unwrap_or_default());
        let written = written.trim_matches('"');
        self.fault(&value.span(), format!("{place} = {written} is not allowed: {remedy}"));
    }

    fn fault(&mut self, span: &Range<usize>, what: String) {
        let line = self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1;
        self.faults.push(Fault { line, what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[fields]\ntime = 'at'\nagent_id = 'who'\naction = 'what'\n";

    fn faults(text: &str) -> Vec<String> {
        mapping(text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_faults_are_told_at_once_with_lines_and_suggestions() {
        let text = "record = 'Records'\n\
                    [fields]\n\
                    time = { from = 'at', format = 'epoch' }\n\
                    agentid = 'who'\n\
                    action = '{app'\n\
                    resource = 7\n\
                    [fields.outcome]\n\
                    from = 'error'\n\
                    cases = [{ equals = 'x', is = 'fine' }, { is = 'ok' }, { equals = 'y' }]\n\
                    [arguments]\n\
                    form = 'a'\n";
        let told = faults(text);
        let expected = [
            "line 1: record is unknown: did you mean records?",
            "line 2: fields.agent_id is missing: every event must have it",
            "line 3: fields.time.format = 'epoch' is not allowed: give one of rfc3339, epoch_seconds, epoch_milliseconds",
            "line 4: fields.agentid is unknown: did you mean fields.agent_id?",
            "line 5: fields.action: \"{app\" has a brace that is not closed",
            "line 6: fields.resource = 7 is not allowed: write a path",
            "line 7: fields.outcome: field `outcome` from a constant: \"fine\" is none of ok, denied",
            "line 9: fields.outcome.cases: never fits",
            "line 9: fields.outcome.cases: `is` is missing",
            "line 10: arguments.from is missing",
            "line 11: arguments.form is unknown: did you mean arguments.from?",
        ];
        for start in expected {
            assert!(told.iter().any(|line| line.starts_with(start)), "{start} is missing in {told:#?}");
        }
        assert_eq!(told.len(), expected.len(), "{told:#?}");
    }

    #[test]
    fn rules_that_cannot_mean_anything_are_faults() {
        for (more, fault) in [
            ("bytes = { from = 'a', constant = '1' }", "either `from` or `constant`"),
            ("bytes = {}", "either `from` or `constant`"),
            ("bytes = { constant = 'many' }", "is no whole number"),
            ("tenant = { from = 'a', otherwise = 'b' }", "there are no `cases`"),
            ("tenant = { from = 'a', format = 'rfc3339' }", "only times have a format"),
            ("tenant = []", "at least one text"),
            ("tenant = ['a', { from = 'b' }]", "as tables, or none"),
            ("tenant = { from = 'a', generalise = 'all' }", "give one of arn, place"),
            ("schema = 1", "fields.schema is unknown"),
            ("tenant = 'a' 'b'", "no valid TOML"),
        ] {
            let told = faults(&format!("{LEAST}{more}\n"));
            assert!(
                told.iter().any(|line| line.contains(fault) && line.starts_with("line 5")),
                "{more}: {told:?}"
            );
        }
        assert_eq!(faults(LEAST), Vec::<String>::new());
        assert!(faults("").iter().any(|fault| fault.contains("[fields] is missing")));
    }
}
