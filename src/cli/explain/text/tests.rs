//! Tests of the layout: a whole page, figures, hostile text, width.

use super::*;
use crate::alert::{Counterfactual, Evidence, JudgedUnder, Maturity, SCHEMA, Share, Subject};
use crate::finding::{Detector, Family, RiskEventType};
use crate::risk::Level;
use expect_test::expect;

fn alert() -> Alert {
    let at = |text| EventTime::parse(text).unwrap();
    Alert {
        schema: SCHEMA.to_owned(),
        alert_id: "3f9a1c5e7b2d40866f1e9a0c3b5d7e92".to_owned(),
        state: AlertState::Opened,
        time: at("2026-01-22T18:50:59.040Z"),
        opened: at("2026-01-22T18:50:59.040Z"),
        subject: Subject { kind: "agent".to_owned(), id: "mail-helper-7".to_owned() },
        tenant: Some("contoso".to_owned()),
        agent_type: "mail-helper".to_owned(),
        session_id: Some("s-4711".to_owned()),
        level: Some(Level::Medium),
        risk_event_type: RiskEventType::UntrustedArgumentOrigin,
        owasp: vec!["ASI01".to_owned()],
        atlas: vec!["AML.T0051.001".to_owned(), "AML.T0053".to_owned()],
        family: Family::CallContent,
        p: 0.000_231_9,
        threshold: 0.001,
        bits: 14.26,
        summary:
            "`mail-helper-7` (`mail-helper`): `to` of `send_email` came from free text in `read_inbox`, \
                  call 3, and was never anchored in the request"
                .to_owned(),
        shares: vec![
            Share { family: Family::CallContent, detector: Detector::Access, share: 0.19 },
            Share { family: Family::CallContent, detector: Detector::Provenance, share: 0.71 },
            Share { family: Family::Novelty, detector: Detector::Access, share: 0.099 },
            Share { family: Family::Loops, detector: Detector::Sequence, share: 0.001 },
        ],
        findings: vec![Observation {
            family: Family::CallContent,
            detector: Detector::Provenance,
            risk_event_type: RiskEventType::UntrustedArgumentOrigin,
            p: 0.000_16,
            observed: 1.0,
            expected_agent: None,
            expected_type: Some(0.0213),
            expected_fleet: Some(0.000_021),
            unit: "share of `send_email` calls whose `to` has this origin".to_owned(),
            sentence: "`to` of `send_email` came from free text in `read_inbox`, call 3, and was never \
                       anchored in the request"
                .to_owned(),
        }],
        counterfactual: Some(Counterfactual {
            replaced: "`to` of `send_email` by a value that the user named".to_owned(),
            p: 0.31,
            still_alerts: false,
        }),
        maturity: Maturity {
            agent: "young".to_owned(),
            agent_events: 412,
            type_units: 3417.0,
            type_agents: 214.0,
            calibration: "own".to_owned(),
        },
        judged_under: JudgedUnder {
            baseline: 24,
            clock: at("2026-01-22T18:50:59.040Z"),
            config: "0123456789ab".to_owned(),
        },
        evidence: vec![Evidence {
            resources: vec!["inbox/7".to_owned()],
            event_id: Some("e-17".to_owned()),
            time: at("2026-01-22T18:50:59.040Z"),
            action: "send_email".to_owned(),
            call: 4,
            source: 0,
            line: 18_233,
            family: Family::CallContent,
        }],
    }
}

