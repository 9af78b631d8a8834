//! Reads `[[sinks]]`: formats in which alerts and risk updates are told besides our own.
//!
//! Knows how a sink is written. Must not know how a format is. `docs/formats.md` is the manual.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::reader::Reader;
use super::spelling::cut;
use crate::kafka::settings::{KafkaSettings, SinkTopic, Topic};
use crate::wire::outputs::{Format, Formatter, IdentityTemplate, Kind};

/// Keys of a sink.
const KEYS: [&str; 3] = ["format", "topics", "name"];
/// Longest name of a topic, as Kafka has it.
const LONGEST_TOPIC: usize = 249;

/// Every topic of every sink of a document; what is wrong goes to the reader. Mapping files begin in `folder`.
pub(super) fn read(from: &mut Reader<'_>, kafka: &KafkaSettings, folder: &Path) -> Vec<SinkTopic> {
    let Some(found) = from.take("sinks") else { return Vec::new() };
    let DeValue::Array(list) = found.get_ref() else {
        from.fault(&found.span(), "sinks is not allowed like this: write [[sinks]] above every sink");
        return Vec::new();
    };
    let mut sinks: Vec<SinkTopic> = Vec::new();
    for (number, item) in list.iter().enumerate() {
        let place = format!("[[sinks]] number {}", number + 1);
        let Some(table) = item.get_ref().as_table() else {
            from.fault(&item.span(), format!("{place}: write [[sinks]] above every sink"));
            continue;
        };
        for sink in one(from, &place, table, &item.span(), kafka, folder) {
            let is_ours = Topic::ALL.iter().any(|topic| kafka.topics.of(*topic) == sink.name);
            if is_ours || sinks.iter().any(|other| other.name == sink.name) {
                let what = format!(
                    "{place}: the topic \"{}\" is another's already: give the sink a name of its own",
                    cut(&sink.name)
                );
                from.fault(&item.span(), what);
            }
            sinks.push(sink);
        }
    }
    sinks
}

fn one(
    from: &mut Reader<'_>,
    place: &str,
    table: &DeTable<'_>,
    span: &Range<usize>,
    kafka: &KafkaSettings,
    folder: &Path,
) -> Vec<SinkTopic> {
    from.refuse_unknown(place, table, &KEYS);
    if !table.contains_key("format") {
        let names = Format::names().join(", ");
        from.fault(span, format!("{place}: it has no format: give one of {names}, or a mapping file"));
        return Vec::new();
    }
    let Some((format, knows)) = format(from, place, table, folder) else { return Vec::new() };
    if format == Format::Native {
        let what = format!(
            "{place}: format = \"native\": these topics have our own format already; remove the sink"
        );
        from.fault(span, what);
    }
    let kinds = kinds(from, place, table, knows);
    let name = match table.get("name").map(|value| (value, value.get_ref().as_str().unwrap_or_default())) {
        None => format.name(),
        Some((_, name)) if is_name(name) => name.to_owned(),
        Some((value, _)) => {
            let shown = from.shown(&value.span());
            let what = format!(
                "{place}: name = {shown} is not allowed: give letters, digits, dots, `_` and `-`, which end the name of a topic"
            );
            from.fault(&value.span(), what);
            return Vec::new();
        }
    };
    let topic = |kind: Kind| {
        let topic = topic_of(kind);
        SinkTopic { name: format!("{}.{name}", kafka.topics.of(topic)), topic, format: format.clone() }
    };
    let sinks: Vec<SinkTopic> = kinds.into_iter().map(topic).collect();
    if let Some(sink) = sinks.iter().find(|sink| !is_name(&sink.name)) {
        let what = format!(
            "{place}: \"{}\" is no name of a topic: give the sink a name of letters, digits, dots, `_` and `-`, at most \
             {LONGEST_TOPIC} with that of its topic",
            cut(&sink.name)
        );
        from.fault(span, what);
    }
    sinks
}

/// The format of a sink or webhook, our own where none is named, and what it has records for.
pub(super) fn format(
    from: &mut Reader<'_>,
    place: &str,
    table: &DeTable<'_>,
    folder: &Path,
) -> Option<(Format, Vec<Kind>)> {
    let Some(value) = table.get("format") else { return Some((Format::Native, Kind::ALL.to_vec())) };
    let format = match Format::named(value.get_ref().as_str().unwrap_or_default()) {
        Ok(Format::File(path)) => Format::File(folder.join(path)),
        Ok(format) => format,
        Err(why) => {
            from.fault(&value.span(), format!("{place}: format = {}: {why}", from.shown(&value.span())));
            return None;
        }
    };
    match Formatter::new(&format, IdentityTemplate::default()) {
        Ok(formatter) => {
            let knows = Kind::ALL.into_iter().filter(|kind| formatter.knows(*kind)).collect();
            Some((format, knows))
        }
        Err(error) => {
            from.fault(&value.span(), format!("{place}: {error}"));
            None
        }
    }
}

