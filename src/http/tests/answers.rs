//! What is answered to programs, and that nothing makes it fail.

use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::wire::outputs::caep::Parties;
use crate::wire::outputs::caep::keys::Keys;

#[test]
fn it_is_ready_when_it_was_told_so_and_says_why_it_is_not() {
    let readiness = Readiness::not_yet("the broker is waited for");
    let (metrics, lookup) = (Arc::new(Metrics::new()), Arc::new(Lookup::default()));
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let again =
        || serve(local, &settings(), readiness.clone(), Arc::clone(&metrics), Arc::clone(&lookup), None);
    let address = again().unwrap().address;
    assert_eq!(get(address, "/healthz").0, 200);
    assert_eq!(get(address, "/readyz"), (503, "the broker is waited for\n".into()));
    readiness.set(None);
    assert_eq!(get(address, "/readyz").0, 200);
    assert_eq!(get(address, "/nowhere").0, 404);
    let Err(taken) = serve(address, &settings(), readiness.clone(), metrics.clone(), lookup.clone(), None)
    else {
        panic!("two listen at one address")
    };
    assert!(taken.to_string().contains("name another address"), "{taken}");
}

#[test]
fn a_level_is_told_with_its_tag_and_not_again_to_whoever_has_it() {
    let address = full().address;
    let path = "/v1/agents/mailer%2F1/risk?tenant=acme";
    let (status, head, body) = ask(address, "GET", path, "", "");
    assert_eq!(status, 200, "{body}");
    let told: Value = serde_json::from_str(&body).unwrap();
    let expected: Value = serde_json::from_str(RISK).unwrap();
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&told[name], value, "{name}");
    }
    assert!(told["fresh_until"].is_string());
    assert!(head.contains("etag: w/\"3-17-4\"") && head.contains("max-age="), "{head}");
    for known in ["W/\"3-17-4\"", "\"3-17-4\"", "\"x\", W/\"3-17-4\"", "*"] {
        let (status, head, body) = ask(address, "GET", path, &format!("If-None-Match: {known}\r\n"), "");
        assert_eq!((status, body.as_str()), (304, ""), "{known}");
        assert!(head.contains("fresh-until: 20"), "{head}");
    }
    assert_eq!(ask(address, "GET", path, "If-None-Match: \"3-16-4\"\r\n", "").0, 200);
}

#[test]
fn an_agent_that_is_not_known_is_unknown_and_not_none() {
    let served = started(&settings(), &Arc::default());
    let (status, told) = get(served.address, "/v1/agents/nobody/risk");
    assert_eq!(
        (status, &told["level"]),
        (503, &"unknown".into()),
        "before everything was read nobody is unknown"
    );
    let (status, told) = get(full().address, "/v1/agents/nobody/risk");
    assert_eq!((status, &told["level"], &told["agent_id"]), (404, &"unknown".into(), &"nobody".into()));
    assert!(told["detail"].as_str().unwrap().contains("\"nobody\" has never had a risk level"), "{told}");
    let (_, _, body) = ask(full().address, "GET", "/v1/agents/%E2%80%AE%3Cb%3E/risk", "", "");
    assert!(
        body.contains(r#""agent_id":"\u202e\u003cb\u003e""#),
        "no name acts on whoever looks at it: {body}"
    );
}

#[test]
fn agents_and_alerts_are_listed() {
    let address = full().address;
    let (_, told) = get(address, "/v1/agents?level=high&type=mailer&limit=1");
    assert_eq!(told["agents"][0]["agent_id"], "mailer/1");
    let cursor = told["next_cursor"].as_str();
    assert!(cursor.is_none_or(
        |cursor| get(address, &format!("/v1/agents?cursor={cursor}")).1["agents"] == Value::Array(vec![])
    ));
    assert_eq!(get(address, "/v1/agents?level=low").1["agents"], Value::Array(Vec::new()));
    let alerts = get(address, "/v1/agents/mailer%2F1/alerts?tenant=acme").1;
    assert_eq!(alerts["alerts"][0], serde_json::from_str::<Value>(ALERT).unwrap());
    for query in ["level=hihg", "limit=0", "cursor=%25", "colour=red", "limit=1&limit=2"] {
        let (status, told) = get(address, &format!("/v1/agents?{query}"));
        assert_eq!((status, told["status"].as_u64()), (400, Some(400)), "{query}");
    }
}

#[test]
fn what_is_normal_for_a_type_is_told_in_figures_and_by_the_names_that_are_asked_for() {
    let address = full().address;
    let (status, told) = get(address, "/v1/agent-types/mailer/baseline?action=send_email&resource=ledger");
    assert_eq!(
        (status, &told["agent_type"], &told["agents"]),
        (200, &"mailer".into(), &3.0.into()),
        "{told}"
    );
    let usual = get(address, "/v1/agent-types/mailer/baseline").1;
    assert_eq!(usual["names"].as_array().unwrap().len(), 1, "what nobody learned is not usual: {usual}");
    assert_eq!(usual["names"][0]["name"], "send_email", "without having been asked for");
    assert!((5..60).contains(&told["age_secs"].as_i64().unwrap()), "{told}");
    assert_eq!(told["rates"][1]["window_minutes"], 60);
    let names: Vec<(&str, f64)> = told["names"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| (name["name"].as_str().unwrap(), name["share"].as_f64().unwrap()))
        .collect();
    assert_eq!((names[0].0, names[1].0), ("send_email", "ledger"));
    assert!(names[0].1 > 0.7 && names[1].1 < 0.1, "{names:?}");
    assert_eq!(get(address, "/v1/agent-types/nobody/baseline").0, 404);
    assert_eq!(get(address, "/v1/agent-types/mailer/baseline?destination=x").0, 400);
    assert_eq!(get(started(&settings(), &Arc::default()).address, "/v1/agent-types/mailer/baseline").0, 503);
}

#[test]
fn the_riskiest_agents_are_metrics_and_answers_are_counted() {
    let address = full().address;
    get(address, "/v1/agents");
    get(address, "/nowhere");
    let (_, _, text) = ask(address, "GET", "/metrics", "", "");
    for line in [
        "tiltmeter_agent_risk_score{agent=\"acme/mailer/1\"} 81.25",
        "tiltmeter_agents{level=\"high\",monitoring=\"ok\"} 1",
        "tiltmeter_agents{level=\"none\",monitoring=\"ok\"} 0",
        "tiltmeter_ready 0",
        "tiltmeter_risk_topic_read 1",
        "tiltmeter_http_requests_total{route=\"/v1/agents\",status=\"200\"} 1",
        "tiltmeter_http_requests_total{route=\"other\",status=\"404\"} 1",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
}

#[test]
fn receivers_of_tokens_find_who_signs_and_with_which_keys() {
    let (status, told) = get(full().address, "/.well-known/jwks.json");
    assert_eq!((status, &told["type"]), (404, &"urn:tiltmeter:problem:no-transmitter".into()));
    let parties = Parties {
        issuer: "https://t.example".to_owned(),
        audience: "idp".to_owned(),
        principal: "APPLICATION".to_owned(),
        subject_issuer: None,
    };
    let keys = Keys::from_pem(include_str!("../../../tests/data/outputs/caep-keys.pem")).unwrap();
    let transmitter = Arc::new(Transmitter::new(parties, keys));
    let (readiness, metrics) = (Readiness::not_yet("x"), Arc::new(Metrics::new()));
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let served = serve(local, &settings(), readiness, metrics, Arc::default(), Some(transmitter)).unwrap();
    let (status, head, body) = ask(served.address, "GET", METADATA_PATH, "", "");
    assert!(status == 200 && head.contains("cache-control: public"), "{head}");
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&told["issuer"], &told["jwks_uri"], &told["spec_version"]),
        (&"https://t.example".into(), &"https://t.example/.well-known/jwks.json".into(), &"1_0".into())
    );
    let (status, told) = get(served.address, JWKS_PATH);
    assert_eq!((status, told["keys"].as_array().unwrap().len()), (200, 2));
}

