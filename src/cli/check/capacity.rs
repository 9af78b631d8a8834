//! What a fleet needs: memory for its agents and cores for its events, from a short measurement.
//!
//! Knows the engine, simulated traffic and this process. Must not know configuration files. Every figure is of the
//! machine it runs on, with whatever else runs on it, and says so.

use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount};

use crate::engine::unit::Position;
use crate::engine::{Engine, Settings};
use crate::event::Text;
use crate::simulate::{Scenario, Simulation};
use crate::wire::audit_event;

/// How long is measured.
const MEASURED_FOR: Duration = Duration::from_secs(1);
/// Events between two looks at the clock.
const TURN: u64 = 500;
/// Agents that are judged before the measurement, so that types and the fleet are known and code is warm.
const WARM_AGENTS: u32 = 100;
/// Agents of the measurement: enough that their memory stands out from the noise of allocation.
const MEASURED_AGENTS: u32 = 1_000;
/// Length of both simulations. Days; with the sessions of an average day a fast machine needs the second.
const DAYS: f64 = 1.0;
/// Of what is needed in the mean, so many times as much is advised: hours are not equally busy.
const HEADROOM: f64 = 2.0;

/// The fleet that is asked about.
#[derive(Clone, Copy, PartialEq, Debug, clap::Args)]
pub struct Fleet {
    /// Agents to be watched: tells the memory they need, after a second of measurement on this machine.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    agents: Option<u64>,

    /// Events a second to be judged: tells the cores they need, after a second of measurement on this machine.
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    rate: Option<u64>,
}

/// What was measured.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Measured {
    /// Events that were decoded and judged.
    events: u64,
    /// Agents that did them.
    agents: u64,
    /// Events a second on one core, decoding included.
    rate: f64,
    /// Memory of this process before the agents came, and what it grew by for each: with its part in what types
    /// learned meanwhile, which makes it too large rather than too small. Bytes; none where the system does not tell.
    memory: Option<(u64, f64)>,
}

/// What this machine has.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Machine {
    cores: f64,
    /// Bytes; none where the system does not tell.
    memory: Option<u64>,
}

impl Fleet {
    /// Whether anything is asked.
    pub fn is_asked(self) -> bool {
        self != Self { agents: None, rate: None }
    }

    /// Measures for about a second and tells what the fleet needs.
    ///
    /// # Errors
    ///
    /// When the simulator refuses its scenario, which a test excludes.
    pub fn told(self, settings: Settings) -> anyhow::Result<String> {
        let most_agents = settings.max_agents as u64;
        let measured = measure(settings, MEASURED_FOR)?;
        let machine = Machine {
            cores: std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64),
            memory: kilobytes("/proc/meminfo", "MemTotal:"),
        };
        Ok(measured.told(self, machine, most_agents))
    }
}

impl Measured {
    /// Memory of so many agents, with what the process needs besides. Bytes.
    fn memory_of(&self, agents: u64) -> Option<f64> {
        self.memory.map(|(fixed, of_agent)| fixed as f64 + agents as f64 * of_agent)
    }

    /// Cores that so many events a second keep busy in the mean.
    fn cores_of(&self, rate: u64) -> f64 {
        rate as f64 / self.rate
    }

    fn told(&self, fleet: Fleet, machine: Machine, most_agents: u64) -> String {
        let mut text = format!(
            "capacity, measured on this machine just now ({} simulated events of {} agents, decoding included):\n  \
             one core judges {} events/s\n",
            HumanCount(self.events),
            HumanCount(self.agents),
            HumanCount(self.rate as u64),
        );
        text += &match self.memory {
            Some((fixed, of_agent)) => format!(
                "  an agent needs {} bytes, each after {} events; the rest of the process {}\n",
                HumanCount(of_agent as u64),
                self.events / self.agents.max(1),
                HumanBytes(fixed)
            ),
            None => "  this system does not tell how much memory a process holds: memory is not estimated\n"
                .to_owned(),
        };
        // Share of this machine that each need takes, headroom included.
        let mut needs: Vec<(&str, f64)> = Vec::new();
        if let Some(agents) = fleet.agents {
            if let Some(bytes) = self.memory_of(agents) {
                text += &format!(
                    "estimate for {} agents: {} of memory; {} with a headroom of {HEADROOM}\n",
                    HumanCount(agents),
                    HumanBytes(bytes as u64),
                    HumanBytes((HEADROOM * bytes) as u64)
                );
                needs.extend(machine.memory.map(|there| ("memory", HEADROOM * bytes / there as f64)));
            }
            if agents > most_agents {
                text += &format!(
                    "  [agents] max = {most_agents} keeps no more at once: raise it, or those unseen for longest are \
                     forgotten\n"
                );
            }
        }
        if let Some(rate) = fleet.rate {
            let cores = self.cores_of(rate);
            text += &format!(
                "estimate for {} events/s: {cores:.2} cores busy; {} with a headroom of {HEADROOM}\n",
                HumanCount(rate),
                (HEADROOM * cores).ceil()
            );
            if HEADROOM * cores > 1.0 {
                text += "  one process judges on one core: share the agents out among several\n";
            }
            needs.push(("cores", HEADROOM * cores / machine.cores));
        }
        if let Some((what, share)) = needs.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)) {
            let verdict =
                if share > 1.0 { "this machine is too small" } else { "this machine is large enough" };
            text += &format!(
                "what limits: {what}; with the headroom it takes {:.0} % of this machine's; {verdict}\n",
                share * 100.0
            );
        }
        text
    }
}

