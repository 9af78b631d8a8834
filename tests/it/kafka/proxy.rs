//! A proxy before a broker that knows a little of Kafka's protocol: it holds requests back, loses answers, cuts connections,
//! forges errors, or ends a process when a certain request passes.
//!
//! Knows frames, and whose and of which kind a request is. Must not know topics, nor what should be told.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Kinds of requests, as the protocol numbers them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i16)]
pub enum Api {
    Produce = 0,
    Fetch = 1,
    OffsetCommit = 8,
    OffsetFetch = 9,
    FindCoordinator = 10,
    InitProducerId = 22,
    AddPartitionsToTxn = 24,
    AddOffsetsToTxn = 25,
    EndTxn = 26,
    WriteTxnMarkers = 27,
    TxnOffsetCommit = 28,
}

/// What happens to a request or its answer.
pub enum Act {
    /// The broker gets the request so much later, even if whoever asked is gone by then.
    Delay(Duration),
    /// The broker gets the request, nobody gets the answer; the connection stays.
    LoseAnswer,
    /// The broker gets the request; from then on nothing comes back on this connection, which stays.
    OneWay,
    /// The connection is cut before the broker gets the request.
    CutBefore,
    /// The connection is cut when the broker has answered.
    CutAfter,
    /// The broker does what it was asked to; the answer says that it failed with this code.
    Error(i16),
    /// This is done in place of handing the request on, and the connection is cut.
    Before(Box<dyn FnOnce() + Send>),
    /// This is done when the broker has answered, and the connection is cut.
    After(Box<dyn FnOnce() + Send>),
    /// This is done and the request handed on.
    Then(Box<dyn FnOnce() + Send>),
}

struct Rule {
    api: Api,
    client: String,
    act: Act,
}

#[derive(Default)]
struct State {
    rule: Option<Rule>,
    /// Rules whose act is over, as far as the broker sees it.
    over: usize,
}

/// A proxy at work; it ends with the process.
#[derive(Clone)]
pub struct Proxy {
    state: Arc<(Mutex<State>, Condvar)>,
}

/// What an answer has to meet.
type Waiting = Arc<Mutex<HashMap<i32, (Api, i16, Act)>>>;

impl Proxy {
    /// Takes connections from a listener and passes them on to a port of this machine.
    pub fn start(listener: TcpListener, port: u16) -> Self {
        let proxy = Self { state: Arc::default() };
        let accepting = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let proxy = accepting.clone();
                thread::spawn(move || {
                    // A broker that is not there: the client sees a closed connection.
                    if let Ok(broker) = TcpStream::connect(("127.0.0.1", port)) {
                        proxy.connect(client, broker);
                    }
                });
            }
        });
        proxy
    }

    /// The next request of a kind from clients whose id begins so meets this; returns what [`Proxy::is_over`] wants.
    pub fn next(&self, api: Api, client: &str, act: Act) -> usize {
        let mut state = self.state.0.lock().unwrap();
        state.rule = Some(Rule { api, client: client.to_owned(), act });
        state.over + 1
    }

    /// Waits until the acts of so many rules are over; whether they are.
    pub fn is_over(&self, count: usize, within: Duration) -> bool {
        let until = Instant::now() + within;
        let mut state = self.state.0.lock().unwrap();
        while state.over < count {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.state.1.wait_timeout(state, left).unwrap().0;
        }
        true
    }

    fn connect(&self, client: TcpStream, broker: TcpStream) {
        let _ = (client.set_nodelay(true), broker.set_nodelay(true));
        let waiting = Waiting::default();
        let both = || Some((client.try_clone().ok()?, broker.try_clone().ok()?));
        let Some((from, to)) = both() else { return };
        let Some((back, answering)) = both() else { return };
        let (proxy, answers) = (self.clone(), Arc::clone(&waiting));
        thread::spawn(move || {
            let _ = proxy.answers(answering, back, &answers);
        });
        let _ = self.requests(from, to, &waiting);
        // The broker closes when it has answered what it was asked.
        let _ = broker.shutdown(Shutdown::Write);
    }

    fn requests(&self, mut client: TcpStream, mut broker: TcpStream, waiting: &Waiting) -> io::Result<()> {
        loop {
            let frame = frame(&mut client)?;
            let request = request(&frame);
            let act = request.as_ref().and_then(|request| self.meets(request));
            let expect = |api: Api, act: Act| {
                let Request { version, correlation, .. } = request.as_ref().unwrap();
                waiting.lock().unwrap().insert(*correlation, (api, *version, act));
            };
            match act {
                None => {}
                Some((_, Act::Delay(span))) => {
                    thread::sleep(span);
                    // Whoever asked may have closed; the request arrives all the same.
                    send(&mut broker, &frame)?;
                    self.over();
                    continue;
                }
                Some((_, Act::Then(act))) => act(),
                Some((_, Act::CutBefore)) => {
                    self.over();
                    return client.shutdown(Shutdown::Both);
                }
                Some((_, Act::Before(act))) => {
                    act();
                    self.over();
                    return client.shutdown(Shutdown::Both);
                }
                Some((api, act)) => expect(api, act),
            }
            send(&mut broker, &frame)?;
        }
    }

    fn answers(&self, mut broker: TcpStream, mut client: TcpStream, waiting: &Waiting) -> io::Result<()> {
        let mut deaf = false;
        loop {
            let mut frame = match frame(&mut broker) {
                Ok(frame) => frame,
                Err(error) => {
                    let _ = client.shutdown(Shutdown::Both);
                    return Err(error);
                }
            };
            let correlation = frame.get(..4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes);
            let met = correlation.and_then(|correlation| waiting.lock().unwrap().remove(&correlation));
            if let Some((api, version, act)) = met {
                match act {
                    Act::LoseAnswer => {
                        self.over();
                        continue;
                    }
                    Act::OneWay => {
                        deaf = true;
                        self.over();
                    }
                    Act::CutAfter => {
                        self.over();
                        let _ = client.shutdown(Shutdown::Both);
                        continue;
                    }
                    Act::After(act) => {
                        act();
                        self.over();
                        let _ = client.shutdown(Shutdown::Both);
                        continue;
                    }
                    Act::Error(code) => {
                        let forged = forge(&mut frame, api, version, code);
                        assert!(
                            forged.is_some(),
                            "the answer to {api:?} version {version} has another shape"
                        );
                        self.over();
                    }
                    Act::Delay(_) | Act::CutBefore | Act::Before(_) | Act::Then(_) => {}
                }
            }
            // To whoever has closed nothing comes, and the broker's answers are still taken.
            if !deaf {
                let _ = send(&mut client, &frame);
            }
        }
    }

    fn meets(&self, request: &Request<'_>) -> Option<(Api, Act)> {
        let mut state = self.state.0.lock().unwrap();
        let of = |rule: &mut Rule| rule.api as i16 == request.api && request.client.starts_with(&rule.client);
        state.rule.take_if(of).map(|rule| (rule.api, rule.act))
    }

    fn over(&self) {
        self.state.0.lock().unwrap().over += 1;
        self.state.1.notify_all();
    }
}

