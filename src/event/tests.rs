//! Any audit event can be written and read back, by both JSON readers, without copying what need not be.

use proptest::prelude::*;

use super::*;

fn text() -> impl Strategy<Value = Text<'static>> {
    prop_oneof!["[a-z0-9_./:@ -]{0,24}".prop_map(Text::from), any::<String>().prop_map(Text::from)]
}

fn maybe() -> impl Strategy<Value = Option<Text<'static>>> {
    prop::option::of(text())
}

fn time() -> impl Strategy<Value = EventTime> {
    (EventTime::EARLIEST.0..EventTime::LATEST.0).prop_map(EventTime)
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec![Outcome::Ok, Outcome::Denied, Outcome::Error, Outcome::Unknown])
}

fn class() -> impl Strategy<Value = ValueClass> {
    use ValueClass::*;
    prop::sample::select(vec![Word, Phrase, Text, Num, Time, Path, Url, Email, Repo, Iban, Key, Secret])
}

fn argument() -> impl Strategy<Value = Argument<'static>> {
    let origin = prop::option::of(prop::sample::select(vec![Origin::User, Origin::Tool, Origin::Model]));
    let form = prop::option::of(prop::sample::select(vec![OriginForm::Field, OriginForm::FreeText]));
    let hash = prop::option::of((0u64..1 << 48).prop_map(ValueHash));
    (text(), class(), hash, any::<Option<u32>>(), origin, form, any::<Option<bool>>(), maybe()).prop_map(
        |(name, class, hash, length, origin, origin_form, anchored, origin_event)| Argument {
            name,
            class,
            hash,
            length,
            origin,
            origin_form,
            anchored,
            origin_event,
        },
    )
}

/// Every field on its own, so that two fields under one name could not hide behind each other.
fn event() -> impl Strategy<Value = AuditEvent<'static>> {
    let who = (text(), prop::array::uniform5(maybe()));
    let what = (time(), text(), maybe(), outcome(), prop::option::of(time()));
    let counts = prop::array::uniform3(any::<Option<u64>>());
    let rest = prop::array::uniform11(maybe());
    (who, what, counts, rest, prop::collection::vec(argument(), 0..9)).prop_map(
        |(
            (agent_id, ids),
            (time, action, resource, outcome, issued),
            [seq, bytes, count],
            rest,
            arguments,
        )| {
            let [event_id, tenant, agent_type, agent_version, instance_id] = ids;
            let [
                session_id,
                source_ip,
                location,
                user_agent,
                credential_id,
                credential_type,
                on_behalf_of,
                delegated_by,
                decision,
                decision_key,
                attestation,
            ] = rest;
            AuditEvent {
                time,
                event_id,
                tenant,
                agent_id,
                agent_type,
                agent_version,
                instance_id,
                session_id,
                seq,
                attestation,
                action,
                resource,
                outcome,
                bytes,
                count,
                source_ip,
                location,
                user_agent,
                credential_id,
                credential_type,
                credential_issued_at: issued,
                on_behalf_of,
                delegated_by,
                decision,
                decision_key,
                arguments: arguments.into(),
            }
        },
    )
}

/// All fields as text: an event that borrows from a line cannot be compared with one that outlives it.
fn all(event: &AuditEvent) -> String {
    format!("{event:?}")
}

/// Whether a text was taken from the line itself.
fn is_borrowed(text: &Text) -> bool {
    matches!(text.0, Cow::Borrowed(_))
}

proptest! {
    #[test]
    fn an_event_is_read_as_it_was_written(event in event()) {
        let line = serde_json::to_string(&event).unwrap();
        prop_assert_eq!(all(&serde_json::from_str(&line).unwrap()), all(&event));
        prop_assert_eq!(all(&sonic_rs::from_str(&line).unwrap()), all(&event));
        let line = sonic_rs::to_string(&event).unwrap();
        prop_assert_eq!(all(&serde_json::from_str(&line).unwrap()), all(&event));
    }

    #[test]
    fn text_is_borrowed_exactly_where_it_holds_no_escape(text in text()) {
        let json = serde_json::to_string(&text).unwrap();
        let by_serde: Text = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(is_borrowed(&by_serde), !json.contains('\\'));
        prop_assert_eq!(&by_serde, &text);
        let by_sonic: Text = sonic_rs::from_str(&json).unwrap();
        prop_assert_eq!(is_borrowed(&by_sonic), !json.contains('\\'));
        prop_assert_eq!(&by_sonic, &text);
    }

    #[test]
    fn no_line_is_too_bad(line in any::<String>(), event in event(), cut in any::<prop::sample::Index>()) {
        prop_assert!(serde_json::from_str::<AuditEvent>(&line).is_err());
        let whole = serde_json::to_string(&event).unwrap();
        let mut at = cut.index(whole.len());
        while !whole.is_char_boundary(at) {
            at -= 1;
        }
        prop_assert!(serde_json::from_str::<AuditEvent>(&whole[..at]).is_err());
        prop_assert!(sonic_rs::from_str::<AuditEvent>(&whole[..at]).is_err());
    }
}

