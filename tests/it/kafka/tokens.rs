//! Security event tokens on a real Kafka: to a topic, and pushed to a double of a receiver that is busy, refuses and accepts.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::Value;
use tiltmeter::kafka::settings::Topic;

use super::deployment::Deployment;
use super::rig::{left_out, shared};
use super::webhooks::{Desk, risk, wait};

/// The claims of a token.
fn claims(token: &[u8]) -> Value {
    let token = std::str::from_utf8(token).unwrap();
    serde_json::from_slice(&BASE64.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[test]
fn changes_of_levels_are_signed_written_to_a_topic_and_pushed_until_they_are_accepted() {
    let Some(brokers) = shared() else { return left_out("security event tokens") };
    // The first is taken at the third try, the second is refused, of the third a proxy says something else first.
    let receiver = Desk::answering(&[503, 429, 202, 400, 200], 202);
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/outputs/caep-keys.pem");
    let tables = format!(
        "[caep]\nissuer = \"https://t.example\"\naudience = \"https://idp.example\"\nkeys = {{ file = {keys:?} }}\n\
         [[sinks]]\nformat = \"caep\"\n\
         [[webhooks]]\nname = \"idp\"\nurl = \"{}\"\nformat = \"caep\"\nauthorization = {{ file = \"bearer\" }}",
        receiver.url
    );
    let deployment = Deployment::new("tokens", &brokers.brokers, 1, "").with_table(&tables);
    std::fs::write(deployment.config_file("x").with_file_name("bearer"), "Bearer of-the-idp\n").unwrap();
    for seq in 1..=3 {
        deployment.write(Topic::Risk, 0, b"mail-helper-0042", Some(&risk(seq)));
    }
    // No change to a receiver, to whom none and low are one level.
    let mut small: Value = serde_json::from_slice(&risk(4)).unwrap();
    for field in ["level", "level_uncapped"] {
        small[field] = "none".into();
    }
    deployment.write(Topic::Risk, 0, b"mail-helper-0042", Some(small.to_string().as_bytes()));
    deployment.write(Topic::Risk, 0, b"mail-helper-0042", Some(&risk(5)));

    let mut instance = deployment.start("a");
    let accepted = || receiver.requests().iter().filter(|request| request.answered == 202).count();
    wait("not all are accepted", &mut instance, || accepted() >= 3);
    let requests = receiver.requests();
    let answers: Vec<u16> = requests.iter().map(|request| request.answered).collect();
    assert_eq!(answers, [503, 429, 202, 400, 200, 202, 202]);
    for request in &requests {
        assert_eq!(request.headers["content-type"], "application/secevent+jwt");
        assert_eq!(request.headers["accept"], "application/json");
        assert_eq!(request.headers["authorization"], "Bearer of-the-idp");
        assert_eq!(claims(&request.body)["aud"], "https://idp.example");
    }
    let bodies: Vec<&Vec<u8>> = requests.iter().map(|request| &request.body).collect();
    assert!(bodies[0] == bodies[1] && bodies[1] == bodies[2], "what is sent again has the same bytes");
    assert!(bodies[2] != bodies[3] && bodies[4] == bodies[5] && bodies[5] != bodies[6]);
    let log = instance.log();
    assert!(log.contains("is left out: its address answers 400: invalid_audience: no such name"), "{log}");
    assert!(!log.contains("of-the-idp") && !log.contains(&receiver.url), "{log}");

    // The topic has each change, those that the receiver refused among them, in the same bytes.
    let name = format!("{}.caep", deployment.topic(Topic::Risk));
    wait("not all are written", &mut instance, || deployment.read_named(&name).len() >= 4);
    let written: Vec<Vec<u8>> =
        deployment.read_named(&name).into_iter().map(|(_, _, _, _, value)| value.unwrap()).collect();
    let sent: Vec<Vec<u8>> = [2, 3, 5, 6].map(|at: usize| requests[at].body.clone()).into();
    assert_eq!(written, sent);

    // Who comes back goes on behind what was accepted.
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
    deployment.write(Topic::Risk, 0, b"mail-helper-0042", Some(&risk(6)));
    let mut instance = deployment.start("a");
    wait("the next is not accepted", &mut instance, || accepted() >= 4);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(receiver.requests().len(), 8);
    instance.kill();
}

#[test]
fn keys_that_cannot_be_used_are_told_before_anything_is_judged() {
    let Some(brokers) = shared() else { return left_out("keys of tokens") };
    let tables = "[caep]\nissuer = \"https://t.example\"\naudience = \"x\"\nkeys = { file = \"none.pem\" }\n\
                  [[sinks]]\nformat = \"caep\"";
    let deployment = Deployment::new("no-keys", &brokers.brokers, 1, "").with_table(tables);
    let output = deployment.command("a", &["run"]);
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("[caep] keys: cannot read the secret in the file"), "{told}");
    assert_eq!(output.status.code(), Some(64), "{told}");
}
