//! What one call adds to its agent's open units, and what is learned from it.
//!
//! Knows the order of things: judge, tell, learn, advance. Must not close units.

use super::Judgement;
use super::alerts::{Told, Units};
use super::clock::Now;
use super::course::{Course, HeldValue};
use super::explain::Moment;
use super::fleet_shift;
use super::held_back;
use super::kin::Kin;
use super::output::Output;
use super::registry;
use super::slice::{Arrival, OfType, Slice, type_name};
use super::unit::{Position, Unit, UnitKind};
use super::version::Version;
use super::watched::Watched;
use crate::assess::calibrate::Calibration;
use crate::assess::content::{self, Content, Contents};
use crate::baseline::agent::{KeySpace, renewals, shortened};
use crate::baseline::learning::{Delta, Lesson};
use crate::detect::access::{self, KeyBits};
use crate::detect::failure::{self, FailureBits};
use crate::detect::frequency::FrequencyBits;
use crate::detect::sequence::{self, OrderBits};
use crate::detect::{Call, Tier, provenance};
use crate::event::{AuditEvent, Outcome};
use crate::finding::Family;
use crate::stats::key::mix;
use crate::time::EventTime;
use smallvec::SmallVec;

/// A unit with p at or below this is a finding.
pub(super) const FINDING_P: f64 = 0.01;

/// New keys of a space for which an agent votes within an hour at most: who walks through all there is must not fill what
/// its type can remember.
const NEW_VOTES_AN_HOUR: f64 = 64.0;
/// Sessions of an agent that are counted and learned from within an hour at most. Ids of sessions cost nothing: who makes
/// up thousands would have everybody judged more strictly, and its type learn from nobody else.
const SESSIONS_AN_HOUR: u16 = 256;

/// What a call says about the keys it touches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Novelty {
    /// Sum over its keys. Bits.
    pub keys: f64,
    /// That sum, or what the hour's new resources say together where that is more. Bits.
    pub bits: f64,
    /// The key that says most.
    pub strongest: Option<KeyBits>,
    /// (new, used) resources of the hour, where enumeration says more than any key.
    pub enumeration: Option<(f64, f64)>,
}

/// All that one call says.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallBits {
    pub contents: Contents,
    pub order: OrderBits,
    pub novelty: Novelty,
    pub frequency: FrequencyBits,
    /// None where nothing was refused.
    pub failure: Option<FailureBits>,
}

impl CallBits {
    /// The evidence of a content family.
    pub fn content(&self, family: Family) -> Option<&Content> {
        self.contents.iter().flatten().find(|c| c.family == family)
    }
}

impl Slice {
    /// Judges an event, then learns from it. What there is to say of it is pushed to `out`.
    pub(super) fn judge(
        &mut self,
        version: &Version,
        now: Now,
        arrival: Arrival,
        event: &AuditEvent<'_>,
        position: Position,
        out: &mut Vec<Output>,
    ) -> Judgement {
        if self.is_duplicate(arrival) {
            return Judgement::NOTHING;
        }
        let mut call = self.vocabulary.call(event);
        self.place(version, &mut call);
        let slot = self.watch(version, now, arrival.agent, &call, out);
        self.close_ended(version, slot, now.believed(event.time));
        self.judge_call(version, now, slot, &call, (arrival, position), out)
    }

