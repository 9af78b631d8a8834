#!/usr/bin/env python3
"""Ranks the principals of a public red-team exercise in AWS CloudTrail and writes docs/cloudtrail.json and .md.

    scripts/cloudtrail.py --data DIR --binary target/release/tiltmeter

DIR holds `cloudtrail/records.ndjson.gz`; without it nothing is done. What each figure means stands in docs/cloudtrail.md.
Needs Python 3.11 and nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from evaluation import cloudtrail, report
from evaluation.cloudtrail import Scores
from evaluation.provenance import provenance
from evaluation.runner import RunFailed

ROOT = Path(__file__).resolve().parents[1]

KEYS = 10
"""Keys of the identity hash, each of which gives a ranking: none may be the lucky one."""


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with cloudtrail/")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/tiltmeter", metavar="PATH")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", metavar="DIR",
                        help="where cloudtrail.json and cloudtrail.md stand")
    return parser.parse_args(arguments)


def measured(records: list[cloudtrail.Record], binary: Path) -> dict:
    """Rankings under every key, with what went into them."""
    with tempfile.TemporaryDirectory(prefix="tiltmeter-cloudtrail-") as folder:
        stream = Path(folder, "records.ndjson")
        cloudtrail.write(stream, records)
        runs: list[Scores] = []
        dead = alerts = 0
        for number in range(KEYS):
            config = cloudtrail.configuration(Path(folder), number)
            told = cloudtrail.detected(binary, stream, config)
            runs.append(cloudtrail.scores(binary, stream, config, told))
            dead, alerts = max(dead, told.dead_letters), max(alerts, told.alerts)
    return {"rankings": [cloudtrail.ranks(scores) for scores in runs], "p": [
        {agent: p for agent, (_, p) in scores.items()} for scores in runs], "dead_letters": dead, "alerts": alerts}


def tables(records: list[cloudtrail.Record], results: dict) -> dict[str, report.Table]:
    """What the page shows."""
    rankings = results["rankings"]
    truth = cloudtrail.truth(records)
    attacked = {agent for agent, calls in truth.attacks.items() if calls}
    control = cloudtrail.ranks({agent: (count, 1.0) for agent, count in truth.calls.items()})
    count = len(truth.calls)
    named = cloudtrail.labels(truth.calls)

    def median(agent: str) -> float:
        return statistics.median(ranking.get(agent, count) for ranking in rankings)

    rows = [[named[agent], report.number(truth.calls[agent], 0), report.number(truth.attacks[agent], 0),
             report.number(statistics.median(p.get(agent, 1.0) for p in results["p"]), 4), report.number(median(agent), 1),
             report.number(control[agent], 1)] for agent in sorted(truth.calls, key=lambda a: (median(a), a))]
    aucs = [cloudtrail.auc(ranking, attacked) for ranking in rankings]
    spans = cloudtrail.spans(truth, [{a: ranking.get(a, count) for a in truth.calls} for ranking in rankings])
    summary = [
        ["records; dead letters", report.several([len(records), results["dead_letters"]], 0)],
        ["principals; attacked", report.several([count, len(attacked)], 0)],
        ["attack calls; attacked spans", report.several([sum(truth.attacks.values()), len(spans)], 0)],
        ["alerts of the default configuration", report.number(results["alerts"], 0)],
        [f"AUC of principals, mean of {len(rankings)} keys [least, most]",
         report.interval([statistics.mean(aucs), min(aucs), max(aucs)])],
        ["AUC of principals, control: record count", report.number(cloudtrail.auc(control, attacked))],
        ["keys of 10 in which two of the first three were attacked, each with p ≤ .01",
         report.number(sum(two_of_three(ranking, p, attacked)
                           for ranking, p in zip(rankings, results["p"], strict=True)), 0)],
        ["the same by record count, without p", report.number(int(two_of_three(control, {}, attacked)), 0)],
        ["spans whose principal ranks 1 / to 3 / to 5",
         report.several([sum(span.rank <= k for span in spans) for k in (1, 3, 5)], 0)],
    ]
    by_span = [[span.id, report.number(span.calls, 0), report.number(span.rank, 1)] for span in spans]
    return {
        "cloudtrail-summary": {"header": ["figure", "value"], "rows": summary},
        "cloudtrail-principals": {
            "header": ["principal", "records", "attack calls", "least p, median", "rank, median", "rank by record count"],
            "rows": rows},
        "cloudtrail-spans": {"header": ["attacked span", "calls", "rank of its principal"], "rows": by_span},
    }


def two_of_three(ranking: cloudtrail.Scores, p: dict[str, float], attacked: set[str]) -> bool:
    """Whether two of the first three principals were attacked, and none of these two had a p above .01."""
    first = [agent for agent, rank in ranking.items() if rank <= 3]
    return sum(agent in attacked and p.get(agent, 0.0) <= 0.01 for agent in first) >= 2


def main(arguments: list[str]) -> int:
    """Measures and publishes. Returns the exit code."""
    options = parsed(arguments)
    source = options.data / "cloudtrail/records.ndjson.gz"
    if not source.is_file():
        print(f"left out: {options.data} has no cloudtrail/records.ndjson.gz", file=sys.stderr)
        return 0
    try:
        records = cloudtrail.read(source, cloudtrail.principal_paths(ROOT / "schemas/sources/cloudtrail.toml"))
        results = measured(records, options.binary.resolve())
        run = provenance(ROOT, options.binary, arguments, 0)
    except (RunFailed, OSError) as error:
        print(f"cloudtrail: {error}", file=sys.stderr)
        return 2
    run["command"] = run["command"].replace("evaluate.py", "cloudtrail.py")
    del run["bootstrap_draws"]
    made = tables(records, results)
    stored = {"run": run, "tables": report.storable(made)}
    page = options.docs / "cloudtrail.md"
    filled = report.fill(page.read_text(encoding="utf-8"), made)
    report.save(options.docs / "cloudtrail.json", stored)
    page.write_text(filled, encoding="utf-8")
    print(report.markdown(made["cloudtrail-summary"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
