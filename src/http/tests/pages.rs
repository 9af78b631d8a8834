//! What pages show to people.

use super::*;

#[test]
fn the_page_of_an_agent_shows_what_was_seen_beside_what_is_usual_and_its_levels() {
    let lookup = Arc::new(Lookup::default());
    let served = started(&settings(), &lookup);
    lookup.take_risk((3, 17), b"acme/mailer/1", Some(RISK.as_bytes())).unwrap();
    let mut alert: crate::alert::Alert =
        serde_json::from_str(include_str!("../../../tests/data/outputs/alert.json")).unwrap();
    alert.subject.id = "mailer/1".to_owned();
    alert.findings[0].observed = 412.0;
    alert.findings[0].expected_type = Some(0.25);
    alert.findings[0].unit = "<calls>".to_owned();
    lookup.take_alert(&serde_json::to_vec(&alert).unwrap()).unwrap();
    lookup.read_until(now_ms());
    let fallen = RISK.replace("\"seq\":4", "\"seq\":5").replace("\"level\":\"high\"", "\"level\":\"low\"");
    lookup.take_risk((3, 18), b"acme/mailer/1", Some(fallen.as_bytes())).unwrap();
    let body = ask(served.address, "GET", "/agents/mailer%2F1?tenant=acme", "", "").2;
    let figures = "<td class=\"number observed\">412 &lt;calls&gt;<td class=\"number usual\">0.250";
    assert!(body.contains(figures), "{body}");
    assert!(body.contains("<span class=\"level low\">low</span><td class=\"what\">before that"), "{body}");
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
