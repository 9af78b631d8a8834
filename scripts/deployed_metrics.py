#!/usr/bin/env python3
"""Compares dashboards and rules with what the service tells.

Every metric and label that deploy/grafana and deploy/prometheus name stands in docs/metrics.md, every alert has a
section in docs/runbook.md and a case in deploy/prometheus/tests in which it fires, every query is PromQL that
Prometheus' own parser takes, and every dashboard keeps the rules by which Grafana's dashboard linter judges. Needs
PyYAML and promtool.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PROMETHEUS = ROOT / "deploy/prometheus"
# Told by every process or by Prometheus itself.
COMMON = {"up", "ALERTS", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"}
SUFFIXES = ("_bucket", "_sum", "_count")
TARGET_LABELS = {"job", "instance", "le"}
# Of a dashboard.
COLUMNS = 24
# Grafana's number for a variable that is read anew with the time.
ON_TIME_CHANGE = 2
VARIABLES = {"$__rate_interval": "5m", "$__range": "6h", "$__interval": "1m"}


def declared():
    """Labels of each metric of docs/metrics.md, and its type."""
    metrics = {}
    for line in (ROOT / "docs/metrics.md").read_text(encoding="utf-8").splitlines():
        row = re.match(r"\| `(tiltmeter_\w+)` \| (\w+) \| (.*?) \|", line)
        if row:
            metrics[row[1]] = (row[2], set(re.findall(r"`(\w+)`", row[3])))
    return metrics


def asked(expression):
    """Names of metrics in a query, each with the labels that are matched."""
    for name, matchers in re.findall(r"(?<![:\w])((?:tiltmeter|process)_\w+|up|ALERTS)\b(?:\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))


def filled(expression):
    """A query as Grafana sends it."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", ".+", expression)