#[test]
fn nothing_is_copied_from_a_line_without_escapes() {
    let line = r#"{"time":"2026-01-22T18:50:59.000Z","agent_id":"a-7","action":"send","tenant":"t",
        "extra":{"ignored":[1,2]},"arguments":[{"name":"to[]","class":"email","hash":"00ff00ff00ff"}]}"#;
    let event: AuditEvent = sonic_rs::from_str(line).unwrap();
    assert!(is_borrowed(&event.agent_id) && is_borrowed(&event.action));
    assert!(event.tenant.as_ref().is_some_and(is_borrowed));
    assert!(is_borrowed(&event.arguments[0].name));
    assert_eq!(event.arguments[0].hash, Some(ValueHash(0x00ff_00ff_00ff)));
    assert_eq!((event.outcome, event.count, event.agent_type()), (Outcome::Unknown, None, "unspecified"));
}

#[test]
fn what_is_absent_is_not_written() {
    let line = r#"{"time":"2026-01-22T18:50:59.000Z","agent_id":"a","action":"b"}"#;
    let event: AuditEvent = serde_json::from_str(line).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), line);
}

#[test]
fn an_event_without_time_agent_or_action_is_refused() {
    for line in [
        r#"{"agent_id":"a","action":"b"}"#,
        r#"{"time":"2026-01-22T18:50:59Z","action":"b"}"#,
        r#"{"time":"2026-01-22T18:50:59Z","agent_id":"a"}"#,
        r#"{"time":"yesterday","agent_id":"a","action":"b"}"#,
        r#"{"time":"2026-01-22T18:50:59Z","agent_id":7,"action":"b"}"#,
        r#"{"time":"2026-01-22T18:50:59Z","agent_id":"a","action":"b","count":-1}"#,
    ] {
        assert!(serde_json::from_str::<AuditEvent>(line).is_err(), "{line}");
        assert!(sonic_rs::from_str::<AuditEvent>(line).is_err(), "{line}");
    }
}

#[test]
fn a_hash_is_twelve_hexadecimal_digits() {
    for bad in ["\"\"", "\"00ff\"", "\"00ff00ff00ff0\"", "\"00ff00ff00fg\"", "\"+0ff00ff00ff\"", "7"] {
        assert!(serde_json::from_str::<ValueHash>(bad).is_err(), "{bad}");
    }
    assert_eq!(serde_json::from_str::<ValueHash>("\"ABCDEF012345\"").unwrap(), ValueHash(0xabcd_ef01_2345));
}

#[test]
fn every_field_has_the_name_that_is_published() {
    let line = concat!(
        r#"{"time":"2026-01-22T18:50:59.000Z","event_id":"1","tenant":"2","agent_id":"3","agent_type":"4","#,
        r#""agent_version":"5","instance_id":"6","session_id":"7","seq":8,"action":"9","resource":"10","#,
        r#""outcome":"denied","bytes":11,"count":12,"source_ip":"13","location":"14","user_agent":"15","#,
        r#""credential_id":"16","credential_type":"17","credential_issued_at":"2026-01-01T00:00:00.000Z","#,
        r#""on_behalf_of":"18","delegated_by":"19","decision":"20","decision_key":"21","attestation":"22","#,
        r#""arguments":[{"name":"23","class":"email","hash":"000000000018","length":25,"origin":"tool","#,
        r#""origin_form":"free_text","anchored":false,"origin_event":"26"}]}"#,
    );
    let event: AuditEvent = serde_json::from_str(line).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), line);
}
