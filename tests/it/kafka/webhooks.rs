//! Webhooks on a real Kafka: a double of somebody's address takes, refuses and fails as it is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use sha2::Sha256;
use tiltmeter::kafka::settings::Topic;
use tiltmeter::tls::{certificates, key, provider};

use super::deployment::Deployment;
use super::instance::Instance;
use super::rig::{left_out, shared};
use crate::authority::Authority;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "a secret of the desk";

/// One request as it came: headers in lower case, body, and what was answered.
#[derive(Clone, Debug)]
pub struct Request {
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    pub answered: u16,
}

/// An address that answers the statuses it was given, one after the other, and one of them ever after. With 400 it says why.
#[derive(Clone)]
pub struct Desk {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Desk {
    fn open(answers: &'static [u16]) -> Self {
        Self::answering(answers, 200)
    }

    /// It gives these answers, and then always another.
    pub fn answering(answers: &'static [u16], otherwise: u16) -> Self {
        Self::behind(None, answers, otherwise)
    }

    /// The same behind `https://`, with a certificate.
    fn behind(shown: Option<ServerConfig>, answers: &'static [u16], otherwise: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (scheme, shown) = (if shown.is_some() { "https" } else { "http" }, shown.map(Arc::new));
        let url = format!("{scheme}://{}/in?x=1", listener.local_addr().unwrap());
        let desk = Self { url, requests: Arc::default() };
        let (requests, mut answers) = (Arc::clone(&desk.requests), answers.iter().copied());
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let answer = answers.next().unwrap_or(otherwise);
                // A request that is cut off because its sender was killed is none.
                let request = stream.ok().and_then(|stream| match &shown {
                    None => take(stream, answer),
                    Some(shown) => {
                        let connection = ServerConnection::new(Arc::clone(shown)).unwrap();
                        take(StreamOwned::new(connection, stream), answer)
                    }
                });
                if let Some(request) = request {
                    requests.lock().unwrap().push(request);
                }
            }
        });
        desk
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    fn taken(&self) -> Vec<Value> {
        let taken = self.requests().into_iter().filter(|request| request.answered == 200);
        taken.map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
    }
}

