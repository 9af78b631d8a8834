"""The exchange of a session's arguments, and the paired comparison, on made-up sessions."""

import unittest

from annotate_detection import compared, replaced
from evaluation.streams import Session
from evaluation.units import Unit


def session(arguments):
    event = {"seq": 0, "time": "2026-01-01T00:00:00.000Z", "action": "send", "outcome": "ok", "arguments": arguments}
    return Session("s", "m", "even", "normal", "shop/1", 0, [event], False)


def unit(place, attack, score):
    return Unit(f"s{place:02}", attack, "attack" if attack else "normal", f"shop/{place % 5}", "shop", 1, None, None,
                score, 0.5, {}, ())


class Annotate(unittest.TestCase):
    theirs = [{"name": "to", "origin": "user", "hash": "aa"}]
    ours = [{"name": "to", "origin": "model", "hash": "bb", "origin_event": "e"}, {"name": "cc", "origin": "user", "hash": "dd"}]

    def test_only_the_arguments_of_a_call_change(self):
        mine = {0: {"action": "send", "outcome": "error", "arguments": self.ours}}
        event = replaced(session(self.theirs), mine, shipped_hashes=False).events[0]
        self.assertEqual(event["outcome"], "ok")
        self.assertEqual([a["origin"] for a in event["arguments"]], ["model", "user"])
        self.assertEqual([a["hash"] for a in event["arguments"]], ["bb", "dd"])
        self.assertNotIn("origin_event", event["arguments"][0])

    def test_shipped_hashes_are_kept_where_both_have_the_argument(self):
        mine = {0: {"action": "send", "arguments": self.ours}}
        event = replaced(session(self.theirs), mine, shipped_hashes=True).events[0]
        self.assertEqual([a["hash"] for a in event["arguments"]], ["aa", "dd"])

    def test_calls_that_are_not_the_same_are_refused(self):
        with self.assertRaises(SystemExit):
            replaced(session(self.theirs), {0: {"action": "read"}}, shipped_hashes=False)

    def test_equal_scores_differ_by_nothing_and_worse_ones_by_less_than_nothing(self):
        good = [unit(i, i % 2 == 1, float(i % 2)) for i in range(20)]
        flat = [u._replace(score=0.0) for u in good]
        same, worse = compared([good], [good])["auc"], compared([good], [flat])["auc"]
        self.assertEqual((same["difference"], same["low"], same["high"]), (0.0, 0.0, 0.0))
        self.assertEqual((worse["difference"], worse["low"], worse["high"]), (-0.5, -0.5, -0.5))


if __name__ == "__main__":
    unittest.main()
