//! How small p must be for an alert, so that no more alerts come than a person can read.
//!
//! Knows how many units and alerts a day there are. Must not know what they did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::identity::Key;

/// Alerts a day that a person can read, where the configuration says nothing.
pub const ALERTS_PER_DAY: f64 = 5.0;
/// The threshold never lies above this, however few units there are.
const LARGEST_THRESHOLD: f64 = 0.001;
/// Units that fall below the threshold for each alert that opens. A session is judged with its hour and the hour by
/// itself, and what both say is one alert; so are all the sessions of that hour.
const UNITS_AN_ALERT: f64 = 2.0;
/// Units a day that are assumed at least.
const FEWEST_UNITS: f64 = 1000.0;
/// p at or below this share of B/M always alerts, however many alerts there were: a flood must not hide the worst.
const HARD_FLOOR: f64 = 0.1;
/// How fast thresholds follow alerts. Per hour.
const GAIN: f64 = 0.02;
/// A type floods when it has more than so many times its share of the budget in a day, and more than [`FLOOD`] alerts.
const FLOOD_SHARES: f64 = 3.0;
/// As many alerts of one type in a day are no flood.
const FLOOD: f64 = 2.0;
/// Hours over which alerts are counted.
const HOURS: usize = 24;

/// Counts active units and alerts, and sets the thresholds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    alerts_per_day: f64,
    day: i64,
    /// The hour that began last. Hours since 1970.
    hour: Option<i64>,
    today: u64,
    yesterday: u64,
    /// ln of the threshold of all types over the calibrated one; ≤ 0.
    tightened: f64,
    types: BTreeMap<Key, Controller>,
}

/// What one type spends of the budget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Controller {
    /// ln of its threshold over that of all types; ≤ 0, below it after a flood only.
    tightened: f64,
    /// Alerts opened in each of the last hours; the running one last.
    alerts: [u32; HOURS],
    today: u64,
    yesterday: u64,
}

/// What was counted since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Units that became active.
    pub units: u64,
    /// Alerts opened by p, not by rules or persons.
    pub alerts: u32,
    /// Alerts that a person confirmed: they do not count against the budget.
    pub confirmed: u32,
}

/// p at which something happens, for one type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// An alert opens at p at or below this.
    pub alert: f64,
    /// The same before any controller, h₀: what levels are measured by.
    pub calibrated: f64,
}

impl Thresholds {
    /// The level is at least low at p at or below this.
    pub fn low(&self) -> f64 {
        (10.0 * self.calibrated).min(0.01)
    }
}

impl Budget {
    /// A budget of alerts a day; at least .1.
    pub fn new(alerts_per_day: f64) -> Self {
        Self {
            alerts_per_day: alerts_per_day.max(0.1),
            day: i64::MIN,
            hour: None,
            today: 0,
            yesterday: 0,
            tightened: 0.0,
            types: BTreeMap::new(),
        }
    }

    /// Promises another number of alerts a day from now on.
    pub fn promise(&mut self, alerts_per_day: f64) {
        self.alerts_per_day = alerts_per_day.max(0.1);
    }

    /// Alerts a day that the threshold aims at on average.
    pub fn promised(&self) -> f64 {
        self.alerts_per_day
    }

    /// Alerts of the last 24 hours of event time; those that a person confirmed do not count.
    pub fn achieved(&self) -> u64 {
        self.types.values().flat_map(|of| of.alerts).map(u64::from).sum()
    }

    /// Notes what happened to a type on a day (days since 1970); what is late counts for the running day.
    pub fn count(&mut self, agent_type: Key, day: i64, counted: Counted) {
        if day > self.day {
            let next = self.day.checked_add(1) == Some(day);
            self.day = day;
            self.yesterday = if next { self.today } else { 0 };
            self.today = 0;
            for of in self.types.values_mut() {
                of.yesterday = if next { of.today } else { 0 };
                of.today = 0;
            }
            self.types.retain(|_, of| of.today + of.yesterday > 0 || of.tightened < 0.0);
        }
        self.today += counted.units;
        let of = self.types.entry(agent_type).or_default();
        of.today += counted.units;
        if let Some(hour) = of.alerts.last_mut() {
            *hour += counted.alerts;
        }
        let mut left = counted.confirmed;
        for hour in of.alerts.iter_mut().rev() {
            let taken = left.min(*hour);
            *hour -= taken;
            left -= taken;
        }
    }

