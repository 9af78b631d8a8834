//! Routes answer what was taken in, to those who may ask, and nothing makes them fail.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;

use base64::Engine as _;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::kafka::decision::Written;
use crate::kafka::secret::SecretPlace;
use crate::wire::outputs::caep::Parties;
use crate::wire::outputs::caep::keys::Keys;

/// A service that writes nothing.
struct Nothing;

impl Behind for Nothing {
    fn refresh(&self) {}

    fn topic(&self) -> &str {
        "control"
    }

    fn decide(&self, _: Verdict, key: Option<&str>) -> Result<Decided, Failure> {
        Ok(match key {
            Some("taken") => Decided::Differs,
            _ => Decided::At(Written { partition: 0, offset: 41 }, "an-id".to_owned()),
        })
    }

    fn alerts_topic(&self) -> &str {
        "alerts"
    }

    fn test(&self, key: &str, _: Option<(Level, Level)>) -> Result<Tested, Failure> {
        let written = (key != "told").then_some(Written { partition: 0, offset: 7 });
        Ok(Tested { alert_id: crate::kafka::service::test_id(key), written })
    }

    fn newest(&self) -> (Arc<Version>, Option<i64>) {
        let settings = crate::config::Config::default().settings().unwrap();
        let mut version = Version::new(settings);
        let (name, identity) = ("mailer", version.settings.identity.clone());
        let mut own = crate::baseline::pool::TypeBaseline::new(name);
        own.agent_count = 3.0;
        own.access.add(
            crate::baseline::agent::KeySpace::Action.context(),
            identity.of("send_email"),
            3 * crate::stats::decay::VOTE,
            0,
        );
        version.baselines.types.insert(identity.of(name), own);
        (Arc::new(version), Some(now_ms() - 5_000))
    }
}

fn settings() -> HttpSettings {
    HttpSettings::default()
}

fn started(settings: &HttpSettings, lookup: &Arc<Lookup>) -> Served {
    let readiness = Readiness::not_yet("the broker is waited for");
    let metrics = Arc::new(Metrics::new());
    serve(([127, 0, 0, 1], 0).into(), settings, readiness, metrics, Arc::clone(lookup), None).unwrap()
}

/// An interface that has read of one agent of level high.
fn full() -> Served {
    let lookup = Arc::new(Lookup::default());
    let served = started(&settings(), &lookup);
    lookup.take_risk((3, 17), b"acme/mailer/1", Some(RISK.as_bytes())).unwrap();
    lookup.take_alert(ALERT.as_bytes()).unwrap();
    lookup.read_until(now_ms());
    served.stand_behind(Nothing);
    served
}

const RISK: &str = r#"{"schema":"tiltmeter.agent-risk.v1","agent_id":"mailer/1","tenant":"acme","agent_type":"mailer","seq":4,
    "level":"high","previous_level":"none","level_uncapped":"high","score":81.25,"reasons":[],"cause":"finding",
    "as_of":"2026-01-05T09:00:00.000Z","alert_count":1,"open_alerts":["2dcf8d"],"monitoring":"ok","maturity":"mature",
    "baseline":7,"config":"c0ffee"}"#;
const ALERT: &str =
    r#"{"schema":"tiltmeter.agent-alert.v1","tenant":"acme","subject":{"kind":"agent","id":"mailer/1"}}"#;

/// A response whose body has no end is read until a text is in it.
fn follow(address: SocketAddr, headers: &str, until: &str, meanwhile: impl FnOnce()) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").unwrap();
    let mut told = Vec::new();
    let mut meanwhile = Some(meanwhile);
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "it has ended: {}", String::from_utf8_lossy(&told));
        told.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&told).into_owned();
        if text.contains("\r\n\r\n")
            && let Some(meanwhile) = meanwhile.take()
        {
            meanwhile();
        }
        if text.contains(until) {
            return text;
        }
    }
}

