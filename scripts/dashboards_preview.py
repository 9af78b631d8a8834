#!/usr/bin/env python3
"""Draws the dashboards of deploy/grafana from what a Prometheus answers to their own queries.

A preview for whoever changes a query: is there something, does it look as meant? It is not Grafana, and says so in the
picture. Needs matplotlib; a Prometheus that scrapes a running service.

    scripts/dashboards_preview.py --prometheus http://localhost:9090 --to target/dashboards
"""

import argparse
import datetime
import json
import math
import re
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib import dates

DASHBOARDS = Path(__file__).resolve().parent.parent / "deploy/grafana/dashboards"
NOT_GRAFANA = "preview drawn from the queries of the panels; not Grafana"
COLUMN_INCHES, ROW_INCHES = 0.75, 0.34
STEPS = 240
MOST_SERIES = 12
COLOURS = {"green": "#3a7d44", "blue": "#3b6fb6", "orange": "#d9822b", "red": "#c0392b"}


class Prometheus:
    """Answers to queries about one stretch of time. Seconds since 1970."""

    def __init__(self, url, start, end):
        self.url, self.start, self.end = url.rstrip("/"), start, end
        self.step = max(5, math.ceil((end - start) / STEPS))

    def ask(self, path, **parameters):
        body = urllib.parse.urlencode(parameters).encode()
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", body, timeout=60) as answer:
            return json.load(answer)["data"]

    def filled(self, expression, variables):
        """The query as Grafana would send it."""
        window = {"__rate_interval": f"{max(60, 4 * self.step)}s", "__range": f"{int(self.end - self.start)}s"}
        return re.sub(r"\$\{?(\w+)\}?", lambda found: ({**variables, **window}).get(found[1], ".+"), expression)

    def series(self, target, variables):
        expression = self.filled(target["expr"], variables)
        if target["instant"]:
            found = self.ask("query", query=expression, time=self.end)["result"]
            return [(one["metric"], [(self.end, float(one["value"][1]))]) for one in found]
        found = self.ask("query_range", query=expression, start=self.start, end=self.end, step=self.step)["result"]
        return [(one["metric"], [(at, float(value)) for at, value in one["values"]]) for one in found]

    def values(self, definition, variables):
        """What a variable can be: label_values(SELECTOR, LABEL)."""
        selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", definition).groups()
        selected = f"{self.filled(selector, variables)}[{int(self.end - self.start)}s]"
        found = self.ask("query", query=f"group by ({label}) (max_over_time({selected}))", time=self.end)
        return sorted(one["metric"][label] for one in found["result"])


def named(legend, labels):
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)


def told(value, unit, decimals=None):
    """A number with its unit, short."""
    if math.isnan(value):
        return "no data"
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "s" and abs(value) >= 60:
        size, name = next((size, name) for size, name in ((86400, "d"), (3600, "h"), (60, "min")) if abs(value) >= size)
        return f"{value / size:.1f} {name}"
    if unit == "s" and value < 1:
        return f"{1000 * value:.3g} ms"
    if unit == "bytes":
        power = min(3, int(math.log(max(value, 1), 1024)))
        return f"{value / 1024**power:.3g} {('B', 'KiB', 'MiB', 'GiB')[power]}"
    number = (
        f"{value:.{decimals}f}" if decimals is not None else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    )
    return number + {"s": " s", "eps": "/s", "ops": "/s", "reqps": "/s"}.get(unit, "")


def colour_of(panel, name):
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"]["options"] == name:
            return COLOURS[override["properties"][0]["value"]["fixedColor"]]
    return None


def threshold_colour(panel, value):
    chosen = "#333333"
    for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", []):
        if step["value"] is None or value >= step["value"]:
            chosen = COLOURS[step["color"]]
    return chosen


def draw_lines(axes, panel, series, span):
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults["custom"]
    stacked, bars = "stacking" in custom, custom.get("drawStyle") == "bars"
    times = sorted({at for _, points in series for at, _ in points})
    base = [0.0] * len(times)
    palette = plt.get_cmap("tab20").colors
    for place, (name, points) in enumerate(series[:MOST_SERIES]):
        values = dict(points)
        heights = [values.get(at, math.nan) for at in times]
        x = [dates.date2num(time_of(at)) for at in times]
        colour = colour_of(panel, name) or palette[(2 * place + place // 10) % 20]
        if stacked:
            heights = [0.0 if math.isnan(h) else h for h in heights]
            top = [b + h for b, h in zip(base, heights, strict=True)]
            axes.fill_between(
                x, base, top, step="post" if bars else None, alpha=0.6, label=name, color=colour, linewidth=0
            )
            base = top
        else:
            axes.plot(
                x, heights, label=name, color=colour, linewidth=1.1, drawstyle="steps-post" if bars else "default"
            )
    axes.set_xlim(*(dates.date2num(time_of(at)) for at in span))
    if custom.get("thresholdsStyle"):
        highest = axes.get_ylim()[1]
        for step in defaults["thresholds"]["steps"]:
            if step["value"] is not None and step["value"] <= 2 * highest:
                axes.axhline(step["value"], color=COLOURS[step["color"]], linewidth=0.8, linestyle="--")
    if "min" in defaults:
        axes.set_ylim(bottom=defaults["min"])
    axes.yaxis.set_major_formatter(lambda value, _: told(value, defaults["unit"]))
    axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=3, maxticks=7))
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(axes.xaxis.get_major_locator()))
    axes.tick_params(labelsize=6, length=2)
    axes.xaxis.get_offset_text().set_fontsize(6)
    axes.grid(alpha=0.25, linewidth=0.5)
    if series:
        axes.legend(fontsize=5.5, ncols=3, loc="upper left", frameon=False)