    /// An hour of event time (hours since 1970) begins: the thresholds follow the alerts of the last 24 hours, hour by hour
    /// since the last one that began.
    ///
    /// # Formula
    ///
    /// x ← clip(x + .02·clip((B − Σ_y min(n_y, A_y))/B, −3, 1), ln(h_floor/h₀), 0), the same for all types, and for each of them
    /// x_y ← clip(x_y + .02·clip((A_y − n_y)/A_y, −3, 1), ln(h_floor/h₀), 0), h_floor = .1·B/M and h₀ as in [`Budget::thresholds`], with n_y = its alerts of 24 hours and A_y = max(3·B_y, 2), B_y =
    /// its share of the budget B by active units. The threshold is h₀·exp(x + x_y): tightened while the rate is exceeded,
    /// never loosened past the calibrated value. A type alone has too few alerts to be steered by (an alert would make it
    /// deaf for days); that it floods shows, and then it alone becomes deaf, unless it is more than a third of the fleet
    /// (docs/adr/025).
    ///
    /// An hour that has begun already does nothing: what a partition hands over late names hours that the others have left.
    pub fn turn(&mut self, hour: i64) {
        let hours = self.hour.map_or(1, |before| hour.saturating_sub(before));
        if (1 - HOURS as i64..=0).contains(&hours) {
            return;
        }
        // Further back, it was the hour before that was wrong.
        self.hour = Some(hour);
        // After a day without events all alerts are forgotten.
        for _ in 0..hours.clamp(0, HOURS as i64) {
            self.turn_once();
        }
    }

    fn turn_once(&mut self) {
        let all = self.units();
        let (floor, calibrated) = self.range();
        let least = (floor / calibrated).ln();
        let mut spent = 0.0;
        for of in self.types.values_mut() {
            let share = (of.today.max(of.yesterday) as f64 / all).min(1.0);
            let most = (FLOOD_SHARES * self.alerts_per_day * share).max(FLOOD);
            let alerts = f64::from(of.alerts.iter().sum::<u32>());
            spent += alerts.min(most);
            follow(&mut of.tightened, least, most, alerts);
            of.alerts.rotate_left(1);
            if let Some(hour) = of.alerts.last_mut() {
                *hour = 0;
            }
        }
        follow(&mut self.tightened, least, self.alerts_per_day, spent);
    }

    /// The thresholds of a type.
    ///
    /// # Formula
    ///
    /// h₀ = min(2·B/M, .001), M = max(units yesterday, units today, 1000): the budget B, spread over the units of a day,
    /// two of which make an alert (measured: docs/adr/020); below it as [`Budget::turn`] says, but p ≤ .1·B/M always alerts.
    pub fn thresholds(&self, agent_type: Key) -> Thresholds {
        let (floor, calibrated) = self.range();
        let tightened = self.tightened + self.types.get(&agent_type).map_or(0.0, |of| of.tightened);
        Thresholds { alert: (calibrated * tightened.exp()).max(floor), calibrated }
    }

    /// The hard floor, and h₀.
    fn range(&self) -> (f64, f64) {
        let calibrated = (UNITS_AN_ALERT * self.alerts_per_day / self.units()).min(LARGEST_THRESHOLD);
        ((HARD_FLOOR * self.alerts_per_day / self.units()).min(calibrated), calibrated)
    }

    /// Alerts that a type may open in an hour: its share of the budget by active units.
    pub fn alerts_an_hour(&self, agent_type: Key) -> f64 {
        let units = self.types.get(&agent_type).map_or(0, |of| of.today.max(of.yesterday));
        self.alerts_per_day * (units as f64 / self.units()).min(1.0) / HOURS as f64
    }

