"""Asks a Prometheus what each panel asks, and says whether anything moves.

Knows dashboards and the HTTP interface of Prometheus. Must not know what was sent.
"""

import dataclasses
import json
import math
import re
import urllib.parse
import urllib.request

from .stage import ROOT

DASHBOARDS = ROOT / "deploy/grafana/dashboards"
# Enough for the variable of one agent: the riskiest of each job.
MOST_VALUES = 30
# What no load of ten minutes moves, and the test that makes it move.
STILL = {
    "tiltmeter_alerts_per_day_promised": (
        "a setting: it stays while instances run",
        "what_a_scrape_says_is_what_was_produced_and_told",
    ),
}


@dataclasses.dataclass
class Query:
    """One question of a panel."""

    dashboard: str
    panel: str
    kind: str
    expression: str

    @property
    def metric(self):
        return re.search(r"(?:tiltmeter|process)_\w+", self.expression)[0].removesuffix("_bucket")


@dataclasses.dataclass
class Found:
    """What came of a query, in the job in which most moved."""

    query: Query
    job: str
    series: int
    moving: int


def queries():
    for path in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", []):
                yield Query(path.stem.removeprefix("tiltmeter-"), panel["title"], panel["type"], target["expr"])


def strict(expression):
    """The same without what moves or is there by itself: the clock, and a number in place of nothing."""
    return expression.replace(" or vector(0)", "").replace("time()", "0")


def moving(points):
    """Whether values differ. What is no number counts for nothing."""
    return len({float(value) for _, value in points if math.isfinite(float(value))}) > 1


class Prometheus:
    """Answers about one stretch of time. Seconds since 1970."""

    def __init__(self, url, start, end, step=5):
        self.url, self.start, self.end, self.step = url, start, end, step

    def get(self, path, **parameters):
        body = urllib.parse.urlencode(parameters).encode()
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", body, timeout=60) as answer:
            return json.load(answer)["data"]

    def filled(self, expression, variables):
        # Both branches of what differs inside a window and at its beginning are asked.
        window = {"__rate_interval": "60s", "__range": f"{max(60, int(self.end - self.start) // 2)}s"}
        return re.sub(r"\$\{?(\w+)\}?", lambda found: {**variables, **window}.get(found[1], ".+"), expression)

    def agents(self, job):
        span = f"{max(60, int(self.end - self.start))}s"
        asked = f'topk({MOST_VALUES}, max by (agent) (max_over_time(tiltmeter_agent_risk_score{{job="{job}"}}[{span}])))'
        return [one["metric"]["agent"] for one in self.get("query", query=asked, time=self.end)["result"]]

    def ask(self, query, jobs):
        best = Found(query, jobs[0], 0, 0)
        for job in jobs:
            agents = self.agents(job) if "$agent\"" in query.expression else [".+"]
            for agent in agents:
                expression = self.filled(strict(query.expression), {"job": job, "agent": re.escape(agent).replace("\\", "\\\\")})
                series = self.get("query_range", query=expression, start=self.start, end=self.end, step=self.step)["result"]
                found = Found(query, job, len(series), sum(moving(one["values"]) for one in series))
                if (found.moving, found.series) > (best.moving, best.series):
                    best = found
        return best


def exists(test):
    """Whether a test of this name is in the tree."""
    return any(f"fn {test}(" in path.read_text(encoding="utf-8") for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.rs"))
