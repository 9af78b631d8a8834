//! Holds the tables of `docs/evaluation.md`, `docs/cloudtrail.md` and `docs/contract.md` to the `.json` beside them, from
//! which scripts write them.
//!
//! A cell of the file is plain text, or a text together with the values it shows. The page must show exactly the texts,
//! and every number in such a text must be its value, rounded: a figure cannot be changed in one place only.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use regex::Regex;
use serde::Deserialize;

/// What the page says where nothing has been measured.
const NOT_MEASURED: &str = "Not measured yet.";

#[derive(Deserialize)]
struct Results {
    tables: BTreeMap<String, Table>,
}

#[derive(Deserialize)]
struct Table {
    header: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Cell {
    Plain(String),
    Figures { text: String, values: Vec<f64> },
}

impl Cell {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Figures { text, .. } => text,
        }
    }
}

/// Every generated block of the page by its name: the cells of its lines, without the line under the header.
fn blocks(page: &str) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut found = BTreeMap::new();
    let mut open: Option<(String, Vec<Vec<String>>)> = None;
    for line in page.lines() {
        if let Some(name) = mark(line, "generated:") {
            open = Some((name.to_owned(), Vec::new()));
        } else if let Some(name) = mark(line, "end:") {
            if let Some((started, lines)) = open.take().filter(|(started, _)| started == name) {
                found.insert(started, lines);
            }
        } else if let Some((_, lines)) = &mut open {
            let cells: Vec<String> =
                line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            if !cells.iter().all(|cell| cell.trim_matches(['-', ':']).is_empty()) {
                lines.push(cells);
            }
        }
    }
    found
}

/// The name in `<!-- KIND:NAME -->`.
fn mark<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    line.trim().strip_prefix("<!-- ")?.strip_prefix(kind)?.strip_suffix(" -->")
}

/// Everything in which the page and the results differ, one sentence each.
fn faults(page: &str, results: &Results) -> Vec<String> {
    let blocks = blocks(page);
    let mut faults = Vec::new();
    for name in results.tables.keys().filter(|name| !blocks.contains_key(*name)) {
        faults.push(format!("the page has no block for table {name}"));
    }
    for (name, shown) in &blocks {
        let Some(table) = results.tables.get(name) else {
            if shown.as_slice() != [[NOT_MEASURED.to_owned()]] {
                faults.push(format!("block {name} shows figures that the results do not hold"));
            }
            continue;
        };
        let mut wanted = vec![table.header.clone()];
        wanted.extend(table.rows.iter().map(|row| row.iter().map(|cell| cell.text().to_owned()).collect()));
        if shown.len() != wanted.len() {
            faults.push(format!("block {name} has {} lines, the results have {}", shown.len(), wanted.len()));
        }
        for (shown, wanted) in shown.iter().zip(&wanted).filter(|(shown, wanted)| shown != wanted) {
            faults.push(format!("block {name} shows {shown:?}, the results hold {wanted:?}"));
        }
        faults.extend(table.rows.iter().flatten().filter_map(untrue).map(|f| format!("table {name}: {f}")));
    }
    faults
}

/// What is wrong with a cell whose text does not show its values.
fn untrue(cell: &Cell) -> Option<String> {
    let Cell::Figures { text, values } = cell else { return None };
    let number = Regex::new(r"-?(?:\d+(?:\.\d+)?|\.\d+)").ok()?;
    let shown: Vec<&str> = number.find_iter(text).map(|found| found.as_str()).collect();
    let is_rounded = |(text, value): (&&str, &f64)| {
        let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let half_a_digit = 0.5 * 10f64.powi(-i32::try_from(decimals).unwrap_or(i32::MAX));
        text.parse::<f64>().is_ok_and(|shown| (shown - value).abs() <= half_a_digit + 1e-8)
    };
    let true_to_values = shown.len() == values.len() && shown.iter().zip(values).all(is_rounded);
    (!true_to_values).then(|| format!("the text \"{text}\" does not show the values {values:?}"))
}

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs")
}

#[test]
fn every_figure_of_a_measured_page_stands_in_its_results() {
    for (name, remedy) in [
        ("evaluation", "write the page anew with `scripts/evaluate.py --render`"),
        ("cloudtrail", "write both anew with `scripts/cloudtrail.py`"),
        ("contract", "write the page anew with `scripts/contract.py --render`"),
    ] {
        let page = fs::read_to_string(docs().join(format!("{name}.md"))).unwrap();
        let results = fs::read_to_string(docs().join(format!("{name}.json"))).unwrap();
        let faults = faults(&page, &serde_json::from_str(&results).unwrap());
        assert!(
            faults.is_empty(),
            "docs/{name}.md and docs/{name}.json differ; {remedy}:\n{}",
            faults.join("\n")
        );
    }
}

#[test]
fn every_picture_of_the_evaluation_page_is_there_once_it_is_measured() {
    let page = fs::read_to_string(docs().join("evaluation.md")).unwrap();
    let results: Results =
        serde_json::from_str(&fs::read_to_string(docs().join("evaluation.json")).unwrap()).unwrap();
    let picture = Regex::new(r"!\[[^\]]*\]\(([^)]+)\)").unwrap();
    for found in picture.captures_iter(&page).filter(|_| results.tables.contains_key("detection")) {
        assert!(
            docs().join(&found[1]).is_file(),
            "docs/evaluation.md shows {}, which is not there",
            &found[1]
        );
    }
}

#[test]
fn a_figure_changed_in_one_place_is_found() {
    let page = "prose .999\n<!-- generated:a -->\n| row | AUC |\n| --- | ---: |\n| A full | .967 [.950, .980] |\n<!-- end:a -->\n\
                <!-- generated:b -->\nNot measured yet.\n<!-- end:b -->\n";
    let results = |text: &str, value: f64| -> Results {
        let cell = serde_json::json!({"text": text, "values": [value, 0.95, 0.98]});
        let table = serde_json::json!({"header": ["row", "AUC"], "rows": [["A full", cell]]});
        serde_json::from_value(serde_json::json!({"tables": {"a": table}})).unwrap()
    };
    assert_eq!(faults(page, &results(".967 [.950, .980]", 0.9671)), Vec::<String>::new());
    assert_eq!(faults(page, &results(".967 [.950, .980]", 0.9681)).len(), 1, "the value moved");
    assert_eq!(faults(page, &results(".968 [.950, .980]", 0.9681)).len(), 1, "the page stayed behind");
    assert_eq!(faults(&page.replace(".967", ".976"), &results(".967 [.950, .980]", 0.9671)).len(), 1);
    assert_eq!(
        faults(&page.replace("generated:a", "generated:c"), &results(".967 [.950, .980]", 0.9671)).len(),
        1
    );
    assert_eq!(
        faults(&page.replace("Not measured yet.", "| .5 |"), &results(".967 [.950, .980]", 0.9671)).len(),
        1
    );
    assert_eq!(faults(page, &results(".967 [.950, .980, .1]", 0.9671)).len(), 2, "a number without a value");
}
