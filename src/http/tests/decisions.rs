//! Who may decide what, by a program and by a form.

use base64::Engine as _;
use serde_json::Value;

use super::*;
use crate::kafka::secret::SecretPlace;

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
