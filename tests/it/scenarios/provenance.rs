//! Mail assistants: recipients are named by the user or stand in the sender field of the mail answered.
//!
//! Knows mail. The attack is a mail whose text names the recipient of the next mail; the look-alike sends to a
//! recipient as new as that one, whom the user named.

use serde_json::{Value, json};
use tiltmeter::finding::RiskEventType;

use super::check;
use super::stream::{CASE_DAY, Session, Stream, hash};

const TYPE: &str = "mail-assistant";
/// People who write to the assistants' users; everybody knows the first ones.
const CORRESPONDENTS: usize = 30;
/// Somebody nobody has written to.
const STRANGER: usize = 4_711;

/// Whence the recipient of a mail.
enum To {
    User,
    SenderField(String),
    MailText(String),
}

fn argument(name: &str, class: &str, value: usize, origin: Value) -> Value {
    let mut argument = json!({ "name": name, "class": class, "hash": hash(value) });
    argument.as_object_mut().unwrap().extend(origin.as_object().unwrap().clone());
    argument
}

fn list(session: &mut Session<'_>) -> String {
    let id = session.fresh_id();
    session.call("list_mails", json!({ "event_id": id }));
    id
}

fn read(session: &mut Session<'_>, listing: &str, mail: usize) -> String {
    let from_list =
        json!({ "origin": "tool", "origin_form": "field", "anchored": false, "origin_event": listing });
    let id = session.fresh_id();
    let mail_id = argument("mail_id", "word", 10_000 + mail, from_list);
    session.call("read_mail", json!({ "event_id": id, "arguments": [mail_id] }));
    id
}

fn send(session: &mut Session<'_>, person: usize, to: &To) {
    let origin = match to {
        To::User => json!({ "origin": "user" }),
        To::SenderField(mail) => {
            json!({ "origin": "tool", "origin_form": "field", "anchored": false, "origin_event": mail })
        }
        To::MailText(mail) => {
            json!({ "origin": "tool", "origin_form": "free_text", "anchored": false, "origin_event": mail })
        }
    };
    // Half of all mails quote what was read: for a body that is nothing unusual.
    let body = if person.is_multiple_of(2) {
        json!({ "name": "body", "class": "text", "origin": "tool", "origin_form": "free_text", "anchored": false })
    } else {
        json!({ "name": "body", "class": "text", "origin": "model", "anchored": true })
    };
    session.call("send_email", json!({ "arguments": [argument("to", "email", person, origin), body] }));
}

/// Three days of six assistants: a third of the sessions answer a mail, a third write to whom the user named
/// (every fifth time somebody new), a third only read.
fn ordinary_days() -> Stream {
    let mut stream = Stream::default();
    for n in 0..270 {
        let (day, of_day) = (n / 90, n % 90);
        let mut session = stream.session(TYPE, n % 6, day, 8 * 60 + of_day * 6);
        let listing = list(&mut session);
        let mail = read(&mut session, &listing, n);
        let person = (n * 7) % CORRESPONDENTS;
        match n % 3 {
            0 => send(&mut session, person, &To::SenderField(mail)),
            1 => send(&mut session, if n % 5 == 0 { 1_000 + n } else { person }, &To::User),
            _ => {
                read(&mut session, &listing, n + 500);
            }
        }
    }
    stream
}

#[test]
fn a_recipient_lifted_out_of_a_mail_opens_an_alert() {
    let mut stream = ordinary_days();
    let mut session = stream.session(TYPE, 2, CASE_DAY, 9 * 60);
    let listing = list(&mut session);
    let mail = read(&mut session, &listing, 900);
    send(&mut session, STRANGER, &To::MailText(mail));
    let opened = check("provenance-attack", &stream);
    assert_eq!(opened, [("mail-assistant-2".to_owned(), RiskEventType::UntrustedArgumentOrigin)]);
}

#[test]
fn a_new_recipient_whom_the_user_named_opens_none() {
    let mut stream = ordinary_days();
    let mut session = stream.session(TYPE, 2, CASE_DAY, 9 * 60);
    let listing = list(&mut session);
    read(&mut session, &listing, 900);
    send(&mut session, STRANGER, &To::User);
    assert_eq!(check("provenance-look-alike", &stream), []);
}
