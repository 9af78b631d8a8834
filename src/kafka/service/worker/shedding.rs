//! What is left out of a partition because there is too much, as pins, and said.
//!
//! Knows one partition at a time. Must not know when it is too much.

use super::super::Shared;
use super::super::overload::Load;
use super::super::pulse::AlarmKind;
use crate::kafka::settings::Topic;
use crate::partition::{JudgingError, ONE_IN, Partition, Pin};

/// Pins what is left out from now on, if that has changed, and what is left out at once.
pub(super) fn shed(
    partition: &mut Partition,
    load: Load,
    end: i64,
    shared: &Shared,
) -> Result<(), JudgingError> {
    let number = partition.number();
    let topic = shared.clients.settings().topics.of(Topic::Audit);
    let alarm = |sentence: &str| shared.alarm(AlarmKind::CoverageGap, Some(number), sentence);
    let from = partition.next_offset();
    let waits = end.saturating_sub(from);
    match partition.shedding() {
        None if load.sheds => {
            alarm(&format!(
                "{topic} [{number}]: {waits} records wait and more come than are judged: from offset {from} on, one in \
                 {ONE_IN} of the calls that repeat each other is judged and stands for the others; add instances, or find \
                 out who writes so much"
            ));
            partition.pin(Pin::Repeats(ONE_IN), shared)?;
        }
        Some(shedding) if !load.sheds => {
            alarm(&format!(
                "{topic} [{number}]: all is judged again from offset {from} on; since offset {} {} calls that repeated others \
                 were not",
                shedding.from,
                partition.left_out()
            ));
            partition.pin(Pin::Repeats(0), shared)?;
        }
        None | Some(_) => {}
    }
    if let Some(until) = load.skip_to.filter(|until| *until > from) {
        alarm(&format!(
            "{topic} [{number}]: {waits} records wait and more come than are judged: those from offset {from} to {until} \
             (excluded) are never judged, as [kafka.overload] shed = \"skip\" wants it; add instances, or find out who \
             writes so much"
        ));
        partition.pin(Pin::Overtake(until), shared)?;
    }
    Ok(())
}
