//! A mapping file becomes a mapping, or everything that is wrong with it.
//!
//! Knows the names in a file, and the members of our messages. Must not know any message.

use std::ops::Range;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::rule::{self, Rule, TimeFormat};
use super::{Form, HEADER, Mapping, Target};
use crate::wire::mapping_file::path::{Part, Step, parts, steps};
use crate::wire::mapping_file::{Fault, File, Value, shown};
use crate::wire::outputs::record::{record, samples};

/// What `schema` must say where a mapping says it.
const SCHEMA: &str = "tiltmeter.output-mapping.v1";
/// Names of the tables and keys of a mapping, for suggestions and for the schema's test.
pub(super) const TOP: [&str; 6] = ["schema", "about", "form", "content_type", "alerts", "risk"];
pub(super) const RULE: [&str; 8] =
    ["from", "constant", "cases", "otherwise", "format", "join", "as", "at_most"];
/// What the header of CEF must have.
const HEADERS: [&str; 3] = ["signature", "name", "severity"];
/// Fields that one kind of record has at most.
const TARGETS_LIMIT: usize = 1_000;

/// Reads a mapping file.
pub(super) fn mapping(text: &str) -> Result<Mapping, Vec<Fault>> {
    let (mut file, document) = File::open(text);
    match document.map(|document| whole(&mut file, &document)) {
        Some(mapping) if file.faults.is_empty() => Ok(mapping),
        _ => Err(file.into_faults()),
    }
}

fn whole(file: &mut File<'_>, document: &DeTable<'_>) -> Mapping {
    file.unknown(document, "", &TOP);
    if let Some(schema) = document.get("schema")
        && schema.get_ref().as_str() != Some(SCHEMA)
    {
        file.wrong("schema", schema, &format!("write \"{SCHEMA}\", or leave it out"));
    }
    let about = file.text_of(document, "", "about");
    let form = file.choice(document, "", "form", &Form::ALL).unwrap_or_default();
    let content_type = file.text_of(document, "", "content_type");
    if content_type.as_deref().is_some_and(|text| !text.chars().all(|c| matches!(c, ' '..='~')))
        && let Some(value) = document.get("content_type")
    {
        file.wrong("content_type", value, "write it in ASCII, as in application/json");
    }
    let [alert, risk] = samples().map(|told| record(&told, "agent").unwrap_or_default());
    let mut kind = |name: &str, sample: &Json| {
        let found = document.get(name)?;
        let Some(table) = found.get_ref().as_table() else {
            file.wrong(name, found, &format!("write [{name}], and below it a line for each field"));
            return None;
        };
        Some(Kind { file, name, sample, form }.targets(table, &found.span()))
    };
    let (alerts, risk) = (kind("alerts", &alert), kind("risk", &risk));
    if !document.contains_key("alerts") && !document.contains_key("risk") {
        file.fault(
            &(0..0),
            "[alerts] and [risk] are missing: say in one of them what fields are made of".into(),
        );
    }
    Mapping { about, form, content_type, alerts, risk }
}

/// The table of one kind of message.
struct Kind<'k, 't> {
    file: &'k mut File<'t>,
    name: &'k str,
    /// A message of this kind in which nothing is left out.
    sample: &'k Json,
    form: Form,
}

impl Kind<'_, '_> {
    fn targets(&mut self, table: &DeTable<'_>, span: &Range<usize>) -> Vec<Target> {
        let mut entries: Vec<_> = table.iter().collect();
        // In the order of the file: CEF has one.
        entries.sort_by_key(|(key, _)| key.span().start);
        if entries.len() > TARGETS_LIMIT {
            let what =
                format!("[{}] has {} fields; at most {TARGETS_LIMIT} are possible", self.name, entries.len());
            self.file.fault(span, what);
            return Vec::new();
        }
        let mut targets: Vec<Target> = Vec::new();
        for (key, value) in entries {
            let name = key.get_ref().as_ref();
            let place = format!("{}.{}", self.name, shown(name));
            let rules = self.rules(&place, value);
            match self.path(name) {
                Err(why) => self.file.fault(&key.span(), format!("{place}: {why}")),
                Ok(path) => {
                    let clash = targets.iter().find(|other| {
                        let common = other.path.len().min(path.len());
                        other.path.get(..common) == path.get(..common)
                    });
                    if let Some(other) = clash {
                        let what = format!(
                            "{place}: {} is a field already; a field is either a value or an object",
                            shown(&other.path.join("."))
                        );
                        self.file.fault(&key.span(), what);
                    }
                    targets.push(Target { path, rules });
                }
            }
        }
        if self.form == Form::Cef {
            for name in HEADERS {
                if !targets.iter().any(|target| target.path.iter().eq([HEADER, name])) {
                    let what =
                        format!("[{}] \"{HEADER}.{name}\" is missing: CEF has it in every line", self.name);
                    self.file.fault(span, what);
                }
            }
        }
        targets
    }

