//! Batches that nobody can read: where what can be read begins again.
//!
//! Knows how to find the end of what cannot be read. Must not know why it cannot (damaged on a disk, or made so), nor what
//! follows for whoever reads.
//!
//! Where librdkafka meets such a batch it says so, and then goes on in the middle of it: what it takes for an offset there
//! may move it anywhere, and it may come back from there when it was told to read elsewhere meanwhile. So every look is
//! taken by a reader of its own, of which only the first thing it says counts.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Clients, Context, Isolation};
use super::failure::Failure;

/// What cannot be read so often is passed over: the network may have damaged it.
const TRIES: u32 = 5;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// One try.
const ANSWER: Duration = Duration::from_secs(10);
/// What cannot be read is looked through for so long at once; then the group is heard.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Whether an error of a consumer says that a batch cannot be read.
pub(super) fn is_unreadable(error: &KafkaError) -> bool {
    let codes =
        [RDKafkaErrorCode::BadMessage, RDKafkaErrorCode::BadCompression, RDKafkaErrorCode::NotImplemented];
    error.rdkafka_error_code().is_some_and(|code| codes.contains(&code))
}

/// What is found at an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    /// A record there or behind it, or the end of the partition.
    Readable,
    /// A batch that cannot be read, by what it gives as its first offset; none where that is not known.
    Unreadable(Option<i64>),
}

/// The first offset behind `from` from which a partition can be read; none where it can be read from there.
///
/// # Errors
///
/// When nobody answers: then nothing is known of it.
pub(super) fn next_readable(
    clients: &Clients,
    topic: &str,
    number: i32,
    from: i64,
) -> Result<Option<i64>, Failure> {
    for _ in 0..TRIES {
        if look(clients, topic, number, from)? == Found::Readable {
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
    let (_, end) = reader(clients)?
        .fetch_watermarks(topic, number, ANSWER)
        .map_err(|error| Failure::new(&format!("ask where {topic} [{number}] ends"), &error, None))?;
    let until = Instant::now() + AT_ONCE;
    end_of_unreadable(from, end, |at| look(clients, topic, number, at), || Instant::now() > until).map(Some)
}

/// The first offset behind `from` that can be read, or `end`.
///
/// All offsets of a batch have the same answer. So only the end of one batch is searched for at a time, in steps that
/// double and then are halved; a batch behind it that can be read is not passed over, whatever comes after that.
///
/// * `from`: an offset that cannot be read.
/// * `look`: what is found at an offset.
/// * `is_enough`: asked after each batch; then what was passed until there is the answer.
fn end_of_unreadable<E>(
    from: i64,
    end: i64,
    mut look: impl FnMut(i64) -> Result<Found, E>,
    mut is_enough: impl FnMut() -> bool,
) -> Result<i64, E> {
    let (mut at, mut found) = (from, look(from)?);
    while at < end
        && let Found::Unreadable(batch) = found
    {
        // Without a name a batch cannot be told from the next: one offset after the other.
        let is_same = |found: Found| batch.is_some() && found == Found::Unreadable(batch);
        let (mut inside, mut step) = (at, 1);
        let mut beyond = loop {
            let next = inside.saturating_add(step).min(end);
            found = if next < end { look(next)? } else { Found::Readable };
            if !is_same(found) {
                break next;
            }
            (inside, step) = (next, step.saturating_mul(2));
        };
        while beyond - inside > 1 {
            let middle = inside + (beyond - inside) / 2;
            let there = look(middle)?;
            if is_same(there) {
                inside = middle;
            } else {
                (beyond, found) = (middle, there);
            }
        }
        at = beyond;
        if is_enough() {
            break;
        }
    }
    Ok(at.max(from))
}

fn reader(clients: &Clients) -> Result<BaseConsumer<Context>, Failure> {
    let mut config = clients.reader(Isolation::Committed)?;
    // A broker sends the first batch whole, however large, and no more.
    config.set("fetch.message.max.bytes", "1");
    config.create_with_context(clients.context()).map_err(|error| Failure::new("make a reader", &error, None))
}

/// What a new reader finds at an offset first.
fn look(clients: &Clients, topic: &str, partition: i32, offset: i64) -> Result<Found, Failure> {
    let doing = || format!("read {topic} [{partition}] from {offset} on");
    let reader = reader(clients)?;
    let mut place = TopicPartitionList::new();
    place
        .add_partition_offset(topic, partition, Offset::Offset(offset))
        .and_then(|()| reader.assign(&place))
        .map_err(|error| Failure::new(&doing(), &error, None))?;
    let until = Instant::now() + ANSWER;
    while Instant::now() < until {
        match reader.poll(until.saturating_duration_since(Instant::now())) {
            Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => return Ok(Found::Readable),
            Some(Err(error)) if is_unreadable(&error) => {
                let batch = reader.context().trouble().and_then(|trouble| batch_of(&trouble.reason));
                return Ok(Found::Unreadable(batch));
            }
            // Faults that pass by themselves are waited for.
            Some(Err(_)) | None => {}
        }
    }
    Err(Failure::passing(format!("cannot {}: nothing comes; it is tried again", doing())))
}

/// The first offset of the batch that librdkafka says it cannot read. A test holds its version, and with it these words.
fn batch_of(reason: &str) -> Option<i64> {
    let after = ["MessageSet at offset ", "Message at offset ", "of message at ", " at offset "];
    let number = after.iter().find_map(|words| reason.split_once(words)).map(|(_, number)| number)?;
    let digits = number.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(number.len());
    number.get(..digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exactly_what_cannot_be_read_is_passed_over(
            batches in proptest::collection::vec((1i64..700, any::<bool>()), 1..12),
            into in 0.0f64..1.0,
            is_named in any::<bool>(),
        ) {
            // Batches one after the other: first offset, length, whether it can be read.
            let mut placed = Vec::new();
            let mut end = 0;
            for (length, readable) in batches {
                placed.push((end, length, readable));
                end += length;
            }
            let batch_at = |at: i64| *placed.iter().find(|(first, length, _)| at < first + length).unwrap();
            let from = (end as f64 * into) as i64;
            let mut looks = 0;
            let look = |at: i64| {
                looks += 1;
                let (first, _, readable) = batch_at(at);
                Ok::<_, ()>(if readable { Found::Readable } else { Found::Unreadable(is_named.then_some(first)) })
            };
            let found = end_of_unreadable(from, end, look, || false).unwrap();
            let expected = (from..end).find(|at| batch_at(*at).2).unwrap_or(end);
            prop_assert_eq!(found, expected);
            if is_named {
                prop_assert!(looks <= 12 * 22, "{} looks", looks);
            }
        }
    }

    #[test]
    fn when_the_time_is_over_whole_batches_have_been_passed() {
        let look = |at: i64| Ok::<_, ()>(Found::Unreadable(Some(at / 100 * 100)));
        assert_eq!(end_of_unreadable(30, 1000, look, || true), Ok(100));
    }

    #[test]
    fn a_batch_is_known_by_what_librdkafka_says_of_it() {
        for (reason, batch) in [
            (
                "MessageSet at offset 1234 (567 bytes) failed CRC32C check (original 0x1 != calculated 0x2)",
                Some(1234),
            ),
            (
                "Decompression (codec 0x4) of message at 99 of 1000 bytes failed: Local: Invalid compressed data",
                Some(99),
            ),
            ("Unsupported Message(Set) MagicByte 7 at offset 12", Some(12)),
            ("something else", None),
        ] {
            assert_eq!(batch_of(reason), batch, "{reason}");
        }
    }
}
