//! `docs/configuration.md` names every setting with its default and range, and no other.

use std::path::Path;

use tiltmeter::config::Config;

#[test]
fn the_page_lists_exactly_the_settings_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap();
    let listed: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let config = Config::default();
    let expected: Vec<String> = config
        .all()
        .iter()
        .map(|setting| {
            let default = match setting.default.as_str() {
                "" => "none".to_owned(),
                text => format!("`{text}`"),
            };
            format!("| `{}` | {default} | {} | {} |", setting.name, setting.allowed, setting.about)
        })
        .collect();
    assert_eq!(listed, expected, "the table should be:\n{}\n", expected.join("\n"));
}
