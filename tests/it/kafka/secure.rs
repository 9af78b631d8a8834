//! Encryption and logins on a real Kafka: each way in carries the service, and what cannot be trusted is told with what
//! to do about it.

mod house;

use std::time::{Duration, Instant};

use self::house::{Claims, House, house};
use super::deployment::{Deployment, events};
use super::instance::Instance;
use super::rig::{PASSWORD, USER, left_out};
use crate::authority::Issued;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(90);

fn deployment(house: &House, name: &str, listener: &str, security: &str) -> Deployment {
    let mut deployment = Deployment::new(name, &house.cluster.addresses().brokers, 2, "");
    let ca = house.authority_file.display();
    deployment.entered_at(&house.cluster.listener(listener), &format!("ca_file = \"{ca}\"\n{security}"));
    deployment
}

/// `[kafka.security]` of somebody with a password, without `ca_file`.
fn by_password() -> String {
    format!(
        "protocol = \"sasl_ssl\"\nmechanism = \"SCRAM-SHA-512\"\nusername = \"{USER}\"\npassword = {{ file = \"password\" }}\n"
    )
}

/// What is told where the certificate of the broker is not believed.
const BELIEVED: &str = "issued by one in [kafka.security] ca_file, to hold today, and to name the host";

const BY_TOKEN: &str =
    "protocol = \"sasl_ssl\"\nmechanism = \"OAUTHBEARER\"\noauth_token = { file = \"token\" }\n";

fn by_certificate(house: &House) -> String {
    let [certificate, key] = [&house.client.certificate, &house.client.key].map(|file| file.display());
    format!("protocol = \"ssl\"\ncertificate_file = \"{certificate}\"\nkey_file = \"{key}\"\n")
}

