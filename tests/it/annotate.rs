//! `tiltmeter annotate` from outside: what goes in, what comes out, and what must never come out.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/examples/transcripts")
}

/// Runs `annotate` in `folder` with a fixed key.
fn annotate(folder: &Path, arguments: &[&str], input: &str) -> Output {
    std::fs::write(folder.join("key"), "a key for tests only").unwrap();
    run(folder, &[&["--key-file", "key"], arguments].concat(), input)
}

fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tiltmeter"))
        .arg("annotate")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _: std::io::Result<()> = writer.join().unwrap(); // a run that stops early closes the pipe
    output
}

fn events(output: &Output) -> Vec<Value> {
    String::from_utf8(output.stdout.clone())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn example(name: &str) -> String {
    std::fs::read_to_string(examples().join(name)).unwrap()
}

/// `action name origin/form/anchored` of every argument.
fn origins(events: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut seen = Vec::new();
    for event in events {
        for argument in event["arguments"].as_array().into_iter().flatten() {
            let anchored =
                argument["anchored"].as_bool().map_or("-", |a| if a { "anchored" } else { "unanchored" });
            seen.push(format!(
                "{} {} {}/{}/{anchored}",
                text(&event["action"]),
                text(&argument["name"]),
                text(&argument["origin"]),
                text(&argument["origin_form"])
            ));
        }
    }
    seen
}

#[test]
fn the_chat_example_tells_a_field_from_what_a_mail_body_says() {
    let folder = tempfile::tempdir().unwrap();
    let output = annotate(folder.path(), &[], &example("valid-openai-chat.json"));
    let events = events(&output);
    assert_eq!(
        origins(&events),
        [
            "search_mail sender user/-/-",
            "search_mail limit model/-/unanchored",
            "send_mail to[] tool/field/anchored",
            "send_mail to[] tool/free_text/unanchored",
            "send_mail subject tool/field/unanchored",
            "send_mail body model/-/anchored",
        ]
    );
    assert_eq!(events[1]["resource"], "acme.example");
    assert_eq!(events[1]["arguments"][1]["origin_event"], events[0]["event_id"]);
    assert_eq!(events[1]["time"], "2026-01-22T09:00:03.000Z");
    assert_eq!(events[1]["bytes"], 10);
}

#[test]
fn the_agentdojo_example_matches_results_by_order_and_carries_a_label() {
    let folder = tempfile::tempdir().unwrap();
    let events = events(&annotate(folder.path(), &["--keep", "label"], &example("valid-agentdojo.json")));
    let outcomes: Vec<_> = events.iter().map(|event| event["outcome"].as_str().unwrap_or("-")).collect();
    assert_eq!(outcomes, ["ok", "denied", "ok"]);
    assert_eq!(
        origins(&events),
        [
            "list_directory path model/-/unanchored",
            "copy_file name tool/field/anchored",
            "copy_file target user/-/-",
            "read_file path model/-/unanchored",
        ]
    );
    assert!(events.iter().all(|event| event["label"] == "normal"));
    assert_eq!(events[1]["resource"], ".");
}

#[test]
fn every_example_is_used_or_refused_for_the_reason_in_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let output = annotate(folder.path(), &["--dead-letters", "dead", path.to_str().unwrap()], "");
        let dead = std::fs::read_to_string(folder.path().join("dead")).unwrap();
        if let Some(reason) = name.strip_prefix("invalid-") {
            let letter: Value = serde_json::from_str(&dead).unwrap();
            assert_eq!(letter["reason"].as_str(), reason.split('-').next(), "{name}");
            assert_eq!(output.status.code(), Some(65), "{name}: nothing could be used");
            assert!(output.stdout.is_empty(), "{name}");
        } else {
            assert_eq!((dead.as_str(), output.status.code()), ("", Some(0)), "{name}");
            assert!(!output.stdout.is_empty(), "{name}");
        }
        seen += 1;
    }
    assert!(seen >= 8, "examples are missing");
}

#[test]
fn every_event_is_a_valid_audit_event() {
    let folder = tempfile::tempdir().unwrap();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/agent-audit.v1.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let input = example("valid-openai-chat.json") + &example("valid-agentdojo.json");
    let output = annotate(folder.path(), &[], &input);
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let event: Value = serde_json::from_slice(line).unwrap();
        assert!(validator.is_valid(&event), "{event}");
        assert!(tiltmeter::wire::audit_event::decode(line).is_ok(), "{event}");
    }
}

