//! A mapping file becomes a mapping, or everything that is wrong with it.
//!
//! Knows the names in a file. Must not know any record.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Mapping;
use super::event;
use super::field::{Field, Form};
use super::general::General;
use super::path::{Template, Tree};
use super::record::Scalar;
use super::rule::{Rule, Taken, TimeFormat};
use crate::wire::mapping_file::{Fault, File, Value};

/// What `schema` must say where a mapping says it.
const SCHEMA: &str = "tiltmeter.source-mapping.v1";
/// Names of the tables and keys of a mapping, for suggestions and for the schema's test.
const TOP: [&str; 5] = ["schema", "about", "records", "fields", "arguments"];
const RULE: [&str; 8] =
    ["from", "constant", "after_last", "strip_suffixes", "cases", "otherwise", "generalise", "format"];
const ARGUMENTS: [&str; 1] = ["from"];

/// Reads a mapping file.
pub(super) fn mapping(text: &str) -> Result<Mapping, Vec<Fault>> {
    let (file, document) = File::open(text);
    let mut reader = Reader { file, tree: Tree::new() };
    match document.and_then(|document| reader.mapping(&document)) {
        Some(mapping) if reader.file.faults.is_empty() => Ok(Mapping { tree: reader.tree, ..mapping }),
        _ => Err(reader.file.into_faults()),
    }
}

struct Reader<'t> {
    file: File<'t>,
    tree: Tree,
}

impl Reader<'_> {
    fn mapping(&mut self, document: &DeTable<'_>) -> Option<Mapping> {
        self.file.unknown(document, "", &TOP);
        if let Some(schema) = document.get("schema")
            && schema.get_ref().as_str() != Some(SCHEMA)
        {
            self.file.wrong("schema", schema, &format!("write \"{SCHEMA}\", or leave it out"));
        }
        let about = self.file.text_of(document, "", "about");
        let records = self.file.text_of(document, "", "records");
        let mut fields = Vec::new();
        let table = document.get("fields").and_then(|fields| fields.get_ref().as_table());
        if table.is_none() {
            let span = document.get("fields").map_or(0..0, Spanned::span);
            self.file.fault(
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
                    self.file.unknown_name(&key.span(), "fields.", name, &known);
                }
            }
        }
        if table.is_some() {
            for field in Field::REQUIRED {
                if !fields.iter().any(|(there, _)| *there == field) {
                    let span = document.get("fields").map_or(0..0, Spanned::span);
                    self.file.fault(
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
            return self.file.wrong("arguments", arguments, "write [arguments] and from = [\"PATH\"] below");
        };
        self.file.unknown(table, "arguments.", &ARGUMENTS);
        if !table.contains_key("from") {
            let what = "arguments.from is missing: give the path of an object whose members are arguments";
            self.file.fault(&arguments.span(), what.to_owned());
        }
        for (path, span) in self.file.texts_of(table, "arguments.", "from") {
            if let Err(why) = self.tree.add_arguments(&path) {
                self.file.fault(&span, format!("arguments.from: {} {why}", event::shown(&path)));
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
                        None => {
                            self.file.wrong(&place, item, "write all rules of a field as tables, or none")
                        }
                    }
                }
                rules
            }
            DeValue::Array(_) | DeValue::String(_) => {
                let from = self.templates(&place, value);
                vec![Rule { from, ..Rule::default() }]
            }
            _ => {
                self.file.wrong(&place, value, "write a path, a list of paths, or a table with `from`");
                Vec::new()
            }
        }
    }

    fn rule(&mut self, field: Field, place: &str, table: &DeTable<'_>, span: &Range<usize>) -> Rule {
        let dotted = format!("{place}.");
        self.file.unknown(table, &dotted, &RULE);
        let mut rule = Rule {
            constant: self.file.text_of(table, &dotted, "constant"),
            after_last: self.file.text_of(table, &dotted, "after_last"),
            strip_suffixes: self
                .file
                .texts_of(table, &dotted, "strip_suffixes")
                .into_iter()
                .map(|t| t.0)
                .collect(),
            otherwise: self.file.text_of(table, &dotted, "otherwise"),
            ..Rule::default()
        };
        if let Some(from) = table.get("from") {
            rule.from = self.templates(&format!("{dotted}from"), from);
        }
        if table.contains_key("from") == table.contains_key("constant") {
            self.file.fault(span, format!("{place}: give either `from` or `constant`"));
        }
        if let Some(cases) = table.get("cases") {
            rule.cases = self.file.cases(&format!("{dotted}cases"), cases);
        } else if rule.otherwise.is_some() {
            self.file.fault(
                span,
                format!("{place}.otherwise: is the value where no case fits; there are no `cases`"),
            );
        }
        rule.generalise = self.file.choice(table, &dotted, "generalise", &General::ALL);
        if let Some(format) = table.get("format")
            && field.form() != Form::Time
        {
            self.file.wrong(&format!("{dotted}format"), format, "only times have a format; remove it");
        }
        rule.time = self.file.choice(table, &dotted, "format", &TimeFormat::ALL).unwrap_or_default();
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
            Err(refusal) => self.file.fault(span, format!("{place}: {}", refusal.detail)),
            Ok(true) => self.file.fault(span, format!("{place}: {shown} is too long")),
            Ok(false) => {}
        }
    }

    fn templates(&mut self, place: &str, value: &Value<'_>) -> Vec<Template> {
        let mut templates = Vec::new();
        for (text, span) in self.file.texts(place, value) {
            match self.tree.add_template(&text) {
                Ok(template) => templates.push(template),
                Err(why) => self.file.fault(&span, format!("{place}: {} {why}", event::shown(&text))),
            }
        }
        templates
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
