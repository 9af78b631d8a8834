//! What one more hot agent costs in memory.
//!
//! Knows how much memory the process holds. Must not measure time.

use tiltmeter::engine::unit::Position;
use tiltmeter::time::EventTime;
use tiltmeter::wire::audit_event;

/// Events of each agent, all in one session of one hour, over half as many resources.
const EVENTS: u64 = 50;
const RESOURCES: u64 = 25;
const FEW: u64 = 100_000;
const MANY: u64 = 1_100_000;

/// Prints the difference in resident memory between few and many agents, per agent.
pub fn report() {
    let few = held_by(FEW);
    let many = held_by(MANY);
    println!("{FEW} agents {few} bytes, {MANY} agents {many} bytes resident");
    println!("memory of a hot agent     {:7.0} bytes", (many as f64 - few as f64) / (MANY - FEW) as f64);
}

/// Growth of resident memory by an engine with so many hot agents: each has an open hour and an open session.
/// Bytes.
fn held_by(agents: u64) -> u64 {
    let before = resident();
    let mut engine = super::engine();
    let mut out = Vec::new();
    for round in 0..EVENTS {
        for agent in 0..agents {
            let number = round * agents + agent;
            let time = EventTime(1_767_600_000_000 + (number * 1_800_000 / (EVENTS * agents)) as i64);
            let line = line(time, agent, round);
            let event = audit_event::decode(line.as_bytes()).unwrap();
            engine.judge(&event, Position { source: 0, line: number + 1 }, &mut out);
        }
    }
    let after = resident();
    assert_eq!(engine.agents() as u64, agents, "no agent was forgotten");
    after - before
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
