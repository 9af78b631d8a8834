//! What one more hot agent costs in memory.
//!
//! Knows how much memory the process holds. Must not measure time.

use tiltmeter::config::Config;
use tiltmeter::engine::Engine;
use tiltmeter::engine::unit::Position;
use tiltmeter::time::EventTime;
use tiltmeter::wire::audit_event;

/// Events of each agent, all in one session of one hour, over half as many resources.
const EVENTS: u64 = 50;
const RESOURCES: u64 = 25;
const FEW: u64 = 100_000;
const MANY: u64 = 1_100_000;
/// 2026-01-05T08:00:00Z.
const START_MS: i64 = 1_767_600_000_000;
/// All of it happens within half an hour, so that nothing closes. Milliseconds.
const SPAN_MS: u64 = 1_800_000;

/// Prints by how much resident memory grows per agent from few to many. Each has an open hour and an open session.
pub fn report() {
    let mut settings = Config::load(None).unwrap().settings().unwrap();
    settings.max_agents = 2 * MANY as usize;
    let mut engine = Engine::new(settings);
    watch(&mut engine, 0, FEW);
    let few = resident();
    watch(&mut engine, FEW, MANY);
    let many = resident();
    assert_eq!(engine.agents() as u64, MANY, "no agent was forgotten");
    println!("{FEW} agents {few} bytes, {MANY} agents {many} bytes resident");
    println!("memory of a hot agent     {:7.0} bytes", (many as f64 - few as f64) / (MANY - FEW) as f64);
}

/// Lets the agents from one number to another do their work.
fn watch(engine: &mut Engine, from: u64, to: u64) {
    let mut out = Vec::new();
    for round in 0..EVENTS {
        for agent in from..to {
            let number = from * EVENTS + round * (to - from) + agent - from;
            let time = EventTime(START_MS + (number * SPAN_MS / (EVENTS * MANY)) as i64);
            let line = line(time, agent, round);
            let event = audit_event::decode(line.as_bytes()).unwrap();
            engine.judge(&event, Position { source: 0, line: number + 1 }, &mut out);
            out.clear();
        }
    }
}

fn line(time: EventTime, agent: u64, round: u64) -> String {
    format!(
        r#"{{"time":"{time}","agent_id":"agent-{agent:07}","agent_type":"type-{:02}","session_id":"{agent:016x}",
        "event_id":"{agent:07}-{round:03}","action":"action-{}","resource":"folder/{}","outcome":"ok"}}"#,
        agent % 30,
        round % 7,
        (agent / 30 + round % RESOURCES * 31) % 500,
    )
}

/// Memory of this process that lies in RAM. Bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("memory is measured on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kilobytes") * 1024
}
