//! The rules of the repository as tests: floors, outside packages, file length, pages and scenarios.
//!
//! Knows the floors of the crate and which outside package belongs where.
//! Must not know Rust's grammar beyond paths, comments, strings and test modules.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

mod source;

use source::{PathUse, paths, tests_in_files, without_comments_and_strings, without_tests};

/// Each top-level module and its floor. A module imports from lower floors and from its own.
const FLOORS: &[(&str, u8)] = &[
    ("alert", 1),
    ("control", 1),
    ("network", 1),
    ("risk", 1),
    ("event", 1),
    ("identity", 1),
    ("pattern", 1),
    ("time", 1),
    ("finding", 1),
    ("stats", 1),
    ("baseline", 2),
    ("detect", 3),
    ("assess", 4),
    ("engine", 5),
    ("wire", 6),
    ("metrics", 6),
    ("models", 6),
    ("partition", 6),
    ("simulate", 6),
    ("kafka", 6),
    ("tls", 6),
    ("config", 7),
    ("evaluate", 7),
    ("train", 7),
    ("demo", 7),
    ("http", 7),
    ("cli", 7),
    ("lib", 7),
    ("main", 7),
];

/// Floors up to here have no clock, no input or output and no randomness.
const HIGHEST_PURE_FLOOR: u8 = 5;

/// What the pure floors must not touch.
const IMPURE: &[&str] = &["fs", "io", "net", "env", "process", "thread", "time"];

/// The one module of the pure floors that starts threads: each gets whole slices, so that they change nothing.
const THREADED: [&str; 2] = ["engine", "batch"];

/// Types that stand beside impure things and are none: an address is a value like any other.
const PURE: &[(&str, &str)] = &[("net", "IpAddr")];

/// Imports forbidden though the floors would allow them: what is simulated must not know what judges it.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("stats", &["event", "time", "finding"]),
    ("simulate", &["stats", "baseline", "detect", "assess", "engine"]),
];

/// Each outside package, and the modules (by the start of their path) that may import it. Empty: any.
const PACKAGES: &[(&str, &[&str])] = &[
    ("anyhow", &["cli", "main"]),
    ("axum", &["http"]),
    ("base64", &["wire", "kafka", "http"]),
    ("clap", &["cli", "main"]),
    ("console", &["cli"]),
    ("crc32c", &["partition", "wire::state"]),
    ("ctrlc", &["cli"]),
    ("flate2", &["wire::input"]),
    ("foldhash", &[]),
    ("form_urlencoded", &["http"]),
    ("hashbrown", &[]),
    ("futures_executor", &["kafka"]),
    ("futures_util", &["http"]),
    ("getrandom", &["wire", "http::access"]),
    ("hmac", &["wire", "kafka::chain", "http::access"]),
    ("hostname", &["kafka"]),
    ("hyper", &["http::connections"]),
    ("hyper_util", &["http::connections"]),
    ("indicatif", &["cli"]),
    ("ipnet", &["network"]),
    ("jiff", &["time", "cli::simulate"]),
    ("memchr", &["wire::input"]),
    ("postcard", &["engine::checkpoint", "engine::lead", "partition::checkpoint", "kafka"]),
    ("prometheus", &["metrics"]),
    ("rand", &["simulate"]),
    ("rand_chacha", &["simulate"]),
    ("rand_distr", &["simulate"]),
    ("rdkafka", &["kafka", "demo::live"]),
    ("regex", &["evaluate", "cli"]),
    ("rustls", &["tls", "http::encrypted"]),
    ("ring", &["wire::outputs::caep"]),
    ("rustls_pki_types", &["wire::outputs::caep"]),
    ("serde", &[]),
    (
        "serde_json",
        &[
            "engine",
            "partition",
            "wire",
            "kafka",
            "models",
            "simulate",
            "config",
            "evaluate",
            "demo",
            "http",
            "cli",
        ],
    ),
    ("serde_norway", &["kafka"]),
    ("sha2", &["engine", "wire", "config", "http", "kafka::service", "kafka::chain", "tls"]),
    ("siphasher", &[]),
    ("smallvec", &[]),
    ("sonic_rs", &["wire", "evaluate"]),
    ("statrs", &["stats"]),
    ("strsim", &["wire", "simulate", "config", "cli"]),
    ("thin_vec", &[]),
    ("thiserror", &[]),
    ("tokio", &["http"]),
    ("tokio_io_timeout", &["http::connections"]),
    ("tokio_rustls", &["http::encrypted"]),
    ("toml", &["wire", "config", "models"]),
    ("unicode_normalization", &["wire"]),
    ("ureq", &["kafka::service::webhooks"]),
    ("uuid", &["wire"]),
    ("webpki", &["http::encrypted"]),
    ("wildmatch", &["pattern"]),
    ("zstd", &["partition", "kafka::service", "wire::input", "wire::state"]),
];

