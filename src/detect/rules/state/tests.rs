//! Tests of what is remembered for rules: spans, bounds, and a twin that keeps everything.

use proptest::prelude::*;

use super::*;

const LONGEST_MS: i64 = 3_600_000;

fn span(at_least: u32, within_ms: i64) -> Span {
    Span { at_least, within_ms, longest_ms: LONGEST_MS }
}

/// The slow twin: all times are kept, all spans tried.
fn most_within(times: &[(i64, u64)], at: i64, within_ms: i64) -> u64 {
    let starts = (at - within_ms + 1)..=at;
    let inside = |from: i64| times.iter().filter(move |(t, _)| (from..from + within_ms).contains(t));
    starts.map(|from| inside(from).map(|(_, calls)| calls).sum()).max().unwrap()
}

proptest! {
    #[test]
    fn a_count_of_few_is_exact_in_order_of_time(steps in prop::collection::vec((0i64..40, 1u64..4), 1..60)) {
        let (mut state, mut seen, mut at) = (RuleState::default(), Vec::new(), 1_000_000);
        for (step, calls) in steps {
            at += step;
            seen.push((at, calls));
            let counted = state.count(7, EventTime(at), calls, span(EXACT, 100));
            prop_assert_eq!(counted, most_within(&seen, at, 100));
        }
    }

    #[test]
    fn a_count_of_many_is_never_too_large_and_at_most_one_step_short(
        steps in prop::collection::vec(0i64..400, 1..120),
    ) {
        let (mut state, mut seen, mut at) = (RuleState::default(), Vec::new(), 1_000_000);
        let within_ms = 64 * 100;
        for step in steps {
            at += step;
            seen.push((at, 1));
            let counted = state.count(7, EventTime(at), 1, span(EXACT + 1, within_ms));
            prop_assert!(counted <= most_within(&seen, at, within_ms));
            prop_assert!(counted >= most_within(&seen, at, within_ms - 100));
        }
    }

    #[test]
    fn whatever_comes_the_bound_holds_and_a_saved_state_is_the_same(
        calls in prop::collection::vec((0u64..5, any::<i32>(), 0u64..200, 0..3u8), 0..400),
    ) {
        let mut state = RuleState::default();
        for (rule, at, value, what) in calls {
            let at = EventTime(i64::from(at));
            match what {
                0 => _ = state.count(rule, at, value, span(EXACT, 1_000_000_000)),
                1 => _ = state.distinct(rule, at, value, span(EXACT, 1_000_000_000)),
                _ => state.tell(rule, at, LONGEST_MS),
            }
            prop_assert!(state.entries.len() <= MOST_ENTRIES);
        }
        let json = serde_json::to_string(&state).unwrap();
        prop_assert_eq!(serde_json::from_str::<RuleState>(&json).unwrap(), state);
    }
}

#[test]
fn a_late_call_is_counted_with_those_around_it() {
    let mut state = RuleState::default();
    let mut count = |at| state.count(1, EventTime(at), 1, span(3, 100));
    assert_eq!((count(1_000), count(1_150)), (1, 1));
    // 1,000 was forgotten at 1,150; 1,150 lies ahead of 1,090 and in one span with it.
    assert_eq!(count(1_090), 2);
    assert_eq!(count(1_040), 2, "1,040 and 1,150 are in no span of 100 together");
}

#[test]
fn one_bad_clock_does_not_keep_a_rule_silent() {
    let mut state = RuleState::default();
    state.tell(1, EventTime(i64::MAX / 2), LONGEST_MS);
    assert!(!state.was_told_within(1, EventTime(1_000), 100));
    assert!(!state.was_told_in_hour(1, EventTime(1_000)));
    assert_eq!(state.count(1, EventTime(1_000), 5, span(3, 100)), 5);
}

#[test]
fn values_are_counted_once_and_by_their_last_time() {
    let mut state = RuleState::default();
    let mut distinct = |at, value| state.distinct(1, EventTime(at), value, span(3, 100));
    assert_eq!((distinct(1_000, 5), distinct(1_010, 5), distinct(1_020, 6)), (1, 1, 2));
    assert_eq!(distinct(1_105, 7), 3, "value 5 was seen last at 1,010");
    assert_eq!(distinct(1_115, 7), 2, "and is too old now");
}

#[test]
fn rules_on_the_same_calls_do_not_make_each_other_forget() {
    let mut state = RuleState::default();
    let mut reached = 0;
    for value in 0..u64::from(EXACT) {
        // A cheap rule is flooded all the while.
        for call in 0..10 {
            state.count(9, EventTime(1_000 + 10 * value as i64 + call), 1, span(EXACT, 100_000));
        }
        for rule in 0..3 {
            let seen =
                state.distinct(rule, EventTime(1_000 + 10 * value as i64), value, span(EXACT, 100_000));
            reached += u32::from(seen == u64::from(EXACT));
        }
    }
    assert_eq!(reached, 3, "each of them has seen as many as it asks for");
    assert!(state.entries.len() <= 4 * room(EXACT));
}

#[test]
fn rules_do_not_see_each_other_and_telling_starts_anew() {
    let mut state = RuleState::default();
    assert!(state.is_empty());
    state.count(1, EventTime(1_000), 2, span(3, 100));
    assert_eq!(state.count(2, EventTime(1_001), 1, span(3, 100)), 1);
    state.tell(1, EventTime(1_002), LONGEST_MS);
    assert!(state.was_told_within(1, EventTime(1_101), 100));
    assert!(!state.was_told_within(1, EventTime(1_102), 100));
    assert!(!state.was_told_within(2, EventTime(1_002), 100));
    assert_eq!(state.count(1, EventTime(1_102), 1, span(3, 100)), 1);
    assert_eq!(state.count(2, EventTime(1_050), 1, span(3, 100)), 2);
}
