"""The intervals against sums, published values and simulation."""

import math
import random
import unittest

from evaluation.intervals import clopper_pearson, percentile_interval, regularised_beta, task_draws


class Intervals(unittest.TestCase):
    def test_the_incomplete_beta_function_is_a_binomial_tail(self):
        for n, k, x in [(10, 3, 0.2), (10, 9, 0.95), (60, 30, 0.5), (500, 25, 0.03), (5, 1, 1e-6), (40, 40, 0.9)]:
            tail = sum(math.comb(n, i) * x**i * (1 - x) ** (n - i) for i in range(k, n + 1))
            self.assertAlmostEqual(regularised_beta(x, k, n - k + 1), tail, places=11)

    def test_the_incomplete_beta_function_keeps_its_ends_and_its_reflection(self):
        self.assertEqual([regularised_beta(0.0, 2, 3), regularised_beta(1.0, 2, 3)], [0.0, 1.0])
        chance = random.Random(1)
        for _ in range(200):
            x, a, b = chance.random(), chance.uniform(0.2, 900), chance.uniform(0.2, 900)
            self.assertAlmostEqual(regularised_beta(x, a, b) + regularised_beta(1 - x, b, a), 1.0, places=11)

    def test_the_exact_interval_agrees_with_published_values(self):
        # Textbook values: 0 of n gives 1 − (α/2)^(1/n); 10 of 100 gives [.0490, .1762].
        self.assertAlmostEqual(clopper_pearson(0, 20)[1], 1 - 0.025 ** (1 / 20), places=12)
        self.assertAlmostEqual(clopper_pearson(20, 20)[0], 0.025 ** (1 / 20), places=12)
        low, high = clopper_pearson(10, 100)
        self.assertAlmostEqual(low, 0.0490, places=4)
        self.assertAlmostEqual(high, 0.1762, places=4)

    def test_the_exact_interval_takes_fractional_hits_between_their_neighbours(self):
        low, high = zip(*(clopper_pearson(k, 50) for k in (4, 4.5, 5)))
        self.assertEqual([sorted(low), sorted(high)], [list(low), list(high)])

    def test_impossible_counts_are_refused(self):
        for hits, trials in [(-1, 10), (11, 10), (0, 0)]:
            with self.assertRaises(ValueError):
                clopper_pearson(hits, trials)

    def test_percentiles_lie_between_the_ranks(self):
        low, high = percentile_interval(list(range(101)), 0.9)
        self.assertAlmostEqual(low, 5.0)
        self.assertAlmostEqual(high, 95.0)
        self.assertEqual(percentile_interval([7.0]), (7.0, 7.0))
        self.assertTrue(math.isnan(percentile_interval([])[0]))

    def test_every_draw_holds_as_many_tasks_as_there_are(self):
        draws = task_draws(60, 300, "seed")
        self.assertEqual({sum(weights) for weights in draws}, {60})
        self.assertEqual(draws, task_draws(60, 300, "seed"))
        self.assertNotEqual(draws, task_draws(60, 300, "another"))
        mean = sum(weights[7] for weights in draws) / len(draws)
        self.assertAlmostEqual(mean, 1.0, delta=0.25)

    def test_the_bootstrap_interval_of_a_mean_is_about_right(self):
        chance = random.Random(5)
        values = [chance.gauss(0, 1) for _ in range(60)]
        means = [sum(w * v for w, v in zip(weights, values)) / 60 for weights in task_draws(60, 2000, "mean")]
        low, high = percentile_interval(means)
        self.assertAlmostEqual(high - low, 2 * 1.96 / math.sqrt(60), delta=0.1)


if __name__ == "__main__":
    unittest.main()
