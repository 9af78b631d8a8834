//! What one argument's value looks like: its class.
//!
//! Knows shapes of text and which names announce a secret. Must not know where a value came from.

use super::value::canonical_number;
use crate::event::ValueClass;

/// What a value looks like. `name` is the argument's name: it decides only whether the value is a secret.
///
/// * `raw`: the value as it was written; its case distinguishes a key from a word.
pub fn class(name: &str, raw: &str) -> ValueClass {
    let text = raw.trim();
    let token = !text.contains(char::is_whitespace);
    if is_key(text) {
        ValueClass::Key
    } else if names_a_secret(name) || (token && is_secret(text)) {
        ValueClass::Secret
    } else if canonical_number(text).is_some() || matches!(text, "true" | "false" | "True" | "False") {
        ValueClass::Num
    } else if is_time(text) {
        ValueClass::Time
    } else if token && is_email(text) {
        ValueClass::Email
    } else if token && is_url(text) {
        ValueClass::Url
    } else if is_iban(text) {
        ValueClass::Iban
    } else if is_path(text, token) {
        ValueClass::Path
    } else if token && is_repo(text) {
        ValueClass::Repo
    } else if token {
        ValueClass::Word
    } else if text.len() <= 120 && text.split_whitespace().count() <= 8 {
        ValueClass::Phrase
    } else {
        ValueClass::Text
    }
}

/// The words of a name: `newOwner_email` is `new`, `owner`, `email`. Lower case.
pub fn words_of_name(name: &str) -> impl Iterator<Item = String> + '_ {
    let mut rest = name;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
        let mut previous_lower = false;
        let end = rest
            .char_indices()
            .find(|(_, c)| {
                let boundary = !c.is_alphanumeric() || (previous_lower && c.is_uppercase());
                previous_lower = c.is_lowercase();
                boundary
            })
            .map_or(rest.len(), |(i, _)| i);
        let (word, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(word.to_lowercase()).filter(|word| !word.is_empty())
    })
}

fn names_a_secret(name: &str) -> bool {
    const SECRET: [&str; 10] = [
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "otp",
        "apikey",
        "credential",
        "credentials",
        "pin",
    ];
    let words: Vec<String> = words_of_name(name).collect();
    words.iter().any(|word| SECRET.contains(&word.as_str()))
        || words.windows(2).any(|pair| matches!(pair, [a, b] if (a == "api" || a == "access" || a == "private") && b == "key")
            || matches!(pair, [a, b] if (a == "access" || a == "auth" || a == "bearer" || a == "refresh") && b == "token"))
}

fn is_key(text: &str) -> bool {
    ["ssh-rsa ", "ssh-ed25519 ", "ecdsa-sha2-", "-----BEGIN ", "SHA256:"]
        .iter()
        .any(|start| text.starts_with(start))
}

/// Known forms of tokens, or a long run of mixed letters and digits that nobody types.
fn is_secret(text: &str) -> bool {
    let known = ["sk-", "ghp_", "gho_", "github_pat_", "xoxb-", "xoxp-", "AKIA", "ASIA", "eyJ", "glpat-"];
    if text.len() >= 16 && known.iter().any(|start| text.starts_with(start)) {
        return true;
    }
    let has = |test: fn(&u8) -> bool| text.bytes().any(|b| test(&b));
    text.len() >= 20
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'=' | b'_' | b'-'))
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
}

/// `2024-05-19`, `2024-05-19 15:00[:00]`, RFC 3339, `19:00`.
fn is_time(text: &str) -> bool {
    let shape: String = text.chars().take(40).map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    let clock = |rest: &str| {
        let rest = rest.trim_start_matches(['T', ' ']);
        let rest = rest.strip_prefix("99:99").or_else(|| rest.strip_prefix("9:99"))?;
        let rest = rest.strip_prefix(":99").unwrap_or(rest);
        let rest = rest.strip_prefix('.').map_or(rest, |fraction| fraction.trim_start_matches('9'));
        matches!(rest.trim(), "" | "Z" | "+99:99" | "-99:99" | "am" | "pm" | "AM" | "PM").then_some(())
    };
    match shape.strip_prefix("9999-99-99").or_else(|| shape.strip_prefix("9999/99/99")) {
        Some("") => true,
        Some(rest) => clock(rest).is_some(),
        None => clock(&shape).is_some(),
    }
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !local.contains(['/', ':'])
            && domain.contains('.')
            && domain.split('.').all(|label| !label.is_empty())
            && domain.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))
    })
}

/// Whether a host without a scheme ends like one on the public internet, rather than like a file.
fn ends_like_a_host(host: &str) -> bool {
    const ENDINGS: [&str; 16] = [
        "com", "org", "net", "edu", "gov", "io", "dev", "ai", "app", "co", "de", "uk", "eu", "fr", "info",
        "cloud",
    ];
    host.rsplit_once('.')
        .is_some_and(|(name, end)| !name.is_empty() && ENDINGS.contains(&end.to_ascii_lowercase().as_str()))
}

