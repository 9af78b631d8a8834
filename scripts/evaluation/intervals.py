"""Intervals: the bootstrap over tasks, and the exact binomial interval.

Knows weights and counts. Must not know scores or files.
"""

from __future__ import annotations

import math
import random
from typing import Callable, Sequence

COVER = 0.95
"""Cover of every interval that is reported."""


def task_draws(tasks: int, draws: int, seed: str) -> list[list[int]]:
    """Weights per task of `draws` samples with replacement of `tasks` tasks; each sums to `tasks`."""
    chance = random.Random(seed)
    result = []
    for _ in range(draws):
        weights = [0] * tasks
        for _ in range(tasks):
            weights[int(chance.random() * tasks)] += 1
        result.append(weights)
    return result


def percentile_interval(values: Sequence[float], cover: float = COVER) -> tuple[float, float]:
    """The interval that leaves (1 − cover)/2 of the values out on either side; linear between the ranks.

    Source: Efron and Tibshirani, *An Introduction to the Bootstrap*, §13.3.
    """
    ordered = sorted(values)
    if not ordered:
        return math.nan, math.nan

    def at(share: float) -> float:
        rank = share * (len(ordered) - 1)
        low = math.floor(rank)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (rank - low) * (ordered[high] - ordered[low])

    return at((1 - cover) / 2), at((1 + cover) / 2)


def clopper_pearson(hits: float, trials: float, cover: float = COVER) -> tuple[float, float]:
    """The exact binomial interval of a probability; `hits` may be fractional (a mean over orders of learning).

    Source: Clopper and Pearson (1934), *Biometrika* 26:404; as beta quantiles in Brown, Cai and DasGupta (2001), §4.2.1.
    """
    if not 0 <= hits <= trials or trials <= 0:
        raise ValueError(f"{hits} hits of {trials} trials is no binomial count")
    tail = (1 - cover) / 2
    low = 0.0 if hits == 0 else _root(lambda x: regularised_beta(x, hits, trials - hits + 1) - tail)
    high = 1.0 if hits == trials else _root(lambda x: regularised_beta(x, hits + 1, trials - hits) - (1 - tail))
    return low, high


def regularised_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b); x in [0, 1], a and b > 0.

    The continued fraction DLMF 8.17.22, evaluated by Lentz's method; the reflection DLMF 8.17.4 where it is slow.
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - regularised_beta(1.0 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    ) / a
    tiny = 1e-300
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1) or tiny)
    fraction = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / (1.0 + term * d or tiny)
            c = 1.0 + term / c or tiny
            fraction *= c * d
        if abs(c * d - 1.0) < 1e-14:
            return front * fraction
    raise ArithmeticError(f"the incomplete beta function does not converge at x={x}, a={a}, b={b}")


def _root(rising: Callable[[float], float]) -> float:
    """Where a rising function on [0, 1] crosses zero, by bisection to the last bit that matters."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2
