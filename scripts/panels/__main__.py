"""Runs the service under load for ten minutes, and asks whether every panel of every dashboard moves.

    deploy/check --panels [--minutes 10] [--tiltmeter target/demo/tiltmeter] [--brokers HOST:PORT]

A real Kafka, three instances, a real Prometheus; faults among the load. A panel moves if one series of one of its queries takes
two values or more. Nothing counts that moves by itself: time() is taken as 0, and `or vector(0)` is left out. Queries that stay
still are told too; they must be listed in ask.py with the test that makes them move.

Needs a built tiltmeter (cargo build --profile demo), prometheus (Debian), confluent-kafka (pip), and scripts/kafka/fetch. Exit
status: 0 everything moves or is listed, 1 something stays still, 3 something that it needs is missing.
"""

import argparse
import itertools
import pathlib
import sys
import tempfile
import time

from .ask import STILL, Prometheus, exists, queries
from .load import Load
from .stage import ROOT, Missing, Stage, free_ports, tool

# What begins and ends a run is not asked for.
SETTLES_SECS = 10


def asked():
    parser = argparse.ArgumentParser(prog="deploy/check --panels", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="how long there is load (at least 3: %(default)s)")
    parser.add_argument("--tiltmeter", type=pathlib.Path, default=ROOT / "target/demo/tiltmeter")
    parser.add_argument("--brokers", metavar="HOST:PORT", help="a Kafka of yours; without it one is started")
    arguments = parser.parse_args()
    if arguments.minutes < 3:
        parser.error("--minutes must be at least 3: a heartbeat is half a minute")
    return arguments


def at_hand(arguments):
    tool("prometheus")
    if not arguments.brokers:
        tool("java")
    if not arguments.tiltmeter.exists():
        raise Missing(f"{arguments.tiltmeter}: cargo build --profile demo")
    try:
        import confluent_kafka  # noqa: F401
    except ModuleNotFoundError as missing:
        raise Missing("pip install confluent-kafka") from missing


def run(arguments, stage):
    """Gives what was found of each query, and what went wrong meanwhile."""
    brokers = arguments.brokers or stage.broker()
    names = ("fleet-1", "stream-1", "stream-2")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    load = Load(stage, brokers, 60 * arguments.minutes, ports)
    load.prepare()
    jobs = {job: [f"127.0.0.1:{ports[name]}" for name in names if name.startswith(job)] for job in ("fleet", "stream")}
    url = stage.prometheus(jobs)
    start = time.time()
    load.begin()
    load.join()
    time.sleep(SETTLES_SECS)
    faults = load.faults + [f"{name} ended by itself: {stage.folder / name}.log" for name in stage.dead()]
    prometheus = Prometheus(url, start, time.time())
    return [prometheus.ask(query, list(jobs)) for query in queries()], faults


def report(found):
    """Prints a line for each panel and each still query. Gives what is still without a reason."""
    still, panels, moved = [], 0, 0
    for (dashboard, panel, _), of_panel in itertools.groupby(found, key=lambda one: (one.query.dashboard, one.query.panel, one.query.kind)):
        of_panel = list(of_panel)
        best = max(of_panel, key=lambda one: one.moving)
        panels += 1
        moved += best.moving > 0
        verdict = "moves" if best.moving else "STILL"
        print(f"{verdict:6} {dashboard:11} {panel:44} {sum(one.moving for one in of_panel):4} of {sum(one.series for one in of_panel):4} series ({best.job})")
        for one in of_panel:
            if one.moving:
                continue
            why, test = STILL.get(one.query.metric, (None, None))
            if why and exists(test):
                print(f"         still: {one.query.metric}: {why}; {test}")
            else:
                print(f"         STILL: {one.query.expression}")
                still.append(one)
    answered = sum(one.moving > 0 for one in found)
    print(f"{moved} of {panels} panels move; {answered} of {len(found)} queries, {len(still)} of the others are not listed")
    return still


def main():
    arguments = asked()
    try:
        at_hand(arguments)
    except Missing as missing:
        print(f"left out: panels: {missing}")
        return 3
    with tempfile.TemporaryDirectory(prefix="tiltmeter-panels-") as folder:
        stage = Stage(pathlib.Path(folder), arguments.tiltmeter.resolve())
        try:
            found, faults = run(arguments, stage)
            for fault in faults:
                print(f"went wrong: {fault}")
                sys.stdout.flush()
            if faults:
                for log in sorted(stage.folder.glob("*.log")):
                    print(f"-- {log.name}\n" + "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]))
        except Missing as missing:
            print(f"left out: panels: {missing}")
            return 3
        finally:
            stage.end()
    return 1 if report(found) or faults else 0


if __name__ == "__main__":
    sys.exit(main())
