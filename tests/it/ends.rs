//! What commands never overwrite, in which order they read, and how they end: the built binary with real files and signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn tiltmeter(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiltmeter"));
    command.current_dir(folder).args(arguments).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// Exit code, standard output, standard error.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = tiltmeter(folder, arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn fleet(folder: &Path) -> Vec<String> {
    let options = "simulate --days 3 --agents 12 --attacks hijacked-goal --attack-share 0.2 --strength 1 \
                   --quiet-until 2d --no-labels";
    let (code, out, err) = run(folder, &options.split_whitespace().collect::<Vec<_>>());
    assert_eq!(code, 0, "{err}");
    out.lines().map(str::to_owned).collect()
}

fn write(folder: &Path, name: &str, lines: &[String]) {
    std::fs::write(folder.join(name), lines.join("\n") + "\n").unwrap();
}

#[test]
fn no_command_writes_over_what_it_reads_or_writes_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let event = "{\"time\":\"2026-03-01T00:00:00Z\",\"agent_id\":\"a\",\"action\":\"b\"}\n";
    let files = [
        ("events", event),
        ("key", "00112233445566778899aabbccddeeff\n"),
        ("c.toml", "agents.identity_key_file = \"key\"\n"),
        ("control", "\n"),
        ("verdicts", "\n"),
    ];
    for (name, text) in files {
        std::fs::write(at.join(name), text).unwrap();
    }
    std::fs::hard_link(at.join("events"), at.join("linked")).unwrap();
    for arguments in [
        "annotate events -o events --key-file key",
        "annotate events -o ./linked --key-file key",
        "annotate events --dead-letters events --key-file key",
        "annotate events -o key --key-file key",
        "annotate events -o new --dead-letters ./new --key-file key",
        "evaluate --baseline events --test control --per-unit events",
        "evaluate --baseline control --test events --per-unit events",
        "detect events --state events",
        "detect events --dead-letters key -c c.toml",
        "detect events --units c.toml -c c.toml",
        "detect events --units control --control control",
        "detect events --units verdicts --verdicts verdicts",
        "detect events --units new --dead-letters new",
        "detect events --state new --units new",
    ] {
        let (code, out, err) = run(at, &arguments.split(' ').collect::<Vec<_>>());
        assert!(
            code == 64 && out.is_empty() && err.contains("would be overwritten"),
            "{arguments}: {code} {err}"
        );
        for (name, text) in files {
            assert_eq!(std::fs::read_to_string(at.join(name)).unwrap(), text, "{arguments}: {name}");
        }
    }
    let appended = std::fs::File::options().append(true).open(at.join("events")).unwrap();
    let ended = tiltmeter(at, &["detect", "events"]).stdout(appended).output().unwrap();
    assert_eq!(ended.status.code(), Some(64), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_ends_with_74_whatever_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let lines = fleet(at);
    write(at, "events", &lines);
    std::fs::write(at.join("key"), "a key for tests only").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(root.join("schemas/examples/transcripts/valid-openai-chat.json"), at.join("talk")).unwrap();
    for arguments in [
        "simulate --days 1 --agents 3",
        "simulate --days 4 --agents 9 --attack-share 0.5 --truth /dev/full",
        "evaluate --baseline events --test events",
        "evaluate --baseline events --test events --json",
        "evaluate --baseline events --test events --per-unit /dev/full",
        "annotate talk --key-file key",
        "annotate talk --key-file key -o /dev/full",
        "detect events --units /dev/full",
        "detect events --state nowhere/s",
        "verdict a accept --by ann",
        "verdict a accept --by ann --to /dev/full",
    ] {
        let to_file = arguments.contains("/dev/full") || arguments.contains("nowhere");
        let mut command = tiltmeter(at, &arguments.split(' ').collect::<Vec<_>>());
        match to_file {
            true => command.stdout(Stdio::null()),
            false => command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap()),
        };
        let ended = command.output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(74), "{arguments}: {told}");
        let remedy = if arguments.contains("nowhere") { "make its folder" } else { "free space" };
        assert!(told.contains(remedy), "{arguments}: {told}");
    }
}

