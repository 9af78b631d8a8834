//! Ticket desks: page through the list of tickets, look at one, classify, assign, answer.
//!
//! Knows tickets; events say nothing of arguments. The attack is a session that looks at the same ticket again and
//! again; the look-alike pages through a list as long, in a fleet that often has such lists.

use serde_json::json;
use tiltmeter::finding::RiskEventType;

use super::check;
use super::stream::{CASE_DAY, Session, Stream};

const TYPE: &str = "desk";
/// Ordinary sessions: more than the 200 from which a type's tail is its own.
const SESSIONS: usize = 420;
/// Longest list, where desks have long ones at all. Pages.
const LONG_LIST: usize = 24;

fn call(session: &mut Session<'_>, action: &str) {
    session.call(action, json!({}));
}

/// Three days of six desks. A session reads a page or two of its list (up to [`LONG_LIST`] every tenth time, in a
/// fleet that has long lists) and works through two tickets.
fn ordinary_days(long_lists: bool) -> Stream {
    let mut stream = Stream::default();
    for n in 0..SESSIONS {
        let (day, of_day) = (n / (SESSIONS / 3), n % (SESSIONS / 3));
        let mut session = stream.session(TYPE, (n + n / 6) % 6, day, 8 * 60 + of_day * 4);
        let pages = if long_lists && n % 10 == 9 { LONG_LIST - n % 7 } else { 2 };
        for _ in 0..pages {
            call(&mut session, "list");
        }
        for ticket in n..n + 2 {
            call(&mut session, "get");
            call(&mut session, if ticket % 5 == 0 { "merge" } else { "classify" });
            call(&mut session, if ticket % 2 == 0 { "assign" } else { "answer" });
        }
    }
    stream
}

#[test]
fn a_runaway_loop_opens_an_alert() {
    let mut stream = ordinary_days(false);
    let mut stuck = stream.session(TYPE, 1, CASE_DAY, 9 * 60);
    call(&mut stuck, "list");
    for _ in 0..300 {
        call(&mut stuck, "get");
    }
    let found = check("sequence-attack", &stream);
    assert_eq!(found, [("desk-1".to_owned(), RiskEventType::AgentLoop)]);
}

#[test]
fn a_long_list_opens_none_where_lists_are_long() {
    let mut stream = ordinary_days(true);
    let mut session = stream.session(TYPE, 1, CASE_DAY, 9 * 60);
    for _ in 0..LONG_LIST {
        call(&mut session, "list");
    }
    for action in ["get", "classify", "answer"] {
        call(&mut session, action);
    }
    assert_eq!(check("sequence-look-alike", &stream), []);
}
