//! Record keepers: each has customers of its own and shares the handbooks of its type.
//!
//! Knows records. The attack reads, within the hour, many customers new to it and a resource that none of its
//! type ever touched; the look-alike opens a handbook that is new to it and common among its peers.

use serde_json::json;
use tiltmeter::finding::RiskEventType;

use super::check;
use super::stream::{CASE_DAY, Session, Stream};

const TYPE: &str = "record-keeper";
const AGENTS: usize = 8;

fn read(session: &mut Session<'_>, resource: &str) {
    session.call("read_record", json!({ "resource": resource }));
}

fn customer(number: usize) -> String {
    format!("crm/customer-{number}")
}

/// Three days of eight keepers: three records a session, of six customers of their own; every fourth session
/// looks into a handbook, and every tenth of the working days takes a customer over from a colleague. Keeper 0
/// never needed the handbook on refunds.
fn ordinary_days() -> Stream {
    let mut stream = Stream::default();
    for n in 0..320 {
        let (day, of_day, agent) = (n / 107, n % 107, n % AGENTS);
        let round = n / AGENTS;
        let mut session = stream.session(TYPE, agent, day, 8 * 60 + of_day * 5);
        for step in 0..3 {
            read(&mut session, &customer(agent * 6 + (round + step) % 6));
        }
        if round % 4 == agent % 4 {
            let handbook = if agent != 0 && round % 8 < 4 { "handbook/refunds" } else { "handbook/letters" };
            read(&mut session, handbook);
        }
        if round % 10 == agent {
            read(&mut session, &customer((agent * 6 + 9 + round) % 48));
        }
        session.call("update_record", json!({ "resource": customer(agent * 6 + round % 6) }));
    }
    stream
}

#[test]
fn many_new_resources_and_one_that_nobody_uses_open_an_alert() {
    let mut stream = ordinary_days();
    let mut session = stream.session(TYPE, 0, CASE_DAY, 9 * 60);
    for number in 0..40 {
        read(&mut session, &customer(1_000 + number));
    }
    read(&mut session, "payroll/salaries");
    let opened = check("access-attack", &stream);
    assert!(opened.contains(&("record-keeper-0".to_owned(), RiskEventType::MassEnumeration)), "{opened:?}");
    assert!(opened.iter().all(|(agent, _)| agent == "record-keeper-0"), "{opened:?}");
}

#[test]
fn a_resource_new_to_the_agent_and_common_among_its_peers_opens_none() {
    let mut stream = ordinary_days();
    let mut session = stream.session(TYPE, 0, CASE_DAY, 9 * 60);
    for number in 0..3 {
        read(&mut session, &customer(number));
    }
    read(&mut session, "handbook/refunds");
    session.call("update_record", json!({ "resource": customer(1) }));
    assert_eq!(check("access-look-alike", &stream), []);
}
