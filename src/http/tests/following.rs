//! What is told to those who follow.

use std::net::TcpStream;

use super::*;
use crate::kafka::secret::SecretPlace;

/// A response whose body has no end is read until a text is in it.
fn follow(address: SocketAddr, headers: &str, until: &str, meanwhile: impl FnOnce()) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").unwrap();
    let mut told = Vec::new();
    let mut meanwhile = Some(meanwhile);
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "it has ended: {}", String::from_utf8_lossy(&told));
        told.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&told).into_owned();
        if text.contains("\r\n\r\n")
            && let Some(meanwhile) = meanwhile.take()
        {
            meanwhile();
        }
        if text.contains(until) {
            return text;
        }
    }
}

#[test]
fn what_happens_is_told_to_those_who_follow_and_who_missed_something_is_told_so() {
    let lookup = Arc::new(Lookup::default());
    let served = started(&settings(), &lookup);
    lookup.take_alert(ALERT.as_bytes()).unwrap();
    assert_eq!(get(served.address, "/v1/events").0, 503);
    lookup.read_until(now_ms());
    let risk = RISK.replace('\n', " ");
    let told = follow(served.address, "", "c0ffee", || {
        lookup.take_risk((3, 17), b"acme/mailer/1", Some(risk.as_bytes())).unwrap();
    });
    assert!(told.contains("text/event-stream") && told.contains("event: risk\n"), "{told}");
    assert!(!told.contains("event: alert"), "what was there before is no news: {told}");
    let id = told.split("id: ").nth(1).unwrap().split('\n').next().unwrap();
    let told = follow(served.address, &format!("Last-Event-ID: {id}\r\n"), "event: alert", || {
        lookup.take_alert(ALERT.as_bytes()).unwrap();
    });
    assert!(!told.contains("event: gap") && !told.contains("event: risk"), "{told}");
    for unknown in ["17-1", "x", &format!("{}9", id)] {
        let told = follow(served.address, &format!("Last-Event-ID: {unknown}\r\n"), "event: gap", || ());
        assert!(!told.contains("event: risk"), "{told}");
    }
}

#[test]
fn whose_token_is_taken_away_follows_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("viewers");
    std::fs::write(&path, "a-token-of-a-viewer\n").unwrap();
    let viewers = HttpSettings { viewer_tokens: Some(SecretPlace::File(path.clone())), ..settings() };
    let lookup = Arc::new(Lookup::default());
    let served = started(&viewers, &lookup);
    lookup.read_until(now_ms());
    let mut stream = TcpStream::connect(served.address).unwrap();
    let token = "Authorization: Bearer a-token-of-a-viewer";
    write!(stream, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{token}\r\n\r\n").unwrap();
    let mut buffer = [0; 1024];
    assert!(stream.read(&mut buffer).unwrap() > 0, "it is let in");
    std::fs::write(&path, "another-token-of-a-viewer\n").unwrap();
    // It says that it is there still until it ends.
    let mut told = String::new();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while !told.ends_with("0\r\n\r\n") {
        let read = stream.read(&mut buffer).unwrap();
        told += &String::from_utf8_lossy(&buffer[..read]);
        assert!(std::time::Instant::now() < until, "it follows for ever: {told}");
    }
}
