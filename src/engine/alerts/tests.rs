//! Tests of which open alert a finding belongs to, and of who may lead.

use super::*;
use crate::alert::Alert;
use crate::engine::kin::Kin;
use crate::time::EventTime;

fn open(family: Family, about: &str, unit: u64) -> OpenAlert {
    OpenAlert {
        id: String::new(),
        family,
        opened: EventTime::default(),
        about: about.into(),
        floor: Level::Medium,
        hold: Hold::default(),
        unit,
        p: 1e-4,
        told: Box::new(Alert::empty(family)),
    }
}

fn watched(open: impl IntoIterator<Item = OpenAlert>) -> Watched {
    let kin = Kin { agent_type: 2, type_name: "t".into(), tenant: None };
    let mut watched = Watched::new(1, "a", std::sync::Arc::new(kin), 0);
    watched.open.extend(open);
    watched
}

#[test]
fn another_family_of_the_same_unit_updates_the_open_alert() {
    let watched = watched([open(Family::Novelty, "", 7)]);
    assert_eq!(watched.open_alert(Family::Order, |unit| unit == 7), Some(0));
    assert_eq!(watched.open_alert(Family::Order, |unit| unit == 8), None);
}

#[test]
fn the_open_alert_of_the_same_family_comes_first() {
    let watched = watched([open(Family::Novelty, "", 7), open(Family::Order, "", 8)]);
    assert_eq!(watched.open_alert(Family::Order, |unit| unit == 7), Some(1));
}

#[test]
fn rules_and_silence_keep_alerts_of_their_own() {
    let watched = watched([open(Family::Rules, "", 7), open(Family::Bursts, "silence", 7)]);
    for family in [Family::Order, Family::Bursts] {
        assert_eq!(watched.open_alert(family, |unit| unit == 7), None);
    }
}

#[test]
fn a_family_that_kept_no_call_does_not_lead_while_another_did() {
    let share = |family, share| Share { family, detector: Detector::Access, share };
    let shares = [share(Family::Novelty, 0.5), share(Family::Order, 0.2), share(Family::Loops, 0.3)];
    assert_eq!(leading(&shares, |_| true), Some(Family::Novelty));
    assert_eq!(leading(&shares, |family| family == Family::Order), Some(Family::Order));
    assert_eq!(leading(&shares, |_| false), None);
}

#[test]
fn what_cannot_be_named_is_of_its_familys_kind_and_safe_for_its_unit_alone() {
    let mut spare = super::super::unit::Spare::default();
    let hours = [5, 6].map(|id| spare.unit(UnitKind::Hour, id, EventTime::default(), false));
    let about = |hour: &Unit| {
        let units = Units { session: None, hour, unit_before: [1.0; Family::COUNT] };
        units.about(Family::Bursts, hour)
    };
    let [(_, kind, one), (_, _, other)] = [about(&hours[0]), about(&hours[1])];
    assert_eq!(kind, RiskEventType::RequestSpike);
    assert_ne!(one, other);
}