    /// Judges a call in its agent's open units, tells what must be told, learns.
    fn judge_call(
        &mut self,
        version: &Version,
        now: Now,
        slot: usize,
        call: &Call<'_, '_>,
        (arrival, position): (Arrival, Position),
        out: &mut Vec<Output>,
    ) -> Judgement {
        let time = now.believed(call.event.time);
        let session = call.event.session_id.as_deref().map(|s| self.vocabulary.identity().of(s));
        let own_type = || OfType::new(type_name(&self.vocabulary, call));
        let of_type = self.types.entry(call.agent_type).or_insert_with(own_type);
        let Some(watched) = self.agents.get_mut(slot) else {
            debug_assert!(false, "an agent is watched before its call is judged");
            return Judgement::NOTHING;
        };
        let calibration = version.calibration(call.agent_type);
        let own = version.of(call.agent_type);
        let delta = &mut of_type.delta;
        if watched.kin.agent_type != call.agent_type {
            watched.kin = self.kindred.shared(Kin {
                agent_type: call.agent_type,
                type_name: (*of_type.name).into(),
                tenant: watched.kin.tenant.clone(),
            });
            watched.sessions.iter_mut().chain(&mut watched.hour).for_each(Unit::assess_anew);
        }
        let instant = now.of(time);
        let mut held = SmallVec::new();
        let mut known = registry::look_up(version, &self.registry, &mut self.known, watched, call);
        if let Some(known) = &mut known {
            known.change(version, &self.registry, watched, call, instant, out);
        }
        let times = call.event.count.unwrap_or(1).max(1);
        watched.events += times;
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        let is_new = watched.latest == EventTime(i64::MIN);
        if !is_new && !version.frozen {
            delta.still_active(renewals(watched.latest.hour(), time.hour()));
        }
        watched.latest = watched.latest.max(time);
        watched.settle_in(version, instant, out);
        let hour_number = watched.hour_at(watched.latest);
        let mut hour = watched.hour.take().unwrap_or_else(|| {
            of_type.counted.units += 1;
            watched.sessions_begun = 0;
            watched.new_unit(&mut self.spare, UnitKind::Hour, hour_number as u64, time)
        });
        let mut session = session.map(|id| match watched.session(id) {
            Some(place) => watched.sessions.swap_remove(place),
            None => {
                let is_surplus = watched.sessions_begun >= SESSIONS_AN_HOUR;
                watched.sessions_begun = watched.sessions_begun.saturating_add(1);
                of_type.counted.units += u64::from(!is_surplus);
                let mut unit = watched.new_unit(&mut self.spare, UnitKind::Session, id, time);
                unit.is_surplus = is_surplus;
                unit
            }
        });

        // Novelty, rates and refusals belong to the hour, whatever session they come from.
        hour.count(time);
        let novelty = {
            let learn = (!version.frozen).then_some(&mut *delta);
            judge_novelty(&version.baselines, own, watched, call, hour_number, learn)
        };
        let before_hour = hour.running_p();
        let at = instant.at;
        let habits = version.baselines.habits(own);
        watched.speak(time.day(), (!version.frozen).then_some(&mut *delta));
        // Time stands still for them while events are missing, or while a leap of the clock is not believed yet: all would seem
        // to come at once.
        let frequency = if self.misses_events || time != call.event.time {
            FrequencyBits::NOTHING
        } else {
            watched.count(at, times, habits, (!version.frozen).then_some(&mut *delta))
        };
        let failure = hour.failures_mut().and_then(|failures| {
            failures.count(call.event.outcome, call.resource.unwrap_or(call.action), times);
            let refused = call.event.outcome == Outcome::Denied;
            refused.then(|| failure::judge(&habits.failure_prior, &watched.failure.0, failures))
        });
        let refused = failure.map_or(0.0, |failure| failure.bits);
        let raised_hour =
            [(Family::Novelty, novelty.bits), (Family::Bursts, frequency.bits), (Family::Failure, refused)]
                .map(|(family, bits)| hour.raise(calibration, family, bits).then_some(family));

        // Content and order belong to the session, or to the hour where there is none.
        if let Some(unit) = &mut session {
            unit.count(time);
        }
        let unit = session.as_mut().unwrap_or(&mut hour);
        let course = unit.course(|| self.spare.course());
        let order = sequence::judge(&version.baselines, own, &course.progress, call);
        let contents =
            content::judge(&version.settings.content, &version.baselines, own, call, &order, novelty.keys);
        let bits = CallBits { contents, order, novelty, frequency, failure };
        let before_unit = if unit.kind == UnitKind::Hour { before_hour } else { unit.running_p() };
        let raised = raise(unit, calibration, &bits);

        let standing = known.as_deref().map(|known| known.standing(version, &self.registry, at));
        let moment = Moment {
            version,
            registry: &self.registry,
            own,
            vocabulary: &self.vocabulary,
            calibration,
            now,
            call,
            position,
            bits,
            change: standing.as_ref().and_then(|standing| standing.change(call.event, instant.time)),
            standing,
        };
        if let Some(id) = arrival.event
            && own.is_some_and(|own| own.carries_provenance())
        {
            let number = unit.events;
            let course = unit.course(|| self.spare.course());
            course.remember_call(number, id, call.action);
        }
        let number = version.baselines.version;
        let mut fell = hour.assess(calibration, number, None);
        if let Some(unit) = &mut session {
            fell |= unit.assess(calibration, number, Some(&hour));
        }
        // Of a finding the call that decided it is kept, even where no family alone is unusual.
        let decides = session.as_ref().map_or(1.0, |unit| unit.alarm_p).min(hour.alarm_p) <= FINDING_P;
        for family in raised.into_iter().flatten() {
            let unit = session.as_mut().unwrap_or(&mut hour);
            moment.keep_lead(unit, family, &watched.rate, decides, &mut self.spare);
        }
        for family in raised_hour.into_iter().flatten() {
            moment.keep_lead(&mut hour, family, &watched.rate, decides, &mut self.spare);
        }

        if fell || raised_hour.iter().chain(&raised).any(Option::is_some) {
            let units = Units { session: session.as_ref(), hour: &hour, unit_before: before_unit };
            if units.worse().alarm_p <= FINDING_P {
                let told = moment.found(watched, &units, &mut held, out);
                if told == Told::Opened {
                    of_type.counted.alerts += 1;
                    fleet_shift::note(&mut of_type.moved, instant.time, &watched.id);
                }
                self.suppressed += u64::from(told == Told::Suppressed);
                Self::set_timer(&mut self.timers, version, watched, instant.at);
            }
        }

        if !version.settings.rules.is_empty() {
            moment.judge_rules(watched, &mut held, out);
            Self::set_timer(&mut self.timers, version, watched, instant.at);
        }
        if moment.standing.is_some() {
            moment.judge_registry(watched, &mut held, out);
            Self::set_timer(&mut self.timers, version, watched, instant.at);
        }
        if let Some(known) = known {
            known.see(call, at);
        }
        if !held.is_empty() {
            self.held_back += held_back::record(&mut self.known, watched.key, held, out);
        }

        let judgement = judgement(session.as_ref(), &hour);
        let unit = session.as_mut().unwrap_or(&mut hour);
        let teaches = !version.frozen && !unit.is_surplus;
        let course = unit.course(|| self.spare.course());
        if teaches {
            learn(call, course, &order, delta);
        }
        course.progress.advance(call, &order);
        watched.hour = Some(hour);
        if let Some(unit) = session {
            let crowded = watched.room_for_session();
            watched.sessions.push(unit);
            if let Some(crowded) = crowded {
                self.close(version, slot, crowded);
            }
        }
        judgement
    }
}

