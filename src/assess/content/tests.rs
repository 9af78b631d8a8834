//! The score of one call: what adds to it, and what must not.

use proptest::prelude::*;

use super::*;
use crate::detect::vocabulary::Vocabulary;
use crate::event::AuditEvent;
use crate::identity::Identity;

const FROM_TEXT: &str = r#""origin":"tool","origin_form":"free_text","anchored":false,"#;
const FROM_USER: &str = r#""origin":"user","#;

/// Evidence about a mail to a recipient of this origin, where so many bits of its keys are new to the agent.
fn judged(origin: &str, keys: f64) -> Contents {
    let line = format!(
        r#"{{"time":"2026-01-05T08:00:00Z","agent_id":"a","action":"send_email",
            "arguments":[{{"name":"to",{origin}"class":"email","hash":"0000000000aa"}}]}}"#
    );
    let event: AuditEvent<'_> = serde_json::from_str(&line).unwrap();
    let mut vocabulary = Vocabulary::new(Identity::new([7; 16]), None);
    let order = crate::detect::sequence::judge(
        &Baselines::default(),
        None,
        &Default::default(),
        &vocabulary.call(&event),
    );
    judge(&ContentSettings::default(), &Baselines::default(), None, &vocabulary.call(&event), &order, keys)
}

fn bits(contents: &Contents) -> f64 {
    contents.iter().flatten().map(|content| content.bits).sum()
}

#[test]
fn what_is_new_to_the_agent_weighs_beside_a_value_that_nobody_asked_for() {
    let (known, new) = (judged(FROM_TEXT, 0.0), judged(FROM_TEXT, 30.0));
    assert!(bits(&new) > bits(&known) + 2.0, "{new:?} against {known:?}");
    assert!(new.iter().flatten().all(|content| content.keys > 0.0), "{new:?}");
}

#[test]
fn what_is_new_to_the_agent_says_nothing_of_a_value_that_the_user_named() {
    assert_eq!(bits(&judged(FROM_USER, 60.0)), 0.0);
}

#[test]
fn a_new_task_may_bring_new_things_of_its_own() {
    assert_eq!(judged(FROM_TEXT, EVERYDAY_KEY_BITS), judged(FROM_TEXT, 0.0));
}

#[test]
fn where_no_origin_is_known_new_keys_count_too() {
    assert!(bits(&judged("", 30.0)) > bits(&judged("", 0.0)));
}

proptest! {
    #[test]
    fn evidence_is_the_sum_of_its_parts_and_grows_with_what_is_new(keys in 0.0..80.0f64, more in 0.0..20.0f64) {
        let (one, other) = (judged(FROM_TEXT, keys), judged(FROM_TEXT, keys + more));
        prop_assert!(bits(&other) >= bits(&one));
        for content in other.iter().flatten() {
            let sum = content.provenance + content.novelty + content.keys + content.order;
            prop_assert!((content.bits - sum).abs() < 1e-9);
        }
    }
}