/// Files of `detect` that watch no behaviour of their own: what names mean.
const SHARED_BY_DETECTORS: &[&str] = &["lexicon", "vocabulary"];

/// Longest source file, tests included. Lines.
const FILE_LIMIT_LINES: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file under `folder`, as path from the root and text, sorted.
fn sources(folder: &str) -> Vec<(String, String)> {
    let (mut files, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
                files.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// The module a file holds: `src/wire/input.rs` and `src/wire/input/mod.rs` are `wire::input`.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// What is wrong with one import, if anything.
fn fault(module: &[String], used: &PathUse) -> Option<String> {
    let own = module[0].as_str();
    let own_floor = floor(own)?;
    let first = used.segments[0].as_str();
    if first == "std" || first == "core" {
        let part = used.segments.get(1)?.as_str();
        let named = used.segments.get(2).is_some_and(|name| PURE.contains(&(part, name.as_str())));
        let threaded = part == "thread" && module == THREADED;
        let impure = own_floor <= HIGHEST_PURE_FLOOR && IMPURE.contains(&part) && !named && !threaded;
        return impure.then(|| {
            format!(
                "`{own}` (floor {own_floor}) must not use std::{part}: no clock, no input or output there"
            )
        });
    }
    if let Some((package, places)) = PACKAGES.iter().find(|(package, _)| *package == first) {
        let path = module.join("::");
        let allowed = places.is_empty()
            || places.iter().any(|place| path == *place || path.starts_with(&format!("{place}::")));
        return (!allowed)
            .then(|| format!("`{path}` must not import {package}, which belongs in {}", places.join(", ")));
    }
    let target = match first {
        "crate" | "tiltmeter" => used.segments.get(1)?.clone(),
        "super" => {
            let ups = used.segments.iter().take_while(|segment| *segment == "super").count();
            // In `wire::input`, `super::x` is `wire::x`; in `wire`, it is `x`.
            let kept = module.len().checked_sub(ups)?;
            if kept > 0 {
                return None;
            } // stays inside the same top-level module
            used.segments.get(ups)?.clone()
        }
        _ => return None,
    };
    if target == own || target == "self" || target == "*" {
        return None;
    }
    let Some(target_floor) = floor(&target) else {
        return Some(format!("`{target}` stands on no floor: add it to the table in tests/it/floors.rs"));
    };
    if target_floor > own_floor {
        return Some(format!(
            "`{own}` (floor {own_floor}) must not import `{target}` (floor {target_floor})"
        ));
    }
    let forbidden =
        FORBIDDEN.iter().any(|(name, targets)| *name == own && targets.contains(&target.as_str()));
    forbidden.then(|| format!("`{own}` must not import `{target}`"))
}

/// Every violation in one file, as `file:line: what`.
fn violations(file: &str, text: &str) -> Vec<String> {
    let module = module_of(file);
    if floor(&module[0]).is_none() {
        return vec![format!(
            "{file}:1: `{}` stands on no floor: add it to the table in tests/it/floors.rs",
            module[0]
        )];
    }
    let code = without_tests(&without_comments_and_strings(text));
    paths(&code)
        .iter()
        .filter_map(|used| fault(&module, used).map(|what| format!("{file}:{}: {what}", used.line)))
        .collect()
}

#[test]
fn every_module_imports_only_what_its_floor_allows() {
    let files = sources("src");
    let tests: BTreeSet<PathBuf> = files.iter().flat_map(|(file, text)| tests_in_files(file, text)).collect();
    let found: Vec<String> = files
        .iter()
        .filter(|(file, _)| !tests.contains(Path::new(file)))
        .flat_map(|(file, text)| violations(file, text))
        .collect();
    assert!(found.is_empty(), "imports against the floors:\n{}", found.join("\n"));
}

#[test]
fn a_violation_is_reported_with_its_line_and_nothing_else_is() {
    let text = r##"//! A detector. See `crate::cli`.
use crate::event::AuditEvent;
use crate::{baseline::Agent, engine::{Engine, unit::Unit}};
/* crate::wire /* nested */ use crate::cli; */
const NOT_AN_IMPORT: &str = "crate::wire"; const RAW: &str = r#"crate::"wire"#; // crate::cli
fn lifetime<'a>(quote: char, x: &'a str) -> bool { quote == '"' && x == "crate::cli" && quote != '\'' }
fn late() -> crate::assess::Level { super::super::wire::decode() }
use std::{collections::HashMap, time::Instant};
use statrs::function;
#[cfg(test)]
mod tests {
    use crate::wire::input::Lines;
    fn braces() -> &'static str { "}" }
}
#[derive(clap::Parser)]
struct After;
use crate::nowhere::Thing;
"##;
    assert_eq!(
        violations("src/detect/volume.rs", text),
        [
            "src/detect/volume.rs:3: `detect` (floor 3) must not import `engine` (floor 5)",
            "src/detect/volume.rs:3: `detect` (floor 3) must not import `engine` (floor 5)",
            "src/detect/volume.rs:7: `detect` (floor 3) must not import `assess` (floor 4)",
            "src/detect/volume.rs:7: `detect` (floor 3) must not import `wire` (floor 6)",
            "src/detect/volume.rs:8: `detect` (floor 3) must not use std::time: no clock, no input or output there",
            "src/detect/volume.rs:9: `detect::volume` must not import statrs, which belongs in stats",
            "src/detect/volume.rs:15: `detect::volume` must not import clap, which belongs in cli, main",
            "src/detect/volume.rs:17: `nowhere` stands on no floor: add it to the table in tests/it/floors.rs",
        ]
    );
    assert_eq!(
        violations("src/stats/rate.rs", "use crate::time::EventTime;\nuse super::tail;\nuse statrs::x;")
            .len(),
        1
    );
    assert_eq!(violations("src/simulate/mod.rs", "use crate::event::X;\nuse crate::engine::Y;").len(), 1);
    assert_eq!(violations("src/detect/x.rs", "use std::net::IpAddr;\nuse std::net::TcpStream;").len(), 1);
    assert_eq!(violations("src/wire/mod.rs", "use flate2::X;").len(), 1);
    assert_eq!(violations("src/wire/input/head.rs", "use flate2::X;").len(), 0);
    assert_eq!(violations("src/attic.rs", "").len(), 1);
    assert_eq!(
        tests_in_files("src/wire/input.rs", "#[cfg(test)]\nmod tests;"),
        [Path::new("src/wire/input/tests.rs")]
    );
}

#[test]
fn every_dependency_has_its_place_in_the_table() {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let named: BTreeSet<String> =
        manifest["dependencies"].as_table().unwrap().keys().map(|name| name.replace('-', "_")).collect();
    let placed: BTreeSet<String> = PACKAGES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named, placed, "dependencies of Cargo.toml and the table in tests/it/floors.rs differ");
}