/// Meets every key of a call; an agent's first use of a key is a vote.
fn judge_novelty(
    baselines: &crate::baseline::pool::Baselines,
    own: Option<&crate::baseline::pool::TypeBaseline>,
    watched: &mut Watched,
    call: &Call<'_, '_>,
    hour: i64,
    mut learn: Option<&mut Delta>,
) -> Novelty {
    let mut bits = 0.0;
    let mut strongest: Option<KeyBits> = None;
    let mut new_resource = None;
    let (_, new_before) = watched.familiar.this_hour_at(KeySpace::Resource, hour);
    for (space, key) in access::keys(call) {
        let (familiarity, forgotten) = watched.familiar.meet_and_forget(space, key, hour);
        let judged = access::judge(baselines, own, space, key, familiarity);
        bits += judged.bits;
        if strongest.is_none_or(|s| judged.bits > s.bits) {
            strongest = Some(judged);
        }
        if space == KeySpace::Resource {
            new_resource = Some(judged.bits);
        }
        if let Some(delta) = &mut learn {
            if let Some(forgotten) = forgotten {
                delta.note_voter(watched.key, forgotten);
            }
            let (_, new) = watched.familiar.this_hour(space);
            for _ in 0..familiarity.renewals {
                delta.vote(Lesson::StillAccess(space), key, 0.0);
            }
            if familiarity.first
                && new <= NEW_VOTES_AN_HOUR
                && !delta.has_voted(watched.key, shortened(space, key))
            {
                delta.vote(Lesson::Access(space), key, 0.0);
            }
        }
    }
    let (used, new) = watched.familiar.this_hour(KeySpace::Resource);
    if let Some(bits) = new_resource.filter(|_| new > new_before) {
        watched.familiar.surprise(access::enumeration_bits(used, bits));
    }
    let enumeration = if new > access::EVERYDAY_NEW { watched.familiar.surprised() } else { 0.0 };
    let enumerates = enumeration > bits;
    Novelty {
        keys: bits,
        bits: bits.max(enumeration),
        strongest,
        enumeration: enumerates.then_some((new, used)),
    }
}

