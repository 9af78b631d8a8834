//! Reads `[[sources]]`: topics whose records are translated to audit events.
//!
//! Knows how a source is written. Must not know how it is read. `docs/sources.md` is the manual.

use std::ops::{Range, RangeInclusive};
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::reader::{Reader, whole};
use super::spelling::cut;
use crate::kafka::settings::{KafkaSettings, SourceTopic, Topic};
use crate::wire::sources::format::Format;

/// Consumers of one source in a process.
pub(super) const THREADS: RangeInclusive<u32> = 1..=64;
/// Keys of a source.
const KEYS: [&str; 3] = ["topic", "source", "threads"];

/// Every source of a document; what is wrong goes to the reader. Mapping files begin in `folder`.
pub(super) fn read(from: &mut Reader<'_>, kafka: &KafkaSettings, folder: &Path) -> Vec<SourceTopic> {
    let Some(found) = from.take("sources") else { return Vec::new() };
    let DeValue::Array(list) = found.get_ref() else {
        from.fault(&found.span(), "sources is not allowed like this: write [[sources]] above every source");
        return Vec::new();
    };
    let mut sources: Vec<SourceTopic> = Vec::new();
    for (number, item) in list.iter().enumerate() {
        let place = format!("[[sources]] number {}", number + 1);
        let Some(table) = item.get_ref().as_table() else {
            from.fault(&item.span(), format!("{place}: write [[sources]] above every source"));
            continue;
        };
        let source = one(from, &place, table, &item.span(), folder);
        if Topic::ALL.iter().any(|topic| kafka.topics.of(*topic) == source.topic) {
            let what = format!(
                "{place}: \"{}\" is a topic of [kafka.topics]: name the topic of the source",
                cut(&source.topic)
            );
            from.fault(&item.span(), what);
        }
        if !source.topic.is_empty() && sources.iter().any(|other| other.topic == source.topic) {
            let what = format!(
                "{place}: \"{}\" is there twice: name every topic once, with more threads",
                cut(&source.topic)
            );
            from.fault(&item.span(), what);
        }
        sources.push(source);
    }
    sources
}

fn one(
    from: &mut Reader<'_>,
    place: &str,
    table: &DeTable<'_>,
    span: &Range<usize>,
    folder: &Path,
) -> SourceTopic {
    from.refuse_unknown(place, table, &KEYS);
    let mut text = |key: &str, what: &str| -> String {
        let Some(value) = table.get(key) else {
            from.fault(span, format!("{place}: it has no {key}: give {what}"));
            return String::new();
        };
        let text = value.get_ref().as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            let shown = from.shown(&value.span());
            from.fault(&value.span(), format!("{place}: {key} = {shown} is not allowed: give {what}"));
        }
        text.unwrap_or_default().to_owned()
    };
    let topic = text("topic", "the name of its topic, in quotes");
    let source = text("source", "native, transcript, cloudtrail or a mapping file, in quotes");
    let threads = table.get("threads").map_or(1, |value| {
        let threads = whole(value.get_ref()).and_then(|number| u32::try_from(number).ok());
        threads.filter(|threads| THREADS.contains(threads)).unwrap_or_else(|| {
            let shown = from.shown(&value.span());
            let (least, most) = (THREADS.start(), THREADS.end());
            let what = format!(
                "{place}: threads = {shown} is not allowed: give a whole number from {least} to {most}"
            );
            from.fault(&value.span(), what);
            1
        })
    });
    let mut format = Format::Native;
    if !source.is_empty() {
        let span = table.get("source").map_or_else(|| span.clone(), toml::Spanned::span);
        match Format::named(&source) {
            Ok(Format::File(path)) => format = Format::File(folder.join(path)),
            Ok(named) => format = named,
            Err(why) => from.fault(&span, format!("{place}: source = \"{}\": {why}", cut(&source))),
        }
        if let Err(error) = format.mapping() {
            from.fault(&span, format!("{place}: {error}"));
        }
    }
    SourceTopic { topic, format, threads }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn faults(text: &str) -> Vec<String> {
        let read = Config::parse(text, Path::new("/nowhere"));
        read.err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_source_names_its_topic_and_its_format() {
        let text = "[[sources]]\ntopic = \"trail\"\nsource = \"cloudtrail\"\nthreads = 3\n\n\
                    [[sources]]\ntopic = \"chats\"\nsource = \"transcript\"";
        let config = Config::parse(text, Path::new("")).unwrap();
        let expected = [
            SourceTopic { topic: "trail".to_owned(), format: Format::Shipped("cloudtrail"), threads: 3 },
            SourceTopic { topic: "chats".to_owned(), format: Format::Transcript, threads: 1 },
        ];
        assert_eq!(config.sources(), expected);
        assert_eq!(config.hash(), Config::default().hash(), "where events come from judges nothing");
    }

    #[test]
    fn everything_that_is_wrong_with_sources_is_told_at_once() {
        let text = "[[sources]]\ntopic = \"agent-audit\"\nsource = \"cloudtrial\"\nthread = 2\n\
                    [[sources]]\ntopic = \"x\"\nsource = \"x.toml\"\nthreads = 0\n\
                    [[sources]]\ntopic = \"x\"";
        let told = faults(text).join("\n");
        for part in [
            "line 1: [[sources]] number 1: \"agent-audit\" is a topic of [kafka.topics]",
            "line 3: [[sources]] number 1: source = \"cloudtrial\": there is no such source; did you mean cloudtrail?",
            "line 4: [[sources]] number 1: thread is unknown: did you mean threads?",
            "line 7: [[sources]] number 2: cannot read the source mapping \"/nowhere/x.toml\"",
            "line 8: [[sources]] number 2: threads = 0 is not allowed",
            "line 9: [[sources]] number 3: \"x\" is there twice",
            "line 9: [[sources]] number 3: it has no source",
        ] {
            assert!(told.contains(part), "{part} is not in\n{told}");
        }
        assert!(faults("sources = 3")[0].contains("write [[sources]]"));
    }
}