/// What a reader of the repository may expect of one source file.
fn untidy(file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LIMIT_LINES {
        found.push(format!("{file}: {lines} lines; split it, at most {FILE_LIMIT_LINES}"));
    }
    if !text.starts_with("//!") {
        found.push(format!("{file}:1: does not begin with `//!`; say what it is, knows and must not know"));
    }
    found
}

#[test]
fn every_source_file_is_short_and_says_what_it_is() {
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches"] {
        if root().join(folder).exists() {
            found.extend(sources(folder).iter().flat_map(|(file, text)| untidy(file, text)));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert_eq!(untidy("a.rs", "fn a() {}").len(), 1);
    assert_eq!(untidy("a.rs", &format!("//! A.\n{}", "\n".repeat(FILE_LIMIT_LINES))).len(), 1);
}

#[test]
fn every_detector_has_its_page_an_attack_and_a_look_alike() {
    if !root().join("src/detect").exists() {
        println!("left out: there are no detectors yet");
        return;
    }
    let mut missing = Vec::new();
    for (file, _) in sources("src/detect") {
        let module = module_of(&file);
        let [_, name] = module.as_slice() else { continue };
        if SHARED_BY_DETECTORS.contains(&name.as_str()) {
            continue;
        }
        for path in [
            format!("docs/detectors/{name}.md"),
            format!("tests/data/scenarios/{name}-attack"),
            format!("tests/data/scenarios/{name}-look-alike"),
        ] {
            if !root().join(&path).exists() {
                missing.push(format!("{file}: {path} is missing"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
