//! The files of a call: none is written that the same call reads, or writes a second time.
//!
//! Knows names of files and which of them are one file. Must not know what is in them.

use std::fs;
use std::path::{Path, PathBuf};

/// A file that is written is another file of the same call, too.
#[derive(Debug, thiserror::Error)]
#[error("{what} {path:?} is also {other} of this call and would be overwritten; name another file")]
pub struct Overwritten {
    what: &'static str,
    path: PathBuf,
    other: &'static str,
}

/// Every file that a call reads and writes, each with what it is, such as `the input`.
#[derive(Debug, Default)]
pub struct Files {
    read: Vec<(&'static str, PathBuf)>,
    written: Vec<(&'static str, PathBuf)>,
}

/// What makes two names those of one file.
#[derive(PartialEq, Eq, Debug)]
enum Identity {
    /// Device and number, which hard links share.
    #[cfg(unix)]
    Node(u64, u64),
    /// The place, without links in it.
    Place(PathBuf),
}

impl Files {
    /// Files that are read. `-` is standard input, which may be a file as well.
    pub fn read<'p>(mut self, what: &'static str, paths: impl IntoIterator<Item = &'p PathBuf>) -> Self {
        let named = paths.into_iter().map(|path| match path.as_os_str() == "-" {
            true => (what, PathBuf::from("/dev/stdin")),
            false => (what, path.clone()),
        });
        self.read.extend(named);
        self
    }

    /// The events of a call: those files, or standard input where none is named.
    pub fn input(self, paths: &[PathBuf]) -> Self {
        let stdin = [PathBuf::from("-")];
        self.read("the input", if paths.is_empty() { &stdin } else { paths })
    }

    /// A file that is written, if it is named.
    pub fn written(mut self, what: &'static str, path: Option<&PathBuf>) -> Self {
        self.written.extend(path.map(|path| (what, path.clone())));
        self
    }

    /// Makes sure, before anything is written, that nothing overwrites anything else of the call.
    ///
    /// # Errors
    ///
    /// The first file that would be overwritten.
    pub fn check(&self) -> Result<(), Overwritten> {
        // Also what the shell has opened already, such as `>> events.jsonl`.
        let stdout = ("standard output", PathBuf::from("/dev/stdout"));
        let written: Vec<_> = self.written.iter().chain([&stdout]).collect();
        for (at, (what, path)) in written.iter().enumerate() {
            let Some(identity) = identity(path) else { continue };
            let earlier = written.iter().take(at).copied();
            let same = self.read.iter().chain(earlier).find(|(_, other)| is(other, &identity));
            if let Some((other, _)) = same {
                return Err(Overwritten { what, path: path.clone(), other });
            }
        }
        Ok(())
    }
}

fn is(path: &Path, identity: &Identity) -> bool {
    self::identity(path).is_some_and(|other| other == *identity)
}

/// None for devices and pipes, which hold nothing that could be lost, and for places that do not exist.
fn identity(path: &Path) -> Option<Identity> {
    match fs::metadata(path) {
        Ok(about) if !about.is_file() => None,
        #[cfg(unix)]
        Ok(about) => {
            use std::os::unix::fs::MetadataExt;
            Some(Identity::Node(about.dev(), about.ino()))
        }
        #[cfg(not(unix))]
        Ok(_) => path.canonicalize().ok().map(Identity::Place),
        // It is still to be made: then its folder says which it is.
        Err(_) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
            Some(Identity::Place(folder.join(path.file_name()?)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(folder: &Path, read: &[&str], written: &[&str]) -> Result<(), String> {
        let at = |name: &&str| folder.join(name);
        let mut files = Files::default().read("the input", &read.iter().map(at).collect::<Vec<_>>());
        for name in written {
            files = files.written("--output", Some(&at(name)));
        }
        files.check().map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_read_or_written_already_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join("a"), "a").unwrap();
        fs::hard_link(folder.join("a"), folder.join("hard")).unwrap();
        for (read, written) in
            [(&["a"][..], &["a"][..]), (&["a"], &["../a"]), (&["a"], &["hard"]), (&[], &["new", "./new"])]
        {
            let written: Vec<String> = written
                .iter()
                .map(|name| {
                    name.replace("..", &format!("../{}", folder.file_name().unwrap().to_string_lossy()))
                })
                .collect();
            let written: Vec<&str> = written.iter().map(String::as_str).collect();
            let refused = check(folder, read, &written).unwrap_err();
            assert!(refused.contains("would be overwritten"), "{refused}");
        }
        assert_eq!(check(folder, &["a"], &["b", "c"]), Ok(()));
        assert_eq!(check(folder, &["a"], &["/dev/null", "/dev/null"]), Ok(()));
    }
}
