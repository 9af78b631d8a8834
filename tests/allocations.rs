//! Once everything is warm, judging an event asks for no memory.
//!
//! A test binary of its own: it counts every allocation of its process. It must hold nothing but this test,
//! because another one's allocations would be counted too.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly: that is their job")]

use std::alloc::System;
use std::path::Path;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tiltmeter::config::Config;
use tiltmeter::engine::Engine;
use tiltmeter::engine::unit::Position;
use tiltmeter::simulate::{Scenario, Simulation};
use tiltmeter::time::EventTime;
use tiltmeter::wire::audit_event;

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations allowed per event: those of an hour's turn and of alerts, spread over its events.
const ALLOWED: f64 = 0.003;

/// The same day comes so often before allocations are counted. Memory of units is used again and again, and it takes some
/// days until each piece of it has met a long session: .0025 allocations an event are left on the sixth day.
const WARM_UP_DAYS: i64 = 5;

/// A day of a fleet without attacks. It has false alerts, and an alert is made of text.
fn scenario() -> Scenario {
    Scenario { agents: 2_000, days: 1.0, attacks: Vec::new(), ..Scenario::default() }
}

/// The same lines, so many milliseconds later.
fn lines(later_ms: i64) -> Vec<Vec<u8>> {
    Simulation::new(&scenario())
        .unwrap()
        .map(|mut simulated| {
            simulated.event.time = EventTime(simulated.event.time.0 + later_ms);
            if let Some(id) = &simulated.event.event_id {
                simulated.event.event_id = Some(format!("{}-{later_ms}", &**id).into());
            }
            serde_json::to_vec(&simulated.event).unwrap()
        })
        .collect()
}

/// Decodes and judges all lines; alerts are thrown away.
fn judge_all(engine: &mut Engine, lines: &[Vec<u8>], out: &mut Vec<tiltmeter::engine::Output>) {
    for (line, number) in lines.iter().zip(1..) {
        let event = audit_event::decode(line).unwrap();
        engine.judge(&event, Position { source: 0, line: number }, out);
        out.clear();
    }
}

#[test]
fn when_the_same_day_comes_again_and_again_no_memory_is_asked_for() {
    // An alert is made of text: with hardly any budget there are hardly any, and what judging asks for is seen.
    let config = Config::parse("[alerts]\nper_day = 0.1\n", Path::new("quiet.toml")).unwrap();
    let mut engine = Engine::new(config.settings().unwrap());
    let mut out = Vec::with_capacity(64);
    for day in 0..WARM_UP_DAYS {
        judge_all(&mut engine, &lines(day * scenario().span_ms()), &mut out);
    }
    let again = lines(WARM_UP_DAYS * scenario().span_ms());
    let region = Region::new(COUNTING);
    judge_all(&mut engine, &again, &mut out);
    let change = region.change();
    let asked = change.allocations + change.reallocations;
    let per_event = asked as f64 / again.len() as f64;
    println!("{asked} allocations for {} events: {per_event:.5} per event", again.len());
    assert!(per_event <= ALLOWED, "{per_event:.5} allocations per event, at most {ALLOWED} are allowed");
}
