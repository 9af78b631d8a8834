//! Clerks and gleaners: both open case files that nobody has opened before; only gleaners are often refused.
//!
//! Knows case files and how a call ended. The attack is a clerk that tries files it may not read, one after the
//! other; the look-alike is a gleaner that is refused as often, as gleaners are.

use serde_json::json;
use tiltmeter::finding::RiskEventType;

use super::check;
use super::stream::{CASE_DAY, Session, Stream};

const AGENTS: usize = 20;
const SESSIONS: usize = 480;
/// Files of a session.
const FILES: usize = 4;
/// Files of the case.
const TRIED: usize = 16;
/// Doors that are tried in the case.
const DOORS: usize = 40;

fn open(session: &mut Session<'_>, file: usize, outcome: &str) {
    session.call("open_file", json!({ "resource": format!("cases/{file}"), "outcome": outcome }));
}

/// Three days of twenty agents of a type, each file opened once; every `refused`th is refused.
fn ordinary_days(agent_type: &'static str, refused: usize) -> Stream {
    let mut stream = Stream::default();
    for n in 0..SESSIONS {
        let (day, of_day) = (n / (SESSIONS / CASE_DAY), n % (SESSIONS / CASE_DAY));
        let mut session = stream.session(agent_type, n % AGENTS, day, 8 * 60 + of_day * 3);
        let files = if n % 9 == 0 { TRIED } else { FILES };
        for file in n * TRIED..n * TRIED + files {
            open(&mut session, file, if file % refused == refused / 2 { "denied" } else { "ok" });
        }
    }
    stream
}

/// The case: three files of four are refused.
fn tries_doors(stream: &mut Stream, agent_type: &'static str) {
    let mut session = stream.session(agent_type, 2, CASE_DAY, 9 * 60);
    for file in 0..DOORS {
        open(&mut session, 100_000 + file, if file % 4 == 0 { "ok" } else { "denied" });
    }
}

#[test]
fn an_agent_that_tries_many_doors_opens_an_alert() {
    let mut stream = ordinary_days("clerk", 97);
    tries_doors(&mut stream, "clerk");
    assert_eq!(
        check("failure-attack", &stream),
        [("clerk-2".to_owned(), RiskEventType::FailedAccessAttempt)]
    );
}

#[test]
fn an_agent_of_a_type_that_is_often_refused_opens_none() {
    let mut stream = ordinary_days("gleaner", 2);
    tries_doors(&mut stream, "gleaner");
    assert_eq!(check("failure-look-alike", &stream), []);
}
