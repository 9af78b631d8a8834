#!/usr/bin/env python3
"""Does detection lose anything when `tiltmeter annotate` finds the origins, instead of those a data set ships?

The same sessions are judged twice by a detector that learned from the shipped events of other sessions: once as
shipped, once with every call's `arguments` replaced by those that `annotate` made from the conversation.
All else (ids, times, actions, outcomes) stays as shipped. Our hashes have another key than the
shipped ones, so the score of new values is off; a second pair of rows has it on, with the shipped hash at each place.

Writes docs/annotate.json and the table of docs/annotate.md. Python 3.11, only the standard library. Usage:
    scripts/annotate_detection.py --data DIR [--binary target/release/tiltmeter] [--show N] [--docs docs]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from annotate_agreement import annotate, by_session, named
from evaluation import report
from evaluation.intervals import percentile_interval, task_draws
from evaluation.measures import Judged
from evaluation.provenance import provenance
from evaluation.runner import Runner
from evaluation.streams import Corpus, Session, corpus_files, dealt_anew, write_stream
from evaluation.units import Unit

ROOT = Path(__file__).resolve().parents[1]
DRAWS = 2_000
ORDERS = 10
"""Orders of learning over which figures are means, as in docs/evaluation.md."""
MEASURES = {"auc": "auc", "tpr": "tpr@0.05"}
"""Name in docs/annotate.json: name among the measures."""
VALUES_OFF = "[detect.content]\nvalue_novelty = 0.0\nbare_value_novelty = 0.0\n"


def replaced(session: Session, ours: dict[int, dict], shipped_hashes: bool) -> Session:
    """The session with our arguments; with `shipped_hashes`, an argument that both have keeps the shipped hash."""
    events = []
    for event in session.events:
        mine = ours[event["seq"]]
        if mine["action"] != event["action"]:
            raise SystemExit(f"session {session.id}, call {event['seq']}: {mine['action']} is not {event['action']}")
        arguments = mine.get("arguments", [])
        if shipped_hashes:
            theirs = named(event["arguments"])
            arguments = [a | {"hash": theirs[place]["hash"]} if place in theirs else a
                         for place, a in named(arguments).items()]
        # `origin_event` names an event of our stream, which is not the one judged.
        arguments = [{k: v for k, v in a.items() if k != "origin_event"} for a in arguments]
        events.append(event | {"arguments": arguments})
    return session._replace(events=events)


def compared(shipped: list[list[Unit]], ours: list[list[Unit]]) -> dict:
    """AUC and TPR both ways, means over the orders of learning, and their differences with paired intervals over tasks."""
    tasks = sorted({unit.task for unit in shipped[0]})
    before, after = (Judged(orders, tasks, matched=False) for orders in (shipped, ours))
    differences: dict[str, list[float]] = {"auc": [], "tpr": []}
    for weights in task_draws(len(tasks), DRAWS, "annotate"):
        a, b = before.measure(weights), after.measure(weights)
        if a["auc"] is not None:
            for name, values in differences.items():
                values.append(b[MEASURES[name]] - a[MEASURES[name]])
    result: dict = {"normal": sum(before.normals), "attack": sum(before.attacks), "tasks": len(tasks)}
    a, b = (judged.measure([1] * len(tasks)) for judged in (before, after))
    for name, measure in MEASURES.items():
        low, high = percentile_interval(differences[name])
        figures = {"shipped": a[measure], "ours": b[measure], "difference": b[measure] - a[measure], "low": low, "high": high}
        result[name] = {key: round(value, 6) for key, value in figures.items()}
    return result


def show(shipped: list[Unit], ours: list[Unit], count: int) -> None:
    """The sessions whose rank among those of the other label changes most, losses first."""
    def share(unit: Unit, units: list[Unit]) -> float:
        others = [other.score for other in units if other.attack != unit.attack]
        won = sum((unit.score > score) + (unit.score == score) / 2 for score in others) / len(others)
        return won if unit.attack else 1 - won
    changes = sorted((share(b, ours) - share(a, shipped), a.id, a, b) for a, b in zip(shipped, ours))
    for change, id, a, b in changes[:count] + changes[-count:]:
        print(f"  {change:+.3f} {id} {a.task} {a.label}: shipped {a.score:.2f}, ours {b.score:.2f} bits")


def table(rows: dict[str, dict]) -> report.Table:
    """The rows as a table of the page."""
    def cells(figures: dict) -> list[report.Cell]:
        difference = [figures[name] for name in ("difference", "low", "high")]
        return [report.number(figures["shipped"]), report.number(figures["ours"]), report.interval(difference)]
    header = ["", "AUC, shipped", "AUC, ours", "difference", "TPR at 5 % FPR, shipped", "ours", "difference"]
    return {"header": header, "rows": [[name, *cells(row["auc"]), *cells(row["tpr"])] for name, row in rows.items()]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with transcripts.ndjson.gz and the shipped events")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/tiltmeter")
    parser.add_argument("--cache", type=Path, default=ROOT / "target/evaluation", help="where the binary's answers are kept")
    parser.add_argument("--docs", type=Path, help="folder with annotate.md; annotate.json is written beside it")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print the N sessions that lose and win most")
    options = parser.parse_args()

    transcripts = options.data / "transcripts.ndjson.gz"
    ours = by_session(annotate(str(options.binary), str(transcripts)))
    corpus = Corpus.read(options.data)
    runner = Runner(options.binary, options.cache, [*corpus_files(options.data), transcripts, Path(__file__)])
    told = [s for s in corpus.sessions if s.id in ours and s.label in ("normal", "attack")]

    # All conversations are left out of learning, judged or not. One detector for all, or one per left-out model.
    learned = [s for s in corpus.sessions if s.id not in ours and s.label == "normal"]
    models = sorted({s.model for s in told})

    def scores(judged: list[Session], config: str, recipe: list[str], left_out: str | None, order: int) -> list[Unit]:
        def write(learning: Path, judging: Path) -> list[str]:
            normals = [s for s in learned if s.model != left_out]
            write_stream(learning, dealt_anew(normals, order) if order else normals, labelled=False)
            write_stream(judging, judged, labelled=True)
            return [s.id for s in judged]
        return runner.judge(["annotate", *recipe, left_out, order], write, config=config).units

    def both(config: str, shipped_hashes: bool, by_model: bool) -> tuple[list[list[Unit]], list[list[Unit]]]:
        shipped: list[list[Unit]] = [[] for _ in range(ORDERS)]
        mine: list[list[Unit]] = [[] for _ in range(ORDERS)]
        for left_out in models if by_model else [None]:
            judged = [s for s in told if left_out in (None, s.model)]
            changed = [replaced(s, ours[s.id], shipped_hashes) for s in judged]
            for order in range(ORDERS):
                shipped[order] += scores(judged, config, ["shipped"], left_out, order)
                mine[order] += scores(changed, config, ["ours", str(shipped_hashes)], left_out, order)
        return shipped, mine

    rows = {}
    for name, config, shipped_hashes, by_model in (
        ("new values off", VALUES_OFF, False, False),
        ("new values off, model of the session not learned", VALUES_OFF, False, True),
        ("default settings, shipped hashes", "", True, False),
    ):
        judged = both(config, shipped_hashes, by_model)
        rows[name] = compared(*judged)
        print(name, json.dumps(rows[name]), flush=True)
        if options.show:
            show(judged[0][0], judged[1][0], options.show)
    if options.docs:
        run = provenance(ROOT, options.binary, sys.argv[1:], DRAWS)
        run["command"] = run["command"].replace("evaluate.py", "annotate_detection.py")
        result = {"run": run, "learned_sessions": len(learned), "orders": ORDERS, "rows": rows}
        (options.docs / "annotate.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        page = options.docs / "annotate.md"
        page.write_text(report.fill(page.read_text(encoding="utf-8"), {"annotate-detection": table(rows)}), encoding="utf-8")


if __name__ == "__main__":
    main()
