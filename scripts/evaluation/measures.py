"""How well scores part attacks from normal sessions: AUC, hits at a share of false alarms, delay.

Knows scores, labels, tasks and weights of tasks. Must not know files, the binary or tables.

Every measure of `Judged` takes one weight per task, so that a bootstrap over tasks needs no new sorting:
all ones give the plain figure, counts of a draw give the figure of that draw.
"""

from __future__ import annotations

import math
from operator import mul
from typing import Sequence

from .units import Unit

NOMINAL = (0.01, 0.05)
"""The shares of false alarms at which hits are counted."""

LONGEST = 30
"""Call counts above this are taken as this when sessions are matched by length."""

Weights = Sequence[float]


class Judged:
    """The sessions of one judged run under one or more orders of learning.

    Figures are means over the orders. `tasks` gives each task its place in the weights. Without `matched` no pairs
    of equal length are made (and that figure is None).
    """

    def __init__(self, orders: list[list[Unit]], tasks: Sequence[str], matched: bool = True):
        first = orders[0]
        for units in orders:
            if [unit.id for unit in units] != [unit.id for unit in first]:
                raise ValueError("the orders of learning were judged on different sessions")
        place = {task: i for i, task in enumerate(tasks)}
        self.orders = orders
        self.normals = [0] * len(tasks)
        self.attacks = [0] * len(tasks)
        for unit in first:
            (self.attacks if unit.attack else self.normals)[place[unit.task]] += 1
        share = 1.0 / len(orders)
        self._wins = _win_matrix(orders, place, self.normals, share)
        self._pairs = _matched_pairs(orders, place, share) if matched else []
        self._steps = [_steps(units, place) for units in orders]
        self._alarms = {level: _alarms(orders, place, level, share) for level in NOMINAL}

    def measure(self, weights: Weights) -> dict[str, float | None]:
        """All figures of one draw of tasks: auc, matched, tpr@F and fpr@F; None where a draw has no pairs."""
        normals, attacks = _dot(self.normals, weights), _dot(self.attacks, weights)
        figures: dict[str, float | None] = {"auc": self.auc(weights), "matched": self.matched(weights)}
        hits = self.hits(weights)
        for level, hit in zip(NOMINAL, hits):
            figures[f"tpr@{level}"] = hit if attacks and normals else None
            figures[f"fpr@{level}"] = _dot(self._alarms[level], weights) / normals if normals else None
        return figures

    def auc(self, weights: Weights) -> float | None:
        """Area under the ROC curve: the share of (attack, normal) pairs in which the attack scores higher, ties half."""
        pairs = _dot(self.attacks, weights) * _dot(self.normals, weights)
        if not pairs:
            return None
        return sum(w * _dot(row, weights) for w, row in zip(weights, self._wins) if w and row) / pairs

    def matched(self, weights: Weights) -> float | None:
        """The AUC over pairs of equal agent type and call count alone: what length does not explain."""
        won = pairs = 0.0
        for attack, normal, wins, count in self._pairs:
            weight = weights[attack] * weights[normal]
            if weight:
                won += weight * wins
                pairs += weight * count
        return won / pairs if pairs else None

    def hits(self, weights: Weights, levels: Sequence[float] = NOMINAL) -> list[float]:
        """For each level, the share of attacks above the lowest threshold at which the share of normal sessions
        above it is at most the level. Levels must ascend. Mean over the orders."""
        normals, attacks = _dot(self.normals, weights), _dot(self.attacks, weights)
        if not normals or not attacks:
            return [math.nan] * len(levels)
        budgets = [level * normals + 1e-9 for level in levels]
        total = [0.0] * len(levels)
        for steps in self._steps:
            for i, hit in enumerate(_walk(steps, weights, budgets)):
                total[i] += hit
        return [hit / (attacks * len(self._steps)) for hit in total]

    def false_alarm_rates(self, levels: Sequence[float]) -> list[float]:
        """The share of normal sessions with p ≤ level, for each level. Mean over the orders."""
        count = sum(self.normals) * len(self.orders)
        values = [unit.p for units in self.orders for unit in units if not unit.attack]
        return [sum(p <= level for p in values) / count for level in levels]

    def delays(self, level: float = 0.05) -> dict[str, float]:
        """Calls from exposure to alarm at the threshold of `level`; means over the orders.

        * `median`: of the exposed attacks without an alarm before exposure; 1 = the exposed call itself,
          infinite when half of them never alarm;
        * `within_3`: the share of them with at most 3;
        * `before`, `unexposed`: of all attacks, the shares with an alarm before exposure and never exposed.
        """
        rows = [delays(units, threshold([u.score for u in units if not u.attack], level)) for units in self.orders]
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def threshold(normals: Sequence[float], level: float) -> float:
    """The lowest score such that the share of `normals` strictly above it is at most `level`."""
    allowed = math.floor(level * len(normals) + 1e-9)
    return sorted(normals, reverse=True)[allowed] if allowed < len(normals) else -math.inf


