//! Who is let in, as what, and who is not.

use axum::http::HeaderValue;

use super::*;
use crate::kafka::secret::SecretPlace;

fn settings(viewer: Option<SecretPlace>, admin: Option<SecretPlace>) -> HttpSettings {
    HttpSettings { viewer_tokens: viewer, admin_tokens: admin, ..HttpSettings::default() }
}

fn asker(headers: impl IntoIterator<Item = (header::HeaderName, &'static str)>) -> Asker {
    let headers = headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)));
    Asker { headers: headers.collect(), names: Arc::default() }
}

const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 9464);

#[test]
fn a_token_lets_in_to_what_its_role_may_and_no_other_text_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(SecretPlace::File(path))
    };
    let settings = settings(
        file("viewers", "0123456789abcdef\nfedcba9876543210\n"),
        file("admins", "an-admin-of-this-house"),
    );
    let access = Access::new(&settings, LOCAL.into()).unwrap();
    let may = |value, role| access.check(&asker([(header::AUTHORIZATION, value)]), role).is_ok();
    assert!(may("Bearer 0123456789abcdef", Role::Viewer) && may("bearer fedcba9876543210", Role::Viewer));
    assert!(!may("Bearer 0123456789abcdef", Role::Analyst));
    assert!(
        may("Bearer an-admin-of-this-house", Role::Analyst)
            && may("Bearer an-admin-of-this-house", Role::Admin)
    );
    for wrong in
        ["", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Basic 0123456789abcdef", "0123456789abcdef"]
    {
        assert!(!may(wrong, Role::Viewer), "{wrong}");
    }
    assert!(access.check(&asker([]), Role::Viewer).is_err());
}

#[test]
fn without_tokens_only_this_machine_is_answered() {
    let access = |address: SocketAddr| Access::new(&settings(None, None), address).unwrap();
    let local = access(LOCAL.into());
    for (host, is_let_in) in [
        ("127.0.0.1:9464", true),
        ("localhost", true),
        ("[::1]:9464", true),
        ("evil.example", false),
        ("127.0.0.1.evil.example:9464", false),
        ("", false),
    ] {
        assert_eq!(local.check(&asker([(header::HOST, host)]), Role::Admin).is_ok(), is_let_in, "{host}");
    }
    let open = access(([0, 0, 0, 0], 9464).into());
    assert!(!open.lets_in() && open.check(&asker([(header::HOST, "127.0.0.1")]), Role::Viewer).is_err());
}

#[test]
fn a_certificate_has_the_highest_role_of_its_names_and_a_token_may_have_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admins");
    std::fs::write(&path, "an-admin-of-this-house").unwrap();
    let client_roles =
        vec![(Pattern::new("*.example"), Role::Viewer), (Pattern::new("desk.example"), Role::Analyst)];
    let only = HttpSettings { client_roles, ..HttpSettings::default() };
    let both = HttpSettings { admin_tokens: Some(SecretPlace::File(path)), ..only.clone() };
    let shown = |names: &[&str]| Asker {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..asker([(header::HOST, "127.0.0.1")])
    };
    for settings in [&only, &both] {
        let access = Access::new(settings, LOCAL.into()).unwrap();
        let may = |names: &[&str], role| access.check(&shown(names), role).is_ok();
        assert!(may(&["siem.example"], Role::Viewer) && !may(&["siem.example"], Role::Analyst));
        assert!(may(&["siem.example", "desk.example"], Role::Analyst));
        assert!(!may(&[], Role::Viewer) && !may(&["desk.example.evil"], Role::Viewer));
        let page = access.check_page(&shown(&["siem.example"]), Role::Viewer);
        assert!(page.is_ok());
    }
    let mut admin = asker([(header::AUTHORIZATION, "Bearer an-admin-of-this-house")]);
    admin.names = shown(&["siem.example"]).names;
    assert!(Access::new(&both, LOCAL.into()).unwrap().check(&admin, Role::Admin).is_ok());
}

#[test]
fn a_token_that_can_be_guessed_is_refused_with_its_line_and_without_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    std::fs::write(&path, "0123456789abcdef\nswordfish\n").unwrap();
    let place = Some(SecretPlace::File(path));
    let Err(error) = Access::new(&settings(place, None), LOCAL.into()) else {
        panic!("a short token was taken")
    };
    let error = error.to_string();
    assert!(error.contains("viewer_tokens: line 2 has 9 bytes") && !error.contains("swordfish"), "{error}");
}

#[test]
fn a_mark_is_of_whom_it_was_shown_to_and_of_this_process_where_that_is_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("analysts");
    std::fs::write(&path, "the-token-of-ann!\nthe-token-of-bob!\n").unwrap();
    let client_roles = vec![(Pattern::new("*.example"), Role::Analyst)];
    let settings = HttpSettings {
        analyst_tokens: Some(SecretPlace::File(path)),
        client_roles,
        ..HttpSettings::default()
    };
    let [one, other] = [(); 2].map(|()| Access::new(&settings, LOCAL.into()).unwrap());
    let with = |token: Option<&'static str>, name: Option<&str>| Asker {
        names: name.into_iter().map(str::to_owned).collect(),
        ..asker(token.map(|token| (header::AUTHORIZATION, token)))
    };
    let mark = |access: &Access, asker: &Asker| access.mark(asker, Role::Analyst, "a").unwrap();
    let (ann, bob) =
        (with(Some("Bearer the-token-of-ann!"), None), with(Some("Bearer the-token-of-bob!"), None));
    let (desk, siem) = (with(None, Some("desk.example")), with(None, Some("siem.example")));
    let marks: std::collections::BTreeSet<String> =
        [&ann, &bob, &desk, &siem].iter().map(|asker| mark(&one, asker)).collect();
    assert_eq!(marks.len(), 4, "each has a mark of their own");
    assert_eq!(mark(&one, &ann), mark(&other, &ann), "a page of one instance may be sent to another");
    assert_ne!(mark(&one, &desk), mark(&other, &desk), "names are no secret: the key is the process's");
    assert_ne!(mark(&one, &desk), one.mark(&desk, Role::Analyst, "b").unwrap());
    // A page of somebody else may make a browser send a password of that page's choice beside the certificate.
    let chosen = with(Some("Bearer chosen-by-a-page!"), Some("desk.example"));
    assert_eq!(mark(&one, &chosen), mark(&one, &desk));
    assert!(one.mark(&with(None, None), Role::Analyst, "a").is_err());
}

#[test]
fn nobody_is_asked_for_a_password_where_there_are_no_tokens() {
    let client_roles = vec![(Pattern::new("*.example"), Role::Viewer)];
    let settings = HttpSettings { client_roles, ..HttpSettings::default() };
    let access = Access::new(&settings, LOCAL.into()).unwrap();
    let challenge = |role| {
        let named = Asker { names: ["siem.example".to_owned()].into(), ..asker([]) };
        let nobody = access.check_page(&asker([]), role).unwrap_err();
        let low = access.check_page(&named, role).unwrap_err();
        [nobody, low].map(|problem| {
            let response = axum::response::IntoResponse::into_response(problem);
            let asks = response.headers().get(header::WWW_AUTHENTICATE).cloned();
            (response.status().as_u16(), asks.is_some_and(|asks| asks.as_bytes().starts_with(b"Basic")))
        })
    };
    assert_eq!(challenge(Role::Analyst), [(401, false), (403, false)]);
}