/// Words that stand nowhere else, so that one of them in any output is a leak.
struct Secrets(Vec<String>);

impl Secrets {
    fn plant(&mut self, place: &str) -> String {
        let secret = format!("{place}zqx");
        self.0.push(secret.clone());
        secret
    }

    fn must_not_stand_in(&self, what: &str, text: &str) {
        let lower = text.to_lowercase();
        for secret in &self.0 {
            assert!(!lower.contains(&secret.to_lowercase()), "{secret} leaked into {what}:\n{text}");
        }
    }
}

/// A conversation with a secret in every place that is not an id of the line or a tool's or parameter's name.
fn full_of_secrets(secrets: &mut Secrets) -> Value {
    let mut s = |place: &str| secrets.plant(place);
    let arguments = json!({
        "to": [format!("{}@acme.example", s("mailbox")), s("word")],
        "url": format!("https://{}:{}@host.example:8443/{}/b?q={}#{}", s("urluser"), s("urlpass"), s("urlpath"), s("urlquery"), s("fragment")),
        "path": format!("/home/dana/{}/{}.txt", s("thirdfolder"), s("filename")),
        "repo": format!("owner/{}", s("reponame")),
        "password": s("password"),
        "note": format!("a longer text that says {} and goes on for a while after that", s("textword")),
        "phrase": format!("about {}", s("phraseword")),
        "key": format!("ssh-rsa AAAA{}", s("sshkey")),
        "share": {format!("{}@acme.example", s("mapkeymail")): "read", s("mapkeyword"): {s("innerkey"): 1}},
        format!("{} with blanks", s("toplevelname")): s("strangevalue"),
        format!("{}@acme.example", s("toplevelmail")): 1,
        "deep": [[[{"list": [s("deepvalue")]}]]],
    });
    json!({
        "agent_id": "a/1", "agent_type": "a", "session_id": "s", "started": "2026-01-22T09:00:00Z",
        "label": s("label"), "notes": s("extrafield"), s("extraname"): 1,
        "messages": [
            {"role": "system", "content": format!("The user's name is {}. {}", s("Principal"), s("system"))},
            {"role": "user", "content": format!("{} please", s("user")), s("messagekey"): s("messagevalue")},
            {"role": "assistant", "content": s("thought"), "tool_calls": [
                {"id": s("callid"), "type": "function", "function": {"name": "do_it", "arguments": arguments.to_string()}},
                {"id": "c2", "type": "function", "function": {"name": format!("say {} aloud", s("functionname")), "arguments": format!("{{broken {}", s("brokenjson"))}},
                {"id": "c3", "type": "function", "function": {"name": "odd", "arguments": format!("[\"{}\"]", s("listargument"))}}]},
            {"role": "tool", "tool_call_id": "c2", "content": format!("Error: {}", s("answererror"))},
            {"role": "tool", "tool_call_id": "c3", "content": format!("- name: {}\n  {}: 1", s("answerfield"), s("answerkey")), "error": s("statederror")},
            {"role": "tool", "tool_call_id": s("unknownid"), "content": s("orphan")},
            {"role": "assistant", "tool_calls": [{"id": "c4", "function": {"name": "again", "arguments": {"x": s("objectargument")}}}]}]
    })
}

#[test]
fn no_planted_secret_comes_out_whatever_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut secrets = Secrets(Vec::new());
    let good = full_of_secrets(&mut secrets);
    let mut lines = good.to_string();
    // And the same again in lines that cannot be used, each for another reason.
    for broken in [
        good.to_string().replace("\"agent_id\":\"a/1\",", ""),
        good.to_string().replace("\"role\":\"user\"", &format!("\"role\":\"{}\"", secrets.plant("badrole"))),
        good.to_string().replace("2026-01-22T09:00:00Z", &secrets.plant("badtime")),
        good.to_string().replace(
            "\"session_id\":\"s\"",
            &format!("\"session_id\":[\"{}\"]", secrets.plant("badsession")),
        ),
        good.to_string() + "}",
        format!("{{\"agent_id\": \"{}\" nonsense", secrets.plant("notjson")),
        format!("{{\"agent_id\": \"{}\", \"pad\": \"{}\"}}", secrets.plant("overlong"), "x".repeat(1 << 20)),
    ] {
        lines.push('\n');
        lines.push_str(&broken);
    }
    for form in ["clear", "keyed", "none"] {
        let arguments = ["--resource", form, "--dead-letters", "dead", "--keep", "nothing"];
        let output = annotate(folder.path(), &arguments, &lines);
        let dead = std::fs::read_to_string(folder.path().join("dead")).unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(events(&output).len(), 4);
        assert_eq!(dead.lines().count(), 7);
        secrets.must_not_stand_in("the events", &String::from_utf8_lossy(&output.stdout));
        secrets.must_not_stand_in("stderr", &String::from_utf8_lossy(&output.stderr));
        secrets.must_not_stand_in("the dead letters", &dead);
    }
    // The check itself can fail: what was planted is really in the input.
    for secret in &secrets.0 {
        assert!(lines.contains(secret.as_str()), "{secret} was never planted");
    }
}

