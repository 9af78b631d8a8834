//! The chain of control records: each carries a hash of itself and of the hash before it.
//!
//! Knows hashes, and how records follow one another. Must not know clients, nor what a record says.
//!
//! The link of a record is HMAC-SHA-256 over the link before it, the record's key and its value. What is taken away, changed or
//! put in between breaks the chain at that place. With a key, nobody but who has it can go on with the chain; without one
//! anybody can who may write the topic, and what was there before still cannot be changed unseen. `docs/adr/023-*.md`.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Header of the Kafka record that holds its link, in hexadecimal digits.
pub const HEADER: &str = "tiltmeter-chain";

/// Bytes of a link.
const BYTES: usize = 32;

/// The hash of a record and of everything before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link([u8; BYTES]);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Link {
    /// What stands before the first record.
    pub const START: Self = Self([0; BYTES]);

    /// Reads the value of the header; none where it is no link.
    pub fn read(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok().filter(|text| text.len() == 2 * BYTES)?;
        let mut bytes = [0; BYTES];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// The key of a chain; an empty one where none is configured.
#[derive(Clone, Default)]
pub struct ChainKey(Vec<u8>);

impl ChainKey {
    /// A key.
    pub fn new(secret: &str) -> Self {
        Self(secret.as_bytes().to_vec())
    }

    /// The link of a record that stands behind one with a link.
    pub fn link(&self, before: Link, key: &[u8], value: Option<&[u8]>) -> Link {
        // A key of any length is one to HMAC.
        let Ok(mut hash) = Hmac::<Sha256>::new_from_slice(&self.0) else { return Link::START };
        hash.update(b"tiltmeter control chain 1\n");
        hash.update(&before.0);
        // Lengths keep parts apart that run into each other.
        hash.update(&(key.len() as u64).to_be_bytes());
        hash.update(key);
        hash.update(&value.map_or(u64::MAX, |value| value.len() as u64).to_be_bytes());
        hash.update(value.unwrap_or_default());
        Link(hash.finalize().into_bytes().into())
    }
}

/// What a record is to the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It was written before there was a chain.
    Before,
    /// It follows from what stands before it.
    Right,
    /// It does not.
    Broken {
        /// The link that would be right.
        expected: Link,
        /// The link that it has; none where it has none.
        found: Option<Link>,
    },
}

/// Goes along records, from the first on.
pub struct Walk {
    key: ChainKey,
    last: Link,
    began: bool,
}

impl Walk {
    /// Stands before the first record.
    pub fn new(key: ChainKey) -> Self {
        Self { key, last: Link::START, began: false }
    }

    /// Goes on by a record. Behind a break it goes on from what the record says, so that one break is told once.
    ///
    /// * `header`: value of [`HEADER`], if there is one.
    pub fn step(&mut self, key: &[u8], value: Option<&[u8]>, header: Option<&[u8]>) -> Step {
        let expected = self.key.link(self.last, key, value);
        let found = header.and_then(Link::read);
        self.last = found.unwrap_or(expected);
        if header.is_none() && !self.began {
            return Step::Before;
        }
        self.began = true;
        if found == Some(expected) { Step::Right } else { Step::Broken { expected, found } }
    }

    /// The link of the last record.
    pub fn last(&self) -> Link {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Record = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

    /// Records that were there before, and a chain behind them.
    fn chain(key: &ChainKey) -> Vec<Record> {
        let mut link = Link::START;
        (0..9)
            .map(|number: u8| {
                let (name, value) = (vec![number], vec![number; 3]);
                link = key.link(link, &name, Some(&value));
                (name, Some(value), (number >= 3).then(|| link.to_string().into_bytes()))
            })
            .collect()
    }

    fn steps(key: &ChainKey, records: &[Record]) -> Vec<Step> {
        let mut walk = Walk::new(key.clone());
        records
            .iter()
            .map(|(key, value, header)| walk.step(key, value.as_deref(), header.as_deref()))
            .collect()
    }

    /// Places of the breaks.
    fn breaks(key: &ChainKey, records: &[Record]) -> Vec<usize> {
        let steps = steps(key, records);
        let broken = steps.iter().zip(0..).filter(|(step, _)| matches!(step, Step::Broken { .. }));
        broken.map(|(_, place)| place).collect()
    }

    #[test]
    fn what_is_changed_taken_away_put_in_or_turned_around_breaks_the_chain_there() {
        let key = ChainKey::default();
        let whole = chain(&key);
        assert_eq!(steps(&key, &whole)[..4], [Step::Before, Step::Before, Step::Before, Step::Right]);
        assert_eq!(breaks(&key, &whole), Vec::<usize>::new());
        let with = |change: &dyn Fn(&mut Vec<Record>)| {
            let mut records = whole.clone();
            change(&mut records);
            breaks(&key, &records)
        };
        assert_eq!(with(&|records| records[5].1 = Some(vec![0])), [5]);
        assert_eq!(with(&|records| records[5].0 = vec![0]), [5]);
        assert_eq!(with(&|records| records[5].1 = None), [5]);
        assert_eq!(with(&|records| drop(records.remove(5))), [5]);
        // What was there before the chain is covered by its first link.
        assert_eq!(with(&|records| records[1].1 = Some(vec![0])), [3]);
        assert_eq!(with(&|records| drop(records.remove(0))), [2]);
        let forged = (vec![7], Some(vec![7]), None);
        assert_eq!(with(&|records| records.insert(5, forged.clone())), [5, 6]);
        assert_eq!(with(&|records| records.push(forged.clone())), [9]);
        assert_eq!(with(&|records| records[5].2 = Some(b"no link".to_vec())), [5]);
        assert!(!with(&|records| records.swap(5, 6)).is_empty());
    }

    #[test]
    fn who_does_not_have_the_key_cannot_go_on_with_the_chain() {
        let (key, other) = (ChainKey::new("a key"), ChainKey::default());
        let mut records = chain(&key);
        assert_eq!(breaks(&key, &records), Vec::<usize>::new());
        let last = Link::read(records[8].2.as_ref().unwrap()).unwrap();
        let link = other.link(last, b"k", Some(b"forged"));
        records.push((b"k".to_vec(), Some(b"forged".to_vec()), Some(link.to_string().into_bytes())));
        assert_eq!(breaks(&key, &records), [9]);
        assert_eq!(breaks(&other, &records).len(), 6, "and whoever has another sees nothing that is right");
    }

    #[test]
    fn a_link_is_read_as_it_was_written() {
        let link = ChainKey::default().link(Link::START, b"k", Some(b"v"));
        assert_eq!(Link::read(link.to_string().as_bytes()), Some(link));
        for wrong in ["", "00", &"zz".repeat(32), &"é".repeat(32)] {
            assert_eq!(Link::read(wrong.as_bytes()), None);
        }
    }
}
