//! Many events at once, on several threads.
//!
//! Knows which slice an event belongs to. Must not change what is judged: one thread or many give the same bytes.
//!
//! Between two moments at which something happens to all slices, each slice depends on its own events alone. Threads take
//! whole slices; what they say is put in the order of the input.

use std::thread;

use super::clock::Now;
use super::output::Output;
use super::slice::{Arrival, Slice};
use super::unit::Position;
use super::{Engine, slice_of};
use crate::event::AuditEvent;
use crate::time::EventTime;

/// Events from which threads are worth their start.
const WORTH_THREADS: usize = 512;

/// Events whose memory is fetched at once: as many as a processor core waits for at the same time.
const AT_ONCE: usize = 16;

/// An event that waits to be judged.
struct Waiting<'a, 't> {
    arrival: Arrival,
    now: Now,
    event: &'a AuditEvent<'t>,
    position: Position,
}

impl Engine {
    /// Judges events in their order on up to `threads` threads; as [`Engine::judge`] for each of them, without the
    /// judgements.
    pub fn judge_all(
        &mut self,
        events: &[(AuditEvent<'_>, Position)],
        threads: usize,
        out: &mut Vec<Output>,
    ) {
        self.judge_these(events.iter().map(|(event, position)| (event, *position, event.time)), threads, out);
    }

    /// The same for events with the time at which each was recorded, which moves the clock of a partition.
    pub(super) fn judge_these<'e, 't: 'e>(
        &mut self,
        events: impl ExactSizeIterator<Item = (&'e AuditEvent<'t>, Position, EventTime)>,
        threads: usize,
        out: &mut Vec<Output>,
    ) {
        let mut waiting = Vec::with_capacity(events.len());
        for (event, position, recorded) in events {
            let arrival = self.arrival(event);
            let now = self.see(arrival.agent, event.time, recorded);
            if self.is_due(now) {
                self.judge_waiting(&mut waiting, threads, out);
                self.turn(now, out);
            }
            self.uncounted += 1;
            waiting.push(Waiting { arrival, now, event, position });
        }
        self.judge_waiting(&mut waiting, threads, out);
    }

    fn judge_waiting(&mut self, waiting: &mut Vec<Waiting<'_, '_>>, threads: usize, out: &mut Vec<Output>) {
        let from = out.len();
        let version = &self.version;
        if threads <= 1 || waiting.len() < WORTH_THREADS {
            for group in waiting.chunks(AT_ONCE) {
                fetch(&self.slices, 0, group);
                for Waiting { arrival, now, event, position } in group {
                    let slice = self.slices.get_mut(slice_of(arrival.agent));
                    if let Some(slice) = slice.filter(|slice| !slice.asleep) {
                        slice.judge(version, *now, *arrival, event, *position, out);
                    }
                }
            }
            waiting.clear();
        } else {
            let each = self.slices.len().div_ceil(threads);
            let all = &*waiting;
            let mut said: Vec<(usize, Output)> = thread::scope(|scope| {
                let parts = self.slices.chunks_mut(each).enumerate();
                let working: Vec<_> = parts
                    .map(|(part, slices)| scope.spawn(move || judge_part(slices, part * each, version, all)))
                    .collect();
                working
                    .into_iter()
                    .flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                    .collect()
            });
            // Stable: what one event said stays in its order.
            said.sort_by_key(|(place, _)| *place);
            out.extend(said.into_iter().map(|(_, output)| output));
            waiting.clear();
        }
        self.storm.tell(out, from);
    }
}

/// Judges the events of some slices, the first of which has the number `first`; returns what was said, each with the place
/// of its event.
fn judge_part(
    slices: &mut [Slice],
    first: usize,
    version: &super::Version,
    all: &[Waiting<'_, '_>],
) -> Vec<(usize, Output)> {
    let (mut said, mut out) = (Vec::new(), Vec::new());
    for (group, number) in all.chunks(AT_ONCE).zip(0..) {
        fetch(slices, first, group);
        for (Waiting { arrival, now, event, position }, place) in group.iter().zip(number * AT_ONCE..) {
            let number = slice_of(arrival.agent).checked_sub(first);
            let slice = number.and_then(|number| slices.get_mut(number));
            let Some(slice) = slice.filter(|slice| !slice.asleep) else { continue };
            slice.judge(version, *now, *arrival, event, *position, &mut out);
            said.extend(out.drain(..).map(|output| (place, output)));
        }
    }
    said
}

/// Brings the memory of the agents of some events near the processor, as far as it belongs to these slices: an agent lies
/// anywhere in some gigabytes, and waiting for many of them together takes hardly longer than for one. Changes nothing.
fn fetch(slices: &[Slice], first: usize, group: &[Waiting<'_, '_>]) {
    let ours = || {
        group.iter().filter_map(|waiting| {
            let number = slice_of(waiting.arrival.agent).checked_sub(first)?;
            Some((slices.get(number)?, waiting.arrival))
        })
    };
    // Each pass follows the pointers that the one before has fetched.
    ours().for_each(|(slice, arrival)| slice.fetch_index(arrival));
    ours().for_each(|(slice, arrival)| slice.fetch_agent(arrival));
    ours().for_each(|(slice, arrival)| slice.fetch_course(arrival));
}
