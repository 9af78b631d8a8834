//! The pages of the manual agree with each other and with the program: links lead somewhere, commands are real, and
//! `docs/commands.md` lists every option.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command, CommandFactory};
use expect_test::expect_file;
use regex::Regex;
use tiltmeter::cli::Cli;

/// Folders that hold nothing of the repository.
const NOT_OURS: &[&str] = &["target", ".git", "node_modules"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every page, by its path from the root, in order.
fn pages() -> Vec<(PathBuf, String)> {
    let (mut folders, mut found) = (vec![root()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() && !NOT_OURS.contains(&&*name) {
                folders.push(path);
            } else if name.ends_with(".md") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    assert!(found.len() > 20, "{} pages", found.len());
    found
}

/// Names by which headings of a page are linked to, as the usual renderers make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let link = Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    let mut anchors = BTreeSet::new();
    for heading in text.lines().filter(|line| line.starts_with('#')) {
        let words = link.replace_all(heading.trim_start_matches('#').trim(), "$1").to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let anchor = words.chars().filter(kept).collect::<String>().replace(' ', "-");
        // The second of a name is numbered.
        let mut numbered = (1..).map(|number| format!("{anchor}-{number}"));
        if !anchors.insert(anchor.clone()) {
            numbered.find(|name| anchors.insert(name.clone()));
        }
    }
    anchors
}

/// What stands between fences, and what stands between backticks elsewhere.
fn code(text: &str) -> Vec<String> {
    let fenced = Regex::new(r"(?s)```[^\n]*\n(.*?)```").unwrap();
    let quoted = Regex::new(r"`([^`\n]+)`").unwrap();
    let without = fenced.replace_all(text, "");
    let all = fenced.captures_iter(text).chain(quoted.captures_iter(&without));
    all.map(|found| found[1].replace("\\\n", " ")).collect()
}

#[test]
fn every_relative_link_leads_to_a_file_and_to_a_heading_in_it() {
    let code = Regex::new(r"(?s)```.*?```|`[^`\n]*`").unwrap();
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let elsewhere = Regex::new("^[a-z]+:").unwrap();
    let (mut faults, mut links) = (Vec::new(), 0);
    for (page, text) in pages() {
        for found in link.captures_iter(&code.replace_all(&text, "` `")) {
            if elsewhere.is_match(&found[1]) {
                continue;
            }
            links += 1;
            let (to, heading) = found[1].split_once('#').unwrap_or((&found[1], ""));
            let target =
                if to.is_empty() { root().join(&page) } else { root().join(&page).with_file_name(to) };
            let is_there = target.exists()
                && (heading.is_empty()
                    || anchors(&std::fs::read_to_string(&target).unwrap()).contains(heading));
            if !is_there {
                faults.push(format!("{}: {}", page.display(), &found[1]));
            }
        }
    }
    assert!(links > 100, "{links} links were found");
    assert!(faults.is_empty(), "links that lead nowhere:\n{}", faults.join("\n"));
}

#[test]
fn every_path_that_the_manual_names_is_there() {
    let inside = Regex::new(r"^(?:src|tests|docs|scripts|schemas|deploy|benches|models)/[\w./-]+$").unwrap();
    let (mut faults, mut paths) = (Vec::new(), 0);
    for (page, text) in pages() {
        for code in code(&text) {
            // Words in capitals stand for what a reader puts there.
            let named = code.split_whitespace().map(|word| word.trim_end_matches(['.', ',', ':', ';']));
            for word in named.filter(|word| inside.is_match(word) && !word.contains("NAME")) {
                paths += 1;
                if !root().join(word).exists() && !root().join(format!("{word}.rs")).exists() {
                    faults.push(format!("{}: {word}", page.display()));
                }
            }
        }
    }
    assert!(paths > 100, "{paths} paths were found");
    assert!(faults.is_empty(), "paths that lead nowhere:\n{}", faults.join("\n"));
}

/// The command that words name, and what is left of them; none where the first names none.
fn named<'w>(program: &Command, words: &'w [&'w str]) -> Option<(Command, &'w [&'w str])> {
    let (mut command, mut rest) = (program.find_subcommand(words.first()?)?, &words[1..]);
    while let Some(inner) = rest.first().and_then(|word| command.find_subcommand(word)) {
        (command, rest) = (inner, &rest[1..]);
    }
    Some((command.clone(), rest))
}

#[test]
fn every_command_in_the_manual_is_one_and_so_is_every_option() {
    let program = program();
    let call = Regex::new(r"(?:^|[\s(|;&$/])tiltmeter ([a-z][a-z-]*(?: [^|;&#)\n]*)?)").unwrap();
    let (mut faults, mut commands) = (Vec::new(), 0);
    for (page, text) in pages() {
        for line in code(&text).iter().flat_map(|code| code.lines()) {
            for found in call.captures_iter(line) {
                let words: Vec<&str> = found[1].split_whitespace().collect();
                let Some((command, rest)) = named(&program, &words) else {
                    faults.push(format!("{}: tiltmeter {}", page.display(), words.join(" ")));
                    continue;
                };
                commands += 1;
                for option in rest.iter().filter_map(|word| word.strip_prefix("--")) {
                    let option = option.split('=').next().unwrap();
                    let known = |argument: &Arg| argument.get_long() == Some(option);
                    if option != "help" && !option.is_empty() && !command.get_arguments().any(known) {
                        faults.push(format!("{}: {} has no --{option}", page.display(), command.get_name()));
                    }
                }
            }
        }
    }
    assert!(commands > 80, "{commands} commands were found");
    assert!(faults.is_empty(), "commands that the program does not know:\n{}", faults.join("\n"));
}

fn program() -> Command {
    let mut program = Cli::command();
    program.build();
    program
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace('|', "\\|").replace('<', "&lt;")
}

fn told(argument: &Arg) -> String {
    let name = match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (None, Some(long)) => format!("--{long}"),
        _ => String::new(),
    };
    let takes = argument.get_num_args().is_some_and(|count| count.takes_values());
    let values: Vec<String> = argument
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(|value| match (name.is_empty(), argument.is_required_set()) {
            (true, true) => format!("<{value}>"),
            (true, false) => format!("[{value}]"),
            _ => value.to_string(),
        })
        .collect();
    let shown = if takes { format!("{name} {}", values.join(" ")) } else { name };
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let default: Vec<String> = argument
        .get_default_values()
        .iter()
        .filter(|value| takes && !value.is_empty())
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    let possible: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|_| takes)
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}` ({})", value.get_name(), cell(&help.to_string())),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    let mut help = cell(&help);
    if !possible.is_empty() {
        help = format!("{help}: {}", possible.join(", "));
    }
    let default = if argument.is_required_set() { "required".to_owned() } else { default.join(" ") };
    format!("| `{}` | {default} | {help} |\n", shown.trim().replace('|', "\\|"))
}

fn describe(command: &Command, name: &str, out: &mut String) {
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let inner: Vec<&Command> =
        command.get_subcommands().filter(|command| command.get_name() != "help").collect();
    let depth = if name.contains(' ') { "##" } else { "#" };
    *out += &format!("\n#{depth} {name}\n\n{about}\n");
    let is_told = |argument: &&Arg| {
        !argument.is_hide_set() && !matches!(argument.get_action(), ArgAction::Help | ArgAction::Version)
    };
    let arguments: Vec<&Arg> = command.get_arguments().filter(is_told).collect();
    if !arguments.is_empty() {
        *out += "\n| argument | default | |\n|---|---|---|\n";
        out.extend(arguments.into_iter().map(told));
    }
    for inner in inner {
        describe(inner, &format!("{name} {}", inner.get_name()), out);
    }
}

#[test]
#[cfg(feature = "kafka")]
fn the_page_of_commands_lists_every_command_with_every_option() {
    let path = root().join("docs/commands.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let begin = "<!-- from the code: begin -->\n";
    let (before, _) = page.split_once(begin).unwrap();
    let mut made = String::new();
    for command in program().get_subcommands().filter(|command| command.get_name() != "help") {
        describe(command, command.get_name(), &mut made);
    }
    expect_file![path].assert_eq(&format!("{before}{begin}{made}"));
}

#[test]
fn headings_are_linked_to_by_their_words() {
    let found = anchors("# One `thing`, [two](x.md)\n## It's 3\n## It's 3\ntext\n");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["its-3", "its-3-1", "one-thing-two"]);
}