def draw_bars(axes, panel, series, _):
    defaults = panel["fieldConfig"]["defaults"]
    rows = sorted(((points[-1][1], name) for name, points in series), reverse=True)[:MOST_SERIES]
    for place, (value, name) in enumerate(rows):
        axes.barh(-place, value, color="#a9c4e6", height=0.8)
        axes.text(
            0, -place, f" {name}: {told(value, defaults['unit'], defaults.get('decimals'))}", fontsize=6, va="center"
        )
    axes.set_ylim(-max(len(rows), 4) + 0.4, 0.6)
    axes.set_xlim(0, defaults.get("max") or max((value for value, _ in rows), default=1) or 1)
    axes.set_axis_off()


def draw_numbers(axes, panel, series, _):
    axes.set_axis_off()
    defaults = panel["fieldConfig"]["defaults"]
    shown = series[:6]
    for place, (name, points) in enumerate(shown):
        value = points[-1][1]
        x = (place + 0.5) / len(shown)
        size = 15 if len(shown) < 3 else 9
        axes.text(
            x,
            0.55,
            told(value, defaults["unit"], defaults.get("decimals")),
            fontsize=size,
            ha="center",
            va="center",
            color=threshold_colour(panel, value),
            weight="bold",
        )
        axes.text(x, 0.12, name, fontsize=5.5, ha="center", va="center", color="#555555")


def time_of(at):
    return datetime.datetime.fromtimestamp(at, datetime.UTC)


def as_text(axes, panel, *_):
    axes.set_axis_off()
    words = re.sub(r"[*`]", "", panel["options"]["content"])
    axes.text(0, 0.95, words, fontsize=7, va="top", wrap=True)


def draw(path, prometheus, folder, chosen):
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    variables = {}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            values = prometheus.values(variable["definition"], variables)
            one = chosen.get(variable["name"]) or (values[0] if values else "")
            variables[variable["name"]] = ".+" if variable["includeAll"] and variable["name"] not in chosen else one
    panels = dashboard["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = plt.figure(figsize=(24 * COLUMN_INCHES, rows * ROW_INCHES + 0.7), dpi=80)
    height = rows * ROW_INCHES + 0.7
    shown = "  ".join(f"{name}={value}" for name, value in variables.items() if value != ".+")
    figure.text(0.01, 1 - 0.3 / height, f"{dashboard['title']}   {shown}", fontsize=13, weight="bold")
    figure.text(0.99, 1 - 0.3 / height, NOT_GRAFANA, fontsize=9, ha="right", color="#c0392b")
    empty = []
    for panel in panels:
        place = panel["gridPos"]
        left, width = place["x"] / 24, place["w"] / 24
        bottom = (rows - place["y"] - place["h"]) * ROW_INCHES / height
        tall = place["h"] * ROW_INCHES / height
        axes = figure.add_axes((left + 0.03, bottom + 0.3 / height, width - 0.04, max(tall - 0.62 / height, 0.01)))
        axes.set_title(panel["title"], fontsize=8, loc="left", weight="bold", pad=3)
        series = []
        for target in panel.get("targets", []):
            found = prometheus.series(target, variables)
            series += [(named(target["legendFormat"], labels), points) for labels, points in found]
        {"timeseries": draw_lines, "bargauge": draw_bars, "stat": draw_numbers, "text": as_text}[panel["type"]](
            axes, panel, series, (prometheus.start, prometheus.end)
        )
        if panel["type"] != "text" and not series:
            empty.append(panel["title"])
            axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", fontsize=8, color="#888888")
    picture = folder / f"{path.stem}.png"
    figure.savefig(picture)
    plt.close(figure)
    print(f"{picture}: {len(panels)} panels" + (f"; no data in: {', '.join(empty)}" if empty else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", default="http://localhost:9090")
    parser.add_argument("--minutes", type=float, default=60, help="how far back")
    parser.add_argument("--to", type=Path, default=Path("target/dashboards"), metavar="FOLDER")
    parser.add_argument(
        "--set", action="append", default=[], metavar="VARIABLE=VALUE", help="a variable of a dashboard: agent=ID"
    )
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    end = time.time()
    prometheus = Prometheus(arguments.prometheus, end - 60 * arguments.minutes, end)
    for path in sorted(DASHBOARDS.glob("*.json")):
        draw(path, prometheus, arguments.to, dict(pair.split("=", 1) for pair in arguments.set))


if __name__ == "__main__":
    sys.exit(main())
