//! Who is let in, who is cut off, and who is waited for no longer.

use std::io::{Read, Write};
use std::net::SocketAddr;

use axum::routing::get;

use super::*;

fn open(limits: Limits) -> (SocketAddr, Arc<Metrics>, Arc<News>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let (metrics, news) = (Arc::new(Metrics::new()), Arc::new(News::default()));
    let large = get(async || "x".repeat(64 << 20));
    let routes = Router::new().route("/", get(async || "lives")).route("/large", large);
    let (told, counted) = (Arc::clone(&news), Arc::clone(&metrics));
    let door = Door { limits, routes, encrypted: None, metrics: counted, news: told };
    std::thread::spawn(move || runtime.block_on(door.open(listener)));
    (address, metrics, news)
}

fn ask(stream: &mut std::net::TcpStream, path: &str, more: &str) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n").unwrap();
}

#[test]
fn who_holds_connections_and_says_nothing_keeps_nobody_from_an_answer() {
    let (address, metrics, news) = open(Limits { most: 8, ..Limits::default() });
    let connect = || std::net::TcpStream::connect(address).unwrap();
    let mut scraper = connect();
    ask(&mut scraper, "/", "");
    let mut buffer = [0; 1024];
    assert!(scraper.read(&mut buffer).unwrap() > 0);
    let mut silent: Vec<_> = (0..20)
        .map(|number| {
            let mut stream = connect();
            if number % 2 == 0 {
                stream.write_all(b"GET / HTT").unwrap();
            }
            stream
        })
        .collect();
    let mut told = String::new();
    let mut last = connect();
    ask(&mut last, "/", "Connection: close\r\n");
    last.read_to_string(&mut told).unwrap();
    assert!(told.ends_with("lives"), "{told}");
    assert!(matches!(silent[0].read(&mut buffer), Ok(0) | Err(_)), "the oldest silent one is cut off");
    ask(&mut scraper, "/", "");
    assert!(scraper.read(&mut buffer).unwrap() > 0, "who asked before is kept rather than who never did");
    assert!(metrics.figures.http_cut.with_label_values::<&str>(&[]).get() >= 13);
    let lines = news.take();
    assert!(lines.len() == 1 && lines[0].1.contains("more than 8 connections"), "{lines:?}");
}

#[test]
fn a_head_that_does_not_come_to_its_end_is_waited_for_no_longer_than_it_may_take() {
    let head_within = Duration::from_millis(50);
    let (address, ..) = open(Limits { head_within, ..Limits::default() });
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow:").unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    assert!(!told.contains("lives"), "{told}");
}

#[test]
fn who_takes_nothing_of_an_answer_loses_the_connection() {
    let taken_within = Duration::from_millis(50);
    let (address, ..) = open(Limits { taken_within, ..Limits::default() });
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    ask(&mut stream, "/large", "");
    // Until it is cut off what is sent is taken by nobody; then the system says so to whoever writes.
    while stream.write_all(b"GET").is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
}
