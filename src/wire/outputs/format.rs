//! The formats that we write, by name.
//!
//! Knows names and spelling. Must not know how a format is written.

use std::path::PathBuf;

use super::mapping::SHIPPED;
use crate::wire::mapping_file::nearest;

/// A format that we write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Format {
    /// Our own.
    Native,
    /// CloudEvents 1.0, the whole event in the value.
    CloudEvents,
    /// CloudEvents 1.0, its attributes in headers of the Kafka record.
    CloudEventsBinary,
    /// OCSF 1.8.0, Detection Finding.
    Ocsf,
    /// CAEP risk-level-change in signed security event tokens.
    Caep,
    /// What a shipped mapping makes of it.
    Shipped(&'static str),
    /// What a mapping in a file makes of it.
    File(PathBuf),
}

impl Format {
    /// Names of the formats that are code.
    const CODED: [(Self, &'static str); 5] = [
        (Self::Native, "native"),
        (Self::CloudEvents, "cloudevents"),
        (Self::CloudEventsBinary, "cloudevents-binary"),
        (Self::Ocsf, "ocsf"),
        (Self::Caep, "caep"),
    ];

    /// Every name.
    pub fn names() -> Vec<&'static str> {
        let coded = Self::CODED.iter().map(|(_, name)| *name);
        coded.chain(SHIPPED.iter().map(|shipped| shipped.name)).collect()
    }

    /// The format of that name, or the mapping in the file of that name.
    ///
    /// # Errors
    ///
    /// A sentence that says which names there are.
    pub fn named(text: &str) -> Result<Self, String> {
        if let Some((format, _)) = Self::CODED.iter().find(|(_, name)| *name == text) {
            return Ok(format.clone());
        }
        if let Some(shipped) = SHIPPED.iter().find(|shipped| shipped.name == text) {
            return Ok(Self::Shipped(shipped.name));
        }
        if text.ends_with(".toml") || text.contains(std::path::MAIN_SEPARATOR) {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let known = Self::names();
        Err(match nearest(text, &known) {
            Some(nearest) => format!("there is no such format; did you mean {nearest}?"),
            None => format!(
                "there is no such format; give one of {}, or a mapping file whose name ends in .toml",
                known.join(", ")
            ),
        })
    }

    /// The file of a mapping of one's own.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) => Some(path),
            _ => None,
        }
    }

    /// Its name; of a mapping in a file, the name of the file without its ending. Ends the names of topics.
    pub fn name(&self) -> String {
        match self {
            Self::Shipped(name) => (*name).to_owned(),
            Self::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            coded => {
                let found = Self::CODED.iter().find(|(format, _)| format == coded);
                found.map_or("", |(_, name)| name).to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_formats_and_back() {
        for name in Format::names() {
            assert_eq!(Format::named(name).unwrap().name(), name);
        }
        assert_eq!(Format::named("a/splunk.toml").unwrap().name(), "splunk");
        assert!(Format::named("oscf").unwrap_err().contains("did you mean ocsf?"));
        assert!(Format::named("leef").unwrap_err().contains("native, cloudevents, "));
    }
}