    fn units(&self) -> f64 {
        (self.today.max(self.yesterday) as f64).max(FEWEST_UNITS)
    }
}

/// Moves a threshold (as [`Budget::turn`] says) by how far `alerts` lie from what a `budget` allows.
///
/// * `least`: ln of the hard floor over h₀, ≤ 0. Beyond it nothing gets stricter: what a flood wound up would only have to be
///   unwound after it.
fn follow(tightened: &mut f64, least: f64, budget: f64, alerts: f64) {
    let step = GAIN * ((budget - alerts) / budget).clamp(-3.0, 1.0);
    *tightened = (*tightened + step).clamp(least, 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: Counted = Counted { units: 2500, alerts: 0, confirmed: 0 };

    #[test]
    fn an_hour_that_is_told_late_is_no_hour_of_its_own() {
        let told = |hours: &[i64]| {
            let mut budget = Budget::new(5.0);
            budget.turn(100);
            budget.count(1, 4, Counted { units: 5000, alerts: 40, confirmed: 0 });
            hours.iter().for_each(|hour| budget.turn(*hour));
            (budget.achieved(), budget.tightened)
        };
        assert_eq!(told(&[101, 96, 102, 97, 103]), told(&[101, 102, 103]));
        assert_ne!(told(&[101, 102, 103]), told(&[101, 102]));
        assert_ne!(told(&[101, 900, 102, 103]), told(&[101, 900, 102]), "the hour before was wrong");
    }

    #[test]
    fn a_small_fleet_is_as_strict_as_the_floor_and_no_stricter() {
        let mut budget = Budget::new(5.0);
        budget.count(1, 10, Counted { units: 1000, alerts: 500, confirmed: 0 });
        (0..20).for_each(|hour| budget.turn(hour));
        let (floor, calibrated) = budget.range();
        assert_eq!((floor, calibrated), (0.0005, 0.001));
        assert_eq!(budget.tightened, (floor / calibrated).ln());
    }

    #[test]
    fn few_units_do_not_loosen_the_threshold_and_many_tighten_it() {
        let mut budget = Budget::new(5.0);
        assert_eq!(budget.thresholds(1).alert, 0.001);
        budget.count(1, 10, Counted { units: 25_000, alerts: 0, confirmed: 0 });
        assert_eq!(budget.thresholds(1).alert, 0.0004);
        budget.count(1, 11, UNITS);
        assert_eq!(budget.thresholds(1).alert, 0.0004, "yesterday still counts");
        budget.count(1, 12, UNITS);
        assert_eq!(budget.thresholds(1).alert, 0.001);
        budget.count(1, 20, UNITS);
        assert_eq!(budget.thresholds(1).alert, 0.001);
    }

    /// Days of a type that would alert once in `calibrated` hours at the calibrated threshold, and in proportion below.
    fn alerts_a_day(controlled: bool, per_day_uncontrolled: f64) -> f64 {
        let mut budget = Budget::new(5.0);
        let (mut owed, mut last_ten) = (0.0, 0);
        for hour in 0..40 * 24 {
            budget.count(1, hour / 24, Counted { units: 500, alerts: 0, confirmed: 0 });
            let thresholds = budget.thresholds(1);
            owed += per_day_uncontrolled / 24.0 * thresholds.alert / thresholds.calibrated;
            while owed >= 1.0 {
                owed -= 1.0;
                budget.count(1, hour / 24, Counted { units: 0, alerts: 1, confirmed: 0 });
                last_ten += u64::from(hour >= 30 * 24);
            }
            if controlled {
                budget.turn(hour + 1);
            }
        }
        last_ten as f64 / 10.0
    }

    #[test]
    fn the_controller_brings_a_noisy_type_back_to_its_budget() {
        assert!(alerts_a_day(true, 20.0) <= 6.0, "{}", alerts_a_day(true, 20.0));
        assert!(alerts_a_day(false, 20.0) > 15.0, "without it the type stays noisy");
    }

    #[test]
    fn a_quiet_type_is_never_loosened_past_the_calibrated_threshold() {
        let mut budget = Budget::new(5.0);
        for hour in 0..240 {
            budget.count(1, hour / 24, Counted { units: 100, alerts: 0, confirmed: 0 });
            budget.turn(hour + 1);
        }
        assert_eq!(budget.thresholds(1).alert, budget.thresholds(1).calibrated);
    }

    /// Thresholds of ten types after days on which the first has so many alerts an hour, and another one a day.
    fn after_days(days: i64, alerts_an_hour: u32) -> [Thresholds; 2] {
        let mut budget = Budget::new(5.0);
        for hour in 0..days * 24 {
            for agent_type in 0..10 {
                let alerts = if agent_type == 0 {
                    alerts_an_hour
                } else {
                    u32::from(agent_type == 1 && hour % 24 == 0)
                };
                budget.count(agent_type, hour / 24, Counted { units: 100, alerts, confirmed: 0 });
            }
            budget.turn(hour + 1);
        }
        [0, 1].map(|agent_type| budget.thresholds(agent_type))
    }

    #[test]
    fn a_flood_of_a_small_type_makes_that_type_deaf_and_no_other() {
        let [flooding, other] = after_days(5, 2);
        assert!(flooding.alert < 0.2 * flooding.calibrated, "{flooding:?}");
        assert_eq!(other.alert, other.calibrated, "two and one are within the budget");
    }

    #[test]
    fn an_alert_of_a_small_type_does_not_make_it_deaf_while_the_budget_is_not_spent() {
        let [_, other] = after_days(5, 0);
        assert_eq!(other.alert, other.calibrated);
    }

    #[test]
    fn a_flood_cannot_hide_the_worst() {
        let mut budget = Budget::new(5.0);
        for hour in 0..2400 {
            budget.count(1, hour / 24, Counted { units: 500, alerts: 50, confirmed: 0 });
            budget.turn(hour + 1);
        }
        let thresholds = budget.thresholds(1);
        assert!((thresholds.alert - 0.1 * 5.0 / 12_000.0).abs() < 1e-12, "{thresholds:?}");
    }

    #[test]
    fn a_flood_of_a_month_is_over_within_a_week() {
        let mut budget = Budget::new(5.0);
        for hour in 0..40 * 24 {
            let alerts = if hour < 30 * 24 { 10 } else { 0 };
            budget.count(1, hour / 24, Counted { units: 500, alerts, confirmed: 0 });
            budget.turn(hour + 1);
            let thresholds = budget.thresholds(1);
            if hour == 30 * 24 {
                assert!(thresholds.alert < 0.06 * thresholds.calibrated, "{thresholds:?}");
            }
        }
        assert_eq!(budget.thresholds(1).alert, budget.thresholds(1).calibrated);
    }

    #[test]
    fn a_confirmed_alert_does_not_count() {
        let mut budget = Budget::new(5.0);
        budget.count(1, 0, Counted { units: 5000, alerts: 12, confirmed: 0 });
        let mut lenient = budget.clone();
        lenient.count(1, 0, Counted { confirmed: 12, ..Counted::default() });
        budget.turn(1);
        lenient.turn(1);
        assert!(budget.thresholds(1).alert < lenient.thresholds(1).alert);
    }

    #[test]
    fn alerts_of_yesterdays_shift_are_forgotten_over_a_night_without_events() {
        let mut budget = Budget::new(5.0);
        for day in 0..20 {
            for hour in 0..8 {
                let alerts = u32::from(hour == 3) * 5;
                budget.count(1, day, Counted { units: 2000, alerts, confirmed: 0 });
                assert!(budget.achieved() <= 5, "day {day}, hour {hour}: {}", budget.achieved());
                // The first call of the next morning ends seventeen hours at once.
                budget.turn(24 * day + if hour == 7 { 24 } else { hour + 1 });
            }
        }
        let Thresholds { alert, calibrated } = budget.thresholds(1);
        assert!(alert > 0.8 * calibrated, "five a day is what was promised: {alert} of {calibrated}");
    }
}