    /// Where a field lies in the foreign record.
    fn path(&self, name: &str) -> Result<Vec<String>, String> {
        let path: Vec<String> = steps(name)?
            .into_iter()
            .map(|step| match step {
                Step::Name(name) => Ok(name),
                Step::Index(_) | Step::Each => {
                    Err("is no name: lists are made by values that are lists, not by [ ] in names".to_owned())
                }
            })
            .collect::<Result<_, _>>()?;
        let is_key = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match (self.form, path.as_slice()) {
            (Form::Json, _) => Ok(path),
            (Form::Cef, [header, name]) if header == HEADER && HEADERS.contains(&name.as_str()) => Ok(path),
            (Form::Cef, [name]) if is_key(name) => Ok(path),
            (Form::Cef, _) => Err(format!(
                "is no key of CEF: write letters, digits and _, or \"{HEADER}.NAME\" with one of {}",
                HEADERS.join(", ")
            )),
        }
    }

    /// The rules of a field: a path, a list of paths, a rule or a list of rules.
    fn rules(&mut self, place: &str, value: &Value<'_>) -> Vec<Rule> {
        match value.get_ref() {
            DeValue::Table(table) => vec![self.rule(place, table, &value.span())],
            DeValue::Array(list) if list.iter().any(|item| item.get_ref().is_table()) => {
                let mut rules = Vec::new();
                for item in list {
                    match item.get_ref().as_table() {
                        Some(table) => rules.push(self.rule(place, table, &item.span())),
                        None => self.file.wrong(place, item, "write all rules of a field as tables, or none"),
                    }
                }
                rules
            }
            DeValue::Array(_) | DeValue::String(_) => {
                vec![Rule { from: self.templates(place, value), ..Rule::default() }]
            }
            _ => {
                self.file.wrong(place, value, "write a path, a list of paths, or a table with `from`");
                Vec::new()
            }
        }
    }

    fn rule(&mut self, place: &str, table: &DeTable<'_>, span: &Range<usize>) -> Rule {
        let dotted = format!("{place}.");
        self.file.unknown(table, &dotted, &RULE);
        let mut rule = Rule {
            otherwise: self.file.text_of(table, &dotted, "otherwise"),
            join: self.file.text_of(table, &dotted, "join"),
            time: self.file.choice(table, &dotted, "format", &TimeFormat::ALL),
            form: self.file.choice(table, &dotted, "as", &rule::Form::ALL),
            ..Rule::default()
        };
        if let Some(from) = table.get("from") {
            rule.from = self.templates(&format!("{dotted}from"), from);
        }
        if let Some(constant) = table.get("constant") {
            rule.constant = json(constant.get_ref());
            if rule.constant.is_none() {
                let remedy = "write text, a number, true, false, or a list of these";
                self.file.wrong(&format!("{dotted}constant"), constant, remedy);
            }
            if table.len() > 1 && !table.contains_key("from") {
                self.file
                    .fault(span, format!("{place}: a `constant` stands alone; remove what is beside it"));
            }
        }
        if table.contains_key("from") == table.contains_key("constant") {
            self.file.fault(span, format!("{place}: give either `from` or `constant`"));
        }
        if let Some(cases) = table.get("cases") {
            rule.cases = self.file.cases(&format!("{dotted}cases"), cases);
        } else if rule.otherwise.is_some() {
            let what = format!("{place}.otherwise: is the value where no case fits; there are no `cases`");
            self.file.fault(span, what);
        }
        if let Some(most) = table.get("at_most") {
            let number = most.get_ref().as_integer().and_then(|most| most.as_str().parse().ok());
            rule.at_most = number.filter(|most| *most > 0);
            if rule.at_most.is_none() {
                self.file.wrong(&format!("{dotted}at_most"), most, "give a number of characters, at least 1");
            }
        }
        rule
    }

    fn templates(&mut self, place: &str, value: &Value<'_>) -> Vec<Vec<Part<Vec<Step>>>> {
        let mut templates = Vec::new();
        for (text, span) in self.file.texts(place, value) {
            match parts(&text, |path| self.known(path)) {
                Ok(template) => templates.push(template),
                Err(why) => self.file.fault(&span, format!("{place}: {} {why}", shown(&text))),
            }
        }
        templates
    }

