//! Verdicts that need two people: the first proposes, a different one completes.
//!
//! Knows one proposal and one verdict at a time. Must not know which agents need it, nor how a person is known.

use serde::{Deserialize, Serialize};

use crate::risk::{Proposal, Verdict};
use crate::time::EventTime;

/// What a verdict that needs two people has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It waits for a second person.
    Proposed,
    /// It is not taken, and what waited still does.
    Refused,
    /// It took effect: two people said so.
    Completed,
}

/// What is recorded of a verdict that needs two people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondPerson {
    /// What it has come to.
    pub stage: Stage,
    /// Who proposed it; empty where nothing waits.
    pub proposed_by: String,
    /// Until when a second person may complete it; none where nothing waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<EventTime>,
    /// The same for a person, with what to do.
    pub detail: String,
}

/// What a verdict comes to.
///
/// * `waiting`: what was proposed for the agent; what waits afterwards stands there.
/// * `time`: when the verdict takes effect.
/// * `within_ms`: how long a proposal waits. Milliseconds.
pub(super) fn asked(
    waiting: &mut Option<Box<Proposal>>,
    verdict: &Verdict,
    time: EventTime,
    within_ms: i64,
) -> SecondPerson {
    let name = verdict.verdict.name();
    let of = |stage, proposed_by: &str, until, detail| SecondPerson {
        stage,
        proposed_by: proposed_by.to_owned(),
        until,
        detail,
    };
    if verdict.by.trim().is_empty() {
        let detail =
            format!("{name} needs two people here, and this one does not say who it is from: name yourself");
        return of(Stage::Refused, "", None, detail);
    }
    if let Some(first) =
        waiting.as_deref().filter(|first| first.verdict == verdict.verdict && time < first.until)
    {
        if first.is_by(&verdict.by) {
            let detail = format!(
                "the one who proposed {name} cannot complete it: a different person has to, before {}",
                first.until
            );
            return of(Stage::Refused, &first.by, Some(first.until), detail);
        }
        let told = of(Stage::Completed, &first.by, Some(first.until), format!("two people said {name}"));
        *waiting = None;
        return told;
    }
    let until = time.plus_ms(within_ms);
    *waiting = Some(Box::new(Proposal { verdict: verdict.verdict, by: verdict.by.clone(), until }));
    let detail = format!("{name} waits for a different person to say the same, before {until}");
    of(Stage::Proposed, &verdict.by, Some(until), detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risk::Decision;
    use crate::time::HOUR_MS;

    fn ask(waiting: &mut Option<Box<Proposal>>, by: &str, decision: Decision, hour: i64) -> Stage {
        let time = EventTime(hour * HOUR_MS);
        let verdict = Verdict {
            time,
            agent_id: "a".to_owned(),
            tenant: None,
            verdict: decision,
            by: by.to_owned(),
            reason: String::new(),
        };
        asked(waiting, &verdict, time, 24 * HOUR_MS).stage
    }

    #[test]
    fn a_different_person_completes_what_one_proposed_and_nobody_else_does() {
        let mut waiting = None;
        let safe = Decision::ConfirmSafe;
        assert_eq!(ask(&mut waiting, "ann", safe, 0), Stage::Proposed);
        for same in ["ann", " Ann ", "ANN"] {
            assert_eq!(ask(&mut waiting, same, safe, 1), Stage::Refused, "{same}");
        }
        assert_eq!(ask(&mut waiting, " ", safe, 1), Stage::Refused, "nobody is no second person");
        assert_eq!(ask(&mut waiting, "bob", safe, 2), Stage::Completed);
        assert_eq!(waiting, None);
        assert_eq!(ask(&mut waiting, "bob", safe, 3), Stage::Proposed, "what was completed is over");
    }

    #[test]
    fn a_proposal_runs_out_and_another_verdict_is_another_proposal() {
        let mut waiting = None;
        assert_eq!(ask(&mut waiting, "ann", Decision::ConfirmSafe, 0), Stage::Proposed);
        assert_eq!(ask(&mut waiting, "bob", Decision::ConfirmSafe, 24), Stage::Proposed, "a day is over");
        assert_eq!(ask(&mut waiting, "ann", Decision::Dismiss, 25), Stage::Proposed);
        assert_eq!(ask(&mut waiting, "ann", Decision::ConfirmSafe, 26), Stage::Proposed);
        assert_eq!(ask(&mut waiting, "bob", Decision::ConfirmSafe, 27), Stage::Completed);
        assert_eq!(ask(&mut waiting, "", Decision::ConfirmSafe, 28), Stage::Refused);
        assert_eq!(waiting, None);
    }
}
