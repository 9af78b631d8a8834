//! What `kafka-acls` does, of which the tests have no copy: reads its command lines and asks a broker for what they say.
//!
//! Knows requests 30 (CreateAcls) and 31 (DeleteAcls) of Kafka's protocol, version 1. Must not know who is granted what.

use std::io::{Read, Write};
use std::net::TcpStream;

const CREATE_ACLS: i16 = 30;
const DELETE_ACLS: i16 = 31;
const ALLOW: i8 = 3;

/// One right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// `User:…`
    pub principal: String,
    /// As `kafka-acls` calls it.
    pub operation: String,
    /// `topic`, `group` or `transactional-id`.
    pub kind: String,
    /// Of what, or how its name begins.
    pub name: String,
    is_prefix: bool,
}

/// Every right that a command line grants; none where it is no command line.
pub fn grants(line: &str) -> Vec<Grant> {
    let Some(rest) = line.strip_prefix("kafka-acls ") else { return Vec::new() };
    let words: Vec<&str> = rest.split(' ').map(|word| word.trim_matches('\'')).collect();
    let values = |option: &str| -> Vec<String> {
        words.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1].to_owned()).collect()
    };
    let resource = ["topic", "group", "transactional-id"]
        .iter()
        .find_map(|kind| Some((*kind, values(&format!("--{kind}")).pop()?)));
    let (kind, name) = resource.unwrap();
    let is_prefix = values("--resource-pattern-type") == ["prefixed"];
    let principal = values("--allow-principal").pop().unwrap();
    values("--operation")
        .into_iter()
        .map(|operation| Grant {
            principal: principal.clone(),
            operation,
            kind: kind.to_owned(),
            name: name.clone(),
            is_prefix,
        })
        .collect()
}

/// Grants rights.
pub fn give(broker: &str, grants: &[Grant]) {
    let answer = ask(broker, CREATE_ACLS, grants, ALLOW);
    // Time, count, then a code and a message for each.
    let mut rest = &answer[8..];
    for grant in grants {
        assert_eq!(i16::from_be_bytes([rest[0], rest[1]]), 0, "{grant:?}");
        let message = i16::from_be_bytes([rest[2], rest[3]]);
        rest = &rest[4 + usize::try_from(message).unwrap_or(0)..];
    }
}

/// Takes rights away.
pub fn take(broker: &str, grants: &[Grant]) {
    let answer = ask(broker, DELETE_ACLS, grants, ALLOW);
    assert_eq!(&answer[8..10], &[0, 0], "{grants:?}");
}

fn ask(broker: &str, key: i16, grants: &[Grant], permission: i8) -> Vec<u8> {
    let text = |text: &str| {
        let length = i16::try_from(text.len()).unwrap();
        [&length.to_be_bytes()[..], text.as_bytes()].concat()
    };
    let mut request = [key.to_be_bytes(), 1_i16.to_be_bytes()].concat();
    request.extend(7_i32.to_be_bytes());
    request.extend(text("tests"));
    request.extend(i32::try_from(grants.len()).unwrap().to_be_bytes());
    for Grant { principal, operation, kind, name, is_prefix } in grants {
        let resource: i8 = match kind.as_str() {
            "topic" => 2,
            "group" => 3,
            _ => 5,
        };
        let operation: i8 = match operation.as_str() {
            "Read" => 3,
            "Write" => 4,
            "Describe" => 8,
            "DescribeConfigs" => 10,
            other => panic!("{other}"),
        };
        request.extend(resource.to_be_bytes());
        request.extend(text(name));
        request.push(if *is_prefix { 4 } else { 3 });
        request.extend(text(principal));
        request.extend(text("*"));
        request.extend(operation.to_be_bytes());
        request.extend(permission.to_be_bytes());
    }
    let mut stream = TcpStream::connect(broker).unwrap();
    stream.write_all(&i32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    // Behind the number of the request.
    answer.split_off(4)
}