#[test]
fn what_happens_is_told_to_those_who_follow_and_who_missed_something_is_told_so() {
    let lookup = Arc::new(Lookup::default());
    let served = started(&settings(), &lookup);
    lookup.take_alert(ALERT.as_bytes()).unwrap();
    assert_eq!(get(served.address, "/v1/events").0, 503);
    lookup.read_until(now_ms());
    let risk = RISK.replace('\n', " ");
    let told = follow(served.address, "", "c0ffee", || {
        lookup.take_risk((3, 17), b"acme/mailer/1", Some(risk.as_bytes())).unwrap();
    });
    assert!(told.contains("text/event-stream") && told.contains("event: risk\n"), "{told}");
    assert!(!told.contains("event: alert"), "what was there before is no news: {told}");
    let id = told.split("id: ").nth(1).unwrap().split('\n').next().unwrap();
    let told = follow(served.address, &format!("Last-Event-ID: {id}\r\n"), "event: alert", || {
        lookup.take_alert(ALERT.as_bytes()).unwrap();
    });
    assert!(!told.contains("event: gap") && !told.contains("event: risk"), "{told}");
    for unknown in ["17-1", "x", &format!("{}9", id)] {
        let told = follow(served.address, &format!("Last-Event-ID: {unknown}\r\n"), "event: gap", || ());
        assert!(!told.contains("event: risk"), "{told}");
    }
}

/// Settings with one token for each role: its name, three times.
fn with_tokens(folder: &std::path::Path) -> HttpSettings {
    let token = |name: &str| {
        let path = folder.join(name);
        std::fs::write(&path, format!("{name}-{name}-{name}\n")).unwrap();
        Some(SecretPlace::File(path))
    };
    HttpSettings {
        viewer_tokens: token("viewer"),
        analyst_tokens: token("analyst"),
        admin_tokens: token("admins"),
        ..settings()
    }
}

