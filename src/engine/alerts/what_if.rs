//! What an alert would be worth if something about it had been ordinary.
//!
//! Knows how to judge the unit of an alert once more. Must not choose what is told besides.

use super::findings::SAYS_SOMETHING;
use super::{Shares, Units, Weighed, at_family, set};
use crate::alert::Counterfactual;
use crate::assess::content;
use crate::detect::Call;
use crate::detect::provenance::{Party, Symbol};
use crate::engine::explain::Moment;
use crate::engine::unit::judged;
use crate::finding::Family;

/// What can be replaced: families, and the words for it.
const REPLACED: [(&[Family], &str); 7] = [
    (&[Family::CallContent, Family::ToolValues], "what tools put into its calls by what the user named"),
    (&[Family::BareContent], "what its calls hold by what is usual for its type"),
    (&[Family::Order], "the order of its actions by one that is usual for its type"),
    (&[Family::Loops], "what it repeats by doing it once"),
    (&[Family::Novelty], "what was new to it within the hour by what it uses every day"),
    (&[Family::Bursts], "the number of its calls by what is usual for it"),
    (&[Family::Failure], "every refusal by a success"),
];

impl<'t> Moment<'_, 't> {
    /// The unit judged again with one thing about it replaced by an ordinary one: one value of this call where that alone ends
    /// the alert, else that which changes most.
    pub(super) fn counterfactual(
        &self,
        units: &Units<'_>,
        weighed: &Weighed<'_>,
        shares: &Shares,
        threshold: f64,
    ) -> Option<Counterfactual> {
        let again = |replaced: String, p: &[f64; Family::COUNT]| {
            let (_, p) = judged(self.calibration, weighed.unit.has_content(), p);
            Counterfactual { replaced, p, still_alerts: p <= threshold }
        };
        let one_value = shares.iter().max_by(|a, b| a.share.total_cmp(&b.share));
        let one_value = one_value.and_then(|share| self.without_one_value(units, weighed, share.family));
        let one_value = one_value.map(|(replaced, p)| again(replaced, &p));
        if let Some(one_value) = one_value.filter(|what_if| !what_if.still_alerts) {
            return Some(one_value);
        }
        let part =
            |of: &[Family]| shares.iter().filter(|s| of.contains(&s.family)).map(|s| s.share).sum::<f64>();
        let things = REPLACED.iter().filter(|(families, _)| part(families) >= SAYS_SOMETHING);
        let all = things.map(|(families, words)| {
            let mut p = weighed.p;
            families.iter().for_each(|&family| set(&mut p, family, 1.0));
            again((*words).to_owned(), &p)
        });
        all.max_by(|a, b| a.p.total_cmp(&b.p))
    }

    /// p of the families as if the leading value of this call had been an ordinary one.
    fn without_one_value(
        &self,
        units: &Units<'_>,
        weighed: &Weighed<'_>,
        family: Family,
    ) -> Option<(String, [f64; Family::COUNT])> {
        let lead = self.bits.content(family)?.lead?;
        let name = self.argument(self.call.arguments.get(lead)?.name);
        let (call, replaced) = self.with_lead_replaced(lead);
        let judged = content::judge(
            &self.version.settings.content,
            &self.version.baselines,
            self.own,
            &call,
            &self.bits.order,
            self.bits.novelty.keys,
        );
        let mut p = weighed.p;
        for content in judged.iter().flatten() {
            let again = self.calibration.peak_p(content.family, units.content().stage(), content.bits);
            set(&mut p, content.family, again.min(at_family(&units.unit_before, content.family)));
        }
        Some((format!("{name} of {} {replaced}", self.action(self.call.action)), p))
    }

    /// This call with its leading argument's origin (or, where none is known, its value) made ordinary.
    fn with_lead_replaced(&self, lead: usize) -> (Call<'_, 't>, &'static str) {
        let mut call = Call { arguments: self.call.arguments.clone(), ..*self.call };
        let mut replaced = "by a value that is not new";
        if let Some(argument) = call.arguments.get_mut(lead) {
            if argument.party.is_some() {
                argument.symbol = argument.symbol.map(|_| Symbol::User);
                argument.party = Some(Party::User);
                replaced = "by a value that the user named";
            } else {
                argument.value = None;
            }
        }
        (call, replaced)
    }
}