#[test]
fn places_are_hashed_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut secrets = Secrets(Vec::new());
    let calls: Vec<Value> = ["https://HOST/x", "bob@HOST.example", "/HOST/HOST2/x.txt", "HOST/name"]
        .iter()
        .map(|value| {
            let value =
                value.replace("HOST2", &secrets.plant("place2")).replace("HOST", &secrets.plant("place"));
            json!({"function": {"name": "f", "arguments": {"x": value}}})
        })
        .collect();
    let line = json!({"agent_id": "a", "started": "2026-01-22T09:00:00Z",
        "messages": [{"role": "assistant", "tool_calls": calls}]})
    .to_string();
    let keyed = annotate(folder.path(), &["--resource", "keyed"], &line);
    secrets.must_not_stand_in("the events", &String::from_utf8_lossy(&keyed.stdout));
    assert!(events(&keyed).iter().all(|event| event["resource"].is_string()));
    let none = annotate(folder.path(), &["--resource", "none"], &line);
    secrets.must_not_stand_in("the events", &String::from_utf8_lossy(&none.stdout));
    assert!(events(&none).iter().all(|event| event.get("resource").is_none()));
    let clear = annotate(folder.path(), &[], &line);
    assert!(String::from_utf8_lossy(&clear.stdout).contains("placezqx"), "in clear, places are shown");
}

#[test]
fn a_field_of_the_event_or_a_long_text_cannot_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let output = annotate(folder.path(), &["--keep", "agent_id"], "");
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("keep another one"));
    let line = example("valid-agentdojo.json").replace("\"normal\"", &format!("\"{}\"", "long ".repeat(20)));
    let output = annotate(folder.path(), &["--keep", "label"], &line);
    assert!(events(&output).iter().all(|event| event.get("label").is_none()));
}

#[test]
fn without_a_key_file_a_fresh_one_is_made_named_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let input = example("valid-openai-chat.json");
    let first = run(folder.path(), &[], &input);
    let said = String::from_utf8_lossy(&first.stderr).into_owned();
    assert!(said.contains("fresh key") && said.contains("tiltmeter.key"), "{said}");
    let key = std::fs::read_to_string(folder.path().join("tiltmeter.key")).unwrap();
    assert!(!said.contains(key.trim()), "the key itself is never shown");
    let second = run(folder.path(), &[], &input);
    assert_eq!(first.stdout, second.stdout);
    let missing = run(folder.path(), &["--key-file", "nowhere"], &input);
    assert_eq!(missing.status.code(), Some(64));
    assert!(missing.stdout.is_empty());
}

#[test]
fn equal_values_have_equal_hashes_whatever_their_case_and_blanks() {
    let folder = tempfile::tempdir().unwrap();
    let call = |value: &str| json!({"function": {"name": "f", "arguments": {"x": value}}});
    let line = json!({"agent_id": "a", "started": "2026-01-22T09:00:00Z", "messages": [
        {"role": "assistant", "tool_calls": [call("Caf\u{e9}  Roma"), call(" cafe\u{301}\nroma "), call("cafe roma")]}]});
    let events = events(&annotate(folder.path(), &[], &line.to_string()));
    let mut by_hash = HashMap::<String, usize>::new();
    for event in &events {
        *by_hash.entry(event["arguments"][0]["hash"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let mut counts: Vec<usize> = by_hash.into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2]);
}

#[test]
fn a_conversation_without_a_start_is_refused_unless_one_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let input = example("invalid-missing_field-started.json");
    let refused = annotate(folder.path(), &[], &input);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("started is missing"));
    let given = annotate(folder.path(), &["--assume-started", "2026-03-01T00:00:00Z"], &input);
    assert_eq!(events(&given)[0]["time"], "2026-03-01T00:00:00.000Z");
    let wrong = annotate(folder.path(), &["--assume-started", "soon"], &input);
    assert!(!wrong.status.success());
}
