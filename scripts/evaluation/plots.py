"""Plots as SVG text, legible on light and dark pages.

Knows lines on logarithmic axes. Must not know what they mean.
"""

from __future__ import annotations

import math
from html import escape
from typing import NamedTuple, Sequence

WIDTH, HEIGHT = 560, 420
LEFT, RIGHT, TOP, BOTTOM = 62, 30, 40, 52

# Hues of Okabe and Ito's palette, told apart by colour-blind readers too: the darker ones for a light page.
ON_LIGHT = ("#0072b2", "#d55e00", "#009e73")
ON_DARK = ("#56b4e9", "#e69f00", "#2fc49a")


def _hues(hues: Sequence[str]) -> str:
    return " ".join(f".hue{i} {{ stroke: {hue} }}" for i, hue in enumerate(hues))


STYLE = f"""
  text {{ font: 13px system-ui, sans-serif; fill: #24292f }}
  .title {{ font-weight: 600; font-size: 14px }}
  .frame {{ fill: none; stroke: #57606a }}
  .grid {{ stroke: #57606a; stroke-opacity: .25 }}
  .ideal {{ fill: none; stroke: #57606a; stroke-dasharray: 4 4 }}
  .line {{ fill: none; stroke-width: 2.2 }}
  {_hues(ON_LIGHT)}
  @media (prefers-color-scheme: dark) {{
    text {{ fill: #e6edf3 }}
    .frame, .grid, .ideal {{ stroke: #9198a1 }}
    {_hues(ON_DARK)}
  }}"""


class Axis(NamedTuple):
    """One axis: its words, its ends and its ticks, all in the figure's own measure."""

    words: str
    low: float
    high: float
    ticks: Sequence[float]
    log: bool = True

    def place(self, value: float) -> float:
        """Where the value lies between the ends, 0 to 1; what lies outside is put at the end."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


class Line(NamedTuple):
    """One curve with its name in the legend."""

    name: str
    points: Sequence[tuple[float, float]]


def plot(title: str, across: Axis, up: Axis, lines: Sequence[Line], ideal: bool) -> str:
    """An SVG picture of the curves; `ideal` draws the diagonal where both axes are equal."""
    def x(value: float) -> float:
        return LEFT + across.place(value) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - up.place(value) * (HEIGHT - TOP - BOTTOM)

    def path(points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{'L' if i else 'M'}{x(a):.1f} {y(b):.1f}" for i, (a, b) in enumerate(points))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}\n</style>",
        f'<text class="title" x="{LEFT}" y="24">{escape(title)}</text>',
    ]
    for tick in across.ticks:
        parts.append(f'<path class="grid" d="M{x(tick):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_percent(tick)}</text>')
    for tick in up.ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{_percent(tick)}</text>')
    if ideal:
        low, high = max(across.low, up.low), min(across.high, up.high)
        steps = [low * (high / low) ** (i / 40) for i in range(41)]
        parts.append(f'<path class="ideal" d="{path([(step, step) for step in steps])}"/>')
    parts.append(f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"/>')
    for i, line in enumerate(lines):
        hue = f"hue{i % len(ON_LIGHT)}"
        row = HEIGHT - BOTTOM - 14 - 20 * (len(lines) - 1 - i)
        parts.append(f'<path class="line {hue}" d="{path(line.points)}"/>')
        parts.append(f'<path class="line {hue}" d="M{WIDTH - 164} {row - 4}h22"/>')
        parts.append(f'<text x="{WIDTH - 136}" y="{row}">{escape(line.name)}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(across.words)}</text>')
    parts.append(f'<text transform="rotate(-90 16 {middle})" x="16" y="{middle}" text-anchor="middle">{escape(up.words)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _percent(share: float) -> str:
    return f"{share * 100:g} %"


def pictures(curves: dict) -> dict[str, str]:
    """File names and SVG texts from the stored curves: ROC by protocol, calibration."""
    shares = curves["shares"]
    alarms = Axis("false alarms (share of normal sessions)", 0.005, 1.0, (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0))
    found = Axis("attacks found", 0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), log=False)
    words = {"A": "known tasks, unseen model", "B": "unseen tasks, unseen model"}
    files = {}
    for protocol, tiers in curves["roc"].items():
        lines = [Line(f"tier {tier}", list(zip(shares, values))) for tier, values in tiers.items() if values]
        files[f"roc-{protocol.lower()}.svg"] = plot(f"{protocol}: {words[protocol]}", alarms, found, lines, ideal=True)
    nominal = alarms._replace(words="nominal p")
    observed = alarms._replace(words="normal sessions at or below it")
    lines = [Line(f"{protocol}, tier full", list(zip(shares, values)))
             for protocol, values in curves["calibration"].items() if values]
    files["calibration.svg"] = plot("Calibration on normal sessions", nominal, observed, lines, ideal=True)
    return files