/// The head of a request.
struct Request<'f> {
    api: i16,
    version: i16,
    correlation: i32,
    client: &'f str,
}

/// What follows the length of a frame.
fn frame(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut frame)?;
    Ok(frame)
}

fn send(to: &mut TcpStream, frame: &[u8]) -> io::Result<()> {
    to.write_all(&[&(frame.len() as u32).to_be_bytes(), frame].concat())
}

fn request(frame: &[u8]) -> Option<Request<'_>> {
    let short = |at: usize| Some(i16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
    let correlation = i32::from_be_bytes(frame.get(4..8)?.try_into().ok()?);
    let length = usize::try_from(short(8)?).unwrap_or_default();
    let client = std::str::from_utf8(frame.get(10..10 + length)?).ok()?;
    Some(Request { api: short(0)?, version: short(2)?, correlation, client })
}

/// Puts an error code into an answer: into its only one, or that of its first partition.
fn forge(frame: &mut [u8], api: Api, version: i16, code: i16) -> Option<()> {
    let (flexible, throttled, by_partition) = match api {
        Api::EndTxn | Api::AddOffsetsToTxn => (version >= 3, true, false),
        Api::InitProducerId => (version >= 2, true, false),
        Api::FindCoordinator if version <= 3 => (version >= 3, version >= 1, false),
        Api::AddPartitionsToTxn if version <= 3 => (version >= 3, true, true),
        Api::TxnOffsetCommit => (version >= 3, true, true),
        Api::Produce => (version >= 9, false, true),
        _ => return None,
    };
    // Correlation, tags, time of throttling.
    let mut at = 4 + usize::from(flexible) + 4 * usize::from(throttled);
    if by_partition {
        if flexible {
            // Lengths of one byte, each one more than what they count.
            let name = usize::from(*frame.get(at + 1)?);
            at += 1 + name + 1;
        } else {
            let name = u16::from_be_bytes(frame.get(at + 4..at + 6)?.try_into().ok()?);
            at += 4 + 2 + usize::from(name) + 4;
        }
        // The number of the partition.
        at += 4;
    }
    frame.get_mut(at..at + 2)?.copy_from_slice(&code.to_be_bytes());
    Some(())
}