    /// A path that leads somewhere in our messages.
    fn known(&self, path: &str) -> Result<Vec<Step>, String> {
        let steps = steps(path)?;
        let mut at = self.sample;
        for step in &steps {
            at = match step {
                Step::Name(name) => match at.as_object().map(|members| (members.get(name), members)) {
                    Some((Some(member), _)) => member,
                    Some((None, members)) => {
                        let names: Vec<&str> = members.keys().map(String::as_str).collect();
                        return Err(format!("names no member of our messages: {}", nearest(name, &names)));
                    }
                    None => {
                        return Err(format!("leads into a value that has no members, at {}", shown(name)));
                    }
                },
                Step::Index(_) | Step::Each => match at.as_array().and_then(|list| list.first()) {
                    Some(first) => first,
                    None => return Err("has [ ] where no list is; remove it".to_owned()),
                },
            };
        }
        Ok(steps)
    }
}

/// What to write in place of a name that is unknown.
fn nearest(name: &str, known: &[&str]) -> String {
    match crate::wire::mapping_file::nearest(name, known) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// Text, number, flag, or a list of these.
fn json(value: &DeValue<'_>) -> Option<Json> {
    Some(match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Integer(number) => Json::from(number.as_str().parse::<i64>().ok()?),
        DeValue::Float(number) => Json::from(number.as_str().parse::<f64>().ok()?),
        DeValue::Boolean(flag) => Json::from(*flag),
        DeValue::Array(list) => {
            list.iter().map(Spanned::get_ref).map(json).collect::<Option<Vec<_>>>()?.into()
        }
        DeValue::Table(_) | DeValue::Datetime(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        mapping(text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_faults_are_told_at_once_with_lines_and_suggestions() {
        let text = "forms = 'json'\n\
                    [alerts]\n\
                    a = 'alertid'\n\
                    b = 'subject.name'\n\
                    c = 'findings[*].sentance'\n\
                    d = '{summary'\n\
                    e = { form = 'summary' }\n\
                    'f.g' = 'summary'\n\
                    'f' = 'summary'\n\
                    'h[0]' = 'summary'\n\
                    i = { from = 'summary', as = 'number' }\n\
                    j = 7\n\
                    k = { from = 'summary', at_most = 0 }\n\
                    l = 'summary.x'\n\
                    m = { constant = { a = 1 } }\n\
                    n = { constant = 'a', as = 'flag' }\n\
                    [risk]\n\
                    o = 'alert_id'\n";
        let told = faults(text);
        let expected = [
            "line 1: forms is unknown: did you mean form?",
            "line 3: alerts.\"a\": \"alertid\" names no member of our messages: did you mean alert_id?",
            "line 4: alerts.\"b\": \"subject.name\" names no member of our messages: known here: id, kind",
            "line 5: alerts.\"c\": \"findings[*].sentance\" names no member of our messages: did you mean sentence?",
            "line 6: alerts.\"d\": \"{summary\" has a brace",
            "line 7: alerts.\"e\": give either `from` or `constant`",
            "line 7: alerts.\"e\".form is unknown: did you mean",
            "line 9: alerts.\"f\": \"f.g\" is a field already",
            "line 10: alerts.\"h[0]\": is no name",
            "line 11: alerts.\"i\".as = 'number' is not allowed: give one of text, whole, flag, json, list",
            "line 12: alerts.\"j\" = 7 is not allowed",
            "line 13: alerts.\"k\".at_most = 0 is not allowed",
            "line 14: alerts.\"l\": \"summary.x\" leads into a value",
            "line 15: alerts.\"m\".constant = { a = 1 } is not allowed",
            "line 16: alerts.\"n\": a `constant` stands alone",
            "line 18: risk.\"o\": \"alert_id\" names no member",
        ];
        for start in expected {
            assert!(told.iter().any(|line| line.starts_with(start)), "{start} is missing in {told:#?}");
        }
        assert_eq!(told.len(), expected.len(), "{told:#?}");
    }

    #[test]
    fn what_a_form_must_have_is_asked_for() {
        let told = faults(
            "form = 'cef'\n[alerts]\n'header.name' = 'summary'\n'a b' = 'summary'\n'header.x' = 'p'\n",
        );
        for part in ["\"header.signature\" is missing", "\"header.severity\" is missing", "is no key of CEF"]
        {
            assert!(told.iter().any(|line| line.contains(part)), "{part} is missing in {told:#?}");
        }
        assert_eq!(told.len(), 4, "{told:#?}");
        assert!(faults("").iter().any(|line| line.contains("[alerts] and [risk] are missing")));
        assert!(faults("[alerts]\na = 'summary' 'x'").iter().any(|line| line.contains("no valid TOML")));
    }
}
