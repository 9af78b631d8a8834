"""Gates: what a figure must reach, and whether it does.

Knows ranges and figures by name. Must not know where either comes from.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .report import NOTHING, Cell, Table, number, stored


class Range(NamedTuple):
    """The figures that pass; None leaves a side open."""

    low: float | None
    high: float | None

    def holds(self, value: float) -> bool:
        """Whether the value passes. A missing figure (NaN) never does."""
        return not math.isnan(value) and (self.low is None or value >= self.low) \
            and (self.high is None or value <= self.high)

    def cell(self) -> Cell:
        """The range in a table."""
        low, high = number(self.low, None), number(self.high, None)
        if self.high is None:
            return {"text": f"≥ {low['text']}", "values": low["values"]}
        if self.low is None:
            return {"text": f"≤ {high['text']}", "values": high["values"]}
        return {"text": f"{low['text']} to {high['text']}", "values": low["values"] + high["values"]}


def at_least(value: float) -> Range:
    """Passes from `value` upwards."""
    return Range(value, None)


def at_most(value: float) -> Range:
    """Passes up to `value`."""
    return Range(None, value)


def between(low: float, high: float) -> Range:
    """Passes from `low` to `high`, both included."""
    return Range(low, high)


Gates = dict[str, tuple[Range | None, Range | None]]


class Verdict(NamedTuple):
    """One figure against its first gate and its stretch; None where there is no such gate."""

    name: str
    value: float
    first: tuple[Range, bool] | None
    stretch: tuple[Range, bool] | None

    def shown(self) -> Cell:
        """The figure with as many digits as the verdict needs: .0048 misses a gate of .005, and .005 would not."""
        for digits in (3, 4, 5):
            if all(gate[0].holds(round(self.value, digits)) == gate[1] for gate in (self.first, self.stretch) if gate):
                return number(self.value, digits)
        return number(self.value, 6)

    def line(self) -> str:
        """One line for a person at a terminal."""
        mark = "    " if self.first is None else "PASS" if self.first[1] else "FAIL"
        words = [f"{mark}  {self.name}: {self.shown()['text']}"]
        for word, gate in (("first gate", self.first), ("stretch", self.stretch)):
            if gate:
                words.append(f"{word} {gate[0].cell()['text']} {'reached' if gate[1] else 'missed'}")
        return "; ".join(words)


def verdicts(gates: Gates, figures: dict[str, object]) -> list[Verdict]:
    """Every gate whose figure was measured. A figure that is null was measured and does not exist: it fails."""
    result = []
    for name, (first, stretch) in gates.items():
        if name not in figures:
            continue
        value = stored(figures[name])
        value = math.nan if value is None else float(value)
        result.append(Verdict(name, value, *(gate and (gate, gate.holds(value)) for gate in (first, stretch))))
    return result


def table(results: list[Verdict]) -> Table:
    """Gates and figures side by side."""
    def cells(gate: tuple[Range, bool] | None) -> list[Cell]:
        return [gate[0].cell(), "yes" if gate[1] else "**no**"] if gate else [NOTHING, NOTHING]

    return {
        "header": ["figure", "measured", "first gate", "reached", "stretch", "reached"],
        "rows": [[verdict.name, verdict.shown(), *cells(verdict.first), *cells(verdict.stretch)]
                 for verdict in results],
    }
