"""Cells, pages, gates and plots."""

import math
import unittest
import xml.etree.ElementTree as xml

from evaluation import gates, plots, report
from evaluation.gates import at_least, at_most, between


class Report(unittest.TestCase):
    def test_figures_are_written_without_the_zero_before_the_point(self):
        for value, digits, text in [(0.9671, 3, ".967"), (1.0, 3, "1.000"), (-0.0124, 3, "-.012"), (-0.0001, 3, ".000"),
                                    (None, 3, "–"), (math.nan, 3, "–"), (math.inf, 2, "∞"), (0.6, None, ".6"), (12.0, 0, "12")]:
            self.assertEqual(report.number(value, digits)["text"], text)

    def test_a_cell_holds_one_value_for_every_number_in_its_text(self):
        self.assertEqual(report.interval([0.5, 0.25, 0.75]), {"text": ".500 [.250, .750]", "values": [0.5, 0.25, 0.75]})
        self.assertEqual(report.interval([0.5, math.nan, math.nan]), {"text": ".500", "values": [0.5]})
        self.assertEqual(report.ratio(41.5, 836), {"text": "41.5 / 836", "values": [41.5, 836]})
        self.assertEqual(report.several([0.95, None]), {"text": ".95 / –", "values": [0.95]})

    def test_a_page_keeps_its_prose_and_loses_its_old_tables(self):
        page = "a\n<!-- generated:one -->\nold\n<!-- end:one -->\nb\n<!-- generated:two -->\nold\n<!-- end:two -->\nc\n"
        filled = report.fill(page, {"one": {"header": ["x", "y"], "rows": [["r", report.number(0.5)]]}})
        self.assertEqual(filled, "a\n<!-- generated:one -->\n| x | y |\n| --- | ---: |\n| r | .500 |\n<!-- end:one -->\nb\n"
                                 "<!-- generated:two -->\nNot measured yet.\n<!-- end:two -->\nc\n")
        with self.assertRaises(ValueError):
            report.fill(page, {"three": {"header": ["x"], "rows": []}})

    def test_what_json_cannot_hold_is_stored_as_text(self):
        self.assertEqual(report.storable({"a": (math.inf, math.nan, 0.123456789012)}), {"a": ["infinity", None, 0.123456789]})
        self.assertEqual(report.stored("infinity"), math.inf)


class Gates(unittest.TestCase):
    def test_a_figure_is_held_to_its_range(self):
        table = {"a": (at_least(0.9), at_least(0.95)), "b": (at_most(2), None), "c": (None, between(0.1, 0.2)),
                 "d": (at_least(0.5), None), "not measured": (at_least(1), None)}
        got = gates.verdicts(table, {"a": 0.9, "b": "infinity", "c": 0.15, "d": None})
        self.assertEqual([(v.first and v.first[1], v.stretch and v.stretch[1]) for v in got],
                         [(True, False), (False, None), (None, True), (False, None)])
        self.assertEqual(got[0].line(), "PASS  a: .900; first gate ≥ .9 reached; stretch ≥ .95 missed")
        self.assertTrue(got[1].line().startswith("FAIL  b: ∞; first gate ≤ 2 missed"))
        self.assertTrue(got[2].line().startswith("      c: .150; stretch"))
        self.assertEqual(len(gates.table(got)["rows"]), 4)

    def test_a_figure_has_as_many_digits_as_its_verdict_needs(self):
        got = gates.verdicts({"a": (None, between(0.005, 0.015)), "b": (at_least(0.84), None)}, {"a": 0.00477, "b": 0.7981})
        self.assertEqual([verdict.shown()["text"] for verdict in got], [".0048", ".798"])


class Plots(unittest.TestCase):
    def test_a_plot_is_well_formed_and_stays_inside_its_frame(self):
        axis = plots.Axis("a & b", 0.01, 1.0, (0.01, 0.1, 1.0))
        picture = xml.fromstring(plots.plot("x < y", axis, axis, [plots.Line("l", [(0.0, 0.0), (0.1, 2.0)])], ideal=True))
        lines = [e for e in picture.iter() if e.get("class") == "line hue0" and "h" not in e.get("d")]
        self.assertEqual(len(lines), 1)
        left, right = plots.LEFT, plots.WIDTH - plots.RIGHT
        self.assertEqual(lines[0].get("d"), f"M{left:.1f} {plots.HEIGHT - plots.BOTTOM:.1f} L{(left + right) / 2:.1f} {plots.TOP:.1f}")


if __name__ == "__main__":
    unittest.main()
