"""The judged unit, as `tiltmeter evaluate --per-unit` writes it.

Knows the fields of that file and how to refuse a bad one.
Must not know what is computed from them.
"""

from __future__ import annotations

import json
import math
from typing import Iterable, NamedTuple


class Unit(NamedTuple):
    """One judged session."""

    id: str
    attack: bool
    """True for a positive, False for a normal session."""
    label: str
    task: str
    """Agent type and task: the cluster that the bootstrap draws."""
    type: str
    calls: int
    """Number of calls; > 0."""
    exposed: int | None
    """The first call with an injection in view, from 0; None if there never was one."""
    alarm: int | None
    """The first call above the binary's own 5 % threshold, from 0; only the cross-check uses it."""
    score: float
    """Bits; larger is stranger."""
    p: float
    """Calibrated p-value in [0, 1]."""
    controls: dict[str, float]
    trajectory: tuple[tuple[int, float], ...]
    """(call, running score) wherever the running score rose; calls from 0."""

    def alarm_above(self, threshold: float) -> int | None:
        """The first call whose running score is above `threshold` (bits), from 0; None if none is.

        A score that rises only when the session closes counts at its last call.
        """
        for call, score in self.trajectory:
            if score > threshold:
                return call
        return self.calls - 1 if self.score > threshold else None


class BadUnits(Exception):
    """The per-unit file does not keep its contract."""


def read_units(lines: Iterable[str], expected: Iterable[str], attack: str = "attack") -> tuple[list[Unit], int]:
    """Reads a per-unit file; returns the sessions in the order of their ids, and how many were judged in parts.

    `expected` are the session ids of the judged stream: each must be there, and no other. A session that
    the engine judged in several units (it closes one after an hour) counts once, with its worst part.
    """
    parts: dict[str, list[Unit]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            unit = _unit(json.loads(line), attack)
        except (KeyError, TypeError, ValueError) as error:
            raise BadUnits(f"line {number} of the per-unit file is not a judged unit ({error!r}): {line[:200]}")
        if not math.isfinite(unit.score) or not 0.0 <= unit.p <= 1.0:
            raise BadUnits(f"unit {unit.id} has score {unit.score} and p {unit.p}: want a finite score, p in [0, 1]")
        parts.setdefault(unit.id, []).append(unit)
    wanted = set(expected)
    if parts.keys() != wanted:
        lost, extra = sorted(wanted - parts.keys()), sorted(parts.keys() - wanted)
        raise BadUnits(f"{len(lost)} sessions of the stream are not judged {lost[:3]}, {len(extra)} are not of it {extra[:3]}")
    split = sum(len(units) > 1 for units in parts.values())
    return [_join(parts[id]) for id in sorted(parts)], split


def _unit(row: dict, attack: str) -> Unit:
    return Unit(
        id=row["id"],
        attack=row["label"] == attack,
        label=row["label"],
        task=f"{row.get('type')}/{row.get('task')}",
        type=row["type"],
        calls=int(row["calls"]),
        exposed=row.get("first_exposed_call"),
        alarm=row.get("alarm_call"),
        score=float(row["score"]),
        p=float(row["p"]),
        controls={name: float(value) for name, value in row.get("controls", {}).items()},
        trajectory=tuple((int(call), float(score)) for call, score in row.get("trajectory", [])),
    )


def _join(units: list[Unit]) -> Unit:
    """One unit out of the parts of a session, in the order in which they were judged."""
    if len(units) == 1:
        return units[0]
    trajectory: list[tuple[int, float]] = []
    exposed = alarm = None
    before = 0
    for unit in units:
        if exposed is None and unit.exposed is not None:
            exposed = before + unit.exposed
        if alarm is None and unit.alarm is not None:
            alarm = before + unit.alarm
        for call, score in unit.trajectory:
            if not trajectory or score > trajectory[-1][1]:
                trajectory.append((before + call, score))
        before += unit.calls
    names = {name for unit in units for name in unit.controls}
    controls = {name: max(unit.controls.get(name, 0.0) for unit in units) for name in names}
    return units[0]._replace(
        calls=before, exposed=exposed, alarm=alarm, controls=controls, trajectory=tuple(trajectory),
        score=max(unit.score for unit in units), p=min(unit.p for unit in units),
    )