#[test]
fn several_files_are_read_by_time_whatever_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let lines = fleet(at);
    write(at, "all", &lines);
    // By agents in turn, so that the files overlap all the time; and by day.
    let part = |n: usize| lines.iter().skip(n).step_by(3).cloned().collect::<Vec<_>>();
    for (n, name) in ["p0", "p1", "p2"].into_iter().enumerate() {
        write(at, name, &part(n));
    }
    let (half, rest) = lines.split_at(lines.len() / 2);
    write(at, "d1", half);
    std::fs::write(at.join("d2.zst"), zstd::encode_all((rest.join("\n") + "\n").as_bytes(), 0).unwrap())
        .unwrap();
    // Without the places of the lines, which are those of the files.
    let said = |arguments: &[&str]| {
        let (code, out, err) = run(at, &[&["detect"], arguments].concat());
        assert_eq!(code, 0, "{err}");
        assert!(!err.contains("older than one before"), "{err}");
        let mut values: Vec<serde_json::Value> =
            out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for evidence in values.iter_mut().filter_map(|v| v.get_mut("evidence")?.as_array_mut()).flatten() {
            evidence["line"].take();
            evidence["source"].take();
        }
        values
    };
    let straight = said(&["all"]);
    assert!(straight.len() > 5);
    assert!(said(&["p2", "p0", "p1"]) == straight);
    assert!(said(&["d2.zst", "d1"]) == straight);
    assert!(said(&["--threads", "2", "d2.zst", "d1"]) == straight);

    let turned = [rest, half].concat();
    write(at, "turned", &turned);
    let (code, _, err) = run(at, &["detect", "turned"]);
    assert!(code == 0 && err.contains("older than one before them"), "{err}");
    let (code, out, _) = run(at, &["check", "turned"]);
    assert!(code == 64 && out.contains("sort the input by time"), "{out}");
}

#[test]
fn a_record_that_is_about_nobody_is_named_with_the_tenant_that_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let event =
        "{\"time\":\"2026-03-01T00:00:00Z\",\"tenant\":\"acme\",\"agent_id\":\"a\",\"action\":\"b\"}\n";
    std::fs::write(at.join("events"), event).unwrap();
    let record = |tenant: &str, agent: &str| {
        format!(
            "{{\"time\":\"2026-02-01T00:00:00Z\",\"kind\":\"registration\",\"agent_id\":\"{agent}\"{tenant}}}\n"
        )
    };
    let records = record("", "a") + &record(",\"tenant\":\"acme\"", "a*") + &record("", "nobody");
    std::fs::write(at.join("control"), records).unwrap();
    let verdict = "{\"time\":\"2026-02-01T00:00:00Z\",\"agent_id\":\"a\",\"verdict\":\"accept\"}\n";
    std::fs::write(at.join("verdicts"), verdict).unwrap();
    let (code, _, err) = run(at, &["detect", "events", "--control", "control", "--verdicts", "verdicts"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("3 of 4 control records and verdicts are about no agent of this input"), "{err}");
    assert_eq!(err.matches("tenant \"acme\": say `tenant`").count(), 2, "{err}");
    std::fs::write(at.join("control"), record(",\"tenant\":\"acme\"", "a*")).unwrap();
    let (_, _, err) = run(at, &["detect", "events", "--control", "control"]);
    assert!(!err.contains("about no agent"), "{err}");
}

#[test]
fn input_without_a_single_event_is_no_all_clear() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("other"), "{\"eventTime\":\"2026-03-01T00:00:00Z\"}\nx\n").unwrap();
    std::fs::write(at.join("empty"), "").unwrap();
    let (code, _, err) = run(at, &["detect", "other"]);
    assert!(code == 65 && err.contains("no line could be used") && err.contains("--source"), "{code} {err}");
    assert_eq!(run(at, &["detect", "empty"]).0, 0);
    write(at, "events", &fleet(at));
    for (baseline, test, missing) in
        [("empty", "other", "--test"), ("other", "events", "--baseline"), ("events", "empty", "--test")]
    {
        let (code, out, err) = run(at, &["evaluate", "--baseline", baseline, "--test", test]);
        let told = format!("there is no event in {missing} ");
        assert!(code == 65 && out.is_empty() && err.contains(&told), "{code} {err}");
    }
    let (code, out, err) = run(at, &["evaluate", "--baseline", "empty", "--test", "events"]);
    assert!(code == 0 && out.contains("units"), "judged by what is shipped: {code} {err}");
}

