//! Agents come back as they were taken in, page by page and by level.

use proptest::prelude::*;

use super::*;
use crate::finding::{Detector, RiskEventType};
use crate::risk::Decision;

/// A risk update of an agent.
fn update(tenant: Option<&str>, agent: &str, level: Level, score: f64) -> RiskUpdate {
    let risky = level > Level::None;
    RiskUpdate {
        schema: RISK_SCHEMA.to_owned(),
        agent_id: agent.to_owned(),
        tenant: tenant.map(str::to_owned),
        agent_type: format!("type-{}", agent.len() % 3),
        seq: 3,
        level,
        previous_level: Level::Low,
        level_uncapped: Level::High,
        score,
        reasons: if risky {
            vec![Reason {
                detector: Detector::Access,
                risk_event_type: Some(RiskEventType::UnfamiliarToolUse),
                points: score,
            }]
        } else {
            Vec::new()
        },
        cause: Cause::Finding,
        as_of: EventTime(1_700_000_000_123),
        expires_at: risky.then_some(EventTime(1_700_000_600_000)),
        alert_count: 2,
        open_alerts: if risky { vec!["2dcf8d".to_owned()] } else { Vec::new() },
        proposed: (level == Level::High).then(|| Proposal {
            verdict: Decision::ConfirmSafe,
            by: "ann".to_owned(),
            until: EventTime(1_700_000_700_000),
        }),
        monitoring: Monitoring::Degraded,
        maturity: "young".to_owned(),
        baseline: 17,
        config: "c0ffee".to_owned(),
    }
}

fn take(agents: &mut Agents, place: (i32, i64), risk: &RiskUpdate) {
    let key = risk_key(risk.tenant.as_deref(), &risk.agent_id);
    agents.take(place, key.as_bytes(), Some(&serde_json::to_vec(risk).unwrap())).unwrap();
}

fn all(agents: &Agents, wanted: &Wanted) -> Vec<String> {
    let mut wanted = wanted.clone();
    let mut found = Vec::new();
    loop {
        let page = agents.page(&wanted);
        assert!(page.agents.len() <= wanted.limit);
        found.extend(page.agents.into_iter().map(|found| found.risk.agent_id));
        let Some(next) = page.next else { return found };
        wanted.after = Some(next);
    }
}

#[test]
fn an_update_comes_back_as_it_was_and_the_latest_holds() {
    let mut agents = Agents::default();
    for (tenant, level) in [(None, Level::High), (Some("acme"), Level::None)] {
        let risk = update(tenant, "a/b", level, 71.5);
        take(&mut agents, (4, 9), &update(tenant, "a/b", Level::Medium, 50.0));
        take(&mut agents, (4, 10), &risk);
        assert_eq!(agents.of(tenant, "a/b"), Some(Found { risk, place: (4, 10) }));
        assert_eq!(agents.count(level, Monitoring::Degraded), 1);
    }
    assert_eq!(agents.count(Level::Medium, Monitoring::Degraded), 0);
    assert_eq!(agents.of(Some("acme"), "a"), None);
    assert_eq!(agents.of(None, "acme/a/b"), None, "the tenant is no part of the id");
    agents.take((4, 11), risk_key(None, "a/b").as_bytes(), None).unwrap();
    assert_eq!(agents.of(None, "a/b"), None);
    assert_eq!(agents.count(Level::High, Monitoring::Degraded), 0);
    assert!(agents.take((0, 1), b"x", Some(b"{}")).is_err());
}

#[test]
fn pages_hold_everyone_once_the_riskiest_levels_first() {
    let mut agents = Agents::default();
    let levels = [Level::None, Level::High, Level::Low];
    for number in 0..30 {
        let name = "a".repeat(number + 1);
        take(&mut agents, (0, 0), &update(None, &name, levels[number % 3], number as f64));
    }
    for (limit, look_at) in [(1, 1), (4, 100), (7, 3), (100, 100)] {
        let wanted = Wanted { limit, look_at, ..Wanted::default() };
        let found = all(&agents, &wanted);
        assert_eq!(found.len(), 30);
        assert_eq!(found[0].len() % 3, 2, "high comes first");
        let high = all(&agents, &Wanted { level: Some(Level::High), ..wanted.clone() });
        assert_eq!(high, found[..10]);
        let of_type = Wanted { agent_type: Some("type-1".to_owned()), ..wanted.clone() };
        assert_eq!(all(&agents, &of_type).len(), 10);
        let of_none = Wanted { agent_type: Some("type-9".to_owned()), ..wanted };
        assert_eq!(all(&agents, &of_none).len(), 0);
    }
    let riskiest: Vec<f64> = agents.riskiest(12).into_iter().map(|(_, score)| score).collect();
    assert_eq!(riskiest, [28.0, 25.0, 22.0, 19.0, 16.0, 13.0, 10.0, 7.0, 4.0, 1.0, 29.0, 26.0]);
    assert_eq!(agents.riskiest(0), []);
    assert_eq!(agents.riskiest(1000).len(), 20, "of level none nobody is risky");
}

#[test]
fn an_agent_of_which_there_is_nothing_to_say_takes_little_memory() {
    assert!(size_of::<Known>() <= 112, "{}", size_of::<Known>());
}

proptest! {
    #[test]
    fn whatever_comes_in_the_counts_are_those_of_the_agents(
        taken in prop::collection::vec((0..9_usize, 0..4_usize, any::<bool>()), 0..60)
    ) {
        let mut agents = Agents::default();
        for (agent, level, gone) in taken {
            let name = format!("a{agent}");
            if gone {
                agents.take((0, 0), name.as_bytes(), None).unwrap();
            } else {
                take(&mut agents, (0, 0), &update(None, &name, Level::ALL[level], 1.0));
            }
        }
        for level in Level::ALL {
            let wanted = Wanted { level: Some(level), limit: 100, look_at: 100, ..Wanted::default() };
            prop_assert_eq!(agents.page(&wanted).agents.len(), agents.count(level, Monitoring::Degraded));
        }
    }
}

#[test]
fn types_that_were_made_up_are_forgotten_with_the_agents_that_had_them() {
    let mut agents = Agents::default();
    take(&mut agents, (0, 0), &update(None, "steady", Level::High, 90.0));
    for number in 0..3 * WORDS {
        let risk =
            RiskUpdate { agent_type: format!("type {number}"), ..update(None, "mole", Level::Low, 1.0) };
        take(&mut agents, (0, 1), &risk);
    }
    assert!(agents.words.by_number.len() < 2 * WORDS, "{} words", agents.words.by_number.len());
    let steady = agents.of(None, "steady").unwrap();
    assert_eq!(steady.risk, update(None, "steady", Level::High, 90.0));
    assert_eq!(agents.of(None, "mole").unwrap().risk.agent_type, format!("type {}", 3 * WORDS - 1));
}
