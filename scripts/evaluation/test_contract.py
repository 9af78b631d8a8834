"""Days, finding, stretching and tables of the contract, on made-up alerts."""

import json
import unittest
from datetime import timedelta

import contract as script
from evaluation import contract, report
from evaluation.contract import START, Attack, Opened


def alert(agent, hours, family="order"):
    return Opened(agent, START + timedelta(hours=hours), family)


class Contract(unittest.TestCase):
    def test_only_alerts_that_open_count_and_rules_do_not(self):
        def line(state, family):
            return json.dumps({"state": state, "family": family, "time": "2026-01-06T01:00:00.000Z",
                               "subject": {"kind": "agent", "id": "a"}}, separators=(",", ":"))

        lines = [line("opened", "order"), line("updated", "order"), line("opened", "rules"), "{}"]
        self.assertEqual(contract.opened(lines), [alert("a", 25)])

    def test_the_first_three_days_stand_apart(self):
        days = contract.by_day([alert("a", 1), alert("a", 71.9), alert("a", 72), alert("b", 719)])
        self.assertEqual((days[0], days[2], days[3], days[29]), (1, 1, 1, 1))
        self.assertAlmostEqual(contract.a_day(days), 2 / 27)

    def test_an_attack_is_found_by_an_alert_that_opens_in_time_on_its_agent(self):
        attack = Attack("a", "enumeration", START + timedelta(hours=2), START + timedelta(hours=3))
        self.assertTrue(contract.found(attack, [alert("a", 2)]))
        self.assertTrue(contract.found(attack, [alert("a", 4)]))
        for missed in ([alert("a", 1.9)], [alert("a", 4.1)], [alert("b", 2.5)], []):
            self.assertFalse(contract.found(attack, missed))

    def test_a_promise_holds_from_the_day_after_which_no_week_breaks_it(self):
        self.assertEqual(contract.holds_from([0] * 30), 1)
        self.assertEqual(contract.holds_from([99] * 3 + [0] * 27), 4)
        self.assertEqual(contract.holds_from([0] * 10 + [99] + [0] * 19), 12)
        self.assertIsNone(contract.holds_from([9] * 30))

    def test_stretching_moves_histograms_by_octaves_and_keeps_their_votes(self):
        given = {"version": 1, "families": {"order": {"stages": [[5] + [0] * 11 + [256]], "ends": [7]}}, "evidence": [[0] * 9 + [9], []]}
        twice = contract.stretched(given, 2.0)
        self.assertEqual(twice["families"]["order"], {"stages": [[5] + [0] * 19 + [256]], "ends": [7]})
        self.assertEqual(twice["evidence"], [[0] * 17 + [9], []])
        less = contract.stretched(given, 1 / 1.5)
        cells = less["families"]["order"]["stages"][0]
        self.assertEqual(sum(cells), 261)
        centre = sum(i * v for i, v in enumerate(cells) if i) / 256
        self.assertAlmostEqual(centre, 12 - 4.68, places=2)

    def test_small_p_are_counted(self):
        self.assertEqual(contract.small_units(['{"p":0.5}', '{"p":0.01}', '{"p":0.0099}']), (3, 1))

    def test_wilson_agrees_with_a_printed_example(self):
        share, low, high = contract.wilson(8, 10)
        self.assertEqual((share, round(low, 3), round(high, 3)), (0.8, 0.490, 0.943))

    def test_held_out_fleets_are_none_that_choices_are_made_on(self):
        self.assertFalse({f.seed for f in contract.HELD_OUT} & {f.seed for f in contract.TUNING})
        self.assertFalse({f.preset for f in contract.HELD_OUT} & {f.preset for f in contract.TUNING})
        self.assertFalse({f.rate_law for f in contract.HELD_OUT} & {f.rate_law for f in contract.TUNING})
        self.assertEqual(len({f.seed for f in contract.HELD_OUT}), 10)

    def test_the_tables_say_which_promise_is_kept(self):
        fleet = contract.HELD_OUT[0]._asdict()
        results = {"quiet": [fleet | {"days": [40] * 3 + [8] * 27, "units": 300_000, "small": 3_000, "families": {"order": 7}}],
                   "wrong": {"bits too low": [40] * 3 + [1] * 27},
                   "attacked": [fleet | {"days": [1] * 30, "attacks": {"enumeration": 10, "tool-swap": 4},
                                         "found": {"enumeration": 8}}]}
        made = script.tables(results)
        rows = [[report.plain(cell) for cell in row] for row in made["contract-summary"]["rows"]]
        self.assertEqual([row[-1] for row in rows], ["**no**", "yes", "yes"])
        self.assertEqual(rows[2][1], "1.00")
        attacks = [[report.plain(cell) for cell in row] for row in made["contract-attacks"]["rows"]]
        self.assertEqual(attacks[0], ["enumeration", "8 / 10", ".800 [.490, .943]", "at least .8", "yes"])
        self.assertEqual(attacks[1][0], "tool-swap")
        self.assertEqual(report.plain(made["contract-wrong"]["rows"][1][3]), "3")