#[test]
fn a_name_that_is_nearly_right_and_a_number_as_time_are_told_with_what_works() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let lines = "{\"time\":\"2026-03-01T00:00:00Z\",\"agent_id\":\"a\",\"action\":\"b\",\"agenttype\":\"t\"}\n\
                 {\"time\":1767571200,\"agent_id\":\"a\",\"action\":\"b\"}\n\
                 {\"time\":\"1767571200\",\"agent_id\":\"a\",\"action\":\"b\"}\n";
    std::fs::write(at.join("events"), lines).unwrap();
    let (_, out, _) = run(at, &["check", "events"]);
    assert!(out.contains("agenttype in 1 is not read: did you mean agent_type?"), "{out}");
    assert_eq!(out.matches("epoch_seconds").count(), 2, "{out}");
    assert!(!out.contains("in quotes"), "{out}");
}

#[test]
fn who_is_deprovisioned_keeps_the_owner_that_a_pattern_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let said = "--by ann --time 2026-01-01T00:00:00Z --to control";
    let add = format!("registry add mail-* --owner mail-team {said}");
    assert_eq!(run(at, &add.split(' ').collect::<Vec<_>>()).0, 0);
    let (code, out, err) =
        run(at, &["registry", "deprovision", "mail-7", "--by", "ann", "--control", "control"]);
    assert_eq!(code, 0, "{err}");
    let record: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&record["agent_id"], &record["owner"], &record["state"]),
        (&"mail-7".into(), &"mail-team".into(), &"deprovisioned".into())
    );
}

#[test]
fn the_summary_counts_agents_by_the_level_that_was_published() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "events", &fleet(at));
    let rule =
        "[[rules]]\nname = \"many calls\"\nlevel = \"high\"\ncount = { at_least = 6, within = \"15m\" }\n";
    std::fs::write(at.join("rule.toml"), rule).unwrap();
    std::fs::write(at.join("bold.toml"), format!("[levels]\nobserve_first_days = 0\n{rule}")).unwrap();
    let highest = |arguments: &[&str]| {
        let (code, out, err) = run(at, &[&["detect", "events"], arguments].concat());
        assert_eq!(code, 0, "{err}");
        let mut agents = std::collections::BTreeMap::<String, (usize, usize)>::new();
        for line in out.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let rank =
                |name: &str| ["none", "low", "medium", "high"].iter().position(|level| value[name] == *level);
            if let (Some(level), Some(uncapped)) = (rank("level"), rank("level_uncapped")) {
                let known = agents.entry(value["agent_id"].to_string()).or_default();
                *known = (known.0.max(level), known.1.max(uncapped));
            }
        }
        (agents.into_values().collect::<Vec<_>>(), err)
    };
    let (levels, err) = highest(&["-c", "rule.toml"]);
    let low = levels.iter().filter(|(level, _)| *level == 1).count();
    let held = levels.iter().filter(|(level, uncapped)| level < uncapped).count();
    assert!(low > 0 && held > 0 && levels.iter().all(|(level, _)| *level <= 1), "{levels:?}");
    assert!(err.contains(&format!("highest risk levels of agents: low {low}\n")), "{err}");
    assert!(err.contains(&format!("{held} agent")) && err.contains("observe_first_days"), "{err}");
    let (levels, err) = highest(&["-c", "bold.toml"]);
    let high = levels.iter().filter(|(level, _)| *level == 3).count();
    assert!(high > 0 && err.contains(&format!("high {high}\n")) && !err.contains(" held at"), "{err}");
}

