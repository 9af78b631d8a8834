"""System-call traces (ADFA-LD): the streams, and STIDE as the control.

Knows the file of traces and how a trace becomes a session. Must not know tables.
"""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Iterable, NamedTuple

from .agentdyn import interval_of
from .intervals import clopper_pearson, task_draws
from .measures import NOMINAL, Judged
from .runner import Runner
from .streams import timestamp
from .units import Unit

FIRST = 1_767_225_600_000
"""Start of the first trace: 2026-01-01T00:00:00Z. Milliseconds."""

GAP = 3_600_000
"""Between the last call of one trace and the first of the next, so that sessions never overlap. Milliseconds."""

STIDE_LENGTH = 6
"""Length of STIDE's sequences of calls, as in Hofmeyr, Forrest and Somayaji (1998), §3."""


class Trace(NamedTuple):
    """One process's system calls."""

    part: str
    """train, valid or attack."""
    id: str
    calls: list[str]

    @property
    def cluster(self) -> str:
        """What the bootstrap draws: the run of the attack, or the trace itself when it is normal."""
        return self.id.split("/")[0]


def read_traces(path: Path) -> list[Trace]:
    """Reads `part, label, id, call numbers` from a compressed table."""
    traces = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            part, _, id, calls = line.rstrip("\n").split("\t")
            traces.append(Trace(part, id, calls.split()))
    return traces


def write_traces(path: Path, traces: Iterable[Trace], labelled: bool) -> None:
    """One session a trace, one second a call, all of one agent; labels and clusters only if `labelled`."""
    time = FIRST
    with open(path, "w", encoding="utf-8") as file:
        for trace in traces:
            label = ""
            if labelled:
                label = f',"label":"{"attack" if trace.part == "attack" else "normal"}","task":"{trace.cluster}"'
            for place, call in enumerate(trace.calls):
                file.write(f'{{"time":"{timestamp(time)}","event_id":"{trace.id}#{place}","agent_id":"adfa/1",'
                           f'"agent_type":"adfa","session_id":"{trace.id}","seq":{place},"action":"{call}"{label}}}\n')
                time += 1000
            time += GAP


def stide(traces: Iterable[Trace]) -> dict[str, float]:
    """The share of each judged trace's sequences of calls that no learned trace holds.

    Source: Hofmeyr, Forrest and Somayaji (1998), *Journal of Computer Security* 6:151.
    """
    known: set[tuple[str, ...]] = set()
    judged = []
    for trace in traces:
        if trace.part == "train":
            known.update(_sequences(trace.calls))
        else:
            judged.append(trace)
    scores = {}
    for trace in judged:
        sequences = _sequences(trace.calls)
        scores[trace.id] = sum(s not in known for s in sequences) / max(1, len(sequences))
    return scores


def _sequences(calls: list[str]) -> list[tuple[str, ...]]:
    return list(zip(*(calls[i:] for i in range(STIDE_LENGTH))))


def summary(path: Path, runner: Runner, draws: int) -> dict:
    """Figures of the binary and of STIDE, [value, low, high], and the false alarms at the nominal levels with
    exact intervals, [hits, trials, low, high]."""
    traces = read_traces(path)
    judged = [trace for trace in traces if trace.part != "train"]
    random.Random("adfa").shuffle(judged)

    def write(learned: Path, stream: Path) -> list[str]:
        write_traces(learned, (trace for trace in traces if trace.part == "train"), labelled=False)
        write_traces(stream, judged, labelled=True)
        return [trace.id for trace in judged]

    answer = runner.judge(["adfa-ld"], write)
    known = stide(traces)
    clusters = sorted({unit.task for unit in answer.units})
    weights = task_draws(len(clusters), draws, "traces")
    normals = [unit for unit in answer.units if not unit.attack]
    pooled = {}
    for level in NOMINAL:
        hits = sum(unit.p <= level for unit in normals)
        pooled[str(level)] = [hits, len(normals), *clopper_pearson(hits, len(normals))]
    return {
        "sessions": [len(normals), len(answer.units) - len(normals)],
        "tiltmeter": _figures(answer.units, clusters, weights),
        "stide": _figures([unit._replace(score=known[unit.id]) for unit in answer.units], clusters, weights),
        "calibration": {"pooled": pooled},
        "split": answer.split,
    }


def _figures(units: list[Unit], clusters: list[str], draws: list[list[int]]) -> dict[str, list[float]]:
    judged = Judged([units], clusters, matched=False)
    point = judged.measure([1] * len(clusters))
    drawn = [judged.measure(weights) for weights in draws]
    return {name: interval_of(point[name], [draw[name] for draw in drawn]) for name in ("auc", "tpr@0.01", "tpr@0.05")}