/// What a sink or webhook tells: all that its format has records for, or what is written.
pub(super) fn kinds(from: &mut Reader<'_>, place: &str, table: &DeTable<'_>, knows: Vec<Kind>) -> Vec<Kind> {
    let Some(value) = table.get("topics") else { return knows };
    let names = value.get_ref().as_array().map(|list| list.iter().collect::<Vec<_>>()).unwrap_or_default();
    let mut kinds = Vec::new();
    let mut wrong = names.is_empty();
    for name in names {
        let kind = Kind::ALL.into_iter().find(|kind| Some(kind.name()) == name.get_ref().as_str());
        match kind {
            Some(kind) if !knows.contains(&kind) => {
                let what =
                    format!("{place}: the format has no records for {}: leave it out of topics", kind.name());
                from.fault(&name.span(), what);
            }
            Some(kind) if !kinds.contains(&kind) => kinds.push(kind),
            Some(_) => {}
            None => wrong = true,
        }
    }
    if wrong {
        let shown = from.shown(&value.span());
        let what =
            format!("{place}: topics = {shown} is not allowed: give a list of \"alerts\" and \"risk\"");
        from.fault(&value.span(), what);
    }
    kinds
}

/// The topic that holds messages of a kind.
pub(super) fn topic_of(kind: Kind) -> Topic {
    match kind {
        Kind::Alerts => Topic::Alerts,
        Kind::Risk => Topic::Risk,
    }
}

/// Whether a text may be part of the name of a topic or group.
pub(super) fn is_name(name: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= LONGEST_TOPIC && name.chars().all(is_legal)
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
    fn a_sink_has_a_topic_for_each_kind_of_message() {
        let text = "[[sinks]]\nformat = \"ocsf\"\n\n\
                    [[sinks]]\nformat = \"cef\"\ntopics = [\"alerts\"]\nname = \"syslog\"\n\n\
                    [kafka.topics]\nalerts = \"x-alerts\"";
        let config = Config::parse(text, Path::new("")).unwrap();
        let names: Vec<&str> = config.kafka().sinks.iter().map(|sink| sink.name.as_str()).collect();
        assert_eq!(names, ["x-alerts.ocsf", "agent-risk.ocsf", "x-alerts.syslog"]);
        assert_eq!(config.hash(), Config::default().hash(), "how it is told judges nothing");
    }

    #[test]
    fn everything_that_is_wrong_with_sinks_is_told_at_once() {
        let text = "[[sinks]]\nformat = \"oscf\"\ntopic = \"alerts\"\n\
                    [[sinks]]\nformat = \"native\"\n\
                    [[sinks]]\nformat = \"ecs\"\ntopics = [\"alert\"]\n\
                    [[sinks]]\nformat = \"ecs\"\nname = \"a b\"\n\
                    [[sinks]]\nformat = \"cef\"\n\
                    [[sinks]]\nformat = \"cef\"\n\
                    [[sinks]]\nformat = \"mine.toml\"\n\
                    [[sinks]]\n";
        let told = faults(text).join("\n");
        for part in [
            "line 2: [[sinks]] number 1: format = \"oscf\": there is no such format; did you mean ocsf?",
            "line 3: [[sinks]] number 1: topic is unknown: did you mean topics?",
            "line 4: [[sinks]] number 2: format = \"native\": these topics have our own format already",
            "line 8: [[sinks]] number 3: topics = [\"alert\"] is not allowed",
            "line 11: [[sinks]] number 4: name = \"a b\" is not allowed",
            "[[sinks]] number 6: the topic \"agent-alerts.cef\" is another's already",
            "line 17: [[sinks]] number 7: cannot read the output mapping \"/nowhere/mine.toml\"",
            "line 18: [[sinks]] number 8: it has no format: give one of native",
        ] {
            assert!(told.contains(part), "{part} is not in\n{told}");
        }
        assert!(faults("sinks = 3")[0].contains("write [[sinks]]"));
        assert!(faults("[agents]\nidentity = \"{agent}\"")[0].contains("{agent_id}"));
    }
}
