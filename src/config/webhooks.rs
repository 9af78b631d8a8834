//! Reads `[[webhooks]]`: addresses that alerts and risk updates are sent to.
//!
//! Knows how a webhook is written. Must not know how anything is sent. `docs/formats.md` is the manual.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::reader::{Reader, place_of_secret};
use super::setting::Allowed;
use super::sinks::{format, is_name, kinds, topic_of};
use super::spelling::cut;
use crate::kafka::settings::Webhook;
use crate::wire::outputs::Format;

/// Keys of a webhook.
const KEYS: [&str; 7] = ["name", "url", "format", "topics", "secret", "authorization", "ca_file"];

/// Every webhook of a document; what is wrong goes to the reader. Files begin in `folder`.
pub(super) fn read(from: &mut Reader<'_>, folder: &Path) -> Vec<Webhook> {
    let Some(found) = from.take("webhooks") else { return Vec::new() };
    let DeValue::Array(list) = found.get_ref() else {
        from.fault(
            &found.span(),
            "webhooks is not allowed like this: write [[webhooks]] above every webhook",
        );
        return Vec::new();
    };
    let mut webhooks: Vec<Webhook> = Vec::new();
    for (number, item) in list.iter().enumerate() {
        let place = format!("[[webhooks]] number {}", number + 1);
        let Some(table) = item.get_ref().as_table() else {
            from.fault(&item.span(), format!("{place}: write [[webhooks]] above every webhook"));
            continue;
        };
        let name = table.get("name").and_then(|name| name.get_ref().as_str()).filter(|name| !name.is_empty());
        // Two of one name are told apart by their numbers.
        let is_alone = webhooks.iter().all(|other: &Webhook| Some(other.name.as_str()) != name);
        let place = match name {
            Some(name) if is_alone => format!("[[webhooks]] \"{}\"", cut(name)),
            _ => place,
        };
        let Some(webhook) = one(from, &place, table, &item.span(), folder) else { continue };
        if webhooks.iter().any(|other| other.name == webhook.name) {
            let what =
                format!("{place}: the name \"{}\" is another's already: give it its own", cut(&webhook.name));
            from.fault(&item.span(), what);
        }
        webhooks.push(webhook);
    }
    webhooks
}

fn one(
    from: &mut Reader<'_>,
    place: &str,
    table: &DeTable<'_>,
    span: &Range<usize>,
    folder: &Path,
) -> Option<Webhook> {
    from.refuse_unknown(place, table, &KEYS);
    let mut text = |key: &str, what: &str, is_right: fn(&str) -> bool| -> Option<String> {
        let Some(value) = table.get(key) else {
            from.fault(span, format!("{place}: it has no {key}: give {what}"));
            return None;
        };
        let text = value.get_ref().as_str().filter(|text| is_right(text));
        if text.is_none() {
            let shown = from.shown(&value.span());
            from.fault(&value.span(), format!("{place}: {key} = {shown} is not allowed: give {what}"));
        }
        text.map(str::to_owned)
    };
    let name = text("name", "letters, digits, dots, `_` and `-`", is_name);
    let url = text("url", "an address that begins with http:// or https://", is_address);
    let (format, knows) = format(from, place, table, folder)?;
    if format == Format::CloudEventsBinary {
        let what = format!("{place}: cloudevents-binary is for Kafka only: give format = \"cloudevents\"");
        from.fault(span, what);
    }
    let topics = kinds(from, place, table, knows).into_iter().map(topic_of).collect();
    let [secret, authorization] = ["secret", "authorization"].map(|key| {
        table.get(key).and_then(|value| {
            let found = place_of_secret(value.get_ref(), folder);
            if found.is_none() {
                // Whoever wrote the secret itself must not see it in a log.
                from.fault(
                    &value.span(),
                    format!("{place}: {key} is not allowed like this: give {}", Allowed::Secret),
                );
            }
            found
        })
    });
    let ca_file = table.get("ca_file").and_then(|value| {
        let path = value.get_ref().as_str().filter(|path| !path.is_empty());
        if path.is_none() {
            let shown = from.shown(&value.span());
            let what = format!("{place}: ca_file = {shown} is not allowed: give the path of a file");
            from.fault(&value.span(), what);
        }
        path.map(|path| folder.join(path))
    });
    if format == Format::Caep && secret.is_some() {
        let what = format!(
            "{place}: a security event token is signed by the keys of [caep]: remove secret; authorization is for what the \
             receiver wants in that header"
        );
        from.fault(span, what);
    }
    Some(Webhook { name: name?, url: url?, topics, format, secret, authorization, ca_file })
}

fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::kafka::secret::SecretPlace;
    use crate::kafka::settings::Topic;

    #[test]
    fn a_webhook_says_where_what_and_how_it_is_signed() {
        let text = "[[webhooks]]\nname = \"desk\"\nurl = \"http://desk.example/in\"\nformat = \"ecs\"\n\
                    topics = [\"alerts\"]\nsecret = { env = \"DESK\" }\n\
                    [[webhooks]]\nname = \"all\"\nurl = \"https://127.0.0.1:1\"\nca_file = \"house.pem\"";
        let config = Config::parse(text, Path::new("/etc/x")).unwrap();
        let [desk, all] = config.kafka().webhooks.as_slice() else { panic!() };
        assert_eq!((desk.topics.as_slice(), &desk.format), (&[Topic::Alerts][..], &Format::Shipped("ecs")));
        assert_eq!(desk.secret, Some(SecretPlace::Environment("DESK".to_owned())));
        assert_eq!((all.topics.len(), &all.format, &all.secret), (2, &Format::Native, &None));
        assert_eq!((&desk.ca_file, all.ca_file.as_deref()), (&None, Some(Path::new("/etc/x/house.pem"))));
    }

    #[test]
    fn everything_that_is_wrong_with_webhooks_is_told_at_once_and_no_secret_is() {
        let text = "[[webhooks]]\nurl = \"ftp://x\"\nsecret = \"hunter2\"\nsecrets = 1\n\
                    [[webhooks]]\nname = \"a\"\nurl = \"http://x\"\nformat = \"cloudevents-binary\"\n\
                    [[webhooks]]\nname = \"a\"\nurl = \"http://x y\"\n\
                    [[webhooks]]\nname = \"a\"\nurl = \"http://x\"\n\
                    [[webhooks]]\nname = \"b\"\nurl = \"http://x\"\nformat = \"caep\"\nsecret = { env = \"X\" }\n\
                    authorization = \"Bearer hunter2\"";
        let told = Config::parse(text, Path::new("")).unwrap_err();
        let told = told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        for part in [
            "line 1: [[webhooks]] number 1: it has no name",
            "line 2: [[webhooks]] number 1: url = \"ftp://x\" is not allowed",
            "line 3: [[webhooks]] number 1: secret is not allowed like this: give `{ file",
            "line 4: [[webhooks]] number 1: secrets is unknown: did you mean secret?",
            "[[webhooks]] \"a\": cloudevents-binary is for Kafka only",
            "line 11: [[webhooks]] number 3: url = \"http://x y\" is not allowed",
            "[[webhooks]] number 4: the name \"a\" is another's already",
            "[[webhooks]] \"b\": authorization is not allowed like this",
            "[[webhooks]] \"b\": a security event token is signed by the keys of [caep]: remove secret",
        ] {
            assert!(told.contains(part), "{part} is not in\n{told}");
        }
        assert!(!told.contains("hunter2"), "{told}");
    }
}