/// Judges simulated traffic for a while.
fn measure(settings: Settings, time: Duration) -> anyhow::Result<Measured> {
    let mut engine = Engine::new(settings);
    let mut alerts = Vec::new();
    for (line, number) in lines(WARM_AGENTS, "warm")?.split(|byte| *byte == b'\n').zip(1..) {
        judge(&mut engine, line, number, &mut alerts);
    }
    let traffic = lines(MEASURED_AGENTS, "measured")?;
    let held = || kilobytes("/proc/self/status", "VmRSS:");
    let (known, before) = (engine.agents(), held());
    let (mut events, clock) = (0u64, Instant::now());
    for (line, number) in traffic.split(|byte| *byte == b'\n').zip(1..) {
        events += judge(&mut engine, line, number, &mut alerts);
        if number.is_multiple_of(TURN) && clock.elapsed() >= time {
            break;
        }
    }
    let took = clock.elapsed().as_secs_f64();
    let agents = engine.agents().saturating_sub(known) as u64;
    let memory = before.zip(held()).map(|(before, after)| {
        let fixed = before.saturating_sub(traffic.len() as u64);
        (fixed, after.saturating_sub(before) as f64 / agents.max(1) as f64)
    });
    Ok(Measured { events, agents, rate: events as f64 / took.max(f64::MIN_POSITIVE), memory })
}

/// Judges a line; the number of events in it, one or, for an empty line, none.
fn judge(engine: &mut Engine, line: &[u8], number: u64, alerts: &mut Vec<crate::engine::Output>) -> u64 {
    let Ok(event) = audit_event::decode(line) else { return 0 };
    engine.judge(&event, Position { source: 0, line: number }, alerts);
    alerts.clear();
    1
}

/// Traffic as a sensor would send it, one event a line, in memory. Agents of different `name`s are different agents.
fn lines(agents: u32, name: &str) -> anyhow::Result<Vec<u8>> {
    let scenario = Scenario { agents, days: DAYS, attacks: Vec::new(), ..Scenario::default() };
    let mut lines = Vec::new();
    for mut simulated in Simulation::new(&scenario)? {
        simulated.event.agent_id = Text::from(format!("{name}-{}", simulated.event.agent_id.as_str()));
        serde_json::to_writer(&mut lines, &simulated.event)?;
        lines.write_all(b"\n")?;
    }
    Ok(lines)
}

/// A figure that Linux tells in kilobytes, in bytes; none elsewhere.
fn kilobytes(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const MACHINE: Machine = Machine { cores: 4.0, memory: Some(8 << 30) };

    fn measured() -> Measured {
        Measured { events: 50_000, agents: 1_000, rate: 100_000.0, memory: Some((50_000_000, 3_000.0)) }
    }

    #[test]
    fn twice_the_agents_need_twice_the_memory_and_twice_the_events_twice_the_cores() {
        let measured = measured();
        let few = measured.memory_of(1_000_000).unwrap();
        let many = measured.memory_of(2_000_000).unwrap();
        assert!((many / few - 2.0).abs() < 0.05, "{few} {many}");
        assert!((measured.cores_of(60_000) / measured.cores_of(30_000) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_told_names_needs_and_limits() {
        let told = |agents, rate| measured().told(Fleet { agents, rate }, MACHINE, 1_000_000);
        let both = told(Some(1_000_000), Some(60_000));
        for part in [
            "measured on this machine just now (50,000 simulated events of 1,000 agents",
            "one core judges 100,000 events/s",
            "an agent needs 3,000 bytes, each after 50 events",
            "estimate for 1,000,000 agents: 2.84 GiB of memory; 5.68 GiB with a headroom of 2",
            "estimate for 60,000 events/s: 0.60 cores busy; 2 with a headroom of 2",
            "one process judges on one core",
            "what limits: memory; with the headroom it takes 71 % of this machine's",
        ] {
            assert!(both.contains(part), "{part} is missing in:\n{both}");
        }
        let many = told(Some(2_000_000), None);
        assert!(many.contains("[agents] max = 1000000") && many.contains("too small"), "{many}");
        let fast = told(None, Some(250_000));
        assert!(
            fast.contains("what limits: cores; with the headroom it takes 125 %")
                && !fast.contains("estimate for 1"),
            "{fast}"
        );
        let blind = Measured { memory: None, ..measured() };
        let blind = blind.told(Fleet { agents: Some(5), rate: None }, MACHINE, 10);
        assert!(blind.contains("memory is not estimated") && !blind.contains("what limits"), "{blind}");
    }

    #[test]
    fn the_real_engine_is_measured() {
        // No time at all: one turn is judged, however slow the machine.
        let measured = measure(Config::default().settings().unwrap(), Duration::ZERO).unwrap();
        assert_eq!(measured.events, TURN);
        assert!(measured.agents > 50 && measured.rate > 1.0, "{measured:?}");
        assert_eq!(measured.memory.is_some(), std::path::Path::new("/proc/self/status").exists());
    }
}
