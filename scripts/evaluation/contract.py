"""The contract: how many alerts a quiet fleet opens, how p is distributed, which attacks are found.

Knows simulated fleets, alerts and units as the binary writes them. Must not know pages or tables.
"""

from __future__ import annotations

import json
import math
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Iterable, NamedTuple, Sequence

from .runner import RunFailed

AGENTS = 1_000
DAYS = 30
BUDGET = 5
"""Alerts a day that are promised: the default."""
FIRST_DAY = 4
"""Day from which the promise is measured, from 1: the days before belong to the cold start."""
CEILING = 1.5
"""Alerts a day that the promise allows, in budgets."""
SMALL_P = 0.01
ATTACK_SHARE = 0.0002
"""Share of attacked sessions: two or three a day, so that attacks do not use up the budget."""
START = datetime(2026, 1, 5, tzinfo=UTC)
"""First instant of every simulation: the simulator's default."""
AFTERWARDS = timedelta(hours=1)
"""For so long after its end an attack can still be found."""


class Fleet(NamedTuple):
    """A simulated fleet."""

    seed: int
    preset: str = "mixed"
    rate_law: str = "spells"
    pace_spread: float = 0.5
    day_night: float = 1.0

    def arguments(self, attack_share: float) -> list[str]:
        """What `tiltmeter simulate` is told."""
        attacks = ["--attack-share", str(attack_share)] if attack_share else ["--attacks", "none"]
        return ["simulate", "--agents", str(AGENTS), "--days", str(DAYS), "--seed", str(self.seed), "--preset", self.preset,
                "--rate-law", self.rate_law, "--pace-spread", str(self.pace_spread), "--day-night", str(self.day_night),
                *attacks]


TUNING = [Fleet(9001), Fleet(9002), Fleet(9003)]
"""Fleets of the kinds behind the shipped calibration, on which choices are made."""

_PRESETS = ("software-development", "office")
_LAWS = ("cascades", "gaps")
_SHAPES = ((0.5, 1.0), (0.8, 0.6))

HELD_OUT = [Fleet(9101 + i, _PRESETS[i % 2], _LAWS[i // 2 % 2], *_SHAPES[i // 4 % 2]) for i in range(10)]
"""Fleets whose agent types and laws of arrival the shipped calibration has never seen; never used for a choice."""


class Attack(NamedTuple):
    """An attack, as the simulation tells it."""

    agent: str
    scenario: str
    started: datetime
    ended: datetime


class Opened(NamedTuple):
    """An alert that opened."""

    agent: str
    time: datetime
    family: str


class Run(NamedTuple):
    """What one run gave."""

    alerts: list[Opened]
    attacks: list[Attack]
    units: int
    small: int
    """Units with p below .01."""


def run(binary: Path, fleet: Fleet, folder: Path, attack_share: float = 0.0, calibration: dict | None = None) -> Run:
    """Simulates a fleet and detects in the same breath.

    * `calibration`: stands in for the shipped one.
    """
    truth, units, config = folder / "truth.ndjson", folder / "units.ndjson", folder / "tiltmeter.toml"
    config.write_text("", encoding="utf-8")
    if calibration is not None:
        (folder / "calibration.json").write_text(json.dumps(calibration), encoding="utf-8")
        config.write_text('[learn]\ncalibration_file = "calibration.json"\n', encoding="utf-8")
    simulate = [binary, *fleet.arguments(attack_share), "--truth", truth]
    detect = [binary, "detect", "--config", config, "--units", units]
    with subprocess.Popen(simulate, stdout=subprocess.PIPE) as source:
        done = subprocess.run(detect, stdin=source.stdout, capture_output=True, text=True, check=False)
    if source.returncode or done.returncode:
        raise RunFailed(f"seed {fleet.seed}: simulate ended with {source.returncode}, detect with {done.returncode}:\n"
                        + done.stderr)
    with truth.open(encoding="utf-8") as attacks, units.open(encoding="utf-8") as closed:
        count, small = small_units(closed)
        return Run(opened(done.stdout.splitlines()), list(map(attack_in, attacks)), count, small)


def opened(lines: Iterable[str]) -> list[Opened]:
    """The alerts that opened, rules and verdicts apart."""
    alerts = [json.loads(line) for line in lines if '"state":"opened"' in line]
    return [Opened(a["subject"]["id"], _time(a["time"]), a["family"]) for a in alerts
            if a["family"] not in ("rules", "verdict")]


def attack_in(line: str) -> Attack:
    """An attack in a line of the truth."""
    said = json.loads(line)
    return Attack(said["agent_id"], said["scenario"], _time(said["started"]), _time(said["ended"]))


def small_units(lines: Iterable[str]) -> tuple[int, int]:
    """Units, and those with p below .01."""
    count = small = 0
    for line in lines:
        count += 1
        small += json.loads(line)["p"] < SMALL_P
    return count, small


def by_day(alerts: Sequence[Opened]) -> list[int]:
    """Alerts opened on each day, the first to the last."""
    days = [0] * DAYS
    for alert in alerts:
        days[min((alert.time - START).days, DAYS - 1)] += 1
    return days


def a_day(days: Sequence[float]) -> float:
    """Mean number of alerts a day, over the days that the promise is measured on."""
    measured = days[FIRST_DAY - 1:]
    return sum(measured) / len(measured)


def holds_from(days: Sequence[float]) -> int | None:
    """First day (from 1) from which every seven days, and those left at the end, keep the promise; None if never."""
    good = None
    for first in range(len(days) - 7, -1, -1):
        if sum(days[first:first + 7]) / 7 > CEILING * BUDGET:
            break
        good = first + 1
    return good


def found(attack: Attack, alerts: Iterable[Opened]) -> bool:
    """Whether an alert opened on the attacked agent between the attack's start and an hour after its end.

    An alert that was open before and only got worse finds nothing.
    """
    return any(alert.agent == attack.agent and attack.started <= alert.time <= attack.ended + AFTERWARDS for alert in alerts)


def stretched(calibration: dict, factor: float) -> dict:
    """The calibration in which every unit rose `factor` times as high: all bits multiplied, nothing else changed.

    Histograms have eight cells an octave, so that a factor is a shift; what falls between two cells is shared by them.
    The lowest cell holds zero and everything next to it, and stays.
    """
    shift = 8 * math.log2(factor)
    whole = math.floor(shift)
    upper = shift - whole

    def moved(cells: list[int]) -> list[int]:
        made = [0] * (len(cells) + max(whole, 0) + 1)
        for place, votes in enumerate(cells):
            up = round(votes * upper) if place else 0
            to = place + whole if place else 0
            made[max(to, 0)] += votes - up
            made[max(to + 1, 0)] += up
        while made and made[-1] == 0:
            made.pop()
        return made

    families = {name: {"stages": [moved(cells) for cells in family["stages"]], "ends": family["ends"]}
                for name, family in calibration["families"].items()}
    return calibration | {"families": families, "evidence": [moved(cells) for cells in calibration["evidence"]]}


def wilson(hits: int, trials: int) -> tuple[float, float, float]:
    """A share and its 95 % interval; NaN of nothing.

    Source: Wilson (1927), *JASA* 22:209; Brown, Cai and DasGupta (2001), *Statistical Science* 16(2), eq. 4.
    """
    if trials == 0:
        return math.nan, math.nan, math.nan
    z = 1.959964
    share = hits / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    return share, middle - half, middle + half


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
