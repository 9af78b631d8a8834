//! Generalised resources: names that stay, without what changes from one thing to the next.
//!
//! Knows Amazon resource names and the ids that clouds make. Must not know which field it is used for.

use std::borrow::Cow;

use crate::wire::annotate::class;
use crate::wire::annotate::keyed_hash::HashKey;
use crate::wire::annotate::resource::{ResourceForm, resource};

/// Shortest run of digits that is taken for an id made by a machine.
const ID_DIGITS: usize = 6;

/// How a value is generalised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum General {
    /// An Amazon resource name becomes service and resource; ids made by machines become `*`.
    Arn,
    /// A link becomes its host, a path its folders, a repository its owner, an address its domain; else nothing.
    Place,
}

impl General {
    pub const ALL: [(Self, &'static str); 2] = [(Self::Arn, "arn"), (Self::Place, "place")];

    /// The generalised value; `None` where nothing may be said.
    pub fn of<'a>(self, value: Cow<'a, str>, key: &HashKey) -> Option<Cow<'a, str>> {
        match self {
            Self::Arn => Some(arn(value)),
            Self::Place => resource(class("", &value), &value, ResourceForm::Clear, key).map(Cow::Owned),
        }
    }
}

/// `arn:aws:iam::123456789012:role/build` becomes `iam:role/build`, and a bucket's object its bucket. Other text
/// is only freed of ids.
///
/// Source of the form: AWS Identity and Access Management User Guide, "Identify AWS resources with ARNs".
fn arn(value: Cow<'_, str>) -> Cow<'_, str> {
    // A template may have put a prefix before a value that turned out to be a whole name.
    let value = match value.find(":arn:") {
        Some(at) => Cow::Owned(value.get(at + 1..).unwrap_or_default().to_owned()),
        None => value,
    };
    let mut parts = value.splitn(6, ':');
    let place = match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("arn"), Some(_), Some(service), Some(_), Some(_), Some(resource)) => {
            let resource = match service {
                "s3" => resource.split('/').next().unwrap_or(resource),
                // Secrets Manager appends six random characters to the name, so that a new secret is another.
                "secretsmanager" => without_suffix(resource),
                _ => resource,
            };
            Some(format!("{service}:{resource}"))
        }
        _ => None,
    };
    let place = place.map_or(value, Cow::Owned);
    if !place.split([':', '/']).any(|part| without_id(part).is_some()) {
        return place;
    }
    let mut out = String::with_capacity(place.len());
    for part in place.split_inclusive([':', '/']) {
        let name = part.trim_end_matches([':', '/']);
        out.push_str(without_id(name).as_deref().unwrap_or(name));
        out.push_str(part.get(name.len()..).unwrap_or_default());
    }
    Cow::Owned(out)
}

/// `secret:app/db-AbCdEf` without its last seven characters.
fn without_suffix(resource: &str) -> &str {
    match resource.rsplit_once('-') {
        Some((name, end)) if end.len() == 6 && end.bytes().all(|b| b.is_ascii_alphanumeric()) => name,
        _ => resource,
    }
}

/// The part with its machine-made id replaced: `i-0123456789abcdef0` is `i-*`, a UUID or a number is `*`. `None`
/// where there is none.
fn without_id(part: &str) -> Option<String> {
    if part.len() >= ID_DIGITS && part.bytes().all(|b| b.is_ascii_digit()) || is_uuid(part) {
        return Some("*".to_owned());
    }
    let (kind, id) = part.rsplit_once('-')?;
    // Identifiers of Amazon EC2: a short prefix, then 8 or 17 hexadecimal digits.
    let is_id =
        matches!(id.len(), 8 | 17) && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let is_kind =
        !kind.is_empty() && kind.len() <= 12 && kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    (is_id && is_kind && id.bytes().any(|b| b.is_ascii_digit())).then(|| format!("{kind}-*"))
}

/// Source: RFC 9562 §4, the textual form.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_and_ids_of_machines_do_not() {
        for (value, expected) in [
            ("arn:aws:iam::123456789012:role/build/deploy", "iam:role/build/deploy"),
            ("arn:aws:s3:::invoices/2026/01/a.pdf", "s3:invoices"),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/db-AbC1eF",
                "secretsmanager:secret:app/db",
            ),
            ("arn:aws:kms:eu-west-1:123456789012:key/0b5e1c2a-1111-2222-3333-444455556666", "kms:key/*"),
            ("arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0", "ec2:instance/i-*"),
            ("ec2:i-0123456789abcdef0", "ec2:i-*"),
            ("vpc-0a1b2c3d", "vpc-*"),
            ("s3:baker221b-evidence", "s3:baker221b-evidence"),
            ("lambda:function:arn:aws:lambda:eu-west-1:123456789012:function:pay", "lambda:function:pay"),
            ("arn:short", "arn:short"),
            ("account/123456789012", "account/*"),
            ("", ""),
        ] {
            assert_eq!(arn(Cow::Borrowed(value)), expected);
        }
    }

    #[test]
    fn places_are_said_and_other_text_is_not() {
        let key = HashKey::new(&[0; 16]).unwrap();
        let said = |value| General::Place.of(Cow::Borrowed(value), &key);
        assert_eq!(said("https://a.example/secret").as_deref(), Some("a.example"));
        assert_eq!(said("please pay the invoice"), None);
    }
}
