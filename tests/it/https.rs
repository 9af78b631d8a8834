//! The interface over HTTP, encrypted: who is let in, as what, and that a renewed certificate needs no restart.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tiltmeter::config::Config;
use tiltmeter::http::{Readiness, Served, serve};
use tiltmeter::kafka::service::lookup::Lookup;
use tiltmeter::metrics::Metrics;
use tiltmeter::tls::provider;
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::authority::{Authority, Issued};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(http: &str, folder: &Path) -> Result<Served, String> {
    let config = Config::parse(&format!("[http]\n{http}"), folder).unwrap();
    let lookup = Arc::new(Lookup::default());
    lookup.read_until(1);
    let at = SocketAddr::from(([127, 0, 0, 1], 0));
    let served = serve(at, config.http(), Readiness::default(), Arc::new(Metrics::new()), lookup, None);
    served.map_err(|error| error.to_string())
}

/// Somebody who trusts an authority and may show a certificate.
fn client(trusts: &Authority, shows: Option<&Issued>) -> Agent {
    let certificate = |pem: &[u8]| Certificate::from_pem(pem).unwrap();
    let shows = shows.map(|issued| {
        let [chain, key] = [&issued.certificate, &issued.key].map(|file| std::fs::read(file).unwrap());
        ClientCert::new_with_certs(&[certificate(&chain)], PrivateKey::from_pem(&key).unwrap())
    });
    let config = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[certificate(trusts.certificate().as_bytes())]))
        .client_cert(shows)
        .unversioned_rustls_crypto_provider(provider());
    Agent::config_builder()
        .http_status_as_error(false)
        .tls_config(config.build())
        // Each request is a connection of its own, with a handshake of its own.
        .max_idle_connections(0)
        .timeout_global(Some(PATIENCE))
        .build()
        .into()
}

/// The status of an answer, or why there was none.
fn ask(agent: &Agent, served: &Served, path: &str) -> Result<u16, String> {
    let url = format!("{}://{}{path}", served.scheme(), served.address);
    agent.get(&url).call().map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
}

#[test]
fn a_certificate_has_its_role_and_one_that_nobody_vouches_for_is_not_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let (house, stranger) = (Authority::new(), Authority::new());
    house.write(&folder.path().join("ca.crt"));
    house.issue(folder.path(), "server", "127.0.0.1");
    let issued =
        |authority: &Authority, name: &str, holder: &str| authority.issue(folder.path(), name, holder);
    let siem = issued(&house, "siem", "spiffe://house/siem");
    let nobody = issued(&house, "nobody", "nobody.example");
    let forged = issued(&stranger, "forged", "spiffe://house/siem");
    let past = house.issue_until(folder.path(), "past", "spiffe://house/siem", 2020);
    let served = start(
        "certificate_file = \"server.crt\"\nkey_file = \"server.key\"\nclient_ca_file = \"ca.crt\"\n\
         client_roles = { \"spiffe://house/*\" = \"viewer\" }",
        folder.path(),
    )
    .unwrap();
    assert_eq!(served.scheme(), "https");
    let asked = |shows: Option<&Issued>, path: &str| ask(&client(&house, shows), &served, path);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(asked(None, path), Ok(200), "{path} is open to those who look whether we live");
    }
    assert_eq!(asked(None, "/v1/agents"), Ok(401));
    assert_eq!(asked(Some(&siem), "/v1/agents"), Ok(200));
    assert_eq!(asked(Some(&nobody), "/v1/agents"), Ok(401), "a certificate without a role");
    let url = format!("https://{}/v1/verdicts", served.address);
    let given = client(&house, Some(&siem)).post(&url).content_type("application/json").send("{}").unwrap();
    assert_eq!(given.status(), 403, "a viewer gives no verdicts");
    for (wrong, why) in [(&forged, "UnknownCA"), (&past, "CertificateExpired")] {
        let refused = asked(Some(wrong), "/healthz").unwrap_err();
        assert!(refused.to_lowercase().contains("alert") && refused.contains(why), "{refused}");
    }
    let unknown = ask(&client(&stranger, None), &served, "/healthz").unwrap_err();
    assert!(unknown.contains("UnknownIssuer"), "{unknown}");
    let plain = format!("http://{}/healthz", served.address);
    assert!(client(&house, None).get(&plain).call().is_err(), "nothing is answered without encryption");
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (Authority::new(), Authority::new());
    before.issue(folder.path(), "server", "127.0.0.1");
    let served =
        start("certificate_file = \"server.crt\"\nkey_file = \"server.key\"", folder.path()).unwrap();
    assert_eq!(ask(&client(&before, None), &served, "/healthz"), Ok(200));
    let wait = |what: &str, is_so: &mut dyn FnMut() -> bool| {
        let until = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < until, "{what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    std::fs::write(folder.path().join("server.crt"), "half of a certificate").unwrap();
    wait("nobody is told of a broken file", &mut || {
        served.news().iter().any(|(_, line)| line.contains("server.crt") && line.contains("read before"))
    });
    assert_eq!(ask(&client(&before, None), &served, "/healthz"), Ok(200));
    after.issue(folder.path(), "server", "127.0.0.1");
    wait("the new one is not shown", &mut || ask(&client(&after, None), &served, "/healthz") == Ok(200));
    assert!(ask(&client(&before, None), &served, "/healthz").is_err(), "the old one is shown still");
}

#[test]
fn files_that_do_not_belong_together_are_told_before_anything_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let house = Authority::new();
    house.issue(folder.path(), "one", "127.0.0.1");
    house.issue(folder.path(), "two", "127.0.0.1");
    let told = |files: &str| start(files, folder.path()).err().unwrap();
    let mixed = told("certificate_file = \"one.crt\"\nkey_file = \"two.key\"");
    assert!(mixed.contains("one.crt") && mixed.contains("that of key_file"), "{mixed}");
    let none = told("certificate_file = \"one.crt\"\nkey_file = \"three.key\"");
    assert!(none.contains("cannot read") && none.contains("three.key"), "{none}");
    let swapped = told("certificate_file = \"one.key\"\nkey_file = \"one.crt\"");
    assert!(swapped.contains("one.key\" holds no certificate"), "{swapped}");
}