/// Raises the peaks of content, order and loops; tells which of them made the unit less probable.
fn raise(unit: &mut Unit, calibration: &Calibration, bits: &CallBits) -> [Option<Family>; 4] {
    let [first, second] = bits
        .contents
        .map(|content| content.filter(|c| unit.raise(calibration, c.family, c.bits)).map(|c| c.family));
    let order = unit.raise(calibration, Family::Order, bits.order.drift).then_some(Family::Order);
    let loops = unit.raise(calibration, Family::Loops, bits.order.loop_bits).then_some(Family::Loops);
    [first, second, order, loops]
}

/// Casts the unit's votes for what it has not taught yet; values wait for its end.
fn learn(call: &Call<'_, '_>, course: &mut Course, order: &OrderBits, delta: &mut Delta) {
    let lesson = sequence::lesson(&course.progress, call.agent_type);
    if let Lesson::Order { contexts, .. } = lesson
        && course.teaches(mix(contexts.as_slice().last().copied().unwrap_or(0), call.symbol))
    {
        delta.vote(lesson, call.symbol, order.bits);
    }
    if call.arguments.is_empty() {
        return;
    }
    if course.teaches(call.tier as u64) {
        delta.provenance(call.tier != Tier::None);
    }
    for argument in &call.arguments {
        for (lesson, symbol) in provenance::lessons(call, argument) {
            if let Lesson::Origin(_, context) = lesson
                && course.teaches(mix(context, symbol))
            {
                delta.vote(lesson, symbol, 0.0);
            }
        }
        if let (true, Some(value)) = (argument.is_destination, argument.value) {
            let contexts @ [_, particular] = content::value_contexts(call, argument);
            if course.teaches(mix(particular, value)) {
                course.hold(HeldValue { contexts, value });
            }
        }
    }
}

fn judgement(session: Option<&Unit>, hour: &Unit) -> Judgement {
    let unit = session.unwrap_or(hour);
    let mut families = unit.running_p();
    for family in [Family::Novelty, Family::Bursts, Family::Failure] {
        if let Some(p) = families.get_mut(family as usize) {
            *p = hour.p(family);
        }
    }
    Judgement {
        kind: unit.kind,
        unit: unit.id,
        bits: unit.bits,
        p: unit.unit_p,
        families,
        hour_bits: hour.bits,
        hour_p: hour.unit_p,
    }
}

impl Judgement {
    /// Nothing is known against anyone.
    pub(super) const NOTHING: Self = Self {
        kind: UnitKind::Hour,
        unit: 0,
        bits: 0.0,
        p: 1.0,
        families: [1.0; Family::COUNT],
        hour_bits: 0.0,
        hour_p: 1.0,
    };
}
