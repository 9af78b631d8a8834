//! What a partition is given: records, in their order or one by one; and what is new, as pins.
//!
//! Knows one partition at a time. Must not know the group.

use rdkafka::message::{BorrowedMessage, Message};

use super::super::pulse::{AlarmKind, Seen};
use super::super::writer::now_ms;
use super::super::{Shared, sight};
use super::BATCH;
use super::shedding::shed;
use crate::kafka::settings::RecordTime;
use crate::partition::{Incoming, JudgingError, Partition, Pin};

/// Agents of whom is told at once that they cannot be seen any more, or can be again. With a million of them a transaction
/// would not end in time.
const TOLD_AT_ONCE: usize = 4096;

/// Where judging ended in a panic.
#[derive(Clone, Copy)]
pub(super) enum Suspect {
    /// Somewhere among the records from this one to the batch's end: they are judged one by one.
    From(i64),
    /// This record is passed over.
    Record(i64),
}

/// A message as a record of the partition.
pub(super) fn incoming<'m>(message: &'m BorrowedMessage<'_>) -> Incoming<'m> {
    Incoming {
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key(),
        value: message.payload(),
    }
}

/// Records happen; where judging had ended in a panic one by one. Returns whether that is behind us.
pub(super) fn take(
    partition: &mut Partition,
    records: &[Incoming<'_>],
    suspect: Option<Suspect>,
    shared: &Shared,
) -> Result<bool, JudgingError> {
    match suspect {
        None => partition.take(records, shared)?,
        Some(Suspect::Record(offset)) => {
            let place = records.partition_point(|record| record.offset < offset);
            let (before, after) = records.split_at(place);
            partition.take(before, shared)?;
            if let Some((record, after)) = after.split_first() {
                if record.offset == offset && partition.next_offset() <= offset {
                    partition.pass_over(record, shared)?;
                }
                partition.take(after, shared)?;
            }
            return Ok(!after.is_empty());
        }
        Some(Suspect::From(offset)) => {
            for record in records {
                partition.take(std::slice::from_ref(record), shared)?;
            }
            return Ok(partition.next_offset() > offset.saturating_add(BATCH as i64));
        }
    }
    Ok(true)
}

/// What is new is pinned where the partition stands.
///
/// * `read_to`: everything before it has been read, records or not.
pub(super) fn pin(
    partition: &mut Partition,
    newest: u64,
    read_to: i64,
    shared: &Shared,
) -> Result<(), JudgingError> {
    let record_time = shared.clients.settings().record_time;
    // Until somebody has looked at it from outside it is as blind as it was when it was saved.
    if let Some(seen) = shared.pulse.seen_of(partition.number()) {
        look(partition, seen, read_to, record_time, shared)?;
        shed(partition, seen.load, seen.end, shared)?;
    }
    partition.tell_sight(TOLD_AT_ONCE, shared)?;
    if newest > partition.version() {
        partition.pin(Pin::Version(newest), shared)?;
    }
    while let Some((at, json)) = shared.control.from(partition.next_control()) {
        partition.pin(Pin::Control { at, json: json.to_string() }, shared)?;
    }
    if record_time == RecordTime::Broker
        && let Some(end) = shared.pulse.take(partition.number())
        && partition.next_offset().max(read_to) >= end.offset
        && partition.latest_record().is_none_or(|latest| latest < end.time_ms)
    {
        partition.pin(Pin::Clock(crate::time::EventTime(end.time_ms)), shared)?;
    }
    Ok(())
}

/// Pins whether what the agents of a partition do can be seen, if that has changed.
fn look(
    partition: &mut Partition,
    seen: Seen,
    read_to: i64,
    record_time: RecordTime,
    shared: &Shared,
) -> Result<(), JudgingError> {
    let found = sight::blindness(
        partition,
        seen.end > partition.next_offset().max(read_to),
        seen,
        record_time,
        now_ms(),
    );
    let blindness = found.as_ref().map(|(blindness, _)| *blindness);
    if blindness == partition.blindness() {
        return Ok(());
    }
    if let Some((_, why)) = found {
        let number = partition.number();
        let sentence = format!("agents of partition {number} cannot be seen: {why}");
        shared.alarm(AlarmKind::Blind, Some(number), &sentence);
    }
    partition.pin(Pin::Sight(blindness), shared)
}
