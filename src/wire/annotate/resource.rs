//! The resource of a call: what it was done to, generalised until it names a place and not a thing.
//!
//! Knows which part of a link, path, repository or e-mail address may be said. Must not let through
//! the other parts: they are content.

use crate::event::ValueClass;

use super::keyed_hash::HashKey;

/// Longest part that is shown. Bytes; longer ones are data in the place of a name.
const MAX_PART_BYTES: usize = 40;
/// How many folders of a path are named.
const FOLDERS: usize = 2;

/// How resources are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ResourceForm {
    /// Host, folders, owner and domain in clear.
    #[default]
    Clear,
    /// Each of these parts as the first 24 bits of its keyed hash: equal places stay equal.
    Keyed,
    /// No resource at all.
    Absent,
}

/// The generalised resource of a value: the host of a link, the first two folders of a path, the owner of
/// a repository, the domain of an e-mail address. `None` for every other class.
///
/// Ports, user names, queries, file names, repository names and mailboxes never appear.
pub fn resource(class: ValueClass, raw: &str, form: ResourceForm, key: &HashKey) -> Option<String> {
    let text = raw.trim();
    let say = |part: &str| match form {
        ResourceForm::Clear => general(part),
        _ => key.id(&[b"resource", part.to_lowercase().as_bytes()]).get(..6).unwrap_or("*").to_owned(),
    };
    if form == ResourceForm::Absent {
        return None;
    }
    match class {
        ValueClass::Url => host(text).map(|host| {
            let labels: Vec<String> = host.split('.').map(say).collect();
            labels.join(".")
        }),
        ValueClass::Email => {
            let domain = text.rsplit_once('@')?.1;
            let labels: Vec<String> = domain.split('.').map(say).collect();
            Some(labels.join("."))
        }
        ValueClass::Repo => text.split_once('/').map(|(owner, _)| say(owner)),
        ValueClass::Path => Some(folder(text, say)),
        _ => None,
    }
}

/// The host of a link, without user, port, path and query.
fn host(text: &str) -> Option<&str> {
    if let Some(address) = text.strip_prefix("mailto:") {
        return address.split(['?', ',']).next()?.rsplit_once('@').map(|(_, domain)| domain);
    }
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = if host.starts_with('[') { host } else { host.split(':').next()? };
    Some(host).filter(|host| !host.is_empty())
}

/// The first folders of a path: `/a/b/c/d.txt` is `/a/b`. A file alone lies in `.`.
fn folder(text: &str, say: impl Fn(&str) -> String) -> String {
    let text = text.replace('\\', "/");
    let (parent, last) = text.rsplit_once('/').unwrap_or(("", &text));
    // `/etc/` and `/user/info` name folders, `/user/info/a.txt` a file in one.
    let folders = if last.contains('.') || last.is_empty() { parent } else { text.as_str() };
    let parts: Vec<String> = folders
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .take(FOLDERS)
        .map(|part| if matches!(part, ".." | "~") { part.to_owned() } else { say(part) })
        .collect();
    match (text.starts_with('/'), parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// A part as it may be shown: lower case; `*` where it is too long, or reads like data instead of a name.
fn general(part: &str) -> String {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let name = part.len() <= MAX_PART_BYTES
        && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '[' | ']'))
        && (digits <= 3 || digits == part.len() && digits <= 4);
    if name { part.to_lowercase() } else { "*".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(class: ValueClass, raw: &str, form: ResourceForm) -> Option<String> {
        resource(class, raw, form, &HashKey::new(&[1; 32]).unwrap())
    }

    #[test]
    fn only_the_place_is_said() {
        for (class, raw, expected) in [
            (
                ValueClass::Url,
                "https://user:pw@Forum.school.edu:8443/post?thread=26840#x",
                "forum.school.edu",
            ),
            (ValueClass::Url, "www.a.example/secret", "www.a.example"),
            (ValueClass::Url, "mailto:bob@a.example?subject=x", "a.example"),
            (ValueClass::Url, "https://10.0.0.7/x", "10.0.0.7"),
            (ValueClass::Url, "https://a1b2c3d4e5f6.evil.example/x", "*.evil.example"),
            (ValueClass::Email, "emma.johnson@blue.example", "blue.example"),
            (ValueClass::Repo, "bobolive/json_xml_parsing", "bobolive"),
            (ValueClass::Path, "/user/info/my_info.txt", "/user/info"),
            (ValueClass::Path, "/system/.ssh/", "/system/.ssh"),
            (ValueClass::Path, "/home/emma/plans/merger/x.doc", "/home/emma"),
            (ValueClass::Path, "/etc", "/etc"),
            (ValueClass::Path, "notes.txt", "."),
            (ValueClass::Path, "../keys/id.pem", "../keys"),
            (ValueClass::Path, "C:\\Users\\emma\\x.txt", "c:/users"),
            (ValueClass::Path, "/data/customer 4711 smith/x.txt", "/data/*"),
        ] {
            assert_eq!(said(class, raw, ResourceForm::Clear).as_deref(), Some(expected), "{raw}");
        }
        for class in
            [ValueClass::Secret, ValueClass::Text, ValueClass::Phrase, ValueClass::Num, ValueClass::Word]
        {
            assert_eq!(said(class, "/a/b", ResourceForm::Clear), None);
        }
    }

    #[test]
    fn keyed_places_can_be_compared_but_not_read() {
        let said = |raw| said(ValueClass::Url, raw, ResourceForm::Keyed).unwrap();
        assert_eq!(said("https://a.example/x"), said("http://A.example/y"));
        let (a, b) = (said("https://a.example"), said("https://b.example"));
        assert_ne!(a, b);
        assert_eq!(a.split_once('.').unwrap().1, b.split_once('.').unwrap().1);
        assert!(!a.contains("example"));
    }

    #[test]
    fn the_resource_can_be_left_out() {
        assert_eq!(said(ValueClass::Url, "https://a.example", ResourceForm::Absent), None);
    }
}
