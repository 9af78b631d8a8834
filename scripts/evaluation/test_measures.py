"""The measures against their slow twins: the obvious computation on a stream in which sessions are repeated."""

import math
import random
import unittest

from evaluation.measures import Judged, delays, median, threshold
from evaluation.units import Unit


def unit(id, attack, score, task="t/0", type="t", calls=3, exposed=None, p=0.5, trajectory=()):
    label = "attack" if attack else "normal"
    return Unit(str(id), attack, label, task, type, calls, exposed, None, score, p, {}, tuple(trajectory))


def random_units(seed, tasks=6, count=80):
    chance = random.Random(seed)
    return [
        unit(i, chance.random() < 0.4, chance.randrange(12), f"t{(k := chance.randrange(tasks)) % 2}/{k}", f"t{k % 2}",
             chance.choice([1, 2, 3, 35, 40]), p=chance.random() ** 3)
        for i in range(count)
    ]


def repeated(units, tasks, weights):
    return [u for u in units for _ in range(weights[tasks.index(u.task)])]


def slow_auc(units, paired=lambda a, n: True):
    pairs = [(a.score, n.score) for a in units if a.attack for n in units if not n.attack and paired(a, n)]
    return sum((a > n) + 0.5 * (a == n) for a, n in pairs) / len(pairs) if pairs else None


def slow_hits(units, level):
    normals = [u.score for u in units if not u.attack]
    attacks = [u.score for u in units if u.attack]
    best = 0.0
    for limit in [-math.inf] + sorted(set(normals + attacks)):
        if sum(s > limit for s in normals) <= level * len(normals) + 1e-9:
            best = max(best, sum(s > limit for s in attacks) / len(attacks))
    return best


def alike(a, n):
    return a.type == n.type and min(a.calls, 30) == min(n.calls, 30)


class Measures(unittest.TestCase):
    def test_a_weighted_measure_equals_the_plain_one_on_repeated_sessions(self):
        for seed in range(20):
            units = random_units(seed)
            tasks = sorted({u.task for u in units})
            chance = random.Random(seed + 1000)
            for weights in ([1] * len(tasks), [chance.randrange(4) for _ in tasks]):
                drawn = repeated(units, tasks, weights)
                if len({u.attack for u in drawn}) < 2:
                    continue
                got = Judged([units], tasks).measure(weights)
                self.assertAlmostEqual(got["auc"], slow_auc(drawn))
                self.assertAlmostEqual(got["matched"] or 0.0, slow_auc(drawn, alike) or 0.0)
                for level in (0.01, 0.05):
                    self.assertAlmostEqual(got[f"tpr@{level}"], slow_hits(drawn, level))
                    normals = [u.p <= level for u in drawn if not u.attack]
                    self.assertAlmostEqual(got[f"fpr@{level}"], sum(normals) / len(normals))

    def test_figures_are_means_over_the_orders_of_learning(self):
        first = random_units(1)
        chance = random.Random(2)
        second = [u._replace(score=chance.randrange(12), p=chance.random() ** 3) for u in first]
        tasks = sorted({u.task for u in first})
        ones = [1] * len(tasks)
        both, one, two = (Judged(o, tasks).measure(ones) for o in ([first, second], [first], [second]))
        for name, value in both.items():
            self.assertAlmostEqual(value, (one[name] + two[name]) / 2)

    def test_orders_with_different_sessions_are_refused(self):
        units = random_units(3)
        with self.assertRaises(ValueError):
            Judged([units, units[1:]], sorted({u.task for u in units}))

    def test_a_tie_of_normal_sessions_at_the_threshold_costs_the_hits_behind_it(self):
        units = [unit(i, False, 5.0) for i in range(10)] + [unit(i + 10, False, 0.0) for i in range(90)]
        units += [unit(200, True, 6.0), unit(201, True, 5.0), unit(202, True, 4.0)]
        judged = Judged([sorted(units, key=lambda u: u.id)], ["t/0"])
        self.assertEqual(judged.hits([1], [0.05, 0.10]), [1 / 3, 1.0])

    def test_without_an_attack_there_is_no_figure(self):
        got = Judged([[unit(1, False, 1.0)]], ["t/0"]).measure([1])
        self.assertEqual([got["auc"], got["matched"], got["tpr@0.05"]], [None, None, None])

    def test_the_threshold_lets_no_more_through_than_its_level(self):
        normals = list(range(100))
        self.assertEqual(threshold(normals, 0.05), 94)
        self.assertEqual(threshold(normals, 0.01), 98)
        self.assertEqual(threshold([3.0] * 20, 0.05), 3.0)
        self.assertEqual(threshold([1.0, 2.0], 1.0), -math.inf)

    def test_delay_counts_the_exposed_call_as_one(self):
        rising = [(0, 1.0), (2, 8.0)]
        units = [
            unit("on the exposed call", True, 8.0, exposed=2, trajectory=rising),
            unit("three calls later", True, 8.0, calls=9, exposed=2, trajectory=[(4, 8.0)]),
            unit("too late", True, 8.0, calls=9, exposed=2, trajectory=[(5, 8.0)]),
            unit("never alarmed", True, 1.0, exposed=1, trajectory=[(0, 1.0)]),
            unit("before exposure", True, 8.0, calls=5, exposed=3, trajectory=rising),
            unit("never exposed", True, 8.0, trajectory=rising),
            unit("normal", False, 9.0, exposed=0, trajectory=[(0, 9.0)]),
        ]
        self.assertEqual(delays(units, 5.0), {"median": 3.5, "within_3": 0.5, "before": 1 / 6, "unexposed": 1 / 6})

    def test_a_score_that_rises_at_the_close_alarms_at_the_last_call(self):
        self.assertEqual(unit(1, True, 8.0, calls=4, trajectory=[(0, 1.0)]).alarm_above(5.0), 3)
        self.assertIsNone(unit(1, True, 5.0, calls=4).alarm_above(5.0))

    def test_a_median_can_be_infinite(self):
        self.assertEqual(median([1, math.inf, math.inf]), math.inf)
        self.assertEqual(median([1, 2, math.inf, math.inf]), math.inf)
        self.assertEqual(median([1, 2, 2, math.inf]), 2)
        self.assertTrue(math.isnan(median([])))


if __name__ == "__main__":
    unittest.main()