fn started(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = tiltmeter(folder, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a file is there: the process has begun its work.
fn is_there(path: &Path) {
    while !path.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_detect_with_its_state_written_and_one_call_uses_it_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let lines = fleet(at);
    let mut child = started(at, &["detect", "--state", "s", "--units", "units"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let (sender, first) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let (mut line, mut rest) = (String::new(), String::new());
        out.read_line(&mut line).unwrap();
        sender.send(line).unwrap();
        out.read_to_string(&mut rest).unwrap();
    });
    // The pipe stays open.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    stdin.flush().unwrap();
    assert!(first.recv().unwrap().starts_with('{'), "what is found is told while the input goes on");
    is_there(&at.join("s.lock"));
    let (code, _, err) = run(at, &["detect", "--state", "s"]);
    assert!(code == 64 && err.contains("in use by another tiltmeter"), "{code} {err}");

    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    reading.join().unwrap();
    let ended = child.wait_with_output().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{err}");
    assert!(err.contains("ended by a signal after line ") && err.contains(" of stdin"), "{err}");
    assert!(err.contains(" events in ") && err.contains("kept in s"), "{err}");
    assert!(at.join("s").exists());
    drop(stdin);
    let (code, _, err) = run(at, &["detect", "--state", "s"]);
    assert!(code == 0 && err.contains("12 agents of "), "{err}");
}

#[test]
fn a_live_stream_of_conversations_is_judged_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("key"), "a key for tests only").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let talk = std::fs::read(root.join("schemas/examples/transcripts/valid-openai-chat.json")).unwrap();
    let mut child = started(at, &["annotate", "--key-file", "key"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&talk).unwrap();
    stdin.flush().unwrap();
    let mut line = String::new();
    // Would wait for ever if nothing were written before the input ends.
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("search_mail"), "{line}");
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// Exit code of a call whose standard error is a pipe that nobody reads.
fn run_unheard(folder: &Path, arguments: &[&str]) -> i32 {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = tiltmeter(folder, arguments);
    let status = command.stdout(Stdio::null()).stderr(writer).status().unwrap();
    status.code().unwrap()
}

#[test]
fn what_nobody_reads_on_standard_error_costs_neither_state_nor_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "events", &fleet(at));
    assert_eq!(run_unheard(at, &["detect", "events", "--state", "unheard"]), 0);
    assert_eq!(run(at, &["detect", "events", "--state", "heard"]).0, 0);
    // A few bytes differ: each state has a key of its own.
    let bytes = |name: &str| std::fs::metadata(at.join(name)).unwrap().len();
    assert!(bytes("unheard").abs_diff(bytes("heard")) < bytes("heard") / 10, "the whole state is there");
    let (code, _, err) = run(at, &["detect", "events", "--state", "unheard"]);
    assert!(code == 0 && !err.contains("a fresh key"), "it can be gone on from: {err}");

    std::fs::write(at.join("c.toml"), "[alert]\n").unwrap();
    assert_eq!(run_unheard(at, &["detect", "events", "-c", "c.toml"]), 64);
    assert_eq!(run_unheard(at, &["detect", "events", "--control", "events"]), 64);
    std::fs::write(at.join("other"), "x\n").unwrap();
    assert_eq!(run_unheard(at, &["detect", "other"]), 65);
    assert_eq!(run_unheard(at, &["annotate", "other"]), 65);
}

#[test]
fn a_wrong_file_as_configuration_or_control_is_told_in_a_few_lines() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let events = fleet(at);
    let some: Vec<String> = events.iter().take(3_000).cloned().collect();
    write(at, "some", &some);
    let (code, out, _) = run(at, &["check", "-c", "some"]);
    assert_eq!(code, 64);
    assert!(out.lines().count() < 30, "{out}");
    assert!(out.contains("more faults; is this a configuration?"), "{out}");
    std::fs::write(at.join("large"), "# a line of a comment that says nothing at all\n".repeat(100_000))
        .unwrap();
    let (code, out, _) = run(at, &["check", "-c", "large"]);
    assert!(code == 64 && out.contains("is this the configuration?"), "{out}");

    let (code, _, err) = run(at, &["detect", "some", "--control", "some"]);
    assert!(code == 64 && err.contains("audit events, not control records"), "{err}");
    write(at, "lines", &vec!["{\"kind\":\"verdict\"}".to_owned(); 3_000]);
    let (code, _, err) = run(at, &["detect", "some", "--control", "lines"]);
    assert!(code == 64 && err.contains("and 2980 more lines") && err.lines().count() < 30, "{err}");
    let verdict = run(at, &["verdict", "a", "dismiss", "--by", "ann"]).1;
    std::fs::write(at.join("verdict"), verdict).unwrap();
    let (code, _, err) = run(at, &["detect", "some", "--verdicts", "verdict"]);
    assert!(code == 64 && err.contains("give it with --control"), "{err}");
}