/// Sends a request; returns status, headers and body.
fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let (status, _, body) = ask(address, "GET", path, "", "");
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

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
fn a_verdict_is_taken_from_those_who_may_give_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = with_tokens(folder.path());
    let served = started(&settings, &Arc::default());
    served.stand_behind(Nothing);
    let give = |who: &str, verdict: &str, more: &str| {
        let headers =
            format!("Authorization: Bearer {who}-{who}-{who}\r\nContent-Type: application/json\r\n{more}");
        let body = format!("{{\"agent_id\":\"a\",\"verdict\":\"{verdict}\",\"by\":\"me\"}}");
        ask(served.address, "POST", "/v1/verdicts", &headers, &body)
    };
    assert_eq!(give("nobody", "dismiss", "").0, 401);
    assert_eq!(give("viewer", "dismiss", "").0, 403);
    assert_eq!(give("analyst", "accept", "").0, 403, "what teaches is for admins");
    assert_eq!(give("admins", "accept", "").0, 202);
    assert_eq!(give("analyst", "dismiss", "Idempotency-Key: taken\r\n").0, 409);
    assert_eq!(give("analyst", "forgive", "").0, 400);
    let (status, _, body) = give("analyst", "confirm_safe", "Idempotency-Key: k\r\n");
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &told["offset"], &told["took_effect"]), (202, &41.into(), &false.into()));
    let form = "Authorization: Bearer analyst-analyst-analyst\r\nContent-Type: text/plain\r\n";
    assert_eq!(ask(served.address, "POST", "/v1/verdicts", form, "{}").0, 415);
    let analyst = form.replace("text/plain", "application/json");
    for nobody in
        ["{\"agent_id\":\"a\",\"verdict\":\"dismiss\",\"by\":\" \"}", "[\"a\",null,\"dismiss\",\"me\"]"]
    {
        assert_eq!(ask(served.address, "POST", "/v1/verdicts", &analyst, nobody).0, 400, "{nobody}");
    }
    let large = "Authorization: Bearer analyst-analyst-analyst\r\nContent-Type: application/json\r\n";
    assert_eq!(
        ask(served.address, "POST", "/v1/verdicts", large, &" ".repeat(body::LARGEST_BYTES + 1)).0,
        413
    );
    // "any:viewer-viewer-viewer"
    let password = "Authorization: Basic YW55OnZpZXdlci12aWV3ZXItdmlld2Vy\r\n";
    assert_eq!(ask(served.address, "GET", "/", password, "").0, 200, "a browser sends a password");
    assert_eq!(ask(served.address, "GET", "/v1/agents", password, "").0, 401, "a program does not");
    assert!(ask(served.address, "GET", "/", "", "").1.contains("www-authenticate: basic"));
    // Figures and health are for anybody who reaches them.
    assert_eq!(ask(served.address, "GET", "/metrics", "", "").0, 200);
    assert_eq!(ask(served.address, "GET", "/v1/agents", "", "").0, 401);
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
        assert_eq!(ask(address, other, &path, "", "").0, 405, "{other} {path}");
    }
    assert_eq!(get(address, "/v1/openapi.json").1, document);
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
    let keys = Keys::from_pem(include_str!("../../tests/data/outputs/caep-keys.pem")).unwrap();
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
fn what_is_normal_for_a_type_is_told_in_figures_and_by_the_names_that_are_asked_for() {
    let address = full().address;
    let (status, told) = get(address, "/v1/agent-types/mailer/baseline?action=send_email&resource=ledger");
    assert_eq!(
        (status, &told["agent_type"], &told["agents"]),
        (200, &"mailer".into(), &3.0.into()),
        "{told}"
    );
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
fn a_test_is_asked_for_by_json_alone_and_told_once() {
    let address = full().address;
    let json = "Content-Type: application/json\r\n";
    let test = |headers: &str, body: &str| {
        let (status, _, body) = ask(address, "POST", "/v1/test-alert", headers, body);
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let (status, told) = test(&format!("{json}Idempotency-Key: a\r\n"), "{\"level\":\"high\"}");
    assert_eq!((status, &told["written"], &told["offset"]), (202, &true.into(), &7.into()), "{told}");
    assert_eq!((&told["agent_id"], &told["level"]), (&"tiltmeter-test".into(), &"high".into()));
    let (_, again) = test(&format!("{json}Idempotency-Key: a\r\n"), "{}");
    assert_eq!(again["alert_id"], told["alert_id"]);
    let (status, told) = test(&format!("{json}Idempotency-Key: told\r\n"), "{}");
    assert_eq!((status, &told["written"]), (202, &false.into()));
    assert_eq!(test("Content-Type: text/plain\r\n", "{}").0, 415, "a form of another page cannot ask");
    for wrong in ["", "[]", "{\"level\":\"grave\"}", "{\"levl\":\"low\"}"] {
        assert_eq!(test(json, wrong).0, 400, "{wrong}");
    }
}

#[test]
fn a_verdict_is_given_on_a_page_by_who_was_shown_the_form_and_by_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let settings = with_tokens(folder.path());
    let lookup = Arc::new(Lookup::default());
    let served = started(&settings, &lookup);
    lookup.take_risk((3, 17), b"acme/mailer/1", Some(RISK.as_bytes())).unwrap();
    lookup.read_until(now_ms());
    served.stand_behind(Nothing);
    let address = served.address;
    let password = |who: &str| {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("ann <a>:{who}-{who}-{who}"));
        format!("Authorization: Basic {pair}\r\n")
    };
    let page = |who: &str, path: &str| ask(address, "GET", path, &password(who), "").2;
    let still = "/agents/mailer%2F1?tenant=acme&refresh=off";
    assert!(!page("viewer", still).contains("<form"));
    assert!(
        !page("analyst", "/agents/mailer%2F1?tenant=acme").contains("<form"),
        "it would take away what is typed"
    );
    let form = page("analyst", still);
    assert!(
        form.contains("action=\"/agents/mailer%2F1/verdict?tenant=acme\"") && form.contains("ann &lt;a&gt;"),
        "{form}"
    );
    assert!(!form.contains("value=\"accept\"") && page("admins", still).contains("value=\"accept\""));
    let mark = |form: &str| {
        form.split("name=\"mark\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let mark_of = mark(&form);
    let give = |who: &str, path: &str, mark: &str, verdict: &str, more: &str| {
        let headers = format!("{}Content-Type: application/x-www-form-urlencoded\r\n{more}", password(who));
        let body = format!("mark={mark}&key=1&verdict={verdict}&by=ann&reason=a+%26+b");
        ask(address, "POST", path, &headers, &body)
    };
    let path = "/agents/mailer%2F1/verdict?tenant=acme";
    let (status, head, _) =
        give("analyst", path, &mark_of, "dismiss", "Sec-Fetch-Site: same-origin\r\nOrigin: null\r\n");
    assert!(status == 303 && head.contains("location: /agents/mailer%2f1?tenant=acme\r\n"), "{head}");
    for (who, path, mark, verdict, more, expected) in [
        ("viewer", path, mark_of.as_str(), "dismiss", "", 403),
        ("admins", path, &mark_of, "dismiss", "", 403),
        ("analyst", path, "", "dismiss", "", 403),
        ("analyst", "/agents/other/verdict?tenant=acme", &mark_of, "dismiss", "", 403),
        ("analyst", "/agents/mailer%2F1/verdict", &mark_of, "dismiss", "", 403),
        ("analyst", path, &mark_of, "dismiss", "Sec-Fetch-Site: cross-site\r\n", 403),
        ("analyst", path, &mark_of, "dismiss", "Origin: https://evil.example\r\n", 403),
        ("analyst", path, &mark_of, "accept", "", 403),
        ("analyst", path, &mark_of, "forgive", "", 400),
        ("analyst", path, &mark_of, "dismiss&verdict=accept", "", 400),
        ("analyst", path, &mark_of, "dismiss", "Origin: http://localhost\r\n", 303),
    ] {
        let got = give(who, path, mark, verdict, more);
        assert_eq!(got.0, expected, "{who} {path} {mark} {verdict} {more}: {got:?}");
    }
}

#[test]
fn the_page_of_an_agent_shows_what_was_seen_beside_what_is_usual_and_its_levels() {
    let lookup = Arc::new(Lookup::default());
    let served = started(&settings(), &lookup);
    lookup.take_risk((3, 17), b"acme/mailer/1", Some(RISK.as_bytes())).unwrap();
    let mut alert: crate::alert::Alert =
        serde_json::from_str(include_str!("../../tests/data/outputs/alert.json")).unwrap();
    alert.subject.id = "mailer/1".to_owned();
    alert.findings[0].observed = 412.0;
    alert.findings[0].expected_type = 0.25;
    alert.findings[0].unit = "<calls>".to_owned();
    lookup.take_alert(&serde_json::to_vec(&alert).unwrap()).unwrap();
    lookup.read_until(now_ms());
    let fallen = RISK.replace("\"seq\":4", "\"seq\":5").replace("\"level\":\"high\"", "\"level\":\"low\"");
    lookup.take_risk((3, 18), b"acme/mailer/1", Some(fallen.as_bytes())).unwrap();
    let body = ask(served.address, "GET", "/agents/mailer%2F1?tenant=acme", "", "").2;
    assert!(body.contains("<td class=\"number\">412 &lt;calls&gt;<td class=\"number\">0.250"), "{body}");
    assert!(body.contains("<span class=\"level low\">low</span><td class=\"what\">before that"), "{body}");
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
fn pages_show_agents_and_alerts_and_no_name_becomes_markup() {
    let lookup = Arc::new(Lookup::default());
    let served = started(&settings(), &lookup);
    let hostile = RISK.replace("mailer/1", "<script>x</script>");
    lookup.take_risk((3, 17), b"acme/<script>x</script>", Some(hostile.as_bytes())).unwrap();
    lookup.take_risk((3, 18), b"acme/mailer/1", Some(RISK.as_bytes())).unwrap();
    lookup.read_until(now_ms());
    let (status, head, body) = ask(served.address, "GET", "/", "", "");
    assert_eq!(status, 200);
    assert!(head.contains("content-security-policy: default-src 'none'; style-src 'sha256-"), "{head}");
    assert!(body.contains("&lt;script&gt;x&lt;/script&gt;") && !body.contains("<script"), "{body}");
    assert!(body.contains("<a href=\"/agents/mailer%2F1?tenant=acme\">mailer/1</a>"), "{body}");
    let (_, _, body) = ask(served.address, "GET", "/agents/mailer%2F1?tenant=acme", "", "");
    assert!(body.contains("<dd class=\"level high\">high<dt>Score<dd>81.2"), "{body}");
    let (_, _, body) = ask(served.address, "GET", "/agents/mailer%2F1", "", "");
    assert!(body.contains("<span class=\"level unknown\">unknown</span>"), "{body}");
}

#[test]
fn a_page_holds_still_where_it_is_asked_to() {
    let address = full().address;
    let page = |path| ask(address, "GET", path, "", "").2;
    assert!(page("/").contains("http-equiv=\"refresh\"") && page("/").contains("<a href=\"/?refresh=off\">"));
    let still = page("/?refresh=off");
    assert!(!still.contains("http-equiv") && still.contains("<a href=\"/\">look again"), "{still}");
    assert!(still.contains("<a href=\"/agents/mailer%2F1?tenant=acme&amp;refresh=off\">"), "{still}");
    let still = page("/agents/mailer%2F1?tenant=acme&refresh=off");
    assert!(still.contains("<a href=\"/agents/mailer%2F1?tenant=acme\">look again"), "{still}");
    assert_eq!(ask(address, "GET", "/?refresh=5", "", "").0, 400);
}

#[test]
fn a_page_does_not_say_that_there_is_nothing_before_everything_was_read() {
    let address = started(&settings(), &Arc::default()).address;
    for path in ["/", "/agents/mailer"] {
        let body = ask(address, "GET", path, "", "").2;
        assert!(body.contains("Not read yet.") && body.contains("are being read from Kafka"), "{body}");
        assert!(!body.contains("None.") && !body.contains("class=\"level unknown\""), "{body}");
    }
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
