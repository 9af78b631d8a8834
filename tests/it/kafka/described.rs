//! A running instance is held to its own OpenAPI document, by a validator and a fuzzer that nobody here wrote.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::deployment::{Deployment, events};
use super::rig::{left_out, shared};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn every_answer_is_one_that_the_document_describes() {
    let Some(brokers) = shared() else { return left_out("the fuzzer of the HTTP interface") };
    let python = std::env::var_os("TILTMETER_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check_http.py");
    let Ok(known) =
        Command::new(&python).args(["-c", "import openapi_spec_validator, schemathesis"]).output()
    else {
        return println!("left out: http: {python:?} is not here");
    };
    if !known.status.success() {
        return println!(
            "left out: http: the packages openapi-spec-validator and schemathesis are not here (pip)"
        );
    }
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/outputs/caep-keys.pem");
    let caep =
        format!("[caep]\nissuer = \"https://t.example\"\naudience = \"x\"\nkeys = {{ file = {keys:?} }}\n");
    let deployment = Deployment::new("described", &brokers.brokers, 1, "").with_table(&caep);
    deployment.produce(&events(500, 5));
    let mut instance = deployment.start_with("a", &["run", "--listen", "127.0.0.1:0"]);
    let until = Instant::now() + PATIENCE;
    let address = loop {
        let log = instance.log();
        let told = log.rsplit_once("answers at http://").and_then(|(_, rest)| rest.split_once("/readyz"));
        if let Some((address, _)) = told {
            break address.to_owned();
        }
        assert!(instance.is_running() && Instant::now() < until, "{log}");
        std::thread::sleep(Duration::from_millis(50));
    };
    deployment.wait(&mut [&mut instance]);
    let ran = Command::new(&python)
        .arg(&script)
        .arg(format!("http://{address}"))
        .args(["--examples", "15"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    match ran.status.code() {
        Some(3) => println!("left out: {}", told.trim()),
        code => assert_eq!(code, Some(0), "{told}{}", String::from_utf8_lossy(&ran.stderr)),
    }
    println!("{}", told.trim());
    assert_eq!(instance.stop().1, Some(0), "{}", instance.log());
}