fn is_url(text: &str) -> bool {
    let lower = text.get(..12.min(text.len())).unwrap_or("").to_ascii_lowercase();
    if text.split_once("://").is_some_and(|(scheme, rest)| {
        !rest.is_empty()
            && !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-'))
    }) || lower.starts_with("www.")
        || lower.starts_with("mailto:")
    {
        return true;
    }
    let host = text.split(['/', '?', '#']).next().unwrap_or("");
    ends_like_a_host(host)
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'))
}

/// Two letters, then at least eight digits in 10 to 32 letters and digits; blanks between groups are allowed.
fn is_iban(text: &str) -> bool {
    let bytes: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
    let [a, b, rest @ ..] = bytes.as_slice() else { return false };
    a.is_ascii_uppercase()
        && b.is_ascii_uppercase()
        && (10..=32).contains(&rest.len())
        && rest.iter().take(2).all(u8::is_ascii_digit)
        && rest.iter().all(u8::is_ascii_alphanumeric)
        && rest.iter().filter(|b| b.is_ascii_digit()).count() >= 8
}

fn is_path(text: &str, token: bool) -> bool {
    const FILES: [&str; 44] = [
        "txt", "md", "pdf", "doc", "docx", "xls", "xlsx", "csv", "tsv", "json", "yaml", "yml", "xml", "html",
        "htm", "js", "ts", "py", "rs", "go", "java", "c", "h", "cpp", "sh", "png", "jpg", "jpeg", "gif",
        "svg", "zip", "gz", "tar", "exe", "bin", "log", "conf", "cfg", "toml", "ini", "pem", "pub", "sql",
        "db",
    ];
    let rooted = ["/", "./", "../", "~/"].iter().any(|start| text.starts_with(start))
        || matches!(text.as_bytes(), [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
    if rooted {
        return text.len() <= 1024
            && (token || !text.contains(['\n', '?', '!']) && text.split_whitespace().count() <= 8);
    }
    token
        && text
            .rsplit_once('.')
            .is_some_and(|(name, end)| !name.is_empty() && FILES.contains(&end.to_ascii_lowercase().as_str()))
}

fn is_repo(text: &str) -> bool {
    const MEDIA: [&str; 7] = ["application", "text", "image", "audio", "video", "multipart", "font"];
    text.split_once('/').is_some_and(|(owner, name)| {
        let plain = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
                && part.bytes().any(|b| b.is_ascii_alphabetic())
        };
        plain(owner) && plain(name) && !MEDIA.contains(&owner.to_ascii_lowercase().as_str())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_class_is_recognised() {
        for (name, value, expected) in [
            ("path", "/user/info", ValueClass::Path),
            ("file_path", "hw2_submission.txt", ValueClass::Path),
            ("url", "https://a.example/x?y=1", ValueClass::Url),
            ("url", "www.resume_templates.com", ValueClass::Url),
            ("url", "docs.example.com/a/b", ValueClass::Url),
            ("to", "emma.johnson@bluesparrowtech.com", ValueClass::Email),
            ("repo_name", "bobolive/json_xml_parsing", ValueClass::Repo),
            ("type", "application/pdf", ValueClass::Word),
            ("recipient", "AT6854532054", ValueClass::Iban),
            ("iban", "DE89 3704 0044 0532 0130 00", ValueClass::Iban),
            ("ssh_key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", ValueClass::Key),
            ("password", "letmein", ValueClass::Secret),
            ("value", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", ValueClass::Secret),
            ("order_id", "ORDER-113219", ValueClass::Word),
            ("amount", "1,653.10", ValueClass::Num),
            ("force", "true", ValueClass::Num),
            ("date", "2024-05-19", ValueClass::Time),
            ("start", "2024-05-19 17:30", ValueClass::Time),
            ("start", "2026-01-24T05:20:16.755Z", ValueClass::Time),
            ("at", "19:00", ValueClass::Time),
            ("title", "Dinner with Alice and Bob", ValueClass::Phrase),
            (
                "body",
                "Please find the resume template attached to this email, as you asked.",
                ValueClass::Text,
            ),
            ("username", "emma.student", ValueClass::Word),
        ] {
            assert_eq!(class(name, value), expected, "{name} = {value}");
        }
    }

    #[test]
    fn names_split_at_case_and_separators() {
        let words: Vec<String> = words_of_name("newOwner_email[].file-path").collect();
        assert_eq!(words, ["new", "owner", "email", "file", "path"]);
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_classifier(name in "\\PC{0,12}", text in "\\PC{0,60}") {
            let _: ValueClass = class(&name, &text);
        }
    }
}