fn wait_for(instance: &mut Instance, what: &str) {
    let until = Instant::now() + PATIENCE;
    while !instance.log().contains(what) {
        assert!(instance.is_running() && Instant::now() < until, "{what:?} is not in:\n{}", instance.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn encryption_certificates_and_passwords_each_carry_the_service_from_start_to_end() {
    let Some(house) = house() else { return left_out("encryption") };
    for (name, listener, security) in [
        ("tls", "TLS", "protocol = \"ssl\"\n".to_owned()),
        ("mtls", "MTLS", by_certificate(house)),
        ("scram", "SCRAM", by_password()),
    ] {
        let deployment = deployment(house, name, listener, &security);
        std::fs::write(deployment.folder().join("password"), PASSWORD).unwrap();
        let looked = deployment.command("a", &["topics"]);
        assert!(looked.status.success(), "{name}: {looked:?}");
        deployment.produce(&events(600, 10));
        let mut instance = deployment.start("a");
        deployment.wait(&mut [&mut instance]);
        assert_eq!(instance.stop().1, Some(0), "{name}: {}", instance.log());
        assert!(deployment.check() > 0, "{name}");
    }
}

#[test]
fn a_token_that_runs_out_is_read_anew_and_nothing_stops() {
    let Some(house) = house() else { return left_out("tokens") };
    let deployment = deployment(house, "token", "OAUTH", BY_TOKEN);
    let token = deployment.folder().join("token");
    let renew = |lasts| std::fs::write(&token, house.token(&Claims { lasts, ..Claims::default() })).unwrap();
    renew(20);
    let looked = deployment.command("a", &["topics"]);
    assert!(looked.status.success(), "{looked:?}");
    let events = events(900, 10);
    let (before, after) = events.split_at(300);
    deployment.produce(before);
    let mut instance = deployment.start("a");
    deployment.wait(&mut [&mut instance]);
    // The broker ends every connection whose token has run out (KIP-368): whoever is there afterwards has shown another.
    let runs_out = Instant::now() + Duration::from_secs(20);
    while Instant::now() < runs_out {
        renew(20);
        std::thread::sleep(Duration::from_secs(2));
    }
    renew(600);
    deployment.produce(after);
    deployment.wait(&mut [&mut instance]);
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
    assert!(deployment.check() > 0);
}

#[test]
fn a_certificate_that_is_exchanged_is_used_without_a_restart_once_the_broker_takes_it() {
    let Some(house) = house() else { return left_out("exchanged certificates") };
    let security = "protocol = \"ssl\"\ncertificate_file = \"own.crt\"\nkey_file = \"own.key\"\n";
    let deployment = deployment(house, "exchanged", "MTLS", security);
    let exchange = |issued: &Issued| {
        std::fs::copy(&issued.certificate, deployment.folder().join("own.crt")).unwrap();
        std::fs::copy(&issued.key, deployment.folder().join("own.key")).unwrap();
    };
    exchange(&house.client);
    let events = events(900, 10);
    let mut parts = events.chunks(300);
    let mut instance = deployment.start("a");
    deployment.produce(parts.next().unwrap());
    deployment.wait(&mut [&mut instance]);
    // One that the broker does not take changes nothing.
    exchange(&house.unknown_client);
    wait_for(&mut instance, "is not used yet");
    deployment.produce(parts.next().unwrap());
    deployment.wait(&mut [&mut instance]);
    exchange(&house.next_client);
    wait_for(&mut instance, "every client is made anew");
    deployment.produce(parts.next().unwrap());
    deployment.wait(&mut [&mut instance]);
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
    assert!(deployment.check() > 0);
}

#[test]
fn whom_the_broker_does_not_let_in_is_told_why_and_what_to_do() {
    let Some(house) = house() else { return left_out("refusals") };
    let past = house.token(&Claims { lasts: -3600, ..Claims::default() });
    let foreign = house.token(&Claims { is_forged: true, ..Claims::default() });
    let other = house.stranger.display();
    let foreign_ca = format!("ca_file = \"{other}\"\nprotocol = \"ssl\"\n");
    for (what, listener, security, secret, code, sentences) in [
        ("a foreign authority", "TLS", foreign_ca, "", 69, &[BELIEVED, "UnknownIssuer"][..]),
        ("a certificate that is past", "PAST", tls(house), "", 69, &[BELIEVED, "certificate expired"]),
        ("another host", "OTHER", tls(house), "", 69, &[BELIEVED, "elsewhere.example"]),
        (
            "no certificate",
            "MTLS",
            tls(house),
            "",
            69,
            &["bad certificate", "name certificate_file and key_file"],
        ),
        (
            "no encryption",
            "TLS",
            "protocol = \"plaintext\"\n".to_owned(),
            "",
            69,
            &["[kafka.security] protocol is that"],
        ),
        (
            "encryption where there is none",
            "PLAINTEXT",
            tls(house),
            "",
            69,
            &["[kafka.security] protocol is that"],
        ),
        (
            "a wrong password",
            "SCRAM",
            with_ca(house, &by_password()),
            "swordfish",
            77,
            &["username, password"],
        ),
        ("a token that is past", "OAUTH", with_ca(house, BY_TOKEN), &past, 77, &["oauth_token"]),
        ("a forged token", "OAUTH", with_ca(house, BY_TOKEN), &foreign, 77, &["oauth_token"]),
    ] {
        let mut deployment = Deployment::new("refused", &house.cluster.addresses().brokers, 1, "");
        let at = match listener {
            "PLAINTEXT" => house.cluster.addresses().brokers,
            of => house.cluster.listener(of),
        };
        deployment.entered_at(&at, &security);
        for file in ["password", "token"] {
            std::fs::write(deployment.folder().join(file), secret).unwrap();
        }
        let looked = deployment.command("a", &["topics"]);
        let told = String::from_utf8_lossy(&looked.stderr).into_owned();
        assert_eq!(looked.status.code(), Some(code), "{what}: {told}");
        for sentence in sentences {
            assert!(told.contains(sentence), "{what}: {sentence:?} is not in: {told}");
        }
        assert!(secret.is_empty() || !told.contains(secret), "{what}: a secret is told: {told}");
        // The service waits until it is mended, and ends when it is told to.
        let mut instance = deployment.start("a");
        wait_for(&mut instance, "it is tried again");
        assert_eq!(instance.stop().1, Some(0), "{what}: {}", instance.log());
    }
}

fn with_ca(house: &House, security: &str) -> String {
    format!("ca_file = \"{}\"\n{security}", house.authority_file.display())
}

fn tls(house: &House) -> String {
    with_ca(house, "protocol = \"ssl\"\n")
}
