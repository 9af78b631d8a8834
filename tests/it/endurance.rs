//! What months and years do to the baselines, and what a source does to them that writes nonsense.
//!
//! Knows streams that go on and on. Must not know how anything fades.

use std::path::Path;

use tiltmeter::baseline::agent::KeySpace;
use tiltmeter::baseline::learning::MOST_TYPES;
use tiltmeter::config::Config;
use tiltmeter::engine::unit::Position;
use tiltmeter::engine::{Engine, Output};
use tiltmeter::finding::Family;
use tiltmeter::time::{DAY_MS, EventTime, HOUR_MS};
use tiltmeter::wire::audit_event::decode;

/// 2026-01-05T08:00:00Z, a Monday.
const START: EventTime = EventTime(1_767_600_000_000);

fn engine() -> Engine {
    Engine::new(Config::parse("", Path::new("")).unwrap().settings().unwrap())
}

/// Judges one call.
fn call(engine: &mut Engine, ms: i64, agent: &str, agent_type: &str, resource: &str) -> Vec<Output> {
    let time = START.plus_ms(ms);
    let line = format!(
        r#"{{"time":"{time}","agent_id":"{agent}","agent_type":"{agent_type}","action":"read","resource":"{resource}"}}"#
    );
    let mut out = Vec::new();
    engine.judge(&decode(line.as_bytes()).unwrap(), Position::default(), &mut out);
    out
}

/// Share of the type's agents that use a resource, as a newborn one is judged by it.
fn share(engine: &Engine, resource: &str) -> f64 {
    let identity = Config::parse("", Path::new("")).unwrap().settings().unwrap().identity;
    let own = engine.baselines().types.values().next();
    engine.baselines().key_share(own, KeySpace::Resource, identity.of(resource)).0
}

#[test]
fn what_all_agents_do_every_day_stays_usual_for_years_and_what_they_gave_up_does_not() {
    let mut engine = engine();
    let mut usual = Vec::new();
    for day in 0..800 {
        for agent in 0..20 {
            let ms = day * DAY_MS + agent * 60_000;
            call(&mut engine, ms, &format!("a{agent}"), "clerk", "crm/orders");
            // Every other agent looks into the archive once in three weeks, until the first year is over.
            if agent % 2 == 0 && day % 21 == agent && day < 365 {
                call(&mut engine, ms + 1000, &format!("a{agent}"), "clerk", "crm/archive");
            }
        }
        if day % 40 == 30 {
            usual.push((share(&engine, "crm/orders"), share(&engine, "crm/archive")));
        }
    }
    assert!(usual.iter().all(|(orders, _)| *orders > 0.9), "{usual:?}");
    let while_used = usual.iter().take(9).map(|(_, archive)| *archive);
    assert!(while_used.clone().all(|share| (0.25..0.75).contains(&share)), "{usual:?}");
    assert!(usual.last().unwrap().1 < 0.05, "given up for a year: {usual:?}");
}

#[test]
fn agents_that_live_for_a_day_do_not_make_the_tools_of_today_look_rare() {
    let mut engine = engine();
    for day in 0..200 {
        let tool = if day < 100 { "old" } else { "new" };
        for agent in 0..10 {
            call(&mut engine, day * DAY_MS + agent * 60_000, &format!("{day}-{agent}"), "job", tool);
        }
    }
    assert!(share(&engine, "new") > 0.7, "{}", share(&engine, "new"));
    assert!(share(&engine, "old") < 0.3, "{}", share(&engine, "old"));
}

#[test]
fn a_source_that_writes_another_type_into_every_event_fills_no_memory_and_displaces_nobody() {
    let mut engine = engine();
    for hour in 0..6 {
        for n in 0..MOST_TYPES as i64 {
            let nonsense = format!("build-{hour}-{n}");
            call(&mut engine, hour * HOUR_MS + n * 500, &format!("b{}", n % 50), &nonsense, "log");
            if n % 200 == 0 {
                call(&mut engine, hour * HOUR_MS + n * 500 + 1, "clerk-1", "clerk", "crm/orders");
            }
        }
    }
    let baselines = engine.baselines();
    assert_eq!(baselines.types.len(), MOST_TYPES);
    assert!(baselines.types.values().any(|own| own.name == "clerk"));
}

#[test]
fn a_host_that_is_ten_years_ahead_makes_nobody_forget() {
    let (mut led, mut plain) = (engine(), engine());
    for day in 0..20 {
        for minute in 0..60 {
            let ms = day * DAY_MS + minute * 60_000;
            for agent in 0..4 {
                for engine in [&mut led, &mut plain] {
                    call(engine, ms, &format!("a{agent}"), "clerk", "crm/orders");
                }
            }
            if day == 10 {
                for rogue in ["r1", "r2"] {
                    call(&mut led, ms + 3653 * DAY_MS, rogue, "rogue", "log");
                }
            }
        }
    }
    let (led, plain) = (led.baselines(), plain.baselines());
    assert_eq!(led.day, plain.day);
    let clerks = |of: &tiltmeter::baseline::pool::Baselines| {
        of.types.values().find(|own| own.name == "clerk").map(|own| own.units())
    };
    assert_eq!(clerks(led), clerks(plain));
}

#[test]
fn one_call_of_next_year_does_not_hold_its_agents_hours_open() {
    let (mut once, mut never) = (engine(), engine());
    for engine in [&mut once, &mut never] {
        for minute in 0..600 {
            for agent in ["a", "b", "c"] {
                call(engine, minute * 60_000, agent, "clerk", "crm/orders");
            }
        }
    }
    call(&mut once, 600 * 60_000 + 400 * DAY_MS, "a", "clerk", "crm/orders");
    for engine in [&mut once, &mut never] {
        for minute in 600..3000 {
            for agent in ["a", "b", "c"] {
                call(engine, minute * 60_000, agent, "clerk", "crm/orders");
            }
        }
    }
    let units = |engine: &Engine| engine.baselines().types.values().next().unwrap().units();
    let ([_, once], [_, never]) = (units(&once), units(&never));
    assert!((once - never).abs() < 0.5, "hours of the agent close as ever: {once} {never}");
}

#[test]
fn after_a_long_holiday_the_first_calls_are_no_burst() {
    let mut engine = engine();
    let mut least = 1.0_f64;
    for day in (0..20).chain([30]) {
        for minute in (0..480).step_by(6) {
            for agent in ["a", "b"] {
                let time = START.plus_ms(day * DAY_MS + minute * 60_000);
                let line = format!(
                    r#"{{"time":"{time}","agent_id":"{agent}","agent_type":"clerk","action":"read"}}"#
                );
                let event = decode(line.as_bytes()).unwrap();
                let judged = engine.judge(&event, Position::default(), &mut Vec::new());
                if day == 30 {
                    least = least.min(judged.families[Family::Bursts as usize]);
                }
            }
        }
    }
    assert!(least > 0.1, "ten calls an hour as ever, p = {least}");
}