def rules():
    for name in ("recording.yml", "alerts.yml"):
        for group in yaml.safe_load((PROMETHEUS / name).read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                yield name, rule


def panels(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def faults_of_query(where, expression, metrics):
    for name, labels in asked(expression):
        base = next(
            (name.removesuffix(s) for s in SUFFIXES if metrics.get(name.removesuffix(s), "")[:1] == ("histogram",)),
            name,
        )
        if base in COMMON:
            continue
        if base not in metrics:
            yield f"{where}: {name} is not a metric of docs/metrics.md"
            continue
        kind, known = metrics[base]
        for label in labels - known - TARGET_LABELS:
            yield f"{where}: {name} has no label {label}"
        # A counter by itself says nothing: it starts anew with each process.
        if kind != "gauge" and not re.search(r"(rate|increase)\(\s*" + name, expression):
            yield f"{where}: {name} is a {kind}, and is asked for without rate or increase"


def faults_of_variables(name, variables, metrics):
    for wanted in ("datasource", "job", "instance"):
        if wanted not in variables:
            yield f"{name}: has no variable {wanted}"
    for variable in variables.values():
        where = f"{name}: variable {variable['name']}"
        if variable["type"] == "query" and variable["refresh"] != ON_TIME_CHANGE:
            yield f"{where} is not read anew when the time changes"
        if variable["name"] in ("job", "instance") and variable.get("allValue") != ".+":
            yield f"{where} has no allValue .+"
        for asked_for, labels in asked(variable.get("definition", "")):
            for label in labels - metrics.get(asked_for, ("", set()))[1] - TARGET_LABELS:
                yield f"{where}: {asked_for} has no label {label}"
            if asked_for not in metrics:
                yield f"{where}: {asked_for} is not a metric of docs/metrics.md"


def faults_of_target(where, panel, target, variables):
    expression = target["expr"]
    if expression.count("{") != expression.count('job=~"$job", instance=~"$instance"'):
        yield f"{where}: a selector lacks job or instance"
    for window in re.findall(r"\brate\([^()]*\[([^]]+)\]", expression):
        if panel["type"] == "timeseries" and window != "$__rate_interval":
            yield f"{where}: rate over {window} instead of $__rate_interval"
    for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
        if not re.search(rf"by \([^)]*\b{label}\b", expression):
            yield f"{where}: the legend names {label}, which the query does not keep"
    for variable in re.findall(r"\$(\w+)", expression):
        if variable not in variables and not variable.startswith("__"):
            yield f"{where}: there is no variable {variable}"


def faults_of_panel(where, panel, variables, metrics):
    if not panel["title"] or not panel.get("description"):
        yield f"{where}: needs a title and a description"
    if panel["type"] == "text":
        return
    if panel["datasource"]["uid"] != "${datasource}":
        yield f"{where}: does not ask the data source of the variable"
    if not panel["fieldConfig"]["defaults"].get("unit"):
        yield f"{where}: has no unit"
    if not panel["targets"]:
        yield f"{where}: asks nothing"
    for target in panel["targets"]:
        yield from faults_of_query(where, target["expr"], metrics)
        yield from faults_of_target(where, panel, target, variables)


def faults_of_dashboard(path, metrics):
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    name = path.name
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    if dashboard["uid"] != path.stem:
        yield f"{name}: its uid is not its name"
    if dashboard.get("editable", True):
        yield f"{name}: is editable, although it is provisioned"
    yield from faults_of_variables(name, variables, metrics)
    ids = [panel["id"] for panel in panels(dashboard)]
    if len(ids) != len(set(ids)):
        yield f"{name}: two panels have one id"
    taken = set()
    for panel in panels(dashboard):
        where = f"{name}: {panel['title'] or panel['id']}"
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        if columns.stop > COLUMNS or cells & taken:
            yield f"{where}: lies over another panel, or beyond the edge"
        taken |= cells
        yield from faults_of_panel(where, panel, variables, metrics)


def parsed(expressions):
    """Whether Prometheus' own parser takes each."""
    group = [{"record": f"checked:{number}", "expr": expression} for number, expression in enumerate(expressions)]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump({"groups": [{"name": "checked", "rules": group}]}, file)
        file.flush()
        told = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True, check=False)
    return [] if told.returncode == 0 else [f"promtool: {told.stdout}{told.stderr}"]


def main():
    metrics, faults = declared(), []
    recorded = {rule["record"] for _, rule in rules() if "record" in rule}
    sections = anchors(ROOT / "docs/runbook.md")
    fired = set(re.findall(r'alertname="(\w+)"', (PROMETHEUS / "tests/alerts.yml").read_text(encoding="utf-8")))
    expressions = []
    for file, rule in rules():
        name = rule.get("alert") or rule["record"]
        faults += faults_of_query(f"{file}: {name}", rule["expr"], metrics)
        for used in re.findall(r"\bjob\w*:\w+:\w+", rule["expr"]):
            if used not in recorded:
                faults.append(f"{file}: {name}: nobody records {used}")
        if "alert" in rule:
            page, _, section = rule["annotations"]["runbook_url"].partition("#")
            if not page.endswith("docs/runbook.md") and not page.endswith("/runbook.md") or section not in sections:
                faults.append(f"{file}: {name}: docs/runbook.md has no section for {section}")
            if name not in fired:
                faults.append(f"{file}: {name}: no case of tests/alerts.yml lets it fire")
            if rule["labels"]["severity"] not in ("page", "ticket"):
                faults.append(f"{file}: {name}: severity is neither page nor ticket")
    dashboards = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
    for path in dashboards:
        faults += faults_of_dashboard(path, metrics)
        expressions += [
            filled(t["expr"])
            for p in panels(json.loads(path.read_text(encoding="utf-8")))
            for t in p.get("targets", [])
        ]
    faults += parsed(expressions)
    for fault in faults:
        print(fault)
    seen = f"{len(metrics)} metrics, {len(recorded)} recording rules, {len(fired)} alerts"
    print(f"{seen}, {len(dashboards)} dashboards with {len(expressions)} queries: {len(faults)} faults")
    return 1 if faults or not metrics or not expressions else 0


if __name__ == "__main__":
    sys.exit(main())
