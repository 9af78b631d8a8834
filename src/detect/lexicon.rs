//! What an action's name says about its consequences, and which arguments name a destination.
//!
//! Knows words. Must not know baselines.

use serde::Deserialize;

/// How much a call of this kind can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub enum Verb {
    /// Only looks.
    Read = 0,
    /// No word of the name says.
    #[default]
    Other = 1,
    /// Changes something.
    Write = 2,
    /// Sends something out.
    Egress = 3,
    /// Spends money.
    Pay = 4,
    /// Touches rights or credentials.
    Privilege = 5,
    /// Destroys something.
    Destructive = 6,
}

/// Words by what they say; see `models/lexicon.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lexicon {
    read: Vec<String>,
    destructive: Vec<String>,
    pay: Vec<String>,
    privilege: Vec<String>,
    egress: Vec<String>,
    write: Vec<String>,
    sign_in: Vec<String>,
    destination: Vec<String>,
}

impl Lexicon {
    /// The verb class of an action name such as `send_email`, `iam:CreateUser` or `git.push`: that of what comes after
    /// the name of the service.
    pub fn verb(&self, action: &str) -> Verb {
        let of_service = |rest: &&str| rest.chars().any(char::is_alphabetic);
        let words = words(action.rsplit([':', '.', '/']).find(of_service).unwrap_or(action));
        let any = |list: &[String]| words.iter().any(|word| list.contains(word));
        let first = |list: &[String]| words.first().is_some_and(|word| list.contains(word));
        if first(&self.read) {
            Verb::Read
        } else if any(&self.destructive) {
            Verb::Destructive
        } else if any(&self.pay) {
            Verb::Pay
        } else if any(&self.privilege) && !first(&self.sign_in) {
            Verb::Privilege
        } else if any(&self.egress) {
            Verb::Egress
        } else if any(&self.write) {
            Verb::Write
        } else {
            Verb::Other
        }
    }

    /// Whether an argument's name says that something goes there.
    pub fn is_destination(&self, argument: &str) -> bool {
        words(argument).iter().any(|word| self.destination.contains(word))
    }
}

/// Lower-case words of a name: split at everything that is no letter, and where lower case meets upper case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_lower = false;
    for c in name.chars() {
        let starts = !c.is_alphabetic() || (c.is_uppercase() && before_lower);
        if starts && words.last().is_some_and(|w| !w.is_empty()) {
            words.push(String::new());
        }
        if c.is_alphabetic()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before_lower = c.is_lowercase();
    }
    words.retain(|w| !w.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexicon() -> Lexicon {
        toml::from_str(include_str!("../../models/lexicon.toml")).unwrap()
    }

    #[test]
    fn a_name_is_split_into_words() {
        assert_eq!(words("iam:CreateUser"), ["iam", "create", "user"]);
        assert_eq!(words("to[].e-mail_address2"), ["to", "e", "mail", "address"]);
        assert!(words("__42").is_empty());
    }

    #[test]
    fn the_gravest_word_counts_and_a_leading_read_wins() {
        let lexicon = lexicon();
        for (action, verb) in [
            ("get_password", Verb::Read),
            ("send_email", Verb::Egress),
            ("DeleteUserPolicy", Verb::Destructive),
            ("transfer-money", Verb::Pay),
            ("grant_role", Verb::Privilege),
            ("login_account", Verb::Other),
            ("update_row", Verb::Write),
            ("iam:CreateUser", Verb::Write),
            ("kms:ListKeys", Verb::Read),
            ("mail.messages.send", Verb::Egress),
            ("frobnicate", Verb::Other),
        ] {
            assert_eq!(lexicon.verb(action), verb, "{action}");
        }
    }

    #[test]
    fn destinations_are_told_by_name() {
        let lexicon = lexicon();
        assert!(lexicon.is_destination("recipients[]") && lexicon.is_destination("repo_name"));
        assert!(!lexicon.is_destination("body") && !lexicon.is_destination("tomato"));
    }
}