def delays(units: Sequence[Unit], limit: float) -> dict[str, float]:
    """Calls from exposure to the first alarm above `limit`, for one order; see `Judged.delays`."""
    calls: list[float] = []
    before = unexposed = 0
    attacks = [unit for unit in units if unit.attack]
    for unit in attacks:
        alarm = unit.alarm_above(limit)
        if unit.exposed is None:
            unexposed += 1
        elif alarm is not None and alarm < unit.exposed:
            before += 1
        else:
            calls.append(math.inf if alarm is None else alarm - unit.exposed + 1)
    calls.sort()
    within = sum(n <= 3 for n in calls) / len(calls) if calls else math.nan
    count = len(attacks) or math.nan
    return {"median": median(calls), "within_3": within, "before": before / count, "unexposed": unexposed / count}


def median(ordered: Sequence[float]) -> float:
    """The middle of an ascending sequence, the mean of the two middle values of an even one; NaN if it is empty."""
    if not ordered:
        return math.nan
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else (low + high) / 2


def _dot(values: Sequence[float], weights: Weights) -> float:
    return sum(map(mul, values, weights))


def _alarms(orders: list[list[Unit]], place: dict[str, int], level: float, share: float) -> list[float]:
    """Per task, its normal sessions with p ≤ level; mean over the orders."""
    alarms = [0.0] * len(place)
    for units in orders:
        for unit in units:
            if not unit.attack and unit.p <= level:
                alarms[place[unit.task]] += share
    return alarms


def _win_matrix(orders: list[list[Unit]], place: dict[str, int], normals: list[int], share: float) -> list[list[float]]:
    """wins[t][u]: pairs of an attack of task t above a normal session of task u, ties half, mean over the orders."""
    wins: list[list[float]] = [[] for _ in normals]
    for units in orders:
        below = [0.0] * len(normals)
        for tied in _by_score(units, descending=False):
            level = [place[u.task] for u in tied if not u.attack]
            for task in level:
                below[task] += 0.5
            for unit in tied:
                if unit.attack:
                    row = wins[place[unit.task]]
                    if not row:
                        row.extend([0.0] * len(normals))
                    for task, count in enumerate(below):
                        row[task] += share * count
            for task in level:
                below[task] += 0.5
    return wins


def _matched_pairs(orders: list[list[Unit]], place: dict[str, int], share: float) -> list[tuple[int, int, float, float]]:
    """(task of the attack, task of the normal session, wins, pairs) over sessions of equal type and call count."""
    pairs: dict[tuple[int, int], list[float]] = {}
    for units in orders:
        strata: dict[tuple[str, int], tuple[list, list]] = {}
        for unit in units:
            stratum = strata.setdefault((unit.type, min(unit.calls, LONGEST)), ([], []))
            stratum[unit.attack].append((place[unit.task], unit.score))
        for normals, attacks in strata.values():
            for attack, high in attacks:
                for normal, low in normals:
                    cell = pairs.setdefault((attack, normal), [0.0, 0.0])
                    cell[0] += share if high > low else share / 2 if high == low else 0.0
                    cell[1] += share
    return [(attack, normal, won, count) for (attack, normal), (won, count) in sorted(pairs.items())]


Step = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def _steps(units: list[Unit], place: dict[str, int]) -> list[Step]:
    """The descent along the scores: per score with a normal session (tasks of the attacks above it since the last
    such score, of the normal sessions at it, of the attacks at it); the last step has no normal session."""
    steps: list[Step] = []
    above: list[int] = []
    for tied in _by_score(units, descending=True):
        normals = tuple(place[u.task] for u in tied if not u.attack)
        attacks = [place[u.task] for u in tied if u.attack]
        if normals:
            steps.append((tuple(above), normals, tuple(attacks)))
            above = []
        else:
            above.extend(attacks)
    steps.append((tuple(above), (), ()))
    return steps


def _walk(steps: list[Step], weights: Weights, budgets: Sequence[float]) -> list[float]:
    """Weight of the attacks caught when the weight of false alarms may not exceed each (ascending) budget."""
    weight = weights.__getitem__
    caught: list[float] = []
    hits = alarms = 0.0
    for above, normals, tied in steps:
        hits += sum(map(weight, above))
        alarms += sum(map(weight, normals))
        while alarms > budgets[len(caught)]:
            caught.append(hits)
            if len(caught) == len(budgets):
                return caught
        hits += sum(map(weight, tied))
    return caught + [hits] * (len(budgets) - len(caught))


def _by_score(units: list[Unit], descending: bool) -> list[list[Unit]]:
    """The units in groups of equal score."""
    groups: list[list[Unit]] = []
    for unit in sorted(units, key=lambda u: u.score, reverse=descending):
        if groups and groups[-1][0].score == unit.score:
            groups[-1].append(unit)
        else:
            groups.append([unit])
    return groups
