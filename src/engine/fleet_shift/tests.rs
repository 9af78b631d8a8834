//! Types whose agents alert together, and types whose agents do not.

use super::*;
use crate::config::Config;
use crate::engine::Settings;
use crate::time::HOUR_MS;

const TYPE: Key = 7;

fn settings() -> Settings {
    Config::default().settings().unwrap()
}

fn version() -> Version {
    Version::new(settings())
}

/// So many agents alert within an hour of event time (since 1970), one a minute.
fn alert(version: &mut Version, hour: i64, agents: usize) {
    let moved = (0..agents).map(|agent| Moved {
        time: EventTime(hour * HOUR_MS + agent as i64 * 60_000 % HOUR_MS),
        agent_id: format!("agent-{agent}").into(),
    });
    version.fleet_shifts.count(TYPE, "trader", moved.collect());
}

/// What is told when an hour begins: states, and agents told of.
fn told(version: &mut Version, hour: i64) -> Vec<(AlertState, f64)> {
    let mut out = Vec::new();
    version.tell_fleet_shifts(EventTime(hour * HOUR_MS), &mut out);
    out.iter()
        .filter_map(Output::alert)
        .map(|alert| {
            assert_eq!((&*alert.subject.kind, &*alert.subject.id), ("agent_type", "trader"));
            (alert.state, alert.findings[0].observed)
        })
        .collect()
}

#[test]
fn five_agents_within_an_hour_are_told_once_and_four_never() {
    for (agents, expected) in [(5, vec![(AlertState::Opened, 5.0)]), (4, Vec::new())] {
        let mut version = version();
        alert(&mut version, 100, agents);
        assert_eq!(told(&mut version, 101), expected);
        assert_eq!(told(&mut version, 101), []);
    }
}

#[test]
fn five_alerts_of_one_agent_are_no_shift_and_neither_are_five_hours() {
    let mut version = version();
    for minute in 0..5 {
        let moved = Moved { time: EventTime(100 * HOUR_MS + minute), agent_id: "one".into() };
        version.fleet_shifts.count(TYPE, "trader", vec![moved]);
    }
    for hour in 100..105 {
        let moved = Moved { time: EventTime(hour * HOUR_MS), agent_id: format!("agent-{hour}").into() };
        version.fleet_shifts.count(TYPE, "trader", vec![moved]);
    }
    assert_eq!(told(&mut version, 105), []);
}

#[test]
fn of_many_agents_five_are_few() {
    let mut version = version();
    let mut delta = crate::baseline::learning::Delta::new("trader");
    (0..200).for_each(|agent| delta.agent(crate::stats::key::mix(agent, 1), true));
    version.mint(EventTime(100 * HOUR_MS), [(TYPE, &mut delta)]);
    alert(&mut version, 100, 9);
    assert_eq!(told(&mut version, 101), []);
    alert(&mut version, 100, 12);
    assert_eq!(told(&mut version, 101), [(AlertState::Opened, 12.0)]);
}

#[test]
fn it_is_told_again_when_twice_as_many_move_and_closes_when_they_are_quiet() {
    let mut version = version();
    alert(&mut version, 100, 5);
    assert_eq!(told(&mut version, 101), [(AlertState::Opened, 5.0)]);
    alert(&mut version, 101, 9);
    assert_eq!(told(&mut version, 102), []);
    alert(&mut version, 101, 10);
    assert_eq!(told(&mut version, 102), [(AlertState::Updated, 10.0)]);
    assert_eq!(told(&mut version, 103), []);
    assert_eq!(told(&mut version, 104), [(AlertState::Closed, 10.0)]);
    alert(&mut version, 110, 6);
    assert_eq!(told(&mut version, 111), [(AlertState::Opened, 6.0)]);
}

#[test]
fn every_shift_has_an_id_of_its_own_and_keeps_it() {
    let mut version = version();
    let mut ids = Vec::new();
    for hour in [100, 200] {
        alert(&mut version, hour, 6);
        let mut out = Vec::new();
        version.tell_fleet_shifts(EventTime((hour + 1) * HOUR_MS), &mut out);
        // What was saved goes on where it stood.
        version = Version::restore(settings(), &version.save().unwrap()).unwrap();
        version.close_fleet_shifts(EventTime((hour + 2) * HOUR_MS), &mut out);
        let of_one: BTreeSet<String> =
            out.iter().filter_map(Output::alert).map(|alert| alert.alert_id.clone()).collect();
        assert_eq!((out.len(), of_one.len()), (2, 1));
        ids.extend(of_one);
    }
    assert_ne!(ids[0], ids[1]);
}
