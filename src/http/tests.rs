//! Routes answer what was taken in, to those who may ask, and nothing makes them fail.

mod answers;
mod decisions;
mod following;
mod pages;

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::*;
use crate::kafka::decision::Written;

/// A service that writes nothing.
struct Nothing;

impl Behind for Nothing {
    fn refresh(&self) {}

    fn topic(&self) -> &str {
        "control"
    }

    fn decide(&self, _: Verdict, key: Option<&str>) -> Result<Decided, Failure> {
        Ok(match key {
            Some("taken") => Decided::Differs,
            _ => Decided::At(Written { partition: 0, offset: 41 }, "an-id".to_owned()),
        })
    }

    fn alerts_topic(&self) -> &str {
        "alerts"
    }

    fn test(&self, key: &str, _: Option<(Level, Level)>) -> Result<Tested, Failure> {
        let written = (key != "told").then_some(Written { partition: 0, offset: 7 });
        Ok(Tested { alert_id: crate::kafka::service::test_id(key), written })
    }

    fn newest(&self) -> (Arc<Version>, Option<i64>) {
        let settings = crate::config::Config::default().settings().unwrap();
        let mut version = Version::new(settings);
        let (name, identity) = ("mailer", version.settings.identity.clone());
        let mut own = crate::baseline::pool::TypeBaseline::new(name);
        own.agent_count = 3.0;
        own.active = 3 * crate::stats::decay::VOTE;
        own.access.add(
            crate::baseline::agent::KeySpace::Action.context(),
            identity.of("send_email"),
            3 * crate::stats::decay::VOTE,
            0,
        );
        version.baselines.types.insert(identity.of(name), own);
        (Arc::new(version), Some(now_ms() - 5_000))
    }

    fn names(&self, agent_type: &str) -> Vec<(KeySpace, String)> {
        assert_eq!(agent_type, "mailer");
        let names = ["send_email", "never_learned"];
        names.map(|name| (KeySpace::Action, name.to_owned())).into()
    }
}

fn settings() -> HttpSettings {
    HttpSettings::default()
}

fn started(settings: &HttpSettings, lookup: &Arc<Lookup>) -> Served {
    let readiness = Readiness::not_yet("the broker is waited for");
    let metrics = Arc::new(Metrics::new());
    serve(([127, 0, 0, 1], 0).into(), settings, readiness, metrics, Arc::clone(lookup), None).unwrap()
}

/// An interface that has read of one agent of level high.
fn full() -> Served {
    let lookup = Arc::new(Lookup::default());
    let served = started(&settings(), &lookup);
    lookup.take_risk((3, 17), b"acme/mailer/1", Some(RISK.as_bytes())).unwrap();
    lookup.take_alert(ALERT.as_bytes()).unwrap();
    lookup.read_until(now_ms());
    served.stand_behind(Nothing);
    served
}

const RISK: &str = r#"{"schema":"tiltmeter.agent-risk.v1","agent_id":"mailer/1","tenant":"acme","agent_type":"mailer","seq":4,
    "level":"high","previous_level":"none","level_uncapped":"high","score":81.25,"reasons":[],"cause":"finding",
    "as_of":"2026-01-05T09:00:00.000Z","alert_count":1,"open_alerts":["2dcf8d"],"monitoring":"ok","maturity":"mature",
    "baseline":7,"config":"c0ffee"}"#;
const ALERT: &str =
    r#"{"schema":"tiltmeter.agent-alert.v1","tenant":"acme","subject":{"kind":"agent","id":"mailer/1"}}"#;

/// Sends a request; returns status, headers and body.
fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let (status, _, body) = ask(address, "GET", path, "", "");
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}