fn take(mut stream: impl Read + Write, answer: u16) -> Option<Request> {
    let mut reader = BufReader::new(&mut stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    assert!(line.is_empty() || line.starts_with("POST /in?x=1 HTTP/1.1"), "{line}");
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let why =
        if answer == 400 { r#"{"err":"invalid_audience","description":"no such\u001b name"}"# } else { "" };
    let length = why.len();
    write!(stream, "HTTP/1.1 {answer} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{why}")
        .ok()?;
    stream.flush().ok()?;
    Some(Request { headers, body, answered: answer })
}

pub fn wait(what: &str, instance: &mut Instance, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(instance.is_running() && Instant::now() < until, "{what}; log:\n{}", instance.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A risk update with a number of its own.
pub fn risk(seq: u64) -> Vec<u8> {
    let mut risk: Value = serde_json::from_str(include_str!("../../data/outputs/risk.json")).unwrap();
    risk["seq"] = seq.into();
    risk.to_string().into_bytes()
}

#[test]
fn messages_are_sent_in_order_signed_and_again_until_they_are_taken() {
    let Some(brokers) = shared() else { return left_out("webhooks") };
    // The second message is tried three times; the third is refused for good.
    let desk = Desk::open(&[200, 503, 429, 200, 400]);
    let table = format!(
        "[[webhooks]]\nname = \"desk\"\nurl = \"{}\"\nformat = \"ecs\"\ntopics = [\"risk\"]\nsecret = {{ file = \"secret\" }}",
        desk.url
    );
    let deployment = Deployment::new("hooks", &brokers.brokers, 1, "").with_table(&table);
    let secret = deployment.config_file("s").with_file_name("secret");
    std::fs::write(secret, SECRET).unwrap();
    for seq in 1..=4 {
        deployment.write(Topic::Risk, 0, b"mail-helper-0042", Some(&risk(seq)));
    }
    let mut instance = deployment.start("a");
    wait("not all are sent", &mut instance, || desk.taken().len() >= 3);
    let sequences = |taken: &[Value]| {
        taken.iter().map(|value| value["event"]["sequence"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(sequences(&desk.taken()), [1, 2, 4]);
    let log = instance.log();
    assert!(log.contains("is left out: its address answers 400"), "{log}");
    assert!(!log.contains(&desk.url), "an address may hold a token: {log}");

    let requests = desk.requests();
    let answers: Vec<u16> = requests.iter().map(|request| request.answered).collect();
    assert_eq!(answers, [200, 503, 429, 200, 400, 200]);
    let ids: Vec<&String> = requests.iter().map(|request| &request.headers["webhook-id"]).collect();
    assert!(ids[1] == ids[2] && ids[2] == ids[3], "what is sent again has its id: {ids:?}");
    assert!(ids[0] != ids[1] && ids[3] != ids[4] && ids[4] != ids[5], "{ids:?}");
    for Request { headers, body, .. } in &requests {
        assert_eq!(headers["content-type"], "application/json");
        let mut hash = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        hash.update(format!("{}.{}.", headers["webhook-id"], headers["webhook-timestamp"]).as_bytes());
        hash.update(body);
        let signature = headers["webhook-signature"].strip_prefix("v1,").unwrap();
        hash.verify_slice(&STANDARD.decode(signature).unwrap()).unwrap();
    }

    // Who comes back goes on behind what was taken.
    wait("the position is not committed", &mut instance, || desk.taken().len() == 3);
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
    deployment.write(Topic::Risk, 0, b"mail-helper-0042", Some(&risk(5)));
    let mut instance = deployment.start("a");
    wait("the next is not sent", &mut instance, || desk.taken().len() >= 4);
    assert_eq!(sequences(&desk.taken()), [1, 2, 4, 5]);
    instance.kill();
}

#[test]
fn an_address_that_is_gone_holds_up_nobody_but_its_own_webhook() {
    let Some(brokers) = shared() else { return left_out("webhooks that nobody answers") };
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let desk = Desk::open(&[]);
    let deployment = Deployment::new("gone-hook", &brokers.brokers, 1, "")
        .with_table(&format!("[[webhooks]]\nname = \"gone\"\nurl = \"http://{gone}\""))
        .with_table(&format!("[[webhooks]]\nname = \"desk\"\nurl = \"{}\"", desk.url));
    deployment.write(Topic::Risk, 0, b"mail-helper-0042", Some(&risk(1)));
    let mut instance = deployment.start("a");
    wait("the other webhook is not served", &mut instance, || desk.taken().len() == 1);
    assert_eq!(desk.taken()[0]["schema"], "tiltmeter.agent-risk.v1");
    assert!(!desk.requests()[0].headers.contains_key("webhook-signature"), "there is no secret");
    wait("nobody is told", &mut instance, || instance_says(&deployment, "cannot be told"));
    let events = super::deployment::events(500, 10);
    deployment.produce(&events);
    deployment.wait(&mut [&mut instance]);
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
}

#[test]
fn an_old_alert_wakes_nobody_but_an_old_level_is_told() {
    let Some(brokers) = shared() else { return left_out("old messages of webhooks") };
    let desk = Desk::open(&[]);
    let table = format!("[[webhooks]]\nname = \"desk\"\nurl = \"{}\"", desk.url);
    let deployment = Deployment::new("old-hook", &brokers.brokers, 1, "").with_table(&table);
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &brokers.brokers).create().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let two_days_ago = now - 2 * 86_400_000;
    let alert = include_bytes!("../../data/outputs/alert.json").to_vec();
    for (topic, value, time) in [
        (Topic::Alerts, alert.clone(), two_days_ago),
        (Topic::Alerts, alert, now),
        (Topic::Risk, risk(7), two_days_ago),
    ] {
        let topic = deployment.topic(topic);
        let record = BaseRecord::to(&topic).partition(0).key(b"mail-helper-0042").payload(&value);
        producer.send(record.timestamp(time)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let mut instance = deployment.start("a");
    wait("not all are sent", &mut instance, || desk.taken().len() >= 2);
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
    let mut taken: Vec<String> = desk.taken().iter().map(|told| told["schema"].to_string()).collect();
    taken.sort();
    assert_eq!(taken, ["\"tiltmeter.agent-alert.v1\"", "\"tiltmeter.agent-risk.v1\""]);
    assert_eq!(instance.log().matches("the alert is more than a day old").count(), 1, "{}", instance.log());
}

#[test]
fn an_address_behind_https_is_told_if_somebody_vouches_for_its_certificate() {
    let Some(brokers) = shared() else { return left_out("webhooks behind https") };
    let folder = tempfile::tempdir().unwrap();
    let house = Authority::new();
    house.write(&folder.path().join("house.crt"));
    Authority::new().write(&folder.path().join("stranger.crt"));
    let shown = |name: &str, year| {
        let issued = house.issue_until(folder.path(), name, "127.0.0.1", year);
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates(&issued.certificate).unwrap(), key(&issued.key).unwrap())
            .unwrap()
    };
    let (desk, past) = (
        Desk::behind(Some(shown("desk", 2100)), &[], 200),
        Desk::behind(Some(shown("past", 2020)), &[], 200),
    );
    let hook = |name: &str, desk: &Desk, trusts: &str| {
        let file = folder.path().join(trusts);
        format!("[[webhooks]]\nname = \"{name}\"\nurl = \"{}\"\nca_file = \"{}\"", desk.url, file.display())
    };
    let deployment = Deployment::new("https-hook", &brokers.brokers, 1, "")
        .with_table(&hook("desk", &desk, "house.crt"))
        .with_table(&hook("strange", &desk, "stranger.crt"))
        .with_table(&hook("past", &past, "house.crt"));
    deployment.write(Topic::Risk, 0, b"mail-helper-0042", Some(&risk(1)));
    let mut instance = deployment.start("a");
    wait("the address is not told", &mut instance, || desk.taken().len() == 1);
    for (name, why) in [("strange", "UnknownIssuer"), ("past", "expired")] {
        let is_told =
            |line: &str| line.contains(&format!("webhook {name} cannot be told")) && line.contains(why);
        let log = deployment.config_file("a").with_file_name("a.log");
        let told = || std::fs::read_to_string(&log).is_ok_and(|log| log.lines().any(is_told));
        wait(why, &mut instance, told);
    }
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
    assert_eq!((desk.taken().len(), past.taken().len()), (1, 0));
}

#[test]
fn a_file_of_trust_that_is_exchanged_for_rubbish_changes_nothing_until_it_can_be_read() {
    let Some(brokers) = shared() else { return left_out("exchanged trust of webhooks") };
    let folder = tempfile::tempdir().unwrap();
    let (house, next) = (Authority::new(), Authority::new());
    let trusts = folder.path().join("trusts.crt");
    house.write(&trusts);
    let shown = |house: &Authority, name: &str| {
        let issued = house.issue_until(folder.path(), name, "127.0.0.1", 2100);
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates(&issued.certificate).unwrap(), key(&issued.key).unwrap())
            .unwrap()
    };
    let (desk, other) = (
        Desk::behind(Some(shown(&house, "desk")), &[], 200),
        Desk::behind(Some(shown(&next, "next")), &[], 200),
    );
    let hook = |name: &str, desk: &Desk| {
        format!("[[webhooks]]\nname = \"{name}\"\nurl = \"{}\"\nca_file = \"{}\"", desk.url, trusts.display())
    };
    let deployment = Deployment::new("trust", &brokers.brokers, 1, "")
        .with_table(&hook("desk", &desk))
        .with_table(&hook("next", &other));
    deployment.write(Topic::Risk, 0, b"mail-helper-0042", Some(&risk(1)));
    let mut instance = deployment.start("a");
    wait("the address is not told", &mut instance, || desk.taken().len() == 1);
    std::fs::write(&trusts, "swordfish").unwrap();
    wait("nobody is told of the rubbish", &mut instance, || {
        instance_says(&deployment, "has changed and is not used yet")
            && instance_says(&deployment, "holds no certificate")
    });
    deployment.write(Topic::Risk, 0, b"mail-helper-0042", Some(&risk(2)));
    wait("it does not go on with what it had", &mut instance, || desk.taken().len() == 2);
    assert!(other.taken().is_empty(), "nobody vouches for it yet");
    next.write(&trusts);
    wait("what can be read is not used", &mut instance, || !other.taken().is_empty());
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
}

/// Whether the log of instance `a` has a line.
fn instance_says(deployment: &Deployment, part: &str) -> bool {
    let log = deployment.config_file("a").with_file_name("a.log");
    std::fs::read_to_string(log).is_ok_and(|log| log.contains(part))
}
