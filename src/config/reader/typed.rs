//! Settings that are text: one of a few words, a path, the place of a secret, a table of properties.
//!
//! Knows how each is written and shown. Must not know what a setting means.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::{Allowed, Reader};
use crate::kafka::secret::SecretPlace;
use crate::wire::outputs::IdentityTemplate;

impl Reader<'_> {
    /// A text that is not empty.
    pub fn text(&mut self, name: &'static str, about: &'static str, default: &str) -> String {
        let write = |text: &String| format!("{text:?}");
        self.setting(name, about, Allowed::Text, default.to_owned(), text, write)
    }

    /// A text that is not empty, if there is one.
    pub fn optional_text(&mut self, name: &'static str, about: &'static str) -> Option<String> {
        let write =
            |text: &Option<String>| text.as_deref().map_or_else(String::new, |text| format!("{text:?}"));
        self.setting(name, about, Allowed::Text, None, |value| text(value).map(Some), write)
    }

    /// What agents are called elsewhere.
    pub fn template(&mut self, name: &'static str, about: &'static str) -> IdentityTemplate {
        let mut wrong = None;
        let read = |value: &DeValue<'_>| {
            let parsed = IdentityTemplate::parse(&text(value)?);
            // The reader's own sentence would not say why.
            Some(parsed.unwrap_or_else(|why| {
                wrong = Some(why);
                IdentityTemplate::default()
            }))
        };
        let write = |template: &IdentityTemplate| format!("{:?}", template.to_string());
        let template = self.setting(name, about, Allowed::Text, IdentityTemplate::default(), read, write);
        if let Some(why) = wrong {
            self.fault_at(name, format!("{} {why} ({about})", super::shown_name(name)));
        }
        template
    }

    /// One of a few words.
    ///
    /// * `names`: names of all choices; `of_name` knows each.
    pub fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        about: &'static str,
        names: &'static [&'static str],
        default: &str,
        of_name: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let known = |value: &DeValue<'_>| text(value).filter(|text| of_name(text).is_some());
        let write = |text: &String| if text.is_empty() { String::new() } else { format!("{text:?}") };
        let chosen = self.setting(name, about, Allowed::OneOf(names), default.to_owned(), known, write);
        of_name(&chosen)
    }

    /// The path of a file that is not read now. Paths that are not absolute begin in `folder`.
    pub fn path(&mut self, name: &'static str, about: &'static str, folder: &Path) -> Option<PathBuf> {
        let write =
            |path: &Option<String>| path.as_deref().map_or_else(String::new, |path| format!("{path:?}"));
        let path = self.setting(name, about, Allowed::Path, None, |value| text(value).map(Some), write);
        path.map(|path| folder.join(path))
    }

    /// Where a secret is kept. It is not read now. Whether there is one is recorded, its place is not.
    pub fn secret_place(
        &mut self,
        name: &'static str,
        about: &'static str,
        folder: &Path,
    ) -> Option<SecretPlace> {
        let read = |value: &DeValue<'_>| place_of_secret(value, folder).map(Some);
        let write = |place: &Option<SecretPlace>| match place {
            None => String::new(),
            Some(SecretPlace::File(_)) => "{ file = \"…\" }".to_owned(),
            Some(SecretPlace::Environment(_)) => "{ env = \"…\" }".to_owned(),
        };
        self.setting(name, about, Allowed::Secret, None, read, write)
    }

    /// A table of properties, whose names have dots in them, with quotes around them or without. `fault` says what is
    /// wrong with a name and its value, if anything is. Sorted by name. Values are recorded nowhere.
    pub fn properties(
        &mut self,
        name: &'static str,
        about: &'static str,
        fault: impl Fn(&str, &str) -> Option<String>,
    ) -> Vec<(String, String)> {
        let read = |value: &DeValue<'_>| {
            let mut properties = Vec::new();
            flatten("", value.as_table()?, &mut properties)?;
            properties.sort();
            Some(properties)
        };
        let write = |properties: &Vec<(String, String)>| {
            let all: Vec<String> = properties.iter().map(|(name, _)| format!("{name:?} = \"…\"")).collect();
            if all.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", all.join(", ")) }
        };
        let properties = self.setting(name, about, Allowed::Properties, Vec::new(), read, write);
        let wrong: Vec<String> = properties
            .iter()
            .filter_map(|(property, value)| {
                fault(property, value)
                    .map(|why| format!("[{name}] {} is not allowed: {why}", super::cut(property)))
            })
            .collect();
        wrong.into_iter().for_each(|what| self.fault_at(name, what));
        properties
    }

    /// Something is wrong with a setting, or with its table where it is not set.
    pub fn fault_at(&mut self, name: &str, what: String) {
        let table = name.rsplit_once('.').map_or("", |(table, _)| table);
        let span = [name, table].iter().find_map(|name| self.find(name)).map(toml::Spanned::span);
        self.fault(&span.unwrap_or_default(), what);
    }
}

/// `{ file = "PATH" }` or `{ env = "VARIABLE" }`.
pub(in crate::config) fn place_of_secret(value: &DeValue<'_>, folder: &Path) -> Option<SecretPlace> {
    let table = value.as_table()?;
    let (key, place) = table.iter().next().filter(|_| table.len() == 1)?;
    let place = text(place.get_ref())?;
    match key.get_ref().as_ref() {
        "file" => Some(SecretPlace::File(folder.join(place))),
        "env" => Some(SecretPlace::Environment(place)),
        _ => None,
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty() && !text.contains('\0')).map(str::to_owned)
}

/// Names and values of a table and of those in it: TOML reads `a.b = 1` as a table `a`.
fn flatten(prefix: &str, table: &DeTable<'_>, into: &mut Vec<(String, String)>) -> Option<()> {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(table) => flatten(&format!("{name}."), table, into)?,
            DeValue::Boolean(flag) => into.push((name, flag.to_string())),
            value @ DeValue::Integer(_) => into.push((name, super::whole(value)?.to_string())),
            value @ DeValue::Float(_) => into.push((name, super::number(value)?.to_string())),
            value => into.push((name, text(value)?)),
        }
    }
    Some(())
}
