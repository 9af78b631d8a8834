//! Claims follow from risk updates alone, and what is no change is not told.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use super::*;
use crate::wire::outputs::Told;
use crate::wire::outputs::record::samples;

fn transmitter(subject_issuer: Option<&str>) -> Transmitter {
    let parties = Parties {
        issuer: "https://tiltmeter.example".to_owned(),
        audience: "https://idp.example/ssf".to_owned(),
        principal: "APPLICATION".to_owned(),
        subject_issuer: subject_issuer.map(str::to_owned),
    };
    let keys = include_str!("../../../../tests/data/outputs/caep-keys.pem");
    Transmitter::new(parties, Keys::from_pem(keys).unwrap())
}

fn risk() -> RiskUpdate {
    match &samples()[1] {
        Told::Risk(risk) => risk.as_ref().clone(),
        Told::Alert(_) => panic!("the second sample is a risk update"),
    }
}

fn claims(risk: &RiskUpdate) -> Value {
    let token = transmitter(None).token(risk, &risk.agent_id).unwrap().unwrap().value;
    let token = String::from_utf8(token).unwrap();
    serde_json::from_slice(&BASE64.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[test]
fn a_token_has_what_the_profiles_ask_for_and_nothing_that_they_forbid() {
    let claims = claims(&risk());
    let names: Vec<&str> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["aud", "events", "iat", "iss", "jti", "sub_id", "txn"]);
    assert!(claims["iat"].is_u64() || claims["iat"].is_i64());
    let events = claims["events"].as_object().unwrap();
    let event = &events[EVENT];
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&event["current_level"], &event["previous_level"], &event["principal"]),
        (&"MEDIUM".into(), &"LOW".into(), &"APPLICATION".into())
    );
    assert_eq!(event["risk_reason"], "untrustedArgumentOrigin");
    assert_eq!(claims["sub_id"]["application"], json!({ "format": "opaque", "id": "agent" }));
    assert_eq!(claims["sub_id"]["tenant"], json!({ "format": "opaque", "id": "tenant" }));
}

#[test]
fn none_and_low_are_one_level_to_a_receiver_and_every_other_step_is_told() {
    let transmitter = transmitter(Some("https://login.example"));
    for previous_level in Level::ALL {
        for level in Level::ALL {
            let risk = RiskUpdate { level, previous_level, level_uncapped: level, ..risk() };
            let is_told = transmitter.token(&risk, "a").unwrap().is_some();
            assert_eq!(
                is_told,
                level > Level::Low || previous_level > Level::Low,
                "{previous_level:?} {level:?}"
            );
        }
    }
    // The configuration holds it low since: who believes more must hear of it.
    let held =
        RiskUpdate { level: Level::Low, previous_level: Level::Low, level_uncapped: Level::High, ..risk() };
    let event = claims(&held)["events"][EVENT].clone();
    assert_eq!((&event["current_level"], event.get("previous_level")), (&"LOW".into(), None));
}

#[test]
fn a_token_made_again_is_equal_and_another_update_has_another_id() {
    let (risk, transmitter) = (risk(), transmitter(None));
    assert_eq!(transmitter.token(&risk, "a").unwrap(), transmitter.token(&risk, "a").unwrap());
    let id = |risk: &RiskUpdate| claims(risk)["jti"].as_str().unwrap().to_owned();
    let later = RiskUpdate { seq: risk.seq + 1, ..risk.clone() };
    let other = RiskUpdate { agent_id: "other".to_owned(), ..risk.clone() };
    // Lengths keep names apart that run into each other.
    let moved =
        RiskUpdate { tenant: Some("tenanta".to_owned()), agent_id: "gent".to_owned(), ..risk.clone() };
    let ids = [&risk, &later, &other, &moved].map(id);
    assert!(ids.iter().enumerate().all(|(i, id)| !ids[..i].contains(id)), "{ids:?}");
}

#[test]
fn a_level_that_a_person_took_away_is_told_though_nothing_is_seen_of_the_agent() {
    let risk = RiskUpdate {
        level: Level::None,
        previous_level: Level::High,
        level_uncapped: Level::None,
        monitoring: Monitoring::Blind,
        cause: Cause::Verdict,
        ..risk()
    };
    let event = claims(&risk)["events"][EVENT].clone();
    assert_eq!((&event["current_level"], &event["previous_level"]), (&"LOW".into(), &"HIGH".into()));
    assert_eq!((&event["risk_reason"], &event["initiating_entity"]), (&NO_RISK.into(), &"admin".into()));
}