#[test]
fn the_document_describes_every_route_and_no_other() {
    let document = document();
    let mut described = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            described.push((method.to_uppercase(), path.clone()));
            let told = operation["responses"].as_object().unwrap();
            assert!(told.keys().any(|status| status.starts_with(['2', '3'])), "{path}");
        }
    }
    let mut routes: Vec<(String, String)> =
        route_names().into_iter().map(|(method, path)| (method.to_string(), path.to_owned())).collect();
    described.sort();
    routes.sort();
    assert_eq!(described, routes);
    let address = full().address;
    for (method, path) in routes {
        if path != "/v1/events" {
            let status = ask(address, &method, &path.replace("{id}", "x").replace("{type}", "x"), "", "").0;
            assert_ne!(status, 405, "{method} {path}");
        }
        let other = if method == "GET" { "DELETE" } else { "GET" };
        let path = path.replace("{id}", "x").replace("{type}", "x");
        let (status, head, _) = ask(address, other, &path, "", "");
        assert_eq!(status, 405, "{other} {path}");
        assert!(head.contains(&format!("allow: {}", method.to_lowercase())), "{head}");
    }
    assert_eq!(get(address, "/v1/openapi.json").1, document);
}

/// Bytes of a target that HTTP lets through, percent signs among them.
fn target() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => Just("/v1/agents".to_owned()),
        2 => Just("/v1/agents/mailer%2F1/risk".to_owned()),
        1 => Just("/agents/x".to_owned()),
        1 => Just("/alerts".to_owned()),
        1 => Just("?tenant=acme&limit=9".to_owned()),
        1 => Just("?cursor=aGlnaC9h".to_owned()),
        1 => Just("&wait=99999999999999999999s".to_owned()),
        4 => "[!-~]{0,12}",
        2 => "(%[0-9a-f]{2}){0,6}",
        1 => "%[g-z]",
    ];
    prop::collection::vec(piece, 0..5)
        .prop_map(|pieces| format!("/{}", pieces.concat().trim_start_matches('/')))
}

proptest! {
    #[test]
    fn no_path_and_no_query_makes_it_fail(targets in prop::collection::vec((target(), any::<bool>()), 1..8)) {
        static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
        let address = *ADDRESS.get_or_init(|| {
            let address = full().address;
            // Not to be asked for here: it is not ready.
            assert_eq!(get(address, "/readyz").0, 503);
            address
        });
        for (target, posts) in targets {
            prop_assume!(!target.starts_with("/readyz"));
            let (method, kind) = if posts { ("POST", "Content-Type: application/json\r\n") } else { ("GET", "") };
            let status = ask(address, method, &target, kind, "{}").0;
            prop_assert!((200..500).contains(&status), "{method} {target}: {status}");
        }
    }
}
