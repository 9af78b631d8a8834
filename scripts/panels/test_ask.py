"""What counts as movement, and that what is listed as still is there."""

import unittest

from . import ask


class Movement(unittest.TestCase):
    def test_two_values_are_needed(self):
        self.assertTrue(ask.moving([(0, "1"), (5, "2")]))
        self.assertFalse(ask.moving([(0, "1"), (5, "1")]))
        self.assertFalse(ask.moving([]))

    def test_what_is_no_number_is_no_value(self):
        self.assertFalse(ask.moving([(0, "NaN"), (5, "1"), (10, "+Inf")]))

    def test_nothing_moves_by_the_clock_or_by_a_number_in_place_of_nothing(self):
        self.assertEqual(ask.strict("time() - max(a)"), "0 - max(a)")
        self.assertEqual(ask.strict("sum(a) or vector(0)"), "sum(a)")
        for query in ask.queries():
            self.assertNotIn("vector(", ask.strict(query.expression), query)
            self.assertNotIn("time()", ask.strict(query.expression), query)


class Still(unittest.TestCase):
    def test_what_is_listed_is_asked_for_and_moved_by_a_test_that_exists(self):
        asked = {query.metric for query in ask.queries()}
        self.assertGreater(len(asked), 20)
        for metric, (_, test) in ask.STILL.items():
            self.assertIn(metric, asked)
            self.assertTrue(ask.exists(test), test)


if __name__ == "__main__":
    unittest.main()