#[test]
fn an_alert_reads_like_this() {
    expect![[r#"
        Alert 3f9a1c5e7b2d40866f1e9a0c3b5d7e92
        opened 2026-01-22 18:50:59.040 UTC

        `mail-helper-7` (`mail-helper`): `to` of `send_email` came from free text in `read_inbox`, call 3,
        and was never anchored in the request

          agent     mail-helper-7, of type mail-helper
          tenant    contoso
          where     session s-4711
          risk      untrustedArgumentOrigin
          level     medium (held by this alert; settings may publish a lower one)
          OWASP     ASI01
          ATLAS     AML.T0051.001, AML.T0053
          how rare  1 in 4,300 sessions of its type look like this (p = 0.00023); alerts open at 1 in 1,000

        What was seen
          1. `to` of `send_email` came from free text in `read_inbox`, call 3, and was never anchored in the
             request
             seen 1; usual for its type 0.021, in the fleet 2.1e-5 (share of `send_email` calls whose `to`
             has this origin)
             provenance (call_content), untrustedArgumentOrigin, p = 0.00016

        What made it an alert
          provenance (call_content)   71 %  █████████████████████░░░░░░░░░
          access (call_content)       19 %  ██████░░░░░░░░░░░░░░░░░░░░░░░░
          access (novelty)            10 %  ███░░░░░░░░░░░░░░░░░░░░░░░░░░░

        What if
          Replacing `to` of `send_email` by a value that the user named would make it 1 in 3: no alert.

        How much is known
          agent     young, 412 events
          type      214 agents, 3,417 sessions and hours; own calibration
          judged by baseline 24, configuration 0123456789ab

        Evidence
          2026-01-22 18:50:59.040 UTC: send_email (line 18233 of input 0, event e-17; call_content: call 4
          of its session)
            resources, as the agent named them: `inbox/7`

        What to do
          Where to look, and innocent causes: docs/response.md, untrustedArgumentOrigin
          Then say what it was:
          tiltmeter verdict --tenant contoso --by YOU mail-helper-7 VERDICT --to control.jsonl
          VERDICT: confirm_compromised|confirm_safe|dismiss|accept
          The file is for `tiltmeter detect --control`; --kafka in place of --to tells a running service.
    "#]]
    .assert_eq(&render(&alert(), 0, &Style::PLAIN));
}

#[test]
fn what_is_certain_is_not_called_rare() {
    let page = render(&Alert { p: 1.0, threshold: 1.0, ..alert() }, 0, &Style::PLAIN);
    assert!(page.contains("what a rule, a person or the registry says is certain"), "{page}");
    assert!(!page.contains("of its type look like this"), "{page}");
}

#[test]
fn a_sparse_alert_leaves_nothing_dangling() {
    let sparse = Alert {
        state: AlertState::Updated,
        tenant: None,
        session_id: None,
        owasp: Vec::new(),
        atlas: Vec::new(),
        shares: Vec::new(),
        findings: Vec::new(),
        counterfactual: None,
        evidence: Vec::new(),
        ..alert()
    };
    expect![[r#"
        Alert 3f9a1c5e7b2d40866f1e9a0c3b5d7e92
        opened 2026-01-22 18:50:59.040 UTC, updated 2026-01-22 18:50:59.040 UTC (2 times)

        `mail-helper-7` (`mail-helper`): `to` of `send_email` came from free text in `read_inbox`, call 3,
        and was never anchored in the request

          agent     mail-helper-7, of type mail-helper
          where     over one hour
          risk      untrustedArgumentOrigin
          level     medium (held by this alert; settings may publish a lower one)
          how rare  1 in 4,300 hours of its type look like this (p = 0.00023); alerts open at 1 in 1,000

        How much is known
          agent     young, 412 events
          type      214 agents, 3,417 sessions and hours; own calibration
          judged by baseline 24, configuration 0123456789ab

        What to do
          Where to look, and innocent causes: docs/response.md, untrustedArgumentOrigin
          Then say what it was:
          tiltmeter verdict --by YOU mail-helper-7 VERDICT --to control.jsonl
          VERDICT: confirm_compromised|confirm_safe|dismiss|accept
          The file is for `tiltmeter detect --control`; --kafka in place of --to tells a running service.
    "#]]
    .assert_eq(&render(&sparse, 2, &Style::PLAIN));
}

#[test]
fn hostile_text_neither_moves_the_cursor_nor_breaks_the_width() {
    let hostile = "\u{1b}[2J\r\n\u{202e}evil\u{200b}\u{feff}".to_owned() + &"x".repeat(5000) + " \t y";
    let mut alert = alert();
    alert.alert_id = hostile.chars().take(20).collect();
    for text in [
        &mut alert.summary,
        &mut alert.subject.id,
        &mut alert.agent_type,
        &mut alert.maturity.agent,
        &mut alert.maturity.calibration,
        &mut alert.judged_under.config,
    ] {
        *text = hostile.clone();
    }
    alert.session_id = Some(hostile.clone());
    alert.tenant = Some(hostile.clone());
    alert.owasp = vec![hostile.clone()];
    for finding in &mut alert.findings {
        finding.unit = hostile.clone();
        finding.sentence = hostile.clone();
    }
    for event in &mut alert.evidence {
        event.action = hostile.clone();
        event.resources = vec![hostile.clone()];
        event.event_id = Some(hostile.clone());
    }
    alert.counterfactual.as_mut().unwrap().replaced = hostile;
    let text = render(&alert, 0, &Style::PLAIN);
    assert!(text.chars().all(|c| c == '\n' || printable(&c.to_string()) == c.to_string()), "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
    assert!(text.contains("\\u{1b}[2J\\u{d}\\u{a}\\u{202e}evil"), "{text}");
}

#[test]
fn a_command_takes_any_name_and_runs_none() {
    for (name, written) in [
        ("mail-helper-7", "mail-helper-7"),
        ("mail helper; rm", "'mail helper; rm'"),
        ("$(rm)", "'$(rm)'"),
        ("it's", "AGENT"),
        ("--to=x", "AGENT"),
        ("a\u{1b}[2J", "AGENT"),
        ("", "AGENT"),
    ] {
        assert_eq!(argument(name, "AGENT"), written);
    }
}

#[test]
fn where_no_single_thing_ends_the_alert_it_says_so() {
    let mut alert = alert();
    alert.counterfactual.as_mut().unwrap().still_alerts = true;
    assert!(render(&alert, 0, &Style::PLAIN).contains("No single thing explains it"));
}

#[test]
fn what_is_usual_for_a_type_is_not_made_up() {
    let mut alert = alert();
    alert.findings[0].expected_type = None;
    alert.findings[0].expected_agent = Some(2.3);
    let page = render(&alert, 0, &Style::PLAIN);
    assert!(page.contains("usual for it 2.3, for its type not known yet"), "{page}");
}

#[test]
fn the_figures_of_a_whole_call_are_told_once_and_a_small_share_has_a_block() {
    let mut told = alert();
    let whole = |sentence: &str, observed: f64| Observation {
        unit: WHOLE_CALL_BITS.to_owned(),
        sentence: sentence.to_owned(),
        observed,
        ..alert().findings[0].clone()
    };
    told.findings = vec![whole("a value", 18.7), whole("an action", 18.7), whole("another call", 12.5)];
    told.shares.push(Share { family: Family::Bursts, detector: Detector::Frequency, share: 0.006 });
    let text = render(&told, 0, &Style::PLAIN);
    assert_eq!(text.matches("seen 18.7").count(), 1, "{text}");
    assert_eq!(text.matches("seen 12.5").count(), 1, "{text}");
    assert_eq!(text.matches("of the call whose figures stand above").count(), 1, "{text}");
    let small = text.lines().find(|line| line.contains("frequency (bursts)")).unwrap();
    assert_eq!(small.matches('█').count(), 1, "{small}");
}

#[test]
fn one_event_is_told_once_with_the_count_that_its_place_belongs_to() {
    let mut alert = alert();
    let of_hour = Evidence { family: Family::Novelty, call: 12, ..alert.evidence[0].clone() };
    alert.evidence.push(of_hour);
    let page = render(&alert, 0, &Style::PLAIN).replace("\n  ", " ");
    assert!(page.contains("call_content: call 4 of its session; novelty: call 12 of its hour"), "{page}");
    assert_eq!(page.matches("event e-17").count(), 1, "{page}");
}

#[test]
fn marks_appear_on_a_terminal_only() {
    assert!(render(&alert(), 0, &Style::TERMINAL).contains("\x1b[1m"));
    assert!(!render(&alert(), 0, &Style::PLAIN).contains('\x1b'));
}

#[test]
fn figures_have_as_many_digits_as_they_deserve() {
    for (x, text) in [
        (0.0, "0"),
        (1.0, "1"),
        (0.25, "0.25"),
        (0.0213, "0.021"),
        (0.000_21, "0.00021"),
        (0.000_021, "2.1e-5"),
        (0.999, "1"),
        (3.12, "3.1"),
        (12.0, "12"),
        (1234.4, "1,234"),
        (-1_234_567.0, "-1,234,567"),
    ] {
        assert_eq!(figure(x), text);
    }
    for (p, text) in
        [(1.0, "1 in 1"), (0.31, "1 in 3"), (0.000_231_9, "1 in 4,300"), (1e-9, "1 in 1,000,000,000")]
    {
        assert_eq!(one_in(p), text);
    }
    assert!(one_in(0.0).starts_with("fewer than"));
    assert!(one_in(f64::NAN).starts_with("fewer than"));
}