#[test]
fn an_evaluation_of_labels_that_fit_nothing_says_so_and_shows_no_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let options = "simulate --days 3 --agents 12 --attacks hijacked-goal --attack-share 0.3 --strength 1 --quiet-until 2d";
    let (_, events, _) = run(at, &options.split(' ').collect::<Vec<_>>());
    std::fs::write(at.join("events"), events).unwrap();
    let evaluate = |more: &[&str]| {
        let all = [&["evaluate", "--baseline", "events", "--test", "events"], more].concat();
        let (code, out, err) = run(at, &all);
        assert_eq!(code, 0, "{err}");
        (out, err)
    };
    let (out, err) = evaluate(&[]);
    assert!(!err.contains("leaves no unit") && out.contains("found at 1 % false alarms   0"), "{err}{out}");
    let (out, err) = evaluate(&["--positive", "^nosuch$"]);
    assert!(err.contains("--positive ^nosuch$ leaves no unit of --test, whose labels are "), "{err}");
    assert!(out.contains("found at 1 % false alarms   –"), "{out}");
    assert!(out.contains("calls to alarm              median –, within 3: –"), "{out}");
    let (out, err) = evaluate(&["--normal", "^nosuch$"]);
    assert!(err.contains("there is nothing to compare with"), "{err}");
    assert!(out.contains("false alarms at nominal 1 % –"), "{out}");
    let (_, err) = evaluate(&["--learn", "nothing"]);
    assert!(err.contains("--learn nothing fits the label of none of "), "{err}");
}

#[test]
fn a_state_that_was_not_written_because_the_reader_has_gone_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "events", &fleet(at));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = tiltmeter(at, &["detect", "events", "--state", "s"]);
    let ended = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && told.contains("\"s\" is as it was before"), "{told}");
    assert!(!at.join("s").exists());
}

#[test]
fn input_that_could_not_be_read_is_no_all_clear_and_is_told_with_what_works() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("plain.gz"), "hello\n").unwrap();
    let (code, _, err) = run(at, &["detect", "plain.gz"]);
    assert!(code == 64 && err.contains("rename it if it is not compressed"), "{code} {err}");
    assert!(!err.contains("no alerts"), "{err}");
    std::fs::write(at.join("refused"), "x\n").unwrap();
    assert!(!run(at, &["detect", "refused"]).2.contains("no alerts"));
    std::fs::write(at.join("list"), "[{\"time\":\"2026-03-01T00:00:00Z\"}]\n").unwrap();
    std::fs::write(at.join("pretty"), "{\n\"time\":1\n}\n").unwrap();
    let (_, out, _) = run(at, &["check", "list", "pretty"]);
    assert!(out.contains("`jq -c '.[]' FILE`") && out.contains("`jq -c . FILE`"), "{out}");
}

#[test]
fn what_is_said_by_nobody_or_of_nobody_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for arguments in [["verdict", "a", "dismiss", "--by", ""], ["registry", "add", "a", "--by", " "]] {
        let (code, out, err) = run(at, &arguments);
        assert!(code == 64 && out.is_empty() && err.contains("--by is empty"), "{code} {err}");
    }
    let (code, _, err) = run(at, &["verdict", "a*", "dismiss", "--by", "ann"]);
    assert!(code == 0 && err.contains("no pattern here"), "{err}");
    assert_eq!(run(at, &["registry", "add", "mail-7", "--by", "ann", "--to", "control"]).0, 0);
    let deprovision = |agent| {
        run(
            at,
            &[
                "registry",
                "deprovision",
                agent,
                "--by",
                "ann",
                "--time",
                "2027-01-01T00:00:00Z",
                "--control",
                "control",
            ],
        )
    };
    assert!(deprovision("mail-8").2.contains("registers no"));
    assert_eq!(deprovision("mail-7").2, "");
}
